//! Lists: filters, order, fields, the two kinds of paging; and the administrator's tables.

use latchkey_simulators::connectwise::AuditOrder;
use serde_json::json;

use crate::world::{Reply, World};

#[tokio::test]
async fn conditions_select_and_bad_ones_are_refused() {
    let w = World::start().await;
    let (a, b) = (w.ticket("alpha"), w.ticket("beta"));
    w.advance(60);
    w.msp.acting("jdoe").close(b).unwrap();
    w.msp.acting("jdoe").set_field(a, w.duration, "1 hour").unwrap();
    for (conditions, expected) in [
        ("board/id = 63".to_owned(), vec![a, b]),
        ("board/id=63 AND closedFlag = false".to_owned(), vec![a]),
        (format!("status/id in ({}, {})", w.new, w.requested), vec![a]),
        ("lastUpdated > [2026-06-09T21:40:30Z]".to_owned(), vec![a, b]),
        ("summary like 'ALP%' or summary contains \"et\"".to_owned(), vec![a, b]),
        ("owner != null".to_owned(), vec![]),
        ("company/identifier='ACME' and status/name=\">Closed\"".to_owned(), vec![b]),
    ] {
        let request = w.signed_in(w.client.get(w.url("/service/tickets")));
        let reply = Reply::of(request.query(&[("conditions", &conditions)])).await;
        assert_eq!(reply.ids(), expected, "{conditions}");
        let search = json!({"conditions": conditions, "orderBy": "id desc"});
        let mut found = w.post("/service/tickets/search", search).await.ids();
        found.reverse();
        assert_eq!(found, expected);
    }
    let custom = "caption=\"JIT Duration\" AND value = \"1 hour\"";
    let request = w.signed_in(w.client.get(w.url("/service/tickets")));
    assert_eq!(Reply::of(request.query(&[("customFieldConditions", custom)])).await.ids(), [a]);
    let count = w.get("/service/tickets/count?conditions=closedFlag=true").await;
    assert_eq!(count.body, json!({"count": 1}));

    let bad = w.get("/service/tickets?conditions=closedFlag=1").await;
    assert_eq!(bad.status, 400);
    let message = bad.body["message"].as_str().unwrap();
    assert!(message.starts_with("Expected a boolean value, not a numeric. String values should"));
    assert_eq!(w.get("/service/tickets?conditions=nonsense=1").await.status, 400);
}

#[tokio::test]
async fn pages_link_to_each_other_with_the_page_last() {
    let w = World::start().await;
    let all: Vec<i64> = (0..5).map(|n| w.ticket(&format!("t{n}"))).collect();
    let first = w.get("/service/tickets?pageSize=2&orderBy=id%20desc&fields=id,_info/lastUpdated").await;
    assert_eq!(first.ids(), [all[4], all[3]]);
    let only = json!({"id": all[4], "_info": {"lastUpdated": "2026-06-09T21:40:00Z"}});
    assert_eq!(first.body[0], only);
    let link = first.link().unwrap();
    let next = link.split_once('<').unwrap().1.split_once('>').unwrap().0;
    assert!(link.contains("page=2>; rel=\"next\"") && link.contains("page=3>; rel=\"last\""), "{link}");
    let second = Reply::of(w.signed_in(w.client.get(next))).await;
    assert_eq!(second.ids(), [all[2], all[1]]);
    assert!(second.link().unwrap().contains("page=1>; rel=\"first\""));
    let third = w.get("/service/tickets?pageSize=2&page=3").await;
    assert!(!third.link().unwrap().contains("next"));
    assert_eq!(w.get("/service/tickets?page=9").await.body, json!([]));
    assert_eq!(w.get("/service/tickets?pageSize=1001").await.status, 400);
    assert_eq!(w.get("/service/tickets?page=x").await.status, 400);
}

#[tokio::test]
async fn forward_only_paging_walks_by_id() {
    let w = World::start().await;
    let all: Vec<i64> = (0..5).map(|n| w.ticket(&format!("t{n}"))).collect();
    let mut url = w.url("/service/tickets?pageSize=2");
    let mut seen = Vec::new();
    loop {
        let request = w.client.get(&url).header("pagination-type", "forward-only");
        let reply = Reply::of(w.signed_in(request)).await;
        seen.extend(reply.ids());
        let link = reply.link().unwrap().to_owned();
        let Some((_, rest)) = link.split_once('<') else { break };
        assert!(link.ends_with("rel=\"next\"") && link.contains("pageId="), "{link}");
        rest.split_once('>').unwrap().0.clone_into(&mut url);
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn the_tables_are_there() {
    let w = World::start().await;
    assert_eq!(w.get("/service/boards").await.body[0]["name"], "Help Desk");
    let statuses = w.get(&format!("/service/boards/{}/statuses", w.board)).await;
    assert_eq!(statuses.ids(), [w.new, w.requested, w.closed]);
    assert_eq!(statuses.body[2]["closedStatus"], true);
    assert_eq!(statuses.body[0]["inactive"], false);
    assert_eq!(w.get("/service/boards/1/statuses").await.status, 404);
    let named = w.get("/company/companies?conditions=identifier='globex'%20and%20deletedFlag=false");
    assert_eq!(named.await.ids(), [w.globex]);
    let types = w.get(&format!("/company/companies/{}/typeAssociations", w.globex)).await;
    assert_eq!(types.body[0]["type"]["name"], "Managed");
    w.msp.set_company_groups(w.acme, &["JIT customers"]);
    let groups = w.get(&format!("/company/companies/{}/groups", w.acme)).await;
    assert_eq!(groups.body[0]["group"]["name"], "JIT customers");
    assert!(w.get(&format!("/company/companies/{}/groups", w.globex)).await.ids().is_empty());

    assert_eq!(w.get("/system/members/176").await.body["identifier"], "jdoe");
    assert_eq!(w.get("/system/members/JDoe").await.body["id"], 176);
    assert_eq!(w.get("/system/members/nobody").await.status, 404);
    assert_eq!(w.get("/system/members?conditions=licenseClass='F'").await.ids(), [176, 177]);
    assert_eq!(w.get("/system/members/").await.ids(), [176, 177, 243]);
    assert_eq!(w.get("/system/apiMembers").await.ids(), [243]);
    assert_eq!(w.get("/system/mymembers").await.body["identifier"], "JitApi");
    assert_eq!(w.get("/system/info").await.body["cloudRegion"], "NA");
    let fields = w.get("/system/userDefinedFields?conditions=caption='JIT%20Duration'").await;
    assert_eq!(fields.body[0]["options"][1]["optionValue"], "2 hours");
}

#[tokio::test]
async fn the_audit_trail_names_who_changed_the_status_and_when() {
    let w = World::start().await;
    let id = w.ticket("one");
    w.advance(5);
    w.msp.acting("jdoe").set_status(id, w.requested).unwrap();
    w.advance(5);
    w.msp.acting("msmith").set_summary(id, "renamed").unwrap();
    w.advance(5);
    w.msp.acting("Workflow Rule").move_company(id, w.globex).unwrap();
    w.msp.acting("msmith").touch(id).unwrap();
    let path = format!("/system/audittrail?type=Ticket&id={id}");
    let trail = w.get(&path).await.body;
    let line = |n: usize| {
        let row = &trail[n];
        let get = |name: &str| row[name].as_str().unwrap().to_owned();
        (get("auditSubType"), get("enteredBy"), get("enteredDate"))
    };
    let is = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), format!("2026-06-09T21:40:{c}Z"));
    assert_eq!(line(0), is("Ticket", "jdoe", "00"));
    assert_eq!(line(1), is("Status", "jdoe", "05"));
    assert_eq!(line(2), is("Summary", "msmith", "10"));
    assert_eq!(line(3), is("Company", "Workflow Rule", "15"));
    assert_eq!(trail.as_array().unwrap().len(), 4, "a save without a change leaves no line");
    assert_eq!(trail[1]["auditType"], "Ticket");
    let text = trail[1]["text"].as_str().unwrap();
    assert!(text.contains("\"New\"") && text.contains("\"JIT Requested\""), "{text}");

    w.sim.behave(|b| b.audit_order = AuditOrder::NewestFirst);
    assert_eq!(w.get(&path).await.body[0]["auditSubType"], "Company");
    assert_eq!(w.get("/system/audittrail?type=Nonsense&id=1").await.status, 400);
    assert_eq!(w.get("/system/audittrail?type=Ticket").await.status, 400);
}
