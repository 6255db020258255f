//! Sending callouts, by the vendor's rules: one queue for each webhook and kind, in order; ten seconds for an answer;
//! another try after thirty seconds, five in all; then the event goes into the error log. Twenty-five events in a row that
//! failed switch the webhook off, which its deactivation URL is told.
//!
//! Waits are by the simulator's clock; a background task looks whether something is due, again and again and when something
//! is posted.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::envelope::{self, SIGNATURE_HEADER, signature};
use super::post_office::{Delivery, DeliveryRules, Event, Queued, Signature};
use super::state::{flag, row, text};
use crate::authority::use_ring;
use crate::clock::to_seconds_text;

/// How long a receiver may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: usize = 5;
const SWITCH_OFF: usize = 25;
/// How often the queues are looked at, in real time.
const LOOK: Duration = Duration::from_millis(5);

/// Sends what is due, for ever.
pub(super) async fn send_all(shared: std::sync::Arc<Shared>, client: reqwest::Client) {
    loop {
        match shared.post.next(shared.clock.now_ms()) {
            Some(queued) => send(&shared, &client, queued).await,
            None => tokio::select! {
                () = shared.post.posted() => {}
                () = tokio::time::sleep(LOOK) => {}
            },
        }
    }
}

pub(super) async fn settled(shared: &Shared) {
    while !shared.post.is_settled(shared.clock.now_ms()) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(shared: &Shared, client: &reqwest::Client, queued: Queued) {
    let now = shared.clock.now_ms();
    let rules = shared.post.rules();
    let Some(url) = target(shared, &queued.event) else {
        shared.post.done();
        return;
    };
    let mut is_delivered = false;
    for _ in 0..if rules.duplicate { 2 } else { 1 } {
        is_delivered = once(shared, client, &url, &queued, &rules, now).await;
    }
    let id = queued.event.webhook;
    if is_delivered {
        shared.state().failed.remove(&id);
    } else if queued.event.action != "Deactivated" {
        if queued.attempt < TRIES {
            shared.post.again(queued, now);
        } else {
            give_up(shared, &queued.event, now);
        }
    }
    shared.post.done();
}

/// Where an event goes; `None` when its webhook was switched off or deleted meanwhile.
fn target(shared: &Shared, event: &Event) -> Option<String> {
    if event.off_url.is_some() {
        return event.off_url.clone();
    }
    let state = shared.state();
    let hook = state.webhooks.get(&event.webhook).filter(|hook| flag(hook, "isActive"))?;
    Some(text(hook, "webhookUrl").to_owned())
}

async fn once(
    shared: &Shared,
    client: &reqwest::Client,
    url: &str,
    queued: &Queued,
    rules: &DeliveryRules,
    now: i64,
) -> bool {
    let Event { webhook, action, ticket, body, off_url } = &queued.event;
    let key = shared.state().keys.get(webhook).cloned().unwrap_or_default();
    let is_signed = off_url.is_none() || shared.settings().deactivation_is_signed;
    let signed = match &rules.signature {
        _ if !is_signed => None,
        Signature::Right => Some(signature(&key, body)),
        Signature::Wrong => Some(signature("a key that nobody has", body)),
        Signature::Missing => None,
        Signature::Text(text) => Some(text.clone()),
    };
    let mut body = body.clone();
    if rules.reserialised {
        body = serde_json::from_slice::<Value>(&body).map_or(body, |value| value.to_string().into_bytes());
    }
    if rules.trailing_newline {
        body.push(b'\n');
    }
    let request = client.post(url).header("Content-Type", "application/json; charset=utf-8").body(body.clone());
    let request = match &signed {
        Some(signed) => request.header(SIGNATURE_HEADER, signed),
        None => request,
    };
    let status = match rules.answer {
        Some(answer) => Some(answer),
        None => request.send().await.ok().map(|answer| answer.status().as_u16()),
    };
    shared.post.wrote(Delivery {
        n: 0,
        at_ms: now,
        webhook: *webhook,
        action,
        ticket: *ticket,
        attempt: queued.attempt,
        url: url.to_owned(),
        body,
        signature: signed,
        status,
    });
    // A redirect is no success either.
    status.is_some_and(|status| (200..300).contains(&status))
}

/// After the fifth failure the event is written down and dropped, and the webhook may go with it.
fn give_up(shared: &Shared, event: &Event, now: i64) {
    let settings = shared.settings();
    let mut state = shared.state();
    let (id, payload) = (state.take("errorLog", 1), String::from_utf8_lossy(&event.body).into_owned());
    let sequence = serde_json::from_slice::<Value>(&event.body).unwrap_or_default()["SequenceNumber"].clone();
    let entry = json!({"id": id, "accountWebhookID": null, "contactWebhookID": null, "sequenceNumber": sequence,
        "createDateTime": to_seconds_text(now), "errorMessage": "The callout was not delivered.", "payload": payload});
    state.error_log.insert(id, row(entry));
    let failed = state.failed.entry(event.webhook).or_insert(0);
    *failed += 1;
    if *failed < SWITCH_OFF {
        return;
    }
    let off = deactivate(&mut state, event.webhook, settings.deactivation_is_whole, now);
    drop(state);
    shared.post.post(vec![off], now);
}

/// Switches a webhook off and owes its deactivation URL the word of it.
pub(super) fn deactivate(state: &mut super::state::State, webhook: i64, is_whole: bool, now: i64) -> Event {
    let hook = state.webhooks.get_mut(&webhook).map(|hook| {
        hook.insert("isActive".into(), json!(false));
        (hook.get("webhookGUID").cloned(), text(hook, "deactivationUrl").to_owned())
    });
    let (guid, off_url) = hook.unwrap_or_default();
    state.failed.remove(&webhook);
    let sequence = state.sequence.entry(webhook).or_insert(0);
    *sequence += 1;
    let mut entries = vec![("Action", json!("Deactivated")), ("Guid", json!(guid))];
    if is_whole {
        entries.extend([("EntityType", json!("Ticket")), ("Fields", json!({}))]);
    }
    entries.extend([("EventTime", json!(to_seconds_text(now))), ("SequenceNumber", json!(*sequence))]);
    let body = envelope::object(&entries).into_bytes();
    Event { webhook, action: "Deactivated", ticket: 0, body, off_url: Some(off_url) }
}

/// A client that trusts `ca_pem` alone, or nobody: then only plain http can be delivered.
///
/// # Errors
/// When the PEM holds no certificate.
pub(super) fn client(ca_pem: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    use_ring();
    let trusted = match ca_pem {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem.as_bytes())?,
        None => Vec::new(),
    };
    reqwest::Client::builder()
        .tls_certs_only(trusted)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
}
