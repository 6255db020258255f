//! The orders as tables: what is seen, what is known, and the one next step.

use std::collections::BTreeMap;

use latchkey_contract::{
    EntitlementId, ObjectId, SecretId,
    directory::{Given, Held, How, Method, Owned, Password},
};

use super::*;

const ROLE: &str = "role:29232cdf-9323-42fd-ade2-1d097af3e4de";
const GROUP: &str = "group:11111111-9323-42fd-ade2-1d097af3e4de";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

const NOW: i64 = 10_000;

fn id(text: &str) -> EntitlementId {
    EntitlementId::try_from(text.to_owned()).unwrap()
}

fn object(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

fn secret() -> SecretId {
    SecretId::parse("s1").unwrap()
}

fn enabled(entitlements: &[&str]) -> Target {
    let entitlements = entitlements.iter().map(|e| (id(e), at(NOW + 3600))).collect();
    Target::Enabled { password: secret(), entitlements, reason: "Ticket 42".to_owned() }
}

fn account() -> Seen {
    Seen {
        object: object("u1"),
        name: "jit@contoso.onmicrosoft.com".to_owned(),
        is_enabled: false,
        is_marked: true,
        protection: None,
        held: vec![],
        owned: vec![],
        methods: vec![],
        sessions_valid_from: None,
        password_changed: None,
        unread: vec![],
    }
}

fn looked(account: Option<Seen>) -> Observation {
    Observation { at: at(NOW), account, recycled: None, has_native_end: false, unchecked: vec![] }
}

fn held(entitlement: &str, how: How) -> Held {
    Held { entitlement: id(entitlement), holding: None, how, scope: "/".to_owned() }
}

fn with_password() -> Known {
    Known {
        create_sent: Some(at(0)),
        object: Some(object("u1")),
        password: Password::Set(secret()),
        ..Known::default()
    }
}

/// What is known when access begins to be taken.
fn leaving() -> Known {
    let given = Given { at: at(0), native_end: None, is_confirmed: true };
    Known { given: BTreeMap::from([(id(ROLE), given)]), ..with_password() }
}

fn step(target: &Target, account: Option<Seen>, known: &Known) -> String {
    said(next(target, &looked(account), known, at(NOW)))
}

fn said(next: Next) -> String {
    match next {
        Next::Step(Step::Take(held)) => format!("take {}", held.entitlement),
        Next::Step(step) => step.name().to_owned(),
        Next::Wait { until, .. } => format!("wait {}", until.seconds() - NOW),
        Next::Reached => "reached".to_owned(),
        Next::Impossible { why } => format!("impossible: {why}"),
    }
}

fn protected() -> Seen {
    Seen { protection: Some("It is a break-glass account.".to_owned()), ..account() }
}

fn foreign() -> Seen {
    Seen { is_marked: false, ..account() }
}

#[test]
fn an_account_that_is_not_there() {
    let sent =
        |ago: i64, object: Option<ObjectId>| Known { create_sent: Some(at(NOW - ago)), object, ..Known::default() };
    let ours = Some(object("u1"));
    for (known, giving, off) in [
        (Known::default(), "create", "reached"),
        (sent(1, None), "wait 2", "wait 2"),
        (sent(15, ours.clone()), "wait 5", "wait 5"),
        (sent(115, None), "wait 5", "wait 5"),
        (sent(120, None), "create", "reached"),
        (sent(500, ours), "impossible: The account has vanished from the directory.", "reached"),
    ] {
        assert_eq!(step(&enabled(&[ROLE]), None, &known), giving, "{known:?}");
        assert_eq!(step(&Target::Disabled, None, &known), off, "{known:?}");
        assert_eq!(step(&Target::Absent, None, &known), off, "{known:?}");
    }
}

/// F111
#[test]
fn a_protected_account_is_never_touched() {
    for target in [enabled(&[ROLE]), Target::Disabled, Target::Absent] {
        assert_eq!(step(&target, Some(protected()), &leaving()), "impossible: It is a break-glass account.");
    }
}

#[test]
fn an_account_of_somebody_else_under_our_name_is_never_touched() {
    let enabled_foreign = Seen { is_enabled: true, ..foreign() };
    let taken = "impossible: The name jit@contoso.onmicrosoft.com is taken by another account.";
    assert_eq!(step(&enabled(&[ROLE]), Some(enabled_foreign.clone()), &Known::default()), taken);
    assert_eq!(step(&Target::Disabled, Some(enabled_foreign.clone()), &Known::default()), "reached");
    assert_eq!(step(&Target::Absent, Some(enabled_foreign.clone()), &Known::default()), "reached");
    // Its mark was removed by hand, but its id is the one that our own call returned.
    assert_eq!(step(&Target::Disabled, Some(enabled_foreign), &leaving()), "disable");
}

#[test]
fn the_way_in_gives_power_last() {
    let unknown = Known { password: Password::Unknown, ..with_password() };
    let stale = [held(GROUP, How::Plain)];
    let method = Method { kind: "phoneAuthenticationMethod".to_owned(), id: "m".to_owned() };
    let owned = Owned { object: object("g"), kind: "group".to_owned() };
    let on = Seen { is_enabled: true, ..account() };
    for (account, known, expected) in [
        (account(), &unknown, "set-password"),
        (
            Seen { held: stale.to_vec(), ..account() },
            &with_password(),
            "take group:11111111-9323-42fd-ade2-1d097af3e4de",
        ),
        (Seen { owned: vec![owned.clone()], ..account() }, &with_password(), "disown"),
        (Seen { methods: vec![method.clone()], ..account() }, &with_password(), "remove-method"),
        (account(), &with_password(), "enable"),
        (on.clone(), &with_password(), "give"),
        (Seen { held: vec![held(ROLE, How::Plain)], ..on.clone() }, &with_password(), "reached"),
        // What the person registers or comes to own during the grant is dealt with at its end.
        (
            Seen { held: vec![held(ROLE, How::Plain)], methods: vec![method], owned: vec![owned], ..on },
            &with_password(),
            "reached",
        ),
    ] {
        assert_eq!(step(&enabled(&[ROLE]), Some(account.clone()), known), expected, "{account:?}");
    }
}

#[test]
fn nobody_is_let_in_while_something_unwanted_cannot_be_taken_yet() {
    let unclean = Seen { held: vec![held(GROUP, How::Plain)], ..account() };
    let key = format!("take {GROUP} /");
    let later = Known { not_before: BTreeMap::from([(key.clone(), at(NOW + 60))]), ..with_password() };
    assert_eq!(step(&enabled(&[ROLE]), Some(unclean.clone()), &later), "wait 60");
    let never = Known { no_way: BTreeMap::from([(key, "Denied".to_owned())]), ..with_password() };
    let said = step(&enabled(&[ROLE]), Some(unclean), &never);
    assert_eq!(said, "impossible: Entra refuses the step \"take\" for good: Denied.");
}

/// F124
#[test]
fn a_partial_end_takes_its_part_and_cuts_sessions() {
    let on = Seen { is_enabled: true, held: vec![held(ROLE, How::Plain), held(GROUP, How::Plain)], ..account() };
    let target = enabled(&[ROLE]);
    let Next::Step(taken) = next(&target, &looked(Some(on.clone())), &with_password(), at(NOW)) else { panic!() };
    assert_eq!(taken, Step::Take(held(GROUP, How::Plain)));
    let known = with_password().intending(&taken, at(NOW));
    let rest = Seen { held: vec![held(ROLE, How::Plain)], ..on };
    assert_eq!(step(&target, Some(rest.clone()), &known), "cut-sessions");
    let done = latchkey_contract::directory::Outcome::Done { object: None };
    assert_eq!(step(&target, Some(rest), &known.after(&Step::CutSessions, &done, at(NOW))), "reached");
}

#[test]
fn an_eligible_or_scoped_holding_is_not_what_a_grant_gives() {
    let scoped = Held { scope: "/administrativeUnits/x".to_owned(), ..held(ROLE, How::Plain) };
    for extra in [held(ROLE, How::Eligible), scoped] {
        let on = Seen { is_enabled: true, held: vec![extra], ..account() };
        assert_eq!(step(&enabled(&[ROLE]), Some(on), &with_password()), format!("take {ROLE}"));
    }
}

fn give(seen: &Observation, known: &Known) -> String {
    match next(&enabled(&[ROLE]), seen, known, at(NOW)) {
        Next::Step(Step::Give { native_end, is_time_bound, .. }) => {
            format!("{} {}", if is_time_bound { "bound" } else { "plain" }, native_end.seconds() - NOW)
        }
        other => said(other),
    }
}

/// F130
#[test]
fn a_role_gets_an_end_of_the_tenants_own_where_there_is_one() {
    let on = |how: Option<How>| Seen {
        is_enabled: true,
        held: how.into_iter().map(|h| held(ROLE, h)).collect(),
        ..account()
    };
    let seen = |how, has_native_end| Observation { has_native_end, ..looked(Some(on(how))) };
    let bound = |end: i64| Some(How::TimeBound { end: Some(at(NOW + end)) });
    let refused =
        Known { no_way: BTreeMap::from([(format!("give {ROLE} true"), "MfaRule".to_owned())]), ..with_password() };
    let both = [(format!("give {ROLE} true"), "MfaRule".to_owned()), (format!("give {ROLE} false"), "Nope".to_owned())];
    let hopeless = Known { no_way: BTreeMap::from(both), ..with_password() };

    assert_eq!(give(&seen(None, true), &with_password()), "bound 3600");
    assert_eq!(give(&seen(None, false), &with_password()), "plain 3600");
    assert_eq!(give(&seen(None, true), &refused), "plain 3600");
    assert_eq!(give(&seen(None, true), &hopeless), "impossible: Entra refuses the step \"give\" for good: Nope.");
    assert_eq!(give(&seen(bound(3600), true), &with_password()), "reached");
    assert_eq!(give(&seen(bound(9999), true), &with_password()), "reached");
    assert_eq!(give(&seen(bound(1800), true), &with_password()), "bound 3600", "an extension moves the end");
    assert_eq!(
        give(&seen(bound(1800), true), &refused),
        "reached",
        "an end that cannot be moved comes early, not late"
    );
    assert_eq!(give(&seen(Some(How::Plain), true), &with_password()), "reached");
}

#[test]
fn pim_gives_nothing_shorter_than_five_minutes() {
    let entitlements = BTreeMap::from([(id(ROLE), at(NOW + 60))]);
    let target = Target::Enabled { password: secret(), entitlements, reason: String::new() };
    let on = Seen { is_enabled: true, ..account() };
    let seen = Observation { has_native_end: true, ..looked(Some(on)) };
    let Next::Step(Step::Give { native_end, .. }) = next(&target, &seen, &with_password(), at(NOW)) else { panic!() };
    assert!(native_end >= at(NOW + 300));
}

#[test]
fn what_was_given_a_moment_ago_is_waited_for() {
    let on = Seen { is_enabled: true, ..account() };
    let given = |ago: i64, is_confirmed| {
        let given = Given { at: at(NOW - ago), native_end: None, is_confirmed };
        Known { given: BTreeMap::from([(id(ROLE), given)]), ..with_password() }
    };
    assert_eq!(give(&looked(Some(on.clone())), &given(1, true)), "wait 2");
    assert_eq!(give(&looked(Some(on.clone())), &given(121, true)), "plain 3600");
    assert_eq!(give(&looked(Some(on)), &given(1, false)), "plain 3600", "an unknown outcome is asked for again");
}

/// F84
#[test]
fn the_way_out_cuts_sign_in_first_and_strips_everything() {
    let cut = Known { sessions_cut: Some(at(NOW)), ..leaving() };
    let scrambled = Known { password: Password::Scrambled, ..cut.clone() };
    let owed = Known { is_cut_owed: true, ..cut.clone() };
    let full = Seen {
        held: vec![held(ROLE, How::TimeBound { end: None }), held(GROUP, How::Plain)],
        owned: vec![Owned { object: object("g"), kind: "group".to_owned() }],
        methods: vec![Method { kind: "fido2AuthenticationMethod".to_owned(), id: "m".to_owned() }],
        ..account()
    };
    let on = Seen { is_enabled: true, ..full.clone() };
    let no_roles = Seen { held: vec![], ..full.clone() };
    let no_things = Seen { owned: vec![], ..no_roles.clone() };
    for (account, known, expected) in [
        (&on, &leaving(), "disable"),
        (&full, &leaving(), "cut-sessions"),
        (&full, &cut, "take role:29232cdf-9323-42fd-ade2-1d097af3e4de"),
        (&no_roles, &cut, "disown"),
        (&no_things, &cut, "remove-method"),
        (&account(), &owed, "cut-sessions"),
        (&account(), &cut, "scramble-password"),
        (&account(), &scrambled, "reached"),
        (&Seen { is_enabled: true, ..account() }, &scrambled, "disable"),
    ] {
        assert_eq!(step(&Target::Disabled, Some(account.clone()), known), expected, "{account:?}");
    }
}

/// F86
#[test]
fn a_burner_is_stripped_then_deleted_then_purged() {
    let cut = Known { sessions_cut: Some(at(NOW)), ..leaving() };
    let full = Seen { held: vec![held(ROLE, How::Plain)], ..account() };
    assert_eq!(step(&Target::Absent, Some(Seen { is_enabled: true, ..full.clone() }), &leaving()), "disable");
    assert_eq!(step(&Target::Absent, Some(full), &cut), format!("take {ROLE}"));
    assert_eq!(step(&Target::Absent, Some(account()), &cut), "delete");
    let bin = Observation { recycled: Some(object("u1")), ..looked(None) };
    assert_eq!(said(next(&Target::Absent, &bin, &cut, at(NOW))), "purge");
    let refused = Known { no_way: BTreeMap::from([("purge".to_owned(), "DelegatedOnly".to_owned())]), ..cut };
    assert_eq!(said(next(&Target::Absent, &bin, &refused, at(NOW))), "reached");
}

#[test]
fn a_step_that_must_wait_holds_up_no_other() {
    let key = format!("take {ROLE} /");
    let known =
        Known { sessions_cut: Some(at(NOW)), not_before: BTreeMap::from([(key.clone(), at(NOW + 240))]), ..leaving() };
    let full = Seen { held: vec![held(ROLE, How::TimeBound { end: None }), held(GROUP, How::Plain)], ..account() };
    assert_eq!(step(&Target::Disabled, Some(full.clone()), &known), format!("take {GROUP}"));
    let rest = Seen { held: vec![held(ROLE, How::TimeBound { end: None })], ..full };
    assert_eq!(step(&Target::Disabled, Some(rest.clone()), &known), "scramble-password");
    let scrambled = Known { password: Password::Scrambled, ..known };
    assert_eq!(step(&Target::Disabled, Some(rest.clone()), &scrambled), "wait 240");
    assert_eq!(step(&Target::Absent, Some(rest.clone()), &scrambled), "wait 240", "roles go before the account");
    let due = Known { not_before: BTreeMap::from([(key, at(NOW))]), ..scrambled };
    assert_eq!(step(&Target::Disabled, Some(rest), &due), format!("take {ROLE}"));
}

#[test]
fn without_the_directory_role_power_is_taken_first_and_sign_in_cut_then() {
    let refused = |names: &[&str]| {
        let no_way = names.iter().map(|name| ((*name).to_owned(), "Authorization_RequestDenied".to_owned())).collect();
        Known { no_way, ..leaving() }
    };
    let on = Seen { is_enabled: true, held: vec![held(ROLE, How::Plain)], ..account() };
    assert_eq!(step(&Target::Disabled, Some(on.clone()), &refused(&["disable"])), "cut-sessions");
    assert_eq!(
        step(&Target::Disabled, Some(on.clone()), &refused(&["disable", "cut-sessions"])),
        format!("take {ROLE}")
    );
    let bare = Seen { held: vec![], ..on };
    assert_eq!(step(&Target::Disabled, Some(bare), &refused(&["disable", "cut-sessions"])), "disable");
}

#[test]
fn a_role_that_lingers_through_a_group_is_waited_for() {
    let lingering = Held { holding: Some("g1".to_owned()), ..held(ROLE, How::Inherited) };
    let known = Known { sessions_cut: Some(at(NOW)), password: Password::Scrambled, ..leaving() };
    assert_eq!(step(&Target::Disabled, Some(Seen { held: vec![lingering.clone()], ..account() }), &known), "wait 10");
    let wanted = Held { holding: Some(id(GROUP).object().as_str().to_owned()), ..lingering };
    let on = Seen { is_enabled: true, held: vec![held(GROUP, How::Plain), wanted], ..account() };
    assert_eq!(step(&enabled(&[GROUP]), Some(on), &with_password()), "reached");
}
