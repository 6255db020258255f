//! What changes, and only that.

use proptest::prelude::proptest;

use crate::rulebook::{Rulebook, export::tests::rulebook};

const BEFORE: &str = r#"
[[policy]]
id = "helpdesk"
name = "Helpdesk administrator"
source = "entra"
mode = "standard"
entitlements = ["role:one", "role:two"]
lengths = ["1h", "4h"]
max_length = "8h"
delivery = "claim-link"

[[mapping]]
id = "desk"
connection = "cw"
boards = ["63"]
trigger_statuses = ["512"]
policy = "helpdesk"
statuses = { granted = "513" }
"#;

fn lines(from: &str, to: &str) -> Vec<String> {
    let (from, to) = (Rulebook::parse(from).unwrap(), Rulebook::parse(to).unwrap());
    to.differences(&from).unwrap().iter().map(ToString::to_string).collect()
}

/// F46: a change is told by its path, with what was and what will be.
#[test]
fn a_change_is_told_by_its_path() {
    let table: [(&str, &str, &[&str]); 8] = [
        ("\"8h\"", "\"4h\"", &["policy.helpdesk.max_length: 8h → 4h"]),
        ("\"Helpdesk administrator\"", "\"Desk\"", &["policy.helpdesk.name: \"Helpdesk administrator\" → Desk"]),
        (
            "\"role:two\"",
            "\"role:3\"",
            &["policy.helpdesk.entitlements: - role:two", "policy.helpdesk.entitlements: + role:3"],
        ),
        ("[\"1h\", \"4h\"]", "[\"4h\", \"1h\"]", &["policy.helpdesk.lengths: [\"1h\", \"4h\"] → [\"4h\", \"1h\"]"]),
        ("\"513\"", "\"514\"", &["mapping.desk.statuses.granted: 513 → 514"]),
        ("granted = \"513\"", "", &["mapping.desk.statuses.granted: 513 → nothing"]),
        ("boards = [\"63\"]", "boards = [\"63\"]\ntypes = [\"7\"]", &["mapping.desk.types: + 7"]),
        (
            "delivery = \"claim-link\"",
            "delivery = \"claim-link\"\nreason = \"required\"",
            &["policy.helpdesk.reason: optional → required"],
        ),
    ];
    for (from, to, wanted) in table {
        assert_eq!(lines(BEFORE, &BEFORE.replacen(from, to, 1)), wanted);
    }
    let alerts = format!("[alerts]\nfailed_to_disable = {{ on = false }}\n{BEFORE}");
    assert_eq!(
        lines(BEFORE, &alerts),
        ["alerts.failed_to_disable.on: true → false", "alerts.failed_to_disable.to: - owners"]
    );
}

#[test]
fn what_comes_is_shown_whole_and_what_goes_by_its_name() {
    let more = "[[policy]]\nid = \"exchange\"\nname = \"Exchange\"\nsource = \"entra\"\nmode = \"burner\"\n\
                entitlements = [\"role:x\"]\nlengths = [\"4h\"]\nmax_length = \"4h\"\ndelivery = \"claim-link\"\n";
    let without_mapping = BEFORE.split("[[mapping]]").next().unwrap();
    let said = lines(BEFORE, &format!("{more}{without_mapping}"));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("+ policy.exchange\n    name = \"Exchange\"\n"), "{said:?}");
    assert!(said[0].contains("\n    entitlements = [\"role:x\"]\n"), "{said:?}");
    assert_eq!(said[1], "- mapping.desk");
}

#[test]
fn the_order_of_tables_and_comments_mean_nothing() {
    let second = "[[technician_group]]\nid = \"b\"\nname = \"B\"\nmembers = \"all\"\n";
    let first = "[[technician_group]]\nid = \"a\"\nname = \"A\"\nmembers = \"all\"\n";
    assert!(lines(&format!("{first}{second}"), &format!("# hello\n{second}{first}")).is_empty());
}

proptest! {
    /// Nothing differs from itself, and what differs is never without a line.
    #[test]
    fn what_differs_is_never_without_a_line(a in rulebook(), b in rulebook()) {
        proptest::prop_assert!(a.differences(&a).unwrap().is_empty());
        let is_other = a.settings != b.settings || a.alerts != b.alerts;
        proptest::prop_assert!(!is_other || !b.differences(&a).unwrap().is_empty());
    }
}
