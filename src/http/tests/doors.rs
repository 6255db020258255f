//! Sign-in, sessions, headers, health, told from outside.

use std::sync::atomic::Ordering;

use super::*;
use crate::people::{Attempt, SignInError};

const WAIT: Duration = Duration::from_secs(16 * 60);

async fn try_sign_in(site: &Site, person: &str, password: &str, code: &str) -> (u16, String) {
    let fields = [("person", person), ("password", password), ("code", code), ("next", "/")];
    read(site.form("/sign-in", &fields).send().await.unwrap()).await
}

#[tokio::test]
async fn both_factors_open_a_session_and_lead_back_to_the_wanted_page() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let away = site.request(Method::GET, "/claim/g1").send().await.unwrap();
    assert_eq!(away.status(), 303);
    assert_eq!(away.headers()["location"], "/sign-in?next=%2Fclaim%2Fg1");
    let (_, page) = read(site.request(Method::GET, "/sign-in?next=%2Fclaim%2Fg1").send().await.unwrap()).await;
    assert!(page.contains(r#"name="next" value="/claim/g1""#), "{page}");

    let code = site.fresh_code("jdoe");
    let fields = [("person", " JDoe "), ("password", PASSWORD), ("code", &code), ("next", "/claim/g1")];
    let answer = site.form("/sign-in", &fields).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/claim/g1"));
    let set = answer.headers()["set-cookie"].to_str().unwrap();
    for part in ["__Host-latchkey=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{part} in {set}");
    }
    assert!(!set.contains("Domain") && !set.contains("Max-Age"), "{set}");
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_after_signing_in() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let code = site.fresh_code("jdoe");
    let fields = [("person", "jdoe"), ("password", PASSWORD), ("code", &code), ("next", "//evil.example")];
    let answer = site.form("/sign-in", &fields).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/");
}

#[tokio::test]
async fn a_wrong_word_a_used_code_and_an_unknown_name_are_answered_alike() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let code = site.fresh_code("jdoe");
    assert_eq!(try_sign_in(&site, "jdoe", PASSWORD, &code).await.0, 303);
    let used = try_sign_in(&site, "jdoe", PASSWORD, &code).await;
    site.clock.pass(Duration::from_secs(30));
    let code = site.code("jdoe");
    let wrong_password = try_sign_in(&site, "jdoe", "four likelier words", &code).await;
    let wrong_code = try_sign_in(&site, "jdoe", PASSWORD, "000000").await;
    let unknown = try_sign_in(&site, "nobody", PASSWORD, &code).await;
    assert_eq!(used.0, 403);
    assert_eq!(used, wrong_password);
    assert_eq!(used, wrong_code);
    assert_eq!(used.1, unknown.1.replace("nobody", "jdoe"));
    assert_eq!(try_sign_in(&site, "jdoe", PASSWORD, &code).await.0, 303, "a wrong password uses no code up");
}

/// What takes the time is hashing, so that is what is counted: a stopwatch tells nothing on a busy machine.
#[tokio::test]
async fn an_unknown_name_costs_the_same_hashing_as_a_known_one() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _measuring = metrics::set_default_local_recorder(&recorder);
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    for (hashed, name) in [(1, "jdoe"), (2, "nobody"), (3, "not a name at all"), (4, "")] {
        let attempt = Attempt {
            person: name.to_owned(),
            password: Secret::new("four likelier words".to_owned()),
            code: "000000".to_owned(),
            address: "192.0.2.1".parse().unwrap(),
        };
        assert!(matches!(site.web.people.sign_in(attempt).await, Err(SignInError::Refused)), "{name:?}");
        let measured = recorder.handle().render();
        assert!(measured.contains(&format!("password_checks_total {hashed}\n")), "{name:?}: {measured}");
    }
}

#[tokio::test]
async fn failures_are_throttled_also_for_names_that_do_not_exist() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    for name in ["jdoe", "nobody"] {
        for _ in 0..5 {
            assert_eq!(try_sign_in(&site, name, PASSWORD, "000000").await.0, 403);
        }
        let (status, page) = try_sign_in(&site, name, PASSWORD, "000000").await;
        assert_eq!((status, page.contains("Wait a quarter of an hour")), (429, true));
    }
    let code = site.fresh_code("jdoe");
    assert_eq!(try_sign_in(&site, "jdoe", PASSWORD, &code).await.0, 429, "even with the right factors");
    site.clock.pass(WAIT);
    assert_eq!(try_sign_in(&site, "jdoe", PASSWORD, &site.code("jdoe")).await.0, 303);
}

#[tokio::test]
async fn a_session_ends_idle_after_15_minutes_and_in_any_case_after_8_hours() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let browser = site.sign_in("jdoe").await;
    for _ in 0..(8 * 60 / 14) {
        site.clock.pass(Duration::from_secs(14 * 60));
        assert_eq!(browser.get("/").await.0, 200);
    }
    site.clock.pass(Duration::from_secs(5 * 60));
    assert_eq!(browser.get("/").await.0, 303, "over after 8 hours although seen all the time");
    let browser = site.sign_in("jdoe").await;
    site.clock.pass(WAIT);
    assert_eq!(browser.get("/").await.0, 303, "over when idle");
}

#[tokio::test]
async fn signing_out_and_being_blocked_end_the_session_at_once() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let browser = site.sign_in("jdoe").await;
    assert_eq!(browser.post("/sign-out", &[]).await.0, 303);
    assert_eq!(browser.get("/").await.0, 303);

    let browser = site.sign_in("jdoe").await;
    site.block("jdoe").await;
    assert_eq!(browser.get("/").await.0, 303);
    let code = site.fresh_code("jdoe");
    assert_eq!(try_sign_in(&site, "jdoe", PASSWORD, &code).await.0, 403);
}

#[tokio::test]
async fn a_new_enrolment_ends_every_session() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let cookie = site.sign_in("jdoe").await.cookie;
    site.enroll("jdoe").await;
    let answer = site.request(Method::GET, "/").header("cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), 303);
}

#[tokio::test]
async fn a_form_from_another_site_or_without_its_token_is_refused() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let code = site.fresh_code("jdoe");
    let fields = [("person", "jdoe"), ("password", PASSWORD), ("code", &code), ("next", "/")];
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let request = site.request(Method::POST, "/sign-in").form(&fields);
        let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
        assert_eq!(request.send().await.unwrap().status(), 403, "{origin:?}");
    }
    let browser = site.sign_in("jdoe").await;
    let forged = Browser { site: &site, cookie: browser.cookie.clone(), form_token: "AAAA".to_owned() };
    assert_eq!(forged.post("/sign-out", &[]).await.0, 400);
    let foreign = site.request(Method::POST, "/sign-out").header("origin", "https://evil.example");
    let foreign = foreign.header("cookie", &browser.cookie).form(&[("form_token", &browser.form_token)]);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(browser.get("/").await.0, 200, "still signed in");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let mut site = Site::start().await;
    site.enroll("jdoe").await;
    let browser = site.sign_in("jdoe").await;
    let hook = format!("/hooks/cw/{PATH_SECRET}");
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/sign-in"),
        (Method::GET, "/claim/none"),
        (Method::GET, "/nothing"),
        (Method::DELETE, "/"),
        (Method::POST, hook.as_str()),
        (Method::GET, "/livez"),
        (Method::GET, "/intakez"),
        (Method::GET, "/readyz"),
        (Method::GET, "/style.css"),
    ] {
        let request = site.request(method, path).header("cookie", &browser.cookie);
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |v| v.to_str().unwrap());
        assert_eq!(header("strict-transport-security"), "max-age=31536000", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        let csp = header("content-security-policy");
        assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{path}: {csp}");
        assert!(!csp.contains("unsafe"), "{path}: {csp}");
        if path != "/style.css" {
            assert_eq!(header("cache-control"), "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn only_listed_methods_are_answered() {
    let site = Site::start().await;
    for (method, path) in [
        (Method::POST, "/"),
        (Method::DELETE, "/sign-in"),
        (Method::GET, "/sign-out"),
        (Method::POST, "/claim/g1"),
        (Method::GET, "/claim/g1/reveal"),
        (Method::GET, "/claim/g1/end"),
        (Method::PUT, "/livez"),
        (Method::POST, "/style.css"),
    ] {
        let answer = site.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method} {path}");
    }
    let (status, page) = read(site.request(Method::GET, "/metrics").send().await.unwrap()).await;
    assert_eq!((status, page.contains("Nothing here")), (404, true), "metrics are not on the public listener");
}

#[tokio::test]
async fn an_oversized_form_is_refused() {
    let site = Site::start().await;
    let fields = [("person", "jdoe"), ("password", &"x".repeat(10_000)), ("code", "1"), ("next", "/")];
    assert_eq!(site.form("/sign-in", &fields).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn ready_names_what_is_red() {
    let site = Site::start().await;
    let ready = async || read(site.request(Method::GET, "/readyz").send().await.unwrap()).await;
    assert_eq!(ready().await.0, 200);
    site.ready.is_red.store(true, Ordering::SeqCst);
    let (status, body) = ready().await;
    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["failing"], serde_json::json!(["worker"]));
    assert!(!body.to_string().contains("stopped at"), "why it is red is for the log");
    for others in ["/livez", "/intakez"] {
        assert_eq!(read(site.request(Method::GET, others).send().await.unwrap()).await.0, 200, "{others}");
    }
    site.ready.is_lost.store(true, Ordering::SeqCst);
    let (status, body) = read(site.request(Method::GET, "/intakez").send().await.unwrap()).await;
    assert!(status == 503 && body.contains("database"), "{body}");
}

#[tokio::test]
async fn metrics_are_served_on_their_own_listener() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("webhook_deliveries_total").increment(1));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_metrics(recorder.handle(), Arc::new(stand_ins::Ready::default()), listener).unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert!(answer.text().await.unwrap().contains("webhook_deliveries_total 1"));
    assert_eq!(reqwest::get(format!("http://{address}/sign-in")).await.unwrap().status(), 404);
}

/// F176: on a private address plain HTTP is for the named proxies; anybody else is cut off unread.
#[tokio::test]
async fn only_a_named_proxy_is_let_in_without_tls() {
    use std::io::{Read, Write};
    let site = Site::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let entrance = Entrance::Proxies(vec!["127.0.0.2".parse().unwrap()]);
    tokio::spawn(serve(Arc::clone(&site.web), listener, entrance).unwrap());
    let from = |source: &str| reqwest::Client::builder().local_address(Some(source.parse().unwrap())).build().unwrap();
    let page = format!("http://{at}/livez");
    assert_eq!(from("127.0.0.2").get(&page).send().await.unwrap().status(), 200);
    for stranger in ["127.0.0.1", "127.0.0.3"] {
        from(stranger).get(&page).send().await.unwrap_err();
    }
    let heard = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        // Nothing was sent, so nothing can have been read: it is closed all the same.
        let mut heard = Vec::new();
        let read = stream.read_to_end(&mut heard);
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\n\r\n");
        (read.is_ok(), heard)
    });
    assert_eq!(heard.await.unwrap(), (true, vec![]));
}
