//! The draft: what looks like just-in-time access by its name is filled in, everything else stands beside it as a comment.
//!
//! Names come from the PSA and the tenants. They stand in comments on one line each, and in strings that are escaped: no name
//! can end either.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Write as _},
};

use latchkey_contract::{
    ConnectionId, EntitlementId, MappingId, PolicyId,
    directory::Entitlement,
    text::one_line,
    ticket::{Board, Catalogue, Field, Status},
};
use toml::Value;

use crate::{access::Length, rulebook::Rulebook};

const LONGEST_NAME: usize = 80;

/// Roles and groups that are listed to choose from.
const LISTED: usize = 40;

/// What a draft is made from.
pub(super) struct Draft<'a> {
    pub(super) connection: &'a ConnectionId,
    pub(super) psa: &'a Catalogue,
    pub(super) directories: &'a BTreeMap<ConnectionId, Vec<Entitlement>>,
    /// Why somebody could not be asked.
    pub(super) silent: &'a [String],
    /// Ids that are taken.
    pub(super) taken: &'a Rulebook,
}

/// The statuses of one board that look like ours.
struct Ours<'a> {
    requested: &'a Status,
    granted: Option<&'a Status>,
    refused: Option<&'a Status>,
    ended: Option<&'a Status>,
}

impl Draft<'_> {
    /// TOML that `rulebook check` accepts as it stands. What cannot be drafted is said in comments.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        let policy = free("just-in-time", |id| PolicyId::parse(id).is_ok_and(|id| self.taken.policy(&id).is_none()));
        let length_field = self.field(&["duration", "length", "hours", "how long"]);
        let lengths = lengths(length_field);
        let is_whole = self.policy(&mut text, &policy, &lengths);
        let mut ids = BTreeSet::new();
        for board in self.psa.boards.iter().filter(|b| b.is_active) {
            match ours(board) {
                Some(ours) => {
                    let id = self.id(board, &mut ids);
                    let mapping = self.mapping(&id, board, &ours, &policy, length_field);
                    // Without a policy to ask for it would be refused.
                    text.push_str(&if is_whole { mapping } else { commented(&mapping) });
                }
                None => lacking(&mut text, board, &self.psa.board_noun),
            }
        }
        text
    }

    fn head(&self, text: &mut String) {
        comment(text, format_args!("A draft for {}. Nothing of it is in force.", self.connection));
        comment(text, "Read it, change it, and put its tables into your rulebook: an import replaces the whole of it.");
        comment(text, "  latchkey rulebook export --out rulebook.toml");
        comment(text, "  latchkey rulebook check rulebook.toml");
        comment(text, "  latchkey rulebook import rulebook.toml --reason WHY");
        for silent in self.silent {
            comment(text, one_line(silent, 400));
        }
    }

    /// Writes the policy; `false` when there is nothing harmless to give, and it is only a comment.
    fn policy(&self, text: &mut String, id: &str, lengths: &[Length]) -> bool {
        let role = self.harmless();
        let shown: Vec<String> = lengths.iter().map(Length::to_string).collect();
        let (first, last) = (shown.first().cloned().unwrap_or_default(), shown.last().cloned().unwrap_or_default());
        let mut table = String::from("\n[[policy]]\n");
        line(&mut table, "id", id, "chosen once");
        line(&mut table, "name", role.map_or("Just-in-time access", |r| r.name.as_str()), "what people read");
        line(&mut table, "source", "entra", "");
        line(&mut table, "mode", "standard", "the account stays, disabled; \"burner\": it is deleted");
        let (given, name) = role.map_or_else(|| ("role:ID".to_owned(), ""), |r| (r.id.to_string(), r.name.as_str()));
        line(&mut table, "entitlements", vec![given], name);
        line(&mut table, "technicians", "admins", "owners and admins alone; or technician groups: [\"technicians\"]");
        line(&mut table, "lengths", shown, "");
        line(&mut table, "default_length", first, "where the ticket names none");
        line(&mut table, "max_length", last, "nothing exceeds it");
        line(&mut table, "delivery", "claim-link", "or \"ticket\", with ticket_readers_may_use_it = true");
        match role {
            Some(_) => text.push_str(&table),
            None => {
                text.push('\n');
                comment(text, "No directory could be asked for a role without privileges: put one in, and uncomment.");
                text.push_str(&commented(&table));
            }
        }
        self.choices(text);
        role.is_some()
    }

    /// A role that every directory here has and none calls privileged; one that only reads where there is one.
    fn harmless(&self) -> Option<&Entitlement> {
        let mut directories = self.directories.values();
        let plain = |e: &&Entitlement| !e.is_privileged && matches!(e.id, EntitlementId::Role(_));
        let first = directories.next()?;
        let rest: Vec<&Vec<Entitlement>> = directories.collect();
        let everywhere = |e: &&Entitlement| rest.iter().all(|d| d.iter().any(|o| o.id == e.id && !o.is_privileged));
        let rank = |e: &&Entitlement| {
            let name = e.name.to_lowercase();
            let words = ["directory reader", "reader"];
            (words.iter().position(|w| name.contains(w)).unwrap_or(words.len()), name)
        };
        first.iter().filter(plain).filter(everywhere).min_by_key(rank)
    }

    fn choices(&self, text: &mut String) {
        for (id, listed) in self.directories {
            comment(text, format_args!("What else {id} lists (all of it: latchkey connection test {id}):"));
            // Those without privileges first: a draft leads nobody to more than is needed.
            let mut sorted: Vec<&Entitlement> = listed.iter().collect();
            sorted.sort_by_key(|e| e.is_privileged);
            for e in sorted.iter().take(LISTED) {
                let mark = if e.is_privileged { ", privileged" } else { "" };
                comment(text, format_args!("  {}  {}{mark}", e.id, one_line(&e.name, LONGEST_NAME)));
            }
        }
    }

    fn mapping(&self, id: &str, board: &Board, ours: &Ours<'_>, policy: &str, length: Option<&Field>) -> String {
        let mut text = String::from("\n[[mapping]]\n");
        line(&mut text, "id", id, "chosen once");
        line(&mut text, "connection", self.connection.as_str(), "");
        line(&mut text, "boards", vec![board.id.as_str()], &board.name);
        line(&mut text, "trigger_statuses", vec![ours.requested.id.as_str()], &ours.requested.name);
        line(&mut text, "policy", policy, "");
        if let Some(field) = length {
            line(&mut text, "length_field", field.id.as_str(), &field.name);
        }
        if let Some(field) = self.field(&["reason", "justification"]) {
            line(&mut text, "reason_field", field.id.as_str(), &field.name);
        }
        let set = [("granted", ours.granted), ("refused", ours.refused), ("ended", ours.ended)];
        for (key, status) in set {
            match status {
                Some(status) => line(&mut text, &format!("statuses.{key}"), status.id.as_str(), &status.name),
                None => comment(&mut text, format_args!("statuses.{key} = \"ID\"  # a status that Latchkey is to set")),
            }
        }
        listed(
            &mut text,
            "types",
            board.types.iter().filter(|t| t.is_active).map(|t| (t.id.as_str(), t.name.as_str())),
        );
        listed(&mut text, "sources", self.psa.sources.iter().map(|s| (s.id.as_str(), s.name.as_str())));
        let statuses = board.statuses.iter().filter(|s| s.is_active).map(|s| (s.id.as_str(), s.name.as_str()));
        listed(&mut text, &format!("statuses of this {}", self.psa.board_noun), statuses);
        listed(&mut text, "ticket fields", self.psa.fields.iter().map(|f| (f.id.as_str(), f.name.as_str())));
        text
    }

    /// The field whose name says it; one that also says that it is about access goes first.
    fn field(&self, words: &[&str]) -> Option<&Field> {
        let says = |field: &&Field, words: &[&str]| {
            let name = field.name.to_lowercase();
            words.iter().any(|word| name.contains(word))
        };
        let fitting = || self.psa.fields.iter().filter(|f| says(f, words));
        fitting().find(|f| says(f, &["jit", "access"])).or_else(|| fitting().next())
    }

    fn id(&self, board: &Board, ids: &mut BTreeSet<String>) -> String {
        let id = free(&slug(&board.name).unwrap_or_else(|| format!("board-{}", board.id)), |id| {
            MappingId::parse(id).is_ok_and(|parsed| self.taken.mapping(&parsed).is_none()) && !ids.contains(id)
        });
        ids.insert(id.clone());
        id
    }
}

/// What a board's statuses say by their names; `None` where none asks.
fn ours(board: &Board) -> Option<Ours<'_>> {
    let says = |words: &[&str]| {
        board.statuses.iter().find(|s| {
            let name = s.name.to_lowercase();
            s.is_active && name.contains("jit") && words.iter().any(|word| name.contains(word))
        })
    };
    let requested = says(&["request"]).filter(|s| !s.is_closing)?;
    let other = |words: &[&str]| says(words).filter(|s| s.id != requested.id);
    Some(Ours {
        requested,
        granted: other(&["active", "granted", "approved"]),
        refused: other(&["refused", "denied", "declined", "rejected"]),
        ended: other(&["done", "ended", "expired", "finished", "complete"]),
    })
}

fn lacking(text: &mut String, board: &Board, noun: &str) {
    text.push('\n');
    let board = one_line(&format!("{} ({})", board.id, board.name), LONGEST_NAME);
    comment(
        text,
        format_args!("No status of {noun} {board} says by its name that JIT is requested. To ask for access there,"),
    );
    comment(text, "add statuses to it in the PSA, such as JIT Requested, JIT Active, JIT Refused and JIT Done,");
    comment(text, "and run this again; or name one of its statuses in trigger_statuses of a mapping.");
}

/// What the field offers and a short access may last, shortest first.
fn lengths(field: Option<&Field>) -> Vec<Length> {
    let readable = field.into_iter().flat_map(|f| &f.options).filter_map(|o| Length::from_field(o).ok());
    let short: BTreeSet<Length> = readable.filter(|length| *length <= Length::EIGHT_HOURS).collect();
    if short.is_empty() { vec![Length::ONE_HOUR, Length::FOUR_HOURS] } else { short.into_iter().collect() }
}

fn listed<'a>(text: &mut String, what: &str, things: impl Iterator<Item = (&'a str, &'a str)>) {
    let all: Vec<(&str, &str)> = things.collect();
    if all.is_empty() {
        return;
    }
    comment(text, format_args!("{what}:"));
    for (id, name) in all.iter().take(LISTED) {
        comment(text, format_args!("  {id}  {}", one_line(name, LONGEST_NAME)));
    }
    if all.len() > LISTED {
        comment(text, format_args!("  and {} more", all.len() - LISTED));
    }
}

/// One key with its value, and what it is called.
fn line(text: &mut String, key: &str, value: impl Into<Value>, about: &str) {
    let value = match value.into() {
        Value::String(text) => Value::String(one_line(&text, LONGEST_NAME)),
        other => other,
    };
    let about = one_line(about, LONGEST_NAME);
    let about = if about.is_empty() { about } else { format!("  # {about}") };
    let _ = writeln!(text, "{key} = {value}{about}");
}

fn comment(text: &mut String, words: impl Display) {
    let _ = writeln!(text, "# {words}");
}

fn commented(table: &str) -> String {
    let hidden =
        |line: &str| if line.is_empty() || line.starts_with('#') { format!("{line}\n") } else { format!("# {line}\n") };
    table.lines().map(hidden).collect()
}

/// A name made an id; `None` where nothing of it can stand in one.
fn slug(name: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(plain).collect();
    let joined = words.split('-').filter(|w| !w.is_empty()).collect::<Vec<_>>().join("-");
    let bounded: String = joined.chars().take(30).collect();
    let id = bounded.trim_end_matches('-').to_owned();
    MappingId::parse(id.clone()).is_ok().then_some(id)
}

/// The id, or the first numbered one that is free.
fn free(id: &str, is_free: impl Fn(&str) -> bool) -> String {
    let numbered = (2..=u32::MAX).map(|n| format!("{id}-{n}"));
    std::iter::once(id.to_owned()).chain(numbered).find(|id| is_free(id)).unwrap_or_else(|| id.to_owned())
}
