use crate::{
    jobs::task::{Lease, Task},
    store::Finish,
};
use latchkey_contract::Timestamp;
use std::time::Duration;
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
