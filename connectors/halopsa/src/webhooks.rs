//! Our webhook at the instance, and what it is bound to. One is enough for all teams: it is bound to events, and no
//! condition on a team is published.
//!
//! Ours is what points below the same host and path; others are never touched. The URL ends in the path secret and the
//! password cannot be read back, so a webhook's name carries a fingerprint of both credentials and place: another one means
//! that they have changed. Every admin of the instance sees the name, so it is made with our own key: nobody else can try
//! passwords on it.

use latchkey_contract::{
    CallError, ConnectionId, hook_url,
    note::Marks,
    ticket::{Scope, Webhook, WebhookChanges},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    api::{Api, Ask, posted},
    errors::{self, Missing, accepted},
    events::Events,
    hook::Door,
    settings::Settings,
    wire,
};

const LIST: &str = "GET /Webhook";
const SAVE: &str = "POST /Webhook";
const DELETE: &str = "DELETE /Webhook/{id}";
const BINDINGS: &str = "GET /Notification";
const BIND: &str = "POST /Notification";
const UNBIND: &str = "DELETE /Notification/{id}";
/// The vendor's number of Basic authentication.
const BASIC: i64 = 1;
/// The kind of a notification that goes to a webhook, and how it is delivered.
const WEBHOOK_BINDING: i64 = -2;
const WEBHOOK_DELIVERY: i64 = 6;
const NAME_TAKEN: &str = "Name must be unique";
/// How many names are tried where another installation, or a webhook that was moved by hand, has ours.
const NAMES: usize = 4;

/// The webhooks of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Webhooks<'c> {
    pub(crate) api: &'c Api,
    pub(crate) connection: &'c ConnectionId,
    pub(crate) door: &'c Door,
    pub(crate) settings: &'c Settings,
    pub(crate) marks: &'c Marks,
}

impl Webhooks<'_> {
    /// By their name, since no URL is at hand.
    pub(crate) async fn list(&self) -> Result<Vec<Webhook>, CallError> {
        let bindings = self.bindings().await?;
        let rows = self.named_ours().await?;
        Ok(rows.into_iter().map(|row| shown(row, &bindings)).collect())
    }

    /// Those that carry our name, wherever they point.
    pub(crate) async fn named_ours(&self) -> Result<Vec<wire::Webhook>, CallError> {
        let mark = self.mark();
        let is_ours = |name: &str| name == mark || name.strip_prefix(&mark).is_some_and(|rest| rest.starts_with(' '));
        Ok(self.rows().await?.into_iter().filter(|row| row.name.as_deref().is_some_and(is_ours)).collect())
    }

    /// Every webhook at our host and path, whatever its secret.
    pub(crate) async fn below(&self, url: &Url) -> Result<Vec<wire::Webhook>, CallError> {
        let base = hook_url::base(url);
        let is_below = |row: &wire::Webhook| row.url.as_deref().is_some_and(|url| hook_url::is_below(url, &base));
        Ok(self.rows().await?.into_iter().filter(is_below).collect())
    }

    /// Every binding of a webhook.
    pub(crate) async fn bindings(&self) -> Result<Vec<wire::Binding>, CallError> {
        let rows: Vec<wire::Binding> = self.api.list(&Ask::new(BINDINGS, ["Notification"])).await?;
        Ok(rows.into_iter().filter(|row| row.webhook_id.as_ref().is_some_and(|id| !id.is_empty())).collect())
    }

    /// Keeps what is right, mends what is not, makes what is missing, removes what is too much; in this order, so that no
    /// ticket is without a webhook in between. What an admin set by hand on ours (payload, batching, conditions, more
    /// events) stays.
    pub(crate) async fn sync(&self, url: &Url, is_wanted: bool) -> Result<WebhookChanges, CallError> {
        let (mut ours, mut strays) = (None, Vec::new());
        for row in self.below(url).await? {
            let is_better = |held: &wire::Webhook| self.worth(&row, url) > self.worth(held, url);
            let loser = if is_wanted && ours.as_ref().is_none_or(is_better) { ours.replace(row) } else { Some(row) };
            strays.extend(loser);
        }
        let mut changes = WebhookChanges::default();
        if is_wanted {
            let (id, mut is_kept) = match ours {
                Some(row) if self.fault(&row, url).is_none() => (row.id, true),
                Some(row) => (self.mend(&row, url).await?, false),
                None => {
                    changes.created += 1;
                    (self.make(url).await?, true)
                }
            };
            is_kept &= self.bind(&id).await? == 0 || changes.created > 0;
            changes.kept += usize::from(is_kept && changes.created == 0);
            changes.repaired += usize::from(!is_kept);
        }
        for row in strays {
            changes.removed += usize::from(self.remove_one(&row.id).await?);
        }
        Ok(changes)
    }

    /// Those that the instance switched off because deliveries failed.
    pub(crate) async fn revive(&self, url: &Url) -> Result<usize, CallError> {
        let mut revived = 0;
        for row in self.below(url).await?.into_iter().filter(|row| row.disabled == Some(true)) {
            let change = json!({"id": row.id, "disabled": false, "active": true});
            let answer = self.api.send(&Ask::new(SAVE, ["Webhook"]).row(change)).await?;
            if errors::missing(&answer) != Some(Missing::Record) {
                let after: wire::Webhook = posted(&accepted(answer)?)?;
                revived += usize::from(after.disabled != Some(true));
            }
        }
        Ok(revived)
    }

    pub(crate) async fn remove(&self, url: &Url) -> Result<usize, CallError> {
        let mut removed = 0;
        for row in self.below(url).await? {
            removed += usize::from(self.remove_one(&row.id).await?);
        }
        Ok(removed)
    }

    /// What is wrong with ours; `None` when it will send what we let in, to where we listen.
    pub(crate) fn fault(&self, row: &wire::Webhook, url: &Url) -> Option<&'static str> {
        let is_named = row.name.as_deref().is_some_and(|name| name.starts_with(&self.name(url)));
        if row.disabled == Some(true) {
            Some("the instance switched it off because deliveries failed")
        } else if row.active != Some(true) {
            Some("it is not active")
        } else if row.url.as_deref() != Some(url.as_str()) {
            Some("it points at an older path secret")
        } else if self.door.basic().is_some() && row.authentication_type != Some(BASIC) {
            Some("it shows no user and password")
        } else if !is_named {
            Some("it may show a former user and password")
        } else {
            None
        }
    }

    fn worth(&self, row: &wire::Webhook, url: &Url) -> (bool, bool) {
        (row.url.as_deref() == Some(url.as_str()), self.fault(row, url).is_none())
    }

    async fn rows(&self) -> Result<Vec<wire::Webhook>, CallError> {
        let rows: Vec<wire::Webhook> = self.api.list(&Ask::new(LIST, ["Webhook"]).query("type", "0")).await?;
        // The filter may be ignored; runbooks live in the same table.
        Ok(rows.into_iter().filter(|row| row.kind.unwrap_or(0) == 0).collect())
    }

    fn mark(&self) -> String {
        format!("Latchkey {}", self.connection)
    }

    fn name(&self, url: &Url) -> String {
        let (user, password) =
            self.door.basic().map_or(("", ""), |(user, password)| (user, password.expose().as_str()));
        let print = self.marks.fingerprint(&["webhook", hook_url::base(url).as_str(), user, password]);
        let print: String = print.iter().take(4).map(|b| format!("{b:02x}")).collect();
        format!("{} {print}", self.mark())
    }

    /// What ours must say of itself; the rest is the admin's.
    fn row(&self, name: &str, url: &Url) -> Value {
        let mut row = json!({"name": name, "url": url.as_str(), "active": true, "disabled": false});
        if let Some((user, password)) = self.door.basic() {
            row["authentication_type"] = json!(BASIC);
            row["basic_username"] = json!(user);
            row["basic_password"] = json!(password.expose());
        }
        row
    }

    async fn make(&self, url: &Url) -> Result<String, CallError> {
        let save = |name: &str| {
            let mut row = self.row(name, url);
            row["type"] = json!(0);
            row["method"] = json!(self.settings.hook_method);
            row["content_type"] = json!("application/json");
            if let Some(payload) = self.settings.hook_payload {
                row["payload_type"] = json!(payload);
            }
            row
        };
        self.save(url, save).await
    }

    async fn mend(&self, found: &wire::Webhook, url: &Url) -> Result<String, CallError> {
        let save = |name: &str| {
            let mut row = self.row(name, url);
            row["id"] = json!(found.id);
            row
        };
        self.save(url, save).await
    }

    /// Names are unique in the whole instance.
    async fn save(&self, url: &Url, row: impl Fn(&str) -> Value) -> Result<String, CallError> {
        let name = self.name(url);
        for n in 1..=NAMES {
            let name = if n == 1 { name.clone() } else { format!("{name} {n}") };
            let answer = self.api.send(&Ask::new(SAVE, ["Webhook"]).row(row(&name))).await?;
            if !answer.status.is_success() && errors::says(&answer, NAME_TAKEN) {
                continue;
            }
            let saved: wire::Webhook = posted(&accepted(answer)?)?;
            return match self.fault(&saved, url) {
                None => Ok(saved.id),
                Some(_) => Err(CallError::transient(SAVE, "the PSA accepted the webhook but did not keep all of it")),
            };
        }
        Err(CallError::Refused { op: SAVE, status: 400, code: NAME_TAKEN.into() })
    }

    /// Binds what is missing; how many. A row's guid is never sent: one that another row has would take that row over.
    async fn bind(&self, webhook: &str) -> Result<usize, CallError> {
        let wanted = Events::look(self.api, &self.settings.events).await?;
        let bound = self.bindings().await?;
        let mut made = 0;
        for (number, name) in wanted.found {
            if bound.iter().any(|b| b.eventno == Some(number) && is_of(b, webhook)) {
                continue;
            }
            let row = json!({
                "guid": Value::Null, "eventno": number, "name": name, "type": WEBHOOK_BINDING,
                "delivery_method": WEBHOOK_DELIVERY, "agent_id": 0, "webhook_id": webhook,
            });
            accepted(self.api.send(&Ask::new(BIND, ["Notification"]).row(row)).await?)?;
            made += 1;
        }
        Ok(made)
    }

    /// `Ok(false)` when it was gone. Its bindings go first: without a webhook they would stay for ever.
    async fn remove_one(&self, id: &str) -> Result<bool, CallError> {
        for binding in self.bindings().await?.into_iter().filter(|b| is_of(b, id)) {
            self.delete(Ask::new(UNBIND, ["Notification", &binding.id.to_string()])).await?;
        }
        self.delete(Ask::new(DELETE, ["Webhook", id])).await
    }

    async fn delete(&self, ask: Ask) -> Result<bool, CallError> {
        let answer = self.api.send(&ask).await?;
        match errors::missing(&answer) {
            Some(Missing::Record) => Ok(false),
            _ => accepted(answer).map(|_| true),
        }
    }
}

/// Whether a binding is this webhook's.
pub(crate) fn is_of(binding: &wire::Binding, webhook: &str) -> bool {
    binding.webhook_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(webhook))
}

fn shown(row: wire::Webhook, bindings: &[wire::Binding]) -> Webhook {
    let events = bindings.iter().filter(|b| is_of(b, &row.id)).count();
    Webhook {
        watches: format!("every ticket, {events} events"),
        // One that is bound to nothing never rings.
        scope: if events == 0 { Scope::Else } else { Scope::Everything },
        target: hook_url::shown(row.url.as_deref().unwrap_or_default()),
        is_active: row.active == Some(true) && row.disabled != Some(true),
        id: row.id,
    }
}
