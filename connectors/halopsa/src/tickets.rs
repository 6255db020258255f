//! Tickets: as the API gives them, and where a person sees them.

use std::collections::BTreeMap;

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, MemberId, StatusId, TicketId, Timestamp, TypeId, outside::Urgency,
    ticket::Ticket,
};
use serde_json::Value;
use url::Url;

use crate::{
    api::{Api, Ask, number, real},
    members::UNASSIGNED,
    moment,
    tables::{Known, Tables},
    wire,
};

pub(crate) const READ: &str = "GET /Tickets/{id}";
/// A table that was cut short, or a right to it that was lost, must not look like a ticket that was closed or moved.
const UNKNOWN_STATUS: &str = "the instance does not list the ticket's status: whether it is open cannot be told";
const UNKNOWN_TEAM: &str =
    "the instance does not list the ticket's team, or lists two of its name: which it is cannot be told";

/// How tickets are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'c> {
    pub(crate) api: &'c Api,
    pub(crate) tables: &'c Tables,
    /// A closing date closes.
    pub(crate) date_closed_counts: bool,
}

impl Reader<'_> {
    /// The ticket as it is now; `None` when the instance says that there is none, or that it is deleted.
    pub(crate) async fn read(&self, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
        let Some(row) = self.fetch(id, urgency).await? else { return Ok(None) };
        self.ticket(row, urgency).await.map(Some)
    }

    /// As the vendor's own row.
    pub(crate) async fn fetch(&self, id: &TicketId, urgency: Urgency) -> Result<Option<wire::Ticket>, CallError> {
        let Some(number) = number(id.as_str()) else { return Ok(None) };
        let ask = Ask::new(READ, ["Tickets", &number.to_string()]);
        let ask = ask.query("includedetails", "true").query("nocache", "true").urgent(urgency);
        match self.api.call_if_any::<wire::Ticket>(&ask).await? {
            Some(other) if other.id != number => Err(CallError::malformed(READ, "another ticket was answered")),
            found => Ok(found.filter(|t| t.deleted != Some(true))),
        }
    }

    /// The border for tickets.
    pub(crate) async fn ticket(&self, row: wire::Ticket, urgency: Urgency) -> Result<Ticket, CallError> {
        let has = |known: &Known| {
            let is_status_known = row.status_id.is_none_or(|id| known.statuses.contains_key(&id));
            is_status_known && is_team_told(&row, known)
        };
        let known = self.tables.known(self.api, urgency, has).await?;
        ticket(row, &known, self.date_closed_counts)
    }
}

/// The page that shows the ticket after sign-in.
pub(crate) fn link(site: &Url, id: &TicketId) -> String {
    let mut url = site.clone();
    url.set_path(&format!("{}tickets", site.path()));
    url.query_pairs_mut().append_pair("id", id.as_str());
    url.into()
}

/// When it was saved last.
pub(crate) fn saved_at(row: &wire::Ticket) -> Option<Timestamp> {
    let times = [&row.last_update, &row.lastactiondate].map(|time| time.as_deref().and_then(moment::parse));
    times.into_iter().max().flatten()
}

/// Whether its team is known, or it says that it has none.
fn is_team_told(row: &wire::Ticket, known: &Known) -> bool {
    let names_one = row.team.as_deref().is_some_and(|name| !name.trim().is_empty());
    !names_one || known.team(row.team_id, row.team.as_deref()).is_some()
}

/// # Errors
/// [`CallError::Transient`] where it cannot be told whether the ticket is open, or on which team an open one is.
fn ticket(row: wire::Ticket, known: &Known, date_closed_counts: bool) -> Result<Ticket, CallError> {
    let bad = |e| CallError::malformed(READ, e);
    let text = |id: Option<i64>| real(id).map(|id| id.to_string());
    let status = row.status_id.and_then(|id| known.statuses.get(&id));
    let merged_into = real(row.merged_into_id);
    let has_closing_date = row.dateclosed.as_deref().and_then(moment::parse).is_some();
    let updated_at = saved_at(&row);
    // `hasbeenclosed` is not asked: it may stay when a ticket is opened again.
    let says_closed = (date_closed_counts && has_closing_date) || row.inactive == Some(true) || merged_into.is_some();
    let is_closed = match status {
        _ if says_closed => true,
        Some(status) => status.is_closing,
        None => return Err(CallError::transient(READ, UNKNOWN_STATUS)),
    };
    // Nothing is asked for on a closed ticket, and nothing of it goes on: its team does not matter.
    if !is_closed && !is_team_told(&row, known) {
        return Err(CallError::transient(READ, UNKNOWN_TEAM));
    }
    let mut fields = BTreeMap::new();
    for field in row.customfields.iter().flatten() {
        if let Some(text) = field_text(field) {
            fields.insert(FieldId::parse(field.id.to_string()).map_err(bad)?, text);
        }
    }
    Ok(Ticket {
        id: TicketId::parse(row.id.to_string()).map_err(bad)?,
        company: text(row.client_id).map(CompanyId::parse).transpose().map_err(bad)?,
        board: text(known.team(row.team_id, row.team.as_deref())).map(BoardId::parse).transpose().map_err(bad)?,
        status: text(row.status_id).map(StatusId::parse).transpose().map_err(bad)?,
        status_name: status.map(|s| s.name.clone()).unwrap_or_default(),
        owner: text(row.agent_id.filter(|id| *id != UNASSIGNED)).map(MemberId::parse).transpose().map_err(bad)?,
        kind: text(row.tickettype_id).map(TypeId::parse).transpose().map_err(bad)?,
        source: None,
        is_closed,
        is_merged: merged_into.is_some(),
        merged_into: text(merged_into).map(TicketId::parse).transpose().map_err(bad)?,
        fields,
        summary: row.summary.unwrap_or_default(),
        // The ticket names nobody: who did what is in its history.
        updated_by: None,
        updated_at,
    })
}

/// A field's value as a person reads it: the caption of a select, the value of everything else. Empty is absent; so is what
/// is encrypted.
///
/// Which number a field's type has is common use and not published, so a value that is a number with a caption that is
/// none counts as a select, too.
pub(crate) fn field_text(field: &wire::CustomField) -> Option<String> {
    if field.isencrypted == Some(true) {
        return None;
    }
    let display = field.display.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let plain = match field.value.as_ref()? {
        Value::Bool(flag) => return Some(flag.to_string()),
        Value::Number(n) => wire::whole(&Value::Number(n.clone())).map_or_else(|| n.to_string(), |n| n.to_string()),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(list) if !list.is_empty() => return display.map(str::to_owned),
        _ => return None,
    };
    if plain.is_empty() {
        return None;
    }
    let is_number = |text: &str| text.parse::<i64>().is_ok();
    let is_select = match field.kind {
        Some(2 | 3) => true,
        _ => is_number(&plain) && display.is_some_and(|caption| !is_number(caption)),
    };
    Some(display.filter(|_| is_select).map_or(plain, str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Status;

    fn known() -> Known {
        let status = |name: &str, is_closing| Status { name: name.into(), is_closing };
        let team = |id, name: &str| wire::Row { id, name: Some(name.into()), inactive: None };
        Known {
            statuses: BTreeMap::from([
                (1, status("New", false)),
                (31, status("JIT requested", false)),
                (9, status("Closed", true)),
            ]),
            teams: vec![team(5, "Service Desk"), team(6, "Twice"), team(7, "Twice")],
        }
    }

    fn parse(json: &str) -> Ticket {
        ticket(serde_json::from_str(json).unwrap(), &known(), true).unwrap()
    }

    #[test]
    fn a_ticket_is_read_by_ids_and_its_names_come_from_the_tables() {
        let t = parse(
            r#"{"id":"2818","summary":"JIT admin","status_id":31,"tickettype_id":25,"client_id":12,"agent_id":17,"team":"service desk",
            "last_update":"2026-09-25T06:41:08.789","lastactiondate":"2026-09-25T06:40:00","dateclosed":"1900-01-01T00:00:00",
            "merged_into_id":0,"customfields":[{"id":183,"type":2,"value":"2","display":"Local admin, 2 h"}]}"#,
        );
        assert_eq!((t.id.as_str(), t.status_name.as_str(), t.is_closed), ("2818", "JIT requested", false));
        assert_eq!(
            (t.board.unwrap().as_str(), t.company.unwrap().as_str(), t.owner.unwrap().as_str()),
            ("5", "12", "17")
        );
        assert_eq!(t.kind.unwrap().as_str(), "25");
        assert_eq!(t.fields[&FieldId::parse("183").unwrap()], "Local admin, 2 h");
        assert_eq!(t.updated_at, Timestamp::parse("2026-09-25T06:41:08.789Z"));
        assert!(t.updated_by.is_none() && t.merged_into.is_none());
    }

    #[test]
    fn agent_one_is_nobody_and_a_ticket_may_have_no_team() {
        let t = parse(r#"{"id":1,"status_id":1,"agent_id":1,"team":" "}"#);
        assert!(t.owner.is_none() && t.board.is_none() && !t.is_closed);
        assert_eq!(parse(r#"{"id":1,"status_id":1,"team_id":6,"team":"Twice"}"#).board.unwrap().as_str(), "6");
    }

    #[test]
    fn closed_is_what_says_so_and_what_says_nothing_known_is_neither_closed_nor_moved() {
        for closed in [
            r#"{"id":1,"status_id":9}"#,
            r#"{"id":1,"status_id":77,"inactive":true}"#,
            r#"{"id":1,"status_id":9,"team":"Twice"}"#,
            r#"{"id":1,"status_id":1,"inactive":true}"#,
            r#"{"id":1,"status_id":1,"merged_into_id":2}"#,
            r#"{"id":1,"status_id":1,"dateclosed":"2026-09-25T06:41:08"}"#,
        ] {
            assert!(parse(closed).is_closed, "{closed}");
        }
        assert!(!parse(r#"{"id":1,"status_id":1,"hasbeenclosed":true}"#).is_closed);
        for untold in [
            r#"{"id":1}"#,
            r#"{"id":1,"status_id":77}"#,
            r#"{"id":1,"status_id":1,"team":"Twice"}"#,
            r#"{"id":1,"status_id":1,"team":"Nowhere"}"#,
        ] {
            let told = ticket(serde_json::from_str(untold).unwrap(), &known(), true);
            assert!(told.unwrap_err().is_transient(), "{untold}");
        }
        let row = r#"{"id":1,"status_id":1,"dateclosed":"2026-09-25T06:41:08"}"#;
        assert!(!ticket(serde_json::from_str(row).unwrap(), &known(), false).unwrap().is_closed);
    }

    #[test]
    fn field_values_become_text() {
        let read = |json: &str| field_text(&serde_json::from_str(json).unwrap());
        for (json, expected) in [
            (r#"{"id":1,"type":0,"value":" x ","display":"x"}"#, Some("x")),
            (r#"{"id":1,"type":2,"value":"2","display":"4"}"#, Some("4")),
            (r#"{"id":1,"value":2,"display":"Local admin"}"#, Some("Local admin")),
            (r#"{"id":1,"type":0,"value":"120","display":"120"}"#, Some("120")),
            (r#"{"id":1,"value":60.0}"#, Some("60")),
            (r#"{"id":1,"type":6,"value":true,"display":"Yes"}"#, Some("true")),
            (r#"{"id":1,"type":3,"value":[1,2],"display":"A, B"}"#, Some("A, B")),
            (r#"{"id":1,"type":3,"value":[],"display":""}"#, None),
            (r#"{"id":1,"value":null,"display":""}"#, None),
            (r#"{"id":1,"value":" "}"#, None),
            (r#"{"id":1,"value":"x","isencrypted":true}"#, None),
        ] {
            assert_eq!(read(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn the_link_opens_the_ticket() {
        let id = TicketId::parse("2818").unwrap();
        assert_eq!(
            link(&"https://acme.halopsa.com/".parse().unwrap(), &id),
            "https://acme.halopsa.com/tickets?id=2818"
        );
        assert_eq!(
            link(&"https://psa.example/halo/".parse().unwrap(), &id),
            "https://psa.example/halo/tickets?id=2818"
        );
    }
}
