//! `$filter`: the part of OData's expression language that the directory answers.
//!
//! Everything else is an error, because a filter that is silently ignored means "all".

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::time::parse_iso;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare(String, Op, Value),
    In(String, Vec<Value>),
    StartsWith(String, String),
    EndsWith(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Filter {
    /// `None` when the text is not in the language.
    pub(super) fn parse(text: &str) -> Option<Self> {
        super::filter_text::parse(text)
    }

    pub(super) fn matches(&self, object: &Map<String, Value>) -> bool {
        match self {
            Self::And(a, b) => a.matches(object) && b.matches(object),
            Self::Or(a, b) => a.matches(object) || b.matches(object),
            Self::Not(inner) => !inner.matches(object),
            Self::Compare(path, op, value) => op.holds(look_up(object, path), value),
            Self::In(path, values) => values.iter().any(|value| Op::Eq.holds(look_up(object, path), value)),
            Self::StartsWith(path, start) => {
                folded(object, path).is_some_and(|text| text.starts_with(&start.to_lowercase()))
            }
            Self::EndsWith(path, end) => folded(object, path).is_some_and(|text| text.ends_with(&end.to_lowercase())),
        }
    }

    /// Property paths that the filter reads.
    pub(super) fn paths(&self) -> Vec<&str> {
        match self {
            Self::And(a, b) | Self::Or(a, b) => [a.paths(), b.paths()].concat(),
            Self::Not(inner) => inner.paths(),
            Self::Compare(path, ..) | Self::In(path, _) | Self::StartsWith(path, _) | Self::EndsWith(path, _) => {
                vec![path]
            }
        }
    }

    /// Whether only the advanced query engine answers it.
    pub(super) fn is_advanced(&self) -> bool {
        match self {
            Self::And(a, b) | Self::Or(a, b) => a.is_advanced() || b.is_advanced(),
            Self::Not(_) | Self::EndsWith(..) => true,
            Self::Compare(_, op, _) => *op == Op::Ne,
            Self::In(..) | Self::StartsWith(..) => false,
        }
    }

    /// The value that the filter pins a property to, when it is an `and` of equalities.
    pub(super) fn pinned(&self, property: &str) -> Option<&Value> {
        match self {
            Self::And(a, b) => a.pinned(property).or_else(|| b.pinned(property)),
            Self::Compare(path, Op::Eq, value) if path == property => Some(value),
            _ => None,
        }
    }
}

impl Op {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = compare(left, right);
        match self {
            Self::Eq => order == Some(Ordering::Equal),
            Self::Ne => order != Some(Ordering::Equal),
            Self::Gt => order == Some(Ordering::Greater),
            Self::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Lt => order == Some(Ordering::Less),
            Self::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        }
    }
}

/// The directory compares text without case, and instants as instants.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => match (parse_iso(a), parse_iso(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => Some(a.to_lowercase().cmp(&b.to_lowercase())),
        },
        _ => None,
    }
}

fn look_up<'o>(object: &'o Map<String, Value>, path: &str) -> &'o Value {
    let mut steps = path.split('/');
    let mut here = steps.next().and_then(|first| object.get(first)).unwrap_or(&Value::Null);
    for step in steps {
        here = &here[step];
    }
    here
}

fn folded(object: &Map<String, Value>, path: &str) -> Option<String> {
    look_up(object, path).as_str().map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(filter: &str) -> bool {
        let object = json!({
            "displayName": "O'Neil", "accountEnabled": true, "jobTitle": null,
            "createdDateTime": "2026-09-01T10:00:00Z",
            "onPremisesExtensionAttributes": {"extensionAttribute1": "g_1"},
        });
        let object = object.as_object().expect("an object");
        Filter::parse(filter).expect(filter).matches(object)
    }

    #[test]
    fn the_language_of_the_directory_is_understood() {
        assert!(holds("displayName eq 'o''neil'"));
        assert!(holds("startswith(displayName,'O''N') and accountEnabled eq true"));
        assert!(holds("displayName in ('x', 'O''Neil')"));
        assert!(holds("jobTitle eq null and not (displayName eq 'x')"));
        assert!(holds("createdDateTime ge 2026-09-01T10:00:00Z"));
        assert!(holds("createdDateTime lt 2026-09-01T12:00:01+02:00"));
        assert!(holds("onPremisesExtensionAttributes/extensionAttribute1 ne null"));
        assert!(!holds("missing ne null or accountEnabled eq false"));
    }

    #[test]
    fn anything_else_is_not_understood() {
        for text in [
            "",
            "displayName",
            "displayName eq",
            "displayName eq 'x",
            "displayName like 'x'",
            "displayName eq 'x' xor a eq 'b'",
            "t/any(x: x eq 'b')",
            "displayName eq other",
            "(displayName eq 'x'",
            "displayName in ()",
        ] {
            assert_eq!(Filter::parse(text), None, "{text}");
        }
        assert_eq!(Filter::parse(&"(".repeat(100_000)), None);
        assert_eq!(Filter::parse(&"not ".repeat(100_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z$'(),/ é0-9-]{0,60}") {
            let _ = Filter::parse(&text);
        }
    }
}
