//! Role definitions and direct assignments.

use latchkey_simulators::graph::{GroupSeed, Licence};
use serde_json::json;

use crate::bench::{Bench, CORE, EXCHANGE_ADMIN, GLOBAL_ADMIN, PAA, TENANT};

const PATH: &str = "roleManagement/directory/roleAssignments";

#[tokio::test]
async fn the_built_in_roles_are_listed_under_their_template_ids() {
    let bench = Bench::new().await;
    let custom = bench.graph.add_custom_role(TENANT, "Mailbox mover");
    let got = bench.get("roleManagement/directory/roleDefinitions?$select=id,displayName,isBuiltIn").await.is(200);
    let find = |id: &str| got.values().iter().find(|role| role["id"] == *id).expect("the role").clone();
    assert_eq!(find(GLOBAL_ADMIN)["displayName"], "Global Administrator");
    assert_eq!(find(&custom)["isBuiltIn"], false);
    let beta = format!(
        "{}/beta/roleManagement/directory/roleDefinitions?$filter=isPrivileged eq true",
        bench.graph.base_url()
    );
    let privileged = bench.get(&beta).await.is(200);
    assert!(privileged.values().iter().any(|role| role["id"] == GLOBAL_ADMIN));
    assert!(!privileged.values().iter().any(|role| role["id"] == EXCHANGE_ADMIN));
}

#[tokio::test]
async fn a_role_is_given_found_and_taken() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let got = bench.assign(&user, EXCHANGE_ADMIN).await.is(201);
    assert!(got.headers.contains_key("location"));
    let path = format!(
        "{PATH}?$filter=principalId eq '{user}' and roleDefinitionId eq '{EXCHANGE_ADMIN}'&$expand=roleDefinition"
    );
    let found = bench.get(&path).await.is(200);
    assert_eq!(found.values()[0]["id"], got.body["id"]);
    assert_eq!(found.values()[0]["roleDefinition"]["displayName"], "Exchange Administrator");
    let one = format!("{PATH}/{}", got.id());
    bench.delete(&one).await.is(204);
    bench.delete(&one).await.is(404);
    assert!(bench.roles_of(&user).await.values().is_empty());
}

#[tokio::test]
async fn a_request_that_names_nothing_is_refused() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    bench.get(PATH).await.is(400);
    bench.assign("00000000-0000-4000-8000-00000000dead", GLOBAL_ADMIN).await.is(404);
    bench.assign(&user, "00000000-0000-4000-8000-00000000dead").await.is(404);
    let nowhere =
        json!({"principalId": user, "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/administrativeUnits/x"});
    bench.post(PATH, nowhere).await.is(400);
    bench.post(PATH, json!({"principalId": user, "roleDefinitionId": GLOBAL_ADMIN})).await.is(400);
    assert!(bench.graph.assignments(TENANT, &user).is_empty());
}

#[tokio::test]
async fn a_role_through_a_group_is_seen_transitively() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let plain = bench.graph.add_group(TENANT, GroupSeed::default());
    bench.assign(&plain, EXCHANGE_ADMIN).await.is(400);
    let group = bench.graph.add_group(TENANT, GroupSeed { is_assignable_to_role: true, ..GroupSeed::default() });
    bench.assign(&group, EXCHANGE_ADMIN).await.is(201);
    bench.graph.by_hand(TENANT).join_group(&user, &group);
    assert!(bench.roles_of(&user).await.values().is_empty());
    let path =
        format!("roleManagement/directory/transitiveRoleAssignments?$count=true&$filter=principalId eq '{user}'");
    bench.get(&path).await.is(400);
    let got = bench.query(&path).await.is(200);
    assert_eq!(got.values()[0]["roleDefinitionId"], EXCHANGE_ADMIN);
    assert_eq!(got.body["@odata.count"], 1);
}

#[tokio::test]
async fn an_application_can_give_itself_the_role_it_needs() {
    let mut bench = Bench::with(&CORE, &[], Licence::Free).await;
    let boss = bench.add_admin("boss", GLOBAL_ADMIN);
    let off = json!({"accountEnabled": false});
    bench.assign(&bench.principal, PAA).await.is(201);
    bench.patch(&format!("users/{boss}"), off.clone()).await.is(403);
    bench.renew().await;
    bench.patch(&format!("users/{boss}"), off).await.is(204);
}

#[tokio::test]
async fn a_property_that_does_not_exist_is_an_error_not_a_null() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    bench.assign(&user, EXCHANGE_ADMIN).await.is(201);
    bench.get(&format!("{PATH}?$filter=principalId eq '{user}'&$select=id,colour")).await.is(400);
    bench.get("roleManagement/directory/roleDefinitions?$filter=isPrivileged eq true").await.is(400);
    bench.get("roleManagement/directory/roleDefinitions?$select=isPrivileged").await.is(400);
}
