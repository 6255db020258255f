//! The security role of API members, the tables a doctor reads, and the clock that answers carry.

use latchkey_simulators::connectwise::{Level, MySecurity, NewTicket, Verb};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_right_that_is_taken_is_refused_and_no_other() {
    let w = World::start().await;
    let id = w.ticket("alpha");
    let ticket = format!("/service/tickets/{id}");
    let note =
        json!({"text": "x", "internalAnalysisFlag": true, "detailDescriptionFlag": false, "resolutionFlag": false});
    w.msp.set_right("Service Tickets", Verb::Add, Level::None);
    let refused = w.post(&format!("{ticket}/notes"), note.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("Forbidden")));
    assert_eq!(w.get(&ticket).await.status, 200);
    w.msp.set_right("Service Tickets", Verb::Add, Level::My);
    assert_eq!(w.post(&format!("{ticket}/notes"), note).await.status, 201);

    for (function, path) in [
        ("Service Tickets", ticket.as_str()),
        ("Company Maintenance", "/company/companies"),
        ("Member Maintenance", "/system/members"),
        ("Table Setup", "/service/boards"),
        ("Table Setup", "/service/sources"),
        ("Table Setup", "/system/callbacks"),
        ("Table Setup", "/system/userDefinedFields"),
    ] {
        assert_eq!(w.get(path).await.status, 200, "{path}");
        w.msp.set_right(function, Verb::Inquire, Level::None);
        assert_eq!(w.get(path).await.status, 403, "{path}");
        w.msp.set_right(function, Verb::Inquire, Level::All);
    }
    // People in the user interface have a role of their own.
    w.msp.set_right("Service Tickets", Verb::Edit, Level::None);
    w.msp.acting("jdoe").set_status(id, w.requested).unwrap();
    assert_eq!(w.patch(&ticket, json!([{"op": "replace", "path": "summary", "value": "y"}])).await.status, 403);
}

#[tokio::test]
async fn a_member_is_told_its_rights_where_the_release_tells_them() {
    let w = World::start().await;
    w.msp.set_right("Service Tickets", Verb::Delete, Level::None);
    let rows = w.get("/system/mysecurity").await.body;
    let row = rows.as_array().unwrap().iter().find(|r| r["moduleFunctionName"] == "Service Tickets").unwrap();
    assert_eq!((&row["deleteLevel"], &row["inquireLevel"]), (&json!("None"), &json!("All")));
    assert_eq!(row["moduleName"], "Service Desk");
    w.sim.behave(|b| b.my_security = MySecurity::Forbidden);
    assert_eq!(w.get("/system/mySecurity").await.status, 403);
    w.sim.behave(|b| b.my_security = MySecurity::Unknown);
    assert_eq!(w.get("/system/mySecurity").await.body["message"], "The endpoint does not exist.");
}

#[tokio::test]
async fn types_and_sources_are_listed_and_stand_on_tickets() {
    let w = World::start().await;
    let access = w.msp.add_type(w.board, "Access");
    let portal = w.msp.add_source("Portal");
    w.msp.set_type_inactive(access, true);
    let types = w.get(&format!("/service/boards/{}/types", w.board)).await.body;
    assert_eq!((&types[0]["id"], &types[0]["inactiveFlag"]), (&json!(access), &json!(true)));
    assert_eq!(w.get("/service/sources").await.body[0]["name"], "Portal");
    let new = NewTicket::new("x", w.board, w.acme).kind(access).source(portal);
    let ticket = w.msp.ticket(w.msp.add_ticket(new).unwrap()).unwrap();
    assert_eq!((&ticket["type"]["id"], &ticket["source"]["id"]), (&json!(access), &json!(portal)));
    w.msp.remove_source(portal);
    w.msp.remove_type(access);
    assert_eq!(w.get("/service/sources").await.body, json!([]));
    assert_eq!(w.get(&format!("/service/boards/{}/types", w.board)).await.body, json!([]));
}

#[tokio::test]
async fn answers_carry_the_simulators_time_or_a_wrong_one() {
    let w = World::start().await;
    let date = async || w.get("/system/info").await.headers["date"].to_str().unwrap().to_owned();
    assert_eq!(date().await, "Tue, 09 Jun 2026 21:40:00 GMT");
    w.sim.behave(|b| b.date_off_s = -180);
    assert_eq!(date().await, "Tue, 09 Jun 2026 21:37:00 GMT");
}

#[tokio::test]
async fn the_trail_lists_custom_fields_as_the_instance_does() {
    let w = World::start().await;
    let id = w.ticket("alpha");
    w.msp.acting("jdoe").set_field(id, w.duration, "1 hour").unwrap();
    let path = format!("/system/audittrail?type=Ticket&id={id}");
    assert_eq!(w.get(&path).await.body[1]["auditSubType"], "CustomField");
    w.sim.behave(|b| b.field_audit = Some("Zusatzfeld"));
    assert_eq!(w.get(&path).await.body[1]["auditSubType"], "Zusatzfeld");
    w.sim.behave(|b| b.field_audit = None);
    assert_eq!(w.get(&path).await.body.as_array().unwrap().len(), 1);
}
