//! The token endpoint: who gets a token, what it says, and how refusals are told apart.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use latchkey_simulators::graph::{AppSpec, Licence};
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey as _;
use serde_json::{Value, json};

use crate::bench::{APP, Bench, CORE, DOMAIN, GLOBAL_ADMIN, PAA, SECRET, START, TENANT};

/// A key and its certificate, made once: RSA keys take their time.
struct Holder {
    key: RsaKeyPair,
    certificate: Vec<u8>,
}

fn holder() -> &'static Holder {
    static HOLDER: OnceLock<Holder> = OnceLock::new();
    HOLDER.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let der = key.to_pkcs8_der().expect("PKCS#8");
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der.as_bytes().into(), &rcgen::PKCS_RSA_SHA256)
            .expect("an RSA key");
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
        Holder {
            key: RsaKeyPair::from_pkcs8(der.as_bytes()).expect("ring reads PKCS#8"),
            certificate: certificate.der().to_vec(),
        }
    })
}

fn thumbprint() -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, &holder().certificate).as_ref().to_vec()
}

fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let padding: &dyn RsaEncoding = if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
    let mut signature = vec![0; holder().key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    holder().key.sign(padding, &random, signed.as_bytes(), &mut signature).expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint())})
}

fn claims(bench: &Bench) -> Value {
    json!({
        "aud": format!("{}/{TENANT}/oauth2/v2.0/token", bench.graph.authority()),
        "iss": APP, "sub": APP, "jti": "1", "nbf": START / 1000, "exp": START / 1000 + 600,
    })
}

async fn with_assertion(bench: &Bench, assertion: &str) -> (u16, Value) {
    let form = [
        ("client_id", APP),
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    let got = bench.ask_token(&form).await;
    (got.status, got.body)
}

async fn certified() -> Bench {
    let bench = Bench::new().await;
    bench.graph.set_certificates(APP, vec![holder().certificate.clone()]);
    bench
}

fn token_claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn a_token_says_whose_it_is_and_what_it_may_do() {
    let bench = Bench::new().await;
    let claims = token_claims(&bench.token);
    assert_eq!(claims["tid"], TENANT);
    assert_eq!(claims["appid"], APP);
    assert_eq!(claims["oid"], *bench.principal);
    assert_eq!(claims["idtyp"], "app");
    let mut roles: Vec<&str> = CORE.to_vec();
    roles.sort_unstable();
    assert_eq!(claims["roles"], json!(roles));
    assert!(claims["wids"].as_array().expect("wids").contains(&json!(PAA)));
}

#[tokio::test]
async fn without_consent_a_token_has_no_roles_claim_and_new_rights_need_a_new_token() {
    let mut bench = Bench::with(&[], &[], Licence::P2).await;
    assert_eq!(token_claims(&bench.token).get("roles"), None);
    bench.get("users").await.is(403);
    bench.graph.set_permissions(TENANT, APP, &["User.Read.All"]);
    bench.get("users").await.is(403);
    bench.renew().await;
    bench.get("users").await.is(200);
}

#[tokio::test]
async fn every_client_library_can_prove_its_certificate() {
    let bench = certified().await;
    let plain = sign(&header(), &claims(&bench));
    assert_eq!(with_assertion(&bench, &plain).await.0, 200);

    let mut padded = header();
    padded["x5t#S256"] = json!(URL_SAFE.encode(thumbprint()));
    padded["alg"] = json!("RS256");
    assert_eq!(with_assertion(&bench, &sign(&padded, &claims(&bench))).await.0, 200);

    let mut floats = claims(&bench);
    floats["exp"] = json!((START / 1000 + 600) as f64 + 0.5);
    floats.as_object_mut().expect("claims").remove("nbf");
    assert_eq!(with_assertion(&bench, &sign(&header(), &floats)).await.0, 200);
}

#[tokio::test]
async fn a_bad_assertion_is_refused_by_its_own_code() {
    let bench = certified().await;
    let good = claims(&bench);
    let changed = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        sign(&header(), &claims)
    };
    let mut other_key = header();
    other_key["x5t#S256"] = json!(URL_SAFE_NO_PAD.encode([0; 32]));
    let forged = {
        let real = sign(&header(), &good);
        let (signed, _) = real.rsplit_once('.').expect("a JWT");
        format!("{signed}.{}", STANDARD_NO_PAD.encode([1_u8; 256]).replace(['+', '/'], "A"))
    };
    for (assertion, code) in [
        (changed("aud", json!("https://elsewhere.example/token")), 700023),
        (changed("exp", json!(START / 1000 - 301)), 700024),
        (changed("nbf", json!(START / 1000 + 301)), 700024),
        (changed("iss", json!("somebody")), 700021),
        (sign(&other_key, &good), 700027),
        (forged, 700027),
        ("not-a-jwt".into(), 50027),
    ] {
        let (_, body) = with_assertion(&bench, &assertion).await;
        assert_eq!(body["error_codes"], json!([code]), "{body}");
    }
    bench.graph.set_certificates(APP, vec![]);
    let (status, body) = with_assertion(&bench, &sign(&header(), &good)).await;
    assert_eq!((status, &body["error_codes"]), (401, &json!([700027])));
}

async fn code_of(bench: &Bench, tenant: &str, form: &[(&str, &str)]) -> (u16, u64) {
    let got = bench.ask_token_of(tenant, form).await;
    (got.status, got.body["error_codes"][0].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn every_way_to_lose_access_has_its_code() {
    let bench = Bench::new().await;
    let form = bench.secret_form(SECRET);
    assert_eq!(code_of(&bench, "00000000-0000-4000-8000-000000000009", &form).await, (400, 90002));
    assert_eq!(code_of(&bench, "common", &form).await, (400, 900023));
    assert_eq!(bench.ask_token_of(DOMAIN, &form).await.status, 200);

    let mut strange = form.clone();
    strange[0].1 = "99999999-0000-4000-8000-000000000009";
    assert_eq!(code_of(&bench, TENANT, &strange).await, (400, 700016));
    let mut scope = form.clone();
    scope[2].1 = "User.Read";
    assert_eq!(code_of(&bench, TENANT, &scope).await, (400, 1002012));
    scope[2].1 = "https://graph.microsoft.us/.default";
    assert_eq!(code_of(&bench, TENANT, &scope).await, (400, 500011));

    bench.graph.expire_secret(APP, SECRET, Some(START));
    assert_eq!(code_of(&bench, TENANT, &form).await, (401, 7000222));
    bench.graph.rotate_secret(APP, "new");
    assert_eq!(code_of(&bench, TENANT, &form).await, (401, 7000215));
    let form = bench.secret_form("new");
    assert_eq!(bench.ask_token(&form).await.status, 200);

    bench.graph.set_app_enabled(TENANT, APP, false);
    assert_eq!(code_of(&bench, TENANT, &form).await, (400, 7000112));
    bench.graph.remove_consent(TENANT, APP);
    assert_eq!(code_of(&bench, TENANT, &form).await, (401, 7000229));
    bench.graph.delete_tenant(TENANT);
    assert_eq!(code_of(&bench, TENANT, &form).await, (400, 5000224));
    bench.get("users").await.is(401);
}

#[tokio::test]
async fn a_token_of_one_tenant_shows_nothing_of_another() {
    let bench = Bench::new().await;
    let other = "7a1c0000-0000-4000-8000-000000000002";
    bench.graph.add_tenant(other, &["fabrikam.onmicrosoft.com"], Licence::Free);
    bench.graph.register_app(other, AppSpec { client_id: APP.into(), ..AppSpec::default() });
    let seed = latchkey_simulators::graph::UserSeed::new("x@fabrikam.onmicrosoft.com");
    let stranger = bench.graph.add_user(other, seed);
    bench.get(&format!("users/{stranger}")).await.is(404);
    assert_eq!(bench.get("organization").await.is(200).values()[0]["id"], TENANT);
    let got = bench.ask_token_of(other, &bench.secret_form(SECRET)).await.is(200);
    assert_eq!(token_claims(got.body["access_token"].as_str().expect("a token"))["tid"], other);
}

#[tokio::test]
async fn strangers_and_garbled_tokens_are_unauthorised() {
    let mut bench = Bench::new().await;
    let admin = bench.add_admin("boss", GLOBAL_ADMIN);
    for token in ["", "abc", "e30.e30.e30"] {
        bench.token = token.into();
        let got = bench.get(&format!("users/{admin}")).await.is(401);
        assert_eq!(got.code(), "InvalidAuthenticationToken");
    }
}

#[tokio::test]
async fn the_authority_describes_itself() {
    let bench = Bench::new().await;
    let url = format!("{}/{TENANT}/v2.0/.well-known/openid-configuration", bench.graph.authority());
    let got = bench.get(&url).await.is(200);
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
        assert!(got.body[name].as_str().expect(name).starts_with(bench.graph.authority()), "{name}");
    }
}

#[tokio::test]
async fn the_whole_directory_speaks_tls_with_a_certificate_that_can_be_trusted() {
    use latchkey_simulators::graph::{Graph, Options};
    latchkey_simulators::authority::use_ring();
    let ca = latchkey_simulators::Authority::new();
    let options = Options::new(latchkey_simulators::SimClock::new(|| START));
    let options = Options { tls: Some(ca.server_config(&[])), host: "localhost".into(), ..options };
    let graph = Graph::start(options).await.expect("a free loopback port");
    graph.add_tenant(TENANT, &[DOMAIN], Licence::Free);
    let root = reqwest::Certificate::from_pem(ca.ca_pem().as_bytes()).expect("PEM");
    let trusting = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
    let url = format!("{}/{TENANT}/v2.0/.well-known/openid-configuration", graph.authority());
    assert!(url.starts_with("https://localhost:"));
    assert_eq!(trusting.get(&url).send().await.expect("an answer").status(), 200);
    assert!(reqwest::Client::new().get(&url).send().await.is_err());
}
