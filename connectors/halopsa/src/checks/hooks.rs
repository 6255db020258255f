//! The webhook: whether there is one, what it is bound to, and what is too much.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, Check, ConnectionId, hook_url, ticket::WantedChecks};

use crate::{
    events::Events,
    webhooks::{Webhooks, is_of},
    wire,
};

const WHAT: &str = "webhook";
const EVENTS: &str = "events of the webhook";

pub(super) async fn lines(webhooks: &Webhooks<'_>, want: &WantedChecks, connection: &ConnectionId) -> Vec<Check> {
    let mend = format!("run latchkey webhook sync {connection}");
    let Some(url) = &want.hook else {
        return vec![match want.boards.is_empty() {
            true => Check::note(WHAT, "no mapping watches a team of this PSA"),
            false => Check::red(WHAT, format!("none is registered, so no request is ever told: {mend}")),
        }];
    };
    let rows = match webhooks.below(url).await {
        Ok(rows) => rows,
        Err(error) => return vec![unreadable(&error)],
    };
    let mut lines = Vec::new();
    match rows.iter().find(|row| webhooks.fault(row, url).is_none()).or_else(|| rows.first()) {
        None if want.boards.is_empty() => lines.push(Check::ok(WHAT, "none, and no mapping watches a team")),
        None => lines.push(Check::red(WHAT, format!("there is none, so no request is ever told: {mend}"))),
        Some(row) => {
            lines.push(match webhooks.fault(row, url) {
                None => Check::ok(WHAT, "active, at our address"),
                Some(fault) => Check::red(WHAT, format!("{fault}, so what happens may not be heard of: {mend}")),
            });
            lines.push(bound(webhooks, row, &mend).await);
        }
    }
    if rows.len() > 1 {
        lines.push(Check::red("other webhooks at our address", format!("{} too many: {mend}", rows.len() - 1)));
    }
    lines.extend(elsewhere(webhooks, url).await);
    lines
}

/// An application without the rights to the configuration works, with a webhook that was made by hand.
fn unreadable(error: &CallError) -> Check {
    match error {
        CallError::Unauthorized { .. } => Check::note(
            WHAT,
            "the API agent may not see webhooks: let its role read and change Integrations for webhook sync, or make the \
             webhook by hand as the README tells",
        ),
        error => Check::failed(WHAT, error),
    }
}

async fn bound(webhooks: &Webhooks<'_>, row: &wire::Webhook, mend: &str) -> Check {
    let (events, bindings) =
        match (Events::look(webhooks.api, &webhooks.settings.events).await, webhooks.bindings().await) {
            (Ok(events), Ok(bindings)) => (events, bindings),
            (Err(error), _) | (_, Err(error)) => return Check::failed(EVENTS, &error),
        };
    let is_bound = |number: i64| bindings.iter().any(|b| b.eventno == Some(number) && is_of(b, &row.id));
    let unbound: Vec<&str> =
        events.found.iter().filter(|(number, _)| !is_bound(*number)).map(|(_, name)| name.as_str()).collect();
    if !unbound.is_empty() {
        return Check::red(EVENTS, format!("not bound to {}: {mend}", unbound.join(", ")));
    }
    if !events.missing.is_empty() {
        let know = format!(
            "the instance's catalogue has no {}: what they would tell is found by the poll; where it calls them otherwise, \
             name them in events",
            events.missing.join(", ")
        );
        return Check::note(EVENTS, know);
    }
    Check::ok(EVENTS, format!("{} bound", events.found.len()))
}

/// They may be another installation's, so they break nothing here, and nobody but a person can say whose they are.
async fn elsewhere(webhooks: &Webhooks<'_>, url: &url::Url) -> Option<Check> {
    let base = hook_url::base(url);
    let rows = webhooks.named_ours().await.ok()?;
    let is_else = |row: &&wire::Webhook| !row.url.as_deref().is_some_and(|url| hook_url::is_below(url, &base));
    let places: BTreeSet<String> = rows
        .iter()
        .filter(is_else)
        .map(|row| hook_url::shown(row.url.as_deref().unwrap_or_default()))
        .take(5)
        .collect();
    (!places.is_empty()).then(|| {
        let places = places.into_iter().collect::<Vec<_>>().join(", ");
        let know = format!(
            "webhooks of this connection's name point to {places}: if Latchkey has moved from there, delete them under \
             Configuration > Integrations > Webhooks; they tell that address of every ticket"
        );
        Check::note("webhooks at other addresses", know)
    })
}
