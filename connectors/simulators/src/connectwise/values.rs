//! The values a client may send: plain properties, references, texts, flags, custom fields.

use serde_json::{Value, json};

use super::errors::FieldError;
use super::patch::Assignment;
use super::state::Field;

pub(super) enum Shape {
    Flag,
    /// With its longest length in characters.
    Text(usize),
    /// Low, Medium, High.
    Grade,
    /// To a table that is not played: the id is kept unresolved.
    Reference,
}

/// Writable properties without rules of their own.
pub(super) const PLAIN: &[(&str, Shape)] = &[
    ("automaticEmailCc", Shape::Text(1000)),
    ("automaticEmailCcFlag", Shape::Flag),
    ("automaticEmailContactFlag", Shape::Flag),
    ("automaticEmailResourceFlag", Shape::Flag),
    ("contact", Shape::Reference),
    ("contactEmailAddress", Shape::Text(250)),
    ("contactName", Shape::Text(62)),
    ("contactPhoneNumber", Shape::Text(20)),
    ("customerUpdatedFlag", Shape::Flag),
    ("externalXRef", Shape::Text(100)),
    ("impact", Shape::Grade),
    ("item", Shape::Reference),
    ("priority", Shape::Reference),
    ("severity", Shape::Grade),
    ("site", Shape::Reference),
    ("source", Shape::Reference),
    ("subType", Shape::Reference),
    ("team", Shape::Reference),
];

/// A reference as a client names it; the id wins over a name beside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Id(i64),
    Name(String),
}

impl Wanted {
    /// From `{"id":…}`, `{"name":…}`, `{"identifier":…}` or the same as a sub-path; `None` clears.
    pub(super) fn of(field: &str, a: &Assignment) -> Result<Option<Self>, FieldError> {
        let Some(value) = &a.value else { return Ok(None) };
        let object = match a.path.as_slice() {
            [_] => value.clone(),
            [_, sub] => json!({ sub.as_str(): value }),
            _ => return Err(FieldError::invalid(field, "The path is too long.")),
        };
        let named = || ["identifier", "name"].iter().find_map(|key| object[key].as_str());
        match (object["id"].as_i64(), named()) {
            (Some(id), _) => Ok(Some(Self::Id(id))),
            (None, Some(name)) => Ok(Some(Self::Name(name.to_owned()))),
            (None, None) => Err(FieldError::missing(&format!("{field}/id"))),
        }
    }

    pub(super) fn is(&self, id: i64, names: &[&str]) -> bool {
        match self {
            Self::Id(wanted) => *wanted == id,
            Self::Name(wanted) => names.iter().any(|n| n.eq_ignore_ascii_case(wanted)),
        }
    }

    pub(super) fn unknown(&self, field: &str, noun: &str) -> FieldError {
        let (sub, called) = match self {
            Self::Id(id) => ("id", id.to_string()),
            Self::Name(name) => ("name", name.clone()),
        };
        FieldError::not_found(&format!("{field}/{sub}"), format!("{noun} {called} not found"))
    }
}

/// A non-null string of at most `max` characters.
pub(super) fn text(field: &str, value: Option<&Value>, max: usize) -> Result<String, FieldError> {
    let text = match value {
        None => return Err(FieldError::missing(field)),
        Some(Value::String(text)) => text,
        Some(_) => return Err(FieldError::invalid(field, "The value must be a string.")),
    };
    if text.chars().count() > max {
        let message = format!("The field {field} must be a string with a maximum length of {max}.");
        return Err(FieldError::invalid(field, message));
    }
    Ok(text.clone())
}

pub(super) fn flag(field: &str, value: Option<&Value>) -> Result<bool, FieldError> {
    let flag = value.and_then(Value::as_bool);
    flag.ok_or_else(|| FieldError::invalid(field, "The value must be true or false."))
}

/// Checks a value against its field's type and list of options; null clears.
pub(super) fn field_value(field: &Field, value: &Value) -> Result<Value, FieldError> {
    let fits = match (value, field.kind.as_str()) {
        (Value::Null, _) => true,
        (Value::Bool(_), kind) => kind == "Checkbox",
        (Value::Number(_), kind) => ["Number", "Percent", "Currency"].contains(&kind),
        (Value::String(_), kind) => !["Checkbox", "Number", "Percent", "Currency"].contains(&kind),
        _ => false,
    };
    let listed = match value.as_str() {
        Some(text) if ["List", "Option"].contains(&field.entry.as_str()) => field.options.iter().any(|o| o == text),
        _ => true,
    };
    if fits && listed {
        Ok(value.clone())
    } else {
        let message = format!("{value} is not a valid value for {}", field.caption);
        Err(FieldError::invalid("customFields", message))
    }
}
