//! The vendor's dates: UTC, with or without a zone letter. [facts 3.9]

use latchkey_contract::Timestamp;

/// `2024-01-31T15:04:05.307` and `2024-01-31T15:04:05Z` alike.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_without_a_zone_is_utc() {
        let at = parse("2024-01-31T15:04:05.307").unwrap();
        assert_eq!(Some(at), parse("2024-01-31T15:04:05.307Z"));
        assert_eq!(at.millis() % 1000, 307);
        assert_eq!(parse("2024-01-31T16:04:05+01:00"), parse("2024-01-31T15:04:05"));
        assert_eq!(parse("yesterday"), None);
    }
}
