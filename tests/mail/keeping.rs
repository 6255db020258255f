//! Connections are kept for the next mail, for a while.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use latchkey::mail::Security;
use serde_json::Value;

use crate::server::{Plan, Server, header, heard, mail, start};

fn opened(told: &[Value]) -> usize {
    told.iter().filter(|line| line["opened"] == true).count()
}

async fn until_taken(server: &mut Server, id: &str) -> Vec<Value> {
    let told = server.told_until(|line| line["took"].is_object()).await;
    assert_eq!(header(&told.last().unwrap()["took"], "message-id"), format!("<{id}@latchkey.msp.example>"));
    told
}

#[tokio::test]
async fn mails_that_come_together_need_one_login() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|_| {});
    let mut told = Vec::new();
    for id in ["M1", "M2", "M3", "M4", "M5"] {
        mailer.send(&mail(id, "owner@msp.example")).await.unwrap();
        told.extend(until_taken(&mut server, id).await);
    }
    assert_eq!(opened(&told), 1);
    assert_eq!(heard(&told, false).matches("AUTH PLAIN ").count(), 1);
    assert_eq!(heard(&told, false).matches("NOOP").count(), 4, "each time it is asked whether it still lives");
}

#[tokio::test]
async fn a_connection_that_nobody_needs_is_parted_with() {
    let Some(mut server) = start(&Plan::new(Security::Tls)).await else { return };
    let mailer = server.mailer(|_| {});
    mailer.send(&mail("M1", "owner@msp.example")).await.unwrap();
    until_taken(&mut server, "M1").await;
    server.clock.pass(Duration::from_secs(29));
    mailer.send(&mail("M2", "owner@msp.example")).await.unwrap();
    assert_eq!(opened(&until_taken(&mut server, "M2").await), 0, "kept until then");
    server.clock.pass(Duration::from_secs(31));
    server.told_until(|line| line["heard"] == "QUIT\r\n").await;
    mailer.send(&mail("M3", "owner@msp.example")).await.unwrap();
    assert_eq!(opened(&until_taken(&mut server, "M3").await), 1);
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_mail() {
    let Some(mut server) = start(&Plan::new(Security::StartTls)).await else { return };
    let mailer = server.mailer(|_| {});
    mailer.send(&mail("M1", "brief@msp.example")).await.unwrap();
    server.told_until(|line| line["closed"] == true).await;
    mailer.send(&mail("M2", "owner@msp.example")).await.unwrap();
    assert_eq!(opened(&until_taken(&mut server, "M2").await), 1);
}

#[tokio::test]
async fn no_connection_carries_more_than_a_hundred_mails() {
    let Some(mut server) = start(&Plan::new(Security::Tls)).await else { return };
    let mailer = server.mailer(|_| {});
    let mut told = Vec::new();
    for number in 0..101 {
        mailer.send(&mail(&format!("M{number}"), "owner@msp.example")).await.unwrap();
        told.extend(until_taken(&mut server, &format!("M{number}")).await);
    }
    assert_eq!(opened(&told), 2);
}

#[tokio::test]
async fn mails_at_the_same_moment_have_a_connection_each_and_two_of_those_stay() {
    let Some(mut server) = start(&Plan::new(Security::Tls)).await else { return };
    let mailer = Arc::new(server.mailer(|_| {}));
    let send = |number: u32| {
        let (mailer, mail) = (Arc::clone(&mailer), mail(&format!("M{number}"), "owner@msp.example"));
        tokio::spawn(async move { mailer.send(&mail).await })
    };
    for sent in join_all((0..5).map(send)).await {
        sent.unwrap().unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        told.extend(server.told_until(|line| line["heard"] == "QUIT\r\n").await);
    }
    assert_eq!((opened(&told), told.iter().filter(|line| line["took"].is_object()).count()), (5, 5));
    mailer.send(&mail("M5", "owner@msp.example")).await.unwrap();
    assert_eq!(opened(&until_taken(&mut server, "M5").await), 0);
}
