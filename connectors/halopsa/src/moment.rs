//! Times: the API says UTC without saying so (`2026-10-06T19:16:09.363`), webhooks say it (`…Z`, seven digits).

use latchkey_contract::Timestamp;

/// With or without a fraction, with or without a zone. What lies before 1972 is the vendor's way of writing "never".
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let year: u16 = text.get(..4)?.parse().ok()?;
    let time = text.get(10..)?;
    let has_zone = time.ends_with(['Z', 'z']) || time.contains(['+', '-']);
    let at = if has_zone { Timestamp::parse(text) } else { Timestamp::parse(&format!("{text}Z")) };
    at.filter(|_| year > 1971)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_the_same_instant() {
        let want = Timestamp::parse("2026-10-06T19:16:09.363Z");
        for form in [
            "2026-10-06T19:16:09.363",
            "2026-10-06T19:16:09.363Z",
            "2026-10-06T19:16:09.3630000Z",
            "2026-10-06T21:16:09.363+02:00",
        ] {
            assert_eq!(parse(form), want, "{form}");
        }
        assert_eq!(parse("2026-10-06T19:16:09"), Timestamp::parse("2026-10-06T19:16:09Z"));
        for never in ["1900-01-01T00:00:00", "1971-12-31T00:00:00Z", "", "soon", "2026-10-06"] {
            assert_eq!(parse(never), None, "{never}");
        }
    }
}
