use std::time::Duration;

use latchkey_contract::Timestamp;
use proptest::prelude::*;

use super::samples::*;
use crate::{
    access::{
        Cause, Effect, Event, Grant, State,
        follow::{Departure, Leaving},
        grant::{DELIVER_WITHIN, NotAllowed, Telling, Waiting, begin, due_at, may_approve, step, wait},
    },
    rulebook::Role,
};

fn states() -> Vec<State> {
    let delivering = State::Delivering { secret: secret("s1"), since: after(10), latest_end: after(4500) };
    let ending = State::Ending { cause: Cause::Expired, since: after(20) };
    let ended = State::Ended { cause: Cause::Expired, due: after(20), proof: proof(after(30)) };
    let refused = State::Refused { why: "no".into(), at: START };
    let denied = State::Denied { by: "ann".parse().unwrap(), why: "no".into(), at: START };
    vec![held(), granting(), delivering, active(after(15)), ending, ended, refused, denied, State::Lapsed { at: START }]
}

fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("approved", approval("ann")),
        ("denied", Event::Denied { by: "ann".parse().unwrap(), why: "no".into() }),
        ("reached", Event::Reached),
        ("delivered", Event::Delivered),
        ("delivery-failed", Event::DeliveryFailed { why: "w".into() }),
        ("failed-unsent", Event::GrantingFailed { why: "w".into(), nothing_sent: true }),
        ("failed-sent", Event::GrantingFailed { why: "w".into(), nothing_sent: false }),
        ("end", Event::End(Cause::EndedByPerson)),
        ("left", Event::Left { how: Departure::Closed, since: after(45) }),
        ("due-early", Event::Due),
        ("off", Event::Off(proof(after(40)))),
    ]
}

/// Every state against every event, at a time before anything is due. F72, F117.
#[test]
fn every_state_answers_every_event() {
    let expected = [
        ("held", ["held", "denied", "-", "-", "-", "-", "-", "refused", "refused", "-", "-"]),
        ("granting", ["-", "-", "delivering", "-", "ending", "refused", "ending", "ending", "ending", "-", "-"]),
        ("delivering", ["-", "-", "-", "active", "ending", "-", "-", "ending", "ending", "-", "-"]),
        ("active", ["-", "-", "-", "-", "ending", "-", "-", "ending", "ending", "-", "-"]),
        ("ending", ["-", "-", "-", "-", "-", "-", "-", "-", "-", "ending", "ended"]),
        ("ended", ["-"; 11]),
        ("refused", ["-"; 11]),
        ("denied", ["-"; 11]),
        ("lapsed", ["-"; 11]),
    ];
    for (state, (name, row)) in states().iter().zip(expected) {
        assert_eq!(state.name(), name);
        for ((event_name, event), wanted) in events().iter().zip(row) {
            let got = step(state, hour(), event, after(50)).map_or("-", |s| s.state.name());
            assert_eq!(got, wanted, "{name} × {event_name}");
        }
    }
}

fn held() -> State {
    let waiting = Waiting { needed: 2, brakes: vec!["per-technician".parse().unwrap()], approved: vec![] };
    wait(waiting, after(8 * 3600)).state
}

fn approval(by: &str) -> Event {
    Event::Approved { by: by.parse().unwrap(), secret: secret("s1") }
}

/// F58: two different people let a held request pass, nobody alone, and not after it has lapsed.
#[test]
fn a_held_request_needs_two_different_approvers_in_time() {
    let once = step(&held(), hour(), &approval("ann"), after(10)).unwrap();
    assert_eq!((once.state.name(), once.effects.len()), ("held", 0));
    assert_eq!(step(&once.state, hour(), &approval("ann"), after(20)), Err(NotAllowed));
    let passed = step(&once.state, hour(), &approval("bob"), after(7200)).unwrap();
    assert_eq!(passed, begin(secret("s1"), hour(), after(7200)), "as if it had been asked for now");
    for event in [approval("bob"), Event::Due] {
        let late = step(&once.state, hour(), &event, after(8 * 3600)).unwrap();
        assert_eq!((late.state.name(), late.effects), ("lapsed", vec![Effect::Tell(Telling::Lapsed)]));
    }
    assert_eq!(due_at(&held()), Some(after(8 * 3600)));
}

/// F58: who asked does not approve, and a role is needed.
#[test]
fn nobody_approves_alone_what_they_asked_for() {
    let grant = grant("g1", &[1], step(&held(), hour(), &approval("ann"), after(10)).unwrap().state);
    let may = |by: &str, role| may_approve(&grant, &by.parse().unwrap(), role);
    assert!(may("bob", Role::Approver).is_ok() && may("bob", Role::Owner).is_ok());
    assert!(may("bob", Role::Technician).is_err() && may("bob", Role::Auditor).is_err());
    assert!(may("ann", Role::Owner).unwrap_err().contains("another person"));
    assert!(may("jdoe", Role::Owner).unwrap_err().contains("of their own"));
    let given = Grant { state: granting(), ..grant };
    assert!(may_approve(&given, &"bob".parse().unwrap(), Role::Owner).is_err());
}

/// F72: the clock starts when access is given, not when it was asked for, and never passes the latest end.
#[test]
fn the_clock_of_access_starts_when_it_is_given() {
    let reached = step(&granting(), hour(), &Event::Reached, after(300)).unwrap();
    assert_eq!(reached.effects, [Effect::Deliver]);
    let State::Active { since, until, .. } = step(&reached.state, hour(), &Event::Delivered, after(310)).unwrap().state
    else {
        panic!("delivered is active")
    };
    assert_eq!((since, until), (after(310), after(310 + 3600)));
    let late = State::Delivering { secret: secret("s1"), since: after(850), latest_end: after(4500) };
    let State::Active { until, .. } = step(&late, hour(), &Event::Delivered, after(1000)).unwrap().state else {
        panic!("delivered is active")
    };
    assert_eq!(until, after(4500), "the latest end wins");
}

/// F107: what is not handed over in ten minutes is taken back.
#[test]
fn undelivered_access_is_taken_back() {
    let since = after(10);
    let delivering = State::Delivering { secret: secret("s1"), since, latest_end: after(4500) };
    assert_eq!(due_at(&delivering), Some(since + DELIVER_WITHIN));
    for event in [Event::Due, Event::Delivered] {
        let step = step(&delivering, hour(), &event, since + DELIVER_WITHIN).unwrap();
        assert!(matches!(step.state, State::Ending { cause: Cause::DeliveryFailed { .. }, .. }), "{event:?}");
        assert!(step.effects.contains(&Effect::DestroySecret(secret("s1"))));
        assert!(step.effects.contains(&Effect::Tell(Telling::Failed)));
    }
}

/// F126: the overhang is counted from when access should have ended, not from when that was noticed.
#[test]
fn removal_is_owed_from_the_due_time_even_if_noticed_late() {
    let active = active(START);
    let noticed = after(3600 + 7200);
    let State::Ending { since, cause } = step(&active, hour(), &Event::Due, noticed).unwrap().state else {
        panic!("due is ending")
    };
    assert_eq!((since, cause), (after(3600), Cause::Expired));
}

/// F11, F126: removal is owed from the end of the ticket's grace, however late that is noticed; or from its own end.
#[test]
fn a_grace_that_is_over_ends_access_from_that_moment() {
    let leaving = |ends| Leaving { how: Departure::Merged, since: after(100), ends_at: after(ends) };
    let of = |ends| Grant { leaving: Some(leaving(ends)), ..grant("g1", &[1], active(START)) };
    let left = of(400);
    assert_eq!((left.due_at(), left.due_event(after(399))), (Some(after(400)), Event::Due));
    let ended = step(&left.state, hour(), &left.due_event(after(450)), after(450)).unwrap().state;
    assert_eq!(ended, State::Ending { cause: Cause::TicketLeft { how: Departure::Merged }, since: after(400) });
    let longer = of(7200);
    assert_eq!((longer.due_at(), longer.due_event(after(8000))), (Some(after(3600)), Event::Due));
    let over = Grant { state: ended, ..left };
    assert_eq!(over.due_at(), None, "once it ends, no clock matters");
}

#[test]
fn a_proof_from_before_the_removal_was_owed_proves_nothing() {
    let ending = State::Ending { cause: Cause::Expired, since: after(100) };
    assert_eq!(step(&ending, hour(), &Event::Off(proof(after(99))), after(200)), Err(NotAllowed));
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Reached),
        Just(Event::Delivered),
        Just(approval("ann")),
        Just(Event::Due),
        Just(Event::DeliveryFailed { why: "w".into() }),
        any::<bool>().prop_map(|nothing_sent| Event::GrantingFailed { why: "w".into(), nothing_sent }),
        Just(Event::End(Cause::TicketEnded)),
        (0u64..20_000).prop_map(|s| Event::Left { how: Departure::Board, since: after(s) }),
        (0u64..20_000).prop_map(|s| Event::Off(proof(after(s)))),
    ]
}

proptest! {
    /// Any order of events, echoes and clock jumps: access never outlives the end fixed at the beginning,
    /// never comes back, and ends only by a proof. F117, F126.
    #[test]
    fn no_order_of_events_prolongs_or_revives_access(events in prop::collection::vec((any_event(), -4000i64..8000), 1..60)) {
        let begun = begin(secret("s1"), hour(), START);
        let latest = begun.state.end().unwrap();
        let mut state = begun.state;
        let mut now = START;
        for (event, jump) in events {
            now = Timestamp::from_millis((now.millis() + jump * 1000).max(START.millis()));
            let was_living = state.is_living();
            let Ok(step) = step(&state, hour(), &event, now) else { continue };
            prop_assert!(was_living || !step.state.is_living(), "revived by {event:?}");
            if let Some(end) = step.state.end() {
                prop_assert!(end <= latest, "prolonged by {event:?}");
            }
            if matches!(step.state, State::Ended { .. }) {
                prop_assert!(matches!(event, Event::Off(_)), "ended without proof");
            }
            if was_living && !step.state.is_living() {
                prop_assert!(step.effects.contains(&Effect::DestroySecret(secret("s1"))), "the secret outlives the access");
            }
            prop_assert_eq!(due_at(&step.state).is_some(), step.state.is_living());
            state = step.state;
        }
        let over = latest + Duration::from_secs(1);
        if state.is_living() {
            state = step(&state, hour(), &Event::Due, over).unwrap().state;
        }
        if !state.is_final() {
            state = step(&state, hour(), &Event::Off(proof(over + Duration::from_secs(9_000_000))), over).unwrap().state;
        }
        prop_assert!(state.is_final());
    }
}

/// F122: so long before the end as the policy says, where access lasts longer than that; once for each end, and not where the
/// ticket was told already that it ends sooner.
#[test]
fn an_end_is_warned_of_once_and_where_there_is_time_for_it() {
    let lasting = |minutes: u64| State::Active {
        secret: secret("s1"),
        since: START,
        until: after(minutes * 60),
        latest_end: after(minutes * 60 + 900),
    };
    let warned_at = |state: State, warn_minutes: u32, change: &dyn Fn(&mut Grant)| {
        let mut grant = grant("g1", &[1], state);
        grant.policy.warn_minutes = warn_minutes;
        change(&mut grant);
        grant.warn_at()
    };
    let as_it_is = |_: &mut Grant| {};
    for (minutes, warn_minutes, at) in [
        (60, 10, Some(after(50 * 60))),
        (60, 59, Some(after(60))),
        (60, 60, None),
        (60, 61, None),
        (10, 10, None),
        (11, 10, Some(after(60))),
        (60, 0, None),
    ] {
        assert_eq!(warned_at(lasting(minutes), warn_minutes, &as_it_is), at, "{warn_minutes} of {minutes}");
    }
    for state in states().into_iter().filter(|state| state.name() != "active") {
        assert_eq!(warned_at(state.clone(), 10, &as_it_is), None, "{state:?}");
    }
    let of = |end: u64| move |grant: &mut Grant| grant.warned_of = Some(after(end));
    assert_eq!(warned_at(lasting(60), 10, &of(3600)), None, "it was");
    assert_eq!(warned_at(lasting(60), 10, &of(1800)), Some(after(3000)), "of another end");
    let left = |ends_at: u64| {
        move |grant: &mut Grant| {
            grant.leaving = Some(Leaving { how: Departure::Closed, since: START, ends_at: after(ends_at) });
        }
    };
    assert_eq!(warned_at(lasting(60), 10, &left(3300)), None);
    assert_eq!(warned_at(lasting(60), 10, &left(3601)), Some(after(3000)));
}
