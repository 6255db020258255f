//! What an operator and an onlooker do besides: change rules and secrets, look at health, read what a note handed over.

use std::sync::Arc;

use latchkey::{
    access::Grant,
    app::{App, Parts},
    audit::By,
    config::Config,
    registry::{SecretKind, SecretName, set_secrets},
    rulebook::{ConnectionKind, Rules},
    seal,
};
use latchkey_contract::{Clock, Directory, Secret};
use latchkey_entra::{Credential, Entra};

use super::{BoardIds, Browser, CLIENT_SECRET, TestApp};

impl TestApp {
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Starts the service again with other parts.
    pub(crate) async fn up_with(&mut self, change: impl FnOnce(&mut Parts)) {
        let mut parts = Parts::new(Arc::new(self.clock.clone()));
        change(&mut parts);
        self.app = Some(App::start(&self.config, parts).await.unwrap());
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
        let now = self.clock.now();
        let store = self.store();
        let seal = seal::unlock(&self.config.key_file, store.as_ref(), now).await.unwrap();
        let name = SecretName::new("acme-entra".parse().unwrap(), SecretKind::ClientSecret);
        set_secrets(store.as_ref(), &seal, &By::operator("test"), &[(name, Secret::new(secret.to_owned()))], now)
            .await
            .unwrap();
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
