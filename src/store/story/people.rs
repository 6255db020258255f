//! Sign-in.

use std::time::Duration;

use super::sample::*;
use crate::{
    audit::{By, Code},
    rulebook::{Hold, HoldCause, HoldOn, Records, Rules},
    store::{Chosen, Enrolled, Factors, Invitation, Session, Store, StoreError},
};

fn factors(totp: &str) -> Factors {
    let person = "jdoe".parse().unwrap();
    Factors { person, password_hash: "$argon2id$…".into(), totp: secret(totp), enrolled_at: START }
}

pub(super) fn enrolled(totp: &str) -> Enrolled {
    let sealed = Some(sealed(totp, None));
    Enrolled { factors: factors(totp), sealed, step: 99, invitation: None, by: By::Service }
}

fn session(token: &str) -> Session {
    Session {
        token_hash: token.into(),
        person: "jdoe".parse().unwrap(),
        form_token: "form".into(),
        until: after(3600),
        idle_until: after(600),
    }
}

/// Used steps are refused, older ones too; a new enrolment begins anew.
pub(crate) async fn a_one_time_code_works_once(store: &dyn Store) {
    let jdoe = "jdoe".parse().unwrap();
    assert!(!store.use_step(&jdoe, 100).await.unwrap(), "nobody is enrolled");
    store.enroll(&enrolled("totp-jdoe")).await.unwrap();
    assert!(store.use_step(&jdoe, 100).await.unwrap());
    for used in [100, 99] {
        assert!(!store.use_step(&jdoe, used).await.unwrap());
    }
    assert!(store.use_step(&jdoe, 101).await.unwrap());
    store.enroll(&enrolled("totp-new")).await.unwrap();
    assert!(store.sealed(&secret("totp-jdoe")).await.unwrap().is_none(), "the former secret is gone");
    assert!(store.use_step(&jdoe, 100).await.unwrap());
    assert_eq!(store.factors(&jdoe).await.unwrap().unwrap().totp, secret("totp-new"));
    assert!(store.factors(&"msmith".parse().unwrap()).await.unwrap().is_none());
}

fn invitation(token: &str, beside: Option<&str>) -> Invitation {
    Invitation {
        person: "jdoe".parse().unwrap(),
        token_hash: token.into(),
        beside: beside.map(secret),
        until: after(86_400),
        chosen: None,
    }
}

fn chosen(totp: &str) -> Chosen {
    Chosen { password_hash: "$argon2id$…".into(), sealed: sealed(totp, None) }
}

/// F180: a link enrols one person once; a newer one, an enrolment, a hold and a day void it.
pub(crate) async fn an_invitation_enrols_once(store: &dyn Store) {
    let jdoe = "jdoe".parse().unwrap();
    let good = async |token: &str, seconds: u64| store.invitation(token, after(seconds)).await.unwrap();
    let by_link = |token: &str, totp: &str| Enrolled { sealed: None, invitation: Some(token.into()), ..enrolled(totp) };
    store.invite(&invitation("first", None), &By::Service, START).await.unwrap();
    store.choose("first", &chosen("totp-first"), START).await.unwrap();
    store.invite(&invitation("second", None), &By::Service, START).await.unwrap();
    assert!(good("first", 1).await.is_none() && store.sealed(&secret("totp-first")).await.unwrap().is_none());
    assert!(good("second", 86_399).await.is_some_and(|i| i.chosen.is_none()));
    assert!(good("second", 86_400).await.is_none());
    assert!(matches!(store.choose("first", &chosen("totp-x"), after(1)).await, Err(StoreError::Conflict)));
    assert!(matches!(store.choose("second", &chosen("totp-x"), after(86_400)).await, Err(StoreError::Conflict)));
    assert!(store.sealed(&secret("totp-x")).await.unwrap().is_none());
    store.choose("second", &chosen("totp-a"), after(1)).await.unwrap();
    store.choose("second", &chosen("totp-b"), after(2)).await.unwrap();
    assert!(store.sealed(&secret("totp-a")).await.unwrap().is_none(), "what was chosen before is gone");
    for (token, totp) in [("first", "totp-b"), ("second", "totp-a")] {
        assert!(matches!(store.enroll(&by_link(token, totp)).await, Err(StoreError::Conflict)), "{token} {totp}");
    }
    store.enroll(&by_link("second", "totp-b")).await.unwrap();
    assert_eq!(store.factors(&jdoe).await.unwrap().unwrap().totp, secret("totp-b"));
    assert!(store.sealed(&secret("totp-b")).await.unwrap().is_some());
    assert!(!store.use_step(&jdoe, 99).await.unwrap(), "the code that confirmed it is used up");
    assert!(matches!(store.enroll(&by_link("second", "totp-b")).await, Err(StoreError::Conflict)), "once");
    store.invite(&invitation("stale", None), &By::Service, START).await.unwrap();
    assert!(good("stale", 1).await.is_none(), "made beside no factors, and there are some");
    store.invite(&invitation("third", Some("totp-b")), &By::Service, START).await.unwrap();
    assert!(good("third", 1).await.is_some());
    store.uninvite(&jdoe).await.unwrap();
    assert!(good("third", 1).await.is_none());
    store.invite(&invitation("fourth", Some("totp-b")), &By::Service, START).await.unwrap();
    store.choose("fourth", &chosen("totp-d"), START).await.unwrap();
    store.open_session(&session("t1"), vec![], START).await.unwrap();
    store.set_hold(&hold_on(HoldOn::Person(jdoe.clone()))).await.unwrap();
    assert!(good("fourth", 1).await.is_none() && store.sealed(&secret("totp-d")).await.unwrap().is_none());
    assert!(store.session("t1", after(1), after(601)).await.unwrap().is_none());
    store.invite(&invitation("fifth", Some("totp-b")), &By::Service, START).await.unwrap();
    store.choose("fifth", &chosen("totp-e"), START).await.unwrap();
    store.sweep(after(86_400)).await.unwrap();
    assert!(store.sealed(&secret("totp-e")).await.unwrap().is_none(), "what was never confirmed is swept away");
    let codes: Vec<Code> = store.audit(0, 100).await.unwrap().into_iter().map(|entry| entry.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::PersonEnrolled).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == Code::PersonInvited).count(), 6);
}

/// Whoever is taken out of the records can sign in no more, and neither can whoever gets their id later.
pub(crate) async fn who_is_removed_takes_their_factors_along(store: &dyn Store) {
    let jdoe = "jdoe".parse().unwrap();
    let with = "[[person]]\nid = \"jdoe\"\nname = \"Jane\"\ncustomers = \"all\"\n                [[person]]\nid = \"boss\"\nname = \"Boss\"\nrole = \"owner\"\ncustomers = \"all\"\n";
    let rules = Rules { records: Records::parse(with).unwrap(), ..Rules::default() };
    store.save_rules(&rules, "test", "test", START).await.unwrap();
    store.enroll(&enrolled("totp-jdoe")).await.unwrap();
    store.open_session(&session("t1"), vec![], START).await.unwrap();
    store.invite(&invitation("link", Some("totp-jdoe")), &By::Service, START).await.unwrap();
    let mut rules = store.rules().await.unwrap();
    rules.records.people.retain(|p| p.id != jdoe);
    store.save_rules(&rules, "test", "test", START).await.unwrap();
    assert!(store.factors(&jdoe).await.unwrap().is_none());
    assert!(store.sealed(&secret("totp-jdoe")).await.unwrap().is_none());
    assert!(store.session("t1", after(1), after(601)).await.unwrap().is_none());
    assert!(store.invitation("link", after(1)).await.unwrap().is_none());
}

/// F30: each binding that a save makes or takes is audited by name.
pub(crate) async fn every_binding_is_audited(store: &dyn Store) {
    let person = "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = \"https://na.myconnectwise.net\"\n                  company = \"x\"\nclient_id = \"y\"\npublic_key = \"z\"\n                  [[person]]\nid = \"jdoe\"\nname = \"Jane\"\ncustomers = \"all\"\n                  [[person]]\nid = \"mary\"\nname = \"Mary\"\ncustomers = \"all\"\n";
    let (cw, member) = (connection("cw"), "176".parse().unwrap());
    let save = async |change: &dyn Fn(&mut Records)| {
        let before = store.rules().await.unwrap();
        let mut records = before.records.clone();
        change(&mut records);
        let next = before.next(before.rulebook.clone(), records, START).unwrap();
        store.save_rules(&next, "test", "test", START).await.unwrap();
    };
    save(&|records| *records = Records::parse(person).unwrap()).await;
    save(&|records| records.bind(&"jdoe".parse().unwrap(), &cw, &member)).await;
    save(&|records| {
        records.unbind(&cw, &member);
        records.bind(&"mary".parse().unwrap(), &cw, &member);
    })
    .await;
    let told: Vec<String> = store
        .audit(0, 100)
        .await
        .unwrap()
        .iter()
        .filter(|e| e.code.as_str().starts_with("binding."))
        .map(|e| format!("{} {} {} {}", e.code, e.person.as_ref().unwrap(), e.detail["member"], e.by.as_ref().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            r#"binding.added jdoe "cw/176" operator test"#,
            r#"binding.removed jdoe "cw/176" operator test"#,
            r#"binding.added mary "cw/176" operator test"#,
        ]
    );
}

fn hold_on(on: HoldOn) -> Hold {
    Hold { on, cause: HoldCause::Blocked, since: START, by: "test".into(), reason: "test".into() }
}

pub(crate) async fn failures_are_counted_per_key_and_time(store: &dyn Store) {
    let since = START - Duration::from_secs(900);
    assert_eq!(store.count_failure("jdoe", START - Duration::from_secs(1000), since).await.unwrap(), 0);
    assert_eq!(store.count_failure("jdoe", START, since).await.unwrap(), 1);
    assert_eq!(store.count_failure("jdoe", after(1), since).await.unwrap(), 2);
    assert_eq!(store.count_failure("msmith", after(1), since).await.unwrap(), 1);
    assert_eq!(store.failures("jdoe", since).await.unwrap(), 2);
    assert_eq!(store.failures("jdoe", after(2)).await.unwrap(), 0);
}

pub(crate) async fn a_session_ends_by_its_end_by_idling_by_closing_and_by_enrolment(store: &dyn Store) {
    store.enroll(&enrolled("totp-jdoe")).await.unwrap();
    for token in ["t1", "t2", "t3"] {
        store.open_session(&session(token), vec![], START).await.unwrap();
    }
    assert!(store.session("forged", after(1), after(601)).await.unwrap().is_none());
    let seen = store.session("t1", after(500), after(1100)).await.unwrap().unwrap();
    assert_eq!((seen.idle_until, seen.person.as_str()), (after(1100), "jdoe"));
    assert!(store.session("t2", after(600), after(1200)).await.unwrap().is_none(), "idle for too long");
    assert!(store.session("t1", after(1000), after(9999)).await.unwrap().is_some());
    assert!(store.session("t1", after(3600), after(9999)).await.unwrap().is_none(), "over");
    store.open_session(&session("t4"), vec![], START).await.unwrap();
    store.close_session("t4").await.unwrap();
    assert!(store.session("t4", after(1), after(601)).await.unwrap().is_none());
    store.enroll(&enrolled("totp-again")).await.unwrap();
    assert!(store.session("t3", after(1), after(601)).await.unwrap().is_none());
}

pub(crate) async fn the_last_wall_time_is_remembered(store: &dyn Store) {
    assert_eq!(store.last_seen().await.unwrap(), None);
    store.heartbeat(START).await.unwrap();
    store.heartbeat(after(7)).await.unwrap();
    assert_eq!(store.last_seen().await.unwrap(), Some(after(7)));
    assert_eq!(store.counted_since().await.unwrap(), None);
    store.heartbeat_in_doubt(after(8)).await.unwrap();
    store.heartbeat_in_doubt(after(9)).await.unwrap();
    let both = (store.last_seen().await.unwrap(), store.counted_since().await.unwrap());
    assert_eq!(both, (Some(after(7)), Some(after(9))));
    for no_news in [7, 3] {
        store.heartbeat(after(no_news)).await.unwrap();
        let both = (store.last_seen().await.unwrap(), store.counted_since().await.unwrap());
        assert_eq!(both, (Some(after(7)), Some(after(9))), "{no_news}");
    }
    store.heartbeat(after(10)).await.unwrap();
    let both = (store.last_seen().await.unwrap(), store.counted_since().await.unwrap());
    assert_eq!(both, (Some(after(10)), None), "no longer in doubt");
}
