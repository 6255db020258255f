//! Records as REST shows them.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::state::{Action, Agent, Field, Instance, Ticket};
use super::values::{NO_DATE, Row, short_time, time};

/// What a caller asked to be shown of a ticket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// Custom fields, details.
    pub(super) details: bool,
    /// Names beside ids.
    pub(super) names: bool,
}

pub(super) fn ticket(inst: &Instance, ticket: &Ticket, shown: Shown, behaviour: &Behaviour) -> Value {
    let team = inst.team(ticket.team).map(|t| t.name.clone());
    let client = inst.clients.iter().find(|c| c.id == ticket.client).map(|c| c.name.clone());
    let closed = ticket.closed_ms.map_or_else(|| NO_DATE.to_owned(), short_time);
    let mut row = json!({
        "id": ticket.id, "guid": ticket.guid.to_string(), "summary": ticket.summary, "use": "ticket",
        "status_id": ticket.status, "tickettype_id": ticket.kind, "client_id": ticket.client, "client_name": client,
        "site_id": ticket.site, "user_id": ticket.user, "agent_id": ticket.agent, "team": team,
        "priority_id": 3, "dateoccurred": time(ticket.occurred_ms), "last_update": time(ticket.updated_ms),
        "lastactiondate": time(ticket.updated_ms), "dateclosed": closed, "hasbeenclosed": ticket.has_been_closed,
        "inactive": ticket.is_inactive, "deleted": ticket.is_deleted, "onhold": false, "parent_id": 0,
        "merged_into_id": ticket.merged_into.unwrap_or(0), "status_change_frozen": ticket.is_frozen,
    });
    let Some(object) = row.as_object_mut() else { return row };
    if !behaviour.has_no_team_id {
        object.insert("team_id".into(), json!(ticket.team));
    }
    if shown.details {
        object.insert("details".into(), json!(ticket.details));
        object.insert("customfields".into(), Value::Array(custom_fields(inst, ticket)));
    }
    if shown.names {
        object.insert("status_name".into(), json!(inst.status(ticket.status).map(|s| s.name.clone())));
        object.insert("agent_name".into(), json!(inst.agent(ticket.agent).map(|a| a.name.clone())));
    }
    row
}

/// What a webhook with key fields only carries, as captured.
pub(super) fn small(ticket: &Ticket) -> Value {
    json!({
        "id": ticket.id, "summary": ticket.summary, "status_id": ticket.status, "tickettype_id": ticket.kind,
        "client_id": ticket.client, "team_id": ticket.team, "agent_id": ticket.agent, "customfields": [],
        "hasbeenclosed": ticket.has_been_closed,
    })
}

/// Every field of the instance, the unset ones too.
fn custom_fields(inst: &Instance, ticket: &Ticket) -> Vec<Value> {
    inst.fields.iter().map(|f| custom_field(f, ticket.values.get(&f.id).unwrap_or(&Value::Null))).collect()
}

pub(super) fn custom_field(field: &Field, value: &Value) -> Value {
    json!({
        "id": field.id, "name": field.name, "label": field.label, "summary": "", "type": field.kind, "value": value,
        "display": display(field, value), "characterlimit": 0, "characterlimittype": 0, "inputtype": 0,
        "copytochild": false, "searchable": true, "ordervalues": true, "copytochildonupdate": false, "usage": 1,
        "showondetailsscreen": true, "copytorelated": false, "onlyshowforagents": true, "isencrypted": false,
        "guid": field.guid.to_string(),
    })
}

/// Always text: the caption of a select, the value of everything else.
fn display(field: &Field, value: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let caption = |value: &Value| {
        let number: Option<usize> = plain(value).parse().ok();
        number.and_then(|n| field.options.get(n.checked_sub(1)?)).cloned().unwrap_or_default()
    };
    match (field.kind, value) {
        (_, Value::Null) => String::new(),
        (3, Value::Array(list)) => list.iter().map(caption).collect::<Vec<_>>().join(", "),
        (2 | 3, value) => caption(value),
        (6, value) => if value.as_bool() == Some(true) { "Yes" } else { "No" }.to_owned(),
        (_, value) => plain(value),
    }
}

/// `is_row` for a row of the history, which leaves some things out.
pub(super) fn action(inst: &Instance, of: i64, action: &Action, is_row: bool, behaviour: &Behaviour) -> Value {
    let status = inst.status(action.new_status).map(|s| s.name.clone());
    let mut row = json!({
        "ticket_id": of, "id": action.id, "outcome": action.outcome, "outcome_id": action.outcome_id,
        "who": action.who, "who_type": i64::from(action.who_agent > 0), "who_agentid": action.who_agent,
        "datetime": time(action.at_ms), "actiondatecreated": time(action.created_ms), "note": action.note,
        "note_html": action.note_html, "hiddenfromuser": action.is_hidden, "important": false,
        "emailto": action.email_to, "old_status": action.old_status, "new_status": action.new_status,
        "new_status_name": status, "attachment_count": 0, "actionby_agent_id": action.by_agent,
        "actionby_user_id": action.by_user, "actionby_application_id": action.by_application,
        "on_behalf_of": action.on_behalf_of, "action_systemid": action.system, "timetaken": 0, "unread": 0,
        "guid": action.guid.to_string(), "customfields": action.customfields, "translations": [],
    });
    let Some(object) = row.as_object_mut() else { return row };
    if let Some(from) = action.merged_from {
        object.insert("merged_from_ticketid".into(), json!(from));
    }
    if is_row {
        object.remove("note_html");
        if behaviour.lists_no_action_fields {
            object.remove("customfields");
        }
    }
    row
}

pub(super) fn agent(agent: &Agent) -> Value {
    json!({
        "id": agent.id, "name": agent.name, "email": agent.email, "ad": "", "activedirectory_dn": "",
        "isdisabled": agent.is_disabled, "isapiagent": agent.is_api, "team": "Service Desk", "teams": [], "roles": [],
    })
}

/// Whether a webhook's or a notification's flag is set.
pub(super) fn is_set(row: &Row, name: &str) -> bool {
    row.get(name).and_then(Value::as_bool) == Some(true)
}
