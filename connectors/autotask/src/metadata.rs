//! Picklists and user-defined fields: what the numbers of a tenant mean, asked at run time and kept for an hour.
//!
//! Labels are translated and can be renamed, so nothing is known by its label but what the vendor gives no number for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use latchkey_contract::{CallError, Clock, FieldId, outside::Urgency};
use tokio::sync::Mutex;

use crate::{
    api::{Api, Ask},
    wire::{self, Field, Pick},
};

pub(crate) const TICKET: &str = "GET /Tickets/entityInformation/fields";
pub(crate) const RESOURCE: &str = "GET /Resources/entityInformation/fields";
pub(crate) const HOOK: &str = "GET /TicketWebhookFields/entityInformation/fields";
pub(crate) const HOOK_UDF: &str = "GET /TicketWebhookUdfFields/entityInformation/fields";
pub(crate) const UDF: &str = "GET /Tickets/entityInformation/userDefinedFields";
const FRESH: Duration = Duration::from_secs(3600);
/// A value that is not known is looked for again, but not at every ticket.
const AGAIN: Duration = Duration::from_secs(60);

/// What one question told, and when.
type Kept = HashMap<&'static str, (Duration, Arc<Vec<Field>>)>;

/// The metadata of one tenant.
#[derive(Debug)]
pub(crate) struct Metadata {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

impl Metadata {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// The fields that a question of this file names.
    pub(crate) async fn fields(&self, api: &Api, op: &'static str) -> Result<Arc<Vec<Field>>, CallError> {
        self.no_older_than(api, op, FRESH, Urgency::Ordinary).await
    }

    /// The values of one picklist; none where there is no such list.
    pub(crate) async fn picks(
        &self,
        api: &Api,
        op: &'static str,
        field: &str,
        urgency: Urgency,
    ) -> Result<Vec<Pick>, CallError> {
        Ok(picks_of(&self.no_older_than(api, op, FRESH, urgency).await?, field))
    }

    /// The label of a value, looked for again where it is not known.
    pub(crate) async fn label(
        &self,
        api: &Api,
        field: &'static str,
        value: i64,
        urgency: Urgency,
    ) -> Result<Option<String>, CallError> {
        let value = value.to_string();
        for age in [FRESH, AGAIN] {
            let fields = self.no_older_than(api, TICKET, age, urgency).await?;
            if let Some(pick) = picks_of(&fields, field).into_iter().find(|pick| pick.value == value) {
                return Ok(pick.label);
            }
        }
        Ok(None)
    }

    /// User-defined fields of tickets by name in lower case: tickets name them so, and we know them by number. A name that
    /// two of them share is left out. [facts 1.3, 2.7]
    pub(crate) async fn udf_ids(&self, api: &Api, urgency: Urgency) -> Result<BTreeMap<String, FieldId>, CallError> {
        let (mut found, mut doubled) = (BTreeMap::new(), Vec::new());
        for pick in self.udf_picks(api, urgency).await? {
            let Some(name) = pick.label.map(|label| label.trim().to_lowercase()).filter(|name| !name.is_empty()) else {
                continue;
            };
            let id = FieldId::parse(pick.value).map_err(|e| CallError::malformed(HOOK_UDF, e))?;
            if found.insert(name.clone(), id).is_some() {
                doubled.push(name);
            }
        }
        doubled.iter().for_each(|name| drop(found.remove(name)));
        Ok(found)
    }

    /// The list of the field `udfFieldID`, which older releases call `fieldID`. [facts 1.3]
    pub(crate) async fn udf_picks(&self, api: &Api, urgency: Urgency) -> Result<Vec<Pick>, CallError> {
        let fields = self.no_older_than(api, HOOK_UDF, FRESH, urgency).await?;
        let newer = picks_of(&fields, "udfFieldID");
        Ok(if newer.is_empty() { picks_of(&fields, "fieldID") } else { newer })
    }

    async fn no_older_than(
        &self,
        api: &Api,
        op: &'static str,
        age: Duration,
        urgency: Urgency,
    ) -> Result<Arc<Vec<Field>>, CallError> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, fields)) = kept.get(op)
            && now.saturating_sub(*at) < age
        {
            return Ok(Arc::clone(fields));
        }
        let path = op.trim_start_matches("GET /").split('/');
        let told: wire::Fields = api.call(&Ask::new(op, path).urgent(urgency)).await?;
        let fields = Arc::new(told.fields);
        kept.insert(op, (now, Arc::clone(&fields)));
        Ok(fields)
    }
}

fn picks_of(fields: &[Field], name: &str) -> Vec<Pick> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    field.and_then(|field| field.picklist_values.clone()).unwrap_or_default()
}

/// May be used; what does not say that it is switched off may.
pub(crate) fn is_active(pick: &Pick) -> bool {
    pick.is_active.unwrap_or(true)
}
