//! The pretend HaloPSA of Example MSP. A ticket asks by a status, into which an action's button moves it, or a hand.

use anyhow::Context as _;
use latchkey_simulators::halopsa::{Actor, ApiCredentials, FieldKind, HaloPsa, NewTicket, Options, Refused, basic};
use latchkey_simulators::{Authority, SimClock, fault::Faults};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};

use super::{
    Answered, BY_LINK, Board, Connected, IN_TICKET, LENGTHS, Mapping, Names, Psa, Sent, Standing, Told, Trigger,
};

pub(crate) const NAMES: Names = Names { connection: "halo", kind: "halopsa", product: "HaloPSA" };

/// As the instance is called.
pub(crate) const TENANT: &str = "examplemsp";
pub(crate) const JANE: i64 = 17;
pub(crate) const MAX: i64 = 18;
const ME: i64 = 42;
/// As whom another program signs in.
pub(crate) const STRANGER: i64 = 43;
/// The first of many.
const CROWD: i64 = 1001;
const PERMISSIONS: &str = "read:tickets edit:tickets read:customers";
/// What the service shows where an operator names nobody.
const HOOK_USER: &str = "latchkey";
/// The action's button.
pub(crate) const BUTTON: &str = "Request JIT access";
pub(crate) const LENGTH_FIELD: &str = "JIT duration";

/// A team with its tickets' statuses, and its name, by which tickets are given to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Team {
    pub(crate) board: Board,
    pub(crate) name: &'static str,
}

/// The running PSA, with the ids of everything in it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) sim: HaloPsa,
    pub(crate) api: ApiCredentials,
    /// What an operator makes up for the webhook to show at the door.
    hook_password: String,
    pub(crate) service_desk: Team,
    pub(crate) projects: Team,
    kind: i64,
    pub(crate) acme: i64,
    /// Bound to no customer.
    pub(crate) globex: i64,
    pub(crate) button: i64,
    pub(crate) length_field: i64,
    pub(crate) crowd: Vec<i64>,
}

impl Desk {
    /// Starts it and fills it.
    pub(crate) async fn start(authority: &Authority, clock: SimClock, crowd: usize) -> anyhow::Result<Self> {
        let sim = HaloPsa::start(Options::secure(authority, clock).tenant(TENANT)).await?;
        sim.add_agent(JANE, "Jane Doe", "jane@msp.example");
        sim.add_agent(MAX, "Max Smith", "max@msp.example");
        let crowd: Vec<i64> = (CROWD..).take(crowd).collect();
        for (n, id) in (1..).zip(&crowd) {
            sim.add_agent(*id, &format!("Technician {n}"), &format!("tech{n:03}@msp.example"));
        }
        let api = sim.add_application(ME, "Latchkey", PERMISSIONS);
        let status = |name| sim.add_status(name, false);
        let statuses = Board {
            id: 0,
            requested: status("JIT requested"),
            active: status("JIT active"),
            done: status("JIT done"),
            refused: status("JIT refused"),
        };
        let team = |name| Team { board: Board { id: sim.add_team(name), ..statuses }, name };
        let desk = Self {
            api,
            hook_password: Alphanumeric.sample_string(&mut rand::rng(), 40),
            service_desk: team("Service Desk"),
            projects: team("Projects"),
            kind: sim.add_type("Incident"),
            acme: sim.add_client("ACME Ltd"),
            globex: sim.add_client("Globex GmbH"),
            button: sim.add_outcome(BUTTON, Some(statuses.requested)),
            length_field: sim.add_field("CFJitDuration", LENGTH_FIELD, FieldKind::Select, &LENGTHS),
            crowd,
            sim,
        };
        desk.open_tickets().context("the first tickets were refused")?;
        Ok(desk)
    }

    fn open_tickets(&self) -> Result<(), Refused> {
        for (summary, team, client, agent) in [
            ("Invoices cannot be mailed", self.service_desk, self.acme, JANE),
            ("Room mailbox refuses everybody", self.service_desk, self.acme, JANE),
            ("New phones, old contacts", self.service_desk, self.globex, MAX),
            ("Archive mailboxes, batch 3", self.projects, self.acme, JANE),
            ("Rename the company everywhere", self.projects, self.acme, MAX),
        ] {
            self.open_ticket(summary, team, client, agent)?;
        }
        Ok(())
    }

    /// Jane logs a ticket for somebody; answers its number.
    pub(crate) fn open_ticket(&self, summary: &str, team: Team, client: i64, agent: i64) -> Result<i64, Refused> {
        let new = NewTicket::new(summary, team.name).set("client_id", client).set("tickettype_id", self.kind);
        self.sim.add_ticket(JANE, new.set("agent_id", agent))
    }

    pub(crate) fn jane(&self) -> Actor {
        self.sim.acting(JANE)
    }

    /// What the button does: the length that was chosen on the action's screen into the field, and the status with it.
    pub(crate) fn request_access(&self, ticket: i64, length: Option<&str>) -> Result<(), Refused> {
        self.jane().run_action(ticket, self.button, &[(self.length_field, option(length))])?;
        Ok(())
    }

    /// The length on the ticket's details; without one the field is cleared.
    pub(crate) fn choose_length(&self, ticket: i64, length: Option<&str>) -> Result<(), Refused> {
        self.jane().set_field(ticket, self.length_field, option(length))
    }
}

#[async_trait::async_trait]
impl Psa for Desk {
    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn connected(&self) -> Connected {
        let mapping = |id, team: Team, policy| {
            let (board, length_field) = (team.board, self.length_field);
            Mapping { id, board, trigger: Trigger::Status, length_field, policy }
        };
        Connected {
            settings: vec![
                ("site", self.sim.base_url()),
                ("client_id", self.api.client_id.clone()),
                ("tenant", TENANT.to_owned()),
            ],
            secrets: vec![
                ("client-secret", self.api.client_secret.clone()),
                ("hook-password", self.hook_password.clone()),
            ],
            acme: self.acme,
            jane: JANE,
            max: MAX,
            crowd: self.crowd.clone(),
            mappings: vec![
                mapping("halo-service-desk", self.service_desk, BY_LINK),
                mapping("halo-projects", self.projects, IN_TICKET),
            ],
        }
    }

    fn hooks(&self) -> Vec<String> {
        let hooks = self.sim.webhooks();
        let in_force = hooks.iter().filter(|hook| hook["active"] == true && hook["disabled"] != true);
        in_force.filter_map(|hook| hook["url"].as_str().map(str::to_owned)).collect()
    }

    fn answered(&self, ticket: i64) -> Option<Answered> {
        let is_about =
            |body: &[u8]| serde_json::from_slice::<Value>(body).is_ok_and(|message| message["object_id"] == ticket);
        let sent = self.sim.deliveries().into_iter().rfind(|sent| sent.status.is_some() && is_about(&sent.body))?;
        let is_shown = sent.authorization == Some(basic(HOOK_USER, &self.hook_password));
        Some(Answered { status: sent.status?, proof: is_shown.then_some("with the webhook's password") })
    }

    fn told(&self, ticket: i64) -> Vec<Told> {
        let is_mailed = self.sim.mails().iter().any(|(of, _)| *of == ticket);
        let ours = self.sim.notes(ticket).into_iter().filter(|note| note["who_agentid"] == ME);
        let told = |note: Value| Told {
            id: note["id"].as_i64().unwrap_or_default(),
            text: note["note"].as_str().unwrap_or_default().to_owned(),
            is_internal: note["hiddenfromuser"] == true && !is_mailed,
        };
        ours.map(told).collect()
    }

    fn standing(&self, ticket: i64) -> Option<Standing> {
        self.service_desk.board.standing(self.sim.ticket(ticket)?["status_id"].as_i64()?)
    }

    fn ticket_ids(&self) -> Vec<i64> {
        self.sim.ticket_ids()
    }

    fn open_for_acme(&self, summary: &str) -> anyhow::Result<i64> {
        Ok(self.open_ticket(summary, self.projects, self.acme, JANE)?)
    }

    fn ask(&self, ticket: i64, n: usize) -> anyhow::Result<()> {
        let technician = self.sim.acting(self.crowd[n % self.crowd.len()]);
        technician.run_action(ticket, self.button, &[])?;
        Ok(())
    }

    fn faults(&self) -> &Faults {
        self.sim.faults()
    }

    fn last_sent(&self) -> Option<Sent> {
        let sent = self.sim.deliveries().pop()?;
        Some(Sent { url: sent.url, body: sent.body, header: ("Authorization", sent.authorization?) })
    }

    async fn settled(&self) {
        self.sim.settled().await;
    }
}

/// What a select holds: the number of its option.
fn option(length: Option<&str>) -> Value {
    json!(LENGTHS.iter().position(|offered| Some(*offered) == length).map(|at| at + 1))
}
