//! The life of an account: made, found, changed, deleted, restored.

use latchkey_simulators::graph::{Actor, UserSeed, What};
use latchkey_simulators::{Act, Fault};
use serde_json::{Value, json};

use crate::bench::{APP, Bench, GLOBAL_ADMIN, TENANT, new_user, upn};

#[tokio::test]
async fn a_created_user_is_found_by_id_and_by_name() {
    let bench = Bench::new().await;
    let got = bench.post("users", new_user("jit-jdoe")).await.is(201);
    let id = got.id();
    assert!(got.headers["location"].to_str().expect("text").contains(&id));
    assert_eq!(got.body.get("accountEnabled"), None);
    let name = upn("jit-jdoe");
    for key in [id.clone(), name.to_uppercase(), name] {
        let path = format!("users/{key}?$select=id,accountEnabled,isManagementRestricted,passwordProfile");
        let got = bench.get(&path).await.is(200);
        assert_eq!(got.id(), id);
        assert_eq!(got.body["accountEnabled"], false);
        assert_eq!(got.body["isManagementRestricted"], false);
        assert_eq!(got.body["passwordProfile"], Value::Null);
    }
    assert_eq!(bench.get(&format!("users/{id}")).await.body.get("accountEnabled"), None);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_creates_nothing() {
    let bench = Bench::new().await;
    let change = |field: &str, value: Value| {
        let mut body = new_user("jit-jdoe");
        body[field] = value;
        body
    };
    let weak = json!({"password": "short"});
    for (body, text) in [
        (change("displayName", Value::Null), "A value is required for property 'displayName'"),
        (change("accountEnabled", Value::Null), "A value is required for property 'accountEnabled'"),
        (change("passwordProfile", Value::Null), "A password must be specified"),
        (change("passwordProfile", weak), "does not comply with password complexity requirements"),
        (change("userPrincipalName", json!("a@other.example")), "The domain portion of the userPrincipalName"),
        (change("userPrincipalName", json!("a b@contoso.onmicrosoft.com")), "userPrincipalName is invalid"),
        (change("mailNickname", json!("x".repeat(65))), "property 'mailNickname'"),
        (change("displayName", json!("x".repeat(257))), "property 'displayName'"),
        (change("accountEnabled", json!("true")), "property 'accountEnabled'"),
        (change("favouriteColour", json!("blue")), "favouriteColour"),
        (change("extension_00_x", json!("y")), "One or more property values specified are invalid"),
    ] {
        let got = bench.post("users", body).await.is(400);
        assert_eq!(got.code(), "Request_BadRequest");
        assert!(got.message().contains(text), "{} lacks {text}", got.message());
    }
    assert!(bench.graph.users(TENANT).is_empty());
}

#[tokio::test]
async fn names_addresses_and_quotas_are_guarded() {
    let bench = Bench::new().await;
    let mut seed = UserSeed::new(&upn("other"));
    seed.properties.insert("proxyAddresses".into(), json!([format!("SMTP:{}", upn("jit-a"))]));
    bench.graph.add_user(TENANT, seed);
    let got = bench.post("users", new_user("jit-a")).await.is(400);
    assert!(got.message().contains("property proxyAddresses already exists."));

    bench.graph.add_domain(TENANT, "federated.example", true, true);
    bench.graph.add_domain(TENANT, "unproven.example", false, false);
    for domain in ["federated.example", "unproven.example"] {
        let mut body = new_user("jit-b");
        body["userPrincipalName"] = json!(format!("jit-b@{domain}"));
        bench.post("users", body).await.is(400);
    }
    bench.graph.set_quota(TENANT, Some(1));
    assert_eq!(bench.post("users", new_user("jit-c")).await.is(403).code(), "Directory_QuotaExceeded");
}

#[tokio::test]
async fn a_new_user_is_missing_until_it_has_been_replicated() {
    let bench = Bench::new().await;
    bench.graph.knobs(|knobs| knobs.user_delay_ms = 5_000);
    let id = bench.post("users", new_user("jit-jdoe")).await.is(201).id();
    bench.get(&format!("users/{id}")).await.is(404);
    bench.patch(&format!("users/{id}"), json!({"accountEnabled": true})).await.is(404);
    bench.assign(&id, GLOBAL_ADMIN).await.is(404);
    assert!(bench.get("users").await.values().is_empty());
    // The name is taken all the same.
    bench.post("users", new_user("jit-jdoe")).await.is(400);
    bench.advance(5_000);
    bench.get(&format!("users/{id}")).await.is(200);
}

#[tokio::test]
async fn one_refused_property_fails_the_whole_patch() {
    let bench = Bench::with_plain_rights().await;
    let admin = bench.add_admin("boss", GLOBAL_ADMIN);
    let body = json!({"displayName": "New", "accountEnabled": false});
    bench.patch(&format!("users/{admin}"), body).await.is(403);
    let user = bench.graph.user(TENANT, &admin).expect("the user");
    assert_eq!((&user["displayName"], &user["accountEnabled"]), (&json!("boss"), &json!(true)));

    let plain = bench.add("plain");
    let body = json!({"displayName": "New", "userPrincipalName": upn("boss")});
    bench.patch(&format!("users/{plain}"), body).await.is(400);
    assert_eq!(bench.graph.user(TENANT, &plain).expect("the user")["displayName"], "plain");
    bench.patch(&format!("users/{admin}"), json!({"displayName": "New"})).await.is(204);
}

#[tokio::test]
async fn a_user_can_be_renamed_enabled_and_marked() {
    let bench = Bench::new().await;
    let marker = bench.graph.define_extension(APP, "jitGrantId");
    let id = bench.post("users", new_user("jit-jdoe")).await.id();
    let path = format!("users/{id}");
    bench.patch(&path, json!({"accountEnabled": true})).await.is(204);
    bench.patch(&path, json!({"userPrincipalName": "jit-other@elsewhere.example"})).await.is(400);
    bench.patch(&path, json!({"userPrincipalName": upn("jit-other")})).await.is(204);
    bench.patch(&path, json!({"onPremisesExtensionAttributes": {"extensionAttribute1": "a"}})).await.is(204);
    let more = json!({"onPremisesExtensionAttributes": {"extensionAttribute2": "b"}, marker.clone(): "g_1"});
    bench.patch(&path, more).await.is(204);
    let path = format!("users/{}?$select=accountEnabled,onPremisesExtensionAttributes,{marker}", upn("jit-other"));
    let got = bench.get(&path).await.is(200);
    assert_eq!(got.body["accountEnabled"], true);
    let attributes = &got.body["onPremisesExtensionAttributes"];
    assert_eq!((&attributes["extensionAttribute1"], &attributes["extensionAttribute2"]), (&json!("a"), &json!("b")));
    assert_eq!(got.body[&marker], "g_1");
    bench.patch(&format!("users/{id}"), json!({"isManagementRestricted": true})).await.is(400);
    let got = bench.get(&format!("users/{id}?$select=nonsense")).await.is(400);
    assert!(got.message().contains("nonsense"));
}

#[tokio::test]
async fn a_deleted_user_frees_its_name_and_comes_back_with_its_roles() {
    let bench = Bench::new().await;
    let id = bench.post("users", new_user("jit-jdoe")).await.id();
    bench.assign(&id, GLOBAL_ADMIN).await.is(201);
    bench.delete(&format!("users/{id}")).await.is(204);
    bench.delete(&format!("users/{id}")).await.is(404);
    assert!(bench.roles_of(&id).await.values().is_empty());
    let gone = bench.get(&format!("directory/deletedItems/{id}")).await.is(200);
    let mangled = format!("{}{}", id.replace('-', ""), upn("jit-jdoe"));
    assert_eq!(gone.body["userPrincipalName"], *mangled);
    assert_eq!(bench.get("directory/deletedItems/microsoft.graph.user").await.values().len(), 1);

    let second = bench.post("users", new_user("jit-jdoe")).await.is(201).id();
    let restore = format!("directory/deletedItems/{id}/restore");
    bench.post(&restore, json!({})).await.is(400);
    bench.delete(&format!("users/{second}")).await.is(204);
    bench.post(&restore, json!({})).await.is(200);
    assert_eq!(bench.roles_of(&id).await.values().len(), 1);
}

#[tokio::test]
async fn deleting_for_good_is_for_people_and_happens_by_itself_after_thirty_days() {
    let mut bench = Bench::new().await;
    let (one, two) = (bench.add("one"), bench.add("two"));
    for id in [&one, &two] {
        bench.delete(&format!("users/{id}")).await.is(204);
    }
    let path = format!("directory/deletedItems/{one}");
    bench.delete(&path).await.is(403);
    bench.graph.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
    bench.delete(&path).await.is(204);
    bench.delete(&path).await.is(404);
    assert_eq!(bench.graph.user(TENANT, &one), None);
    bench.advance(30 * 24 * 3_600_000);
    bench.renew().await;
    bench.get(&format!("directory/deletedItems/{two}")).await.is(404);
}

#[tokio::test]
async fn every_write_is_in_the_log_with_its_author() {
    let bench = Bench::new().await;
    let id = bench.post("users", new_user("jit-jdoe")).await.id();
    bench.advance(1_000);
    bench.patch(&format!("users/{id}"), json!({"accountEnabled": true})).await.is(204);
    bench.advance(1_000);
    bench.graph.by_hand(TENANT).rename(&id, &upn("stolen"));
    bench.graph.by_hand(TENANT).disable(&id);
    let app = Actor::App(APP.into());
    let seen: Vec<_> = bench.graph.events().into_iter().filter(|event| event.object == id).collect();
    let short: Vec<_> = seen.iter().map(|e| (e.at_ms - seen[0].at_ms, e.actor.clone(), e.what)).collect();
    let expected = [
        (0, app.clone(), What::UserCreated),
        (1_000, app, What::UserEnabled),
        (2_000, Actor::SomebodyElse, What::UserUpdated),
        (2_000, Actor::SomebodyElse, What::UserDisabled),
    ];
    assert_eq!(short, expected);
    assert!(!format!("{seen:?}").contains("Vq8-zurk"));
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_leaves_the_user_behind() {
    let bench = Bench::new().await;
    bench.graph.faults().add(Fault::on("POST /users", Act::ResetAfter).once());
    let url = format!("{}/v1.0/users", bench.graph.base_url());
    let sent = bench.client.post(url).bearer_auth(&bench.token).json(&new_user("jit-jdoe")).send().await;
    assert!(sent.is_err());
    bench.get(&format!("users/{}", upn("jit-jdoe"))).await.is(200);
    bench.post("users", new_user("jit-jdoe")).await.is(400);
}

#[tokio::test]
async fn answers_carry_the_vendors_headers() {
    let bench = Bench::new().await;
    let got = bench
        .send(reqwest::Method::GET, "users?$select=id&$top=5", None, &[("client-request-id", "my-own-id")])
        .await
        .is(200);
    assert_eq!(got.headers["client-request-id"], "my-own-id");
    assert_eq!(got.headers["odata-version"], "4.0");
    assert_eq!(got.headers["x-ms-resource-unit"], "1");
    assert_eq!(got.headers["date"], "Tue, 01 Sep 2026 10:00:00 GMT");
    assert!(got.headers.contains_key("request-id"));
    let missing = bench.get("users/nobody").await.is(404);
    let inner = &missing.body["error"]["innerError"];
    assert_eq!(inner["date"], "2026-09-01T10:00:00");
    assert_eq!(inner["request-id"], missing.headers["request-id"].to_str().expect("text"));
    let stray = bench.get("users/nobody/photos").await.is(400);
    assert_eq!(stray.code(), "BadRequest");
}

impl Bench {
    async fn with_plain_rights() -> Self {
        Self::with(&["User.ReadWrite.All"], &[], latchkey_simulators::graph::Licence::P2).await
    }
}
