//! Leases: renewed while a job runs, whatever the clock does, and what comes of one that is lost.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_for_as_long_as_its_job_runs() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    let lease = worked.lease();
    assert_eq!(lease.remaining(bench.clock.now()), Duration::from_secs(60));
    for _ in 0..5 {
        bench.clock.pass(25);
        until("the lease is renewed", async || lease.remaining(bench.clock.now()) == Duration::from_secs(60)).await;
    }
    assert!(crate::store::story::claim(&*bench.store, bench.clock.now()).await.is_empty());
    assert!(!lease.is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1);
}

/// A jump lets every lease run out at once, before anybody wakes who would renew it; whoever still runs keeps their task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_gives_nobody_a_second_hand() {
    let bench = Bench::new().await;
    let (open, waits) = gate();
    let (queue, worked) = bench.start(settings(), move |task, lease| {
        let waiting = matches!(task.work, Work::Converge { .. }).then(|| waits(task, lease));
        async move {
            match waiting {
                Some(waiting) => waiting.await,
                None => Ran::Finish(Finish::Done),
            }
        }
    });
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    for n in 1..=3 {
        bench.clock.jump(3600);
        let told = tell_work(&n.to_string());
        bench.add(vec![task(told.clone(), START, Priority::Telling)]).await;
        until("something else was claimed since", async || worked.slots().contains(&told.slot())).await;
    }
    assert_eq!(worked.slots().iter().filter(|slot| *slot == "converge:a1").count(), 1);
    assert!(!worked.lease().is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
}

/// An hour ahead of all others, and known to be.
#[derive(Debug)]
struct Ahead;

const HOUR_MS: i64 = 3_600_000;

impl Trust for Ahead {
    fn doubt(&self) -> Option<Doubt> {
        Some(Doubt::OffDatabase)
    }

    fn as_others_see(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.millis() - HOUR_MS)
    }
}

/// F171: whoever is ahead leases what it takes away by the others' time, and holds it by its own: dead, it is made good as soon
/// as anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_ahead_leases_by_the_others_time() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { trust: Arc::new(Ahead), ..settings() }, job);
    bench.add(vec![task(converge("a1", "d"), START, Priority::Removal)]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    let written = async || {
        let mut conn = bench.stranger().await;
        let until: i64 = sqlx::query_scalar("SELECT lease_until FROM tasks").fetch_one(&mut conn).await.unwrap();
        Timestamp::from_millis(until + HOUR_MS)
    };
    assert_eq!((written().await, worked.lease().remaining(START)), (after(60), Duration::from_secs(60)));
    bench.clock.pass(25);
    until("it is renewed", async || written().await == after(85)).await;
    assert!(!worked.lease().is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_is_told_to_its_job_and_its_end_is_refused() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    // Somebody else took it.
    let mut conn = bench.stranger().await;
    sqlx::query("UPDATE tasks SET fence = fence + 1, lease_until = lease_until + 3600000")
        .execute(&mut conn)
        .await
        .unwrap();
    bench.clock.pass(25);
    let lease = worked.lease();
    until("the job learns it", async || lease.is_lost()).await;
    assert_eq!(lease.remaining(bench.clock.now()), Duration::ZERO);
    open.add_permits(1);
    until("the job ends", async || queue.shared.slots.running() == 0).await;
    assert_eq!(bench.store.queue(bench.clock.now()).await.unwrap().leased, 1, "the other one's lease stands");
}
