use std::time::Duration;

use latchkey_contract::{
    directory::{Held, How, Observation, Target},
    ticket::Ticket,
};

use super::{
    decisions::{request, rules},
    samples::*,
};
use crate::{
    access::{
        Account, Cause, Grant, Holds, Length, Request, State,
        account::{NATIVE_MARGIN, lasts},
        decide::{CODES, Living},
        extend::{Extending, anew, extend},
        follow::{Departure, Follow, Leaving, Seen, Stood, follow},
        target,
    },
    rulebook::{Brake, Per, Rules, Technicians},
};

/// What is asked, and under what.
struct Case {
    rules: Rules,
    holds: Holds,
    request: Request,
    living: Living,
    ticket: Ticket,
    grant: Grant,
    by: &'static str,
}

impl Case {
    /// An hour of eight, half of it gone; half an hour more.
    fn plain() -> Self {
        let rules = rules();
        let mut grant = grant("g1", &[1], active(START));
        grant.policy = rules.rulebook.policies[0].clone();
        grant.stood = Some(Stood::of(&ticket()));
        let request = Request { decided_at: after(1800), ..request() };
        Self { rules, holds: Holds::default(), request, living: Living::default(), ticket: ticket(), grant, by: "30m" }
    }

    fn asked(&self) -> Result<Extending, String> {
        let by = Length::parse(self.by).unwrap();
        let request = match self.rules.rulebook.mapping(&self.grant.mapping) {
            Some(mapping) => anew(&self.grant, mapping, self.request.clone()),
            None => self.request.clone(),
        };
        extend(&self.rules, &self.holds, (&self.grant, &self.seen()), (&request, &self.living), by).map_err(|refusal| {
            assert!(CODES.contains(&refusal.code.as_ref()), "{} is not in the closed list", refusal.code);
            assert!(!refusal.sentence.is_empty() && !refusal.rule.is_empty());
            refusal.code.into_owned()
        })
    }

    fn seen(&self) -> Seen<'_> {
        let mapping = self.rules.rulebook.mapping(&self.grant.mapping);
        let customer = self.request.customer.as_ref();
        Seen { mapping, ticket: Some(&self.ticket), customer, members: &[], closed_by_us: &[] }
    }
}

fn extending(until: u64, latest_end: u64) -> Extending {
    Extending { until: after(until), latest_end: after(latest_end) }
}

/// F121: the rules of a request decide again, those in force now; whatever speaks against it is named.
#[test]
fn more_time_is_decided_like_a_request() {
    type Change = fn(&mut Case);
    let table: Vec<(&str, Change)> = vec![
        ("", |_| {}),
        ("not-active", |c| c.grant.state = granting()),
        ("not-active", |c| c.grant.state = State::Ending { cause: Cause::EndedByPerson, since: after(60) }),
        ("not-active", |c| c.request.decided_at = after(3600)),
        ("", |c| c.request.decided_at = after(3599)),
        ("not-active", |c| {
            c.grant.leaving = Some(Leaving { how: Departure::Closed, since: after(1700), ends_at: after(2000) });
        }),
        ("extending-already", |c| c.grant.extending = Some(extending(5400, 5400))),
        ("clock-in-doubt", |c| c.holds.clock = Some("the server's clock jumped forward")),
        ("locked", |c| c.holds.everything = Some("all access is locked".into())),
        ("ticket-closed", |c| c.request.is_closed = true),
        ("actor-inactive", |c| c.request.actor.as_mut().unwrap().is_active = false),
        ("actor-not-human", |c| c.request.actor.as_mut().unwrap().is_human = false),
        ("actor-unknown", |c| c.request.actor.as_mut().unwrap().member = None),
        ("person-blocked", |c| drop(c.holds.people.insert("jdoe".parse().unwrap(), "jdoe is blocked".into()))),
        ("customer-not-theirs", |c| c.request.customer = Some("other".parse().unwrap())),
        ("jit-off", |c| c.rules.records.customers[0].jit = false),
        ("policy-missing", |c| c.rules.rulebook.mappings.clear()),
        ("policy-not-theirs", |c| c.rules.rulebook.policies[0].technicians = Technicians::default()),
        ("access-changed", |c| c.rules.rulebook.policies[0].entitlements.push(role(9))),
        ("access-changed", |c| c.rules.records.customers[0].directory = Some("another".parse().unwrap())),
        ("access-changed", |c| c.grant.person = "msmith".parse().unwrap()),
        ("brake-pulled", |c| {
            let within = Length::FOUR_HOURS;
            c.rules.rulebook.brakes = vec![Brake { id: "all".parse().unwrap(), per: Per::Msp, grants: 2, within }];
            c.living.counts.insert("all".parse().unwrap(), 2);
        }),
        // No field of the ticket says how much more: and a ticket that asked for an hour says that still.
        ("", |c| c.request.length_field = Some("a while".into())),
    ];
    for (n, (wanted, change)) in table.into_iter().enumerate() {
        let mut case = Case::plain();
        change(&mut case);
        match case.asked() {
            Ok(more) => assert_eq!((wanted, more), ("", extending(5400, 5400)), "{n}"),
            Err(code) => assert_eq!(code, wanted, "{n}"),
        }
    }
}

/// F121, F11: whatever ends access with its ticket gives it no more time, though nothing was told since it ends before its
/// grace would.
#[test]
fn a_ticket_that_has_left_gives_no_more_time_though_no_grace_runs() {
    type Change = fn(&mut Case);
    let ways: [(&str, Change); 7] = [
        ("", |_| {}),
        ("not-active", |c| c.ticket.is_closed = true),
        ("not-active", |c| c.ticket.is_merged = true),
        ("not-active", |c| c.ticket.board = Some("99".parse().unwrap())),
        ("not-active", |c| c.ticket.owner = Some("8".parse().unwrap())),
        ("", |c| {
            c.ticket.owner = Some("8".parse().unwrap());
            c.rules.rulebook.mappings[0].ends_with.reassigned = false;
        }),
        // It would end at once, and was not followed yet.
        ("not-active", |c| (c.ticket.company, c.request.customer) = (Some("300".parse().unwrap()), None)),
    ];
    for (n, (wanted, change)) in ways.into_iter().enumerate() {
        let mut case = Case::plain();
        case.rules.rulebook.mappings[0].ends_with.grace_minutes = 60;
        change(&mut case);
        let followed = follow(&case.grant, &case.seen(), case.request.decided_at);
        assert_eq!(followed == Follow::Stays, case.ticket.company == ticket().company, "{n}: {followed:?}");
        assert_eq!(case.asked().err().unwrap_or_default(), wanted, "{n}");
    }
}

/// F121, F41: never for longer in all than the strictest limit lets it be, counted from when it was first had.
#[test]
fn all_of_it_counts_from_the_first_giving() {
    for (by, until) in [("7h", Some(8 * 3600)), ("421m", None), ("2m", Some(3720)), ("30d", None)] {
        let case = Case { by, ..Case::plain() };
        assert_eq!(case.asked().map(|more| more.until).ok(), until.map(after), "{by}");
    }
    let mut strict = Case { by: "1h", ..Case::plain() };
    strict.rules.rulebook.mappings[0].max_length = Some(Length::parse("2h").unwrap());
    assert_eq!(strict.asked(), Ok(extending(7200, 7200)));
    strict.by = "61m";
    assert_eq!(strict.asked(), Err("length-not-allowed".to_owned()));
    strict.by = "2m";
    strict.grant.state =
        State::Active { secret: secret("s1"), since: START, until: after(7200), latest_end: after(7200) };
    assert_eq!(strict.asked(), Err("length-not-allowed".to_owned()), "extended before");
}

/// F121, F130: a short while more does not make the latest end sooner.
#[test]
fn the_latest_end_never_moves_back() {
    let case = Case { by: "2m", ..Case::plain() };
    assert_eq!(case.asked(), Ok(extending(3720, 4500)));
}

/// F121, F124, F130: the directory's end moves first; ours when it was seen to let the grant last, and not once the old end came.
#[test]
fn the_new_end_is_the_grants_when_the_directory_has_it() {
    let plain = grant("g1", &[1], active(START));
    let more = Grant { extending: Some(extending(5400, 5400)), ..plain.clone() };
    let wanted = |grant: &Grant| match target(&account(), std::slice::from_ref(grant), &Holds::default(), after(60)) {
        Target::Enabled { entitlements, .. } => entitlements[&role(1)],
        other => panic!("{other:?}"),
    };
    assert_eq!((wanted(&plain), wanted(&more)), (after(4500) + NATIVE_MARGIN, after(5400) + NATIVE_MARGIN));
    assert_eq!((plain.due_at(), more.due_at()), (Some(after(3600)), Some(after(3600))), "until then the end stands");

    let burner = Account { mode: latchkey_contract::directory::Mode::Burner, ..account() };
    let living = target(&burner, std::slice::from_ref(&more), &Holds::default(), after(3600));
    assert_eq!(living, Target::Absent, "at the old end it is over");

    let seen = |how: How| {
        let mut seen: Observation = seen_off(after(60));
        let held = Held { entitlement: role(1), how, scope: "/".into(), holding: None };
        seen.account.as_mut().unwrap().held.push(held);
        seen
    };
    let bound = |end: u64| seen(How::TimeBound { end: Some(after(end)) });
    for (seen, lets) in [(bound(6000), true), (bound(5999), false), (bound(4500), false), (seen(How::Plain), true)] {
        assert_eq!(lasts(&more, &seen), lets, "{seen:?}");
    }

    let then = more.extended(after(3599)).unwrap();
    assert_eq!((then.due_at(), then.extending), (Some(after(5400)), None));
    assert_eq!(wanted(&then), after(5400) + NATIVE_MARGIN);
    assert_eq!(more.extended(after(3600)), None, "the end that stands has come");
    assert_eq!(plain.extended(after(60)), None);
    let ends_at = after(60) + Duration::from_secs(300);
    let left = Grant { leaving: Some(Leaving { how: Departure::Closed, since: after(60), ends_at }), ..more };
    assert_eq!(left.extended(ends_at), None, "nor after the end of the ticket's grace");
    assert_eq!(left.extended(after(100)).unwrap().due_at(), Some(ends_at), "which stands");
}
