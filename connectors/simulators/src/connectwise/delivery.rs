//! Callbacks on their way: the queue, the POST, the log.
//!
//! Deliveries are sent one after the other by a background task and never retried, as nothing is
//! known of a retry by the vendor. What is in a message is decided in [`super::envelope`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::envelope::{DeliveryRules, Message, SendingDesk};
use crate::authority::use_ring;

/// How long a receiver may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-content-signature";

/// One line of the delivery log.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// 1 for the first.
    pub n: usize,
    /// By the simulator's clock, when it was sent.
    pub at_ms: i64,
    pub company_id: String,
    /// The callback entry's id.
    pub entry: i64,
    pub ticket: i64,
    pub action: &'static str,
    pub url: String,
    pub body: Vec<u8>,
    /// The signature header as sent.
    pub signature: Option<String>,
    /// What the receiver answered; `None` when it did not.
    pub status: Option<u16>,
}

/// The queue, the rules and the log.
#[derive(Debug)]
pub(super) struct PostOffice {
    queue: mpsc::UnboundedSender<Parcel>,
    /// Parcels queued or on their way.
    pending: watch::Sender<usize>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rules: DeliveryRules,
    held: Vec<Message>,
    log: Vec<Delivery>,
    lost: usize,
}

/// What the background task sends next.
#[derive(Debug)]
pub(super) enum Parcel {
    Message(Box<Message>),
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
        for message in messages {
            let mut inner = self.lock();
            if inner.rules.lose > 0 {
                inner.rules.lose -= usize::from(inner.rules.lose != usize::MAX);
                inner.lost += 1;
            } else if inner.rules.hold {
                inner.held.push(message);
            } else {
                drop(inner);
                self.enqueue(Parcel::Message(Box::new(message)));
            }
        }
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
        for message in held {
            self.enqueue(Parcel::Message(Box::new(message)));
        }
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

    pub(super) fn held(&self) -> usize {
        self.lock().held.len()
    }

    pub(super) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// Waits until everything queued has been answered or has failed.
    pub(super) async fn settled(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
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

    /// Sends one parcel (twice under the rule) and writes it down. `now` is the simulator's time.
    pub(super) async fn send(&self, parcel: Parcel, desk: &SendingDesk<'_>) {
        let (deliveries, times) = match parcel {
            Parcel::Again(delivery) => (Some(*delivery), 1),
            Parcel::Message(message) => {
                let rules = self.lock().rules.clone();
                (desk.wrap(&message, &rules), if rules.duplicate { 2 } else { 1 })
            }
        };
        if let Some(delivery) = deliveries {
            for _ in 0..times {
                let mut sent = delivery.clone();
                sent.at_ms = desk.now_ms;
                sent.status = post(desk.client, &sent).await;
                let mut inner = self.lock();
                sent.n = inner.log.len() + 1;
                inner.log.push(sent);
            }
        }
        self.done();
    }
}

async fn post(client: &reqwest::Client, delivery: &Delivery) -> Option<u16> {
    let mut request = client.post(&delivery.url).header("Content-Type", "application/json").body(delivery.body.clone());
    if let Some(signature) = &delivery.signature {
        request = request.header(SIGNATURE_HEADER, signature);
    }
    match request.send().await {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(error) => {
            // Its URL has the receiver's path secret in it.
            tracing::debug!(error = %error.without_url(), "a callback was not delivered");
            None
        }
    }
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
