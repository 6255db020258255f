//! Instants as the directory writes them. The simulator itself counts epoch milliseconds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Epoch milliseconds, UTC.
pub(super) type Ms = i64;

pub(super) const SECOND: Ms = 1_000;
pub(super) const MINUTE: Ms = 60 * SECOND;
pub(super) const DAY: Ms = 24 * 60 * MINUTE;

/// `2026-09-01T10:00:00Z`, with a fraction only when there is one.
pub(super) fn iso(at: Ms) -> String {
    instant(at).format(&Rfc3339).unwrap_or_else(|_| format!("{at}"))
}

/// The zoneless form inside Graph's `innerError`.
pub(super) fn iso_seconds(at: Ms) -> String {
    let shape = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    instant(at).format(&shape).unwrap_or_else(|_| format!("{at}"))
}

/// `2026-09-01 10:00:00Z`, as the token endpoint writes it.
pub(super) fn iso_spaced(at: Ms) -> String {
    format!("{}Z", iso_seconds(at).replace('T', " "))
}

pub(super) fn parse_iso(text: &str) -> Option<Ms> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Ms::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// ISO-8601 durations of days, hours, minutes and seconds: `PT4H`, `P180D`, `P1DT12H30M`.
pub(super) fn parse_duration(text: &str) -> Option<Ms> {
    let rest = text.strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    if rest.is_empty() || rest.ends_with('T') {
        return None;
    }
    let days = units(days, &[('D', DAY)])?;
    let clock = units(clock, &[('H', 60 * MINUTE), ('M', MINUTE), ('S', SECOND)])?;
    days.checked_add(clock)
}

fn units(text: &str, known: &[(char, Ms)]) -> Option<Ms> {
    let mut sum: Ms = 0;
    let mut digits = String::new();
    let mut next = 0;
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let at = next + known[next..].iter().position(|(unit, _)| *unit == c)?;
        let amount: Ms = std::mem::take(&mut digits).parse().ok()?;
        sum = sum.checked_add(amount.checked_mul(known[at].1)?)?;
        next = at + 1;
    }
    digits.is_empty().then_some(sum)
}

fn instant(at: Ms) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_order_and_nothing_else_is() {
        assert_eq!(parse_duration("PT4H"), Some(4 * 60 * MINUTE));
        assert_eq!(parse_duration("P180D"), Some(180 * DAY));
        assert_eq!(parse_duration("P1DT1H30M"), Some(DAY + 90 * MINUTE));
        for bad in ["", "P", "PT", "4H", "PT4", "PTH", "PT1M1H", "PT1X", "P1H"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_survive_a_round_trip() {
        let at = parse_iso("2026-09-01T10:00:00Z").expect("a valid instant");
        assert_eq!(iso(at), "2026-09-01T10:00:00Z");
        assert_eq!(iso(at + 1_900), "2026-09-01T10:00:01.9Z");
        assert_eq!(iso_spaced(at), "2026-09-01 10:00:00Z");
    }
}
