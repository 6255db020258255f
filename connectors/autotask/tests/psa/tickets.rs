//! Tickets: read by ids, closed, merged, gone, given another status, and found by the poll.

use latchkey_contract::{
    CallError, TicketSystem, Timestamp,
    outside::Urgency,
    ticket::{NoteKey, NoteText},
};
use latchkey_simulators::{
    autotask::NoUdfs,
    fault::{Act, Fault},
};
use serde_json::json;

use crate::world::{
    ACME, COMPLETE, DESK, JANE, MARK, NEW, OTHER, POLICY, REASON, REQUESTED, World, board_id, field_id, status_id,
    ticket_id,
};

/// F4
#[tokio::test]
async fn a_ticket_is_read_by_ids() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.sim.acting(JANE).assign(n, Some(MARK)).unwrap();
    w.sim.acting(JANE).set_udf(n, "JIT Policy", Some("1")).unwrap();
    w.sim.acting(JANE).set_udf(n, "JIT Policy Reason", Some("reset for O'Neil & Söhne")).unwrap();
    let ticket = w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!((ticket.summary.as_str(), ticket.status_name.as_str()), ("JIT admin for ACME", "New"));
    assert_eq!((ticket.company.unwrap().as_str(), ticket.board.unwrap()), ("174", board_id(DESK)));
    assert_eq!((ticket.status.unwrap(), ticket.owner.unwrap().as_str()), (status_id(NEW), "30691781"));
    assert_eq!((ticket.kind.unwrap().as_str(), ticket.source.unwrap().as_str()), ("1", "2"));
    assert_eq!(ticket.fields[&field_id(POLICY)], "1");
    assert_eq!(ticket.fields[&field_id(REASON)], "reset for O'Neil & Söhne");
    assert_eq!(ticket.updated_by.as_deref(), Some("j.doe"));
    assert!(ticket.updated_at.is_some() && !ticket.is_closed && !ticket.is_merged);
}

#[tokio::test]
async fn a_ticket_without_fields_is_read_in_every_shape() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    for shape in [NoUdfs::Absent, NoUdfs::EmptyList, NoUdfs::EmptyObject] {
        w.sim.behave(|b| b.no_udfs = shape);
        assert!(w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap().fields.is_empty(), "{shape:?}");
    }
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_none_however_it_is_said() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.sim.acting(JANE).delete(n).unwrap();
    assert_eq!(w.at.read(&id, Urgency::Ordinary).await.unwrap(), None);
    w.sim.behave(|b| b.missing_is_404 = true);
    assert_eq!(w.at.read(&id, Urgency::Ordinary).await.unwrap(), None);
    assert_eq!(w.at.read(&"not-a-number".parse().unwrap(), Urgency::Ordinary).await.unwrap(), None);
    assert!(!w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
}

/// F11: a proxy's page is no word about a ticket, nor about a note that must go.
#[tokio::test]
async fn a_404_that_is_a_page_is_no_ticket_that_is_gone() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &NoteKey("k".into())).await.unwrap();
    for body in [json!("<html>"), json!({"Message": "No HTTP resource was found"}), json!(null)] {
        for op in ["GET /Tickets/{id}", "GET /TicketNotes/{id}"] {
            w.sim.faults().add(Fault::on(op, Act::Answer { status: 404, retry_after: None, body: body.clone() }));
        }
        assert!(w.at.read(&id, Urgency::Removal).await.unwrap_err().is_transient(), "{body}");
        let kept = w.at.overwrite(&posted.notes[0], "[gone]", &NoteKey("k".into())).await;
        assert!(kept.unwrap_err().is_transient(), "{body}");
        w.sim.faults().clear();
        // The change itself: what it answers may not count as a note that is gone.
        w.sim.faults().add(Fault::on(
            "PATCH /Tickets/{id}/Notes",
            Act::Answer { status: 404, retry_after: None, body: body.clone() },
        ));
        let kept = w.at.overwrite(&posted.notes[0], "[gone]", &NoteKey("k".into())).await;
        assert!(kept.unwrap_err().is_transient(), "{body}");
        w.sim.faults().clear();
    }
    assert!(w.at.overwrite(&posted.notes[0], "[gone]", &NoteKey("k".into())).await.unwrap());
}

/// F11
#[tokio::test]
async fn completion_and_reopening_are_seen() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.sim.acting(JANE).set_status(n, COMPLETE).unwrap();
    assert!(w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed);
    w.sim.acting(JANE).set_status(n, NEW).unwrap();
    assert!(!w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed);
    let own = w.with(|settings| settings.completed_statuses.push(status_id(REQUESTED)));
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    assert!(own.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed, "a status of the tenant's own");
    assert!(!w.at.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed);
}

/// F11: no field names the other ticket; the system's note does.
#[tokio::test]
async fn a_merged_ticket_is_told_by_the_systems_note() {
    let w = World::start().await;
    let ((one, one_id), (_, two_id)) = (w.ticket(), w.ticket());
    let (closed, closed_id) = w.ticket();
    w.sim.acting(JANE).merge(one, two_id.as_str().parse().unwrap()).unwrap();
    w.sim.acting(JANE).set_status(closed, COMPLETE).unwrap();
    let merged = w.at.read(&one_id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(merged.is_closed && merged.is_merged && merged.merged_into == Some(two_id.clone()));
    let survivor = w.at.read(&two_id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(!survivor.is_closed && !survivor.is_merged);
    let closed = w.at.read(&closed_id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(closed.is_closed && !closed.is_merged);
}

#[tokio::test]
async fn a_status_is_set_by_a_change_of_that_field_alone() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
    assert_eq!(w.sim.ticket(n).unwrap()["status"], REQUESTED);
    let sent = w.sim.faults().calls().into_iter().find(|c| c.op == "PATCH /Tickets").unwrap().body_json.unwrap();
    assert_eq!(sent, json!({"id": n, "status": REQUESTED}));
    assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
    assert_eq!(w.calls("PATCH /Tickets"), 1, "it stands already");
}

#[tokio::test]
async fn a_status_that_cannot_be_set_changes_nothing() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    assert!(!w.at.set_status(&id, &status_id(999)).await.unwrap().is_so(), "a status that does not exist");
    w.sim.acting(JANE).set_status(n, COMPLETE).unwrap();
    assert!(!w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so(), "a completed ticket");
    assert_eq!(w.calls("PATCH /Tickets"), 0);
    assert!(!w.at.set_status(&ticket_id(9_999_999), &status_id(REQUESTED)).await.unwrap().is_so());
}

/// Some accepted changes do not stick.
#[tokio::test]
async fn a_status_that_was_accepted_and_not_kept_is_tried_again() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let body = json!({ "itemId": n });
    w.sim.faults().add(Fault::on("PATCH /Tickets", Act::Answer { status: 200, retry_after: None, body }).once());
    assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap_err().is_transient());
    assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
    for act in [Act::ResetAfter, Act::Garbage] {
        let (_, id) = w.ticket();
        w.sim.faults().add(Fault::on("PATCH /Tickets", act).once());
        assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap_err().is_transient());
        assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
    }
}

/// F10
#[tokio::test]
async fn the_poll_finds_what_was_saved_in_these_queues_oldest_first() {
    let w = World::start().await;
    let since = Timestamp::from_millis(w.clock_ms());
    let (one, _) = w.ticket();
    w.advance(10);
    let (two, _) = w.ticket();
    w.advance(10);
    w.sim.acting(JANE).set_title(one, "later").unwrap();
    let elsewhere = w.sim.add_ticket(&w.sim.acting(JANE), "x", OTHER, ACME).unwrap();
    let ids = |found: Vec<latchkey_contract::ticket::TicketChanged>| {
        found.into_iter().map(|ticket| ticket.id.as_str().parse::<i64>().unwrap()).collect::<Vec<_>>()
    };
    let found = w.at.changed_since(since, &[board_id(DESK)], 10).await.unwrap();
    assert_eq!(ids(found), [two, one]);
    let found = w.at.changed_since(since, &[board_id(DESK), board_id(OTHER)], 10).await.unwrap();
    assert!(ids(found).contains(&elsewhere));
    let later = Timestamp::from_millis(w.clock_ms() + 1_000);
    assert!(w.at.changed_since(later, &[board_id(DESK)], 10).await.unwrap().is_empty());
}

/// The next page is asked for by POST with the same body at the URL that the vendor names.
#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let w = World::start().await;
    let since = Timestamp::from_millis(w.clock_ms());
    for _ in 0..501 {
        w.ticket();
    }
    let found = w.at.changed_since(since, &[board_id(DESK)], 1_000).await.unwrap();
    assert_eq!((found.len(), w.calls("POST /Tickets/query/next")), (501, 1));
    let calls = w.sim.faults().calls();
    let body = |op: &str| calls.iter().find(|call| call.op == op).and_then(|call| call.body_json.clone());
    assert_eq!(body("POST /Tickets/query/next"), body("POST /Tickets/query"));
}

#[tokio::test]
async fn credentials_do_not_follow_a_page_to_another_host() {
    let w = World::start().await;
    let page = json!({"items": [], "pageDetails": {"nextPageUrl": "https://evil.example/ATServicesRest/V1.0/x"}});
    w.sim.faults().add(Fault::on("POST /Tickets/query", Act::Answer { status: 200, retry_after: None, body: page }));
    let found = w.at.changed_since(Timestamp::from_millis(0), &[board_id(DESK)], 10).await;
    assert!(matches!(found, Err(CallError::Malformed { .. })), "{found:?}");
}

#[tokio::test]
async fn the_catalogue_names_what_an_admin_maps_from() {
    let w = World::start().await;
    let all = w.at.catalogue().await.unwrap();
    let desk = all.boards.iter().find(|board| board.id == board_id(DESK)).unwrap();
    assert_eq!(desk.name, "Help Desk");
    let of = |id: i64| desk.statuses.iter().find(|status| status.id == status_id(id)).unwrap();
    assert!(of(COMPLETE).is_closing && !of(REQUESTED).is_closing);
    assert!(all.companies.iter().any(|company| company.id.as_str() == "0"), "the MSP itself has number 0");
    let field = all.fields.iter().find(|field| field.id == field_id(POLICY)).unwrap();
    assert_eq!((field.name.as_str(), field.options.as_slice()), ("JIT Policy", &["1".to_owned(), "2".to_owned()][..]));
    assert!(all.members.iter().any(|member| member.name == "j.doe") && !all.sources.is_empty());
}
