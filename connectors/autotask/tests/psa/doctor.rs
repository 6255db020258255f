//! The doctor's lines: what is well, and for each thing that can be wrong, what to do.

use latchkey_contract::{Check, TicketSystem, Verdict, ticket::WantedChecks};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::{DESK, NEW, POLICY, REQUESTED, World, board_id, field_id, hook_url, status_id, wanted};

fn want() -> WantedChecks {
    WantedChecks {
        boards: [board_id(DESK)].into(),
        statuses: [status_id(NEW), status_id(REQUESTED)].into(),
        types: ["1".parse().unwrap()].into(),
        sources: ["2".parse().unwrap()].into(),
        fields: [field_id(POLICY)].into(),
        hook: Some(hook_url("s3cret")),
    }
}

fn line<'l>(lines: &'l [Check], what: &str) -> &'l Check {
    lines.iter().find(|line| line.what == what).unwrap_or_else(|| panic!("{what}: {lines:#?}"))
}

fn reds(lines: &[Check]) -> Vec<&str> {
    lines.iter().filter(|line| line.is_red()).map(|line| line.what.as_str()).collect()
}

#[tokio::test]
async fn a_tenant_that_is_well_has_no_red_line() {
    let w = World::start().await;
    w.hooked().await;
    let lines = w.at.checks(&want()).await;
    assert!(reds(&lines).is_empty(), "{lines:#?}");
    for what in [
        "zone",
        "sign-in",
        "clock",
        "API user's resource",
        "calls of this hour",
        "right: Tickets, edit",
        "right: TicketNotes, add and edit",
        "right: ticket history, view",
        "webhook",
        "webhook's fields",
        "webhook: our own changes",
        "events that did not arrive",
        "queue 29682833",
        "status 21",
        "type 1",
        "source 2",
        "field 29682851",
    ] {
        assert!(matches!(line(&lines, what).verdict, Verdict::Ok(_)), "{:?}", line(&lines, what));
    }
    assert!(!format!("{lines:?}").contains("s3cret"));
    assert_eq!(w.calls("POST /TicketWebhooks") + w.calls("PATCH /TicketWebhooks"), 1, "looking changes nothing");
}

#[tokio::test]
async fn wrong_credentials_are_the_only_line_worth_reading() {
    let w = World::start().await;
    w.sim.change_secret("another");
    let lines = w.at.checks(&want()).await;
    assert_eq!(reds(&lines), ["sign-in"]);
    assert!(line(&lines, "sign-in").verdict.text().contains("integration_code"));
    let nobody = w.with(|settings| settings.user = "nobody@msp.example".into());
    assert_eq!(reds(&nobody.checks(&want()).await), ["zone"]);
}

#[tokio::test]
async fn each_way_in_which_the_webhook_can_be_wrong_is_said() {
    let w = World::start().await;
    assert_eq!(reds(&w.at.checks(&want()).await), ["webhook"]);
    w.hooked().await;
    w.sim.deactivate_webhook(12);
    let lines = w.at.checks(&want()).await;
    assert!(line(&lines, "webhook").verdict.text().starts_with("it is switched off: run latchkey webhook sync at"));
    w.hooked().await;
    let more = latchkey_contract::ticket::WantedHooks { fields: [].into(), ..wanted("s3cret") };
    w.at.sync_webhooks(&more).await.unwrap();
    assert_eq!(reds(&w.at.checks(&want()).await), ["webhook's fields"]);
    let none = w.at.checks(&WantedChecks { hook: None, ..want() }).await;
    assert!(line(&none, "webhook").is_red());
    let refused = json!({"errors": ["The logged in Resource does not have the adequate permissions."]});
    let act = Act::Answer { status: 500, retry_after: None, body: refused };
    w.sim.faults().add(Fault::on("POST /TicketWebhooks/query", act));
    let lines = w.at.checks(&want()).await;
    assert!(line(&lines, "webhook").verdict.text().contains("Can create WebHooks"));
}

#[tokio::test]
async fn what_a_mapping_names_must_be_there_and_in_use() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.set_pick("status", REQUESTED, "JIT Requested", false);
    let lines =
        w.at.checks(&WantedChecks { boards: [board_id(99)].into(), fields: [field_id(98)].into(), ..want() }).await;
    assert!(line(&lines, "queue 99").is_red() && line(&lines, "field 98").is_red());
    assert!(line(&lines, "status 21").verdict.text().contains("switched off"));
    assert!(matches!(line(&lines, "webhook's fields").verdict, Verdict::Note(_)), "what the PSA does not offer");
}

#[tokio::test]
async fn the_hour_is_looked_at() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.spend(6_000);
    assert!(matches!(line(&w.at.checks(&want()).await, "calls of this hour").verdict, Verdict::Note(_)));
    w.sim.behave(|b| b.calls_per_hour = 20_000);
    let lines = w.at.checks(&want()).await;
    assert!(line(&lines, "calls of this hour").verdict.text().contains("calls_per_hour = 20000"));
    w.sim.behave(|b| b.date_off_s = 300);
    assert!(line(&w.at.checks(&want()).await, "clock").is_red());
}
