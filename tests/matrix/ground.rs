//! What a cell stands on: one of the two engines, with a fresh database on it.

use std::{
    path::Path,
    process::Command,
    sync::{Mutex, OnceLock},
};

use latchkey::store::{Engine, sqlite::Options};
use latchkey_simulators::postgres::{self, Database};
use tempfile::TempDir;

use crate::harness::{
    config,
    stranger::{On, choose},
};

/// The engines of this machine. SQLite is in the program; PostgreSQL is missing where nobody has installed it.
pub(crate) fn engines() -> Vec<On> {
    let mut engines = vec![On::Sqlite];
    if template().is_some() {
        engines.push(On::Postgres);
    }
    // Who names cells of one engine waits for none of the other.
    let wanted = std::env::var("LATCHKEY_MATRIX_CELLS").unwrap_or_default();
    let named: Vec<On> = engines.iter().copied().filter(|on| wanted.contains(&format!("| {} |", name(*on)))).collect();
    if named.is_empty() { engines } else { named }
}

pub(crate) const fn name(on: On) -> &'static str {
    match on {
        On::Sqlite => "sqlite",
        On::Postgres => "postgres",
    }
}

/// A directory for an installation whose database is on that engine.
pub(crate) fn fresh(on: On) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let twin = match on {
        On::Sqlite => None,
        On::Postgres => Some(twin()),
    };
    choose(dir.path(), twin.as_ref().map(|database| database.url.as_str()));
    dir
}

/// A copy of an empty database that is up to date: a copy costs less than to bring one up to date.
fn twin() -> Database {
    // One database is copied by one session at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    let template = template().expect("PostgreSQL is on this machine");
    let _alone = ALONE.lock().unwrap();
    template.twin()
}

fn template() -> Option<&'static Database> {
    static TEMPLATE: OnceLock<Option<Database>> = OnceLock::new();
    TEMPLATE
        .get_or_init(|| {
            let database = postgres::database("the fault matrix")?;
            let url = database.url.clone();
            // Asked for inside a runtime as well, which must not be waited in.
            std::thread::spawn(move || bring_up_to_date(&url)).join().unwrap();
            Some(database)
        })
        .as_ref()
}

fn bring_up_to_date(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    choose(dir.path(), Some(url));
    std::fs::create_dir_all(dir.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::open(&config(dir.path(), 1).database, Options::default()).await.unwrap();
        engine.close().await;
    });
}

/// Which of the files contain one of these strings: found by a program that is quick at it.
pub(crate) fn files_with(wanted: &[&str], files: &[&Path]) -> String {
    let mut grep = Command::new("grep");
    grep.args(["--fixed-strings", "--text", "--files-with-matches", "--no-messages"]);
    for one in wanted {
        grep.args(["-e", one]);
    }
    let found = grep.arg("--").args(files).output().expect("grep is on every machine");
    String::from_utf8(found.stdout).unwrap()
}
