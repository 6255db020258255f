//! What the contract promises of every PSA.

#[path = "../../../contract/compliance/mod.rs"]
mod run;

use latchkey_contract::{BoardId, Clock, Delivery, StatusId, TicketId, TicketSystem, Timestamp};
use latchkey_simulators::{
    connectwise::Tab,
    fault::{Act, Fault, Faults},
};
use serde_json::{Value, json};

use crate::world::{World, board_id, delivery, status_id};

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
        &self.cw
    }

    fn faults(&self) -> &Faults {
        self.sim.faults()
    }

    fn read_op(&self) -> &'static str {
        "GET /service/tickets/{id}"
    }

    fn advance(&self, seconds: i64) {
        World::advance(self, seconds);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn board(&self) -> BoardId {
        board_id(self.board)
    }

    fn requested(&self) -> StatusId {
        status_id(self.requested)
    }

    fn asker(&self) -> &'static str {
        "jdoe"
    }

    fn ticket(&self) -> TicketId {
        World::ticket(self).1
    }

    fn asks(&self, ticket: &TicketId) {
        self.msp.acting("jdoe").set_status(number(ticket), self.requested).unwrap();
    }

    fn touches(&self, ticket: &TicketId) {
        self.msp.acting("msmith").touch(number(ticket)).unwrap();
    }

    fn deletes(&self, ticket: &TicketId) {
        self.msp.acting("msmith").delete(number(ticket)).unwrap();
    }

    fn says(&self, ticket: &TicketId, text: &str) {
        self.msp.acting("jdoe").add_note(number(ticket), text, Tab::Internal).unwrap();
    }

    fn lists_an_undated_row_before(&self, ticket: &TicketId) -> Fault {
        let body = json!([
            {"id": 1, "_info": {}},
            {"id": number(ticket), "_info": {"lastUpdated": self.clock.now().rfc3339()}},
        ]);
        Fault::on("GET /service/tickets", Act::Answer { status: 200, retry_after: None, body })
    }

    fn kept(&self, ticket: &TicketId) -> Vec<Value> {
        self.msp.notes(number(ticket))
    }

    fn is_internal(&self, note: &Value) -> bool {
        note["internalAnalysisFlag"] == true
            && note["detailDescriptionFlag"] == false
            && note["resolutionFlag"] == false
    }

    fn seen_by_customer(&self) -> Fault {
        let body = json!({"id": 1, "internalAnalysisFlag": false});
        let act = Act::Answer { status: 200, retry_after: None, body };
        Fault::on("GET /service/tickets/{id}/notes/{noteId}", act)
    }

    async fn message(&self) -> Delivery {
        self.last_delivery().await
    }

    fn proven_by_another(&self, message: &Delivery) -> Delivery {
        let theirs = self.neighbour.sign(&message.body);
        delivery(&message.body, Some(&theirs))
    }

    fn is_signed(&self) -> bool {
        true
    }
}

run::complies!(open);
