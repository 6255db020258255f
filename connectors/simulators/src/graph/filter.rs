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
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
        let filter = parser.or()?;
        (parser.at == tokens.len()).then_some(filter)
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

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Literal(Value),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = match first {
            '(' => Word::Open,
            ')' => Word::Close,
            ',' => Word::Comma,
            '\'' => {
                let (value, after) = quoted(&rest[1..])?;
                words.push(Word::Literal(Value::String(value)));
                rest = after.trim_start();
                continue;
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "(),'".contains(c)).unwrap_or(rest.len());
                words.push(bare(&rest[..end]));
                rest = rest[end..].trim_start();
                continue;
            }
        };
        words.push(word);
        rest = rest[1..].trim_start();
    }
    Some(words)
}

/// Text up to the closing quote; two quotes are one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '\'') {
            value.push('\'');
            chars.next();
        } else {
            return Some((value, &text[at + 1..]));
        }
    }
    None
}

fn bare(text: &str) -> Word {
    match text {
        "true" => Word::Literal(Value::Bool(true)),
        "false" => Word::Literal(Value::Bool(false)),
        "null" => Word::Literal(Value::Null),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            let number = text.parse::<i64>().map(Value::from);
            Word::Literal(number.unwrap_or_else(|_| Value::String(text.to_owned())))
        }
        _ => Word::Name(text.to_owned()),
    }
}

/// Brackets and `not` may nest this deep.
const DEEPEST: usize = 32;

struct Parser<'t> {
    tokens: &'t [Word],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Option<Filter> {
        let mut left = self.and()?;
        while self.take_name("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Some(left)
    }

    fn and(&mut self) -> Option<Filter> {
        let mut left = self.one()?;
        while self.take_name("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Some(left)
    }

    fn one(&mut self) -> Option<Filter> {
        self.depth += 1;
        let found = if self.depth > DEEPEST {
            None
        } else if self.take(&Word::Open) {
            let inner = self.or()?;
            self.take(&Word::Close).then_some(inner)
        } else if self.take_name("not") {
            Some(Filter::Not(Box::new(self.one()?)))
        } else {
            self.leaf()
        };
        self.depth -= 1;
        found
    }

    fn leaf(&mut self) -> Option<Filter> {
        let name = self.name()?;
        match name.as_str() {
            "startswith" | "startsWith" => {
                let (path, text) = self.arguments()?;
                Some(Filter::StartsWith(path, text))
            }
            "endswith" | "endsWith" => {
                let (path, text) = self.arguments()?;
                Some(Filter::EndsWith(path, text))
            }
            _ => self.comparison(name),
        }
    }

    fn arguments(&mut self) -> Option<(String, String)> {
        if !self.take(&Word::Open) {
            return None;
        }
        let path = self.name()?;
        if !self.take(&Word::Comma) {
            return None;
        }
        let Value::String(text) = self.literal()? else {
            return None;
        };
        self.take(&Word::Close).then_some((path, text))
    }

    fn comparison(&mut self, path: String) -> Option<Filter> {
        let op = match self.name()?.as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "in" => return self.list(path),
            _ => return None,
        };
        Some(Filter::Compare(path, op, self.literal()?))
    }

    fn list(&mut self, path: String) -> Option<Filter> {
        if !self.take(&Word::Open) {
            return None;
        }
        let mut values = vec![self.literal()?];
        while self.take(&Word::Comma) {
            values.push(self.literal()?);
        }
        self.take(&Word::Close).then_some(Filter::In(path, values))
    }

    fn name(&mut self) -> Option<String> {
        let Some(Word::Name(name)) = self.tokens.get(self.at) else {
            return None;
        };
        self.at += 1;
        Some(name.clone())
    }

    fn literal(&mut self) -> Option<Value> {
        let Some(Word::Literal(value)) = self.tokens.get(self.at) else {
            return None;
        };
        self.at += 1;
        Some(value.clone())
    }

    fn take(&mut self, word: &Word) -> bool {
        let is_next = self.tokens.get(self.at) == Some(word);
        self.at += usize::from(is_next);
        is_next
    }

    fn take_name(&mut self, name: &str) -> bool {
        self.take(&Word::Name(name.to_owned()))
    }
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
}
