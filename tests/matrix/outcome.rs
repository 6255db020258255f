//! What is expected of a run that the service lived through: that the fault was met, what became of the request, and that
//! nothing was done twice.

use crate::{
    bench::{Bench, calls},
    clean::Clean,
    point::TIDYING,
    story::{Fate, Story},
    view::{Effects, View},
    wrong::{ASKED_TO_WAIT_S, CallFault, CommitFault, DeliveryFault, Wrong},
};

/// Asserts it; answers it as a sentence.
pub(crate) fn check(bench: &Bench, fate: Fate, end: &View, clean: &Clean) -> String {
    let fired = bench.fired();
    match &bench.wrong {
        Wrong::Call(name, fault) => {
            assert!((1..=fault.times()).contains(&fired), "it went wrong {fired} times");
            call(bench, name, *fault, fate, end, clean)
        }
        Wrong::Commit(name, fault) => {
            assert_eq!(fired, 1, "the commit was not met");
            assert_eq!(fate, clean.fate, "what became of the request");
            ends_as_clean(end, clean, may_be_repeated_commit(name, *fault), &[]);
            commit(*fault).to_owned()
        }
        Wrong::Delivery(fault) => {
            assert!(fired > 0, "nothing went wrong");
            assert_eq!(fate, clean.fate, "what became of the request");
            ends_as_clean(end, clean, &[], &[]);
            delivery(*fault).to_owned()
        }
        Wrong::Stopped(_) => {
            assert_eq!((fired, fate), (1, clean.fate), "it was stopped, and what became of the request");
            ends_as_clean(end, clean, &[], &[]);
            "what was under way was ended, nothing was lost and nothing done twice; it ended with 0".to_owned()
        }
        Wrong::Starved(_) => {
            assert_eq!((fired, fate), (1, clean.fate), "it was starved, and what became of the request");
            ends_as_clean(end, clean, &["password"], &[]);
            "nothing was answered by half; it went on when there was something to open again".to_owned()
        }
        Wrong::Unread => {
            assert!(fired > 20, "only {fired} lines waited");
            assert_eq!(fate, clean.fate, "what became of the request");
            ends_as_clean(end, clean, &[], &[]);
            "nothing waited for whoever reads; read at last, the log had what happened meanwhile".to_owned()
        }
        Wrong::Squeezed(_) => {
            assert_eq!((fired, fate), (1, clean.fate), "it was squeezed, and what became of the request");
            ends_as_clean(end, clean, &["password"], &[]);
            match bench.death {
                Some(_) => "it died of it, and went on when it was started again",
                None => "it got none and lived; started again it went on",
            }
            .to_owned()
        }
        Wrong::Nothing | Wrong::Death(_) | Wrong::Weather | Wrong::Starts => {
            panic!("nothing went wrong that it could live through")
        }
    }
}

fn call(bench: &Bench, name: &str, fault: CallFault, fate: Fate, end: &View, clean: &Clean) -> String {
    let expected = expected(name, fault).unwrap_or(clean.fate);
    assert_eq!(fate, expected, "what became of the request; {:?}", end.effects);
    if fate == clean.fate {
        ends_as_clean(end, clean, may_be_repeated(name, fault), may_differ(name, fault));
    } else {
        taken_back(end, clean);
    }
    let all = calls(&bench.app, name);
    // A removal is held back by a vendor's wait only now and then: a note that falls due meanwhile comes back to it. Of what a
    // directory holds it is asked three times in a row where a copy is compared, for removals wait for it.
    let is_held_back = !(TIDYING.contains(&name) || [ZONE, MARKED].contains(&name));
    if fault == CallFault::ThrottledFor && is_held_back {
        let at = all.iter().position(|(_, status)| *status == Some(429)).expect("it was throttled");
        if let Some((next, _)) = all.get(at + 1) {
            let waited = next - all[at].0;
            assert!(waited >= i64::try_from(ASKED_TO_WAIT_S * 1000).unwrap(), "it waited {waited} ms only");
        }
    }
    let again = all.len() > fault.times();
    match (fate, fault) {
        (Fate::Undone, _) => "refused for good: what was given of it was taken back, with proof, and told".to_owned(),
        (Fate::Refused, _) => "nothing was given, and the ticket says so".to_owned(),
        (_, CallFault::ThrottledFor) if !is_held_back => "asked again, done once".to_owned(),
        (_, CallFault::ThrottledFor) => "waited as long as it was told to, then done once".to_owned(),
        (_, CallFault::Throttled | CallFault::Error | CallFault::Down) => {
            "tried again after a pause, done once".to_owned()
        }
        (_, CallFault::Slow) => "waited for".to_owned(),
        (_, fault) if fault.is_done() && !again => "found by looking; not done again".to_owned(),
        (_, fault) if fault.is_done() => "looked at or asked again; nothing stands twice".to_owned(),
        _ => "done at the next try, once".to_owned(),
    }
}

/// Where the request does not come to what it comes to when all is well.
fn expected(name: &str, fault: CallFault) -> Option<Fate> {
    // Before anything is sent it is a refusal; afterwards what was sent is taken back.
    const NOTHING_SENT: [&str; 2] = ["entra GET /users/{id}", TOKEN];
    const TAKEN_BACK: [&str; 10] = [
        "entra GET /roleManagement/directory/roleAssignmentScheduleInstances",
        "entra GET /roleManagement/directory/roleAssignments",
        "entra GET /roleManagement/directory/roleEligibilityScheduleInstances",
        "entra GET /users/{id}/memberOf",
        "entra PATCH /users/{id} accountEnabled=true",
        "entra POST /groups/{id}/members/$ref",
        "entra POST /roleManagement/directory/roleAssignmentScheduleRequests adminAssign",
        "entra POST /roleManagement/directory/roleAssignmentScheduleRequests adminUpdate",
        "entra POST /roleManagement/directory/roleAssignments",
        "entra POST /users",
    ];
    match fault {
        CallFault::Forbidden if NOTHING_SENT.contains(&name) => Some(Fate::Refused),
        CallFault::Forbidden if TAKEN_BACK.contains(&name) => Some(Fate::Undone),
        CallFault::Unauthorized if name == TOKEN => Some(Fate::Refused),
        _ => None,
    }
}

/// Whoever asks anything asks this first, and as a removal does, since a removal may be who asks.
const ZONE: &str = "autotask GET /zoneInformation";

/// Everything that a directory holds of ours.
const MARKED: &str = "entra GET /users";

const TOKEN: &str = "entra POST /{tenant}/oauth2/v2.0/token";

/// What is not insisted on where the vendor says that we may not: a status, tidying up, the bin's last emptying. None of
/// it is what keeps access away.
fn may_differ(name: &str, fault: CallFault) -> &'static [&'static str] {
    match (fault, name) {
        (
            CallFault::Unauthorized | CallFault::Forbidden,
            "psa GET /service/boards/{id}/statuses"
            | "psa PATCH /service/tickets/{id}"
            | "autotask PATCH /Tickets"
            | "halopsa POST /Tickets",
        ) => &["status"],
        (CallFault::Unauthorized | CallFault::Forbidden, name) if TIDYING.contains(&name) => {
            &["note this access has ended", "note access granted"]
        }
        (CallFault::Forbidden, "entra DELETE /directory/deletedItems/{id}") => &["purged"],
        _ => &[],
    }
}

/// What may stand once more than without the fault: nothing that gives, but for the password, of which nobody could say
/// otherwise that it is the one that is known, or the one that nobody knows.
fn may_be_repeated(name: &str, fault: CallFault) -> &'static [&'static str] {
    if !fault.is_done() || fault == CallFault::Slow {
        return &[];
    }
    match name {
        "entra POST /users" | "entra PATCH /users/{id} passwordProfile" => &["password"],
        "entra POST /users/{id}/revokeSignInSessions" => &["sessions"],
        _ => &[],
    }
}

/// The same where it was a commit: that of a step with a password, after whose intent nobody knows it until its outcome is
/// written down; and a mail that was sent and not written down. What was written is found, whoever did not hear of it: no other
/// commit is a reason to do anything twice.
fn may_be_repeated_commit(name: &str, fault: CommitFault) -> &'static [&'static str] {
    let is_written = fault == CommitFault::UnheardDone;
    let step = name.strip_prefix("commit step-outcome/");
    match step.or_else(|| name.strip_prefix("commit step-intent/").filter(|_| is_written)) {
        Some("create" | "set-password" | "scramble-password") => &["password"],
        Some("cut-sessions") => &["sessions"],
        None if name.starts_with("commit mailed") && !is_written => &["mail of access", "mail of the end"],
        _ => &[],
    }
}

/// One request, one effect.
fn ends_as_clean(end: &View, clean: &Clean, repeated: &[&str], differ: &[&str]) {
    let mut effects: Effects = end.effects.clone();
    for kind in repeated {
        let (is, was) = (end.effect(kind), clean.view.effect(kind));
        if is == was + 1 {
            effects.insert((*kind).to_owned(), was);
        }
    }
    for kind in differ {
        let (is, was) = (end.effect(kind), clean.view.effect(kind));
        assert!(is.abs_diff(was) <= 1, "{kind}: {is} instead of {was}");
        effects.remove(*kind);
        effects.extend((was > 0).then(|| ((*kind).to_owned(), was)));
    }
    // Sessions are revoked as often as somebody is not sure: that harms nobody, and once at least.
    let revoked = clean.view.effect("sessions");
    assert_eq!(end.effect("sessions") > 0, revoked > 0, "sessions are revoked");
    effects.extend((revoked > 0).then(|| ("sessions".to_owned(), revoked)));
    assert_eq!(effects, clean.view.effects, "what was done outside");
    assert_eq!(end.grants, clean.view.grants, "grants");
    is_at_rest(end);
}

/// What was given of it is gone.
fn taken_back(end: &View, clean: &Clean) {
    let pairs: &[(&str, &str)] = match clean.story {
        // What it held goes with it.
        Story::Burner => &[("created", "deleted")],
        _ => &[("role given", "role taken"), ("member added", "member removed"), ("enabled", "disabled")],
    };
    for (given, taken) in pairs {
        assert!(end.effect(taken) >= end.effect(given), "{given} is not {taken}: {:?}", end.effects);
    }
    is_at_rest(end);
}

fn is_at_rest(end: &View) {
    assert_eq!(end.deliveries.1, 0, "every delivery is worked off");
    assert!(end.tasks.iter().all(|(_, state)| state == "pending"), "{:?}", end.tasks);
}

const fn commit(fault: CommitFault) -> &'static str {
    match fault {
        CommitFault::Busy => "nothing was written; the work was done again, once",
        CommitFault::Conflict => "loaded again and thought again; done once",
        CommitFault::UnheardUndone => "nobody knew; it was looked at and done again, once",
        CommitFault::UnheardDone => "nobody knew; it was looked at and found done",
        CommitFault::Full => "nothing was written; done when there was room again",
    }
}

const fn delivery(fault: DeliveryFault) -> &'static str {
    match fault {
        DeliveryFault::Twice => "one effect, and each was answered",
        DeliveryFault::Lost => "found by the poll or asked again; one effect",
        DeliveryFault::Late => "each was answered, and nothing was opened again",
        DeliveryFault::Forged | DeliveryFault::Unsigned => "answered 401; found by the poll or asked again; one effect",
    }
}
