//! The pretend Autotask PSA of Example MSP. A ticket asks by its status in one queue, by a user-defined field in another, and by
//! being moved to a third.

use anyhow::Context as _;
use latchkey_simulators::autotask::{
    Actor, ApiCredentials, Autotask, Options, PERSON, Refused, SIGNATURE_HEADER, signature,
};
use latchkey_simulators::{Authority, SimClock, fault::Faults};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};

use super::{
    Answered, BY_LINK, Board, Connected, IN_TICKET, LENGTHS, Mapping, Names, Psa, Sent, Standing, Told, Trigger,
};

pub(crate) const NAMES: Names = Names { connection: "at", kind: "autotask", product: "Autotask PSA" };

pub(crate) const HELP_DESK: Board = queue(29_682_833);
pub(crate) const PROJECTS: Board = queue(29_682_834);
/// Whoever moves a ticket here asks.
pub(crate) const ACCESS: Board = queue(29_682_835);
pub(crate) const QUEUES: [(Board, &str); 3] =
    [(HELP_DESK, "Help Desk"), (PROJECTS, "Projects"), (ACCESS, "JIT Access")];

/// What the vendor ships.
pub(crate) const NEW: i64 = 1;
pub(crate) const COMPLETE: i64 = 5;
/// What a technician may choose, beside the vendor's own.
const STATUSES: [(i64, &str); 4] = [(21, "JIT Requested"), (22, "JIT Active"), (23, "JIT Done"), (24, "JIT Refused")];

/// The field that asks, and its one value.
pub(crate) const ACCESS_FIELD: &str = "JIT Access";
pub(crate) const WANTED: (&str, &str) = ("1", "Wanted");
const ACCESS_FIELD_ID: i64 = 29_682_851;
pub(crate) const LENGTH_FIELD: &str = "JIT Duration";
const LENGTH_FIELD_ID: i64 = 29_682_852;
/// The values of [`LENGTHS`]: minutes.
pub(crate) const MINUTES: [&str; 6] = ["2", "5", "15", "60", "480", "4320"];

pub(crate) const ACME: i64 = 174;
/// Bound to no customer.
pub(crate) const GLOBEX: i64 = 175;
pub(crate) const JANE: i64 = 30_691_780;
pub(crate) const MAX: i64 = 30_691_781;
const ME: i64 = 30_683_829;
/// The first of many.
const CROWD: i64 = 30_700_001;

/// "Internal Project Team".
pub(crate) const INTERNAL: i64 = 2;

/// The running PSA.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) sim: Autotask,
    pub(crate) api: ApiCredentials,
    /// What an operator makes up for the webhook to be signed with.
    webhook_key: String,
    pub(crate) crowd: Vec<i64>,
}

impl Desk {
    /// Starts it and fills it.
    pub(crate) async fn start(authority: &Authority, clock: SimClock, crowd: usize) -> anyhow::Result<Self> {
        let sim = Autotask::start(Options::secure(authority, clock)).await?;
        let api = sim.add_api_user(ME, "latchkey-api@msp.example");
        for (id, user, first, last) in [(JANE, "jdoe", "Jane", "Doe"), (MAX, "msmith", "Max", "Smith")] {
            sim.add_resource(id, user, PERSON);
            sim.set_resource(id, "firstName", json!(first));
            sim.set_resource(id, "lastName", json!(last));
        }
        let crowd: Vec<i64> = (CROWD..).take(crowd).collect();
        for (n, id) in (1..).zip(&crowd) {
            sim.add_resource(*id, &format!("tech{n:03}"), PERSON);
        }
        sim.add_company(ACME, "ACME Ltd");
        sim.add_company(GLOBEX, "Globex GmbH");
        QUEUES.into_iter().for_each(|(queue, name)| sim.add_pick("queueID", queue.id, name));
        STATUSES.into_iter().for_each(|(id, name)| sim.add_pick("status", id, name));
        sim.add_udf(ACCESS_FIELD_ID, ACCESS_FIELD, &[WANTED]);
        let lengths: Vec<(&str, &str)> = MINUTES.into_iter().zip(LENGTHS).collect();
        sim.add_udf(LENGTH_FIELD_ID, LENGTH_FIELD, &lengths);
        let desk = Self { sim, api, webhook_key: Alphanumeric.sample_string(&mut rand::rng(), 40), crowd };
        desk.open_tickets().context("the first tickets were refused")?;
        Ok(desk)
    }

    fn open_tickets(&self) -> Result<(), Refused> {
        for (title, queue, company, owner) in [
            ("Outlook asks for a password all day", HELP_DESK, ACME, JANE),
            ("Calendar of the board room double-books", HELP_DESK, ACME, JANE),
            ("Scanner mails end in spam", HELP_DESK, GLOBEX, MAX),
            ("Mailboxes to the new tenant, wave 1", PROJECTS, ACME, JANE),
            ("Distribution lists, spring cleaning", PROJECTS, ACME, MAX),
        ] {
            self.open_ticket(title, queue, company, owner)?;
        }
        Ok(())
    }

    /// Jane opens a ticket for somebody; answers its number.
    pub(crate) fn open_ticket(&self, title: &str, queue: Board, company: i64, owner: i64) -> Result<i64, Refused> {
        let id = self.sim.add_ticket(&self.jane(), title, queue.id, company)?;
        self.jane().assign(id, Some(owner))?;
        Ok(id)
    }

    pub(crate) fn jane(&self) -> Actor {
        self.sim.acting(JANE)
    }

    /// The statuses that a technician may choose from.
    pub(crate) fn statuses(&self) -> Vec<(i64, String)> {
        let ids = [NEW, 8, 7].into_iter().chain(STATUSES.map(|(id, _)| id)).chain([COMPLETE]);
        ids.map(|id| (id, self.sim.label("status", id))).collect()
    }

    fn number(&self, ticket: i64, property: &str) -> Option<i64> {
        self.sim.ticket(ticket)?[property].as_i64()
    }
}

#[async_trait::async_trait]
impl Psa for Desk {
    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn connected(&self) -> Connected {
        let mapping =
            |id, board, trigger, policy| Mapping { id, board, trigger, length_field: LENGTH_FIELD_ID, policy };
        Connected {
            settings: vec![
                ("user", self.api.user.clone()),
                ("integration_code", self.api.integration_code.clone()),
                ("discovery", self.discovery()),
            ],
            secrets: vec![("api-secret", self.api.secret.clone()), ("webhook-key", self.webhook_key.clone())],
            acme: ACME,
            jane: JANE,
            max: MAX,
            crowd: self.crowd.clone(),
            mappings: vec![
                mapping("at-help-desk", HELP_DESK, Trigger::Status, BY_LINK),
                mapping("at-projects", PROJECTS, Trigger::Field(ACCESS_FIELD_ID, WANTED.0), IN_TICKET),
                mapping("at-access", ACCESS, Trigger::Board, BY_LINK),
            ],
        }
    }

    fn hooks(&self) -> Vec<String> {
        let hooks = self.sim.webhooks();
        let active = hooks.iter().filter(|hook| hook["isActive"] == true && hook["isReady"] == true);
        active.filter_map(|hook| hook["webhookUrl"].as_str().map(str::to_owned)).collect()
    }

    fn answered(&self, ticket: i64) -> Option<Answered> {
        let sent = self.sim.deliveries().into_iter().rfind(|sent| sent.ticket == ticket && sent.status.is_some())?;
        let is_signed = sent.signature == Some(signature(&self.webhook_key, &sent.body));
        Some(Answered { status: sent.status?, proof: is_signed.then_some("signed with the webhook's key") })
    }

    fn told(&self, ticket: i64) -> Vec<Told> {
        let ours = self.sim.notes(ticket).into_iter().filter(|note| note["creatorResourceID"] == ME);
        let told = |note: Value| Told {
            id: note["id"].as_i64().unwrap_or_default(),
            text: note["description"].as_str().unwrap_or_default().to_owned(),
            is_internal: note["publish"] == INTERNAL,
        };
        ours.map(told).collect()
    }

    fn standing(&self, ticket: i64) -> Option<Standing> {
        HELP_DESK.standing(self.number(ticket, "status")?)
    }

    fn ticket_ids(&self) -> Vec<i64> {
        self.sim.ticket_ids()
    }

    fn open_for_acme(&self, summary: &str) -> anyhow::Result<i64> {
        Ok(self.sim.add_ticket(&self.jane(), summary, PROJECTS.id, ACME)?)
    }

    fn ask(&self, ticket: i64, n: usize) -> anyhow::Result<()> {
        let technician = self.sim.acting(self.crowd[n % self.crowd.len()]);
        Ok(technician.set_udf(ticket, ACCESS_FIELD, Some(WANTED.0))?)
    }

    fn faults(&self) -> &Faults {
        self.sim.faults()
    }

    fn last_sent(&self) -> Option<Sent> {
        let sent = self.sim.deliveries().pop()?;
        Some(Sent { url: sent.url, body: sent.body, header: (SIGNATURE_HEADER, sent.signature?) })
    }

    async fn settled(&self) {
        self.sim.settled().await;
    }
}

impl Desk {
    /// Where the zone is asked for.
    pub(crate) fn discovery(&self) -> String {
        format!("{}/ATServicesRest/", self.sim.base_url())
    }

    /// A resource, for people.
    pub(crate) fn name_of(&self, resource: &Value) -> String {
        match resource.as_i64() {
            None => String::new(),
            Some(JANE) => "Jane Doe".to_owned(),
            Some(MAX) => "Max Smith".to_owned(),
            Some(ME) => "Latchkey (API user)".to_owned(),
            Some(other) => format!("resource {other}"),
        }
    }
}

/// All queues have the same statuses.
const fn queue(id: i64) -> Board {
    let [(requested, _), (active, _), (done, _), (refused, _)] = STATUSES;
    Board { id, requested, active, done, refused }
}
