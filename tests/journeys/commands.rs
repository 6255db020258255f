//! Commands in notes, at each PSA: who is heard, what it comes to, and what is not heard.

use crate::harness::*;

const STANDS: &str = "Latchkey: access of this ticket.";
const ENDS: &str = "Latchkey: access ends now";
const UNKNOWN: &str = "Latchkey: this is no command.";
const SOON: &str = "Latchkey: access ends soon.";
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
            app.minutes(5).await;
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {who:?} {how:?} {text:?}");
            assert_eq!(ours(desk, ticket).len(), before, "{at}: {who:?} {how:?} {text:?}: {:?}", ours(desk, ticket));
        }
        // Where the PSA lets a trusted program act as a member, and says that it did, it may ask; elsewhere nothing is heard.
        desk.writes(Who::Program, Writes::AsJane, ticket, "/jit status");
        app.minutes(5).await;
        assert_eq!(count(desk, ticket, STANDS), usize::from(at == "at"), "{at}: {:?}", ours(desk, ticket));
        app.minutes(10).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}

/// F122: ten minutes before the end, in the ticket and to whoever asked, once, though the service was away meanwhile; not where
/// the policy wants none, nor for what lasts no longer than that.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_before_it_comes() {
    let mut app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        let jane = rules.records.people.iter_mut().find(|person| person.id.as_str() == "jane").unwrap();
        jane.mail = Some("jane@msp.example".parse().unwrap());
    })
    .await;
    let mails = async |app: &TestApp| {
        let mails = app.store().mails(1000).await.unwrap();
        mails.iter().filter(|mail| mail.words.write().subject.contains("ends soon")).count()
    };
    let desks = app.desks.clone();
    for (n, desk) in desks.iter().enumerate() {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        app.minutes(49).await;
        assert_eq!((count(desk, ticket, SOON), mails(&app).await), (0, n), "{at}");
        app.down().await;
        app.up().await;
        app.minutes(1).await;
        let told = ours(desk, ticket);
        let soon = told.last().filter(|note| note.starts_with(SOON)).unwrap_or_else(|| panic!("{at}: {told:?}"));
        let end = app.grants_at(desk, ticket).await[0].state.end().unwrap().rfc3339();
        assert!(soon.contains(&end[11..19]) && soon.contains("/jit end"), "{at}: {soon}");
        assert_eq!(mails(&app).await, n + 1, "{at}");
        app.minutes(9).await;
        assert_eq!((count(desk, ticket, SOON), mails(&app).await), (1, n + 1), "{at}: once");
        app.minutes(2).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    for (warn_minutes, told) in [(0, false), (60, false), (59, true)] {
        app.change_rules(|rules| rules.rulebook.policies.iter_mut().for_each(|p| p.warn_minutes = warn_minutes)).await;
        let ticket = app.active_at(&*desks[0]).await;
        app.minutes(61).await;
        assert_eq!(app.state_at(&*desks[0], ticket).await, "ended");
        assert_eq!(count(&*desks[0], ticket, SOON), usize::from(told), "{warn_minutes}");
    }
    app.end().await;
}
