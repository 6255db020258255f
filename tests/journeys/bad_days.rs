//! Days on which more than one thing goes wrong: the disk is full while everything is revoked, tenants are dead, a person is
//! blocked while they look at their credentials, the clock is ahead at the start.

use std::time::{Duration, Instant};

use latchkey::{app::database, registry::SecretKind, rulebook::ConnectionKind, store::sqlite::Options};
use latchkey_contract::{Clock, ConnectionId};
use latchkey_simulators::fault::{Act, Fault};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{stranger::is_on_postgres, *};

/// F126, F128, F143: everything is revoked while the disk is full: it is locked, taken away, proven and said out of the
/// reserve, and the log is whole when there is room. Such a reserve is a file's alone; of a server's disk see below.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_revoked_on_a_full_disk() {
    if is_on_postgres() {
        return;
    }
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.down().await;
    let size = std::fs::metadata(database(app.config())).unwrap().len();
    app.up_with(|parts| parts.storage = Options { reserve_bytes: 4 << 20, max_bytes: Some(size) }).await;
    let mut asked = 0;
    while app.psa.sim.deliveries().last().and_then(|delivery| delivery.status) != Some(503) {
        asked += 1;
        assert!(asked < 100, "the disk does not become full");
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask_as("gone", ticket);
        app.psa.sim.settled().await;
    }
    // To the last page: not even a small row finds room.
    let mut rows = 0;
    while app.store().touch(&["filler".to_owned()], "test", "filler", app.clock.now()).await.is_ok() {
        rows += 1;
        assert!(rows < 10_000, "the disk does not become full");
    }
    let said = app.type_and_wait(&["revoke", "--all", "--yes", "--reason", "breach"]).await.unwrap();
    for part in ["Locked: all.", "1 to take away.", "Nothing is left.", "1 taken away, each seen to be off"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty() && app.entra.groups().is_empty());
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert_eq!(app.ready().await.0, 503, "and red");
    app.down().await;
    // What was under way could not even be handed back: its leases have to run out.
    app.clock.pass(Duration::from_secs(61));
    app.up().await;
    app.minutes(10).await;
    assert_eq!((app.store().audit_owed().await.unwrap(), app.ready().await), (0, (200, vec![])));
    let verified = app.type_in(&["audit", "verify"], "").await.unwrap();
    assert!(verified.contains("entries 1 to "), "{verified}");
    assert!(app.type_in(&["lock", "list"], "").await.unwrap().contains("all access is locked"));
    app.end().await;
}

/// Every table refuses to be written, in the words of a server whose disk is full.
const FULL: &str = "
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    DO $$ DECLARE one text; BEGIN
        FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON %I EXECUTE FUNCTION full_disk()', one);
        END LOOP;
    END $$";

/// F126, F128, F143: the disk of the database's server is full: nothing is taken in, and a revocation is refused with what
/// to do; what was refused is lost nowhere, and done when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_server_refused_is_done_when_there_is_room() {
    if !is_on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let mut stranger = app.stranger().await;
    stranger.execute("", FULL).await;
    let asked = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", asked);
    app.psa.sim.settled().await;
    assert_eq!(app.psa.sim.deliveries().last().unwrap().status, Some(503));
    let refused = app.type_in(&["revoke", "--all", "--yes", "--reason", "breach"], "").await.unwrap_err();
    assert!(refused.contains("the disk is full; nothing was changed, make room"), "{refused}");
    assert_eq!((app.ready().await.0, app.entra.is_enabled()), (503, true));
    // The end comes, and cannot even be begun.
    let due = app.state(ticket).await.end().unwrap();
    app.clock.pass(due.since(app.clock.now()));
    assert_eq!(app.state(ticket).await.name(), "active");

    stranger.execute("", "DROP FUNCTION full_disk CASCADE").await;
    soon!("the end", {
        app.clock.pass(Duration::from_secs(6));
        !app.entra.is_enabled()
    });
    app.minutes(2).await;
    assert_eq!((app.state(ticket).await.name(), app.ready().await), ("ended", (200, vec![])));
    let lost = app.psa.sim.deliveries().len();
    assert!(app.psa.sim.replay(lost), "the sender tries again");
    app.run().await;
    assert_eq!(app.state(asked).await.name(), "active");
    let said = app.type_and_wait(&["revoke", "--all", "--yes", "--reason", "breach"]).await.unwrap();
    assert!(said.contains("Nothing is left."), "{said}");
    let verified = app.type_in(&["audit", "verify"], "").await.unwrap();
    assert!(verified.contains("entries 1 to "), "{verified}");
    app.end().await;
}

const ACCOUNTS: i64 = 100;
const GRANTS: i64 = 5000;

/// F128: 5,000 grants, and two tenants of three are dead: everything else is off and proven, over a start in the middle of it, the
/// list says where what is left is, and neither it nor the time grows without bound.
///
/// Ends without the usual look from outside: nobody asked for what was seeded.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_revoked_with_two_dead_tenants() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    dead_tenants(&app).await;
    seed(&app, app.grant(ticket).await.id.as_str()).await;
    let started = Instant::now();
    let said = app.type_in(&["revoke", "--all", "--yes", "--wait", "0"], "").await.unwrap_err();
    for part in
        ["Locked: all.", "5001 to take away.", "5001 of them are not off yet", "dead-one (1500), dead-two (1500)"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().count() < 40, "the list is bounded: {said}");
    app.down().await;
    app.up().await;
    let living = app.type_and_wait(&["revoke", "--customer", "acme", "--yes"]).await.unwrap();
    assert!(living.contains("Nothing is left."), "{living}");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    assert_eq!(app.state(ticket).await.name(), "ended");
    let left = app.type_in(&["revoke", "--all", "--yes", "--wait", "0"], "").await.unwrap_err();
    let tells = "3000 of them are not off yet; the service goes on taking them away. They are in dead-one (1500), dead-two (1500);";
    assert!(left.contains(tells), "{left}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    app.down().await;
}

/// Two customers whose tenants nobody answers for.
async fn dead_tenants(app: &TestApp) {
    let port = free_port();
    app.change_rules(|rules| {
        let records = &mut rules.records;
        let entra = records.connections.iter().find(|c| c.id.as_str() == "acme-entra").unwrap().clone();
        let acme = records.customers[0].clone();
        for (name, tenant) in
            [("one", "22222222-2222-4333-8444-555555555555"), ("two", "33333333-2222-4333-8444-555555555555")]
        {
            let mut dead = entra.clone();
            dead.id = format!("dead-{name}").parse().unwrap();
            let ConnectionKind::Entra(settings) = &mut dead.kind else { panic!("not Entra") };
            settings.tenant = tenant.to_owned().try_into().unwrap();
            settings.graph = format!("https://localhost:{port}/").parse().unwrap();
            settings.authority = format!("https://localhost:{port}/").parse().unwrap();
            let mut customer = acme.clone();
            (customer.id, customer.companies) = (name.parse().unwrap(), vec![]);
            customer.directory = Some(dead.id.clone());
            records.connections.push(dead);
            records.customers.push(customer);
        }
    })
    .await;
    for dead in ["dead-one", "dead-two"] {
        app.set_secret(&ConnectionId::parse(dead).unwrap(), SecretKind::ClientSecret, CLIENT_SECRET).await;
    }
}

/// Copies an active grant: two of five to accounts at the living tenant, the rest to the dead ones. Nobody ever made those
/// accounts.
async fn seed(app: &TestApp, grant: &str) {
    let place = "CASE WHEN i % 10 < 4 THEN 'acme-entra' WHEN i % 10 < 7 THEN 'dead-one' ELSE 'dead-two' END";
    let customer = "CASE WHEN i % 10 < 4 THEN 'acme' WHEN i % 10 < 7 THEN 'one' ELSE 'two' END";
    let mut stranger = app.stranger().await;
    let sqlite = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $2 - 1)
         INSERT INTO accounts (id, version, directory, person, mode, look_at, is_overdue, doc, name)
         SELECT printf('acct%04d', i), version, {place}, printf('p%04d', i), mode, look_at, is_overdue,
                json_set(doc, '$.id', printf('acct%04d', i), '$.directory', {place}, '$.customer', {customer},
                         '$.person', printf('p%04d', i), '$.name', printf('jit-p%04d@contoso.onmicrosoft.com', i),
                         '$.known.object', printf('%08d-2222-4333-8444-555555555555', i)),
                printf('jit-p%04d@contoso.onmicrosoft.com', i)
         FROM n, accounts WHERE id = (SELECT account FROM grants WHERE id = $1)"
    );
    let postgres = format!(
        "WITH n AS (SELECT i, lpad(CAST(i AS TEXT), 4, '0') AS four, {place} AS place, {customer} AS customer
                    FROM generate_series(0, $2 - 1) AS i)
         INSERT INTO accounts (id, version, directory, person, mode, look_at, is_overdue, doc, name)
         SELECT 'acct' || four, version, place, 'p' || four, mode, look_at, is_overdue,
                CAST(jsonb_set(
                    CAST(doc AS JSONB) || jsonb_build_object('id', 'acct' || four, 'directory', place, 'customer', n.customer,
                        'person', 'p' || four, 'name', 'jit-p' || four || '@contoso.onmicrosoft.com'),
                    '{{known,object}}', to_jsonb('0000' || four || '-2222-4333-8444-555555555555')) AS TEXT),
                'jit-p' || four || '@contoso.onmicrosoft.com'
         FROM n, accounts WHERE id = (SELECT account FROM grants WHERE id = $1)"
    );
    assert_eq!(stranger.write(sqlite, postgres, &[ACCOUNTS], grant).await, ACCOUNTS.unsigned_abs());
    let sqlite = format!(
        "WITH RECURSIVE m(g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM m WHERE g < $2 - 1), n AS (SELECT g, g % $3 AS i FROM m)
         INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc, customer)
         SELECT printf('copy%05d', g), version, printf('cw/9%04d', i), printf('acct%04d', i), printf('p%04d', i), state,
                is_open, due_at,
                json_set(doc, '$.id', printf('copy%05d', g), '$.account', printf('acct%04d', i), '$.directory', {place},
                         '$.customer', {customer}, '$.person', printf('p%04d', i),
                         '$.ticket.ticket', printf('9%04d', i)),
                {customer}
         FROM n, grants WHERE id = $1"
    );
    let postgres = format!(
        "WITH m AS (SELECT g, g % $3 AS i FROM generate_series(0, $2 - 1) AS g),
              n AS (SELECT 'copy' || lpad(CAST(g AS TEXT), 5, '0') AS copy, lpad(CAST(i AS TEXT), 4, '0') AS four,
                           {place} AS place, {customer} AS whose FROM m)
         INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc, customer)
         SELECT copy, version, 'cw/9' || four, 'acct' || four, 'p' || four, state, is_open, due_at,
                CAST(jsonb_set(
                    CAST(doc AS JSONB) || jsonb_build_object('id', copy, 'account', 'acct' || four, 'directory', place,
                        'customer', whose, 'person', 'p' || four),
                    '{{ticket,ticket}}', to_jsonb('9' || four)) AS TEXT),
                whose
         FROM n, grants WHERE id = $1"
    );
    assert_eq!(stranger.write(sqlite, postgres, &[GRANTS, ACCOUNTS], grant).await, GRANTS.unsigned_abs());
    stranger.close().await;
}

/// F31: somebody is blocked with their credentials on the screen: what was shown opens nothing within a minute, and nothing
/// is shown again.
#[tokio::test(flavor = "multi_thread")]
async fn blocked_while_the_credentials_are_shown() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let grant = app.grant(ticket).await;
    app.pass(Duration::from_secs(31)).await;
    let mut browser = app.signed_in().await;
    app.pass(Duration::from_secs(31)).await;
    let path = format!("/claim/{}", grant.id);
    let page = browser.get(&path).await;
    let token = page.input("form_token").expect("the page has a form");
    let reveal = format!("{path}/reveal");
    let shown = browser.post(&reveal, &[("form_token", &token), ("code", &app.jane.code(app.clock.now()))]).await;
    let secrets: Vec<&str> = shown.text.split("<output class=\"secret\">").skip(1).collect();
    let secret = |n: usize| secrets[n].split("</output>").next().unwrap().replace("&#38;", "&");
    let (name, password) = (secret(0), secret(1));
    assert!(app.entra.sim.sign_in(TENANT, &name, &password).is_ok());
    let blocked = app.type_in(&["--yes", "person", "block", "jane", "--reason", "left in anger"], "").await.unwrap();
    assert!(blocked.contains("jane is blocked. Grants that end: 1."), "{blocked}");
    app.pass(Duration::from_secs(60)).await;
    assert!(app.entra.sim.sign_in(TENANT, &name, &password).is_err());
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.pass(Duration::from_secs(31)).await;
    let again = browser.post(&reveal, &[("form_token", &token), ("code", &app.jane.code(app.clock.now()))]).await;
    assert!(!again.text.contains("class=\"secret\"") && !again.text.contains(&password), "{}", again.text);
    app.end().await;
}

/// F117: started with a clock that is ahead: what stands ends no later than it should, what is given meanwhile is not
/// lengthened when the clock is set right, and until it is trusted nothing more is given.
#[tokio::test(flavor = "multi_thread")]
async fn started_with_a_clock_that_is_ahead_nothing_lasts_longer() {
    let mut app = TestApp::start().await;
    let standing = app.active().await;
    app.down().await;
    app.clock.set_wall(1800);
    app.up().await;
    app.run().await;
    assert_eq!(app.state(standing).await.name(), "active", "half an hour is left by any clock");
    let meanwhile = app.psa.ticket();
    app.psa.ask_as("msmith", meanwhile);
    app.run().await;
    assert_eq!(app.state(meanwhile).await.name(), "active", "{:?}", app.psa.notes(meanwhile));
    app.clock.set_wall(-1800);
    app.run().await;
    let asked = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(asked);
    app.run().await;
    assert_eq!(app.state_or_none(asked).await, None);
    assert!(app.psa.notes(asked).last().unwrap().contains("the server's clock was set back"));
    for _ in 0..31 {
        app.clock.pass(Duration::from_secs(60));
        app.run().await;
    }
    assert_eq!(app.state(standing).await.name(), "ended", "half an hour early, and not an hour late");
    assert_eq!(app.state(meanwhile).await.name(), "active");
    for _ in 0..30 {
        app.clock.pass(Duration::from_secs(60));
        app.run().await;
    }
    assert_eq!(app.state(meanwhile).await.name(), "ended", "an hour after it was given");
    app.end().await;
}

/// F126, F171: a vendor does not answer, a client does not finish what it asks, and the service is told to stop: it has stopped
/// within ten seconds, and what was under way is done at the next start, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_ten_seconds_at_most_whoever_keeps_it_waiting() {
    let mut app = TestApp::start().await;
    let silent = app.entra.sim.faults().add(Fault::on("POST /users", Act::Delay(120_000)).once());
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    soon!("the call", silent.count() == 1);
    let mut half = TcpStream::connect(("127.0.0.1", app.place().1)).await.unwrap();
    let head = "POST /sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    half.write_all(format!("{head}content-length: 100\r\n\r\nperson=").as_bytes()).await.unwrap();
    let told = Instant::now();
    app.down().await;
    let took = told.elapsed();
    // Eight, and what a busy machine adds; one after the other would be twenty.
    assert!(took < Duration::from_secs(15), "it took {took:?}");
    // What was broken off keeps its lease, since its call may still take effect; on a server it is waited for ten seconds more.
    app.clock.pass(Duration::from_secs(71));
    app.up().await;
    app.minutes(5).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.accounts().len()), ("active", 1));
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}
