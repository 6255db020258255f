//! The instance's event catalogue (lookup 64): from an event's name to its number.
//!
//! Names carry a placeholder for what the instance calls a ticket, and a scope: `$#request Status Changed - All`. Of
//! several scopes the one for all is taken; that for assigned tickets would never ring for one that nobody owns.

use latchkey_contract::{CallError, text::is_same_name};

use crate::{
    api::{Api, Ask},
    wire,
};

const LIST: &str = "GET /Lookup";
const CATALOGUE: &str = "64";
const PLACEHOLDER: &str = "$#request";
const ALL: &str = "all";

/// Numbers that were seen on live instances and in shipping clients, for an instance that does not show its catalogue or
/// calls them otherwise.
const KNOWN: &[(&str, i64)] = &[
    ("new ticket logged", 3),
    ("ticket updated by user", 19),
    ("closed", 39),
    ("ticket status changed", 76),
    ("action added", 1004),
    ("ticket deleted", 1072),
];

/// What the wanted events are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Number, and the name as wanted.
    pub(crate) found: Vec<(i64, String)>,
    /// Names that the instance does not know.
    pub(crate) missing: Vec<String>,
}

impl Events {
    /// Asked live. An instance that does not let us see its catalogue has the known ones.
    pub(crate) async fn look(api: &Api, wanted: &[String]) -> Result<Self, CallError> {
        let ask = Ask::new(LIST, ["Lookup"]).query("lookupid", CATALOGUE);
        let rows: Vec<wire::Row> = match api.list(&ask).await {
            Ok(rows) => rows,
            Err(CallError::Unauthorized { .. } | CallError::Refused { .. }) => Vec::new(),
            Err(other) => return Err(other),
        };
        Ok(Self::among(&rows, wanted))
    }

    fn among(rows: &[wire::Row], wanted: &[String]) -> Self {
        let mut events = Self::default();
        for name in wanted {
            match number(rows, name.trim()) {
                Some(number) if events.found.iter().any(|(known, _)| *known == number) => {}
                Some(number) => events.found.push((number, name.trim().to_owned())),
                None => events.missing.push(name.trim().to_owned()),
            }
        }
        events
    }
}

fn number(rows: &[wire::Row], wanted: &str) -> Option<i64> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    let mut best: Option<(bool, i64)> = None;
    for row in rows {
        let Some((name, scope)) = row.name.as_deref().map(parts) else { continue };
        let is_it = is_same_name(&name, wanted) || is_same_name(&name, &format!("ticket {wanted}"));
        let is_all = scope.as_deref() == Some(ALL);
        if is_it && (scope.is_none() || is_all) && best.is_none_or(|(was_all, _)| is_all && !was_all) {
            best = Some((is_all, row.id));
        }
    }
    let known = || KNOWN.iter().find(|(name, _)| is_same_name(name, wanted)).map(|(_, number)| *number);
    best.map(|(_, number)| number).or_else(known)
}

/// The name without its placeholder, and its scope.
fn parts(name: &str) -> (String, Option<String>) {
    let name = name.to_lowercase().replace(PLACEHOLDER, "ticket");
    match name.rsplit_once(" - ") {
        Some((name, scope)) => (name.trim().to_owned(), Some(scope.trim().to_owned())),
        None => (name.trim().to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(rows: &[(i64, &str)], wanted: &[&str]) -> Events {
        let row = |(id, name): &(i64, &str)| wire::Row { id: *id, name: Some((*name).into()), inactive: None };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        Events::among(&rows.iter().map(row).collect::<Vec<_>>(), &wanted)
    }

    #[test]
    fn the_row_for_all_tickets_is_taken_and_never_the_one_for_assigned_ones() {
        let rows = [
            (77, "$#request Status Changed - Assigned"),
            (76, "$#request Status Changed - All"),
            (9, "$#request Reassigned"),
            (10, "$#Request Updated - Assigned"),
            (39, "$#request Closed - All"),
        ];
        let events =
            among(&rows, &["Ticket Status Changed", "closed", "Ticket Reassigned", "Ticket Updated", "1004", "39"]);
        let numbers: Vec<i64> = events.found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [76, 39, 9, 1004], "a number counts once");
        assert_eq!(events.missing, ["Ticket Updated"]);
    }

    #[test]
    fn what_is_known_works_without_a_catalogue() {
        let events = among(&[], &["Ticket Status Changed", "Ticket Deleted", "Ticket Reassigned"]);
        assert_eq!(events.found.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [76, 1072]);
        assert_eq!(events.missing, ["Ticket Reassigned"]);
    }
}
