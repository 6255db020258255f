//! The tables beside tickets: who works here, for whom, and by which names.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::errors::Refusal;
use super::state::{Agent, Field, Named};
use super::view;
use crate::server::Response;

type Answered = Result<Response, Refusal>;

pub(super) fn statuses(cx: &mut Cx<'_>) -> Answered {
    let hides_closed = cx.asks("excludeclosed") && !cx.desk.behaviour.ignores_exclude_closed;
    let shown = cx.desk.inst.statuses.iter().filter(|s| !(hides_closed && s.is_closed));
    let rows = shown
        .map(|s| {
            json!({"id": s.id, "guid": guid(s.id), "name": s.name, "shortname": s.name, "type": 0, "sequence": s.id,
                   "colour": "#333333", "slaaction": "N"})
        })
        .collect();
    Ok(cx.json(200, rows))
}

pub(super) fn types(cx: &mut Cx<'_>) -> Answered {
    let rows = named(&cx.desk.inst.types);
    Ok(cx.json(200, rows))
}

fn named(rows: &[Named]) -> Value {
    rows.iter().map(|r| json!({"id": r.id, "guid": guid(r.id), "name": r.name, "use": "tickettype"})).collect()
}

pub(super) fn teams(cx: &mut Cx<'_>) -> Answered {
    let inst = &cx.desk.inst;
    let rows =
        inst.teams.iter().map(|t| json!({"id": t.id, "guid": guid(t.id), "name": t.name, "inactive": t.is_inactive}));
    let rows = rows.collect();
    Ok(cx.json(200, rows))
}

pub(super) fn outcomes(cx: &mut Cx<'_>) -> Answered {
    let rows = cx.desk.inst.outcomes.iter().map(|o| {
        json!({"id": o.id, "outcome": o.outcome, "buttonname": o.button, "labellong": o.button, "hidden": false,
               "systemid": 0, "respondtype": 0, "newstatus": o.new_status.unwrap_or(-1),
               "hidefromuser": o.hides_from_user, "sendemail": i64::from(o.sends_email)})
    });
    let rows = rows.collect();
    Ok(cx.json(200, rows))
}

/// The row's id is a GUID; the number that tickets use repeats with every agreement.
pub(super) fn priorities(cx: &mut Cx<'_>) -> Answered {
    let row = |n: i64| json!({"id": guid(n), "priorityid": n, "name": format!("P{n}"), "slaid": 1, "ishidden": false});
    let rows = (1..=4).map(row).collect();
    Ok(cx.json(200, rows))
}

fn field(field: &Field) -> Value {
    json!({"id": field.id, "name": field.name, "label": field.label, "type": field.kind, "usage": 1,
           "guid": field.guid.to_string(),
           "values": field.options.iter().zip(1..).map(|(name, id)| json!({"id": id, "name": name})).collect::<Vec<_>>()})
}

pub(super) fn fields(cx: &mut Cx<'_>) -> Answered {
    // Captions come with the single definition alone.
    let rows = cx.desk.inst.fields.iter().map(|f| field(&Field { options: Vec::new(), ..f.clone() })).collect();
    Ok(cx.json(200, rows))
}

pub(super) fn one_field(cx: &mut Cx<'_>) -> Answered {
    let found = cx.desk.inst.field(cx.number()?).map(field);
    let found = found.ok_or_else(|| Refusal::message(404, "Record not found"))?;
    Ok(cx.json(200, found))
}

/// 11 is read by every client at sign-in; 64 is the catalogue of events.
pub(super) fn lookup(cx: &mut Cx<'_>) -> Answered {
    let rows: Vec<Value> = match cx.query_int("lookupid") {
        Some(11) => vec![json!({"id": 1, "lookupid": 11, "name": "Default"})],
        Some(64) => {
            let events = &cx.desk.inst.events;
            events.iter().map(|(id, name)| json!({"id": id, "lookupid": 64, "name": name})).collect()
        }
        _ => vec![],
    };
    Ok(cx.json(200, Value::Array(rows)))
}

pub(super) fn agents(cx: &mut Cx<'_>) -> Answered {
    let rows = cx.desk.inst.agents.iter().map(view::agent).collect();
    Ok(cx.json(200, rows))
}

fn agent(cx: &Cx<'_>, id: i64) -> Answered {
    let found: Option<&Agent> = cx.desk.inst.agent(id);
    let found = found.ok_or_else(|| Refusal::message(404, "Record not found"))?;
    Ok(cx.json(200, view::agent(found)))
}

pub(super) fn one_agent(cx: &mut Cx<'_>) -> Answered {
    agent(cx, cx.number()?)
}

pub(super) fn me(cx: &mut Cx<'_>) -> Answered {
    if cx.desk.behaviour.has_no_agent_me {
        return Err(Refusal::Empty(403));
    }
    agent(cx, cx.desk.saver.agent)
}

pub(super) fn clients(cx: &mut Cx<'_>) -> Answered {
    let rows = cx.desk.inst.clients.iter().map(|c| json!({"id": c.id, "name": c.name, "inactive": false})).collect();
    Ok(cx.paged("clients", rows))
}

pub(super) fn sites(cx: &mut Cx<'_>) -> Answered {
    let rows = cx.desk.inst.sites.iter().map(|s| json!({"id": s.id, "name": s.name, "client_id": s.client})).collect();
    Ok(cx.paged("sites", rows))
}

pub(super) fn users(cx: &mut Cx<'_>) -> Answered {
    let row = |u: &super::state::User| json!({"id": u.id, "name": u.name, "emailaddress": u.email, "site_id": u.site});
    let rows = cx.desk.inst.users.iter().map(row).collect();
    Ok(cx.paged("users", rows))
}

/// No approval is played.
pub(super) fn approvals(cx: &mut Cx<'_>) -> Answered {
    Ok(cx.json(200, json!([])))
}

/// Of every table that has one, the same for the same row.
fn guid(id: i64) -> String {
    Uuid::from_u64_pair(0x5a5a_0000_0000_4000, 0x8000_0000_0000_0000 | id.unsigned_abs()).to_string()
}
