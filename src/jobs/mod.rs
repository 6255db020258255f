//! Work behind the scenes: each job loads, checks that it still applies, makes one outside act, and
//! brings back one event in one transaction.
//!
//! Jobs never edit a grant: [`advance`] turns an event into a step of the pure heart, and writes what follows.

pub mod advance;
pub mod alert;
pub(crate) mod asked;
pub(crate) mod audit_head;
pub mod backoff;
pub mod converge;
mod due;
mod end;
mod extend;
mod follow;
mod inert;
pub mod intake;
mod mail;
mod obey;
mod poll;
pub(crate) mod presence;
pub mod queue;
mod start;
mod steps;
pub mod sweep;
pub mod task;
mod tell;
mod trouble;
mod warn;
mod watch;
mod webhooks;
pub mod words;

use std::{sync::Arc, time::Duration};

use latchkey_contract::{CallError, Clock};

pub use latchkey_contract::text::chain;
pub use mail::Post;
pub use start::NotDecided;
pub(crate) use start::{Home, home, unusable};

use crate::{
    clock_guard::Trust,
    jobs::{
        queue::{LeaseHandle, Ran, Run},
        task::{Task, Work},
    },
    random::Random,
    registry::{Live, NoConnector},
    seal::Seal,
    store::{Store, StoreError},
};

/// What every job needs.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// What is in force.
    pub live: Arc<Live>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether time is to be believed.
    pub trust: Arc<dyn Trust>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Sealing of passwords.
    pub seal: Arc<Seal>,
    /// Where claim links point.
    pub public_url: url::Url,
    /// The mail server.
    pub post: Arc<Post>,
}

/// Why a job did not come to its end. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An outside call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A connection is missing or cannot be used; the sentence says what to do.
    #[error(transparent)]
    Connection(#[from] NoConnector),
    /// A sealed secret cannot be opened.
    #[error("a sealed secret cannot be opened")]
    Sealed,
}

impl JobError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(e) => e.retry_after(),
            Self::Store(StoreError::Conflict | StoreError::LeaseLost) => Some(Duration::ZERO),
            _ => None,
        }
    }
}

#[async_trait::async_trait]
impl Run for Jobs {
    async fn run(&self, task: Task, lease: LeaseHandle) -> Ran {
        let result = match &task.work {
            Work::Intake { delivery, .. } => self.intake(delivery, &lease).await,
            Work::Look { ticket } | Work::Unheard { ticket } => self.look(ticket, &lease).await,
            Work::Missing { ticket, .. } => self.look_again(ticket, &lease).await,
            Work::Due { grant } => self.due(grant, &lease).await,
            Work::Warn { grant } => self.warn(grant, &lease).await,
            Work::Converge { account, .. } => self.converge(account, &task, &lease).await,
            Work::Alert { alert } => self.alert(alert, &lease).await,
            Work::Mail { mail } => self.mail(mail, &lease).await,
            Work::Tell { ticket } => self.tell(ticket, &lease).await,
            Work::Poll { connection } => self.poll(connection, &lease).await,
            Work::Webhooks { connection } => self.webhooks(connection, &lease).await,
            Work::Presence { connection } => self.presence(connection, &lease).await,
            Work::Recheck { connection } => self.recheck(connection, &lease).await,
            Work::AuditHead => self.audit_head(&lease).await,
        };
        if let (Err(error), Some(connection)) = (&result, task.work.connection()) {
            self.notice(connection, error).await;
        }
        result.unwrap_or_else(|error| {
            tracing::warn!(task = %task.lease.task, kind = task.work.name(), attempt = task.attempt,
                error = &error as &dyn std::error::Error, "a job will be tried again");
            Ran::Failed { retry_after: error.retry_after(), error: chain(&error) }
        })
    }
}
