//! Samples that the tables are made from.

use std::time::Duration;

use latchkey_contract::{
    EntitlementId, GrantId, SecretId, TicketRef, Timestamp,
    directory::{Known, Mode, Observation, Password, Seen},
    ticket::Ticket,
};

use crate::{
    access::{Account, Grant, Length, Proof, State, account, grant::begin, proof::Owed},
    rulebook::{Delivery, NameTemplate, Policy, Reason, Source, Technicians, Where},
};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

pub(crate) fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

pub(crate) fn role(n: u8) -> EntitlementId {
    EntitlementId::Role(format!("00000000-0000-0000-0000-0000000000{n:02x}").parse().unwrap())
}

pub(crate) fn secret(name: &str) -> SecretId {
    name.parse().unwrap()
}

pub(crate) fn policy(roles: &[u8]) -> Policy {
    Policy {
        id: "helpdesk".parse().unwrap(),
        name: "Helpdesk administrator".into(),
        description: None,
        source: Source::Entra,
        mode: Mode::Standard,
        entitlements: roles.iter().copied().map(role).collect(),
        lengths: vec![Length::parse("1h").unwrap(), Length::FOUR_HOURS],
        default_length: Length::FOUR_HOURS,
        max_length: Length::parse("8h").unwrap(),
        delivery: Delivery::ClaimLink,
        ticket_readers_may_use_it: false,
        technicians: Technicians::default(),
        customers: Where::default(),
        reason: Reason::default(),
        user_name: NameTemplate::default(),
        warn_minutes: Policy::USUAL_WARNING,
    }
}

pub(crate) fn hour() -> Length {
    Length::parse("1h").unwrap()
}

pub(crate) fn grant(id: &str, roles: &[u8], state: State) -> Grant {
    Grant {
        id: GrantId::parse(id).unwrap(),
        version: 1,
        ticket: TicketRef { connection: "cw".parse().unwrap(), ticket: "4711".parse().unwrap() },
        ticket_link: "https://psa.example/4711".into(),
        customer: "acme".parse().unwrap(),
        person: "jdoe".parse().unwrap(),
        mapping: "helpdesk".parse().unwrap(),
        revision: 1,
        policy: policy(roles),
        reason: "mailbox migration".into(),
        asked_at: START,
        directory: "acme-entra".parse().unwrap(),
        account: "account-1".parse().unwrap(),
        length: hour(),
        stood: None,
        leaving: None,
        extending: None,
        warned_of: None,
        state,
    }
}

pub(crate) fn ticket() -> Ticket {
    Ticket {
        id: "4711".parse().unwrap(),
        summary: "mailbox".into(),
        company: Some("250".parse().unwrap()),
        board: Some("1".parse().unwrap()),
        status: Some("11".parse().unwrap()),
        status_name: "JIT active".into(),
        owner: None,
        kind: None,
        source: None,
        is_closed: false,
        is_merged: false,
        merged_into: None,
        fields: std::collections::BTreeMap::new(),
        updated_by: None,
        updated_at: None,
    }
}

pub(crate) fn granting() -> State {
    begin(secret("s1"), hour(), START).state
}

pub(crate) fn active(since: Timestamp) -> State {
    State::Active {
        secret: secret("s1"),
        since,
        until: since + hour().duration(),
        latest_end: since + hour().duration() + Duration::from_secs(900),
    }
}

pub(crate) fn account() -> Account {
    Account {
        id: "account-1".parse().unwrap(),
        version: 1,
        directory: "acme-entra".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        person: "jdoe".parse().unwrap(),
        mode: Mode::Standard,
        name: "jit-jdoe@contoso.onmicrosoft.com".into(),
        display_name: "Jane Doe (Latchkey)".into(),
        known: Known::default(),
        is_giving: false,
        is_surprised: false,
        last_step: None,
        secret: None,
        gave_at: None,
        first_off: None,
        off_since: None,
        last: None,
        looks: account::looks_after(START),
        overdue: None,
    }
}

pub(crate) fn seen_off(at: Timestamp) -> Observation {
    Observation {
        at,
        account: Some(Seen {
            object: "8f0c0000-0000-0000-0000-000000000001".parse().unwrap(),
            name: "jit-jdoe@contoso.onmicrosoft.com".into(),
            is_enabled: false,
            is_marked: true,
            protection: None,
            held: vec![],
            owned: vec![],
            methods: vec![],
            sessions_valid_from: None,
            password_changed: None,
            unread: vec![],
        }),
        recycled: None,
        has_native_end: false,
        unchecked: vec![],
    }
}

pub(crate) fn known_off() -> Known {
    Known { password: Password::Scrambled, sessions_cut: Some(START), ..Known::default() }
}

pub(crate) fn proof(at: Timestamp) -> Proof {
    let again = seen_off(at + Duration::from_secs(5));
    Proof::of(Some(&seen_off(at)), &again, &known_off(), &Owed::Whole(Mode::Standard)).unwrap()
}
