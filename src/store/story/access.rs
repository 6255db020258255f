//! Grants, accounts, rules, notices, sealed rows, sightings, audit, deliveries.

use latchkey_contract::{Timestamp, directory::Mode};

use super::sample::*;
use crate::{
    access::{
        Grant, State,
        grant::Waiting,
        trigger::{Sighted, Sighting},
    },
    audit::{By, Code},
    jobs::task::Priority,
    random::ulid_floor,
    rulebook::{Hold, HoldCause, HoldOn, Records, Rulebook, Rules},
    store::{
        BrakeCount, Finish, Notice, NoticeState, Recorded, Rewrapped, Scope, SealedRow, Store, StoreError, Transition,
        verify_chain,
    },
};

pub(crate) async fn a_delivery_is_recorded_once_with_its_task(store: &dyn Store) {
    assert_eq!(store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap(), Recorded::New);
    assert_eq!(store.record_delivery(delivery("d2", "m1", Some("4711"))).await.unwrap(), Recorded::Repeat);
    let mut other = delivery("d3", "m1", Some("4711"));
    other.body_hash = "another".into();
    assert_eq!(store.record_delivery(other).await.unwrap(), Recorded::OtherBody);
    assert!(store.delivery("d2").await.unwrap().is_none());

    let tasks = claim(store, START).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].work, intake("d1", "4711"));
    let t = Transition { delivery_done: Some(("d1".into(), "granted".into())), ..transition() };
    store.commit(t).await.unwrap();
    let stored = store.delivery("d1").await.unwrap().unwrap();
    assert_eq!(stored.outcome.as_deref(), Some("granted"));
    assert_eq!(stored.event.message_id, "m1");
}

pub(crate) async fn rules_are_saved_one_revision_after_another(store: &dyn Store) {
    assert_eq!(store.rules().await.unwrap(), Rules::default());
    assert_eq!(store.save_rules(&Rules::default(), "jdoe", "first", START).await.unwrap(), 1);
    let stale = store.save_rules(&Rules::default(), "jdoe", "second", START).await;
    assert!(matches!(stale, Err(StoreError::Conflict)));
    let rules = store.rules().await.unwrap();
    assert_eq!((rules.revision, store.revision().await.unwrap()), (1, 1));
    assert_eq!(store.save_rules(&rules, "jdoe", "second", START).await.unwrap(), 2);

    let old = Transition { revision: Some(1), audit: vec![entry("x")], ..transition() };
    assert!(matches!(store.commit(old).await, Err(StoreError::Conflict)));
    let audit: Vec<_> = store.audit(0, 10).await.unwrap().into_iter().map(|e| (e.code, e.by)).collect();
    let saved = || (Code::RulesSaved, Some(By::operator("jdoe")));
    assert_eq!(audit, [saved(), saved()], "each change is told once, and nothing else was");
    store.commit(Transition { revision: Some(2), ..transition() }).await.unwrap();
}

fn records(people: &[&str]) -> Records {
    let person = |id: &&str| format!("[[person]]\nid = \"{id}\"\nname = \"{id}\"\ncustomers = \"all\"\n");
    Records::parse(&people.iter().map(person).collect::<String>()).unwrap()
}

/// Records are rows: what did not change is not written again, what is gone stays in the history.
pub(crate) async fn records_and_rulebook_have_histories_of_their_own(store: &dyn Store) {
    let save = async |records: Records, rulebook: Rulebook| {
        let rules = Rules { records, rulebook, ..store.rules().await.unwrap() };
        store.save_rules(&rules, "jdoe", "why", START).await.unwrap()
    };
    let book = |name: &str| {
        let text = format!("[[technician_group]]\nid = \"g\"\nname = \"{name}\"\nmembers = \"all\"\n");
        Rulebook::parse(&text).unwrap()
    };
    save(records(&["ann", "bob"]), book("one")).await;
    save(records(&["bob", "cleo"]), book("one")).await;
    save(records(&["bob", "cleo"]), book("two")).await;
    let now = store.rules().await.unwrap();
    assert_eq!((now.records, now.rulebook), (records(&["bob", "cleo"]), book("two")));
    let history = store.history(10).await.unwrap();
    let changed: Vec<_> = history.iter().map(|r| (r.revision, r.changed.join(" "))).collect();
    let expected = [(3, "rulebook"), (2, "person/ann person/cleo"), (1, "person/ann person/bob rulebook")];
    assert_eq!(changed, expected.map(|(n, text)| (n, text.to_owned())));
    let of_the_rulebook: Vec<_> = store.rulebook_history(10).await.unwrap().iter().map(|r| r.revision).collect();
    assert_eq!(of_the_rulebook, [3, 1]);
    assert_eq!(store.rulebook_history(1).await.unwrap().len(), 1);
    assert_eq!(store.rulebook_at(2).await.unwrap(), Some(book("one")));
    assert_eq!(store.rulebook_at(0).await.unwrap(), None);
    assert_eq!(store.history(1).await.unwrap().len(), 1);
}

/// A record goes only where no access needs it, and that is looked at where it is written: in the moment between looking
/// and saving a request may be decided.
pub(crate) async fn a_record_does_not_go_while_access_needs_it(store: &dyn Store) {
    let people = "[[person]]\nid = \"jdoe\"\nname = \"J\"\ncustomers = \"all\"\n";
    let customer = "[[customer]]\nid = \"acme\"\nname = \"Acme\"\njit = true\n";
    let entra = |id: &str| {
        format!(
            "[[connection]]\nid = \"{id}\"\nkind = \"entra\"\ntenant = \"8f0c2c1e-0000-4000-8000-000000000000\"\n\
             client_id = \"8f0c2c1e-0000-4000-8000-000000000001\"\ncredential = \"secret\"\n"
        )
    };
    let account = account("a1", Mode::Burner);
    let all = Records::parse(&format!("{people}{customer}{}", entra(account.directory.as_str()))).unwrap();
    store.save_rules(&Rules { records: all.clone(), ..Rules::default() }, "jdoe", "first", START).await.unwrap();
    let looked = store.rules().await.unwrap();
    let grants = vec![grant("g1", "a1", "4711", granting())];
    store.commit(Transition { accounts: vec![account], grants, revision: Some(1), ..transition() }).await.unwrap();
    let without = |what: &str, rules: &Rules| {
        let mut rules = rules.clone();
        match what {
            "connection/acme-entra" => rules.records.connections.clear(),
            "customer/acme" => rules.records.customers.clear(),
            _ => rules.records.people.clear(),
        }
        rules
    };
    let all_of_them = ["connection/acme-entra", "customer/acme", "person/jdoe"];
    for what in all_of_them {
        let rules = without(what, &looked);
        let refused = store.save_rules(&rules, "jdoe", "gone", START).await;
        let Err(StoreError::StillUsed { record, grant }) = refused else { panic!("{what}: {refused:?}") };
        assert_eq!((record.as_str(), grant.as_str()), (what, "g1"));
        assert_eq!(store.rules().await.unwrap(), looked, "nothing was changed");
    }
    let over = Grant { version: 1, ..self::grant("g1", "a1", "4711", refused()) };
    store.commit(Transition { grants: vec![over], ..transition() }).await.unwrap();
    for what in all_of_them {
        let rules = without(what, &store.rules().await.unwrap());
        store.save_rules(&rules, "jdoe", "gone", START).await.unwrap();
    }
    assert_eq!(store.rules().await.unwrap().records, Records::default());
}

fn hold(on: HoldOn, cause: HoldCause) -> Hold {
    Hold { on, cause, since: START, by: "jdoe".into(), reason: "why".into() }
}

/// F31, F128: holds stand beside the documents: no save undoes one, the graver stays, each has its own word to lift it.
pub(crate) async fn a_hold_is_undone_by_its_own_word_alone(store: &dyn Store) {
    let ann = || HoldOn::Person("ann".parse().unwrap());
    store.save_rules(&Rules { records: records(&["ann"]), ..Rules::default() }, "jdoe", "first", START).await.unwrap();
    let before = store.rules().await.unwrap();
    store.set_hold(&hold(ann(), HoldCause::Panic)).await.unwrap();
    store.set_hold(&hold(ann(), HoldCause::Blocked)).await.unwrap();
    let stale = store.save_rules(&before, "jdoe", "as it was", START).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "whoever decided under the rules before thinks again");
    let now = store.rules().await.unwrap();
    assert_eq!(now.holds, [hold(ann(), HoldCause::Panic)]);
    store.save_rules(&Rules { revision: now.revision, ..before }, "jdoe", "rolled back", START).await.unwrap();
    assert_eq!(store.rules().await.unwrap().holds.len(), 1);
    let lift = async |up_to| store.lift_hold(&ann(), up_to, "jdoe", "why", START).await.unwrap();
    assert!(!lift(HoldCause::Blocked).await, "a lock takes more than that");
    assert!(lift(HoldCause::Panic).await && !lift(HoldCause::Panic).await);
    assert!(store.rules().await.unwrap().holds.is_empty());
    let codes: Vec<_> = store.audit(0, 10).await.unwrap().into_iter().map(|e| e.code).collect();
    assert_eq!(codes, [Code::RulesSaved, Code::HoldSet, Code::HoldSet, Code::RulesSaved, Code::HoldLifted]);
}

/// F128: a hold looks at once at what it is about, and at nothing else; the sweep makes up for what is missing.
pub(crate) async fn a_hold_looks_again_at_what_it_is_about(store: &dyn Store) {
    let of = |id: &str, person: &str, state| Grant {
        person: person.parse().unwrap(),
        ..grant(&format!("g-{id}"), id, "4711", state)
    };
    let accounts = ["a1", "a2", "a3"].map(|id| account(id, Mode::Burner)).to_vec();
    let grants = vec![of("a1", "ann", granting()), of("a2", "bob", granting()), of("a3", "ann", refused())];
    store.commit(Transition { accounts, grants, ..transition() }).await.unwrap();
    store.set_hold(&hold(HoldOn::Person("ann".parse().unwrap()), HoldCause::Blocked)).await.unwrap();
    let looked = claim(store, START).await;
    let slots: Vec<_> = looked.iter().map(|t| (t.work.slot(), t.priority)).collect();
    assert_eq!(slots, [("converge:a1".to_owned(), Priority::Removal)]);
    store.finish(&looked[0].lease, Finish::Done).await.unwrap();
    store.sweep(START).await.unwrap();
    let swept: Vec<_> = claim(store, START).await.iter().map(|t| (t.work.slot(), t.priority)).collect();
    assert!(swept.contains(&("converge:a1".to_owned(), Priority::Removal)), "{swept:?}");
}

/// F58: a brake is counted by whose grants they are and since when, and again where the grant is written.
pub(crate) async fn a_brake_is_counted_again_where_it_is_written(store: &dyn Store) {
    let id = |at: Timestamp, n: u8| format!("{}{n}", &ulid_floor(at)[..25]);
    let at = |at, n, state| grant(&id(at, n), "a1", "4711", state);
    let held = || {
        let waiting = Waiting { needed: 2, brakes: vec![], approved: vec![] };
        State::Held { until: after(60), waiting }
    };
    let denied = State::Denied { by: "ann".parse().unwrap(), why: "no".into(), at: START };
    let grants = vec![
        at(START, 1, granting()),
        at(after(100), 2, held()),
        at(after(100), 3, refused()),
        at(after(100), 4, denied),
    ];
    store.commit(Transition { grants, ..transition() }).await.unwrap();
    let scopes = [Scope::Everything, Scope::Person("jdoe".parse().unwrap()), Scope::Customer("acme".parse().unwrap())];
    for scope in &scopes {
        assert_eq!(store.count_grants(scope, &ulid_floor(START), None).await.unwrap(), 2, "{scope:?}");
        assert_eq!(store.count_grants(scope, &ulid_floor(after(50)), None).await.unwrap(), 1, "{scope:?}");
        let before = ulid_floor(after(50));
        assert_eq!(store.count_grants(scope, &ulid_floor(START), Some(&before)).await.unwrap(), 1, "{scope:?}");
    }
    assert_eq!(store.count_grants(&Scope::Person("ann".parse().unwrap()), "", None).await.unwrap(), 0);
    let brake = |most| BrakeCount { scope: scopes[1].clone(), since: ulid_floor(START), most };
    let next =
        |most| Transition { brakes: vec![brake(most)], grants: vec![at(after(200), 5, granting())], ..transition() };
    assert!(matches!(store.commit(next(2)).await, Err(StoreError::Conflict)));
    store.commit(next(3)).await.unwrap();
    assert!(matches!(store.commit(next(3)).await, Err(StoreError::Conflict)), "the last place is taken");

    let all: Vec<_> = store.open_grants_in(&scopes[2], None, 10).await.unwrap().into_iter().map(|g| g.id).collect();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted());
    let rest = store.open_grants_in(&Scope::Everything, Some(&all[0]), 1).await.unwrap();
    assert_eq!(rest.iter().map(|g| &g.id).collect::<Vec<_>>(), [&all[1]]);
}

/// F21, F88: a name that an account has in a directory is found in whatever letters it is asked for.
pub(crate) async fn an_account_is_found_by_its_name(store: &dyn Store) {
    let mut named = account("a1", Mode::Standard);
    named.name = "Jit-Jane@Contoso.example".into();
    store.commit(Transition { accounts: vec![named], ..transition() }).await.unwrap();
    let find = async |directory: &str, name: &str| {
        store.account_named(&connection(directory), name).await.unwrap().map(|a| a.id.to_string())
    };
    assert_eq!(find("acme-entra", "jit-jane@contoso.EXAMPLE").await.as_deref(), Some("a1"));
    assert_eq!(find("acme-entra", "jit-jan@contoso.example").await, None);
    assert_eq!(find("other-entra", "jit-jane@contoso.example").await, None);
}

pub(crate) async fn a_transition_is_written_whole_and_read_back(store: &dyn Store) {
    let t = Transition {
        grants: vec![grant("g1", "a1", "4711", granting()), grant("g2", "a1", "4711", refused())],
        accounts: vec![account("a1", Mode::Standard)],
        seal: vec![sealed("s1", None), sealed("s2", Some("cw/private-key"))],
        notices: vec![
            notice("n1", "4711", "g1", NoticeState::Open),
            notice("n2", "4711", "g1", NoticeState::Done { notes: vec![] }),
        ],
        ..transition()
    };
    store.commit(t).await.unwrap();

    let stored = store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((stored.version, &stored.state), (1, &granting()));
    assert_eq!(store.open_grants(&"a1".parse().unwrap()).await.unwrap().len(), 1);
    let of_ticket = store.grants_of_ticket(&ticket("4711")).await.unwrap();
    assert_eq!(of_ticket.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), ["g2", "g1"]);
    assert_eq!(store.grants_of_person(&"jdoe".parse().unwrap(), 1).await.unwrap()[0].id.as_str(), "g2");
    assert_eq!(store.account(&"a1".parse().unwrap()).await.unwrap().unwrap().version, 1);
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap().len(), 1);
    assert_eq!(store.notices_of(&"g1".parse().unwrap()).await.unwrap().len(), 2);
    assert_eq!(store.sealed(&secret("s1")).await.unwrap().unwrap(), sealed("s1", None));
    assert_eq!(store.sealed_names().await.unwrap(), ["cw/private-key"]);
    assert_eq!(store.sealed_named("cw/private-key").await.unwrap().unwrap().id, secret("s2"));
    assert!(store.grant(&"g9".parse().unwrap()).await.unwrap().is_none());
}

pub(crate) async fn a_version_that_moved_changes_nothing(store: &dyn Store) {
    let new = grant("g1", "a1", "4711", granting());
    store.commit(Transition { grants: vec![new.clone()], ..transition() }).await.unwrap();
    let again = Transition { grants: vec![new.clone()], audit: vec![entry("twice")], ..transition() };
    assert!(matches!(store.commit(again).await, Err(StoreError::Conflict)));

    let mut moved = store.grant(&new.id).await.unwrap().unwrap();
    moved.state = ending();
    store.commit(Transition { grants: vec![moved.clone()], ..transition() }).await.unwrap();
    let late = Transition {
        grants: vec![moved],
        accounts: vec![account("a1", Mode::Standard)],
        audit: vec![entry("late")],
        tasks: vec![task(tell_work("4711"), START, Priority::Telling)],
        ..transition()
    };
    assert!(matches!(store.commit(late).await, Err(StoreError::Conflict)));
    let stored = store.grant(&new.id).await.unwrap().unwrap();
    assert_eq!((stored.version, matches!(stored.state, State::Ending { .. })), (2, true));
    assert!(store.account(&"a1".parse().unwrap()).await.unwrap().is_none());
    assert!(store.audit(0, 10).await.unwrap().is_empty());
    assert!(claim(store, START).await.is_empty());
}

pub(crate) async fn two_requests_cannot_make_two_standard_accounts(store: &dyn Store) {
    let first = Transition { accounts: vec![account("a1", Mode::Standard)], ..transition() };
    store.commit(first).await.unwrap();
    let second = Transition { accounts: vec![account("a2", Mode::Standard)], ..transition() };
    assert!(matches!(store.commit(second).await, Err(StoreError::Conflict)));

    let burners = vec![account("b1", Mode::Burner), account("b2", Mode::Burner)];
    let grants = vec![grant("g1", "b1", "4711", granting()), grant("g2", "b2", "4712", refused())];
    store.commit(Transition { accounts: burners, grants, ..transition() }).await.unwrap();
    let of = |mode| async move {
        let found = store.accounts_of(&"jdoe".parse().unwrap(), &connection("acme-entra"), mode).await.unwrap();
        found.into_iter().map(|a| a.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(Mode::Standard).await, ["a1"]);
    assert_eq!(of(Mode::Burner).await, ["b1"]);
}

pub(crate) async fn accounts_are_listed_page_by_page(store: &dyn Store) {
    let accounts = ["a2", "a1", "a3"].map(|id| account(id, Mode::Burner)).to_vec();
    store.commit(Transition { accounts, ..transition() }).await.unwrap();
    let ids = |page: Vec<crate::access::Account>| page.into_iter().map(|a| a.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(store.accounts(None, 2).await.unwrap()), ["a1", "a2"]);
    assert_eq!(ids(store.accounts(Some(&"a2".parse().unwrap()), 2).await.unwrap()), ["a3"]);
}

pub(crate) async fn a_destroyed_secret_is_gone_and_its_name_free(store: &dyn Store) {
    store.commit(Transition { seal: vec![sealed("s1", Some("cw/private-key"))], ..transition() }).await.unwrap();
    let taken = Transition { seal: vec![sealed("s2", Some("cw/private-key"))], ..transition() };
    assert!(matches!(store.commit(taken.clone()).await, Err(StoreError::Conflict)));
    store.commit(Transition { destroy: vec![secret("s1")], ..taken }).await.unwrap();
    assert!(store.sealed(&secret("s1")).await.unwrap().is_none());
    assert_eq!(store.sealed_named("cw/private-key").await.unwrap().unwrap().id, secret("s2"));
}

pub(crate) async fn data_keys_are_wrapped_anew_and_a_retired_key_takes_no_more(store: &dyn Store) {
    let seal = vec![sealed("s1", None), sealed("s2", Some("cw/private-key")), sealed("s3", None)];
    store.commit(Transition { seal, ..transition() }).await.unwrap();
    let ids = |page: Vec<SealedRow>| page.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(store.sealed_page(None, 2).await.unwrap()), [secret("s1"), secret("s2")]);
    assert_eq!(ids(store.sealed_page(Some(&secret("s2")), 2).await.unwrap()), [secret("s3")]);
    assert!(store.sealed_page(Some(&secret("s3")), 2).await.unwrap().is_empty());

    let anew = |id: &str, before: &str| Rewrapped {
        id: secret(id),
        before: before.into(),
        key_id: "k2".into(),
        wrapped_key: vec![7],
    };
    let rows = vec![anew("s1", "k1"), anew("s2", "another"), anew("s9", "k1")];
    assert_eq!(store.rewrap(rows).await.unwrap(), 1);
    let row = store.sealed(&secret("s1")).await.unwrap().unwrap();
    assert_eq!((row.key_id.as_str(), row.wrapped_key, row.sealed), ("k2", vec![7], sealed("s1", None).sealed));
    assert_eq!(store.sealed(&secret("s2")).await.unwrap().unwrap(), sealed("s2", Some("cw/private-key")));

    assert_eq!(store.retire_key("k1").await.unwrap(), 2, "still needed");
    store.commit(Transition { seal: vec![sealed("s4", None)], ..transition() }).await.unwrap();
    let rows = ["s2", "s3", "s4"].map(|id| anew(id, "k1")).to_vec();
    assert_eq!((store.rewrap(rows).await.unwrap(), store.retire_key("k1").await.unwrap()), (3, 0));
    let late = store.commit(Transition { seal: vec![sealed("s5", None)], ..transition() }).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    let back = Rewrapped { before: "k2".into(), key_id: "k1".into(), ..anew("s1", "") };
    assert!(matches!(store.rewrap(vec![back]).await, Err(StoreError::Conflict)));
}

pub(crate) async fn sightings_and_notices_are_replaced(store: &dyn Store) {
    let mapping = "helpdesk".parse().unwrap();
    assert!(store.sighting(&ticket("4711"), &mapping).await.unwrap().is_none());
    let mut seen = Sighting {
        ticket: ticket("4711"),
        mapping: mapping.clone(),
        is_armed: true,
        consumed: None,
        seen_at: START,
        covers: None,
    };
    let looked = |before: Option<&Sighting>, now: &Sighting| {
        let sighted = Sighted::Looked { before: before.cloned(), now: now.clone() };
        Transition { sightings: vec![sighted], ..transition() }
    };
    store.commit(looked(None, &seen)).await.unwrap();
    let armed = seen.clone();
    (seen.is_armed, seen.consumed) = (false, Some("jdoe@1".to_owned()));
    assert!(matches!(store.commit(looked(None, &seen)).await, Err(StoreError::Conflict)), "it went by none");
    store.commit(looked(Some(&armed), &seen)).await.unwrap();
    assert_eq!(store.sighting(&ticket("4711"), &mapping).await.unwrap().unwrap(), seen);
    store.commit(Transition { sightings: vec![Sighted::Left(armed)], ..transition() }).await.unwrap();
    let standing = store.commit(looked(Some(&seen), &seen)).await;
    assert!(matches!(standing, Err(StoreError::Conflict)), "it went by what was before our own status");
    let left = Sighting { is_armed: true, ..seen };
    assert_eq!(store.sighting(&ticket("4711"), &mapping).await.unwrap().unwrap(), left);

    let open = notice("n1", "4711", "g1", NoticeState::Open);
    store.commit(Transition { notices: vec![open.clone()], ..transition() }).await.unwrap();
    let posted = notice("n1", "4711", "g1", NoticeState::Posted { notes: vec![] });
    store.commit(Transition { notices: vec![posted.clone()], ..transition() }).await.unwrap();
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap(), [posted]);
    let given_up = notice("n1", "4711", "g1", NoticeState::GivenUp { why: "refused".into() });
    store.commit(Transition { notices: vec![given_up], ..transition() }).await.unwrap();
    assert!(store.open_notices(&ticket("4711")).await.unwrap().is_empty());
}

/// A clock that was set back gives the later notice the smaller id.
pub(crate) async fn notices_stay_in_the_order_of_their_commits(store: &dyn Store) {
    let notices = ["n5", "n9", "n2"].map(|id| notice(id, "4711", "g1", NoticeState::Open));
    for notice in &notices {
        store.commit(Transition { notices: vec![notice.clone()], ..transition() }).await.unwrap();
    }
    let posted = Notice { state: NoticeState::Posted { notes: vec![] }, ..notices[0].clone() };
    store.commit(Transition { notices: vec![posted.clone()], ..transition() }).await.unwrap();
    let [_, second, third] = notices;
    assert_eq!(store.open_notices(&ticket("4711")).await.unwrap(), [posted.clone(), second.clone(), third.clone()]);
    assert_eq!(store.notices_of(&"g1".parse().unwrap()).await.unwrap(), [posted, second, third]);
}

/// Many writes at once share transactions, and a bad one among them fails alone.
pub(crate) async fn a_bad_write_never_fails_its_neighbours(store: &dyn Store) {
    store.commit(Transition { grants: vec![grant("taken", "a1", "1", granting())], ..transition() }).await.unwrap();
    let all = (0..200).map(|n| {
        let id = if n % 10 == 3 { "taken".to_owned() } else { format!("g{n}") };
        let t = Transition { grants: vec![grant(&id, "a1", "1", granting())], audit: vec![entry("x")], ..transition() };
        store.commit(t)
    });
    let results = futures::future::join_all(all).await;
    for (n, result) in results.iter().enumerate() {
        match n % 10 {
            3 => assert!(matches!(result, Err(StoreError::Conflict)), "{n}"),
            _ => assert!(result.is_ok(), "{n}: {result:?}"),
        }
    }
    let audit = store.audit(0, 500).await.unwrap();
    assert_eq!(audit.len(), 180);
    assert!(verify_chain((0, ""), &audit).is_ok());
}

/// What must be there after the process ended in any way, once its commit was answered.
pub(crate) async fn before_the_end(store: &dyn Store) {
    store.record_delivery(delivery("d1", "m1", Some("4711"))).await.unwrap();
    let t = Transition {
        grants: vec![grant("g1", "a1", "4711", granting())],
        audit: vec![entry("grant.begun")],
        tasks: vec![task(converge("a1", "acme-entra"), START, Priority::Giving)],
        ..transition()
    };
    store.commit(t).await.unwrap();
    store.heartbeat(after(5)).await.unwrap();
}

/// The same store, opened again.
pub(crate) async fn after_the_end(store: &dyn Store) {
    assert_eq!(store.record_delivery(delivery("d2", "m1", Some("4711"))).await.unwrap(), Recorded::Repeat);
    assert!(store.grant(&"g1".parse().unwrap()).await.unwrap().is_some());
    assert!(verify_chain((0, ""), &store.audit(0, 10).await.unwrap()).is_ok());
    assert_eq!(claim(store, START).await.len(), 2);
    assert_eq!(store.last_seen().await.unwrap(), Some(after(5)));
}
