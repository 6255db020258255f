//! Deliveries on their way: the queue, the POST, the log.
//!
//! Sent one after the other by a background task. No retry of the vendor's is known, so none is played; a person may
//! send a logged delivery again. There is no signature: with authentication of type 1 there are Basic credentials.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::envelope::{self, DeliveryRules, Message};
use super::state::Instance;
use super::values::{Row, time};
use crate::authority::use_ring;

/// How long a receiver may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One line of the delivery log.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// 1 for the first.
    pub n: usize,
    pub at_ms: i64,
    /// The webhook's id.
    pub webhook: String,
    pub url: String,
    pub body: Vec<u8>,
    /// The `Authorization` header as sent.
    pub authorization: Option<String>,
    /// What the receiver answered; `None` when it did not.
    pub status: Option<u16>,
}

/// The queue, the rules and the log.
#[derive(Debug)]
pub(super) struct PostOffice {
    queue: mpsc::UnboundedSender<Parcel>,
    pending: watch::Sender<usize>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rules: DeliveryRules,
    held: Vec<Message>,
    log: Vec<Delivery>,
    lost: usize,
    failures: BTreeMap<String, i64>,
}

/// What the background task sends next.
#[derive(Debug)]
pub(super) enum Parcel {
    Messages(Vec<Message>),
    /// A past delivery once more, byte for byte.
    Again(Box<Delivery>),
}

impl PostOffice {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Parcel>) {
        let (queue, parcels) = mpsc::unbounded_channel();
        let (pending, _) = watch::channel(0);
        (Self { queue, pending, inner: Mutex::default() }, parcels)
    }

    pub(super) fn post(&self, messages: Vec<Message>) {
        let mut ready = Vec::new();
        {
            let mut inner = self.lock();
            for message in messages {
                if inner.rules.lose > 0 {
                    inner.rules.lose -= usize::from(inner.rules.lose != usize::MAX);
                    inner.lost += 1;
                } else if inner.rules.hold {
                    inner.held.push(message);
                } else {
                    ready.push(message);
                }
            }
        }
        self.enqueue_all(ready);
    }

    pub(super) fn change_rules(&self, change: impl FnOnce(&mut DeliveryRules)) {
        change(&mut self.lock().rules);
    }

    /// Sends what was held, last first when asked to, and stops holding.
    pub(super) fn release(&self, reversed: bool) {
        let mut held = {
            let mut inner = self.lock();
            inner.rules.hold = false;
            std::mem::take(&mut inner.held)
        };
        if reversed {
            held.reverse();
        }
        self.enqueue_all(held);
    }

    /// Queues a past delivery again; `false` when there is none of that number.
    pub(super) fn replay(&self, n: usize) -> bool {
        let past = self.lock().log.iter().find(|d| d.n == n).cloned();
        past.is_some_and(|delivery| {
            self.enqueue(Parcel::Again(Box::new(delivery)));
            true
        })
    }

    pub(super) fn log(&self) -> Vec<Delivery> {
        self.lock().log.clone()
    }

    pub(super) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// Waits until everything queued has been answered or has failed.
    pub(super) async fn settled(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    fn enqueue_all(&self, messages: Vec<Message>) {
        if !self.lock().rules.batch {
            messages.into_iter().for_each(|message| self.enqueue(Parcel::Messages(vec![message])));
            return;
        }
        let mut batches: BTreeMap<String, Vec<Message>> = BTreeMap::new();
        for message in messages {
            batches.entry(message.webhook.clone()).or_default().push(message);
        }
        batches.into_values().for_each(|batch| self.enqueue(Parcel::Messages(batch)));
    }

    fn enqueue(&self, parcel: Parcel) {
        self.pending.send_modify(|pending| *pending += 1);
        if self.queue.send(parcel).is_err() {
            self.done();
        }
    }

    fn done(&self) {
        self.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one parcel (twice under the rule) and writes it down.
    pub(super) async fn send(&self, parcel: Parcel, client: &reqwest::Client, inst: &Mutex<Instance>, now: i64) {
        let rules = self.lock().rules.clone();
        let (delivery, times) = match parcel {
            Parcel::Again(delivery) => (Some(*delivery), 1),
            Parcel::Messages(messages) => (wrap(&messages, &rules, inst), if rules.duplicate { 2 } else { 1 }),
        };
        for _ in 0..times {
            let Some(mut sent) = delivery.clone() else { break };
            sent.at_ms = now;
            sent.status = post(client, &sent).await;
            self.write_down(sent, inst);
        }
        self.done();
    }

    /// Logs it; a webhook that fails as often in a row as it allows is switched off.
    fn write_down(&self, mut sent: Delivery, inst: &Mutex<Instance>) {
        let mut inner = self.lock();
        sent.n = inner.log.len() + 1;
        let failures = inner.failures.entry(sent.webhook.clone()).or_default();
        *failures = if sent.status.is_some_and(|s| (200..300).contains(&s)) { 0 } else { *failures + 1 };
        let failed = *failures;
        let mut inst = inst.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = webhook(&mut inst, &sent.webhook) {
            let most = row.get("auto_disable_attempts").and_then(Value::as_i64).unwrap_or(0);
            row.insert("last_status".into(), json!(sent.status.unwrap_or(0)));
            if most > 0 && failed >= most {
                row.insert("disabled".into(), json!(true));
                row.insert("last_auto_disable_date".into(), json!(time(sent.at_ms)));
            }
        }
        inner.log.push(sent);
    }
}

fn webhook<'i>(inst: &'i mut Instance, id: &str) -> Option<&'i mut Row> {
    inst.webhooks.iter_mut().find(|row| row.get("id").and_then(Value::as_str) == Some(id))
}

/// `None` when the webhook is gone by now.
fn wrap(messages: &[Message], rules: &DeliveryRules, inst: &Mutex<Instance>) -> Option<Delivery> {
    let id = messages.first()?.webhook.clone();
    let mut inst = inst.lock().unwrap_or_else(PoisonError::into_inner);
    let row = webhook(&mut inst, &id)?;
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_basic = row.get("authentication_type") == Some(&json!(1)) && !rules.without_credentials;
    Some(Delivery {
        n: 0,
        at_ms: 0,
        url: text("url"),
        body: envelope::body(messages, rules),
        authorization: is_basic.then(|| basic(&text("basic_username"), &text("basic_password"))),
        webhook: id,
        status: None,
    })
}

/// The header of Basic credentials.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn post(client: &reqwest::Client, delivery: &Delivery) -> Option<u16> {
    let mut request = client.post(&delivery.url).header("Content-Type", "application/json").body(delivery.body.clone());
    if let Some(authorization) = &delivery.authorization {
        request = request.header("Authorization", authorization);
    }
    match request.send().await {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(error) => {
            tracing::debug!(%error, "a webhook was not delivered");
            None
        }
    }
}

/// The log as `/WebhookEvent` shows it.
pub(super) fn shown(delivery: &Delivery) -> Value {
    json!({
        "id": Uuid::from_u128(delivery.n as u128).to_string(), "webhook_id": delivery.webhook,
        "timestamp": time(delivery.at_ms), "requestheaders": "Content-Type: application/json",
        "requestbody": String::from_utf8_lossy(&delivery.body), "responsestatus": delivery.status.unwrap_or(0),
        "responsebody": "", "error": delivery.status.is_none_or(|s| !(200..300).contains(&s)),
    })
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
