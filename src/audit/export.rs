//! The log outside the house: JSON lines that lose nothing and can be checked anywhere, CSV for people.

use latchkey_contract::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AuditEntry, AuditRow, Checkpoint, Head, chain::sorted};

/// The first line of a CSV export. Columns are only ever added at its end.
pub const CSV_HEADER: [&str; 10] =
    ["number", "time", "code", "what", "by", "person", "grant", "ticket", "detail", "hash"];

/// A line of an export in JSON: first the checkpoints, then the entries, at last the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What went before.
    Checkpoint(Checkpoint),
    /// An entry.
    Row(AuditRow),
    /// The end. A file without it was cut off, or is a selection.
    Head(Head),
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// No JSON, or not such.
    #[error("it is no line of an export in JSON")]
    Shape,
    /// The same content, written otherwise: a name that stands twice could say one thing here and another elsewhere.
    #[error("it is not written as Latchkey writes it")]
    Form,
}

#[derive(Deserialize)]
struct CheckpointLine {
    checkpoint: Checkpoint,
}

#[derive(Deserialize)]
struct HeadLine {
    head: String,
}

impl Line {
    /// As it is exported. An entry is its text with its hash, and its time in words that need no reckoning.
    #[must_use]
    pub fn write(&self) -> String {
        match self {
            Self::Checkpoint(checkpoint) => sorted(&json!({ "checkpoint": checkpoint })),
            Self::Head(head) => sorted(&json!({ "head": head.to_string() })),
            Self::Row(row) => match serde_json::from_str(&row.text) {
                Ok(Value::Object(mut fields)) => {
                    let at = fields.get("at").and_then(Value::as_i64).unwrap_or_default();
                    fields.insert("hash".to_owned(), Value::String(row.hash.clone()));
                    fields.insert("time".to_owned(), Value::String(exact(Timestamp::from_millis(at))));
                    sorted(&Value::Object(fields))
                }
                // Somebody wrote into the table: it is shown as it is, and will not verify.
                _ => sorted(&json!({ "hash": row.hash, "seq": row.seq, "unreadable": row.text })),
            },
        }
    }

    /// As it was exported.
    ///
    /// # Errors
    /// [`BadLine`] when it was not.
    pub fn read(line: &str) -> Result<Self, BadLine> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(line) else { return Err(BadLine::Shape) };
        let read = if fields.contains_key("checkpoint") {
            let read: CheckpointLine = serde_json::from_str(line).map_err(|_| BadLine::Shape)?;
            Self::Checkpoint(read.checkpoint)
        } else if fields.contains_key("head") {
            let read: HeadLine = serde_json::from_str(line).map_err(|_| BadLine::Shape)?;
            Self::Head(read.head.parse().map_err(|_| BadLine::Shape)?)
        } else {
            fields.remove("time");
            let Some(Value::String(hash)) = fields.remove("hash") else { return Err(BadLine::Shape) };
            let seq = fields.get("seq").and_then(Value::as_i64).ok_or(BadLine::Shape)?;
            Self::Row(AuditRow { seq, text: sorted(&Value::Object(fields)), hash, is_filed_rightly: true })
        };
        if read.write() == line { Ok(read) } else { Err(BadLine::Form) }
    }
}

/// An entry as the cells of a CSV line, safe to be opened by a spreadsheet.
#[must_use]
pub fn csv_record(entry: &AuditEntry) -> [String; 10] {
    let text = |part: Option<String>| part.unwrap_or_default();
    [
        entry.seq.to_string(),
        exact(entry.at),
        entry.code.to_string(),
        entry.code.says().to_owned(),
        text(entry.by.as_ref().map(ToString::to_string)),
        text(entry.person.as_ref().map(ToString::to_string)),
        text(entry.grant.as_ref().map(ToString::to_string)),
        text(entry.ticket.as_ref().map(ToString::to_string)),
        sorted(&entry.detail),
        entry.hash.clone(),
    ]
    .map(defused)
}

/// A spreadsheet takes a cell that begins so for a formula.
fn defused(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}") } else { cell }
}

/// RFC 3339 in UTC, to the millisecond.
fn exact(at: Timestamp) -> String {
    let text = at.rfc3339();
    match text.strip_suffix('Z') {
        Some(seconds) => format!("{seconds}.{:03}Z", at.millis().rem_euclid(1000)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{By, Code, Prunable, canonical, link};

    fn row(detail: Value) -> AuditRow {
        let at = Timestamp::from_millis(1_781_042_387_005);
        let entry = AuditEntry { seq: 1, ..AuditEntry::new(Code::StepDone, at, By::operator("=alice"), detail) };
        let text = canonical(&entry).unwrap();
        AuditRow { seq: 1, hash: link("", &text), text, is_filed_rightly: true }
    }

    /// F140: nothing is lost on the way, whatever stands in an entry.
    #[test]
    fn a_line_is_read_as_it_was_written() {
        let hostile =
            json!({"a": "\u{2028}\"\\\n\u{0}é😀", "b": [1.5, -0.0, 1e300, u64::MAX, i64::MIN, null, true], "time": 1});
        let row = row(hostile);
        let line = Line::Row(row.clone());
        let written = line.write();
        assert!(!written.contains('\n') && written.contains(r#""time":"2026-06-09T21:59:47.005Z""#), "{written}");
        assert_eq!(Line::read(&written), Ok(line));
        let at = Timestamp::from_millis(7);
        let gone = Prunable { seq: 7, hash: "ab".repeat(32), entries: 7, from: at, to: at };
        for line in [
            Line::Checkpoint(Checkpoint { gone, signature: "cd".repeat(32) }),
            Line::Head(Head::new(7, "ab".repeat(32))),
        ] {
            assert_eq!(Line::read(&line.write()), Ok(line));
        }
    }

    /// Another reader may believe the first of two names, or another time than the one that was hashed.
    #[test]
    fn a_line_that_says_two_things_is_refused() {
        let written = Line::Row(row(json!({}))).write();
        for forged in [
            written.replace("{\"at\"", "{\"code\":\"grant.active\",\"at\""),
            written.replace("21:59:47", "22:59:47"),
            written.replace("\"time\"", "\"times\""),
            written.replace(":{},", ": {},"),
            format!("{written} "),
        ] {
            assert_eq!(Line::read(&forged), Err(BadLine::Form), "{forged}");
        }
        for rubbish in
            ["", "null", "[]", "{}", "{\"hash\":1,\"seq\":1}", "{\"head\":\"1\"}", "{\"checkpoint\":{}}", "{"]
        {
            assert_eq!(Line::read(rubbish), Err(BadLine::Shape), "{rubbish}");
        }
    }

    /// F140: no cell is a formula.
    #[test]
    fn no_cell_begins_like_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(defused(bad.to_owned()), format!("'{bad}"));
        }
        assert_eq!(defused("a=1".to_owned()), "a=1");
        let cells = csv_record(&row(json!("=cmd|' /C calc'!A0")).entry().unwrap());
        assert_eq!(cells.len(), CSV_HEADER.len());
        assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{cells:?}");
        assert_eq!(cells[1], "2026-06-09T21:59:47.005Z");
        assert_eq!(cells[4], "operator =alice");
    }
}
