use std::collections::BTreeSet;

use latchkey_contract::directory::{Mode, Step, Target};

use super::samples::*;
use crate::access::{
    Cause, Grant, Holds, State,
    account::{NATIVE_MARGIN, owed},
    proof::Owed,
    target,
};

fn held(target: &Target) -> BTreeSet<String> {
    match target {
        Target::Enabled { entitlements, .. } => entitlements.keys().map(ToString::to_string).collect(),
        Target::Absent | Target::Disabled => BTreeSet::new(),
    }
}

/// F124: what is held is the union of living grants, each entitlement with its own end.
#[test]
fn overlapping_grants_do_not_cut_each_other() {
    let (first, second) = (grant("g1", &[1, 2], active(START)), grant("g2", &[2, 3], active(after(1800))));
    let both = [first.clone(), second.clone()];
    let Target::Enabled { entitlements, .. } = target(&account(), &both, &Holds::default(), after(2000)) else {
        panic!("two grants live")
    };
    let ends = |n| entitlements[&role(n)];
    let native = |g: &Grant| match &g.state {
        State::Active { latest_end, .. } => *latest_end + NATIVE_MARGIN,
        _ => unreachable!("both are active"),
    };
    assert_eq!((ends(1), ends(2), ends(3)), (native(&first), native(&second), native(&second)));
    let later = target(&account(), &both, &Holds::default(), after(3601));
    assert_eq!(held(&later), held(&target(&account(), &[second], &Holds::default(), after(3601))));
}

/// F124, F127: when one of two grants ends, only what it alone held is owed.
#[test]
fn a_partial_end_owes_only_its_own_part() {
    let ending = grant("g1", &[1, 2], State::Ending { cause: Cause::Expired, since: after(3600) });
    let living = grant("g2", &[2, 3], active(after(1800)));
    let grants = [ending.clone(), living];
    let part = owed(&account(), &ending, &grants, &Holds::default(), after(3700));
    assert_eq!(part, Owed::Part([role(1)].into()));
    assert_eq!(owed(&account(), &ending, &grants[..1], &Holds::default(), after(3700)), Owed::Whole(Mode::Standard));
}

/// F83, F85, F86: without a living grant a standard account is disabled and a burner is gone.
#[test]
fn an_account_is_enabled_only_while_a_grant_lives() {
    let burner = crate::access::Account { mode: Mode::Burner, ..account() };
    let over = grant("g1", &[1], active(START));
    for grants in [vec![], vec![over]] {
        assert_eq!(target(&account(), &grants, &Holds::default(), after(3600)), Target::Disabled);
        assert_eq!(target(&burner, &grants, &Holds::default(), after(3600)), Target::Absent);
    }
}

#[test]
fn a_hold_takes_everything_at_once() {
    let living = [grant("g1", &[1], active(START))];
    let by_customer = Holds { customers: [("acme".parse().unwrap(), "paused".to_owned())].into(), ..Holds::default() };
    let by_person = Holds { people: [("jdoe".parse().unwrap(), "blocked".to_owned())].into(), ..Holds::default() };
    for holds in [by_customer, by_person] {
        assert_eq!(target(&account(), &living, &holds, after(60)), Target::Disabled);
    }
}

/// A cut of sessions from before access turned into removal proves nothing about the sessions since.
#[test]
fn what_was_cut_before_the_turn_does_not_count_after_it() {
    let giving = target(&account(), &[grant("g1", &[1], active(START))], &Holds::default(), after(60));
    let mut given = account().under(&giving);
    given.known.sessions_cut = Some(after(30));
    assert_eq!(given.clone().under(&giving).known.sessions_cut, Some(after(30)), "no turn, nothing forgotten");
    assert_eq!(given.under(&Target::Disabled).known.sessions_cut, None);
}

/// A directory whose reads lag is not asked without pause.
#[test]
fn the_same_step_again_waits_longer_each_time() {
    let mut account = account();
    let waits: Vec<u64> = (0..8).map(|_| account.took(&Step::Disable).as_secs()).collect();
    assert_eq!(waits, [0, 2, 4, 8, 16, 32, 32, 32]);
    assert_eq!(account.took(&Step::CutSessions).as_secs(), 0);
}

/// The native end is fixed when the grant begins: becoming active does not move it.
#[test]
fn the_native_end_does_not_move() {
    let granting = grant("g1", &[1], granting());
    let end = |g: &Grant| match target(&account(), std::slice::from_ref(g), &Holds::default(), after(60)) {
        Target::Enabled { entitlements, .. } => entitlements[&role(1)],
        other => panic!("{other:?}"),
    };
    let State::Granting { latest_end, .. } = granting.state else { panic!("granting") };
    let active = State::Active { secret: secret("s1"), since: after(30), until: after(3630), latest_end };
    assert_eq!(end(&granting), end(&grant("g1", &[1], active)));
}
