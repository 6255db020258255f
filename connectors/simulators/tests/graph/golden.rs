//! Answers against the vendor's own bodies.

use latchkey_simulators::graph::{Licence, PimPolicy, TapPolicy, Throttle};
use serde_json::{Value, json};

use crate::bench::{Bench, CORE, DOMAIN, EXCHANGE_ADMIN, GLOBAL_ADMIN, PAA, TENANT, new_user};

/// Keys whose values differ from call to call; their kind must be the same.
const VARYING: [&str; 19] = [
    "@odata.context",
    "access_token",
    "client-request-id",
    "completedDateTime",
    "correlation_id",
    "createdDateTime",
    "date",
    "error_description",
    "id",
    "principalId",
    "request-id",
    "startDateTime",
    "targetScheduleId",
    "temporaryAccessPass",
    "timestamp",
    "trace_id",
    "@odata.nextLink",
    "user",
    "application",
];

fn golden(name: &str) -> Value {
    let path = format!("{}/golden/graph/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).expect("golden files are JSON")
}

#[track_caller]
fn assert_golden(name: &str, seen: &Value) {
    let mut differences = Vec::new();
    compare("", &golden(name), seen, &mut differences);
    assert!(differences.is_empty(), "{name}: {differences:#?}\n{seen:#}");
}

fn compare(at: &str, want: &Value, have: &Value, differences: &mut Vec<String>) {
    match (want, have) {
        (Value::Object(w), Value::Object(h)) => {
            for key in w.keys().chain(h.keys()) {
                match (w.get(key), h.get(key)) {
                    (Some(w), Some(h)) if VARYING.contains(&key.as_str()) && !w.is_object() => {
                        if kind(w) != kind(h) {
                            differences.push(format!("{at}/{key}: another kind of value"));
                        }
                    }
                    (Some(w), Some(h)) => compare(&format!("{at}/{key}"), w, h, differences),
                    (w, _) => {
                        let side = if w.is_some() { "missing" } else { "too much" };
                        differences.push(format!("{at}/{key}: {side}"));
                    }
                }
            }
        }
        _ if want == have => {}
        _ => differences.push(format!("{at}: {have} instead of {want}")),
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[tokio::test]
async fn the_token_endpoint_answers_as_recorded() {
    let bench = Bench::new().await;
    let ok = bench.ask_token(&bench.secret_form(crate::bench::SECRET)).await.is(200);
    assert_golden("token_ok", &ok.body);
    let wrong = bench.ask_token(&bench.secret_form("wrong")).await.is(401);
    assert_golden("token_wrong_secret", &wrong.body);
    let (want, have) = (golden("token_wrong_secret"), wrong.body);
    let stable = |body: &Value| {
        body["error_description"].as_str().and_then(|t| t.split(" Trace ID").next()).map(ToOwned::to_owned)
    };
    assert_eq!(stable(&want), stable(&have));
}

#[tokio::test]
async fn an_expired_token_is_answered_as_recorded() {
    let bench = Bench::new().await;
    bench.advance(3_600_000);
    assert_golden("token_expired_401", &bench.get("organization").await.is(401).body);
}

#[tokio::test]
async fn users_are_answered_as_recorded() {
    let bench = Bench::new().await;
    let created = bench.post("users", new_user("jit-jdoe")).await.is(201);
    assert_golden("user_created", &created.body);
    let taken = bench.post("users", new_user("jit-jdoe")).await.is(400);
    assert_golden("user_name_taken", &taken.body);
    let missing = bench.get("users/jit-x@contoso.onmicrosoft.com").await.is(404);
    assert_golden("user_not_found", &missing.body);
    let path = format!("users/{}/revokeSignInSessions", created.id());
    assert_golden("sessions_revoked", &bench.post(&path, json!({})).await.is(200).body);
}

#[tokio::test]
async fn domains_are_answered_as_recorded() {
    let bench = Bench::new().await;
    let mut body = bench.get("domains").await.is(200).body;
    let first = body["value"][0].take();
    assert_golden("domains", &json!({ "value": [first] }));
    assert_eq!(golden("domains")["value"][0]["id"], DOMAIN);
}

#[tokio::test]
async fn refusals_are_answered_as_recorded() {
    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    let admin = bench.add_admin("boss", GLOBAL_ADMIN);
    let off = json!({"accountEnabled": false});
    let denied = bench.patch(&format!("users/{admin}"), off.clone()).await.is(403);
    assert_golden("denied", &denied.body);
    let shielded = bench.add("breakglass");
    bench.graph.add_unit(TENANT, "Break glass", true, &[&shielded]);
    let restricted = bench.patch(&format!("users/{shielded}"), off).await.is(403);
    assert_golden("denied_restricted_unit", &restricted.body);
}

#[tokio::test]
async fn roles_are_answered_as_recorded() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    assert_golden("role_assignment", &bench.assign(&user, EXCHANGE_ADMIN).await.is(201).body);
    assert_golden("role_conflict", &bench.assign(&user, EXCHANGE_ADMIN).await.is(400).body);
}

fn pim_body(principal: &str) -> Value {
    json!({
        "action": "adminAssign", "principalId": principal, "roleDefinitionId": GLOBAL_ADMIN,
        "directoryScopeId": "/", "justification": "Ticket T-48213: mailbox migration",
        "scheduleInfo": {
            "startDateTime": "2026-09-01T10:00:00Z",
            "expiration": {"type": "afterDuration", "duration": "PT4H"},
        },
        "ticketInfo": {"ticketNumber": "T-48213", "ticketSystem": "HaloPSA"},
    })
}

#[tokio::test]
async fn pim_is_answered_as_recorded() {
    const PATH: &str = "roleManagement/directory/roleAssignmentScheduleRequests";
    let bench = Bench::new().await;
    let user = bench.add("jane");
    assert_golden("pim_request", &bench.post(PATH, pim_body(&user)).await.is(201).body);

    let nobody = bench.post(PATH, pim_body("00000000-0000-4000-8000-00000000dead")).await.is(404);
    assert_golden("pim_subject_not_found", &nobody.body);

    let rules = ["Justification", "Ticketing", "MultiFactorAuthentication"];
    let strict = PimPolicy {
        enabled_rules: rules.map(ToOwned::to_owned).to_vec(),
        is_expiration_required: true,
        maximum_duration: "PT1H".into(),
    };
    bench.graph.set_pim_policy(TENANT, EXCHANGE_ADMIN, strict);
    let mut body = pim_body(&user);
    body["roleDefinitionId"] = json!(EXCHANGE_ADMIN);
    body["justification"] = Value::Null;
    body["ticketInfo"] = Value::Null;
    assert_golden("pim_policy_failed", &bench.post(PATH, body).await.is(400).body);

    bench.graph.set_licence(TENANT, Licence::P1);
    assert_golden("pim_no_licence", &bench.post(PATH, pim_body(&user)).await.is(400).body);
}

#[tokio::test]
async fn a_pass_is_answered_as_recorded() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    bench.graph.set_tap_policy(TENANT, TapPolicy { is_enabled: true, ..TapPolicy::default() });
    let body = json!({"lifetimeInMinutes": 240, "isUsableOnce": false, "startDateTime": "2026-09-01T10:05:00Z"});
    let path = format!("users/{user}/authentication/temporaryAccessPassMethods");
    assert_golden("tap_created", &bench.post(&path, body).await.is(201).body);
}

#[tokio::test]
async fn a_member_twice_is_answered_as_recorded() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let group = bench.graph.add_group(TENANT, latchkey_simulators::graph::GroupSeed::default());
    let link = json!({"@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{user}")});
    let path = format!("groups/{group}/members/$ref");
    bench.post(&path, link.clone()).await.is(204);
    assert_golden("member_exists", &bench.post(&path, link).await.is(400).body);
}

#[tokio::test]
async fn throttling_is_answered_as_recorded() {
    let bench = Bench::with(&CORE, &[PAA], Licence::P2).await;
    bench.graph.knobs(|knobs| {
        knobs.throttle = Some(Throttle { units: 2, window_ms: 10_000, sends_retry_after: true });
    });
    bench.get("users").await.is(200);
    let got = bench.get("users").await.is(429);
    assert_golden("too_many_requests", &got.body);
    assert_eq!(got.headers["retry-after"], "10");
    assert_eq!(got.headers["x-ms-throttle-information"], "ResourceUnitLimitExceeded");
    bench.advance(10_000);
    bench.get("users").await.is(200);

    bench.graph.knobs(|knobs| knobs.throttle = None);
    bench
        .graph
        .faults()
        .add(latchkey_simulators::Fault::on("GET /users", latchkey_simulators::graph::throttled(None)).once());
    let bare = bench.get("users").await.is(429);
    assert_golden("too_many_requests", &bare.body);
    assert!(!bare.headers.contains_key("retry-after"));
}
