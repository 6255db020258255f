//! Documents with faults.

use crate::rulebook::{Records, Rulebook};

const GOOD: &str = r#"
[[policy]]
id = "helpdesk"
name = "Helpdesk administrator"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
lengths = ["1h", "4h"]
max_length = "8h"
delivery = "claim-link"

[[mapping]]
id = "helpdesk"
connection = "cw"
boards = ["63"]
trigger_statuses = ["512"]
policy = "helpdesk"
"#;

fn faults(change: &[(&str, &str)]) -> String {
    let mut text = GOOD.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Rulebook::parse(&text).map(|_| String::new()).unwrap_or_else(|faults| faults.to_string())
}

/// F106: there is no silent default for delivery, and the ticket needs a word of consent.
#[test]
fn delivery_is_chosen_never_assumed() {
    assert!(faults(&[("delivery = \"claim-link\"", "")]).contains("delivery"));
    let in_ticket = faults(&[("\"claim-link\"", "\"ticket\"")]);
    assert!(in_ticket.starts_with("policy.helpdesk.delivery: ") && in_ticket.contains("ticket_readers_may_use_it"));
    assert_eq!(faults(&[("\"claim-link\"", "\"ticket\"\nticket_readers_may_use_it = true")]), "");
}

#[test]
fn every_fault_is_named_with_its_path() {
    assert_eq!(faults(&[]), "");
    let table = [
        (("max_length = \"8h\"", ""), "max_length"),
        (("max_length = \"8h\"", "max_length = \"2h\""), "policy.helpdesk.lengths: 4h is above"),
        (("max_length = \"8h\"", "max_length = \"for ever\""), "not a length"),
        (("lengths = [\"1h\", \"4h\"]", "lengths = [\"1h\"]"), "policy.helpdesk.default_length"),
        (
            ("entitlements = [\"role:729827e3-9c14-49f7-bb1b-9608f156bbb8\"]", "entitlements = []"),
            "policy.helpdesk.entitlements",
        ),
        (("role:729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator"), "role:ID"),
        (("policy = \"helpdesk\"", "policy = \"gone\""), "mapping.helpdesk.policy: there is no policy gone"),
        (("boards = [\"63\"]", "boards = []"), "mapping.helpdesk.boards"),
        (("source = \"entra\"", "source = \"local\""), "expected `entra`"),
        (("source = \"entra\"", "source = \"entra\"\nsurprise = 1"), "surprise"),
        (("trigger_statuses = [\"512\"]", "trigger_statuses = [\"512\"]\nstatuses.ended = \"512\""), "is the trigger"),
    ];
    for ((from, to), wanted) in table {
        let said = faults(&[(from, to)]);
        assert!(said.contains(wanted), "{to}: {said:?} does not say {wanted:?}");
    }
}

#[test]
fn two_mappings_never_ask_by_the_same_status() {
    let second = "[[mapping]]\nid = \"other\"\nconnection = \"cw\"\nboards = [\"63\"]\ntrigger_statuses = [\"512\"]\npolicy = \"helpdesk\"\n";
    let both = format!("{GOOD}\n{second}");
    assert!(Rulebook::parse(&both).unwrap_err().to_string().contains("already asks"));
}

/// F5: a company is one customer, a directory is one customer's.
#[test]
fn nothing_is_bound_twice() {
    let text = r#"
[[customer]]
id = "a"
name = "A"
jit = true
companies = [{ connection = "cw", ids = ["250", "251"] }]
directory = "shared"
domain = "a.example"

[[customer]]
id = "b"
name = "B"
jit = true
companies = [{ connection = "cw", ids = ["251"] }]
directory = "shared"
domain = "b.example"
"#;
    let faults = Records::parse(text).unwrap_err().to_string();
    for wanted in [
        "cw is not a PSA connection",
        "company 251 is already bound",
        "shared already belongs",
        "shared is not a directory",
    ] {
        assert!(faults.contains(wanted), "{faults}");
    }
}

/// F5: what was given under a connection's id is never looked for in another tenant.
#[test]
fn a_connection_never_moves_under_its_id() {
    let records = |tenant: &str, timeout: u8| {
        let text = format!(
            "[[connection]]\nid = \"contoso\"\nkind = \"entra\"\ntenant = \"{tenant}\"\n\
             client_id = \"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"\ncredential = \"secret\"\ntimeout_s = {timeout}\n"
        );
        Records::parse(&text).unwrap()
    };
    let (here, there) = ("11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555");
    assert_eq!(records(there, 15).moved(&records(here, 15)).len(), 1);
    assert!(records(here, 10).moved(&records(here, 15)).is_empty());
    assert!(records(there, 15).moved(&Records::default()).is_empty());
}

#[test]
fn nobody_is_called_what_stands_for_nobody() {
    let text = "[[person]]\nid = \"unknown\"\nname = \"Jane\"\ncustomers = \"all\"\n";
    let faults = Records::parse(text).unwrap_err().to_string();
    assert!(faults.contains("person.unknown") && faults.contains("choose another one"), "{faults}");
}
