//! Throttling, lost answers, late replication, lost rights: each ends where it should, or says why not.

use std::time::Duration;

use latchkey_contract::{
    CallError, Clock as _,
    directory::{Mode, Target},
};
use latchkey_entra::{PASSWORD_REFUSED, ROLE_NOT_FOUND};
use latchkey_simulators::{
    Act, Fault,
    graph::{Licence, Refused, throttled},
};
use serde_json::json;

use crate::harness::{APP, EXCHANGE, PAA, Scene, Setup, Stopped, TENANT, UPN, grant, role};

const TOKEN: &str = "POST /{tenant}/oauth2/v2.0/token";

const WRITES: [&str; 9] = [
    "POST /users",
    "PATCH /users/{id}",
    "POST /roleManagement/directory/roleAssignments",
    "DELETE /roleManagement/directory/roleAssignments/{id}",
    "POST /roleManagement/directory/roleAssignmentScheduleRequests",
    "POST /users/{id}/revokeSignInSessions",
    "DELETE /users/{id}",
    "DELETE /directory/deletedItems/{id}",
    TOKEN,
];

async fn given() -> Scene {
    let mut scene = Scene::start(Setup::default()).await;
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    scene
}

/// I3, I13: an unknown outcome is looked at, never repeated blindly.
#[tokio::test]
async fn a_lost_answer_at_any_call_changes_nothing_in_the_end() {
    for act in [Act::ResetAfter, Act::ResetBefore, Act::Garbage, Act::Huge] {
        for op in WRITES {
            for licence in [Licence::P1, Licence::P2] {
                let setup = Setup { licence, mode: Mode::Burner, ..Setup::default() };
                let mut scene = Scene::start(setup).await;
                let fault = || Fault::on(op, act.clone()).once();
                scene.sim.faults().add(fault());
                let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
                scene.reach(&target).await.or_else(ignore_malformed).unwrap();
                scene.reach(&target).await.unwrap_or_else(|e| panic!("{act:?} at {op}: {e:?}"));
                assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE], "{act:?} at {op}");
                scene.sim.faults().clear();
                scene.sim.faults().add(fault());
                scene.reach(&Target::Absent).await.or_else(ignore_malformed).unwrap();
                scene.reach(&Target::Absent).await.unwrap_or_else(|e| panic!("{act:?} at {op}: {e:?}"));
                assert_eq!(scene.sign_in("s1"), Err(Refused::NoUser), "{act:?} at {op}");
                assert_eq!(scene.sim.deleted_users(TENANT).len(), 1, "one account, {act:?} at {op}");
            }
        }
    }
}

/// An unreadable answer is reported; the loop goes on at the next look.
fn ignore_malformed(stopped: Stopped) -> Result<(), Stopped> {
    match stopped {
        Stopped::Failed(CallError::Malformed { .. }) => Ok(()),
        other => Err(other),
    }
}

#[tokio::test]
async fn throttling_is_waited_out_as_long_as_the_tenant_says() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.faults().add(Fault::on("POST /users", throttled(Some(17))).once());
    let began = scene.clock.now();
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert!(scene.clock.now().since(began).as_secs() >= 17);
}

/// I14
#[tokio::test]
async fn a_throttled_connection_still_takes_access_away() {
    let mut scene = given().await;
    scene.sim.faults().add(Fault::on("PATCH /users/{id}", throttled(Some(600))).once());
    let again = grant(&scene, "s2", &[&role(EXCHANGE)]);
    assert!(scene.turn(&again).await.is_none());
    let before = scene.clock.now();
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
    assert!(scene.clock.now().since(before).as_secs() < 60);
}

#[tokio::test]
async fn an_account_that_is_seen_late_is_waited_for_and_made_once() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.knobs(|knobs| knobs.user_delay_ms = 30_000);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    assert_eq!(scene.steps.iter().filter(|step| *step == "create").count(), 1);
    assert_eq!(scene.sign_in("s1").unwrap(), [EXCHANGE]);
}

#[tokio::test]
async fn a_grant_that_ends_before_its_account_is_seen_still_ends_it() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.knobs(|knobs| knobs.user_delay_ms = 30_000);
    scene.sim.faults().add(Fault::on("POST /users", Act::ResetAfter).once());
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    assert!(scene.turn(&target).await.is_none());
    scene.reach(&Target::Disabled).await.unwrap();
    let user = &scene.sim.users(TENANT)[0];
    assert_eq!(user["accountEnabled"], false);
    assert!(scene.steps.contains(&"scramble-password".to_owned()), "{:?}", scene.steps);
}

#[tokio::test]
async fn an_expired_secret_names_itself() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.expire_secret(APP, "app-secret-canary", Some(scene.clock.now().millis()));
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    let said = scene.reach(&target).await;
    assert!(matches!(said, Err(Stopped::Failed(CallError::Unauthorized { code, .. })) if code == "AADSTS7000222"));
    assert!(scene.sim.users(TENANT).is_empty());
}

#[tokio::test]
async fn a_removal_goes_on_with_the_token_that_is_still_valid() {
    let mut scene = given().await;
    // Within the last five minutes of the token's life a new one is asked for.
    scene.clock.move_by(Duration::from_secs(3400));
    scene.sim.expire_secret(APP, "app-secret-canary", Some(scene.clock.now().millis()));
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let mut scene = given().await;
    let refusal = json!({"error": {"code": "InvalidAuthenticationToken", "message": "Access token has expired."}});
    let answer = Act::Answer { status: 401, retry_after: None, body: refusal };
    scene.sim.faults().add(Fault::on("PATCH /users/{id}", answer.clone()).once());
    scene.reach(&Target::Disabled).await.unwrap();
    scene.sim.faults().add(Fault::on("GET /users/{id}", answer));
    let said = scene.reach(&Target::Disabled).await;
    assert!(
        matches!(said, Err(Stopped::Failed(CallError::Unauthorized { code, .. })) if code == "InvalidAuthenticationToken")
    );
}

#[tokio::test]
async fn a_deleted_tenant_names_itself() {
    let mut scene = given().await;
    scene.sim.delete_tenant(TENANT);
    scene.clock.move_by(Duration::from_secs(3700));
    let said = scene.reach(&Target::Disabled).await;
    assert!(matches!(said, Err(Stopped::Failed(CallError::Unauthorized { code, .. })) if code == "AADSTS5000224"));
}

#[tokio::test]
async fn a_permission_that_was_taken_away_is_named() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.set_permissions(TENANT, APP, &["User.Read.All"]);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    let said = scene.reach(&target).await;
    let Err(Stopped::Failed(CallError::Unauthorized { code, .. })) = said else { panic!("{said:?}") };
    assert!(code.contains("permission User.ReadWrite.All"), "{code}");
}

#[tokio::test]
async fn a_right_that_is_granted_meanwhile_is_used_within_a_minute() {
    let mut scene = Scene::start(Setup::default()).await;
    scene.sim.set_permissions(TENANT, APP, &["User.Read.All"]);
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap_err();
    scene.sim.set_permissions(TENANT, APP, &crate::harness::PERMISSIONS);
    scene.clock.move_by(Duration::from_secs(61));
    scene.reach(&target).await.unwrap_err();
    scene.reach(&target).await.unwrap();
}

#[tokio::test]
async fn a_password_that_is_refused_asks_for_another_one() {
    let mut scene = Scene::start(Setup::default()).await;
    let message = "The specified password does not comply with password complexity requirements. Please provide a different password.";
    let body = json!({"error": {"code": "Request_BadRequest", "message": message}});
    let answer = Act::Answer { status: 400, retry_after: None, body };
    scene.sim.faults().add(Fault::on("POST /users", answer.clone()).once());
    let target = grant(&scene, "s1", &[&role(EXCHANGE)]);
    let said = scene.reach(&target).await;
    assert!(matches!(said, Err(Stopped::Failed(CallError::Refused { code, .. })) if code == PASSWORD_REFUSED));
    let target = grant(&scene, "s2", &[&role(EXCHANGE)]);
    scene.reach(&target).await.unwrap();
    // The password that nobody is to know is replaced in the same step.
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.steps.last().unwrap(), "scramble-password");
}

#[tokio::test]
async fn a_role_that_no_longer_exists_is_named() {
    for licence in [Licence::P1, Licence::P2] {
        let mut scene = Scene::start(Setup { licence, ..Setup::default() }).await;
        let target = grant(&scene, "s1", &[&role("deadbeef-9323-42fd-ade2-1d097af3e4de")]);
        let said = scene.reach(&target).await;
        assert!(
            matches!(&said, Err(Stopped::Failed(CallError::Refused { code, .. })) if code == ROLE_NOT_FOUND),
            "{said:?}"
        );
        scene.reach(&Target::Disabled).await.unwrap();
        assert_eq!(scene.sim.user(TENANT, UPN).unwrap()["accountEnabled"], false);
    }
}

#[tokio::test]
async fn an_outage_of_an_hour_delays_the_end_and_does_not_lose_it() {
    let mut scene = given().await;
    let out = Act::Answer { status: 503, retry_after: Some(120), body: serde_json::Value::Null };
    scene.sim.faults().add(Fault::always(out).times(40));
    let began = scene.clock.now();
    scene.reach(&Target::Disabled).await.unwrap();
    assert_eq!(scene.sign_in("s1"), Err(Refused::Disabled));
    assert!(scene.clock.now().since(began).as_secs() >= 3600);
}

#[tokio::test]
async fn every_step_may_be_taken_twice() {
    use latchkey_contract::{
        Directory as _, Secret,
        directory::{Next, Outcome, Step},
    };
    let mut scene =
        Scene::start(Setup { mode: Mode::Burner, roles: vec![PAA], licence: Licence::P1, ..Setup::default() }).await;
    let given = grant(&scene, "s1", &[&role(EXCHANGE)]);
    for target in [given, Target::Absent] {
        loop {
            let seen = scene.observe().await;
            let Next::Step(step) = scene.entra.next(&target, &seen, &scene.known, scene.clock.now()) else { break };
            let now = scene.clock.now();
            let known = scene.known.clone().intending(&step, now);
            let secret = Secret::new("Canary-s1-pass-9!xxxxxxxxxxxx".to_owned());
            let first = scene.entra.perform(&step, &scene.account, Some(&secret)).await.unwrap();
            let second = scene.entra.perform(&step, &scene.account, Some(&secret)).await.unwrap();
            let is_purge = matches!(step, Step::Purge { .. });
            assert!(is_purge || matches!((&first, &second), (Outcome::Done { .. }, Outcome::Done { .. })), "{step:?}");
            scene.known = known.after(&step, &second, now);
            scene.account.object.clone_from(&scene.known.object);
        }
    }
    assert_eq!(scene.sim.deleted_users(TENANT).len(), 1);
}
