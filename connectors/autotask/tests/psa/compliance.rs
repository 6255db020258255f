//! What the contract promises of every PSA.

#[path = "../../../contract/compliance/mod.rs"]
mod run;

use latchkey_contract::{BoardId, Clock, Delivery, StatusId, TicketId, TicketSystem, Timestamp};
use latchkey_simulators::{
    autotask::{SIGNATURE_HEADER, signature},
    fault::{Act, Fault, Faults},
};
use serde_json::{Value, json};

use crate::world::{DESK, JANE, MARK, ME, REQUESTED, World, board_id, status_id};

async fn open() -> World {
    let w = World::start().await;
    w.hooked().await;
    w
}

fn number(ticket: &TicketId) -> i64 {
    ticket.as_str().parse().unwrap()
}

#[async_trait::async_trait]
impl run::Psa for World {
    fn system(&self) -> &dyn TicketSystem {
        &self.at
    }

    fn faults(&self) -> &Faults {
        self.sim.faults()
    }

    fn read_op(&self) -> &'static str {
        "GET /Tickets/{id}"
    }

    fn advance(&self, seconds: i64) {
        World::advance(self, seconds);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn board(&self) -> BoardId {
        board_id(DESK)
    }

    fn requested(&self) -> StatusId {
        status_id(REQUESTED)
    }

    fn asker(&self) -> &'static str {
        "j.doe"
    }

    fn ticket(&self) -> TicketId {
        World::ticket(self).1
    }

    fn asks(&self, ticket: &TicketId) {
        self.sim.acting(JANE).set_status(number(ticket), REQUESTED).unwrap();
    }

    fn touches(&self, ticket: &TicketId) {
        self.sim.acting(MARK).set_title(number(ticket), "urgent").unwrap();
    }

    fn deletes(&self, ticket: &TicketId) {
        self.sim.acting(MARK).delete(number(ticket)).unwrap();
    }

    fn says(&self, ticket: &TicketId, text: &str) {
        self.sim.acting(JANE).add_note(number(ticket), text, 2).unwrap();
    }

    fn lists_an_undated_row_before(&self, ticket: &TicketId) -> Fault {
        let body = json!({"items": [
            {"id": 1, "lastActivityDate": null},
            {"id": number(ticket), "lastActivityDate": self.clock.now().rfc3339()},
        ]});
        Fault::on("POST /Tickets/query", Act::Answer { status: 200, retry_after: None, body })
    }

    fn kept(&self, ticket: &TicketId) -> Vec<Value> {
        self.sim.notes(number(ticket))
    }

    fn is_internal(&self, note: &Value) -> bool {
        note["publish"] == 2
    }

    fn seen_by_customer(&self) -> Fault {
        let body = json!({"item": {"id": 1, "publish": 1, "description": "x", "creatorResourceID": ME}});
        Fault::on("GET /TicketNotes/{id}", Act::Answer { status: 200, retry_after: None, body })
    }

    async fn message(&self) -> Delivery {
        self.last_delivery().await
    }

    fn proven_by_another(&self, message: &Delivery) -> Delivery {
        let theirs = signature("another-key-of-32-characters-000", &message.body);
        self.received(&message.body, &[(SIGNATURE_HEADER, Some(&theirs))])
    }

    fn is_signed(&self) -> bool {
        true
    }
}

run::complies!(open);
