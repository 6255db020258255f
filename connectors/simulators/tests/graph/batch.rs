//! Several requests in one.

use serde_json::{Value, json};

use crate::bench::{Bench, TENANT};

fn part(id: &str, method: &str, url: &str) -> Value {
    json!({"id": id, "method": method, "url": url})
}

#[tokio::test]
async fn every_part_has_its_own_status() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let mut patch = part("2", "PATCH", &format!("/users/{user}"));
    patch["body"] = json!({"displayName": "New"});
    patch["headers"] = json!({"Content-Type": "application/json"});
    let mut depends = part("4", "GET", "/users");
    depends["dependsOn"] = json!(["3"]);
    let requests = json!([part("1", "GET", "/users?$select=id"), patch, part("3", "GET", "users/nobody"), depends]);
    let got = bench.post("$batch", json!({ "requests": requests })).await.is(200);
    let status = |id: &str| {
        let all = got.body["responses"].as_array().expect("responses");
        all.iter().find(|part| part["id"] == *id).expect("the part")["status"].clone()
    };
    assert_eq!([status("1"), status("2"), status("3"), status("4")], [200, 204, 404, 424].map(|s| json!(s)));
    assert_eq!(bench.graph.user(TENANT, &user).expect("the user")["displayName"], "New");
}

#[tokio::test]
async fn a_batch_has_its_limits() {
    let bench = Bench::new().await;
    let send = |parts: Vec<Value>| bench.post("$batch", json!({ "requests": parts }));
    let twenty: Vec<Value> = (0..20).map(|n| part(&n.to_string(), "GET", "/users")).collect();
    send(twenty.clone()).await.is(200);
    let mut more = twenty;
    more.push(part("20", "GET", "/users"));
    send(more).await.is(400);
    send(vec![part("1", "GET", "/users"), part("1", "GET", "/users")]).await.is(400);
    let mut bare = part("1", "POST", "/users");
    bare["body"] = json!({});
    send(vec![bare]).await.is(400);
}

#[tokio::test]
async fn a_batch_without_a_token_opens_nothing() {
    let mut bench = Bench::new().await;
    bench.token = "stranger".into();
    let parts = json!({"requests": [part("1", "GET", "/users")]});
    let got = bench.post("$batch", parts).await.is(200);
    assert_eq!(got.body["responses"][0]["status"], 401);
}
