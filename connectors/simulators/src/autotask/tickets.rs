//! Tickets by REST: what is required, what is on its list, what refers to something, and the save.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Cx;
use super::errors::Refusal;
use super::filter::prop;
use super::state::{Row, State, flag, int};

/// Every property there is, null where nothing is said. [the vendor's own list]
const ALL: &str = "apiVendorID assignedResourceID assignedResourceRoleID billingCodeID changeApprovalBoard \
    changeApprovalStatus changeApprovalType changeInfoField1 changeInfoField2 changeInfoField3 changeInfoField4 \
    changeInfoField5 companyID companyLocationID completedByResourceID completedDate configurationItemID contactID \
    contractID contractServiceBundleID contractServiceID createDate createdByContactID creatorResourceID creatorType \
    currentServiceThermometerRating description dueDateTime estimatedHours externalID firstResponseAssignedResourceID \
    firstResponseDateTime firstResponseDueDateTime firstResponseInitiatingResourceID hoursToBeScheduled id \
    impersonatorCreatorResourceID isAssignedToComanaged issueType isVisibleToComanaged lastActivityDate \
    lastActivityPersonType lastActivityResourceID lastCustomerNotificationDateTime \
    lastCustomerVisibleActivityDateTime lastTrackedModificationDateTime monitorID monitorTypeID opportunityID \
    organizationalLevelAssociationID previousServiceThermometerRating priority problemTicketId projectID \
    purchaseOrderNumber queueID resolution resolutionPlanDateTime resolutionPlanDueDateTime resolvedDateTime \
    resolvedDueDateTime rmaStatus rmaType rmmAlertID serviceLevelAgreementHasBeenMet serviceLevelAgreementID \
    serviceLevelAgreementPausedNextEventHours serviceThermometerTemperature source status subIssueType ticketCategory \
    ticketNumber ticketType title";
/// Those that a client cannot write.
const READ_ONLY: [&str; 13] = [
    "id",
    "ticketNumber",
    "createDate",
    "creatorResourceID",
    "createdByContactID",
    "impersonatorCreatorResourceID",
    "completedDate",
    "completedByResourceID",
    "lastActivityDate",
    "lastActivityPersonType",
    "lastActivityResourceID",
    "lastTrackedModificationDateTime",
    "creatorType",
];
const PICKLISTS: [&str; 6] = ["status", "priority", "queueID", "ticketType", "ticketCategory", "source"];

/// A ticket with nothing in it.
pub(super) fn blank() -> Row {
    ALL.split_whitespace().map(|name| (name.to_owned(), Value::Null)).collect()
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let body = cx.body()?;
    for field in ["companyID", "title", "status", "priority", "dueDateTime"] {
        if prop(&body, field).is_none_or(Value::is_null) {
            return Err(Refusal::required(field));
        }
    }
    let (row, values) = applied(cx.desk.state, blank(), BTreeMap::new(), &body)?;
    Ok(json!({"itemId": cx.desk.create(row, values)}))
}

/// The number stands in the body; what is not mentioned stays, null clears.
pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let body = cx.body()?;
    let id = prop(&body, "id").and_then(whole).ok_or_else(|| Refusal::required("id"))?;
    let before = cx.desk.state.tickets.get(&id).cloned().ok_or_else(Refusal::no_record)?;
    let values = cx.desk.state.values.get(&id).cloned().unwrap_or_default();
    let (row, values) = applied(cx.desk.state, before, values, &body)?;
    cx.desk.save(id, row, values);
    Ok(json!({ "itemId": id }))
}

/// The ticket with the body's properties, checked.
pub(super) fn applied(
    state: &State,
    mut row: Row,
    mut values: BTreeMap<String, String>,
    body: &Value,
) -> Result<(Row, BTreeMap<String, String>), Refusal> {
    for (key, value) in body.as_object().into_iter().flatten() {
        if key.eq_ignore_ascii_case("userDefinedFields") {
            set_udfs(state, &mut values, value)?;
            continue;
        }
        let Some(name) = ALL.split_whitespace().find(|name| name.eq_ignore_ascii_case(key)) else { continue };
        if !READ_ONLY.contains(&name) {
            row.insert(name.to_owned(), coerced(name, value)?);
        }
    }
    check(state, &row)?;
    Ok((row, values))
}

fn check(state: &State, row: &Row) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    for list in PICKLISTS {
        if let Some(value) = int(row, list)
            && !state.pick(list, value).is_some_and(|pick| pick.is_active)
        {
            errors.push(Refusal::picklist(&row[list], list));
        }
    }
    if int(row, "companyID").is_none_or(|id| !state.companies.contains_key(&id)) {
        errors.push(Refusal::reference("companyID", "Account"));
    }
    if let Some(contact) = int(row, "contactID") {
        let company = state.contacts.get(&contact).and_then(|contact| int(contact, "companyID"));
        if company.is_none() || company != int(row, "companyID") {
            errors.push(Refusal::reference("contactID", "Contact"));
        }
    }
    let assigned = int(row, "assignedResourceID");
    if assigned.is_some() != int(row, "assignedResourceRoleID").is_some() {
        let pair = "When assigning a Resource, you must assign both a assignedResourceID and assignedResourceRoleID.";
        errors.push(Refusal::said(pair));
    }
    if assigned.is_some_and(|id| !state.resources.get(&id).is_some_and(|row| flag(row, "isActive"))) {
        errors.push(Refusal::reference("assignedResourceID", "Resource"));
    }
    let said: Vec<String> = errors
        .into_iter()
        .flat_map(|error| match error {
            Refusal::Said(texts) => texts,
            _ => vec![],
        })
        .collect();
    if said.is_empty() { Ok(()) } else { Err(Refusal::Said(said)) }
}

/// Only the listed ones change; null clears; a value is always a text.
fn set_udfs(state: &State, values: &mut BTreeMap<String, String>, list: &Value) -> Result<(), Refusal> {
    for udf in list.as_array().into_iter().flatten() {
        let name = prop(udf, "name").and_then(Value::as_str).unwrap_or_default();
        let Some(known) = state.udf(name) else {
            return Err(Refusal::said(format!("The user-defined field {name} does not exist.")));
        };
        match prop(udf, "value") {
            None | Some(Value::Null) => drop(values.remove(name)),
            Some(Value::String(text)) if text.is_empty() => drop(values.remove(name)),
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let option = known.options.iter().find(|(own, label)| *own == text || *label == text);
                if !known.options.is_empty() && option.is_none() {
                    return Err(Refusal::said(format!("Value [{text}] is not on the list of {name}.")));
                }
                values.insert(name.to_owned(), option.map_or(text, |(own, _)| own.clone()));
            }
        }
    }
    Ok(())
}

/// A client that writes numbers as texts is understood.
fn coerced(name: &str, value: &Value) -> Result<Value, Refusal> {
    let is_number = name.ends_with("ID") || name.ends_with("Id") || PICKLISTS.contains(&name);
    match value {
        Value::String(text) if is_number && name != "externalID" && name != "rmmAlertID" => {
            let clash = || Refusal::said(format!("Unexpected character encountered while parsing value: {text}."));
            text.parse::<i64>().map(|n| json!(n)).map_err(|_| clash())
        }
        Value::Bool(_) if is_number => {
            Err(Refusal::said(format!("Unexpected character encountered while parsing value: {value}.")))
        }
        other => Ok(other.clone()),
    }
}

pub(super) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
