//! Notes: at most once, internal, found again, overwritten, taken back, and never honoured from a stranger.

use latchkey_contract::{
    CallError, NoteId, Secret, TicketSystem,
    outside::Urgency,
    ticket::{NoteAt, NoteKey, NoteText},
};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::{Value, json};

use crate::world::{JANE, MARK, ME, World, member_id, ticket_id};

const CREATE: &str = "POST /Tickets/{id}/Notes";
const READ: &str = "GET /TicketNotes/{id}";
const CHANGE: &str = "PATCH /Tickets/{id}/Notes";

fn key(text: &str) -> NoteKey {
    NoteKey(text.into())
}

fn text(w: &World, ticket: i64, at: usize) -> String {
    w.sim.notes(ticket)[at]["description"].as_str().unwrap().to_owned()
}

/// F7, F106
#[tokio::test]
async fn a_note_is_internal_and_marked() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("Granted until 22:00 UTC."), &key("g1.granted")).await.unwrap();
    assert!(!posted.is_visible_to_customer && !posted.was_there && posted.notes.len() == 1);
    let note = &w.sim.notes(n)[0];
    assert_eq!((&note["publish"], &note["noteType"], &note["creatorResourceID"]), (&json!(2), &json!(1), &json!(ME)));
    assert!(text(&w, n, 0).starts_with("Granted until 22:00 UTC.\n[latchkey g1.granted 1/1 "));
    assert_eq!(w.at.find(&id, &key("g1.granted")).await.unwrap(), posted.notes);
}

/// I4, I13
#[tokio::test]
async fn a_lost_answer_is_transient_and_the_next_try_finds_the_note() {
    let w = World::start().await;
    for act in [Act::ResetAfter, Act::Garbage, Act::Huge] {
        let (n, id) = w.ticket();
        w.sim.faults().add(Fault::on(CREATE, act.clone()).once());
        let lost = w.at.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap_err();
        assert!(lost.is_transient(), "{act:?}: {lost:?}");
        let posted = w.at.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
        assert!(posted.was_there && w.sim.notes(n).len() == 1, "{act:?}");
    }
    let (n, id) = w.ticket();
    w.sim.faults().add(Fault::on(READ, Act::ResetBefore).once());
    assert!(w.at.post(&id, &NoteText::plain("y"), &key("k2")).await.unwrap_err().is_transient());
    assert!(w.at.post(&id, &NoteText::plain("y"), &key("k2")).await.unwrap().was_there);
    assert_eq!(w.sim.notes(n).len(), 1);
}

/// Older documents say 3,200 characters.
#[tokio::test]
async fn a_long_text_is_split_below_the_shortest_limit() {
    let w = World::start().await;
    w.sim.behave(|b| b.note_length = 3_200);
    let (n, id) = w.ticket();
    let long: String = (0..200).map(|n| format!("line {n} of a long explanation\n")).collect();
    w.sim.faults().add(Fault::on(CREATE, Act::ResetBefore).skip(1).once());
    assert!(w.at.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap_err().is_transient());
    let posted = w.at.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap();
    assert_eq!(posted.notes.iter().map(|n| n.part).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(w.sim.notes(n).len(), 3);
}

/// A refusal may repeat what was sent.
#[tokio::test]
async fn a_note_that_is_refused_for_its_length_is_not_quoted() {
    let w = World::start().await;
    w.sim.behave(|b| b.note_length = 10);
    let (n, id) = w.ticket();
    let secret = NoteText(Secret::new("hunter2-is-the-password".to_owned()));
    let refused = w.at.post(&id, &secret, &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2") && w.sim.notes(n).is_empty());
}

/// F106: only a note that says that it is internal is.
#[tokio::test]
async fn a_note_that_the_customer_can_see_is_told() {
    let w = World::start().await;
    for publish in [json!(1), json!(4), Value::Null] {
        let (_, id) = w.ticket();
        let body = json!({"item": {"id": 1, "publish": publish, "description": "x", "creatorResourceID": ME}});
        w.sim.faults().add(Fault::on(READ, Act::Answer { status: 200, retry_after: None, body }).once());
        assert!(w.at.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer, "{publish}");
    }
}

/// F106
#[tokio::test]
async fn an_overwritten_note_keeps_its_marker_and_nothing_else() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &key("k")).await.unwrap();
    assert!(w.at.overwrite(&posted.notes[0], "[gone]", &key("k")).await.unwrap());
    assert!(text(&w, n, 0).starts_with("[gone]\n[latchkey k 1/1 ") && !text(&w, n, 0).contains("hunter2"));
    assert_eq!(w.at.find(&id, &key("k")).await.unwrap(), posted.notes);
    let gone = NoteAt { note: NoteId::parse("1").unwrap(), ..posted.notes[0].clone() };
    assert!(!w.at.overwrite(&gone, "x", &key("k")).await.unwrap());
}

#[tokio::test]
async fn an_overwrite_that_did_not_stick_is_tried_again() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &key("k")).await.unwrap();
    let kept = Act::Answer { status: 200, retry_after: None, body: json!({"itemId": 1}) };
    w.sim.faults().add(Fault::on(CHANGE, kept).once());
    assert!(w.at.overwrite(&posted.notes[0], "[gone]", &key("k")).await.unwrap_err().is_transient());
    assert!(w.at.overwrite(&posted.notes[0], "[gone]", &key("k")).await.unwrap());
    let missing = "No matching records found. The logged in Resource may not have the required permissions.";
    let body = json!({ "errors": [missing] });
    w.sim.faults().add(Fault::on(CHANGE, Act::Answer { status: 500, retry_after: None, body }).once());
    let refused = w.at.overwrite(&posted.notes[0], "x", &key("k")).await;
    assert!(matches!(refused, Err(CallError::Unauthorized { .. })), "the note is there: {refused:?}");
}

/// There is no way to delete a note.
#[tokio::test]
async fn a_note_that_is_taken_back_says_nothing_and_is_internal() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &key("k")).await.unwrap();
    w.at.take_back(&posted.notes[0]).await.unwrap();
    assert_eq!((text(&w, n, 0).as_str(), &w.sim.notes(n)[0]["publish"]), ("[taken back]", &json!(2)));
    w.sim.acting(JANE).delete(n).unwrap();
    w.at.take_back(&posted.notes[0]).await.unwrap();
}

#[tokio::test]
async fn a_strangers_marker_is_not_honoured() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let copy = text(&w, n, 0);
    w.sim.acting(JANE).add_note(n, &copy, 2).unwrap();
    w.sim.contact(77).add_note(n, &copy, 1).unwrap();
    let (m, other) = w.ticket();
    w.sim.acting(ME).add_note(m, &copy, 2).unwrap();
    assert_eq!(w.at.find(&id, &key("k")).await.unwrap(), posted.notes);
    assert!(w.at.find(&other, &key("k")).await.unwrap().is_empty());
    let theirs =
        NoteAt { note: NoteId::parse(w.sim.notes(n)[1]["id"].to_string()).unwrap(), ..posted.notes[0].clone() };
    assert!(matches!(w.at.overwrite(&theirs, "y", &key("k")).await, Err(CallError::Refused { .. })));
    assert_eq!(text(&w, n, 1), copy);
}

#[tokio::test]
async fn notes_of_a_merged_ticket_are_found_where_they_are() {
    let w = World::start().await;
    let ((one, one_id), (two, _)) = (w.ticket(), w.ticket());
    let posted = w.at.post(&one_id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let copy = text(&w, one, 0);
    w.sim.acting(MARK).merge(one, two).unwrap();
    w.sim.acting(ME).add_note(two, &copy, 2).unwrap();
    let found = w.at.find(&one_id, &key("k")).await.unwrap();
    assert_eq!((found.len(), &found[0], &found[1].ticket), (2, &posted.notes[0], &ticket_id(two)));
}

/// F18, F121: the vendor keeps when a note was changed, and not by whom.
#[tokio::test]
async fn a_note_that_was_changed_is_not_certain() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let notes = ["/jit status", "/jit end"].map(|text| w.sim.acting(JANE).add_note(n, text, 2).unwrap());
    let said = async || {
        let said = w.at.commands(&id, Urgency::Removal).await.unwrap();
        assert!(said.iter().all(|said| said.by == member_id(JANE)));
        said.into_iter().map(|said| (said.line, said.is_certain)).collect::<Vec<_>>()
    };
    assert_eq!(said().await, [("/jit status".to_owned(), true), ("/jit end".to_owned(), true)]);
    // By a program that acts as somebody, which is told, in the very second.
    w.sim.impersonating(JANE, MARK).edit_note(notes[0], "/jit extend 1h").unwrap();
    assert_eq!(said().await, [("/jit extend 1h".to_owned(), false), ("/jit end".to_owned(), true)]);
    w.advance(1);
    w.sim.acting(MARK).edit_note(notes[1], "/jit extend 8h").unwrap();
    assert_eq!(said().await[1], ("/jit extend 8h".to_owned(), false));
}
