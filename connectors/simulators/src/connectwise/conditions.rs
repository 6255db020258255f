//! The vendor's filter language: `board/id = 63 and (closedFlag = false or lastUpdated > [..])`.
//!
//! Text is parsed into an [`Expr`] first; a condition that does not parse, names a property the
//! resource does not have, or compares a property with the wrong kind of literal is refused. Records are judged in
//! [`super::matching`].

use super::errors::Refusal;
use crate::clock::parse_ms;

const HINT: &str = "String values should be enclosed with double or single quotes; \
                    DateTime values should be enclosed in square brackets; \
                    Boolean values should be true or false.";

/// Deepest nesting of parentheses and `not`; no client comes near.
const MAX_DEPTH: usize = 32;

/// Properties that hold instants: they compare with `[..]` only.
const DATES: &[&str] = &[
    "lastUpdated",
    "dateEntered",
    "closedDate",
    "dateResolved",
    "dateResponded",
    "dateCreated",
    "enteredDate",
    "requiredDate",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Compare { path: Vec<String>, op: Op, value: Literal },
    In { path: Vec<String>, values: Vec<Literal> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
    NotLike,
    Contains,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
    /// Epoch milliseconds.
    Date(i64),
    Null,
}

impl Literal {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Number(_) => "numeric",
            Self::Bool(_) => "boolean",
            Self::Date(_) => "dateTime",
            Self::Null => "null",
        }
    }
}

/// Parses a whole filter.
///
/// `known` lists the resource's top-level properties; others are refused. An empty list knows all.
pub(super) fn parse(text: &str, known: &[&str]) -> Result<Expr, Refusal> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, known };
    let expr = parser.any(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(syntax(&format!("unexpected {token:?}"))),
    }
}

pub(super) fn mismatch(expected: &str, got: &Literal) -> Refusal {
    Refusal::bad_request(format!("Expected a {expected} value, not a {}. {HINT}", got.kind()))
}

pub(super) fn syntax(what: &str) -> Refusal {
    Refusal::bad_request(format!("The conditions could not be understood: {what}. {HINT}"))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Op(Op),
    /// A property path or one of the words and, or, not, in, like, contains, true, false, null.
    Word(String),
    Value(Literal),
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = token(first, rest)?;
        out.push(token);
        rest = rest[used..].trim_start();
    }
    if out.is_empty() { Err(syntax("it is empty")) } else { Ok(out) }
}

/// The token at the start of `rest` and its length in bytes.
fn token(first: char, rest: &str) -> Result<(Token, usize), Refusal> {
    let two = rest.get(..2).unwrap_or_default();
    Ok(match first {
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        ',' => (Token::Comma, 1),
        _ if two == "!=" => (Token::Op(Op::Ne), 2),
        _ if two == "<=" => (Token::Op(Op::Le), 2),
        _ if two == ">=" => (Token::Op(Op::Ge), 2),
        '=' => (Token::Op(Op::Eq), 1),
        '<' => (Token::Op(Op::Lt), 1),
        '>' => (Token::Op(Op::Gt), 1),
        '"' | '\'' => {
            let end = rest[1..].find(first).ok_or_else(|| syntax("a quote is not closed"))?;
            (Token::Value(Literal::Text(rest[1..=end].to_owned())), end + 2)
        }
        '[' => {
            let end = rest.find(']').ok_or_else(|| syntax("a bracket is not closed"))?;
            let date = parse_date(&rest[1..end]).ok_or_else(|| syntax("the brackets do not hold a date"))?;
            (Token::Value(Literal::Date(date)), end + 1)
        }
        c if c.is_ascii_digit() || c == '-' => {
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '-')).unwrap_or(rest.len());
            let number = rest[..end].parse().map_err(|_| syntax("a number is malformed"))?;
            (Token::Value(Literal::Number(number)), end)
        }
        c if c.is_ascii_alphabetic() || c == '_' => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '/'))).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), end)
        }
        c => return Err(syntax(&format!("unexpected character {c:?}"))),
    })
}

/// With or without a zone, with or without a time: bare values are UTC.
fn parse_date(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_ms(text).or_else(|| parse_ms(&format!("{text}Z"))).or_else(|| parse_ms(&format!("{text}T00:00:00Z")))
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    known: &'a [&'a str],
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Expr, Refusal> {
        let mut left = self.all(depth)?;
        while self.take_word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.all(depth)?));
        }
        Ok(left)
    }

    fn all(&mut self, depth: usize) -> Result<Expr, Refusal> {
        let mut left = self.one(depth)?;
        while self.take_word("and") {
            left = Expr::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Expr, Refusal> {
        if depth > MAX_DEPTH {
            return Err(syntax("it is nested too deeply"));
        }
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(path)) => {
                let path = self.path(&path)?;
                self.comparison(path)
            }
            _ => Err(syntax("a property is expected")),
        }
    }

    fn comparison(&mut self, path: Vec<String>) -> Result<Expr, Refusal> {
        let negated = self.take_word("not");
        let expr = match self.next() {
            Some(Token::Op(op)) if !negated => self.compared(path, op)?,
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "like" if negated => return self.compared(path, Op::NotLike),
                "like" => self.compared(path, Op::Like)?,
                "contains" => self.compared(path, Op::Contains)?,
                "in" => self.list(path)?,
                _ => return Err(syntax(&format!("{word:?} is not an operator"))),
            },
            _ => return Err(syntax("an operator is expected")),
        };
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn compared(&mut self, path: Vec<String>, op: Op) -> Result<Expr, Refusal> {
        let value = self.literal(&path)?;
        Ok(Expr::Compare { path, op, value })
    }

    fn list(&mut self, path: Vec<String>) -> Result<Expr, Refusal> {
        self.expect(&Token::Open)?;
        let mut values = vec![self.literal(&path)?];
        while self.peek() == Some(&Token::Comma) {
            self.at += 1;
            values.push(self.literal(&path)?);
        }
        self.expect(&Token::Close)?;
        Ok(Expr::In { path, values })
    }

    fn literal(&mut self, path: &[String]) -> Result<Literal, Refusal> {
        let value = match self.next() {
            Some(Token::Value(value)) => value,
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                _ => return Err(syntax(&format!("{word:?} is not a value"))),
            },
            _ => return Err(syntax("a value is expected")),
        };
        let is_date = path.last().is_some_and(|p| DATES.iter().any(|d| d.eq_ignore_ascii_case(p)));
        match value {
            Literal::Date(_) | Literal::Null => Ok(value),
            _ if is_date => Err(mismatch("dateTime", &value)),
            _ => Ok(value),
        }
    }

    fn path(&self, text: &str) -> Result<Vec<String>, Refusal> {
        let path: Vec<String> = text.split('/').map(str::to_owned).collect();
        let first = &path[0];
        let known = |list: &[&str]| list.iter().any(|k| k.eq_ignore_ascii_case(first));
        if path.iter().any(String::is_empty) {
            return Err(syntax(&format!("{text:?} is not a property")));
        }
        if !self.known.is_empty() && !known(self.known) && !known(&["lastUpdated", "_info"]) {
            return Err(syntax(&format!("{first:?} is not a property of this resource")));
        }
        Ok(path)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_word(&mut self, word: &str) -> bool {
        let hit = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, token: &Token) -> Result<(), Refusal> {
        match self.next() {
            Some(found) if found == *token => Ok(()),
            _ => Err(syntax(&format!("{token:?} is expected"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(text: &str) -> Result<bool, Refusal> {
        let ticket = json!({"id": 4711, "summary": "JIT admin for ACME", "closedFlag": false,
            "board": {"id": 63, "name": "Help Desk"}, "types": [{"id": 1}, {"id": 2}],
            "_info": {"lastUpdated": "2026-06-09T21:59:49Z"}});
        let known = ["id", "summary", "closedFlag", "board", "types", "owner"];
        parse(text, &known)?.holds(&ticket)
    }

    #[test]
    fn every_operator_of_the_grammar_selects() {
        for yes in [
            "id=4711",
            "id != 4712",
            "id in (1, 4711)",
            "id not in (1,2)",
            "Board/ID = 63 AND closedFlag = false",
            "board/id = 9 or (id >= 4711 and id <= 4711)",
            "summary like \"jit%acme\"",
            "summary like '%admin%'",
            "summary not like 'x%'",
            "summary contains \"ADMIN\"",
            "lastUpdated > [2026-06-09T21:59:48Z]",
            "LastUpdated <= [2026-06-09T23:59:49+02:00]",
            "_info/lastUpdated > [2026-06-09]",
            "owner = null",
            "owner/id != 3",
            "board != null",
            "types/id = 2",
            "not (closedFlag = true)",
        ] {
            assert_eq!(ask(yes), Ok(true), "{yes}");
        }
        for no in ["id = 1", "summary contains 'nothing'", "owner != null", "owner/id = 3"] {
            assert_eq!(ask(no), Ok(false), "{no}");
        }
    }

    #[test]
    fn what_the_vendor_cannot_read_is_refused() {
        for bad in [
            "",
            "id",
            "id =",
            "id = abc",
            "id == 1",
            "closedFlag = 1",
            "id = '4711'",
            "summary = 5",
            "summary = JIT",
            "lastUpdated > '2026-06-09'",
            "lastUpdated > 2026-06-09",
            "lastUpdated > [yesterday]",
            "summary = 'open",
            "(id = 1",
            "id = 1)",
            "id in ()",
            "board = 63",
            "nonsense = 1",
            "id = 1 and",
            "id = 1; drop table",
        ] {
            assert!(ask(bad).is_err(), "{bad}");
        }
        let refused = ask("closedFlag = 1").unwrap_err().text();
        assert!(refused.contains("Expected a boolean value, not a numeric. String values"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = parse(&text, &[]).map(|e| e.holds(&json!({"id": 1})));
        }
    }
}
