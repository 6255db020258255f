//! What the contract promises of every PSA.

#[path = "../../../contract/compliance/mod.rs"]
mod run;

use latchkey_contract::{BoardId, Clock, Delivery, StatusId, TicketId, TicketSystem, Timestamp};
use latchkey_simulators::{
    fault::{Act, Fault, Faults},
    halopsa::basic,
};
use serde_json::{Value, json};

use crate::world::{DANA, DANA_MAIL, MAX, World, board_id, delivery, hooks, status_id};

async fn open() -> World {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    w
}

fn number(ticket: &TicketId) -> i64 {
    ticket.as_str().parse().unwrap()
}

#[async_trait::async_trait]
impl run::Psa for World {
    fn system(&self) -> &dyn TicketSystem {
        &self.halo
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
        board_id(self.team)
    }

    fn requested(&self) -> StatusId {
        status_id(self.requested)
    }

    fn asker(&self) -> &'static str {
        DANA_MAIL
    }

    fn ticket(&self) -> TicketId {
        World::ticket(self).1
    }

    fn asks(&self, ticket: &TicketId) {
        self.sim.acting(DANA).run_action(number(ticket), self.button, &[]).unwrap();
    }

    fn touches(&self, ticket: &TicketId) {
        self.sim.acting(MAX).set_summary(number(ticket), "urgent").unwrap();
    }

    fn deletes(&self, ticket: &TicketId) {
        self.sim.acting(MAX).delete(number(ticket)).unwrap();
    }

    fn says(&self, ticket: &TicketId, text: &str) {
        self.sim.acting(DANA).add_note(number(ticket), text, true).unwrap();
    }

    fn lists_an_undated_row_before(&self, ticket: &TicketId) -> Fault {
        let body = json!({"tickets": [
            {"id": 1, "team_id": self.team},
            {"id": number(ticket), "team_id": self.team, "last_update": self.clock.now().rfc3339()},
        ]});
        Fault::on("GET /Tickets", Act::Answer { status: 200, retry_after: None, body })
    }

    fn kept(&self, ticket: &TicketId) -> Vec<Value> {
        self.sim.notes(number(ticket))
    }

    fn is_internal(&self, note: &Value) -> bool {
        note["hiddenfromuser"] == true && note["emailto"] == ""
    }

    fn seen_by_customer(&self) -> Fault {
        let body = json!({"id": 2, "hiddenfromuser": false});
        Fault::on("GET /Actions/{id}", Act::Answer { status: 200, retry_after: None, body })
    }

    async fn message(&self) -> Delivery {
        self.last_delivery().await
    }

    fn proven_by_another(&self, message: &Delivery) -> Delivery {
        delivery(&message.body, Some(&basic("latchkey", "another-password-that-is-as-long-as-ours")))
    }

    fn is_signed(&self) -> bool {
        false
    }
}

run::complies!(open);
