//! `latchkey backup | restore`.

use std::path::Path;

use latchkey_contract::Clock;

use super::{Desk, Terminal};
use crate::{
    app::database,
    backup::{self, Manifest},
    clock::SystemClock,
    config::Config,
    generation::Counter,
    jobs::chain,
};

pub(super) async fn make(desk: &Desk, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let (seal, counter) = (desk.seal().await?, Counter::at(&desk.config.generation_file));
    let database = database(&desk.config);
    let made = backup::make(&database, &*desk.store, &seal, &counter, file, desk.clock.now()).await?;
    terminal.say(format!("{} holds {}.", file.display(), what(&made.manifest)))?;
    terminal.hint(format!(
        "It opens only with the master key, which is not in it. Keep a copy of {} apart from it.",
        desk.config.key_file.path().display()
    ))?;
    if let Some(error) = made.unraised {
        terminal.hint(chain(&error))?;
    }
    Ok(())
}

/// Without a desk: the database that is there may be damaged, or missing.
pub(super) async fn restore(config: &Path, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    config.make_data_dir()?;
    let ready = backup::prepare(&config, file, SystemClock::new().now()).await?;
    let agreed = terminal.confirm(format!(
        "{} holds {}. Everything that was recorded after it is forgotten: grants (the directories are compared with it before \
         anything is given or ended), holds such as blocked people and paused customers, rules, secrets that were set, people who \
         were enrolled. Put it in place of {}?",
        file.display(),
        what(&ready.manifest),
        database(&config).display()
    ));
    if agreed.is_err() {
        ready.let_be().await;
        return agreed;
    }
    let restored = ready.put_in_place().await?;
    terminal.say(format!("{} is in place.", file.display()))?;
    if let Some(kept) = restored.kept {
        terminal.say(format!("The database that was there is kept as {}.", kept.display()))?;
    }
    terminal.hint(
        "Set again what was held after the backup, before the service starts where that can be. Then start the service: it \
         compares every directory before it gives or ends anything, and `latchkey reconcile` shows what it found.",
    )?;
    Ok(())
}

fn what(manifest: &Manifest) -> String {
    let version = latchkey_contract::text::one_line(&manifest.version, 20);
    let generation = manifest.generation.map_or_else(String::new, |number| format!(", generation {number}"));
    format!("the database as it was on {}{generation}, by Latchkey {version}", manifest.made_at.for_people())
}
