//! ConnectWise, Autotask and HaloPSA side by side: the same journeys, asked for in each vendor's own way.

use std::time::Duration;

use latchkey::rulebook::{ActorRule, FieldTrigger, Rulebook};
use latchkey_simulators::graph::Refused;
use reqwest::StatusCode;

use crate::{
    delivering::{claim_path_in, fresh, shown, signed_in},
    harness::*,
};

/// First lines.
pub(crate) fn of(notes: &[String]) -> Vec<&str> {
    notes.iter().map(|note| note.lines().next().unwrap_or_default()).collect()
}

pub(crate) fn texts(desk: &dyn Desk, ticket: i64) -> Vec<String> {
    desk.notes(ticket).into_iter().map(|note| note.text).collect()
}

/// Nothing came of this ticket, and the directory holds nothing that is on.
async fn assert_nothing_given(app: &TestApp, desk: &dyn Desk, ticket: i64) {
    let at = desk.connection();
    assert!(app.grants_at(desk, ticket).await.is_empty(), "{at}: a grant was made");
    assert!(app.entra.accounts().is_empty(), "{at}: an account was made");
}

/// F1, F2, F3, F7, F106: asked for by one click, given, handed over where no customer sees it, taken away on time, proven.
#[tokio::test(flavor = "multi_thread")]
async fn a_click_at_each_of_them_gives_access_that_ends_on_time_with_proof() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        assert!(app.entra.is_enabled(), "{at}");
        assert_eq!(app.entra.roles(), [EXCHANGE_ROLE], "{at}");
        assert_eq!(desk.stands(ticket), Standing::Active, "{at}");
        let notes = texts(desk, ticket);
        assert_eq!(of(&notes), ["Latchkey: request received.", "Latchkey: access granted."], "{at}");
        assert!(notes.iter().all(|note| note.contains(&ticket.to_string())), "{at}: {notes:?}");
        let value = |name: &str| notes[1].lines().find_map(|l| l.strip_prefix(name)).expect(name).trim().to_owned();
        let (user, password) = (value("User name:"), value("Password:"));
        assert!(app.entra.sim.sign_in(TENANT, &user, &password).is_ok(), "{at}");
        app.minutes(59).await;
        assert!(app.entra.is_enabled(), "{at}: it lasts as long as it should");
        app.minutes(2).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        assert_eq!(app.entra.sim.sign_in(TENANT, &user, &password).unwrap_err(), Refused::Disabled, "{at}");
        assert_eq!(desk.stands(ticket), Standing::Done, "{at}");
        let notes = texts(desk, ticket);
        let last = notes.last().unwrap();
        assert!(last.starts_with("Latchkey: access has ended, proven off."), "{at}: {last}");
        for fact in ["account disabled", "no role active", "password rotated", "sessions revoked"] {
            assert!(last.contains(fact), "{at}: {fact} is missing in {last}");
        }
        assert!(notes.iter().all(|note| !note.contains(&password)), "{at}: the password stands nowhere any more");
        assert!(desk.notes(ticket).iter().all(|note| note.is_internal), "{at}: {:?}", desk.notes(ticket));
    }
    assert_eq!(app.audited("request.granted").await, 3);
    app.end().await;
}

/// F106, F94: by claim link, the ticket of each holds the link alone, and the requester alone sees what is behind it.
#[tokio::test(flavor = "multi_thread")]
async fn the_claim_link_in_the_ticket_of_each_works_for_its_requester() {
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        for mapping in &mut rules.rulebook.mappings {
            mapping.policy = Some("helpdesk".parse().unwrap());
        }
    })
    .await;
    for (n, desk) in app.desks.iter().enumerate() {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let path = claim_path_in(&app, &texts(desk, ticket));
        let mut mark = signed_in(&app, "mark", &app.mark).await;
        assert_eq!(mark.get(&path).await.status, StatusCode::NOT_FOUND, "{at}");
        let mut jane = signed_in(&app, "jane", &app.jane).await;
        let token = jane.get(&path).await.input("form_token").unwrap();
        let code = fresh(&app, &app.jane).await;
        let page = jane.post(&format!("{path}/reveal"), &[("form_token", &token), ("code", &code)]).await;
        assert_eq!(page.status, StatusCode::OK, "{at}: {}", page.text);
        let secrets = shown(&page.text);
        assert!(app.entra.sim.sign_in(TENANT, &secrets[0], &secrets[1]).is_ok(), "{at}: what is shown works");
        assert_eq!(app.audited("secret.revealed").await, n + 1, "{at}");
        assert!(texts(desk, ticket).iter().all(|note| !note.contains(&secrets[1])), "{at}");
        app.minutes(62).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}

/// F6: a rule of the PSA's own asks for the ticket's owner where settings and mapping let it, at each of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_own_rules_of_each_ask_for_the_tickets_owner_where_they_may() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        desk.automates(ticket);
        app.run().await;
        assert_eq!(of(&texts(desk, ticket)), ["Latchkey: access was not granted."], "{at}: nobody let it");
    }
    app.change_rules(|rules| {
        for desk in &app.desks {
            let connections = &mut rules.records.connections;
            let connection = connections.iter_mut().find(|c| c.id.as_str() == desk.connection()).unwrap();
            desk.set_automation(&mut connection.kind);
        }
        rules.rulebook.mappings.iter_mut().for_each(|mapping| mapping.actor = ActorRule::Automation);
    })
    .await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        desk.automates(ticket);
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        assert_eq!(app.grants_at(desk, ticket).await[0].person.as_str(), "jane", "{at}");
        app.minutes(61).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}

/// F7, F58: a request that a brake holds back is told in the ticket that it waits, and nothing of it is given.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_told_at_each_of_them() {
    let app = TestApp::with_three_psas().await;
    let brake = "[[brake]]\nid = \"busy\"\nper = \"msp\"\ngrants = 1\nwithin = \"8h\"\n";
    app.change_rules(|rules| rules.rulebook.brakes = Rulebook::parse(brake).unwrap().brakes).await;
    app.active_at(&*app.desks[0]).await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        desk.click(Who::Jane, ticket);
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "held", "{at}: {:?}", desk.notes(ticket));
        assert_eq!(of(&texts(desk, ticket)), ["Latchkey: request is waiting."], "{at}");
        assert!(desk.notes(ticket).iter().all(|note| note.is_internal), "{at}");
    }
    assert_eq!(app.entra.accounts().len(), 1);
    app.minutes(61).await;
    app.end().await;
}

/// F2, F3: two of each kind at once, whose tickets have the same numbers: each request is its own ticket's, and no other's.
#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_kind_work_side_by_side_though_their_numbers_are_the_same() {
    let app = TestApp::with_two_of_each().await;
    let mut asked = Vec::new();
    for desk in &app.desks {
        asked.push((&**desk, desk.ticket(Whose::Acme)));
    }
    for (first, second) in [(0, 3), (1, 4), (2, 5)] {
        let (ticket, twin) = (asked[first].1, asked[second].1);
        assert!(app.desks[first].connection() != app.desks[second].connection() && ticket == twin, "{ticket} {twin}");
    }
    for (n, (desk, ticket)) in asked.iter().enumerate() {
        let at = desk.connection();
        desk.click(Who::Jane, *ticket);
        app.run().await;
        assert_eq!(app.state_at(*desk, *ticket).await, "active", "{at}: {:?}", desk.notes(*ticket));
        for (other, ticket) in &asked[n + 1..] {
            assert!(app.grants_at(*other, *ticket).await.is_empty(), "{} has what {at} asked for", other.connection());
            assert!(other.notes(*ticket).is_empty(), "{} was told of {at}", other.connection());
        }
    }
    app.minutes(61).await;
    for (desk, ticket) in asked {
        let at = desk.connection();
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        assert_eq!(desk.stands(ticket), Standing::Done, "{at}");
        assert!(texts(desk, ticket).last().unwrap().starts_with("Latchkey: access has ended"), "{at}");
    }
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    app.end().await;
}

/// F1, F4, F12: a field that comes to hold a text asks as a status does, and so does a queue where the vendor tells who moved
/// a ticket there.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_or_a_queue_asks_in_the_name_of_whoever_set_it() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let mapping = desk.mapping();
        for way in desk.other_ways() {
            let (desk, at) = (&**desk, format!("{}, {way:?}", desk.connection()));
            app.change_rules(|rules| {
                let mapping = rules.rulebook.mappings.iter_mut().find(|m| m.id.as_str() == mapping).unwrap();
                mapping.trigger_statuses.clear();
                (mapping.trigger_field, mapping.trigger_board) = (None, false);
                match way {
                    Way::Field(field, text) => {
                        let values = vec![text.to_owned()];
                        mapping.trigger_field =
                            Some(FieldTrigger { field: field.to_string().parse().unwrap(), values });
                    }
                    Way::Board(board) => {
                        mapping.trigger_board = true;
                        mapping.boards = vec![board.to_string().parse().unwrap()];
                    }
                }
            })
            .await;
            app.type_in(&["webhook", "sync", desk.connection()], "").await.unwrap();
            let (nobodys, ticket) = (desk.ticket(Whose::Acme), desk.ticket(Whose::Acme));
            app.run().await;
            desk.click_by(&way, Who::Unbound, nobodys);
            desk.click_by(&way, Who::Jane, ticket);
            app.run().await;
            let notes = texts(desk, nobodys);
            assert_eq!(of(&notes), ["Latchkey: access was not granted."], "{at}: {notes:?}");
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
            assert_eq!(app.grants_at(desk, ticket).await[0].person.as_str(), "jane", "{at}");
            app.minutes(61).await;
            assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
            assert_eq!(app.grants_at(desk, ticket).await.len(), 1, "{at}: it stands, and asks no second time");
        }
    }
    app.end().await;
}

/// F4, F8: what comes late and together, in one message where the vendor does that, is as many requests as it was clicks.
#[tokio::test(flavor = "multi_thread")]
async fn clicks_that_are_told_of_together_are_each_their_own_request() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let tickets = [desk.ticket(Whose::Acme), desk.ticket(Whose::Acme), desk.ticket(Whose::Stranger)];
        app.run().await;
        desk.holds(true);
        tickets.iter().for_each(|ticket| desk.click(Who::Jane, *ticket));
        app.run().await;
        assert!(tickets.iter().all(|ticket| desk.notes(*ticket).is_empty()), "{at}");
        desk.holds(false);
        app.run().await;
        desk.is_honest();
        let [first, second, strangers] = tickets;
        for ticket in [first, second] {
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        }
        assert!(app.grants_at(desk, strangers).await.is_empty(), "{at}");
        assert_eq!(desk.stands(strangers), Standing::Refused, "{at}");
        app.minutes(61).await;
    }
    app.end().await;
}

/// F9: what a vendor switches off by itself is told, and switched on again without anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_the_vendor_switched_off_is_switched_on_again() {
    let app = TestApp::with_three_psas().await;
    let mut told = 0;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        if !desk.switches_off() {
            continue;
        }
        let listed = app.type_in(&["webhook", "list", at], "").await.unwrap();
        assert!(listed.contains("switched off at the PSA"), "{at}: {listed}");
        app.minutes(65).await;
        let listed = app.type_in(&["webhook", "list", at], "").await.unwrap();
        assert!(listed.contains("\tactive"), "{at}: {listed}");
        told += 1;
        assert_eq!(app.audited("webhook.trouble").await, told, "{at}");
        app.active_at(desk).await;
        app.minutes(61).await;
    }
    assert!(told > 0, "one of them does such a thing");
    app.end().await;
}

/// F8: without proof, proven by somebody else's key, or changed after it was signed. The honest message is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_delivery_changes_nothing_at_any_of_them() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        app.run().await;
        let (recorded, audit) = (app.deliveries().0.len(), app.store().audit(0, 1000).await.unwrap().len());
        let writes = app.entra.writes().len();
        for (n, how) in desk.forgeries().iter().enumerate() {
            desk.goes_wrong(*how);
            let before = desk.answers().len();
            if n == 0 {
                desk.click(Who::Jane, ticket)
            } else {
                desk.touch(ticket)
            }
            // Autotask sends what was not taken again after half a minute.
            app.pass(Duration::from_secs(31)).await;
            let answers = &desk.answers()[before..];
            assert!(!answers.is_empty() && answers.iter().all(|a| *a == Some(401)), "{at}, {how:?}: {answers:?}");
        }
        // Parsed and written anew, as a careless proxy would: the same facts under the right signature of other bytes.
        if desk.forgeries().contains(&Wrong::Changed) {
            let Message { header: (name, value), body } = desk.proven();
            let facts: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let anew = serde_json::to_vec_pretty(&facts).unwrap();
            assert!(anew != body, "{at}");
            let sent = reqwest::Client::new().post(desk.hook()).header(name, value).body(anew).send().await.unwrap();
            assert_eq!(sent.status(), StatusCode::UNAUTHORIZED, "{at}: re-serialised");
        }
        assert_eq!(app.deliveries().0.len(), recorded, "{at}: nothing was recorded");
        assert_eq!(app.store().audit(0, 1000).await.unwrap().len(), audit, "{at}");
        assert_eq!(app.entra.writes().len(), writes, "{at}: the directory was changed");
        assert!(desk.notes(ticket).is_empty() && app.grants_at(desk, ticket).await.is_empty(), "{at}");
        assert_eq!(desk.stands(ticket), Standing::Requested, "{at}");
        desk.is_honest();
        desk.touch(ticket);
        app.pass(Duration::from_secs(31)).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        app.minutes(61).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}

/// F8: a message that is proven as it should be counts at its own connection's path, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_counts_only_under_its_own_path_secret() {
    let app = TestApp::with_three_psas().await;
    let client = reqwest::Client::new();
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        app.run().await;
        desk.goes_wrong(Wrong::Unproven);
        desk.click(Who::Jane, ticket);
        app.run().await;
        let (message, recorded) = (desk.proven(), app.deliveries().0.len());
        desk.is_honest();
        let post = async |url: &str| {
            let (name, value) = &message.header;
            let request = client.post(url).header(*name, value).body(message.body.clone());
            request.send().await.unwrap().status()
        };
        let own = desk.hook();
        let (base, secret) = own.rsplit_once('/').unwrap();
        let secret = secret.split('?').next().unwrap();
        let mut wrong = vec![format!("{base}/wrong"), format!("{base}/{}x", secret), app.url("/hooks/nobody/wrong")];
        wrong.push(app.url(&format!("/hooks/acme-entra/{secret}")));
        for other in app.desks.iter().filter(|other| other.connection() != at) {
            // The other's path with our secret, and the other's own.
            wrong.push(app.url(&format!("/hooks/{}/{secret}", other.connection())));
            wrong.push(other.hook());
        }
        for url in wrong {
            assert_eq!(post(&url).await, StatusCode::UNAUTHORIZED, "{at}: {url}");
        }
        app.run().await;
        assert_eq!(app.deliveries().0.len(), recorded, "{at}: nothing was recorded");
        assert!(app.grants_at(desk, ticket).await.is_empty(), "{at}");
        assert_eq!(post(&own).await, StatusCode::ACCEPTED, "{at}");
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        app.minutes(61).await;
    }
    app.end().await;
}

/// F4: a contact, another program, somebody who was let go, and a member who is nobody's account.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_verified_member_gets_nothing_at_any_of_them() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let desk = &**desk;
        for who in [Who::Contact, Who::Program, Who::Gone, Who::Unbound] {
            let at = format!("{}, {who:?}", desk.connection());
            let ticket = desk.ticket(Whose::Acme);
            desk.click(who, ticket);
            app.run().await;
            let notes = texts(desk, ticket);
            assert_eq!(of(&notes), ["Latchkey: access was not granted."], "{at}: {notes:?}");
            assert!(notes[0].contains("Nothing was given."), "{at}: {notes:?}");
            assert!(desk.notes(ticket).iter().all(|note| note.is_internal), "{at}");
            assert_eq!(desk.stands(ticket), Standing::Refused, "{at}");
            assert_nothing_given(&app, desk, ticket).await;
        }
    }
    assert!(app.entra.sim.faults().calls().iter().all(|call| call.method == "GET" || call.op.contains("token")));
    app.end().await;
}

/// F5: the number of a customer's company at one PSA says nothing at another.
#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_no_customer_gets_nothing_though_its_number_is_one_elsewhere() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Stranger);
        desk.click(Who::Jane, ticket);
        app.run().await;
        let notes = texts(desk, ticket);
        assert_eq!(of(&notes), ["Latchkey: access was not granted."], "{at}: {notes:?}");
        assert_nothing_given(&app, desk, ticket).await;
    }
    app.end().await;
}

/// F4, F8: a click is an edge: told again, saved again or long over, it asks no second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_click_asks_once_however_often_it_is_told() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let recorded = app.deliveries().0.len();
        desk.replay();
        app.run().await;
        assert_eq!(app.deliveries().0.len(), recorded, "{at}: the same messages are the same deliveries");
        desk.touch(ticket);
        app.run().await;
        assert_eq!(app.grants_at(desk, ticket).await.len(), 1, "{at}");
        assert_eq!(desk.notes(ticket).len(), 2, "{at}: {:?}", desk.notes(ticket));
        app.minutes(61).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        let said = desk.notes(ticket).len();
        desk.replay();
        app.run().await;
        assert_eq!(app.grants_at(desk, ticket).await.len(), 1, "{at}: an old message gives nothing back");
        assert_eq!(desk.notes(ticket).len(), said, "{at}");
    }
    assert_eq!(app.audited("request.granted").await, 3);
    app.end().await;
}

/// F10: no message came; the poll asks for the same access, by the same person.
#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_no_message_told_of_is_found_by_the_poll_of_each() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        app.run().await;
        desk.goes_wrong(Wrong::Lost);
        desk.click(Who::Jane, ticket);
        app.minutes(1).await;
        desk.is_honest();
        app.minutes(6).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        assert_eq!(app.grants_at(desk, ticket).await[0].person.as_str(), "jane", "{at}");
        app.minutes(70).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    assert_eq!(app.audited("delivery.lost").await, 3);
    app.end().await;
}

/// F9: listed without their secret, repaired and removed by the same commands.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_each_are_listed_repaired_and_removed_by_command() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let sync = ["webhook", "sync", at];
        let said = app.type_in(&sync, "").await.unwrap();
        assert!(said.starts_with("0 created, 0 repaired, 0 removed, "), "{at}: {said}");
        let hook = desk.hook();
        let secret = hook.rsplit('/').next().unwrap();
        let listed = app.type_in(&["webhook", "list", at], "").await.unwrap();
        assert!(listed.contains("\tactive") && !listed.contains(secret), "{at}: {listed}");
        desk.loses_its_webhook();
        let listed = app.type_in(&["webhook", "list", at], "").await.unwrap();
        assert!(!listed.contains("\tactive"), "{at}: {listed}");
        let said = app.type_in(&sync, "").await.unwrap();
        assert!(!said.starts_with("0 created, 0 repaired"), "{at}: {said}");
        let moved = app.type_in(&["webhook", "sync", at, "--new-path"], "").await.unwrap();
        assert!(moved.contains(" repaired, ") && !moved.contains("0 repaired"), "{at}: {moved}");
        let ticket = app.active_at(desk).await;
        let removed = app.type_in(&["--yes", "webhook", "remove", at], "").await.unwrap();
        assert!(removed.contains("removed.") && !removed.contains("0 removed."), "{at}: {removed}");
        assert_eq!(app.type_in(&["webhook", "list", at], "").await.unwrap(), "", "{at}");
        app.minutes(61).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: what is out ends without a webhook");
        app.type_in(&sync, "").await.unwrap();
    }
    app.end().await;
}

/// F12: what the rulebook names is held against what each PSA lists, and the doctor says whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_mapping_names_is_looked_for_at_each_of_them() {
    let app = TestApp::with_three_psas().await;
    let mappings: Vec<_> = app.desks.iter().map(|desk| desk.mapping()).collect();
    let looked = app.type_in(&["doctor", "--no-mail"], "").await;
    let looked = looked.unwrap_or_else(|text| text);
    let area = |text: &str, at: &str| {
        let lines = text.lines().skip_while(|line| !line.contains(&format!("connection {at}")));
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    for desk in &app.desks {
        let at = desk.connection();
        assert!(looked.contains(&format!("connection {at}")), "{at} is looked at:\n{looked}");
        assert!(!area(&looked, at).contains(&format!("latchkey webhook sync {at}")), "{at}:\n{looked}");
    }
    let file = app.place().0.join("rulebook.toml");
    let book = app.type_in(&["rulebook", "export"], "").await.unwrap();
    std::fs::write(&file, &book).unwrap();
    let file = file.to_str().unwrap();
    let checked = app.type_in(&["rulebook", "check", file], "").await.unwrap();
    for desk in &app.desks {
        let at = desk.connection();
        assert!(!checked.contains(&format!("{at} could not be asked")), "{checked}");
        let drafted = app.type_in(&["mapping", "suggest", at], "").await.unwrap();
        assert!(drafted.contains(&format!("connection = \"{at}\"")), "{at}:\n{drafted}");
        assert!(drafted.lines().any(|line| line.to_lowercase().ends_with("# jit requested")), "{at}:\n{drafted}");
    }
    for mapping in &mappings {
        for path in ["boards", "trigger_statuses", "statuses"] {
            assert!(!checked.contains(&format!("mapping.{mapping}.{path}")), "nothing of it is dead: {checked}");
        }
    }
    let check = async || {
        let book = app.type_in(&["rulebook", "export"], "").await.unwrap();
        std::fs::write(file, &book).unwrap();
        app.type_in(&["rulebook", "check", file], "").await.unwrap_or_else(|text| text)
    };
    app.change_rules(|rules| {
        for mapping in &mut rules.rulebook.mappings {
            mapping.statuses.granted = Some("777777".parse().unwrap());
            mapping.types = vec!["777777".parse().unwrap()];
            mapping.sources = vec!["777777".parse().unwrap()];
            mapping.reason_field = Some("777777".parse().unwrap());
        }
    })
    .await;
    let checked = check().await;
    for mapping in &mappings {
        for path in ["statuses.granted", "types", "sources", "reason_field"] {
            assert!(checked.contains(&format!("mapping.{mapping}.{path}")), "{path}: {checked}");
        }
    }
    app.change_rules(|rules| {
        for mapping in &mut rules.rulebook.mappings {
            mapping.boards = vec!["777777".parse().unwrap()];
        }
    })
    .await;
    let checked = check().await;
    for mapping in &mappings {
        assert!(checked.contains(&format!("mapping.{mapping}.boards")), "{mapping}: {checked}");
    }
    app.end().await;
}
