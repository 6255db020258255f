//! An older copy of the database is put back: nothing is given or ended before the directories were compared with it.
//!
//! These journeys end without the usual look from outside: what was answered after the copy was made is not in it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use latchkey::{
    access::State,
    app::database,
    audit::{AuditEntry, By},
    backup,
    generation::Counter,
    mail::{Security, Settings},
    random::SystemRandom,
    reconcile::{Accepted, Comparison, Settled, compare, settle},
    registry::{Live, Vendors},
    rulebook::{AlertKind, Connection},
    seal,
    store::{MailState, OwedMail, StoreError},
};
use latchkey_contract::{Clock, ConnectionId};
use latchkey_simulators::{
    fault::{Act, Fault},
    graph::What,
};

use crate::harness::*;

const BACKUP: &str = "backup.tar";

impl TestApp {
    fn file(&self, name: &str) -> PathBuf {
        self.place().0.join(name)
    }

    /// As `latchkey backup` does it, while the service runs; or pg_dump.
    async fn back_up(&self) {
        if let Some(database) = self.on_server() {
            return database.dump(&self.file(BACKUP));
        }
        let store = self.store();
        let seal = seal::unlock(&self.config().key_file, store.as_ref(), self.clock.now()).await.unwrap();
        let counter = Counter::at(&self.config().generation_file);
        let (database, target) = (database(self.config()), self.file(BACKUP));
        let made = backup::make(&database, store.as_ref(), &seal, &counter, &target, self.clock.now()).await.unwrap();
        assert!(made.unraised.is_none());
    }

    /// As `latchkey restore` does it, or pg_restore, and a start.
    async fn put_back(&mut self) {
        self.down().await;
        if let Some(database) = self.on_server() {
            database.restore(&self.file(BACKUP));
            self.entra.sim.faults().clear_calls();
            self.up().await;
            // To the server this is another history, as after a failover: what is compared at once does not count.
            return self.clock.pass(Duration::from_secs(61));
        }
        let ready =
            backup::prepare(self.config(), &self.file(BACKUP), &By::operator("test"), self.clock.now()).await.unwrap();
        ready.put_in_place().await.unwrap();
        self.entra.sim.faults().clear_calls();
        self.up().await;
    }

    /// As `latchkey reconcile` does it.
    async fn compared(&self) -> Comparison {
        let store = self.store();
        let clock = Arc::new(self.clock.clone());
        let seal = seal::unlock(&self.config().key_file, store.as_ref(), self.clock.now()).await.unwrap();
        let vendors = Vendors::new(store.clone(), seal.into(), clock);
        let live = Live::start(store.clone(), Arc::new(vendors)).await.unwrap();
        let comparing = store.generation().await.unwrap().comparing.unwrap();
        compare(store.as_ref(), &live.known(), &comparing, self.clock.now()).await.unwrap()
    }

    /// As `latchkey reconcile --accept` does it.
    async fn accept(&self, without: &[ConnectionId]) -> Result<Settled, StoreError> {
        let (store, comparison) = (self.store(), self.compared().await);
        assert!(comparison.missing(without).is_none_or(|missing| !missing.contains("could not be compared")));
        let restored = store.generation().await.unwrap().comparing;
        let accepted = Accepted { by: By::operator("test"), without, restored };
        let counter = Counter::at(&self.config().generation_file);
        settle(store.as_ref(), &comparison, &accepted, &counter, &SystemRandom, self.clock.now()).await
    }

    async fn waits_for_reconcile(&self) -> bool {
        self.ready().await == (503, vec!["reconcile".to_owned()])
    }

    async fn entries(&self, code: &str) -> Vec<AuditEntry> {
        self.store().audit(0, 100_000).await.unwrap().into_iter().filter(|entry| entry.code == code).collect()
    }

    /// How often the directory was asked for everything that carries our mark.
    fn comparisons(&self) -> usize {
        let marked = |query: &[(String, String)]| query.iter().any(|(_, value)| value.contains("ne null"));
        self.entra.sim.faults().calls().iter().filter(|call| marked(&call.query)).count()
    }

    fn enabled(&self) -> Vec<String> {
        let accounts = self.entra.accounts();
        let enabled = accounts.iter().filter(|account| account["accountEnabled"] == true);
        let mut names: Vec<String> =
            enabled.map(|account| account["userPrincipalName"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

const JANE: &str = "jit-jane@contoso.onmicrosoft.com";
const MARK: &str = "jit-mark@contoso.onmicrosoft.com";

/// F177: a backup during an active grant, more grants after it, put back: nothing is given or ended before the comparison;
/// the unknown account is listed, accepted, removed, proven.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_service_compares_before_it_acts() {
    let mut app = TestApp::start().await;
    let living = app.active().await;
    app.minutes(5).await;
    app.back_up().await;
    app.minutes(5).await;
    let lost = app.psa.ticket();
    app.psa.ask_as("msmith", lost);
    app.run().await;
    assert_eq!((app.state(lost).await.name(), app.enabled()), ("active", vec![JANE.to_owned(), MARK.to_owned()]));
    app.minutes(5).await;
    app.put_back().await;
    soon!("the comparison", app.waits_for_reconcile().await && app.comparisons() > 0);
    assert!(app.grants(lost).await.is_empty(), "the copy does not know it");

    // Meanwhile hooks record, and a grant's time comes; nothing is given, nothing is ended.
    let asked = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(asked);
    app.psa.sim.settled().await;
    assert_eq!(app.psa.sim.deliveries().last().unwrap().status, Some(202));
    let before = app.comparisons();
    app.clock.pass(Duration::from_secs(3600));
    soon!("another comparison", app.comparisons() > before);
    assert!(app.waits_for_reconcile().await);
    assert_eq!((app.state(living).await.name(), app.enabled()), ("active", vec![JANE.to_owned(), MARK.to_owned()]));
    assert_eq!((app.entra.writes(), app.state_or_none(asked).await), (vec![], None));
    assert_eq!(app.browser().get("/livez").await.status, 200);

    let comparison = app.compared().await;
    let (place, found) = comparison.found().next().unwrap();
    assert_eq!((place.directory.as_str(), found.as_expected, found.different.len()), ("acme-entra", 1, 0));
    let [unknown] = &found.unknown[..] else { panic!("{:?}", found.unknown) };
    assert_eq!((unknown.name.as_str(), unknown.is_enabled), (MARK, true));
    let settled = app.accept(&[]).await.unwrap();
    assert_eq!(settled, Settled { adopted: 1, different: 0, ended: 0 });
    soon!("the end of it", app.ready().await == (200, vec![]));
    app.minutes(2).await;

    assert_eq!(app.state(living).await.name(), "ended", "its time was over: by the ordinary way");
    let accounts = app.entra.accounts();
    assert!(accounts.iter().all(|account| account["userPrincipalName"] != MARK), "{accounts:?}");
    let adopted = app.store().account(unknown.mark.as_ref().unwrap()).await.unwrap().unwrap();
    assert_eq!((adopted.person.as_str(), adopted.customer.as_str(), adopted.name.as_str()), ("unknown", "acme", MARK));
    let proofs = app.entries("account.off-again").await;
    let [proof] = &proofs[..] else { panic!("{proofs:?}") };
    assert_eq!(proof.detail["account"], adopted.id.as_str());
    assert_eq!(proof.detail["proof"]["facts"][0], "the account does not exist");
    let done = app.entries("reconcile.done").await;
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].detail["directories"][0]["adopted"][0]["name"], MARK);
    assert_eq!(app.state(asked).await.name(), "active", "what was recorded meanwhile is worked off");
    app.down().await;
}

/// F177: where the directories show nothing unknown, the service goes on by itself, and says what it compared.
#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_unknown_a_restored_service_goes_on_by_itself() {
    let mut app = TestApp::start().await;
    let living = app.active().await;
    let ended = app.active_on(app.psa.projects).await;
    app.end_now(&app.grant(ended).await).await;
    app.minutes(2).await;
    app.back_up().await;
    app.minutes(10).await;
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    let done = app.entries("reconcile.done").await;
    assert_eq!(done.len(), 1);
    let detail = &done[0].detail;
    assert_eq!(done[0].by, Some(By::Service));
    assert_eq!(
        (&detail["directories"][0]["directory"], &detail["directories"][0]["as_expected"]),
        (&"acme-entra".into(), &1.into())
    );
    app.run().await;
    assert_eq!(
        (app.state(living).await.name(), app.enabled()),
        ("active", vec![JANE.to_owned()]),
        "it goes on as it was"
    );
    app.minutes(60).await;
    assert_eq!((app.state(living).await.name(), app.enabled()), ("ended", vec![]));
    // The copy is the database in use now: the next start has nothing to compare.
    app.down().await;
    app.up().await;
    assert_eq!(app.ready().await, (200, vec![]));
    assert_eq!(app.entries("reconcile.done").await.len(), 1);
    app.down().await;
}

/// F177: what was ended after the backup is not given again, although the backup takes it for living.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_ended_after_the_backup_is_never_given_again() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.back_up().await;
    app.minutes(1).await;
    app.end_now(&app.grant(ticket).await).await;
    app.minutes(2).await;
    assert_eq!((app.state(ticket).await.name(), app.enabled()), ("ended", vec![]));
    let enabled = |app: &TestApp| app.entra.sim.events().iter().filter(|e| e.what == What::UserEnabled).count();
    let before = enabled(&app);
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    app.minutes(2).await;
    let State::Ended { cause, .. } = app.state(ticket).await else { panic!("{:?}", app.state(ticket).await) };
    assert!(cause.sentence().contains("restored from a backup"), "{cause:?}");
    app.minutes(60).await;
    assert_eq!((enabled(&app), app.enabled()), (before, vec![]), "nobody was let in again");
    let different = &app.entries("reconcile.done").await[0].detail["directories"][0]["different"];
    assert_eq!(different[0]["ended"].as_array().map(Vec::len), Some(1), "{different}");
    app.down().await;
}

/// F177: an account that the backup knows, with access that it does not: cut, proven, and given again to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_the_backup_does_not_know_is_cut() {
    let mut app = TestApp::start().await;
    let first = app.active().await;
    app.minutes(61).await;
    assert_eq!(app.state(first).await.name(), "ended");
    app.minutes(60 * 25).await;
    app.back_up().await;
    let second = app.active().await;
    assert_eq!(app.enabled(), [JANE]);
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    app.minutes(2).await;
    assert!(app.grants(second).await.is_empty());
    assert_eq!((app.enabled(), app.entra.roles(), app.entra.groups()), (vec![], vec![], vec![]));
    assert_eq!(app.entries("account.off-again").await.len(), 1);
    app.down().await;
}

/// F177: the same access, given anew with another password after the backup, is not the access that the backup knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_set_after_the_backup_ends_what_the_backup_takes_for_living() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.back_up().await;
    app.minutes(1).await;
    app.end_now(&app.grant(ticket).await).await;
    app.minutes(10).await;
    app.active().await;
    assert_eq!(app.enabled(), [JANE]);
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    app.minutes(2).await;
    assert_eq!((app.state(ticket).await.name(), app.enabled()), ("ended", vec![]));
    app.down().await;
}

/// F177: a directory that cannot be reached holds everything back, until an operator does without it by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_reached_is_waited_for_or_done_without_by_name() {
    for is_done_without in [false, true] {
        let mut app = TestApp::start().await;
        let ticket = app.active().await;
        app.back_up().await;
        app.down().await;
        app.entra.sim.faults().add(Fault::always(Act::ResetBefore));
        app.put_back().await;
        let calls = |app: &TestApp| app.entra.sim.faults().calls().len();
        soon!("the comparison", app.waits_for_reconcile().await && calls(&app) > 0);
        let comparison = app.compared().await;
        assert!(comparison.missing(&[]).unwrap().contains("acme-entra"), "{:?}", comparison.missing(&[]));
        let before = calls(&app);
        app.clock.pass(Duration::from_secs(61));
        soon!("another try", calls(&app) > before);
        assert!(app.waits_for_reconcile().await, "it is tried again, and waited for");

        if is_done_without {
            let settled = app.accept(&["acme-entra".parse().unwrap()]).await.unwrap();
            assert_eq!(settled.ended, 1, "what could not be asked about is not given back");
            soon!("the end of it", app.ready().await == (200, vec![]));
            assert_eq!(app.entries("reconcile.done").await[0].detail["without"][0], "acme-entra");
            app.entra.sim.faults().clear();
            app.minutes(10).await;
            assert_eq!((app.state(ticket).await.name(), app.enabled()), ("ended", vec![]));
        } else {
            app.entra.sim.faults().clear();
            app.clock.pass(Duration::from_secs(61));
            soon!("the end of it", app.ready().await == (200, vec![]));
            app.run().await;
            assert_eq!((app.state(ticket).await.name(), app.enabled()), ("active", vec![JANE.to_owned()]));
        }
        app.down().await;
    }
}

/// F177, I6: a directory that cannot be reached holds up nothing that is owed in another one; and nothing is shown meanwhile,
/// as the database may have forgotten that it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_elsewhere_is_taken_away_while_one_directory_is_waited_for() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.change_rules(|rules| {
        let known = rules.records.connections.iter().find(|connection| connection.kind.is_directory());
        let without_secret = Connection { id: "dead-entra".parse().unwrap(), ..known.unwrap().clone() };
        rules.records.connections.push(without_secret);
    })
    .await;
    app.back_up().await;
    app.down().await;
    app.put_back().await;
    soon!("the comparison", app.waits_for_reconcile().await && app.comparisons() > 0);
    let asked = app.psa.ticket();
    app.psa.ask(asked);
    app.clock.pass(Duration::from_secs(31));
    let mut jane = app.browser();
    let signed_in = jane.sign_in("jane", &app.jane, app.clock.now()).await;
    assert!(signed_in.location.is_some(), "{}", signed_in.text);
    app.clock.pass(Duration::from_secs(31));
    let claim = format!("/claim/{}", app.grant(ticket).await.id);
    let page = jane.get(&claim).await;
    let token = page.input("form_token").unwrap_or_else(|| panic!("{} {}", page.status, page.text));
    let code = app.jane.code(app.clock.now());
    let page = jane.post(&format!("{claim}/reveal"), &[("form_token", &token), ("code", &code)]).await;
    assert!(
        page.text.contains("while the database is compared") && !page.text.contains("class=\"secret\""),
        "{}",
        page.text
    );
    app.clock.pass(Duration::from_secs(61 * 60));
    soon!("the end", app.enabled().is_empty());
    soon!("the proof", {
        app.clock.pass(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
        app.state(ticket).await.name() == "ended"
    });
    assert!(app.ready().await.1.contains(&"reconcile".to_owned()), "it is waited for");
    assert!(app.grants(asked).await.is_empty(), "nothing is given");
    app.down().await;
}

/// F177: a request from before the restore may have been granted, and ended, already: it is not taken up; set again, it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_from_before_the_restore_has_to_be_set_again() {
    let mut app = TestApp::start().await;
    app.back_up().await;
    app.down().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    app.clock.pass(Duration::from_secs(60));
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    let lost = app.psa.sim.deliveries().last().unwrap().n;
    assert!(app.psa.sim.replay(lost));
    app.run().await;
    assert_eq!((app.state_or_none(ticket).await, app.psa.notes(ticket)), (None, vec![]));
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.new).unwrap();
    app.run().await;
    app.clock.pass(Duration::from_secs(60));
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.down().await;
}

/// F131, F177: what a copy owes by mail was sent since, or is nobody's business any more: it is given up, visibly. What asks
/// somebody to act is sent, as a repeat.
#[tokio::test(flavor = "multi_thread")]
async fn old_mails_are_not_sent_again_unless_somebody_has_to_act() {
    let mut app = TestApp::start_with(&[(
        "name = \"Jane Doe\"",
        "name = \"Jane Doe\"\nrole = \"owner\"\nmail = \"jane@msp.example\"",
    )])
    .await;
    // Nobody listens there: what is owed stays owed.
    let settings = Settings {
        host: "127.0.0.1".to_owned(),
        port: free_port(),
        security: Security::None,
        username: None,
        from: "Latchkey <latchkey@msp.example>".parse().unwrap(),
        ca_file: None,
        timeout: Duration::from_secs(1),
        hello: None,
    };
    app.up_with_mail(settings, "pass").await;
    app.active().await;
    app.entra.fail(|_| true, Act::ResetBefore);
    app.minutes(90).await;
    let owed = |mails: Vec<OwedMail>| -> Vec<(bool, MailState)> {
        mails.into_iter().map(|mail| (mail.words.alert() == Some(AlertKind::FailedToDisable), mail.state)).collect()
    };
    let before = owed(app.store().mails(100).await.unwrap());
    assert!(before.iter().any(|(is_failure, _)| *is_failure) && before.iter().any(|(is_failure, _)| !is_failure));
    assert!(before.iter().all(|(_, state)| matches!(state, MailState::Open { .. })), "{before:?}");
    app.back_up().await;
    app.entra.sim.faults().clear();
    app.put_back().await;
    soon!("the end of it", app.ready().await == (200, vec![]));
    for (is_failure, state) in owed(app.store().mails(100).await.unwrap()).into_iter().take(before.len()) {
        match state {
            MailState::Open { is_repeat: true } => assert!(is_failure),
            MailState::GivenUp { why } => assert!(!is_failure && why.contains("the database was restored"), "{why}"),
            other => panic!("{is_failure} {other:?}"),
        }
    }
    app.down().await;
}

/// F177: a copy that was put back by hand, without any command, is noticed as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_put_back_by_hand_is_noticed() {
    let mut app = TestApp::start().await;
    app.down().await;
    match app.on_server() {
        Some(database) => database.dump(&app.file("copy.db")),
        None => drop(std::fs::copy(database(app.config()), app.file("copy.db")).unwrap()),
    }
    app.up().await;
    app.active().await;
    app.down().await;
    match app.on_server() {
        Some(database) => database.restore(&app.file("copy.db")),
        None => drop(std::fs::copy(app.file("copy.db"), database(app.config())).unwrap()),
    }
    app.up().await;
    soon!("the comparison", app.waits_for_reconcile().await && app.comparisons() > 0);
    // It stays so over a restart, whatever was counted meanwhile.
    app.down().await;
    app.up().await;
    assert!(app.waits_for_reconcile().await);
    assert_eq!(app.enabled(), [JANE]);
    assert_eq!(app.accept(&[]).await.unwrap().adopted, 1);
    soon!("the end of it", app.ready().await == (200, vec![]));
    app.minutes(2).await;
    assert!(app.entra.accounts().is_empty(), "{:?}", app.entra.accounts());
    app.down().await;
}

/// F177: where the generation cannot be written, the service works, and says so: `/readyz` is red until it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_cannot_be_written_is_said_and_stops_nobody() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.down().await;
    let in_the_way = app.file("master.key.generation.unfinished");
    std::fs::create_dir(&in_the_way).unwrap();
    app.up().await;
    assert_eq!(app.ready().await, (503, vec!["generation".to_owned()]));
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    std::fs::remove_dir(&in_the_way).unwrap();
    app.minutes(2).await;
    soon!("the file", app.ready().await == (200, vec![]));
    app.down().await;
    app.up().await;
    assert_eq!(app.ready().await, (200, vec![]), "nothing was taken for older meanwhile");
    app.end().await;
}
