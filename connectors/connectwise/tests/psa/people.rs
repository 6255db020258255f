//! Who did it, who may still sign in: members by name and by id, automation, people who left.

use latchkey_contract::{
    FieldId, MemberId, TicketId, TicketSystem,
    outside::Urgency,
    ticket::{Actor, Part},
};
use latchkey_simulators::connectwise::AuditOrder;

use crate::world::{World, ticket_id};

fn member(id: &str) -> MemberId {
    MemberId::parse(id).unwrap()
}

fn field(id: i64) -> FieldId {
    FieldId::parse(id.to_string()).unwrap()
}

#[tokio::test]
async fn a_member_is_found_by_id() {
    let w = World::start().await;
    let owner = w.cw.member_by_id(&member("176"), Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!((owner.name.as_str(), owner.is_human, owner.is_active), ("jdoe", true, true));
    assert!(!w.cw.member_by_id(&member("243"), Urgency::Ordinary).await.unwrap().unwrap().is_human);
    w.msp.set_member_inactive("jdoe", true);
    assert!(!w.cw.member_by_id(&member("176"), Urgency::Ordinary).await.unwrap().unwrap().is_active);
    for nobody in ["999", "jdoe", "0"] {
        assert_eq!(w.cw.member_by_id(&member(nobody), Urgency::Ordinary).await.unwrap(), None, "{nobody}");
    }
}

#[tokio::test]
async fn those_who_left_are_named_in_few_calls() {
    let w = World::start().await;
    for n in 0..200 {
        w.msp.add_member(1_000 + n, &format!("m{n}"), "F", n % 50 == 0);
    }
    let mut asked: Vec<MemberId> = (0..200).map(|n| member(&(1_000 + n).to_string())).collect();
    asked.extend([member("176"), member("9999"), member("jdoe")]);
    let left = w.cw.inactive_members(&asked).await.unwrap();
    let left: Vec<&str> = left.iter().map(MemberId::as_str).collect();
    assert_eq!(left, ["1000", "1050", "1100", "1150", "9999", "jdoe"]);
    assert_eq!(w.calls("GET /system/members"), 3);
    assert!(w.cw.inactive_members(&[]).await.unwrap().is_empty());
    assert_eq!(w.calls("GET /system/members"), 3);
}

async fn actor_of_status(w: &World, by: &str) -> Actor {
    let (n, id) = w.ticket();
    w.msp.acting(by).set_status(n, w.requested).unwrap();
    let cw = w.with(|s| s.automation = vec!["workflow rule".into(), "RmmApi".into(), "JitApi".into(), "msmith".into()]);
    let ticket = cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap().actor
}

/// F6
#[tokio::test]
async fn automation_is_what_an_admin_listed_and_is_no_person() {
    let w = World::start().await;
    w.msp.add_api_member(250, "RmmApi");
    w.msp.add_api_member(251, "PortalApi");
    for (by, actor) in [
        ("jdoe", Actor::Member),
        ("Workflow Rule", Actor::Automation),
        ("RmmApi", Actor::Automation),
        ("PortalApi", Actor::Unknown),
        ("Email Connector", Actor::Unknown),
        ("zAdmin", Actor::Unknown),
        // Listed by mistake: a person stays a person, and we are nobody.
        ("msmith", Actor::Member),
        ("JitApi", Actor::Unknown),
    ] {
        assert_eq!(actor_of_status(&w, by).await, actor, "{by}");
    }
}

async fn by(w: &World, id: &TicketId) -> Option<(String, Option<String>)> {
    let ticket = w.cw.read(id, Urgency::Ordinary).await.unwrap().unwrap();
    w.cw.change(&ticket, Part::Field(&field(w.duration)), Urgency::Ordinary).await.unwrap().map(|c| (c.by, c.later_by))
}

#[tokio::test]
async fn who_set_a_custom_field_last_is_told_in_either_order() {
    let w = World::start().await;
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        w.sim.behave(|b| b.audit_order = order);
        let (n, id) = w.ticket();
        assert_eq!(by(&w, &id).await, None, "an empty field was set by nobody");
        w.advance(5);
        w.msp.acting("msmith").set_field(n, w.duration, "1 hour").unwrap();
        w.msp.acting("msmith").set_field(n, w.duration, "2 hours").unwrap();
        w.advance(5);
        w.msp.acting("jdoe").set_field(n, w.duration, "1 hour").unwrap();
        assert_eq!(by(&w, &id).await, Some(("jdoe".into(), None)), "{order:?}");
        w.advance(5);
        w.msp.acting("JitApi").touch(n).unwrap();
        assert_eq!(by(&w, &id).await, Some(("jdoe".into(), None)));
        w.msp.acting("msmith").touch(n).unwrap();
        assert_eq!(by(&w, &id).await, Some(("jdoe".into(), Some("msmith".into()))));
        w.msp.rename_field(w.duration, &format!("JIT length {order:?}"));
        assert_eq!(by(&w, &id).await, None, "the trail speaks of another name");
        w.msp.rename_field(w.duration, "JIT Duration");
    }
}

#[tokio::test]
async fn a_trail_without_custom_fields_names_nobody() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.msp.acting("jdoe").set_field(n, w.duration, "1 hour").unwrap();
    w.msp.acting("jdoe").set_summary(n, "JIT Duration has been updated from \"\" to \"1 hour\".").unwrap();
    w.sim.behave(|b| b.field_audit = None);
    assert_eq!(by(&w, &id).await, None);
    w.sim.behave(|b| b.field_audit = Some("Zusatzfeld"));
    assert_eq!(by(&w, &id).await, None);
    let told = w.with(|s| s.field_audit_type = Some("Zusatzfeld".into()));
    let ticket = told.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let change = told.change(&ticket, Part::Field(&field(w.duration)), Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!((change.by.as_str(), change.actor), ("jdoe", Actor::Member));
}

#[tokio::test]
async fn a_field_that_moves_while_its_history_is_read_is_looked_at_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.msp.acting("jdoe").set_field(n, w.duration, "1 hour").unwrap();
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    w.advance(5);
    w.msp.acting("msmith").set_field(n, w.duration, "2 hours").unwrap();
    assert!(w.cw.change(&ticket, Part::Field(&field(w.duration)), Urgency::Ordinary).await.unwrap_err().is_transient());
    w.msp.acting("msmith").delete(n).unwrap();
    assert!(w.cw.change(&ticket, Part::Field(&field(w.duration)), Urgency::Ordinary).await.unwrap_err().is_transient());
    assert_eq!(w.cw.change(&ticket, Part::Field(&field(9_999)), Urgency::Ordinary).await.unwrap(), None);
    assert!(w.cw.read(&ticket_id(n), Urgency::Ordinary).await.unwrap().is_none());
}
