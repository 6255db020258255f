//! The rulebook by command, against a pretend PSA and a pretend tenant.

use std::path::Path;

use latchkey_contract::Timestamp;
use latchkey_simulators::{
    connectwise::{FieldKind, NewTicket, Tenant},
    graph::{Graph, GroupSeed},
};
use serde_json::json;

use super::{
    connection::{APP, TENANT, psa, psa_records, tenant},
    *,
};
use crate::{
    access::{Request, decide::Living, request::Actor},
    audit::{AuditEntry, By, Code},
    cli::terminal::Ends,
    rulebook::{Hold, HoldCause, HoldOn},
    store::{CommitName, Store, Transition},
};

pub(super) const READER: &str = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b";
const GLOBAL: &str = "62e90394-69f5-4237-9190-012177145e10";

/// An installation whose PSA and tenant answer.
pub(super) struct World {
    pub(super) place: Place,
    pub(super) psa: Tenant,
    pub(super) board: i64,
    new: i64,
    pub(super) requested: i64,
    active: i64,
    field: i64,
    company: i64,
    pub(super) entra: Graph,
    _psa: ConnectWise,
}

impl World {
    pub(super) async fn new() -> Self {
        let place = Place::new();
        let authority = Authority::new();
        let ca = place.write("ca.pem", authority.ca_pem());
        let sim = psa(&authority).await;
        let psa = sim.add_tenant("examplemsp", "Example MSP");
        let api = psa.add_api_member(243, "JitApi");
        psa.add_member(176, "jdoe", "F", false);
        psa.add_member(177, "msmith", "F", false);
        let board = psa.add_board("Help Desk");
        let [new, requested, active] =
            ["New", "JIT Requested", "JIT Active"].map(|name| psa.add_status(board, name, false));
        let field = psa.add_field("JIT Duration", FieldKind::List, &["1 hour", "4 hours"]);
        let company = psa.add_company("Contoso", "Contoso Ltd");
        let entra = tenant(&authority).await;
        let records = format!(
            "{}[[connection]]\nid = \"contoso\"\nkind = \"entra\"\ntenant = \"{TENANT}\"\nclient_id = \"{APP}\"\n\
             credential = \"secret\"\nnetwork = \"private\"\nca_file = {ca:?}\ngraph = {:?}\nauthority = {:?}\n\n\
             [[customer]]\nid = \"contoso\"\nname = \"Contoso\"\njit = true\n\
             companies = [{{ connection = \"cw\", ids = [\"{company}\"] }}]\n\
             directory = \"contoso\"\ndomain = \"contoso.onmicrosoft.com\"\n\n\
             [[person]]\nid = \"jane\"\nname = \"Jane\"\nrole = \"owner\"\nmail = \"jane@msp.example\"\ncustomers = \"all\"\n\
             members = [{{ connection = \"cw\", ids = [\"176\"] }}]\n\n\
             [[person]]\nid = \"mark\"\nname = \"Mark\"\ncustomers = [\"contoso\"]\n",
            psa_records(&sim, &api.public_key, &ca),
            entra.base_url(),
            entra.authority(),
        );
        let records = place.write("records.toml", &records);
        place.type_in(&["records", "load", &records], io::empty()).await.ok();
        place.type_in(&["secret", "set", "cw/private-key"], Cursor::new(api.private_key.clone())).await.ok();
        place.type_in(&["secret", "set", "contoso/client-secret"], Cursor::new("app-secret\n")).await.ok();
        Self { place, psa, board, new, requested, active, field, company, entra, _psa: sim }
    }

    /// A rulebook in which everything lives.
    pub(super) fn text(&self) -> String {
        let Self { board, requested, active, field, .. } = self;
        format!(
            "[[technician_group]]\nid = \"technicians\"\nname = \"Technicians\"\nmembers = \"all\"\n\n\
             [[policy]]\nid = \"reader\"\nname = \"Directory reader\"\nsource = \"entra\"\nmode = \"standard\"\n\
             entitlements = [\"role:{READER}\"]\ntechnicians = [\"technicians\"]\nlengths = [\"1h\", \"4h\"]\n\
             max_length = \"8h\"\ndelivery = \"claim-link\"\n\n\
             [[mapping]]\nid = \"desk\"\nconnection = \"cw\"\nboards = [\"{board}\"]\n\
             trigger_statuses = [\"{requested}\"]\npolicy = \"reader\"\nlength_field = \"{field}\"\n\
             statuses = {{ granted = \"{active}\" }}\n"
        )
    }

    /// A file with that rulebook, changed.
    pub(super) fn file(&self, changes: &[(&str, &str)]) -> String {
        let mut text = self.text();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        self.place.write("rulebook.toml", &text)
    }

    pub(super) async fn import(&self, changes: &[(&str, &str)]) -> Typed {
        let file = self.file(changes);
        self.type_in(&["--yes", "rulebook", "import", &file, "--reason", "as agreed"]).await
    }

    pub(super) async fn type_in(&self, words: &[&str]) -> Typed {
        self.place.type_in(words, io::empty()).await
    }

    pub(super) fn ticket(&self) -> String {
        let new = NewTicket::new("Mailbox\u{1b}[2J migration", self.board, self.company).status(self.new);
        format!("cw/{}", self.psa.add_ticket(new).unwrap())
    }

    pub(super) async fn with_store<T>(&self, act: impl AsyncFnOnce(&dyn Store) -> T) -> T {
        let desk = Desk::open(&self.place.0.path().join("latchkey.toml")).await.unwrap();
        let done = act(&*desk.store).await;
        desk.close().await;
        done
    }

    pub(super) async fn revision(&self) -> i64 {
        self.with_store(async |store| store.revision().await.unwrap()).await
    }

    /// A decision as the intake keeps it: Jane asked for four hours.
    async fn decided(&self) {
        let request = Request {
            ticket: "cw/4711".split_once('/').map(ticket_ref).unwrap(),
            mapping: "desk".parse().unwrap(),
            asked_at: Timestamp::from_millis(1_780_000_000_000),
            decided_at: Timestamp::from_millis(1_780_000_000_000),
            is_closed: false,
            company: Some(self.company.to_string().parse().unwrap()),
            customer: Some("contoso".parse().unwrap()),
            actor: Ok(Actor {
                name: "jdoe".into(),
                member: Some("176".parse().unwrap()),
                is_active: true,
                is_human: true,
                person: Some("jane".parse().unwrap()),
            }),
            is_by_automation: false,
            policy_field: None,
            length_field: Some("4 hours".into()),
            reason_field: None,
            user_name_field: None,
            reason: "migration".into(),
        };
        let detail = json!({ "request": request, "living": Living::default(), "refusal": null });
        let entry = AuditEntry::new(Code::RequestGranted, request.decided_at, By::Service, detail);
        let transition = Transition { audit: vec![entry], ..Transition::new(CommitName::Decided, request.decided_at) };
        self.with_store(async |store| store.commit(transition).await.unwrap()).await;
    }
}

fn ticket_ref((connection, ticket): (&str, &str)) -> latchkey_contract::TicketRef {
    latchkey_contract::TicketRef { connection: connection.parse().unwrap(), ticket: ticket.parse().unwrap() }
}

pub(super) fn has(typed: &str, lines: &[&str]) {
    for line in lines {
        assert!(typed.contains(line), "{line:?} is not in:\n{typed}");
    }
}

/// F56: what is exported is imported as it is, and any revision can be had.
#[tokio::test]
async fn the_rulebook_goes_out_as_one_file_and_comes_back() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let first = world.revision().await;
    world.import(&[("\"8h\"", "\"4h\"")]).await.ok();
    let shown = world.type_in(&["rulebook", "export"]).await.ok().output;
    has(&shown, &["# What may be given.", "\nmax_length = \"4h\"\n", "\nlengths = [\"1h\", \"4h\"]\n"]);
    let out = world.place.0.path().join("out.toml").to_str().unwrap().to_owned();
    world.type_in(&["rulebook", "export", "--out", &out]).await.ok();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), shown);
    let again = world.type_in(&["--yes", "rulebook", "import", &out, "--reason", "again"]).await.ok();
    assert_eq!(again.output, format!("Nothing to change: revision {} says the same.\n", first + 1));
    let old = world.type_in(&["rulebook", "export", "--revision", &first.to_string()]).await.ok().output;
    has(&old, &["\nmax_length = \"8h\"\n", &format!("as at revision {first}.")]);
    let none = world.type_in(&["rulebook", "export", "--revision", "999"]).await.refused();
    assert!(none.contains("there is no revision 999"), "{none}");
    let before = world.type_in(&["rulebook", "export", "--revision", "0"]).await.refused();
    assert!(before.contains("there is no revision 0"), "{before}");
}

/// F56: a file with faults is refused with the path of each; what is only dead, dangerous or privileged is told, and passes.
#[tokio::test]
async fn a_file_is_checked_by_itself_by_the_records_and_by_the_vendors() {
    let world = World::new().await;
    let check = async |changes: &[(&str, &str)]| {
        let file = world.file(changes);
        world.type_in(&["rulebook", "check", &file]).await
    };
    let fine = check(&[]).await.ok().output;
    assert_eq!(fine, "No faults. Policies: 1, mappings: 1, things to know: 0.\n");
    let faults =
        check(&[("max_length = \"8h\"", "max_length = \"2h\""), ("policy = \"reader\"", "policy = \"gone\"")]).await;
    has(&faults.refused(), &["policy.reader.lengths: 4h is above", "mapping.desk.policy: there is no policy gone"]);

    let board = format!("boards = [\"{}\"]", world.board);
    let dead =
        check(&[(READER, "00000000-0000-4000-8000-00000000dead"), (&board, "boards = [\"999\"]")]).await.ok().output;
    has(
        &dead,
        &[
            "inert\tpolicy.reader.entitlements\trole:00000000-0000-4000-8000-00000000dead is in no directory",
            "inert\tmapping.desk.boards\tnone of its boards",
            "warning\tmapping.desk.boards\tthe PSA cw lists no board 999",
        ],
    );
    let group = world.entra.add_group(TENANT, GroupSeed { display_name: "Servers".into(), ..Default::default() });
    let loud = format!("\"role:{GLOBAL}\", \"group:{group}\"");
    let loud = check(&[(&format!("\"role:{READER}\""), &loud)]).await.ok().output;
    assert!(loud.starts_with("DANGER\tpolicy.reader.entitlements\t"), "{loud}");
    has(&loud, &["(Global Administrator) is privileged\n"]);

    world.entra.rotate_secret(APP, "another");
    let silent = check(&[]).await.ok().output;
    has(&silent, &["not asked\tcontoso could not be asked", "No faults. Policies: 1, mappings: 1, things to know: 1."]);
    assert_eq!(world.revision().await, 3, "nothing was saved");
}

#[tokio::test]
async fn a_diff_is_by_path_against_what_is_in_force_or_was() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let first = world.revision().await.to_string();
    world.import(&[("\"8h\"", "\"4h\"")]).await.ok();
    let file = world.file(&[("\"8h\"", "\"5h\"")]);
    assert_eq!(world.type_in(&["rulebook", "diff", &file]).await.ok().output, "policy.reader.max_length: 4h → 5h\n");
    let old = world.type_in(&["rulebook", "diff", &file, "--revision", &first]).await.ok().output;
    assert_eq!(old, "policy.reader.max_length: 8h → 5h\n");
    let same = world.file(&[("\"8h\"", "\"4h\"")]);
    let same = world.type_in(&["rulebook", "diff", &same]).await.ok();
    assert_eq!((same.output.as_str(), same.hints.as_str()), ("", "Nothing differs.\n"));
}

/// F46: before anything is saved it is shown what changes and which of the last decisions would fall otherwise.
#[tokio::test]
async fn an_import_shows_what_it_comes_to_and_asks() {
    let world = World::new().await;
    let first = world.import(&[]).await.ok();
    has(&first.hints, &["What changes:\n", "  + policy.reader\n", "There are no decisions yet"]);
    world.decided().await;
    let before = world.revision().await;
    let narrower = [("[\"1h\", \"4h\"]", "[\"1h\", \"2h\"]\ndefault_length = \"1h\""), ("\"8h\"", "\"2h\"")];
    let file = world.file(&narrower);
    let asked = world.type_in(&["rulebook", "import", &file, "--reason", "shorter"]).await;
    has(
        &asked.hints,
        &[
            "  policy.reader.max_length: 8h → 2h\n",
            "  policy.reader.lengths: - 4h\n",
            "Of the last 1 decisions 1 would fall otherwise:\n",
            "  cw/4711\tjane\t2026-05-28 20:26 UTC\tgranted 4h by policy reader, limited by policy reader → refused \
             length-not-allowed by policy reader\n",
            "Shall this be in force from now on?\n",
        ],
    );
    assert!(asked.refused().contains("--yes"));
    assert_eq!(world.revision().await, before, "nobody agreed");
    let blank = world.type_in(&["--yes", "rulebook", "import", &file, "--reason", " "]).await.refused();
    assert!(blank.contains("say why"), "{blank}");
    let done = world.type_in(&["--yes", "rulebook", "import", &file, "--reason", "shorter\nfor all"]).await.ok();
    assert_eq!(done.output, format!("Revision {} is in force. Policies: 1, mappings: 1.\n", before + 1));
    let listed = world.type_in(&["rulebook", "history"]).await.ok().output;
    has(&listed, &["\tshorter for all\n  policy.reader.lengths: - 4h\n"]);
    let renamed = [narrower[0], narrower[1], ("Directory reader", "Reader")];
    has(&world.import(&renamed).await.ok().hints, &["Of the last 1 decisions none would fall otherwise.\n"]);
}

/// Somebody at a real terminal, who does something else before they answer.
struct Sitting<F> {
    meanwhile: Option<F>,
    hints: Screen,
}

impl<F: FnOnce() + Send> Ends for Sitting<F> {
    fn is_interactive(&self) -> bool {
        true
    }
    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.hint(line)
    }
    fn hint(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(io::Write::write_all(&mut self.hints, format!("{line}\n").as_bytes())?)
    }
    fn ask(&mut self, _: &str) -> anyhow::Result<Hidden<String>> {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        Ok(Hidden::new("yes".to_owned()))
    }
    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Hidden<String>> {
        self.ask(prompt)
    }
    fn rest(&mut self) -> anyhow::Result<Hidden<String>> {
        Ok(Hidden::new(String::new()))
    }
    fn read_file(&mut self, path: &Path, _: u64) -> anyhow::Result<Vec<u8>> {
        Ok(std::fs::read(path)?)
    }
    fn write_file(&mut self, _: &Path, _: &[u8], _: Overwrite) -> anyhow::Result<()> {
        anyhow::bail!("nothing is written here")
    }
    fn append_file(&mut self, _: &Path, _: &[u8], _: Piece) -> anyhow::Result<()> {
        anyhow::bail!("nothing is written here")
    }
}

/// Imports while something else happens between the question and the answer.
async fn import_while(
    world: &World,
    changes: &[(&str, &str)],
    meanwhile: impl AsyncFnOnce(&dyn Store) + Send + 'static,
) -> (Result<(), String>, String) {
    let desk = Desk::open(&world.place.0.path().join("latchkey.toml")).await.unwrap();
    let file = world.file(changes);
    let (store, hints) = (Arc::clone(&desk.store), Screen::default());
    let meanwhile = move || {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(async { meanwhile(&*store).await }));
    };
    let mut terminal = Terminal::over(Box::new(Sitting { meanwhile: Some(meanwhile), hints: hints.clone() }));
    let cli = Cli::try_parse_from(["latchkey", "rulebook", "import", &file, "--reason", "mine"]).unwrap();
    let done = at_the_desk(cli.command, &desk, &mut terminal).await.map_err(|error| format!("{error:#}"));
    desk.close().await;
    (done, hints.text())
}

/// F56: of two imports at once the second is told of the first, and sees its own change anew against it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_imports_at_once_nothing_is_lost() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let theirs = async |store: &dyn Store| {
        let mut rules = store.rules().await.unwrap();
        rules.rulebook.policies[0].name = "Theirs".into();
        store.save_rules(&rules, "them", "renamed", Timestamp::from_millis(1)).await.unwrap();
    };
    let (done, _) = import_while(&world, &[("\"8h\"", "\"4h\"")], theirs).await;
    let told = done.unwrap_err();
    has(&told, &["somebody else saved revision 5 (them: renamed) meanwhile", "nothing was changed", "again"]);
    assert_eq!(world.revision().await, 5);
    let file = world.file(&[("\"8h\"", "\"4h\"")]);
    let anew = world.type_in(&["rulebook", "diff", &file]).await.ok().output;
    has(&anew, &["policy.reader.name: Theirs → \"Directory reader\"", "policy.reader.max_length: 8h → 4h"]);
}

/// F56, F128: a hold that is set while an import is looked at stops nobody, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_set_meanwhile_neither_stops_an_import_nor_is_lost() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let block = async |store: &dyn Store| assert!(store.set_hold(&blocked("jane")).await.is_ok());
    let (done, said) = import_while(&world, &[("\"8h\"", "\"4h\"")], block).await;
    done.unwrap();
    has(&said, &["Revision 6 is in force"]);
    let rules = world.with_store(async |store| store.rules().await.unwrap()).await;
    assert_eq!((rules.rulebook.policies[0].max_length.to_string().as_str(), rules.holds.len()), ("4h", 1));
}

fn blocked(person: &str) -> Hold {
    Hold {
        on: HoldOn::Person(person.parse().unwrap()),
        cause: HoldCause::Blocked,
        since: Timestamp::from_millis(1_790_000_000_000),
        by: "admin".into(),
        reason: "left".into(),
    }
}

/// F31, F56: an earlier rulebook comes back as a new revision; records and holds stay, so nobody is unblocked by it.
#[tokio::test]
async fn a_roll_back_is_a_new_revision_and_unblocks_nobody() {
    let world = World::new().await;
    world.import(&[]).await.ok();
    let first = world.revision().await;
    world.import(&[("\"8h\"", "\"4h\""), ("Directory reader", "Reader")]).await.ok();
    world.with_store(async |store| store.set_hold(&blocked("jane")).await.unwrap()).await;
    let to = first.to_string();
    let asked = world.type_in(&["rulebook", "rollback", &to, "--reason", "too short"]).await;
    has(&asked.hints, &["  policy.reader.max_length: 4h → 8h\n", "Shall this be in force"]);
    asked.refused();
    world.type_in(&["--yes", "rulebook", "rollback", &to, "--reason", "too short"]).await.ok();
    let rules = world.with_store(async |store| store.rules().await.unwrap()).await;
    assert_eq!(rules.rulebook.policies[0].max_length.to_string(), "8h");
    assert_eq!((rules.holds, rules.records.people.len()), (vec![blocked("jane")], 2));
    let ticket = world.ticket();
    let refused = world.type_in(&["rulebook", "what-if", "--ticket", &ticket, "--as", "jane"]).await.ok().output;
    has(&refused, &["code\tperson-blocked\n"]);
    let listed = world.type_in(&["rulebook", "history"]).await.ok().output;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].ends_with(&format!("\tback to revision {first}: too short")), "{listed}");
    assert!(lines[0].starts_with(&format!("{}\t", first + 3)) && lines[1].starts_with("  policy.reader."), "{listed}");
    let one = world.type_in(&["rulebook", "history", "--limit", "1"]).await.ok().output;
    assert_eq!(one.lines().filter(|line| !line.starts_with(' ')).count(), 1);
    let none = world.type_in(&["--yes", "rulebook", "rollback", "77", "--reason", "x"]).await.refused();
    assert!(none.contains("there is no revision 77"), "{none}");
}
