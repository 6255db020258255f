use latchkey_contract::directory::{Held, How, Known, Method, Mode, Observation, Owned, Password};

use super::samples::*;
use crate::access::{
    Proof,
    proof::{NotOff, Owed},
};

const WHOLE: Owed = Owed::Whole(Mode::Standard);

fn held(n: u8, how: How) -> Held {
    Held { entitlement: role(n), holding: None, how, scope: "/".into() }
}

fn spoiled(spoil: impl Fn(&mut latchkey_contract::directory::Seen), at: u64) -> Observation {
    let mut seen = seen_off(after(at));
    if let Some(account) = &mut seen.account {
        spoil(account);
    }
    seen
}

/// F127: anything that is left is not off.
#[test]
fn anything_left_is_not_off() {
    type Spoil = fn(&mut latchkey_contract::directory::Seen);
    let left: [(&str, Spoil); 6] = [
        ("enabled", |s| s.is_enabled = true),
        ("held", |s| s.held.push(held(1, How::Plain))),
        ("held", |s| s.held.push(held(1, How::Inherited))),
        ("eligible", |s| s.held.push(held(1, How::Eligible))),
        ("owns", |s| s.owned.push(Owned { object: "g".parse().unwrap(), kind: "group".into() })),
        ("sign-in method", |s| s.methods.push(Method { kind: "phone".into(), id: "1".into() })),
    ];
    for (word, spoil) in left {
        let (first, second) = (spoiled(spoil, 0), spoiled(spoil, 60));
        match Proof::of(Some(&first), &second, &known_off(), &WHOLE) {
            Err(NotOff::Left(what)) => assert!(what.contains(word), "{what}"),
            other => panic!("{word}: {other:?}"),
        }
    }
}

#[test]
fn what_no_directory_tells_must_be_known() {
    for known in [
        Known { password: Password::Unknown, ..known_off() },
        Known { password: Password::Set(secret("s1")), ..known_off() },
        Known { sessions_cut: None, ..known_off() },
    ] {
        assert!(matches!(
            Proof::of(Some(&seen_off(START)), &seen_off(after(60)), &known, &WHOLE),
            Err(NotOff::Left(_))
        ));
    }
}

/// F127: two equal reads, seconds apart; the first one's time counts.
#[test]
fn one_read_is_no_proof() {
    let second = seen_off(after(10));
    assert_eq!(Proof::of(None, &second, &known_off(), &WHOLE), Err(NotOff::ReadAgain(after(15))));
    let too_soon = Proof::of(Some(&seen_off(after(6))), &second, &known_off(), &WHOLE);
    assert_eq!(too_soon, Err(NotOff::ReadAgain(after(11))));
    let other = spoiled(|s| s.name = "renamed@contoso.onmicrosoft.com".into(), 0);
    assert_eq!(Proof::of(Some(&other), &second, &known_off(), &WHOLE), Err(NotOff::ReadAgain(after(15))));
    let proof = Proof::of(Some(&seen_off(after(5))), &second, &known_off(), &WHOLE).unwrap();
    assert_eq!((proof.seen_at(), proof.confirmed_at()), (after(5), after(10)));
}

/// F86: a burner that still exists is not off, however harmless it looks.
#[test]
fn a_burner_is_off_only_when_it_is_gone() {
    let burner = Owed::Whole(Mode::Burner);
    let gone = |at| Observation { account: None, ..seen_off(after(at)) };
    assert!(matches!(
        Proof::of(Some(&seen_off(START)), &seen_off(after(9)), &known_off(), &burner),
        Err(NotOff::Left(_))
    ));
    assert!(Proof::of(Some(&gone(0)), &gone(9), &Known::default(), &burner).is_ok());
}

/// F91: an account of the same name that does not carry our mark and was never ours is somebody else's.
#[test]
fn somebody_elses_account_under_our_name_is_not_judged() {
    let foreign = |at| {
        spoiled(
            |s| {
                s.is_marked = false;
                s.is_enabled = true;
            },
            at,
        )
    };
    assert!(Proof::of(Some(&foreign(0)), &foreign(9), &Known::default(), &WHOLE).is_ok());
    let ours = Known { object: foreign(0).account.map(|a| a.object), ..Known::default() };
    assert!(matches!(Proof::of(Some(&foreign(0)), &foreign(9), &ours, &WHOLE), Err(NotOff::Left(_))));
}

/// F124: a partial end is proven by its part, and owes a cut of sessions but no rotation.
#[test]
fn a_part_is_proven_by_its_part() {
    let part = Owed::Part([role(1)].into());
    let others = |at| {
        spoiled(
            |s| {
                s.is_enabled = true;
                s.held.push(held(2, How::Plain));
            },
            at,
        )
    };
    let known = Known { password: Password::Set(secret("s1")), ..Known::default() };
    assert!(Proof::of(Some(&others(0)), &others(9), &known, &part).is_ok());
    let uncut = Known { is_cut_owed: true, ..known };
    assert!(matches!(Proof::of(Some(&others(0)), &others(9), &uncut, &part), Err(NotOff::Left(_))));
}
