//! Time-bound assignments: what PIM accepts, refuses, and does by itself.

use latchkey_simulators::graph::{Actor, Licence, PimPolicy, What};
use serde_json::{Value, json};

use crate::bench::{Bench, CORE, EXCHANGE_ADMIN, GLOBAL_ADMIN, MINUTE, START, TENANT, new_user};

const PATH: &str = "roleManagement/directory/roleAssignmentScheduleRequests";

fn request(action: &str, principal: &str) -> Value {
    json!({
        "action": action, "principalId": principal, "roleDefinitionId": EXCHANGE_ADMIN,
        "directoryScopeId": "/", "justification": "T-1",
    })
}

fn until(principal: &str, end: &str) -> Value {
    let mut body = request("adminAssign", principal);
    body["scheduleInfo"] = json!({
        "startDateTime": "2026-09-01T10:00:00Z",
        "expiration": {"type": "AfterDateTime", "endDateTime": end},
    });
    body
}

fn lasting(principal: &str, duration: &str) -> Value {
    let mut body = request("adminAssign", principal);
    body["scheduleInfo"] = json!({"expiration": {"type": "afterDuration", "duration": duration}});
    body
}

async fn refused(bench: &Bench, body: Value, code: &str) {
    let got = bench.post(PATH, body).await;
    assert!(got.status >= 400, "{got:?}");
    assert_eq!(got.code(), code, "{got:?}");
}

#[tokio::test]
async fn an_assignment_ends_by_itself_even_when_nobody_looks() {
    let mut bench = Bench::new().await;
    let user = bench.add("jane");
    let got = bench.post(PATH, until(&user, "2026-09-01T12:00:00Z")).await.is(201);
    assert_eq!(got.body["status"], "Provisioned");
    assert_eq!(got.body["scheduleInfo"]["expiration"]["type"], "afterDateTime");
    assert_eq!(got.body["targetScheduleId"], got.body["id"]);
    assert_eq!(bench.roles_of(&user).await.values().len(), 1);
    let path = format!("roleManagement/directory/roleAssignmentScheduleInstances?$filter=principalId eq '{user}'");
    let instance = bench.get(&path).await.is(200).values()[0].clone();
    assert_eq!(instance["endDateTime"], "2026-09-01T12:00:00Z");
    assert_eq!(instance["roleAssignmentScheduleId"], got.body["id"]);

    bench.advance(120 * MINUTE - 1);
    bench.renew().await;
    assert_eq!(bench.roles_of(&user).await.values().len(), 1);
    bench.advance(2 * MINUTE);
    assert!(bench.roles_of(&user).await.values().is_empty());
    assert!(bench.get(&path).await.values().is_empty());
    let expired = bench.graph.events().into_iter().find(|event| event.what == What::RoleExpired).expect("an expiry");
    assert_eq!((expired.at_ms, expired.actor), (START + 120 * MINUTE, Actor::Vendor));
}

#[tokio::test]
async fn nothing_is_removed_in_the_first_five_minutes() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    bench.post(PATH, lasting(&user, "PT4H")).await.is(201);
    bench.advance(5 * MINUTE - 1);
    refused(&bench, request("adminRemove", &user), "ActiveDurationTooShort").await;
    bench.advance(1);
    let got = bench.post(PATH, request("adminRemove", &user)).await.is(201);
    assert_eq!(got.body["status"], "Revoked");
    assert!(bench.roles_of(&user).await.values().is_empty());
    refused(&bench, request("adminRemove", &user), "RoleAssignmentDoesNotExist").await;
}

#[tokio::test]
async fn a_direct_delete_is_the_emergency_exit() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    bench.post(PATH, lasting(&user, "PT4H")).await.is(201);
    let id = bench.roles_of(&user).await.values()[0]["id"].as_str().expect("an id").to_owned();
    bench.graph.knobs(|knobs| knobs.delete_ends_pim = false);
    let path = format!("roleManagement/directory/roleAssignments/{id}");
    bench.delete(&path).await.is(400);
    bench.graph.knobs(|knobs| knobs.delete_ends_pim = true);
    bench.delete(&path).await.is(204);
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
}

#[tokio::test]
async fn bad_schedules_are_refused() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let bad = "InvalidRoleAssignmentRequestSchedule";
    for body in
        [lasting(&user, "PT4M"), lasting(&user, "4 hours"), until(&user, "2026-09-01T10:04:59Z"), until(&user, "soon")]
    {
        refused(&bench, body, bad).await;
    }
    let mut past = until(&user, "2026-09-01T12:00:00Z");
    past["scheduleInfo"]["startDateTime"] = json!("2026-09-01T09:54:59Z");
    refused(&bench, past, bad).await;
    refused(&bench, request("selfActivate", &user), "InvalidRoleAssignmentRequest").await;
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
}

#[tokio::test]
async fn the_same_role_is_not_given_twice_by_either_road() {
    let bench = Bench::new().await;
    let (one, two) = (bench.add("one"), bench.add("two"));
    bench.post(PATH, lasting(&one, "PT4H")).await.is(201);
    refused(&bench, lasting(&one, "PT4H"), "RoleAssignmentExists").await;
    bench.assign(&one, EXCHANGE_ADMIN).await.is(400);
    bench.assign(&two, EXCHANGE_ADMIN).await.is(201);
    refused(&bench, lasting(&two, "PT4H"), "RoleAssignmentExists").await;
}

#[tokio::test]
async fn an_update_moves_the_end() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let mut update = until(&user, "2026-09-01T14:00:00Z");
    update["action"] = json!("adminUpdate");
    refused(&bench, update.clone(), "RoleAssignmentDoesNotExist").await;
    bench.post(PATH, until(&user, "2026-09-01T12:00:00Z")).await.is(201);
    bench.post(PATH, update).await.is(201);
    let held = bench.graph.assignments(TENANT, &user);
    assert_eq!(held[0]["end_ms"], START + 240 * MINUTE);
    assert_eq!(held.len(), 1);
}

#[tokio::test]
async fn pim_meets_a_new_user_later_than_the_directory_does() {
    let bench = Bench::new().await;
    bench.graph.knobs(|knobs| knobs.pim_delay_ms = 60_000);
    let user = bench.post("users", new_user("jit")).await.id();
    bench.get(&format!("users/{user}")).await.is(200);
    refused(&bench, lasting(&user, "PT4H"), "SubjectNotFound").await;
    bench.advance(60_000);
    bench.post(PATH, lasting(&user, "PT4H")).await.is(201);
}

#[tokio::test]
async fn a_slow_request_is_pending_before_it_works() {
    let bench = Bench::new().await;
    bench.graph.knobs(|knobs| knobs.pim_provisioning_ms = 10_000);
    let user = bench.add("jane");
    let got = bench.post(PATH, lasting(&user, "PT4H")).await.is(201);
    assert_eq!(got.body["status"], "PendingProvisioning");
    assert!(bench.roles_of(&user).await.values().is_empty());
    refused(&bench, lasting(&user, "PT4H"), "PendingRoleAssignmentRequest").await;
    bench.advance(10_000);
    let one = format!("{PATH}/{}", got.id());
    assert_eq!(bench.get(&one).await.is(200).body["status"], "Provisioned");
    assert_eq!(bench.roles_of(&user).await.values().len(), 1);
    bench.post(&format!("{one}/cancel"), json!({})).await.is(400);
}

#[tokio::test]
async fn an_assignment_of_the_future_is_granted_and_can_be_cancelled() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let mut body = until(&user, "2026-09-01T14:00:00Z");
    body["scheduleInfo"]["startDateTime"] = json!("2026-09-01T12:00:00Z");
    let got = bench.post(PATH, body).await.is(201);
    assert_eq!(got.body["status"], "Granted");
    assert!(bench.roles_of(&user).await.values().is_empty());
    bench.post(&format!("{PATH}/{}/cancel", got.id()), json!({})).await.is(204);
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_changes_nothing() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let mut body = lasting(&user, "PT4H");
    body["isValidationOnly"] = json!(true);
    bench.post(PATH, body).await.is(201);
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
    assert!(bench.get(PATH).await.is(200).values().is_empty());
}

#[tokio::test]
async fn the_policy_of_a_role_can_be_read_with_all_its_rules() {
    let bench = Bench::new().await;
    let policy = PimPolicy { is_expiration_required: true, maximum_duration: "PT8H".into(), ..PimPolicy::default() };
    bench.graph.set_pim_policy(TENANT, GLOBAL_ADMIN, policy);
    let list = "policies/roleManagementPolicyAssignments";
    bench.get(list).await.is(400);
    let all = bench.get(&format!("{list}?$filter=scopeId eq '/' and scopeType eq 'Directory'")).await.is(200);
    assert!(all.values().len() > 30);
    let path = format!(
        "{list}?$filter=scopeId eq '/' and scopeType eq 'DirectoryRole' and roleDefinitionId eq '{GLOBAL_ADMIN}'&$expand=policy($expand=rules)"
    );
    let got = bench.get(&path).await.is(200);
    let rules = got.values()[0]["policy"]["rules"].as_array().expect("rules").clone();
    assert_eq!(rules.len(), 17);
    let find = |id: &str| rules.iter().find(|rule| rule["id"] == *id).expect("the rule").clone();
    let expiry = find("Expiration_Admin_Assignment");
    assert_eq!(expiry["@odata.type"], "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule");
    assert_eq!(expiry["maximumDuration"], "PT8H");
    assert_eq!(find("Enablement_Admin_Assignment")["enabledRules"], json!(["Justification"]));
    let id = got.values()[0]["policyId"].as_str().expect("an id").to_owned();
    assert_eq!(bench.get(&format!("policies/roleManagementPolicies/{id}/rules")).await.is(200).values().len(), 17);
}

#[tokio::test]
async fn without_the_licence_even_reading_is_refused() {
    let bench = Bench::with(&CORE, &[], Licence::P1).await;
    let user = bench.add("jane");
    for path in [
        PATH,
        "roleManagement/directory/roleAssignmentSchedules",
        "roleManagement/directory/roleAssignmentScheduleInstances?$top=1",
        "roleManagement/directory/roleEligibilityScheduleInstances",
    ] {
        assert_eq!(bench.get(path).await.is(400).code(), "AadPremiumLicenseRequired");
    }
    refused(&bench, lasting(&user, "PT4H"), "AadPremiumLicenseRequired").await;
    bench.assign(&user, EXCHANGE_ADMIN).await.is(201);
}

#[tokio::test]
async fn a_reaper_may_take_but_not_give() {
    let bench = Bench::with(&["RoleAssignmentSchedule.Remove.Directory"], &[], Licence::P2).await;
    let user = bench.add_admin("jane", EXCHANGE_ADMIN);
    refused(&bench, lasting(&user, "PT4H"), "PermissionScopeNotGranted").await;
    bench.advance(5 * MINUTE);
    bench.post(PATH, request("adminRemove", &user)).await.is(201);
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
}
