//! What makes a document wrong. All faults are named at once, each with its path.

mod records;
mod rulebook;

use std::{collections::BTreeSet, fmt};

use latchkey_contract::text::one_line;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

pub(super) use records::records;
pub(super) use rulebook::rulebook;

/// Characters of a message about a document: it may quote what stands there.
const LONGEST_MESSAGE: usize = 300;

/// Characters of a key or id in a path: what stands there may be none.
const LONGEST_ID: usize = 60;

/// One fault and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `policy.helpdesk.max_length`.
    pub path: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// All faults of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", fault.path, fault.what)?;
        }
        Ok(())
    }
}

/// Reads TOML into a shape; a fault of syntax or shape is one fault, with its line, and its path where it has one.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Faults> {
    let fault = |error: &toml::de::Error, path: Option<String>| {
        let line =
            error.span().map_or(0, |span| text.as_bytes()[..span.start.min(text.len())].split(|b| *b == b'\n').count());
        let path = path.map_or_else(String::new, |path| format!(", {path}"));
        Faults(vec![Fault { path: format!("line {line}{path}"), what: one_line(error.message(), LONGEST_MESSAGE) }])
    };
    let document = toml::Deserializer::parse(text).map_err(|error| fault(&error, None))?;
    serde_path_to_error::deserialize(document).map_err(|error| fault(error.inner(), named(text, error.path())))
}

/// The path to something in a document, with ids where the shape counts: `policy.helpdesk.lengths` for `policy[0].lengths[1]`.
fn named(text: &str, path: &serde_path_to_error::Path) -> Option<String> {
    let whole = toml::from_str::<toml::Table>(text).ok().map(toml::Value::Table);
    let mut at = whole.as_ref();
    let mut names = Vec::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                at = at.and_then(|value| value.get(*index));
                names.extend(at.and_then(|item| item.get("id")?.as_str()).map(|id| one_line(id, LONGEST_ID)));
            }
            Segment::Map { key } => {
                at = at.and_then(|value| value.get(key.as_str()));
                names.push(one_line(key, LONGEST_ID));
            }
            Segment::Enum { variant } => names.push(one_line(variant, LONGEST_ID)),
            Segment::Unknown => {}
        }
    }
    (!names.is_empty()).then(|| names.join("."))
}

#[derive(Default)]
struct Found(Vec<Fault>);

impl Found {
    fn say(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.0.push(Fault { path: path.into(), what: what.into() });
    }

    fn unique<'a>(&mut self, kind: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.say(format!("{kind}.{id}"), "this id is used twice; ids are chosen once");
            }
        }
    }

    fn done(self) -> Result<(), Faults> {
        if self.0.is_empty() { Ok(()) } else { Err(Faults(self.0)) }
    }
}

#[cfg(test)]
mod tests;
