//! The proof of access: signing in, and no longer being able to.

use latchkey_simulators::graph::{GroupSeed, Refused, Span};
use serde_json::json;

use crate::bench::{Bench, EXCHANGE_ADMIN, GLOBAL_ADMIN, MINUTE, START, TENANT, new_user, upn};

#[tokio::test]
async fn access_is_on_only_between_enabling_and_disabling() {
    let bench = Bench::new().await;
    let enter = || bench.graph.sign_in(TENANT, &upn("jit"), "Vq8-zurk-Plim-0427");
    assert_eq!(enter(), Err(Refused::NoUser));
    let id = bench.post("users", new_user("jit")).await.id();
    assert_eq!(enter(), Err(Refused::Disabled));
    bench.assign(&id, EXCHANGE_ADMIN).await.is(201);
    bench.patch(&format!("users/{id}"), json!({"accountEnabled": true})).await.is(204);
    let inside = enter().expect("access is on");
    assert_eq!(inside.roles, [(EXCHANGE_ADMIN.to_owned(), "/".to_owned())]);
    assert!(!inside.must_change_password);
    assert_eq!(bench.graph.sign_in(TENANT, &upn("jit"), "wrong"), Err(Refused::WrongPassword));

    bench.patch(&format!("users/{id}"), json!({"accountEnabled": false})).await.is(204);
    assert_eq!(enter(), Err(Refused::Disabled));
    bench.delete(&format!("users/{id}")).await.is(204);
    assert_eq!(enter(), Err(Refused::NoUser));
    let outcomes: Vec<_> = bench.graph.sign_ins().into_iter().map(|attempt| attempt.refused).collect();
    assert_eq!(outcomes.iter().filter(|refused| refused.is_none()).count(), 1);
}

#[tokio::test]
async fn a_session_ends_with_its_revocation_and_with_a_new_password() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let enter = |password: &str| bench.graph.sign_in(TENANT, &upn("jane"), password).expect("access is on").session;
    let session = enter("Seed-Pass-1!");
    bench.graph.use_session(&session).expect("still on");
    bench.post(&format!("users/{user}/revokeSignInSessions"), json!({})).await.is(200);
    assert_eq!(bench.graph.use_session(&session), Err(Refused::SessionEnded));

    let session = enter("Seed-Pass-1!");
    let body = json!({"passwordProfile": {"password": "Nw8-zurk-Plim-0427"}});
    bench.patch(&format!("users/{user}"), body).await.is(204);
    assert_eq!(bench.graph.use_session(&session), Err(Refused::SessionEnded));
    assert!(bench.graph.sign_in(TENANT, &upn("jane"), "Nw8-zurk-Plim-0427").expect("on").must_change_password);
}

#[tokio::test]
async fn somebody_elses_changes_are_felt_at_once() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let hand = bench.graph.by_hand(TENANT);
    hand.reset_password(&user, "Stolen-Pass-9");
    hand.assign_role(&user, GLOBAL_ADMIN, "/");
    let group = bench.graph.add_group(TENANT, GroupSeed { is_assignable_to_role: true, ..GroupSeed::default() });
    hand.assign_role(&group, EXCHANGE_ADMIN, "/");
    hand.join_group(&user, &group);
    let inside = bench.graph.sign_in(TENANT, &upn("jane"), "Stolen-Pass-9").expect("access is on");
    assert_eq!(inside.roles.len(), 2);
    assert_eq!(inside.groups, std::slice::from_ref(&group));
    hand.remove_role(&user, GLOBAL_ADMIN);
    hand.leave_group(&user, &group);
    let inside = bench.graph.use_session(&inside.session).expect("access is on");
    assert!(inside.roles.is_empty());
    hand.delete(&user);
    assert_eq!(bench.graph.use_session(&inside.session), Err(Refused::NoUser));
    hand.purge(&user);
    assert_eq!(bench.graph.user(TENANT, &user), None);
}

#[tokio::test]
async fn the_log_tells_when_access_was_on() {
    let bench = Bench::new().await;
    let id = bench.post("users", new_user("jit")).await.id();
    let path = format!("users/{id}");
    bench.advance(MINUTE);
    bench.patch(&path, json!({"accountEnabled": true})).await.is(204);
    let end = json!({"type": "afterDuration", "duration": "PT10M"});
    let body = json!({
        "action": "adminAssign", "principalId": id, "roleDefinitionId": EXCHANGE_ADMIN,
        "directoryScopeId": "/", "justification": "T-1", "scheduleInfo": {"expiration": end},
    });
    bench.post("roleManagement/directory/roleAssignmentScheduleRequests", body).await.is(201);
    bench.advance(MINUTE);
    bench.patch(&path, json!({"accountEnabled": false})).await.is(204);
    bench.advance(30 * MINUTE);
    bench.graph.by_hand(TENANT).enable(&id);
    let at = |minutes: i64| START + minutes * MINUTE;
    let enabled = bench.graph.enabled_spans(TENANT, &id);
    let first = Span { from_ms: at(1), until_ms: Some(at(2)) };
    assert_eq!(enabled, [first, Span { from_ms: at(32), until_ms: None }]);
    let held = bench.graph.role_spans(TENANT, &id, EXCHANGE_ADMIN);
    assert_eq!(held, [Span { from_ms: at(1), until_ms: Some(at(11)) }]);
    assert!(held[0].covers(at(1)) && !held[0].covers(at(11)));
}
