//! The vendor's JSON, as sent. Absent and `null` mean the same; numbers may come as text ("2818" in the vendor's own
//! traffic); and what may be an object may be an array of one.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A whole number, or text with one in it; anything else that is there is an error.
pub(crate) fn int<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(value) => whole(&value).map(Some).ok_or_else(|| D::Error::custom("not a whole number")),
    }
}

/// The number that must be there.
pub(crate) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    int(from)?.ok_or_else(|| D::Error::custom("no id"))
}

/// Text; a number becomes text.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// `7`, `"7"`, `7.0`.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64().or_else(|| whole_float(n.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn whole_float(value: f64) -> Option<i64> {
    let is_whole = value.fract().abs() < f64::EPSILON && value.abs() < 9e15;
    is_whole.then(|| format!("{value:.0}").parse().ok()).flatten()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ticket {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    pub(crate) summary: Option<String>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) status_id: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) tickettype_id: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) client_id: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) agent_id: Option<i64>,
    /// Builds since 2025.
    #[serde(default, deserialize_with = "int")]
    pub(crate) team_id: Option<i64>,
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub(crate) team: Option<String>,
    pub(crate) last_update: Option<String>,
    pub(crate) lastactiondate: Option<String>,
    pub(crate) dateclosed: Option<String>,
    pub(crate) inactive: Option<bool>,
    pub(crate) deleted: Option<bool>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) merged_into_id: Option<i64>,
    pub(crate) status_change_frozen: Option<bool>,
    pub(crate) customfields: Option<Vec<CustomField>>,
    /// A soft refusal in an answer that is a success.
    #[serde(default, rename = "_warning", deserialize_with = "text")]
    pub(crate) warning: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CustomField {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    /// 2 and 3 are selects, by common use and not by a document.
    #[serde(default, rename = "type", deserialize_with = "int")]
    pub(crate) kind: Option<i64>,
    /// Of no fixed type: for a select it is the number of the choice.
    pub(crate) value: Option<Value>,
    /// Always text: for a select the caption.
    #[serde(default, deserialize_with = "text")]
    pub(crate) display: Option<String>,
    pub(crate) isencrypted: Option<bool>,
}

/// An entry of a ticket's history. Its note may hold a secret: does not print.
#[derive(Deserialize)]
pub(crate) struct Action {
    /// Numbered within its ticket.
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    #[serde(default, deserialize_with = "int")]
    pub(crate) outcome_id: Option<i64>,
    /// The agent of the name shown, which a caller can set.
    #[serde(default, deserialize_with = "int")]
    pub(crate) who_agentid: Option<i64>,
    /// The agent that did it.
    #[serde(default, deserialize_with = "int")]
    pub(crate) actionby_agent_id: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) actionby_user_id: Option<i64>,
    /// Not empty where an application did it.
    #[serde(default, deserialize_with = "text")]
    pub(crate) actionby_application_id: Option<String>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) on_behalf_of: Option<i64>,
    pub(crate) datetime: Option<String>,
    pub(crate) actiondatecreated: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) note_html: Option<String>,
    pub(crate) hiddenfromuser: Option<bool>,
    pub(crate) emailto: Option<String>,
    pub(crate) emailcc: Option<String>,
    pub(crate) emailbcc: Option<String>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) old_status: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) new_status: Option<i64>,
    pub(crate) customfields: Option<Vec<CustomField>>,
    pub(crate) guid: Option<String>,
    /// Set on an entry that a merge copied from another ticket.
    #[serde(default, deserialize_with = "int")]
    pub(crate) merged_from_ticketid: Option<i64>,
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Action({})", self.id)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Agent {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) isdisabled: Option<bool>,
    pub(crate) isapiagent: Option<bool>,
}

/// A row of which only number and name count: status, type, client, event.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    #[serde(default, deserialize_with = "text")]
    pub(crate) name: Option<String>,
    pub(crate) inactive: Option<bool>,
}

/// The definition of an action button.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    /// The name in the history.
    pub(crate) outcome: Option<String>,
    pub(crate) buttonname: Option<String>,
}

/// The definition of a custom field.
#[derive(Debug, Deserialize)]
pub(crate) struct FieldInfo {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) label: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "int")]
    pub(crate) kind: Option<i64>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) usage: Option<i64>,
    /// Captions of a select, where a definition tells them.
    pub(crate) values: Option<Vec<Row>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    /// 0 for a webhook, 1 for a runbook: both live in one table.
    #[serde(default, rename = "type", deserialize_with = "int")]
    pub(crate) kind: Option<i64>,
    /// Ends in the path secret: not to be shown.
    pub(crate) url: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) disabled: Option<bool>,
    #[serde(default, deserialize_with = "int")]
    pub(crate) authentication_type: Option<i64>,
}

/// Which event goes to which webhook.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Binding {
    #[serde(deserialize_with = "id")]
    pub(crate) id: i64,
    #[serde(default, deserialize_with = "int")]
    pub(crate) eventno: Option<i64>,
    pub(crate) webhook_id: Option<String>,
}

/// What can be known before signing in.
#[derive(Debug, Deserialize)]
pub(crate) struct AuthInfo {
    pub(crate) auth_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) tenant_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_numbers_or_as_text() {
        let read = |json: &str| serde_json::from_str::<Ticket>(json).map(|t| (t.id, t.status_id));
        assert_eq!(read(r#"{"id":"2818","status_id":"31"}"#).unwrap(), (2818, Some(31)));
        assert_eq!(read(r#"{"id":2818,"status_id":31.0}"#).unwrap(), (2818, Some(31)));
        assert_eq!(read(r#"{"id":2818,"status_id":null}"#).unwrap(), (2818, None));
        assert_eq!(read(r#"{"id":2818,"status_id":""}"#).unwrap(), (2818, None));
        for bad in [r#"{"status_id":1}"#, r#"{"id":"x"}"#, r#"{"id":1.5}"#, r#"{"id":1,"status_id":[]}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_vendors_own_shapes_are_read() {
        let action = include_str!("../../simulators/golden/halopsa/action-created.json");
        let action: Action = serde_json::from_str(action).unwrap();
        assert_eq!((action.id, action.outcome_id, action.actionby_agent_id), (6, Some(7), Some(42)));
        assert_eq!((action.hiddenfromuser, action.old_status, action.new_status), (Some(true), Some(2), Some(2)));
        let field = include_str!("../../simulators/golden/halopsa/custom-field.json");
        let field: CustomField = serde_json::from_str(field).unwrap();
        assert_eq!((field.id, field.kind, field.display.as_deref()), (183, Some(2), Some("Local admin, 2 h")));
    }
}
