//! What a mail server can do wrong, or we, and what the caller is told to do about it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey::mail::{MailError, Security};
use tokio::net::TcpListener;

use crate::server::{LOGIN, Plan, header, heard, mail, mailer, start};

/// The most a mail may take in the tests that are about time.
const LIMIT: Duration = Duration::from_secs(1);

fn setup(error: &MailError, remedy: &str) {
    assert!(matches!(error, MailError::Setup { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(remedy) && !said.contains(LOGIN.1) && !said.contains('@'), "{said}");
}

#[tokio::test]
async fn a_wrong_password_is_the_operators_business() {
    for security in [Security::StartTls, Security::Tls] {
        let Some(server) = start(&Plan::new(security)).await else { return };
        let mailer = mailer(server.settings.clone(), "wrong", Arc::new(server.clock.clone())).unwrap();
        setup(&mailer.send(&mail("M1", "owner@msp.example")).await.unwrap_err(), "latchkey secret set mail/password");
        setup(&mailer.check().await.unwrap_err(), "latchkey secret set mail/password");
        assert!(!heard(&server.last_words().await, false).contains("MAIL FROM"), "nothing is sent");
    }
}

#[tokio::test]
async fn a_login_that_is_missing_is_the_operators_business() {
    let Some(server) = start(&Plan::new(Security::StartTls)).await else { return };
    let without = server.mailer(|settings| settings.username = None);
    setup(&without.send(&mail("M1", "owner@msp.example")).await.unwrap_err(), "write username under [mail]");
    let open = start(&Plan { asks_for_login: false, ..Plan::new(Security::None) }).await.unwrap();
    let settings = latchkey::mail::Settings { username: Some("latchkey".to_owned()), ..open.settings.clone() };
    let public_url = "https://latchkey.msp.example/".parse().unwrap();
    let made = latchkey::mail::Mailer::new(settings, &public_url, None, Arc::new(open.clock.clone()));
    setup(&made.unwrap_err(), "run: latchkey secret set mail/password");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    for security in [Security::StartTls, Security::Tls] {
        let Some(server) = start(&Plan::new(security)).await else { return };
        let mailer = server.mailer(|settings| settings.ca_file = None);
        setup(&mailer.send(&mail("M1", "owner@msp.example")).await.unwrap_err(), "ca_file");
        setup(&mailer.check().await.unwrap_err(), "ca_file");
        let told = server.last_words().await;
        assert!(!heard(&told, true).contains("AUTH") && heard(&told, false).is_empty(), "nothing is said: {told:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let Some(server) = start(&Plan { host: "127.0.0.2", ..Plan::new(Security::Tls) }).await else { return };
    let error = server.mailer(|_| {}).send(&mail("M1", "owner@msp.example")).await.unwrap_err();
    setup(&error, "certificate for another name");
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing_in_clear() {
    let Some(server) = start(&Plan::new(Security::None)).await else { return };
    let mailer = server.mailer(|settings| settings.security = Security::StartTls);
    setup(&mailer.send(&mail("M1", "owner@msp.example")).await.unwrap_err(), "STARTTLS");
    assert_eq!(heard(&server.last_words().await, true), "EHLO latchkey.msp.example\r\n");
}

#[tokio::test]
async fn tls_where_the_server_speaks_none_is_the_operators_business() {
    let Some(server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|settings| settings.security = Security::Tls);
    setup(&mailer.check().await.unwrap_err(), "check port and security");
}

#[tokio::test]
async fn words_put_behind_the_answer_to_starttls_are_not_taken_for_the_servers() {
    let Some(server) = start(&Plan { is_attacked: true, ..Plan::new(Security::StartTls) }).await else { return };
    let error = server.mailer(|_| {}).send(&mail("M1", "owner@msp.example")).await.unwrap_err();
    setup(&error, "TLS");
    let told = server.last_words().await;
    assert!(heard(&told, false).is_empty() && !told.iter().any(|line| line["took"].is_object()), "{told:?}");
}

#[tokio::test]
async fn a_greylisted_mail_is_taken_later_as_the_same() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let (mailer, sent) = (server.mailer(|_| {}), mail("M1", "grey@customer.example"));
    let error = mailer.send(&sent).await.unwrap_err();
    assert!(
        matches!(&error, MailError::Later { why, may_have_arrived: false } if why.contains("451 4.7.1")),
        "{error:?}"
    );
    mailer.send(&sent).await.unwrap();
    assert_eq!(header(&server.mail().await, "message-id"), "<M1@latchkey.msp.example>");
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_apart() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|_| {});
    for (to, expected) in [("unknown@customer.example", "550 5.1.1"), ("spam@customer.example", "554 5.7.1")] {
        let error = mailer.send(&mail("M1", to)).await.unwrap_err();
        assert!(matches!(&error, MailError::Refused { why } if why.contains(expected)), "{error:?}");
        assert!(!error.to_string().contains('@'), "the server names the address, we do not: {error}");
    }
    let stranger = server.mailer(|settings| settings.from = "stranger@msp.example".parse().unwrap());
    setup(&stranger.send(&mail("M2", "owner@msp.example")).await.unwrap_err(), "mail.from");
    mailer.send(&mail("M3", "owner@msp.example")).await.unwrap();
    assert_eq!(header(&server.mail().await, "message-id"), "<M3@latchkey.msp.example>", "others are not held up");
}

/// The server has the whole mail and says nothing: it may be there twice in the end, but the answer to it is never taken for
/// the answer to the next.
#[tokio::test]
async fn a_slow_server_costs_its_time_and_no_more() {
    let Some(server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|settings| settings.timeout = LIMIT);
    mailer.send(&mail("M0", "owner@msp.example")).await.unwrap();
    let started = Instant::now();
    let error = mailer.send(&mail("M1", "slow@customer.example")).await.unwrap_err();
    assert!(error.may_have_arrived() && error.to_string().contains("within 1 s"), "{error:?}");
    assert!(started.elapsed() < LIMIT * 3, "{:?}", started.elapsed());
    let error = mailer.send(&mail("M2", "unknown@customer.example")).await.unwrap_err();
    assert!(matches!(error, MailError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_up_on_a_mail_may_have_it() {
    let Some(mut server) = start(&Plan::new(Security::Tls)).await else { return };
    let mailer = server.mailer(|_| {});
    let error = mailer.send(&mail("M1", "hangup@customer.example")).await.unwrap_err();
    assert!(error.may_have_arrived(), "{error:?}");
    assert_eq!(header(&server.mail().await, "message-id"), "<M1@latchkey.msp.example>", "it does");
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_later() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    server.stop();
    for security in [Security::StartTls, Security::Tls] {
        let mailer = server.mailer(|settings| settings.security = security);
        for error in
            [mailer.send(&mail("M1", "owner@msp.example")).await.unwrap_err(), mailer.check().await.unwrap_err()]
        {
            assert!(matches!(error, MailError::Later { may_have_arrived: false, .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_left_in_time() {
    let Some(server) = start(&Plan::new(Security::StartTls)).await else { return };
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for security in [Security::StartTls, Security::Tls] {
        let mailer = server.mailer(|settings| {
            (settings.security, settings.port, settings.timeout) = (security, port, LIMIT);
        });
        let error = mailer.send(&mail("M1", "owner@msp.example")).await.unwrap_err();
        assert!(
            matches!(&error, MailError::Later { why, may_have_arrived: false } if why.contains("[mail]")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_ca_file_that_holds_nothing_is_named() {
    let Some(server) = start(&Plan::new(Security::StartTls)).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    for path in [empty, dir.path().join("missing.pem")] {
        let settings = latchkey::mail::Settings { ca_file: Some(path.clone()), ..server.settings.clone() };
        let error = mailer(settings, LOGIN.1, Arc::new(server.clock.clone())).unwrap_err();
        setup(&error, &format!("mail.ca_file {}", path.display()));
    }
}
