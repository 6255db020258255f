//! The second clock: where the tenant is licensed, each role has an end that the tenant keeps by itself.

use std::time::Duration;

use latchkey_contract::{
    Clock as _,
    directory::{Held, How, Target},
};
use latchkey_simulators::graph::{Licence, PimPolicy, Refused};
use serde_json::json;

use crate::harness::{EXCHANGE, Scene, Setup, TENANT, grant, grant_for, role};

async fn licensed() -> Scene {
    Scene::start(Setup { licence: Licence::P2, ..Setup::default() }).await
}

async fn held(scene: &Scene) -> Vec<Held> {
    scene.observe().await.account.unwrap().held
}

/// F130
#[tokio::test]
async fn a_role_ends_by_itself_when_we_are_down() {
    let mut scene = licensed().await;
    let end = scene.clock.now() + Duration::from_secs(3600);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(held(&scene).await[0].how, How::TimeBound { end: Some(end) });
    assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE]);
    scene.clock.move_by(Duration::from_secs(3601));
    assert!(scene.sign_in("s1").unwrap().is_empty());
    assert!(held(&scene).await.is_empty());
}

#[tokio::test]
async fn an_early_end_cuts_sign_in_at_once_and_the_role_when_the_tenant_allows() {
    let mut scene = licensed().await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    let given_at = scene.clock.now();
    scene.clock.move_by(Duration::from_secs(60));
    for _ in 0..2 {
        assert!(scene.turn(&Target::Disabled).await.is_none());
    }
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
    assert_eq!(scene.clock.now().since(given_at).as_secs(), 60, "nothing waits for the role");
    scene.reach(&Target::Disabled).await.unwrap();
    let took = scene.clock.now().since(given_at).as_secs();
    assert!((300..330).contains(&took), "the role was taken after {took} s");
    assert!(held(&scene).await.is_empty());
    let before_the_wait = scene.steps.iter().position(|step| step == "scramble-password");
    assert!(before_the_wait < scene.steps.iter().rposition(|step| step == "take"), "{:?}", scene.steps);
}

#[tokio::test]
async fn an_extension_moves_the_tenants_end() {
    let mut scene = licensed().await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.clock.move_by(Duration::from_secs(1800));
    let longer = grant_for(&scene, "s1", &[&role(EXCHANGE)], Duration::from_secs(7200));
    let end = scene.clock.now() + Duration::from_secs(7200);
    scene.steps.clear();
    scene.reach(&longer).await.unwrap();
    assert_eq!(scene.steps, ["give"]);
    assert_eq!(held(&scene).await[0].how, How::TimeBound { end: Some(end) });
}

#[tokio::test]
async fn a_policy_that_no_app_can_meet_falls_back_to_our_clock() {
    for policy in [
        PimPolicy { enabled_rules: vec!["MultiFactorAuthentication".to_owned()], ..PimPolicy::default() },
        PimPolicy { is_expiration_required: true, maximum_duration: "PT30M".to_owned(), ..PimPolicy::default() },
    ] {
        let mut scene = licensed().await;
        scene.sim.set_pim_policy(TENANT, EXCHANGE, policy);
        let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
        scene.reach(&target).await.unwrap();
        assert_eq!(held(&scene).await[0].how, How::Plain);
        assert_eq!(scene.known.no_way.len(), 1, "{:?}", scene.known.no_way);
        scene.reach(&Target::Disabled).await.unwrap();
        assert!(held(&scene).await.is_empty());
    }
}

#[tokio::test]
async fn justification_and_ticket_are_given_where_a_policy_asks_for_them() {
    let mut scene = licensed().await;
    let enabled_rules = vec!["Justification".to_owned(), "Ticketing".to_owned()];
    scene.sim.set_pim_policy(TENANT, EXCHANGE, PimPolicy { enabled_rules, ..PimPolicy::default() });
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert!(matches!(held(&scene).await[0].how, How::TimeBound { .. }));
}

#[tokio::test]
async fn the_tenants_end_can_be_switched_off() {
    let mut scene =
        Scene::start(Setup { licence: Licence::P2, more: json!({"time_bound": "never"}), ..Setup::default() }).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(held(&scene).await[0].how, How::Plain);
}

#[tokio::test]
async fn a_tenant_without_the_licence_is_asked_once_a_day() {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    let asked = || {
        let calls = scene.sim.faults().calls();
        calls.iter().filter(|call| call.path.contains("ScheduleInstances")).count()
    };
    assert_eq!(asked(), 1);
    let seen = scene.observe().await;
    assert!(!seen.has_native_end && seen.unchecked.iter().any(|line| line.contains("not licensed")), "{seen:?}");
    scene.sim.set_licence(TENANT, Licence::P2);
    scene.clock.move_by(Duration::from_secs(24 * 3600));
    assert!(scene.observe().await.has_native_end);
}

#[tokio::test]
async fn role_management_that_learns_late_of_an_account_is_waited_for() {
    let mut scene = licensed().await;
    scene.sim.knobs(|knobs| {
        knobs.pim_delay_ms = 90_000;
        knobs.pim_provisioning_ms = 20_000;
    });
    let began = scene.clock.now();
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE]);
    assert!((90..180).contains(&scene.clock.now().since(began).as_secs()), "{:?}", scene.steps);
}

#[tokio::test]
async fn an_eligible_role_is_taken_too() {
    let mut scene = licensed().await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.sim.add_eligibility(TENANT, &scene.id(), crate::harness::HELPDESK);
    scene.clock.move_by(Duration::from_secs(600));
    scene.reach(&Target::Disabled).await.unwrap();
    assert!(held(&scene).await.is_empty());
}
