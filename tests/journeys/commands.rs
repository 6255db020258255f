//! Commands in notes, at each PSA: who is heard, what it comes to, and what is not heard.

use latchkey::access::Length;

use crate::harness::*;

const STANDS: &str = "Latchkey: access of this ticket.";
const ENDS: &str = "Latchkey: access ends now";
const UNKNOWN: &str = "Latchkey: this is no command.";
const ENDED: &str = "Latchkey: access has ended, proven off.";

fn ours(desk: &dyn Desk, ticket: i64) -> Vec<String> {
    let notes = desk.notes(ticket).into_iter().map(|note| note.text);
    notes.filter(|text| text.starts_with("Latchkey: ")).collect()
}

fn count(desk: &dyn Desk, ticket: i64, first: &str) -> usize {
    ours(desk, ticket).iter().filter(|note| note.starts_with(first)).count()
}

/// F18, F120: asked in a note, answered in a note, once; and what was ended stays ended, though the words still stand there
/// when the ticket asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_technician_asks_and_ends_by_a_note() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let says = |text: &str| desk.writes(Who::Jane, Writes::Internal, ticket, text);
        says("/jit status");
        app.minutes(6).await;
        let said = ours(desk, ticket).into_iter().find(|note| note.starts_with(STANDS)).unwrap_or_default();
        assert!(said.contains("is active, and ends at "), "{at}: {:?}", desk.notes(ticket));
        says("/jit give me everything");
        app.minutes(12).await;
        assert_eq!((count(desk, ticket, STANDS), count(desk, ticket, UNKNOWN)), (1, 1), "{at}: each is answered once");
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        says("\n/JIT end\n\nThanks, I am done.");
        app.minutes(6).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: {:?}", desk.notes(ticket));
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["cause"]["cause"], "ended-by-person", "{at}");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        assert_eq!((count(desk, ticket, ENDS), count(desk, ticket, ENDED)), (1, 1), "{at}: {:?}", desk.notes(ticket));
        let notes: Vec<_> = desk.notes(ticket).into_iter().filter(|note| note.text.starts_with("Latchkey: ")).collect();
        assert!(notes.iter().all(|note| note.is_internal), "{at}: {notes:?}");
        desk.click(Who::Jane, ticket);
        app.minutes(12).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        assert_eq!(count(desk, ticket, ENDS), 1, "{at}");
        app.minutes(60).await;
    }
    app.end().await;
}

/// F18: a contact, somebody nobody bound or who has left, a program, we ourselves; where a customer reads it, by mail, in
/// another's name; quoted, not at the beginning, or before access was asked for. Nothing ends, and nothing is said.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_verified_and_whatever_is_not_plainly_said_is_not_heard() {
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        for policy in &mut rules.rulebook.policies {
            let long = || Length::parse("2h").unwrap();
            (policy.lengths, policy.default_length) = (vec![long()], long());
        }
    })
    .await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
        app.minutes(1).await;
        desk.click(Who::Jane, ticket);
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        let before = ours(desk, ticket).len();
        let quoted = "On Monday Ann Example wrote:\n/jit end";
        for (who, how, text) in [
            (Who::Contact, Writes::Internal, "/jit end"),
            (Who::Unbound, Writes::Internal, "/jit end"),
            (Who::Gone, Writes::Internal, "/jit end"),
            (Who::Program, Writes::Internal, "/jit end"),
            (Who::Us, Writes::Internal, "/jit end"),
            (Who::Jane, Writes::Shown, "/jit end"),
            (Who::Jane, Writes::Mailed, "/jit end"),
            (Who::Jane, Writes::Internal, "> /jit end"),
            (Who::Jane, Writes::Internal, quoted),
            (Who::Jane, Writes::Internal, "please /jit end"),
        ] {
            desk.writes(who, how, ticket, text);
            // Longer than from one poll to the next, so that each is judged by a look of its own.
            app.minutes(6).await;
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {who:?} {how:?} {text:?}");
            assert_eq!(ours(desk, ticket).len(), before, "{at}: {who:?} {how:?} {text:?}: {:?}", ours(desk, ticket));
        }
        // Where the PSA lets a trusted program act as a member, and says that it did, it may ask; elsewhere nothing is heard.
        desk.writes(Who::Program, Writes::AsJane, ticket, "/jit status");
        app.minutes(6).await;
        let by_program = usize::from(desk.hears_in_anothers_name());
        assert_eq!(count(desk, ticket, STANDS), by_program, "{at}: {:?}", ours(desk, ticket));
        // And whoever is verified was heard in all that time.
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit status");
        app.minutes(6).await;
        assert_eq!(count(desk, ticket, STANDS), by_program + 1, "{at}: {:?}", ours(desk, ticket));
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        app.minutes(50).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}
