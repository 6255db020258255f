//! HaloPSA: the button of an action, webhooks that ring with a password and say nothing of who rang.

use std::sync::Arc;

use latchkey::rulebook::ConnectionKind;
use latchkey_simulators::{
    fault::{Act, Fault, Faults, Fired},
    halopsa::{Actor, FieldKind, HaloPsa, NewTicket, Options, basic},
};
use serde_json::{Value, json};

use super::{
    Leaves, Message, Plan, Standing, Statuses, Told, Way, Who, Whose, Writes, Wrong, has_credentials, markers_in,
    without_marker,
};
use crate::harness::TestApp;

const PASSWORD: &str = "a-password-of-the-webhook-and-of-nobody-else";
const ME: i64 = 42;
const JANE: i64 = 17;
const GONE: i64 = 18;
const UNBOUND: i64 = 19;
/// What the vendor ships.
const CLOSED: i64 = 9;
const TEAM: &str = "Service Desk";
const OTHER_TEAM: &str = "Escalations";
const PROGRAM: &str = "0d2c7a5e-0000-4000-8000-000000000001";

pub(super) const VENDOR: &str = "halopsa";

pub(super) struct Desk {
    id: &'static str,
    sim: HaloPsa,
    secret: String,
    button: i64,
    field: i64,
    kind: i64,
    acme: i64,
    stranger: i64,
    contact: i64,
    statuses: Statuses,
}

impl Desk {
    pub(super) async fn open(app: &TestApp, id: &'static str) -> (Arc<dyn super::Desk>, Plan) {
        let sim = HaloPsa::start(Options::secure(&app.authority, app.clock.for_vendors())).await.unwrap();
        let (team, kind) = (sim.add_team(TEAM), sim.add_type("Incident"));
        sim.add_team(OTHER_TEAM);
        let (acme, stranger) = (sim.add_client("ACME Ltd"), sim.add_client("Stranger Ltd"));
        sim.add_agent(JANE, "Jane Doe", "jane@msp.example");
        sim.add_agent(GONE, "Gary One", "gary@msp.example");
        sim.change_agent(GONE, true, false);
        sim.add_agent(UNBOUND, "Una Bound", "una@msp.example");
        let api = sim.add_application(ME, "JIT Service", "read:tickets edit:tickets read:customers");
        let status = |name: &str| sim.add_status(name, false);
        let statuses = Statuses {
            requested: status("JIT requested"),
            active: status("JIT active"),
            refused: status("JIT refused"),
            done: status("JIT done"),
        };
        let secret = api.client_secret.clone();
        let plan = Plan {
            kind: VENDOR,
            settings: vec![
                format!("site={}", sim.base_url()),
                format!("client_id={}", api.client_id),
                "tenant=acme".to_owned(),
            ],
            secrets: vec![("client-secret", api.client_secret), ("hook-password", PASSWORD.to_owned())],
            acme,
            jane: JANE,
            gone: GONE,
            board: team,
            statuses,
        };
        let contact = sim.add_user(acme, "Ann Example", "ann@acme.example");
        let button = sim.add_outcome("Request JIT access", Some(statuses.requested));
        let field = sim.add_field("CFJitAccess", "JIT access", FieldKind::Select, &["Exchange", "Helpdesk"]);
        (Arc::new(Self { id, button, field, kind, acme, stranger, contact, statuses, sim, secret }), plan)
    }

    /// Our own notes, oldest first.
    fn ours(&self, ticket: i64) -> Vec<Value> {
        self.sim.notes(ticket).into_iter().filter(|note| note["who_agentid"] == ME).collect()
    }

    fn actor(&self, who: Who) -> Actor {
        match who {
            Who::Jane => self.sim.acting(JANE),
            Who::Unbound => self.sim.acting(UNBOUND),
            Who::Gone => self.sim.acting(GONE),
            Who::Contact => self.sim.as_user(self.contact),
            Who::Program => self.sim.as_application(PROGRAM, JANE),
            Who::Us => self.sim.acting(ME),
        }
    }

    fn shows(&self, password: &str) {
        self.sim.put_webhook(json!({"id": self.sim.webhooks()[0]["id"], "basic_password": password}));
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
        self.sim.faults()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.secret.clone(), PASSWORD.to_owned()]
    }

    fn ticket(&self, of: Whose) -> i64 {
        let client = if of == Whose::Acme { self.acme } else { self.stranger };
        let new = NewTicket::new("Mailbox migration", TEAM).set("client_id", client).set("tickettype_id", self.kind);
        self.sim.add_ticket(JANE, new).unwrap()
    }

    fn tickets(&self) -> Vec<i64> {
        self.sim.ticket_ids()
    }

    fn click(&self, who: Who, ticket: i64) {
        self.actor(who).run_action(ticket, self.button, &[]).unwrap();
    }

    fn other_ways(&self) -> Vec<Way> {
        vec![Way::Field(self.field, "Exchange")]
    }

    fn click_by(&self, way: &Way, who: Who, ticket: i64) {
        match way {
            // Its options are numbered.
            Way::Field(field, text) => {
                let option = if *text == "Exchange" { "1" } else { "2" };
                self.actor(who).set_field(ticket, *field, option).unwrap();
            }
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
        UNBOUND
    }

    fn touch(&self, ticket: i64) {
        // Another text each time: what changes nothing rings no bell.
        let summary = format!("Mailbox migration, urgent {}", self.sim.deliveries().len());
        self.sim.acting(JANE).set_summary(ticket, &summary).unwrap();
    }

    fn leaves(&self, how: Leaves, ticket: i64) {
        let jane = self.actor(Who::Jane);
        match how {
            Leaves::Closed => jane.close(ticket),
            Leaves::Reopened => jane.reopen(ticket),
            Leaves::Deleted => jane.delete(ticket),
            Leaves::Company => jane.move_client(ticket, self.stranger),
            Leaves::Reassigned => jane.assign(ticket, UNBOUND),
            Leaves::Merged => jane.merge(self.ticket(Whose::Acme), ticket),
            Leaves::Board => jane.move_team(ticket, OTHER_TEAM),
        }
        .unwrap();
    }

    fn misses_once(&self) -> Fired {
        let body = json!({ "Message": "Record not found" });
        let act = Act::Answer { status: 404, retry_after: None, body };
        self.sim.faults().add(Fault::on("GET /Tickets/{id}", act).once())
    }

    fn closing(&self) -> i64 {
        CLOSED
    }

    fn writes(&self, who: Who, how: Writes, ticket: i64, text: &str) {
        match how {
            Writes::Internal => self.actor(who).add_note(ticket, text, true),
            Writes::Shown => self.actor(who).add_note(ticket, text, false),
            Writes::Mailed => self.actor(who).mail_note(ticket, text, "ann@acme.example"),
            Writes::AsJane => self.sim.as_application(PROGRAM, JANE).add_note(ticket, text, true),
        }
        .unwrap();
    }

    fn edits(&self, _: Who, _: i64, _: &str) {
        panic!("nothing tells that a note was changed");
    }

    fn tells_of_an_edit(&self) -> bool {
        false
    }

    fn tells_of_a_merge(&self) -> bool {
        false
    }

    fn stands(&self, ticket: i64) -> Standing {
        self.statuses.of(&self.sim.ticket(ticket).unwrap()["status_id"])
    }

    fn notes(&self, ticket: i64) -> Vec<Told> {
        let is_mailed = !self.sim.mails().is_empty();
        let told = |note: &Value| Told {
            text: without_marker(note["note"].as_str().unwrap()),
            is_internal: note["hiddenfromuser"] == true && !is_mailed,
        };
        self.ours(ticket).iter().map(told).collect()
    }

    fn statuses_set(&self, ticket: i64) -> usize {
        let is_set = |action: &Value| action["old_status"] != action["new_status"];
        self.sim.actions(ticket).iter().filter(|action| action["actionby_agent_id"] == ME && is_set(action)).count()
    }

    fn markers(&self, ticket: i64) -> Vec<String> {
        markers_in(self.ours(ticket).iter().filter_map(|note| note["note"].as_str()))
    }

    fn hook(&self) -> String {
        self.sim.webhooks()[0]["url"].as_str().unwrap().to_owned()
    }

    /// Nothing is signed: a message only rings, so that there is nothing in it worth changing.
    fn forgeries(&self) -> &'static [Wrong] {
        &[Wrong::Unproven, Wrong::ByAnother]
    }

    fn goes_wrong(&self, how: Wrong) {
        self.is_honest();
        match how {
            Wrong::Unproven => self.sim.set_delivery(|rules| rules.without_credentials = true),
            Wrong::ByAnother => self.shows("another-password-that-is-as-long-as-ours"),
            Wrong::Changed => panic!("nothing is signed"),
            Wrong::Lost => self.sim.set_delivery(|rules| rules.lose = 100),
            Wrong::Twice => self.sim.set_delivery(|rules| rules.duplicate = true),
        }
    }

    fn is_honest(&self) {
        self.sim.reset_delivery();
        self.shows(PASSWORD);
    }

    fn holds(&self, is_held: bool) {
        match is_held {
            true => self.sim.set_delivery(|rules| (rules.hold, rules.batch) = (true, true)),
            false => self.sim.release(),
        }
    }

    fn switches_off(&self) -> bool {
        self.sim.put_webhook(json!({"id": self.sim.webhooks()[0]["id"], "disabled": true}));
        true
    }

    fn sent(&self) -> Vec<(Vec<u8>, Option<u16>)> {
        self.sim.deliveries().into_iter().map(|delivery| (delivery.body, delivery.status)).collect()
    }

    fn lost(&self) -> usize {
        self.sim.lost()
    }

    fn replay(&self) {
        for n in 1..=self.sim.deliveries().len() {
            assert!(self.sim.replay(n));
        }
    }

    fn proven(&self) -> Message {
        self.proves(self.sim.deliveries().pop().unwrap().body)
    }

    fn proves(&self, body: Vec<u8>) -> Message {
        Message { header: ("authorization", basic("latchkey", PASSWORD)), body }
    }

    fn largest(&self) -> usize {
        2 * 1024 * 1024
    }

    fn fails(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::always(how))
    }

    fn lists_no_saves(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("GET /Tickets", how))
    }

    fn lists_no_notes(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("GET /Actions", how))
    }

    fn spends(&self) {
        self.sim.faults().add(Fault::on("GET /Tickets", Act::throttled(1_500)).once());
    }

    fn refuses_credentials(&self) -> Fired {
        let body = json!({"ClassName": "System.Exception", "Message": "String or binary data would be truncated."});
        let act = Act::Answer { status: 400, retry_after: None, body };
        self.sim.faults().add(Fault::when(has_credentials, act))
    }

    fn sets_no_status(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("POST /Tickets", how))
    }

    fn recovers(&self) {
        self.sim.faults().clear();
    }

    fn automation(&self) -> &'static str {
        "system"
    }

    fn set_automation(&self, kind: &mut ConnectionKind) {
        let ConnectionKind::HaloPsa(settings) = kind else { panic!("another vendor's connection") };
        settings.automation = vec![self.automation().to_owned()];
    }

    fn automates(&self, ticket: i64) {
        self.actor(Who::Jane).assign(ticket, JANE).unwrap();
        self.sim.as_system().set_status(ticket, self.statuses.requested).unwrap();
    }

    fn loses_its_webhook(&self) {
        self.sim.put_webhook(json!({"id": self.sim.webhooks()[0]["id"], "active": false}));
    }

    async fn settled(&self) {
        self.sim.settled().await;
    }
}
