//! What makes a document wrong. All faults are named at once, each with its path.

mod records;
mod rulebook;

use std::{collections::BTreeSet, fmt};

use serde::de::DeserializeOwned;

pub(super) use records::records;
pub(super) use rulebook::rulebook;

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

/// Reads TOML into a shape; a fault of syntax or shape is one fault, with line and column.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Faults> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Faults(vec![Fault { path: format!("line {line}"), what: e.message().to_owned() }])
    })
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
