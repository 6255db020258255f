//! How values are shown: times, texts with links in them, and what a list offers.

use latchkey_contract::Timestamp;
use latchkey_simulators::clock;

/// A piece of a text: plain, or an address one can follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Plain(String),
    Link { shown: String, leads_to: String },
}

/// Cuts a text at its http addresses. The pieces are as hostile as the text: the template escapes them.
/// `instead` may say where an address is to lead.
pub(super) fn pieces(text: &str, instead: impl Fn(&str) -> Option<String>) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = [rest.find("http://"), rest.find("https://")].into_iter().flatten().min() {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"'`".contains(c)).unwrap_or(from.len());
        let address = from[..end].trim_end_matches(['.', ',', ';', ':', ')', '!']);
        if !before.is_empty() {
            out.push(Piece::Plain(before.to_owned()));
        }
        let leads_to = instead(address).unwrap_or_else(|| address.to_owned());
        out.push(Piece::Link { shown: address.to_owned(), leads_to });
        rest = &from[address.len()..];
    }
    if !rest.is_empty() {
        out.push(Piece::Plain(rest.to_owned()));
    }
    out
}

/// One value of a list that a form offers.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// Values with their labels; the present one is chosen.
pub(super) fn choices(offered: impl IntoIterator<Item = (String, String)>, present: &str) -> Vec<Choice> {
    let choice = |(value, label): (String, String)| Choice { is_chosen: value == present, value, label };
    offered.into_iter().map(choice).collect()
}

/// The same with nothing as the first choice.
pub(super) fn optional(offered: &[(&str, &str)], present: &str) -> Vec<Choice> {
    let offered = [("", "")].iter().chain(offered);
    choices(offered.map(|(value, label)| ((*value).to_owned(), (*label).to_owned())), present)
}

/// `2026-06-09 21:59:47`, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    clock::to_seconds_text(at.millis()).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// The same from a vendor's text, which may leave the zone out; what is not an instant is shown as it is.
pub(super) fn moment_of(text: &str) -> String {
    let at = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")));
    at.map_or_else(|| text.to_owned(), moment)
}

/// How long something is ahead: `2 h 5 min`.
pub(super) fn ahead(by: std::time::Duration) -> String {
    let minutes = by.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_links_and_nothing_else_does() {
        let plain = |text: &str| Piece::Plain(text.to_owned());
        let link = |text: &str| Piece::Link { shown: text.to_owned(), leads_to: text.to_owned() };
        let pieces = |text: &str| super::pieces(text, |_| None);
        assert_eq!(
            pieces("Claim: http://127.0.0.1:9/claim/x?a=b. Then <b>go</b>"),
            [plain("Claim: "), link("http://127.0.0.1:9/claim/x?a=b"), plain(". Then <b>go</b>")]
        );
        assert_eq!(pieces("javascript:alert(1)"), [plain("javascript:alert(1)")]);
        assert_eq!(pieces("https://a\"onclick=x"), [link("https://a"), plain("\"onclick=x")]);
        assert_eq!(pieces("http://"), [link("http://")]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(moment_of("2026-06-09T21:59:47Z"), "2026-06-09 21:59:47");
        assert_eq!(moment_of("2026-06-09T21:59:47.123"), "2026-06-09 21:59:47");
        assert_eq!(moment_of("never"), "never");
        assert_eq!(ahead(std::time::Duration::from_secs(7500)), "2 h 5 min");
    }
}
