//! Who set the status, and setting it ourselves.

use latchkey_contract::{TicketSystem, outside::Urgency, ticket::Part};
use latchkey_simulators::{
    connectwise::{AuditOrder, NewTicket, Tab},
    fault::{Act, Fault},
};

use crate::world::{World, status_id};

#[tokio::test]
async fn the_actor_is_who_set_the_present_status_last() {
    let w = World::start().await;
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        w.sim.behave(|b| b.audit_order = order);
        let (n, id) = w.ticket();
        w.advance(60);
        w.msp.acting("msmith").set_status(n, w.requested).unwrap();
        w.msp.acting("msmith").set_status(n, w.new).unwrap();
        w.advance(60);
        w.msp.acting("jdoe").set_status(n, w.requested).unwrap();
        let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
        let change = w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap();
        assert_eq!((change.by.as_str(), change.later_by), ("jdoe", None), "{order:?}");
        assert_eq!(change.at.rfc3339(), w.msp.audit(n).last().unwrap()["enteredDate"].as_str().unwrap());

        let again = w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap();
        assert_eq!(again.key, change.key);
        w.advance(60);
        w.msp.acting("jdoe").set_status(n, w.new).unwrap();
        w.msp.acting("jdoe").set_status(n, w.requested).unwrap();
        let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
        assert_ne!(w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap().key, change.key);
    }
}

#[tokio::test]
async fn somebody_elses_later_save_is_told_and_our_own_is_not() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.msp.acting("jdoe").set_status(n, w.requested).unwrap();
    w.advance(5);
    w.msp.acting("JitApi").add_note(n, "ours", Tab::Internal).unwrap();
    let later = async || {
        let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
        w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap().later_by
    };
    assert_eq!(later().await, None);
    w.advance(5);
    w.msp.acting("msmith").touch(n).unwrap();
    assert_eq!(later().await.as_deref(), Some("msmith"));
}

#[tokio::test]
async fn a_status_without_a_recorded_change_has_no_actor() {
    let w = World::start().await;
    let new = NewTicket::new("born so", w.board, w.acme).status(w.requested).entered_by("jdoe");
    let id = crate::world::ticket_id(w.msp.add_ticket(new).unwrap());
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap(), None);
}

#[tokio::test]
async fn a_summary_that_speaks_of_a_status_is_not_a_change() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.msp.acting("jdoe").set_status(n, w.requested).unwrap();
    w.advance(5);
    w.msp.acting("msmith").set_summary(n, "Status has been updated to \"JIT Requested\"").unwrap();
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    let change = w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!((change.by.as_str(), change.later_by.as_deref()), ("jdoe", Some("msmith")));
}

#[tokio::test]
async fn a_ticket_that_moves_while_its_history_is_read_is_looked_at_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.msp.acting("jdoe").set_status(n, w.requested).unwrap();
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    w.advance(5);
    w.msp.acting("msmith").set_status(n, w.new).unwrap();
    assert!(w.cw.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_status_of_the_tickets_own_board_is_set_once() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    assert!(w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert!(w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.calls("PATCH /service/tickets/{id}"), 1);
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(ticket.status, Some(status_id(w.requested)));
}

#[tokio::test]
async fn an_instance_that_wants_the_custom_fields_named_gets_them() {
    let w = World::start().await;
    w.sim.behave(|b| b.patch_needs_custom_fields = true);
    let new = NewTicket::new("x", w.board, w.acme).field(w.duration, "2 hours");
    let id = crate::world::ticket_id(w.msp.add_ticket(new).unwrap());
    assert!(w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    let ticket = w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(ticket.fields.values().collect::<Vec<_>>(), ["2 hours"]);
}

#[tokio::test]
async fn a_status_that_cannot_be_set_changes_nothing() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    assert!(!w.cw.set_status(&id, &status_id(w.triage)).await.unwrap().is_so());
    assert!(!w.cw.set_status(&id, &status_id(9999)).await.unwrap().is_so());
    w.msp.acting("jdoe").close(n).unwrap();
    assert!(!w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert!(w.cw.set_status(&id, &status_id(w.closed)).await.unwrap().is_so());
    w.msp.acting("jdoe").delete(n).unwrap();
    assert!(!w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.calls("PATCH /service/tickets/{id}"), 0);
}

#[tokio::test]
async fn a_ticket_that_moves_boards_under_the_change_is_left_alone() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let (msp, board, status) = (w.msp.clone(), w.other_board, w.triage);
    let moves = move |_: &_| msp.acting("msmith").move_board(n, board, status).unwrap();
    w.sim.faults().add(Fault::on("PATCH /service/tickets/{id}", Act::before(moves)).once());
    assert!(!w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.cw.read(&id, Urgency::Ordinary).await.unwrap().unwrap().status, Some(status_id(w.triage)));
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_no_second_change() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    for act in [Act::ResetAfter, Act::Garbage] {
        w.sim.faults().add(Fault::on("PATCH /service/tickets/{id}", act).once());
        assert!(w.cw.set_status(&id, &status_id(w.requested)).await.unwrap_err().is_transient());
        assert!(w.cw.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
        assert!(w.cw.set_status(&id, &status_id(w.new)).await.unwrap().is_so());
    }
}
