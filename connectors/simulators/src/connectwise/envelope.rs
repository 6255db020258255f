//! What a callback message is: its body, its signature, and every way either can be wrong.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::delivery::Delivery;
use super::keys::{key_url, signature};
use super::state::{Host, SigningKey, Tenant};
use super::view::{self, Links};

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
    /// The message as bytes and header under the rules; `None` when the rules name a login company
    /// that does not exist.
    pub(super) fn wrap(&self, message: &Message, rules: &DeliveryRules) -> Option<Delivery> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let own = host.tenant(&message.company_id)?;
        let (key, key_url) = self.key(&host, own, &rules.key_url)?;
        let old = rules.old_payload || message.payload_version != "3.0.0";
        let record = message.record.as_ref().filter(|_| !rules.null_entity);
        let mut body = if old {
            encode(rules.pretty, &self.old_payload(own, message, record, key_url))
        } else {
            encode(rules.pretty, &self.payload(own, message, record, key_url))
        };
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
            company_id: own.company_id.clone(),
            entry: message.entry,
            ticket: message.ticket,
            action: message.action,
            url: with_record(&message.url, message.ticket, message.action),
            body,
            signature,
            status: None,
        })
    }

    /// The key to sign with and the URL that says where it is served.
    fn key<'h>(&self, host: &'h Host, own: &'h Tenant, rule: &KeyUrl) -> Option<(&'h SigningKey, String)> {
        let name = own.company_id.as_str();
        let key = match rule {
            KeyUrl::Own | KeyUrl::ForeignHost(_) | KeyUrl::Text(_) => own.signing_key(),
            KeyUrl::ForeignCompany(other) | KeyUrl::ForeignKey(other) => host.tenant(other)?.signing_key(),
        };
        let url = match rule {
            KeyUrl::Own | KeyUrl::ForeignKey(_) => key_url(&self.links, name, key.id),
            KeyUrl::ForeignCompany(other) => key_url(&self.links, other, key.id),
            KeyUrl::ForeignHost(origin) => key_url(&Links { site: origin.clone(), ..self.links.clone() }, name, key.id),
            KeyUrl::Text(text) => text.clone(),
        };
        Some((key, url))
    }

    fn payload<'m>(
        &'m self,
        own: &'m Tenant,
        message: &'m Message,
        record: Option<&Value>,
        key_url: String,
    ) -> Payload<'m> {
        Payload {
            message_id: Uuid::new_v4().to_string(),
            from_url: self.from_url,
            company_id: &own.company_id,
            member_id: &message.member,
            action: message.action,
            r#type: "ticket",
            id: message.ticket,
            product_instance_id: &own.product_instance,
            partner_id: &own.partner,
            entity: record.map(|r| view::entity(r).to_string()),
            metadata: Metadata { key_url },
            callback_object_rec_id: message.entry,
        }
    }

    fn old_payload<'m>(
        &'m self,
        own: &'m Tenant,
        message: &'m Message,
        record: Option<&Value>,
        key_url: String,
    ) -> OldPayload<'m> {
        OldPayload {
            action: message.action,
            company_id: &own.company_id,
            entity: record.map(|r| view::old_entity(r).to_string()),
            from_url: self.from_url,
            id: message.ticket,
            member_id: &message.member,
            metadata: Metadata { key_url },
            r#type: "ticket",
        }
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

/// Version 3.0.0; the properties stand in the order of the wire.
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

/// Version 1.0.0, which was never signed.
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
