//! The vendor's filter language, built so that a value stays a value.
//!
//! No way of escaping a quote is documented, so none is relied on: a text that could end its own quotes is not
//! escaped but refused, and the caller answers without a call ("no such member").

use latchkey_contract::Timestamp;

/// A filter: one comparison, or several that must all hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Conditions(String);

/// How many record numbers one filter names: the vendor's hosts take URLs of about 2,000 characters.
pub(crate) const IDS_PER_CALL: usize = 80;

/// How a text is compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Match {
    Equals,
    Contains,
}

impl Conditions {
    /// One comparison of a field with a text; `None` when the text cannot be written safely.
    pub(crate) fn text(field: &'static str, how: Match, value: &str) -> Option<Self> {
        let op = match how {
            Match::Equals => "=",
            Match::Contains => " contains ",
        };
        Some(Self(format!("{field}{op}{}", quoted(value)?)))
    }

    /// One comparison of a field with a flag.
    pub(crate) fn flag(field: &'static str, value: bool) -> Self {
        Self(format!("{field}={value}"))
    }

    /// A field that is one of these record numbers.
    pub(crate) fn one_of(field: &'static str, numbers: &[u32]) -> Self {
        let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
        Self(format!("{field} in ({})", list.join(",")))
    }

    /// A field that is at or after an instant, in whole seconds.
    pub(crate) fn since(field: &'static str, at: Timestamp) -> Self {
        Self(format!("{field} >= [{}]", at.rfc3339()))
    }

    /// A field that is before an instant, in whole seconds.
    pub(crate) fn before(field: &'static str, at: Timestamp) -> Self {
        Self(format!("{field} < [{}]", at.rfc3339()))
    }

    /// Both.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self(format!("{} and {}", self.0, other.0))
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// A literal in the kind of quotes that the value does not hold. A backslash is refused because it might be read as
/// an escape, a percent sign because it is a wildcard elsewhere in the language.
fn quoted(value: &str) -> Option<String> {
    let is_safe = |c: char| !c.is_control() && !matches!(c, '\\' | '%' | '\u{2018}'..='\u{201F}');
    if value.is_empty() || value.len() > 500 || !value.chars().all(is_safe) {
        return None;
    }
    match (value.contains('"'), value.contains('\'')) {
        (false, _) => Some(format!("\"{value}\"")),
        (true, false) => Some(format!("'{value}'")),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_quoted_so_that_it_stays_one() {
        let text = |v| Conditions::text("identifier", Match::Equals, v).map(Conditions::into_text);
        assert_eq!(text("jdoe").as_deref(), Some("identifier=\"jdoe\""));
        assert_eq!(text("o'brien").as_deref(), Some("identifier=\"o'brien\""));
        assert_eq!(text("a\"b").as_deref(), Some("identifier='a\"b'"));
        for bad in ["", "a\"b'c", "a\\", "a\nb", "a%b", "\u{201C}x"] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
        let part = Conditions::text("url", Match::Contains, "h/p").map(Conditions::into_text);
        assert_eq!(part.as_deref(), Some("url contains \"h/p\""));
        assert_eq!(Conditions::flag("deletedFlag", false).into_text(), "deletedFlag=false");
    }

    #[test]
    fn numbers_and_instants_are_written_as_the_vendor_reads_them() {
        let at = Timestamp::from_millis(1_781_041_200_999);
        let both = Conditions::since("lastUpdated", at).and(&Conditions::one_of("board/id", &[63, 64]));
        assert_eq!(both.into_text(), "lastUpdated >= [2026-06-09T21:40:00Z] and board/id in (63,64)");
        assert_eq!(Conditions::before("lastUpdated", at).into_text(), "lastUpdated < [2026-06-09T21:40:00Z]");
        let many = vec![0x7fff_ffff; IDS_PER_CALL];
        assert!(Conditions::one_of("board/id", &many).into_text().len() < 1_000);
    }

    proptest! {
        /// Whatever a stranger's name is, the filter is one field, one operator, one literal that ends at the end.
        #[test]
        fn no_value_ends_its_own_quotes(value in "[a-z\"'\\\\ =()%\\[\\]\r\n]{0,24}|\\PC{0,24}") {
            if let Some(conditions) = Conditions::text("identifier", Match::Equals, &value) {
                let text = conditions.into_text();
                let literal = text.strip_prefix("identifier=").unwrap();
                let quote = literal.chars().next().unwrap();
                prop_assert!(quote == '"' || quote == '\'');
                prop_assert_eq!(literal.matches(quote).count(), 2);
                prop_assert!(literal.ends_with(quote));
                prop_assert_eq!(&literal[1..literal.len() - 1], value);
                prop_assert!(!literal.contains('\\'));
            }
        }
    }
}
