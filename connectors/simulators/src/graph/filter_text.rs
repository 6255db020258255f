//! Reading a `$filter`'s text: words first, then the expression.

use serde_json::Value;

use super::filter::{Filter, Op};

/// `None` when the text is not in the language.
pub(super) fn parse(text: &str) -> Option<Filter> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    let filter = parser.or()?;
    (parser.at == tokens.len()).then_some(filter)
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
