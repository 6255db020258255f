//! The vendor's JSON, as sent. Absent and `null` mean the same here, as they do for the vendor.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info {
    pub(crate) last_updated: Option<String>,
    pub(crate) updated_by: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket {
    pub(crate) id: i64,
    pub(crate) summary: Option<String>,
    pub(crate) board: Option<Reference>,
    pub(crate) status: Option<Reference>,
    pub(crate) company: Option<Reference>,
    pub(crate) owner: Option<Reference>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<Reference>,
    pub(crate) source: Option<Reference>,
    pub(crate) closed_flag: Option<bool>,
    pub(crate) merged_parent_ticket: Option<Reference>,
    pub(crate) custom_fields: Option<Vec<CustomField>>,
    #[serde(rename = "_info")]
    pub(crate) info: Option<Info>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CustomField {
    pub(crate) id: i64,
    pub(crate) caption: Option<String>,
    pub(crate) value: Option<Value>,
}

/// A row of `/notes`, and the answer to a new note.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    pub(crate) id: i64,
    pub(crate) ticket_id: Option<i64>,
    pub(crate) text: Option<String>,
    pub(crate) detail_description_flag: Option<bool>,
    pub(crate) internal_analysis_flag: Option<bool>,
    pub(crate) resolution_flag: Option<bool>,
    pub(crate) external_flag: Option<bool>,
    pub(crate) created_by: Option<String>,
    pub(crate) date_created: Option<String>,
    /// Who is shown as its author, which any API user may set.
    pub(crate) member: Option<Reference>,
    pub(crate) contact: Option<Reference>,
    #[serde(rename = "_info")]
    pub(crate) info: Option<Info>,
}

/// A row of `/allNotes`: no author that can be trusted, so the note itself is read before it counts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnyNote {
    pub(crate) id: i64,
    pub(crate) note_type: Option<String>,
    pub(crate) ticket: Option<Reference>,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) id: i64,
    pub(crate) identifier: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) office_email: Option<String>,
    pub(crate) primary_email: Option<String>,
    pub(crate) license_class: Option<String>,
    pub(crate) inactive_flag: Option<bool>,
}

/// `/system/mymembers` is one record on some instances and a list of one on others.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum MyMember {
    One(Identity),
    List(Vec<Identity>),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) identifier: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntry {
    pub(crate) text: Option<String>,
    pub(crate) entered_date: Option<String>,
    pub(crate) entered_by: Option<String>,
    pub(crate) audit_type: Option<String>,
    pub(crate) audit_sub_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Board {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) inactive_flag: Option<bool>,
    pub(crate) project_flag: Option<bool>,
}

/// `inactive` and `closedStatus` carry no `Flag` here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) inactive: Option<bool>,
    pub(crate) closed_status: Option<bool>,
}

/// A ticket type of one board.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeRow {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) inactive_flag: Option<bool>,
}

/// A row of which only the number was asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: i64,
}

/// What our own role may do with one kind of record: `None`, `My` or `All`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Right {
    pub(crate) module_function_name: Option<String>,
    pub(crate) module_function_identifier: Option<String>,
    pub(crate) add_level: Option<String>,
    pub(crate) edit_level: Option<String>,
    pub(crate) delete_level: Option<String>,
    pub(crate) inquire_level: Option<String>,
}

impl Right {
    /// By name or identifier, blanks and case aside.
    pub(crate) fn is_of(&self, function: &str) -> bool {
        let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        let names = [&self.module_function_name, &self.module_function_identifier];
        names.into_iter().flatten().any(|name| plain(name) == plain(function))
    }
}

/// A row of a ticket list that was asked for these fields alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) id: i64,
    #[serde(rename = "_info")]
    pub(crate) info: Option<Info>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldDefinition {
    pub(crate) id: i64,
    pub(crate) caption: Option<String>,
    pub(crate) pod_description: Option<String>,
    pub(crate) screen_description: Option<String>,
    pub(crate) options: Option<Vec<FieldOption>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldOption {
    pub(crate) option_value: Option<String>,
    pub(crate) inactive_flag: Option<bool>,
}

/// The URL ends in a path secret, so this does not print.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Callback {
    pub(crate) id: i64,
    pub(crate) description: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) object_id: Option<i64>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) level: Option<String>,
    pub(crate) payload_version: Option<String>,
    pub(crate) inactive_flag: Option<bool>,
    pub(crate) is_soap_callback_flag: Option<bool>,
    pub(crate) is_self_suppressed_flag: Option<bool>,
}
