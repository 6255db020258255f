//! Callouts on their way, by the vendor's rules: one queue for each webhook and kind, in order; ten seconds for an answer;
//! another try after thirty seconds, five in all; then the event goes into the error log. Twenty-five events in a row that
//! failed switch the webhook off, which its deactivation URL is told.
//!
//! Waits are by the simulator's clock; a background task looks again and again whether something is due.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::envelope::{self, SIGNATURE_HEADER, signature};
use super::state::{Row, flag, row, text};
use crate::authority::use_ring;
use crate::clock::to_seconds_text;

/// How long a receiver may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_MS: i64 = 30_000;
const TRIES: usize = 5;
const SWITCH_OFF: usize = 25;
/// How often the queues are looked at, in real time.
const LOOK: Duration = Duration::from_millis(5);

/// One callout that is owed.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) webhook: i64,
    pub(super) action: &'static str,
    pub(super) ticket: i64,
    pub(super) body: Vec<u8>,
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

#[derive(Debug)]
struct Queued {
    event: Event,
    attempt: usize,
    due_ms: i64,
}

/// The queues, the rules and the log.
#[derive(Debug, Default)]
pub(super) struct PostOffice(Mutex<Inner>);

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
            }
        }
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
            let Delivery { webhook, action, ticket, body, .. } = past;
            inner.enqueue(Event { webhook, action, ticket, body }, now);
            true
        })
    }

    pub(super) fn log(&self) -> Vec<Delivery> {
        self.lock().log.clone()
    }

    pub(super) fn held(&self) -> usize {
        self.lock().held.len()
    }

    pub(super) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// Nothing is under way, and nothing is due.
    fn is_settled(&self, now: i64) -> bool {
        let inner = self.lock();
        let is_due = |queue: &VecDeque<Queued>| queue.front().is_some_and(|head| head.due_ms <= now);
        inner.under_way == 0 && !inner.queues.values().any(is_due)
    }

    fn next(&self, now: i64) -> Option<Queued> {
        let mut inner = self.lock();
        let due = |queue: &&mut VecDeque<Queued>| queue.front().is_some_and(|head| head.due_ms <= now);
        let found = inner.queues.values_mut().find(due)?.pop_front();
        inner.under_way += usize::from(found.is_some());
        found
    }

    /// The same event once more, before those behind it.
    fn again(&self, mut queued: Queued, now: i64) {
        queued.attempt += 1;
        queued.due_ms = now + RETRY_MS;
        let key = (queued.event.webhook, queued.event.action);
        self.lock().queues.entry(key).or_default().push_front(queued);
    }

    fn done(&self) {
        self.lock().under_way -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enqueue(&mut self, event: Event, now: i64) {
        let key = (event.webhook, event.action);
        self.queues.entry(key).or_default().push_back(Queued { event, attempt: 1, due_ms: now });
    }
}

/// Sends what is due, for ever.
pub(super) async fn send_all(shared: std::sync::Arc<Shared>, client: reqwest::Client) {
    loop {
        match shared.post.next(shared.clock.now_ms()) {
            Some(queued) => send(&shared, &client, queued).await,
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

pub(super) async fn settled(shared: &Shared) {
    while !shared.post.is_settled(shared.clock.now_ms()) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(shared: &Shared, client: &reqwest::Client, queued: Queued) {
    let now = shared.clock.now_ms();
    let rules = shared.post.lock().rules.clone();
    let hook = shared.state().webhooks.get(&queued.event.webhook).cloned();
    let Some(hook) = hook.filter(|hook| flag(hook, "isActive") || queued.event.action == "Deactivated") else {
        shared.post.done();
        return;
    };
    let mut is_delivered = false;
    for _ in 0..if rules.duplicate { 2 } else { 1 } {
        is_delivered = once(shared, client, &hook, &queued, &rules, now).await;
    }
    let id = queued.event.webhook;
    if is_delivered {
        shared.state().failed.remove(&id);
    } else if queued.event.action != "Deactivated" {
        if queued.attempt < TRIES {
            shared.post.again(queued, now);
        } else {
            give_up(shared, &hook, &queued.event, now);
        }
    }
    shared.post.done();
}

async fn once(
    shared: &Shared,
    client: &reqwest::Client,
    hook: &Row,
    queued: &Queued,
    rules: &DeliveryRules,
    now: i64,
) -> bool {
    let Event { webhook, action, ticket, body } = &queued.event;
    let is_off = *action == "Deactivated";
    let key = shared.state().keys.get(webhook).cloned().unwrap_or_default();
    let is_signed = !is_off || shared.settings().deactivation_is_signed;
    let signed = match &rules.signature {
        _ if !is_signed => None,
        Signature::Right => Some(signature(&key, body)),
        Signature::Wrong => Some(signature("a key that nobody has", body)),
        Signature::Missing => None,
        Signature::Text(text) => Some(text.clone()),
    };
    let mut body = body.clone();
    if rules.reserialised {
        body = serde_json::from_slice::<Value>(&body).map_or(body, |value| value.to_string().into_bytes());
    }
    if rules.trailing_newline {
        body.push(b'\n');
    }
    let url = text(hook, if is_off { "deactivationUrl" } else { "webhookUrl" }).to_owned();
    let request = client.post(&url).header("Content-Type", "application/json; charset=utf-8").body(body.clone());
    let request = match &signed {
        Some(signed) => request.header(SIGNATURE_HEADER, signed),
        None => request,
    };
    let status = match rules.answer {
        Some(answer) => Some(answer),
        None => request.send().await.ok().map(|answer| answer.status().as_u16()),
    };
    let mut inner = shared.post.lock();
    let n = inner.log.len() + 1;
    inner.log.push(Delivery {
        n,
        at_ms: now,
        webhook: *webhook,
        action,
        ticket: *ticket,
        attempt: queued.attempt,
        url,
        body,
        signature: signed,
        status,
    });
    // A redirect is no success either.
    status.is_some_and(|status| (200..300).contains(&status))
}

/// After the fifth failure the event is written down and dropped, and the webhook may go with it.
fn give_up(shared: &Shared, hook: &Row, event: &Event, now: i64) {
    let settings = shared.settings();
    let mut state = shared.state();
    let (id, payload) = (state.take("errorLog", 1), String::from_utf8_lossy(&event.body).into_owned());
    let sequence = serde_json::from_slice::<Value>(&event.body).unwrap_or_default()["SequenceNumber"].clone();
    let entry = json!({"id": id, "accountWebhookID": null, "contactWebhookID": null, "sequenceNumber": sequence,
        "createDateTime": to_seconds_text(now), "errorMessage": "The callout was not delivered.", "payload": payload});
    state.error_log.insert(id, row(entry));
    let failed = state.failed.entry(event.webhook).or_insert(0);
    *failed += 1;
    if *failed < SWITCH_OFF {
        return;
    }
    let guid = hook["webhookGUID"].clone();
    let off = deactivate(&mut state, event.webhook, guid, settings.deactivation_is_whole, now);
    drop(state);
    shared.post.post(vec![off], now);
}

/// Switches a webhook off and owes its deactivation URL the word of it.
pub(super) fn deactivate(
    state: &mut super::state::State,
    webhook: i64,
    guid: Value,
    is_whole: bool,
    now: i64,
) -> Event {
    if let Some(hook) = state.webhooks.get_mut(&webhook) {
        hook.insert("isActive".into(), json!(false));
    }
    state.failed.remove(&webhook);
    let sequence = state.sequence.entry(webhook).or_insert(0);
    *sequence += 1;
    let mut entries = vec![("Action", json!("Deactivated")), ("Guid", guid)];
    if is_whole {
        entries.extend([("EntityType", json!("Ticket")), ("Fields", json!({}))]);
    }
    entries.extend([("EventTime", json!(to_seconds_text(now))), ("SequenceNumber", json!(*sequence))]);
    Event { webhook, action: "Deactivated", ticket: 0, body: envelope::object(&entries).into_bytes() }
}

/// A client that trusts `ca_pem` alone, or nobody: then only plain http can be delivered.
///
/// # Errors
/// When the PEM holds no certificate.
pub(super) fn client(ca_pem: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    use_ring();
    let trusted = match ca_pem {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem.as_bytes())?,
        None => Vec::new(),
    };
    reqwest::Client::builder()
        .tls_certs_only(trusted)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
}
