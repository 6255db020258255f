//! A service that can open nothing for a while.

use super::Bench;
use crate::{story::MINUTE, weather::Phase, wrong::Wrong};

/// Whether the service can open files.
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
            Wrong::Starved(Phase::Idle) => {
                self.rest().await;
                self.starve().await;
                self.pass(2 * MINUTE).await;
                self.feed().await;
            }
            Wrong::Starved(Phase::Provisioning) => {
                self.rest().await;
                self.starve().await;
            }
            _ => {}
        }
    }

    /// The end of access is near: until some minutes after it nothing can be opened.
    pub(crate) async fn ending(&mut self) {
        self.feed().await;
        if let Wrong::Starved(Phase::Removals) = self.wrong {
            self.starve().await;
            self.pass(61 * MINUTE).await;
            self.feed().await;
        }
    }

    async fn starve(&mut self) {
        if self.hunger == Hunger::NotYet {
            assert_eq!(self.ask("starve").await.as_deref(), Some("starved"));
            self.hunger = Hunger::Now;
        }
    }

    pub(super) async fn feed(&mut self) {
        if self.hunger == Hunger::Now {
            assert_eq!(self.ask("feed").await.as_deref(), Some("fed"));
            self.hunger = Hunger::Over;
        }
    }
}
