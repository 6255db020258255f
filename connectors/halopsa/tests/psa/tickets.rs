//! Tickets and the catalogue: by ids, with names from this instance's own tables.

use latchkey_contract::{FieldId, TicketSystem, outside::Urgency};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::{DANA, MAX, World, board_id, status_id, ticket_id};

#[tokio::test]
async fn a_ticket_is_read_with_team_status_and_fields() {
    let w = World::start().await;
    let (n, id) = w.asked();
    w.sim.acting(MAX).assign(n, DANA).unwrap();
    for (has_no_team_id, ids_are_strings) in [(false, false), (true, true)] {
        w.sim.behave(|b| (b.has_no_team_id, b.ids_are_strings) = (has_no_team_id, ids_are_strings));
        let t = w.halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
        assert_eq!((t.board, t.status), (Some(board_id(w.team)), Some(status_id(w.requested))));
        assert_eq!((t.status_name.as_str(), t.is_closed, t.owner.unwrap().as_str()), ("JIT requested", false, "17"));
        assert_eq!(t.company.unwrap().as_str(), w.acme.to_string());
        assert_eq!(t.fields[&FieldId::parse(w.policy.to_string()).unwrap()], "Local admin, 2 h");
        assert!(t.updated_at.is_some());
    }
}

#[tokio::test]
async fn closed_deleted_and_merged_tickets_say_so_and_a_reopened_one_is_open() {
    let w = World::start().await;
    let max = w.sim.acting(MAX);
    let is_closed =
        async |id: latchkey_contract::TicketId| w.halo.read(&id, Urgency::Ordinary).await.unwrap().map(|t| t.is_closed);
    let (n, id) = w.ticket();
    max.close(n).unwrap();
    assert_eq!(is_closed(id.clone()).await, Some(true));
    max.reopen(n).unwrap();
    assert_eq!(is_closed(id.clone()).await, Some(false));
    w.sim.behave(|b| b.keeps_date_closed = true);
    max.close(n).unwrap();
    max.reopen(n).unwrap();
    assert_eq!(is_closed(id.clone()).await, Some(true), "the closing date stays");
    let careless = w.with(|s| s.date_closed_counts = false);
    assert!(!careless.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed);
    let (other, other_id) = w.ticket();
    max.merge(n, other).unwrap();
    let merged = w.halo.read(&other_id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(merged.is_closed && merged.is_merged && merged.merged_into == Some(id.clone()));
    for is_shown in [false, true] {
        let (n, id) = w.ticket();
        w.sim.behave(|b| b.deleted_is_shown = is_shown);
        max.delete(n).unwrap();
        assert_eq!(is_closed(id).await, None);
    }
    assert_eq!(is_closed(ticket_id(999)).await, None);
}

#[tokio::test]
async fn closed_is_what_the_admin_names_or_the_instance_leaves_out_of_its_open_ones() {
    let w = World::start().await;
    let resolved = w.sim.add_status("Resolved", true);
    let on_hold = w.sim.add_status("On Hold", false);
    let (n, id) = w.ticket();
    let is_closed = async |halo: &latchkey_halopsa::HaloPsa, status| {
        w.sim.acting(MAX).set_status(n, status).unwrap();
        halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap().is_closed
    };
    let halo = w.with(|s| s.date_closed_counts = false);
    assert!(is_closed(&halo, resolved).await && is_closed(&halo, w.closed).await && !is_closed(&halo, on_hold).await);
    let named = w.with(|s| (s.closed_statuses, s.date_closed_counts) = (vec!["on hold".into()], false));
    assert!(is_closed(&named, on_hold).await && !is_closed(&named, resolved).await);
    w.sim.behave(|b| b.ignores_exclude_closed = true);
    let halo = w.with(|s| s.date_closed_counts = false);
    assert!(is_closed(&halo, w.closed).await, "its name alone is left");
    assert!(!is_closed(&halo, resolved).await);
}

/// F11
#[tokio::test]
async fn a_list_that_was_cut_short_closes_and_moves_no_ticket() {
    let w = World::start().await;
    let answers = |body| Act::Answer { status: 200, retry_after: None, body };
    let (_, id) = w.asked();
    // The list of all, then the list of open ones: no right to it, or a build that answers nothing.
    w.sim.faults().add(Fault::on("GET /Status", answers(json!([]))).skip(1).once());
    let read = w.halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(!read.is_closed, "an empty list of open statuses closes nothing");
    for list in ["GET /Status", "GET /Team"] {
        w.sim.behave(|b| b.has_no_team_id = true);
        let halo = w.restarted();
        w.sim.faults().add(Fault::on(list, answers(json!([{"id": 77, "name": "Else"}]))));
        for seconds in [0, 10, 60] {
            w.advance(seconds);
            let told = halo.read(&id, Urgency::Ordinary).await.unwrap_err();
            assert!(told.is_transient(), "{list}, {seconds}: {told:?}");
        }
        w.sim.faults().clear();
        w.advance(60);
        let read = halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
        assert_eq!((read.is_closed, read.board), (false, Some(board_id(w.team))), "{list}");
    }
}

#[tokio::test]
async fn a_status_that_was_made_after_the_tables_were_read_is_found() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    let late = w.sim.add_status("JIT active", false);
    w.sim.acting(MAX).set_status(n, late).unwrap();
    let t = w.halo.read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!((t.status_name.as_str(), t.is_closed), ("JIT active", false));
    let calls = w.calls("GET /Status");
    w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    assert_eq!(w.calls("GET /Status"), calls, "what is known is not asked for again");
}

#[tokio::test]
async fn another_record_than_the_one_asked_for_is_no_ticket() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    for body in [json!({"id": 1, "status_id": 1}), json!({"status_id": 1}), json!([])] {
        w.sim.faults().add(Fault::on("GET /Tickets/{id}", Act::Answer { status: 200, retry_after: None, body }).once());
        assert!(w.halo.read(&id, Urgency::Ordinary).await.is_err());
    }
    let page = Act::Answer { status: 404, retry_after: None, body: json!("<html>not found") };
    w.sim.faults().add(Fault::on("GET /Tickets/{id}", page).once());
    assert!(
        w.halo.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient(),
        "a proxy's page says nothing about a ticket"
    );
}

/// F12
#[tokio::test]
async fn the_catalogue_gives_every_team_all_statuses_and_types() {
    let w = World::start().await;
    for n in 0..230 {
        w.sim.add_client(&format!("Client {n}"));
    }
    let c = w.halo.catalogue().await.unwrap();
    assert_eq!(c.boards.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["Service Desk", "Escalations"]);
    for board in &c.boards {
        assert_eq!((board.statuses.len(), board.types.len()), (4, 1));
        assert!(board.statuses.iter().any(|s| s.name == "Closed" && s.is_closing));
    }
    assert_eq!((c.companies.len(), c.members.len(), c.sources.len()), (231, 3, 0));
    assert_eq!((c.fields[0].name.as_str(), c.fields[0].options.len()), ("JIT policy", 2));
    assert_eq!(w.halo.board_noun(), "team");
    w.sim.behave(|b| b.ignores_paging = true);
    assert_eq!(w.halo.catalogue().await.unwrap().companies.len(), 100, "a list that repeats itself ends");
}
