//! `entityInformation`: fields, picklists, user-defined fields, and what the API user may do.

use serde_json::{Value, json};

use super::{
    errors::Refusal,
    state::{Pick, State},
};

/// Ticket fields that webhooks can tell of: number, label, name in REST. Of the numbers only 2 is the vendor's.
pub(super) const WEBHOOK_FIELDS: [(i64, &str, &str); 11] = [
    (2, "TicketNumber", "ticketNumber"),
    (3, "Status", "status"),
    (4, "AssignedResourceID", "assignedResourceID"),
    (5, "QueueID", "queueID"),
    (6, "CompletedDate", "completedDate"),
    (7, "CompanyID", "companyID"),
    (8, "TicketCategory", "ticketCategory"),
    (9, "Title", "title"),
    (10, "Resolution", "resolution"),
    (11, "TicketCreateDate", "createDate"),
    (12, "Priority", "priority"),
];

/// Ticket fields: name, type, and whether it is a picklist.
const TICKET: [(&str, &str, bool); 18] = [
    ("id", "long", false),
    ("ticketNumber", "string", false),
    ("title", "string", false),
    ("description", "string", false),
    ("companyID", "integer", false),
    ("contactID", "integer", false),
    ("status", "integer", true),
    ("priority", "integer", true),
    ("queueID", "integer", true),
    ("ticketType", "integer", true),
    ("ticketCategory", "integer", true),
    ("source", "integer", true),
    ("assignedResourceID", "integer", false),
    ("assignedResourceRoleID", "integer", false),
    ("completedDate", "datetime", false),
    ("lastActivityDate", "datetime", false),
    ("createDate", "datetime", false),
    ("resolution", "string", false),
];

fn field(name: &str, kind: &str, picks: Option<Vec<Value>>, is_webhook: bool) -> Value {
    json!({
        "name": name, "dataType": kind, "length": 0, "isRequired": false, "isReadOnly": false, "isQueryable": true,
        "isReference": false, "referenceEntityType": "", "isPickList": picks.is_some(), "picklistValues": picks,
        "picklistParentValueField": "", "isSupportedWebhookField": is_webhook,
    })
}

fn pick(value: impl ToString, label: &str, is_active: bool, is_system: bool) -> Value {
    json!({"value": value.to_string(), "label": label, "isDefaultValue": false, "sortOrder": 0, "parentValue": "",
        "isActive": is_active, "isSystem": is_system})
}

fn list(state: &State, name: &str) -> Option<Vec<Value>> {
    let shown = |p: &Pick| pick(p.value, &p.label, p.is_active, p.is_system);
    state.picklists.get(name).map(|picks| picks.iter().map(shown).collect())
}

/// `GET /{Entity}/entityInformation/fields`.
pub(super) fn fields(state: &State, entity: &str) -> Result<Value, Refusal> {
    let fields: Vec<Value> = match entity {
        "Tickets" => TICKET
            .iter()
            .map(|(name, kind, is_list)| {
                let picks = if *is_list { list(state, name) } else { None };
                field(name, kind, picks, WEBHOOK_FIELDS.iter().any(|(_, _, own)| own == name))
            })
            .collect(),
        "TicketNotes" => vec![
            field("noteType", "integer", list(state, "noteType"), false),
            field("publish", "integer", list(state, "publish"), false),
        ],
        "Resources" => vec![
            field("userName", "string", None, false),
            field("licenseType", "integer", list(state, "licenseType"), false),
        ],
        "TicketWebhookFields" => {
            let picks = WEBHOOK_FIELDS.iter().map(|(id, label, _)| pick(id, label, true, true)).collect();
            vec![field("fieldID", "integer", Some(picks), false)]
        }
        "TicketWebhookUdfFields" => {
            let udfs = state.udfs.iter().filter(|udf| udf.is_webhook_field);
            let picks = udfs.map(|udf| pick(udf.id, &udf.name, true, false)).collect();
            vec![field("udfFieldID", "integer", Some(picks), false)]
        }
        _ => return Err(Refusal::NoRoute),
    };
    Ok(json!({ "fields": fields }))
}

/// `GET /Tickets/entityInformation/userDefinedFields`.
pub(super) fn udfs(state: &State) -> Value {
    let udf = |udf: &super::state::Udf| {
        let picks: Vec<Value> = udf.options.iter().map(|(value, label)| pick(value, label, true, false)).collect();
        json!({"name": udf.name, "label": udf.name, "type": "string", "length": 8000, "description": "",
            "isRequired": false, "isReadOnly": false, "isQueryable": true, "isReference": false,
            "referenceEntityType": "", "isPickList": !picks.is_empty(), "picklistValues": picks,
            "picklistParentValueField": "", "defaultValue": "", "isSupportedWebhookField": udf.is_webhook_field})
    };
    json!({ "fields": state.udfs.iter().map(udf).collect::<Vec<_>>() })
}

/// `GET /{Entity}/entityInformation`.
pub(super) fn info(entity: &str) -> Result<Value, Refusal> {
    let (name, can_create, can_update, access) = match entity {
        "Tickets" => ("Ticket", true, true, "All"),
        "TicketNotes" => ("TicketNote", true, true, "All"),
        "Resources" => ("Resource", false, false, "Restricted"),
        "Companies" => ("Account", true, true, "All"),
        "TicketWebhooks" => ("TicketWebhook", true, true, "All"),
        _ => return Err(Refusal::NoRoute),
    };
    Ok(json!({"info": {"name": name, "canCreate": can_create, "canDelete": false, "canQuery": true,
        "canUpdate": can_update, "userAccessForCreate": access, "userAccessForDelete": "None",
        "userAccessForQuery": "All", "userAccessForUpdate": access, "hasUserDefinedFields": name == "Ticket",
        "supportsWebhookCallouts": matches!(name, "Ticket" | "TicketNote" | "Account")}}))
}
