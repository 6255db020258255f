//! Sign-in.

use std::time::Duration;

use super::sample::*;
use crate::store::{Factors, Session, Store};

pub(super) fn factors() -> Factors {
    Factors {
        person: "jdoe".parse().unwrap(),
        password_hash: "$argon2id$…".into(),
        totp: secret("totp-jdoe"),
        enrolled_at: START,
    }
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
    store.set_factors(&factors(), entry("enrol")).await.unwrap();
    assert!(store.use_step(&jdoe, 100).await.unwrap());
    for used in [100, 99] {
        assert!(!store.use_step(&jdoe, used).await.unwrap());
    }
    assert!(store.use_step(&jdoe, 101).await.unwrap());
    store.set_factors(&Factors { totp: secret("totp-new"), ..factors() }, entry("enrol")).await.unwrap();
    assert!(store.use_step(&jdoe, 100).await.unwrap());
    assert_eq!(store.factors(&jdoe).await.unwrap().unwrap().totp, secret("totp-new"));
    assert!(store.factors(&"msmith".parse().unwrap()).await.unwrap().is_none());
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
    store.set_factors(&factors(), entry("enrol")).await.unwrap();
    for token in ["t1", "t2", "t3"] {
        store.open_session(&session(token)).await.unwrap();
    }
    assert!(store.session("forged", after(1), after(601)).await.unwrap().is_none());
    let seen = store.session("t1", after(500), after(1100)).await.unwrap().unwrap();
    assert_eq!((seen.idle_until, seen.person.as_str()), (after(1100), "jdoe"));
    assert!(store.session("t2", after(600), after(1200)).await.unwrap().is_none(), "idle for too long");
    assert!(store.session("t1", after(1000), after(9999)).await.unwrap().is_some());
    assert!(store.session("t1", after(3600), after(9999)).await.unwrap().is_none(), "over");
    store.open_session(&session("t4")).await.unwrap();
    store.close_session("t4").await.unwrap();
    assert!(store.session("t4", after(1), after(601)).await.unwrap().is_none());
    store.set_factors(&factors(), entry("enrol")).await.unwrap();
    assert!(store.session("t3", after(1), after(601)).await.unwrap().is_none());
}

pub(crate) async fn the_last_wall_time_is_remembered(store: &dyn Store) {
    assert_eq!(store.last_seen().await.unwrap(), None);
    store.heartbeat(START).await.unwrap();
    store.heartbeat(after(7)).await.unwrap();
    assert_eq!(store.last_seen().await.unwrap(), Some(after(7)));
}
