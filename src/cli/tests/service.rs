//! Commands while the service runs: the service runs them.

use latchkey_contract::Timestamp;

use super::*;
use crate::{
    app::{App, Parts},
    clock_guard::Doubt,
    config::Config,
};

async fn start(place: &Place) -> App {
    let path = place.0.path().join("latchkey.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    config.make_data_dir().unwrap();
    App::start(&config, Parts::new(Arc::new(SystemClock::new()))).await.unwrap()
}

/// F162, F163: the same command, by the service and without it.
#[tokio::test]
async fn a_command_works_at_the_services_desk_as_it_does_alone() {
    let place = Place::new();
    let app = start(&place).await;
    let records = place.write("records.toml", RECORDS);
    let loaded = place.type_in(&["records", "load", &records], io::empty()).await.ok();
    assert_eq!(loaded.output, "Revision 1 is in force: 1 connections, 1 customers, 1 people.\n");
    assert!(loaded.hints.contains("latchkey certificate make entra-contoso"), "{}", loaded.hints);
    place.type_in(&["certificate", "make", "entra-contoso"], io::empty()).await.ok();
    let again = place.type_in(&["records", "load", &records], io::empty()).await.ok();
    assert_eq!(again.hints, "", "the service knows the new certificate");

    let screen = Screen::default();
    let technician = Technician { screen: screen.clone(), lines: 0 };
    place.type_on(&screen, &["person", "enroll", "jdoe"], technician).await.ok();
    assert!(app.store().factors(&PersonId::parse("jdoe").unwrap()).await.unwrap().is_some());
    let refused = place.type_in(&["person", "enroll", "nobody"], io::empty()).await.refused();
    assert!(refused.contains("there is no person nobody"), "{refused}");
    app.stop().await;
    let alone = place.type_in(&["secret", "list"], io::empty()).await.ok();
    assert_eq!(alone.output, "entra-contoso/certificate-key\nentra-contoso/certificate\n");
}

#[tokio::test]
async fn a_client_of_the_service_needs_nothing_but_the_data_directory() {
    let place = Place::new();
    let app = start(&place).await;
    let path = place.0.path().join("latchkey.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("keys/master.key", "credential:latchkey.key");
    std::fs::write(&path, text).unwrap();
    place.type_in(&["grants"], io::empty()).await.ok();
    app.stop().await;
    let alone = place.type_in(&["grants"], io::empty()).await.refused();
    assert!(alone.contains("systemd"), "{alone}");
}

#[test]
fn the_service_gets_the_words_without_the_configurations_name() {
    let words = |words: &[&str]| for_the_service(&words.iter().map(Into::into).collect::<Vec<_>>());
    let kept = words(&["--config", "/etc/x", "grants", "--config=y", "--yes"]).unwrap();
    assert_eq!(kept, ["grants", "--yes"]);
    use std::os::unix::ffi::OsStringExt;
    let refused = for_the_service(&[OsString::from_vec(vec![0xff])]).unwrap_err().to_string();
    assert!(refused.contains("not UTF-8"), "{refused}");
}

/// F163: whatever an operator does has its words, and each of them says what it does.
#[test]
fn every_act_has_words_of_its_own() {
    let acts = [
        "init",
        "serve",
        "backup",
        "restore",
        "reconcile",
        "grants",
        "why",
        "end",
        "revoke",
        "approve",
        "deny",
        "tasks",
        "deliveries",
        "mails",
        "lock list",
        "lock lift",
        "key list",
        "key rotate",
        "key retire",
        "secret set",
        "secret list",
        "secret rotate",
        "certificate make",
        "webhook sync",
        "webhook list",
        "webhook remove",
        "connection add",
        "connection set",
        "connection test",
        "connection list",
        "connection remove",
        "customer add",
        "customer set",
        "customer list",
        "customer remove",
        "customer pause",
        "customer resume",
        "customer import",
        "person add",
        "person set",
        "person list",
        "person remove",
        "person import",
        "person invite",
        "person enroll",
        "person block",
        "person unblock",
        "binding list",
        "binding add",
        "binding remove",
        "binding confirm",
        "records load",
        "records export",
        "records history",
        "rulebook export",
        "rulebook check",
        "rulebook diff",
        "rulebook import",
        "rulebook history",
        "rulebook rollback",
        "rulebook what-if",
        "mapping suggest",
        "audit verify",
        "audit export",
        "audit prune",
        "audit head",
    ];
    let cli = Cli::command();
    for act in acts {
        let found = act.split(' ').try_fold(&cli, |command, word| command.find_subcommand(word));
        assert!(found.is_some_and(|found| !found.has_subcommands()), "{act}");
    }
    let mut all = vec![&cli];
    while let Some(command) = all.pop() {
        assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
        all.extend(command.get_subcommands());
    }
}

/// The machine's clock, an hour ahead.
#[derive(Debug)]
struct Ahead(SystemClock);

#[async_trait::async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now() + std::time::Duration::from_secs(3600)
    }
    fn monotonic(&self) -> std::time::Duration {
        self.0.monotonic()
    }
    async fn sleep_until(&self, at: Timestamp) {
        self.0.sleep_until(at - std::time::Duration::from_secs(3600)).await;
    }
}

/// F171: who works for a command alone goes by the server's clock as a service does, since others may work on that database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_alone_on_a_server_holds_its_clock_against_the_servers() {
    let Some(database) = latchkey_simulators::postgres::database("the command line on PostgreSQL") else { return };
    let place = Place::new();
    let path = place.0.path().join("latchkey.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}[database]\nurl = {:?}\n", database.url)).unwrap();
    for (clock, doubt) in [
        (Arc::new(SystemClock::new()) as Arc<dyn Clock>, None),
        (Arc::new(Ahead(SystemClock::new())), Some(Doubt::OffDatabase)),
    ] {
        let desk = Desk { clock, ..Desk::open(&path).await.unwrap() };
        let hands = desk.work().await.unwrap();
        assert_eq!(hands.jobs.trust.doubt(), doubt);
        drop(hands);
        desk.close().await;
    }
}
