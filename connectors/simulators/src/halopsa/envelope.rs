//! What a delivery carries: the envelope as captured, and the ways in which it differs by option, event and build.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::values::long_time;

/// One occurrence that one binding wants to hear of.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The webhook's id.
    pub(super) webhook: String,
    /// The binding's number.
    pub(super) notification: i64,
    /// The occurrence in the event queue: shared by all deliveries of it.
    pub(super) occurrence: Uuid,
    pub(super) event: String,
    pub(super) message: String,
    pub(super) ticket: i64,
    pub(super) agent: i64,
    pub(super) at_ms: i64,
    pub(super) small: Value,
    pub(super) full: Value,
    pub(super) action: Option<Value>,
}

/// The payload option of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// "Small object with key fields only".
    #[default]
    Small,
    /// "Full object with linked objects".
    Full,
    /// "Event information only".
    EventOnly,
    /// "Use a custom payload": the envelope is gone, what stays is what an admin mapped.
    Custom,
}

/// What happens to the deliveries from now on.
#[derive(Debug, Clone, Default)]
pub struct DeliveryRules {
    /// So many of the next messages are lost; `usize::MAX` loses all.
    pub lose: usize,
    /// Each message is sent twice, byte for byte.
    pub duplicate: bool,
    /// Messages wait for [`super::HaloPsa::release`].
    pub hold: bool,
    /// What belongs to one webhook and waits together is sent as one array.
    pub batch: bool,
    pub payload: Payload,
    /// `Ticket Status Changed` instead of `ticket status changed`.
    pub capital_events: bool,
    /// Numbers are sent as text.
    pub text_numbers: bool,
    /// Keys are sent in another case.
    pub capital_keys: bool,
    /// The credentials are left out, as by a webhook without authentication.
    pub without_credentials: bool,
}

/// The body of one delivery: an envelope, or an array of them.
pub(super) fn body(messages: &[Message], rules: &DeliveryRules) -> Vec<u8> {
    let mut envelopes: Vec<Value> = messages.iter().map(|m| envelope(m, rules)).collect();
    let body = if rules.batch { Value::Array(envelopes) } else { envelopes.pop().unwrap_or_default() };
    body.to_string().into_bytes()
}

fn envelope(message: &Message, rules: &DeliveryRules) -> Value {
    if rules.payload == Payload::Custom {
        return json!({"ticket_id": message.ticket, "what": message.event});
    }
    let event = if rules.capital_events { capitals(&message.event) } else { message.event.clone() };
    let mut body = json!({
        "id": Uuid::new_v4().to_string(), "webhook_id": message.webhook, "notification_id": message.notification,
        "escmsg_id": message.occurrence.to_string(), "event": event, "message": message.message,
        "object_id": message.ticket, "agent_id": message.agent, "timestamp": long_time(message.at_ms),
    });
    let Some(object) = body.as_object_mut() else { return body };
    match rules.payload {
        Payload::EventOnly => {
            object.remove("message");
        }
        Payload::Full => {
            object.insert("ticket".into(), message.full.clone());
            if let Some(action) = &message.action {
                object.insert("action".into(), action.clone());
            }
        }
        Payload::Small | Payload::Custom => {
            object.insert("ticket".into(), message.small.clone());
        }
    }
    if rules.text_numbers {
        object.insert("object_id".into(), json!(message.ticket.to_string()));
    }
    if rules.capital_keys {
        let renamed: Map<String, Value> = object.iter().map(|(k, v)| (k.to_uppercase(), v.clone())).collect();
        return Value::Object(renamed);
    }
    body
}

fn capitals(text: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    };
    text.split(' ').map(capital).collect::<Vec<_>>().join(" ")
}
