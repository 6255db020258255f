//! A second customer, with a tenant of its own.

use latchkey::{registry::SecretKind, rulebook::ConnectionKind};
use latchkey_contract::ConnectionId;
use latchkey_simulators::{connectwise::NewTicket, graph::Refused};

use crate::{
    bench::{Bench, OTHER_CLIENT_SECRET, OTHER_TENANT},
    harness::{EXCHANGE_ROLE, TestApp},
    people::{credentials_note, ended, granted},
    story::{Fate, MINUTE, used_and_ended},
};

pub(crate) const OTHER_DIRECTORY: &str = "fabrikam-entra";

/// The stranger becomes a customer.
pub(crate) async fn connect(app: &mut TestApp) {
    app.open_store().await;
    let directory = ConnectionId::parse(OTHER_DIRECTORY).unwrap();
    let company = app.psa.stranger.to_string();
    app.change_rules(|rules| {
        let records = &mut rules.records;
        let is_entra = |kind: &ConnectionKind| matches!(kind, ConnectionKind::Entra(_));
        let mut other = records.connections.iter().find(|c| is_entra(&c.kind)).unwrap().clone();
        other.id = directory.clone();
        let ConnectionKind::Entra(settings) = &mut other.kind else { unreachable!("it is Entra") };
        settings.tenant = OTHER_TENANT.to_owned().try_into().unwrap();
        let mut customer = records.customers[0].clone();
        (customer.id, customer.name) = ("fabrikam".parse().unwrap(), "Fabrikam Ltd".to_owned());
        customer.companies[0].ids = vec![company.parse().unwrap()];
        customer.directory = Some(directory.clone());
        customer.domain = Some("fabrikam.onmicrosoft.com".to_owned());
        records.connections.push(other);
        records.customers.push(customer);
    })
    .await;
    app.set_secret(&directory, SecretKind::ClientSecret, OTHER_CLIENT_SECRET).await;
    app.close_store().await;
}

/// Jane has access at both, ten minutes apart.
pub(crate) async fn two(bench: &mut Bench) -> Fate {
    let psa = &bench.app.psa;
    let theirs = NewTicket::new("Their mailbox", psa.projects.board, psa.stranger).status(psa.projects.new);
    let theirs = psa.tenant.add_ticket(theirs).unwrap();
    let fate = granted(bench, theirs).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = credentials_note(&bench.app, theirs);
    bench.secrets.push(password.clone());
    let roles = bench.app.entra.sim.sign_in(OTHER_TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(EXCHANGE_ROLE.to_owned(), "/".to_owned())]);
    assert!(bench.app.entra.accounts().is_empty(), "nothing is made in the other tenant");
    bench.pass(10 * MINUTE).await;
    let ours = bench.app.psa.ticket();
    let fate = granted(bench, ours).await;
    if fate != Fate::Given {
        return fate;
    }
    used_and_ended(bench, ours).await;
    ended(bench, theirs, MINUTE).await;
    let sim = &bench.app.entra.sim;
    assert_eq!(sim.sign_in(OTHER_TENANT, &user, &password).unwrap_err(), Refused::Disabled);
    fate
}
