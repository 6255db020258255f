//! The slow poll that finds lost callbacks. F10

use latchkey_contract::{BoardId, TicketSystem, Timestamp};
use latchkey_simulators::connectwise::{NewTicket, Tab};

use crate::world::{World, board_id};

const LIST: &str = "GET /service/tickets";

fn at(w: &World) -> Timestamp {
    latchkey_contract::Clock::now(w.clock.as_ref())
}

async fn ids(w: &World, since: Timestamp, boards: &[BoardId], limit: usize) -> Vec<i64> {
    let found = w.cw.changed_since(since, boards, limit).await.unwrap();
    assert!(found.is_sorted_by_key(|t| t.at));
    found.iter().map(|t| t.id.as_str().parse().unwrap()).collect()
}

#[tokio::test]
async fn what_was_saved_since_is_found_oldest_first_on_the_boards_asked_for() {
    let w = World::start().await;
    let (one, two, three) = (w.ticket().0, w.ticket().0, w.ticket().0);
    let new = NewTicket::new("elsewhere", w.other_board, w.acme);
    let elsewhere = w.msp.add_ticket(new).unwrap();
    w.advance(60);
    let since = at(&w);
    w.msp.acting("jdoe").set_status(three, w.requested).unwrap();
    w.msp.acting("jdoe").touch(elsewhere).unwrap();
    w.advance(60);
    w.msp.acting("jdoe").close(one).unwrap();
    let here = [board_id(w.board)];
    assert_eq!(ids(&w, since, &here, 100).await, [three, one]);
    assert_eq!(ids(&w, since, &[board_id(w.board), board_id(w.other_board)], 100).await, [three, elsewhere, one]);
    assert_eq!(ids(&w, since, &[], 100).await, [0; 0]);
    // Our own save may follow one that was never told.
    w.advance(60);
    w.msp.acting("JitApi").add_note(two, "ours", Tab::Internal).unwrap();
    assert_eq!(ids(&w, since, &here, 100).await, [three, one, two]);
    assert_eq!(ids(&w, at(&w), &here, 100).await, [two], "the second of `since` counts");
    w.advance(1);
    assert_eq!(ids(&w, at(&w), &here, 100).await, [0; 0]);
}

#[tokio::test]
async fn a_limit_never_cuts_a_second_and_asking_on_finds_the_rest() {
    let w = World::start().await;
    let since = at(&w);
    let mut all = vec![];
    for _ in 0..4 {
        all.extend([w.ticket().0, w.ticket().0, w.ticket().0]);
        w.advance(10);
    }
    let here = [board_id(w.board)];
    assert_eq!(ids(&w, since, &here, 4).await, all[..6]);
    let (mut found, mut from) = (vec![], since);
    loop {
        let part = w.cw.changed_since(from, &here, 2).await.unwrap();
        found.extend(part.iter().map(|t| t.id.as_str().parse::<i64>().unwrap()));
        match part.last().filter(|_| part.len() >= 2) {
            Some(last) => from = last.at + std::time::Duration::from_secs(1),
            None => break,
        }
    }
    assert_eq!(found, all);
}

#[tokio::test]
async fn a_span_that_holds_too_much_is_read_in_halves() {
    let w = World::start().await;
    let since = at(&w);
    for n in 0..2_100 {
        w.ticket();
        if n % 100 == 99 {
            w.advance(10);
        }
    }
    let here = [board_id(w.board)];
    let first = w.cw.changed_since(since, &here, 10).await.unwrap();
    assert_eq!(first.len(), 100, "the whole first second");
    assert!(first.iter().all(|t| t.at.seconds() == since.seconds()));
    assert_eq!(w.calls(LIST), 2 + 2, "two pages of too much, then a half");
    let all = w.cw.changed_since(since, &here, 3_000).await.unwrap();
    assert_eq!((all.len(), all.is_sorted_by_key(|t| t.at)), (2_100, true));
}

#[tokio::test]
async fn many_boards_are_asked_for_in_addresses_that_hosts_take() {
    let w = World::start().await;
    let (id, _) = w.ticket();
    let mut boards: Vec<BoardId> = (100_000..100_200).map(board_id).collect();
    boards.push(board_id(w.board));
    assert_eq!(ids(&w, Timestamp::from_millis(0), &boards, 10).await, [id]);
    for call in w.sim.faults().calls().iter().filter(|c| c.op == LIST) {
        let query: usize = call.query.iter().map(|(k, v)| k.len() + v.len() * 2).sum();
        assert!(query < 1_900, "{query}");
    }
    assert!(w.cw.changed_since(Timestamp::from_millis(0), &[BoardId::parse("x").unwrap()], 10).await.is_err());
}
