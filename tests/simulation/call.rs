//! One call to a vendor: how long it takes, whether it takes effect, and what is heard of that.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::CallError;

use crate::world::{Event, SECOND, World};

/// The longest time a call may take.
pub(crate) const TIMEOUT: i64 = 30 * SECOND;

/// What a vendor is going through.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// It does not answer until then.
    pub(crate) down_until: i64,
    /// It refuses our rights until then.
    pub(crate) refused_until: i64,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Failed,
    Throttled,
    Unreadable,
    /// Nothing is heard of it.
    Silence {
        takes_effect: bool,
    },
    Unauthorized,
    Panic,
    Death {
        takes_effect: bool,
    },
}

/// A call's way through the world.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) op: &'static str,
    /// Whose delay it may be: an account, or a directory.
    pub(crate) about: &'a str,
}

impl Call<'_> {
    fn fate(&self, condition: &Condition) -> Fate {
        let (world, weather, now) = (self.world, self.world.weather(), self.world.now());
        if world.chance(weather.crashes) {
            let takes_effect = world.chance(5_000);
            world.fault(if takes_effect {
                "process killed during a call, which takes effect"
            } else {
                "process killed during a call without effect"
            });
            return Fate::Death { takes_effect };
        }
        if now < condition.down_until {
            world.fault("vendor down");
            return if world.chance(1_000) { Fate::Silence { takes_effect: false } } else { Fate::Failed };
        }
        if now < condition.refused_until {
            world.fault("rights refused");
            return Fate::Unauthorized;
        }
        if !world.chance(weather.calls) {
            return Fate::Fine;
        }
        let (fate, kind) = match world.between(0, 100) {
            0..30 => (Fate::Failed, "call failed"),
            30..45 => (Fate::Throttled, "call throttled"),
            45..75 => (Fate::Silence { takes_effect: true }, "effect made, answer lost"),
            75..93 => (Fate::Silence { takes_effect: false }, "call timed out without effect"),
            93..97 => (Fate::Unreadable, "answer unreadable"),
            _ => (Fate::Panic, "panic in a job"),
        };
        world.fault(kind);
        fate
    }

    fn delay(&self) -> i64 {
        if self.world.chance(self.world.weather().slow) {
            self.world.fault("slow answer");
            return self.world.between(2 * SECOND, 12 * SECOND);
        }
        self.world.between(20, 400)
    }

    /// Makes the call: `effect` happens at the vendor, whoever still waits for it, or does not.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        condition: &Condition,
        effect: impl FnOnce() -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let fate = self.fate(condition);
        let (there, back) = match fate {
            Fate::Silence { takes_effect: true } | Fate::Death { takes_effect: true } => {
                let there = self.world.between(0, TIMEOUT - 5 * SECOND);
                (there, TIMEOUT - there)
            }
            Fate::Silence { .. } => (TIMEOUT, 0),
            _ => (self.delay(), self.delay()),
        };
        self.world.tell(|| format!("call {} for {}: {fate:?}", self.op, self.about));
        if fate != Fate::Fine {
            let now = self.world.now();
            self.world.excuse(self.about, now, now + 370 * SECOND);
        }
        let answer = Arc::new(Mutex::new(None));
        let has_effect = matches!(
            fate,
            Fate::Fine | Fate::Unreadable | Fate::Silence { takes_effect: true } | Fate::Death { takes_effect: true }
        );
        if has_effect {
            let slot = Arc::clone(&answer);
            let act = move || *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(effect());
            self.world.schedule(self.world.now() + there, Event::Effect(Box::new(act)));
        }
        match fate {
            Fate::Death { .. } => {
                self.world.sleep(self.world.between(0, 3 * SECOND)).await;
                self.world.die().await
            }
            Fate::Panic => panic!("{PLANNED}"),
            _ => self.world.sleep(there + back + 1).await,
        }
        match fate {
            Fate::Fine => answer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_else(|| Err(CallError::transient(self.op, "the effect is still on its way"))),
            Fate::Throttled => {
                let wait = Duration::from_secs(u64::try_from(self.world.between(1, 60)).unwrap_or(1));
                Err(CallError::not_yet(self.op, wait, "simulated: too many requests"))
            }
            Fate::Unreadable => Err(CallError::malformed(self.op, "simulated")),
            Fate::Unauthorized => Err(CallError::Unauthorized { op: self.op, code: "simulated".to_owned() }),
            _ => Err(CallError::transient(self.op, "simulated")),
        }
    }
}

/// What a planned panic says: everything else that panics is a find.
pub(crate) const PLANNED: &str = "a planned panic";
