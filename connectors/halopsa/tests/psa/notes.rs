//! Notes: at most once, hidden, without mail, found again, overwritten, and never honoured from a stranger.

use latchkey_contract::{
    CallError, NoteId, Secret, TicketSystem,
    outside::Urgency,
    ticket::{NoteAt, NoteKey, NoteText},
};
use latchkey_halopsa::{HaloPsa, NoteFormat};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::{DANA, MAX, World, ticket_id};

const CREATE: &str = "POST /Actions";
const READ: &str = "GET /Actions/{id}";

fn key(text: &str) -> NoteKey {
    NoteKey(text.into())
}

fn note(w: &World, ticket: i64) -> String {
    w.sim.notes(ticket).last().unwrap()["note"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_note_is_hidden_silent_and_marked() {
    let w = World::start().await;
    for format in [NoteFormat::Html, NoteFormat::Text] {
        let (n, id) = w.ticket();
        let halo = w.with(|s| s.note_format = format);
        let posted =
            halo.post(&id, &NoteText::plain("Use p<a>ss&w\"o'rd\nuntil 22:00 UTC."), &key("g1")).await.unwrap();
        assert!(!posted.is_visible_to_customer && !posted.was_there);
        let shown = &w.sim.notes(n)[0];
        assert_eq!((&shown["hiddenfromuser"], &shown["outcome_id"]), (&json!(true), &json!(7)));
        assert!(note(&w, n).starts_with("Use p<a>ss&w\"o'rd\nuntil 22:00 UTC.\n[latchkey g1 1/1 "), "{}", note(&w, n));
        assert!(w.sim.mails().is_empty());
        assert_eq!(halo.find(&id, &key("g1")).await.unwrap(), posted.notes);
    }
    let calls = w.sim.faults().calls();
    let sent = calls.iter().find(|c| c.op == CREATE).unwrap().body_json.as_ref().unwrap()[0].clone();
    for (flag, value) in
        [("hiddenfromuser", true), ("sendemail", false), ("actisbillable", false), ("_ignore_ai", true)]
    {
        assert_eq!(sent[flag], json!(value), "{flag}");
    }
    assert!(sent.get("who").is_none() && sent.get("timetaken").is_none());
}

/// I4
#[tokio::test]
async fn the_same_note_is_posted_once_however_often_it_is_asked_for() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let first = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.sim.behave(|b| (b.answers_arrays, b.ids_are_strings) = (true, true));
    let again = w.restarted().post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    assert!(again.was_there && again.notes == first.notes);
    assert!(!w.halo.post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap().was_there);
    assert_eq!(w.sim.notes(n).len(), 2);
}

/// I4, I13
#[tokio::test]
async fn a_lost_answer_is_transient_and_the_next_try_finds_the_note() {
    let w = World::start().await;
    for act in [Act::ResetAfter, Act::Garbage, Act::Huge] {
        let (n, id) = w.ticket();
        w.sim.faults().add(Fault::on(CREATE, act.clone()).once());
        let lost = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap_err();
        assert!(lost.is_transient(), "{act:?}: {lost:?}");
        let posted = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
        assert!(posted.was_there && w.sim.notes(n).len() == 1, "{act:?}");
    }
}

#[tokio::test]
async fn a_long_text_is_split_and_only_the_missing_part_is_posted_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let long: String = (0..600).map(|n| format!("line {n} of a long explanation\n")).collect();
    w.sim.faults().add(Fault::on(CREATE, Act::ResetBefore).skip(1).once());
    assert!(w.halo.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap_err().is_transient());
    let posted = w.halo.post(&id, &NoteText::plain(&long), &key("k")).await.unwrap();
    assert_eq!(posted.notes.iter().map(|n| n.part).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(w.sim.notes(n).len(), 3);
    assert_eq!(w.halo.find(&id, &key("k")).await.unwrap(), posted.notes);
}

#[tokio::test]
async fn a_note_that_the_customer_can_see_or_was_mailed_is_told() {
    let w = World::start().await;
    w.sim.behave(|b| b.shows_every_note = true);
    let (_, id) = w.ticket();
    assert!(w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer);
    w.sim.behave(|b| b.shows_every_note = false);
    for seen in
        [json!({"hiddenfromuser": true, "emailto": "ann@acme.example"}), json!({"hiddenfromuser": null}), json!({})]
    {
        let (n, id) = w.ticket();
        let mut body = seen.clone();
        body["id"] = json!(w.sim.actions(n).len() + 1);
        w.sim.faults().add(Fault::on(READ, Act::Answer { status: 200, retry_after: None, body }).once());
        assert!(w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer, "{seen}");
        assert!(!w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer);
    }
    // Opened to the customer later.
    let (n, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.sim.acting(MAX).show_note(n, posted.notes[0].note.as_str().parse().unwrap()).unwrap();
    assert!(w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().is_visible_to_customer);
}

#[tokio::test]
async fn a_strangers_note_with_our_marker_is_not_ours() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    let copied = note(&w, n);
    w.halo.take_back(&posted.notes[0]).await.unwrap();
    let theirs = w.sim.acting(DANA).add_note(n, &copied, true).unwrap();
    assert!(w.halo.find(&id, &key("k")).await.unwrap().is_empty());
    assert!(!w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap().was_there);
    let (m, other) = w.ticket();
    w.sim.as_application(&w.api.client_id, 42).add_note(m, &copied, true).unwrap();
    assert!(w.halo.find(&other, &key("k")).await.unwrap().is_empty(), "a marker fits its own ticket alone");
    let at = NoteAt { ticket: id, note: NoteId::parse(theirs.to_string()).unwrap(), part: 0 };
    let refused = w.halo.overwrite(&at, "gone", &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 403, .. }));
}

#[tokio::test]
async fn an_overwritten_note_keeps_its_marker_and_loses_its_secret_in_text_and_html() {
    let w = World::start().await;
    for format in [NoteFormat::Html, NoteFormat::Text] {
        let (n, id) = w.ticket();
        let halo = w.with(|s| s.note_format = format);
        let secret = NoteText(Secret::new("Password: hunter2-canary".into()));
        let posted = halo.post(&id, &secret, &key("k")).await.unwrap();
        assert!(halo.overwrite(&posted.notes[0], "Removed. a < b", &key("k")).await.unwrap());
        let shown = w.sim.notes(n)[0].to_string();
        assert!(!shown.contains("canary") && note(&w, n).starts_with("Removed. a < b\n[latchkey k 1/1 "), "{shown}");
        assert_eq!(w.sim.notes(n)[0]["hiddenfromuser"], true);
        assert_eq!(halo.find(&id, &key("k")).await.unwrap(), posted.notes);
        let number = posted.notes[0].note.as_str().parse().unwrap();
        w.sim.acting(DANA).edit_note(n, number, "Password: hunter2-canary").unwrap();
        assert!(halo.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
        assert!(!w.sim.notes(n)[0].to_string().contains("canary"));
        w.sim.acting(DANA).delete_note(n, number).unwrap();
        assert!(!halo.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
    }
}

#[tokio::test]
async fn a_text_that_does_not_go_is_not_said_to_be_gone() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("secret"), &key("k")).await.unwrap();
    let nothing_done = Act::Answer { status: 201, retry_after: None, body: json!({"id": 1}) };
    w.sim.faults().add(Fault::on(CREATE, nothing_done).once());
    assert!(w.halo.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap_err().is_transient());
    assert!(w.halo.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
}

#[tokio::test]
async fn notes_are_found_where_a_merge_has_copied_them() {
    let w = World::start().await;
    let ((child, child_id), (survivor, survivor_id)) = (w.ticket(), w.ticket());
    let posted = w.halo.post(&child_id, &NoteText::plain("secret"), &key("k")).await.unwrap();
    w.sim.acting(MAX).merge(survivor, child).unwrap();
    let found = w.halo.find(&child_id, &key("k")).await.unwrap();
    assert_eq!((found.len(), &found[0], &found[1].ticket), (2, &posted.notes[0], &survivor_id));
    for at in &found {
        assert!(w.halo.overwrite(at, "Removed.", &key("k")).await.unwrap());
    }
    assert!(!w.sim.notes(child)[0].to_string().contains("secret"));
    assert!(w.sim.notes(survivor).iter().all(|n| !n.to_string().contains("secret")));
}

#[tokio::test]
async fn a_note_is_taken_back_once_and_absence_is_success() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.halo.take_back(&posted.notes[0]).await.unwrap();
    w.halo.take_back(&posted.notes[0]).await.unwrap();
    assert!(w.sim.notes(n).is_empty());
    assert!(w.halo.find(&ticket_id(999), &key("k")).await.unwrap().is_empty());
    let refused = w.halo.post(&ticket_id(999), &NoteText::plain("x"), &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 404, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_note_that_may_not_be_deleted_is_hidden_and_says_nothing_any_more() {
    let w = World::start().await;
    w.sim.behave(|b| b.forbids_deleting_actions = true);
    let (n, id) = w.ticket();
    let secret = NoteText(Secret::new("Password: hunter2-canary".into()));
    let posted = w.halo.post(&id, &secret, &key("k")).await.unwrap();
    let number = posted.notes[0].note.as_str().parse().unwrap();
    w.sim.acting(MAX).show_note(n, number).unwrap();
    w.halo.take_back(&posted.notes[0]).await.unwrap();
    let left = &w.sim.notes(n)[0];
    assert_eq!((&left["hiddenfromuser"], left.to_string().contains("canary")), (&json!(true), false), "{left}");
    assert!(w.halo.find(&id, &key("k")).await.unwrap().is_empty(), "it does not count as posted");
    // Still to be seen: that is not done.
    let posted = w.halo.post(&id, &secret, &key("k")).await.unwrap();
    w.sim.behave(|b| b.shows_every_note = true);
    let refused = w.halo.take_back(&posted.notes[0]).await.unwrap_err();
    assert!(matches!(refused, CallError::Unauthorized { .. }), "{refused:?}");
    // Not to be changed, but to be deleted.
    w.sim.behave(|b| (b.shows_every_note, b.forbids_deleting_actions) = (false, false));
    let refuses = Act::Answer { status: 403, retry_after: None, body: json!("") };
    w.sim.faults().add(Fault::on(CREATE, refuses).once());
    w.halo.take_back(&posted.notes[0]).await.unwrap();
    assert!(w.sim.notes(n).iter().all(|note| !note.to_string().contains("canary")));
}

#[tokio::test]
async fn a_command_is_an_agents_own_word_at_the_desk_or_in_an_application_of_it() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.sim.acting(DANA).add_note(n, "/jit status", true).unwrap();
    w.sim.as_application("0d2c", DANA).add_note(n, "/jit end", true).unwrap();
    let heard = async |halo: &HaloPsa| {
        let said = halo.commands(&id, Urgency::Removal).await.unwrap();
        said.into_iter().map(|said| (said.line, said.by.to_string(), said.is_certain)).collect::<Vec<_>>()
    };
    let at_the_desk = ("/jit status".to_owned(), DANA.to_string(), true);
    assert_eq!(heard(&w.halo).await, std::slice::from_ref(&at_the_desk));
    let listed = w.with(|s| s.desk_applications = vec!["0d2c".into()]);
    assert_eq!(
        heard(&listed).await,
        [at_the_desk, ("/jit end".to_owned(), DANA.to_string(), false)],
        "any agent may be named"
    );
}

/// F11
#[tokio::test]
async fn a_deleted_ticket_holds_no_notes() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.sim.acting(MAX).delete(n).unwrap();
    assert!(w.halo.find(&id, &key("k")).await.unwrap().is_empty());
    assert!(!w.halo.overwrite(&posted.notes[0], "Removed.", &key("k")).await.unwrap());
    w.halo.take_back(&posted.notes[0]).await.unwrap();
}

#[tokio::test]
async fn the_action_for_notes_is_found_by_name_and_never_guessed() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let own = w.sim.add_outcome("Latchkey note", None);
    let named = w.with(|s| s.note_action = Some("latchkey NOTE".into()));
    named.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    assert!(w.sim.actions(n).iter().any(|a| a["outcome_id"] == own));
    w.sim.change_outcome(7, Some(true));
    let forbidden = w.halo.post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap_err();
    assert!(matches!(forbidden, CallError::Refused { status: 400, .. }));
    w.sim.change_outcome(7, None);
    let gone = w.restarted().post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap_err();
    assert!(gone.to_string().contains("note_action"), "{gone}");
    // Known before, removed since: refused once, looked for again after that.
    let refused = w.halo.post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap_err();
    assert!(refused.to_string().contains("Outcome"), "{refused}");
    w.sim.add_outcome("Internal Note", None);
    w.halo.post(&id, &NoteText::plain("x"), &key("k2")).await.unwrap();
}

#[tokio::test]
async fn whose_notes_are_ours_is_never_guessed() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.halo.post(&id, &NoteText::plain("x"), &key("k")).await.unwrap();
    w.sim.behave(|b| b.has_no_agent_me = true);
    let untold = w.restarted().find(&id, &key("k")).await.unwrap_err();
    assert!(untold.to_string().contains("api_agent"), "{untold}");
    assert_eq!(w.with(|s| s.api_agent = Some(42)).find(&id, &key("k")).await.unwrap().len(), 1);
    assert!(w.with(|s| s.api_agent = Some(17)).find(&id, &key("k")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_secret_stands_in_no_error_and_no_debug_text() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let secret = NoteText(Secret::new("hunter2-canary".into()));
    let repeats =
        Act::Answer { status: 400, retry_after: None, body: json!({"Message": "the note hunter2-canary is too long"}) };
    w.sim.faults().add(Fault::on(CREATE, repeats).once());
    let refused = w.halo.post(&id, &secret, &key("k")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 400, .. }));
    let all = format!("{refused} {refused:?} {:?}", w.halo);
    assert!(!all.contains("canary") && !all.contains(&w.api.client_secret) && !all.contains(crate::world::PASSWORD));
}
