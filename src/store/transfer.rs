//! From one engine to the other: everything, in one transaction, counted and compared table by table before it counts.
//!
//! What there is to carry over is read from the two databases themselves, so that no table and no column of a later
//! migration is forgotten: where they differ, nothing is moved.

mod source;
mod target;
#[cfg(test)]
mod tests;

use std::{io, path::Path};

use sha2::{Digest as _, Sha256};

use self::{source::Source, target::Target};
use super::{
    postgres::{self, Server},
    sqlite::{self, copy},
};

/// Rows written by one statement.
const TOGETHER: usize = 500;

/// A table, and what was moved of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over all of them, the same on both sides.
    pub digest: String,
}

/// Why nothing was moved. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is no source.
    #[error("there is no database {0}, so there is nothing to move")]
    NoSource(std::path::PathBuf),
    /// Somebody works on the source.
    #[error(
        "the database {0} is in use; nothing was moved. Stop the service first (systemctl stop latchkey), and wait for other \
         commands"
    )]
    InUse(std::path::PathBuf),
    /// An earlier release's.
    #[error(
        "the database {path} has the migrations up to {found}, and this release has {wanted}; nothing was moved. Start the \
         service on it once, stop it, and run the command again"
    )]
    Outdated {
        /// The source.
        path: std::path::PathBuf,
        /// Its newest migration.
        found: i64,
        /// This program's.
        wanted: i64,
    },
    /// Something is there already.
    #[error("the target is not empty: table {0} has rows; nothing was moved. Name an empty database under [database]")]
    NotEmpty(String),
    /// The two do not have the same tables and columns.
    #[error("the two databases do not have the same tables ({0}); nothing was moved. Run an official release")]
    Unlike(String),
    /// What was written does not read back as it was read.
    #[error("table {0} does not read back as it was read; nothing was moved. Check memory and disks, and run it again")]
    Differs(String),
    /// The source.
    #[error("nothing was moved")]
    Source(#[from] sqlite::OpenError),
    /// The target.
    #[error("nothing was moved")]
    Target(#[from] postgres::OpenError),
    /// A row cannot be read.
    #[error("table {table} of the source cannot be read; nothing was moved")]
    Read {
        /// Which table.
        table: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row cannot be written.
    #[error("table {table} of the target cannot be written or read; nothing was moved")]
    Write {
        /// Which table.
        table: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// COMMIT's answer did not come.
    #[error(
        "the server did not say whether it was committed: if the target has rows now, everything is there; look, and run the command again otherwise"
    )]
    Unknown(#[source] sqlx::Error),
}

/// A value as both engines keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Text(String),
    Whole(i64),
    Bytes(Vec<u8>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Bytes,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
    /// Its place in the primary key.
    key: Option<i64>,
}

/// A table as it is on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// An order that both engines put the rows in: by the primary key, or by everything. Texts go by their bytes.
    fn order(&self, bytes: &str) -> String {
        let mut by: Vec<&Column> = self.columns.iter().filter(|column| column.key.is_some()).collect();
        by.sort_by_key(|column| column.key);
        if by.is_empty() {
            by = self.columns.iter().collect();
        }
        let name = |column: &&Column| match column.kind {
            Kind::Text => format!("{}{bytes}", column.name),
            Kind::Whole | Kind::Bytes => column.name.clone(),
        };
        by.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Counts rows, and hashes them so that no value can pass for another or for a part of its neighbour.
#[derive(Default)]
struct Tally {
    rows: u64,
    hash: Sha256,
}

impl Tally {
    fn take(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Text(text) => (1, text.as_bytes()),
                Value::Whole(number) => (2, &number.to_be_bytes()),
                Value::Bytes(bytes) => (3, bytes),
            };
            self.hash.update([kind]);
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        }
    }

    fn done(self, table: &str) -> Moved {
        let digest = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Moved { table: table.to_owned(), rows: self.rows, digest }
    }
}

/// Moves everything from a file that nobody uses to a database on a server that is empty. The file stays as it is.
///
/// # Errors
/// [`TransferError`]; then the target is as it was.
pub async fn to_postgres(from: &Path, to: &Server) -> Result<Vec<Moved>, TransferError> {
    if std::fs::metadata(from).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(TransferError::NoSource(from.to_owned()));
    }
    let facts = copy::examine(from).await.map_err(|error| in_use(from, error))?;
    if facts.migration != sqlite::newest_migration() {
        let (path, found) = (from.to_owned(), facts.migration);
        return Err(TransferError::Outdated { path, found, wanted: sqlite::newest_migration() });
    }
    let mut alone = copy::Alone::with(from).await.map_err(|error| in_use(from, error))?;
    let came = match alone.conn() {
        Some(conn) => moved(&mut Source(conn), to).await,
        None => Err(TransferError::NoSource(from.to_owned())),
    };
    alone.done().await;
    came
}

fn in_use(path: &Path, error: sqlite::OpenError) -> TransferError {
    match error {
        sqlite::OpenError::Locked(_) => TransferError::InUse(path.to_owned()),
        other => other.into(),
    }
}

async fn moved(source: &mut Source<'_>, to: &Server) -> Result<Vec<Moved>, TransferError> {
    let tables = source.tables().await?;
    let mut target = Target::open(to).await?;
    let there = target.tables().await?;
    if let Some(what) = difference(&tables, &there) {
        return Err(TransferError::Unlike(what));
    }
    target.begin(&tables).await?;
    let mut all = Vec::with_capacity(tables.len());
    for table in &tables {
        source.copy(table, &mut target).await?;
        let (read, written) = (source.tally(table).await?, target.tally(table).await?);
        if read != written {
            return Err(TransferError::Differs(table.name.clone()));
        }
        all.push(read);
    }
    for (table, newest) in source.counters().await? {
        target.count_from(&table, newest).await?;
    }
    target.commit().await?;
    Ok(all)
}

/// What one side has and the other has not.
fn difference(one: &[Table], other: &[Table]) -> Option<String> {
    let pieces = |tables: &[Table]| -> std::collections::BTreeSet<String> {
        let columns = |table: &Table| {
            let piece = |c: &Column| format!("{}.{} as {:?}", table.name, c.name, c.kind).to_lowercase();
            table.columns.iter().map(piece).collect::<Vec<_>>()
        };
        tables.iter().flat_map(columns).collect()
    };
    let (one, other) = (pieces(one), pieces(other));
    let differ: Vec<&str> = one.symmetric_difference(&other).map(String::as_str).collect();
    if differ.is_empty() { None } else { Some(differ.join(", ")) }
}
