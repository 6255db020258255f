//! Which database: a file in the data directory, or one on a PostgreSQL server.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use latchkey_contract::Secret;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{DATABASE_FILE, Fault, key_at};
use crate::{
    seal::KeyFile,
    store::{Database, postgres::Server},
};

/// Longest password that is read.
const LONGEST: u64 = 4096;

/// As written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write database = \"sqlite\", or a table [database] with url, password_file and ca_file")]
pub(super) enum Named {
    Engine(Embedded),
    Server(Table),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Embedded {
    Sqlite,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    url: Url,
    #[serde(default)]
    password_file: Option<String>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
}

impl Named {
    /// Where the password lies, as written.
    pub(super) fn password_file(&self) -> Option<&str> {
        match self {
            Self::Server(table) => table.password_file.as_deref(),
            Self::Engine(_) => None,
        }
    }
}

/// Checks it. The password is read here and now, and kept where nothing prints it.
pub(super) fn check(
    named: Option<Named>,
    data_dir: &Path,
    base: &Path,
    credentials: Option<&Path>,
) -> Result<Database, Fault> {
    let table = match named {
        None | Some(Named::Engine(Embedded::Sqlite)) => return Ok(Database::Sqlite(data_dir.join(DATABASE_FILE))),
        Some(Named::Server(table)) => table,
    };
    let password = table.password_file.map(|file| -> Result<_, Fault> {
        let file = key_at("database.password_file", &file, base, credentials)?;
        password(&file).map_err(|what| ("database.password_file", what))
    });
    let ca_file = table.ca_file.map(|file| base.join(file));
    let server = Server::parse(&table.url, password.transpose()?.as_ref(), ca_file.as_deref());
    let server = server.map_err(|what| ("database.url", what))?;
    Ok(Database::Postgres(server.marked_by(data_dir.join("latchkey.postgres.id"))))
}

fn password(file: &KeyFile) -> Result<Secret<String>, String> {
    let path = file.path().display();
    let unread = |error| format!("{path} cannot be read ({error})");
    let opened = File::open(file.path()).map_err(unread)?;
    let mode = opened.metadata().map_err(unread)?.mode() & 0o7777;
    if file.is_open(mode) {
        return Err(format!("{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}"));
    }
    let mut text = Zeroizing::new(String::new());
    opened.take(LONGEST).read_to_string(&mut text).map_err(unread)?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Secret::new(line.to_owned())),
        None => Err(format!("{path} is empty; write the password into its first line")),
    }
}
