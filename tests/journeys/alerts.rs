//! Who is told by mail, of what, and what a mail server's bad days cost.

use std::collections::BTreeSet;

use latchkey::store::MailState;
use latchkey_simulators::fault::Act;

use crate::{
    harness::*,
    mail_server::{self, LOGIN, Plan, header},
};
use latchkey::mail::Security;

const MARK_OWNS: (&str, &str) =
    ("name = \"Mark Smith\"", "name = \"Mark Smith\"\nrole = \"owner\"\nmail = \"mark@msp.example\"");
const JANES_MAIL: (&str, &str) = ("name = \"Jane Doe\"", "name = \"Jane Doe\"\nmail = \"jane@msp.example\"");

/// To whom, and the subject, oldest first.
async fn mails(app: &TestApp) -> Vec<(String, String)> {
    let mut mails = app.store().mails(100).await.unwrap();
    // Those of one moment are in no order of their own.
    mails.sort_by_key(|mail| (mail.at, mail.to.to_string()));
    mails.into_iter().map(|mail| (mail.to.to_string(), mail.words.write().subject)).collect()
}

fn is(mails: &[(String, String)], wanted: &[(&str, &str)]) {
    let got: Vec<(&str, bool)> = mails
        .iter()
        .enumerate()
        .map(|(i, (to, s))| (to.as_str(), wanted.get(i).is_some_and(|w| s.contains(w.1))))
        .collect();
    let wanted_to: Vec<(&str, bool)> = wanted.iter().map(|(to, _)| (*to, true)).collect();
    assert_eq!(got, wanted_to, "{mails:?}");
}

/// F122, F132, F136: with every switch as it is at first, the requester alone is told: that it is there, that it ends soon, and
/// that it is over.
#[tokio::test(flavor = "multi_thread")]
async fn the_requester_is_told_and_nobody_else() {
    let app = TestApp::start_with(&[JANES_MAIL, MARK_OWNS, ("warn_minutes = 0", "warn_minutes = 10")]).await;
    app.active().await;
    app.minutes(61).await;
    is(
        &mails(&app).await,
        &[("jane@msp.example", "active"), ("jane@msp.example", "ends soon"), ("jane@msp.example", "ended")],
    );
    app.change_rules(|rules| rules.rulebook.alerts.requester = false).await;
    app.active().await;
    app.minutes(61).await;
    assert_eq!(mails(&app).await.len(), 3, "switched off");
    app.end().await;
}

/// F131, F133: an alert goes to whoever subscribes to it while its switch is on, and to nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_to_its_subscribers_while_its_switch_is_on() {
    let app = TestApp::start_with(&[MARK_OWNS]).await;
    let alerts = |text: &str| latchkey::rulebook::Rulebook::parse(text).unwrap().alerts;
    let on = alerts(
        "[alerts]\naccount_created = { on = true, to = [\"noc@msp.example\"] }\n\
         grant_ended = { on = true, to = [\"mark\", \"owners\", \"noc@msp.example\"] }\n\
         account_enabled = { on = false, to = [\"noc@msp.example\"] }\n\
         request_refused = { on = true, to = [\"admins\"] }\n",
    );
    app.change_rules(|rules| rules.rulebook.alerts = on).await;
    app.active().await;
    app.minutes(61).await;
    let refused = app.psa.ticket();
    app.psa.ask_as("gone", refused);
    app.run().await;
    // Mark is an owner too, and told once.
    is(
        &mails(&app).await,
        &[
            ("noc@msp.example", "account"),
            ("mark@msp.example", "ended"),
            ("noc@msp.example", "ended"),
            ("mark@msp.example", "refused"),
        ],
    );
    // The account is there: it is enabled, and that switch is off.
    app.change_rules(|rules| rules.rulebook.alerts.grant_ended.on = false).await;
    app.active().await;
    app.minutes(61).await;
    assert_eq!(mails(&app).await.len(), 4);
    app.end().await;
}

/// F131, F132: each kind is told when it happens, each by a switch of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_told_when_it_happens() {
    const KINDS: [&str; 8] = [
        "account_created",
        "account_enabled",
        "brake_pulled",
        "connector_trouble",
        "failed_to_disable",
        "grant_ended",
        "request_refused",
        "webhook_trouble",
    ];
    let app = TestApp::start().await;
    let switch = |kind: &str| format!("{kind} = {{ on = true, to = [\"{kind}@msp.example\"] }}\n");
    let brake = "[[brake]]\nid = \"busy\"\nper = \"technician\"\ngrants = 2\nwithin = \"8h\"\n";
    let text = format!("[alerts]\n{}{brake}", KINDS.map(switch).concat());
    let book = latchkey::rulebook::Rulebook::parse(&text).unwrap();
    app.change_rules(|rules| (rules.rulebook.alerts, rules.rulebook.brakes) = (book.alerts, book.brakes)).await;
    let now_also = async |told: &mut BTreeSet<String>, kind: &str| {
        let now: BTreeSet<String> = mails(&app).await.into_iter().map(|(to, _)| to).collect();
        assert_eq!(now.difference(told).collect::<Vec<_>>(), [&format!("{kind}@msp.example")]);
        *told = now;
    };
    let mut told = BTreeSet::new();
    app.active().await;
    now_also(&mut told, "account_created").await;
    app.minutes(61).await;
    now_also(&mut told, "grant_ended").await;
    app.psa.tenant.set_callback_inactive(app.psa.tenant.callbacks()[1]["id"].as_i64().unwrap(), true);
    app.minutes(70).await;
    now_also(&mut told, "webhook_trouble").await;
    let stays = app.active().await;
    now_also(&mut told, "account_enabled").await;
    let (held, refused) = (app.psa.ticket(), app.psa.ticket());
    app.psa.ask(held);
    app.run().await;
    now_also(&mut told, "brake_pulled").await;
    app.psa.ask_as("gone", refused);
    app.run().await;
    now_also(&mut told, "request_refused").await;
    app.minutes(59).await;
    app.entra.fail(|_| true, Act::ResetBefore);
    app.minutes(30).await;
    now_also(&mut told, "failed_to_disable").await;
    app.entra.sim.faults().clear();
    app.minutes(60).await;
    assert_eq!(app.state(stays).await.name(), "ended");
    app.set_client_secret("not-the-secret").await;
    app.psa.ask_as("msmith", app.psa.ticket());
    app.minutes(20).await;
    now_also(&mut told, "connector_trouble").await;
    app.set_client_secret(CLIENT_SECRET).await;
    app.minutes(90).await;
    app.end().await;
}

/// F125, F132: what could not be taken away goes to the owners, although nobody switched anything on.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_stays_is_told_to_the_owners() {
    let app = TestApp::start_with(&[MARK_OWNS]).await;
    let ticket = app.active().await;
    app.minutes(59).await;
    app.entra.fail(|_| true, Act::ResetBefore);
    app.minutes(30).await;
    let told = mails(&app).await;
    assert!(!told.is_empty(), "within half an hour");
    assert!(
        told.iter().all(|(to, subject)| to == "mark@msp.example" && subject.contains("could NOT be disabled")),
        "{told:?}"
    );
    app.entra.sim.faults().clear();
    app.minutes(60).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F131: a mail server that is down for a day delays mails and nothing else; then each arrives, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_for_a_day_costs_no_mail() {
    let Some(mut server) = mail_server::start(&Plan::new(Security::StartTls)).await else { return };
    let mut nobody = server.settings.clone();
    nobody.port = free_port();
    let mut app = TestApp::start_with(&[JANES_MAIL]).await;
    app.up_with_mail(nobody, LOGIN.1).await;
    let ticket = app.active().await;
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended", "no mail holds up a removal");
    app.minutes(24 * 60).await;
    let owed = app.store().mails(10).await.unwrap();
    assert_eq!(owed.len(), 2);
    assert!(owed.iter().all(|mail| matches!(mail.state, MailState::Open { .. })), "{owed:?}");
    let settings = server.settings.clone();
    app.up_with_mail(settings, LOGIN.1).await;
    app.minutes(24 * 60).await;
    let sent = app.store().mails(10).await.unwrap();
    assert!(sent.iter().all(|mail| matches!(mail.state, MailState::Sent { .. })), "{sent:?}");
    let arrived = [server.mail().await, server.mail().await];
    for mail in &arrived {
        assert_eq!(header(mail, "to"), "jane@msp.example");
    }
    assert_ne!(header(&arrived[0], "subject"), header(&arrived[1], "subject"));
    app.end().await;
}

/// F131: without a mail server mails are given up, visibly, and access is given and taken away as ever.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_nothing_else_changes() {
    let app = TestApp::start_with(&[JANES_MAIL]).await;
    let ticket = app.active().await;
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    let said = app.type_in(&["mails"], "").await.unwrap();
    assert_eq!(said.matches("given up: no mail server is configured").count(), 2, "{said}");
    app.end().await;
}

/// F131, F144: a mail that its server refuses for good is told where an operator looks: with the tasks, and in the next
/// daily mail, which cannot make another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_good_is_told_of() {
    let Some(server) = mail_server::start(&Plan::new(Security::StartTls)).await else { return };
    let unknown = ("name = \"Jane Doe\"", "name = \"Jane Doe\"\nmail = \"unknown@customer.example\"");
    let mut app = TestApp::start_with(&[unknown, MARK_OWNS]).await;
    let settings = server.settings.clone();
    app.up_with_mail(settings, LOGIN.1).await;
    let daily = "[alerts]\naudit_head = { on = true, to = [\"owners\"] }\n";
    let daily = latchkey::rulebook::Rulebook::parse(daily).unwrap().alerts;
    app.change_rules(|rules| rules.rulebook.alerts = daily).await;
    assert!(!app.type_in(&["tasks"], "").await.unwrap().contains("reached nobody"));
    app.active().await;
    app.run().await;
    let tasks = app.type_in(&["tasks"], "").await.unwrap();
    assert!(tasks.contains("Mails of the last seven days that reached nobody: 1. latchkey mails says why."), "{tasks}");
    app.minutes(24 * 60).await;
    let mails = app.store().mails(100).await.unwrap();
    let heads: Vec<_> = mails.iter().filter(|mail| mail.to.to_string() == "mark@msp.example").collect();
    let [head] = &heads[..] else { panic!("{heads:?}") };
    assert!(matches!(head.state, MailState::Sent { .. }), "{head:?}");
    assert!(head.words.write().text.contains("Mails of the last seven days that reached nobody: 2."), "{head:?}");
    app.clock.pass(std::time::Duration::from_secs(8 * 24 * 3600));
    app.run().await;
    assert!(!app.type_in(&["tasks"], "").await.unwrap().contains("reached nobody"), "an old story");
    app.end().await;
}
