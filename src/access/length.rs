//! How long access lasts: whole minutes, never "for ever".

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// 2 minutes to 30 days, in whole minutes. Written `90m`, `4h`, `3d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(u32);

/// Why a text or number is not a length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length: write whole minutes, hours or days as 90m, 4h or 3d, from 2m to 30d")]
pub struct BadLength(String);

impl Length {
    /// For settings.
    pub const ONE_HOUR: Self = Self(60);

    /// For settings.
    pub const EIGHT_HOURS: Self = Self(480);

    /// The default end where a policy names none.
    pub const FOUR_HOURS: Self = Self(240);

    /// From whole minutes.
    ///
    /// # Errors
    /// [`BadLength`] outside 2 to 43,200.
    pub fn minutes(minutes: u32) -> Result<Self, BadLength> {
        if (2..=43_200).contains(&minutes) { Ok(Self(minutes)) } else { Err(BadLength(format!("{minutes}m"))) }
    }

    /// Reads our own spelling (`4h`).
    ///
    /// # Errors
    /// [`BadLength`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadLength> {
        let bad = || BadLength(text.chars().take(40).collect());
        let text = text.trim();
        let unit = text.chars().last().ok_or_else(bad)?;
        let factor = match unit {
            'm' => 1,
            'h' => 60,
            'd' => 1440,
            _ => return Err(bad()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u32 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(factor).and_then(|m| Self::minutes(m).ok()).ok_or_else(bad)
    }

    /// Reads what a PSA field may hold: our spelling, bare minutes, or `1 hour`, `30 minutes`, `2 days`.
    ///
    /// # Errors
    /// [`BadLength`] for anything else: a field that cannot be read never becomes a default.
    pub fn from_field(text: &str) -> Result<Self, BadLength> {
        let bad = || BadLength(text.chars().take(40).collect());
        let lower = text.trim().to_ascii_lowercase();
        if let Ok(length) = Self::parse(&lower) {
            return Ok(length);
        }
        let (number, unit) = match lower.split_once(char::is_whitespace) {
            Some((number, unit)) => (number, unit.trim()),
            None => (lower.as_str(), "minutes"),
        };
        let letter = match unit {
            "min" | "mins" | "minute" | "minutes" => 'm',
            "hr" | "hrs" | "hour" | "hours" => 'h',
            "day" | "days" => 'd',
            _ => return Err(bad()),
        };
        Self::parse(&format!("{number}{letter}")).map_err(|_| bad())
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 60)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            m if m % 1440 == 0 => write!(f, "{}d", m / 1440),
            m if m % 60 == 0 => write!(f, "{}h", m / 60),
            m => write!(f, "{m}m"),
        }
    }
}

impl TryFrom<String> for Length {
    type Error = BadLength;
    fn try_from(text: String) -> Result<Self, BadLength> {
        Self::parse(&text)
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F40, F41: from 2 to 43,200 whole minutes, and nothing else.
    #[test]
    fn lengths_are_whole_minutes_within_bounds() {
        assert_eq!(Length::parse("4h").unwrap(), Length::FOUR_HOURS);
        assert_eq!(Length::parse("240m").unwrap().to_string(), "4h");
        assert_eq!(Length::parse("43200m").unwrap().to_string(), "30d");
        for (minutes, is_one) in [(0, false), (1, false), (2, true), (37, true), (43_200, true), (43_201, false)] {
            assert_eq!(Length::minutes(minutes).is_ok(), is_one, "{minutes}");
        }
        for bad in ["", "1m", "31d", "4", "h", "-4h", "1.5h", "4 h", "∞", "99999999999h", "٤h"] {
            assert!(Length::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_psa_field_may_speak_plainly_but_never_vaguely() {
        for (text, minutes) in [("1 hour", 60), ("2 Hours", 120), ("30 minutes", 30), ("90", 90), ("3 days", 4320)] {
            assert_eq!(Length::from_field(text).unwrap(), Length::minutes(minutes).unwrap(), "{text}");
        }
        for bad in ["for ever", "an hour", "1 hour please", "1h 30m", "0", "1 fortnight"] {
            assert!(Length::from_field(bad).is_err(), "{bad:?}");
        }
    }
}
