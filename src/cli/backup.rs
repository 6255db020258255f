//! `latchkey backup | restore`.

use std::path::Path;

use anyhow::bail;
use latchkey_contract::Clock;

use super::{Terminal, desk::refuse_others};
use crate::{
    app::database,
    backup::{self, BackupError, Manifest},
    clock::SystemClock,
    config::Config,
    generation::Counter,
    jobs::chain,
    lock::{Lock, LockError},
    seal,
    socket::{self, Knock},
    store::{
        Database,
        sqlite::{Options, Sqlite},
    },
};

/// Beside whoever works on the database: the engine lets a reader see it as it is at one moment. The copy is written by
/// the operator's own process, since a service may be kept from writing where backups lie.
pub(super) async fn make(config: &Path, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let Database::Sqlite(_) = &config.database else {
        bail!(
            "the database is on a PostgreSQL server: copy it with pg_dump, such as pg_dump --format=custom --file={}, and keep \
             a copy of {} apart from it",
            file.display(),
            config.key_file.path().display()
        );
    };
    let database = database(&config);
    if !database.try_exists()? {
        bail!("there is no database {} yet, so there is nothing to copy", database.display());
    }
    if let Knock::Nobody = socket::knock(&config.data_dir).await? {
        refuse_others(&config.data_dir)?;
    }
    let store = Sqlite::open(&database, Options::default()).await?;
    let made = copy(&config, &store, file).await;
    store.close().await;
    let made = made?;
    terminal.say(format!("{} holds {}.", file.display(), what(&made.manifest)))?;
    terminal.hint(format!(
        "It opens only with the master key, which is not in it. Keep a copy of {} apart from it.",
        config.key_file.path().display()
    ))?;
    if let Some(error) = made.unraised {
        terminal.hint(chain(&error))?;
    }
    Ok(())
}

async fn copy(config: &Config, store: &Sqlite, file: &Path) -> anyhow::Result<backup::Made> {
    let now = SystemClock::new().now();
    let seal = seal::unlock(&config.key_file, store, now).await?;
    let counter = Counter::at(&config.generation_file);
    Ok(backup::make(&database(config), store, &seal, &counter, file, now).await?)
}

/// Without a desk: the database that is there may be damaged, or missing.
pub(super) async fn restore(config: &Path, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let Database::Sqlite(_) = &config.database else {
        bail!(
            "the database is on a PostgreSQL server: stop every service, restore it with pg_restore --clean, and start one \
             again; it notices by itself that the database is an older copy, and compares it with the directories before it \
             gives or ends anything"
        );
    };
    config.make_data_dir()?;
    let in_use = || BackupError::InUse(database(&config));
    if let Knock::Answered(_) = socket::knock(&config.data_dir).await? {
        return Err(in_use().into());
    }
    refuse_others(&config.data_dir)?;
    let _lock = Lock::for_command(&config.data_dir).await.map_err(|error| match error {
        LockError::Running(..) => in_use().into(),
        other => anyhow::Error::from(other),
    })?;
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
    )
}

fn what(manifest: &Manifest) -> String {
    let version = latchkey_contract::text::one_line(&manifest.version, 20);
    let generation = manifest.generation.map_or_else(String::new, |number| format!(", generation {number}"));
    format!("the database as it was on {}{generation}, by Latchkey {version}", manifest.made_at.for_people())
}
