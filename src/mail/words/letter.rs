//! How every mail looks: what is said, the facts below it, a link, and why one gets it.

use askama::Template;
use latchkey_contract::{Timestamp, text::one_line};
use url::Url;

use super::Written;

/// The longest paragraph, in characters.
const LONGEST_PARAGRAPH: usize = 600;

/// The longest fact, in characters.
const LONGEST_FACT: usize = 300;

/// The longest subject, in characters. Ids are short enough to fit.
const LONGEST_SUBJECT: usize = 200;

/// The longest address that is linked to, in characters.
const LONGEST_LINK: usize = 1000;

/// How much a mail asks of its reader, in words and in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// To know.
    Calm,
    /// To look after.
    Care,
    /// To act on.
    Act,
}

/// What is said of a tone, and how that looks: for mail programs that read no style sheet, ground and ink.
#[derive(Debug)]
struct Badge {
    words: &'static str,
    class: &'static str,
    ground: &'static str,
    ink: &'static str,
}

impl Tone {
    const fn badge(self) -> Option<Badge> {
        match self {
            Self::Calm => None,
            Self::Care => {
                Some(Badge { words: "Please look after this", class: "care", ground: "#fbf1dc", ink: "#7a5000" })
            }
            Self::Act => Some(Badge { words: "Please act", class: "act", ground: "#fbecea", ink: "#a5342a" }),
        }
    }
}

/// A name and a value, the value perhaps a link.
#[derive(Debug)]
struct Fact {
    name: &'static str,
    value: String,
    link: Option<String>,
}

/// A mail before it is written.
#[derive(Debug)]
pub(super) struct Letter {
    subject: String,
    tone: Tone,
    title: &'static str,
    paragraphs: Vec<String>,
    facts: Vec<Fact>,
    action: Option<(&'static str, String)>,
    because: String,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// `subject` must be made of our own words, ids and times alone.
    pub(super) fn new(tone: Tone, title: &'static str, subject: &str) -> Self {
        Self {
            subject: one_line(&format!("Latchkey: {subject}"), LONGEST_SUBJECT),
            tone,
            title,
            paragraphs: Vec::new(),
            facts: Vec::new(),
            action: None,
            because: String::new(),
        }
    }

    pub(super) fn says(mut self, paragraph: &str) -> Self {
        self.paragraphs.push(one_line(paragraph, LONGEST_PARAGRAPH));
        self
    }

    pub(super) fn fact(mut self, name: &'static str, value: &str) -> Self {
        self.facts.push(Fact { name, value: one_line(value.trim(), LONGEST_FACT), link: None });
        self
    }

    /// A fact that may not have been found out.
    pub(super) fn known(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.fact(name, value),
            None => self,
        }
    }

    pub(super) fn time(self, name: &'static str, at: Timestamp) -> Self {
        self.fact(name, &at.for_people())
    }

    /// A fact that leads somewhere, where `link` is an address that may be followed.
    pub(super) fn linked(mut self, name: &'static str, value: &str, link: &str) -> Self {
        self = self.fact(name, value);
        if let (Some(fact), Some(link)) = (self.facts.last_mut(), followable(link)) {
            fact.link = Some(link);
        }
        self
    }

    /// What the reader may do here, where `link` is an address that may be followed.
    pub(super) fn action(mut self, words: &'static str, link: &str) -> Self {
        self.action = followable(link).map(|link| (words, link));
        self
    }

    /// Why the reader gets this.
    pub(super) fn because(mut self, why: &str) -> Self {
        self.because = one_line(&format!("Latchkey sends you this because {why}"), LONGEST_PARAGRAPH);
        self
    }

    pub(super) fn write(&self) -> Written {
        const PROOF: &str = "writing into a String does not fail, and these templates call nothing that can";
        Written {
            subject: self.subject.clone(),
            text: Text { letter: self }.render().expect(PROOF),
            html: Html { letter: self }.render().expect(PROOF),
        }
    }
}

/// An address that a click may open: of the web, without a login in it, whole.
fn followable(link: &str) -> Option<String> {
    let url = Url::parse(link).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.as_str().chars().count() <= LONGEST_LINK;
    is_plain.then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_linked() {
        for good in ["https://na.myconnectwise.net/v4/?recordId=48211", "http://127.0.0.1:8080/claim/01JZ"] {
            assert_eq!(followable(good).as_deref(), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,<b>x</b>",
            "ftp://example.com/",
            "https://bank.example@evil.example/",
            "//evil.example",
            "",
            &format!("https://example.com/{}", "a".repeat(LONGEST_LINK)),
        ] {
            assert_eq!(followable(bad), None, "{bad}");
        }
        let split = followable("https://example.com/a\r\nb\"><img src=x>").unwrap();
        assert!(!split.contains(['\r', '\n', '"', '<', '>']), "{split}");
    }
}
