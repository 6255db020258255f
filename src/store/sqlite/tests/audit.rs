//! The chain of this engine, broken by its own means.

use super::*;
use crate::{
    audit::{AuditFilter, Chain},
    store::verify_chain,
};

/// A stranger who breaks the chain with one statement and mends it with another.
struct Stranger {
    conn: SqliteConnection,
    breaks: &'static [&'static str],
    mends: &'static [&'static str],
}

#[async_trait::async_trait]
impl Breaks for Stranger {
    async fn break_it(&mut self) {
        for sql in self.breaks {
            execute(&mut self.conn, sql).await;
        }
    }
    async fn mend(&mut self) {
        for sql in self.mends {
            execute(&mut self.conn, sql).await;
        }
    }
}

const NO_TRIGGER: &[&str] = &["DROP TRIGGER stranger"];

/// In how many ways a chain can fail to take an entry.
const WAYS: [(&[&str], &[&str]); 6] = [
    (&["CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"], NO_TRIGGER),
    (&["CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'no'); END"], NO_TRIGGER),
    // Takes the whole transaction with it, the removal included.
    (&["CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(ROLLBACK, 'no'); END"], NO_TRIGGER),
    // Swallows the row and says that all is well.
    (&["CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END"], NO_TRIGGER),
    (&["ALTER TABLE audit RENAME TO elsewhere"], &["ALTER TABLE elsewhere RENAME TO audit"]),
    // The table's first page is an index's: "database disk image is malformed".
    (
        &[
            "CREATE TABLE was AS SELECT rootpage FROM sqlite_schema WHERE name = 'audit'",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'accounts_of')
             WHERE name = 'audit'",
            "PRAGMA schema_version = 1000",
        ],
        &[
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM was) WHERE name = 'audit'",
            "PRAGMA schema_version = 2000",
        ],
    ),
];

/// F143: however the chain fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_chain_nothing_is_given_and_removals_go_on() {
    for (breaks, mends) in WAYS {
        let (place, store) = fresh().await;
        let mut stranger = Stranger { conn: stranger(&place.db()).await, breaks, mends };
        story::without_the_chain_nothing_is_given_and_removals_go_on(&store, &mut stranger).await;
    }
}

/// F143.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_is_chained_without_another_entry() {
    let (place, store) = fresh().await;
    let (breaks, mends) = WAYS[0];
    let mut stranger = Stranger { conn: stranger(&place.db()).await, breaks, mends };
    story::what_is_owed_is_chained_without_another_entry(&store, &mut stranger).await;
}

/// F143: on the reserve a removal whose entries cannot be chained goes on as well; with room again all of it is chained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_a_broken_chain_holds_up_no_removal() {
    let place = Place::new();
    let options = Options { reserve_bytes: 512 * 1024, max_bytes: Some(512 * 1024) };
    let store = Sqlite::open(&place.db(), options).await.unwrap();
    let mut conn = stranger(&place.db()).await;
    let mut n = 0;
    loop {
        n += 1;
        let mut big = delivery(&format!("d{n}"), &format!("m{n}"), None);
        big.body_hash = "x".repeat(8000);
        if store.record_delivery(big).await.is_err() {
            break;
        }
    }
    let removal = |step: &str| {
        let mut entry = entry(step);
        entry.detail = serde_json::json!({"step": step, "padding": "x".repeat(20_000)});
        Transition { is_removal: true, audit: vec![entry], ..transition() }
    };
    store.commit(removal("chained")).await.unwrap();
    assert!(!place.0.path().join("latchkey.db.reserve").exists(), "given up");
    execute(&mut conn, WAYS[0].0[0]).await;
    store.commit(removal("owed")).await.unwrap();
    execute(&mut conn, NO_TRIGGER[0]).await;
    store.commit(removal("owed behind it")).await.unwrap();
    assert_eq!(store.audit_owed().await.unwrap(), 2, "what is reserved is not for catching up");
    assert!(matches!(store.commit(transition()).await, Err(StoreError::Full)));
    assert!(store.chain_owed().await.is_err());

    execute(&mut conn, "DELETE FROM deliveries").await;
    let give_up = Instant::now() + Duration::from_secs(10);
    while store.chain_owed().await.is_err() && Instant::now() < give_up {
        tokio::task::yield_now().await;
    }
    let all = store.audit(0, 10).await.unwrap();
    verify_chain((0, ""), &all).unwrap();
    let steps: Vec<_> = all.iter().map(|entry| entry.detail["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["chained", "owed", "owed behind it"]);
}

#[tokio::test]
async fn audit_rows_cannot_be_changed_and_only_what_a_checkpoint_covers_can_be_deleted() {
    let (place, store) = fresh().await;
    let audit = ["a", "b", "c"].map(entry).to_vec();
    store.commit(Transition { audit, ..transition() }).await.unwrap();
    let mut conn = stranger(&place.db()).await;
    let mut refused = async |sql: &'static str, why: &str| {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{sql}: {refused}");
    };
    refused("UPDATE audit SET code = 'b'", "append-only").await;
    refused("DELETE FROM audit", "append-only").await;
    let made_up = "INSERT INTO audit_checkpoints VALUES (3, 'made up', 3, 0, 0, 'x')";
    refused(made_up, "names an entry of the chain").await;
    execute(&mut conn, "INSERT INTO audit_checkpoints SELECT seq, hash, 2, 0, 0, 'x' FROM audit WHERE seq = 2").await;
    let mut refused = async |sql: &'static str, why: &str| {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{sql}: {refused}");
    };
    refused("DELETE FROM audit", "append-only").await;
    refused("DELETE FROM audit WHERE seq = 3", "append-only").await;
    refused("UPDATE audit_checkpoints SET seq = 3", "checkpoints stay").await;
    refused("DELETE FROM audit_checkpoints", "checkpoints stay").await;
    execute(&mut conn, "DELETE FROM audit WHERE seq <= 2").await;
    assert_eq!(store.audit(0, 10).await.unwrap().len(), 1);
}

/// F144: an entry that is found under another grant than its text says would be missing where somebody looks for it.
#[tokio::test]
async fn an_entry_that_was_filed_elsewhere_is_noticed() {
    for sql in [
        "UPDATE audit SET grant_id = 'other' WHERE seq = 2",
        "UPDATE audit SET ticket = NULL WHERE seq = 2",
        "UPDATE audit SET at = at + 1 WHERE seq = 2",
        "UPDATE audit SET code = 'step.failed' WHERE seq = 2",
    ] {
        let (place, store) = fresh().await;
        store.commit(Transition { audit: ["a", "b"].map(entry).to_vec(), ..transition() }).await.unwrap();
        let mut conn = stranger(&place.db()).await;
        execute(&mut conn, "DROP TRIGGER audit_no_update").await;
        execute(&mut conn, sql).await;
        let mut chain = Chain::after(&[], vec![]).unwrap();
        let rows = store.audit_rows(&AuditFilter::default(), 0, 10).await.unwrap();
        chain.take(&rows[0]).unwrap();
        assert!(chain.take(&rows[1]).unwrap_err().why.contains("filed"), "{sql}");
    }
}

/// F144: what the first release stored verifies, word for word, and goes on being one chain with what comes after it.
#[tokio::test]
async fn entries_of_an_earlier_release_stay_one_chain_with_the_later_ones() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.db()).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    super::super::open::migrator_up_to(4).run(&mut conn).await.unwrap();
    for sql in [
        r#"INSERT INTO audit VALUES (1, 1790000000000, 'step.done', 'g1', 'cw/4711', '{"at":1790000000000,"code":"step.done","detail":{"attempt":1,"step":"disable"},"grant":"g1","person":"jdoe","seq":1,"ticket":{"connection":"cw","ticket":"4711"}}', 'f58479292ca85830792d9dadb0a72e77851fbdc6e578141f1db384a96fe5eb33')"#,
        r#"INSERT INTO audit VALUES (2, 1790000000000, 'grant.ended', NULL, NULL, '{"at":1790000000000,"code":"grant.ended","detail":null,"grant":null,"person":null,"seq":2,"ticket":null}', '8ccb77b0ddfb3a7bb2c6c602e993f940c3ee33b5802b3b2d00598d957e452ed0')"#,
    ] {
        execute(&mut conn, sql).await;
    }
    conn.close().await.unwrap();
    let store = place.open().await;
    store.commit(Transition { audit: vec![entry("later")], ..transition() }).await.unwrap();
    let all = store.audit(0, 10).await.unwrap();
    assert_eq!((all.len(), &all[0].by), (3, &None));
    let (head, _) = verify_chain((0, ""), &all).unwrap();
    assert_eq!(head, 3);
}
