//! From an event to what is written: the grant's step, its audit entry, its notices and its tasks, in one transition.

use latchkey_contract::Timestamp;
use serde_json::json;

use crate::{
    access::{
        Effect, Event, Grant, State,
        grant::{Step, Telling, step},
        risk,
    },
    audit::{AuditEntry, By, Code},
    jobs::task::{NewTask, Priority, Work},
    random::{Random, ulid},
    store::{Alert, Happening, Notice, NoticeKind, NoticeState, Transition},
};

/// Applies an event to a grant inside a transition. Answers the grant as it will be, or `None` when the event says nothing new.
///
/// `others` are the other open grants of the same account: a secret that one of them lives on is not destroyed.
pub fn advance(
    transition: &mut Transition,
    grant: &Grant,
    event: &Event,
    others: &[Grant],
    by: &By,
    random: &dyn Random,
) -> Option<Grant> {
    let now = transition.now;
    let Step { state, effects } = step(&grant.state, grant.length, event, now).ok()?;
    let next = Grant { state, extending: None, ..grant.clone() };
    write(transition, &next, &effects, others, by, random);
    Some(next)
}

/// Writes a grant and what follows from its step. Used by [`advance`], and for a grant that begins.
pub fn write(
    transition: &mut Transition,
    grant: &Grant,
    effects: &[Effect],
    others: &[Grant],
    by: &By,
    random: &dyn Random,
) {
    let now = transition.now;
    transition.audit.push(entry(grant, now, by));
    if let Some(due) = grant.due_at() {
        let work = Work::Due { grant: grant.id.clone() };
        transition.tasks.push(NewTask::new(work, due, Priority::Removal).of(risk(&grant.policy)));
    }
    transition.tasks.extend(warning(grant, now));
    for effect in effects {
        match effect {
            Effect::Converge => transition.tasks.push(converge(grant, now)),
            Effect::Deliver => tell(transition, grant, Telling::Granted, random),
            Effect::Tell(telling) => tell(transition, grant, *telling, random),
            Effect::TidyNote => owe(transition, grant, NoticeKind::Tidy { missed: None }, random),
            Effect::DestroySecret(id) => {
                let is_used = others.iter().any(|o| o.id != grant.id && o.state.secret() == Some(id));
                if !is_used {
                    transition.destroy.push(id.clone());
                }
            }
        }
    }
    if let Some(what) = happening(grant) {
        alert(transition, what, random);
    }
    if matches!(grant.state, State::Ending { .. } | State::Ended { .. }) {
        transition.is_removal = true;
    }
    transition.grants.push(grant.clone());
}

/// What of a grant's new state may have to be told by mail.
fn happening(grant: &Grant) -> Option<Happening> {
    let refused = |why: String| Happening::Refused {
        ticket: grant.ticket.clone(),
        ticket_link: grant.ticket_link.clone(),
        customer: Some(grant.customer.clone()),
        person: Some(grant.person.clone()),
        why,
    };
    let id = || grant.id.clone();
    Some(match &grant.state {
        // Told once, when it begins to wait: not again with each approval.
        State::Held { until, waiting } if waiting.approved.is_empty() => {
            Happening::Waiting { grant: id(), brakes: waiting.brakes.clone(), until: *until }
        }
        State::Active { until, .. } => Happening::Active { grant: id(), until: *until },
        State::Ended { .. } => Happening::Ended { grant: id() },
        State::Refused { why, .. } => refused(why.clone()),
        State::Denied { by, why, .. } => refused(format!("{by} denied it: {why}")),
        State::Lapsed { .. } => refused("it was not approved in time".to_owned()),
        State::Held { .. } | State::Granting { .. } | State::Delivering { .. } | State::Ending { .. } => return None,
    })
}

/// Writes down what may have to be told by mail, with the task that finds out to whom.
pub fn alert(transition: &mut Transition, what: Happening, random: &dyn Random) {
    let (id, at) = (ulid(random, transition.now), transition.now);
    transition.alerts.push(Alert { id, at, what });
}

/// Owes the ticket a note about a grant.
pub fn tell(transition: &mut Transition, grant: &Grant, telling: Telling, random: &dyn Random) {
    tell_why(transition, grant, telling, None, random);
}

/// The same, with a sentence that the grant itself does not hold.
pub fn tell_why(
    transition: &mut Transition,
    grant: &Grant,
    telling: Telling,
    why: Option<String>,
    random: &dyn Random,
) {
    owe(transition, grant, NoticeKind::Note { telling, mapping: grant.mapping.clone(), why }, random);
}

fn owe(transition: &mut Transition, grant: &Grant, kind: NoticeKind, random: &dyn Random) {
    let now = transition.now;
    transition.notices.push(Notice {
        id: ulid(random, now),
        ticket: grant.ticket.clone(),
        grant: grant.id.clone(),
        kind,
        since: now,
        state: NoticeState::Open,
        closes: None,
        answers: None,
    });
    let work = Work::Tell { ticket: grant.ticket.clone() };
    transition.tasks.push(NewTask::new(work, now, Priority::Telling));
}

/// What warns of the grant's end, where there is still time for that.
pub fn warning(grant: &Grant, now: Timestamp) -> Option<NewTask> {
    let at = grant.warn_at().filter(|at| now < *at)?;
    Some(NewTask::new(Work::Warn { grant: grant.id.clone() }, at, Priority::Telling))
}

pub(super) fn converge(grant: &Grant, now: Timestamp) -> NewTask {
    let work = Work::Converge { account: grant.account.clone(), directory: grant.directory.clone() };
    if grant.state.is_living() {
        return NewTask::new(work, now, Priority::Giving);
    }
    NewTask::new(work, now, Priority::Removal).of(risk(&grant.policy))
}

fn entry(grant: &Grant, now: Timestamp, by: &By) -> AuditEntry {
    let detail = json!({ "ticket_link": grant.ticket_link, "state": grant.state, "account": grant.account, "policy": grant.policy.id, "length": grant.length });
    AuditEntry::new(Code::of(&grant.state), now, by.clone(), detail).about(grant)
}
