//! ConnectWise: a status on the projects board, signed callbacks.

use std::sync::Arc;

use latchkey::rulebook::ConnectionKind;
use latchkey_simulators::{
    connectwise::{Actor, FieldKind, NewTicket, SIGNATURE_HEADER, Signature, Tab},
    fault::{Act, Fault, Faults, Fired},
};
use serde_json::{Value, json};

use super::{
    Leaves, Message, Plan, Standing, Statuses, Told, Way, Who, Whose, Writes, Wrong, has_credentials, markers_in,
    without_marker,
};
use crate::harness::{Psa, TestApp};

pub(super) const VENDOR: &str = "connectwise";

pub(super) struct Desk {
    id: &'static str,
    psa: Psa,
    statuses: Statuses,
    field: i64,
}

impl Desk {
    /// Of a PSA that is connected, or will be.
    pub(super) fn new(id: &'static str, psa: Psa) -> Self {
        psa.tenant.add_api_member(244, "OtherApi");
        let board = psa.projects;
        let statuses =
            Statuses { requested: board.requested, active: board.active, refused: board.refused, done: board.done };
        let field = psa.tenant.add_field("JIT Access", FieldKind::List, &["Exchange", "Helpdesk"]);
        Self { id, psa, statuses, field }
    }

    fn actor(&self, who: Who) -> Actor {
        self.psa.tenant.acting(match who {
            Who::Jane => "jdoe",
            Who::Unbound => "unbound",
            Who::Gone => "gone",
            Who::Contact => "contact@acme.example",
            Who::Program => "OtherApi",
            Who::Us => "JitApi",
        })
    }

    /// Our own notes, oldest first.
    fn ours(&self, ticket: i64) -> Vec<Value> {
        let mut notes = self.psa.tenant.notes(ticket);
        notes.retain(|note| note["createdBy"] == "JitApi");
        notes.sort_by_key(|note| note["id"].as_i64());
        notes
    }

    /// Another one.
    pub(super) async fn open(app: &TestApp, id: &'static str) -> (Arc<dyn super::Desk>, Plan) {
        let psa = Psa::start(&app.authority, &app.clock).await;
        let (public_key, private_key) = psa.keys.clone();
        let (board, acme) = (psa.projects.board, psa.acme);
        let site = psa.sim.base_url();
        let desk = Self::new(id, psa);
        let plan = Plan {
            kind: "connectwise",
            settings: vec![
                format!("site={site}"),
                "company=examplemsp".to_owned(),
                "client_id=6b1f0c3e-0000-4000-8000-000000000001".to_owned(),
                format!("public_key={public_key}"),
            ],
            secrets: vec![("private-key", private_key)],
            acme,
            jane: 176,
            gone: 178,
            board,
            statuses: desk.statuses,
        };
        (Arc::new(desk), plan)
    }
}

#[async_trait::async_trait]
impl super::Desk for Desk {
    fn connection(&self) -> &'static str {
        self.id
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn faults(&self) -> &Faults {
        self.psa.sim.faults()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.psa.keys.1.clone()]
    }

    /// The usual installation's has a name of its own.
    fn mapping(&self) -> String {
        if self.id == "cw" { "projects".to_owned() } else { format!("{}-desk", self.id) }
    }

    fn ticket(&self, of: Whose) -> i64 {
        let company = if of == Whose::Acme { self.psa.acme } else { self.psa.stranger };
        let board = self.psa.projects;
        let new = NewTicket::new("Mailbox migration", board.board, company).status(board.new);
        self.psa.tenant.add_ticket(new).unwrap()
    }

    fn tickets(&self) -> Vec<i64> {
        self.psa.tenant.ticket_ids()
    }

    fn click(&self, who: Who, ticket: i64) {
        self.actor(who).set_status(ticket, self.statuses.requested).unwrap();
    }

    fn other_ways(&self) -> Vec<Way> {
        vec![Way::Field(self.field, "Exchange")]
    }

    fn click_by(&self, way: &Way, who: Who, ticket: i64) {
        match way {
            Way::Field(field, text) => self.actor(who).set_field(ticket, *field, *text).unwrap(),
            Way::Board(_) => panic!("nothing tells who moved a ticket"),
        }
    }

    fn another_text(&self) -> Way {
        Way::Field(self.field, "Helpdesk")
    }

    fn clears(&self, who: Who, ticket: i64) {
        self.actor(who).set_field(ticket, self.field, json!(null)).unwrap();
    }

    fn unbound(&self) -> i64 {
        179
    }

    fn touch(&self, ticket: i64) {
        self.psa.tenant.acting("jdoe").touch(ticket).unwrap();
    }

    fn leaves(&self, how: Leaves, ticket: i64) {
        let jane = self.actor(Who::Jane);
        match how {
            Leaves::Closed => jane.close(ticket),
            Leaves::Reopened => jane.reopen(ticket),
            Leaves::Deleted => jane.delete(ticket),
            Leaves::Company => jane.move_company(ticket, self.psa.stranger),
            Leaves::Reassigned => jane.assign(ticket, Some("unbound")),
            Leaves::Merged => jane.merge(self.ticket(Whose::Acme), &[ticket]),
            Leaves::Board => jane.move_board(ticket, self.psa.desk.board, self.psa.desk.new),
        }
        .unwrap();
    }

    fn misses_once(&self) -> Fired {
        let body = json!({ "code": "NotFound", "message": "Ticket not found" });
        let act = Act::Answer { status: 404, retry_after: None, body };
        self.psa.sim.faults().add(Fault::on("GET /service/tickets/{id}", act).once())
    }

    fn closing(&self) -> i64 {
        self.psa.projects.closed
    }

    fn writes(&self, who: Who, how: Writes, ticket: i64, text: &str) {
        let jane = 176;
        match how {
            Writes::Internal => self.actor(who).add_note(ticket, text, Tab::Internal),
            Writes::Shown => self.actor(who).add_note(ticket, text, Tab::Discussion),
            Writes::Mailed => self.psa.tenant.acting("MailConnector").add_note_for(ticket, text, jane),
            Writes::AsJane => self.actor(Who::Program).add_note_for(ticket, text, jane),
        }
        .unwrap();
    }

    fn edits(&self, who: Who, ticket: i64, text: &str) {
        let notes = self.psa.tenant.notes(ticket);
        let last = notes.iter().filter(|note| note["createdBy"] == "jdoe").filter_map(|note| note["id"].as_i64()).max();
        self.actor(who).edit_note(last.unwrap(), text).unwrap();
    }

    fn stands(&self, ticket: i64) -> Standing {
        self.statuses.of(&self.psa.tenant.ticket(ticket).unwrap()["status"]["id"])
    }

    fn notes(&self, ticket: i64) -> Vec<Told> {
        let told = |note: &Value| Told {
            text: without_marker(note["text"].as_str().unwrap()),
            is_internal: note["internalAnalysisFlag"] == true
                && note["detailDescriptionFlag"] == false
                && note["resolutionFlag"] == false,
        };
        self.ours(ticket).iter().map(told).collect()
    }

    fn statuses_set(&self, ticket: i64) -> usize {
        let by_us = |entry: &Value| entry.to_string().contains("JitApi") && entry.to_string().contains("Status");
        self.psa.tenant.audit(ticket).iter().filter(|entry| by_us(entry)).count()
    }

    fn markers(&self, ticket: i64) -> Vec<String> {
        markers_in(self.ours(ticket).iter().filter_map(|note| note["text"].as_str()))
    }

    fn hook(&self) -> String {
        self.psa.tenant.callbacks()[0]["url"].as_str().unwrap().to_owned()
    }

    fn forgeries(&self) -> &'static [Wrong] {
        &[Wrong::Unproven, Wrong::ByAnother, Wrong::Changed]
    }

    fn goes_wrong(&self, how: Wrong) {
        self.psa.sim.reset_delivery();
        self.psa.sim.set_delivery(|rules| match how {
            Wrong::Unproven => rules.signature = Signature::Missing,
            Wrong::ByAnother => rules.signature = Signature::Wrong,
            Wrong::Changed => rules.trailing_newline = true,
            Wrong::Lost => rules.lose = 100,
            Wrong::Twice => rules.duplicate = true,
        });
    }

    fn is_honest(&self) {
        self.psa.sim.reset_delivery();
    }

    fn holds(&self, is_held: bool) {
        match is_held {
            true => self.psa.sim.set_delivery(|rules| rules.hold = true),
            false => self.psa.sim.release(),
        }
    }

    fn switches_off(&self) -> bool {
        false
    }

    fn sent(&self) -> Vec<(Vec<u8>, Option<u16>)> {
        self.psa.sim.deliveries().into_iter().map(|delivery| (delivery.body, delivery.status)).collect()
    }

    fn lost(&self) -> usize {
        self.psa.sim.lost()
    }

    fn replay(&self) {
        for n in 1..=self.psa.sim.deliveries().len() {
            assert!(self.psa.sim.replay(n));
        }
    }

    fn proven(&self) -> Message {
        self.proves(self.psa.sim.deliveries().pop().unwrap().body)
    }

    fn proves(&self, body: Vec<u8>) -> Message {
        Message { header: (SIGNATURE_HEADER, self.psa.tenant.sign(&body)), body }
    }

    fn largest(&self) -> usize {
        256 * 1024
    }

    fn fails(&self, how: Act) -> Fired {
        self.psa.sim.faults().add(Fault::always(how))
    }

    fn lists_no_saves(&self, how: Act) -> Fired {
        self.psa.sim.faults().add(Fault::on("GET /service/tickets", how))
    }

    fn lists_no_notes(&self, how: Act) -> Fired {
        self.psa.sim.faults().add(Fault::on("GET /service/tickets/{id}/notes", how))
    }

    fn spends(&self) {
        self.psa.sim.faults().add(Fault::on("GET /service/tickets", Act::throttled(1_500)).once());
    }

    fn refuses_credentials(&self) -> Fired {
        let body = json!({
            "code": "InvalidObject",
            "message": "ticketNote object is invalid",
            "errors": [{"code": "InvalidField", "message": "The field text must be a string with a maximum length of 10000."}],
        });
        let act = Act::Answer { status: 400, retry_after: None, body };
        self.psa.sim.faults().add(Fault::when(has_credentials, act))
    }

    fn sets_no_status(&self, how: Act) -> Fired {
        self.psa.sim.faults().add(Fault::on("PATCH /service/tickets/{id}", how))
    }

    fn recovers(&self) {
        self.psa.sim.faults().clear();
    }

    fn automation(&self) -> &'static str {
        "workflow"
    }

    fn set_automation(&self, kind: &mut ConnectionKind) {
        let ConnectionKind::ConnectWise(settings) = kind else { panic!("another vendor's connection") };
        settings.automation = vec![self.automation().to_owned()];
    }

    fn automates(&self, ticket: i64) {
        self.actor(Who::Jane).assign(ticket, Some("jdoe")).unwrap();
        self.psa.tenant.acting(self.automation()).set_status(ticket, self.statuses.requested).unwrap();
    }

    fn loses_its_webhook(&self) {
        for callback in self.psa.tenant.callbacks() {
            self.psa.tenant.remove_callback(callback["id"].as_i64().unwrap());
        }
    }

    async fn settled(&self) {
        self.psa.sim.settled().await;
    }
}
