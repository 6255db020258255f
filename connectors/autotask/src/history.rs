//! Who gave a ticket its present status, queue or field, from the ticket history.
//!
//! The history names the resource by number, which nobody can write; which entry tells of which field stands in a text in
//! the tenant's language. [facts 4.8, 6] So an entry counts only if it names the field *first*, before anything that could be
//! a quoted value, and the last one that does must name the present value. The ticket must be the same before and after.
//! Any doubt is `None`: "set it again".

use latchkey_contract::{
    CallError, FieldId, Timestamp,
    outside::Urgency,
    text::is_same_name,
    ticket::{Change, Part, Ticket},
    trail::{self, names},
};

use crate::{
    Tenant,
    api::{number, number_or_refused},
    filter::Filter,
    metadata, tickets, time, wire,
};

/// It takes this one filter and nothing else. [facts 4.8]
const LIST: &str = "POST /TicketHistory/query";
/// What opens a value in some language.
const QUOTES: [char; 10] = ['"', '\'', '“', '„', '«', '»', '‘', '[', '<', ':'];
/// Who saved where no resource is named.
const NO_RESOURCE: &str = "somebody who is no resource";
/// Words before the field's name, as in "Changed Status from …".
const WORDS_BEFORE: usize = 1;
/// How a set checkbox may be told.
const SET: [&str; 4] = ["true", "yes", "checked", "1"];

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    by: Option<i64>,
    text: String,
}

/// What an entry must say; all in lower case.
#[derive(Debug)]
struct Wanted {
    /// What the history calls the field.
    word: String,
    /// How the present value may be told.
    values: Vec<String>,
    /// Names of other fields, which must not come first.
    others: Vec<String>,
}

pub(crate) async fn change(
    tenant: &Tenant,
    ticket: &Ticket,
    of: Part<'_>,
    urgency: Urgency,
) -> Result<Option<Change>, CallError> {
    let Some(wanted) = wanted(tenant, ticket, of, urgency).await? else { return Ok(None) };
    let id = number_or_refused(LIST, ticket.id.as_str())?;
    let rows: Vec<wire::HistoryEntry> = tenant.api.query(LIST, &[Filter::is("ticketID", id)], &[], urgency).await?;
    let Some(entries) = in_order(rows) else { return Ok(None) };
    let Some(chosen) = wanted.latest_in(&entries) else { return Ok(None) };
    let after = tickets::read(tenant, &ticket.id, urgency).await?;
    trail::still(LIST, after.is_some_and(|after| is_same(&after, ticket, of)))?;
    found((tenant, urgency), &entries, chosen, ticket).await
}

pub(crate) async fn is_status_ours(tenant: &Tenant, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
    let Tenant { api, resources, .. } = tenant;
    let me = resources.me(api, urgency).await?;
    let Some(mine) = resources.name(api, me, urgency).await? else { return Ok(false) };
    let change = change(tenant, ticket, Part::Status, urgency).await?;
    Ok(change.is_some_and(|change| is_same_name(&change.by, &mine) && change.later_by.is_none()))
}

fn is_same(after: &Ticket, before: &Ticket, of: Part<'_>) -> bool {
    let is_kept = match of {
        Part::Status => after.status == before.status,
        Part::Board => after.board == before.board,
        Part::Field(field) => after.fields.get(field) == before.fields.get(field),
    };
    is_kept && after.updated_at == before.updated_at
}

/// The change of `entries[chosen]`, with the names behind its numbers.
async fn found(
    (tenant, urgency): (&Tenant, Urgency),
    entries: &[Entry],
    chosen: usize,
    ticket: &Ticket,
) -> Result<Option<Change>, CallError> {
    let Tenant { api, meta, resources, .. } = tenant;
    let entry = &entries[chosen];
    let Some(by) = entry.by else { return Ok(None) };
    let Some(name) = resources.name(api, by, urgency).await? else { return Ok(None) };
    let me = resources.me(api, urgency).await?;
    let mut later = Vec::new();
    for other in entries[chosen + 1..].iter().map(|entry| entry.by).filter(|id| *id != Some(by) && *id != Some(me)) {
        later.push(match other {
            Some(other) => {
                let name = resources.name(api, other, urgency).await?;
                name.unwrap_or_else(|| format!("resource {other}"))
            }
            // A contact, in the client portal: no resource, and somebody else than whoever asked.
            None => NO_RESOURCE.to_owned(),
        });
    }
    later.extend(ticket.updated_by.clone());
    let mine = resources.name(api, me, urgency).await?.unwrap_or_default();
    let change = trail::change(entry.at, &name, &entry.text, later.iter().map(String::as_str), &mine);
    let actor = resources.actor(api, meta, &name, urgency).await?;
    Ok(change.map(|change| Change { actor, ..change }))
}

/// The entries from old to new; `None` when one cannot be placed in time.
fn in_order(rows: Vec<wire::HistoryEntry>) -> Option<Vec<Entry>> {
    let entry = |row: wire::HistoryEntry| {
        let at = time::parse(row.date.as_deref()?)?;
        Some(Entry { at, by: row.resource_id, text: row.detail.unwrap_or_default() })
    };
    let entries = rows.into_iter().map(entry).collect::<Option<Vec<_>>>()?;
    Some(trail::in_order(entries, |entry| entry.at))
}

async fn wanted(tenant: &Tenant, ticket: &Ticket, of: Part<'_>, urgency: Urgency) -> Result<Option<Wanted>, CallError> {
    let Tenant { api, meta, settings, .. } = tenant;
    let mut others = known(tenant).await?;
    let (word, values) = match of {
        Part::Status => (settings.status_word.clone(), vec![ticket.status_name.clone()]),
        Part::Board => {
            let queue = ticket.board.as_ref().and_then(|id| number(id.as_str()));
            let Some(queue) = queue else { return Ok(None) };
            (settings.queue_word.clone(), meta.label(api, "queueID", queue, urgency).await?.into_iter().collect())
        }
        Part::Field(field) => match field_words(tenant, ticket, field).await? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let lower = |text: String| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
    let values: Vec<String> = values.into_iter().filter_map(lower).collect();
    let Some(word) = lower(word).filter(|_| !values.is_empty()) else { return Ok(None) };
    others.retain(|other| *other != word);
    Ok(Some(Wanted { word, values, others }))
}

/// A field's name, and how its value may be told: as it is kept, or by the label of its list. [facts 2.7]
async fn field_words(
    tenant: &Tenant,
    ticket: &Ticket,
    field: &FieldId,
) -> Result<Option<(String, Vec<String>)>, CallError> {
    let Some(value) = ticket.fields.get(field) else { return Ok(None) };
    let ids = tenant.meta.udf_ids(&tenant.api, Urgency::Ordinary).await?;
    let Some(name) = ids.into_iter().find(|(_, id)| id == field).map(|(name, _)| name) else { return Ok(None) };
    let picks = tenant.meta.picks(&tenant.api, metadata::UDF, &name, Urgency::Ordinary).await?;
    let label = picks.into_iter().find(|pick| pick.value == *value).and_then(|pick| pick.label);
    let mut values = vec![value.clone()];
    values.extend(label);
    if SET.contains(&value.trim().to_lowercase().as_str()) {
        values.extend(SET.map(str::to_owned));
    }
    Ok(Some((name, values)))
}

/// Names of fields, in lower case: the vendor's own and the tenant's.
async fn known(tenant: &Tenant) -> Result<Vec<String>, CallError> {
    let own = tenant.meta.fields(&tenant.api, metadata::TICKET).await?;
    let mut names: Vec<String> = own.iter().map(|field| field.name.to_lowercase()).collect();
    names.extend(tenant.meta.udf_ids(&tenant.api, Urgency::Ordinary).await?.into_keys());
    Ok(names)
}

impl Wanted {
    /// The entry that set the present value; `None` in any doubt.
    fn latest_in(&self, entries: &[Entry]) -> Option<usize> {
        let last = entries.iter().rposition(|entry| self.is_about(&entry.text))?;
        self.values.iter().any(|value| names(&entries[last].text.to_lowercase(), value)).then_some(last)
    }

    /// The field's name stands before any quoted text and before any other field's name, and at the very beginning: other
    /// fields have names in the tenant's language that nothing tells, and what somebody typed into them comes behind those. A
    /// longer name that holds it ("JIT Duration" for "JIT") is another field's.
    fn is_about(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut lead = text.split(QUOTES).next().unwrap_or_default().to_owned();
        for longer in self.others.iter().filter(|other| names(other, &self.word)) {
            lead = lead.replace(longer.as_str(), "\u{1}");
        }
        let first = |word: &str| names(&lead, word).then(|| lead.find(word)).flatten();
        let Some(own) = first(&self.word) else { return false };
        if lead.get(..own).unwrap_or_default().split_whitespace().count() > WORDS_BEFORE {
            return false;
        }
        let is_hidden = lead.find('\u{1}').is_some_and(|other| other < own);
        !is_hidden && !self.others.iter().filter_map(|other| first(other)).any(|other| other < own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(word: &str, value: &str, others: &[&str]) -> Wanted {
        let lower = |text: &&str| text.to_lowercase();
        Wanted { word: lower(&word), values: vec![lower(&value)], others: others.iter().map(lower).collect() }
    }

    fn entries(texts: &[&str]) -> Vec<Entry> {
        let entry = |(n, text): (usize, &&str)| Entry {
            at: Timestamp::from_millis(i64::try_from(n).unwrap()),
            by: Some(i64::try_from(n).unwrap()),
            text: (*text).to_owned(),
        };
        texts.iter().enumerate().map(entry).collect()
    }

    fn status(texts: &[&str]) -> Option<usize> {
        wanted("Status", "JIT Requested", &["title", "priority"]).latest_in(&entries(texts))
    }

    const INTO: &str = "Status changed from \"New\" to \"JIT Requested\"";
    const OUT: &str = "Status changed from \"JIT Requested\" to \"New\"";

    #[test]
    fn the_last_one_to_set_the_status_is_the_actor() {
        assert_eq!(status(&["Created", INTO, OUT, INTO, "Priority changed from \"Low\" to \"High\""]), Some(3));
        assert_eq!(status(&["Changed Status from New to JIT Requested"]), Some(0));
        assert_eq!(status(&["Status: New -> JIT Requested"]), Some(0));
    }

    #[test]
    fn a_text_that_only_looks_like_a_change_is_not_one() {
        let forged = format!("Title changed from \"x\" to \"{INTO}\"");
        assert_eq!(status(&[&forged]), None);
        assert_eq!(status(&[INTO, &forged]), Some(0));
        assert_eq!(status(&["Title changed from x to Status JIT Requested"]), None);
        assert_eq!(status(&["Titel geändert von „x“ in „Status JIT Requested“"]), None);
        assert_eq!(status(&["Titel geändert von x in Status JIT Requested"]), None);
        assert_eq!(status(&[INTO, "Titel geändert von x in Status JIT Requested"]), Some(0));
        assert_eq!(status(&["Status geändert von New in JIT Requested"]), Some(0));
    }

    #[test]
    fn what_does_not_name_the_present_status_is_a_doubt() {
        assert_eq!(status(&[INTO, "Status changed from \"JIT Done\" to \"Waiting\""]), None);
        assert_eq!(status(&["Status changed"]), None);
        assert_eq!(status(&[]), None);
    }

    #[test]
    fn a_field_whose_name_is_part_of_another_one_is_told_apart() {
        let field = wanted("JIT", "1 hour", &["jit duration", "status"]);
        let at = |texts: &[&str]| field.latest_in(&entries(texts));
        assert_eq!(at(&["JIT changed to \"1 hour\"", "JIT Duration changed to \"1 hour\""]), Some(0));
        assert_eq!(at(&["JIT Duration changed to \"1 hour\""]), None);
        assert_eq!(at(&["JIT changed to \"1 hour\", JIT Duration changed to \"x\""]), Some(0));
    }
}
