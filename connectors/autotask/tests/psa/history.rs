//! Who gave a ticket its present status, queue or field: the ticket history, read in doubt's favour of nobody.

use latchkey_contract::{
    TicketId, TicketSystem,
    outside::Urgency,
    ticket::{Actor, Change, Part},
};
use latchkey_simulators::{
    autotask::HistoryText,
    fault::{Act, Fault},
};
use serde_json::json;

use crate::world::{COMPLETE, DESK, JANE, MARK, ME, NEW, OTHER, POLICY, REASON, REQUESTED, SYSTEM, World, field_id};

async fn change(w: &World, id: &TicketId, of: Part<'_>) -> Option<Change> {
    let ticket = w.at.read(id, Urgency::Ordinary).await.unwrap().unwrap();
    w.at.change(&ticket, of, Urgency::Ordinary).await.unwrap()
}

async fn by(w: &World, id: &TicketId, of: Part<'_>) -> Option<(String, Option<String>)> {
    change(w, id, of).await.map(|change| (change.by, change.later_by))
}

/// F1
#[tokio::test]
async fn the_one_who_set_the_status_last_is_the_actor() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    for (who, status) in [(MARK, REQUESTED), (JANE, NEW), (JANE, REQUESTED)] {
        w.advance(60);
        w.sim.acting(who).set_status(n, status).unwrap();
    }
    let found = change(&w, &id, Part::Status).await.unwrap();
    assert_eq!((found.by.as_str(), found.actor, found.later_by), ("j.doe", Actor::Member, None));
    let again = change(&w, &id, Part::Status).await.unwrap();
    assert_eq!(again.key, found.key, "the same change in every reading");
    w.advance(60);
    w.sim.acting(JANE).set_status(n, NEW).unwrap();
    w.advance(60);
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    assert_ne!(change(&w, &id, Part::Status).await.unwrap().key, found.key, "another change");
}

#[tokio::test]
async fn a_queue_and_a_field_have_their_actors_too() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(MARK).set_queue(n, OTHER).unwrap();
    assert_eq!(by(&w, &id, Part::Board).await, Some(("m.smith".into(), None)));
    w.advance(60);
    w.sim.acting(JANE).set_udf(n, "JIT Policy", Some("1")).unwrap();
    let policy = field_id(POLICY);
    assert_eq!(by(&w, &id, Part::Field(&policy)).await, Some(("j.doe".into(), None)), "told by the list's label");
    w.advance(60);
    w.sim.acting(JANE).set_udf(n, "JIT Policy Reason", Some("JIT Policy")).unwrap();
    assert_eq!(by(&w, &id, Part::Field(&field_id(REASON))).await, Some(("j.doe".into(), None)));
    assert_eq!(by(&w, &id, Part::Field(&policy)).await, Some(("j.doe".into(), None)), "a longer name is another field");
    w.sim.acting(JANE).set_udf(n, "JIT Policy", None).unwrap();
    assert_eq!(by(&w, &id, Part::Field(&policy)).await, None, "an empty field has no actor");
}

#[tokio::test]
async fn somebody_elses_later_save_is_told_and_our_own_is_not() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    w.advance(60);
    w.sim.acting(ME).set_title(n, "ours").unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, Some(("j.doe".into(), None)));
    w.advance(60);
    w.sim.acting(MARK).set_title(n, "theirs").unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, Some(("j.doe".into(), Some("m.smith".into()))));
}

/// Only the vendor writes who did it, but anybody writes a title.
#[tokio::test]
async fn a_title_that_looks_like_a_change_is_not_one() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(SYSTEM).set_status(n, REQUESTED).unwrap();
    w.advance(60);
    w.sim.acting(MARK).set_title(n, "Status changed from \"New\" to \"JIT Requested\"").unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, Some(("administrator".into(), Some("m.smith".into()))));
}

/// F6
#[tokio::test]
async fn a_contact_is_nobody_and_automation_is_only_what_is_listed() {
    let w = World::start().await;
    w.sim.add_contact(77, 174, "Carla");
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.contact(77).set_status(n, REQUESTED).unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, None, "the history names no resource");
    w.advance(60);
    w.sim.acting(SYSTEM).set_status(n, NEW).unwrap();
    w.advance(60);
    w.sim.acting(SYSTEM).set_status(n, REQUESTED).unwrap();
    let ticket = w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let listed = w.with(|settings| settings.automation = vec!["Administrator".into()]);
    let found = listed.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(found.actor, Actor::Automation);
    w.sim.acting(ME).set_status(n, NEW).unwrap();
    w.advance(60);
    w.sim.acting(ME).set_status(n, REQUESTED).unwrap();
    assert_eq!(change(&w, &id, Part::Status).await.unwrap().actor, Actor::Unknown, "we are never more");
}

/// A contact who edits the ticket after the click is somebody else.
#[tokio::test]
async fn what_a_contact_saved_later_is_somebody_elses_save() {
    let w = World::start().await;
    w.sim.add_contact(77, 174, "Carla");
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    w.advance(60);
    w.sim.acting(ME).set_title(n, "Mailbox").unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, Some(("j.doe".into(), None)), "our own save is nobody else's");
    w.advance(60);
    w.sim.contact(77).set_title(n, "Mailbox, for 8 hours").unwrap();
    let (asker, later) = by(&w, &id, Part::Status).await.unwrap();
    assert_eq!((asker.as_str(), later.as_deref()), ("j.doe", Some("somebody who is no resource")));
}

/// What the vendor does not tell cannot be judged: the history names the impersonated one alone.
#[tokio::test]
async fn whoever_may_impersonate_asks_in_anothers_name() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.impersonating(JANE, ME).set_status(n, REQUESTED).unwrap();
    let found = change(&w, &id, Part::Status).await.unwrap();
    assert_eq!((found.by.as_str(), found.actor), ("j.doe", Actor::Member));
}

#[tokio::test]
async fn another_language_needs_the_word_for_a_status() {
    let w = World::start().await;
    w.sim.behave(|b| {
        b.history = HistoryText::German;
        b.history_words.insert("status".into(), "Zustand".into());
    });
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    assert_eq!(by(&w, &id, Part::Status).await, None);
    let ticket = w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let german = w.with(|settings| settings.status_word = "Zustand".into());
    assert_eq!(german.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap().by, "j.doe");
}

#[tokio::test]
async fn a_history_that_says_nothing_names_nobody() {
    let w = World::start().await;
    for (text, is_told) in [(HistoryText::Unquoted, true), (HistoryText::Mute, false)] {
        w.sim.behave(|b| b.history = text);
        let (n, id) = w.ticket();
        w.advance(60);
        w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
        assert_eq!(by(&w, &id, Part::Status).await.is_some(), is_told, "{text:?}");
    }
}

#[tokio::test]
async fn a_ticket_that_moves_on_while_its_history_is_read_is_read_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    let ticket = w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let (mark, clock) = (w.sim.acting(MARK), w.clock.clone());
    w.sim.faults().add(
        Fault::on(
            "POST /TicketHistory/query",
            Act::after(move |_| {
                let _ = &clock;
                mark.set_status(n, COMPLETE).unwrap();
            }),
        )
        .once(),
    );
    assert!(w.at.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn the_history_is_asked_by_its_one_filter() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.advance(60);
    w.sim.acting(JANE).set_queue(n, OTHER).unwrap();
    w.sim.acting(JANE).set_queue(n, DESK).unwrap();
    assert!(by(&w, &id, Part::Board).await.is_some());
    let call = w.sim.faults().calls().into_iter().find(|call| call.op == "POST /TicketHistory/query").unwrap();
    let body = call.body_json.unwrap();
    assert_eq!(body["Filter"], json!([{"op": "eq", "field": "ticketID", "value": n}]));
    assert_eq!(body.get("IncludeFields"), None);
}
