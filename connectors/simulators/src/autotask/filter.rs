//! The vendor's filters: operators as written, groups, one user-defined field at most; a misspelt operator is ignored.

use serde_json::Value;

use super::errors::Refusal;
use crate::clock::parse_ms;

/// Conditions that one call may hold.
const MOST: usize = 500;

/// Every condition of the top level must hold.
#[derive(Debug)]
pub(super) struct Filters(Vec<Value>);

/// The property of that name, whatever its case.
pub(super) fn prop<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    body.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl Filters {
    pub(super) fn read(body: &Value) -> Result<Self, Refusal> {
        let filters = prop(body, "filter").and_then(Value::as_array).cloned().unwrap_or_default();
        if filters.is_empty() {
            return Err(Refusal::said("At least one filter is required in parameter filters."));
        }
        let (count, udfs) = filters.iter().map(size).fold((0, 0), |(c, u), (dc, du)| (c + dc, u + du));
        if count > MOST {
            return Err(Refusal::said("A query may hold at most 500 conditions."));
        }
        if udfs > 1 {
            return Err(Refusal::said("Only one user-defined field can be queried at a time."));
        }
        Ok(Self(filters))
    }

    /// The one condition there is, as field, operator and value.
    pub(super) fn only(&self) -> Option<(String, String, Value)> {
        match self.0.as_slice() {
            [one] => Some((
                prop(one, "field")?.as_str()?.to_owned(),
                prop(one, "op")?.as_str()?.to_owned(),
                prop(one, "value").cloned().unwrap_or_default(),
            )),
            _ => None,
        }
    }

    pub(super) fn hold(&self, row: &Value) -> Result<bool, Refusal> {
        for filter in &self.0 {
            if !holds(filter, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn size(filter: &Value) -> (usize, usize) {
    match prop(filter, "items").and_then(Value::as_array) {
        Some(items) => items.iter().map(size).fold((0, 0), |(c, u), (dc, du)| (c + dc, u + du)),
        None => {
            let values = prop(filter, "value").and_then(Value::as_array).map_or(1, Vec::len);
            (values, usize::from(prop(filter, "udf") == Some(&Value::Bool(true))))
        }
    }
}

fn holds(filter: &Value, row: &Value) -> Result<bool, Refusal> {
    let op = prop(filter, "op").and_then(Value::as_str).unwrap_or_default();
    if let Some(items) = prop(filter, "items").and_then(Value::as_array) {
        let mut each = items.iter().map(|item| holds(item, row));
        return match op {
            "or" => each.try_fold(false, |any, one| Ok(any | one?)),
            _ => each.try_fold(true, |all, one| Ok(all & one?)),
        };
    }
    let field = prop(filter, "field").and_then(Value::as_str).unwrap_or_default();
    let is_udf = prop(filter, "udf") == Some(&Value::Bool(true));
    let found = if is_udf { udf(row, field) } else { prop(row, field).cloned() };
    let Some(found) = found else {
        return match is_udf {
            true => Ok(op == "notExist"),
            false => Err(Refusal::said(format!("The field {field} does not exist or cannot be queried."))),
        };
    };
    let value = prop(filter, "value").cloned().unwrap_or_default();
    compare(op, &found, &value)
}

fn udf(row: &Value, name: &str) -> Option<Value> {
    let list = row.get("userDefinedFields")?.as_array()?;
    list.iter().find(|udf| udf["name"] == name).map(|udf| udf["value"].clone())
}

fn compare(op: &str, found: &Value, value: &Value) -> Result<bool, Refusal> {
    if matches!(found, Value::Bool(_)) && matches!(op, "eq" | "noteq") && !value.is_boolean() {
        return Err(Refusal::said("Unexpected character encountered while parsing value: a boolean was expected."));
    }
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let is_in = || value.as_array().is_some_and(|values| values.iter().any(|value| is_same(found, value)));
    let order = || order(found, value);
    Ok(match op {
        "eq" => is_same(found, value),
        "noteq" => !is_same(found, value),
        "gt" => order().is_some_and(std::cmp::Ordering::is_gt),
        "gte" => order().is_some_and(std::cmp::Ordering::is_ge),
        "lt" => order().is_some_and(std::cmp::Ordering::is_lt),
        "lte" => order().is_some_and(std::cmp::Ordering::is_le),
        "beginsWith" => lower(found).starts_with(&lower(value)),
        "endsWith" => lower(found).ends_with(&lower(value)),
        "contains" => lower(found).contains(&lower(value)),
        "exist" => !found.is_null(),
        "notExist" => found.is_null(),
        "in" => is_in(),
        "notIn" => !is_in(),
        // A misspelt operator filters nothing, and says nothing.
        _ => true,
    })
}

fn is_same(found: &Value, value: &Value) -> bool {
    match (found, value) {
        (Value::String(a), Value::String(b)) => a.eq_ignore_ascii_case(b) || (at(a).is_some() && at(a) == at(b)),
        (Value::Number(a), Value::String(b)) => a.to_string() == *b,
        (a, b) => a == b,
    }
}

fn order(found: &Value, value: &Value) -> Option<std::cmp::Ordering> {
    match (found, value) {
        (Value::String(a), Value::String(b)) => match (at(a), at(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => Some(a.cmp(b)),
        },
        (a, b) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// A date, with or without a zone.
fn at(text: &str) -> Option<i64> {
    parse_ms(text).or_else(|| parse_ms(&format!("{text}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hold(filter: Value, row: Value) -> Result<bool, Refusal> {
        Filters::read(&json!({ "Filter": filter }))?.hold(&row)
    }

    #[test]
    fn operators_are_what_they_say() {
        let row = json!({"id": 7, "status": 8, "queueID": null, "title": "JIT admin", "isActive": true,
            "lastActivityDate": "2026-09-15T14:57:50.013", "userDefinedFields": [{"name": "JIT", "value": "x"}]});
        for (filter, is) in [
            (json!({"op": "eq", "field": "STATUS", "value": 8}), true),
            (json!({"op": "eq", "field": "status", "value": "8"}), true),
            (json!({"op": "in", "field": "status", "value": [1, 8]}), true),
            (json!({"op": "notIn", "field": "status", "value": [1, 8]}), false),
            (json!({"op": "notExist", "field": "queueID"}), true),
            (json!({"op": "beginsWith", "field": "title", "value": "jit"}), true),
            (json!({"op": "gte", "field": "lastActivityDate", "value": "2026-09-15T14:57:50Z"}), true),
            (json!({"op": "lt", "field": "lastActivityDate", "value": "2026-09-15T14:57:50Z"}), false),
            (
                json!({"op": "or", "items": [{"op": "eq", "field": "id", "value": 1}, {"op": "eq", "field": "id", "value": 7}]}),
                true,
            ),
            (json!({"op": "eq", "field": "JIT", "udf": true, "value": "x"}), true),
            (json!({"op": "noteExist", "field": "status"}), true),
        ] {
            assert_eq!(hold(json!([filter]), row.clone()), Ok(is), "{filter}");
        }
        assert!(hold(json!([]), row.clone()).is_err());
        assert!(hold(json!([{"op": "eq", "field": "nothing", "value": 1}]), row.clone()).is_err());
        assert!(hold(json!([{"op": "eq", "field": "isActive", "value": 1}]), row).is_err());
    }
}
