//! Limits: of a ticket, of a connection, and of everything that is no removal.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_ticket_has_one_hand() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add((0..3).map(|n| task(intake(&format!("d{n}"), "1"), START, Priority::Giving)).collect()).await;
    bench.add(vec![task(intake("other", "2"), START, Priority::Giving)]).await;
    until("both tickets run", async || worked.slots().len() == 2).await;
    for done in 1..=4 {
        let running: usize =
            worked.now.lock().unwrap().iter().filter(|(s, _)| *s != "intake:other").map(|(_, n)| n).sum();
        assert!(running <= 1, "{running} jobs of one ticket");
        open.add_permits(1);
        until("one more begins or all ended", async || worked.slots().len() > done || queue.idle().await).await;
    }
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots(), ["intake:d0", "intake:d1", "intake:d2", "intake:other"]);
}

/// A slow tenant holds no slot that another needs, and removals pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_at_its_limit_is_skipped_while_removals_pass() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { per_connection: 2, ..settings() }, job);
    bench.add((0..5).map(|n| giving(&format!("slow{n}"), "slow")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 2).await;
    bench.add(vec![giving("other", "fast"), task(converge("end", "slow"), START, Priority::Removal)]).await;
    until("others run", async || worked.slots().len() == 4).await;
    assert_eq!(worked.slots(), ["converge:end", "converge:other", "converge:slow0", "converge:slow1"]);
    open.add_permits(100);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 7);
}

/// F175: a tenant that answers nothing has a share of the slots with its removals; others' removals, and what is given
/// elsewhere, have theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_removals_at_one_connection_hold_up_no_other() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let few = Settings { removals_per_connection: 3, ..settings() };
    let (queue, worked) = bench.start(few, job);
    let end = |n: usize, at: &str| task(converge(&format!("{at}{n}"), at), START, Priority::Removal);
    bench.add((0..1000).map(|n| end(n, "dead")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 3).await;
    bench.add((0..2).map(|n| end(n, "well")).collect()).await;
    until("others end", async || worked.slots().len() == 5).await;
    bench.add(vec![giving("new", "well")]).await;
    until("and others are given", async || worked.slots().len() == 6).await;
    assert_eq!(worked.slots().iter().filter(|slot| slot.starts_with("converge:dead")).count(), 3);
    open.add_permits(2000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1003);
}

/// F175: what one PSA has to be asked, however much it is, waits for itself alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_looks_at_one_psa_hold_up_no_other_connection() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    let look = |n: u32| Work::Look { ticket: crate::store::story::ticket(&n.to_string()) };
    bench.add((0..1000).map(|n| task(look(n), START, Priority::Telling)).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 4).await;
    let presence = Work::Presence { connection: "cw".parse().unwrap() };
    let other = (0..4).map(|n| task(converge(&format!("a{n}"), "other"), after(0), Priority::Telling));
    bench.add(other.chain([task(presence, START, Priority::Removal)]).collect()).await;
    until("the others run", async || worked.slots().len() == 9).await;
    let looks = worked.slots().iter().filter(|slot| slot.starts_with("look:")).count();
    assert_eq!(looks, 4, "{:?}", worked.slots());
    open.add_permits(2000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1005);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_slots_are_for_removals_alone() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { slots: 4, for_removals: 2, ..settings() }, job);
    bench.add((0..6).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    until("two run", async || worked.slots().len() == 2).await;
    let ends = (0..3).map(|n| task(converge(&format!("end{n}"), "d"), START, Priority::Removal));
    bench.add(ends.collect()).await;
    until("removals run", async || worked.slots().len() == 4).await;
    assert_eq!(worked.slots(), ["converge:a0", "converge:a1", "converge:end0", "converge:end1"]);
    open.add_permits(100);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 9);
}

/// F175: what comes for a connection at its limit asks for no claim each time: the one who writes is there for deliveries.
#[tokio::test]
async fn a_flood_for_a_connection_at_its_limit_is_not_asked_about_each_time() {
    const FLOOD: u64 = 300;
    let recorder = PrometheusBuilder::new().build_recorder();
    let _measuring = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { per_connection: 2, ..settings() }, job);
    bench.add((0..3).map(|n| giving(&format!("slow{n}"), "slow")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 2).await;
    let before = commits(&recorder).unwrap();
    for n in 0..FLOOD {
        bench.add(vec![giving(&format!("more{n}"), "slow")]).await;
    }
    let claims = commits(&recorder).unwrap() - before - FLOOD;
    assert!(claims < FLOOD / 3, "{claims} claims beside {FLOOD} commits");
    open.add_permits(1000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 303);
}
