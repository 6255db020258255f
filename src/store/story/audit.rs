//! The audit chain: one chain whatever happens, no entry without its place in it, and none given without an entry.

use latchkey_contract::Timestamp;
use serde_json::json;

use super::{people::enrolled, sample::*};
use crate::{
    access::State,
    audit::{AuditEntry, AuditFilter, By, Chain, Checkpoint, Code, Head, Prunable},
    jobs::task::Priority,
    store::{Store, StoreError, Transition, verify_chain},
};

/// Makes appending to the chain fail, as only an engine's own means can, and mends it.
#[async_trait::async_trait]
pub(crate) trait Breaks: Send {
    async fn break_it(&mut self);
    async fn mend(&mut self);
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
    assert_eq!(store.newest_audit(&[Code::StepDone], 2).await.unwrap(), [all[3].clone(), all[2].clone()]);
    assert!(store.newest_audit(&[Code::RequestGranted, Code::RequestRefused], 9).await.unwrap().is_empty());
    let mut forged = all.clone();
    forged[1].person = None;
    assert_eq!(verify_chain((0, ""), &forged).unwrap_err().seq, 2);
}

/// Whatever is asked for, nothing that a filter does not want is read, and pages of any size come to the same.
pub(crate) async fn audit_entries_are_found_by_what_they_are_about(store: &dyn Store) {
    let other = grant("g2", "a2", "4712", granting());
    let mut theirs = AuditEntry::new(Code::RequestRefused, after(60), By::Person("msmith".parse().unwrap()), json!({}));
    theirs.detail = json!({"request": {"customer": "globex"}});
    let entries = vec![
        entry("a"),
        AuditEntry { at: after(60), ..entry("b") },
        AuditEntry { at: after(120), code: Code::GrantEnded, ..entry("c") }.about(&other),
        theirs,
    ];
    store.commit(Transition { audit: entries, grants: vec![other], ..transition() }).await.unwrap();
    let all = AuditFilter::default();
    for (filter, wanted) in [
        (all.clone(), vec![1, 2, 3, 4]),
        (AuditFilter { from: Some(after(60)), ..all.clone() }, vec![2, 3, 4]),
        (AuditFilter { to: Some(after(60)), ..all.clone() }, vec![1]),
        (AuditFilter { from: Some(after(60)), to: Some(after(61)), ..all.clone() }, vec![2, 4]),
        (AuditFilter { grant: Some("g2".parse().unwrap()), ..all.clone() }, vec![3]),
        (AuditFilter { ticket: Some(ticket("4711")), ..all.clone() }, vec![1, 2]),
        (AuditFilter { person: Some("jdoe".parse().unwrap()), ..all.clone() }, vec![1, 2, 3]),
        (AuditFilter { person: Some("msmith".parse().unwrap()), ..all.clone() }, vec![4]),
        (AuditFilter { customer: Some("acme".parse().unwrap()), ..all.clone() }, vec![3]),
        (AuditFilter { customer: Some("globex".parse().unwrap()), ..all.clone() }, vec![4]),
        (AuditFilter { code: Some("step.".into()), ..all.clone() }, vec![1, 2]),
        (AuditFilter { code: Some("%".into()), ..all.clone() }, vec![]),
        (AuditFilter { code: Some("grant.ended".into()), from: Some(after(121)), ..all.clone() }, vec![]),
    ] {
        for limit in [1, 3, 100] {
            let (mut found, mut last) = (Vec::new(), 0);
            loop {
                let page = store.audit_rows(&filter, last, limit).await.unwrap();
                let Some(row) = page.last() else { break };
                assert!(page.len() <= limit as usize);
                last = row.seq;
                found.extend(page.iter().map(|row| row.seq));
            }
            assert_eq!(found, wanted, "{filter:?} by {limit}");
        }
    }
    let rows = store.audit_rows(&all, 0, 100).await.unwrap();
    let typed = store.audit(0, 100).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.entry().unwrap()).collect::<Vec<_>>(), typed);
    assert!(rows.iter().all(|row| row.is_filed_rightly));
    let head = store.audit_head().await.unwrap().unwrap();
    assert_eq!(head, Head::new(4, typed[3].hash.clone()));
}

/// F143: where nothing can be chained, nothing is given; removals go on, and what they owe is chained in its order, once,
/// before anything newer.
pub(crate) async fn without_the_chain_nothing_is_given_and_removals_go_on(store: &dyn Store, chain: &mut dyn Breaks) {
    assert_eq!(store.audit_head().await.unwrap(), None);
    let [one, two] = ["g1", "g2"].map(|id| grant(id, "a1", "4711", granting()));
    let first = Transition { grants: vec![one, two], audit: vec![entry("a")], ..transition() };
    store.commit(first).await.unwrap();
    chain.break_it().await;

    let given = Transition {
        grants: vec![grant("g9", "a9", "4712", granting())],
        tasks: vec![task(converge("a9", "acme-entra"), START, Priority::Giving)],
        audit: vec![entry("given")],
        ..transition()
    };
    assert!(store.commit(given.clone()).await.is_err(), "no entry, no giving");
    assert!(store.grant(&"g9".parse().unwrap()).await.unwrap().is_none());
    assert!(claim(store, START).await.is_empty());
    assert!(store.enroll(&enrolled("totp-x")).await.is_err());
    assert!(store.factors(&"jdoe".parse().unwrap()).await.unwrap().is_none());

    for (id, steps) in [("g1", ["b", "c"]), ("g2", ["d", "e"])] {
        let mut grant = store.grant(&id.parse().unwrap()).await.unwrap().unwrap();
        grant.state = ending();
        let ends = Transition {
            is_removal: true,
            grants: vec![grant],
            audit: steps.map(entry).to_vec(),
            tasks: vec![task(converge("a1", "acme-entra"), START, Priority::Removal)],
            ..transition()
        };
        store.commit(ends).await.unwrap();
        let stored = store.grant(&id.parse().unwrap()).await.unwrap().unwrap();
        assert!(matches!(stored.state, State::Ending { .. }));
    }
    assert_eq!(store.audit_owed().await.unwrap(), 4);
    assert_eq!(claim(store, START).await.len(), 1);
    assert!(store.chain_owed().await.is_err());
    store.heartbeat(START).await.unwrap();
    store.sweep(START).await.unwrap();
    assert_eq!(store.audit_owed().await.unwrap(), 4, "nothing is lost, nothing is doubled");

    chain.mend().await;
    store.commit(Transition { is_removal: true, audit: vec![entry("f")], ..transition() }).await.unwrap();
    assert_eq!(store.audit_owed().await.unwrap(), 0, "what is owed comes first");
    store.chain_owed().await.unwrap();
    store.commit(given).await.unwrap();
    assert!(store.grant(&"g9".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(steps(store).await, ["a", "b", "c", "d", "e", "f", "given"]);
}

/// F143: the heartbeat chains what is owed when nobody appends, however much it is.
pub(crate) async fn what_is_owed_is_chained_without_another_entry(store: &dyn Store, chain: &mut dyn Breaks) {
    chain.break_it().await;
    let mut wanted = Vec::new();
    for n in 0..25 {
        let steps: Vec<String> = (0..100).map(|m| format!("{n}.{m}")).collect();
        let audit = steps.iter().map(|step| entry(step)).collect();
        store.commit(Transition { is_removal: true, audit, ..transition() }).await.unwrap();
        wanted.extend(steps);
    }
    chain.mend().await;
    let given = store.commit(Transition { audit: vec![entry("given")], ..transition() }).await;
    assert!(matches!(given, Err(StoreError::Busy)), "not before what is owed: {given:?}");
    let next = Transition { is_removal: true, audit: vec![entry("next")], ..transition() };
    store.commit(next).await.unwrap();
    wanted.push("next".to_owned());
    store.chain_owed().await.unwrap();
    assert_eq!(store.audit_owed().await.unwrap(), 0);
    store.commit(Transition { audit: vec![entry("given")], ..transition() }).await.unwrap();
    wanted.push("given".to_owned());
    assert_eq!(steps(store).await, wanted);
}

/// The steps in the order of the chain, which is whole.
async fn steps(store: &dyn Store) -> Vec<String> {
    let all = store.audit(0, 10_000).await.unwrap();
    verify_chain((0, ""), &all).unwrap();
    all.iter().map(|entry| entry.detail["step"].as_str().unwrap().to_owned()).collect()
}

/// F144: old entries go, but for those that an open grant needs and the newest; a checkpoint stays, from which the rest
/// verifies.
pub(crate) async fn what_is_pruned_leaves_a_checkpoint(store: &dyn Store) {
    assert_eq!(store.audit_prunable(after(9999)).await.unwrap(), None);
    let open = grant("g5", "a5", "4712", granting());
    for n in 1..=8 {
        let entry = AuditEntry { at: after(n * 10), grant: None, ..entry(&n.to_string()) };
        let entry = if n == 5 { entry.about(&open) } else { entry };
        store.commit(Transition { audit: vec![entry], ..transition() }).await.unwrap();
    }
    let rows = store.audit_rows(&AuditFilter::default(), 0, 100).await.unwrap();
    let gone = |seq: usize, from, to| Prunable {
        seq: seq as i64,
        hash: rows[seq - 1].hash.clone(),
        entries: seq as i64,
        from: after(from),
        to: after(to),
    };
    let prunable = async |before: Timestamp| store.audit_prunable(before).await.unwrap();
    assert_eq!(prunable(after(10)).await, None);
    assert_eq!(prunable(after(31)).await, Some(gone(3, 10, 30)));
    assert_eq!(prunable(after(9999)).await, Some(gone(7, 10, 70)), "the head stays");
    store.commit(Transition { grants: vec![open], ..transition() }).await.unwrap();
    assert_eq!(prunable(after(9999)).await, Some(gone(4, 10, 40)), "what an open grant needs stays");

    let prune = async |gone: Prunable| {
        let checkpoint = Checkpoint { gone, signature: "signed".to_owned() };
        store.audit_prune(&checkpoint, AuditEntry { at: after(100), grant: None, ..entry("pruned") }).await
    };
    let forged = Prunable { hash: "0".repeat(64), ..gone(3, 10, 30) };
    for bad in [forged, gone(5, 10, 50), Prunable { entries: 2, ..gone(3, 10, 30) }] {
        assert!(matches!(prune(bad).await, Err(StoreError::Conflict)));
    }
    assert_eq!(store.audit(0, 100).await.unwrap().len(), 8, "nothing went");
    prune(gone(3, 10, 30)).await.unwrap();
    assert!(matches!(prune(gone(3, 10, 30)).await, Err(StoreError::Conflict)), "once");

    let checkpoints = store.audit_checkpoints().await.unwrap();
    assert_eq!(checkpoints, [Checkpoint { gone: gone(3, 10, 30), signature: "signed".into() }]);
    let rest = store.audit_rows(&AuditFilter::default(), 0, 100).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.seq).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    let mut chain = Chain::after(&checkpoints, vec![]).unwrap();
    rest.iter().for_each(|row| chain.take(row).unwrap());
    assert_eq!(chain.head(), store.audit_head().await.unwrap());
    let next = Prunable { seq: 4, hash: rows[3].hash.clone(), entries: 1, from: after(40), to: after(40) };
    assert_eq!(prunable(after(9999)).await, Some(next.clone()), "counted from the checkpoint on");
    prune(next).await.unwrap();
    assert!(Chain::after(&store.audit_checkpoints().await.unwrap(), vec![]).is_ok());
}
