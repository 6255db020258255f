//! `latchkey backup | restore`.

use std::path::Path;

use anyhow::bail;
use latchkey_contract::Clock;

use super::{Operator, Terminal, desk::refuse_others};
use crate::{
    app::database,
    audit::By,
    backup::{self, BackupError, Manifest},
    clock::SystemClock,
    config::{Config, ConfigError},
    generation::Counter,
    jobs::chain,
    lock::{Lock, LockError},
    seal,
    socket::{self, Knock},
    store::{Database, sqlite::Sqlite},
};

/// Beside whoever works on the database, or where nobody does: the engine lets a reader see it as it is at one moment.
/// The copy is written by the operator's own process, since a service may be kept from writing where backups lie; what
/// root touches of the service's goes on belonging to the service. The database is copied as it is: before an upgrade the
/// copy is the former release's.
pub(super) async fn make(config: &Path, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let config = load(config, "backup", file)?;
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
    let store = Sqlite::open_as_it_is(&database).await?;
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

/// The configuration. Credentials are shown by systemd to the unit that names them, and not to an operator's own process.
fn load(config: &Path, act: &str, file: &Path) -> anyhow::Result<Config> {
    match Config::load(config) {
        Err(ConfigError::NoCredentials { .. }) => bail!(through_systemd(config, act, file)?),
        loaded => Ok(loaded?),
    }
}

/// The line to type. A backup may be root's; what is put back must be the service's own.
fn through_systemd(config: &Path, act: &str, file: &Path) -> anyhow::Result<String> {
    let (program, config, file) = (std::env::current_exe()?, std::path::absolute(config)?, std::path::absolute(file)?);
    let user = if act == "restore" { " -e 's/^User=/-p &/p'" } else { "" };
    Ok(format!(
        "a key is a systemd credential, which is shown to the service alone; nothing was changed. Let systemd run this with \
         the unit's own credentials, as root:\n\
         \x20 systemd-run --pty --wait --collect $(systemctl cat latchkey | sed -n -e 's/^LoadCredential/-p &/p'{user}) \
         '{}' --config '{}' {act} '{}'",
        program.display(),
        config.display(),
        file.display()
    ))
}

async fn copy(config: &Config, store: &Sqlite, file: &Path) -> anyhow::Result<backup::Made> {
    let now = SystemClock::new().now();
    let seal = seal::unlock(&config.key_file, store, now).await?;
    let counter = Counter::at(&config.generation_file);
    Ok(backup::make(&database(config), store, &seal, &counter, file, now).await?)
}

/// Without a desk: the database that is there may be damaged, or missing.
pub(super) async fn restore(config: &Path, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let config = load(config, "restore", file)?;
    let Database::Sqlite(_) = &config.database else {
        bail!(
            "the database is on a PostgreSQL server: stop every service, drop the database, make it anew, restore it with \
             pg_restore --single-transaction, and start one again; it notices by itself that the database is \
             an older copy, and compares it with the directories before it gives or ends anything"
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
    let by = By::operator(&Operator::here().to_string());
    let ready = backup::prepare(&config, file, &by, SystemClock::new().now()).await?;
    let holds = match &ready.still_held {
        Some(_) => "Blocked people and paused customers stay held.",
        None => {
            "The database that is there tells no holds: blocked people and paused customers of later than the backup may be \
             free again, so the service gives and ends nothing before somebody has run latchkey reconcile --accept."
        }
    };
    let agreed = terminal.confirm(format!(
        "{} holds {}. Everything that was recorded after it is forgotten: grants (the directories are compared with it before \
         anything is given or ended), rules, secrets that were set, people who were enrolled. {holds} Put it in place of {}?",
        file.display(),
        what(&ready.manifest),
        database(&config).display()
    ));
    if agreed.is_err() {
        ready.let_be().await;
        return agreed;
    }
    let still_held = ready.still_held.clone();
    let restored = ready.put_in_place().await?;
    terminal.say(format!("{} is in place.", file.display()))?;
    if let Some(kept) = restored.kept {
        terminal.say(format!("The database that was there is kept as {}.", kept.display()))?;
    }
    for hold in still_held.iter().flatten() {
        terminal.say(format!("still held: {}", hold.sentence()))?;
    }
    if still_held.is_none() {
        terminal.hint(
            "Nothing could be read of what was held after the backup. Set it again, by latchkey person block, customer pause \
             or revoke; the service waits for latchkey reconcile --accept.",
        )?;
    }
    terminal.hint(
        "Start the service: it compares every directory before it gives or ends anything, and `latchkey reconcile` shows \
         what it found.",
    )
}

fn what(manifest: &Manifest) -> String {
    let version = latchkey_contract::text::one_line(&manifest.version, 20);
    let generation = manifest.generation.map_or_else(String::new, |number| format!(", generation {number}"));
    format!("the database as it was on {}{generation}, by Latchkey {version}", manifest.made_at.for_people())
}
