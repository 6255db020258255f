//! `latchkey init`: configuration, data directory, master key and owner, from nothing. What is there already stays as it is,
//! so whoever was interrupted runs it again.

mod owner;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{Desk, Terminal};
use crate::{config::Config, durable, lock::LockError, store::Database};

const EXAMPLE: &str = include_str!("../../latchkey.example.toml");

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where the database will lie, or with --database what this service keeps beside it.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Where the master key will lie: not in the data directory.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How people and the PSA will reach it, such as https://latchkey.example.com; asked for when it is left out.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where it will listen. TLS of its own, which a public address takes, is written into the configuration afterwards.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// A PostgreSQL database, in the place of a file: postgres://USER@HOST/DATABASE, as the configuration explains. Where
    /// there is an installation in it already, this becomes another service on it.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// A file with its user's password in the first line.
    #[arg(long, value_name = "FILE", requires = "database")]
    database_password: Option<PathBuf>,
    /// The authority of its server's certificate, where that is one of its own.
    #[arg(long, value_name = "FILE", requires = "database")]
    database_ca: Option<PathBuf>,
}

impl Init {
    fn is_bare(&self) -> bool {
        let none = [&self.public_url, &self.listen, &self.database].iter().all(|value| value.is_none());
        none && self.data_dir.is_none() && self.key_file.is_none()
    }
}

pub(super) async fn run(wanted: Init, file: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let config = match fs::symlink_metadata(file) {
        Ok(_) => existing(&wanted, file, terminal)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => new(wanted, file, terminal)?,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be looked at", file.display())),
    };
    let desk = match Desk::alone(config.clone()).await {
        Err(error) if matches!(error.downcast_ref(), Some(LockError::Running(..))) => bail!(already(&config)),
        opened => opened?,
    };
    let done = set_up(&desk, terminal).await;
    desk.close().await;
    match done? {
        Made::Installation => say_what_is_next(&config, file, terminal),
        Made::Another => terminal.hint(format!(
            "Look through {}, and start it: systemctl enable --now latchkey. `latchkey doctor` says what is still to be done.",
            file.display()
        )),
    }
}

/// What came of it.
enum Made {
    Installation,
    /// Another service on a database that has an installation.
    Another,
}

/// One that was written before, by hand or by an interrupted `init`.
fn existing(wanted: &Init, file: &Path, terminal: &mut Terminal) -> anyhow::Result<Config> {
    if !wanted.is_bare() {
        bail!(
            "{} is there already and was left as it is: change it with an editor, or leave the options away, or name \
             another one with --config. Nothing was changed",
            file.display()
        );
    }
    let config = Config::load(file)?;
    terminal.hint(format!("{} is there and is used as it is.", file.display()))?;
    Ok(config)
}

/// The example with this installation's values. It is checked before anything is written.
fn new(wanted: Init, file: &Path, terminal: &mut Terminal) -> anyhow::Result<Config> {
    let public_url = match wanted.public_url {
        Some(url) => url,
        None => terminal.ask("Public address, such as https://latchkey.example.com")?.expose().trim().to_owned(),
    };
    let mut values = vec![("public_url", public_url)];
    for (key, path) in [("data_dir", wanted.data_dir), ("key_file", wanted.key_file)] {
        if let Some(path) = path {
            values.push((key, whole(&path)?));
        }
    }
    values.extend(wanted.listen.map(|listen| ("listen", listen)));
    let mut text = with_values(EXAMPLE, &values);
    if let Some(url) = wanted.database {
        let mut table = vec![("url", url)];
        for (key, path) in [("password_file", wanted.database_password), ("ca_file", wanted.database_ca)] {
            if let Some(path) = path {
                table.push((key, whole(&path)?));
            }
        }
        text = with_table(&text, "[database]", &table);
    }
    let config = Config::parse(&text, file, None).context("nothing was changed")?;
    write(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
    terminal.say(format!("{} is written; every key is explained there.", file.display()))?;
    Ok(config)
}

/// In the file, relative paths are meant from the file; here they were typed from where the operator is.
fn whole(path: &Path) -> anyhow::Result<String> {
    let whole = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| anyhow!("{} is not UTF-8", whole.display()))
}

/// Replaces the values of keys that stand at the beginning of a line.
fn with_values(text: &str, values: &[(&str, String)]) -> String {
    let line = |line: &str| {
        let is_key = |key: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "));
        match values.iter().find(|(key, _)| is_key(key)) {
            Some((key, value)) => format!("{key} = {}\n", toml::Value::from(value.as_str())),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// Puts a table in the place of the one that is shown behind marks.
fn with_table(text: &str, name: &str, values: &[(&str, String)]) -> String {
    let (mut told, mut is_in_it) = (String::new(), false);
    for line in text.lines() {
        let is_head = line.strip_prefix("# ").is_some_and(|head| head == name);
        is_in_it = is_head || (is_in_it && line.starts_with('#'));
        if !is_in_it {
            told += &format!("{line}\n");
        } else if is_head {
            told += &format!("{name}\n");
            told.extend(values.iter().map(|(key, value)| format!("{key} = {}\n", toml::Value::from(value.as_str()))));
        }
    }
    told
}

/// Whole or not at all, and never over one that came meanwhile.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = made.write_all(text.as_bytes()).and_then(|()| made.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(file);
    }
    written.and_then(|()| durable::sync_directory_of(file))
}

async fn set_up(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<Made> {
    let (data, key) = (desk.config.data_dir.display(), desk.config.key_file.path().display());
    let is_enrolled = owner::is_enrolled(desk).await?;
    match &desk.config.database {
        Database::Sqlite(_) if is_enrolled => bail!(already(&desk.config)),
        Database::Postgres(server) if is_enrolled => {
            let at = server.shown();
            desk.seal().await.with_context(|| {
                format!(
                    "there is an installation in the database {at} already. For another service on it, copy its master key to \
                     {key}, for the service's user alone (mode 0600), and run latchkey init once more"
                )
            })?;
            terminal.say(format!(
                "There is an installation in the database {at} already, with its owner, and {key} opens it: this is another \
                 service on it. Nothing was changed there."
            ))?;
            return Ok(Made::Another);
        }
        _ => {}
    }
    desk.seal().await?;
    match &desk.config.database {
        Database::Sqlite(_) => terminal.say(format!("The database lies in {data}, the master key in {key}."))?,
        Database::Postgres(server) => {
            terminal.say(format!("The database is {}, the master key lies in {key}.", server.shown()))?;
        }
    }
    owner::make(desk, terminal).await?;
    Ok(Made::Installation)
}

fn already(config: &Config) -> String {
    format!("there is an installation in {} already, with its owner; nothing was changed", config.data_dir.display())
}

fn say_what_is_next(config: &Config, file: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let (key, file) = (config.key_file.path().display(), file.display());
    terminal.hint(format!(
        "Next:\n\
         \x20 1. Copy {key} to where backups of the data do not go: the secrets need it, and are lost without it.\n\
         \x20 2. Look through {file}: TLS or a reverse proxy, and mail.\n\
         \x20 3. Start it: systemctl enable --now latchkey, or: latchkey --config {file} serve\n\
         \x20 4. Connect the PSA and the first tenant: latchkey connection add --help"
    ))
}
