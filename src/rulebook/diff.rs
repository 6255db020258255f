//! What changes from one rulebook to the next, by path and not by text: order of tables and comments mean nothing.

use std::fmt;

use latchkey_contract::text::one_line;
use serde::Serialize;
use toml::{Table, Value};

use super::{Mapping, Rulebook, export};

/// Characters of a value that are shown.
const LONGEST_VALUE: usize = 400;

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `policy.helpdesk.max_length`.
    pub path: String,
    /// How.
    pub change: Change,
}

/// How something changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It comes, with these lines.
    Comes(Vec<String>),
    /// It goes.
    Goes,
    /// It becomes another value; `None` is a key that is not there.
    Becomes(Option<String>, Option<String>),
    /// Something is put into the list.
    Gains(String),
    /// Something is taken out of the list.
    Loses(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, change } = self;
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        match change {
            Change::Comes(lines) => {
                write!(f, "+ {path}")?;
                lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
            Change::Goes => write!(f, "- {path}"),
            Change::Gains(value) => write!(f, "{path}: + {value}"),
            Change::Loses(value) => write!(f, "{path}: - {value}"),
            Change::Becomes(from, to) => write!(f, "{path}: {} → {}", shown(from), shown(to)),
        }
    }
}

impl Rulebook {
    /// What changes from `before` to this, always in the same order.
    ///
    /// # Errors
    /// When one of them cannot be written as TOML, which the types rule out.
    pub fn differences(&self, before: &Self) -> Result<Vec<Difference>, toml::ser::Error> {
        let mut out = Vec::new();
        tables(&mut out, "settings", &Table::try_from(&before.settings)?, &Table::try_from(&self.settings)?);
        tables(&mut out, "alerts", &Table::try_from(&before.alerts)?, &Table::try_from(&self.alerts)?);
        each(&mut out, "technician_group", &before.technician_groups, &self.technician_groups)?;
        each(&mut out, "customer_group", &before.customer_groups, &self.customer_groups)?;
        each(&mut out, "policy", &before.policies, &self.policies)?;
        let written = |book: &Self| -> Vec<Mapping> { book.mappings.iter().map(Mapping::as_written).collect() };
        each(&mut out, "mapping", &written(before), &written(self))?;
        each(&mut out, "brake", &before.brakes, &self.brakes)?;
        Ok(out)
    }
}

/// Tables that are told apart by their ids.
fn each(
    out: &mut Vec<Difference>,
    kind: &str,
    before: &[impl Serialize],
    now: &[impl Serialize],
) -> Result<(), toml::ser::Error> {
    let (before, now) = (by_id(before)?, by_id(now)?);
    let of =
        |tables: &[(String, Table)], id: &str| tables.iter().find(|(other, _)| other == id).map(|(_, t)| t.clone());
    let mut ids: Vec<&String> = before.iter().chain(&now).map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    for id in ids {
        let path = format!("{kind}.{id}");
        match (of(&before, id), of(&now, id)) {
            (Some(old), Some(new)) => tables(out, &path, &old, &new),
            (None, Some(new)) => out.push(Difference { path, change: Change::Comes(shown_lines(new)) }),
            (Some(_), None) => out.push(Difference { path, change: Change::Goes }),
            (None, None) => {}
        }
    }
    Ok(())
}

fn by_id(tables: &[impl Serialize]) -> Result<Vec<(String, Table)>, toml::ser::Error> {
    let with_id = |item| {
        let table = Table::try_from(item)?;
        let id = table.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((id, table))
    };
    tables.iter().map(with_id).collect()
}

fn shown_lines(mut table: Table) -> Vec<String> {
    table.remove("id");
    let mut text = String::new();
    export::lines(&mut text, &table);
    text.lines().map(|line| one_line(line, LONGEST_VALUE)).collect()
}

fn tables(out: &mut Vec<Difference>, path: &str, before: &Table, now: &Table) {
    let mut keys: Vec<&String> = now.keys().collect();
    keys.extend(before.keys().filter(|key| !now.contains_key(*key)));
    for key in keys {
        let path = format!("{path}.{key}");
        match (before.get(key), now.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => tables(out, &path, old, new),
            (Some(Value::Table(old)), None) => tables(out, &path, old, &Table::new()),
            (None, Some(Value::Table(new))) => tables(out, &path, &Table::new(), new),
            (old, new) if old == new => {}
            (Some(Value::Array(old)), Some(Value::Array(new))) => lists(out, &path, old, new),
            (Some(Value::Array(old)), None) => lists(out, &path, old, &[]),
            (None, Some(Value::Array(new))) => lists(out, &path, &[], new),
            (old, new) => say(out, &path, Change::Becomes(old.map(shown), new.map(shown))),
        }
    }
}

/// What is put into a list and what is taken out; the whole list where it is only in another order.
fn lists(out: &mut Vec<Difference>, path: &str, before: &[Value], now: &[Value]) {
    let missing = |these: &[Value], those: &[Value]| -> Vec<String> {
        these.iter().filter(|value| !those.contains(value)).map(shown).collect()
    };
    let (gone, new) = (missing(before, now), missing(now, before));
    if gone.is_empty() && new.is_empty() {
        let whole = |list: &[Value]| Some(shown(&Value::Array(list.to_vec())));
        return say(out, path, Change::Becomes(whole(before), whole(now)));
    }
    gone.into_iter().for_each(|value| say(out, path, Change::Loses(value)));
    new.into_iter().for_each(|value| say(out, path, Change::Gains(value)));
}

fn say(out: &mut Vec<Difference>, path: &str, change: Change) {
    out.push(Difference { path: path.to_owned(), change });
}

/// A word as it is, anything else as TOML writes it.
fn shown(value: &Value) -> String {
    let is_word = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"');
    let text = value.as_str().filter(is_word).map_or_else(|| value.to_string(), str::to_owned);
    one_line(&text, LONGEST_VALUE)
}

#[cfg(test)]
mod tests;
