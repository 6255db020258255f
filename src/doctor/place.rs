//! What the service stands on: its database and disk, its key file, its clock.

use std::{fs, path::Path, sync::Arc, time::Duration};

use latchkey_contract::Timestamp;

use super::{
    Doctor, HERE, Line,
    server::{self, Seen},
    slow, within,
};
use crate::{
    app::database as file_of,
    config::Config,
    generation::{Counter, Standing},
    jobs::chain,
    seal::{KeyFile, ROOT_NAME, Seal, Tally, tally, unlock},
    store::{Database, StoreError, sqlite::newest_migration},
};

const DATABASE: &str = "database";

/// Below this the next day may fill it.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;

/// Below this it may be full within the hour.
const NO_ROOM: u64 = 64 * 1024 * 1024;

/// A clock may be set back by this much when it is set right.
const SET_BACK: Duration = Duration::from_secs(120);

/// `seen`: the server, where it lies on one.
pub(super) async fn database(doctor: &Doctor, seen: Option<Seen>) -> Vec<Line> {
    match (&doctor.config.database, seen) {
        (Database::Postgres(at), Some(seen)) => server::database(doctor, at, seen).await,
        _ => within(DATABASE, HERE, in_a_file(doctor)).await,
    }
}

async fn in_a_file(doctor: &Doctor) -> Vec<Line> {
    let path = file_of(&doctor.config);
    let full = "the disk is full, and only removals are written: make room where data_dir lies";
    let look = "look at data_dir, its owner and its disk";
    let mut lines = vec![file(&path), written(touch(doctor).await, full, look)];
    lines.push(match doctor.store.revision().await {
        Ok(revision) => {
            let found = format!("this program's, migration {}; revision {revision} is in force", newest_migration());
            Line::ok(DATABASE, "schema", found)
        }
        Err(error) => Line::red(DATABASE, "schema", chain(&error)),
    });
    let standing = Counter::at(&doctor.config.generation_file).standing(&*doctor.store).await;
    lines.push(age(standing));
    lines.extend([disk_of(&doctor.config), reserved(path.with_extension("db.reserve").exists())]);
    lines
}

pub(super) fn disk_of(config: &Config) -> Line {
    let stops = match config.database {
        Database::Sqlite(_) => "nothing is granted soon",
        Database::Postgres(_) => "it is soon not remembered which database was used",
    };
    disk(room(&config.data_dir), stops)
}

/// A file that is deleted under a service goes on for that service, and is lost as it stops.
fn file(path: &Path) -> Line {
    const WHAT: &str = "file";
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 => Line::ok(DATABASE, WHAT, "it is there, and opens"),
        Ok(_) => Line::red(DATABASE, WHAT, gone(path, "is empty")),
        Err(error) => Line::red(DATABASE, WHAT, gone(path, &error.to_string())),
    }
}

fn gone(path: &Path, what: &str) -> String {
    format!(
        "{}: {what}. Make a backup while the service still runs (latchkey backup FILE), then stop it and restore that",
        path.display()
    )
}

pub(super) fn age(standing: Result<Standing, StoreError>) -> Line {
    const WHAT: &str = "age";
    match standing {
        Ok(Standing::Current) => Line::ok(DATABASE, WHAT, "it is the one that was used last"),
        Ok(Standing::Older(why)) => {
            let to_do = format!(
                "{why}, and a service that starts on it gives and ends nothing before it is compared: latchkey reconcile"
            );
            Line::red(DATABASE, WHAT, to_do)
        }
        Err(error) => Line::red(DATABASE, WHAT, chain(&error)),
    }
}

/// Looking teaches nobody the time: what stands there is written again.
pub(super) async fn touch(doctor: &Doctor) -> Result<(), StoreError> {
    let seen = doctor.store.last_seen().await?;
    doctor.store.heartbeat(seen.unwrap_or(Timestamp::from_millis(0))).await
}

/// `full` and `look` are what to do: where there is no room, and where something else is the matter.
pub(super) fn written(done: Result<(), StoreError>, full: &str, look: &str) -> Line {
    const WHAT: &str = "writing";
    match done {
        Ok(()) => Line::ok(DATABASE, WHAT, "a row was written, durably"),
        Err(StoreError::Full) => Line::red(DATABASE, WHAT, full),
        Err(error) => Line::red(DATABASE, WHAT, format!("{}: {look}", chain(&error))),
    }
}

fn room(data_dir: &Path) -> Result<u64, std::io::Error> {
    let found = rustix::fs::statvfs(data_dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn disk(free: Result<u64, std::io::Error>, stops: &str) -> Line {
    const WHAT: &str = "disk";
    let mib = |bytes: u64| bytes / (1024 * 1024);
    match free {
        Err(error) => Line::note(DATABASE, WHAT, format!("how much is free cannot be told: {error}")),
        Ok(free) if free < NO_ROOM => {
            let to_do = format!("{} MiB are free: make room where data_dir lies, or {stops}", mib(free));
            Line::red(DATABASE, WHAT, to_do)
        }
        Ok(free) if free < LITTLE_ROOM => {
            Line::note(DATABASE, WHAT, format!("{} MiB are free where data_dir lies: make room soon", mib(free)))
        }
        Ok(free) => Line::ok(DATABASE, WHAT, format!("{} MiB are free", mib(free))),
    }
}

fn reserved(is_there: bool) -> Line {
    const WHAT: &str = "reserve";
    if is_there {
        return Line::ok(DATABASE, WHAT, "room is kept for removals");
    }
    let to_do = "the room that is kept for removals was given up, or cannot be made: make room where data_dir lies; it is \
                 made again by itself";
    Line::red(DATABASE, WHAT, to_do)
}

/// The lines, and the seal if it opens. The file is read now, whatever a running service has in memory.
pub(super) async fn key(doctor: &Doctor) -> (Vec<Line>, Option<Arc<Seal>>) {
    let mut lines = vec![beside(&doctor.config)];
    let opened = tokio::time::timeout(HERE, opened(doctor, &mut lines)).await;
    let seal = opened.unwrap_or_else(|_| {
        lines.push(slow("key", "file", HERE));
        None
    });
    // What a running service has in memory still works, and its connections can be looked at.
    let running = || doctor.jobs.as_ref().map(|jobs| Arc::clone(&jobs.seal));
    (lines, seal.or_else(running))
}

async fn opened(doctor: &Doctor, lines: &mut Vec<Line>) -> Option<Arc<Seal>> {
    const WHAT: &str = "file";
    match doctor.store.sealed_named(ROOT_NAME).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            lines.push(Line::note("key", WHAT, "nothing is sealed yet: it is made by the first secret or start"));
            return None;
        }
        Err(error) => {
            lines.push(Line::red("key", WHAT, chain(&error)));
            return None;
        }
    }
    let seal = match unlock(&doctor.config.key_file, &*doctor.store, doctor.clock.now()).await {
        Ok(seal) => Arc::new(seal),
        Err(error) => {
            lines.push(Line::red("key", WHAT, chain(&error)));
            return None;
        }
    };
    lines.push(Line::ok("key", WHAT, "it is there, for its owner alone, and opens this database"));
    lines.push(match tally(&seal, &*doctor.store).await {
        Ok(tally) => sealed(&tally),
        Err(error) => Line::red("key", "secrets", chain(&error)),
    });
    Some(seal)
}

fn sealed(tally: &Tally) -> Line {
    const WHAT: &str = "secrets";
    if let Some((id, rows)) = tally.missing.first() {
        let to_do = format!("{rows} sealed rows need master key {id}: put that key's line back into the key file");
        return Line::red("key", WHAT, to_do);
    }
    match tally.behind() {
        0 => Line::ok("key", WHAT, "all are sealed under the first key of the file"),
        rows => Line::note("key", WHAT, format!("{rows} are under a former key; finish with: latchkey key rotate")),
    }
}

/// Where there is no database that says whether it is the right one.
pub(super) fn key_alone(config: &Config) -> [Line; 2] {
    let file = match config.key_file.load(true) {
        Ok(_) => Line::note("key", "file", "it can be read; whether it opens the database is not known"),
        Err(error) => Line::red("key", "file", chain(&error)),
    };
    [beside(config), file]
}

/// The configuration refuses such a path as it is written; a link may still lead there.
fn beside(config: &Config) -> Line {
    const WHAT: &str = "place";
    if let KeyFile::Credential(_) = config.key_file {
        return Line::ok("key", WHAT, "a systemd credential");
    }
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real(config.key_file.path()).starts_with(real(&config.data_dir)) {
        let know =
            "the key file really lies in data_dir: whoever copies the data gets the key with it; move it elsewhere";
        return Line::note("key", WHAT, know);
    }
    Line::ok("key", WHAT, "outside data_dir")
}

pub(super) async fn clock(doctor: &Doctor) -> Vec<Line> {
    if let Some(doubt) = doctor.jobs.as_ref().and_then(|jobs| jobs.trust.doubt()) {
        let to_do = format!("{}: nothing is granted; set it by NTP (timedatectl set-ntp true)", doubt.sentence());
        return vec![Line::red("clock", "last seen", to_do)];
    }
    vec![match doctor.store.last_seen().await {
        Ok(seen) => judged(seen, doctor.clock.now()),
        Err(error) => Line::red("clock", "last seen", chain(&error)),
    }]
}

fn judged(seen: Option<Timestamp>, now: Timestamp) -> Line {
    const WHAT: &str = "last seen";
    match seen {
        Some(seen) if seen > now && seen.since(now) > SET_BACK => {
            let by = seen.since(now).as_secs();
            let to_do = format!(
                "{by} s behind a time that the database has seen, and nothing is granted until then: set it by NTP \
                 (timedatectl set-ntp true)"
            );
            Line::red("clock", WHAT, to_do)
        }
        _ => Line::ok("clock", WHAT, "not behind any time that the database has seen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_noted_before_it_is_red() {
        let word = |mib: u64| disk(Ok(mib * 1024 * 1024), "it stops").word();
        assert_eq!([word(63), word(64), word(1023), word(1024)], ["fault", "note", "note", "ok"]);
        assert_eq!(disk(Err(std::io::Error::other("no")), "it stops").word(), "note");
        assert_eq!([reserved(true).word(), reserved(false).word()], ["ok", "fault"]);
    }

    #[test]
    fn a_full_database_says_to_make_room() {
        assert_eq!(written(Ok(()), "make room", "look").word(), "ok");
        let full = written(Err(StoreError::Full), "make room", "look");
        assert!(full.check.is_red() && full.to_string().contains("make room"), "{full}");
        assert!(written(Err(StoreError::Busy), "make room", "look").check.is_red());
    }

    #[test]
    fn a_clock_behind_what_was_seen_is_red() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let word = |ahead: u64| judged(Some(now + Duration::from_secs(ahead)), now).word();
        assert_eq!([word(0), word(120), word(121)], ["ok", "ok", "fault"]);
        assert_eq!(judged(None, now).word(), "ok");
    }

    #[test]
    fn a_key_that_rows_need_and_nobody_has_is_red() {
        let of = |behind, missing: &[(&str, u64)]| {
            let missing = missing.iter().map(|(id, rows)| ((*id).to_owned(), *rows)).collect();
            sealed(&Tally { keys: vec![("new".to_owned(), 5), ("old".to_owned(), behind)], missing })
        };
        assert_eq!(of(0, &[]).word(), "ok");
        assert_eq!(of(2, &[]).word(), "note");
        let lost = of(0, &[("abc", 3)]);
        assert!(lost.check.is_red() && lost.to_string().contains("master key abc"), "{lost}");
    }
}
