//! An account for one grant: deleted at the end, from the recycle bin too where the tenant lets an app do that.

use latchkey_contract::directory::{Mode, Target};
use latchkey_simulators::graph::Refused;

use crate::harness::{EXCHANGE, Scene, Setup, TENANT, grant, role};

async fn given() -> Scene {
    let mut scene = Scene::start(Setup { mode: Mode::Burner, ..Setup::default() }).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.steps.clear();
    scene
}

/// F86
#[tokio::test]
async fn a_burner_is_stripped_before_it_is_deleted() {
    let mut scene = given().await;
    scene.reach(&Target::Absent).await.unwrap();
    assert_eq!(scene.steps, ["disable", "cut-sessions", "take", "cut-sessions", "delete", "purge"]);
    assert_eq!(scene.sign_in("s1"), Err(Refused::NoUser));
    assert!(scene.sim.assignments(TENANT, &scene.id()).is_empty(), "a restored account would have its roles back");
    let seen = scene.observe().await;
    assert!(seen.account.is_none() && seen.recycled.is_some());
    assert!(seen.unchecked[0].contains("recycle bin") && seen.unchecked[0].contains("2026-10-01"), "{seen:?}");
}

#[tokio::test]
async fn where_an_app_may_purge_nothing_is_left() {
    let mut scene = given().await;
    scene.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
    scene.reach(&Target::Absent).await.unwrap();
    assert!(scene.sim.deleted_users(TENANT).is_empty());
    let seen = scene.observe().await;
    assert!(seen.account.is_none() && seen.recycled.is_none());
}

#[tokio::test]
async fn a_burner_that_was_never_made_is_off() {
    let mut scene = Scene::start(Setup { mode: Mode::Burner, ..Setup::default() }).await;
    scene.reach(&Target::Absent).await.unwrap();
    assert!(scene.steps.is_empty());
}
