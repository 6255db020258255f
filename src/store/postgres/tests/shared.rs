//! Several processes on one database: here several stores, which share nothing but the server.

use std::collections::BTreeSet;

use latchkey_contract::directory::Mode;

use super::*;
use crate::{
    jobs::task::Priority,
    rulebook::Rules,
    store::{BrakeCount, Claim, Finish, Scope, verify_chain},
};

async fn three() -> Option<[Postgres; 3]> {
    let database = database(SUITE)?;
    Some([open(&database).await, open(&database).await, open(&database).await])
}

/// F171, I3: one account is in one hand, whoever claims; and every task is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_and_no_key_is_in_two_hands() {
    let Some(stores) = three().await else { return };
    let tasks = (0..60).map(|n| task(intake(&format!("d{n}"), &format!("{}", n % 10)), START, Priority::Giving));
    add(&stores[0], tasks.collect()).await;
    let done = std::sync::Mutex::new(Vec::new());
    let held = std::sync::Mutex::new(BTreeSet::new());
    let work = async |store: &Postgres| {
        let began = Instant::now();
        while done.lock().unwrap().len() < 60 {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", done.lock().unwrap().len());
            for leased in store.claim(&Claim { free: 3, ..claim_at(START) }).await.unwrap() {
                assert!(held.lock().unwrap().insert(leased.work.key()), "{} is in two hands", leased.work.key());
                tokio::task::yield_now().await;
                held.lock().unwrap().remove(&leased.work.key());
                done.lock().unwrap().push(leased.work.slot());
                assert!(store.finish(&leased.lease, Finish::Done).await.unwrap());
            }
        }
    };
    tokio::join!(work(&stores[0]), work(&stores[1]), work(&stores[2]));
    let all: BTreeSet<_> = done.lock().unwrap().iter().cloned().collect();
    assert_eq!((all.len(), done.lock().unwrap().len()), (60, 60));
}

/// I9: entries of several processes are one chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_entries_are_one_chain() {
    let Some(stores) = three().await else { return };
    let write = async |store: &Postgres, who: usize| {
        let all = (0..40).map(|n| {
            let audit = vec![entry(&format!("{who}.{n}")), entry(&format!("{who}.{n}"))];
            store.commit(Transition { is_removal: n % 3 == 0, audit, ..transition() })
        });
        futures::future::join_all(all).await.into_iter().for_each(|result| result.unwrap());
    };
    tokio::join!(write(&stores[0], 0), write(&stores[1], 1), write(&stores[2], 2));
    let all = stores[0].audit(0, 1000).await.unwrap();
    assert_eq!(all.len(), 240);
    assert_eq!(verify_chain((0, ""), &all).unwrap().0, 240);
}

/// Of all who want the last place under a brake, the one standard account, or the next revision, one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_come_at_once_one_is_first() {
    let Some(stores) = three().await else { return };
    let brake = || BrakeCount { scope: Scope::Person("jdoe".parse().unwrap()), since: String::new(), most: 5 };
    let tries = (0..30).map(|n| {
        let grants = vec![grant(&format!("g{n:02}"), &format!("a{n}"), "4711", granting())];
        stores[n % 3].commit(Transition { brakes: vec![brake()], grants, ..transition() })
    });
    let came = futures::future::join_all(tries).await;
    assert_eq!(came.iter().filter(|result| result.is_ok()).count(), 5);
    assert!(came.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict))), "{came:?}");

    let tries = (0..9).map(|n| {
        let accounts = vec![account(&format!("s{n}"), Mode::Standard)];
        stores[n % 3].commit(Transition { accounts, ..transition() })
    });
    let came = futures::future::join_all(tries).await;
    assert_eq!(came.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(came.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict))), "{came:?}");

    let rules = Rules::default();
    let came = futures::future::join_all(stores.iter().map(|s| s.save_rules(&rules, "jdoe", "why", START))).await;
    assert_eq!(came.iter().filter(|result| matches!(result, Ok(1))).count(), 1, "{came:?}");
    assert!(came.iter().all(|result| matches!(result, Ok(1) | Err(StoreError::Conflict))), "{came:?}");
}

/// Of two who record one message, one was first, and both are told which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_recorded_once_by_all() {
    let Some(stores) = three().await else { return };
    let records = (0..300).map(|n| {
        // Each message three times, in another order by each.
        let message = if n % 3 == 0 { n / 3 } else { 99 - n / 3 };
        stores[n % 3].record_delivery(delivery(&format!("d{n}"), &format!("m{message}"), None))
    });
    let came = futures::future::join_all(records).await;
    let new = came.iter().filter(|result| matches!(result, Ok(Recorded::New))).count();
    let repeated = came.iter().filter(|result| matches!(result, Ok(Recorded::Repeat))).count();
    assert_eq!((new, repeated), (100, 200), "{came:?}");
    assert_eq!(stores[0].tasks(1000).await.unwrap().len(), 100);
}

/// A task that one process owes wakes the others at once, and rules that one has saved as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_commits_wakes_the_others() {
    let Some([one, other, _]) = three().await else { return };
    let changed = other.changed();
    // The first look, and everything that came by opening.
    while tokio::time::timeout(Duration::from_millis(1500), changed.notified()).await.is_ok() {}
    let mut took = [Duration::MAX; 3];
    for n in 0..9 {
        let rules = one.rules().await.unwrap();
        let began = Instant::now();
        match n % 3 {
            0 => drop(one.save_rules(&rules, "jdoe", "why", START).await.unwrap()),
            1 => drop(one.record_delivery(delivery(&format!("d{n}"), &format!("m{n}"), None)).await.unwrap()),
            _ => add(&one, vec![task(tell_work(&n.to_string()), START, Priority::Telling)]).await,
        }
        tokio::time::timeout(Duration::from_secs(5), changed.notified()).await.expect("it is woken");
        took[n % 3] = took[n % 3].min(began.elapsed());
        while tokio::time::timeout(Duration::from_millis(1200), changed.notified()).await.is_ok() {}
    }
    let slowest = took.iter().max().unwrap();
    assert!(*slowest < Duration::from_millis(500), "each sooner than the look once a second: {took:?}");
}

/// A lost notification is made up for by a look once a second: a task that is owed, and other rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_tells_is_found() {
    const UNTOLD: [&str; 2] = [
        "INSERT INTO tasks (slot, key, kind, work, priority, state, run_at, created_at)
         VALUES (CAST(gen_random_uuid() AS TEXT), 'x', 'x', '{}', 0, 'pending', 0, 0)",
        "INSERT INTO revisions SELECT coalesce(max(revision), 0) + 1, 'x', 'x', 0, '' FROM revisions",
    ];
    let Some((database, store)) = fresh().await else { return };
    let changed = store.changed();
    let mut conn = stranger(&database).await;
    let mut took = [Duration::MAX; 2];
    for n in 0..6 {
        while tokio::time::timeout(Duration::from_millis(1500), changed.notified()).await.is_ok() {}
        execute(&mut conn, UNTOLD[n % 2]).await;
        let began = Instant::now();
        tokio::time::timeout(Duration::from_secs(30), changed.notified()).await.expect("it is found");
        took[n % 2] = took[n % 2].min(began.elapsed());
    }
    // The quickest of three: a busy machine may hold up one.
    assert!(took.iter().all(|took| *took < Duration::from_millis(1500)), "a look comes once a second: {took:?}");
}

/// I11 and the fence: a paused process that wakes up with a lease that others have taken over writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wakes_up_late_writes_nothing() {
    let Some([paused, other, _]) = three().await else { return };
    add(&paused, vec![task(converge("a1", "acme-entra"), START, Priority::Giving)]).await;
    let old = claim(&paused, START).await.remove(0);
    assert!(claim(&other, after(61)).await.is_empty(), "its holder may yet believe in it: two clocks may differ");
    let new = claim(&other, after(71)).await.remove(0);
    assert_ne!(new.lease.fence, old.lease.fence);
    let late = Transition {
        lease: Some((old.lease.clone(), Finish::Done)),
        grants: vec![grant("g1", "a1", "4711", granting())],
        ..transition()
    };
    assert!(matches!(paused.commit(late).await, Err(StoreError::LeaseLost)));
    assert!(!paused.renew(&old.lease, after(999)).await.unwrap());
    assert!(paused.grant(&"g1".parse().unwrap()).await.unwrap().is_none());
    assert!(other.renew(&new.lease, after(999)).await.unwrap());
}
