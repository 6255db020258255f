//! The proof of access: signing in, and no longer being able to.

use latchkey_simulators::graph::{GroupSeed, Refused};
use serde_json::json;

use crate::bench::{Bench, EXCHANGE_ADMIN, GLOBAL_ADMIN, TENANT, new_user, upn};

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
    assert_eq!(inside.groups, [group.clone()]);
    hand.remove_role(&user, GLOBAL_ADMIN);
    hand.leave_group(&user, &group);
    let inside = bench.graph.use_session(&inside.session).expect("access is on");
    assert!(inside.roles.is_empty());
    hand.delete(&user);
    assert_eq!(bench.graph.use_session(&inside.session), Err(Refused::NoUser));
    hand.purge(&user);
    assert_eq!(bench.graph.user(TENANT, &user), None);
}
