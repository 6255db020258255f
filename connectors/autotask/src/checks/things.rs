//! What mappings name: queues, statuses, types, sources, user-defined fields. Each must be there and in use.

use latchkey_contract::{
    CallError, Check,
    check::{Found, Kind},
    outside::Urgency,
    ticket::WantedChecks,
};

use crate::{
    Tenant, catalogue,
    metadata::{TICKET, is_active},
};

const LISTS: &str = "Admin > Features & Settings > Application-Wide (Shared) Features and Service Desk (Tickets)";
const UDFS: &str = "Admin > Features & Settings > User-Defined Fields > Tickets";

/// Names by which a picklist and a mapping know a thing.
const KINDS: [(&str, &str); 4] =
    [("queueID", "queue"), ("status", "status"), ("ticketType", "type"), ("source", "source")];

pub(super) async fn lines(tenant: &Tenant, want: &WantedChecks) -> Vec<Check> {
    let ids = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let wanted = [
        ids(want.boards.iter().map(|id| id.as_str()).collect()),
        ids(want.statuses.iter().map(|id| id.as_str()).collect()),
        ids(want.types.iter().map(|id| id.as_str()).collect()),
        ids(want.sources.iter().map(|id| id.as_str()).collect()),
    ];
    let mut lines = Vec::new();
    for ((list, kind), wanted) in KINDS.into_iter().zip(wanted) {
        lines.extend(of_list(tenant, list, kind, &wanted).await);
    }
    lines.extend(fields(tenant, want).await);
    lines
}

async fn of_list(tenant: &Tenant, list: &'static str, kind: &'static str, wanted: &[String]) -> Vec<Check> {
    if wanted.is_empty() {
        return vec![];
    }
    let picks = match tenant.meta.picks(&tenant.api, TICKET, list, Urgency::Ordinary).await {
        Ok(picks) => picks,
        Err(error) => return vec![Check::failed(kind, &error)],
    };
    let found: Vec<_> = picks
        .iter()
        .map(|pick| Found {
            id: pick.value.clone(),
            name: pick.label.as_deref().unwrap_or_default(),
            is_active: is_active(pick),
        })
        .collect();
    let kind = Kind { kind, whose: "is not there", path: LISTS.to_owned() };
    wanted.iter().filter_map(|id| kind.line(id, &found, true)).collect()
}

async fn fields(tenant: &Tenant, want: &WantedChecks) -> Vec<Check> {
    if want.fields.is_empty() {
        return vec![];
    }
    let read: Result<_, CallError> = catalogue::fields(tenant).await;
    let fields = match read {
        Ok(fields) => fields,
        Err(error) => return vec![Check::failed("field", &error)],
    };
    let found: Vec<_> = fields.iter().map(|f| Found { id: f.id.to_string(), name: &f.name, is_active: true }).collect();
    let kind = Kind { kind: "field", whose: "is not there, or webhooks cannot tell of it", path: UDFS.to_owned() };
    want.fields.iter().filter_map(|id| kind.line(id.as_str(), &found, true)).collect()
}
