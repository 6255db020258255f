//! What arrives is what was meant.

use std::{
    io,
    sync::{Arc, Mutex},
};

use latchkey::mail::{About, Invitation, Named, Security, Words, Written};
use latchkey_contract::{Secret, TicketRef, Timestamp};
use serde_json::Value;

use crate::server::{LOGIN, Plan, header, heard, mail, start, written};

/// Free text as somebody may write it who means harm.
const HOSTILE: &str = "ACME\r\nBcc: eve@evil.example\r\n\r\n.\r\n</td></tr></table><script>alert(1)</script>\"'&=?utf-8?q?x?= Größe 💥\u{202E}";

fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-06-09T{time}Z")).unwrap()
}

fn about() -> About {
    About {
        grant: "01JZ5GQ2ZP3M8T0V6WXYZ12345".parse().unwrap(),
        ticket: TicketRef { connection: "cw".parse().unwrap(), ticket: "48211".parse().unwrap() },
        ticket_link: "https://psa.example/ticket?type=ServiceFv&id=48211".to_owned(),
        customer: Named { id: "acme".parse().unwrap(), name: HOSTILE.to_owned() },
        person: Named { id: "jdoe".parse().unwrap(), name: HOSTILE.to_owned() },
        policy: HOSTILE.to_owned(),
    }
}

/// One of every kind, hostile wherever that can be.
fn everything() -> Vec<Written> {
    let (free, account) = (|| HOSTILE.to_owned(), || HOSTILE.to_owned());
    let all = [
        Words::AccountCreated { about: about(), account: account(), at: at("21:00:00"), latest_end: at("22:00:00") },
        Words::AccountEnabled { about: about(), account: account(), at: at("21:00:00"), latest_end: at("22:00:00") },
        Words::FailedToDisable {
            about: about(),
            account: account(),
            due: at("22:00:00"),
            at: at("22:05:00"),
            why: free(),
        },
        Words::GrantEnded {
            about: about(),
            account: account(),
            why: free(),
            due: at("22:00:00"),
            seen_off: at("22:00:02"),
        },
        Words::RequestRefused {
            ticket: about().ticket,
            ticket_link: about().ticket_link,
            customer: Some(about().customer),
            person: None,
            why: free(),
            at: at("21:00:00"),
        },
        Words::BrakePulled { about: about(), brake: free(), answer: free(), until: at("23:00:00") },
        Words::ConnectorTrouble {
            connection: "cw".parse().unwrap(),
            what: free(),
            remedy: free(),
            since: at("21:00:00"),
        },
        Words::WebhookTrouble {
            connection: "cw".parse().unwrap(),
            what: free(),
            remedy: free(),
            since: at("21:00:00"),
        },
        Words::AccessActive {
            about: about(),
            account: account(),
            until: at("22:00:00"),
            page: "https://l.example/claim/1".to_owned(),
        },
        Words::AccessEnded { about: about(), account: account(), why: free(), seen_off: at("22:00:02") },
        Words::AuditHead { entries: 7, head: free(), at: at("06:00:00"), given_up: 0 },
        Words::Test { by: free(), at: at("12:00:00") },
    ];
    let invitation = Invitation {
        person: about().person,
        by: free(),
        link: Secret::new("https://l.example/enrol/token".to_owned()),
        until: at("22:00:00"),
    };
    all.iter().map(Words::write).chain([invitation.write()]).collect()
}

fn part<'a>(mail: &'a Value, index: usize, kind: &str) -> &'a str {
    assert_eq!(mail["parts"][index]["type"], kind, "{mail}");
    mail["parts"][index]["text"].as_str().unwrap()
}

/// F131: a mail reaches the server under TLS, after a login, and is read there as it was written here.
#[tokio::test]
async fn a_mail_arrives_as_it_was_meant() {
    for security in [Security::StartTls, Security::Tls] {
        let Some(mut server) = start(&Plan::new(security)).await else { return };
        let sent = mail("01JZ5GQ2ZP3M8T0V6WXYZ99999", "owner@msp.example");
        server.mailer(|_| {}).send(&sent).await.unwrap();
        let told = server.told_until(|line| line["took"].is_object()).await;
        let arrived = &told.last().unwrap()["took"];
        assert_eq!(
            (&arrived["from"], &arrived["to"][0]),
            (&"latchkey@msp.example".into(), &"owner@msp.example".into())
        );
        for (name, value) in [
            ("from", "Latchkey <latchkey@msp.example>"),
            ("to", "owner@msp.example"),
            ("subject", "Latchkey: test mail"),
            ("date", "Tue, 09 Jun 2026 23:05:10 +0000"),
            ("message-id", "<01JZ5GQ2ZP3M8T0V6WXYZ99999@latchkey.msp.example>"),
            ("auto-submitted", "auto-generated"),
        ] {
            assert_eq!(header(arrived, name), value);
        }
        assert_eq!(arrived["type"], "multipart/alternative");
        assert_eq!(part(arrived, 0, "text/plain").trim_end(), sent.written.text.trim_end());
        assert_eq!(part(arrived, 1, "text/html").trim_end(), sent.written.html.trim_end());
        assert!(sent.written.text.contains("Jané"), "beyond ASCII");
        let (in_clear, under_tls) = (heard(&told, true), heard(&told, false));
        let expected = if security == Security::StartTls { "EHLO latchkey.msp.example\r\nSTARTTLS\r\n" } else { "" };
        assert_eq!(in_clear, expected, "nothing else is said before TLS");
        assert!(under_tls.contains("AUTH PLAIN ") && under_tls.contains("MAIL FROM:<latchkey@msp.example>"));
    }
}

/// F131, F136, V1.3.11: every kind of mail, with hostile text in it, is one whole mail with whole markup at the other end.
#[tokio::test]
async fn hostile_text_reaches_no_header_and_no_markup() {
    let Some(mut server) = start(&Plan::new(Security::Tls)).await else { return };
    let mailer = server.mailer(|_| {});
    for (number, words) in everything().into_iter().enumerate() {
        let sent = written(&format!("M{number}"), "owner@msp.example", words);
        mailer.send(&sent).await.unwrap();
        let arrived = server.mail().await;
        let names: Vec<&str> =
            arrived["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
        let expected =
            ["from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"];
        assert_eq!(names, expected);
        assert_eq!(header(&arrived, "subject"), sent.written.subject);
        assert_eq!(arrived["to"].as_array().unwrap().len(), 1);
        assert_eq!(arrived["defects"], serde_json::json!([]));
        assert_eq!(arrived["parts"].as_array().unwrap().len(), 2);
        assert_eq!(part(&arrived, 0, "text/plain").trim_end(), sent.written.text.trim_end());
        assert_eq!(part(&arrived, 1, "text/html").trim_end(), sent.written.html.trim_end());
        let markup = &arrived["markup"][0];
        assert_eq!(markup["faults"], serde_json::json!([]), "{}", sent.written.subject);
        assert!(!markup["tags"].as_array().unwrap().iter().any(|tag| tag == "script" || tag == "img"));
        for link in markup["links"].as_array().unwrap() {
            let link = link.as_str().unwrap();
            assert!(link.starts_with("https://psa.example/") || link.starts_with("https://l.example/"), "{link}");
        }
        let names_nobody = sent.written.subject.contains("webhooks") || sent.written.subject.contains("connection");
        assert!(names_nobody || markup["text"].as_str().unwrap().contains("<script>"), "shown as the text that it is");
    }
}

#[tokio::test]
async fn a_second_try_has_the_same_id_and_says_that_it_is_one() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|_| {});
    let mut sent = mail("M1", "owner@msp.example");
    mailer.send(&sent).await.unwrap();
    sent.is_repeat = true;
    mailer.send(&sent).await.unwrap();
    let (first, second) = (server.mail().await, server.mail().await);
    for name in ["message-id", "date", "from", "to"] {
        assert_eq!(header(&first, name), header(&second, name));
    }
    assert_eq!(header(&second, "subject"), format!("{} (repeat)", header(&first, "subject")));
}

#[tokio::test]
async fn a_server_on_this_machine_may_be_spoken_to_in_clear() {
    let Some(mut server) = start(&Plan { asks_for_login: false, ..Plan::new(Security::None) }).await else { return };
    let mailer = server.mailer(|settings| settings.hello = Some("msp-1.example".to_owned()));
    mailer.send(&mail("M1", "owner@msp.example")).await.unwrap();
    let told = server.told_until(|line| line["took"].is_object()).await;
    assert!(heard(&told, true).starts_with("EHLO msp-1.example\r\nMAIL FROM:<latchkey@msp.example>\r\n"), "{told:?}");
}

/// What the program and the crates under it log, at any level, holds neither the login nor the mail.
#[tokio::test]
async fn a_login_is_logged_nowhere() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let log = Log::default();
    let written = log.clone();
    let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || written.clone());
    let guard = tracing::subscriber::set_default(all.finish());
    server.mailer(|_| {}).send(&mail("M1", "owner@msp.example")).await.unwrap();
    tracing::info!("sent");
    drop(guard);
    let (told, log) = (server.told_until(|line| line["took"].is_object()).await, log.text());
    let heard = heard(&told, false);
    let login = heard.split("AUTH PLAIN ").nth(1).unwrap().lines().next().unwrap();
    assert!(log.contains("sent") && !log.contains(login) && !log.contains(LOGIN.1), "{log}");
    assert!(!log.contains("owner@msp.example") && !log.contains("Jan"), "{log}");
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_check_goes_as_far_as_the_login_and_sends_nothing() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    server.mailer(|_| {}).check().await.unwrap();
    let told = server.told_until(|line| line["heard"] == "QUIT\r\n").await;
    let under_tls = heard(&told, false);
    assert!(
        under_tls.contains("AUTH PLAIN ") && under_tls.contains("NOOP") && !under_tls.contains("MAIL"),
        "{under_tls}"
    );
}
