//! The main job, from the click in the ticket to the proof in the ticket.

use latchkey_simulators::graph::Refused;

use crate::harness::*;

/// F1, F3, F7, F75, F79, F83, F84, F94, F117, F123, F127: asked by one click, given, told, taken away on time, proven.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_gets_an_account_and_loses_it_on_time_with_proof() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    assert!(app.entra.is_enabled());
    assert_eq!(app.entra.roles(), [HELPDESK_ROLE]);
    assert_eq!(app.entra.groups(), std::slice::from_ref(&app.entra.group));
    assert_eq!(app.psa.told(ticket), ["Latchkey: request received.", "Latchkey: access granted."]);
    assert_eq!(app.psa.status(ticket), app.psa.desk.active);
    app.minutes(59).await;
    assert!(app.entra.is_enabled(), "it lasts as long as it should");
    app.minutes(2).await;
    assert!(!app.entra.is_enabled());
    assert!(app.entra.roles().is_empty() && app.entra.groups().is_empty());
    assert_eq!(app.state(ticket).await.name(), "ended");
    let notes = app.psa.notes(ticket);
    let last = notes.last().unwrap();
    assert!(last.starts_with("Latchkey: access has ended, proven off."), "{last}");
    for fact in
        ["account disabled", "no role active", "password rotated", "sessions revoked", "Sessions were revoked at"]
    {
        assert!(last.contains(fact), "{fact} is missing in {last}");
    }
    assert_eq!(app.psa.status(ticket), app.psa.desk.done);
    app.end().await;
}

/// F106, F107: in the ticket, for those who chose it; and what stood there works no longer and is overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_the_ticket_work_until_the_end_and_are_overwritten() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.run().await;
    let notes = app.psa.notes(ticket);
    let granted = notes.iter().find(|n| n.contains("access granted")).unwrap();
    let value = |name: &str| granted.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    let (user, password) = (value("User name:"), value("Password:"));
    let roles = app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(EXCHANGE_ROLE.to_owned(), "/".to_owned())]);
    app.minutes(61).await;
    assert_eq!(app.entra.sim.sign_in(TENANT, &user, &password).unwrap_err(), Refused::Disabled);
    app.entra.sim.by_hand(TENANT).enable(&user);
    assert_eq!(app.entra.sim.sign_in(TENANT, &user, &password).unwrap_err(), Refused::WrongPassword);
    app.entra.sim.by_hand(TENANT).disable(&user);
    let notes = app.psa.notes(ticket);
    assert!(notes.iter().all(|n| !n.contains(&password)), "the password stands nowhere any more");
    assert!(notes.iter().any(|n| n.contains("were removed")), "{notes:?}");
    app.end().await;
}
