//! Whether a record satisfies a parsed filter.

use serde_json::Value;

use super::conditions::{Expr, Literal, Op, mismatch, syntax};
use super::errors::Refusal;
use crate::clock::parse_ms;

impl Expr {
    /// Whether a record satisfies the filter.
    ///
    /// # Errors
    /// When a literal's kind does not fit the property, which only the record can tell.
    pub(super) fn holds(&self, record: &Value) -> Result<bool, Refusal> {
        Ok(match self {
            Self::And(a, b) => a.holds(record)? && b.holds(record)?,
            Self::Or(a, b) => a.holds(record)? || b.holds(record)?,
            Self::Not(a) => !a.holds(record)?,
            Self::Compare { path, op, value } => compare_any(&resolve(record, path), *op, value)?,
            Self::In { path, values } => {
                let found = resolve(record, path);
                let mut hit = false;
                for value in values {
                    hit |= compare_any(&found, Op::Eq, value)?;
                }
                hit
            }
        })
    }
}

/// Every value the path reaches: lists on the way fan out. `lastUpdated` and its siblings live in
/// `_info` but are addressed as if they did not.
fn resolve<'a>(record: &'a Value, path: &[String]) -> Vec<&'a Value> {
    let mut found = Vec::new();
    walk(record, path, &mut found);
    if found.is_empty() && path.len() == 1 {
        walk(&record["_info"], path, &mut found);
    }
    found
}

fn walk<'a>(value: &'a Value, path: &[String], found: &mut Vec<&'a Value>) {
    match (path.split_first(), value) {
        (None, Value::Null) => {}
        (None, value) => found.push(value),
        (Some(_), Value::Array(items)) => items.iter().for_each(|i| walk(i, path, found)),
        (Some((name, rest)), Value::Object(map)) => {
            if let Some((_, next)) = map.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)) {
                walk(next, rest, found);
            }
        }
        (Some(_), _) => {}
    }
}

/// An absent property is null: equal to `null` alone, different from everything else.
fn compare_any(found: &[&Value], op: Op, literal: &Literal) -> Result<bool, Refusal> {
    match (literal, op) {
        (Literal::Null, Op::Eq) => return Ok(found.is_empty()),
        (Literal::Null, Op::Ne) => return Ok(!found.is_empty()),
        (Literal::Null, _) => return Err(syntax("null can only be compared with = and !=")),
        (_, Op::Ne | Op::NotLike) if found.is_empty() => return Ok(true),
        _ => {}
    }
    let mut hit = false;
    for value in found {
        hit |= compare(value, op, literal)?;
    }
    Ok(hit)
}

fn compare(value: &Value, op: Op, literal: &Literal) -> Result<bool, Refusal> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (value, literal) {
        (Value::String(a), Literal::Text(b)) => {
            // The database behind the vendor compares without case.
            let (a, b) = (a.to_lowercase(), b.to_lowercase());
            match op {
                Op::Contains => return Ok(a.contains(&b)),
                Op::Like => return Ok(like(&a, &b)),
                Op::NotLike => return Ok(!like(&a, &b)),
                _ => Some(a.cmp(&b)),
            }
        }
        (Value::String(a), Literal::Date(b)) => match parse_ms(a) {
            Some(a) => Some(a.cmp(b)),
            None => return Err(mismatch("string", literal)),
        },
        (Value::Number(a), Literal::Number(b)) => a.as_f64().and_then(|a| a.partial_cmp(b)),
        (Value::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Value::String(_), _) => return Err(mismatch("string", literal)),
        (Value::Number(_), _) => return Err(mismatch("numeric", literal)),
        (Value::Bool(_), _) => return Err(mismatch("boolean", literal)),
        (Value::Array(_) | Value::Object(_) | Value::Null, _) => {
            return Err(syntax("a reference is compared through one of its properties"));
        }
    };
    Ok(match op {
        Op::Eq => order == Some(Equal),
        Op::Ne => order != Some(Equal),
        Op::Lt => order == Some(Less),
        Op::Le => matches!(order, Some(Less | Equal)),
        Op::Gt => order == Some(Greater),
        Op::Ge => matches!(order, Some(Greater | Equal)),
        Op::Like | Op::NotLike | Op::Contains => {
            return Err(mismatch("string", literal));
        }
    })
}

/// `%` stands for any run of characters.
fn like(text: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split('%').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return text == pattern };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
