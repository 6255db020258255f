//! Who brought a ticket into its present status, or a custom field to its present value, from the audit trail.
//!
//! The trail's text is free and localisable. So the one thing required of an entry is that it names the present
//! status (or the field and its value); its kind is believed only as far as the trail is consistent about it, and the
//! ticket must be the same before and after the trail was read. Any doubt is `None`: "set it again".

mod field;

use latchkey_contract::{
    CallError, FieldId, Timestamp,
    outside::Urgency,
    text::is_same_name,
    ticket::{Change, Ticket},
    trail::{self, names},
};

use crate::{
    api::{Api, Ask, number_or_refused},
    members::{self, Me},
    paging::Paging,
    tickets, wire,
};

const TRAIL: &str = "GET /system/audittrail";
const STATUS_KIND: &str = "status";

/// The audit trails of one connection.
#[derive(Debug)]
pub(crate) struct Audit<'c> {
    pub(crate) api: &'c Api,
    pub(crate) me: &'c Me,
    /// Login names of the PSA's own automation, as an admin listed them.
    pub(crate) automation: &'c [String],
    /// The sub-type of entries about custom fields, where an admin named it.
    pub(crate) field_type: Option<&'c str>,
}

impl Audit<'_> {
    pub(crate) async fn status_change(&self, ticket: &Ticket, urgency: Urgency) -> Result<Option<Change>, CallError> {
        let me = self.me.name(self.api, urgency).await?;
        let Some(entries) = self.trail(ticket, urgency).await? else { return Ok(None) };
        let Some(chosen) = latest_into(&entries, ticket.status_name.trim()) else { return Ok(None) };
        // The trail names statuses on both sides of a change, so its last entry says nothing about a ticket that has
        // moved on.
        let after = tickets::read(self.api, &ticket.id, urgency).await?;
        still(after.is_some_and(|after| after.status == ticket.status && after.updated_at == ticket.updated_at))?;
        self.change(&entries, chosen, ticket, (&me, urgency)).await
    }

    pub(crate) async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
        let me = self.me.name(self.api, urgency).await?;
        let change = self.status_change(ticket, urgency).await?;
        Ok(change.is_some_and(|change| is_same_name(&change.by, &me) && change.later_by.is_none()))
    }

    pub(crate) async fn field_change(
        &self,
        ticket: &Ticket,
        field: &FieldId,
        urgency: Urgency,
    ) -> Result<Option<Change>, CallError> {
        let Some(value) = ticket.fields.get(field) else { return Ok(None) };
        let me = self.me.name(self.api, urgency).await?;
        let Some(entries) = self.trail(ticket, urgency).await? else { return Ok(None) };
        let Some((after, captions)) = tickets::read_with_captions(self.api, &ticket.id, urgency).await? else {
            return still(false).map(|()| None);
        };
        still(after.fields.get(field) == Some(value) && after.updated_at == ticket.updated_at)?;
        let Some(wanted) = field::Wanted::of(field, value, &captions) else { return Ok(None) };
        match wanted.latest_in(&entries, self.field_type) {
            Some(chosen) => self.change(&entries, chosen, ticket, (&me, urgency)).await,
            None => Ok(None),
        }
    }

    /// The entries from old to new; `None` when there is no trail, or one of them cannot be placed in time.
    async fn trail(&self, ticket: &Ticket, urgency: Urgency) -> Result<Option<Vec<Entry>>, CallError> {
        let number = number_or_refused(TRAIL, ticket.id.as_str())?;
        let ask = Ask::new(TRAIL, ["system", "audittrail"])
            .query("type", "Ticket")
            .query("id", number.to_string())
            .urgent(urgency);
        let rows = self.api.list_if_any(&ask, Paging::Navigable(250)).await?;
        Ok(rows.and_then(in_order))
    }

    async fn change(
        &self,
        entries: &[Entry],
        chosen: usize,
        ticket: &Ticket,
        (me, urgency): (&str, Urgency),
    ) -> Result<Option<Change>, CallError> {
        let Some(found) = found(entries, chosen, ticket, me) else { return Ok(None) };
        let actor = members::actor(self.api, (self.automation, me), &found.by, urgency).await?;
        Ok(Some(Change { actor, ..found }))
    }
}

fn still(is_still: bool) -> Result<(), CallError> {
    trail::still(TRAIL, is_still)
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    by: String,
    text: String,
    kind: (String, String),
}

/// The change that `entries[chosen]` tells of; who made it is not looked up yet. `None` when it names nobody.
fn found(entries: &[Entry], chosen: usize, ticket: &Ticket, me: &str) -> Option<Change> {
    let entry = entries.get(chosen)?;
    let later = entries[chosen + 1..].iter().map(|e| e.by.as_str()).chain(ticket.updated_by.as_deref());
    trail::change(entry.at, &entry.by, &entry.text, later, me)
}

/// The entries from old to new; `None` when one cannot be placed in time.
fn in_order(rows: Vec<wire::AuditEntry>) -> Option<Vec<Entry>> {
    let entries = rows.into_iter().map(entry).collect::<Option<Vec<_>>>()?;
    Some(trail::in_order(entries, |e| e.at))
}

fn entry(row: wire::AuditEntry) -> Option<Entry> {
    let lower = |text: Option<String>| text.unwrap_or_default().trim().to_lowercase();
    Some(Entry {
        at: Timestamp::parse(row.entered_date.as_deref()?)?,
        by: row.entered_by.unwrap_or_default().trim().to_owned(),
        text: row.text.unwrap_or_default(),
        kind: (lower(row.audit_type), lower(row.audit_sub_type)),
    })
}

/// Where the present status was set last.
///
/// A trail with entries of the kind "Status" is searched among those alone: other texts (a summary, a note) can be
/// written to look like one. A trail without that word (another language) is searched whole, but if entries of
/// different kinds name the status, nobody can say which of them set it.
fn latest_into(entries: &[Entry], status: &str) -> Option<usize> {
    if status.is_empty() {
        return None;
    }
    let naming: Vec<usize> = (0..entries.len()).filter(|at| names(&entries[*at].text, status)).collect();
    if entries.iter().any(|e| e.kind.1 == STATUS_KIND) {
        let last = entries.iter().rposition(|e| e.kind.1 == STATUS_KIND)?;
        return naming.contains(&last).then_some(last);
    }
    let last = *naming.last()?;
    naming.iter().all(|at| entries[*at].kind == entries[last].kind).then_some(last)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use latchkey_contract::{StatusId, TicketId};

    pub(crate) fn row(at: &str, by: &str, kind: &str, text: &str) -> wire::AuditEntry {
        wire::AuditEntry {
            text: Some(text.into()),
            entered_date: Some(format!("2026-06-09T{at}Z")),
            entered_by: Some(by.into()),
            audit_type: Some("Ticket".into()),
            audit_sub_type: Some(kind.into()),
        }
    }

    fn ticket(updated_by: &str) -> Ticket {
        Ticket {
            id: TicketId::parse("4711").unwrap(),
            summary: String::new(),
            company: None,
            board: None,
            status: Some(StatusId::parse("512").unwrap()),
            status_name: "JIT Requested".into(),
            owner: None,
            kind: None,
            source: None,
            is_closed: false,
            is_merged: false,
            merged_into: None,
            fields: Default::default(),
            updated_by: Some(updated_by.into()),
            updated_at: None,
        }
    }

    fn find(rows: Vec<wire::AuditEntry>, ticket: &Ticket) -> Option<Change> {
        let entries = in_order(rows)?;
        let chosen = latest_into(&entries, ticket.status_name.trim())?;
        found(&entries, chosen, ticket, "JitApi")
    }

    fn by(rows: Vec<wire::AuditEntry>, updated_by: &str) -> Option<(String, Option<String>)> {
        find(rows, &ticket(updated_by)).map(|c| (c.by, c.later_by))
    }

    const INTO: &str = "Status changed from \"New\" to \"JIT Requested\".";
    const OUT: &str = "Status changed from \"JIT Requested\" to \"New\".";

    #[test]
    fn the_last_one_to_set_the_status_is_the_actor() {
        let rows = vec![
            row("10:00:00", "ann", "Ticket", "Created"),
            row("10:01:00", "ann", "Status", INTO),
            row("10:02:00", "bob", "Status", OUT),
            row("10:03:00", "jdoe", "Status", INTO),
            row("10:04:00", "JitApi", "Note", "A note"),
        ];
        assert_eq!(by(rows, "jitapi"), Some(("jdoe".into(), None)));
    }

    #[test]
    fn the_trail_may_run_either_way() {
        let rows = vec![
            row("10:03:00", "jdoe", "Status", INTO),
            row("10:03:00", "bob", "Status", OUT),
            row("10:00:00", "ann", "Ticket", "Created"),
        ];
        assert_eq!(by(rows, "JDOE"), Some(("jdoe".into(), None)));
    }

    #[test]
    fn somebody_elses_later_save_is_told() {
        let rows = || vec![row("10:01:00", "jdoe", "Status", INTO), row("10:02:00", "bob", "Summary", "x")];
        assert_eq!(by(rows(), "jdoe"), Some(("jdoe".into(), Some("bob".into()))));
        let alone = vec![row("10:01:00", "jdoe", "Status", INTO)];
        assert_eq!(by(alone, "mallory"), Some(("jdoe".into(), Some("mallory".into()))));
        let mine = vec![row("10:01:00", "jdoe", "Status", INTO), row("10:02:00", "JITAPI", "Note", "x")];
        assert_eq!(by(mine, "JitApi"), Some(("jdoe".into(), None)));
    }

    #[test]
    fn a_text_that_only_looks_like_a_change_is_not_one() {
        let rows = vec![
            row("10:01:00", "jdoe", "Status", INTO),
            row("10:02:00", "jdoe", "Summary", "Summary changed to \"JIT Requested\""),
        ];
        assert_eq!(by(rows, "jdoe").unwrap().0, "jdoe");
        let forged = vec![
            row("10:01:00", "mallory", "Status", INTO),
            row("10:02:00", "ann", "Summary", "Summary changed to \"Status changed to JIT Requested\""),
        ];
        assert_eq!(by(forged, "ann"), Some(("mallory".into(), Some("ann".into()))));
    }

    #[test]
    fn another_language_works_while_it_is_unambiguous() {
        let german = |text: &str| row("10:01:00", "jdoe", "Zustand", text);
        assert_eq!(by(vec![german("Von „Neu“ zu „JIT Requested“")], "jdoe").unwrap().0, "jdoe");
        let two = vec![german("Von „Neu“ zu „JIT Requested“"), row("10:02:00", "ann", "Titel", "JIT Requested")];
        assert_eq!(by(two, "ann"), None);
    }

    #[test]
    fn no_record_no_actor() {
        assert_eq!(by(vec![], "jdoe"), None);
        assert_eq!(by(vec![row("10:01:00", "jdoe", "Status", "Status changed.")], "jdoe"), None);
        assert_eq!(by(vec![row("10:01:00", "", "Status", INTO)], "jdoe"), None);
        let later = vec![row("10:01:00", "jdoe", "Status", INTO), row("10:02:00", "jdoe", "Status", "to \"Closed\"")];
        assert_eq!(by(later, "jdoe"), None);
        let undated = wire::AuditEntry { entered_date: None, ..row("x", "jdoe", "Status", INTO) };
        assert_eq!(by(vec![undated], "jdoe"), None);
    }
}
