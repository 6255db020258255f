//! Notes: at most once, found again, overwritten, and never honoured from a stranger.

use latchkey_contract::{
    CallError, NoteId, Secret, TicketSystem,
    outside::Urgency,
    ticket::{NoteAt, NoteKey, NoteText},
};
use latchkey_simulators::{
    connectwise::Tab,
    fault::{Act, Fault},
};
use serde_json::{Value, json};

use crate::world::{World, ticket_id};

const CREATE: &str = "POST /service/tickets/{id}/notes";
const READ: &str = "GET /service/tickets/{id}/notes/{noteId}";

fn key(text: &str) -> NoteKey {
    NoteKey(text.into())
}

fn text(w: &World, ticket: i64, at: usize) -> String {
    w.msp.notes(ticket)[at]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_note_is_internal_silent_and_marked() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.cw.post(&id, &NoteText::plain("Granted until 22:00 UTC."), &key("g1.granted")).await.unwrap();
    assert!(!posted.is_visible_to_customer && !posted.was_there);
    assert_eq!((posted.notes.len(), posted.notes[0].part, &posted.notes[0].ticket), (1, 0, &id));
    let note = &w.msp.notes(n)[0];
    assert_eq!(note["internalAnalysisFlag"], true);
    assert_eq!((&note["detailDescriptionFlag"], &note["resolutionFlag"]), (&json!(false), &json!(false)));
    assert!(text(&w, n, 0).starts_with("Granted until 22:00 UTC.\n[latchkey g1.granted 1/1 "));
    let sent = w.sim.faults().calls().into_iter().find(|c| c.op == CREATE).unwrap().body_json.unwrap();
    assert_eq!((&sent["processNotifications"], &sent["customerUpdatedFlag"]), (&json!(false), &json!(false)));
}

/// I4
#[tokio::test]
async fn the_same_note_is_posted_once_however_often_it_is_asked_for() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let first = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let again = w.restarted().post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    assert!(again.was_there && again.notes == first.notes);
    w.cw.post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap();
    assert_eq!(w.msp.notes(n).len(), 2);
}

/// I4, I13
#[tokio::test]
async fn a_lost_answer_is_transient_and_the_next_try_finds_the_note() {
    let w = World::start().await;
    for act in [Act::ResetAfter, Act::Garbage, Act::Huge] {
        let (n, id) = w.ticket();
        w.sim.faults().add(Fault::on(CREATE, act.clone()).once());
        let lost = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap_err();
        assert!(lost.is_transient(), "{act:?}: {lost:?}");
        let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
        assert!(posted.was_there && w.msp.notes(n).len() == 1, "{act:?}");
    }
    let (n, id) = w.ticket();
    w.sim.faults().add(Fault::on(CREATE, Act::ResetBefore).once());
    assert!(w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap_err().is_transient());
    assert!(!w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().was_there);
    w.sim.faults().add(Fault::on(READ, Act::ResetBefore).once());
    assert!(w.cw.post(&id, &NoteText::plain("y"), &key("k2")).await.unwrap_err().is_transient());
    assert!(w.cw.post(&id, &NoteText::plain("y"), &key("k2")).await.unwrap().was_there);
    assert_eq!(w.msp.notes(n).len(), 2);
}

#[tokio::test]
async fn a_long_text_is_split_and_only_the_missing_part_is_posted_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let long: String = (0..600).map(|n| format!("line {n} of a long explanation\n")).collect();
    w.sim.faults().add(Fault::on(CREATE, Act::ResetBefore).skip(1).once());
    assert!(w.cw.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap_err().is_transient());
    assert_eq!(w.msp.notes(n).len(), 1);
    let posted = w.cw.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap();
    assert!(!posted.was_there);
    assert_eq!(posted.notes.iter().map(|n| n.part).collect::<Vec<_>>(), [0, 1, 2]);
    let notes = w.msp.notes(n);
    assert_eq!(notes.len(), 3);
    assert!(notes.iter().all(|n| n["text"].as_str().unwrap().chars().count() <= 8_000));
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap(), posted.notes);
}

#[tokio::test]
async fn a_note_among_many_is_found_on_any_page() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    for at in 0..120 {
        w.msp.acting("jdoe").add_note(n, &format!("note {at}"), Tab::Internal).unwrap();
    }
    let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.sim.faults().clear_calls();
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap(), posted.notes);
    assert_eq!(w.calls("GET /service/tickets/{id}/notes"), 3);
}

#[tokio::test]
async fn a_note_that_the_customer_can_see_is_told() {
    let w = World::start().await;
    let flags = [
        json!({"internalAnalysisFlag": true, "detailDescriptionFlag": true}),
        json!({"internalAnalysisFlag": true, "resolutionFlag": true}),
        json!({"internalAnalysisFlag": true, "externalFlag": true}),
        json!({"internalAnalysisFlag": false}),
        json!({}),
    ];
    for seen in flags {
        let (_, id) = w.ticket();
        let mut body = seen.clone();
        body["id"] = json!(1);
        let act = Act::Answer { status: 200, retry_after: None, body };
        w.sim.faults().add(Fault::on(READ, act).once());
        let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
        assert!(posted.is_visible_to_customer, "{seen}");
        assert!(!w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer);
    }
}

#[tokio::test]
async fn a_note_that_was_opened_to_the_customer_later_is_told_when_it_is_found() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let mut shown = w.msp.notes(n).remove(0);
    shown["detailDescriptionFlag"] = json!(true);
    let act = Act::Answer { status: 200, retry_after: None, body: Value::Array(vec![shown]) };
    w.sim.faults().add(Fault::on("GET /service/tickets/{id}/notes", act).once());
    let found = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    assert!(found.was_there && found.is_visible_to_customer);
}

#[tokio::test]
async fn a_strangers_note_with_our_marker_is_not_ours() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let copied = text(&w, n, 0);
    let own = w.msp.notes(n)[0]["id"].as_i64().unwrap();
    w.msp.acting("jdoe").delete_note(own).unwrap();
    let theirs = w.msp.acting("jdoe").add_note(n, &copied, Tab::Internal).unwrap();
    assert!(w.cw.find(&id, &key("k")).await.unwrap().is_empty());
    assert!(!w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().was_there);
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap().len(), 1);

    // Nor does a forged or moved marker count in a note that our own member made for somebody else.
    let (m, other) = w.ticket();
    w.msp.acting("JitApi").add_note(m, &copied, Tab::Internal).unwrap();
    w.msp.acting("JitApi").add_note(m, "[latchkey k 1/1 AAAAAAAAAAAAAAAAAAAAAA]", Tab::Internal).unwrap();
    assert!(w.cw.find(&other, &key("k")).await.unwrap().is_empty());

    let at = NoteAt { ticket: id, note: NoteId::parse(theirs.to_string()).unwrap(), part: 0 };
    let refused = w.cw.overwrite(&at, "gone", &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 403, .. }));
    assert!(w.msp.notes(n).iter().any(|note| note["text"] == copied.as_str()));
}

#[tokio::test]
async fn an_overwritten_note_keeps_its_marker_and_loses_its_secret() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let secret = NoteText(Secret::new("Password: hunter2-canary".into()));
    let posted = w.cw.post(&id, &secret, &key("k")).await.unwrap();
    assert!(w.cw.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
    let now = text(&w, n, 0);
    assert!(now.starts_with("Removed.\n[latchkey k 1/1 ") && !now.contains("canary"));
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap(), posted.notes);

    // Somebody tidied the marker away: the text still goes, and the marker comes back.
    w.msp.acting("jdoe").edit_note(posted.notes[0].note.as_str().parse().unwrap(), "Password: hunter2-canary").unwrap();
    assert!(w.cw.overwrite(&posted.notes[0], &"long ".repeat(4_000), &key("k")).await.unwrap());
    assert!(!text(&w, n, 0).contains("canary") && text(&w, n, 0).len() <= 8_000);
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap(), posted.notes);
    w.msp.acting("jdoe").delete_note(posted.notes[0].note.as_str().parse().unwrap()).unwrap();
    assert!(!w.cw.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
}

#[tokio::test]
async fn taking_a_secret_out_is_not_held_back_by_throttling() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    // One that has asked nothing yet: what it must know first goes first, too.
    let cw = w.restarted();
    w.sim.faults().add(Fault::on("GET /service/tickets/{id}", Act::throttled(600)).once());
    assert!(cw.read(&id, Urgency::Ordinary).await.is_err());
    assert_eq!(cw.find(&id, &key("k")).await.unwrap(), posted.notes);
    assert!(cw.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
    assert!(cw.read(&id, Urgency::Removal).await.unwrap().is_some(), "a look whether access must end");
    assert!(cw.read(&id, Urgency::Ordinary).await.is_err(), "everything else still waits");
    cw.take_back(&posted.notes[0]).await.unwrap();
    assert!(w.msp.notes(n).is_empty());
}

#[tokio::test]
async fn a_note_is_taken_back_once_and_absence_is_success() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.cw.take_back(&posted.notes[0]).await.unwrap();
    w.cw.take_back(&posted.notes[0]).await.unwrap();
    assert!(w.msp.notes(n).is_empty());
}

#[tokio::test]
async fn notes_are_found_where_a_merge_has_put_them() {
    let w = World::start().await;
    let ((child, child_id), (survivor, survivor_id)) = (w.ticket(), w.ticket());
    let posted = w.cw.post(&child_id, &NoteText::plain("secret"), &key("k")).await.unwrap();
    // Some merges copy notes to the survivor: the copy is our member's own, with another number.
    w.msp.acting("JitApi").add_note(survivor, &text(&w, child, 0), Tab::Internal).unwrap();
    w.msp.acting("msmith").merge(survivor, &[child]).unwrap();
    let found = w.cw.find(&child_id, &key("k")).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], posted.notes[0]);
    assert_eq!(found[1].ticket, survivor_id);
    for note in &found {
        assert!(w.cw.overwrite(note, "Removed.", &key("k")).await.unwrap());
    }
    assert!(!text(&w, child, 0).contains("secret") && !text(&w, survivor, 0).contains("secret"));
    assert_eq!(w.cw.find(&child_id, &key("k")).await.unwrap(), found);
}

#[tokio::test]
async fn a_note_that_only_the_list_of_all_notes_shows_is_found_and_its_author_checked() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.msp.acting("jdoe").add_note(n, &text(&w, n, 0), Tab::Internal).unwrap();
    let nothing = Act::Answer { status: 200, retry_after: None, body: json!([]) };
    w.sim.faults().add(Fault::on("GET /service/tickets/{id}/notes", nothing));
    assert_eq!(w.cw.find(&id, &key("k")).await.unwrap(), posted.notes);
    assert!(w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().was_there);
}

#[tokio::test]
async fn a_ticket_that_is_gone_has_no_notes_and_takes_none() {
    let w = World::start().await;
    assert!(w.cw.find(&ticket_id(999), &key("k")).await.unwrap().is_empty());
    let refused = w.cw.post(&ticket_id(999), &NoteText::plain("x"), &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 404, .. }), "{refused:?}");
}

#[tokio::test]
async fn whose_notes_are_ours_is_never_guessed() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.cw.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let denied = Act::Answer { status: 403, retry_after: None, body: json!({"code": "Security"}) };
    w.sim.faults().add(Fault::on("GET /system/mymembers", denied));
    assert!(matches!(w.restarted().find(&id, &key("k")).await, Err(CallError::Unauthorized { .. })));
    let told = w.with(|s| s.api_member = Some("jitapi".into()));
    assert_eq!(told.find(&id, &key("k")).await.unwrap().len(), 1);
    assert!(told.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().was_there);
    assert_eq!(w.msp.notes(n).len(), 1);
}

/// F18: whose note one is cannot be told, since two members have its name: the others are read all the same.
#[tokio::test]
async fn a_note_whose_author_cannot_be_told_hides_no_other() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    for (who, text) in [("jdoe", "/jit status"), ("msmith", "/jit end")] {
        w.msp.acting(who).add_note(n, text, Tab::Internal).unwrap();
    }
    let body = json!([{"id": 176, "identifier": "jdoe"}, {"id": 9176, "identifier": "JDoe"}]);
    w.sim.faults().add(Fault::on("GET /system/members", Act::Answer { status: 200, retry_after: None, body }).once());
    let said = w.cw.commands(&id, Urgency::Removal).await.unwrap();
    assert_eq!(
        said.iter().map(|said| (said.by.as_str(), said.line.as_str())).collect::<Vec<_>>(),
        [("177", "/jit end")]
    );
    assert_eq!(w.cw.commands(&id, Urgency::Removal).await.unwrap().len(), 2);
}

/// F18, F121: a note is its author's word while nobody else has saved it.
#[tokio::test]
async fn a_note_that_somebody_else_changed_is_not_certain() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let note = w.msp.acting("jdoe").add_note(n, "/jit status", Tab::Internal).unwrap();
    let said = async || {
        let said = w.cw.commands(&id, Urgency::Removal).await.unwrap().remove(0);
        assert_eq!(said.by.as_str(), "176");
        (said.line, said.is_certain)
    };
    assert_eq!(said().await, ("/jit status".to_owned(), true));
    w.advance(60);
    w.msp.acting("jdoe").edit_note(note, "/jit extend 30m").unwrap();
    assert_eq!(said().await, ("/jit extend 30m".to_owned(), true));
    w.msp.acting("msmith").edit_note(note, "/jit extend 8h").unwrap();
    assert_eq!(said().await, ("/jit extend 8h".to_owned(), false));
}
