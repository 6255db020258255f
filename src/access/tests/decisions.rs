use latchkey_contract::EntitlementId;

use super::samples::*;
use crate::{
    access::{
        Decision, Holds, Length, Refusal, Request,
        decide::{CODES, Living, Terms, decide},
        request::Actor,
    },
    rulebook::{Bound, FieldTrigger, Policy, Reason, Records, Role, Rulebook, Rules, Technicians, Where},
};

const RULEBOOK: &str = r#"
[[technician_group]]
id = "technicians"
name = "Technicians"
members = "all"

[[policy]]
id = "helpdesk"
name = "Helpdesk administrator"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
technicians = ["technicians"]
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

pub(super) fn rules() -> Rules {
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
members = [{ connection = "cw", ids = ["176"] }]

[[connection]]
id = "cw"
kind = "connectwise"
site = "https://na.myconnectwise.net"
company = "examplemsp"
client_id = "6b1f0c3e-0000-4000-8000-000000000001"
public_key = "public"
"#;
    let parsed = Records::parse(document).unwrap();
    records.customers = parsed.customers;
    records.people = parsed.people;
    records.customers[0].directory = Some("acme-entra".parse().unwrap());
    Rules { revision: 1, rulebook: Rulebook::parse(RULEBOOK).unwrap(), records, ..Rules::default() }
}

pub(super) fn request() -> Request {
    Request {
        ticket: grant("g", &[1], granting()).ticket,
        mapping: "helpdesk".parse().unwrap(),
        asked_at: START,
        decided_at: START,
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
        is_by_automation: false,
        policy_field: None,
        length_field: None,
        reason_field: None,
        user_name_field: None,
        reason: "mailbox migration".into(),
    }
}

fn code(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> String {
    match decide(rules, holds, request, living) {
        Decision::Grant(_) => "granted".into(),
        Decision::Wait(..) => "waiting".into(),
        Decision::Refuse(refusal) => {
            assert!(CODES.contains(&refusal.code.as_ref()), "{} is not in the closed list", refusal.code);
            assert!(!refusal.sentence.is_empty() && !refusal.rule.is_empty());
            refusal.code.into_owned()
        }
    }
}

/// F4, F5, F15, F41, F48: each doubt has its own refusal.
#[test]
fn every_doubt_is_refused_by_name() {
    type Change = fn(&mut Rules, &mut Holds, &mut Request, &mut Living);
    fn actor(request: &mut Request) -> &mut Actor {
        request.actor.as_mut().unwrap()
    }
    fn policy(rules: &mut Rules) -> &mut Policy {
        &mut rules.rulebook.policies[0]
    }
    let table: Vec<(&str, Change)> = vec![
        ("clock-in-doubt", |_, h, _, _| h.clock = Some("the server's clock jumped forward")),
        ("granted", |_, _, _, _| {}),
        ("ticket-closed", |_, _, q, _| q.is_closed = true),
        ("locked", |_, h, _, _| h.everything = Some("all access is locked".into())),
        ("actor-in-doubt", |_, _, q, _| q.actor = Err("two people".into())),
        ("actor-unknown", |_, _, q, _| actor(q).member = None),
        ("actor-inactive", |_, _, q, _| actor(q).is_active = false),
        ("actor-not-human", |_, _, q, _| actor(q).is_human = false),
        ("person-unknown", |_, _, q, _| actor(q).person = None),
        ("person-unknown", |r, _, _, _| r.records.people[0].members.clear()),
        ("person-blocked", |_, h, _, _| drop(h.people.insert("jdoe".parse().unwrap(), "jdoe is blocked".into()))),
        ("company-unknown", |_, _, q, _| q.customer = None),
        ("jit-off", |r, _, _, _| r.records.customers[0].jit = false),
        ("jit-off", |_, h, _, _| drop(h.customers.insert("acme".parse().unwrap(), "acme is paused".into()))),
        ("customer-not-theirs", |_, _, q, _| q.customer = Some("other".parse().unwrap())),
        ("no-directory", |r, _, _, _| r.records.customers[0].directory = None),
        ("policy-missing", |r, _, _, _| r.rulebook.mappings.clear()),
        ("policy-missing", |r, _, _, _| r.rulebook.policies.clear()),
        ("policy-not-theirs", |r, _, _, _| policy(r).technicians = Technicians::default()),
        ("policy-not-theirs", |r, _, _, _| r.rulebook.technician_groups.clear()),
        ("policy-not-here", |r, _, _, _| policy(r).customers = Where::Groups(vec!["gold".parse().unwrap()])),
        ("policy-unreadable", |_, _, q, _| q.policy_field = Some("Domain admin".into())),
        ("length-unreadable", |_, _, q, _| q.length_field = Some("a while".into())),
        ("length-not-allowed", |_, _, q, _| q.length_field = Some("2 hours".into())),
        ("reason-missing", |r, _, q, _| {
            policy(r).reason = Reason::Required;
            q.reason = " ".into();
        }),
        ("reason-missing", |r, _, _, _| {
            policy(r).reason = Reason::Required;
            r.rulebook.mappings[0].reason_field = Some("9".parse().unwrap());
        }),
        ("user-name-unusable", |_, _, q, _| q.user_name_field = Some("jane@elsewhere.example".into())),
        ("already-living", |_, _, _, l| l.same_ticket = true),
    ];
    for (wanted, change) in table {
        let (mut rules, mut holds, mut request, mut living) = (rules(), Holds::default(), request(), Living::default());
        change(&mut rules, &mut holds, &mut request, &mut living);
        assert_eq!(code(&rules, &holds, &request, &living), wanted);
    }
}

fn decided(rules: &Rules, request: &Request) -> Terms {
    match decide(rules, &Holds::default(), request, &Living::default()) {
        Decision::Grant(terms) => *terms,
        other => panic!("{other:?}"),
    }
}

fn refused(rules: &Rules, request: &Request) -> Refusal {
    match decide(rules, &Holds::default(), request, &Living::default()) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// F4: our own status takes a ticket out of no field and no queue, so setting it again would be heard by nobody.
#[test]
fn whoever_is_in_doubt_is_told_what_asks_once_more() {
    type Trigger = fn(&mut crate::rulebook::Mapping);
    let field: Trigger = |m| {
        let trigger = FieldTrigger { field: "9".parse().unwrap(), values: vec!["yes".into()] };
        (m.trigger_statuses, m.trigger_field) = (vec![], Some(trigger));
    };
    let queue: Trigger = |m| (m.trigger_statuses, m.trigger_board) = (vec![], true);
    for (trigger, words) in [
        ((|_| {}) as Trigger, "two people; set it again"),
        (field, "two people; empty the field, save, and set it again"),
        (queue, "two people; move the ticket out of the queue, save, and move it back"),
    ] {
        let (mut rules, mut request) = (rules(), request());
        trigger(&mut rules.rulebook.mappings[0]);
        request.actor = Err("two people".into());
        assert_eq!(refused(&rules, &request).sentence, words);
    }
}

/// F35, F36, F37: without groups a policy is for owners and admins; groups of technicians and customers open it, no further
/// than a person's own customers reach (F38).
#[test]
fn a_policy_is_open_to_its_groups_at_its_customers_and_nowhere_else() {
    let mut rules = rules();
    rules.rulebook.policies[0].technicians = Technicians::default();
    assert_eq!(refused(&rules, &request()).code, "policy-not-theirs");
    for (role, is_open) in [(Role::Approver, false), (Role::Auditor, false), (Role::Admin, true), (Role::Owner, true)] {
        rules.records.people[0].role = role;
        let is_granted =
            matches!(decide(&rules, &Holds::default(), &request(), &Living::default()), Decision::Grant(_));
        assert_eq!(is_granted, is_open, "{role:?}");
    }
    let gold = "[[customer_group]]\nid = \"gold\"\nname = \"Gold\"\ncustomers = [\"other\"]\n";
    rules.rulebook.customer_groups = Rulebook::parse(gold).unwrap().customer_groups;
    rules.rulebook.policies[0].customers = Where::Groups(vec!["gold".parse().unwrap()]);
    assert_eq!(refused(&rules, &request()).code, "policy-not-here");
    let elsewhere = Request { customer: Some("other".parse().unwrap()), ..request() };
    assert_eq!(refused(&rules, &elsewhere).code, "customer-not-theirs");
    rules.rulebook.customer_groups[0].customers.push("acme".parse().unwrap());
    assert_eq!(decided(&rules, &request()).customer.as_str(), "acme");
}

/// F16, F37: a field chooses among what is open to the technician there, and what is not is as if it were not.
#[test]
fn a_field_chooses_among_what_may_be_used_here() {
    let mut rules = rules();
    let mut second = rules.rulebook.policies[0].clone();
    second.id = "exchange".parse().unwrap();
    second.name = "Exchange administrator".into();
    rules.rulebook.policies.push(second);
    let mapping = &mut rules.rulebook.mappings[0];
    mapping.policies = vec!["helpdesk".parse().unwrap(), "exchange".parse().unwrap()];
    let asks = |text: &str| Request { policy_field: Some(text.into()), ..request() };
    for text in ["exchange", " Exchange Administrator "] {
        assert_eq!(decided(&rules, &asks(text)).policy.id.as_str(), "exchange");
    }
    assert_eq!(decided(&rules, &asks("")).policy.id.as_str(), "helpdesk", "empty: the mapping's own");
    let unknown = refused(&rules, &asks("domain-admin"));
    rules.rulebook.policies[1].technicians = Technicians::default();
    assert_eq!(refused(&rules, &asks("exchange")), unknown, "invisible is like absent");
    rules.rulebook.policies[1].technicians = rules.rulebook.policies[0].technicians.clone();
    assert_eq!(decided(&rules, &asks("exchange")).policy.id.as_str(), "exchange");
    rules.rulebook.policies[1].customers = Where::Groups(vec!["gold".parse().unwrap()]);
    assert_eq!(refused(&rules, &asks("exchange")), unknown, "and so it is elsewhere");
    let elsewhere = Policy { id: "not-named".parse().unwrap(), ..rules.rulebook.policies[0].clone() };
    rules.rulebook.policies.push(elsewhere);
    assert_eq!(refused(&rules, &asks("not-named")), unknown, "not one that the mapping does not name");
    rules.rulebook.mappings[0].policy = None;
    assert_eq!(refused(&rules, &asks("")).code, "policy-unreadable");
}

/// F39: as many levels of privilege as somebody wants to keep apart, each with what is its own.
#[test]
fn any_number_of_policies_stand_side_by_side() {
    let mut rules = rules();
    let one = rules.rulebook.policies[0].clone();
    let level = |n: usize| Policy {
        id: format!("level-{n}").parse().unwrap(),
        name: format!("Level {n}"),
        entitlements: vec![EntitlementId::Role(n.to_string().parse().unwrap())],
        ..one.clone()
    };
    rules.rulebook.policies.extend((0..500).map(level));
    let mapping = &mut rules.rulebook.mappings[0];
    mapping.policy_field = Some("9".parse().unwrap());
    mapping.policies = (0..500).map(|n| level(n).id).collect();
    rules.rulebook.check().unwrap();
    for n in [0, 321, 499] {
        let request = Request { policy_field: Some(format!("level {n}")), ..request() };
        assert_eq!(decided(&rules, &request).policy.entitlements[0].to_string(), format!("role:{n}"));
    }
}

/// F40: each of the usual lengths has its own switch, a policy may name another, and only what is switched on is given.
#[test]
fn lengths_are_switched_one_by_one() {
    const USUAL: [&str; 7] = ["1h", "4h", "8h", "1d", "3d", "7d", "30d"];
    let read = |text: &&str| Length::parse(text).unwrap();
    let mut rules = rules();
    for is_on in (0..1_u8 << USUAL.len()).chain([u8::MAX]) {
        let on: Vec<&str> = (0..USUAL.len()).filter(|n| is_on >> n & 1 == 1).map(|n| USUAL[n]).chain(["37m"]).collect();
        let policy = &mut rules.rulebook.policies[0];
        (policy.lengths, policy.default_length) = (on.iter().map(read).collect(), read(&"37m"));
        policy.max_length = read(&"30d");
        rules.rulebook.check().unwrap();
        for text in USUAL.into_iter().chain(["37m", "38m"]) {
            let request = Request { length_field: Some(text.into()), ..request() };
            let said = code(&rules, &Holds::default(), &request, &Living::default());
            assert_eq!(said, if on.contains(&text) { "granted" } else { "length-not-allowed" }, "{text} of {on:?}");
        }
    }
}

/// F57: where limits meet the strictest wins, for what is asked and for the default, and the answer names it.
#[test]
fn the_strictest_limit_wins_and_is_named() {
    let mut rules = rules();
    let asks = |text: &str| Request { length_field: Some(text.into()), ..request() };
    assert_eq!(decided(&rules, &asks("4h")).limited_by, "policy helpdesk");
    rules.rulebook.mappings[0].max_length = Some(Length::parse("2h").unwrap());
    rules.rulebook.technician_groups[0].max_length = Some(Length::parse("90m").unwrap());
    let gold = "[[customer_group]]\nid = \"gold\"\nname = \"Gold\"\ncustomers = [\"acme\"]\nmax_length = \"3h\"\n";
    rules.rulebook.customer_groups = Rulebook::parse(gold).unwrap().customer_groups;
    let refusal = refused(&rules, &asks("4h"));
    assert_eq!((refusal.code.as_ref(), refusal.rule.as_str()), ("length-not-allowed", "technician group technicians"));
    assert!(refusal.sentence.contains("technician group technicians") && refusal.sentence.contains("allowed is 1h"));
    let terms = decided(&rules, &request());
    assert_eq!((terms.length.to_string().as_str(), terms.limited_by.as_str()), ("90m", "technician group technicians"));
    assert_eq!(decided(&rules, &asks("1h")).length, hour());
}

/// F13, F14: the reason comes from its field or the summary, may hold a link, and where it is required is not skipped.
#[test]
fn a_reason_is_taken_from_its_field_or_the_summary() {
    let mut rules = rules();
    assert_eq!(decided(&rules, &request()).reason, "mailbox migration");
    rules.rulebook.policies[0].reason = Reason::Required;
    assert_eq!(decided(&rules, &request()).reason, "mailbox migration", "prefilled from the ticket");
    rules.rulebook.mappings[0].reason_field = Some("9".parse().unwrap());
    let link = "see https://kb.example.com/runbooks/42?step=3#a";
    let given = Request { reason_field: Some(link.into()), ..request() };
    assert_eq!(decided(&rules, &given).reason, link);
    let refusal = refused(&rules, &request());
    assert!(refusal.code == "reason-missing" && refusal.sentence.contains("reason field"), "{refusal:?}");
}

/// F30: a new binding asks for nothing until it has cooled down or an owner has confirmed it.
#[test]
fn a_new_binding_cools_down_unless_an_owner_confirms_it() {
    let mut rules = rules();
    let mut bind = |since, is_confirmed| {
        let bound = Bound { since, is_confirmed };
        rules.records.people[0].members[0].bound.insert("176".parse().unwrap(), bound);
        code(&rules, &Holds::default(), &Request { decided_at: after(3600), ..request() }, &Living::default())
    };
    assert_eq!(bind(after(1), false), "binding-cooling");
    assert_eq!(bind(after(1), true), "granted");
    assert_eq!(bind(START, false), "granted", "an hour has passed");
}

/// F6: for the PSA's automation it is the ticket's owner who is judged.
#[test]
fn automation_asks_for_the_owner_and_says_so() {
    let mut request = Request { is_by_automation: true, ..request() };
    assert_eq!(decided(&rules(), &request).person.as_str(), "jdoe");
    request.actor = Err("the ticket has no owner who could be given access".into());
    let refusal = refused(&rules(), &request);
    assert!(refusal.sentence.contains("assign the ticket to a technician"), "{refusal:?}");
}

/// F58: a brake that is full makes the next request wait, whatever it counts by, and all that were pulled are named.
#[test]
fn a_full_brake_makes_a_request_wait() {
    let mut rules = rules();
    let brake = |id: &str, per: &str, grants: u32| {
        format!("[[brake]]\nid = \"{id}\"\nper = \"{per}\"\ngrants = {grants}\nwithin = \"1h\"\n")
    };
    let text = brake("one", "technician", 2) + &brake("all", "msp", 10) + &brake("here", "customer", 3);
    rules.rulebook.brakes = Rulebook::parse(&text).unwrap().brakes;
    let pulled = |counts: [(&str, u32); 3]| {
        let counts = counts.into_iter().map(|(id, n)| (id.parse().unwrap(), n)).collect();
        match decide(&rules, &Holds::default(), &request(), &Living { counts, ..Living::default() }) {
            Decision::Grant(_) => vec![],
            Decision::Wait(_, brakes) => brakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Decision::Refuse(refusal) => panic!("{refusal:?}"),
        }
    };
    assert!(pulled([("one", 1), ("all", 9), ("here", 2)]).is_empty());
    assert_eq!(pulled([("one", 2), ("all", 9), ("here", 3)]), ["one", "here"]);
    assert_eq!(pulled([("one", 0), ("all", 10), ("here", 0)]), ["all"]);
}

/// F15, F118: the field's length if the policy allows it, four hours where nobody says otherwise.
#[test]
fn the_length_is_chosen_within_the_list_or_defaults_to_four_hours() {
    let length = |field: Option<&str>| {
        let request = Request { length_field: field.map(str::to_owned), ..request() };
        match decide(&rules(), &Holds::default(), &request, &Living::default()) {
            Decision::Grant(terms) => terms.length,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(length(None), Length::parse("4h").unwrap());
    assert_eq!(length(Some("  ")), Length::parse("4h").unwrap());
    assert_eq!(length(Some("1 hour")), hour());
}
