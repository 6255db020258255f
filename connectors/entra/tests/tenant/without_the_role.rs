//! An app without Privileged Authentication Administrator: power is taken first, then sign-in.

use latchkey_contract::directory::{Mode, Target};
use latchkey_simulators::graph::{Licence, Refused};

use crate::harness::{EXCHANGE, Scene, Setup, USER_ADMIN, grant, role};

#[tokio::test]
async fn the_end_takes_the_role_and_then_disables() {
    for revoke_admin_needs_paa in [false, true] {
        let mut scene = Scene::start(Setup { roles: vec![USER_ADMIN], ..Setup::default() }).await;
        scene.sim.knobs(|knobs| knobs.revoke_admin_needs_paa = revoke_admin_needs_paa);
        let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
        scene.reach(&target).await.unwrap();
        scene.steps.clear();
        scene.reach(&Target::Disabled).await.unwrap();
        let place = |name: &str| scene.steps.iter().rposition(|step| step == name).unwrap();
        assert!(place("take") < place("disable") && place("disable") < place("cut-sessions"), "{:?}", scene.steps);
        assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
        assert!(!scene.observe().await.account.unwrap().is_enabled);
    }
}

#[tokio::test]
async fn an_early_end_in_a_licensed_tenant_waits_with_sessions_cut() {
    let setup = Setup { licence: Licence::P2, roles: vec![USER_ADMIN], mode: Mode::Burner, ..Setup::default() };
    let mut scene = Scene::start(setup).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene.reach(&Target::Absent).await.unwrap();
    assert_eq!(scene.sign_in("s1"), Err(Refused::NoUser));
    assert_eq!(scene.observe().await.account, None);
}
