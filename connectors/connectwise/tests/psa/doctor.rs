//! The doctor's lines: whatever breaks turns its own line red, and no other.

use std::collections::BTreeSet;

use latchkey_contract::{Check, FieldId, SourceId, TicketSystem as _, TypeId, Verdict, ticket::WantedChecks};
use latchkey_simulators::{
    connectwise::{Level, MySecurity, Verb},
    fault::{Act, Fault},
};
use serde_json::{Value, json};

use crate::world::{World, board_id, hook_url, status_id, wanted};

/// An instance that is set up as the README says, and what the rules want of it.
struct Clinic {
    w: World,
    kind: i64,
    source: i64,
    hook: i64,
    want: WantedChecks,
}

impl Clinic {
    async fn open() -> Self {
        let w = World::start().await;
        let (kind, source) = (w.msp.add_type(w.board, "Access"), w.msp.add_source("Phone"));
        w.ticket();
        let boards = [board_id(w.board), board_id(w.other_board)];
        w.cw.sync_webhooks(&wanted(&hook_url("s3cret"), &boards)).await.unwrap();
        let want = WantedChecks {
            boards: BTreeSet::from(boards),
            statuses: [w.requested, w.triage].map(status_id).into(),
            types: [TypeId::parse(kind.to_string()).unwrap()].into(),
            sources: [SourceId::parse(source.to_string()).unwrap()].into(),
            fields: [FieldId::parse(w.duration.to_string()).unwrap()].into(),
            hook: Some(hook_url("s3cret")),
        };
        let hook = w.msp.callbacks()[0]["id"].as_i64().unwrap();
        Self { w, kind, source, hook, want }
    }

    async fn lines(&self) -> Vec<Check> {
        self.w.restarted().checks(&self.want).await
    }
}

fn red(lines: &[Check]) -> Vec<&str> {
    lines.iter().filter(|line| line.is_red()).map(|line| line.what.as_str()).collect()
}

fn text<'l>(lines: &'l [Check], what: &str) -> &'l str {
    lines.iter().find(|line| line.what == what).map_or("", |line| line.verdict.text())
}

fn refused(op: &'static str) -> Fault {
    Fault::on(op, Act::Answer { status: 403, retry_after: None, body: json!({"code": "Forbidden", "message": "no"}) })
}

/// F6 F9
#[tokio::test]
async fn an_instance_that_is_set_up_has_no_red_line() {
    let clinic = Clinic::open().await;
    let writes = |w: &World| w.sim.faults().calls().iter().filter(|call| call.method != "GET").count();
    let before = writes(&clinic.w);
    let lines = clinic.lines().await;
    let whats: Vec<&str> = lines.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "site",
            "sign-in",
            "clock",
            "API member",
            "right: Service Tickets, inquire",
            "right: Service Tickets, add",
            "right: Service Tickets, edit",
            "right: Service Tickets, delete",
            "right: Company Maintenance, inquire",
            "right: Member Maintenance, inquire",
            "right: Table Setup, inquire",
            "right: Table Setup, add",
            "right: Table Setup, edit",
            "right: Table Setup, delete",
            "audit trail of tickets",
            "callback of board 63",
            "callback of board 64",
            "other callbacks at our address",
            "board 63",
            "board 64",
            "status 513",
            "status 515",
            "type 7",
            "source 2",
            "field 59",
        ]
    );
    assert!(lines.iter().all(|line| matches!(line.verdict, Verdict::Ok(_))), "{lines:#?}");
    assert_eq!(writes(&clinic.w), before, "nothing is changed by looking");
    assert!(!format!("{lines:?}{:?}", clinic.want).contains("s3cret"));
}

type Break = fn(&Clinic);

/// F9
#[tokio::test]
async fn whatever_breaks_turns_its_own_line_red() {
    let breaks: [(&str, &str, Break); 35] = [
        ("clock", "timedatectl", |c| c.w.sim.behave(|b| b.date_off_s = 121)),
        ("clock", "ahead", |c| c.w.sim.behave(|b| b.date_off_s = -300)),
        ("API member", "api_member", |c| drop(c.w.sim.faults().add(refused("GET /system/mymembers")))),
        ("right: Service Tickets, add", "Service Desk > Service Tickets, Add", |c| {
            c.w.msp.set_right("Service Tickets", Verb::Add, Level::None);
        }),
        ("right: Service Tickets, edit", "says My", |c| c.w.msp.set_right("Service Tickets", Verb::Edit, Level::My)),
        ("right: Service Tickets, delete", "taken back", |c| {
            c.w.msp.set_right("Service Tickets", Verb::Delete, Level::None);
        }),
        ("right: Service Tickets, inquire", "only My", |c| {
            c.w.msp.set_right("Service Tickets", Verb::Inquire, Level::My);
        }),
        ("right: Service Tickets, inquire", "no ticket can be read", |c| {
            c.w.msp.set_right("Service Tickets", Verb::Inquire, Level::None);
        }),
        ("right: Company Maintenance, inquire", "Companies > Company Maintenance", |c| {
            c.w.msp.set_right("Company Maintenance", Verb::Inquire, Level::None);
        }),
        ("right: Member Maintenance, inquire", "System > Member Maintenance", |c| {
            c.w.msp.set_right("Member Maintenance", Verb::Inquire, Level::None);
        }),
        ("right: Table Setup, inquire", "boards, callbacks, custom fields, sources", |c| {
            c.w.msp.set_right("Table Setup", Verb::Inquire, Level::None);
        }),
        ("right: Table Setup, inquire", "refused for callbacks,", |c| {
            c.w.sim.faults().add(refused("GET /system/callbacks"));
        }),
        ("right: Table Setup, inquire", "refused for statuses,", |c| {
            c.w.sim.faults().add(refused("GET /service/boards/{id}/statuses"));
        }),
        ("right: Table Setup, inquire", "refused for types,", |c| {
            c.w.sim.faults().add(refused("GET /service/boards/{id}/types"));
        }),
        ("right: Table Setup, inquire", "refused for sources,", |c| {
            c.w.sim.faults().add(refused("GET /service/sources"));
        }),
        ("right: Table Setup, inquire", "refused for custom fields,", |c| {
            c.w.sim.faults().add(refused("GET /system/userDefinedFields"));
        }),
        ("right: Table Setup, add", "registered", |c| c.w.msp.set_right("Table Setup", Verb::Add, Level::None)),
        ("right: Table Setup, edit", "moved", |c| c.w.msp.set_right("Table Setup", Verb::Edit, Level::None)),
        ("right: Table Setup, delete", "removed", |c| c.w.msp.set_right("Table Setup", Verb::Delete, Level::None)),
        ("audit trail of tickets", "Security Roles", |c| drop(c.w.sim.faults().add(refused("GET /system/audittrail")))),
        ("callback of board 63", "switched off", |c| c.w.msp.set_callback_inactive(c.hook, true)),
        ("callback of board 63", "there is none", |c| c.w.msp.remove_callback(c.hook)),
        ("callback of board 63", "older path secret", |c| {
            c.w.msp.set_callback_url(c.hook, "https://localhost:1/hooks/cw/older?recordId=");
        }),
        ("callback of board 63", "there is none", |c| {
            c.w.msp.set_callback_url(c.hook, "https://elsewhere.example/hooks/cw/s3cret?recordId=");
        }),
        ("other callbacks at our address", "latchkey webhook sync cw", |c| {
            c.w.msp.add_callback_for_all("https://localhost:1/hooks/cw/s3cret?recordId=");
        }),
        ("board 63", "Service Board", |c| c.w.msp.set_board_inactive(c.w.board, true)),
        ("board 64", "is not there", |c| c.w.msp.remove_board(c.w.other_board)),
        ("status 513", "switched off", |c| c.w.msp.set_status_inactive(c.w.requested, true)),
        ("status 513", "Statuses", |c| c.w.msp.remove_status(c.w.requested)),
        ("type 7", "switched off", |c| c.w.msp.set_type_inactive(c.kind, true)),
        ("type 7", "Types", |c| c.w.msp.remove_type(c.kind)),
        ("source 2", "Source", |c| c.w.msp.remove_source(c.source)),
        ("field 59", "Custom Fields", |c| c.w.msp.remove_field(c.w.duration)),
        ("right: Company Maintenance, inquire", "try again", |c| {
            let down = Act::Answer { status: 500, retry_after: None, body: Value::Null };
            c.w.sim.faults().add(Fault::on("GET /company/companies", down));
        }),
        ("right: Table Setup, inquire", "could not be read", |c| {
            c.w.sim.faults().add(Fault::on("GET /system/userDefinedFields", Act::Garbage));
        }),
    ];
    for (what, to_do, break_it) in breaks {
        let clinic = Clinic::open().await;
        break_it(&clinic);
        let lines = clinic.lines().await;
        assert_eq!(red(&lines), [what], "{to_do}: {lines:#?}");
        assert!(text(&lines, what).contains(to_do), "{what} says {:?}, not {to_do:?}", text(&lines, what));
        assert!(!format!("{lines:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn without_the_site_or_the_keys_only_they_are_red() {
    let clinic = Clinic::open().await;
    let unknown = clinic.w.with(|s| s.company = "nosuchmsp".into()).checks(&clinic.want).await;
    assert_eq!((red(&unknown), unknown.len()), (vec!["site"], 1), "{unknown:?}");
    let wrong = clinic.w.with(|s| s.public_key = "nobody".into()).checks(&clinic.want).await;
    assert_eq!(red(&wrong), ["sign-in"], "{wrong:?}");
    assert!(text(&wrong, "sign-in").contains("latchkey secret set cw/private-key"));
    assert_eq!(wrong.last().unwrap().what, "clock", "a refusal carries the vendor's clock, too");

    let down = Act::Answer { status: 503, retry_after: None, body: Value::Null };
    clinic.w.sim.faults().add(Fault::on("GET /login/companyinfo/{company}", down));
    assert_eq!(red(&clinic.lines().await), ["site"], "the alias still works");
    clinic.w.sim.faults().clear();
    clinic.w.sim.faults().add(Fault::always(Act::ResetBefore));
    assert_eq!(red(&clinic.lines().await), ["site", "sign-in"]);
}

#[tokio::test]
async fn what_the_psa_does_not_tell_is_said_to_be_unseen() {
    for silent in [MySecurity::Forbidden, MySecurity::Unknown] {
        let clinic = Clinic::open().await;
        clinic.w.sim.behave(|b| b.my_security = silent);
        // Even where the right is missing: reading does not show it, and the line does not pretend to.
        clinic.w.msp.set_right("Service Tickets", Verb::Add, Level::None);
        let lines = clinic.lines().await;
        assert_eq!(red(&lines), [""; 0], "{lines:#?}");
        let notes: Vec<&Check> = lines.iter().filter(|l| matches!(l.verdict, Verdict::Note(_))).collect();
        assert_eq!(notes.len(), 6, "{notes:#?}");
        assert!(notes.iter().all(|l| l.verdict.text().contains("cannot be seen by reading")));
        assert!(notes.iter().all(|l| l.what.starts_with("right: ") && !l.what.contains("inquire")));
    }
}

#[tokio::test]
async fn closing_a_ticket_needs_a_right_of_its_own_where_a_mapping_closes() {
    let mut clinic = Clinic::open().await;
    clinic.w.msp.set_right("Close Service Tickets", Verb::Edit, Level::None);
    assert_eq!(red(&clinic.lines().await), [""; 0]);
    clinic.want.statuses.insert(status_id(clinic.w.closed));
    let lines = clinic.lines().await;
    assert_eq!(red(&lines), ["right: Close Service Tickets, edit"]);
    assert!(text(&lines, "right: Close Service Tickets, inquire").contains("All"));
}

#[tokio::test]
async fn callbacks_are_judged_by_what_is_wanted() {
    let mut clinic = Clinic::open().await;
    clinic.want.hook = None;
    let lines = clinic.lines().await;
    assert_eq!(red(&lines), ["callbacks"]);
    assert!(text(&lines, "callbacks").contains("latchkey webhook sync cw"));
    let nothing = clinic.w.cw.checks(&WantedChecks::default()).await;
    assert_eq!(red(&nothing), [""; 0]);
    assert!(matches!(nothing.last().unwrap().verdict, Verdict::Note(_)), "{nothing:#?}");

    // Of our name, but at another address: perhaps another installation's. Told, and not called broken.
    clinic.want.hook = Some(hook_url("s3cret"));
    let moved = "https://old.example/hooks/cw/0lder-secret".parse().unwrap();
    clinic.w.cw.sync_webhooks(&wanted(&moved, &[board_id(clinic.w.board)])).await.unwrap();
    let lines = clinic.lines().await;
    assert_eq!(red(&lines), [""; 0]);
    assert!(text(&lines, "callbacks at other addresses").contains("old.example/hooks/cw/:"), "{lines:#?}");
    assert!(!format!("{lines:?}").contains("0lder-secret"));
    // A rotation that was not finished: the old ones are named, until they are moved.
    clinic.want.hook = Some(hook_url("newer"));
    assert_eq!(red(&clinic.lines().await), ["callback of board 63", "callback of board 64"]);
    clinic.w.cw.sync_webhooks(&wanted(&hook_url("newer"), &[board_id(63), board_id(64)])).await.unwrap();
    assert_eq!(red(&clinic.lines().await), [""; 0]);
}

#[tokio::test]
async fn a_name_in_the_settings_is_compared_with_the_keys() {
    let clinic = Clinic::open().await;
    let with = async |name: &str| clinic.w.with(|s| s.api_member = Some(name.into())).checks(&clinic.want).await;
    assert_eq!(red(&with("jitapi").await), [""; 0]);
    assert_eq!(red(&with("Another").await), ["API member"]);
    clinic.w.sim.faults().add(refused("GET /system/mymembers"));
    let lines = with("JitApi").await;
    assert!(red(&lines).is_empty() && text(&lines, "API member").contains("JitApi, as api_member says"));
}

#[tokio::test]
async fn hostile_names_do_not_leave_their_line() {
    let mut clinic = Clinic::open().await;
    let board = clinic.w.msp.add_board("Desk\n\u{1b}[2J\u{202E}evil");
    clinic.want.boards.insert(board_id(board));
    let lines = clinic.lines().await;
    let said = text(&lines, &format!("board {board}")).to_owned();
    assert!(said.contains("Desk") && !said.contains(['\n', '\u{1b}', '\u{202E}']), "{said:?}");
}
