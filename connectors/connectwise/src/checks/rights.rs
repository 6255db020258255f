//! The rights of the README's table, one line each.
//!
//! A right to read is tried by reading. A right to write is believed to what `/system/mySecurity` tells of it (rows and
//! levels as in published clients of the vendor); where that does not tell, the line says so.

use latchkey_contract::{CallError, Check, text::one_line, ticket::WantedChecks};

use super::{ROLES, tables::Tables};
use crate::wire;

/// What the table asks for everywhere.
const ENOUGH: &str = "All";

#[derive(Debug, Clone, Copy)]
enum Verb {
    Add,
    Edit,
    Delete,
    Inquire,
}

/// A right, and what does not work without it.
struct Right {
    module: &'static str,
    function: &'static str,
    verb: Verb,
    without: &'static str,
}

const TICKETS: (&str, &str) = ("Service Desk", "Service Tickets");
const CLOSING: (&str, &str) = ("Service Desk", "Close Service Tickets");
const COMPANIES: (&str, &str) = ("Companies", "Company Maintenance");
const MEMBERS: (&str, &str) = ("System", "Member Maintenance");
const SETUP: (&str, &str) = ("System", "Table Setup");

pub(super) fn lines(tables: &Tables, want: &WantedChecks) -> Vec<Check> {
    let mut lines = vec![
        read(tables, right(TICKETS, Verb::Inquire, "no ticket can be read"), tables.newest.as_ref().err()),
        written(tables, right(TICKETS, Verb::Add, "no note can be posted")),
        written(tables, right(TICKETS, Verb::Edit, "no status can be set and no note overwritten")),
        written(tables, right(TICKETS, Verb::Delete, "a note that the customer can see cannot be taken back")),
    ];
    if closes(tables, want) {
        lines.push(written(tables, right(CLOSING, Verb::Edit, "the closing status of a mapping cannot be set")));
        lines.push(written(tables, right(CLOSING, Verb::Inquire, "the closing status of a mapping cannot be set")));
    }
    lines.extend([
        read(tables, right(COMPANIES, Verb::Inquire, "customers cannot be listed"), tables.company.as_ref().err()),
        read(tables, right(MEMBERS, Verb::Inquire, "nobody who asks is known"), tables.member.as_ref().err()),
        setup(tables),
        written(tables, right(SETUP, Verb::Add, "no callback can be registered")),
        written(tables, right(SETUP, Verb::Edit, "no callback can be repaired or moved")),
        written(tables, right(SETUP, Verb::Delete, "no callback of ours can be removed")),
    ]);
    lines
}

const fn right((module, function): (&'static str, &'static str), verb: Verb, without: &'static str) -> Right {
    Right { module, function, verb, without }
}

/// Whether a mapping sets a closing status.
fn closes(tables: &Tables, want: &WantedChecks) -> bool {
    let statuses = tables.statuses.values().flatten().flatten();
    statuses.filter(|status| status.is_closing).any(|status| want.statuses.contains(&status.id))
}

fn read(tables: &Tables, right: Right, error: Option<&CallError>) -> Check {
    match (error, right.told(tables)) {
        (Some(CallError::Unauthorized { .. }), _) => Check::red(right.what(), right.to_do("refused")),
        (Some(error), _) => Check::failed(right.what(), error),
        (None, Some(level)) if level.eq_ignore_ascii_case("My") => Check::red(right.what(), right.to_do("only My")),
        (None, _) => Check::ok(right.what(), "tried by reading"),
    }
}

fn written(tables: &Tables, right: Right) -> Check {
    match right.told(tables) {
        Some(level) if level.eq_ignore_ascii_case(ENOUGH) => Check::ok(right.what(), "the role says All"),
        Some(level) => Check::red(right.what(), right.to_do(&format!("the role says {}", one_line(level, 20)))),
        None => {
            let know = format!("cannot be seen by reading, since this PSA does not tell: look at {}", right.path());
            Check::note(right.what(), know)
        }
    }
}

/// One right that opens many lists; an instance may offer them one by one, so those that are shut are named.
fn setup(tables: &Tables) -> Check {
    let right = right(SETUP, Verb::Inquire, "mappings and callbacks cannot be looked at");
    let lists = tables.setup();
    let is_refused = |error: &CallError| matches!(error, CallError::Unauthorized { .. });
    let shut: Vec<&str> = lists.iter().filter(|(_, e)| e.is_some_and(is_refused)).map(|(name, _)| *name).collect();
    if !shut.is_empty() {
        return Check::red(right.what(), right.to_do(&format!("refused for {}", shut.join(", "))));
    }
    match lists.iter().find_map(|(_, error)| *error) {
        Some(error) => Check::failed(right.what(), error),
        None => Check::ok(right.what(), "tried by reading"),
    }
}

impl Right {
    fn what(&self) -> String {
        format!("right: {}, {}", self.function, self.name().to_lowercase())
    }

    const fn name(&self) -> &'static str {
        match self.verb {
            Verb::Add => "Add",
            Verb::Edit => "Edit",
            Verb::Delete => "Delete",
            Verb::Inquire => "Inquire",
        }
    }

    fn path(&self) -> String {
        format!("{ROLES} > {} > {}, {}", self.module, self.function, self.name())
    }

    fn to_do(&self, found: &str) -> String {
        format!("{found}, and so {}: set {} to All", self.without, self.path())
    }

    /// The level that the PSA tells of this right.
    fn told<'t>(&self, tables: &'t Tables) -> Option<&'t str> {
        let row = tables.rights.as_ref()?.iter().find(|row| row.is_of(self.function))?;
        let wire::Right { add_level, edit_level, delete_level, inquire_level, .. } = row;
        let level = match self.verb {
            Verb::Add => add_level,
            Verb::Edit => edit_level,
            Verb::Delete => delete_level,
            Verb::Inquire => inquire_level,
        };
        level.as_deref().map(str::trim).filter(|level| !level.is_empty())
    }
}
