//! Who asked: the agent of the very action, and nobody else.

use latchkey_contract::{
    FieldId, MemberId, TicketId, TicketSystem,
    outside::Urgency,
    ticket::{Actor, Part},
};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::{Value, json};

use crate::world::{DANA, DANA_MAIL, MAX, World};

#[tokio::test]
async fn whoever_pressed_the_button_is_the_requester() {
    let w = World::start().await;
    let (_, id) = w.asked();
    let change = w.change(&id).await.unwrap();
    assert_eq!((change.by.as_str(), change.actor, change.later_by), (DANA_MAIL, Actor::Member, None));
    let member = w.halo.member(&change.by).await.unwrap().unwrap();
    assert_eq!((member.id.as_str(), member.full_name.as_str()), ("17", "Dana Reyes"));
    assert!(member.is_active && member.is_human);
    // The same change has the same key in every reading and after our own note.
    w.sim.as_application(&w.api.client_id, 42).add_note(id.as_str().parse().unwrap(), "x", true).unwrap();
    let again = w.change(&id).await.unwrap();
    assert_eq!((again.key, again.later_by), (change.key, None));
}

#[tokio::test]
async fn a_status_set_on_the_ticket_itself_counts_as_well_and_in_either_order_of_the_list() {
    let w = World::start().await;
    for oldest_first in [false, true] {
        w.sim.behave(|b| b.oldest_action_first = oldest_first);
        let (n, id) = w.asked();
        w.sim.acting(MAX).set_status(n, w.new).unwrap();
        w.sim.acting(MAX).set_status(n, w.requested).unwrap();
        w.sim.acting(MAX).add_note(n, "JIT requested", true).unwrap();
        let change = w.change(&id).await.unwrap();
        assert_eq!((change.by.as_str(), change.later_by), ("max@msp.example", None));
    }
}

#[tokio::test]
async fn somebody_elses_later_save_is_told_and_the_systems_is_not() {
    let w = World::start().await;
    let (n, id) = w.asked();
    w.sim.as_system().add_note(n, "a rule ran", true).unwrap();
    assert_eq!(w.change(&id).await.unwrap().later_by, None);
    w.sim.as_user(w.ann).add_note(n, "thanks", false).unwrap();
    assert_eq!(w.change(&id).await.unwrap().later_by.as_deref(), Some(format!("contact-{}", w.ann).as_str()));
    let (n, id) = w.asked();
    w.sim.acting(MAX).set_summary(n, "other").unwrap();
    assert_eq!(w.change(&id).await.unwrap().later_by.as_deref(), Some("agent-18"));
    // Dana's own hand, lent to another program, is another's.
    let (n, id) = w.asked();
    w.sim.as_application("0d2c", DANA).add_note(n, "x", true).unwrap();
    assert_eq!(w.change(&id).await.unwrap().later_by.as_deref(), Some("application-0d2c"));
}

#[tokio::test]
async fn contacts_programs_and_agents_shown_as_others_are_nobody_who_may_ask() {
    let w = World::start().await;
    let asked = async |actor: latchkey_simulators::halopsa::Actor| {
        let (n, id) = w.ticket();
        actor.run_action(n, w.button, &[]).unwrap();
        w.change(&id).await
    };
    let contact = asked(w.sim.as_user(w.ann)).await.unwrap();
    assert_eq!((contact.by.as_str(), contact.actor), (format!("contact-{}", w.ann).as_str(), Actor::Unknown));
    assert_eq!(w.halo.member(&contact.by).await.unwrap(), None);
    let program = asked(w.sim.as_application("0d2c", DANA)).await.unwrap();
    assert_eq!((program.by.as_str(), program.actor), ("application-0d2c", Actor::Unknown));
    assert_eq!(w.halo.member(&program.by).await.unwrap(), None);
    let ours = asked(w.sim.as_application(&w.api.client_id, 42)).await.unwrap();
    assert_eq!(ours.actor, Actor::Unknown);
    w.sim.change_agent(42, false, false);
    assert_eq!(asked(w.sim.acting(42)).await.unwrap().actor, Actor::Unknown, "our own agent is nobody who may ask");
    assert!(!w.halo.member("agent-42").await.unwrap().unwrap().is_human);
    for forged in [json!({"who": "Dana Reyes"}), json!({"on_behalf_of": 17})] {
        let (n, id) = w.ticket();
        w.sim.acting(MAX).run_action_with(n, w.button, &forged).unwrap();
        assert_eq!(w.change(&id).await, None, "{forged}");
    }
}

#[tokio::test]
async fn what_an_agent_does_in_an_application_of_the_desk_is_his_own_click() {
    let w = World::start().await;
    let listed = w.with(|s| s.desk_applications = vec!["Teams-0D2C".into()]);
    let (in_teams, by_program) = (w.sim.as_application("teams-0d2c", DANA), w.sim.as_application("0d2d", DANA));
    let change = async |id: &TicketId| {
        let ticket = listed.read(id, Urgency::Ordinary).await.unwrap().unwrap();
        listed.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap()
    };
    let (n, id) = w.ticket();
    in_teams.run_action(n, w.button, &[(w.policy, Value::from("2"))]).unwrap();
    let asked = change(&id).await.unwrap();
    assert_eq!((asked.by.as_str(), asked.actor, asked.later_by), (DANA_MAIL, Actor::Member, None));
    assert_eq!(w.change(&id).await.unwrap().actor, Actor::Unknown, "where nobody listed it");
    let ticket = listed.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let field = FieldId::parse(w.policy.to_string()).unwrap();
    assert_eq!(listed.change(&ticket, Part::Field(&field), Urgency::Ordinary).await.unwrap().unwrap().by, DANA_MAIL);
    // A later click of the same agent at his desk is not somebody else's.
    w.sim.acting(DANA).add_note(n, "x", true).unwrap();
    assert_eq!(change(&id).await.unwrap().later_by, None);
    in_teams.set_status(n, w.new).unwrap();
    by_program.set_status(n, w.requested).unwrap();
    let programs = change(&id).await.unwrap();
    assert_eq!((programs.by.as_str(), programs.actor), ("application-0d2d", Actor::Unknown));
    for forged in [json!({"who": "Max Smith"}), json!({"on_behalf_of": MAX})] {
        let (n, id) = w.ticket();
        in_teams.run_action_with(n, w.button, &forged).unwrap();
        assert_eq!(change(&id).await, None, "{forged}");
    }
}

/// F6
#[tokio::test]
async fn the_systems_hand_is_automation_only_where_an_admin_listed_it() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.sim.as_system().set_status(n, w.requested).unwrap();
    assert_eq!(w.change(&id).await.unwrap().actor, Actor::Unknown);
    let listed = w.with(|s| s.automation = vec!["system".into(), "0D2C".into(), format!("contact-{}", w.ann)]);
    let actor = async |id| {
        let ticket = listed.read(id, Urgency::Ordinary).await.unwrap().unwrap();
        listed.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap().actor
    };
    assert_eq!(actor(&id).await, Actor::Automation);
    let (n, id) = w.ticket();
    w.sim.as_application("0d2c", DANA).set_status(n, w.requested).unwrap();
    assert_eq!(actor(&id).await, Actor::Automation);
    let (n, id) = w.ticket();
    w.sim.as_user(w.ann).set_status(n, w.requested).unwrap();
    assert_eq!(actor(&id).await, Actor::Unknown, "nothing from outside is automation, whatever is listed");
}

#[tokio::test]
async fn a_merge_brings_no_request_with_it() {
    let w = World::start().await;
    let ((child, _), (survivor, survivor_id)) = (w.asked(), w.ticket());
    w.sim.acting(MAX).merge(survivor, child).unwrap();
    w.sim.as_system().set_status(survivor, w.requested).unwrap();
    assert_eq!(
        w.change(&survivor_id).await.unwrap().actor,
        Actor::Unknown,
        "Dana's entry was copied, and is another ticket's"
    );
}

#[tokio::test]
async fn a_field_names_whoever_gave_it_its_present_value() {
    let w = World::start().await;
    let (n, id) = w.asked();
    assert_eq!(w.field_change(&id).await.unwrap().by, DANA_MAIL);
    // Shown again with the same value: still Dana's, and saved by another since.
    w.sim.acting(MAX).set_field(n, w.policy, "2").unwrap();
    let change = w.field_change(&id).await.unwrap();
    assert_eq!((change.by.as_str(), change.later_by.as_deref()), (DANA_MAIL, Some("agent-18")));
    w.sim.acting(MAX).set_field(n, w.policy, "1").unwrap();
    assert_eq!(w.field_change(&id).await.unwrap().by, "max@msp.example");
    w.sim.behave(|b| b.lists_no_action_fields = true);
    assert_eq!(w.field_change(&id).await, None, "a build that does not tell: set it by a status instead");
    w.sim.acting(MAX).set_field(n, w.policy, Value::Null).unwrap();
    assert_eq!(w.field_change(&id).await, None);
}

#[tokio::test]
async fn whoever_first_shows_what_another_may_have_set_has_not_asked() {
    let w = World::start().await;
    w.sim.behave(|b| b.edits_tell_no_fields = true);
    let (n, id) = w.ticket();
    let clerk = 19;
    w.sim.add_agent(clerk, "Carl Clerk", "carl@msp.example");
    w.sim.acting(clerk).set_field(n, w.policy, "2").unwrap();
    let note = w.sim.add_outcome("Call back", None);
    w.sim.acting(MAX).run_action(n, note, &[(w.policy, Value::from("2"))]).unwrap();
    assert_eq!(w.field_change(&id).await, None, "Carl set it, Max has shown it");
    // Set again where the history tells it: that is a click.
    w.sim.acting(MAX).run_action(n, note, &[(w.policy, Value::from("1"))]).unwrap();
    assert_eq!(w.field_change(&id).await.unwrap().by, "max@msp.example");
    // What we did ourselves before is no doubt.
    let (n, id) = w.ticket();
    w.halo.set_status(&id, &crate::world::status_id(w.requested)).await.unwrap();
    w.sim.acting(MAX).run_action(n, note, &[(w.policy, Value::from("2"))]).unwrap();
    assert_eq!(w.field_change(&id).await.unwrap().by, "max@msp.example");
}

#[tokio::test]
async fn a_ticket_that_moves_while_its_history_is_read_is_asked_for_again() {
    let w = World::start().await;
    let (n, id) = w.asked();
    let ticket = w.halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    w.advance(5);
    let (sim, new) = (w.sim.clone(), w.new);
    let move_on = Act::after(move |_| sim.acting(MAX).set_status(n, new).unwrap());
    w.sim.faults().add(Fault::on("GET /Actions", move_on).once());
    let moved = w.halo.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap_err();
    assert!(moved.is_transient(), "{moved}");
    assert_eq!(w.halo.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap(), None);
    assert_eq!(w.halo.change(&ticket, Part::Board, Urgency::Ordinary).await.unwrap(), None);
}

#[tokio::test]
async fn agents_are_found_by_mail_address_or_number_and_one_is_nobody() {
    let w = World::start().await;
    assert_eq!(w.halo.member(&DANA_MAIL.to_uppercase()).await.unwrap().unwrap().id.as_str(), "17");
    assert_eq!(w.halo.member("agent-17").await.unwrap().unwrap().name, DANA_MAIL);
    for nobody in ["agent-1", "agent-999", "Dana Reyes", "nobody@msp.example", "system", ""] {
        assert_eq!(w.halo.member(nobody).await.unwrap(), None, "{nobody}");
    }
    let id = |n: i64| MemberId::parse(n.to_string()).unwrap();
    assert_eq!(w.halo.member_by_id(&id(1), Urgency::Ordinary).await.unwrap(), None);
    w.sim.set_agent_email(MAX, DANA_MAIL);
    assert_eq!(w.halo.member(DANA_MAIL).await.unwrap(), None, "two of one address are none");
    w.sim.change_agent(MAX, true, false);
    assert_eq!(w.halo.member(DANA_MAIL).await.unwrap().unwrap().id.as_str(), "17", "a disabled double is nobody");
    let gone = w.halo.inactive_members(&[id(DANA), id(MAX), id(999), id(1)]).await.unwrap();
    assert_eq!(gone, [id(MAX), id(999), id(1)]);
    let (ids, member) =
        (w.halo.catalogue().await.unwrap().members, w.halo.member_by_id(&id(MAX), Urgency::Ordinary).await.unwrap());
    assert!(!member.unwrap().is_active && ids.len() == 3);
}
