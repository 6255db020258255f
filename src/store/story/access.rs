//! Grants, accounts, rules, notices, sealed rows, sightings, audit, deliveries.

use latchkey_contract::directory::Mode;

use super::sample::*;
use crate::{
    access::{State, trigger::Sighting},
    jobs::task::Priority,
    rulebook::Rules,
    store::{Notice, NoticeState, Recorded, Rewrapped, SealedRow, Store, StoreError, Transition, verify_chain},
};

pub(crate) async fn a_delivery_is_recorded_once_with_its_task(store: &dyn Store) {
    assert_eq!(store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap(), Recorded::New);
    assert_eq!(store.record_delivery(delivery("d2", "m1", Some("4711"))).await.unwrap(), Recorded::Repeat);
    let mut other = delivery("d3", "m1", Some("4711"));
    other.body_hash = "another".into();
    assert_eq!(store.record_delivery(other).await.unwrap(), Recorded::OtherBody);
    assert!(store.delivery("d2").await.unwrap().is_none());

    let tasks = claim(store, START).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].work, intake("d1", "4711"));
    let t = Transition { delivery_done: Some(("d1".into(), "granted".into())), ..transition() };
    store.commit(t).await.unwrap();
    let stored = store.delivery("d1").await.unwrap().unwrap();
    assert_eq!(stored.outcome.as_deref(), Some("granted"));
    assert_eq!(stored.event.message_id, "m1");
}

pub(crate) async fn rules_are_saved_one_revision_after_another(store: &dyn Store) {
    assert_eq!(store.rules().await.unwrap(), Rules::default());
    assert_eq!(store.save_rules(&Rules::default(), "jdoe", "first", START).await.unwrap(), 1);
    let stale = store.save_rules(&Rules::default(), "jdoe", "second", START).await;
    assert!(matches!(stale, Err(StoreError::Conflict)));
    let rules = store.rules().await.unwrap();
    assert_eq!((rules.revision, store.revision().await.unwrap()), (1, 1));
    assert_eq!(store.save_rules(&rules, "jdoe", "second", START).await.unwrap(), 2);

    let old = Transition { revision: Some(1), audit: vec![entry("x")], ..transition() };
    assert!(matches!(store.commit(old).await, Err(StoreError::Conflict)));
    assert!(store.audit(0, 10).await.unwrap().is_empty());
    store.commit(Transition { revision: Some(2), ..transition() }).await.unwrap();
}

pub(crate) async fn a_transition_is_written_whole_and_read_back(store: &dyn Store) {
    let t = Transition {
        grants: vec![grant("g1", "a1", "4711", granting()), grant("g2", "a1", "4711", refused())],
        accounts: vec![account("a1", Mode::Standard)],
        seal: vec![sealed("s1", None), sealed("s2", Some("cw/private-key"))],
        notices: vec![
            notice("n1", "4711", "g1", NoticeState::Open),
            notice("n2", "4711", "g1", NoticeState::Done { notes: vec![] }),
        ],
        ..transition()
    };
    store.commit(t).await.unwrap();

    let stored = store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((stored.version, &stored.state), (1, &granting()));
    assert_eq!(store.open_grants(&"a1".parse().unwrap()).await.unwrap().len(), 1);
    let of_ticket = store.grants_of_ticket(&ticket("4711")).await.unwrap();
    assert_eq!(of_ticket.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), ["g2", "g1"]);
    assert_eq!(store.grants_of_person(&"jdoe".parse().unwrap(), 1).await.unwrap()[0].id.as_str(), "g2");
    assert_eq!(store.account(&"a1".parse().unwrap()).await.unwrap().unwrap().version, 1);
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap().len(), 1);
    assert_eq!(store.notices_of(&"g1".parse().unwrap()).await.unwrap().len(), 2);
    assert_eq!(store.sealed(&secret("s1")).await.unwrap().unwrap(), sealed("s1", None));
    assert_eq!(store.sealed_names().await.unwrap(), ["cw/private-key"]);
    assert_eq!(store.sealed_named("cw/private-key").await.unwrap().unwrap().id, secret("s2"));
    assert!(store.grant(&"g9".parse().unwrap()).await.unwrap().is_none());
}

pub(crate) async fn a_version_that_moved_changes_nothing(store: &dyn Store) {
    let new = grant("g1", "a1", "4711", granting());
    store.commit(Transition { grants: vec![new.clone()], ..transition() }).await.unwrap();
    let again = Transition { grants: vec![new.clone()], audit: vec![entry("twice")], ..transition() };
    assert!(matches!(store.commit(again).await, Err(StoreError::Conflict)));

    let mut moved = store.grant(&new.id).await.unwrap().unwrap();
    moved.state = ending();
    store.commit(Transition { grants: vec![moved.clone()], ..transition() }).await.unwrap();
    let late = Transition {
        grants: vec![moved],
        accounts: vec![account("a1", Mode::Standard)],
        audit: vec![entry("late")],
        tasks: vec![task(tell_work("4711"), START, Priority::Telling)],
        ..transition()
    };
    assert!(matches!(store.commit(late).await, Err(StoreError::Conflict)));
    let stored = store.grant(&new.id).await.unwrap().unwrap();
    assert_eq!((stored.version, matches!(stored.state, State::Ending { .. })), (2, true));
    assert!(store.account(&"a1".parse().unwrap()).await.unwrap().is_none());
    assert!(store.audit(0, 10).await.unwrap().is_empty());
    assert!(claim(store, START).await.is_empty());
}

pub(crate) async fn two_requests_cannot_make_two_standard_accounts(store: &dyn Store) {
    let first = Transition { accounts: vec![account("a1", Mode::Standard)], ..transition() };
    store.commit(first).await.unwrap();
    let second = Transition { accounts: vec![account("a2", Mode::Standard)], ..transition() };
    assert!(matches!(store.commit(second).await, Err(StoreError::Conflict)));

    let burners = vec![account("b1", Mode::Burner), account("b2", Mode::Burner)];
    let grants = vec![grant("g1", "b1", "4711", granting()), grant("g2", "b2", "4712", refused())];
    store.commit(Transition { accounts: burners, grants, ..transition() }).await.unwrap();
    let of = |mode| async move {
        let found = store.accounts_of(&"jdoe".parse().unwrap(), &connection("acme-entra"), mode).await.unwrap();
        found.into_iter().map(|a| a.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(Mode::Standard).await, ["a1"]);
    assert_eq!(of(Mode::Burner).await, ["b1"]);
}

pub(crate) async fn accounts_are_listed_page_by_page(store: &dyn Store) {
    let accounts = ["a2", "a1", "a3"].map(|id| account(id, Mode::Burner)).to_vec();
    store.commit(Transition { accounts, ..transition() }).await.unwrap();
    let ids = |page: Vec<crate::access::Account>| page.into_iter().map(|a| a.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(store.accounts(None, 2).await.unwrap()), ["a1", "a2"]);
    assert_eq!(ids(store.accounts(Some(&"a2".parse().unwrap()), 2).await.unwrap()), ["a3"]);
}

pub(crate) async fn a_destroyed_secret_is_gone_and_its_name_free(store: &dyn Store) {
    store.commit(Transition { seal: vec![sealed("s1", Some("cw/private-key"))], ..transition() }).await.unwrap();
    let taken = Transition { seal: vec![sealed("s2", Some("cw/private-key"))], ..transition() };
    assert!(matches!(store.commit(taken.clone()).await, Err(StoreError::Conflict)));
    store.commit(Transition { destroy: vec![secret("s1")], ..taken }).await.unwrap();
    assert!(store.sealed(&secret("s1")).await.unwrap().is_none());
    assert_eq!(store.sealed_named("cw/private-key").await.unwrap().unwrap().id, secret("s2"));
}

pub(crate) async fn data_keys_are_wrapped_anew_and_a_retired_key_takes_no_more(store: &dyn Store) {
    let seal = vec![sealed("s1", None), sealed("s2", Some("cw/private-key")), sealed("s3", None)];
    store.commit(Transition { seal, ..transition() }).await.unwrap();
    let ids = |page: Vec<SealedRow>| page.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(store.sealed_page(None, 2).await.unwrap()), [secret("s1"), secret("s2")]);
    assert_eq!(ids(store.sealed_page(Some(&secret("s2")), 2).await.unwrap()), [secret("s3")]);
    assert!(store.sealed_page(Some(&secret("s3")), 2).await.unwrap().is_empty());

    let anew = |id: &str, before: &str| Rewrapped {
        id: secret(id),
        before: before.into(),
        key_id: "k2".into(),
        wrapped_key: vec![7],
    };
    let rows = vec![anew("s1", "k1"), anew("s2", "another"), anew("s9", "k1")];
    assert_eq!(store.rewrap(rows).await.unwrap(), 1);
    let row = store.sealed(&secret("s1")).await.unwrap().unwrap();
    assert_eq!((row.key_id.as_str(), row.wrapped_key, row.sealed), ("k2", vec![7], sealed("s1", None).sealed));
    assert_eq!(store.sealed(&secret("s2")).await.unwrap().unwrap(), sealed("s2", Some("cw/private-key")));

    assert_eq!(store.retire_key("k1").await.unwrap(), 2, "still needed");
    store.commit(Transition { seal: vec![sealed("s4", None)], ..transition() }).await.unwrap();
    let rows = ["s2", "s3", "s4"].map(|id| anew(id, "k1")).to_vec();
    assert_eq!((store.rewrap(rows).await.unwrap(), store.retire_key("k1").await.unwrap()), (3, 0));
    let late = store.commit(Transition { seal: vec![sealed("s5", None)], ..transition() }).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    let back = Rewrapped { before: "k2".into(), key_id: "k1".into(), ..anew("s1", "") };
    assert!(matches!(store.rewrap(vec![back]).await, Err(StoreError::Conflict)));
}

pub(crate) async fn sightings_and_notices_are_replaced(store: &dyn Store) {
    let mapping = "helpdesk".parse().unwrap();
    assert!(store.sighting(&ticket("4711"), &mapping).await.unwrap().is_none());
    let mut seen =
        Sighting { ticket: ticket("4711"), mapping: mapping.clone(), is_armed: true, consumed: None, seen_at: START };
    store.commit(Transition { sightings: vec![seen.clone()], ..transition() }).await.unwrap();
    seen.is_armed = false;
    store.commit(Transition { sightings: vec![seen.clone()], ..transition() }).await.unwrap();
    assert_eq!(store.sighting(&ticket("4711"), &mapping).await.unwrap().unwrap(), seen);

    let open = notice("n1", "4711", "g1", NoticeState::Open);
    store.commit(Transition { notices: vec![open.clone()], ..transition() }).await.unwrap();
    let posted = notice("n1", "4711", "g1", NoticeState::Posted { notes: vec![] });
    store.commit(Transition { notices: vec![posted.clone()], ..transition() }).await.unwrap();
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap(), [posted]);
    let given_up = notice("n1", "4711", "g1", NoticeState::GivenUp { why: "refused".into() });
    store.commit(Transition { notices: vec![given_up], ..transition() }).await.unwrap();
    assert!(store.open_notices(&ticket("4711")).await.unwrap().is_empty());
}

/// A clock that was set back gives the later notice the smaller id.
pub(crate) async fn notices_stay_in_the_order_of_their_commits(store: &dyn Store) {
    let notices = ["n5", "n9", "n2"].map(|id| notice(id, "4711", "g1", NoticeState::Open));
    for notice in &notices {
        store.commit(Transition { notices: vec![notice.clone()], ..transition() }).await.unwrap();
    }
    let posted = Notice { state: NoticeState::Posted { notes: vec![] }, ..notices[0].clone() };
    store.commit(Transition { notices: vec![posted.clone()], ..transition() }).await.unwrap();
    let [_, second, third] = notices;
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap(), [posted.clone(), second.clone(), third.clone()]);
    assert_eq!(store.notices_of(&"g1".parse().unwrap()).await.unwrap(), [posted, second, third]);
}

pub(crate) async fn the_audit_is_one_chain(store: &dyn Store) {
    for codes in [["a", "b"], ["c", "d"]] {
        let audit = codes.map(entry).to_vec();
        store.commit(Transition { audit, ..transition() }).await.unwrap();
    }
    let all = store.audit(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[0].detail, entry("a").detail);
    let (head, hash) = verify_chain((0, ""), &all).unwrap();
    assert_eq!((head, &hash), (4, &all[3].hash));

    let page = store.audit(2, 1).await.unwrap();
    assert_eq!(page, all[2..3]);
    assert!(verify_chain((2, &all[1].hash), &page).is_ok());
    let mut forged = all.clone();
    forged[1].person = None;
    assert_eq!(verify_chain((0, ""), &forged).unwrap_err().seq, 2);
}

/// What must be there after the process ended in any way, once its commit was answered.
pub(crate) async fn before_the_end(store: &dyn Store) {
    store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap();
    let t = Transition {
        grants: vec![grant("g1", "a1", "4711", granting())],
        audit: vec![entry("grant.begun")],
        tasks: vec![task(converge("a1", "acme-entra"), START, Priority::Giving)],
        ..transition()
    };
    store.commit(t).await.unwrap();
    store.heartbeat(after(5)).await.unwrap();
}

/// The same store, opened again.
pub(crate) async fn after_the_end(store: &dyn Store) {
    assert_eq!(store.record_delivery(delivery("d2", "m1", Some("4711"))).await.unwrap(), Recorded::Repeat);
    assert!(store.grant(&"g1".parse().unwrap()).await.unwrap().is_some());
    assert!(verify_chain((0, ""), &store.audit(0, 10).await.unwrap()).is_ok());
    assert_eq!(claim(store, START).await.len(), 2);
    assert_eq!(store.last_seen().await.unwrap(), Some(after(5)));
}
