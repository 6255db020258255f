//! What arrives at the hook: nothing is done before it is proven, and each proven message is done once.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpListener,
};

use latchkey_simulators::connectwise::{
    ConnectWise, Delivery, DeliveryRules, KeyEndpoint, KeyUrl, Rotation, SIGNATURE_HEADER, Signature,
};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::harness::*;

/// The PSA's last delivery.
fn last(app: &TestApp) -> Delivery {
    app.psa.sim.deliveries().into_iter().last().expect("something was sent")
}

/// A ticket that was seen, and a request for it that was sent under these rules; answers the ticket and the answer.
async fn asked_under(app: &TestApp, rules: impl FnOnce(&mut DeliveryRules)) -> (i64, Option<u16>) {
    let ticket = app.psa.ticket();
    app.run().await;
    app.psa.sim.set_delivery(rules);
    app.psa.ask(ticket);
    app.run().await;
    app.psa.sim.reset_delivery();
    (ticket, last(app).status)
}

/// The body of a request that never arrived.
async fn caught(app: &TestApp, ticket: i64) -> Vec<u8> {
    app.psa.sim.set_delivery(|rules| rules.signature = Signature::Missing);
    app.psa.ask(ticket);
    app.run().await;
    app.psa.sim.reset_delivery();
    last(app).body
}

/// A POST of the test's own making, rightly signed.
fn signed(app: &TestApp, url: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
    let body = body.into();
    let signature = app.psa.tenant.sign(&body);
    reqwest::Client::new().post(url).header(SIGNATURE_HEADER, signature).body(body)
}

/// What every stranger sees.
async fn face(response: Response) -> (StatusCode, BTreeSet<(String, String)>, String) {
    let status = response.status();
    let headers = response.headers().iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (status, headers, response.text().await.unwrap())
}

/// A listener that nobody may call, and whether somebody did.
fn trap() -> (String, impl Fn() -> bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    (origin, move || listener.accept().is_ok())
}

/// The request was refused and left nothing; said again by an honest save, it is granted.
async fn assert_refused_but_not_forgotten(app: TestApp, ticket: i64, before: usize) {
    assert_eq!(app.deliveries().0.len(), before, "nothing was recorded");
    assert!(app.psa.notes(ticket).is_empty(), "nothing was said in the ticket");
    app.assert_nothing_given(ticket).await;
    app.psa.tenant.acting("jdoe").touch(ticket).unwrap();
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F8: forged, unsigned, truncated in its signature, changed on the way, of the old unsigned kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_delivery_changes_nothing() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let (before, audit) = (app.deliveries().0.len(), app.store().audit(0, 1000).await.unwrap().len());
    let forgeries: [fn(&mut DeliveryRules); 7] = [
        |rules| rules.signature = Signature::Wrong,
        |rules| rules.signature = Signature::Missing,
        |rules| rules.signature = Signature::Text(String::new()),
        |rules| rules.signature = Signature::Text("l/xrd16izAX7g7ZVSSsQoMLDx".to_owned()),
        |rules| rules.signature = Signature::Text("A".repeat(44)),
        |rules| rules.trailing_newline = true,
        |rules| rules.old_payload = true,
    ];
    app.psa.ask(ticket_that_is_lost(&app, ticket));
    for (n, forge) in forgeries.into_iter().enumerate() {
        app.psa.sim.set_delivery(forge);
        app.psa.tenant.acting("jdoe").touch(ticket).unwrap();
        app.run().await;
        app.psa.sim.reset_delivery();
        assert_eq!(last(&app).status, Some(401), "forgery {n}");
    }
    assert_eq!(app.store().audit(0, 1000).await.unwrap().len(), audit);
    assert_refused_but_not_forgotten(app, ticket, before).await;
}

/// The next message about this ticket is lost.
fn ticket_that_is_lost(app: &TestApp, ticket: i64) -> i64 {
    app.psa.sim.set_delivery(|rules| rules.lose = 1);
    ticket
}

/// F8: a cloud host serves the keys of every customer of its region; only our own company's counts.
#[tokio::test(flavor = "multi_thread")]
async fn another_companys_key_on_the_same_host_opens_nothing() {
    let app = TestApp::start().await;
    app.psa.sim.add_tenant("othermsp", "Other MSP");
    let ticket = app.psa.ticket();
    app.run().await;
    let before = app.deliveries().0.len();
    app.psa.ask(ticket_that_is_lost(&app, ticket));
    for rule in [KeyUrl::ForeignCompany("othermsp".to_owned()), KeyUrl::ForeignKey("othermsp".to_owned())] {
        app.psa.sim.set_delivery(|rules| rules.key_url = rule.clone());
        app.psa.tenant.acting("jdoe").touch(ticket).unwrap();
        app.run().await;
        app.psa.sim.reset_delivery();
        assert_eq!(last(&app).status, Some(401), "{rule:?}");
    }
    assert_refused_but_not_forgotten(app, ticket, before).await;
}

/// F8: whatever an unproven message names, nobody is called but the configured site.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_at_another_address_is_never_fetched() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let before = app.deliveries().0.len();
    let (origin, was_called) = trap();
    let own = app.psa.tenant.key_url();
    app.psa.ask(ticket_that_is_lost(&app, ticket));
    for rule in [
        KeyUrl::ForeignHost(origin.clone()),
        KeyUrl::ForeignHost(origin.replace("https", "http")),
        KeyUrl::ForeignHost("https://169.254.169.254".to_owned()),
        KeyUrl::ForeignHost("https://evil.example".to_owned()),
        KeyUrl::Text(format!("{own}#@{origin}")),
        KeyUrl::Text(format!("{origin}/latest/meta-data")),
        KeyUrl::Text("file:///etc/passwd".to_owned()),
        KeyUrl::Text(String::new()),
        KeyUrl::Text("x".repeat(10_000)),
    ] {
        app.psa.sim.set_delivery(|rules| rules.key_url = rule.clone());
        app.psa.tenant.acting("jdoe").touch(ticket).unwrap();
        app.run().await;
        app.psa.sim.reset_delivery();
        assert_eq!(last(&app).status, Some(401), "{rule:?}");
    }
    assert!(!was_called(), "an address from an unproven message was called");
    assert_refused_but_not_forgotten(app, ticket, before).await;
}

/// F8: a redirect is not followed, and an answer that is no key opens nothing. Once the site is well, the repeat works.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_site_that_answers_no_key_opens_nothing() {
    let (origin, was_called) = trap();
    for endpoint in [KeyEndpoint::Redirect(origin.clone()), KeyEndpoint::Huge, KeyEndpoint::NotJson, KeyEndpoint::Empty]
    {
        assert_put_off(&endpoint, 401, 61).await;
    }
    assert!(!was_called(), "a redirect was followed");
}

/// F8: no verdict about the sender is no reason to forget the message: the PSA is asked to come again.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_cannot_be_had_the_psa_is_asked_to_come_again() {
    assert_put_off(&KeyEndpoint::Down, 503, 30).await;
}

/// With the key site like this a request is answered so, and gives nothing; well again, its repeat is granted.
async fn assert_put_off(endpoint: &KeyEndpoint, status: u16, seconds: u64) {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let before = app.deliveries().0.len();
    app.psa.tenant.rotate_key(Rotation::NewId);
    app.psa.sim.behave(|b| b.key_endpoint = endpoint.clone());
    app.psa.ask(ticket);
    app.run().await;
    let refused = last(&app);
    assert_eq!(refused.status, Some(status), "{endpoint:?}");
    assert_eq!(app.deliveries().0.len(), before);
    app.assert_nothing_given(ticket).await;
    app.psa.sim.behave(|b| b.key_endpoint = KeyEndpoint::Normal);
    app.pass(std::time::Duration::from_secs(seconds)).await;
    assert!(app.psa.sim.replay(refused.n));
    app.run().await;
    assert_eq!(last(&app).status, Some(202), "{endpoint:?}");
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F8: a new key under a new id or under the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_rotated_at_the_psa_works() {
    let app = TestApp::start().await;
    for rotation in [Rotation::NewId, Rotation::SameId] {
        let before = app.active().await;
        app.psa.tenant.rotate_key(rotation);
        let after = app.active().await;
        for ticket in [before, after] {
            assert_eq!(app.state(ticket).await.name(), "active", "{rotation:?}");
        }
        app.minutes(61).await;
    }
    app.end().await;
}

/// F8
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_has_one_effect_and_a_changed_one_none() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let recorded = app.deliveries().0.len();
    for delivery in app.psa.sim.deliveries() {
        assert!(app.psa.sim.replay(delivery.n));
        app.run().await;
        assert_eq!(last(&app).status, Some(202));
    }
    assert_eq!(app.deliveries().0.len(), recorded);
    let body = String::from_utf8(last(&app).body).unwrap();
    let other = body.replace("\"Action\":\"updated\"", "\"Action\":\"deleted\"");
    assert_ne!(other, body);
    let answer = signed(&app, &app.hook(), other).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    app.run().await;
    assert_eq!(app.grants(ticket).await.len(), 1);
    assert_eq!(app.psa.notes(ticket).len(), 2, "{:?}", app.psa.told(ticket));
    assert_eq!(app.state(ticket).await.name(), "active", "the changed message did nothing");
    app.minutes(61).await;
    for n in 1..=2 {
        assert!(app.psa.sim.replay(n));
        app.run().await;
    }
    assert_eq!(app.grants(ticket).await.len(), 1, "an old message gives nothing back");
    app.end().await;
}

/// F8: a stranger learns nothing, not even whether the path or the connection is right.
#[tokio::test(flavor = "multi_thread")]
async fn every_unproven_request_gets_one_and_the_same_answer() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let before = app.deliveries().0.len();
    let body = caught(&app, ticket).await;
    let wrong =
        || reqwest::Client::new().post(app.hook()).header(SIGNATURE_HEADER, "A".repeat(43) + "=").body(body.clone());
    let expected = face(wrong().send().await.unwrap()).await;
    assert_eq!(expected.0, StatusCode::UNAUTHORIZED);
    for path in ["/hooks/cw/wrong", "/hooks/nobody/wrong", "/hooks/acme-entra/wrong"] {
        assert_eq!(face(signed(&app, &app.url(path), body.clone()).send().await.unwrap()).await, expected, "{path}");
    }
    let right_secret = app.url(&format!("/hooks/acme-entra/{HOOK_SECRET}"));
    assert_eq!(face(signed(&app, &right_secret, body.clone()).send().await.unwrap()).await, expected);
    for broken in [&body[..body.len() / 2], b"", b"null", b"\xff\xfe{}", &[b'['; 100_000]] {
        assert_eq!(face(signed(&app, &app.hook(), broken).send().await.unwrap()).await, expected);
    }
    assert_refused_but_not_forgotten(app, ticket, before).await;
}

/// F8: too large, compressed, or cut off on the wire.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_it_should_be_is_refused_unread() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let before = app.deliveries().0.len();
    let body = caught(&app, ticket).await;
    let mut padded = body.clone();
    padded.resize(256 * 1024 + 1, b' ');
    let answer = signed(&app, &app.hook(), padded).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer = signed(&app, &app.hook(), body.clone()).header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (url, signature) = (app.hook(), app.psa.tenant.sign(&body));
    let address = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let path = url.split_once(&address).unwrap().1.to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut wire = std::net::TcpStream::connect(&address).unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {length}\r\n\r\n"
        );
        wire.write_all(head.as_bytes()).unwrap();
        wire.write_all(&body[..length / 2]).unwrap();
        wire.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        wire.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = answer.await.unwrap().unwrap_or_default();
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_refused_but_not_forgotten(app, ticket, before).await;
}

/// F4, F8: only what is signed counts; the query is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_the_callbacks_url_is_not_read() {
    let app = TestApp::start().await;
    let (ticket, other) = (app.psa.ticket(), app.psa.ticket());
    app.run().await;
    let body = caught(&app, ticket).await;
    let url = format!("{}?id={other}&action=deleted&companyName=othermsp", app.hook());
    assert_eq!(signed(&app, &url, body).send().await.unwrap().status(), StatusCode::ACCEPTED);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active");
    assert!(app.grants(other).await.is_empty());
    app.minutes(61).await;
    app.end().await;
}

/// F8: as the PSA may send it: with white space, and without the record.
#[tokio::test(flavor = "multi_thread")]
async fn a_proven_message_counts_however_it_is_laid_out() {
    let app = TestApp::start().await;
    let layouts: [fn(&mut DeliveryRules); 2] = [|rules| rules.pretty = true, |rules| rules.null_entity = true];
    for layout in layouts {
        let (ticket, status) = asked_under(&app, layout).await;
        assert_eq!(status, Some(202));
        assert_eq!(app.state(ticket).await.name(), "active");
        app.minutes(61).await;
    }
    app.end().await;
}

/// F4, F8: two entries at the PSA, or one entry's message twice: one change, one grant.
#[tokio::test(flavor = "multi_thread")]
async fn two_callbacks_for_one_change_ask_once() {
    let app = TestApp::start().await;
    app.psa.tenant.add_callback_for_all(&app.hook());
    app.psa.sim.set_delivery(|rules| rules.duplicate = true);
    let ticket = app.active().await;
    assert!(app.psa.sim.deliveries().len() >= 8, "two entries, each twice, for two saves");
    assert_eq!(app.grants(ticket).await.len(), 1);
    assert_eq!(app.audited("request.granted").await, 1);
    assert_eq!(app.psa.notes(ticket).len(), 2, "{:?}", app.psa.told(ticket));
    app.minutes(61).await;
    app.end().await;
}

/// F4: the ticket as it is decides, not the order in which messages come, nor who is named in one about another save.
#[tokio::test(flavor = "multi_thread")]
async fn messages_may_overtake_each_other() {
    let app = TestApp::start().await;
    for release in [ConnectWise::release_reversed, ConnectWise::release] {
        app.psa.sim.set_delivery(|rules| rules.hold = true);
        let ticket = app.psa.ticket();
        app.psa.tenant.acting("msmith").set_summary(ticket, "Mailbox migration, urgent").unwrap();
        app.psa.ask(ticket);
        assert_eq!(app.psa.sim.held(), 3);
        release(&app.psa.sim);
        app.run().await;
        assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.notes(ticket));
        assert_eq!(app.grants(ticket).await.len(), 1);
        assert_eq!(app.grant(ticket).await.person.as_str(), "jane");
        app.minutes(61).await;
    }
    app.end().await;
    let app = TestApp::start().await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.new).unwrap();
    app.psa.sim.release_reversed();
    app.run().await;
    assert!(app.psa.notes(ticket).is_empty(), "taken back before it was read");
    app.assert_nothing_given(ticket).await;
    app.end().await;
}

/// F4: a lost message gives nothing to anybody; the next save by the same person is their request.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_made_good_by_the_next_save() {
    let app = TestApp::start().await;
    for (saver, is_granted) in [("jdoe", true), ("msmith", false)] {
        let ticket = app.psa.ticket();
        app.run().await;
        app.psa.ask(ticket_that_is_lost(&app, ticket));
        app.minutes(1).await;
        assert!(app.grants(ticket).await.is_empty() && app.psa.notes(ticket).is_empty());
        app.psa.tenant.acting(saver).touch(ticket).unwrap();
        app.run().await;
        assert_eq!(!app.grants(ticket).await.is_empty(), is_granted, "{saver}");
        assert_eq!(app.psa.notes(ticket)[0].contains("set it again"), !is_granted, "{saver}");
        app.minutes(61).await;
    }
    app.end().await;
}

/// F8: recorded, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_no_ticket_or_a_deleted_one_is_recorded_and_gives_nothing() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    let body = String::from_utf8(caught(&app, ticket).await).unwrap();
    app.psa.sim.set_delivery(|rules| rules.lose = 1);
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.new).unwrap();
    app.psa.sim.reset_delivery();
    let other = body.replace("\"Type\":\"ticket\"", "\"Type\":\"company\"");
    assert_eq!(signed(&app, &app.hook(), other).send().await.unwrap().status(), StatusCode::ACCEPTED);
    app.run().await;
    assert!(app.outcomes().values().any(|outcome| outcome == "no-ticket"), "{:?}", app.outcomes());
    app.psa.tenant.acting("jdoe").delete(ticket).unwrap();
    app.run().await;
    assert_eq!(last(&app).status, Some(202));
    assert!(app.outcomes().values().any(|outcome| outcome == "ticket-gone"), "{:?}", app.outcomes());
    app.assert_nothing_given(ticket).await;
    app.end().await;
}
