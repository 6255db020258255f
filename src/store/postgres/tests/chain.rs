//! The chain of this engine, broken by its own means.

use super::*;

/// A stranger who breaks the chain with some statements and mends it with others.
struct Breaker {
    conn: PgConnection,
    breaks: &'static str,
    mends: &'static str,
}

#[async_trait::async_trait]
impl Breaks for Breaker {
    async fn break_it(&mut self) {
        execute(&mut self.conn, self.breaks).await;
    }
    async fn mend(&mut self) {
        execute(&mut self.conn, self.mends).await;
    }
}

const NO_TRIGGER: &str = "DROP TRIGGER stranger ON audit";

/// In how many ways a chain can fail to take an entry.
const WAYS: [(&str, &str); 4] = [
    (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
         CREATE TRIGGER stranger BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION no()",
        NO_TRIGGER,
    ),
    // Swallows the row and says that all is well.
    (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER stranger BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION no()",
        NO_TRIGGER,
    ),
    ("ALTER TABLE audit RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO audit"),
    // Takes the whole connection with it, the removal included, as a crash over a damaged page would.
    (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
         CREATE TRIGGER stranger BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION no()",
        NO_TRIGGER,
    ),
];

/// F143: however the chain fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_chain_nothing_is_given_and_removals_go_on() {
    for (breaks, mends) in WAYS {
        let Some((database, store)) = fresh().await else { return };
        let mut breaker = Breaker { conn: stranger(&database).await, breaks, mends };
        story::without_the_chain_nothing_is_given_and_removals_go_on(&store, &mut breaker).await;
    }
}

/// F143.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_is_chained_without_another_entry() {
    let Some((database, store)) = fresh().await else { return };
    let (breaks, mends) = WAYS[0];
    let mut breaker = Breaker { conn: stranger(&database).await, breaks, mends };
    story::what_is_owed_is_chained_without_another_entry(&store, &mut breaker).await;
}

#[tokio::test]
async fn audit_rows_cannot_be_changed_and_only_what_a_checkpoint_covers_can_be_deleted() {
    let Some((database, store)) = fresh().await else { return };
    let audit = ["a", "b", "c"].map(entry).to_vec();
    store.commit(Transition { audit, ..transition() }).await.unwrap();
    let mut conn = stranger(&database).await;
    let mut refused = async |sql: &'static str, why: &str| {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{sql}: {refused}");
    };
    refused("UPDATE audit SET code = 'b'", "append-only").await;
    refused("DELETE FROM audit", "append-only").await;
    refused("TRUNCATE audit", "append-only").await;
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
    refused("TRUNCATE audit_checkpoints", "append-only").await;
    execute(&mut conn, "DELETE FROM audit WHERE seq <= 2").await;
    assert_eq!(store.audit(0, 10).await.unwrap().len(), 1);
}
