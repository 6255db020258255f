//! What hangs on a webhook: the fields whose change it tells of, and the resource whose changes it does not.
//!
//! Fields have numbers that the vendor publishes nowhere but in a picklist of the tenant. [facts 1.3]

use std::collections::{BTreeMap, BTreeSet};

use latchkey_contract::{CallError, FieldId, outside::Urgency};
use serde_json::json;

use crate::{
    Tenant,
    api::{Ask, number},
    errors::{accepted, is_missing},
    metadata, wire,
};

/// The fields that end or ask for access, under the names that the vendor is known to give them, compared without case.
/// [facts 1.3, 5] The first of each that the tenant offers is taken.
const FIELDS: [&[&str]; 6] = [
    &["Status"],
    &["QueueID", "Queue"],
    &["AssignedResourceID", "AssignedResource"],
    &["CompletedDate"],
    &["CompanyID", "AccountID", "Company", "Account"],
    &["TicketCategory", "Category"],
];
/// Told with every change, so that a person who reads the vendor's log finds the ticket.
const ALWAYS: &[&str] = &["TicketNumber"];

/// One kind of children.
#[derive(Debug)]
pub(crate) struct Kind {
    list: &'static str,
    create: &'static str,
    change: &'static str,
    delete: &'static str,
    /// The last segment of its path.
    segment: &'static str,
    /// What it calls the field's number.
    number: &'static str,
}

/// Fields, and user-defined fields.
pub(crate) const BOTH: [Kind; 2] = [
    Kind {
        list: "GET /TicketWebhooks/{id}/Fields",
        create: "POST /TicketWebhooks/{id}/Fields",
        change: "PATCH /TicketWebhooks/{id}/Fields",
        delete: "DELETE /TicketWebhooks/{id}/Fields/{childId}",
        segment: "Fields",
        number: "fieldID",
    },
    Kind {
        list: "GET /TicketWebhooks/{id}/UdfFields",
        create: "POST /TicketWebhooks/{id}/UdfFields",
        change: "PATCH /TicketWebhooks/{id}/UdfFields",
        delete: "DELETE /TicketWebhooks/{id}/UdfFields/{childId}",
        segment: "UdfFields",
        number: "udfFieldID",
    },
];

const EXCLUDED: &str = "GET /TicketWebhooks/{id}/ExcludedResources";
const EXCLUDE: &str = "POST /TicketWebhooks/{id}/ExcludedResources";

/// What should hang on it: the field's number, and whether a change of it is told (else it is only shown).
pub(crate) type Wanted = BTreeMap<i64, bool>;

/// The fields that a webhook needs.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    pub(crate) fields: Wanted,
    pub(crate) udfs: Wanted,
    /// What the tenant does not offer, by name or number.
    pub(crate) missing: Vec<String>,
}

impl Needed {
    /// # Errors
    /// [`CallError::Refused`] where not even a change of status is offered.
    pub(crate) async fn of(tenant: &Tenant, fields: &BTreeSet<FieldId>) -> Result<Self, CallError> {
        let offered = tenant.meta.picks(&tenant.api, metadata::HOOK, "fieldID", Urgency::Ordinary).await?;
        let find = |names: &[&str]| {
            let is = |pick: &&wire::Pick, name: &str| pick.label.as_deref().is_some_and(|own| is_label(own, name));
            names.iter().find_map(|name| offered.iter().find(|pick| is(pick, name))).and_then(|p| number(&p.value))
        };
        let mut needed = Self::default();
        for names in FIELDS {
            match find(names) {
                Some(id) => drop(needed.fields.insert(id, true)),
                None => needed.missing.push(names[0].to_owned()),
            }
        }
        if find(FIELDS[0]).is_none() {
            let code = "the tenant offers no webhook field called Status".into();
            return Err(CallError::Refused { op: metadata::HOOK, status: 404, code });
        }
        if let Some(id) = find(ALWAYS) {
            needed.fields.insert(id, false);
        }
        let udfs: BTreeSet<String> = match fields.is_empty() {
            true => BTreeSet::new(),
            false => tenant
                .meta
                .udf_picks(&tenant.api, Urgency::Ordinary)
                .await?
                .into_iter()
                .map(|pick| pick.value)
                .collect(),
        };
        for field in fields {
            match number(field.as_str()).filter(|_| udfs.contains(field.as_str())) {
                Some(id) => drop(needed.udfs.insert(id, true)),
                None => needed.missing.push(format!("user-defined field {field}")),
            }
        }
        Ok(needed)
    }
}

/// Labels are field names in some spelling: case, blanks and a word in front differ. [facts 1.3, `TicketCreateDate`]
fn is_label(label: &str, name: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let (label, name) = (plain(label), plain(name));
    label == name || label.strip_prefix("ticket").is_some_and(|rest| rest == name)
}

/// Every child of both kinds, with what is told of it.
pub(crate) async fn of(tenant: &Tenant, webhook: i64) -> Result<[Wanted; 2], CallError> {
    let mut found = [Wanted::new(), Wanted::new()];
    for (kind, found) in BOTH.iter().zip(&mut found) {
        for row in list(tenant, webhook, kind).await? {
            found.extend(row.field.map(|field| (field, row.is_subscribed_field == Some(true))));
        }
    }
    Ok(found)
}

/// Hangs the same on another webhook.
pub(crate) async fn copy(tenant: &Tenant, webhook: i64, of: &[Wanted; 2]) -> Result<(), CallError> {
    for (kind, wanted) in BOTH.iter().zip(of) {
        make_right(tenant, webhook, kind, wanted).await?;
    }
    exclude_us(tenant, webhook).await.map(|_| ())
}

/// Adds what is missing, mends what is told otherwise, removes what no mapping needs; how many changes.
pub(crate) async fn make_right(
    tenant: &Tenant,
    webhook: i64,
    kind: &Kind,
    wanted: &Wanted,
) -> Result<usize, CallError> {
    let (mut missing, mut changes) = (wanted.clone(), 0);
    let path = webhook.to_string();
    for row in list(tenant, webhook, kind).await? {
        let told = row.field.and_then(|field| missing.remove(&field));
        match told {
            Some(told) if row.is_subscribed_field == Some(told) && row.is_display_always_field == Some(true) => {}
            Some(told) => {
                let change = json!({"id": row.id, "isSubscribedField": told, "isDisplayAlwaysField": true});
                let ask = Ask::new(kind.change, ["TicketWebhooks", &path, kind.segment]).body(&change);
                tenant.api.must_write(&ask).await?;
                changes += 1;
            }
            None => {
                let ask = Ask::new(kind.delete, ["TicketWebhooks", &path, kind.segment, &row.id.to_string()]);
                let answer = tenant.api.send(&ask).await?;
                if !is_missing(&answer) {
                    accepted(answer, true)?;
                }
                changes += 1;
            }
        }
    }
    for (field, told) in missing {
        let row =
            json!({"webhookID": webhook, kind.number: field, "isSubscribedField": told, "isDisplayAlwaysField": true});
        tenant.api.must_write(&Ask::new(kind.create, ["TicketWebhooks", &path, kind.segment]).body(&row)).await?;
        changes += 1;
    }
    Ok(changes)
}

/// Our own saves raise callouts too, unless we are excluded. [facts 1.3]
pub(crate) async fn exclude_us(tenant: &Tenant, webhook: i64) -> Result<usize, CallError> {
    if are_we_excluded(tenant, webhook).await? {
        return Ok(0);
    }
    let row = json!({"webhookID": webhook, "resourceID": tenant.resources.me(&tenant.api, Urgency::Ordinary).await?});
    let path = ["TicketWebhooks", &webhook.to_string(), "ExcludedResources"];
    tenant.api.must_write(&Ask::new(EXCLUDE, path).body(&row)).await?;
    Ok(1)
}

pub(crate) async fn are_we_excluded(tenant: &Tenant, webhook: i64) -> Result<bool, CallError> {
    let me = tenant.resources.me(&tenant.api, Urgency::Ordinary).await?;
    let ask = Ask::new(EXCLUDED, ["TicketWebhooks", &webhook.to_string(), "ExcludedResources"]);
    let rows: Vec<wire::Excluded> = tenant.api.children(&ask).await?;
    Ok(rows.iter().any(|row| row.resource_id == Some(me)))
}

async fn list(tenant: &Tenant, webhook: i64, kind: &Kind) -> Result<Vec<wire::HookField>, CallError> {
    tenant.api.children(&Ask::new(kind.list, ["TicketWebhooks", &webhook.to_string(), kind.segment])).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_field_in_some_spelling() {
        for (label, name) in [
            ("Status", "Status"),
            ("status", "Status"),
            ("Queue ID", "QueueID"),
            ("AssignedResourceID", "AssignedResourceID"),
            ("TicketCompletedDate", "CompletedDate"),
        ] {
            assert!(is_label(label, name), "{label}");
        }
        assert!(
            !is_label("SubStatus", "Status") && !is_label("Status", "TicketNumber") && !is_label("Ticket", "Status")
        );
    }
}
