//! The queues of callouts, one for each webhook and kind, with the rules for what goes wrong and the log of every try.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Between two tries of one event.
const RETRY_MS: i64 = 30_000;

/// One callout that is owed.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) webhook: i64,
    pub(super) action: &'static str,
    pub(super) ticket: i64,
    pub(super) body: Vec<u8>,
    /// Where a deactivation is told, even of a webhook that is gone by then.
    pub(super) off_url: Option<String>,
}

/// One line of the delivery log: one try.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// 1 for the first.
    pub n: usize,
    /// By the simulator's clock, when it was sent.
    pub at_ms: i64,
    pub webhook: i64,
    pub action: &'static str,
    pub ticket: i64,
    /// Which try of this event, from 1.
    pub attempt: usize,
    pub url: String,
    pub body: Vec<u8>,
    /// The signature header as sent.
    pub signature: Option<String>,
    /// What the receiver answered; `None` when it did not.
    pub status: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Signature {
    #[default]
    Right,
    /// Well-formed, by a key nobody has.
    Wrong,
    Missing,
    /// This text instead.
    Text(String),
}

/// What happens to the deliveries from now on.
#[derive(Debug, Clone, Default)]
pub struct DeliveryRules {
    /// So many of the next events are lost; `usize::MAX` loses all.
    pub lose: usize,
    /// Each try is made twice.
    pub duplicate: bool,
    /// Events wait for [`super::Autotask::release`].
    pub hold: bool,
    pub signature: Signature,
    /// A line feed is appended after signing, as a careless proxy would.
    pub trailing_newline: bool,
    /// The body is parsed and written again after signing, as a careless proxy would.
    pub reserialised: bool,
    /// Nobody is asked: every try has this answer.
    pub answer: Option<u16>,
}

/// An event in its queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) event: Event,
    /// Which try comes next, from 1.
    pub(super) attempt: usize,
    due_ms: i64,
}

/// The queues, the rules and the log.
#[derive(Debug, Default)]
pub(super) struct PostOffice {
    inner: Mutex<Inner>,
    posted: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    rules: DeliveryRules,
    queues: BTreeMap<(i64, &'static str), VecDeque<Queued>>,
    held: Vec<Event>,
    log: Vec<Delivery>,
    lost: usize,
    under_way: usize,
}

impl PostOffice {
    pub(super) fn post(&self, events: Vec<Event>, now: i64) {
        let mut inner = self.lock();
        for event in events {
            if inner.rules.lose > 0 {
                inner.rules.lose -= usize::from(inner.rules.lose != usize::MAX);
                inner.lost += 1;
            } else if inner.rules.hold {
                inner.held.push(event);
            } else {
                inner.enqueue(event, now);
                self.posted.notify_one();
            }
        }
    }

    /// Waits until something is posted.
    pub(super) async fn posted(&self) {
        self.posted.notified().await;
    }

    pub(super) fn change_rules(&self, change: impl FnOnce(&mut DeliveryRules)) {
        change(&mut self.lock().rules);
    }

    /// Queues what was held, last first when asked to, and stops holding.
    pub(super) fn release(&self, reversed: bool, now: i64) {
        let mut inner = self.lock();
        inner.rules.hold = false;
        let mut held = std::mem::take(&mut inner.held);
        if reversed {
            held.reverse();
        }
        held.into_iter().for_each(|event| inner.enqueue(event, now));
    }

    /// Queues a past delivery again, byte for byte; `false` when there is none of that number.
    pub(super) fn replay(&self, n: usize, now: i64) -> bool {
        let mut inner = self.lock();
        let past = inner.log.iter().find(|delivery| delivery.n == n).cloned();
        past.is_some_and(|past| {
            let Delivery { webhook, action, ticket, body, url, .. } = past;
            let off_url = (action == "Deactivated").then_some(url);
            inner.enqueue(Event { webhook, action, ticket, body, off_url }, now);
            true
        })
    }

    pub(super) fn log(&self) -> Vec<Delivery> {
        self.lock().log.clone()
    }

    pub(super) fn rules(&self) -> DeliveryRules {
        self.lock().rules.clone()
    }

    /// Writes a try down, and numbers it.
    pub(super) fn wrote(&self, delivery: Delivery) {
        let mut inner = self.lock();
        let n = inner.log.len() + 1;
        inner.log.push(Delivery { n, ..delivery });
    }

    pub(super) fn held(&self) -> usize {
        self.lock().held.len()
    }

    pub(super) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// Nothing is under way, and nothing is due.
    pub(super) fn is_settled(&self, now: i64) -> bool {
        let inner = self.lock();
        let is_due = |queue: &VecDeque<Queued>| queue.front().is_some_and(|head| head.due_ms <= now);
        inner.under_way == 0 && !inner.queues.values().any(is_due)
    }

    /// What is due first; it is under way from here on.
    pub(super) fn next(&self, now: i64) -> Option<Queued> {
        let mut inner = self.lock();
        let due = |queue: &&mut VecDeque<Queued>| queue.front().is_some_and(|head| head.due_ms <= now);
        let found = inner.queues.values_mut().find(due)?.pop_front();
        inner.under_way += usize::from(found.is_some());
        found
    }

    /// The same event once more, before those behind it.
    pub(super) fn again(&self, mut queued: Queued, now: i64) {
        queued.attempt += 1;
        queued.due_ms = now + RETRY_MS;
        let key = (queued.event.webhook, queued.event.action);
        self.lock().queues.entry(key).or_default().push_front(queued);
    }

    pub(super) fn done(&self) {
        self.lock().under_way -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enqueue(&mut self, event: Event, now: i64) {
        let key = (event.webhook, event.action);
        self.queues.entry(key).or_default().push_back(Queued { event, attempt: 1, due_ms: now });
    }
}
