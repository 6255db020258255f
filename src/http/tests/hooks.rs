//! Intake, told from outside.

use std::{
    io,
    sync::{Arc, Mutex},
};

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::Data;

use super::{
    stand_ins::{LARGEST, sign},
    *,
};

const EVENT: &str = r#"{"message_id":"m1","ticket":"4711","actor":"jdoe","is_deletion":false}"#;

fn hook(site: &Site, connection: &str, secret: &str, body: impl Into<Vec<u8>>) -> reqwest::RequestBuilder {
    let body = body.into();
    let signature = sign(&body);
    site.request(Method::POST, &format!("/hooks/{connection}/{secret}")).header("x-signature", signature).body(body)
}

async fn tasks(site: &Site) -> u64 {
    let queue = site.store.queue(site.clock.now()).await.unwrap();
    queue.ready + queue.future + queue.leased
}

#[tokio::test]
async fn a_proven_delivery_is_recorded_once_and_answered_202_each_time() {
    let site = Site::start().await;
    for _ in 0..3 {
        assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
    }
    assert_eq!(tasks(&site).await, 1);
    let with_query = format!("{PATH_SECRET}?recordId=1&action=updated");
    assert_eq!(hook(&site, "cw", &with_query, EVENT).send().await.unwrap().status(), 202);
    assert_eq!(tasks(&site).await, 1, "the query string says nothing");
}

#[tokio::test]
async fn a_message_id_with_another_body_is_a_conflict_and_starts_nothing() {
    let site = Site::start().await;
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
    let other = EVENT.replace("4711", "4712");
    let (status, body) = read(hook(&site, "cw", PATH_SECRET, other).send().await.unwrap()).await;
    assert_eq!((status, body.contains("other-body")), (409, true));
    assert_eq!(tasks(&site).await, 1);
}

#[tokio::test]
async fn a_connection_that_was_just_set_up_is_known_at_once() {
    let site = Site::start().await;
    assert_eq!(hook(&site, "late", PATH_SECRET, EVENT).send().await.unwrap().status(), 401);
    site.save_records(&records_with(|r| r)).await;
    assert_eq!(hook(&site, "late", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn an_event_about_no_ticket_is_recorded_too() {
    let site = Site::start().await;
    let event = r#"{"message_id":"m2","ticket":null,"actor":null,"is_deletion":false}"#;
    assert_eq!(hook(&site, "cw", PATH_SECRET, event).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn whatever_is_unproven_gets_one_and_the_same_answer_and_changes_nothing() {
    let site = Site::start().await;
    let post = |path: &str| site.request(Method::POST, path).body(EVENT);
    let signed = |path: &str| post(path).header("x-signature", sign(EVENT.as_bytes()));
    let right = format!("/hooks/cw/{PATH_SECRET}");
    let mut answers = Vec::new();
    for request in [
        signed("/hooks/cw/wrong"),
        signed(&format!("/hooks/unknown/{PATH_SECRET}")),
        signed(&format!("/hooks/Not%20an%20id/{PATH_SECRET}")),
        signed(&format!("/hooks/entra-contoso/{PATH_SECRET}")),
        post(&right),
        post(&right).header("x-signature", "AAAA"),
        post(&right).header("x-signature", sign(b"other")),
        post(&right).header("x-signature", sign(EVENT.as_bytes())).header("x-signature", "AAAA"),
        site.request(Method::POST, &right).header("x-signature", sign(b"{")).body("{"),
    ] {
        let answer = request.send().await.unwrap();
        let mut headers = answer.headers().clone();
        headers.remove("date");
        answers.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].2.contains("unproven"));
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(tasks(&site).await, 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_encoded_is_refused_before_it_is_held() {
    let site = Site::start().await;
    let large = vec![b' '; LARGEST + 1];
    assert_eq!(hook(&site, "cw", PATH_SECRET, large.clone()).send().await.unwrap().status(), 413);
    let announced_nothing = unannounced(&site, LARGEST + 1).await;
    assert!(announced_nothing.starts_with("HTTP/1.1 413"), "{announced_nothing}");
    let encoded = hook(&site, "cw", PATH_SECRET, EVENT).header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(encoded.status(), 415);
    let largest = format!("{EVENT}{}", " ".repeat(LARGEST - EVENT.len()));
    assert_eq!(hook(&site, "cw", PATH_SECRET, largest).send().await.unwrap().status(), 202);
}

/// Who sends batches is let in with them; who does not know the path sends nothing that large.
#[tokio::test]
async fn how_large_a_delivery_may_be_is_the_connections_own() {
    let site = Site::start().await;
    let batch = format!("{EVENT}{}", " ".repeat(4 * LARGEST - EVENT.len()));
    assert_eq!(hook(&site, "wide", PATH_SECRET, batch.clone()).send().await.unwrap().status(), 202);
    assert_eq!(hook(&site, "cw", PATH_SECRET, batch.clone()).send().await.unwrap().status(), 413);
    assert_eq!(hook(&site, "wide", "wrong", batch).send().await.unwrap().status(), 401);
    assert_eq!(hook(&site, "wide", PATH_SECRET, vec![b' '; 8 * LARGEST + 1]).send().await.unwrap().status(), 413);
}

/// Sends a body in chunks, so that its length is not known beforehand; the status line that comes back.
async fn unannounced(site: &Site, length: usize) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(site.base.trim_start_matches("http://")).await.unwrap();
    let headers = "Host: x\r\nX-Signature: AAAA\r\nTransfer-Encoding: chunked";
    let head = format!("POST /hooks/cw/{PATH_SECRET} HTTP/1.1\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in vec![b' '; length].chunks(8192) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// What comes back before the body does.
async fn answer_to_head(site: &Site, path: &str, headers: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(site.base.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 200000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 2048];
    // A body that is wanted is waited for longer.
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
    String::from_utf8_lossy(&answer[..read.expect("the body was waited for").unwrap()]).into_owned()
}

/// F8
#[tokio::test]
async fn what_shows_no_proof_is_refused_before_its_body_is_read() {
    let site = Site::start().await;
    let right = format!("/hooks/cw/{PATH_SECRET}");
    let directory = format!("/hooks/entra-contoso/{PATH_SECRET}");
    let twice = "X-Signature: AAAA\r\nX-Signature: AAAA\r\n";
    for (path, headers) in
        [("/hooks/cw/wrong", ""), (right.as_str(), ""), (right.as_str(), twice), (directory.as_str(), "")]
    {
        let answer = answer_to_head(&site, path, headers).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path}, {headers:?}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    for _ in 2..30 {
        assert!(answer_to_head(&site, &right, "").await.starts_with("HTTP/1.1 401 "));
    }
    let spent = answer_to_head(&site, &right, "").await;
    assert!(spent.starts_with("HTTP/1.1 429 "), "{spent}");
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202, "and the PSA is heard");
    assert_eq!(tasks(&site).await, 1);
}

/// A body in chunks that never ends holds no connection.
#[tokio::test]
async fn what_is_left_of_a_body_in_chunks_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let site = Site::start().await;
    let right = format!("/hooks/cw/{PATH_SECRET}");
    let sent = |method: &'static str, path: String| {
        let address = site.base.trim_start_matches("http://").to_owned();
        async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let headers = "Host: x\r\nTransfer-Encoding: chunked";
            let head = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n4\r\nmore\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
            closed.expect("the connection was left open").unwrap();
            String::from_utf8(answer).unwrap()
        }
    };
    let (wrong, unproven, put) =
        tokio::join!(sent("POST", "/hooks/cw/wrong".to_owned()), sent("POST", right.clone()), sent("PUT", right));
    assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
    assert!(unproven.starts_with("HTTP/1.1 401 "), "{unproven}");
    assert!(put.starts_with("HTTP/1.1 405 "), "{put}");
}

#[tokio::test]
async fn no_verdict_is_an_invitation_to_come_again() {
    let site = Site::start().await;
    let path = format!("/hooks/cw/{PATH_SECRET}");
    let down = site.request(Method::POST, &path).header("x-signature", "key site down").body(EVENT);
    let down = down.send().await.unwrap();
    assert_eq!(down.status(), 503);
    assert!(down.headers().contains_key("retry-after"));
    let broken = hook(&site, "broken", PATH_SECRET, EVENT).send().await.unwrap();
    assert_eq!(broken.status(), 503, "a connection that cannot be used has no verdict either");
    let large = hook(&site, "broken", PATH_SECRET, vec![b' '; LARGEST + 1]).send().await.unwrap();
    assert_eq!(large.status(), 503, "and how large its deliveries may be nobody knows");
    assert!(large.headers().contains_key("retry-after"));
    assert_eq!(tasks(&site).await, 0);
}

#[tokio::test]
async fn only_post_is_answered() {
    let site = Site::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
        let answer = site.request(method.clone(), &format!("/hooks/cw/{PATH_SECRET}")).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method}");
    }
}

#[tokio::test]
async fn a_stranger_who_fails_again_and_again_does_not_stop_the_psa() {
    let site = Site::start().await;
    for _ in 0..40 {
        assert_eq!(hook(&site, "cw", "wrong", EVENT).send().await.unwrap().status(), 401);
    }
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
    let path = format!("/hooks/cw/{PATH_SECRET}");
    let forged = || site.request(Method::POST, &path).header("x-signature", "AAAA").body(EVENT);
    for _ in 0..30 {
        assert_eq!(forged().send().await.unwrap().status(), 401);
    }
    let spent = forged().send().await.unwrap();
    assert_eq!((spent.status().as_u16(), spent.headers()["retry-after"].to_str().unwrap()), (429, "60"));
    site.clock.pass(std::time::Duration::from_secs(61));
    assert_eq!(forged().send().await.unwrap().status(), 401);
}

/// A vendor's cloud sends for many of its customers from one address.
#[tokio::test]
async fn what_is_forged_at_one_connection_does_not_stop_another() {
    let site = Site::start().await;
    let at = |connection: &str| {
        let path = format!("/hooks/{connection}/{PATH_SECRET}");
        site.request(Method::POST, &path).header("x-signature", "AAAA").body(EVENT)
    };
    for _ in 0..30 {
        assert_eq!(at("cw").send().await.unwrap().status(), 401);
    }
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 429);
    assert_eq!(hook(&site, "wide", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
    assert_eq!(at("wide").send().await.unwrap().status(), 401);
}

/// A workflow rule that rings where no bell is, or too often, does not stop what the same PSA signs.
#[tokio::test]
async fn what_is_not_signed_does_not_use_up_what_the_psa_signs() {
    let site = Site::start().await;
    let path = format!("/hooks/cw/{PATH_SECRET}");
    let post = || site.request(Method::POST, &path).body(EVENT);
    for _ in 0..30 {
        assert_eq!(post().send().await.unwrap().status(), 401);
    }
    assert_eq!(post().send().await.unwrap().status(), 429, "those who show nothing have their own measure");
    for _ in 0..40 {
        let put_off = post().header("x-signature", "too often").send().await.unwrap();
        assert_eq!(put_off.status(), 503);
        assert!(put_off.headers().contains_key("retry-after"));
    }
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
}

/// What is proven and speaks of something else is refused, and does not stop what the same PSA signs.
#[tokio::test]
async fn a_proven_message_that_is_not_for_us_does_not_use_up_what_the_psa_signs() {
    let site = Site::start().await;
    for _ in 0..30 {
        assert_eq!(hook(&site, "cw", PATH_SECRET, "{").send().await.unwrap().status(), 401);
    }
    assert_eq!(hook(&site, "cw", PATH_SECRET, "{").send().await.unwrap().status(), 429);
    assert_eq!(hook(&site, "cw", PATH_SECRET, EVENT).send().await.unwrap().status(), 202);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In one thread, so that everything this test causes is logged and measured to where it looks.
#[actix_web::test]
async fn the_path_secret_is_in_no_log_line_and_no_metric() {
    let lines = Lines::default();
    let writer = lines.clone();
    let everything =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(everything.finish());
    // With a single subscriber in the process, a line first reached by another test's thread is switched off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _measuring = metrics::set_default_local_recorder(&recorder);

    let site = Site::start().await;
    let data = Data::from(Arc::clone(&site.web));
    let app = init_service(App::new().wrap(headers::security()).configure(public(data))).await;
    let right = format!("/hooks/cw/{PATH_SECRET}");
    for (path, signature) in [
        (right.clone(), sign(EVENT.as_bytes())),
        (right.clone(), sign(EVENT.as_bytes())),
        (right.clone(), "AAAA".to_owned()),
        (right.clone(), "key site down".to_owned()),
        (format!("/hooks/broken/{PATH_SECRET}"), String::new()),
        (format!("/hooks/unknown/{PATH_SECRET}"), String::new()),
    ] {
        let request = TestRequest::post().uri(&path).insert_header(("x-signature", signature)).set_payload(EVENT);
        let _ = call_service(&app, request.to_request()).await;
    }
    let _ = call_service(&app, TestRequest::get().uri(&right).to_request()).await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("delivery recorded") && text.contains("bad-signature"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    let measured = recorder.handle().render();
    assert!(measured.contains("webhook_deliveries_total{outcome=\"recorded\"} 1"), "{measured}");
    assert!(!measured.contains("canary"), "{measured}");
}
