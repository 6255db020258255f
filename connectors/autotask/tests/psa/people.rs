//! Resources: people, API users, and whoever is none of them.

use latchkey_contract::{CallError, TicketSystem, outside::Urgency};
use latchkey_simulators::autotask::API_USER;
use serde_json::json;

use crate::world::{JANE, MARK, ME, SYSTEM, World, member_id};

/// F4
#[tokio::test]
async fn a_person_is_an_active_resource_with_a_persons_licence() {
    let w = World::start().await;
    let jane = w.at.member(" J.Doe ").await.unwrap().unwrap();
    assert_eq!((jane.id.as_str(), jane.full_name.as_str()), ("30691780", "j.doe Resource"));
    assert!(jane.is_active && jane.is_human && jane.mail.as_deref() == Some("j.doe@msp.example"));
    assert_eq!(w.at.member_by_id(&member_id(JANE), Urgency::Ordinary).await.unwrap(), Some(jane));
    assert_eq!(w.at.member("nobody").await.unwrap(), None);
    assert_eq!(w.at.member("x' or 1 eq 1").await.unwrap(), None);
}

#[tokio::test]
async fn an_api_user_is_no_person_whatever_number_its_licence_has() {
    let w = World::start().await;
    assert!(!w.at.member_by_id(&member_id(ME), Urgency::Ordinary).await.unwrap().unwrap().is_human);
    w.sim.add_pick("licenseType", 42, "API-Benutzer");
    w.sim.add_resource(99, "rmm", 42);
    w.sim.add_resource(98, "odd", API_USER);
    w.sim.set_resource(98, "licenseType", json!(null));
    for name in ["rmm", "odd"] {
        assert!(!w.at.member(name).await.unwrap().unwrap().is_human, "{name}");
    }
    let listed = w.with(|settings| settings.automation = vec!["administrator".into()]);
    assert!(!listed.member_by_id(&member_id(SYSTEM), Urgency::Ordinary).await.unwrap().unwrap().is_human);
}

/// A contact acts under a number that is no resource's.
#[tokio::test]
async fn a_number_that_is_no_resources_is_nobodys() {
    let w = World::start().await;
    w.sim.add_contact(77, 174, "Carla");
    assert_eq!(w.at.member_by_id(&member_id(77), Urgency::Ordinary).await.unwrap(), None);
    assert_eq!(w.at.member_by_id(&"x".parse().unwrap(), Urgency::Ordinary).await.unwrap(), None);
}

/// F31
#[tokio::test]
async fn whoever_is_not_listed_as_active_is_inactive() {
    let w = World::start().await;
    w.sim.set_resource(MARK, "isActive", json!(false));
    let ids = [member_id(JANE), member_id(MARK), member_id(12), "x".parse().unwrap()];
    assert_eq!(w.at.inactive_members(&ids).await.unwrap(), ids[1..]);
    assert!(w.at.inactive_members(&[]).await.unwrap().is_empty());
}

/// Restricted users get empty lists and no error.
#[tokio::test]
async fn an_api_user_that_does_not_see_itself_must_be_told_its_number() {
    let w = World::start().await;
    w.sim.behave(|b| b.sees_itself = false);
    let (_, id) = w.ticket();
    let key = latchkey_contract::ticket::NoteKey("k".into());
    assert!(
        matches!(w.at.find(&id, &key).await, Err(CallError::Unauthorized { code, .. }) if code.contains("api_resource"))
    );
    let told = w.with(|settings| settings.api_resource = Some(member_id(ME)));
    assert!(told.find(&id, &key).await.unwrap().is_empty());
}
