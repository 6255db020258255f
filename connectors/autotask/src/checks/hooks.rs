//! The webhook: that there is one, that it is as it should be, what it tells of, and what the vendor gave up on.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, Check, ConnectionId, hook_url, outside::Urgency, ticket::WantedChecks};

use crate::{
    Tenant,
    filter::Filter,
    webhooks::{self, Needed, Webhooks},
    wire,
};

const WHAT: &str = "webhook";
const LOST: &str = "POST /WebhookEventErrorLogs/query";

pub(super) async fn lines(
    tenant: &Tenant,
    webhooks: &Webhooks<'_>,
    connection: &ConnectionId,
    want: &WantedChecks,
) -> Vec<Check> {
    let mend = format!("run latchkey webhook sync {connection}");
    let Some(url) = &want.hook else {
        return vec![match want.boards.is_empty() {
            true => Check::note(WHAT, "no mapping watches a queue of this PSA"),
            false => Check::red(WHAT, format!("none is registered, so no request is ever told: {mend}")),
        }];
    };
    let rows = match webhooks.below(url).await {
        Ok(rows) => rows,
        Err(CallError::Unauthorized { .. }) => {
            let to_do = "the API user may not register webhooks: tick Can create WebHooks and allow at least two under \
                         Admin > Account Settings & Users > Security Levels > the API user's level";
            return vec![Check::red(WHAT, to_do)];
        }
        Err(error) => return vec![Check::failed(WHAT, &error)],
    };
    let mut lines = Vec::new();
    let best = rows.iter().min_by_key(|row| webhooks::fault(row, url).is_some());
    match best.map(|row| (row, webhooks::fault(row, url))) {
        None => lines.push(Check::red(WHAT, format!("there is none, so what happens is not heard of: {mend}"))),
        Some((_, Some(fault))) => lines.push(Check::red(WHAT, format!("{fault}: {mend}"))),
        Some((row, None)) => {
            lines.push(Check::ok(WHAT, "active, at our address, for every queue"));
            lines.push(fields(tenant, row.id, want, &mend).await);
            lines.push(excluded(tenant, row.id, &mend).await);
        }
    }
    if rows.len() > 1 {
        let many = format!("{} besides the one that is needed: {mend}", rows.len() - 1);
        lines.push(Check::red("other webhooks at our address", many));
    }
    lines.extend(elsewhere(webhooks, url).await);
    lines.extend(lost(tenant, &rows).await);
    lines
}

async fn fields(tenant: &Tenant, webhook: i64, want: &WantedChecks, mend: &str) -> Check {
    const WHAT: &str = "webhook's fields";
    let looked = async {
        let needed = Needed::of(tenant, &want.fields).await?;
        let there = webhooks::of(tenant, webhook).await?;
        Ok::<_, CallError>((needed, there))
    };
    let (needed, [fields, udfs]) = match looked.await {
        Ok(found) => found,
        Err(error) => return Check::failed(WHAT, &error),
    };
    let is_told = |wanted: &webhooks::Wanted, there: &webhooks::Wanted| {
        wanted.iter().all(|(field, told)| there.get(field) == Some(told))
    };
    if !is_told(&needed.fields, &fields) || !is_told(&needed.udfs, &udfs) {
        return Check::red(WHAT, format!("some that a mapping needs are not told of: {mend}"));
    }
    match needed.missing.is_empty() {
        true => Check::ok(WHAT, format!("{} fields and {} user-defined ones", fields.len(), udfs.len())),
        false => {
            let know = format!(
                "the PSA offers none of these, so a change is only found by the poll: {}",
                needed.missing.join(", ")
            );
            Check::note(WHAT, know)
        }
    }
}

async fn excluded(tenant: &Tenant, webhook: i64, mend: &str) -> Check {
    const WHAT: &str = "webhook: our own changes";
    match webhooks::are_we_excluded(tenant, webhook).await {
        Ok(true) => Check::ok(WHAT, "not told"),
        Ok(false) => Check::red(WHAT, format!("told as well: {mend}")),
        Err(error) => Check::failed(WHAT, &error),
    }
}

/// They may be another installation's, so they break nothing here, and nobody but a person can say whose they are.
async fn elsewhere(webhooks: &Webhooks<'_>, url: &url::Url) -> Option<Check> {
    let base = hook_url::base(url);
    let rows = webhooks.named_ours().await.ok()?;
    let places: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| row.webhook_url.as_deref())
        .filter(|url| !hook_url::is_below(url, &base))
        .map(hook_url::shown)
        .collect();
    let places: Vec<String> = places.into_iter().take(5).collect();
    (!places.is_empty()).then(|| {
        let know = format!(
            "some of this connection's name point to {}: if Latchkey has moved from there, delete them at the PSA (DELETE \
             /TicketWebhooks/ID); they tell that address of every ticket",
            places.join(", ")
        );
        Check::note("webhooks at other addresses", know)
    })
}

/// Events that the vendor gave up on after five tries. [facts 1.6] The poll has found what they told of.
async fn lost(tenant: &Tenant, ours: &[wire::Webhook]) -> Option<Check> {
    const WHAT: &str = "events that did not arrive";
    let rows: Vec<wire::LostEvent> = tenant.api.query(LOST, &[Filter::all()], &[], Urgency::Ordinary).await.ok()?;
    let is_ours = |row: &wire::LostEvent| {
        let guids = ours.iter().filter_map(|hook| hook.webhook_guid.as_deref());
        guids.into_iter().any(|guid| row.payload.as_deref().is_some_and(|payload| payload.contains(guid)))
    };
    Some(match rows.iter().filter(|row| is_ours(row)).count() {
        0 => Check::ok(WHAT, "none in thirty days"),
        n => {
            let know =
                format!("{n} in thirty days: the PSA did not reach this address, and the poll found them instead");
            Check::note(WHAT, know)
        }
    })
}
