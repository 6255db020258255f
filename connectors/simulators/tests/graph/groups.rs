//! Groups and their members; units; applications and their extensions.

use latchkey_simulators::graph::{GroupSeed, Licence};
use serde_json::{Value, json};

use crate::bench::{APP, Bench, CORE, TENANT, upn};

fn link(id: &str) -> Value {
    json!({"@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{id}")})
}

#[tokio::test]
async fn a_member_joins_and_leaves() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let group = bench.graph.add_group(TENANT, GroupSeed { display_name: "Helpers".into(), ..GroupSeed::default() });
    let members = format!("groups/{group}/members");
    bench.post(&format!("{members}/$ref"), link(&user)).await.is(204);
    assert_eq!(bench.graph.groups_of(TENANT, &user), std::slice::from_ref(&group));
    assert_eq!(bench.get(&members).await.is(200).values()[0]["id"], *user);
    let of = bench.get(&format!("users/{user}/memberOf")).await.is(200);
    assert_eq!(of.values()[0]["@odata.type"], "#microsoft.graph.group");
    bench.delete(&format!("{members}/{user}/$ref")).await.is(204);
    bench.delete(&format!("{members}/{user}/$ref")).await.is(404);
    assert!(bench.graph.groups_of(TENANT, &user).is_empty());
    bench.post(&format!("{members}/$ref"), link("00000000-0000-4000-8000-00000000dead")).await.is(404);
    bench.post(&format!("{members}/$ref"), json!({"@odata.id": "nothing"})).await.is(400);
    let found = bench.get("groups?$filter=displayName eq 'Helpers'").await.is(200);
    assert_eq!(found.values().len(), 1);
}

#[tokio::test]
async fn groups_that_somebody_else_masters_are_not_writable() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    for (seed, status) in [
        (GroupSeed { is_dynamic: true, ..GroupSeed::default() }, 403),
        (GroupSeed { is_synced: true, ..GroupSeed::default() }, 400),
        (GroupSeed { is_mail_enabled: true, ..GroupSeed::default() }, 400),
    ] {
        let group = bench.graph.add_group(TENANT, seed);
        bench.post(&format!("groups/{group}/members/$ref"), link(&user)).await.is(status);
    }
}

#[tokio::test]
async fn a_role_assignable_group_needs_both_permissions_and_no_nesting() {
    let roles = GroupSeed { is_assignable_to_role: true, ..GroupSeed::default() };
    let bench = Bench::with(&["GroupMember.ReadWrite.All"], &[], Licence::P2).await;
    let user = bench.add("jane");
    let group = bench.graph.add_group(TENANT, roles.clone());
    bench.post(&format!("groups/{group}/members/$ref"), link(&user)).await.is(403);

    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    let (user, group) = (bench.add("jane"), bench.graph.add_group(TENANT, roles));
    let inner = bench.graph.add_group(TENANT, GroupSeed::default());
    let path = format!("groups/{group}/members/$ref");
    bench.post(&path, link(&user)).await.is(204);
    let got = bench.post(&path, link(&inner)).await.is(400);
    assert_eq!(got.code(), "NestingNotSupportedForRoleAssignableGroup");
}

#[tokio::test]
async fn forgetting_ref_deletes_the_member_itself() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let group = bench.graph.add_group(TENANT, GroupSeed::default());
    bench.graph.by_hand(TENANT).join_group(&user, &group);
    bench.delete(&format!("groups/{group}/members/{user}")).await.is(204);
    assert_eq!(bench.graph.deleted_users(TENANT).len(), 1);
}

#[tokio::test]
async fn nested_groups_show_transitively_and_owned_ones_apart() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let (inner, outer, owned) = (
        bench.graph.add_group(TENANT, GroupSeed::default()),
        bench.graph.add_group(TENANT, GroupSeed::default()),
        bench.graph.add_group(TENANT, GroupSeed::default()),
    );
    bench.graph.by_hand(TENANT).join_group(&user, &inner);
    bench.graph.by_hand(TENANT).own_group(&user, &owned);
    bench.post(&format!("groups/{outer}/members/$ref"), link(&inner)).await.is(204);
    assert_eq!(bench.get(&format!("users/{user}/memberOf")).await.is(200).values().len(), 1);
    let all = bench.get(&format!("users/{user}/transitiveMemberOf/microsoft.graph.group")).await.is(200);
    assert_eq!(all.values().len(), 2);
    assert_eq!(bench.get(&format!("users/{user}/ownedObjects")).await.is(200).values()[0]["id"], *owned);
}

#[tokio::test]
async fn an_extension_is_defined_once_at_home_and_then_found_by_filter() {
    let rights = [&CORE[..], &["Application.ReadWrite.All"]].concat();
    let bench = Bench::with(&rights, &[], Licence::Free).await;
    let sp = bench.get(&format!("servicePrincipals(appId='{APP}')")).await.is(200);
    assert_eq!(sp.body["id"], *bench.principal);
    let body = json!({"name": "jitGrantId", "dataType": "String", "targetObjects": ["User"]});
    let path = format!("applications(appId='{APP}')/extensionProperties");
    let name = bench.post(&path, body.clone()).await.is(201).body["name"].as_str().expect("a name").to_owned();
    assert_eq!(name, "extension_2f1c0a7be1c44f56b1b2c3d4e5f60718_jitGrantId");
    bench.post(&path, body).await.is(400);
    assert_eq!(bench.get(&path).await.is(200).values().len(), 1);

    bench.add("nobody");
    let user = bench.add("marked");
    bench.patch(&format!("users/{user}"), json!({ name.clone(): "g_1" })).await.is(204);
    let marked = bench.query(&format!("users?$count=true&$filter={name} ne null&$select=id,{name}")).await.is(200);
    assert_eq!(marked.values(), &[json!({"id": user, name.clone(): "g_1"})]);
    let one = bench.get(&format!("users?$filter={name} eq 'g_1'")).await.is(200);
    assert_eq!(one.values()[0]["userPrincipalName"], *upn("marked"));
}
