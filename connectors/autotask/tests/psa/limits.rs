//! The vendor's limits: threads at an endpoint, calls in an hour shared with everybody, and removals first.

use std::sync::Arc;

use latchkey_contract::{
    CallError, TicketSystem,
    outside::Urgency,
    ticket::{NoteKey, NoteText},
};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::World;

const READ: &str = "GET /Tickets/{id}";

/// F175: three threads at an endpoint, one of them kept for removals: more calls wait for their turn or come back later, and the
/// vendor never has to refuse one.
#[tokio::test]
async fn no_more_calls_are_under_way_at_an_endpoint_than_the_vendor_allows() {
    let w = Arc::new(World::start().await);
    let (_, id) = w.ticket();
    w.at.read(&id, Urgency::Ordinary).await.unwrap();
    w.sim.faults().add(Fault::on(READ, Act::Delay(40)));
    let reads: Vec<_> = (0..6)
        .map(|_| {
            let (w, id) = (Arc::clone(&w), id.clone());
            tokio::spawn(async move { w.at.read(&id, Urgency::Ordinary).await })
        })
        .collect();
    let mut taken = 0;
    for read in reads {
        match read.await.unwrap() {
            Ok(ticket) => taken += usize::from(ticket.is_some()),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    assert!(taken > 0 && w.sim.faults().calls().iter().all(|call| call.status == Some(200)));
}

/// F175: whatever the vendor says when it is too much, everything waits but what takes a secret out.
#[tokio::test]
async fn the_vendors_own_words_for_slow_down_hold_back_everything_but_removals() {
    for (status, text) in [
        (500, "Thread Threshold Exceeded. Error code: Itgenatr005"),
        (429, "Thread Threshold Exceeded."),
        (500, "You have exceeded the maximum number of requests per hour; the API is suspended for this database."),
    ] {
        let w = World::start().await;
        let (_, id) = w.ticket();
        let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &NoteKey("k".into())).await.unwrap();
        let body = json!({ "errors": [text] });
        // One that has asked nothing yet: what it must know first goes first, too.
        let at = w.with(|_| {});
        w.sim.faults().add(Fault::on(READ, Act::Answer { status, retry_after: None, body }).once());
        let held = at.read(&id, Urgency::Ordinary).await.unwrap_err();
        assert!(held.retry_after().is_some(), "{text}: {held:?}");
        assert!(at.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient(), "{text}");
        assert_eq!(at.find(&id, &NoteKey("k".into())).await.unwrap(), posted.notes, "{text}");
        assert!(at.overwrite(&posted.notes[0], "[gone]", &NoteKey("k".into())).await.unwrap(), "{text}");
        assert!(at.read(&id, Urgency::Removal).await.unwrap().is_some(), "{text}: a look whether access must end");
        assert!(at.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient(), "{text}");
        w.advance(121);
        assert!(at.read(&id, Urgency::Ordinary).await.unwrap().is_some(), "{text}");
    }
}

/// The hour is shared by all integrations: what others have spent is asked, and the last tenth is kept for removals.
#[tokio::test]
async fn what_others_have_spent_counts_and_a_removal_goes_first() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let posted = w.at.post(&id, &NoteText::plain("password: hunter2"), &NoteKey("k".into())).await.unwrap();
    w.sim.spend(9_100);
    w.advance(301);
    let _ = w.at.read(&id, Urgency::Ordinary).await;
    assert!(w.at.read(&id, Urgency::Ordinary).await.unwrap_err().retry_after().is_some());
    let before = w.sim.faults().calls().len();
    assert!(w.at.read(&id, Urgency::Ordinary).await.is_err());
    assert_eq!(w.sim.faults().calls().len(), before, "nothing was asked");
    assert!(w.at.read(&id, Urgency::Removal).await.unwrap().is_some());
    assert_eq!(w.at.find(&id, &NoteKey("k".into())).await.unwrap(), posted.notes);
    assert!(w.at.overwrite(&posted.notes[0], "[gone]", &NoteKey("k".into())).await.unwrap());
    w.sim.spend(0);
    w.advance(3_601);
    assert!(w.at.read(&id, Urgency::Ordinary).await.unwrap().is_some());
}

#[tokio::test]
async fn errors_are_what_they_are_whatever_their_status() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let told = async |status: u16, body: serde_json::Value| {
        w.sim.faults().clear();
        w.sim.faults().add(Fault::on(READ, Act::Answer { status, retry_after: None, body }));
        w.at.read(&id, Urgency::Ordinary).await.unwrap_err()
    };
    assert!(told(500, json!("<html>")).await.is_transient());
    assert!(told(502, json!(null)).await.is_transient());
    w.advance(5);
    assert!(matches!(told(401, json!(null)).await, CallError::Unauthorized { .. }));
    assert!(matches!(told(500, json!({"errors": ["Something else."]})).await, CallError::Refused { .. }));
    assert!(matches!(told(200, json!({"errors": ["Something else."]})).await, CallError::Refused { .. }));
    assert!(matches!(told(405, json!({"Message": "x"})).await, CallError::Refused { .. }));
    assert!(matches!(told(200, json!({"item": {"id": 1}})).await, CallError::Malformed { .. }), "another ticket");
}
