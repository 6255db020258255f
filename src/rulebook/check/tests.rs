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

/// F41: a policy without a hard maximum, or with more than thirty days, is not saved.
#[test]
fn every_fault_is_named_with_its_path() {
    assert_eq!(faults(&[]), "");
    let table = [
        (("max_length = \"8h\"", ""), "max_length"),
        (("max_length = \"8h\"", "max_length = \"2h\""), "policy.helpdesk.lengths: 4h is above"),
        (("max_length = \"8h\"", "max_length = \"for ever\""), "not a length"),
        (("max_length = \"8h\"", "max_length = \"31d\""), "from 2m to 30d"),
        (("lengths = [\"1h\", \"4h\"]", "lengths = [\"1h\"]"), "policy.helpdesk.default_length"),
        (
            ("entitlements = [\"role:729827e3-9c14-49f7-bb1b-9608f156bbb8\"]", "entitlements = []"),
            "policy.helpdesk.entitlements",
        ),
        (("role:729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator"), "role:ID"),
        (("max_length = \"8h\"", "max_length = \"8h\"\nwarn_minutes = 1441"), "policy.helpdesk.warn_minutes"),
        (("policy = \"helpdesk\"", "policy = \"gone\""), "mapping.helpdesk.policy: there is no policy gone"),
        (("boards = [\"63\"]", "boards = []"), "mapping.helpdesk.boards"),
        (("source = \"entra\"", "source = \"local\""), "expected `entra`"),
        (("source = \"entra\"", "source = \"entra\"\nsurprise = 1"), "surprise"),
        (("trigger_statuses = [\"512\"]", "trigger_statuses = [\"512\"]\nstatuses.ended = \"512\""), "is the trigger"),
        (
            ("trigger_statuses = [\"512\"]", "trigger_statuses = [\"512\"]\nends_with = { grace_minutes = 1441 }"),
            "mapping.helpdesk.ends_with.grace_minutes: access stands at most 1440 minutes",
        ),
    ];
    for ((from, to), wanted) in table {
        let said = faults(&[(from, to)]);
        assert!(said.contains(wanted), "{to}: {said:?} does not say {wanted:?}");
    }
}

/// F33: a policy is for one kind of directory; a kind that there is not is refused by name.
#[test]
fn a_policy_is_for_one_source_that_there_is() {
    for other in ["\"active-directory\"", "\"local\"", "\"Entra\"", "\"\""] {
        let said = faults(&[("\"entra\"", other)]);
        assert!(said.contains("policy.helpdesk.source: ") && said.contains("expected `entra`"), "{other}: {said}");
    }
    for none_or_two in ["", "source = [\"entra\", \"entra\"]"] {
        let said = faults(&[("source = \"entra\"", none_or_two)]);
        assert!(said.contains("source"), "{none_or_two}: {said}");
    }
}

/// F34: a policy has a name, and a description where somebody wrote one.
#[test]
fn a_policy_has_a_name_and_may_have_a_description() {
    let name = "name = \"Helpdesk administrator\"";
    assert!(faults(&[(name, "")]).contains("missing field `name`"), "{}", faults(&[(name, "")]));
    let described = |text: &str| GOOD.replacen(name, &format!("{name}\ndescription = \"{text}\""), 1);
    let read = |text: &str| Rulebook::parse(text).map(|book| book.policies[0].description.clone());
    assert_eq!(read(GOOD).unwrap(), None);
    assert_eq!(read(&described("Resets passwords.")).unwrap().as_deref(), Some("Resets passwords."));
    let long = read(&described(&"x".repeat(1001))).unwrap_err().to_string();
    assert!(long.starts_with("policy.helpdesk.description: "), "{long}");
}

/// F41, F56: what a document cannot mean is told where it stands, unknown keys with line and path.
#[test]
fn nonsense_is_told_where_it_stands() {
    let policy = "entitlements = [\"role:729827e3-9c14-49f7-bb1b-9608f156bbb8\"]";
    let status = "trigger_statuses = [\"512\"]";
    let group = "[[technician_group]]\nid = \"g\"\nname = \"G\"\nmembers = [\"jane\"]\n\n[[policy]]";
    let table = [
        (
            ("source = \"entra\"", "source = \"entra\"\nsurprise = 1"),
            "line 6, policy.helpdesk.surprise: unknown field `surprise`",
        ),
        (("max_length = \"8h\"", "max_length = \"8 hours\""), "line 9, policy.helpdesk.max_length: "),
        (("[[mapping]]", "[alert]\n[[mapping]]"), "line 12, alert: unknown field `alert`"),
        (
            (status, "trigger_statuses = [\"512\"]\nstatuses = { granted = \"1\", gone = \"2\" }"),
            "mapping.helpdesk.statuses.gone",
        ),
        ((status, "trigger_statuses = [\"512\""), "line "),
        ((status, "trigger_statuses = [\"512\"]\ntrigger_statuses = [\"513\"]"), "line 17: duplicate key"),
        (("name = \"Helpdesk administrator\"", "name = \" \""), "policy.helpdesk.name: give it a name"),
        (("name = \"Helpdesk administrator\"", "name = \"a\\nb\""), "policy.helpdesk.name: a name is one line"),
        (("name = \"Helpdesk administrator\"", "name = \"a\\u202Eb\""), "policy.helpdesk.name: a name is one line"),
        ((policy, "entitlements = [\"role:1\", \"role:1\"]"), "policy.helpdesk.entitlements: role:1 is named twice"),
        (("\"1h\", \"4h\"", "\"1h\", \"4h\", \"240m\""), "policy.helpdesk.lengths: 4h is named twice"),
        ((policy, "entitlements = [\"role:1\"]\ntechnicians = []"), "policy.helpdesk.technicians: an empty list"),
        (
            (policy, "entitlements = [\"role:1\"]\ntechnicians = [\"x\"]"),
            "policy.helpdesk.technicians: there is no technician_group x",
        ),
        (
            (policy, "entitlements = [\"role:1\"]\ncustomers = [\"x\"]"),
            "policy.helpdesk.customers: there is no customer_group x",
        ),
        (
            (policy, "entitlements = [\"role:1\"]\nuser_name = \"admin\""),
            "policy.helpdesk.user_name: \"admin\" cannot name accounts",
        ),
        (("boards = [\"63\"]", "boards = [\"63\", \"63\"]"), "mapping.helpdesk.boards: 63 is named twice"),
        ((status, "trigger_statuses = [\"512\", \"512\"]"), "mapping.helpdesk.trigger_statuses: 512 is named twice"),
        ((status, ""), "mapping.helpdesk.trigger_statuses: name at least one status, or a trigger_field"),
        (
            (status, "trigger_statuses = [\"512\"]\ntrigger_board = true"),
            "mapping.helpdesk.trigger_board: a mapping asks by statuses, by a field or by its boards: by one of them",
        ),
        (
            (status, "trigger_statuses = [\"512\"]\ntrigger_field = { field = \"5\", values = [\"yes\"] }"),
            "mapping.helpdesk.trigger_field: a mapping asks by statuses, by a field or by its boards: by one of them",
        ),
        (
            (status, "trigger_field = { field = \"5\", values = [] }"),
            "mapping.helpdesk.trigger_field.values: name at least one",
        ),
        (
            (status, "trigger_field = { field = \"5\", values = [\"yes\", \" \"] }"),
            "mapping.helpdesk.trigger_field.values: an empty text",
        ),
        (
            (status, "trigger_field = { field = \"5\", values = [\"yes\", \"YES \"] }"),
            "mapping.helpdesk.trigger_field.values: yes is named twice",
        ),
        (
            (status, "trigger_statuses = [\"512\"]\npolicy_field = \"5\""),
            "mapping.helpdesk.policies: name the policies",
        ),
        (
            (status, "trigger_statuses = [\"512\"]\npolicies = [\"helpdesk\"]"),
            "mapping.helpdesk.policy_field: policies has no meaning",
        ),
        (
            (status, "trigger_statuses = [\"512\"]\nlength_field = \"5\"\nreason_field = \"5\""),
            "mapping.helpdesk: field 5 is used for two",
        ),
        (
            ("[[mapping]]", "[[brake]]\nid = \"b\"\nper = \"msp\"\ngrants = 0\nwithin = \"1h\"\n\n[[mapping]]"),
            "brake.b.grants: ",
        ),
        (
            ("[[policy]]", "[alerts]\ngrant_ended = { on = true }\n[[policy]]"),
            "alerts.grant_ended.to: it is on, but nobody",
        ),
        (
            ("[[policy]]", "[alerts]\ngrant_ended = { on = true, to = [\"owners\", \"owners\"] }\n[[policy]]"),
            "alerts.grant_ended.to: owners is named twice",
        ),
        (
            ("[[policy]]", &group.replace("\"jane\"", "\"jane\", \"jane\"")),
            "technician_group.g.members: jane is named twice",
        ),
        (("[[policy]]", &group.replace("\"G\"", "\"\"")), "technician_group.g.name: give it a name"),
        (
            ("[[policy]]", &format!("{}{group}", group.replace("[[policy]]", ""))),
            "technician_group.g: this id is used twice",
        ),
    ];
    for ((from, to), wanted) in table {
        let said = faults(&[(from, to)]);
        assert!(said.contains(wanted), "{to}: {said:?} does not say {wanted:?}");
    }
}

/// F12: a status that Latchkey sets on one mapping's tickets must not ask by another.
#[test]
fn a_status_that_is_set_is_nobodys_trigger() {
    let second = "[[mapping]]\nid = \"other\"\nconnection = \"cw\"\nboards = [\"64\"]\ntrigger_statuses = [\"600\"]\n\
                  policy = \"helpdesk\"\nstatuses = { ended = \"512\" }\n";
    let both = Rulebook::parse(&format!("{GOOD}\n{second}")).unwrap_err().to_string();
    assert_eq!(both, "mapping.other.statuses: status 512 is the trigger of mapping helpdesk; Latchkey must not set it");
    let elsewhere = second.replace("connection = \"cw\"", "connection = \"other-psa\"");
    assert!(
        Rulebook::parse(&format!("{GOOD}\n{elsewhere}")).is_ok(),
        "ids of two PSAs have nothing to do with each other"
    );
}

/// F12: a field that names a policy must mean one.
#[test]
fn policies_that_a_field_chooses_among_have_names_of_their_own() {
    let policy = GOOD.split("[[mapping]]").next().unwrap();
    let twin = policy.replace("id = \"helpdesk\"", "id = \"twin\"").replace("Helpdesk administrator", "HELPDESK");
    let mapping = "[[mapping]]\nid = \"m\"\nconnection = \"cw\"\nboards = [\"63\"]\ntrigger_statuses = [\"512\"]\n\
                   policy_field = \"5\"\npolicies = [\"helpdesk\", \"twin\"]\n";
    let said = Rulebook::parse(&format!("{policy}{twin}{mapping}")).unwrap_err().to_string();
    assert_eq!(said, "mapping.m.policies: a field cannot tell helpdesk and twin apart by their names; rename one");
    assert!(Rulebook::parse(&format!("{policy}{}{mapping}", twin.replace("HELPDESK", "Twin"))).is_ok());
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
