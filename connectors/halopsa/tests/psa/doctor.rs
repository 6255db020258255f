//! The doctor: each line goes red for its own cause, and changes nothing.

use latchkey_contract::{Check, FieldId, SourceId, TicketSystem, TypeId, Verdict, ticket::WantedChecks};
use latchkey_halopsa::HaloPsa;
use serde_json::json;

use crate::world::{MAX, World, board_id, hook_url, hooks, status_id};

fn want(w: &World) -> WantedChecks {
    WantedChecks {
        boards: [board_id(w.team)].into(),
        statuses: [status_id(w.requested)].into(),
        types: [TypeId::parse(w.kind.to_string()).unwrap()].into(),
        fields: [FieldId::parse(w.policy.to_string()).unwrap()].into(),
        hook: Some(hook_url("s3cret")),
        ..WantedChecks::default()
    }
}

fn red(lines: &[Check]) -> Vec<&str> {
    lines.iter().filter(|l| l.is_red()).map(|l| l.what.as_str()).collect()
}

#[tokio::test]
async fn a_connection_in_order_has_no_red_line_and_nothing_is_changed() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    w.sim.faults().clear_calls();
    let lines = w.halo.checks(&want(&w)).await;
    assert!(red(&lines).is_empty(), "{lines:#?}");
    for what in [
        "address",
        "sign-in",
        "clock",
        "own agent",
        "right: read:tickets",
        "right: read:customers",
        "right: agents",
        "action for notes",
        "closed statuses",
        "webhook",
        "events of the webhook",
    ] {
        assert!(lines.iter().any(|l| l.what == what && matches!(l.verdict, Verdict::Ok(_))), "{what}: {lines:#?}");
    }
    assert!(w.sim.faults().calls().iter().all(|c| c.op.starts_with("GET ") || c.op == "POST /auth/token"));
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_its_own_red_line() {
    let w = World::start().await;
    let lines = w.halo.checks(&want(&w)).await;
    assert_eq!(red(&lines), ["webhook"]);
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    w.sim.remove_notifications(76);
    assert_eq!(red(&w.halo.checks(&want(&w)).await), ["events of the webhook"]);
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    w.sim.put_webhook(json!({"id": w.sim.webhooks()[0]["id"], "disabled": true}));
    assert_eq!(red(&w.halo.checks(&want(&w)).await), ["webhook"]);
    w.halo.revive_webhooks(&hook_url("-")).await.unwrap();

    let missing = WantedChecks {
        boards: [board_id(777)].into(),
        statuses: [status_id(778)].into(),
        types: [TypeId::parse("779").unwrap()].into(),
        fields: [FieldId::parse("780").unwrap()].into(),
        sources: [SourceId::parse("1").unwrap()].into(),
        hook: Some(hook_url("s3cret")),
    };
    assert_eq!(red(&w.halo.checks(&missing).await), ["team 777", "status 778", "type 779", "field 780", "source 1"]);

    w.sim.behave(|b| b.date_off_s = 500);
    assert_eq!(red(&w.halo.checks(&want(&w)).await), ["clock"]);
    w.sim.behave(|b| b.date_off_s = 0);
    w.sim.change_outcome(7, None);
    assert_eq!(red(&w.halo.checks(&want(&w)).await), ["action for notes"]);
    let unknown = w.with(|s| s.closed_statuses = vec!["Erledigt".into()]);
    assert!(red(&unknown.checks(&want(&w)).await).contains(&"closed statuses"));
    let other_agent = w.with(|s| s.api_agent = Some(MAX.try_into().unwrap()));
    assert!(red(&other_agent.checks(&want(&w)).await).contains(&"own agent"));
}

#[tokio::test]
async fn what_counts_as_a_click_beside_the_desk_itself_is_told() {
    let w = World::start().await;
    let told = async |halo: &HaloPsa| {
        let lines = halo.checks(&want(&w)).await;
        lines.into_iter().find(|line| line.what == "desk applications").map(|line| line.verdict)
    };
    assert_eq!(told(&w.halo).await, None);
    let listed = w.with(|s| s.desk_applications = vec!["teams-0d2c".into(), " phone-0d2d ".into()]);
    let line = told(&listed).await.unwrap();
    assert!(matches!(&line, Verdict::Note(know) if know.contains("through teams-0d2c, phone-0d2d counts")), "{line:?}");
}

#[tokio::test]
async fn an_address_that_the_instance_does_not_confirm_is_told_and_not_followed() {
    let w = World::start().await;
    let other: url::Url = "https://auth.elsewhere.example/auth".parse().unwrap();
    let lines = w.with(|s| s.auth = Some(other)).checks(&want(&w)).await;
    assert_eq!(red(&lines)[0], "address");
    assert!(lines[0].verdict.text().contains(&w.sim.base_url()));
    let lines = w.with(|s| s.tenant = Some("other".into())).checks(&want(&w)).await;
    assert_eq!(red(&lines), ["address", "sign-in"], "nothing else can be judged");
    w.sim.remove_application(&w.api.client_id);
    let lines = w.restarted().checks(&want(&w)).await;
    assert_eq!(red(&lines), ["sign-in"]);
    assert!(lines[1].verdict.text().contains("latchkey secret set halo/client-secret"));
}

#[tokio::test]
async fn a_right_that_is_missing_names_itself() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    let lines = w.with(|s| s.scope = "read:tickets".into()).checks(&want(&w)).await;
    assert_eq!(red(&lines), ["right: read:customers"]);
    w.sim.change_agent(17, true, false);
    w.sim.change_agent(18, false, true);
    assert_eq!(red(&w.halo.checks(&want(&w)).await), ["right: agents"]);
}
