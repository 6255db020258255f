use super::{
    decisions::{request, rules},
    samples::START,
};
use crate::{
    access::{
        decide::Living,
        replay::{Decided, not_replayed, replay},
    },
    rulebook::{Brake, Hold, HoldCause, HoldOn, Per, Rules},
};

fn decided(change: impl FnOnce(&mut Decided)) -> Decided {
    let mut decided = Decided { request: request(), living: Living::default() };
    change(&mut decided);
    decided
}

fn after(change: impl FnOnce(&mut Rules)) -> Rules {
    let mut rules = rules();
    change(&mut rules);
    rules
}

fn brake(grants: u32, within: &str) -> Brake {
    Brake { id: "all".parse().unwrap(), per: Per::Msp, grants, within: within.to_owned().try_into().unwrap() }
}

/// F46: only what would fall otherwise is told, with the rule that decides on either side.
#[test]
fn only_decisions_that_other_rules_turn_are_told() {
    let plain = decided(|_| ());
    let long = decided(|d| d.request.length_field = Some("4 hours".into()));
    let closed = decided(|d| d.request.is_closed = true);
    let all = [plain, long, closed];
    assert!(replay(&rules(), &rules(), &all).is_empty());
    let shorter = after(|r| {
        r.rulebook.policies[0].max_length = "2h".to_owned().try_into().unwrap();
        r.rulebook.policies[0].lengths.pop();
    });
    let turned = replay(&rules(), &shorter, &all);
    let said: Vec<_> = turned.iter().map(|t| (t.was.as_str(), t.would_be.as_str())).collect();
    assert_eq!(
        said,
        [
            (
                "granted 4h by policy helpdesk, limited by policy helpdesk",
                "granted 2h by policy helpdesk, limited by policy helpdesk"
            ),
            (
                "granted 4h by policy helpdesk, limited by policy helpdesk",
                "refused length-not-allowed by policy helpdesk"
            ),
        ]
    );
    assert_eq!(turned[0].person.as_ref().unwrap().as_str(), "jdoe");
    let gone = after(|r| r.rulebook.mappings.clear());
    assert_eq!(replay(&gone, &rules(), &all).len(), 2, "a closed ticket is refused either way");
}

/// F46: another role under the same policy is another decision; another name is not.
#[test]
fn a_policy_that_gives_something_else_turns_its_decisions() {
    let all = [decided(|_| ())];
    let wider = after(|r| r.rulebook.policies[0].entitlements.push("group:g".to_owned().try_into().unwrap()));
    assert_eq!(replay(&rules(), &wider, &all).len(), 1);
    let renamed = after(|r| r.rulebook.policies[0].name = "Desk".into());
    assert!(replay(&rules(), &renamed, &all).is_empty());
}

/// F46, F58: a brake counts as it was counted then; one that was not counted then is named instead.
#[test]
fn brakes_are_replayed_by_the_counts_of_then() {
    let all = [decided(|d| d.living.counts = [("all".parse().unwrap(), 3)].into())];
    let before = after(|r| r.rulebook.brakes.push(brake(5, "1d")));
    let tighter = after(|r| r.rulebook.brakes.push(brake(3, "1d")));
    let turned = replay(&before, &tighter, &all);
    assert_eq!(turned[0].would_be, "waits for approvers by brake all (policy helpdesk)");
    assert!(not_replayed(&before, &tighter).is_empty());
    let longer = after(|r| r.rulebook.brakes.push(brake(5, "2d")));
    assert_eq!(not_replayed(&before, &longer).len(), 1);
    assert_eq!(not_replayed(&rules(), &before).len(), 1);
}

/// F46: what is held now passes, and hides nothing of what a rulebook turns.
#[test]
fn a_hold_of_now_hides_nothing() {
    let everybody = HoldOn::Everything;
    let jdoe = HoldOn::Person("jdoe".parse().unwrap());
    for (on, cause) in [(everybody, HoldCause::Panic), (jdoe, HoldCause::Blocked)] {
        let hold = |rules: &mut Rules| {
            let (by, reason) = ("admin".into(), "burglars".into());
            rules.holds.push(Hold { on: on.clone(), cause, since: START, by, reason });
        };
        let empty = after(|r| {
            hold(r);
            r.rulebook = crate::rulebook::Rulebook::default();
        });
        let turned = replay(&after(hold), &empty, &[decided(|_| ())]);
        assert_eq!(turned.len(), 1, "{on}");
        assert!(turned[0].would_be.starts_with("refused policy-missing"), "{on}: {}", turned[0].would_be);
        assert!(replay(&after(hold), &after(hold), &[decided(|_| ())]).is_empty(), "{on}");
    }
}

/// F46: whoever asked is who they were then, whatever became of their binding.
#[test]
fn a_binding_of_since_hides_nothing() {
    let (cw, member, jdoe) = ("cw".parse().unwrap(), "176".parse().unwrap(), "jdoe".parse().unwrap());
    let unbound = |r: &mut Rules| r.records.unbind(&cw, &member);
    let rebound = |r: &mut Rules| {
        r.records.unbind(&cw, &member);
        let nobody = Rules { records: r.records.clone(), was_bound: true, ..Rules::default() };
        r.records.bind(&jdoe, &cw, &member);
        r.records = r.records.clone().bound_since(&nobody, request().decided_at);
    };
    for bindings in [&unbound as &dyn Fn(&mut Rules), &rebound] {
        let empty = after(|r| {
            bindings(r);
            r.rulebook = crate::rulebook::Rulebook::default();
        });
        let turned = replay(&after(bindings), &empty, &[decided(|_| ())]);
        assert_eq!(turned.len(), 1);
        assert!(turned[0].was.starts_with("granted"), "{}", turned[0].was);
    }
}
