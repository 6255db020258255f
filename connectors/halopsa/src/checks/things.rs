//! What mappings name: teams, statuses, types, fields. Each must be there and in use.

use latchkey_contract::{
    Check,
    check::{Found, Kind},
    ticket::WantedChecks,
};

use crate::{api::Api, catalogue, tables::Known};

pub(super) async fn lines(api: &Api, known: &Known, want: &WantedChecks) -> Vec<Check> {
    let kind = |kind, path: &str| Kind { kind, whose: "is not there", path: path.to_owned() };
    let mut lines = Vec::new();
    let teams: Vec<Found<'_>> = known
        .teams
        .iter()
        .map(|team| Found {
            id: team.id.to_string(),
            name: team.name.as_deref().unwrap_or_default(),
            is_active: team.inactive != Some(true),
        })
        .collect();
    let team = kind("team", "Configuration > Teams & Agents > Teams");
    lines.extend(want.boards.iter().filter_map(|id| team.line(id.as_str(), &teams, true)));
    let statuses: Vec<Found<'_>> =
        known.statuses.iter().map(|(id, s)| Found { id: id.to_string(), name: &s.name, is_active: true }).collect();
    let status = kind("status", "Configuration > Tickets > Statuses");
    lines.extend(want.statuses.iter().filter_map(|id| status.line(id.as_str(), &statuses, true)));
    if !want.types.is_empty() {
        match catalogue::types(api).await {
            Ok(found) => {
                let found: Vec<Found<'_>> = found
                    .iter()
                    .map(|t| Found { id: t.id.to_string(), name: &t.name, is_active: t.is_active })
                    .collect();
                let of = kind("type", "Configuration > Tickets > Ticket Types");
                lines.extend(want.types.iter().filter_map(|id| of.line(id.as_str(), &found, true)));
            }
            Err(error) => lines.push(Check::failed("ticket types", &error)),
        }
    }
    if !want.fields.is_empty() {
        match catalogue::fields(api, false).await {
            Ok(found) => {
                let found: Vec<Found<'_>> =
                    found.iter().map(|f| Found { id: f.id.to_string(), name: &f.name, is_active: true }).collect();
                let of = kind("field", "Configuration > Custom Objects > Custom Fields");
                lines.extend(want.fields.iter().filter_map(|id| of.line(id.as_str(), &found, true)));
            }
            Err(error) => lines.push(Check::failed("custom fields", &error)),
        }
    }
    // No table of sources is published, so no ticket ever has one.
    let source = |id| {
        Check::red(format!("source {id}"), "this PSA tells no source of a ticket: leave sources out of the mapping")
    };
    lines.extend(want.sources.iter().map(source));
    lines
}
