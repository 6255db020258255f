//! What a PSA refuses, and what is refused of it, at each of them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use reqwest::StatusCode;

use crate::{
    harness::*,
    three_psas::{of, texts},
};

/// What is answered to a message of which only the head was sent.
fn answer_to_head(url: &str, Message { header: (name, value), body }: &Message) -> String {
    let url: reqwest::Url = url.parse().unwrap();
    let (address, path, length) = (url.socket_addrs(|| None).unwrap()[0], url.path(), body.len());
    let query = url.query().unwrap_or_default();
    let head = format!(
        "POST {path}?{query} HTTP/1.1\r\nhost: {address}\r\n{name}: {value}\r\ncontent-length: {length}\r\n\r\n"
    );
    tokio::task::block_in_place(|| {
        let mut wire = TcpStream::connect(address).unwrap();
        wire.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        wire.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 512];
        let read = wire.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    })
}

/// F8: no more is read than a vendor sends, and up to that a message counts, however much air is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_up_to_the_size_that_a_vendor_sends_and_no_further() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        app.run().await;
        desk.goes_wrong(Wrong::Unproven);
        desk.click(Who::Jane, ticket);
        app.run().await;
        desk.is_honest();
        let (heard, recorded) = (desk.proven().body, app.deliveries().0.len());
        let padded = |length: usize| {
            let mut body = heard.clone();
            body.resize(length, b' ');
            desk.proves(body)
        };
        let answer = answer_to_head(&desk.hook(), &padded(desk.largest() + 1));
        assert!(answer.starts_with("HTTP/1.1 413 "), "{at}: {answer}");
        let bare = Message { header: ("x-nothing", "shown".to_owned()), body: padded(desk.largest()).body };
        let answer = answer_to_head(&desk.hook(), &bare);
        // What nobody signs may be a bell at Autotask, and a bell is small.
        let is_refused = ["HTTP/1.1 401 ", "HTTP/1.1 413 "].iter().any(|status| answer.starts_with(status));
        assert!(is_refused, "{at}, without proof: {answer}");
        app.run().await;
        assert_eq!(app.deliveries().0.len(), recorded, "{at}: nothing was recorded");
        assert!(app.grants_at(desk, ticket).await.is_empty(), "{at}");
        let Message { header: (name, value), body } = padded(desk.largest());
        let sent = reqwest::Client::new().post(desk.hook()).header(name, value).body(body).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::ACCEPTED, "{at}");
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        app.minutes(61).await;
    }
    app.end().await;
}

/// F7, F107: a note that the PSA refuses for good, such as one that is too long for it, hands nothing over: what was given is
/// taken back at once, and the ticket is told why.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_psa_refuses_to_hold_are_taken_back_at_each_of_them() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let refused = desk.refuses_credentials();
        let ticket = desk.ticket(Whose::Acme);
        desk.click(Who::Jane, ticket);
        app.minutes(2).await;
        assert_eq!(refused.count(), 1, "{at}: a refusal is the last word");
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: {:?}", desk.notes(ticket));
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        let notes = texts(desk, ticket);
        let want = [
            "Latchkey: request received.",
            "Latchkey: access could not be given.",
            "Latchkey: access has ended, proven off.",
        ];
        assert_eq!(of(&notes), want, "{at}: {notes:?}");
        assert!(notes[1].contains("the PSA refused the note"), "{at}: {notes:?}");
        desk.recovers();
    }
    app.end().await;
}

/// F7: statuses that the PSA does not have are not set; the notes say everything, and the ticket asks no second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_does_not_exist_is_left_alone_at_each_of_them() {
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        for mapping in &mut rules.rulebook.mappings {
            let nowhere = || Some("777777".parse().unwrap());
            let statuses = &mut mapping.statuses;
            (statuses.granted, statuses.refused, statuses.ended) = (nowhere(), nowhere(), nowhere());
        }
    })
    .await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        assert_eq!(desk.stands(ticket), Standing::Requested, "{at}");
        app.minutes(61).await;
        assert_eq!((app.state_at(desk, ticket).await, app.grants_at(desk, ticket).await.len()), ("ended", 1), "{at}");
        let last = texts(desk, ticket).pop().unwrap();
        assert!(last.starts_with("Latchkey: access has ended, proven off."), "{at}: {last}");
        assert_eq!(desk.stands(ticket), Standing::Requested, "{at}");
        let refused = desk.ticket(Whose::Acme);
        desk.click(Who::Unbound, refused);
        app.run().await;
        assert_eq!(of(&texts(desk, refused)), ["Latchkey: access was not granted."], "{at}");
        assert_eq!(desk.stands(refused), Standing::Requested, "{at}");
    }
    app.end().await;
}
