//! Somebody else's hand in the tenant: renamed, deleted, enabled, marked, protected.

use std::time::Duration;

use latchkey_contract::{
    CallError, Directory as _, Secret, SecretId,
    directory::{Step, Target},
};
use latchkey_entra::{GROUP_RESTRICTED, LISTED, RESTRICTED};
use latchkey_simulators::graph::{GroupSeed, Refused, UserSeed};
use serde_json::json;

use crate::harness::{EXCHANGE, MARK, Scene, Setup, Stopped, TENANT, UPN, grant, group, role};

async fn given() -> Scene {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.steps.clear();
    scene
}

/// Writes by our app about an object, from the tenant's own record.
fn our_writes(scene: &Scene, object: &str) -> usize {
    let is_ours = |e: &&latchkey_simulators::graph::Event| {
        matches!(e.actor, latchkey_simulators::graph::Actor::App(_)) && e.object == object
    };
    scene.sim.events().iter().filter(is_ours).count()
}

#[tokio::test]
async fn a_renamed_account_is_found_by_its_id() {
    let mut scene = given().await;
    scene.sim.by_hand(TENANT).rename(UPN, "harmless@contoso.onmicrosoft.com");
    scene.reach(&Target::Disabled).await.unwrap();
    let user = scene.user().unwrap();
    assert_eq!(user["accountEnabled"], false);
    assert!(scene.sim.assignments(TENANT, &scene.id()).is_empty());
}

#[tokio::test]
async fn an_account_without_its_mark_is_still_ours_by_its_id() {
    let mut scene = given().await;
    scene.sim.by_hand(TENANT).set(UPN, "onPremisesExtensionAttributes", serde_json::Value::Null);
    assert!(!scene.observe().await.account.unwrap().is_marked);
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
}

#[tokio::test]
async fn an_account_deleted_by_hand_is_off_and_cannot_be_given() {
    let mut scene = given().await;
    scene.sim.by_hand(TENANT).delete(UPN);
    scene.clock.move_by(Duration::from_secs(600));
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    assert!(matches!(scene.reach(&target).await, Err(Stopped::Impossible(why)) if why.contains("vanished")));
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(scene.steps.is_empty());
}

#[tokio::test]
async fn an_account_enabled_by_hand_after_its_end_is_cut_again() {
    let mut scene = given().await;
    scene.reach(&Target::Disabled).await.unwrap();
    scene.sim.by_hand(TENANT).enable(UPN);
    scene.steps.clear();
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.steps, ["disable", "cut-sessions"]);
}

#[tokio::test]
async fn a_role_and_an_ownership_from_somebody_else_are_taken_at_the_end() {
    let mut scene = given().await;
    let hand = scene.sim.by_hand(TENANT);
    hand.assign_role(UPN, crate::harness::PAA, "/");
    let id = scene.sim.add_group(TENANT, GroupSeed { display_name: "Side door".to_owned(), ..GroupSeed::default() });
    hand.join_group(UPN, &id);
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(scene.sim.assignments(TENANT, &scene.id()).is_empty());
    assert!(scene.sim.groups_of(TENANT, UPN).is_empty());
}

/// The vendor never takes a group's only owner away: asked again until somebody names another, and nothing else waits.
#[tokio::test]
async fn an_ownership_is_taken_once_the_group_has_another_owner() {
    let mut scene = given().await;
    scene.sim.set_permissions(
        TENANT,
        crate::harness::APP,
        &[&crate::harness::PERMISSIONS[..], &["Group.ReadWrite.All"]].concat(),
    );
    scene.clock.move_by(Duration::from_secs(3600));
    let id = scene.sim.add_group(TENANT, GroupSeed { display_name: "Mine".to_owned(), ..GroupSeed::default() });
    scene.sim.by_hand(TENANT).own_group(UPN, &id);
    for _ in 0..20 {
        assert!(scene.turn(&Target::Disabled).await.is_none(), "not off while it owns a group");
    }
    assert!(scene.steps.contains(&"scramble-password".to_owned()));
    let other = scene.sim.add_user(TENANT, UserSeed::new("other@contoso.onmicrosoft.com"));
    scene.sim.by_hand(TENANT).own_group(&other, &id);
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(scene.observe().await.account.unwrap().owned.is_empty());
}

#[tokio::test]
async fn groups_that_nobody_can_leave_are_named_in_the_proof() {
    let mut scene = given().await;
    let seed = GroupSeed { display_name: "All \u{202E}admins\n".to_owned(), is_dynamic: true, ..GroupSeed::default() };
    let id = scene.sim.add_group(TENANT, seed);
    scene.sim.by_hand(TENANT).join_group(UPN, &id);
    scene.reach(&Target::Disabled).await.unwrap();
    let unchecked = scene.observe().await.unchecked;
    assert!(unchecked.iter().any(|line| line.contains("All admins") && line.contains("rule")), "{unchecked:?}");
}

#[tokio::test]
async fn somebody_elses_account_under_our_name_is_left_alone() {
    for mark in [json!({}), json!({"onPremisesExtensionAttributes": {"extensionAttribute15": "another"}})] {
        let mut scene = Scene::start(Setup::default()).await;
        let properties = mark.as_object().unwrap().clone();
        let id = scene.sim.add_user(TENANT, UserSeed { properties, ..UserSeed::new(UPN) });
        let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
        assert!(
            matches!(scene.reach(&target).await, Err(Stopped::Impossible(why)) if why.contains("taken by another"))
        );
        scene.reach(&Target::Disabled).await.unwrap();
        scene.reach(&Target::Absent).await.unwrap();
        assert_eq!(our_writes(&scene, &id), 0);
    }
}

#[tokio::test]
async fn a_mark_on_another_account_does_not_make_it_ours() {
    let mut scene = Scene::start(Setup::default()).await;
    let mut seed = UserSeed::new("ceo@contoso.onmicrosoft.com");
    seed.properties =
        json!({"onPremisesExtensionAttributes": {"extensionAttribute15": MARK}}).as_object().unwrap().clone();
    let ceo = scene.sim.add_user(TENANT, seed);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.reach(&Target::Absent).await.unwrap();
    assert_eq!(our_writes(&scene, &ceo), 0);
}

/// F110 F111
#[tokio::test]
async fn a_protected_account_is_refused_before_any_call() {
    let mut scene = given().await;
    let before = our_writes(&scene, &scene.id());
    scene.sim.add_unit(TENANT, "Break glass", true, &[&scene.id()]);
    let longer = grant(&scene, "s2", &[&role(EXCHANGE)]);
    for target in [longer, Target::Disabled] {
        let said = scene.reach(&target).await;
        assert!(matches!(said, Err(Stopped::Impossible(why)) if why.contains("restricted management")));
    }
    assert_eq!(our_writes(&scene, &scene.id()), before);
}

/// F111: whoever refuses, and whenever, the sentence is the same.
#[tokio::test]
async fn the_directorys_own_denial_reads_like_our_refusal() {
    let mut scene = given().await;
    let before = our_writes(&scene, &scene.id());
    // Put there between the look and the act: only the directory knows.
    scene.sim.add_unit(TENANT, "Break glass", true, &[&scene.id()]);
    let password = Secret::new("Canary-protected-9!xxxxxxxxxxxx".to_owned());
    let sealed = SecretId::parse("s2").unwrap();
    for step in
        [Step::Disable, Step::SetPassword { password: sealed }, Step::Enable, Step::ScramblePassword, Step::Delete]
    {
        let denied = scene.entra.perform(&step, &scene.account, Some(&password)).await.unwrap_err();
        assert_eq!(denied.op(), step.name());
        assert!(matches!(&denied, CallError::Protected { why, .. } if why == RESTRICTED), "{step:?}: {denied:?}");
    }
    let refused = scene.reach(&Target::Disabled).await;
    assert!(matches!(refused, Err(Stopped::Impossible(why)) if why == RESTRICTED));
    assert_eq!(our_writes(&scene, &scene.id()), before);
}

/// F111
#[tokio::test]
async fn what_an_admin_listed_reads_the_same_at_the_look_and_at_the_act() {
    let mut scene = given().await;
    let secret = Secret::new("app-secret-canary".to_owned());
    scene.reconnect(&json!({"protected": [scene.id()]}), latchkey_entra::Credential::Secret(secret));
    let calls = scene.sim.faults().calls().len();
    let refused = scene.entra.perform(&Step::Disable, &scene.account, None).await.unwrap_err();
    assert_eq!(scene.sim.faults().calls().len(), calls, "before any call");
    assert!(matches!(refused, CallError::Protected { op: "disable", why } if why == LISTED));
    assert!(matches!(scene.reach(&Target::Disabled).await, Err(Stopped::Impossible(why)) if why == LISTED));
}

#[tokio::test]
async fn a_group_that_a_restricted_unit_holds_is_named_as_what_is_protected() {
    let mut scene = given().await;
    let seed = GroupSeed { display_name: "Owners".to_owned(), ..GroupSeed::default() };
    let id = scene.sim.add_group(TENANT, seed);
    scene.sim.add_unit(TENANT, "Groups of the board", true, &[&id]);
    let wanted = grant(&scene, "s1", &[&role(EXCHANGE), &group(&id)]);
    let stopped = scene.reach(&wanted).await;
    assert!(
        matches!(&stopped, Err(Stopped::Failed(CallError::Protected { op: "give", why })) if why == GROUP_RESTRICTED),
        "{stopped:?}"
    );
}

#[tokio::test]
async fn an_account_on_the_list_of_protected_ones_is_never_touched() {
    let mut scene = given().await;
    let before = our_writes(&scene, &scene.id());
    let secret = latchkey_contract::Secret::new("app-secret-canary".to_owned());
    let more = json!({"protected": [scene.id().to_uppercase()]});
    scene.reconnect(&more, latchkey_entra::Credential::Secret(secret));
    assert!(matches!(scene.reach(&Target::Disabled).await, Err(Stopped::Impossible(why)) if why.contains("protected")));
    assert_eq!(our_writes(&scene, &scene.id()), before);
}
