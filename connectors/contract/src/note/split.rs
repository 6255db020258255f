//! A long text in parts that fit a vendor's notes.

/// A text in parts of at most `max` UTF-16 units, cut between lines where that is possible. Never empty.
#[must_use]
pub fn split(text: &str, max: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut room = max;
    for line in text.split_inclusive('\n') {
        if units(line) > room && room < max {
            parts.push(String::new());
            room = max;
        }
        for c in line.chars() {
            if c.len_utf16() > room {
                parts.push(String::new());
                room = max;
            }
            if let Some(part) = parts.last_mut() {
                part.push(c);
            }
            room -= c.len_utf16();
        }
    }
    for part in &mut parts {
        part.truncate(part.trim_end().len());
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { vec![String::new()] } else { parts }
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_is_one_part() {
        assert_eq!(split("one\ntwo\n", 100), ["one\ntwo"]);
        assert_eq!(split("", 100), [""]);
    }

    #[test]
    fn a_long_text_is_cut_between_lines() {
        assert_eq!(split("aaaa\nbbbb\ncc", 10), ["aaaa\nbbbb", "cc"]);
        assert_eq!(split("aaaa\nbbbbbbb", 10), ["aaaa", "bbbbbbb"]);
        assert_eq!(split("aaaaaaaaaaaa\nb", 10), ["aaaaaaaaaa", "aa\nb"]);
    }

    proptest! {
        #[test]
        fn parts_fit_and_lose_nothing_but_blanks(text in "(\\PC{0,30}\n?){0,20}", max in 2_usize..40) {
            let parts = split(&text, max);
            prop_assert!(parts.iter().all(|p| units(p) <= max));
            let solid = |t: &str| t.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(solid(&parts.concat()), solid(&text));
        }
    }
}
