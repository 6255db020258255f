use super::samples::*;
use crate::{
    access::{
        Decision, Holds, Length, Request,
        decide::{CODES, Living, decide},
        request::Actor,
    },
    rulebook::{Records, Rulebook, Rules},
};

const RULEBOOK: &str = r#"
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

fn rules() -> Rules {
    let mut records = Records::default();
    let document = r#"
[[customer]]
id = "acme"
name = "ACME Ltd"
jit = true

[[customer]]
id = "other"
name = "Other Ltd"
jit = true

[[person]]
id = "jdoe"
name = "Jane Doe"
customers = ["acme"]
"#;
    let parsed = Records::parse(document).unwrap();
    records.customers = parsed.customers;
    records.people = parsed.people;
    records.customers[0].directory = Some("acme-entra".parse().unwrap());
    Rules { revision: 1, rulebook: Rulebook::parse(RULEBOOK).unwrap(), records }
}

fn request() -> Request {
    Request {
        ticket: grant("g", &[1], granting()).ticket,
        mapping: "helpdesk".parse().unwrap(),
        asked_at: START,
        is_closed: false,
        company: Some("250".parse().unwrap()),
        customer: Some("acme".parse().unwrap()),
        actor: Ok(Actor {
            name: "jdoe".into(),
            member: Some("176".parse().unwrap()),
            is_active: true,
            is_human: true,
            person: Some("jdoe".parse().unwrap()),
        }),
        length_field: None,
        reason: "mailbox migration".into(),
    }
}

fn code(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> String {
    match decide(rules, holds, request, living) {
        Decision::Grant(_) => "granted".into(),
        Decision::Refuse(refusal) => {
            assert!(CODES.contains(&refusal.code.as_ref()), "{} is not in the closed list", refusal.code);
            assert!(!refusal.sentence.is_empty() && !refusal.rule.is_empty());
            refusal.code.into_owned()
        }
    }
}

/// F4, F5, F15, F48: each doubt has its own refusal.
#[test]
fn every_doubt_is_refused_by_name() {
    type Change = fn(&mut Rules, &mut Holds, &mut Request, &mut Living);
    fn actor(request: &mut Request) -> &mut Actor {
        request.actor.as_mut().unwrap()
    }
    let table: [(&str, Change); 19] = [
        ("clock-in-doubt", |_, h, _, _| h.clock = Some("the server's clock jumped forward")),
        ("granted", |_, _, _, _| {}),
        ("ticket-closed", |_, _, q, _| q.is_closed = true),
        ("actor-in-doubt", |_, _, q, _| q.actor = Err("two people".into())),
        ("actor-unknown", |_, _, q, _| actor(q).member = None),
        ("actor-inactive", |_, _, q, _| actor(q).is_active = false),
        ("actor-not-human", |_, _, q, _| actor(q).is_human = false),
        ("person-unknown", |_, _, q, _| actor(q).person = None),
        ("person-blocked", |r, _, _, _| r.records.people[0].blocked = true),
        ("person-blocked", |_, h, _, _| h.people = ["jdoe".parse().unwrap()].into()),
        ("company-unknown", |_, _, q, _| q.customer = None),
        ("jit-off", |r, _, _, _| r.records.customers[0].jit = false),
        ("jit-off", |_, h, _, _| h.customers = ["acme".parse().unwrap()].into()),
        ("customer-not-theirs", |_, _, q, _| q.customer = Some("other".parse().unwrap())),
        ("no-directory", |r, _, _, _| r.records.customers[0].directory = None),
        ("policy-missing", |r, _, _, _| r.rulebook.mappings.clear()),
        ("length-unreadable", |_, _, q, _| q.length_field = Some("a while".into())),
        ("length-not-allowed", |_, _, q, _| q.length_field = Some("2 hours".into())),
        ("already-living", |_, _, _, l| l.same_ticket = true),
    ];
    for (wanted, change) in table {
        let (mut rules, mut holds, mut request, mut living) = (rules(), Holds::default(), request(), Living::default());
        change(&mut rules, &mut holds, &mut request, &mut living);
        assert_eq!(code(&rules, &holds, &request, &living), wanted);
    }
}

/// F15, F118: the field's length if the policy allows it, four hours where nobody says otherwise.
#[test]
fn the_length_is_chosen_within_the_list_or_defaults_to_four_hours() {
    let length = |field: Option<&str>| {
        let request = Request { length_field: field.map(str::to_owned), ..request() };
        match decide(&rules(), &Holds::default(), &request, &Living::default()) {
            Decision::Grant(terms) => terms.length,
            Decision::Refuse(refusal) => panic!("{refusal:?}"),
        }
    };
    assert_eq!(length(None), Length::parse("4h").unwrap());
    assert_eq!(length(Some("  ")), Length::parse("4h").unwrap());
    assert_eq!(length(Some("1 hour")), hour());
}
