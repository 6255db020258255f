//! Documents of an earlier release, as it wrote them: before a ticket was followed, and before there was more than one kind of
//! PSA. They are read for what they said, and nothing is made of what they did not.

use latchkey_contract::ticket::{Ticket, TicketEvent};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::samples::{START, active, grant};
use crate::{access::Grant, rulebook::Mapping};

const GRANT: &str = include_str!("earlier/grant.json");
const TICKET: &str = include_str!("earlier/ticket.json");
const EVENT: &str = include_str!("earlier/event.json");
const MAPPING: &str = include_str!("earlier/mapping.toml");

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

/// What is written today tells all that the document told, and besides only these: where in it, and which.
fn assert_kept(now: &impl Serialize, document: &Value, new: &[(&str, &str)]) {
    let mut now = serde_json::to_value(now).unwrap();
    for (at, name) in new {
        assert!(document.pointer(at).unwrap().get(name).is_none(), "{name}");
        assert!(now.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(*name).is_some(), "{name}");
    }
    assert_eq!(now, *document);
}

#[test]
fn a_grant_of_an_earlier_release_is_the_same_grant() {
    let read: Grant = read(GRANT);
    assert_eq!(read, grant("g1", &[1], active(START)));
    assert!(read.stood.is_none() && read.leaving.is_none());
    assert_kept(&read, &serde_json::from_str(GRANT).unwrap(), &[("/policy", "warn_minutes")]);
}

#[test]
fn a_ticket_of_an_earlier_release_is_not_said_to_be_merged_but_into_which() {
    let read: Ticket = read(TICKET);
    assert!(!read.is_merged && read.is_closed && read.merged_into == Some("4712".parse().unwrap()));
    assert_kept(&read, &serde_json::from_str(TICKET).unwrap(), &[("", "is_merged")]);
}

#[test]
fn a_delivery_of_an_earlier_release_tells_of_one_ticket() {
    let read: TicketEvent = read(EVENT);
    assert!(read.also.is_empty() && read.actor_id.is_none() && !read.is_about_webhooks);
    assert_kept(
        &read,
        &serde_json::from_str(EVENT).unwrap(),
        &[("", "also"), ("", "actor_id"), ("", "is_about_webhooks")],
    );
}

/// F11: its tickets are followed in every way, with the usual grace.
#[test]
fn a_mapping_of_an_earlier_release_follows_its_tickets() {
    let read: Mapping = toml::from_str(MAPPING).unwrap();
    assert!(!read.trigger_board && read.ends_with == Default::default() && read.ends_with.closed);
    let document: toml::Table = toml::from_str(MAPPING).unwrap();
    assert_kept(&read, &serde_json::to_value(document).unwrap(), &[]);
}
