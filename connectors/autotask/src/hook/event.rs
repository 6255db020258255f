//! What is read of a delivery's body. [facts 1.4, 2.2]
//!
//! Names of fields, the types of their values and where user-defined ones stand are not documented, so of `Fields` only a
//! status by number is taken, as a hint; facts come from reading the ticket.

use std::time::Duration;

use latchkey_contract::{
    Delivery, MemberId, Rejected, StatusId, TicketId,
    json::{self, Picked},
    ticket::TicketEvent,
};
use serde_json::Value;
use url::form_urlencoded;

use super::message_id;
use crate::time;

/// `PersonID` or `PersonId`: the spelling differs between sources, and names are compared without case. [facts 1.4]
const PAYLOAD: &[&str] =
    &["Action", "Guid", "EntityType", "Id", "EventTime", "SequenceNumber", "PersonID", "Fields/Status"];
/// Nothing about the time of a delivery is signed but what it says itself. Five tries take two minutes, and the vendor may
/// be minutes late. [facts 1.5, 1.6] What is older only rings: who did it is asked of the history.
const NEWS: Duration = Duration::from_secs(15 * 60);
/// What is older than this is a replay.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a body that is proven.
pub(super) fn signed(delivery: &Delivery) -> Result<TicketEvent, Rejected> {
    let foreign = Rejected::ForeignBody;
    let picked = json::pick(&delivery.body, PAYLOAD).map_err(foreign)?;
    let action = text(&picked, "Action").ok_or(foreign("no Action"))?;
    let entity = text(&picked, "EntityType").unwrap_or_default();
    let message = key(&picked).unwrap_or_else(|| message_id(&delivery.body));
    if is(action, "Deactivated") || is(action, "Deactivate") {
        return Ok(TicketEvent { is_about_webhooks: true, ..TicketEvent::of(message) });
    }
    let told_at = text(&picked, "EventTime").and_then(time::parse);
    let apart = told_at.map(|at| at.since(delivery.received_at).max(delivery.received_at.since(at)));
    if apart.is_some_and(|apart| apart > OLDEST) {
        return Err(foreign("EventTime is more than a day away"));
    }
    if !is(entity, "Ticket") {
        return Ok(TicketEvent::of(message));
    }
    let ticket = number(&picked, "Id").and_then(|id| TicketId::parse(id.to_string()).ok());
    let ticket = ticket.ok_or(foreign("no ticket number"))?;
    let is_news = apart.is_some_and(|apart| apart <= NEWS);
    let told = TicketEvent { is_deletion: is(action, "Delete"), ..TicketEvent::ring(message, ticket) };
    Ok(if is_news { with_actor(told, &picked) } else { told })
}

fn with_actor(told: TicketEvent, picked: &Picked) -> TicketEvent {
    let person = number(picked, "PersonID").filter(|id| *id > 0);
    let status = number(picked, "Fields/Status");
    TicketEvent {
        actor_id: person.and_then(|id| MemberId::parse(id.to_string()).ok()),
        status: status.and_then(|id| StatusId::parse(id.to_string()).ok()),
        ..told
    }
}

/// `Guid` names the webhook and not the event, so it takes all four to tell one event from another. [facts 1.4, 1.5]
fn key(picked: &Picked) -> Option<String> {
    let guid = text(picked, "Guid").filter(|guid| guid.len() <= 100)?;
    let sequence = number(picked, "SequenceNumber")?;
    let action = text(picked, "Action")?.to_lowercase();
    let id = number(picked, "Id").map(|id| id.to_string()).unwrap_or_default();
    Some(format!("{}.{sequence}.{action}.{id}", guid.to_lowercase()))
}

/// A deactivation, signed or not. Its shape is not published; nothing but that it is one is read. [facts 1.4]
pub(super) fn is_deactivation(body: &[u8]) -> bool {
    let picked = json::pick(body, &["Action", "Guid"]).unwrap_or_default();
    let action = text(&picked, "Action").unwrap_or_default();
    (is(action, "Deactivated") || is(action, "Deactivate")) && text(&picked, "Guid").is_some()
}

/// How an extension callout names its ticket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Id(TicketId),
    Number(String),
}

/// The ticket of a form; `None` when it names none.
pub(super) fn form(body: &[u8]) -> Option<Named> {
    let find = |name: &str| {
        form_urlencoded::parse(body)
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    };
    let digits = |text: &String| !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(id) = find("id").filter(digits) {
        return TicketId::parse(id).ok().map(Named::Id);
    }
    let is_number = |text: &String| {
        let mut chars = text.chars();
        text.len() <= 50 && chars.next() == Some('T') && chars.all(|c| c.is_ascii_digit() || c == '.')
    };
    find("number").filter(is_number).map(Named::Number)
}

fn is(text: &str, word: &str) -> bool {
    text.trim().eq_ignore_ascii_case(word)
}

fn text<'p>(picked: &'p Picked, name: &str) -> Option<&'p str> {
    picked.get(name)?.as_str()
}

/// A number, or a text that is one. [facts 1.4]
fn number(picked: &Picked, name: &str) -> Option<i64> {
    let value = picked.get(name)?;
    let id = match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        other => other.as_i64()?,
    };
    (id >= 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latchkey_contract::{ConnectionId, Timestamp};

    fn read(body: &str, received: &str) -> Result<TicketEvent, Rejected> {
        let received_at = Timestamp::parse(received).unwrap();
        let connection = ConnectionId::parse("at").unwrap();
        signed(&Delivery { connection, headers: vec![], body: body.into(), received_at })
    }

    const V1: &str = super::super::tests::V1;
    const SOON: &str = "2026-09-15T14:58:20Z";

    #[test]
    fn the_event_is_read_from_the_proven_body() {
        let event = read(V1, SOON).unwrap();
        assert_eq!(event.message_id, "3f1f6c0e-6d2b-4a53-9c0a-0d6a5f2b7e11.17.update.351181");
        assert_eq!((event.ticket.unwrap().as_str(), event.status.unwrap().as_str()), ("351181", "8"));
        assert_eq!((event.actor_id.unwrap().as_str(), event.actor), ("30691780", None));
        assert!(!event.is_deletion && !event.is_about_webhooks);
        let deleted = read(&V1.replace("\"Update\"", "\"Delete\""), SOON).unwrap();
        assert!(deleted.is_deletion && deleted.message_id.ends_with(".delete.351181"));
    }

    #[test]
    fn what_is_not_documented_is_taken_either_way() {
        let with = |from: &str, to: &str| read(&V1.replacen(from, to, 1), SOON).unwrap();
        assert_eq!(with("PersonID", "PersonId").actor_id, with("x", "x").actor_id);
        assert_eq!(with("\"PersonID\":30691780", "\"PersonID\":\"30691780\"").actor_id, with("x", "x").actor_id);
        assert_eq!(with("\"Status\":\"8\"", "\"Status\":8").status.unwrap().as_str(), "8");
        assert_eq!(with("\"Status\":\"8\"", "\"Status\":\"In Progress\"").status, None);
        assert_eq!(with("\"Status\":\"8\"", "\"Status\":null").status, None);
        assert_eq!(with("\"Status\":\"8\"", "\"userDefinedFields\":[{\"name\":\"JIT\",\"value\":\"x\"}]").status, None);
        assert_eq!(with("PersonID\":30691780", "PersonID\":null").actor_id, None);
        assert_eq!(with("\"EntityType\":\"Ticket\"", "\"EntityType\":\"TicketNote\"").ticket, None);
        assert_eq!(with("\"Action\":\"Update\"", "\"Action\":\"Absorbed\"").ticket.unwrap().as_str(), "351181");
    }

    /// F8
    #[test]
    fn an_old_event_only_rings_and_a_very_old_one_is_refused() {
        let late = read(V1, "2026-09-15T15:20:00Z").unwrap();
        assert!(late.ticket.is_some() && late.actor_id.is_none() && late.status.is_none());
        assert!(matches!(read(V1, "2026-09-17T14:57:50Z"), Err(Rejected::ForeignBody(_))));
        assert!(matches!(read(V1, "2026-09-14T14:57:49Z"), Err(Rejected::ForeignBody(_))));
        let undated = read(&V1.replace("\"EventTime\":\"2026-09-15T14:57:50Z\",", ""), SOON).unwrap();
        assert!(undated.ticket.is_some() && undated.actor_id.is_none());
    }

    #[test]
    fn a_signed_body_without_what_it_must_have_is_refused() {
        for (from, to) in [
            ("\"Action\":\"Update\",", ""),
            ("\"Id\":351181,", ""),
            ("\"Id\":351181", "\"Id\":-1"),
            ("\"Id\":351181", "\"Id\":351181,\"ID\":351182"),
            ("{\"Action\"", "[{\"Action\""),
        ] {
            let body = V1.replacen(from, to, 1);
            assert_ne!(body, V1);
            assert!(matches!(read(&body, SOON), Err(Rejected::ForeignBody(_))), "{from} → {to}");
        }
    }

    #[test]
    fn an_event_without_a_number_is_known_by_its_bytes() {
        let body = V1.replace("\"SequenceNumber\":17,", "");
        let (one, again) = (read(&body, SOON).unwrap(), read(&body, SOON).unwrap());
        assert_eq!((one.message_id.len(), &one.message_id), (64, &again.message_id));
    }

    #[test]
    fn a_deactivation_is_known_by_two_names_alone() {
        assert!(is_deactivation(br#"{"Action":"Deactivated","Guid":"3f1f6c0e"}"#));
        assert!(is_deactivation(br#"{"Action":"Deactivate","Guid":"3f1f6c0e","EntityType":"Ticket","Fields":{}}"#));
        for other in [&br#"{"Action":"Deactivated"}"#[..], br#"{"Action":"Update","Guid":"x"}"#, b"id=1", b""] {
            assert!(!is_deactivation(other));
        }
    }

    #[test]
    fn a_form_names_its_ticket_in_one_of_two_ways() {
        let callout = b"id=7865&number=T20191029.0002&status=New&created_datetime=2019-10-29T14:14:47.64300000-04:00:00&last_activity_datetime=2019-10-30T15:06:38.58300000-04:00:00&domain=msp.example";
        assert_eq!(form(callout), Some(Named::Id(TicketId::parse("7865").unwrap())));
        assert_eq!(form(b"number=T20191029.0002"), Some(Named::Number("T20191029.0002".into())));
        for none in [&b"id=x"[..], b"id=-1", b"number=x", b"number=T1' or 1", b"", b"{\"id\":1}"] {
            assert_eq!(form(none), None);
        }
    }
}
