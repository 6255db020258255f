//! Free text from outside, made harmless for one line of a log, note or page.

/// At most `max` characters of `text`, control characters replaced by spaces: fit for one line.
///
/// Bidirectional overrides and zero-width characters are dropped too, since they make a line read
/// as something it is not.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    let clean = text
        .chars()
        .filter(|c| !is_deceptive(*c))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    let mut line: String = clean.clone().take(max).collect();
    if clean.count() > max {
        line.pop();
        line.push('…');
    }
    line
}

const fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// An error and its causes on one bounded line. Errors of this program carry no secrets and no foreign text but codes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    one_line(&line, 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_bounded() {
        assert_eq!(one_line("a\r\nb", 10), "a  b");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("admin\u{202E}gpj", 20), "admingpj");
    }
}
