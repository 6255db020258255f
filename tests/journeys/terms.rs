//! On which terms access is given: for whom, by which policy, under which name; and what of that stays as it was.

use std::collections::BTreeSet;

use latchkey::access::Length;
use latchkey_contract::{EntitlementId, directory::Mode};
use latchkey_simulators::connectwise::{FieldKind, NewTicket};

use crate::harness::*;

const OWN_RULES: (&str, &str) = ("company = \"examplemsp\"", "company = \"examplemsp\"\nautomation = [\"workflow\"]");
const THEY_MAY_ASK: (&str, &str) =
    ("trigger_statuses = [\"513\"]", "trigger_statuses = [\"513\"]\nactor = \"automation\"");

fn owned(app: &TestApp, board: BoardIds, owner: Option<&str>) -> i64 {
    let new = NewTicket::new("Mailbox migration", board.board, app.psa.acme).status(board.new);
    app.psa.tenant.add_ticket(owner.map_or(new.clone(), |owner| new.owner(owner))).unwrap()
}

/// F6: a rule of the PSA's own asks for the ticket's owner where the mapping lets it, and for nobody elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_psas_own_rule_asks_for_the_tickets_owner_where_the_mapping_lets_it() {
    let app = TestApp::start_with(&[OWN_RULES, THEY_MAY_ASK]).await;
    for (board, owner, why) in [
        (app.psa.desk, None, "the ticket has no owner who could be given access; assign the ticket to a technician"),
        (app.psa.desk, Some("gone"), "is inactive in the PSA"),
        (app.psa.desk, Some("unbound"), "is not bound to a person in Latchkey"),
        (app.psa.projects, Some("msmith"), "is not a member of the PSA; a technician has to set it again"),
    ] {
        app.psa.tenant.set_member_inactive("gone", false);
        let ticket = owned(&app, board, owner);
        app.psa.tenant.set_member_inactive("gone", true);
        app.psa.ask_as("workflow", ticket);
        app.run().await;
        app.assert_refused(ticket, why).await;
    }
    let ticket = owned(&app, app.psa.desk, Some("msmith"));
    app.psa.ask_as("workflow", ticket);
    app.run().await;
    assert_eq!((app.state(ticket).await.name(), app.grant(ticket).await.person.as_str()), ("active", "mark"));
    let by_hand = owned(&app, app.psa.desk, Some("msmith"));
    app.psa.ask(by_hand);
    app.run().await;
    assert_eq!(app.grant(by_hand).await.person.as_str(), "jane", "a technician asks for nobody but themselves");
    app.minutes(61).await;
    app.end().await;
}

/// F49: access goes by the policy as it was when it was decided, to its end; the next one by the policy as it is then.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_changes_no_access_that_was_given() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let (frozen, object) = (app.grant(ticket).await.policy, app.entra.object());
    app.change_rules(|rules| {
        let policy = rules.rulebook.policies.iter_mut().find(|p| p.id == frozen.id).unwrap();
        policy.mode = Mode::Burner;
        policy.entitlements = vec![EntitlementId::Role(EXCHANGE_ROLE.parse().unwrap())];
        policy.lengths = vec![Length::parse("30m").unwrap()];
        (policy.default_length, policy.max_length) = (policy.lengths[0], policy.lengths[0]);
    })
    .await;
    app.minutes(40).await;
    // Another grant on the same account has it looked at.
    let other = app.active_on(app.psa.projects).await;
    assert_eq!((app.state(ticket).await.name(), app.grant(ticket).await.policy), ("active", frozen));
    let held: BTreeSet<String> = app.entra.roles().into_iter().collect();
    assert_eq!(held, [HELPDESK_ROLE, EXCHANGE_ROLE].map(str::to_owned).into());
    assert_eq!(app.entra.groups().len(), 1);
    app.minutes(21).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.roles()), ("ended", vec![EXCHANGE_ROLE.to_owned()]));
    app.minutes(41).await;
    assert_eq!(app.state(other).await.name(), "ended");
    assert_eq!((app.entra.object(), app.entra.is_enabled()), (object, false), "standard: it stays");
    let next = app.active().await;
    assert_eq!(app.grant(next).await.policy.mode, Mode::Burner);
    app.minutes(31).await;
    assert_eq!(app.state(next).await.name(), "ended");
    app.end().await;
}

/// F87, F88, F13, F14: the next ticket enables the same account for a reason and a time of its own; the name that was
/// typed for the first one stays, and is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_enabled_again_for_another_reason_and_time_and_keeps_its_name() {
    let app = TestApp::start().await;
    let field = |caption: &str| app.psa.tenant.add_field(caption, FieldKind::Text, &[]);
    let (name, reason) = (field("JIT user name"), field("JIT reason"));
    app.change_rules(|rules| {
        let desk = rules.rulebook.mappings.iter_mut().find(|m| m.id.as_str() == "desk").unwrap();
        desk.user_name_field = Some(name.to_string().parse().unwrap());
        desk.reason_field = Some(reason.to_string().parse().unwrap());
    })
    .await;
    let ask = async |who: &str, typed: &str, why: &str, length: &str| {
        let ticket = app.psa.ticket();
        for (field, value) in [(name, typed), (reason, why), (app.psa.length_field, length)] {
            app.psa.tenant.acting(who).set_field(ticket, field, value).unwrap();
        }
        app.psa.ask_as(who, ticket);
        app.run().await;
        ticket
    };
    let first = ask("jdoe", "JIT-Jane.Admin", "see https://kb.example.com/runbooks/42?step=3#a", "1 hour").await;
    let grant = app.grant(first).await;
    assert_eq!((grant.state.name(), grant.length.to_string().as_str()), ("active", "1h"));
    assert_eq!(grant.reason, "see https://kb.example.com/runbooks/42?step=3#a");
    let object = app.entra.object();
    assert_eq!(app.entra.name(), "jit-jane.admin@contoso.onmicrosoft.com");
    app.minutes(61).await;
    assert_eq!((app.state(first).await.name(), app.entra.is_enabled()), ("ended", false));

    let taken = ask("msmith", "jit-jane.admin", "the same name", "1 hour").await;
    assert!(app.psa.notes(taken)[0].contains("is or was another account's"), "{:?}", app.psa.notes(taken));
    assert!(!app.entra.is_enabled());

    let second = ask("jdoe", "jit-somebody.else", "the printer again", "30 minutes").await;
    let grant = app.grant(second).await;
    assert_eq!((grant.reason.as_str(), grant.length.to_string().as_str()), ("the printer again", "30m"));
    assert_eq!((app.entra.object(), app.entra.is_enabled()), (object, true));
    assert_eq!((app.entra.name().as_str(), app.entra.accounts().len()), ("jit-jane.admin@contoso.onmicrosoft.com", 1));
    app.minutes(31).await;
    assert_eq!((app.state(second).await.name(), app.entra.is_enabled()), ("ended", false));
    app.end().await;
}
