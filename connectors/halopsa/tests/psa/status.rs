//! Statuses: set by number, in an array, and believed only when read back.

use latchkey_contract::{CallError, TicketSystem};
use latchkey_simulators::{
    fault::{Act, Fault},
    halopsa::Closing,
};
use serde_json::json;

use crate::world::{MAX, World, status_id, ticket_id};

const CHANGE: &str = "POST /Tickets";

#[tokio::test]
async fn a_status_is_set_and_the_owner_is_left_alone() {
    let w = World::start().await;
    w.sim.behave(|b| (b.updates_need_type_and_client, b.answers_arrays) = (true, true));
    let (n, id) = w.ticket();
    assert!(w.halo.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.sim.ticket(n).unwrap()["status_id"], w.requested);
    let sent = w.sim.faults().calls().into_iter().find(|c| c.op == CHANGE).unwrap().body_json.unwrap();
    assert!(sent[0].get("agent_id").is_none());
    assert!(w.halo.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.calls(CHANGE), 1, "the present status is not set again");
}

#[tokio::test]
async fn a_status_that_is_not_there_a_closed_a_frozen_and_a_missing_ticket_change_nothing() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    assert!(!w.halo.set_status(&id, &status_id(777)).await.unwrap().is_so());
    w.sim.acting(MAX).freeze(n, true).unwrap();
    assert!(!w.halo.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    w.sim.acting(MAX).freeze(n, false).unwrap();
    w.sim.acting(MAX).close(n).unwrap();
    assert!(!w.halo.set_status(&id, &status_id(w.requested)).await.unwrap().is_so());
    assert!(!w.halo.set_status(&ticket_id(999), &status_id(w.requested)).await.unwrap().is_so());
    assert_eq!(w.calls(CHANGE), 0);
}

#[tokio::test]
async fn closing_rules_refuse_loudly_or_softly_and_neither_counts_as_done() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    for closing in [Closing::Refused, Closing::Warned] {
        w.sim.behave(|b| b.closing = closing);
        let refused = w.halo.set_status(&id, &status_id(w.closed)).await.unwrap_err();
        assert!(matches!(refused, CallError::Refused { .. }), "{closing:?}: {refused:?}");
        assert_eq!(w.sim.ticket(n).unwrap()["status_id"], w.new);
    }
    w.sim.behave(|b| b.closing = Closing::Allowed);
    assert!(w.halo.set_status(&id, &status_id(w.closed)).await.unwrap().is_so());
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_followed_by_a_look() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let empty = Act::Answer { status: 201, retry_after: None, body: json!({"id": n}) };
    w.sim.faults().add(Fault::on(CHANGE, empty).once());
    assert!(w.halo.set_status(&id, &status_id(w.requested)).await.unwrap_err().is_transient());
    w.sim.faults().add(Fault::on(CHANGE, Act::Garbage).once());
    assert!(w.halo.set_status(&id, &status_id(w.requested)).await.unwrap_err().is_transient());
    assert!(w.halo.set_status(&id, &status_id(w.requested)).await.unwrap().is_so(), "it was set after all");
}
