//! Callbacks on their way: the message, the signature, the POST, the log, and everything that can
//! go wrong in between.
//!
//! Deliveries are sent one after the other by a background task and never retried, as nothing is
//! known of a retry by the vendor.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::keys::{key_url, signature};
use super::state::Host;
use super::view::{self, Links};
use crate::authority::use_ring;

/// How long a receiver may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-content-signature";

/// One save that one callback entry wants to hear of.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) company_id: String,
    pub(super) url: String,
    pub(super) entry: i64,
    pub(super) payload_version: String,
    /// Identifier of the member who saved.
    pub(super) member: String,
    /// `added`, `updated`, `deleted`.
    pub(super) action: &'static str,
    pub(super) ticket: i64,
    /// The ticket as REST shows it; `None` when deleted.
    pub(super) record: Option<Value>,
}

/// What happens to the deliveries from now on.
#[derive(Debug, Clone, Default)]
pub struct DeliveryRules {
    /// So many of the next messages are lost; `usize::MAX` loses all.
    pub lose: usize,
    /// Each message is sent twice, with one `MessageId`.
    pub duplicate: bool,
    /// Messages wait for [`super::ConnectWise::release`].
    pub hold: bool,
    pub signature: Signature,
    pub key_url: KeyUrl,
    /// Sent with white space, and signed like that.
    pub pretty: bool,
    /// A line feed is appended after signing, as a careless proxy would.
    pub trailing_newline: bool,
    /// `Entity` is null although nothing was deleted.
    pub null_entity: bool,
    /// The payload of version 1.0.0, unsigned, whatever the entry asks for.
    pub old_payload: bool,
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

/// Which key a message names, and is signed with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeyUrl {
    #[default]
    Own,
    /// Another login company of the same host: its name, its key id, its signature, in a message
    /// that claims to be ours.
    ForeignCompany(String),
    /// Our name with the other company's key id and signature.
    ForeignKey(String),
    /// The right path and query on another origin, such as `https://evil.example`.
    ForeignHost(String),
    /// This text as it is.
    Text(String),
}

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

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payload<'a> {
    message_id: String,
    from_url: &'a str,
    company_id: &'a str,
    member_id: &'a str,
    action: &'a str,
    r#type: &'a str,
    #[serde(rename = "ID")]
    id: i64,
    product_instance_id: &'a str,
    partner_id: &'a str,
    entity: Option<String>,
    metadata: Metadata,
    callback_object_rec_id: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OldPayload<'a> {
    action: &'a str,
    company_id: &'a str,
    entity: Option<String>,
    from_url: &'a str,
    #[serde(rename = "ID")]
    id: i64,
    member_id: &'a str,
    metadata: Metadata,
    r#type: &'a str,
}

#[derive(Debug, Serialize)]
struct Metadata {
    key_url: String,
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

/// What sending needs besides the parcel.
pub(super) struct SendingDesk<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) host: &'a Mutex<Host>,
    pub(super) links: Links,
    /// What messages call the site: a bare host.
    pub(super) from_url: &'a str,
    pub(super) now_ms: i64,
}

impl SendingDesk<'_> {
    /// The message as bytes and header under the rules; `None` when its tenant is gone or the
    /// rules name a company that does not exist.
    fn wrap(&self, message: &Message, rules: &DeliveryRules) -> Option<Delivery> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let own = host.tenant(&message.company_id)?;
        let name = own.company_id.as_str();
        let (key, key_url) = match &rules.key_url {
            KeyUrl::Own => (own.signing_key(), key_url(&self.links, name, own.signing_key().id)),
            KeyUrl::ForeignCompany(other) => {
                let other = host.tenant(other)?;
                let key = other.signing_key();
                (key, key_url(&self.links, &other.company_id, key.id))
            }
            KeyUrl::ForeignKey(other) => {
                let key = host.tenant(other)?.signing_key();
                (key, key_url(&self.links, name, key.id))
            }
            KeyUrl::ForeignHost(origin) => {
                let links = Links { site: origin.clone(), ..self.links.clone() };
                (own.signing_key(), key_url(&links, name, own.signing_key().id))
            }
            KeyUrl::Text(text) => (own.signing_key(), text.clone()),
        };
        let old = rules.old_payload || message.payload_version != "3.0.0";
        let record = message.record.as_ref().filter(|_| !rules.null_entity);
        let metadata = Metadata { key_url };
        let value = if old {
            encode(
                rules.pretty,
                &OldPayload {
                    action: message.action,
                    company_id: name,
                    entity: record.map(|r| view::old_entity(r).to_string()),
                    from_url: self.from_url,
                    id: message.ticket,
                    member_id: &message.member,
                    metadata,
                    r#type: "ticket",
                },
            )
        } else {
            encode(
                rules.pretty,
                &Payload {
                    message_id: Uuid::new_v4().to_string(),
                    from_url: self.from_url,
                    company_id: name,
                    member_id: &message.member,
                    action: message.action,
                    r#type: "ticket",
                    id: message.ticket,
                    product_instance_id: &own.product_instance,
                    partner_id: &own.partner,
                    entity: record.map(|r| view::entity(r).to_string()),
                    metadata,
                    callback_object_rec_id: message.entry,
                },
            )
        };
        let mut body = value;
        let signature = match &rules.signature {
            _ if old => None,
            Signature::Right => Some(signature(&key.secret, &body)),
            Signature::Wrong => Some(signature(&Uuid::new_v4().to_string(), &body)),
            Signature::Missing => None,
            Signature::Text(text) => Some(text.clone()),
        };
        if rules.trailing_newline {
            body.push(b'\n');
        }
        Some(Delivery {
            n: 0,
            at_ms: self.now_ms,
            company_id: name.to_owned(),
            entry: message.entry,
            ticket: message.ticket,
            action: message.action,
            url: with_record(&message.url, message.ticket, message.action),
            body,
            signature,
            status: None,
        })
    }
}

fn encode(pretty: bool, payload: &impl Serialize) -> Vec<u8> {
    let text = if pretty { serde_json::to_vec_pretty(payload) } else { serde_json::to_vec(payload) };
    text.expect("strings and numbers always encode")
}

/// A URL that ends in `=` gets the record id as raw text and then the action; none of it is signed.
fn with_record(url: &str, id: i64, action: &str) -> String {
    if url.ends_with('=') { format!("{url}{id}&action={action}") } else { url.to_owned() }
}

async fn post(client: &reqwest::Client, delivery: &Delivery) -> Option<u16> {
    let mut request = client.post(&delivery.url).header("Content-Type", "application/json").body(delivery.body.clone());
    if let Some(signature) = &delivery.signature {
        request = request.header(SIGNATURE_HEADER, signature);
    }
    match request.send().await {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(error) => {
            tracing::debug!(%error, "a callback was not delivered");
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
