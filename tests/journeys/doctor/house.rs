//! What breaks on the service's own machine.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use latchkey::rulebook::{Hold, HoldCause, HoldOn};
use latchkey_contract::Clock;
use latchkey_simulators::fault::Act;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    super::harness::{TestApp, stranger::is_on_postgres},
    Clinic,
};

fn key_file(app: &TestApp) -> PathBuf {
    app.config().key_file.path().to_owned()
}

/// A line of a key file.
fn another_key() -> String {
    let digest = Sha256::new().chain_update(b"latchkey key id|").chain_update([7; 32]).finalize();
    let id: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("latchkey-key {id} {}\n", BASE64_STANDARD.encode([7; 32]))
}

/// Somebody else at the database.
async fn tamper(app: &TestApp, sqlite: &'static str, postgres: &'static str) {
    let mut stranger = app.stranger().await;
    stranger.execute(sqlite, postgres).await;
    stranger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_in_the_house_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    let mut other = c.app.stranger().await;
    let to_do = if is_on_postgres() { "who holds its tables" } else { "look at data_dir" };
    c.turns(&[("database: writing", "fault")], to_do, async |_| {
        other.execute("BEGIN IMMEDIATE", "BEGIN; LOCK TABLE meta IN SHARE MODE").await;
    })
    .await;
    other.on_both("ROLLBACK").await;
    other.close().await;
    c.mended().await;
    if !is_on_postgres() {
        c.turns(&[("database: reserve", "fault")], "make room", async |c| {
            fs::remove_file(c.app.data_dir().join("latchkey.db.reserve")).unwrap();
        })
        .await;
    }
    let counted = fs::read(&c.app.config().generation_file).unwrap();
    c.turns(&[("database: age", "fault")], "latchkey reconcile", async |c| {
        fs::write(&c.app.config().generation_file, "999\n").unwrap();
    })
    .await;
    // On a server it would be noticed while the service runs, and mended by a comparison.
    fs::write(&c.app.config().generation_file, counted).unwrap();
    c.mended().await;

    c.turns(&[("key: file", "fault")], "chmod 600", async |c| {
        fs::set_permissions(key_file(&c.app), Permissions::from_mode(0o644)).unwrap();
    })
    .await;
    fs::set_permissions(key_file(&c.app), Permissions::from_mode(0o600)).unwrap();
    c.mended().await;
    c.turns(&[("key: secrets", "note")], "latchkey key rotate", async |c| {
        let path = key_file(&c.app);
        fs::write(&path, [another_key(), fs::read_to_string(&path).unwrap()].concat()).unwrap();
    })
    .await;
    c.turns(&[("key: place", "note")], "move it elsewhere", async |c| {
        let moved = c.app.data_dir().join("master.key");
        fs::rename(key_file(&c.app), &moved).unwrap();
        std::os::unix::fs::symlink(&moved, key_file(&c.app)).unwrap();
    })
    .await;
    fs::rename(c.app.data_dir().join("master.key"), key_file(&c.app)).unwrap();
    c.mended().await;
    c.turns(&[("key: file", "fault")], "put the file back", async |c| fs::remove_file(key_file(&c.app)).unwrap()).await;
    c.turns(&[("clock: last seen", "fault")], "timedatectl", async |c| c.app.clock.set_wall(-60)).await;

    c.turns(&[("mail: test mail", "fault")], "unknown@msp.example", async |c| {
        let unknown = "unknown@msp.example".parse().unwrap();
        c.app
            .change_rules(|rules| {
                rules.records.people.iter_mut().find(|person| person.id.as_str() == "mark").unwrap().mail =
                    Some(unknown);
            })
            .await;
    })
    .await;
    c.turns(&[("mail: server", "fault")], "127.0.0.1", async |c| c.mail.stop()).await;
    clinic.close().await;
}

/// F125: what could not be taken away is loud here, too, for as long as it is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    c.turns(&[("queue: removals", "fault")], "latchkey tasks", async |c| {
        c.app.active().await;
        let odd = Act::Answer { status: 400, retry_after: None, body: Value::Null };
        c.app.entra.fail(|call| call.method == "PATCH", odd);
        c.app.minutes(70).await;
    })
    .await;
    c.turns(&[("queue: brakes", "note")], "wait for approvers", async |c| {
        let ticket = c.app.psa.ticket();
        c.app.psa.ask(ticket);
        c.app.run().await;
        assert_eq!(c.app.state(ticket).await.name(), "held");
    })
    .await;
    c.turns(&[("holds: person/mark", "note")], "drill", async |c| {
        let (since, by, reason) = (c.app.clock.now(), "jane".to_owned(), "drill".to_owned());
        let on = HoldOn::Person("mark".parse().unwrap());
        c.app.store().set_hold(&Hold { on, cause: HoldCause::Blocked, since, by, reason }).await.unwrap();
    })
    .await;
    c.turns(&[("queue: dead tasks", "fault")], "latchkey tasks", async |c| {
        let dead = "UPDATE tasks SET state = 'dead' WHERE id = (SELECT max(id) FROM tasks WHERE state = 'pending')";
        tamper(&c.app, dead, dead).await;
    })
    .await;
    c.turns(&[("audit: owed entries", "note")], "by itself", async |c| {
        let owed = "INSERT INTO audit_owed (doc) SELECT doc FROM audit ORDER BY seq DESC LIMIT 1";
        tamper(&c.app, owed, owed).await;
    })
    .await;
    c.turns(&[("audit: head", "fault")], "latchkey audit verify", async |c| {
        let (sqlite, postgres) = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_stays ON audit");
        tamper(&c.app, sqlite, postgres).await;
        let changed = "UPDATE audit SET doc = replace(doc, '\"', ' \"') WHERE seq = (SELECT max(seq) FROM audit)";
        tamper(&c.app, changed, changed).await;
    })
    .await;
    clinic.close().await;
}
