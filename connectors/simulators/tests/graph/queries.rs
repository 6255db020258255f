//! Lists: filters, pages, and the refusal of what is not understood.

use latchkey_simulators::graph::UserSeed;
use serde_json::json;

use crate::bench::{Bench, TENANT, upn};

fn names(got: &crate::bench::Got) -> Vec<String> {
    let name = |user: &serde_json::Value| user["displayName"].as_str().unwrap_or_default().to_owned();
    got.values().iter().map(name).collect()
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let bench = Bench::new().await;
    for name in ["ann", "bob", "o'neil"] {
        bench.add(name);
    }
    let mut seed = UserSeed::new(&upn("zoe"));
    seed.enabled = false;
    bench.graph.add_user(TENANT, seed);
    for (filter, want) in [
        ("displayName eq 'O''Neil'", vec!["o'neil"]),
        ("startswith(userPrincipalName,'b')", vec!["bob"]),
        ("startswith(displayName,'a') and accountEnabled eq true", vec!["ann"]),
        ("displayName in ('ann','bob')", vec!["ann", "bob"]),
        ("accountEnabled eq false or displayName eq 'ann'", vec!["ann", "zoe"]),
        ("createdDateTime gt 2026-09-01T10:00:00Z", vec![]),
    ] {
        assert_eq!(names(&bench.get(&format!("users?$filter={filter}")).await.is(200)), want, "{filter}");
    }
    let sorted = bench.get("users?$orderby=displayName desc&$top=1").await.is(200);
    assert_eq!(names(&sorted), ["zoe"]);
}

#[tokio::test]
async fn a_query_that_is_not_understood_never_means_all() {
    let bench = Bench::new().await;
    bench.add("ann");
    for (query, code) in [
        ("$filter=nonsense eq 'x'", "Request_UnsupportedQuery"),
        ("$filter=passwordProfile ne null", "Request_UnsupportedQuery"),
        ("$filter=displayName ne 'x'", "Request_UnsupportedQuery"),
        ("$filter=displayName like 'x'", "BadRequest"),
        ("$filter=", "BadRequest"),
        ("$search=\"displayName:ann\"", "Request_UnsupportedQuery"),
        ("$expand=manager", "Request_UnsupportedQuery"),
        ("$top=1000", "Request_BadRequest"),
        ("$top=0", "Request_BadRequest"),
        ("$skiptoken=x", "Request_BadRequest"),
        ("$select=id,nonsense", "Request_BadRequest"),
        ("$orderby=createdDateTime", "Request_UnsupportedQuery"),
    ] {
        assert_eq!(bench.get(&format!("users?{query}")).await.is(400).code(), code, "{query}");
    }
}

#[tokio::test]
async fn pages_hold_every_user_once_though_some_vanish_on_the_way() {
    let bench = Bench::new().await;
    let ids: Vec<String> = (0..7).map(|n| bench.add(&format!("u{n}"))).collect();
    let mut page = bench.get("users?$top=3&$select=id,displayName").await.is(200);
    let mut seen = names(&page);
    bench.graph.by_hand(TENANT).delete(&ids[1]);
    while let Some(next) = page.body["@odata.nextLink"].as_str().map(ToOwned::to_owned) {
        assert!(next.contains("skiptoken") && next.contains("%24select"));
        page = bench.get(&next).await.is(200);
        seen.extend(names(&page));
    }
    assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    bench.graph.knobs(|knobs| knobs.page_size = 2);
    assert_eq!(bench.get("users").await.is(200).values().len(), 2);
}

#[tokio::test]
async fn advanced_queries_read_an_index_that_lags() {
    let bench = Bench::new().await;
    bench.graph.knobs(|knobs| knobs.index_delay_ms = 30_000);
    bench.post("users", crate::bench::new_user("jit")).await.is(201);
    let path = "users?$count=true&$filter=displayName ne 'x'";
    assert_eq!(bench.query(path).await.is(200).body["@odata.count"], json!(0));
    assert_eq!(bench.get("users").await.values().len(), 1);
    bench.advance(30_000);
    assert_eq!(bench.query(path).await.is(200).body["@odata.count"], json!(1));
}

#[tokio::test]
async fn a_tenant_changes_under_the_hands_of_its_administrators() {
    let bench = Bench::new().await;
    let graph = &bench.graph;
    graph.set_domain(TENANT, "contoso.example", false, true);
    graph.set_default_domain(TENANT, "contoso.example");
    let domains = bench.get("domains").await.is(200);
    let own = &domains.values()[1];
    assert_eq!((&own["isVerified"], &own["authenticationType"]), (&json!(false), &json!("Federated")));
    assert_eq!((&own["isDefault"], &domains.values()[0]["isDefault"]), (&json!(true), &json!(false)));
    graph.remove_domain(TENANT, "contoso.example");
    assert_eq!(bench.get("domains").await.values().len(), 1);

    let custom = graph.add_custom_role(TENANT, "Printer Wizard");
    let path = format!("roleManagement/directory/roleDefinitions/{custom}");
    graph.set_role_enabled(TENANT, &custom, false);
    assert_eq!(bench.get(&path).await.body["isEnabled"], false);
    graph.set_role_enabled(TENANT, &custom, true);
    assert_eq!(bench.get(&path).await.body["isEnabled"], true);
    graph.remove_custom_role(TENANT, &custom);
    bench.get(&path).await.is(404);

    let seed = latchkey_simulators::graph::GroupSeed { display_name: "x".to_owned(), ..Default::default() };
    let group = graph.add_group(TENANT, seed);
    graph.make_group_dynamic(TENANT, &group);
    assert_eq!(bench.get(&format!("groups/{group}")).await.body["groupTypes"], json!(["DynamicMembership"]));
    graph.remove_group(TENANT, &group);
    bench.get(&format!("groups/{group}")).await.is(404);
}

#[tokio::test]
async fn answers_carry_the_simulators_time_or_a_wrong_one() {
    let bench = Bench::new().await;
    let date = async || bench.get("domains").await.headers["date"].to_str().unwrap().to_owned();
    assert_eq!(date().await, "Tue, 01 Sep 2026 10:00:00 GMT");
    bench.graph.knobs(|knobs| knobs.date_off_ms = 180_000);
    assert_eq!(date().await, "Tue, 01 Sep 2026 10:03:00 GMT");
    let token = bench.ask_token(&bench.secret_form(crate::bench::SECRET)).await;
    assert_eq!(token.headers["date"], "Tue, 01 Sep 2026 10:03:00 GMT");
}
