//! One write, described before it is run, and the place its answer goes to.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Conn, StoreError};

/// Who may go first, and use what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Takes access away.
    Removal,
    /// Keeps the queue going, for removals and others; on the reserve, for removals alone.
    Queue,
    /// Leases what is due: as [`Class::Queue`], and where several processes write, beside them.
    Claim,
    /// Everything else.
    Ordinary,
}

/// What a write may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room.
    Free,
    /// Only the reserve is left.
    Reserved,
}

/// One write. It may be run more than once, and only the last run is kept.
#[async_trait]
pub(super) trait Write: Send + Sync + 'static {
    type Out: Send + 'static;

    fn class(&self) -> Class {
        Class::Ordinary
    }

    /// A task may be due sooner because of it.
    fn wakes(&self) -> bool {
        false
    }

    /// How many it writes at once.
    fn rows(&self) -> usize {
        1
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<Self::Out, StoreError>;
}

/// A [`Write`] with the place its answer goes to, its type forgotten.
#[async_trait]
pub(super) trait Request: Send {
    fn class(&self) -> Class;
    fn wakes(&self) -> bool;
    fn rows(&self) -> usize;
    /// Runs it; `true` when what it wrote is to be kept.
    async fn attempt(&mut self, conn: &mut Conn, room: Room) -> bool;
    fn wants_room(&self) -> bool;
    /// Why its last run failed, if it did.
    fn error(&self) -> Option<&StoreError>;
    fn refuse(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

pub(super) struct Asked<W: Write> {
    pub(super) write: W,
    pub(super) result: Option<Result<W::Out, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<W::Out, StoreError>>,
}

#[async_trait]
impl<W: Write> Request for Asked<W> {
    fn class(&self) -> Class {
        self.write.class()
    }

    fn wakes(&self) -> bool {
        self.write.wakes() && matches!(self.result, Some(Ok(_)))
    }

    fn rows(&self) -> usize {
        self.write.rows()
    }

    async fn attempt(&mut self, conn: &mut Conn, room: Room) -> bool {
        let result = self.write.run(conn, room).await;
        let is_kept = result.is_ok();
        self.result = Some(result);
        is_kept
    }

    fn wants_room(&self) -> bool {
        self.write.class() != Class::Ordinary && matches!(self.error(), Some(StoreError::Full))
    }

    fn error(&self) -> Option<&StoreError> {
        self.result.as_ref()?.as_ref().err()
    }

    fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        // Who asked may be gone; what was written stays.
        let _ = self.reply.send(self.result.unwrap_or(Err(StoreError::Busy)));
    }
}
