//! Our webhook at the PSA: one for every ticket there is, active, at the present URL, with the fields that matter and
//! without our own saves.
//!
//! The URL ends in the path secret: it is compared, sent, and never shown. Ours is what points below the same host and
//! path; others are never touched.

mod children;

use std::time::Duration;

use latchkey_contract::{
    CallError, ConnectionId, Secret, hook_url,
    outside::Urgency,
    ticket::{Scope, WantedHooks, Webhook, WebhookChanges},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    Tenant,
    api::Ask,
    errors::{accepted, is_missing},
    filter::Filter,
    wire,
};

pub(crate) use children::{BOTH, Needed, Wanted, are_we_excluded, of};

const LIST: &str = "POST /TicketWebhooks/query";
const READ: &str = "GET /TicketWebhooks/{id}";
const CREATE: &str = "POST /TicketWebhooks";
const CHANGE: &str = "PATCH /TicketWebhooks";
const DELETE: &str = "DELETE /TicketWebhooks/{id}";
/// What the names of all of ours begin with; names have at most 50 characters. [facts 1.2]
const MARK: &str = "Latchkey ";
/// When a definition is asked for again whether it is ready.
const READY_LATER: Duration = Duration::from_secs(15);

/// The webhooks of one connection.
#[derive(Debug)]
pub(crate) struct Webhooks<'c> {
    tenant: &'c Tenant,
    name: String,
    key: &'c Secret<String>,
}

impl<'c> Webhooks<'c> {
    pub(crate) fn new(tenant: &'c Tenant, connection: &ConnectionId, key: &'c Secret<String>) -> Self {
        Self { tenant, name: format!("{MARK}{connection}"), key }
    }

    /// By their name, since no URL is at hand.
    pub(crate) async fn list(&self) -> Result<Vec<Webhook>, CallError> {
        Ok(self.named_ours().await?.into_iter().map(shown).collect())
    }

    /// Every one that carries our name, wherever it points.
    pub(crate) async fn named_ours(&self) -> Result<Vec<wire::Webhook>, CallError> {
        let rows = self.all().await?;
        Ok(rows.into_iter().filter(|row| row.name.as_deref().is_some_and(|name| name == self.name)).collect())
    }

    /// Every one at our host and path, whatever its secret.
    pub(crate) async fn below(&self, url: &Url) -> Result<Vec<wire::Webhook>, CallError> {
        let base = hook_url::base(url);
        let is_ours =
            |row: &wire::Webhook| row.webhook_url.as_deref().is_some_and(|url| hook_url::is_below(url, &base));
        Ok(self.all().await?.into_iter().filter(is_ours).collect())
    }

    /// Keeps or mends the one, makes it where it is missing, then removes what is too much; so that there is one at every
    /// moment. The key cannot be read back [facts 1.2], so it is written every time.
    pub(crate) async fn sync(&self, want: &WantedHooks) -> Result<WebhookChanges, CallError> {
        let mut rows = self.below(&want.url).await?;
        rows.sort_by_key(|row| (fault(row, &want.url).is_some(), row.is_active != Some(true), row.id));
        let mut changes = WebhookChanges::default();
        let mut rows = rows.into_iter();
        let first = rows.next();
        let mut strays: Vec<i64> = rows.map(|row| row.id).collect();
        let is_right = first.as_ref().is_some_and(|row| fault(row, &want.url).is_none());
        let former = first.map(|row| row.id);
        let id = match former {
            Some(id) if self.mend(id, &want.url).await? => id,
            // One that cannot be mended is replaced, and goes only once its successor is there.
            other => {
                strays.extend(other);
                self.create(&want.url, other).await?
            }
        };
        let children = self.children(id, want).await?;
        match former {
            Some(former) if former == id && is_right && children == 0 => changes.kept = 1,
            Some(former) if former == id => changes.repaired = 1,
            _ => changes.created = 1,
        }
        self.must_be_ready(id).await?;
        for id in strays {
            changes.removed += usize::from(self.delete(id).await?);
        }
        Ok(changes)
    }

    /// The vendor switches a webhook off after 25 failed events in a row. [facts 1.6] Whether a change of `isActive` switches it
    /// on again is not documented; where it does not, another one is made at the same address.
    pub(crate) async fn revive(&self, url: &Url) -> Result<usize, CallError> {
        let mut revived = 0;
        let rows = self.below(url).await?;
        for row in rows.iter().filter(|row| row.is_active == Some(false)) {
            let change = json!({"id": row.id, "isActive": true});
            let is_on = self.tenant.api.write(&Ask::new(CHANGE, ["TicketWebhooks"]).body(&change)).await?.is_some()
                && self.read(row.id).await?.is_some_and(|row| row.is_active == Some(true));
            if !is_on {
                let url = row.webhook_url.as_deref().and_then(|url| Url::parse(url).ok());
                let Some(url) = url else { continue };
                let fields = children::of(self.tenant, row.id).await?;
                // One that an earlier attempt made and did not finish is finished: there are never more than two of us.
                let begun = rows.iter().find(|other| other.is_active == Some(true) && succeeds(other, row.id, &url));
                let successor = match begun {
                    Some(begun) => begun.id,
                    None => self.create(&url, Some(row.id)).await?,
                };
                children::copy(self.tenant, successor, &fields).await?;
                self.must_be_ready(successor).await?;
                self.delete(row.id).await?;
            }
            revived += 1;
        }
        Ok(revived)
    }

    pub(crate) async fn remove(&self, url: &Url) -> Result<usize, CallError> {
        let mut removed = 0;
        for row in self.below(url).await? {
            removed += usize::from(self.delete(row.id).await?);
        }
        Ok(removed)
    }

    async fn all(&self) -> Result<Vec<wire::Webhook>, CallError> {
        self.tenant.api.query(LIST, &[Filter::begins("name", MARK)], &[], Urgency::Ordinary).await
    }

    pub(crate) async fn read(&self, id: i64) -> Result<Option<wire::Webhook>, CallError> {
        self.tenant.api.item(&Ask::new(READ, ["TicketWebhooks", &id.to_string()])).await
    }

    /// `replaces`: the vendor takes two of the same address for duplicates, switched off ones included [facts 1.6], so the
    /// successor's differs behind the path, which nobody reads.
    async fn create(&self, url: &Url, replaces: Option<i64>) -> Result<i64, CallError> {
        let mut target = url.clone();
        target.set_query(replaces.map(after).as_deref());
        let mut definition = self.definition(&target);
        definition["name"] = json!(self.name);
        self.tenant.api.must_write(&Ask::new(CREATE, ["TicketWebhooks"]).body(&definition).secret()).await
    }

    /// `Ok(false)` when the PSA does not change it, or not into this.
    async fn mend(&self, id: i64, url: &Url) -> Result<bool, CallError> {
        let mut change = self.definition(url);
        change["id"] = json!(id);
        let ask = Ask::new(CHANGE, ["TicketWebhooks"]).body(&change).secret();
        match self.tenant.api.write(&ask).await {
            Ok(None) | Err(CallError::Refused { .. }) => return Ok(false),
            Ok(Some(_)) => {}
            Err(error) => return Err(error),
        }
        // Without its fields it is not ready yet; whether it is will be asked when they are there.
        let after = self.read(id).await?;
        Ok(after.is_some_and(|row| matches!(fault(&row, url), None | Some(NOT_READY))))
    }

    /// Both addresses are the same: the body tells a deactivation. [facts 1.2]
    fn definition(&self, url: &Url) -> Value {
        json!({
            "webhookUrl": url.as_str(),
            "deactivationUrl": url.as_str(),
            "secretKey": self.key.expose(),
            "isActive": true,
            "isSubscribedToCreateEvents": true,
            "isSubscribedToUpdateEvents": true,
            "isSubscribedToDeleteEvents": true,
            "sendThresholdExceededNotification": false,
        })
    }

    /// Fields, user-defined fields and our own resource; how many changes it took.
    async fn children(&self, id: i64, want: &WantedHooks) -> Result<usize, CallError> {
        let needed = Needed::of(self.tenant, &want.fields).await?;
        let mut changes = 0;
        for (kind, wanted) in BOTH.iter().zip([&needed.fields, &needed.udfs]) {
            changes += children::make_right(self.tenant, id, kind, wanted).await?;
        }
        Ok(changes + children::exclude_us(self.tenant, id).await?)
    }

    async fn must_be_ready(&self, id: i64) -> Result<(), CallError> {
        match self.read(id).await? {
            Some(row) if row.is_active == Some(true) && row.is_ready != Some(false) => Ok(()),
            _ => Err(CallError::not_yet(READ, READY_LATER, "the webhook is not ready yet")),
        }
    }

    /// `Ok(false)` when it was gone.
    async fn delete(&self, id: i64) -> Result<bool, CallError> {
        let answer = self.tenant.api.send(&Ask::new(DELETE, ["TicketWebhooks", &id.to_string()])).await?;
        if is_missing(&answer) {
            return Ok(false);
        }
        accepted(answer, true).map(|_| true)
    }
}

fn after(former: i64) -> String {
    format!("after={former}")
}

/// Made to take that one's place at this address.
fn succeeds(row: &wire::Webhook, former: i64, url: &Url) -> bool {
    let target = row.webhook_url.as_deref().and_then(|url| Url::parse(url).ok());
    target.is_some_and(|target| target.path() == url.path() && target.query() == Some(&after(former)))
}

const NOT_READY: &str = "the PSA does not call it ready: it has no fields";

/// What is wrong with a webhook; `None` when it sends to where we listen.
pub(crate) fn fault(row: &wire::Webhook, url: &Url) -> Option<&'static str> {
    let leads_here = |target: &Option<String>| {
        let target = target.as_deref().and_then(|url| Url::parse(url).ok());
        target.is_some_and(|target| target.origin() == url.origin() && target.path() == url.path())
    };
    let tells =
        [row.is_subscribed_to_create_events, row.is_subscribed_to_update_events, row.is_subscribed_to_delete_events];
    if row.is_active != Some(true) {
        Some("it is switched off")
    } else if !leads_here(&row.webhook_url) {
        Some("it points at an older path secret")
    } else if !leads_here(&row.deactivation_url) {
        Some("it does not tell us when it is switched off")
    } else if tells.iter().any(|flag| *flag != Some(true)) {
        Some("it does not tell of everything that happens to a ticket")
    } else if row.is_ready == Some(false) {
        Some(NOT_READY)
    } else {
        None
    }
}

fn shown(row: wire::Webhook) -> Webhook {
    Webhook {
        id: row.id.to_string(),
        watches: "every queue".to_owned(),
        scope: Scope::Everything,
        target: hook_url::shown(row.webhook_url.as_deref().unwrap_or_default()),
        is_active: row.is_active == Some(true) && row.is_ready != Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(change: Value) -> wire::Webhook {
        let mut row = json!({"id": 12, "name": "Latchkey at", "webhookUrl": "https://jit.example.com/hooks/at/s3cret",
            "deactivationUrl": "https://jit.example.com/hooks/at/s3cret", "isActive": true, "isReady": true,
            "isSubscribedToCreateEvents": true, "isSubscribedToUpdateEvents": true, "isSubscribedToDeleteEvents": true});
        for (key, value) in change.as_object().unwrap() {
            row[key] = value.clone();
        }
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn each_way_in_which_it_can_be_wrong_is_said() {
        let url = "https://jit.example.com/hooks/at/s3cret".parse().unwrap();
        let fault = |change| fault(&row(change), &url);
        assert_eq!(fault(json!({})), None);
        assert_eq!(fault(json!({"webhookUrl": "https://jit.example.com/hooks/at/s3cret?after=11"})), None);
        for (change, says) in [
            (json!({"isActive": false}), "switched off"),
            (json!({"webhookUrl": "https://jit.example.com/hooks/at/older"}), "older"),
            (json!({"deactivationUrl": null}), "switched off"),
            (json!({"isSubscribedToDeleteEvents": false}), "everything"),
            (json!({"isReady": false}), "ready"),
        ] {
            let said = fault(change.clone()).unwrap_or_default();
            assert!(said.contains(says), "{change}: {said}");
        }
    }

    #[test]
    fn what_is_shown_of_a_webhook_holds_no_secret() {
        let hook = shown(row(json!({})));
        assert_eq!((hook.target.as_str(), hook.scope), ("jit.example.com/hooks/at/", Scope::Everything));
        assert!(!format!("{:?}", row(json!({}))).contains("s3cret"));
    }
}
