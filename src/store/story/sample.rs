//! Samples that the chapters are made from.

use std::time::Duration;

use latchkey_contract::{
    ConnectionId, SecretId, TicketRef, Timestamp,
    directory::{Known, Mode},
    ticket::TicketEvent,
};
use serde_json::json;

use crate::{
    access::{Account, Cause, Grant, Length, State, grant::Telling},
    audit::{AuditEntry, By, Code},
    jobs::task::{NewTask, Priority, Task, Work},
    rulebook::{Delivery, NameTemplate, Policy, Reason, Source, Technicians, Where},
    store::{Claim, CommitName, NewDelivery, Notice, NoticeKind, NoticeState, SealedRow, Store, Transition},
};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(crate) fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

pub(crate) fn connection(id: &str) -> ConnectionId {
    id.parse().unwrap()
}

pub(crate) fn ticket(number: &str) -> TicketRef {
    TicketRef { connection: connection("cw"), ticket: number.parse().unwrap() }
}

pub(crate) fn secret(id: &str) -> SecretId {
    id.parse().unwrap()
}

pub(crate) fn granting() -> State {
    State::Granting { secret: secret("s1"), latest_end: after(3600) }
}

pub(crate) fn ending() -> State {
    State::Ending { cause: Cause::Expired, since: START }
}

pub(crate) fn refused() -> State {
    State::Refused { why: "outside the policy".into(), at: START }
}

pub(crate) fn grant(id: &str, account: &str, number: &str, state: State) -> Grant {
    Grant {
        id: id.parse().unwrap(),
        version: 0,
        ticket: ticket(number),
        ticket_link: "https://psa.example/4711".into(),
        customer: "acme".parse().unwrap(),
        person: "jdoe".parse().unwrap(),
        mapping: "helpdesk".parse().unwrap(),
        revision: 1,
        policy: Policy {
            id: "helpdesk".parse().unwrap(),
            name: "Helpdesk administrator".into(),
            description: None,
            source: Source::Entra,
            mode: Mode::Standard,
            entitlements: vec![],
            lengths: vec![Length::FOUR_HOURS],
            default_length: Length::FOUR_HOURS,
            max_length: Length::FOUR_HOURS,
            delivery: Delivery::ClaimLink,
            ticket_readers_may_use_it: false,
            technicians: Technicians::default(),
            customers: Where::default(),
            reason: Reason::default(),
            user_name: NameTemplate::default(),
            warn_minutes: Policy::USUAL_WARNING,
        },
        reason: "mailbox migration".into(),
        asked_at: START,
        directory: connection("acme-entra"),
        account: account.parse().unwrap(),
        length: Length::FOUR_HOURS,
        stood: None,
        leaving: None,
        extending: None,
        warned_of: None,
        state,
    }
}

pub(crate) fn account(id: &str, mode: Mode) -> Account {
    Account {
        id: id.parse().unwrap(),
        version: 0,
        directory: connection("acme-entra"),
        customer: "acme".parse().unwrap(),
        person: "jdoe".parse().unwrap(),
        mode,
        name: format!("jit-{id}@contoso.onmicrosoft.com"),
        display_name: "Jane Doe (Latchkey)".into(),
        known: Known::default(),
        secret: None,
        is_giving: false,
        is_surprised: false,
        last_step: None,
        gave_at: None,
        first_off: None,
        off_since: None,
        last: None,
        looks: vec![],
        overdue: None,
    }
}

pub(crate) fn notice(id: &str, number: &str, grant: &str, state: NoticeState) -> Notice {
    let kind = NoticeKind::Note { telling: Telling::Received, mapping: "helpdesk".parse().unwrap(), why: None };
    Notice {
        id: id.into(),
        ticket: ticket(number),
        grant: grant.parse().unwrap(),
        kind,
        since: START,
        state,
        closes: None,
        answers: None,
    }
}

/// Told from others by the step in its detail.
pub(crate) fn entry(step: &str) -> AuditEntry {
    let detail = json!({"step": step, "attempt": 1});
    AuditEntry::new(Code::StepDone, START, By::Service, detail).about(&grant("g1", "a1", "4711", granting()))
}

pub(crate) fn sealed(id: &str, name: Option<&str>) -> SealedRow {
    SealedRow {
        id: secret(id),
        name: name.map(str::to_owned),
        purpose: "password".into(),
        key_id: "k1".into(),
        wrapped_key: vec![0, 1, 255],
        sealed: vec![9; 40],
    }
}

pub(crate) fn delivery(id: &str, message: &str, number: Option<&str>) -> NewDelivery {
    NewDelivery {
        id: id.into(),
        connection: connection("cw"),
        message_id: message.into(),
        body_hash: format!("hash of {message}"),
        received_at: START,
        event: TicketEvent {
            ticket: number.map(|n| n.parse().unwrap()),
            actor: Some("jdoe".into()),
            ..TicketEvent::of(message)
        },
    }
}

pub(crate) fn transition() -> Transition {
    Transition::new(CommitName::Command, START)
}

pub(crate) fn converge(account: &str, directory: &str) -> Work {
    Work::Converge { account: account.parse().unwrap(), directory: connection(directory) }
}

pub(crate) fn tell_work(number: &str) -> Work {
    Work::Tell { ticket: ticket(number) }
}

pub(crate) fn intake(id: &str, number: &str) -> Work {
    Work::Intake { delivery: id.into(), connection: connection("cw"), ticket: Some(ticket(number)) }
}

pub(crate) fn task(work: Work, run_at: Timestamp, priority: Priority) -> NewTask {
    NewTask::new(work, run_at, priority)
}

pub(crate) async fn add(store: &dyn Store, tasks: Vec<NewTask>) {
    store.commit(Transition { tasks, ..transition() }).await.unwrap();
}

/// Claims everything that is due at `now`, for a minute.
pub(crate) async fn claim(store: &dyn Store, now: Timestamp) -> Vec<Task> {
    store.claim(&claim_at(now)).await.unwrap()
}

pub(crate) fn claim_at(now: Timestamp) -> Claim {
    Claim {
        now,
        free: 100,
        lease_until: now + Duration::from_secs(60),
        busy: vec![],
        full: vec![],
        removals_only: false,
        spares_leases: false,
    }
}
