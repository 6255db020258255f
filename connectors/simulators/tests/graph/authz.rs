//! Who may do what to whom, app-only.

use latchkey_simulators::graph::{GroupSeed, Licence};
use serde_json::json;

use crate::bench::{Bench, CORE, EXCHANGE_ADMIN, GLOBAL_ADMIN, HELPDESK, PAA, TENANT, USER_ADMIN, new_user};

const AUTH_ADMIN: &str = "c4e39bd9-1100-46d3-8c65-fb160da0071f";
const REPORTS_READER: &str = "4a5d8f65-41da-4de4-8968-e035b65339cf";

async fn disable(bench: &Bench, user: &str) -> u16 {
    bench.patch(&format!("users/{user}"), json!({"accountEnabled": false})).await.status
}

async fn rotate(bench: &Bench, user: &str) -> u16 {
    let body = json!({"passwordProfile": {"password": "Nw8-zurk-Plim-0427", "forceChangePasswordNextSignIn": false}});
    bench.patch(&format!("users/{user}"), body).await.status
}

#[tokio::test]
async fn the_matrix_of_sensitive_actions_holds() {
    // Role of the service principal, and whom it may disable: plain, reports reader,
    // authentication administrator, helpdesk, exchange, global administrator.
    for (role, allowed) in [
        (None, [true, false, false, false, false, false]),
        (Some(REPORTS_READER), [true, false, false, false, false, false]),
        (Some(AUTH_ADMIN), [true, true, true, false, false, false]),
        (Some(USER_ADMIN), [true, true, false, true, false, false]),
        (Some(PAA), [true; 6]),
        (Some(GLOBAL_ADMIN), [true; 6]),
    ] {
        let roles: Vec<&str> = role.into_iter().collect();
        let bench = Bench::with(&CORE, &roles, Licence::P2).await;
        let mut targets = vec![bench.add("plain")];
        for held in [REPORTS_READER, AUTH_ADMIN, HELPDESK, EXCHANGE_ADMIN, GLOBAL_ADMIN] {
            targets.push(bench.add_admin(&held[..8], held));
        }
        for (target, allowed) in targets.iter().zip(allowed) {
            let want = if allowed { 204 } else { 403 };
            assert_eq!(disable(&bench, target).await, want, "{role:?} on {target}");
            assert_eq!(bench.delete(&format!("users/{target}")).await.status, want, "{role:?} on {target}");
        }
    }
}

#[tokio::test]
async fn a_password_needs_a_role_even_over_plain_users() {
    for (role, plain, admin) in [(None, 403, 403), (Some(USER_ADMIN), 204, 403), (Some(PAA), 204, 204)] {
        let roles: Vec<&str> = role.into_iter().collect();
        let bench = Bench::with(&CORE, &roles, Licence::P2).await;
        let (nobody, boss) = (bench.add("plain"), bench.add_admin("boss", GLOBAL_ADMIN));
        assert_eq!(rotate(&bench, &nobody).await, plain, "{role:?}");
        assert_eq!(rotate(&bench, &boss).await, admin, "{role:?}");
    }
    let without = Bench::with(&["User.ReadWrite.All"], &[PAA], Licence::P2).await;
    let user = without.add("plain");
    assert_eq!(rotate(&without, &user).await, 403);
}

#[tokio::test]
async fn a_role_assignable_group_protects_its_members_and_owners() {
    let bench = Bench::with(&CORE, &[USER_ADMIN], Licence::P2).await;
    let group = bench.graph.add_group(
        TENANT,
        GroupSeed { is_assignable_to_role: true, display_name: "Admins".into(), ..GroupSeed::default() },
    );
    let (member, owner) = (bench.add("member"), bench.add("owner"));
    assert_eq!(disable(&bench, &member).await, 204);
    bench.graph.by_hand(TENANT).join_group(&member, &group);
    bench.graph.by_hand(TENANT).own_group(&owner, &group);
    assert_eq!(disable(&bench, &member).await, 403);
    assert_eq!(disable(&bench, &owner).await, 403);
}

#[tokio::test]
async fn an_eligible_role_protects_unless_the_knob_says_otherwise() {
    let bench = Bench::with(&CORE, &[USER_ADMIN], Licence::P2).await;
    let user = bench.add("staff");
    bench.graph.add_eligibility(TENANT, &user, GLOBAL_ADMIN);
    assert_eq!(disable(&bench, &user).await, 403);
    bench.graph.knobs(|knobs| knobs.eligible_protects = false);
    assert_eq!(disable(&bench, &user).await, 204);
}

#[tokio::test]
async fn a_protected_account_is_free_again_once_the_role_is_gone() {
    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    let user = bench.add("jane");
    let assignment = bench.assign(&user, GLOBAL_ADMIN).await.is(201).id();
    assert_eq!(disable(&bench, &user).await, 403);
    bench.delete(&format!("roleManagement/directory/roleAssignments/{assignment}")).await.is(204);
    assert_eq!(disable(&bench, &user).await, 204);
}

#[tokio::test]
async fn a_restricted_unit_shields_from_everybody_without_a_role_scoped_to_it() {
    let mut bench = Bench::with(&CORE, &[GLOBAL_ADMIN], Licence::P2).await;
    let user = bench.add("breakglass");
    let unit = bench.graph.add_unit(TENANT, "Break glass", true, &[&user]);
    let path = format!("users/{user}");
    for body in [json!({"accountEnabled": false}), json!({"displayName": "x"})] {
        let got = bench.patch(&path, body).await.is(403);
        assert!(got.message().contains("restricted management administrative unit"));
    }
    assert_eq!(rotate(&bench, &user).await, 403);
    bench.delete(&path).await.is(403);
    bench.post(&format!("{path}/revokeSignInSessions"), json!({})).await.is(403);
    let seen = bench.get(&format!("{path}?$select=isManagementRestricted")).await.is(200);
    assert_eq!(seen.body["isManagementRestricted"], true);
    let members = bench.get(&format!("directory/administrativeUnits/{unit}/members/microsoft.graph.user")).await;
    assert_eq!(members.is(200).values().len(), 1);

    let scope = format!("/administrativeUnits/{unit}");
    bench.graph.by_hand(TENANT).assign_role(&bench.principal, PAA, &scope);
    bench.renew().await;
    assert_eq!(disable(&bench, &user).await, 204);
    bench.graph.by_hand(TENANT).assign_role(&user, GLOBAL_ADMIN, "/");
    assert_eq!(disable(&bench, &user).await, 403);
}

#[tokio::test]
async fn a_role_scoped_to_a_plain_unit_reaches_its_members_only() {
    let mut bench = Bench::with(&CORE, &[], Licence::P2).await;
    let (inside, outside) = (bench.add("inside"), bench.add("outside"));
    let unit = bench.graph.add_unit(TENANT, "JIT", false, &[&inside]);
    bench.graph.by_hand(TENANT).assign_role(&bench.principal, USER_ADMIN, &format!("/administrativeUnits/{unit}"));
    bench.renew().await;
    assert_eq!(rotate(&bench, &inside).await, 204);
    assert_eq!(rotate(&bench, &outside).await, 403);
}

#[tokio::test]
async fn every_call_asks_for_its_permission() {
    let bench = Bench::with(&["User.Read.All"], &[GLOBAL_ADMIN], Licence::P2).await;
    let user = bench.add("jane");
    let ours = format!("users/{user}");
    bench.get(&ours).await.is(200);
    bench.post("users", new_user("jit")).await.is(403);
    bench.patch(&ours, json!({"accountEnabled": false})).await.is(403);
    bench.delete(&ours).await.is(403);
    bench.post(&format!("{ours}/revokeSignInSessions"), json!({})).await.is(403);
    bench.get("domains").await.is(403);
    bench.get("groups").await.is(403);
    bench.get("directory/administrativeUnits").await.is(403);
    bench.get("roleManagement/directory/roleDefinitions").await.is(403);
    bench.assign(&user, GLOBAL_ADMIN).await.is(403);
    let methods = bench.get(&format!("{ours}/authentication/methods")).await.is(403);
    assert_eq!(methods.code(), "accessDenied");
    let pim = bench.get("roleManagement/directory/roleAssignmentSchedules").await.is(403);
    assert_eq!(pim.code(), "PermissionScopeNotGranted");
}

#[tokio::test]
async fn the_narrow_permissions_are_enough_for_their_call() {
    let narrow = ["User.Read.All", "User.EnableDisableAccount.All", "User.RevokeSessions.All"];
    let bench = Bench::with(&narrow, &[], Licence::P2).await;
    let user = bench.add("jane");
    assert_eq!(disable(&bench, &user).await, 204);
    bench.post(&format!("users/{user}/revokeSignInSessions"), json!({})).await.is(200);
    bench.patch(&format!("users/{user}"), json!({"displayName": "x"})).await.is(403);
    bench.delete(&format!("users/{user}")).await.is(403);
}

#[tokio::test]
async fn revoking_an_administrators_sessions_may_need_a_role() {
    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    let boss = bench.add_admin("boss", GLOBAL_ADMIN);
    let path = format!("users/{boss}/revokeSignInSessions");
    bench.post(&path, json!({})).await.is(200);
    bench.graph.knobs(|knobs| knobs.revoke_admin_needs_paa = true);
    bench.post(&path, json!({})).await.is(403);
}

#[tokio::test]
async fn a_deleted_administrator_is_protected_in_the_recycle_bin_too() {
    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    let boss = bench.add_admin("boss", GLOBAL_ADMIN);
    bench.graph.by_hand(TENANT).delete(&boss);
    bench.post(&format!("directory/deletedItems/{boss}/restore"), json!({})).await.is(403);
}
