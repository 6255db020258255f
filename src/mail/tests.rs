//! Every mail, read as a person and as an attacker would.

use latchkey_contract::MailId;
use proptest::prelude::*;

use super::{
    Mail, Words, Written,
    message::compose,
    samples::{BENIGN, Free, TICKET_LINK, at, invitation, words, written},
};
use crate::rulebook::AlertKind;

/// What somebody may write into a ticket, a company's name, or an error's code.
const HOSTILE: [&str; 18] = [
    "ACME\r\nBcc: eve@evil.example",
    "ACME\nSubject: you have won\n\nbody",
    "ACME\r\n\r\n<html><body>another mail</body></html>",
    "\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n",
    "=?utf-8?q?=0D=0ABcc:_eve@evil.example?=",
    "--boundary\r\nContent-Type: text/html\r\n\r\n<b>another part</b>",
    "<script>alert(1)</script>",
    "\"><img src=https://evil.example/pixel onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</td></tr></table><a href=\"https://evil.example\">Sign in here</a>",
    "<!--",
    "-->]]></style><style>*{display:none}</style>",
    "{{ letter.because }}{% include \"letter.txt\" %}",
    "&lt;b&gt; &#x3c;i&#x3e; &amp;",
    "admin\u{202E}gpj.exe\u{200B}\u{2066}",
    "\0\u{1}\u{8}\u{1b}[31mred\u{7f}\u{85}",
    "one\u{2028}two\u{2029}three\u{b}four\u{c}five",
    "Größe 💥 日本語 \u{FEFF}",
];

/// The markup of a page, without the text between it. Text that is escaped has no `<`.
fn markup(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|tag| tag.split_once('>').expect("each tag is closed").0).collect()
}

fn raw(written: &Written) -> String {
    let mail = Mail {
        id: "01JZ5GQ2ZP3M8T0V6WXYZ99999".parse().unwrap(),
        to: "owner@msp.example".parse().unwrap(),
        written: written.clone(),
        at: at("23:05:10"),
        is_repeat: false,
    };
    let bytes = compose(&mail, &"Latchkey <latchkey@msp.example>".parse().unwrap(), "latchkey.msp.example").unwrap();
    assert!(bytes.is_ascii(), "a server without 8BITMIME takes it too");
    String::from_utf8(bytes).unwrap()
}

/// The headers of a whole mail, but for the boundary, which is drawn anew for each.
fn headers(raw: &str) -> String {
    let (headers, _) = raw.split_once("\r\n\r\n").unwrap();
    headers.split("boundary=").next().unwrap().to_owned()
}

/// The same mails with other free text differ in that text alone: no header, no line and no markup more or less.
fn assert_harmless(text: &str) {
    let same = written(&BENIGN, TICKET_LINK);
    for (same, hostile) in same.iter().zip(written(&Free::everywhere(text), TICKET_LINK)) {
        assert_eq!(hostile.subject, same.subject, "{text:?}");
        assert_eq!(headers(&raw(&hostile)), headers(&raw(same)), "{text:?}");
        assert_eq!(markup(&hostile.html), markup(&same.html), "{text:?}: {}", same.subject);
        assert_eq!(hostile.text.lines().count(), same.text.lines().count(), "{text:?}: {}", hostile.text);
        assert!(!hostile.text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

/// F131, F136, F3: every kind of mail, as those who get it read it. Those about an access say which ticket asked for it.
#[test]
fn every_mail_reads_well() {
    let all = written(&BENIGN, TICKET_LINK);
    let texts: Vec<String> = all.iter().map(|mail| format!("Subject: {}\n\n{}", mail.subject, mail.text)).collect();
    for (words, text) in words(&BENIGN, TICKET_LINK).iter().zip(&texts) {
        let is_about_a_ticket = !matches!(
            words,
            Words::ConnectorTrouble { .. }
                | Words::WebhookTrouble { .. }
                | Words::AuditHead { .. }
                | Words::Test { .. }
        );
        assert_eq!(text.contains("48211") && text.contains(TICKET_LINK), is_about_a_ticket, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 300), "a line is too long: {text}");
    }
    insta::assert_snapshot!(texts.join("\n────────\n\n"));
}

#[test]
fn the_html_says_the_same_and_fetches_nothing() {
    let all = written(&BENIGN, TICKET_LINK);
    for mail in &all {
        let lower = mail.html.to_lowercase();
        for fetched in ["src=", "url(", "@import", "<link", "<script", "<img", "<iframe", "<form", "background=\""] {
            assert!(!lower.contains(fetched), "{fetched} in {}", mail.subject);
        }
        let links = lower.matches("href=\"").count();
        assert_eq!(lower.matches("href=\"https://").count(), links);
        assert_eq!(lower.matches("http").count(), links, "no address but those that are linked: {}", mail.subject);
        for line in mail.text.lines().filter(|line| !line.is_empty() && *line != "-- ") {
            let (name, value) = line.split_once(": ").unwrap_or(("", line));
            let (name, value) = (escaped(name.trim_end_matches(':')), escaped(value.trim_end_matches(':')));
            assert!(mail.html.contains(&name) && mail.html.contains(&value), "{line} is not in the HTML");
        }
    }
    insta::assert_snapshot!("a_whole_page", all[2].html);
    insta::assert_snapshot!("an_invitation_page", all[all.len() - 1].html);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// V1.3.11, F131: hostile text reaches no header and no markup.
#[test]
fn hostile_text_stays_text() {
    for text in HOSTILE {
        assert_harmless(text);
    }
    let long = "A".repeat(1_000_000);
    assert_harmless(&long);
    let longest = written(&Free::everywhere(&long), TICKET_LINK).into_iter().map(|mail| mail.html.len()).max();
    assert!(longest < Some(16 * 1024), "{longest:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_is_more_than_text(text in "\\PC{0,40}|(?s:.){0,60}|[\r\n<>\"'&:@.= -]{0,40}") {
        assert_harmless(&text);
    }
}

#[test]
fn a_hostile_ticket_link_is_not_followed() {
    for link in [
        "javascript:alert(1)",
        "\"><script>alert(1)</script>",
        "https://psa.example@evil.example/",
        "x\r\nBcc: e@evil.example",
    ] {
        for mail in written(&BENIGN, link) {
            assert!(!mail.html.contains("evil") && !mail.html.contains("alert(1)"), "{link}: {}", mail.html);
            assert!(!mail.text.contains("evil") && !mail.text.contains("alert(1)"), "{link}: {}", mail.text);
        }
    }
}

/// F132: one switch for each alert. What goes to the requester has none (F136).
#[test]
fn each_alert_has_a_switch_of_its_own() {
    for kind in AlertKind::ALL {
        assert!(words(&BENIGN, TICKET_LINK).iter().any(|words| words.alert() == Some(kind)), "{kind:?} has no mail");
    }
    let without: Vec<Words> = words(&BENIGN, TICKET_LINK).into_iter().filter(|words| words.alert().is_none()).collect();
    assert!(matches!(
        without[..],
        [Words::AccessActive { .. }, Words::AccessEndsSoon { .. }, Words::AccessEnded { .. }, Words::Test { .. }]
    ));
}

#[test]
fn what_happened_survives_the_round_through_storage() {
    for words in words(&BENIGN, TICKET_LINK) {
        let stored = serde_json::to_string(&words).unwrap();
        assert_eq!(serde_json::from_str::<Words>(&stored).unwrap(), words, "{stored}");
    }
}

#[test]
fn the_link_of_an_invitation_is_printed_nowhere() {
    let invitation = invitation(&BENIGN);
    let written = invitation.write();
    assert!(written.text.contains("the-token") && written.html.contains("the-token"));
    assert!(!format!("{invitation:?} {written:?}").contains("the-token"));
}

#[test]
fn a_second_try_is_the_same_mail_and_says_so() {
    let mail = |is_repeat| Mail {
        id: MailId::parse("01JZ5GQ2ZP3M8T0V6WXYZ99999").unwrap(),
        to: "owner@msp.example".parse().unwrap(),
        written: words(&BENIGN, TICKET_LINK)[2].write(),
        at: at("23:05:10"),
        is_repeat,
    };
    let compose = |mail: &Mail| {
        let bytes = compose(mail, &"latchkey@msp.example".parse().unwrap(), "latchkey.msp.example").unwrap();
        headers(&String::from_utf8(bytes).unwrap()).replace("\r\n ", " ")
    };
    let (first, second) = (compose(&mail(false)), compose(&mail(true)));
    for line in [
        "Message-ID: <01JZ5GQ2ZP3M8T0V6WXYZ99999@latchkey.msp.example>\r\n",
        "Date: Tue, 09 Jun 2026 23:05:10 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "From: latchkey@msp.example\r\n",
        "To: owner@msp.example\r\n",
    ] {
        assert!(first.contains(line) && second.contains(line), "{line} {first}");
    }
    assert_eq!(second.replace(" (repeat)", ""), first);
    assert!(second.contains("ticket 48211 (repeat)\r\n"), "{second}");
}
