//! A service that can open nothing for a while, or gets no more memory.

use std::time::{Duration, Instant};

use super::{Bench, Running};
use crate::{story::MINUTE, weather::Phase, wrong::Wrong};

/// How long a service that gets no memory may struggle, in real time, before somebody starts it again.
const STRUGGLES: Duration = Duration::from_secs(10);

/// Whether the service has what it needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hunger {
    NotYet,
    Now,
    Over,
}

impl Bench {
    /// The service is there, and nobody has asked for anything.
    pub(crate) async fn idle(&mut self) {
        match self.wrong {
            Wrong::Stopped(Phase::Idle) => {
                self.rest().await;
                self.victim.stop();
                self.gone().await;
            }
            Wrong::Starved(Phase::Idle) | Wrong::Squeezed(Phase::Idle) => {
                self.rest().await;
                self.starve().await;
                self.pass(2 * MINUTE).await;
                self.feed().await;
            }
            Wrong::Starved(Phase::Provisioning) | Wrong::Squeezed(Phase::Provisioning) => {
                self.rest().await;
                self.starve().await;
            }
            _ => {}
        }
    }

    /// The end of access is near: until some minutes after it nothing can be opened.
    pub(crate) async fn ending(&mut self) {
        self.feed().await;
        if let Wrong::Starved(Phase::Removals) | Wrong::Squeezed(Phase::Removals) = self.wrong {
            self.starve().await;
            self.pass(61 * MINUTE).await;
            self.feed().await;
        }
    }

    async fn starve(&mut self) {
        if self.hunger != Hunger::NotYet {
            return;
        }
        self.hunger = Hunger::Now;
        let (order, done) = match self.wrong {
            Wrong::Squeezed(_) => ("squeeze", "squeezed"),
            _ => ("starve", "starved"),
        };
        // Whoever dies of it is started again, and not hungry.
        if let Some(said) = self.ask(order).await {
            assert_eq!(said, done);
        }
    }

    pub(super) async fn feed(&mut self) {
        if self.hunger != Hunger::Now {
            return;
        }
        if let Wrong::Squeezed(_) = self.wrong {
            // It lived: what it was not given it is given at its next start.
            if let Some(said) = self.ask("stop").await {
                assert_eq!(said, "stopped");
                self.hunger = Hunger::Over;
                self.running = Running::Nowhere;
                self.up().await;
            }
            return;
        }
        assert_eq!(self.ask("feed").await.as_deref(), Some("fed"));
        self.hunger = Hunger::Over;
    }

    /// One that gets no memory and does not come to rest is started again.
    pub(super) async fn struggles(&mut self, since: Instant) {
        if matches!(self.wrong, Wrong::Squeezed(_)) && since.elapsed() > STRUGGLES {
            self.feed().await;
        }
    }
}
