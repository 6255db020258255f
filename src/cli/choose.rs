//! Which of the things that a PSA has are taken into the records: all that can be, those that are named, or those that
//! somebody says yes to.

use std::{collections::BTreeSet, fmt};

use anyhow::bail;
use clap::Args;
use latchkey_contract::text::one_line;

use super::Terminal;

const LONGEST_NAME: usize = 80;

/// How they are chosen.
#[derive(Debug, Args)]
pub(super) struct Choice {
    /// Take everything that is new or matches, and ask all the same where a match gives somebody a role.
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// Take these alone, by the ids that the PSA has for them.
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    only: Vec<String>,
}

/// What would be done with one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Suggestion<Id> {
    /// It becomes a record of its own, with this id.
    New(Id),
    /// It is bound to this record, found by its name or its address.
    Matches(Id, &'static str),
    /// It is bound already.
    Bound(Id),
    /// It could be several; it is bound by hand.
    Unclear(String),
}

/// One thing that the PSA has. The texts are anybody's.
#[derive(Debug)]
pub(super) struct Row<Id> {
    pub(super) id: String,
    pub(super) columns: Vec<String>,
    pub(super) suggestion: Suggestion<Id>,
    /// Whoever is taken for this record by mistake could do harm: somebody says so, row by row.
    pub(super) wants_an_answer: bool,
}

impl<Id: fmt::Display> fmt::Display for Suggestion<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(id) => write!(f, "new: {id}"),
            Self::Matches(id, by) => write!(f, "matches {id} by {by}"),
            Self::Bound(id) => write!(f, "is {id} already"),
            Self::Unclear(why) => write!(f, "unclear: {why}"),
        }
    }
}

impl<Id> Suggestion<Id> {
    const fn can_be_taken(&self) -> bool {
        matches!(self, Self::New(_) | Self::Matches(..))
    }
}

impl<Id: fmt::Display> Row<Id> {
    fn line(&self, between: &str) -> String {
        let columns = self.columns.iter().map(|column| one_line(column, LONGEST_NAME));
        let cells: Vec<String> = std::iter::once(self.id.clone()).chain(columns).collect();
        format!("{}{between}{}", cells.join(between), self.suggestion)
    }
}

/// Shows them all, and answers those that are to be taken.
pub(super) fn choose<Id: fmt::Display>(
    terminal: &mut Terminal,
    rows: Vec<Row<Id>>,
    choice: &Choice,
) -> anyhow::Result<Vec<Row<Id>>> {
    for row in &rows {
        terminal.say(row.line("\t"))?;
    }
    if !choice.only.is_empty() {
        return named(rows, &choice.only);
    }
    let (free, _): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.suggestion.can_be_taken());
    if free.is_empty() {
        return Ok(free);
    }
    match (choice.all, terminal.is_interactive()) {
        (true, _) => all(terminal, free),
        (false, true) => asked(terminal, free),
        (false, false) => bail!("nothing was changed; say which ones to take: --all, or --only {}", free[0].id),
    }
}

/// All of them, but none without an answer that wants one.
fn all<Id: fmt::Display>(terminal: &mut Terminal, rows: Vec<Row<Id>>) -> anyhow::Result<Vec<Row<Id>>> {
    let mut chosen = Vec::new();
    for row in rows {
        if !row.wants_an_answer || is_it(terminal, &row)? {
            chosen.push(row);
        }
    }
    Ok(chosen)
}

fn is_it<Id: fmt::Display>(terminal: &mut Terminal, row: &Row<Id>) -> anyhow::Result<bool> {
    if !terminal.is_interactive() {
        terminal.hint(format!("{} was left out: {}. If that is so: --only {}", row.id, row.suggestion, row.id))?;
        return Ok(false);
    }
    terminal.hint(row.line("  "))?;
    let answer = terminal.ask(&format!("Is {} really that person, who has a role [y/n]", row.id))?;
    Ok(matches!(answer.expose().trim().to_lowercase().as_str(), "y" | "yes"))
}

fn named<Id: fmt::Display>(rows: Vec<Row<Id>>, only: &[String]) -> anyhow::Result<Vec<Row<Id>>> {
    let wanted: BTreeSet<&str> = only.iter().map(|id| id.trim()).collect();
    if let Some(unknown) = wanted.iter().find(|id| rows.iter().all(|row| row.id != **id)) {
        bail!("{unknown:?} is none of those above; nothing was changed");
    }
    let (chosen, _): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| wanted.contains(row.id.as_str()));
    if let Some(row) = chosen.iter().find(|row| !row.suggestion.can_be_taken()) {
        bail!("{} cannot be taken ({}); nothing was changed", row.id, row.suggestion);
    }
    Ok(chosen)
}

fn asked<Id: fmt::Display>(terminal: &mut Terminal, rows: Vec<Row<Id>>) -> anyhow::Result<Vec<Row<Id>>> {
    terminal.hint("y takes one, n leaves it, a takes it and all that follow, q leaves it and all that follow.")?;
    let mut chosen = Vec::new();
    let mut takes_all = false;
    for row in rows {
        if !takes_all {
            match ask(terminal, &row.line("  "))? {
                'a' => takes_all = true,
                'q' => break,
                'n' => continue,
                _ => {}
            }
        } else if row.wants_an_answer && !is_it(terminal, &row)? {
            continue;
        }
        chosen.push(row);
    }
    Ok(chosen)
}

fn ask(terminal: &mut Terminal, line: &str) -> anyhow::Result<char> {
    loop {
        let answer = terminal.ask(&format!("{line}  [y/n/a/q]"))?;
        match answer.expose().trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok('y'),
            "n" | "no" | "" => return Ok('n'),
            "a" | "all" => return Ok('a'),
            "q" | "quit" => return Ok('q'),
            _ => terminal.hint("Type y, n, a or q.")?,
        }
    }
}
