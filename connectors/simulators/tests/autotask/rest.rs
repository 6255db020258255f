//! REST: strict where the vendor is strict.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{ACME, DESK, JANE, ME, Reply, World, definition};

#[tokio::test]
async fn the_zone_is_told_without_credentials_and_bad_ones_get_an_empty_401() {
    let w = World::start().await;
    let zone = Reply::of(w.client.get(w.url("/zoneInformation?user=jit-api%40msp.example"))).await;
    assert_eq!((zone.status, zone.body["url"].as_str().unwrap().ends_with("/ATServicesRest/")), (200, true));
    let unknown = Reply::of(w.client.get(w.url("/zoneInformation?user=x"))).await;
    assert_eq!((unknown.status, unknown.error()), (500, "Zone information could not be determined"));
    let refused = w.client.get(w.url("/Version")).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.text().await.unwrap().as_str()), (401, ""));
    let lower = w.url("/Version").replace("ATServicesRest/V1.0", "atservicesrest/v1.0");
    assert_eq!(Reply::of(w.client.get(lower)).await.status, 401, "the path is known in any case");
}

#[tokio::test]
async fn paths_that_clients_get_wrong_are_not_there() {
    let w = World::start().await;
    let id = w.ticket();
    let note = json!({"title": "x", "description": "x", "noteType": 1, "publish": 2});
    for path in ["/TicketNotes".to_owned(), format!("/Tickets/{id}/TicketNotes")] {
        assert_eq!(w.post(&path, note.clone()).await.status, 404, "{path}");
    }
    let verb = w.patch(&format!("/Tickets/{id}"), json!({"status": 8})).await;
    assert_eq!((verb.status, verb.body["Message"].is_string()), (405, true));
    assert_eq!(w.call(Method::DELETE, &format!("/Tickets/{id}"), None).await.status, 405);
}

#[tokio::test]
async fn an_unknown_record_is_a_success_with_nothing_in_it() {
    let w = World::start().await;
    let none = w.get("/Tickets/1").await;
    assert_eq!((none.status, &none.body), (200, &json!({"item": null})));
    let change = w.patch("/Tickets", json!({"id": 1, "status": 8})).await;
    assert!(change.status == 500 && change.error().starts_with("No matching records found."));
}

#[tokio::test]
async fn a_ticket_is_checked_as_a_whole() {
    let w = World::start().await;
    let good = json!({"companyID": ACME, "title": "x", "status": "1", "priority": 2, "queueID": DESK,
        "dueDateTime": "2030-03-21T00:00:00Z"});
    let made = w.post("/Tickets", good.clone()).await;
    assert_eq!(made.status, 200, "numbers as texts are understood: {}", made.body);
    for (property, value, says) in [
        ("title", Value::Null, "Required field title"),
        ("priority", json!(99), "Picklist value [99] does not exist for priority."),
        ("companyID", json!(1), "Reference value on field: companyID"),
        ("assignedResourceID", json!(JANE), "you must assign both"),
        ("status", json!(true), "Unexpected character encountered"),
    ] {
        let mut body = good.clone();
        body[property] = value;
        let refused = w.post("/Tickets", body).await;
        assert!(refused.status == 500 && refused.error().contains(says), "{property}: {}", refused.body);
    }
    let shown = w.get(&format!("/Tickets/{}", made.body["itemId"])).await.body["item"].clone();
    assert_eq!(shown.as_object().unwrap().len(), 75, "every one of the 76, but for the user-defined fields");
}

#[tokio::test]
async fn completion_sets_a_date_and_reopening_clears_it() {
    let w = World::start().await;
    let id = w.ticket();
    w.patch("/Tickets", json!({"ID": id, "Status": 5})).await;
    let done = w.sim.ticket(id).unwrap();
    assert!(done["completedDate"].is_string() && done["completedByResourceID"] == ME);
    w.patch("/Tickets", json!({"id": id, "status": 8})).await;
    assert_eq!(w.sim.ticket(id).unwrap()["completedDate"], Value::Null);
}

#[tokio::test]
async fn the_next_page_wants_the_verb_and_the_body_of_the_first() {
    let w = World::start().await;
    for _ in 0..3 {
        w.ticket();
    }
    let body = json!({"MaxRecords": 2, "IncludeFields": ["id"], "Filter": [{"op": "gte", "field": "id", "value": 0}]});
    let first = w.post("/Tickets/query", body.clone()).await.body;
    let next = first["pageDetails"]["nextPageUrl"].as_str().unwrap().to_owned();
    assert_eq!((first["items"].as_array().unwrap().len(), first["items"][0].as_object().unwrap().len()), (2, 1));
    let path = next.split_once("/V1.0").unwrap().1.to_owned();
    assert_eq!(w.get(&path).await.status, 405);
    let bodiless = w.call(Method::POST, &path, None).await;
    assert!(bodiless.status == 500 && bodiless.error().contains("filters"));
    let last = w.post(&path, body).await.body;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["pageDetails"]["nextPageUrl"]), (1, &Value::Null));
    let large = w.post("/Tickets/query", json!({"MaxRecords": 1000, "Filter": [{"op": "exist", "field": "id"}]})).await;
    assert_eq!(large.status, 500);
}

#[tokio::test]
async fn notes_are_made_under_their_ticket_and_impersonation_is_seen() {
    let w = World::start().await;
    let id = w.ticket();
    let note =
        |publish: i64, kind: i64| json!({"title": "x", "description": "x", "noteType": kind, "publish": publish});
    let path = format!("/Tickets/{id}/Notes");
    assert_eq!(w.post(&path, note(2, 1)).await.status, 200);
    assert!(w.post(&path, note(3, 1)).await.error().contains("publish"), "there is no 3");
    assert!(w.post(&path, note(2, 93)).await.error().contains("noteType"), "the system's own kind");
    w.sim.allow_impersonation(JANE);
    let request = w.client.post(w.url(&path)).json(&note(2, 1));
    let request = request
        .header("ApiIntegrationCode", &w.api.integration_code)
        .header("UserName", &w.api.user)
        .header("Secret", &w.api.secret)
        .header("ImpersonationResourceId", JANE.to_string());
    assert_eq!(Reply::of(request).await.status, 200);
    let notes = w.sim.notes(id);
    assert_eq!(
        (&notes[1]["creatorResourceID"], &notes[1]["impersonatorCreatorResourceID"]),
        (&json!(JANE), &json!(ME))
    );
}

#[tokio::test]
async fn a_webhook_is_checked_and_its_children_hang_under_it() {
    let w = World::start().await;
    let long = w
        .post("/TicketWebhooks", {
            let mut d = definition("https://x.example/");
            d["name"] = json!("x".repeat(51));
            d
        })
        .await;
    assert_eq!(long.error(), "name must be less than or equal to 50 characters");
    let id = w.post("/TicketWebhooks", definition("https://x.example/")).await.body["itemId"].clone();
    assert!(w.post("/TicketWebhooks", definition("https://x.example/")).await.error().contains("exists already"));
    let field = w.post(&format!("/TicketWebhooks/{id}/Fields"), json!({"fieldID": 99})).await;
    assert!(field.error().contains("Picklist value [99]"));
    assert_eq!(w.call(Method::DELETE, &format!("/TicketWebhooks/{id}"), None).await.status, 200);
    assert_eq!(w.call(Method::DELETE, &format!("/TicketWebhooks/{id}"), None).await.status, 500);
}

#[tokio::test]
async fn the_vendors_limits_are_kept() {
    let w = World::start().await;
    w.sim.spend(9_999);
    assert_eq!(w.get("/Version").await.status, 200);
    let over = w.get("/Version").await;
    assert!(over.status == 500 && over.error().contains("maximum number of requests"));
    let told = w.get("/ThresholdInformation").await.body;
    assert_eq!(
        (&told["externalRequestThreshold"], &told["currentTimeframeRequestCount"]),
        (&json!(10_000), &json!(10_000))
    );
    w.sim.spend(0);
    w.advance(3_600);
    assert_eq!(w.get("/Version").await.status, 200);
}

#[tokio::test]
async fn the_history_takes_one_filter_and_deletion_is_not_for_the_api() {
    let w = World::start().await;
    let id = w.ticket();
    w.sim.acting(JANE).set_status(id, 8).unwrap();
    let one = json!({"Filter": [{"op": "eq", "field": "ticketID", "value": id}]});
    let rows = w.post("/TicketHistory/query", one).await.body;
    assert_eq!(rows["items"][1]["detail"], "Status changed from \"New\" to \"In Progress\"");
    assert_eq!(rows["items"][1]["resourceID"], JANE);
    let two = json!({"Filter": [{"op": "eq", "field": "ticketID", "value": id}, {"op": "exist", "field": "id"}]});
    assert_eq!(w.post("/TicketHistory/query", two).await.status, 500);
}
