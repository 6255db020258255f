//! Tasks: claims, leases, ends, and the sweep.

use std::time::Duration;

use latchkey_contract::directory::{Mode, Risk};

use super::sample::*;
use crate::{
    access::account::Overdue,
    jobs::task::{Lease, NewTask, Priority, Task, Work},
    store::{Claim, CommitName, Comparing, Finish, LaterHolds, NoticeState, Store, StoreError, Transition},
};

fn error(text: &str) -> String {
    text.to_owned()
}

pub(crate) async fn one(store: &dyn Store, now: latchkey_contract::Timestamp) -> Task {
    let mut tasks = claim(store, now).await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    tasks.remove(0)
}

pub(crate) async fn a_claim_takes_what_is_due_removals_first(store: &dyn Store) {
    add(
        store,
        vec![
            task(tell_work("1"), after(0), Priority::Telling),
            task(converge("a1", "acme-entra"), after(0), Priority::Giving),
            task(converge("a2", "acme-entra"), after(1), Priority::Removal),
            task(converge("a3", "acme-entra"), after(9), Priority::Removal),
        ],
    )
    .await;
    assert_eq!(store.next_due().await.unwrap(), Some(START));
    let taken = store.claim(&Claim { free: 2, ..claim_at(after(1)) }).await.unwrap();
    let works: Vec<_> = taken.iter().map(|t| t.work.slot()).collect();
    assert_eq!(works, ["converge:a2", "converge:a1"]);
    assert_eq!((taken[0].attempt, taken[0].run_at), (1, after(1)));
    let state = store.queue(after(1)).await.unwrap();
    assert_eq!((state.ready, state.leased, state.future, state.dead), (1, 2, 1, 0));
    assert_eq!(state.oldest_due, Some(START));
    let removals = Claim { removals_only: true, ..claim_at(after(9)) };
    assert_eq!(store.claim(&removals).await.unwrap()[0].work.slot(), "converge:a3");
    assert_eq!(one(store, after(9)).await.work.slot(), "tell:cw/1");
    let next = store.next_due().await.unwrap().unwrap();
    assert!((after(61)..=after(61) + GRACE).contains(&next), "{next:?}: the first lease runs out");
}

/// Among removals that are due the riskiest goes first, whenever it fell due; and what is not due waits, whatever its risk.
/// While the riskiest wait for their next attempt, the others are done.
pub(crate) async fn of_the_removals_that_are_due_the_riskiest_goes_first(store: &dyn Store) {
    let removal = |name: &str, at| task(converge(name, "acme-entra"), after(at), Priority::Removal);
    add(
        store,
        vec![
            removal("group", 0),
            removal("role", 1).of(Risk::Power),
            removal("later-role", 2).of(Risk::Power),
            removal("global", 3).of(Risk::Everything),
            removal("tomorrow", 86_400).of(Risk::Everything),
            task(converge("giving", "acme-entra"), after(0), Priority::Giving).of(Risk::Everything),
        ],
    )
    .await;
    let works = |tasks: &[Task]| tasks.iter().map(|task| task.work.slot()).collect::<Vec<_>>();
    let taken = store.claim(&Claim { free: 2, ..claim_at(after(9)) }).await.unwrap();
    assert_eq!(works(&taken), ["converge:global", "converge:role"]);
    for task in &taken {
        let again = Finish::Retry { at: after(300), error: error("the tenant does not answer") };
        assert!(store.finish(&task.lease, again).await.unwrap());
    }
    assert_eq!(works(&claim(store, after(9)).await), ["converge:later-role", "converge:group", "converge:giving"]);
    let again = claim(store, after(300)).await;
    assert_eq!(
        works(&again[..3]),
        ["converge:global", "converge:later-role", "converge:role"],
        "and it keeps its risk"
    );
}

/// One ticket, one hand: neither in one claim, nor while another has it.
pub(crate) async fn one_key_has_one_hand(store: &dyn Store) {
    let all = (0..5).map(|n| task(intake(&format!("d{n}"), "4711"), after(n), Priority::Giving)).collect();
    add(store, all).await;
    add(store, vec![task(intake("other", "4712"), after(0), Priority::Giving)]).await;
    let taken = claim(store, after(9)).await;
    assert_eq!(taken.iter().map(|t| t.work.slot()).collect::<Vec<_>>(), ["intake:d0", "intake:other"]);
    assert!(claim(store, after(9)).await.is_empty());
    assert!(store.finish(&taken[0].lease, Finish::Done).await.unwrap());
    assert_eq!(one(store, after(9)).await.work.slot(), "intake:d1");
}

/// While this is an older copy that is compared first, nothing is claimed, whichever process asks.
pub(crate) async fn nothing_is_claimed_while_a_copy_is_compared(store: &dyn Store) {
    add(store, vec![task(converge("a1", "acme-entra"), START, Priority::Removal)]).await;
    let comparing = Comparing { since: START, knows_until: None, later_holds: LaterHolds::Unknown, noted_at: None };
    store.compare_first(comparing).await.unwrap();
    assert!(claim(store, after(1)).await.is_empty());
    let number = store.raise_generation(0).await.unwrap();
    assert!(claim(store, after(1)).await.is_empty(), "a backup meanwhile ends no comparison");
    let other = Comparing { since: after(1), ..comparing };
    assert!(
        matches!(store.end_comparing(0, other).await, Err(StoreError::Conflict)),
        "there is more to compare by now"
    );
    assert!(claim(store, after(1)).await.is_empty());
    assert!(store.end_comparing(0, comparing).await.unwrap() > number);
    assert!(store.end_comparing(0, other).await.is_ok(), "it is over");
    assert_eq!(one(store, after(1)).await.work.slot(), "converge:a1");
}

/// One directory that cannot be reached holds up nothing that is owed elsewhere, and another note holds up all.
pub(crate) async fn what_is_owed_where_it_was_compared_is_claimed(store: &dyn Store) {
    let due = NewTask::new(Work::Due { grant: "g1".parse().unwrap() }, START, Priority::Removal);
    add(store, vec![task(converge("a1", "acme-entra"), START, Priority::Removal), due]).await;
    add(store, vec![task(converge("a2", "dead-entra"), START, Priority::Removal)]).await;
    add(store, vec![task(converge("a3", "acme-entra"), START, Priority::Giving)]).await;
    let comparing = Comparing { since: START, knows_until: None, later_holds: LaterHolds::Unknown, noted_at: None };
    let (other, compared) = (Comparing { since: after(1), ..comparing }, [connection("acme-entra")]);
    assert!(matches!(store.compared_so_far(comparing, &compared).await, Err(StoreError::Conflict)), "nothing is");
    store.compare_first(comparing).await.unwrap();
    assert!(matches!(store.compared_so_far(other, &compared).await, Err(StoreError::Conflict)));
    store.compared_so_far(comparing, &[]).await.unwrap();
    assert!(claim(store, after(1)).await.is_empty());
    store.compared_so_far(comparing, &compared).await.unwrap();
    store.compare_first(comparing).await.unwrap();
    assert!(claim(store, after(1)).await.is_empty(), "who starts compares anew");
    store.compared_so_far(comparing, &compared).await.unwrap();
    let mut taken: Vec<_> = claim(store, after(1)).await.iter().map(|task| task.work.slot()).collect();
    taken.sort();
    assert_eq!(taken, ["converge:a1", "due:g1"]);
    store.end_comparing(0, comparing).await.unwrap();
    assert_eq!(claim(store, after(1)).await.len(), 2);
}

/// Work that was claimed before the note was written takes away, and gives nothing.
pub(crate) async fn what_is_in_hand_gives_nothing_while_a_copy_is_compared(store: &dyn Store) {
    add(store, vec![task(intake("d1", "4711"), START, Priority::Giving)]).await;
    let lease = one(store, START).await.lease;
    let comparing = Comparing { since: START, knows_until: None, later_holds: LaterHolds::Unknown, noted_at: None };
    store.compare_first(comparing).await.unwrap();
    let giving = || Transition {
        name: CommitName::Decided,
        grants: vec![grant("g1", "a1", "4711", granting())],
        lease: Some((lease.clone(), Finish::Done)),
        ..transition()
    };
    let approved = Transition { name: CommitName::Approved, lease: None, ..giving() };
    let step = Transition { name: CommitName::StepIntent, ..transition() };
    for gives in [giving(), approved, step.clone()] {
        assert!(matches!(store.commit(gives).await, Err(StoreError::Conflict)));
    }
    store.commit(Transition { is_removal: true, ..step }).await.unwrap();
    store.commit(Transition { name: CommitName::Refused, ..transition() }).await.unwrap();
    store.end_comparing(0, comparing).await.unwrap();
    store.commit(giving()).await.unwrap();
}

pub(crate) async fn a_connection_at_its_limit_is_skipped_but_not_by_removals(store: &dyn Store) {
    add(
        store,
        vec![
            task(converge("a1", "slow"), after(0), Priority::Giving),
            task(converge("a2", "slow"), after(0), Priority::Removal),
            task(converge("a3", "fast"), after(0), Priority::Giving),
            task(Work::Due { grant: "g1".parse().unwrap() }, after(0), Priority::Giving),
        ],
    )
    .await;
    let slow = vec![connection("slow")];
    let full = Claim { busy: slow.clone(), full: slow.clone(), ..claim_at(START) };
    let mut slots: Vec<_> = store.claim(&full).await.unwrap().iter().map(|t| t.work.slot()).collect();
    slots.sort();
    assert_eq!(slots, ["converge:a3", "due:g1"]);
    let busy = Claim { busy: slow, ..claim_at(START) };
    let slots: Vec<_> = store.claim(&busy).await.unwrap().iter().map(|t| t.work.slot()).collect();
    assert_eq!(slots, ["converge:a2"]);
    assert_eq!(one(store, START).await.work.slot(), "converge:a1");
}

/// How much longer at most than a lease is waited before somebody else takes its task up.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn a_lease_that_ran_out_is_lost_to_who_comes_next(store: &dyn Store) {
    add(store, vec![task(converge("a1", "acme-entra"), START, Priority::Giving)]).await;
    let old = one(store, START).await;
    assert!(store.renew(&old.lease, after(120)).await.unwrap());
    assert!(claim(store, after(100)).await.is_empty(), "renewed");
    assert!(claim(store, after(119)).await.is_empty(), "until its end");
    let new = one(store, after(120) + GRACE).await;
    assert_eq!((new.attempt, new.lease.task == old.lease.task), (2, true));
    assert_ne!(new.lease.fence, old.lease.fence);

    assert!(!store.renew(&old.lease, after(999)).await.unwrap());
    assert!(!store.finish(&old.lease, Finish::Done).await.unwrap());
    let late = Transition { lease: Some((old.lease, Finish::Done)), audit: vec![entry("late")], ..transition() };
    assert!(matches!(store.commit(late).await, Err(StoreError::LeaseLost)));
    assert!(store.audit(0, 1).await.unwrap().is_empty());
    let kept = Transition { lease: Some((new.lease.clone(), Finish::Keep)), ..transition() };
    store.commit(kept).await.unwrap();
    let done = Transition { lease: Some((new.lease.clone(), Finish::Done)), ..transition() };
    store.commit(done).await.unwrap();
    assert!(!store.finish(&new.lease, Finish::Done).await.unwrap());
    let made_up = Lease { task: "no such".into(), ..new.lease };
    assert!(!store.finish(&made_up, Finish::Done).await.unwrap());
}

/// A task of the same slot that comes later is another one: an old lease does not fit it.
pub(crate) async fn a_lease_does_not_fit_a_later_task_of_its_slot(store: &dyn Store) {
    let work = || task(converge("a1", "acme-entra"), START, Priority::Giving);
    add(store, vec![work()]).await;
    let first = one(store, START).await;
    store.finish(&first.lease, Finish::Done).await.unwrap();
    add(store, vec![work()]).await;
    let second = one(store, START).await;
    assert!(!store.finish(&first.lease, Finish::Done).await.unwrap());
    assert!(store.finish(&second.lease, Finish::Done).await.unwrap());
}

pub(crate) async fn a_waiting_task_is_moved_and_the_more_urgent_priority_stays(store: &dyn Store) {
    let work = |at, priority| vec![task(converge("a1", "acme-entra"), at, priority)];
    add(store, work(after(10), Priority::Giving)).await;
    add(store, work(after(5), Priority::Removal)).await;
    add(store, work(after(20), Priority::Telling)).await;
    assert!(claim(store, after(19)).await.is_empty());
    let moved = one(store, after(20)).await;
    assert_eq!((moved.priority, moved.run_at), (Priority::Removal, after(20)));
}

pub(crate) async fn what_is_asked_for_again_while_it_runs_runs_again(store: &dyn Store) {
    let ask = |at| vec![task(converge("a1", "acme-entra"), at, Priority::Giving)];
    add(store, ask(START)).await;
    let run = one(store, START).await;
    add(store, ask(after(30))).await;
    add(store, ask(after(40))).await;
    store.finish(&run.lease, Finish::Done).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(after(30)));

    let run = one(store, after(30)).await;
    assert_eq!(run.attempt, 1, "a new run counts from the beginning");
    add(store, ask(after(31))).await;
    store.finish(&run.lease, Finish::At(after(500))).await.unwrap();
    let run = one(store, after(31)).await;
    add(store, ask(after(33))).await;
    store.finish(&run.lease, Finish::Retry { at: after(300), error: error("503") }).await.unwrap();
    let run = one(store, after(33)).await;
    assert_eq!(run.attempt, 2);
    add(store, ask(after(34))).await;
    store.finish(&run.lease, Finish::Dead { error: error("no") }).await.unwrap();
    let run = one(store, after(34)).await;

    // The run that ends may ask for itself, in its own transaction.
    let itself = Transition { lease: Some((run.lease, Finish::Done)), tasks: ask(after(50)), ..transition() };
    store.commit(itself).await.unwrap();
    assert!(claim(store, after(49)).await.is_empty());
    let run = one(store, after(50)).await;
    // A request for later survives a lost lease; one that this run answers does not.
    add(store, ask(after(900))).await;
    let rerun = one(store, run.lease.until + GRACE + Duration::from_secs(1)).await;
    store.finish(&rerun.lease, Finish::Done).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(after(900)));
}

pub(crate) async fn retries_count_and_the_dead_are_visible_until_asked_for(store: &dyn Store) {
    let ask = |at| vec![task(intake("d1", "4711"), at, Priority::Giving)];
    add(store, ask(START)).await;
    for attempt in 1..=3 {
        let run = one(store, after(attempt * 10)).await;
        assert_eq!(u64::from(run.attempt), attempt);
        let retry = Finish::Retry { at: after(attempt * 10 + 5), error: error("429") };
        store.finish(&run.lease, retry).await.unwrap();
    }
    let run = one(store, after(100)).await;
    store.finish(&run.lease, Finish::Dead { error: error("given up") }).await.unwrap();
    let state = store.queue(after(100)).await.unwrap();
    assert_eq!((state.dead, state.ready, state.leased, state.future), (1, 0, 0, 0));
    assert!(claim(store, after(9999)).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), None);
    add(store, ask(after(200))).await;
    assert_eq!(one(store, after(200)).await.attempt, 1);
}

pub(crate) async fn a_removal_is_never_given_up(store: &dyn Store) {
    add(store, vec![task(converge("a1", "acme-entra"), START, Priority::Removal)]).await;
    let run = one(store, START).await;
    assert!(store.finish(&run.lease, Finish::Dead { error: error("no") }).await.unwrap());
    assert_eq!(store.queue(START).await.unwrap().dead, 0);
    assert_eq!(one(store, after(60)).await.attempt, 2);
}

pub(crate) async fn the_sweep_makes_what_is_missing_once(store: &dyn Store) {
    let mut looked_at = account("a2", Mode::Burner);
    looked_at.looks = vec![after(600), after(60)];
    let mut overdue = account("a3", Mode::Burner);
    overdue.overdue = Some(Overdue { since: START, alerts: 1 });
    let t = Transition {
        grants: vec![
            grant("g1", "a1", "4711", granting()),
            grant("g2", "a1", "4711", ending()),
            grant("g3", "a9", "4712", refused()),
        ],
        accounts: vec![account("a1", Mode::Standard), looked_at, overdue, account("a4", Mode::Burner)],
        notices: vec![
            notice("n1", "4711", "g1", NoticeState::Open),
            notice("n2", "4711", "g1", NoticeState::Posted { notes: vec![] }),
            notice("n3", "4712", "g3", NoticeState::Done { notes: vec![] }),
        ],
        ..transition()
    };
    store.commit(t).await.unwrap();
    store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap();
    let run = one(store, START).await;
    store.finish(&run.lease, Finish::Done).await.unwrap();

    assert_eq!(store.sweep(START).await.unwrap(), 7, "six of rows, and the daily one");
    assert_eq!(store.sweep(START).await.unwrap(), 0, "nothing is missing any more");
    let mut found: Vec<_> = claim(store, START).await.iter().map(|t| (t.work.slot(), t.priority)).collect();
    found.sort();
    let expected = [
        ("converge:a1", Priority::Removal),
        ("converge:a3", Priority::Removal),
        ("intake:d1", Priority::Giving),
        ("tell:cw/4711", Priority::Telling),
    ];
    assert_eq!(found, expected.map(|(slot, priority)| (slot.to_owned(), priority)));
    let mut later: Vec<_> = claim(store, after(3600)).await.iter().map(|t| t.work.slot()).collect();
    later.retain(|slot| slot == "converge:a2" || slot == "due:g1");
    later.sort();
    assert_eq!(later, ["converge:a2", "due:g1"]);
    let tomorrow = claim(store, after(24 * 3600)).await;
    assert!(tomorrow.iter().any(|t| t.work == Work::AuditHead), "the head of the day");
}

/// A removal that lies dead for any reason is asked for again; a delivery that was given up is not.
pub(crate) async fn the_sweep_wakes_a_dead_removal_and_lets_a_dead_delivery_lie(store: &dyn Store) {
    let t = Transition {
        grants: vec![grant("g1", "a1", "4711", ending())],
        accounts: vec![account("a1", Mode::Standard)],
        // Made while the account was still being given.
        tasks: vec![task(converge("a1", "acme-entra"), START, Priority::Giving)],
        ..transition()
    };
    store.commit(t).await.unwrap();
    store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap();
    for run in claim(store, START).await {
        store.finish(&run.lease, Finish::Dead { error: error("no") }).await.unwrap();
    }
    assert_eq!(store.queue(START).await.unwrap().dead, 2);
    assert_eq!(store.sweep(START).await.unwrap(), 2, "the removal, and the daily one");
    let woken = one(store, START).await;
    assert_eq!((woken.work.slot().as_str(), woken.priority), ("converge:a1", Priority::Removal));
    assert_eq!(store.queue(START).await.unwrap().dead, 1);
}

pub(crate) async fn many_workers_never_hold_the_same_task(store: &dyn Store) {
    let all = (0..40).map(|n| task(intake(&format!("d{n}"), &format!("{}", n % 10)), START, Priority::Giving));
    add(store, all.collect()).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 40 {
        let claims = futures::future::join_all(
            (0..4).map(|_| async { store.claim(&Claim { free: 3, ..claim_at(START) }).await.unwrap() }),
        )
        .await;
        let taken: Vec<Task> = claims.into_iter().flatten().collect();
        let keys: std::collections::BTreeSet<_> = taken.iter().map(|t| t.work.key()).collect();
        assert_eq!(keys.len(), taken.len(), "one hand per key");
        for run in taken {
            assert!(seen.insert(run.work.slot()), "claimed twice");
            store.finish(&run.lease, Finish::Done).await.unwrap();
        }
    }
}
