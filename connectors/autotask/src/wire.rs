//! The vendor's JSON, as sent. Absent and `null` mean the same here, as they do for the vendor.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Of 76 properties, those that matter. [facts 4.1]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket {
    pub(crate) id: i64,
    pub(crate) ticket_number: Option<String>,
    pub(crate) title: Option<String>,
    #[serde(rename = "companyID")]
    pub(crate) company_id: Option<i64>,
    pub(crate) status: Option<i64>,
    #[serde(rename = "queueID")]
    pub(crate) queue_id: Option<i64>,
    pub(crate) ticket_type: Option<i64>,
    pub(crate) source: Option<i64>,
    #[serde(rename = "assignedResourceID")]
    pub(crate) assigned_resource_id: Option<i64>,
    pub(crate) completed_date: Option<String>,
    pub(crate) last_activity_date: Option<String>,
    #[serde(rename = "lastActivityResourceID")]
    pub(crate) last_activity_resource_id: Option<i64>,
    /// Absent, `[]`, `{}` or a list. [facts 2.7]
    #[serde(default, deserialize_with = "udfs")]
    pub(crate) user_defined_fields: Vec<Udf>,
}

/// Keyed by its name; the value is a text or null, whatever its type. [facts 2.7]
#[derive(Debug, Deserialize)]
pub(crate) struct Udf {
    pub(crate) name: String,
    pub(crate) value: Option<Value>,
}

fn udfs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Udf>, D::Error> {
    match Value::deserialize(from)? {
        list @ Value::Array(_) => serde_json::from_value(list).map_err(serde::de::Error::custom),
        _ => Ok(vec![]),
    }
}

/// A row of a ticket list that was asked for these columns alone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stamp {
    pub(crate) id: i64,
    pub(crate) last_activity_date: Option<String>,
}

/// A row of which only the number was asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    pub(crate) id: i64,
    #[serde(rename = "ticketID")]
    pub(crate) ticket_id: Option<i64>,
    pub(crate) description: Option<String>,
    pub(crate) note_type: Option<i64>,
    pub(crate) publish: Option<i64>,
    #[serde(rename = "creatorResourceID")]
    pub(crate) creator_resource_id: Option<i64>,
    #[serde(rename = "impersonatorCreatorResourceID")]
    pub(crate) impersonator_creator_resource_id: Option<i64>,
    #[serde(rename = "impersonatorUpdaterResourceID")]
    pub(crate) impersonator_updater_resource_id: Option<i64>,
    #[serde(rename = "createdByContactID")]
    pub(crate) created_by_contact_id: Option<i64>,
    pub(crate) create_date_time: Option<String>,
    pub(crate) last_activity_date: Option<String>,
}

/// Every column of [`Note`].
pub(crate) const NOTE: &[&str] = &[
    "id",
    "ticketID",
    "description",
    "noteType",
    "publish",
    "creatorResourceID",
    "impersonatorCreatorResourceID",
    "impersonatorUpdaterResourceID",
    "createdByContactID",
    "createDateTime",
    "lastActivityDate",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    pub(crate) id: i64,
    pub(crate) user_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) is_active: Option<bool>,
    pub(crate) license_type: Option<i64>,
}

/// Every column of [`Resource`].
pub(crate) const RESOURCE: &[&str] = &["id", "userName", "email", "firstName", "lastName", "isActive", "licenseType"];

/// `detail` is free text in the tenant's language. [facts 6]
#[derive(Debug, Deserialize)]
pub(crate) struct HistoryEntry {
    pub(crate) date: Option<String>,
    pub(crate) detail: Option<String>,
    #[serde(rename = "resourceID")]
    pub(crate) resource_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Company {
    pub(crate) id: i64,
    pub(crate) company_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Fields {
    pub(crate) fields: Vec<Field>,
}

/// One property of an entity, or one user-defined field. [facts 2.7, 3.8]
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) picklist_values: Option<Vec<Pick>>,
}

/// One value of a picklist. A string here, a number in records. [facts 3.8]
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pick {
    #[serde(deserialize_with = "text")]
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) is_active: Option<bool>,
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

/// What we may do with an entity; the levels are words or numbers. [facts 3.8]
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) info: Rights,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rights {
    pub(crate) can_create: Option<bool>,
    pub(crate) can_query: Option<bool>,
    pub(crate) can_update: Option<bool>,
}

/// The URL ends in a path secret, so this does not print. [facts 1.2]
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) webhook_url: Option<String>,
    pub(crate) deactivation_url: Option<String>,
    pub(crate) is_active: Option<bool>,
    pub(crate) is_ready: Option<bool>,
    pub(crate) is_subscribed_to_create_events: Option<bool>,
    pub(crate) is_subscribed_to_update_events: Option<bool>,
    pub(crate) is_subscribed_to_delete_events: Option<bool>,
    #[serde(rename = "webhookGUID")]
    pub(crate) webhook_guid: Option<String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, {:?})", self.id, self.is_active)
    }
}

/// A field or a user-defined field that a webhook tells of. [facts 1.3]
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookField {
    pub(crate) id: i64,
    #[serde(alias = "fieldID", alias = "udfFieldID")]
    pub(crate) field: Option<i64>,
    pub(crate) is_subscribed_field: Option<bool>,
    pub(crate) is_display_always_field: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Excluded {
    #[serde(rename = "resourceID")]
    pub(crate) resource_id: Option<i64>,
}

/// An event that was given up: kept for thirty days. [facts 1.6]
#[derive(Deserialize)]
pub(crate) struct LostEvent {
    pub(crate) payload: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_defined_fields_come_in_every_shape() {
        let read = |json: &str| serde_json::from_str::<Ticket>(json).unwrap().user_defined_fields;
        for none in [
            r#"{"id":1}"#,
            r#"{"id":1,"userDefinedFields":[]}"#,
            r#"{"id":1,"userDefinedFields":{}}"#,
            r#"{"id":1,"userDefinedFields":null}"#,
        ] {
            assert!(read(none).is_empty(), "{none}");
        }
        let found =
            read(r#"{"id":1,"userDefinedFields":[{"name":"JIT Policy","value":"x"},{"name":"N","value":null}]}"#);
        assert_eq!((found.len(), found[0].name.as_str()), (2, "JIT Policy"));
    }

    #[test]
    fn a_picklist_value_is_a_text_whatever_it_was() {
        let read = |json: &str| serde_json::from_str::<Pick>(json).unwrap().value;
        assert_eq!(read(r#"{"value":"8","label":"In Progress"}"#), "8");
        assert_eq!(read(r#"{"value":8}"#), "8");
    }
}
