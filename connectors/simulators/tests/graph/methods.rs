//! Authentication methods and Temporary Access Passes.

use latchkey_simulators::graph::{Licence, Refused, TapPolicy};
use serde_json::json;

use crate::bench::{Bench, CORE, GLOBAL_ADMIN, MINUTE, TENANT, upn};

fn enabled() -> TapPolicy {
    TapPolicy { is_enabled: true, ..TapPolicy::default() }
}

#[tokio::test]
async fn methods_are_listed_and_deleted_by_their_type() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let phone = bench.graph.by_hand(TENANT).add_method(&user, "phoneAuthenticationMethod");
    let path = format!("users/{user}/authentication");
    let got = bench.get(&format!("{path}/methods")).await.is(200);
    let kinds: Vec<_> = got.values().iter().map(|method| method["@odata.type"].clone()).collect();
    let want = ["password", "phone"].map(|kind| json!(format!("#microsoft.graph.{kind}AuthenticationMethod")));
    assert_eq!(kinds, want);
    assert_eq!(got.values()[0]["id"], "28c10230-6103-485e-b985-444c60001490");
    bench.delete(&format!("{path}/methods/{phone}")).await.is(400);
    bench.delete(&format!("{path}/fido2Methods/{phone}")).await.is(404);
    bench.delete(&format!("{path}/phoneMethods/{phone}")).await.is(204);
    bench.delete(&format!("{path}/phoneMethods/{phone}")).await.is(404);
    assert!(bench.graph.methods_of(TENANT, &user).is_empty());
}

#[tokio::test]
async fn a_pass_obeys_the_policy() {
    let bench = Bench::new().await;
    let user = bench.add("jane");
    let path = format!("users/{user}/authentication/temporaryAccessPassMethods");
    let off = bench.post(&path, json!({})).await.is(400);
    assert!(off.message().contains("UserCredentialPolicy does not allow"));
    bench.graph.set_tap_policy(TENANT, enabled());
    let short = bench.post(&path, json!({"lifetimeInMinutes": 30})).await.is(400);
    assert_eq!(short.message(), "Invalid LifetimeInMinutes specified. The valid range between 60 and 480.");
    assert_eq!(short.code(), "badRequest");
    bench.graph.set_tap_policy(TENANT, TapPolicy { is_usable_once: true, ..enabled() });
    bench.post(&path, json!({"isUsableOnce": false})).await.is(400);
    let once = bench.post(&path, json!({})).await.is(201);
    assert_eq!(once.body["isUsableOnce"], true);
    assert_eq!(once.body["lifetimeInMinutes"], 60);
    let policy = "policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass";
    assert_eq!(bench.get(policy).await.is(200).body["isUsableOnce"], true);
}

#[tokio::test]
async fn a_code_is_told_once_and_a_new_pass_replaces_the_old_one() {
    let bench = Bench::new().await;
    bench.graph.set_tap_policy(TENANT, enabled());
    let user = bench.add("jane");
    let path = format!("users/{user}/authentication/temporaryAccessPassMethods");
    let first = bench.post(&path, json!({})).await.is(201);
    let second = bench.post(&path, json!({})).await.is(201);
    let listed = bench.get(&path).await.is(200);
    assert_eq!(listed.values().len(), 1);
    assert_eq!(listed.values()[0]["id"], second.body["id"]);
    assert_eq!(listed.values()[0]["temporaryAccessPass"], json!(null));
    let code = |got: &crate::bench::Got| got.body["temporaryAccessPass"].as_str().expect("a code").to_owned();
    let enter = |code: &str| bench.graph.sign_in(TENANT, &upn("jane"), code);
    assert_eq!(enter(&code(&first)), Err(Refused::WrongPassword));
    let session = enter(&code(&second)).expect("the pass works").session;
    bench.advance(60 * MINUTE);
    assert_eq!(bench.graph.use_session(&session), Err(Refused::SessionEnded));
    assert_eq!(enter(&code(&second)), Err(Refused::WrongPassword));
}

#[tokio::test]
async fn a_one_time_pass_works_once_and_a_deleted_one_never() {
    let bench = Bench::new().await;
    bench.graph.set_tap_policy(TENANT, enabled());
    let user = bench.add("jane");
    let path = format!("users/{user}/authentication/temporaryAccessPassMethods");
    let got = bench.post(&path, json!({"isUsableOnce": true})).await.is(201);
    let code = got.body["temporaryAccessPass"].as_str().expect("a code").to_owned();
    assert!(bench.graph.sign_in(TENANT, &upn("jane"), &code).is_ok());
    assert_eq!(bench.graph.sign_in(TENANT, &upn("jane"), &code), Err(Refused::WrongPassword));
    let got = bench.post(&path, json!({})).await.is(201);
    bench.delete(&format!("{path}/{}", got.id())).await.is(204);
    let code = got.body["temporaryAccessPass"].as_str().expect("a code").to_owned();
    assert_eq!(bench.graph.sign_in(TENANT, &upn("jane"), &code), Err(Refused::WrongPassword));
}

#[tokio::test]
async fn a_pass_for_an_administrator_needs_a_role_only_by_the_knob() {
    let bench = Bench::with(&CORE, &[], Licence::P2).await;
    bench.graph.set_tap_policy(TENANT, enabled());
    let boss = bench.add_admin("boss", GLOBAL_ADMIN);
    let path = format!("users/{boss}/authentication/temporaryAccessPassMethods");
    bench.post(&path, json!({})).await.is(201);
    bench.graph.knobs(|knobs| knobs.tap_admin_needs_role = true);
    bench.post(&path, json!({})).await.is(403);
}
