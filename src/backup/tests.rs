//! Backups of real databases, put back in real places, and everything that can be wrong with them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use latchkey_contract::{Secret, SecretId};

use super::*;
use crate::{
    app::database,
    audit::{AuditEntry, By, Code},
    config::Config,
    generation::{Counter, Standing},
    rulebook::{Hold, HoldCause, HoldOn},
    seal::{Seal, rotate, unlock},
    store::{
        CommitName, LaterHolds, Session, Store, Transition,
        sqlite::{Options, Sqlite, copy},
    },
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// An installation in a directory of its own.
struct Place {
    dir: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "data_dir = \"data\"\nkey_file = \"keys/master.key\"\nlisten = \"127.0.0.1:8080\"\n\
                    public_url = \"https://latchkey.example.com\"\n";
        let config = Config::parse(text, &dir.path().join("latchkey.toml"), None).unwrap();
        config.make_data_dir().unwrap();
        Self { dir, config }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn open(&self) -> Sqlite {
        Sqlite::open(&database(&self.config), Options { reserve_bytes: 64 * 1024, max_bytes: None }).await.unwrap()
    }

    fn counter(&self) -> Counter {
        Counter::at(&self.config.generation_file)
    }

    async fn seal(&self, store: &Sqlite) -> Seal {
        unlock(&self.config.key_file, store, NOW).await.unwrap()
    }

    /// As at a start.
    async fn started(&self) -> (Sqlite, Seal) {
        let store = self.open().await;
        let seal = self.seal(&store).await;
        self.counter().raise(&store).await.unwrap();
        (store, seal)
    }

    async fn make(&self, store: &Sqlite, name: &str) -> Result<Made, BackupError> {
        let seal = self.seal(store).await;
        make(&database(&self.config), store, &seal, &self.counter(), &self.file(name), NOW).await
    }

    async fn restore(&self, name: &str) -> Result<Restored, BackupError> {
        prepare(&self.config, &self.file(name), &By::Service, NOW).await?.put_in_place().await
    }

    /// What lies in the data directory.
    fn data(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.config.data_dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A refusal changes nothing: the same files, with the same content.
    async fn is_refused(&self, name: &str) -> String {
        let read = || fs::read(database(&self.config)).unwrap();
        let before = (self.data(), read());
        let error = self.restore(name).await.unwrap_err();
        assert_eq!(self.data(), before.0);
        assert!(read() == before.1, "the database was touched");
        crate::jobs::chain(&error)
    }
}

async fn note(store: &Sqlite, text: &str) {
    let entry = AuditEntry::new(Code::HoldLifted, NOW, By::Service, serde_json::json!({ "note": text }));
    store.commit(Transition { audit: vec![entry], ..Transition::new(CommitName::Command, NOW) }).await.unwrap();
}

async fn notes(store: &Sqlite) -> Vec<String> {
    let entries = store.audit(0, 100).await.unwrap();
    entries.iter().map(|entry| entry.detail["note"].as_str().unwrap().to_owned()).collect()
}

async fn hide(store: &Sqlite, seal: &Seal, id: &str, value: &str) {
    let id = SecretId::parse(id).unwrap();
    let row = seal.seal(id, None, "account-password", &Secret::new(value.to_owned()));
    store.commit(Transition { seal: vec![row], ..Transition::new(CommitName::Command, NOW) }).await.unwrap();
}

fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
}

/// F177: made while the database is written, put back as it was at that moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_while_the_service_writes_and_put_back_whole() {
    let place = Place::new();
    let (store, seal) = place.started().await;
    note(&store, "before").await;
    hide(&store, &seal, "s1", "canary-in-a-sealed-row").await;
    let (made, ()) = tokio::join!(place.make(&store, "one.tar"), async {
        for n in 0..50 {
            note(&store, &format!("during {n}")).await;
        }
    });
    let made = made.unwrap();
    assert!(made.unraised.is_none());
    assert_eq!((made.manifest.generation, made.manifest.made_at), (Some(1), NOW));
    let mode = fs::metadata(place.file("one.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!holds(&place.file("one.tar"), "canary-in-a-sealed-row"));
    let key = fs::read_to_string(place.config.key_file.path()).unwrap();
    assert!(!holds(&place.file("one.tar"), key.split_whitespace().nth(2).unwrap()), "the master key is not in it");
    assert_eq!(place.counter().standing(&store).await.unwrap(), Standing::Current);
    assert_eq!(store.generation().await.unwrap().number, Some(2));
    let there = place.make(&store, "one.tar").await.unwrap_err();
    assert!(matches!(there, BackupError::There(_)), "{there}");

    note(&store, "after").await;
    store.close().await;
    let kept = place.restore("one.tar").await.unwrap().kept.unwrap();
    assert!(
        kept.file_name().unwrap().to_str().unwrap().starts_with("latchkey.db.before-restore-2026-09-21T"),
        "{kept:?}"
    );
    let restored = place.open().await;
    let codes = notes(&restored).await;
    assert!(codes.first().is_some_and(|c| c == "before") && !codes.contains(&"after".to_owned()), "{codes:?}");
    assert_eq!(codes.len() as i64, made.manifest.audit.map_or(0, |(seq, _)| seq));
    let row = restored.sealed(&SecretId::parse("s1").unwrap()).await.unwrap().unwrap();
    assert_eq!(place.seal(&restored).await.open_text(&row).unwrap().expose(), "canary-in-a-sealed-row");
    restored.close().await;

    // What was there before is whole as well: it can be put back by hand.
    fs::rename(&kept, database(&place.config)).unwrap();
    assert_eq!(notes(&place.open().await).await.last().unwrap(), "after");
}

/// F177: a restored database is known to be older, whatever lies beside it; and nobody is signed in.
#[tokio::test]
async fn a_restored_database_compares_first_and_signs_everybody_out() {
    let place = Place::new();
    let (store, _) = place.started().await;
    let session = Session {
        token_hash: "t".to_owned(),
        person: "jane".parse().unwrap(),
        form_token: "f".to_owned(),
        until: Timestamp::from_millis(i64::MAX),
        idle_until: Timestamp::from_millis(i64::MAX),
    };
    store.open_session(&session, vec![], NOW).await.unwrap();
    place.make(&store, "one.tar").await.unwrap();
    store.close().await;
    place.restore("one.tar").await.unwrap();
    // On another machine the counter is missing, or another one's.
    for elsewhere in [None, Some("0")] {
        match elsewhere {
            Some(number) => fs::write(&place.config.generation_file, number).unwrap(),
            None => fs::remove_file(&place.config.generation_file).unwrap(),
        }
        let store = place.open().await;
        assert!(matches!(place.counter().standing(&store).await.unwrap(), Standing::Older(_)), "{elsewhere:?}");
        let comparing = store.generation().await.unwrap().comparing.unwrap();
        assert_eq!(comparing.knows_until, Some(NOW));
        assert!(store.session("t", NOW, NOW).await.unwrap().is_none());
        store.close().await;
    }
}

/// F177: put back onto an empty machine, with the key file alone.
#[tokio::test]
async fn a_backup_is_put_back_where_nothing_is() {
    let (old, new) = (Place::new(), Place::new());
    let (store, _) = old.started().await;
    note(&store, "ours").await;
    old.make(&store, "one.tar").await.unwrap();
    fs::copy(old.file("one.tar"), new.file("one.tar")).unwrap();
    let keyless = new.restore("one.tar").await.unwrap_err();
    assert!(matches!(keyless, BackupError::KeyFile(_)), "{keyless}");
    // A first start made a database and a key there.
    let (first, _) = new.started().await;
    first.close().await;
    let foreign = new.is_refused("one.tar").await;
    assert!(foreign.contains("does not open") && foreign.contains("needs master key"), "{foreign}");
    fs::copy(old.config.key_file.path(), new.config.key_file.path()).unwrap();
    assert!(new.restore("one.tar").await.unwrap().kept.is_some());
    assert_eq!(notes(&new.open().await).await, ["ours"]);
}

/// F177: whatever is not whole, not ours, or not as it was made is refused with a sentence, and nothing is changed.
#[tokio::test]
async fn a_backup_that_is_half_written_or_altered_is_refused() {
    let place = Place::new();
    let (store, _) = place.started().await;
    note(&store, "before").await;
    place.make(&store, "good.tar").await.unwrap();
    note(&store, "after").await;
    store.close().await;
    let good = fs::read(place.file("good.tar")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.file(name), bytes).unwrap();

    for part in [0, 1, 300, 512, 2000, good.len() / 2, good.len() - 3000] {
        write("half.tar", &good[..part]);
        let error = place.is_refused("half.tar").await;
        assert!(error.contains("is not a whole backup"), "{part}: {error}");
    }
    write("text.tar", b"-- a database dump of something else\n");
    assert!(place.is_refused("text.tar").await.contains("is not a whole backup"));
    let missing = place.is_refused("nowhere.tar").await;
    assert!(missing.contains("nowhere.tar"), "{missing}");

    let at = |text: &str| good.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
    let mut bad = good.clone();
    bad[at("SQLite format 3") + 5000] ^= 1;
    write("bad.tar", &bad);
    assert!(place.is_refused("bad.tar").await.contains("was altered"));
    // Somebody who makes the hash fit again has no master key to prove the manifest with.
    let mut forged = good.clone();
    let number = at("\"generation\": 1") + "\"generation\": ".len();
    forged[number] = b'9';
    write("forged.tar", &forged);
    assert!(place.is_refused("forged.tar").await.contains("was altered"));
    let form = at("\"form\": 1") + "\"form\": ".len();
    let mut later = good.clone();
    later[form] = b'2';
    write("later.tar", &later);
    assert!(place.is_refused("later.tar").await.contains("later release"));

    assert!(place.restore("good.tar").await.is_ok());
}

/// F177: nothing is put in place under a service that runs, or a command.
#[tokio::test]
async fn a_database_that_is_in_use_is_not_replaced() {
    let place = Place::new();
    let (store, _) = place.started().await;
    place.make(&store, "one.tar").await.unwrap();
    let error = place.restore("one.tar").await.unwrap_err();
    assert!(matches!(error, BackupError::InUse(_)), "{error}");
    note(&store, "goes on").await;
    store.close().await;

    let ready = prepare(&place.config, &place.file("one.tar"), &By::Service, NOW).await.unwrap();
    let started = Sqlite::open(&database(&place.config), Options::default()).await;
    assert!(matches!(started, Err(crate::store::sqlite::OpenError::Locked(_))), "nobody starts meanwhile");
    ready.let_be().await;
    assert!(!place.data().iter().any(|name| name.contains("restoring")), "{:?}", place.data());
    assert_eq!(notes(&place.open().await).await, ["goes on"]);
}

/// F177: a damaged database is kept with its log, and neither gets in the new one's way.
#[tokio::test]
async fn a_damaged_database_is_replaced_and_kept() {
    let place = Place::new();
    let (store, _) = place.started().await;
    note(&store, "before").await;
    place.make(&store, "one.tar").await.unwrap();
    store.close().await;
    fs::write(database(&place.config), b"this was a database once").unwrap();
    let [log, index] = copy::beside(&database(&place.config));
    fs::write(&log, b"a log").unwrap();
    fs::write(&index, b"an index").unwrap();
    let kept = place.restore("one.tar").await.unwrap().kept.unwrap();
    assert!(!log.exists() && !index.exists());
    assert_eq!(fs::read(&kept).unwrap(), b"this was a database once");
    assert_eq!(notes(&place.open().await).await, ["before"]);
    fs::remove_file(database(&place.config)).unwrap();
    assert_eq!(place.restore("one.tar").await.unwrap(), Restored { kept: None }, "lost altogether");
    assert_eq!(notes(&place.open().await).await, ["before"]);
}

/// F177, F178: a backup from before a rotation opens as long as the former key's line is in the file.
#[tokio::test]
async fn a_backup_from_before_a_rotation_needs_the_former_key() {
    let place = Place::new();
    let (store, seal) = place.started().await;
    place.make(&store, "one.tar").await.unwrap();
    rotate(&place.config.key_file, &seal, &store).await.unwrap();
    store.close().await;
    prepare(&place.config, &place.file("one.tar"), &By::Service, NOW).await.unwrap().let_be().await;
    let store = place.open().await;
    crate::seal::retire(&place.config.key_file, &place.seal(&store).await, &store).await.unwrap();
    store.close().await;
    let error = place.is_refused("one.tar").await;
    assert!(error.contains("needs master key") && error.contains("add that key's line"), "{error}");
}

/// What an earlier run left behind when it was killed, and what cannot be written.
#[tokio::test]
async fn an_unfinished_backup_is_in_nobodys_way_and_never_left_under_the_name() {
    let place = Place::new();
    let (store, _) = place.started().await;
    for left in ["one.tar.unfinished", "one.tar.unfinished.db"] {
        fs::write(place.file(left), "half").unwrap();
    }
    place.make(&store, "one.tar").await.unwrap();
    let error = place.make(&store, "nowhere/two.tar").await.unwrap_err();
    assert!(matches!(error, BackupError::Database(_) | BackupError::Io { .. }), "{error}");
    let left: Vec<_> = fs::read_dir(place.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{left:?}");
}

async fn by_hand(place: &Place, sql: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let path = database(&place.config);
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

/// F177: an older release's backup is brought up; a later release's is refused.
#[tokio::test]
async fn an_older_backup_is_brought_up_and_a_later_one_is_refused() {
    let place = Place::new();
    let (store, _) = place.started().await;
    note(&store, "ours").await;
    by_hand(
        &place,
        "DROP TABLE factors; DROP TABLE failures; DROP TABLE sessions; DELETE FROM _sqlx_migrations WHERE version = 4;",
    )
    .await;
    place.make(&store, "older.tar").await.unwrap();
    by_hand(
        &place,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0);",
    )
    .await;
    let later = place.make(&store, "later.tar").await.unwrap_err();
    assert!(crate::jobs::chain(&later).contains("later release"), "{later:?}");
    store.close().await;

    place.restore("older.tar").await.unwrap();
    let store = place.open().await;
    assert_eq!(notes(&store).await, ["ours"]);
    assert!(store.session("t", NOW, NOW).await.unwrap().is_none(), "its tables are there");
}

fn hold(on: HoldOn, cause: HoldCause, since: i64) -> Hold {
    let since = Timestamp::from_millis(NOW.millis() + since);
    Hold { on, cause, since, by: "operator root".to_owned(), reason: "left in anger".to_owned() }
}

/// F177: who was held after the backup is held after the restore, and what the backup holds stays held.
#[tokio::test]
async fn what_is_held_by_now_is_held_after_a_restore() {
    let place = Place::new();
    let (store, _) = place.started().await;
    let on = |id: &str| HoldOn::Person(id.parse().unwrap());
    store.set_hold(&hold(on("early"), HoldCause::Panic, 0)).await.unwrap();
    store.set_hold(&hold(on("graver"), HoldCause::Blocked, 0)).await.unwrap();
    place.make(&store, "one.tar").await.unwrap();
    store.lift_hold(&on("early"), HoldCause::Panic, "operator root", "all is well", NOW).await.unwrap();
    let later = [
        hold(HoldOn::Everything, HoldCause::Panic, 5),
        hold(HoldOn::Customer("acme".parse().unwrap()), HoldCause::Paused, 5),
        hold(on("graver"), HoldCause::Panic, 5),
        hold(on("jane"), HoldCause::Blocked, 5),
    ];
    for hold in &later {
        store.set_hold(hold).await.unwrap();
    }
    store.close().await;
    place.restore("one.tar").await.unwrap();

    let store = place.open().await;
    let held = store.rules().await.unwrap().holds;
    assert!(later.iter().all(|hold| held.contains(hold)), "{held:?}");
    assert!(held.iter().any(|hold| hold.on == on("early")), "the backup's own: {held:?}");
    assert_eq!(held.len(), 5);
    assert_eq!(store.generation().await.unwrap().comparing.unwrap().later_holds, LaterHolds::Kept);
    let told = store.audit(0, 100).await.unwrap();
    let jane = told.iter().find(|entry| entry.person == Some("jane".parse().unwrap())).unwrap();
    assert_eq!((jane.code, jane.by.clone()), (Code::HoldSet, Some(By::Service)), "by whoever restored");
    assert!(jane.detail["reason"].as_str().unwrap().contains("as operator root set it"), "{jane:?}");
}

/// What was there before lies under the name of a moment, and a test's moment is always the same.
fn forget(place: &Place) {
    for name in place.data().iter().filter(|name| name.contains("before-restore")) {
        fs::remove_file(place.config.data_dir.join(name)).unwrap();
    }
}

/// F177: where nothing tells what was held, that is noted, and the service waits.
#[tokio::test]
async fn holds_that_cannot_be_read_are_noted_as_lost() {
    let place = Place::new();
    let (store, _) = place.started().await;
    place.make(&store, "one.tar").await.unwrap();
    store.close().await;
    for damage in [Some("no database"), None] {
        match damage {
            Some(text) => fs::write(database(&place.config), text).unwrap(),
            None => fs::remove_file(database(&place.config)).unwrap(),
        }
        place.restore("one.tar").await.unwrap();
        let store = place.open().await;
        let comparing = store.generation().await.unwrap().comparing.unwrap();
        assert_eq!(comparing.later_holds, LaterHolds::Lost, "{damage:?}");
        let comparison = crate::reconcile::Comparison { at: NOW, later_holds: comparing.later_holds, places: vec![] };
        let waits = comparison.missing(&[]).unwrap();
        assert!(waits.contains("may be free again; set that again, and accept"), "{waits}");
        store.close().await;
        forget(&place);
        place.restore("one.tar").await.unwrap();
        let store = place.open().await;
        let again = store.generation().await.unwrap().comparing.unwrap().later_holds;
        assert_eq!(again, LaterHolds::Lost, "nobody has accepted it");
        store.close().await;
        forget(&place);
    }
}
