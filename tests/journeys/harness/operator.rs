//! What an operator and an onlooker do besides: change rules and secrets, look at health, read what a note handed over.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey::{
    access::Grant,
    app::{App, Parts},
    audit::By,
    cli::{self, Cli, Terminal},
    config::Config,
    mail::Settings,
    people::OneTime,
    registry::{SecretKind, SecretName, set_secrets},
    rulebook::{ConnectionKind, Rules},
    seal,
};
use latchkey_contract::{Clock, ConnectionId, Directory, Secret};
use latchkey_entra::{Credential, Entra};

use super::{BoardIds, Browser, CLIENT_SECRET, TestApp};

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TestApp {
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Starts the service again with other parts.
    pub(crate) async fn up_with(&mut self, change: impl FnOnce(&mut Parts)) {
        self.try_up_with(change).await.unwrap();
    }

    /// As [`TestApp::up_with`]; it may not be able to.
    pub(crate) async fn try_up_with(&mut self, change: impl FnOnce(&mut Parts)) -> anyhow::Result<()> {
        let mut parts = Parts::new(Arc::new(self.clock.clone()));
        change(&mut parts);
        self.app = Some(App::start(&self.config, parts).await?);
        Ok(())
    }

    /// Starts the service with another configuration.
    pub(crate) async fn up_configured(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.up().await;
    }

    /// Starts the service again with `/metrics` on a port of its own.
    pub(crate) async fn up_with_metrics(&mut self, metrics: metrics_exporter_prometheus::PrometheusHandle) {
        self.config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
        self.up_with(|parts| parts.metrics = Some(metrics)).await;
    }

    /// Saves changed rules; they are in force at once.
    pub(crate) async fn change_rules(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.store().rules().await.unwrap();
        change(&mut rules);
        self.store().save_rules(&rules, "test", "changed", self.clock.now()).await.unwrap();
    }

    /// Lists an account as one that must never be touched.
    pub(crate) async fn protect(&self, object: &str) {
        let object = object.parse().unwrap();
        self.change_rules(|rules| {
            for connection in &mut rules.records.connections {
                if let ConnectionKind::Entra(settings) = &mut connection.kind {
                    settings.protected = [object].into();
                    break;
                }
            }
        })
        .await;
    }

    pub(crate) async fn set_client_secret(&self, secret: &str) {
        self.set_secret(&"acme-entra".parse().unwrap(), SecretKind::ClientSecret, secret).await;
    }

    pub(crate) async fn set_secret(&self, connection: &ConnectionId, kind: SecretKind, value: &str) {
        let (store, now) = (self.store(), self.clock.now());
        let seal = seal::unlock(&self.config.key_file, store.as_ref(), now).await.unwrap();
        let secret = (SecretName::new(connection.clone(), kind), Secret::new(value.to_owned()));
        set_secrets(store.as_ref(), &seal, &By::operator("test"), &[secret], now).await.unwrap();
    }

    /// A person of the records enrols their factors.
    pub(crate) async fn enroll(&self, person: &str) -> OneTime {
        let (store, now) = (self.store(), self.clock.now());
        let seal = seal::unlock(&self.config.key_file, store.as_ref(), now).await.unwrap();
        super::enroll(store.as_ref(), &seal, person, now).await
    }

    /// Starts the service again with this mail server.
    pub(crate) async fn up_with_mail(&mut self, settings: Settings, password: &str) {
        self.down().await;
        self.config.mail = Some(settings);
        let now = self.clock.now();
        self.open_store().await;
        let store = self.store();
        let seal = seal::unlock(&self.config.key_file, store.as_ref(), now).await.unwrap();
        let password = [(SecretName::MailPassword, Secret::new(password.to_owned()))];
        set_secrets(store.as_ref(), &seal, &By::operator("test"), &password, now).await.unwrap();
        drop(store);
        self.close_store().await;
        self.up().await;
    }

    /// What an operator types, and what they read: results, then hints, then why it failed.
    pub(crate) async fn type_in(&self, words: &[&str], input: &str) -> Result<String, String> {
        let file = self.write_config();
        let words = [&["latchkey", "--config", &file], words].concat();
        let cli = Cli::read(words.into_iter().map(Into::into)).unwrap();
        let screen = Screen::default();
        let input = Box::new(std::io::Cursor::new(input.to_owned().into_bytes()));
        let mut terminal = Terminal::piped(input, Box::new(screen.clone()), Box::new(screen.clone()));
        let done = cli::run(cli, &mut terminal).await;
        let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        done.map(|()| text.clone()).map_err(|error| format!("{text}{error:#}"))
    }

    /// A command that waits for something; meanwhile a second passes every 20 ms.
    pub(crate) async fn type_and_wait(&self, words: &[&str]) -> Result<String, String> {
        let clock = self.clock.clone();
        let passing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.pass(Duration::from_secs(1));
            }
        });
        let typed = self.type_in(words, "").await;
        passing.abort();
        typed
    }

    fn write_config(&self) -> String {
        let file = self.dir.path().join("latchkey.toml");
        std::fs::write(&file, super::config_text(self.dir.path(), self.port)).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The Entra connector as the service uses it.
    pub(crate) async fn directory(&self) -> Arc<dyn Directory> {
        let rules = self.store().rules().await.unwrap();
        let id = "acme-entra".parse().unwrap();
        let ConnectionKind::Entra(settings) = &rules.records.connection(&id).unwrap().kind else { panic!("not Entra") };
        let credential = Credential::Secret(Secret::new(CLIENT_SECRET.to_owned()));
        let (ca, clock) = (Some(self.ca_pem.clone()), Arc::new(self.clock.clone()));
        Arc::new(Entra::new(id, settings.clone(), credential, ca, clock).unwrap())
    }

    /// The status of `/readyz`, and which checks fail.
    pub(crate) async fn ready(&self) -> (u16, Vec<String>) {
        let page = self.browser().get("/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&page.text).unwrap();
        (page.status.as_u16(), serde_json::from_value(body["failing"].clone()).unwrap())
    }

    /// The newest grant's state, of a ticket that may have none.
    pub(crate) async fn state_or_none(&self, ticket: i64) -> Option<&'static str> {
        self.grants(ticket).await.first().map(|grant| grant.state.name())
    }

    /// Like [`TestApp::active`], on another board.
    pub(crate) async fn active_on(&self, board: BoardIds) -> i64 {
        let ticket = self.psa.ticket_on(board);
        self.psa.ask(ticket);
        self.run().await;
        assert_eq!(self.state(ticket).await.name(), "active", "{:?}", self.psa.notes(ticket));
        ticket
    }

    /// User name and password, from the note of a ticket on the projects board.
    pub(crate) fn credentials(&self, ticket: i64) -> (String, String) {
        let notes = self.psa.notes(ticket);
        let granted = notes.iter().find(|n| n.contains("access granted")).expect("a note grants");
        let value = |name: &str| granted.lines().find_map(|l| l.strip_prefix(name)).expect(name).trim().to_owned();
        (value("User name:"), value("Password:"))
    }

    /// Jane signs in, with the code of this moment.
    pub(crate) async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let page = browser.sign_in("jane", &self.jane, self.clock.now()).await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// Jane ends her access on the claim page.
    pub(crate) async fn end_now(&self, grant: &Grant) {
        let mut browser = self.signed_in().await;
        let page = browser.get(&format!("/claim/{}", grant.id)).await;
        let token = page.input("form_token").expect("the page has a form");
        let page = browser.post(&format!("/claim/{}/end", grant.id), &[("form_token", &token)]).await;
        assert_eq!(page.status, 303, "{}", page.text);
    }
}
