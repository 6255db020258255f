use crate::{
    jobs::task::{Lease, Task},
    store::{Claim, Finish, Store},
};
use latchkey_contract::{Clock, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
#[derive(Debug)]
pub enum Ran {
    Committed,
    Finish(Finish),
    Failed { error: String, retry_after: Option<Duration> },
}
#[derive(Debug, Clone)]
pub struct LeaseHandle(Lease);
impl LeaseHandle {
    pub fn lease(&self) -> Lease {
        self.0.clone()
    }
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.0.until.since(now)
    }
}
#[async_trait::async_trait]
pub trait Run: Send + Sync {
    async fn run(&self, task: Task, lease: LeaseHandle) -> Ran;
}
#[derive(Debug)]
pub struct Queue {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    busy: Arc<AtomicBool>,
    handle: tokio::task::JoinHandle<()>,
}
impl Queue {
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, run: Arc<dyn Run>) -> Self {
        let busy = Arc::new(AtomicBool::new(false));
        let (s, c, b) = (store.clone(), clock.clone(), busy.clone());
        let handle = tokio::spawn(async move {
            loop {
                b.store(true, Ordering::SeqCst);
                let changed = s.changed();
                let notified = changed.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                let now = c.now();
                let tasks = s
                    .claim(&Claim {
                        now,
                        free: 8,
                        lease_until: now + Duration::from_secs(60),
                        busy: vec![],
                        removals_only: false,
                    })
                    .await
                    .unwrap_or_default();
                if tasks.is_empty() {
                    b.store(false, Ordering::SeqCst);
                    let next = s.next_due().await.ok().flatten().unwrap_or(now + Duration::from_secs(1));
                    tokio::select! { () = notified => {}, () = c.sleep_until(next) => {} }
                    continue;
                }
                for task in tasks {
                    let lease = task.lease.clone();
                    match run.run(task.clone(), LeaseHandle(lease.clone())).await {
                        Ran::Committed => {}
                        Ran::Finish(f) => {
                            let _ = s.finish(&lease, f).await;
                        }
                        Ran::Failed { error, retry_after } => {
                            let at = c.now() + retry_after.unwrap_or(Duration::from_secs(1 << task.attempt.min(8)));
                            let _ = s.finish(&lease, Finish::Retry { at, error }).await;
                        }
                    }
                }
            }
        });
        Self { store, clock, busy, handle }
    }
    pub fn is_alive(&self) -> bool {
        !self.handle.is_finished()
    }
    pub async fn idle(&self) -> bool {
        let q = self.store.queue(self.clock.now()).await;
        q.is_ok_and(|q| q.ready == 0 && q.leased == 0) && !self.busy.load(Ordering::SeqCst)
    }
    pub async fn stop(&self, _grace: Duration) {
        self.handle.abort();
    }
}
