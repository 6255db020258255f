//! A rule that names something dead is told, with its path; the rest is not.

use latchkey_contract::{
    directory::Entitlement,
    ticket::{Board, Catalogue, Field, Status, TicketSource, TicketType},
};

use super::*;

const RECORDS: &str = r#"
[[connection]]
id = "cw"
kind = "connectwise"
site = "https://na.myconnectwise.net"
company = "examplemsp"
client_id = "6b1f0c3e-0000-4000-8000-000000000001"
public_key = "public"

[[connection]]
id = "contoso"
kind = "entra"
tenant = "11111111-2222-4333-8444-555555555555"
client_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
credential = "secret"

[[connection]]
id = "fabrikam"
kind = "entra"
tenant = "21111111-2222-4333-8444-555555555555"
client_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
credential = "secret"

[[customer]]
id = "contoso"
name = "Contoso"
jit = true
directory = "contoso"
domain = "contoso.example"

[[customer]]
id = "fabrikam"
name = "Fabrikam"
jit = true
directory = "fabrikam"
domain = "fabrikam.example"

[[person]]
id = "jane"
name = "Jane"
customers = ["contoso"]
mail = "jane@msp.example"
role = "owner"

[[person]]
id = "mark"
name = "Mark"
customers = "all"
"#;

const RULEBOOK: &str = r#"
[[technician_group]]
id = "desk"
name = "Desk"
members = ["mark"]

[[customer_group]]
id = "big"
name = "Big"
customers = ["contoso", "fabrikam"]

[[policy]]
id = "reader"
name = "Reader"
source = "entra"
mode = "standard"
entitlements = ["role:reader"]
technicians = ["desk"]
customers = ["big"]
lengths = ["1h", "4h"]
max_length = "8h"
delivery = "claim-link"

[[mapping]]
id = "desk"
connection = "cw"
boards = ["1"]
types = ["11"]
sources = ["21"]
trigger_statuses = ["101"]
policy = "reader"
policy_field = "31"
policies = ["reader"]
length_field = "32"
statuses = { granted = "102", refused = "103", ended = "104" }
"#;

fn catalogues() -> Catalogues {
    let status = |id: &str, name: &str, is_closing| Status {
        id: id.parse().unwrap(),
        name: name.into(),
        is_closing,
        is_active: true,
    };
    let field = |id: &str, name: &str, options: &[&str]| Field {
        id: id.parse().unwrap(),
        name: name.into(),
        options: options.iter().map(|&o| o.to_owned()).collect(),
    };
    let psa = Catalogue {
        board_noun: "board".into(),
        boards: vec![Board {
            id: "1".parse().unwrap(),
            name: "Help\u{1b}[2J Desk".into(),
            is_active: true,
            statuses: vec![
                status("101", "JIT Requested", false),
                status("102", "JIT Active", false),
                status("103", "JIT Refused", false),
                status("104", ">Closed", true),
            ],
            types: vec![TicketType { id: "11".parse().unwrap(), name: "Incident".into(), is_active: true }],
        }],
        fields: vec![field("31", "Access", &["Reader"]), field("32", "Length", &["1 hour"])],
        sources: vec![TicketSource { id: "21".parse().unwrap(), name: "Phone".into() }],
        ..Catalogue::default()
    };
    let reader =
        Entitlement { id: "role:reader".to_owned().try_into().unwrap(), name: "Reader".into(), is_privileged: false };
    let tenant = |id: &str| (id.parse().unwrap(), vec![reader.clone()]);
    Catalogues {
        psas: [("cw".parse().unwrap(), psa)].into(),
        directories: [tenant("contoso"), tenant("fabrikam")].into(),
    }
}

struct Case {
    book: String,
    records: String,
    catalogues: Catalogues,
}

impl Case {
    fn new() -> Self {
        Self { book: RULEBOOK.into(), records: RECORDS.into(), catalogues: catalogues() }
    }

    fn book(mut self, from: &str, to: &str) -> Self {
        assert!(self.book.contains(from), "{from}");
        self.book = self.book.replacen(from, to, 1);
        self
    }

    fn records(mut self, from: &str, to: &str) -> Self {
        assert!(self.records.contains(from), "{from}");
        self.records = self.records.replacen(from, to, 1);
        self
    }

    fn listed(mut self, change: impl FnOnce(&mut Catalogues)) -> Self {
        change(&mut self.catalogues);
        self
    }

    fn psa(self, change: impl FnOnce(&mut Catalogue)) -> Self {
        self.listed(|all| change(all.psas.values_mut().next().unwrap()))
    }

    fn said(&self) -> Vec<String> {
        let book = Rulebook::parse(&self.book).unwrap();
        let records = Records::parse(&self.records).unwrap();
        book.warnings(&records, &self.catalogues).iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_board_is_called_what_its_psa_calls_it() {
    let queues = || Case::new().psa(|c| c.board_noun = "queue".into());
    let said = [
        queues().book("boards = [\"1\"]", "boards = [\"9\"]").said(),
        queues().psa(|c| c.boards[0].is_active = false).said(),
        queues().book("trigger_statuses = [\"101\"]", "trigger_statuses = [\"999\"]").said(),
        queues().book("granted = \"102\"", "granted = \"7\"").said(),
    ]
    .concat();
    assert!(said.iter().any(|line| line.contains("lists no queue 9")), "{said:?}");
    assert!(said.len() > 4, "{said:?}");
    assert!(said.iter().all(|line| !line.split('\t').next_back().unwrap().contains("board")), "{said:?}");
}

#[test]
fn a_rulebook_that_lives_is_not_talked_about() {
    assert_eq!(Case::new().said(), Vec::<String>::new());
}

/// F12, F35, F36, F42: every reference that died is named with its path, and whether its rule does nothing.
#[test]
fn every_dead_reference_is_named_with_its_path() {
    let table: Vec<(Case, &[&str])> = vec![
        (Case::new().book("connection = \"cw\"", "connection = \"old\""), &["inert\tmapping.desk.connection\t"]),
        (Case::new().book("connection = \"cw\"", "connection = \"contoso\""), &["inert\tmapping.desk.connection\t"]),
        (
            Case::new().book("boards = [\"1\"]", "boards = [\"9\"]"),
            &["inert\tmapping.desk.boards\t", "warning\tmapping.desk.boards\tthe PSA cw lists no board 9"],
        ),
        (Case::new().psa(|c| c.boards[0].is_active = false), &["inert\tmapping.desk.boards\t", "warning\tmapping.desk.boards\tboard 1 (Help [2J Desk) is inactive"]),
        (
            Case::new().book("trigger_statuses = [\"101\"]", "trigger_statuses = [\"999\"]"),
            &["inert\tmapping.desk.trigger_statuses\t", "warning\tmapping.desk.trigger_statuses\tnone of its boards has a status 999"],
        ),
        (
            Case::new().psa(|c| c.boards[0].statuses[0].is_closing = true),
            &["inert\tmapping.desk.trigger_statuses\t", "closes the ticket"],
        ),
        (Case::new().psa(|c| c.boards[0].statuses[0].is_active = false), &["inert\tmapping.desk.trigger_statuses\t"]),
        (Case::new().book("granted = \"102\"", "granted = \"7\""), &["warning\tmapping.desk.statuses.granted\t"]),
        (
            Case::new().psa(|c| c.boards[0].statuses[1].is_closing = true),
            &["warning\tmapping.desk.statuses.granted\t", "a closed ticket ends its access"],
        ),
        (
            Case::new().psa(|c| c.boards[0].statuses[2].is_closing = true),
            &["warning\tmapping.desk.statuses.refused\t", "ends whatever else the ticket has"],
        ),
        (Case::new().psa(|c| c.boards[0].statuses[3].is_active = false), &["warning\tmapping.desk.statuses.ended\t"]),
        (Case::new().book("types = [\"11\"]", "types = [\"12\"]"), &["inert\tmapping.desk.types\t", "has a ticket type 12"]),
        (Case::new().psa(|c| c.sources[0].id = "22".parse().unwrap()), &["inert\tmapping.desk.sources\t", "no ticket source 21"]),
        (Case::new().psa(|c| c.sources.clear()), &["note\tmapping.desk.sources\t"]),
        (Case::new().psa(|c| drop(c.fields.remove(0))), &["warning\tmapping.desk.policy_field\t"]),
        (Case::new().psa(|c| c.fields[0].options.push("Root".into())), &["warning\tmapping.desk.policy_field\t", "\"Root\""]),
        (Case::new().psa(|c| c.fields[1].options.push("for ever".into())), &["warning\tmapping.desk.length_field\t", "\"for ever\""]),
        (Case::new().book("policy = \"reader\"", "policy = \"reader\"\nmax_length = \"30m\""), &["warning\tmapping.desk.max_length\t"]),
        (
            Case::new().book("members = [\"mark\"]", "members = [\"mark\", \"gone\"]"),
            &["warning\ttechnician_group.desk.members\tthere is no person gone"],
        ),
        (
            Case::new().book("members = [\"mark\"]", "members = [\"gone\"]"),
            &["inert\ttechnician_group.desk.members\t", "inert\tpolicy.reader.technicians\t"],
        ),
        (
            Case::new().book("customers = [\"contoso\", \"fabrikam\"]", "customers = [\"gone\"]"),
            &["inert\tcustomer_group.big.customers\t", "warning\tcustomer_group.big.customers\t", "inert\tpolicy.reader.customers\t"],
        ),
        (
            Case::new().records("customers = \"all\"", "customers = []"),
            &["inert\tpolicy.reader\tnobody who may use it works for a customer"],
        ),
        (
            Case::new().book("technicians = [\"desk\"]\n", "").records("role = \"owner\"", "role = \"auditor\""),
            &["inert\tpolicy.reader.technicians\tit is for owners and admins, and the records have neither", "no owner in the records"],
        ),
        (Case::new().book("policies = [\"reader\"]", "policies = [\"other\"]").book("policy = \"reader\"", "policy = \"other\"").book("[[mapping]]", "[[policy]]\nid = \"other\"\nname = \"Other\"\nsource = \"entra\"\nmode = \"standard\"\nentitlements = [\"role:reader\"]\nlengths = [\"4h\"]\nmax_length = \"8h\"\ndelivery = \"claim-link\"\n\n[[mapping]]"), &["inert\tpolicy.reader\tno mapping names it", "warning\tmapping.desk.policy_field"]),
        (
            Case::new().book("role:reader", "role:dead"),
            &["inert\tpolicy.reader.entitlements\trole:dead is in no directory of its customers"],
        ),
        (
            Case::new().listed(|all| all.directories.get_mut(&"fabrikam".parse().unwrap()).unwrap().clear()),
            &["warning\tpolicy.reader.entitlements\trole:reader is not in fabrikam"],
        ),
        (Case::new().records("mail = \"jane@msp.example\"\n", ""), &["warning\talerts.failed_to_disable.to\tno owner"]),
        (
            Case::new().book("[[technician_group]]", "[alerts]\ngrant_ended = { on = true, to = [\"mark\", \"gone\"] }\n[[technician_group]]"),
            &["alerts.grant_ended.to\tperson mark has no mail address", "alerts.grant_ended.to\tthere is no person gone"],
        ),
    ];
    for (n, (case, wanted)) in table.iter().enumerate() {
        let said = case.said();
        assert!(!said.is_empty(), "case {n}");
        for wanted in *wanted {
            assert!(said.iter().any(|line| line.contains(wanted)), "case {n}: {wanted:?} is not in {said:#?}");
        }
    }
}

#[test]
fn a_field_that_asks_and_is_gone_makes_its_mapping_inert() {
    let by_field = |case: Case| {
        case.book("trigger_statuses = [\"101\"]", "trigger_field = { field = \"33\", values = [\"yes\"] }")
    };
    assert!(by_field(Case::new()).said()[0].starts_with("inert\tmapping.desk.trigger_field\t"));
    let field = |options: &[&str]| Field {
        id: "33".parse().unwrap(),
        name: "JIT".into(),
        options: options.iter().map(|&o| o.to_owned()).collect(),
    };
    let offered = by_field(Case::new()).psa(|c| c.fields.push(field(&["No", "Yes"])));
    assert_eq!(offered.said(), Vec::<String>::new());
    let not_offered = by_field(Case::new()).psa(|c| c.fields.push(field(&["No"])));
    assert!(not_offered.said()[0].starts_with("inert\tmapping.desk.trigger_field.values\t"));
}

/// F12: being moved asks where the PSA tells who moved it; elsewhere such a mapping can only refuse.
#[test]
fn a_board_asks_only_where_the_psa_records_who_moved_a_ticket() {
    let by_board = || Case::new().book("trigger_statuses = [\"101\"]", "trigger_board = true");
    let said = by_board().said();
    assert!(said[0].starts_with("inert\tmapping.desk.trigger_board\tthe PSA cw does not record who moved"), "{said:?}");
    let (before, rest) = RECORDS.split_once("kind = \"connectwise\"").unwrap();
    let (_, after) = rest.split_once("public_key = \"public\"\n").unwrap();
    let autotask =
        "kind = \"autotask\"\nuser = \"jit-api@msp.example\"\nintegration_code = \"ABCDEF1234567890ABCDEF12345\"\n";
    let at_autotask = Case { records: format!("{before}{autotask}{after}"), ..by_board() };
    assert_eq!(at_autotask.said(), Vec::<String>::new());
}

/// F43: three roles reach everything, and are warned about first, whatever could be asked.
#[test]
fn roles_that_reach_everything_are_warned_about_first() {
    let global = "role:62e90394-69f5-4237-9190-012177145e10";
    let case = Case::new().book("role:reader", global).book("boards = [\"1\"]", "boards = [\"9\"]");
    let case = case.listed(|all| all.directories.clear());
    let said = case.said();
    assert!(
        said[0].starts_with(&format!("DANGER\tpolicy.reader.entitlements\t{global}: Global Administrator")),
        "{said:#?}"
    );
}

/// F42: privileged ones are marked by name; a directory that was not asked says nothing.
#[test]
fn privileged_entitlements_are_marked_and_unasked_directories_are_silent() {
    let case = Case::new().listed(|all| {
        all.directories.remove(&"fabrikam".parse().unwrap());
        all.directories.values_mut().for_each(|listed| listed[0].is_privileged = true);
    });
    assert_eq!(case.said(), ["note\tpolicy.reader.entitlements\trole:reader (Reader) is privileged"]);
    let dead = Case::new().book("role:reader", "role:dead").listed(|all| {
        all.directories.remove(&"fabrikam".parse().unwrap());
    });
    assert!(dead.said()[0].starts_with("warning\t"), "the other one may have it: {:?}", dead.said());
}
