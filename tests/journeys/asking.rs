//! Who may ask, for what, and when: every refusal is said in the ticket, and gives nothing.

use latchkey_simulators::connectwise::NewTicket;

use crate::harness::*;

const REQUESTED: &str = "trigger_statuses = [\"513\"]";

/// F4, F7, F22: a contact, the mail connector, a workflow rule, an API member and Latchkey itself are nobody who may ask.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_active_human_member_may_ask() {
    let app = TestApp::start().await;
    app.psa.tenant.add_api_member(244, "OtherApi");
    app.psa.tenant.add_member(180, "EmailConnector", "F", false);
    for (who, why) in [
        ("somebody", "is not a member of the PSA; a technician has to set it again"),
        ("contact@acme.example", "is not a member of the PSA; a technician has to set it again"),
        ("workflow", "is not a member of the PSA; a technician has to set it again"),
        ("gone", "is inactive in the PSA"),
        ("OtherApi", "set by an API or system identity; a technician has to set it again"),
        ("EmailConnector", "set by an API or system identity; a technician has to set it again"),
        ("unbound", "is not bound to a person in Latchkey; an admin can bind them"),
    ] {
        let ticket = app.psa.ticket();
        app.psa.ask_as(who, ticket);
        app.run().await;
        app.assert_refused(ticket, why).await;
        assert_eq!(app.psa.status(ticket), app.psa.desk.refused, "{who}");
    }
    assert_eq!(app.audited("request.refused").await, 7);
    app.end().await;
}

/// F4: what A set and B saved is nobody's request; A sets it again, and it is A's.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_somebody_else_saved_has_to_be_set_again() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    app.psa.ask(ticket);
    app.psa.tenant.acting("msmith").set_summary(ticket, "Also the printer").unwrap();
    app.psa.sim.release();
    app.run().await;
    app.assert_refused(ticket, "somebody else saved the ticket after it was set; set it again").await;
    assert_eq!(app.psa.status(ticket), app.psa.desk.refused);
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.grant(ticket).await.person.as_str(), "jane");
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F4: without a status of its own for refusals the ticket stays in the trigger, and stays refused however often it is saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumed_trigger_fires_only_after_it_was_seen_outside() {
    let app = TestApp::start_with(&[("refused = \"515\", ", "")]).await;
    let ticket = app.psa.ticket();
    app.psa.ask_as("unbound", ticket);
    app.run().await;
    for who in ["jdoe", "msmith", "jdoe"] {
        app.psa.tenant.acting(who).touch(ticket).unwrap();
        app.run().await;
    }
    app.assert_refused(ticket, "not bound to a person").await;
    assert_eq!(app.psa.status(ticket), app.psa.desk.requested);
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.new).unwrap();
    app.run().await;
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F4
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_stood_before_the_installation_asks_for_nothing() {
    let mut standing = 0;
    let app = TestApp::start_after(&[], |psa, clock| {
        standing = psa.ticket();
        psa.ask(standing);
        clock.pass(std::time::Duration::from_secs(60));
    })
    .await;
    app.psa.tenant.acting("jdoe").touch(standing).unwrap();
    app.run().await;
    assert!(app.psa.notes(standing).is_empty(), "the ticket is not bothered");
    app.assert_nothing_given(standing).await;
    app.psa.tenant.acting("jdoe").set_status(standing, app.psa.desk.new).unwrap();
    app.run().await;
    app.psa.ask(standing);
    app.run().await;
    assert_eq!(app.state(standing).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F4, F5
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_a_company_that_is_no_customer_reaches_no_directory() {
    let app = TestApp::start().await;
    let new = NewTicket::new("Mailbox", app.psa.desk.board, app.psa.stranger).status(app.psa.desk.new);
    let ticket = app.psa.tenant.add_ticket(new).unwrap();
    app.psa.ask(ticket);
    app.run().await;
    app.assert_refused(ticket, "is not bound to a customer of Latchkey; an admin can bind it").await;
    app.end().await;
}

/// F4, F5: what the records say no to.
#[tokio::test(flavor = "multi_thread")]
async fn the_records_can_say_no_to_a_customer_and_to_a_person() {
    for (edit, who, why) in [
        (("jit = true", "jit = false"), "jdoe", "just-in-time access is switched off for this customer"),
        (("customers = [\"acme\"]", "customers = []"), "msmith", "this customer is not among those you work for"),
        (("directory = \"acme-entra\"\n", ""), "jdoe", "this customer has no directory connected"),
    ] {
        let app = TestApp::start_with(&[edit]).await;
        let ticket = app.psa.ticket();
        app.psa.ask_as(who, ticket);
        app.run().await;
        app.assert_refused(ticket, why).await;
        assert_eq!(app.psa.status(ticket), app.psa.desk.refused);
        app.end().await;
    }
}

/// F15: the field chooses within the policy's list; without it, the policy's default.
#[tokio::test(flavor = "multi_thread")]
async fn the_length_is_chosen_by_the_field_or_is_the_default() {
    let app = TestApp::start().await;
    let (short, usual) = (app.psa.ticket(), app.psa.ticket());
    app.psa.tenant.acting("msmith").set_field(short, app.psa.length_field, "30 minutes").unwrap();
    app.psa.ask_as("msmith", short);
    app.run().await;
    assert_eq!(app.grant(short).await.length.to_string(), "30m");
    assert!(app.psa.notes(short)[0].contains("for 30 minutes"), "{:?}", app.psa.notes(short));
    app.minutes(29).await;
    assert_eq!(app.state(short).await.name(), "active");
    app.minutes(2).await;
    assert_eq!(app.state(short).await.name(), "ended");
    app.psa.ask(usual);
    app.run().await;
    assert_eq!(app.grant(usual).await.length.to_string(), "1h");
    app.minutes(61).await;
    app.end().await;
}

/// F15: a field that cannot be read, or asks for too much, never becomes the default.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_outside_the_list_is_refused_with_what_is_allowed() {
    let app = TestApp::start_with(&[("lengths = [\"30m\", \"1h\"]", "lengths = [\"1h\", \"2h\"]")]).await;
    for (chosen, why) in [
        ("30 minutes", "30m is not allowed; allowed is 1h, 2h"),
        ("1 week", "the length asked for cannot be read; allowed is 1h, 2h"),
    ] {
        let ticket = app.psa.ticket();
        app.psa.tenant.acting("jdoe").set_field(ticket, app.psa.length_field, chosen).unwrap();
        app.psa.ask(ticket);
        app.run().await;
        app.assert_refused(ticket, why).await;
    }
    app.end().await;
}

/// F4
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_gets_nothing() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    app.psa.ask(ticket);
    app.psa.tenant.acting("jdoe").close(ticket).unwrap();
    app.psa.sim.release();
    app.run().await;
    assert!(app.psa.notes(ticket).is_empty());
    app.assert_nothing_given(ticket).await;
    app.end().await;
    let app = TestApp::start_with(&[(REQUESTED, "trigger_statuses = [\"517\"]")]).await;
    let ticket = app.psa.ticket();
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.closed).unwrap();
    app.run().await;
    app.assert_refused(ticket, "the ticket is closed; open it and ask again").await;
    app.end().await;
}

/// F4: a status of the same name on a board that no mapping names.
#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_is_not_mapped_asks_for_nothing() {
    let app = TestApp::start().await;
    app.psa.tenant.add_callback_for_all(&app.hook());
    let board = app.psa.tenant.add_board("Sales");
    let (new, same_name) =
        (app.psa.tenant.add_status(board, "New", false), app.psa.tenant.add_status(board, "JIT Requested", false));
    let ticket = app.psa.tenant.add_ticket(NewTicket::new("Offer", board, app.psa.acme).status(new)).unwrap();
    app.psa.tenant.acting("jdoe").set_status(ticket, same_name).unwrap();
    app.run().await;
    assert_eq!(app.outcomes().len(), 2, "the deliveries were recorded");
    assert!(app.outcomes().values().all(|outcome| outcome == "nothing-asked"), "{:?}", app.outcomes());
    assert!(app.psa.notes(ticket).is_empty());
    app.assert_nothing_given(ticket).await;
    app.end().await;
}

/// F4: our own notes and statuses come back as deliveries, and ask for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_writes_never_ask() {
    let app = TestApp::start().await;
    app.psa.tenant.add_callback_for_all(&app.hook());
    let ticket = app.active().await;
    let ours = |d: &latchkey_simulators::connectwise::Delivery| {
        String::from_utf8_lossy(&d.body).contains("\"MemberId\":\"JitApi\"")
    };
    assert!(app.psa.sim.deliveries().iter().any(ours), "our own writes were delivered");
    app.minutes(61).await;
    assert_eq!(app.grants(ticket).await.len(), 1);
    assert_eq!(app.psa.notes(ticket).len(), 3, "{:?}", app.psa.told(ticket));
    app.end().await;
}

/// F4
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_holds_access_is_not_given_more() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.psa.ask(ticket);
    app.run().await;
    let told = app.psa.notes(ticket);
    assert!(told[2].contains("this ticket already holds access for you"), "{told:?}");
    assert_eq!(app.grants(ticket).await.len(), 1);
    assert_eq!(app.state(ticket).await.name(), "active", "and keeps what it has");
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F4: statuses count by id. Only a trail that speaks of the old name is doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_may_be_renamed_at_the_psa() {
    let app = TestApp::start().await;
    app.psa.tenant.rename_status(app.psa.desk.requested, "Zugriff bitte");
    let ticket = app.active().await;
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    let between = app.psa.ticket();
    app.run().await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    app.psa.ask(between);
    app.psa.tenant.rename_status(app.psa.desk.requested, "Access, please");
    app.psa.sim.release();
    app.run().await;
    assert!(app.grants(between).await.is_empty());
    assert!(app.psa.notes(between)[0].contains("set it again"), "{:?}", app.psa.notes(between));
    app.psa.ask(between);
    app.run().await;
    assert_eq!(app.state(between).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F124: two tickets of one person at one customer share the account, and the one's end does not cut the other.
#[tokio::test(flavor = "multi_thread")]
async fn overlapping_grants_are_a_union_and_end_part_by_part() {
    let app = TestApp::start().await;
    let first = app.active().await;
    app.minutes(30).await;
    let second = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(second);
    app.run().await;
    assert_eq!(app.entra.accounts().len(), 1, "one person, one account");
    let mut roles = app.entra.roles();
    roles.sort();
    assert_eq!(roles, [EXCHANGE_ROLE, HELPDESK_ROLE]);
    let password = app.password_in(second);
    app.minutes(31).await;
    assert_eq!(app.state(first).await.name(), "ended");
    let notes = app.psa.notes(first);
    let told = notes.last().unwrap();
    assert!(told.contains("the account stays enabled for another grant"), "{told}");
    assert!(!told.contains("account disabled"), "{told}");
    assert_eq!(app.entra.roles(), [EXCHANGE_ROLE], "only its own part went");
    assert!(app.entra.groups().is_empty());
    assert!(app.entra.is_enabled());
    let user = app.entra.account().unwrap()["userPrincipalName"].as_str().unwrap().to_owned();
    app.entra.sim.sign_in(TENANT, &user, &password).expect("the other one's password works on");
    app.minutes(30).await;
    assert_eq!(app.state(second).await.name(), "ended");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    let notes = app.psa.notes(second);
    assert!(notes.last().unwrap().contains("account disabled"), "{notes:?}");
    app.end().await;
}

/// F106, F124: credentials that stood in a ticket are removed at its end, and what is said about them is true.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_password_is_not_called_dead_while_another_grant_lives_on_it() {
    let app = TestApp::start().await;
    let first = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(first);
    app.run().await;
    let password = app.password_in(first);
    app.minutes(30).await;
    let second = app.active().await;
    app.minutes(31).await;
    assert_eq!(app.state(first).await.name(), "ended");
    let notes = app.psa.notes(first);
    assert!(notes.iter().all(|n| !n.contains(&password)), "{notes:?}");
    let tidied = notes.iter().find(|n| n.contains("were removed")).expect("the note was overwritten");
    let user = app.entra.account().unwrap()["userPrincipalName"].as_str().unwrap().to_owned();
    let works = app.entra.sim.sign_in(TENANT, &user, &password).is_ok();
    assert_eq!(works, !tidied.contains("no longer work"), "{tidied}");
    app.minutes(30).await;
    assert_eq!(app.state(second).await.name(), "ended");
    assert!(app.entra.sim.sign_in(TENANT, &user, &password).is_err());
    app.end().await;
}

/// F21: who did what is always one person.
#[tokio::test(flavor = "multi_thread")]
async fn another_person_gets_another_account() {
    let app = TestApp::start().await;
    let (hers, his) = (app.active().await, app.psa.ticket());
    app.psa.ask_as("msmith", his);
    app.run().await;
    let names: Vec<String> =
        app.entra.accounts().iter().map(|a| a["userPrincipalName"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["jit-jane@contoso.onmicrosoft.com", "jit-mark@contoso.onmicrosoft.com"]);
    assert_ne!(app.grant(hers).await.account, app.grant(his).await.account);
    assert_eq!(app.grant(his).await.person.as_str(), "mark");
    app.minutes(61).await;
    app.end().await;
}
