//! How a queue ends, and what becomes of what it had.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_what_runs_end_and_begins_nothing_more() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { slots: 2, for_removals: 0, ..settings() }, job);
    bench.add((0..4).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    until("two run", async || worked.slots().len() == 2).await;
    let stopping = queue.stop(Duration::from_secs(30));
    let letting_go = async { open.add_permits(100) };
    tokio::join!(stopping, letting_go);
    assert!(!queue.is_alive());
    assert_eq!(worked.slots().len(), 2);
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased), (2, 0));
}

/// What is broken off keeps its lease: its call may still take effect at the vendor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_does_not_end_in_time_is_broken_off() {
    let bench = Bench::new().await;
    let (_open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("it runs", async || worked.slots().len() == 1).await;
    queue.stop(Duration::from_millis(50)).await;
    assert!(!queue.is_alive());
    assert_eq!(queue.shared.slots.running(), 0);
    assert_eq!(bench.store.queue(START).await.unwrap().leased, 1);
    let (_queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    bench.clock.pass(61);
    until("it is taken up again", async || worked.slots().len() == 1).await;
}

/// Without its worker nothing is worked off, and the queue says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_worker_is_seen_and_what_it_had_not_begun_goes_back() {
    let bench = Bench::new().await;
    let (queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    queue.parts.lock().await[0].abort();
    until("it is seen", async || !queue.is_alive()).await;
    bench.add(vec![giving("a1", "d")]).await;
    until("nobody claims", async || queue.parts.lock().await[1].is_finished()).await;
    assert!(worked.slots().is_empty());
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased), (1, 0));
}

/// What was claimed but not begun when the queue stops waits for the next start, not for its lease to run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_claimed_but_not_begun_goes_back_at_a_stop() {
    let bench = Bench::new().await;
    bench.add((0..3).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    let (stop, stopped) = watch::channel(Stop::Running);
    let (_, job) = gate();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let run = Arc::new(Worked::new(job));
    let shared = Arc::new(Shared::new(bench.store.clone(), clock, run, settings(), stopped));
    // A worker that takes nothing.
    let (hand, _taken) = mpsc::channel(1);
    let fetching = tokio::spawn(fetch::fetch(Arc::clone(&shared), hand));
    until("three are claimed", async || bench.store.queue(START).await.unwrap().leased == 3).await;
    stop.send_replace(Stop::Draining);
    fetching.await.unwrap();
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased, shared.slots.running()), (3, 0, 0));
}
