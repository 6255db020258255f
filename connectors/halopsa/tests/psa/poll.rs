//! What changed since: how a delivery that never came is found.

use latchkey_contract::{Clock, TicketId, TicketSystem, Timestamp};

use crate::world::{MAX, World, board_id};

async fn since(w: &World, at: Timestamp, limit: usize) -> Vec<TicketId> {
    w.halo.changed_since(at, &[board_id(w.team)], limit).await.unwrap().into_iter().map(|t| t.id).collect()
}

#[tokio::test]
async fn tickets_of_the_team_come_oldest_save_first_whoever_saved_them() {
    let w = World::start().await;
    let (_, old) = w.ticket();
    w.advance(60);
    let start = w.clock.now();
    let ((a, a_id), (_, b_id), (c, c_id)) = (w.ticket(), w.ticket(), w.ticket());
    w.advance(5);
    w.sim.acting(MAX).set_summary(a, "saved again").unwrap();
    w.sim.acting(MAX).move_team(c, "Escalations").unwrap();
    w.advance(5);
    let (d, d_id) = w.ticket();
    w.sim.acting(MAX).close(d).unwrap();
    assert_eq!(since(&w, start, 50).await, [b_id.clone(), a_id.clone(), d_id.clone()]);
    assert_eq!(since(&w, start, 1).await, std::slice::from_ref(&b_id));
    let both = w.halo.changed_since(start, &[board_id(w.team), board_id(w.other_team)], 50).await.unwrap();
    assert!(both.iter().any(|t| t.id == c_id) && !both.iter().any(|t| t.id == old));
    w.sim.behave(|b| b.has_no_team_id = true);
    assert_eq!(since(&w, start, 50).await.len(), 3, "by the team's name");
    assert!(w.halo.changed_since(start, &[], 50).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_long_list_is_read_no_further_than_it_must_be() {
    let w = World::start().await;
    for _ in 0..250 {
        w.ticket();
    }
    w.advance(60);
    let start = w.clock.now();
    let (_, last) = w.ticket();
    w.sim.faults().clear_calls();
    assert_eq!(since(&w, start, 50).await, std::slice::from_ref(&last));
    assert!(w.calls("GET /Tickets") <= 2);
    w.sim.behave(|b| b.ignores_order = true);
    assert_eq!(since(&w, start, 50).await, [last], "an order that is ignored is noticed");
    w.sim.behave(|b| b.ignores_paging = true);
    assert!(since(&w, start, 50).await.is_empty(), "a list that repeats its first page ends");
}

#[tokio::test]
async fn more_than_a_page_is_found_whole() {
    let w = World::start().await;
    let start = w.clock.now();
    for _ in 0..230 {
        w.ticket();
        w.advance(1);
    }
    assert_eq!(since(&w, start, 1_000).await.len(), 230);
    let first = since(&w, start, 10).await;
    assert_eq!(first.len(), 10);
    assert_eq!(first[0].as_str(), "2818");
}
