//! Tickets and notes over REST, credentials, paths.

use latchkey_simulators::connectwise::{NoteWithoutFlag, Tab};
use latchkey_simulators::{Act, Fault};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Reply, World};

#[tokio::test]
async fn paths_tolerate_case_double_slashes_and_either_codebase() {
    let w = World::start().await;
    let id = w.ticket("one");
    for path in [
        format!("/v4_6_release/apis/3.0/service/tickets/{id}"),
        format!("/v2025_1//apis/3.0//service/tickets/{id}/"),
        format!("/V4_6_Release/Apis/3.0/Service/Tickets/{id}"),
    ] {
        let request = w.client.get(format!("{}{path}", w.sim.base_url()));
        let reply = Reply::of(w.signed_in(request)).await;
        assert_eq!((reply.status.as_u16(), &reply.body["id"]), (200, &json!(id)), "{path}");
        assert_eq!(reply.headers["api-current-version"], "2025.16");
    }
    w.sim.set_codebase("v2025_2/");
    let old = format!("{}/v2025_1/apis/3.0/service/tickets/{id}", w.sim.base_url());
    let reply = Reply::of(w.signed_in(w.client.get(old))).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (404, &json!("ConnectWiseApi")));
    assert_eq!(w.call(Method::PUT, "/service/tickets", None).await.status, 405);
}

#[tokio::test]
async fn credentials_and_client_id_are_required() {
    let w = World::start().await;
    let url = w.url("/system/info");
    let user = format!("{}+{}", w.api.company_id, w.api.public_key);

    let bare = Reply::of(w.client.get(&url)).await;
    assert_eq!((bare.status.as_u16(), &bare.body["code"]), (401, &json!("Unauthorized")));
    let no_client = w.client.get(&url).basic_auth(&user, Some(&w.api.private_key));
    assert_eq!(Reply::of(no_client).await.status, 401);
    let wrong = w.client.get(&url).basic_auth(&user, Some("wrong"));
    assert_eq!(Reply::of(wrong.header("clientId", &w.api.client_id)).await.status, 401);
    assert_eq!(w.get("/system/info").await.status, 200);

    // The same key pair opens no other login company.
    w.sim.add_tenant("rivalmsp", "Rival MSP").add_api_member(1, "Rival");
    let foreign = w.client.get(&url).basic_auth(format!("rivalmsp+{}", w.api.public_key), Some(&w.api.private_key));
    assert_eq!(Reply::of(foreign.header("clientId", &w.api.client_id)).await.status, 401);

    w.msp.revoke_api_key(&w.api.public_key);
    assert_eq!(w.get("/system/info").await.status, 401);
}

#[tokio::test]
async fn a_ticket_is_made_changed_and_deleted() {
    let w = World::start().await;
    let made = w
        .post(
            "/service/tickets",
            json!({"summary": "New laptop", "board": {"name": "Help Desk"},
                "company": {"identifier": "acme"}, "initialDescription": "Please."}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["status"]["name"], "New");
    assert_eq!(made.body["company"]["name"], "ACME Ltd");
    assert_eq!(made.body.get("owner"), None, "nulls are left out");
    let id = made.body["id"].as_i64().unwrap();
    assert_eq!(w.msp.notes(id)[0]["detailDescriptionFlag"], true);

    w.advance(60);
    let path = format!("/service/tickets/{id}");
    let changes = json!([
        {"op": "replace", "path": "/status", "value": {"name": ">Closed"}},
        {"op": "replace", "path": "owner/identifier", "value": "JDOE"},
        {"op": "replace", "path": "customFields", "value": [{"id": w.duration, "value": "2 hours"}]},
        {"op": "add", "path": "externalXRef", "value": "jit:1"},
    ]);
    let changed = w.patch(&path, changes).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["closedFlag"], true);
    assert_eq!(changed.body["closedBy"], "JitApi");
    assert_eq!(changed.body["closedDate"], "2026-06-09T21:41:00Z");
    assert_eq!(changed.body["owner"]["id"], 176);
    assert_eq!(changed.body["customFields"][0]["value"], "2 hours");
    assert_eq!(changed.body["_info"]["lastUpdated"], "2026-06-09T21:41:00Z");

    let reopened = json!([{"op": "replace", "path": "status/id", "value": w.new},
        {"op": "remove", "path": "owner"}]);
    let reopened = w.patch(&path, reopened).await.body;
    assert_eq!(reopened["closedFlag"], false);
    assert_eq!((reopened.get("closedDate"), reopened.get("owner")), (None, None));

    assert_eq!(w.delete(&path).await.status, 204);
    assert_eq!(w.get(&path).await.status, 404);
    assert_eq!(w.get(&format!("{path}/notes")).await.status, 404);
}

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let w = World::start().await;
    let id = w.ticket("one");
    let path = format!("/service/tickets/{id}");
    let before = w.msp.ticket(id);
    let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    for (bad, field) in [
        (replace("summary", json!("x".repeat(101))), "summary"),
        (replace("summary", json!("")), "summary"),
        (replace("summary", json!(7)), "summary"),
        (replace("status", json!({"name": "Triage"})), "status/name"),
        (replace("status", json!({"id": w.triage})), "status/id"),
        (replace("board", json!({"id": w.other_board})), "status/id"),
        (replace("company", json!({"id": 9})), "company/id"),
        (replace("owner", json!({"identifier": "nobody"})), "owner/identifier"),
        (replace("customFields", json!([{"id": w.duration, "value": "3 hours"}])), "customFields"),
        (replace("customFields", json!([{"id": 1, "value": "x"}])), "customFields/id"),
        (replace("closedFlag", json!(true)), "closedFlag"),
        (json!([{"op": "remove", "path": "company"}]), "company"),
        (json!([{"op": "Replace", "path": "summary", "value": "x"}]), "op"),
    ] {
        let reply = w.patch(&path, bad.clone()).await;
        assert_eq!(reply.status, 400, "{bad}");
        assert_eq!(reply.body["code"], "InvalidObject", "{bad}");
        let found = reply.body["errors"][0]["field"].as_str().unwrap();
        let found = found.replace("owner/name", "owner/identifier");
        assert_eq!(found, field, "{}", reply.body);
    }
    assert_eq!(w.patch(&path, json!({"summary": "x"})).await.status, 400, "not an array");
    assert_eq!(w.msp.ticket(id), before);

    let named = w.patch(&path, replace("status", json!({"name": "Triage"}))).await.body;
    let message = format!("Service Status Triage not found for Service Board {}", w.board);
    assert_eq!(named["errors"][0]["message"], message);

    let both = json!([{"op": "replace", "path": "status", "value": {"name": "Triage"}},
        {"op": "replace", "path": "board", "value": {"id": w.other_board}}]);
    assert_eq!(w.patch(&path, both).await.body["board"]["id"], w.other_board);

    let incomplete = w.post("/service/tickets", json!({"summary": "x"})).await;
    assert_eq!(incomplete.status, 400);
    assert_eq!(incomplete.body["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_custom_fields_quirk_can_be_switched_on() {
    let w = World::start().await;
    w.sim.behave(|b| b.patch_needs_custom_fields = true);
    let path = format!("/service/tickets/{}", w.ticket("one"));
    let op = json!({"op": "replace", "path": "summary", "value": "two"});
    assert_eq!(w.patch(&path, json!([op])).await.status, 400);
    let empty = json!({"op": "replace", "path": "customFields", "value": []});
    assert_eq!(w.patch(&path, json!([op, empty])).await.status, 200);
}

#[tokio::test]
async fn notes_are_written_read_changed_and_deleted() {
    let w = World::start().await;
    let id = w.ticket("one");
    let path = format!("/service/tickets/{id}/notes");
    w.advance(60);
    let internal = json!({"text": "hush", "detailDescriptionFlag": false,
        "internalAnalysisFlag": true, "resolutionFlag": false, "processNotifications": false,
        "customerUpdatedFlag": false, "member": {"id": 176}});
    let made = w.post(&path, internal).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let flags = |n: &Value| (n["internalFlag"].clone(), n["externalFlag"].clone());
    assert_eq!(flags(&made.body), (json!(true), json!(false)));
    assert_eq!(made.body["member"]["identifier"], "jdoe");
    assert_eq!(made.body["createdBy"], "JitApi");
    let info = w.msp.ticket(id).unwrap()["_info"].clone();
    assert_eq!((&info["lastUpdated"], &info["updatedBy"]), (&json!("2026-06-09T21:41:00Z"), &json!("JitApi")));

    let note = format!("{path}/{}", made.body["id"]);
    let change = json!([{"op": "replace", "path": "/text", "value": "gone"}]);
    assert_eq!(w.patch(&note, change).await.body["text"], "gone");
    let open = json!([{"op": "replace", "path": "detailDescriptionFlag", "value": true}]);
    assert_eq!(flags(&w.patch(&note, open).await.body), (json!(true), json!(true)));
    assert_eq!(w.get(&note).await.body["text"], "gone");
    assert_eq!(w.delete(&note).await.status, 204);
    assert_eq!(w.get(&note).await.status, 404);

    let flagless = json!({"text": "where?"});
    assert_eq!(w.post(&path, flagless.clone()).await.status, 400);
    w.sim.behave(|b| b.note_without_flag = NoteWithoutFlag::Discussion);
    assert_eq!(w.post(&path, flagless).await.body["detailDescriptionFlag"], true);
    assert_eq!(w.post(&path, json!({"text": "", "internalAnalysisFlag": true})).await.status, 400);
}

#[tokio::test]
async fn merging_closes_the_child_and_shows_its_notes_at_the_survivor() {
    let w = World::start().await;
    let (survivor, child) = (w.ticket("keep"), w.ticket("merge me"));
    w.msp.acting("jdoe").add_note(child, "from the child", Tab::Internal).unwrap();
    let merge = json!({"mergeTicketIds": [child], "status": {"id": w.closed}});
    let reply = w.post(&format!("/service/tickets/{survivor}/merge"), merge).await;
    assert_eq!((reply.status.as_u16(), &reply.body["success"]), (200, &json!(true)));
    assert_eq!(w.msp.ticket(survivor).unwrap()["hasMergedChildTicketFlag"], true);
    let child_now = w.msp.ticket(child).unwrap();
    assert_eq!(child_now["mergedParentTicket"], json!({"id": survivor, "summary": "keep"}));
    assert_eq!(child_now["closedFlag"], true);
    let notes = w.get(&format!("/service/tickets/{survivor}/allNotes")).await.body;
    assert_eq!(notes[0]["text"], "from the child");
    assert_eq!(notes[0]["mergedFlag"], true);
    assert_eq!(w.get(&format!("/service/tickets/{survivor}/notes")).await.body, json!([]));
}

#[tokio::test]
async fn faults_sit_before_or_after_the_effect() {
    let w = World::start().await;
    let id = w.ticket("one");
    let path = format!("/service/tickets/{id}/notes");
    let note = json!({"text": "x", "internalAnalysisFlag": true});
    let send = || {
        let request = w.signed_in(w.client.post(w.url(&path))).json(&note);
        async { request.send().await }
    };
    let faults = w.sim.faults();
    let op = "POST /service/tickets/{id}/notes";

    let before = faults.add(Fault::on(op, Act::ResetBefore).once());
    assert!(send().await.is_err());
    assert_eq!((before.count(), w.msp.notes(id).len()), (1, 0));

    faults.add(Fault::on(op, Act::ResetAfter).once());
    assert!(send().await.is_err());
    assert_eq!(w.msp.notes(id).len(), 1, "the note is there although nobody was told");

    faults.add(Fault::on(op, Act::throttled(7)).once());
    let throttled = send().await.unwrap();
    assert_eq!(throttled.status(), 429);
    assert_eq!(throttled.headers()["retry-after"], "7");

    faults.add(Fault::on(op, Act::Huge).once());
    assert!(send().await.unwrap().bytes().await.unwrap().len() > 16 * 1024 * 1024);

    let log: Vec<_> = faults.calls().iter().map(|c| (c.op, c.status)).collect();
    assert_eq!(log, [(op, None), (op, None), (op, Some(429)), (op, Some(200))]);
}

#[tokio::test]
async fn documents_are_multipart_or_refused() {
    let w = World::start().await;
    let id = w.ticket("one");
    let refused = w.post("/system/documents", json!({"recordType": "Ticket"})).await;
    assert_eq!(refused.status, 415);
    let text = "The request entity's media type 'application/json' is not supported for this resource.";
    assert_eq!(refused.body["message"], text);

    let part =
        |name: &str, value: &str| format!("--b1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"proof.txt\"\r\n\
                Content-Type: text/plain\r\n\r\noff\r\n--b1--\r\n";
    let body = part("recordType", "Ticket") + &part("recordId", &id.to_string()) + file;
    let upload = w.signed_in(w.client.post(w.url("/system/documents")).body(body));
    let upload = upload.header("Content-Type", "multipart/form-data; boundary=b1");
    let made = Reply::of(upload).await;
    assert_eq!((made.status.as_u16(), &made.body["fileName"]), (201, &json!("proof.txt")));
    let path = format!("/system/documents?recordType=Ticket&recordId={id}");
    assert_eq!(w.get(&path).await.ids().len(), 1);
    let path = w.url(&format!("/system/documents/{}/download", made.body["id"]));
    let bytes = w.signed_in(w.client.get(path)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(&bytes[..], b"off");
}
