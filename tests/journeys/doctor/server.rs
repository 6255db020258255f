//! What breaks on a PostgreSQL server turns its own line; and what keeps a database there from being opened is told
//! where no service runs, by a look that changes nothing.

use std::fs;

use super::{
    super::harness::stranger::{self, is_on_postgres},
    Clinic, EDITS, TestApp,
    alone::{LATER, NEWEST, sees},
    installed, keeping, look,
};

/// The server answers from now on what these functions say, for whoever connects.
const LYING: &str = "
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    END $$;";
const STANDBY: &str = "CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'";
const FAST: &str = "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    'SELECT pg_catalog.now() + interval ''1 minute'''";

/// What is due lies there, since no service has run.
const DUE: &str = "queue: oldest due task";

async fn tell(app: &TestApp, sql: &'static str) {
    let mut stranger = app.stranger().await;
    stranger.execute("", sql).await;
    stranger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_on_the_server_turns_its_own_line() {
    if !is_on_postgres() {
        return;
    }
    let server = tokio::task::block_in_place(keeping);
    let dir = stranger::on(Some(&server.database("looked_at")));
    let app = TestApp::installed_in(dir, &EDITS, |psa, _| _ = psa.ticket()).await;
    let Some(mut clinic) = Clinic::open_in(app).await else { return };
    let c = &mut clinic;
    let at_work = &c.before["database: replicas"].1;
    assert!(at_work.starts_with("1 process works on it; the newest write is "), "{at_work}");
    c.turns(&[("database: durability", "note")], "never writes half a page", async |_| {
        tokio::task::block_in_place(|| server.set("full_page_writes", "off"));
    })
    .await;
    c.turns(&[("database: durability", "fault")], "when the server's power fails", async |_| {
        tokio::task::block_in_place(|| server.set("fsync", "off"));
    })
    .await;
    c.turns(&[("database: schema", "note")], "replace it soon", async |c| {
        tell(
            &c.app,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0);
             COMMENT ON TABLE meta IS 'works-from 9999 10'",
        )
        .await;
    })
    .await;
    c.turns(&[("database: server", "fault")], "its role is standby, and must be primary", async |c| {
        tell(&c.app, STANDBY).await;
        tell(&c.app, LYING).await;
    })
    .await;
    clinic.close().await;
}

/// F177: what keeps a database on a server from being opened is told with what to do, and nothing is brought up, marked
/// or made by looking.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_as_it_should_be_is_the_one_fault() {
    if !is_on_postgres() {
        return;
    }
    let app = installed(&[], |_| ()).await;
    app.register_webhooks().await;
    let (dir, _) = app.place();
    let (url, marker) = (dir.join("database.url"), app.data_dir().join("latchkey.postgres.id"));
    let used = fs::read_to_string(&url).unwrap();
    let mut other = app.stranger().await;
    tell(&app, FAST).await;
    tell(&app, LYING).await;
    sees(&app, &["clock: database server", DUE], "set both by NTP").await;
    tell(&app, "DROP FUNCTION public.clock_timestamp()").await;
    sees(&app, &[DUE], "start it").await;

    let marked = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, marked.replace("timeline 0", "timeline F")).unwrap();
    sees(&app, &["database: age", DUE], "another history than the one that was used here").await;
    assert!(fs::read_to_string(&marker).unwrap().contains("timeline F"), "looking remembers nothing");
    assert_eq!(other.number("SELECT count(*) FROM meta WHERE name = 'comparing'").await, Some(0), "and notes nothing");
    fs::write(&marker, format!("another\n{marked}")).unwrap();
    sees(&app, &["database: server"], "is not the one that was used here before").await;
    fs::remove_file(&marker).unwrap();
    sees(&app, &[DUE], "start it").await;
    assert!(!marker.exists(), "looking remembers nothing");

    let newest = other.number(NEWEST).await;
    other.on_both(LATER).await;
    sees(&app, &["database: schema"], "run that release").await;
    other.on_both("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    sees(&app, &["database: schema"], "copy it with pg_dump, then start").await;
    assert!(other.number(NEWEST).await < newest, "looking brings nothing up");
    let (seen, ..) = look(&app).await;
    for (name, word) in [("database: disk", "ok"), ("key: place", "ok"), ("key: file", "note"), ("mail: all", "note")] {
        assert_eq!(seen[name].0, word, "{name} in {seen:?}");
    }
    other.close().await;

    fs::write(&url, format!("{}/postgres", used.rsplit_once('/').unwrap().0)).unwrap();
    sees(&app, &["database: schema"], "begin with latchkey init").await;
    assert_eq!(
        app.stranger().await.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await,
        Some(0)
    );
    fs::write(&url, "postgres://postgres@127.0.0.1:1/latchkey").unwrap();
    sees(&app, &["database: server"], "cannot be reached").await;
    fs::remove_file(app.config().key_file.path()).unwrap();
    sees(&app, &["database: server", "key: file"], "cannot be reached").await;
}
