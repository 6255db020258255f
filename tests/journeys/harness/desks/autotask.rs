//! Autotask: a status in a queue, callouts that are signed and sent again.

use std::sync::Arc;

use latchkey::rulebook::ConnectionKind;
use latchkey_simulators::{
    autotask::{API_USER, Actor, Autotask, Options, PERSON, SIGNATURE_HEADER, Signature, signature},
    fault::{Act, Fault, Faults, Fired},
};
use serde_json::{Value, json};

use super::{
    Leaves, Message, Plan, Standing, Statuses, Told, Way, Who, Whose, Writes, Wrong, has_credentials, markers_in,
    without_marker,
};
use crate::harness::TestApp;

const KEY: &str = "a-webhook-key-of-32-characters-00";
const QUEUE: i64 = 29_682_833;
/// Where tickets are moved to ask.
const ASKING: i64 = 29_682_834;
const FIELD: i64 = 29_682_851;
const FIELD_NAME: &str = "JIT Access";
const ME: i64 = 30_683_829;
const JANE: i64 = 30_691_780;
const GONE: i64 = 30_691_781;
const UNBOUND: i64 = 30_691_782;
const PROGRAM: i64 = 30_691_783;
const PROGRAM_NAME: &str = "other-api@msp.example";
const CONTACT: i64 = 42;
const ACME: i64 = 174;
/// What the vendor ships.
const NEW: i64 = 1;
const COMPLETE: i64 = 5;
const STATUSES: Statuses = Statuses { requested: 21, active: 22, refused: 23, done: 24 };
/// "Internal Project Team".
const INTERNAL: i64 = 2;
/// "All Autotask Users", the customer's in the portal too.
const ALL_USERS: i64 = 1;
/// What the vendor makes of a mail.
const MAIL_NOTE: i64 = 101;

pub(super) const VENDOR: &str = "autotask";

pub(super) struct Desk {
    id: &'static str,
    sim: Autotask,
    secret: String,
    /// A company whose number is that of ConnectWise's ACME.
    stranger: i64,
}

impl Desk {
    pub(super) async fn open(app: &TestApp, id: &'static str) -> (Arc<dyn super::Desk>, Plan) {
        let sim = Autotask::start(Options::secure(&app.authority, app.clock.for_vendors())).await.unwrap();
        let api = sim.add_api_user(ME, &format!("jit-{id}@msp.example"));
        for (id, name, licence) in [
            (JANE, "j.doe", PERSON),
            (GONE, "g.one", PERSON),
            (UNBOUND, "u.bound", PERSON),
            (PROGRAM, PROGRAM_NAME, API_USER),
        ] {
            sim.add_resource(id, name, licence);
        }
        sim.set_resource(GONE, "isActive", json!(false));
        sim.add_company(ACME, "ACME Ltd");
        sim.add_contact(CONTACT, ACME, "Ann");
        let stranger = app.psa.acme;
        sim.add_company(stranger, "Stranger Ltd");
        sim.add_pick("queueID", QUEUE, "Help Desk");
        sim.add_pick("queueID", ASKING, "JIT Access");
        sim.add_udf(FIELD, FIELD_NAME, &[("1", "Exchange"), ("2", "Helpdesk")]);
        for (id, name) in [
            (STATUSES.requested, "JIT Requested"),
            (STATUSES.active, "JIT Active"),
            (STATUSES.refused, "JIT Refused"),
            (STATUSES.done, "JIT Done"),
        ] {
            sim.add_pick("status", id, name);
        }
        let secret = api.secret.clone();
        let plan = Plan {
            kind: VENDOR,
            settings: vec![
                format!("user={}", api.user),
                format!("integration_code={}", api.integration_code),
                format!("discovery={}/ATServicesRest/", sim.base_url()),
            ],
            secrets: vec![("api-secret", api.secret), ("webhook-key", KEY.to_owned())],
            acme: ACME,
            jane: JANE,
            gone: GONE,
            board: QUEUE,
            statuses: STATUSES,
        };
        (Arc::new(Self { id, sim, secret, stranger }), plan)
    }

    /// Our own notes, oldest first.
    fn ours(&self, ticket: i64) -> Vec<Value> {
        self.sim.notes(ticket).into_iter().filter(|note| note["creatorResourceID"] == ME).collect()
    }

    fn actor(&self, who: Who) -> Actor {
        match who {
            Who::Jane => self.sim.acting(JANE),
            Who::Unbound => self.sim.acting(UNBOUND),
            Who::Gone => self.sim.acting(GONE),
            Who::Contact => self.sim.contact(CONTACT),
            Who::Program => self.sim.acting(PROGRAM),
            Who::Us => self.sim.acting(ME),
        }
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
        vec![self.secret.clone(), KEY.to_owned()]
    }

    fn ticket(&self, of: Whose) -> i64 {
        let company = if of == Whose::Acme { ACME } else { self.stranger };
        self.sim.add_ticket(&self.sim.acting(JANE), "Mailbox migration", QUEUE, company).unwrap()
    }

    fn tickets(&self) -> Vec<i64> {
        self.sim.ticket_ids()
    }

    fn click(&self, who: Who, ticket: i64) {
        self.actor(who).set_status(ticket, STATUSES.requested).unwrap();
    }

    fn other_ways(&self) -> Vec<Way> {
        vec![Way::Field(FIELD, "1"), Way::Board(ASKING)]
    }

    fn click_by(&self, way: &Way, who: Who, ticket: i64) {
        match way {
            Way::Field(_, value) => self.actor(who).set_udf(ticket, FIELD_NAME, Some(value)).unwrap(),
            Way::Board(queue) => self.actor(who).set_queue(ticket, *queue).unwrap(),
        }
    }

    fn another_text(&self) -> Way {
        Way::Field(FIELD, "2")
    }

    fn clears(&self, who: Who, ticket: i64) {
        self.actor(who).set_udf(ticket, FIELD_NAME, None).unwrap();
    }

    fn unbound(&self) -> i64 {
        UNBOUND
    }

    fn touch(&self, ticket: i64) {
        self.sim.acting(JANE).set_title(ticket, "Mailbox migration, urgent").unwrap();
    }

    fn leaves(&self, how: Leaves, ticket: i64) {
        let jane = self.actor(Who::Jane);
        match how {
            Leaves::Closed => jane.set_status(ticket, COMPLETE),
            Leaves::Reopened => jane.set_status(ticket, NEW),
            Leaves::Deleted => jane.delete(ticket),
            Leaves::Company => jane.change(ticket, &json!({ "companyID": self.stranger })),
            Leaves::Reassigned => jane.assign(ticket, Some(UNBOUND)),
            Leaves::Merged => jane.merge(ticket, self.ticket(Whose::Acme)),
            Leaves::Board => jane.set_queue(ticket, ASKING),
        }
        .unwrap();
    }

    fn misses_once(&self) -> Fired {
        let body = json!({ "item": null });
        let act = Act::Answer { status: 200, retry_after: None, body };
        self.sim.faults().add(Fault::on("GET /Tickets/{id}", act).once())
    }

    fn closing(&self) -> i64 {
        COMPLETE
    }

    fn writes(&self, who: Who, how: Writes, ticket: i64, text: &str) {
        match how {
            Writes::Internal => self.actor(who).add_note(ticket, text, INTERNAL),
            Writes::Shown => self.actor(who).add_note(ticket, text, ALL_USERS),
            Writes::Mailed => self.actor(who).add_note_of(ticket, text, MAIL_NOTE, INTERNAL),
            Writes::AsJane => self.sim.impersonating(JANE, PROGRAM).add_note(ticket, text, INTERNAL),
        }
        .unwrap();
    }

    fn edits(&self, who: Who, ticket: i64, text: &str) {
        let janes = self.sim.notes(ticket).into_iter().filter(|note| note["creatorResourceID"] == JANE);
        self.actor(who).edit_note(janes.filter_map(|note| note["id"].as_i64()).max().unwrap(), text).unwrap();
    }

    fn hears_in_anothers_name(&self) -> bool {
        true
    }

    fn stands(&self, ticket: i64) -> Standing {
        STATUSES.of(&self.sim.ticket(ticket).unwrap()["status"])
    }

    fn notes(&self, ticket: i64) -> Vec<Told> {
        let told = |note: &Value| Told {
            text: without_marker(note["description"].as_str().unwrap()),
            is_internal: note["publish"] == INTERNAL,
        };
        self.ours(ticket).iter().map(told).collect()
    }

    fn statuses_set(&self, ticket: i64) -> usize {
        let history = self.sim.history(ticket);
        let is_status = |entry: &Value| entry["detail"].as_str().is_some_and(|detail| detail.starts_with("Status "));
        history.iter().filter(|entry| entry["resourceID"] == ME && is_status(entry)).count()
    }

    fn markers(&self, ticket: i64) -> Vec<String> {
        markers_in(self.ours(ticket).iter().filter_map(|note| note["description"].as_str()))
    }

    fn hook(&self) -> String {
        self.sim.webhooks()[0]["webhookUrl"].as_str().unwrap().to_owned()
    }

    fn forgeries(&self) -> &'static [Wrong] {
        &[Wrong::Unproven, Wrong::ByAnother, Wrong::Changed]
    }

    fn goes_wrong(&self, how: Wrong) {
        self.sim.reset_delivery();
        self.sim.set_delivery(|rules| match how {
            Wrong::Unproven => rules.signature = Signature::Missing,
            Wrong::ByAnother => rules.signature = Signature::Wrong,
            Wrong::Changed => rules.trailing_newline = true,
            Wrong::Lost => rules.lose = 100,
            Wrong::Twice => rules.duplicate = true,
        });
    }

    fn is_honest(&self) {
        self.sim.reset_delivery();
    }

    fn holds(&self, is_held: bool) {
        match is_held {
            true => self.sim.set_delivery(|rules| rules.hold = true),
            false => self.sim.release(),
        }
    }

    fn switches_off(&self) -> bool {
        self.sim.deactivate_webhook(self.sim.webhooks()[0]["id"].as_i64().unwrap());
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
        Message { header: (SIGNATURE_HEADER, signature(KEY, &body)), body }
    }

    fn largest(&self) -> usize {
        256 * 1024
    }

    fn fails(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::always(how))
    }

    fn lists_no_saves(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("POST /Tickets/query", how))
    }

    fn lists_no_notes(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("POST /TicketNotes/query", how))
    }

    /// By other integrations: the vendor counts the hour's calls of all of them together.
    fn spends(&self) {
        self.sim.spend(9_100);
    }

    fn refuses_credentials(&self) -> Fired {
        let body = json!({"errors": ["description must be less than or equal to 3200 characters."]});
        let act = Act::Answer { status: 500, retry_after: None, body };
        self.sim.faults().add(Fault::when(has_credentials, act))
    }

    fn sets_no_status(&self, how: Act) -> Fired {
        self.sim.faults().add(Fault::on("PATCH /Tickets", how))
    }

    fn recovers(&self) {
        self.sim.spend(0);
        self.sim.faults().clear();
    }

    fn automation(&self) -> &'static str {
        PROGRAM_NAME
    }

    fn set_automation(&self, kind: &mut ConnectionKind) {
        let ConnectionKind::Autotask(settings) = kind else { panic!("another vendor's connection") };
        settings.automation = vec![self.automation().to_owned()];
    }

    fn automates(&self, ticket: i64) {
        self.actor(Who::Jane).assign(ticket, Some(JANE)).unwrap();
        self.click(Who::Program, ticket);
    }

    fn loses_its_webhook(&self) {
        self.sim.set_webhook(self.sim.webhooks()[0]["id"].as_i64().unwrap(), "isActive", json!(false));
    }

    async fn settled(&self) {
        self.sim.settled().await;
    }
}
