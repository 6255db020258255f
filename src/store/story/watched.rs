//! What the service sees by itself.

use latchkey_contract::{TicketRef, Timestamp, ticket::TicketChanged};

use super::{one, people::enrolled, sample::*};
use crate::{
    access::trigger::{Sighted, Sighting},
    audit::{By, Code},
    jobs::task::{Priority, Work},
    rulebook::{Hold, HoldCause, HoldOn, Records, Rulebook, Rules},
    store::{Cursor, Enrolled, Factors, Finish, Session, Store, StoreError, Transition, Trouble, TroubleKind, Watched},
};

fn trouble(kind: TroubleKind, what: &str) -> Trouble {
    Trouble {
        connection: connection("cw"),
        kind,
        since: START,
        lost_at: None,
        what: what.into(),
        remedy: "Look.".into(),
        is_told: true,
    }
}

async fn write(store: &dyn Store, watched: Watched) -> Result<(), StoreError> {
    store.commit(Transition { watched: vec![watched], ..transition() }).await
}

/// F9, F10: two who notice the same do not both tell of it, nor of its end.
pub(crate) async fn trouble_begins_once_and_ends_once(store: &dyn Store) {
    let cw = connection("cw");
    let found = trouble(TroubleKind::Webhooks, "one is missing");
    let is_late = |result| matches!(result, Err(StoreError::Conflict));
    assert!(is_late(write(store, Watched::GoesOn(found.clone())).await), "it has not begun");
    write(store, Watched::Began(found.clone())).await.unwrap();
    assert!(is_late(write(store, Watched::Began(found.clone())).await), "it has begun");
    let other = trouble(TroubleKind::Webhooks, "two are missing");
    write(store, Watched::GoesOn(other.clone())).await.unwrap();
    write(store, Watched::Began(trouble(TroubleKind::Rights, "401"))).await.unwrap();
    assert_eq!(store.trouble(&cw, TroubleKind::Webhooks).await.unwrap(), Some(other.clone()));
    assert_eq!(store.trouble(&connection("cw2"), TroubleKind::Webhooks).await.unwrap(), None);
    assert_eq!(store.troubles().await.unwrap().len(), 2);
    write(store, Watched::Ended(other.clone())).await.unwrap();
    assert!(is_late(write(store, Watched::Ended(other)).await), "it has ended");
    assert_eq!(store.troubles().await.unwrap(), [trouble(TroubleKind::Rights, "401")]);

    assert_eq!(store.cursor(&cw).await.unwrap(), None);
    let cursor =
        |from| Cursor { connection: connection("cw"), from, newest: START, compared_at: START, looked_at: START };
    for from in [START, after(60)] {
        write(store, Watched::Asked(cursor(from))).await.unwrap();
        assert_eq!(store.cursor(&cw).await.unwrap(), Some(cursor(from)));
    }
    for _ in 0..2 {
        write(store, Watched::NotAsked(cw.clone())).await.unwrap();
        assert_eq!(store.cursor(&cw).await.unwrap(), None);
    }
}

/// F10: what was seen since, or will be, is not looked at again; what runs may have read too early.
pub(crate) async fn a_save_that_nobody_saw_is_found(store: &dyn Store) {
    let sighting = |number: &str, covers| Sighted::Looked {
        before: None,
        now: Sighting {
            ticket: ticket(number),
            mapping: "helpdesk".parse().unwrap(),
            is_armed: true,
            consumed: None,
            seen_at: START,
            covers,
        },
    };
    let sightings = vec![sighting("1", Some(after(10))), sighting("2", Some(after(9))), sighting("3", None)];
    store.commit(Transition { sightings, ..transition() }).await.unwrap();
    store.record_delivery(delivery("d4", "m4", Some("4"))).await.unwrap();
    let changed: Vec<_> =
        ["5", "4", "3", "2", "1"].map(|id| TicketChanged { id: id.parse().unwrap(), at: after(10) }).into();
    let unseen = async || {
        let found = store.unseen(&connection("cw"), &changed).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(unseen().await, ["5", "3", "2"]);
    assert_eq!(store.unseen(&connection("cw2"), &changed).await.unwrap().len(), 5, "another PSA's tickets");
    let run = one(store, START).await;
    assert_eq!(unseen().await, ["5", "4", "3", "2"], "it may have been read before it was saved");
    store.finish(&run.lease, Finish::Dead { error: "given up".into() }).await.unwrap();
    assert_eq!(unseen().await, ["5", "4", "3", "2"]);

    let look = |number: &str| task(Work::Look { ticket: ticket(number) }, START, Priority::Telling);
    store.commit(Transition { tasks: vec![look("5"), look("6")], ..transition() }).await.unwrap();
    assert_eq!(unseen().await, ["4", "3", "2"]);
    let ahead = async || store.looks_ahead(&connection("cw")).await.unwrap();
    assert_eq!(ahead().await, 2);
    let run = crate::store::story::claim(store, START).await;
    assert_eq!((run.len(), ahead().await), (2, 0));
    let retry = Finish::Retry { at: after(5), error: "503".into() };
    store.finish(&run[0].lease, retry).await.unwrap();
    assert_eq!(ahead().await, 0, "one that fails holds up no poll");
    let unheard = task(Work::Unheard { ticket: ticket("7") }, after(30), Priority::Telling);
    store.commit(Transition { tasks: vec![unheard], ..transition() }).await.unwrap();
    assert_eq!(ahead().await, 0, "nor does one that could not hear what was written");
}

fn session(person: &str, until: Timestamp) -> Session {
    let (person, form_token) = (person.parse().unwrap(), "form".into());
    Session { token_hash: format!("{person}{until}"), person, form_token, until, idle_until: until }
}

/// F11: a ticket that is in no list of saves has its turn, and whose access is over, or whose PSA is another one, takes none.
pub(crate) async fn tickets_with_access_are_looked_at_in_turn(store: &dyn Store) {
    let referred = |at: &str| {
        let (connection, number) = at.split_once('/').unwrap();
        TicketRef { connection: connection.parse().unwrap(), ticket: number.parse().unwrap() }
    };
    let of = |id: &str, at: &str, state| crate::access::Grant { ticket: referred(at), ..grant(id, id, "1", state) };
    let grants = vec![
        of("a1", "cw/4711", granting()),
        of("a2", "cw/4711", granting()),
        of("a3", "cw/4712", granting()),
        of("a4", "cw/4713", ending()),
        of("a5", "cw/4714", refused()),
        of("a6", "cw/4715", granting()),
        of("b1", "cw-2/4711", granting()),
        of("b2", "c/4711", granting()),
        of("b3", "cwx/4711", granting()),
    ];
    store.commit(Transition { grants, ..transition() }).await.unwrap();
    let asked = async |at: &str, turn| {
        let found = store.tickets_with_access(&connection(at), turn, 2).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (turn, tickets) in
        [(0, vec!["cw/4711", "cw/4712"]), (1, vec!["cw/4715"]), (2, vec!["cw/4711", "cw/4712"]), (-1, vec!["cw/4715"])]
    {
        assert_eq!(asked("cw", turn).await, tickets, "turn {turn}");
    }
    assert_eq!(asked("cw-2", 7).await, ["cw-2/4711"]);
    assert!(asked("none", 3).await.is_empty());
}

/// F31: whoever is held is signed out at once, and neither let in nor enrolled.
pub(crate) async fn who_is_held_is_not_here(store: &dyn Store) {
    let of = |id: &str, person: &str, state| crate::access::Grant {
        person: person.parse().unwrap(),
        ..grant(id, id, "4711", state)
    };
    let grants = vec![of("a1", "ann", granting()), of("a2", "bob", ending()), of("a3", "cem", refused())];
    store.commit(Transition { grants, ..transition() }).await.unwrap();
    store.open_session(&session("dora", after(60)), vec![], START).await.unwrap();
    let presence = Work::Presence { connection: connection("cw") };
    let tasks = vec![task(presence, START, Priority::Removal)];
    store.open_session(&session("emil", after(600)), tasks, START).await.unwrap();
    assert_eq!(one(store, START).await.work.slot(), "presence:cw");
    let here = async |at| {
        let found = store.people_here(at).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(here(START).await, ["ann", "dora", "emil"]);
    assert_eq!(here(after(60)).await, ["ann", "emil"]);
    let on = || HoldOn::Person("emil".parse().unwrap());
    let hold = Hold { on: on(), cause: HoldCause::Left, since: START, by: "the PSA cw".into(), reason: "gone".into() };
    store.set_hold(&hold).await.unwrap();
    assert_eq!(here(START).await, ["ann", "dora"]);
    let said = store.audit(0, 10).await.unwrap().pop().unwrap();
    assert_eq!((said.code, said.by, said.person), (Code::HoldSet, Some(By::Service), Some("emil".parse().unwrap())));

    let late = store.open_session(&session("emil", after(900)), vec![], START).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    let of_jdoe = enrolled("totp");
    let factors = Factors { person: "emil".parse().unwrap(), ..of_jdoe.factors.clone() };
    let enrolled = Enrolled { factors, ..of_jdoe };
    assert!(matches!(store.enroll(&enrolled).await, Err(StoreError::Conflict)));
    assert!(store.factors(&enrolled.factors.person).await.unwrap().is_none());
    store.lift_hold(&on(), HoldCause::Left, "ann", "back", START).await.unwrap();
    store.enroll(&enrolled).await.unwrap();
}

/// F10, F31: who watches is there when a mapping, a person or a trouble needs it, and not otherwise.
pub(crate) async fn the_sweep_makes_who_watches(store: &dyn Store) {
    store.sweep(START).await.unwrap();
    let slots = async || {
        let mut slots: Vec<_> = crate::store::story::claim(store, START).await.iter().map(|t| t.work.slot()).collect();
        slots.sort();
        slots
    };
    let before = slots().await;
    let records = "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = \"https://na.myconnectwise.net\"\ncompany = \"examplemsp\"\n\
        client_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = \"p\"\n\
        [[person]]\nid = \"ann\"\nname = \"Ann\"\ncustomers = \"all\"\nmembers = [{ connection = \"cw\", ids = [\"1\"] }]\n";
    let policy = crate::rulebook::Policy { id: "p".parse().unwrap(), ..grant("g", "a", "1", granting()).policy };
    let mapping: crate::rulebook::Mapping = toml::from_str(
        "id = \"m\"\nconnection = \"cw\"\nboards = [\"63\"]\ntrigger_statuses = [\"5\"]\npolicy = \"p\"\n",
    )
    .unwrap();
    let rulebook = Rulebook { policies: vec![policy], mappings: vec![mapping], ..Rulebook::default() };
    let rules = Rules { rulebook, records: Records::parse(records).unwrap(), ..Rules::default() };
    store.save_rules(&rules, "jdoe", "first", START).await.unwrap();
    assert_eq!(slots().await, ["poll:cw"], "at once, beside {before:?}");
    assert_eq!(store.sweep(START).await.unwrap(), 0, "nobody is here, nothing is wrong");
    store.open_session(&session("ann", after(60)), vec![], START).await.unwrap();
    write(store, Watched::Began(trouble(TroubleKind::Setup, "no key"))).await.unwrap();
    write(store, Watched::Began(trouble(TroubleKind::Webhooks, "none"))).await.unwrap();
    assert_eq!(store.sweep(START).await.unwrap(), 2);
    assert_eq!(store.sweep(START).await.unwrap(), 0);
    assert_eq!(slots().await, ["presence:cw", "recheck:cw"]);
}
