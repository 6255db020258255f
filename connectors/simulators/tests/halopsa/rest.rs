//! Arrays, ids, pages, notes: what the vendor refuses is refused, and what it ignores is ignored.

use serde_json::json;

use crate::world::{DANA, World};

#[tokio::test]
async fn a_bare_object_is_refused() {
    let w = World::start().await;
    for path in ["/Tickets", "/Actions", "/Webhook", "/Notification", "/Attachment"] {
        let refused = w.post(path, json!({"summary": "x"})).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.body.to_string().contains("requires a JSON array"), "{path}");
    }
}

#[tokio::test]
async fn one_record_is_answered_bare_or_as_an_array_of_one() {
    let w = World::start().await;
    let made = w.post("/tickets", json!([{"summary": "x", "client_id": w.acme.to_string()}])).await;
    assert_eq!((made.status, made.body["summary"].as_str()), (201, Some("x")));
    w.sim.behave(|b| b.answers_arrays = true);
    assert_eq!(w.post("/TICKETS", json!([{"summary": "y"}])).await.body[0]["summary"], "y");
    w.sim.behave(|b| b.ids_are_strings = true);
    assert_eq!(w.get(&format!("/Tickets/{}", made.body["id"])).await.body["id"], made.body["id"].to_string());
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let w = World::start().await;
    let id = w.ticket();
    let changed = w.post("/Tickets", json!([{"id": id, "status_id": w.requested.to_string()}])).await;
    assert_eq!(
        (changed.status, &changed.body["status_id"], &changed.body["client_id"]),
        (201, &json!(w.requested), &json!(w.acme))
    );
    assert_eq!(w.post("/Tickets", json!([{"id": id, "status_id": 95.0}])).await.status, 400, "a fraction is no id");
    assert_eq!(w.post("/Tickets", json!([{"id": 999, "status_id": 1}])).await.body["Message"], "Record not found");
    w.sim.behave(|b| (b.updates_need_type_and_client, b.unknown_record) = (true, 400));
    assert_eq!(w.post("/Tickets", json!([{"id": id, "status_id": 1}])).await.status, 400);
    let whole = json!([{"id": id, "status_id": 1, "tickettype_id": w.kind, "client_id": w.acme}]);
    assert_eq!(w.post("/Tickets", whole).await.status, 201);
}

#[tokio::test]
async fn a_note_needs_an_outcome_and_its_flags_are_the_outcomes_unless_said() {
    let w = World::start().await;
    let id = w.ticket();
    let bare = w.post("/Actions", json!([{"ticket_id": id, "note": "x"}])).await;
    assert_eq!((bare.status, bare.body["Message"].as_str()), (400, Some("An Outcome must be entered for this Action")));
    let mailed = w.post("/Actions", json!([{"ticket_id": id, "outcome": "email user", "note": "x"}])).await;
    assert_eq!(mailed.body["hiddenfromuser"], false);
    assert_eq!(w.sim.mails().len(), 1, "nobody said that no mail is to be sent");
    let note = json!([{"ticket_id": id, "outcome_id": "7", "note_html": "<p>a<br>b &lt;c&gt;</p>", "hiddenfromuser": true,
        "sendemail": false}]);
    let note = w.post("/Actions", note).await.body;
    assert_eq!((note["note"].as_str(), &note["hiddenfromuser"]), (Some("a\nb <c>"), &json!(true)));
    assert_eq!(
        (&note["actionby_agent_id"], note["actionby_application_id"].as_str()),
        (&json!(42), Some(w.api.client_id.as_str()))
    );
    let path = format!("/Actions/{}", note["id"]);
    assert_eq!(w.get(&path).await.status, 404, "an entry's number counts within its ticket");
    let path = format!("{path}?ticket_id={id}");
    let change = json!([{"ticket_id": id, "id": note["id"], "note": "gone"}]);
    assert_eq!(w.post("/Actions", change).await.body["note_html"], "<p>gone</p>");
    assert_eq!(w.delete(&path).await.status, 200);
    assert_eq!(w.get(&path).await.status, 404);
}

#[tokio::test]
async fn another_author_can_be_named_but_not_another_doer() {
    let w = World::start().await;
    let id = w.ticket();
    let forged = json!([{"ticket_id": id, "outcome_id": w.button, "who": "Dana Reyes"}]);
    let action = w.post("/Actions", forged).await.body;
    assert_eq!(
        (action["who"].as_str(), &action["who_agentid"], &action["actionby_agent_id"]),
        (Some("Dana Reyes"), &json!(DANA), &json!(42))
    );
    assert_eq!(action["new_status"], w.requested);
    let honest = w.sim.acting(DANA).run_action(id, w.button, &[(w.policy, json!("2"))]).unwrap();
    let action = w.sim.actions(id).into_iter().find(|a| a["id"] == honest).unwrap();
    assert_eq!((&action["actionby_agent_id"], action["actionby_application_id"].as_str()), (&json!(DANA), Some("")));
    assert_eq!(action["customfields"][0]["display"], "Local admin, 2 h");
}

#[tokio::test]
async fn lists_page_by_number_and_ignore_what_they_do_not_know() {
    let w = World::start().await;
    let ids: Vec<i64> = (0..5).map(|_| w.ticket()).collect();
    let page = w.get("/Tickets?pageinate=True&page_size=2&page_no=2&order=id&orderdesc=true&boards=1").await.body;
    assert_eq!((&page["record_count"], &page["page_no"]), (&json!(5), &json!(2)));
    assert_eq!([&page["tickets"][0]["id"], &page["tickets"][1]["id"]], [&json!(ids[2]), &json!(ids[1])]);
    assert_eq!(page["tickets"][0].get("status_name"), None, "names are shown when they are asked for");
    assert_eq!(page["tickets"][0].get("customfields"), None);
    let some = w.get(&format!("/Tickets?ticketids={},{}", ids[0], ids[3])).await.body;
    assert_eq!(some["record_count"], 2);
    assert_eq!(w.get("/Tickets?statusid=77").await.body["record_count"], 5, "a misspelt filter filters nothing");
    w.sim.behave(|b| b.ignores_paging = true);
    let again = w.get("/Tickets?pageinate=true&page_size=2&page_no=9").await.body;
    assert_eq!(again["tickets"][0]["id"], ids[0]);
    assert_eq!(w.get("/Actions").await.body["record_count"], 0, "without a ticket there is nothing");
}

#[tokio::test]
async fn a_deleted_ticket_is_gone_until_it_is_recovered() {
    let w = World::start().await;
    let id = w.ticket();
    assert_eq!(w.delete(&format!("/Tickets/{id}?reason=x")).await.status, 200);
    assert_eq!(w.get(&format!("/Tickets/{id}")).await.status, 404);
    w.sim.behave(|b| b.deleted_is_shown = true);
    assert_eq!(w.get(&format!("/Tickets/{id}")).await.body["deleted"], true);
    assert_eq!(w.post("/Tickets", json!([{"id": id, "_recover": true, "_validate_updates": true}])).await.status, 201);
    assert_eq!(w.get(&format!("/Tickets/{id}")).await.body["deleted"], false);
}
