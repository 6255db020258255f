//! The pretend PSA and the pretend tenant, seeded.

use latchkey_simulators::{
    authority::Authority,
    connectwise::{self, ConnectWise, Tenant},
    fault::{Act, Call, Fault, Fired},
    graph::{self, AppSpec, Graph, GroupSeed, Licence},
};
use serde_json::Value;

use super::clock::TestClock;

pub(crate) const TENANT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const CLIENT: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
pub(crate) const CLIENT_SECRET: &str = "a-client-secret-of-the-pretend-tenant";
pub(crate) const HELPDESK_ROLE: &str = "729827e3-9c14-49f7-bb1b-9608f156bbb8";
pub(crate) const EXCHANGE_ROLE: &str = "29232cdf-9323-42fd-ade2-1d097af3e4de";
const PAA_ROLE: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";

/// The pretend ConnectWise, with its boards and people.
#[derive(Debug, Clone)]
pub(crate) struct Psa {
    pub(crate) sim: ConnectWise,
    pub(crate) tenant: Tenant,
    pub(crate) keys: (String, String),
    pub(crate) desk: BoardIds,
    pub(crate) projects: BoardIds,
    pub(crate) acme: i64,
    pub(crate) stranger: i64,
    pub(crate) length_field: i64,
}

/// A board and its statuses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoardIds {
    pub(crate) board: i64,
    pub(crate) new: i64,
    pub(crate) requested: i64,
    pub(crate) active: i64,
    pub(crate) refused: i64,
    pub(crate) done: i64,
    pub(crate) closed: i64,
}

impl Psa {
    pub(crate) async fn start(authority: &Authority, clock: &TestClock) -> Self {
        let sim = ConnectWise::start(connectwise::Options::secure(authority, clock.for_vendors())).await.unwrap();
        let tenant = sim.add_tenant("examplemsp", "Example MSP");
        let api = tenant.add_api_member(243, "JitApi");
        tenant.add_member(176, "jdoe", "F", false);
        tenant.add_member(177, "msmith", "F", false);
        tenant.add_member(178, "gone", "F", true);
        tenant.add_member(179, "unbound", "F", false);
        let acme = tenant.add_company("ACME", "ACME Ltd");
        let stranger = tenant.add_company("STRANGER", "Stranger Ltd");
        let board = |name: &str| {
            let board = tenant.add_board(name);
            let status = |name: &str, closed| tenant.add_status(board, name, closed);
            BoardIds {
                board,
                new: status("New", false),
                requested: status("JIT Requested", false),
                active: status("JIT Active", false),
                refused: status("JIT Refused", false),
                done: status("JIT Done", false),
                closed: status(">Closed", true),
            }
        };
        let (desk, projects) = (board("Help Desk"), board("Projects"));
        let length_field =
            tenant.add_field("JIT Duration", connectwise::FieldKind::List, &["30 minutes", "1 hour", "1 week"]);
        Self {
            keys: (api.public_key.clone(), api.private_key.clone()),
            sim,
            tenant,
            desk,
            projects,
            acme,
            stranger,
            length_field,
        }
    }

    /// A new ticket on the help desk, for ACME.
    pub(crate) fn ticket(&self) -> i64 {
        self.ticket_on(self.desk)
    }

    pub(crate) fn ticket_on(&self, board: BoardIds) -> i64 {
        let new = connectwise::NewTicket::new("Mailbox migration", board.board, self.acme).status(board.new);
        self.tenant.add_ticket(new).unwrap()
    }

    /// Jane Doe clicks *Request access*.
    pub(crate) fn ask(&self, ticket: i64) {
        self.ask_as("jdoe", ticket);
    }

    pub(crate) fn ask_as(&self, member: &str, ticket: i64) {
        let board = self.tenant.ticket(ticket).unwrap()["board"]["id"].as_i64().unwrap();
        let status = if board == self.desk.board { self.desk.requested } else { self.projects.requested };
        self.tenant.acting(member).set_status(ticket, status).unwrap();
    }

    pub(crate) fn status(&self, ticket: i64) -> i64 {
        self.tenant.ticket(ticket).unwrap()["status"]["id"].as_i64().unwrap()
    }

    /// What a technician reads: the texts of our notes, oldest first, without the marker line.
    pub(crate) fn notes(&self, ticket: i64) -> Vec<String> {
        let ours = |n: &&Value| n["createdBy"].as_str().is_some_and(|by| by.eq_ignore_ascii_case("JitApi"));
        let text = |n: &Value| {
            let text = n["text"].as_str().unwrap_or_default();
            text.lines().filter(|l| !l.starts_with("[latchkey ")).collect::<Vec<_>>().join("\n").trim().to_owned()
        };
        let mut notes: Vec<Value> = self.tenant.notes(ticket).iter().filter(ours).cloned().collect();
        notes.sort_by_key(|n| n["id"].as_i64());
        notes.iter().map(text).collect()
    }

    /// First lines of our notes.
    pub(crate) fn told(&self, ticket: i64) -> Vec<String> {
        self.notes(ticket).iter().map(|n| n.lines().next().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn fail(&self, matches: impl Fn(&Call) -> bool + Send + Sync + 'static, act: Act) -> Fired {
        self.sim.faults().add(Fault::when(matches, act))
    }
}

/// The pretend Entra tenant.
#[derive(Debug, Clone)]
pub(crate) struct Entra {
    pub(crate) sim: Graph,
    pub(crate) group: String,
}

/// What a tenant lets Latchkey do.
pub(crate) fn consented(secret: &str) -> AppSpec {
    let permissions = [
        "User.ReadWrite.All",
        "User-PasswordProfile.ReadWrite.All",
        "RoleManagement.ReadWrite.Directory",
        "GroupMember.ReadWrite.All",
        "Group.ReadWrite.All",
        "UserAuthenticationMethod.ReadWrite.All",
        "Domain.Read.All",
        "Directory.Read.All",
    ];
    AppSpec {
        client_id: CLIENT.into(),
        secrets: vec![secret.into()],
        permissions: permissions.map(str::to_owned).to_vec(),
        directory_roles: vec![PAA_ROLE.into()],
        ..AppSpec::default()
    }
}

impl Entra {
    pub(crate) async fn start(authority: &Authority, clock: &TestClock) -> Self {
        let mut options = graph::Options::new(clock.for_vendors());
        options.tls = Some(authority.server_config(&[]));
        let sim = Graph::start(options).await.unwrap();
        sim.add_tenant(TENANT, &["contoso.onmicrosoft.com"], Licence::Free);
        sim.register_app(TENANT, consented(CLIENT_SECRET));
        let group =
            sim.add_group(TENANT, GroupSeed { display_name: "Server operators".into(), ..GroupSeed::default() });
        Self { sim, group }
    }

    /// The one account that Latchkey made, as it is now.
    pub(crate) fn account(&self) -> Option<Value> {
        self.accounts().into_iter().next()
    }

    pub(crate) fn accounts(&self) -> Vec<Value> {
        let ours = |u: &Value| u["userPrincipalName"].as_str().is_some_and(|n| n.starts_with("jit-"));
        self.sim.users(TENANT).into_iter().filter(ours).collect()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.account().is_some_and(|a| a["accountEnabled"] == true)
    }

    /// Active roles of the account, by definition id.
    pub(crate) fn roles(&self) -> Vec<String> {
        let Some(account) = self.account() else { return Vec::new() };
        let id = account["id"].as_str().unwrap_or_default();
        let held = self.sim.assignments(TENANT, id).into_iter().filter(|a| a["is_active"] == true);
        held.map(|a| a["roleDefinitionId"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The account's immutable id.
    pub(crate) fn object(&self) -> String {
        self.account().expect("there is an account")["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Its sign-in name as it is now.
    pub(crate) fn name(&self) -> String {
        self.account().expect("there is an account")["userPrincipalName"].as_str().unwrap_or_default().to_owned()
    }

    /// Calls so far that could change the directory, by operation.
    pub(crate) fn writes(&self) -> Vec<&'static str> {
        let calls = self.sim.faults().calls();
        calls.iter().filter(|c| c.method != "GET" && !c.op.contains("token")).map(|c| c.op).collect()
    }

    pub(crate) fn groups(&self) -> Vec<String> {
        let Some(account) = self.account() else { return Vec::new() };
        self.sim.groups_of(TENANT, account["id"].as_str().unwrap_or_default())
    }

    pub(crate) fn fail(&self, matches: impl Fn(&Call) -> bool + Send + Sync + 'static, act: Act) -> Fired {
        self.sim.faults().add(Fault::when(matches, act))
    }
}
