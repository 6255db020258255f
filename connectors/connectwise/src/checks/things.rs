//! What mappings name: boards, statuses, types, sources, fields. Each must be there and in use.

use latchkey_contract::{
    Check,
    check::{Found, Kind},
    ticket::WantedChecks,
};

use super::tables::Tables;

const BOARDS: &str = "System > Setup Tables > Service > Service Board";
const SOURCES: &str = "System > Setup Tables > Service > Source";
const FIELDS: &str = "System > Setup Tables > General > Custom Fields";

pub(super) fn lines(tables: &Tables, want: &WantedChecks) -> Vec<Check> {
    let mut lines = boards(tables, want);
    // What belongs to a board that is not there cannot be judged; the board's own line is red.
    let are_all_there = want.boards.iter().all(|id| tables.statuses.contains_key(id));
    let statuses = tables.statuses.values().flatten().flatten();
    let statuses: Vec<_> = statuses.map(|s| found(&s.id, &s.name, s.is_active)).collect();
    let types = tables.types.values().flatten().flatten();
    let types: Vec<_> = types.map(|t| found(&t.id, &t.name, t.is_active)).collect();
    let are_statuses_read = are_all_there && tables.statuses.values().all(Result::is_ok);
    let are_types_read = are_all_there && tables.types.values().all(Result::is_ok);
    let of_boards =
        |kind, tab| Kind { kind, whose: "is on none of the watched boards", path: format!("{BOARDS} > {tab}") };
    let status = of_boards("status", "Statuses");
    lines.extend(want.statuses.iter().filter_map(|id| status.line(id.as_str(), &statuses, are_statuses_read)));
    let kind = of_boards("type", "Types");
    lines.extend(want.types.iter().filter_map(|id| kind.line(id.as_str(), &types, are_types_read)));
    if let Some(Ok(sources)) = &tables.sources {
        let found: Vec<_> = sources.iter().map(|s| found(&s.id, &s.name, true)).collect();
        let source = Kind { kind: "source", whose: "is not there", path: SOURCES.to_owned() };
        lines.extend(want.sources.iter().filter_map(|id| source.line(id.as_str(), &found, true)));
    }
    if let Ok(fields) = &tables.fields {
        let found: Vec<_> = fields.iter().map(|f| found(&f.id, &f.name, true)).collect();
        let field = Kind { kind: "field", whose: "is not there, or not on tickets", path: FIELDS.to_owned() };
        lines.extend(want.fields.iter().filter_map(|id| field.line(id.as_str(), &found, true)));
    }
    lines
}

fn boards(tables: &Tables, want: &WantedChecks) -> Vec<Check> {
    let Ok(rows) = &tables.boards else { return vec![] };
    let found = rows
        .iter()
        .map(|row| found(&row.id, row.name.as_deref().unwrap_or_default(), !row.inactive_flag.unwrap_or(false)));
    let found: Vec<_> = found.collect();
    let whose = "is not there, or hidden from the API member's location";
    let board = Kind { kind: "board", whose, path: BOARDS.to_owned() };
    want.boards.iter().filter_map(|id| board.line(id.as_str(), &found, true)).collect()
}

fn found<'t>(id: &impl ToString, name: &'t str, is_active: bool) -> Found<'t> {
    Found { id: id.to_string(), name, is_active }
}
