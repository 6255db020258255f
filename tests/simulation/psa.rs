//! A model PSA: tickets that people save, notes that we post, and a record of who changed what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_contract::{
    BoardId, CallError, Check, Delivery, FieldId, Knock, MemberId, NoteId, Rejected, StatusId, TicketId, TicketSystem,
    Timestamp, Verified,
    outside::Urgency,
    ticket::{
        Actor, Catalogue, Change, Member, NoteAt, NoteKey, NoteText, Part, Posted, Said, Scope, StatusSet, Ticket,
        TicketChanged, TicketEvent, WantedChecks, WantedHooks, Webhook, WebhookChanges,
    },
};

use crate::{
    call::{Call, Condition},
    world::{SECOND, World},
};

pub(crate) const REQUESTED: &str = "5";
pub(crate) const NEW: &str = "1";
const API: &str = "latchkey-api";

/// The one PSA.
#[derive(Debug)]
pub(crate) struct Psa {
    world: Arc<World>,
    desk: Arc<Mutex<Desk>>,
    condition: Mutex<Condition>,
}

/// What it holds.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) tickets: BTreeMap<u64, Case>,
    pub(crate) inactive: BTreeSet<String>,
    /// Keys that are being posted now.
    posting: BTreeSet<String>,
    /// Message ids that were answered with 202.
    pub(crate) acknowledged: BTreeSet<String>,
    number: u64,
}

/// One ticket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) board: &'static str,
    pub(crate) company: &'static str,
    pub(crate) status: String,
    pub(crate) is_closed: bool,
    pub(crate) is_deleted: bool,
    pub(crate) length: Option<&'static str>,
    /// Who set the status, when, and the how manieth change that was.
    set: (String, i64, u64),
    later_by: Option<String>,
    updated: (String, i64),
    pub(crate) notes: Vec<Note>,
    /// How often somebody who may set it into the trigger, and every company it was at.
    pub(crate) asked: u32,
    pub(crate) companies: BTreeSet<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct Note {
    id: u64,
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) is_taken_back: bool,
    /// The customer can read it.
    pub(crate) is_shown: bool,
}

impl Case {
    pub(crate) fn new(board: &'static str, company: &'static str, length: Option<&'static str>) -> Self {
        Self { board, company, length, status: NEW.to_owned(), companies: [company].into(), ..Self::default() }
    }

    fn as_read(&self, id: &TicketId, world: &World) -> Ticket {
        let parse = |text: &str| text.parse().ok();
        Ticket {
            id: id.clone(),
            summary: "simulated".to_owned(),
            company: self.company.parse().ok(),
            board: parse(self.board),
            status: self.status.parse().ok(),
            status_name: self.status.clone(),
            owner: None,
            kind: None,
            source: None,
            is_closed: self.is_closed,
            is_merged: false,
            merged_into: None,
            fields: self
                .length
                .iter()
                .filter_map(|length| Some(("9".parse::<FieldId>().ok()?, (*length).to_owned())))
                .collect(),
            updated_by: Some(self.updated.0.clone()),
            updated_at: Some(world.at(second(self.updated.1))),
        }
    }
}

/// PSAs count in whole seconds.
const fn second(ms: i64) -> i64 {
    ms.div_euclid(SECOND) * SECOND
}

impl Psa {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, desk: Arc::default(), condition: Mutex::default() }
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    pub(crate) fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody saves a ticket; answers the message that tells of it.
    pub(crate) fn save(&self, ticket: u64, by: &str, change: impl FnOnce(&mut Case)) -> TicketEvent {
        save(&mut self.desk(), &self.world, ticket, by, change)
    }

    async fn ask<T: Send + 'static>(
        &self,
        op: &'static str,
        id: &str,
        act: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let condition = {
            let condition = self.condition();
            Condition { down_until: condition.down_until, refused_until: condition.refused_until }
        };
        let desk = Arc::clone(&self.desk);
        let call = Call { world: &self.world, op, about: id };
        call.make(&condition, move || Ok(act(&mut lock(&desk)))).await
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn save(desk: &mut Desk, world: &World, ticket: u64, by: &str, change: impl FnOnce(&mut Case)) -> TicketEvent {
    desk.number += 1;
    let number = desk.number;
    let now = world.now();
    let case = desk.tickets.entry(ticket).or_default();
    let before = case.status.clone();
    change(case);
    if case.status != before || case.updated.0.is_empty() {
        (case.set, case.later_by) = ((by.to_owned(), now, number), None);
    } else if by != API && by != case.set.0 {
        case.later_by = Some(by.to_owned());
    }
    case.updated = (by.to_owned(), now);
    TicketEvent {
        ticket: ticket.to_string().parse().ok(),
        actor: Some(by.to_owned()),
        status: case.status.parse().ok(),
        is_deletion: case.is_deleted,
        ..TicketEvent::of(format!("m{number}"))
    }
}

fn number(id: &TicketId) -> u64 {
    id.as_str().parse().unwrap_or(0)
}

/// Members by login name: technicians, and those who may ask for nothing.
fn member(name: &str, desk: &Desk) -> Option<Member> {
    let id = match name {
        "stranger" => "900".to_owned(),
        "robot" => "901".to_owned(),
        "retired" => "902".to_owned(),
        tech => (100 + tech.strip_prefix("tech")?.parse::<u64>().ok()?).to_string(),
    };
    Some(Member {
        id: MemberId::parse(id).ok()?,
        name: name.to_owned(),
        full_name: name.to_owned(),
        mail: None,
        is_active: name != "retired" && !desk.inactive.contains(name),
        is_human: name != "robot",
    })
}

fn name_of(id: &MemberId) -> String {
    match id.as_str() {
        "900" => "stranger".to_owned(),
        "901" => "robot".to_owned(),
        "902" => "retired".to_owned(),
        tech => format!("tech{}", tech.parse::<u64>().unwrap_or(0).saturating_sub(100)),
    }
}

#[async_trait::async_trait]
impl TicketSystem for Psa {
    async fn verify(&self, _: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        Err(Rejected::NoSignature)
    }

    fn admit(&self, _: Knock<'_>) -> Result<usize, Rejected> {
        Err(Rejected::NoSignature)
    }

    async fn read(&self, id: &TicketId, _: Urgency) -> Result<Option<Ticket>, CallError> {
        let (world, at) = (Arc::clone(&self.world), id.clone());
        self.ask("read", id.as_str(), move |desk| {
            desk.tickets.get(&number(&at)).filter(|case| !case.is_deleted).map(|case| case.as_read(&at, &world))
        })
        .await
    }

    async fn change(&self, ticket: &Ticket, of: Part<'_>, _: Urgency) -> Result<Option<Change>, CallError> {
        if of != Part::Status {
            return Ok(None);
        }
        let (world, read) = (Arc::clone(&self.world), ticket.clone());
        self.ask("status-change", ticket.id.as_str(), move |desk| {
            let case = desk.tickets.get(&number(&read.id))?;
            let is_same = read.status.as_ref().is_some_and(|status| status.as_str() == case.status);
            let (by, at, nth) = case.set.clone();
            let actor = if by == API { Actor::Unknown } else { Actor::Member };
            let change = Change {
                by,
                actor,
                at: world.at(second(at)),
                key: format!("change-{nth}"),
                later_by: case.later_by.clone(),
            };
            is_same.then_some(change)
        })
        .await
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, CallError> {
        let asked = name.to_owned();
        self.ask("member", name, move |desk| member(&asked, desk)).await
    }

    async fn member_by_id(&self, id: &MemberId, _: Urgency) -> Result<Option<Member>, CallError> {
        let asked = name_of(id);
        self.ask("member", id.as_str(), move |desk| member(&asked, desk)).await
    }

    async fn inactive_members(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        let asked = ids.to_vec();
        self.ask("inactive-members", "psa", move |desk| {
            let is_gone = |id: &MemberId| member(&name_of(id), desk).is_none_or(|m| !m.is_active);
            asked.into_iter().filter(is_gone).collect()
        })
        .await
    }

    async fn changed_since(
        &self,
        since: Timestamp,
        boards: &[BoardId],
        limit: usize,
    ) -> Result<Vec<TicketChanged>, CallError> {
        let (world, boards) = (Arc::clone(&self.world), boards.to_vec());
        self.ask("changed-since", "psa", move |desk| {
            let watched = desk.tickets.iter().filter(|(_, case)| boards.iter().any(|b| b.as_str() == case.board));
            let mut found: Vec<TicketChanged> = watched
                .filter(|(_, case)| !case.is_deleted)
                .filter_map(|(id, case)| {
                    Some(TicketChanged { id: id.to_string().parse().ok()?, at: world.at(second(case.updated.1)) })
                })
                .filter(|changed| changed.at >= since)
                .collect();
            found.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            let last = found.get(limit.saturating_sub(1)).map(|changed| changed.at);
            found.retain(|changed| last.is_none_or(|last| changed.at <= last));
            found
        })
        .await
    }

    async fn checks(&self, _: &WantedChecks) -> Vec<Check> {
        let is_well = self.condition().refused_until <= self.world.now();
        vec![if is_well { Check::ok("rights", "all") } else { Check::red("rights", "simulated") }]
    }

    async fn post(&self, id: &TicketId, text: &NoteText, key: &NoteKey) -> Result<Posted, CallError> {
        let is_alone = self.desk().posting.insert(key.0.clone());
        self.world.hold("I4", is_alone, || {
            (format!("two hands post note {} at once", key.0), vec![id.to_string(), key.0.clone()])
        });
        let _posting = Posting { psa: self, key: key.0.clone() };
        let there = self.find(id, key).await?;
        if !there.is_empty() {
            let is_it = |note: &Note| note.key == key.0 && note.is_shown;
            let is_shown = self.desk().tickets.get(&number(id)).is_some_and(|case| case.notes.iter().any(is_it));
            return Ok(Posted { notes: there, is_visible_to_customer: is_shown, was_there: true });
        }
        let is_seen = self.world.chance(20);
        let (world, at, key, text) = (Arc::clone(&self.world), id.clone(), key.0.clone(), text.0.expose().clone());
        let note = self
            .ask("post", id.as_str(), move |desk| {
                world.tell(|| format!("effect note {key} on ticket {at}"));
                let note = save_note(desk, &world, &at, &key, text, is_seen)?;
                Some(NoteAt { ticket: at, note: NoteId::parse(format!("n{note}")).ok()?, part: 0 })
            })
            .await?;
        let Some(note) = note else {
            return Err(CallError::Refused { op: "post", status: 404, code: "simulated: no such ticket".to_owned() });
        };
        if is_seen {
            self.world.fault("note shown to the customer");
        }
        Ok(Posted { notes: vec![note], is_visible_to_customer: is_seen, was_there: false })
    }

    async fn find(&self, id: &TicketId, key: &NoteKey) -> Result<Vec<NoteAt>, CallError> {
        let (at, key) = (id.clone(), key.0.clone());
        self.ask("find", id.as_str(), move |desk| {
            let notes = desk.tickets.get(&number(&at)).map(|case| case.notes.clone()).unwrap_or_default();
            let ours = notes.into_iter().filter(|note| note.key == key && !note.is_taken_back);
            ours.filter_map(|note| {
                Some(NoteAt { ticket: at.clone(), note: NoteId::parse(format!("n{}", note.id)).ok()?, part: 0 })
            })
            .collect()
        })
        .await
    }

    /// Nobody writes any here.
    async fn commands(&self, _: &TicketId, _: Urgency) -> Result<Vec<Said>, CallError> {
        Ok(Vec::new())
    }

    async fn overwrite(&self, note: &NoteAt, text: &str, _: &NoteKey) -> Result<bool, CallError> {
        let (at, text) = (note.clone(), text.to_owned());
        self.ask("overwrite", note.ticket.as_str(), move |desk| change_note(desk, &at, |note| note.text = text)).await
    }

    async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        let at = note.clone();
        self.ask("take-back", note.ticket.as_str(), move |desk| {
            change_note(desk, &at, |note| note.is_taken_back = true);
        })
        .await
    }

    async fn set_status(&self, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError> {
        let (world, at, status) = (Arc::clone(&self.world), number(id), status.to_string());
        self.ask("set-status", id.as_str(), move |desk| {
            let present = desk.tickets.get(&at).filter(|case| !case.is_closed && !case.is_deleted);
            let Some(present) = present.map(|case| case.status.clone()) else { return StatusSet::Left };
            let is_new = present != status;
            save(desk, &world, at, API, |case| case.status = status);
            if is_new { StatusSet::Changed } else { StatusSet::Stood }
        })
        .await
    }

    async fn is_status_ours(&self, ticket: &Ticket, _: Urgency) -> Result<bool, CallError> {
        let change = self.change(ticket, Part::Status, Urgency::Removal).await?;
        Ok(change.is_some_and(|change| change.by == API && change.later_by.is_none()))
    }

    fn board_noun(&self) -> &'static str {
        "board"
    }

    async fn catalogue(&self) -> Result<Catalogue, CallError> {
        Err(CallError::transient("catalogue", "simulated"))
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        let hook = |board: &str| Webhook {
            id: board.to_owned(),
            watches: board.to_owned(),
            scope: board.parse().map_or(Scope::Else, Scope::Board),
            target: "jit.example/hooks/cw/".to_owned(),
            is_active: true,
        };
        self.ask("webhooks", "psa", move |_| ["61", "62", "63"].map(hook).to_vec()).await
    }

    async fn sync_webhooks(&self, _: &WantedHooks) -> Result<WebhookChanges, CallError> {
        Ok(WebhookChanges::default())
    }

    async fn revive_webhooks(&self, _: &url::Url) -> Result<usize, CallError> {
        Ok(0)
    }

    async fn remove_webhooks(&self, _: &url::Url) -> Result<usize, CallError> {
        Ok(0)
    }

    fn link(&self, id: &TicketId) -> String {
        format!("https://psa.example/{id}")
    }
}

struct Posting<'a> {
    psa: &'a Psa,
    key: String,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.psa.desk().posting.remove(&self.key);
    }
}

fn save_note(desk: &mut Desk, world: &World, at: &TicketId, key: &str, text: String, is_shown: bool) -> Option<u64> {
    let id = number(at);
    let case = desk.tickets.get(&id).filter(|case| !case.is_deleted)?;
    let is_new = case.notes.iter().all(|note| note.key != key);
    world.hold("I4", is_new, || {
        (format!("note {key} stands twice in ticket {at}"), vec![at.to_string(), key.to_owned()])
    });
    let may_hold_secrets = case.board == "63";
    world.hold("I5", may_hold_secrets || !text.contains("pw!"), || {
        (format!("a password in ticket {at}, whose policy says otherwise"), vec![at.to_string()])
    });
    save(desk, world, id, API, |_| {});
    let note = desk.number;
    let case = desk.tickets.get_mut(&id)?;
    case.notes.push(Note { id: note, key: key.to_owned(), text, is_taken_back: false, is_shown });
    Some(note)
}

fn change_note(desk: &mut Desk, at: &NoteAt, change: impl FnOnce(&mut Note)) -> bool {
    let Some(case) = desk.tickets.get_mut(&number(&at.ticket)) else { return false };
    match case.notes.iter_mut().find(|note| format!("n{}", note.id) == at.note.as_str() && !note.is_taken_back) {
        Some(note) => {
            change(note);
            true
        }
        None => false,
    }
}
