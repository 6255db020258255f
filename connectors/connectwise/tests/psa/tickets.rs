//! Tickets, members, the catalogue, and every way in which a call can fail.

use std::time::Duration;

use latchkey_contract::{CallError, FieldId, TicketId, TicketSystem, outside::Urgency};
use latchkey_simulators::{
    connectwise::NewTicket,
    fault::{Act, Fault},
};
use serde_json::{Value, json};

use crate::world::{World, ticket_id};

const READ: &str = "GET /service/tickets/{id}";

#[tokio::test]
async fn a_ticket_is_read_with_its_ids_and_fields() {
    let w = World::start().await;
    let new =
        NewTicket::new("JIT admin", w.board, w.acme).entered_by("jdoe").owner("msmith").field(w.duration, "1 hour");
    let id = w.msp.add_ticket(new).unwrap();
    let ticket = w.cw.read(&ticket_id(id), Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(ticket.company.unwrap().as_str(), w.acme.to_string());
    assert_eq!(ticket.board.unwrap().as_str(), w.board.to_string());
    assert_eq!((ticket.status.unwrap().as_str(), ticket.status_name.as_str()), (&*w.new.to_string(), "New"));
    assert_eq!(ticket.owner.unwrap().as_str(), "177");
    assert_eq!(ticket.fields[&FieldId::parse(w.duration.to_string()).unwrap()], "1 hour");
    assert_eq!(ticket.fields.len(), 1);
    assert_eq!(ticket.updated_by.as_deref(), Some("jdoe"));
    assert!(!ticket.is_closed && ticket.merged_into.is_none() && ticket.updated_at.is_some());
}

#[tokio::test]
async fn closed_and_merged_and_deleted_are_seen() {
    let w = World::start().await;
    let ((one, one_id), (two, two_id)) = (w.ticket(), w.ticket());
    w.msp.acting("jdoe").merge(two, &[one]).unwrap();
    let merged = w.cw.read(&one_id, Urgency::Ordinary).await.unwrap().unwrap();
    assert!(merged.is_closed && merged.merged_into == Some(two_id.clone()));
    w.msp.acting("jdoe").delete(two).unwrap();
    assert!(w.cw.read(&two_id, Urgency::Ordinary).await.unwrap().is_none());
    assert!(w.cw.read(&TicketId::parse("not-a-number").unwrap(), Urgency::Ordinary).await.unwrap().is_none());
}

#[tokio::test]
async fn a_failed_call_says_whether_a_repeat_can_help() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let answer = |status, body: Value| Act::Answer { status, retry_after: None, body };
    let envelope = |code: &str| json!({"code": code, "message": "no\r\nreason"});
    w.cw.read(&id, Urgency::Ordinary).await.unwrap();
    let read = async |act: Act| {
        let fired = w.sim.faults().add(Fault::on(READ, act).once());
        let outcome = w.restarted().read(&id, Urgency::Ordinary).await;
        w.sim.faults().clear();
        assert_eq!(fired.count(), 1);
        outcome.unwrap_err()
    };
    for transient in [
        answer(500, Value::Null),
        answer(500, json!("timeout")),
        answer(502, json!("<html>bad gateway</html>")),
        answer(503, Value::Null),
        answer(400, json!({"code": "X", "message": "Execution Timeout Expired."})),
        Act::ResetBefore,
        Act::ResetAfter,
        Act::throttled(7),
    ] {
        let name = format!("{transient:?}");
        assert!(read(transient).await.is_transient(), "{name}");
    }
    for refused in [401, 403] {
        let error = read(answer(refused, envelope("Security"))).await;
        assert!(matches!(error, CallError::Unauthorized { ref code, .. } if code.contains("Security")), "{error:?}");
    }
    for malformed in [Act::Garbage, Act::Huge] {
        assert!(matches!(read(malformed).await, CallError::Malformed { .. }));
    }
    // A 404 that is not about the record says nothing about the record.
    for unclear in [answer(404, json!("<html>")), answer(404, Value::Null), answer(404, envelope("ConnectWiseApi"))] {
        assert!(read(unclear).await.is_transient());
    }
    assert!(matches!(read(answer(302, Value::Null)).await, CallError::Refused { .. }));
}

#[tokio::test]
async fn a_throttled_connection_waits_as_long_as_it_was_told() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.cw.read(&id, Urgency::Ordinary).await.unwrap();
    w.sim.faults().add(Fault::on(READ, Act::throttled(30)).once());
    assert_eq!(w.cw.read(&id, Urgency::Ordinary).await.unwrap_err().retry_after(), Some(Duration::from_secs(30)));
    let calls = w.calls(READ);
    assert!(w.cw.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient());
    assert_eq!(w.calls(READ), calls);
    w.advance(31);
    assert!(w.cw.read(&id, Urgency::Ordinary).await.unwrap().is_some());
}

#[tokio::test]
async fn wrong_credentials_and_an_unknown_company_are_for_an_operator() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let wrong = w.with(|s| s.public_key = "nobody".into());
    assert!(matches!(wrong.read(&id, Urgency::Ordinary).await, Err(CallError::Unauthorized { .. })));
    let unknown = w.with(|s| s.company = "nosuchmsp".into());
    let error = unknown.read(&id, Urgency::Ordinary).await.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { ref code, .. } if code.contains("company")), "{error:?}");
}

#[tokio::test]
async fn an_upgrade_of_the_cloud_costs_one_more_question() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.cw.read(&id, Urgency::Ordinary).await.unwrap();
    w.advance(1800);
    w.sim.set_codebase("v2025_2/");
    assert!(w.cw.read(&id, Urgency::Ordinary).await.unwrap().is_some());
    assert_eq!(w.calls("GET /login/companyinfo/{company}"), 2);
}

#[tokio::test]
async fn without_an_answer_about_the_release_the_alias_works() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let down = Act::Answer { status: 503, retry_after: None, body: Value::Null };
    w.sim.faults().add(Fault::on("GET /login/companyinfo/{company}", down));
    assert!(w.restarted().read(&id, Urgency::Ordinary).await.unwrap().is_some());
    assert!(w.sim.faults().calls().iter().any(|c| c.op == READ && c.path.starts_with("/v4_6_release/apis/3.0/")));
}

#[tokio::test]
async fn a_member_is_found_by_login_name_whatever_its_case() {
    let w = World::start().await;
    w.msp.add_member(190, "o'brien", "F", true);
    let jdoe = w.cw.member("JDoe").await.unwrap().unwrap();
    assert_eq!((jdoe.id.as_str(), jdoe.name.as_str()), ("176", "jdoe"));
    assert!(jdoe.is_active && jdoe.is_human && jdoe.mail.is_some());
    assert!(!w.cw.member("JitApi").await.unwrap().unwrap().is_human);
    assert!(!w.cw.member("zadmin").await.unwrap().unwrap().is_human);
    assert!(!w.cw.member("o'brien").await.unwrap().unwrap().is_active);
    for nobody in ["nobody", "", "jdoe\" or identifier=\"msmith", "jd%", "x'y\"z", "jdoe\\"] {
        assert_eq!(w.cw.member(nobody).await.unwrap(), None, "{nobody}");
    }
}

#[tokio::test]
async fn the_catalogue_is_whole_however_long_its_lists_are() {
    let w = World::start().await;
    for n in 0..2_100 {
        w.msp.add_member(1_000 + n, &format!("m{n}"), "F", false);
    }
    let gone = w.msp.add_company("GONE", "Gone");
    w.msp.delete_company(gone);
    let catalogue = w.cw.catalogue().await.unwrap();
    assert_eq!(catalogue.members.len(), 2_104);
    assert_eq!(w.calls("GET /system/members"), 3);
    let names: Vec<_> = catalogue.companies.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["ACME Ltd"]);
    let desk = &catalogue.boards[0];
    assert_eq!((desk.name.as_str(), desk.is_active), ("Help Desk", true));
    let statuses: Vec<_> = desk.statuses.iter().map(|s| (s.name.as_str(), s.is_closing)).collect();
    assert_eq!(statuses, [("New", false), ("JIT Requested", false), (">Closed", true)]);
    assert_eq!(
        (catalogue.fields[0].name.as_str(), &*catalogue.fields[0].options),
        ("JIT Duration", &["1 hour".to_owned(), "2 hours".to_owned()][..])
    );
}

#[tokio::test]
async fn the_link_leads_to_the_configured_site() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    assert!(w.cw.link(&id).starts_with(&w.sim.base_url()));
    assert!(w.cw.link(&id).ends_with(&format!("service_recid={id}&companyName=examplemsp")));
}
