//! Our webhooks at the PSA ("callbacks"): one per board, active, at the present URL.
//!
//! The URL ends in the path secret: it is compared, sent, and never shown. Ours is what points below the same host
//! and path; entries of other products are never touched.

use std::{collections::BTreeMap, time::Duration};

use latchkey_contract::{
    BoardId, CallError, ConnectionId,
    ticket::{Webhook, WebhookChanges},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    api::{Api, Ask, number_or_refused},
    conditions::{Conditions, Match},
    errors::{self, Missing, Told, accepted},
    paging::LARGEST,
    wire,
};

const LIST: &str = "GET /system/callbacks";
const CREATE: &str = "POST /system/callbacks";
const CHANGE: &str = "PATCH /system/callbacks/{id}";
const DELETE: &str = "DELETE /system/callbacks/{id}";
/// The payload with a message id and a signature.
const PAYLOAD: &str = "3.0.0";
/// How long the PSA may still see an entry that was deleted.
const DELETION_LAG: Duration = Duration::from_secs(15);

/// The webhooks of one connection.
#[derive(Debug)]
pub(crate) struct Callbacks<'c> {
    api: &'c Api,
    /// What our entries' descriptions begin with.
    mark: String,
}

impl<'c> Callbacks<'c> {
    pub(crate) fn new(api: &'c Api, connection: &ConnectionId) -> Self {
        Self { api, mark: format!("Latchkey {connection}:") }
    }

    /// By their description, since no URL is at hand.
    pub(crate) async fn list(&self) -> Result<Vec<Webhook>, CallError> {
        let rows = self.rows("description", &self.mark).await?;
        let ours = rows.into_iter().filter(|row| row.description.as_deref().is_some_and(|d| d.starts_with(&self.mark)));
        Ok(ours.map(shown).collect())
    }

    /// Keeps what is right, mends what is not, makes what is missing, removes what is too much; in this order, so
    /// that no board is without a webhook in between.
    pub(crate) async fn sync(&self, url: &Url, boards: &[BoardId]) -> Result<WebhookChanges, CallError> {
        let target = target(url);
        let mut wanted = BTreeMap::new();
        for board in boards {
            wanted.insert(i64::from(number_or_refused(CREATE, board.as_str())?), None);
        }
        let (mut changes, mut strays) = (WebhookChanges::default(), Vec::new());
        for row in self.below(url).await? {
            match row.object_id.and_then(|board| wanted.get_mut(&board)) {
                Some(place @ None) if is_at(&row, &target) => *place = Some(row),
                _ => strays.push(row.id),
            }
        }
        let mut is_blocked = false;
        for (board, row) in wanted {
            match row {
                Some(row) if is_right(&row) => changes.kept += 1,
                Some(row) => {
                    self.repair(row.id).await?;
                    changes.repaired += 1;
                }
                None if self.create(board, &target).await? => changes.created += 1,
                None => is_blocked = true,
            }
        }
        for id in strays {
            changes.removed += usize::from(self.delete(id).await?);
        }
        if is_blocked {
            let why = "the PSA still sees a matching callback; a deleted one is visible for some seconds";
            return Err(CallError::not_yet(CREATE, DELETION_LAG, why));
        }
        Ok(changes)
    }

    pub(crate) async fn remove(&self, url: &Url) -> Result<usize, CallError> {
        let mut removed = 0;
        for row in self.below(url).await? {
            removed += usize::from(self.delete(row.id).await?);
        }
        Ok(removed)
    }

    /// Every entry at our host and path, whatever its secret.
    async fn below(&self, url: &Url) -> Result<Vec<wire::Callback>, CallError> {
        let base = base(url);
        let rows = self.rows("url", &format!("{}{}", authority(url), base.path())).await?;
        let is_ours = |row: &wire::Callback| {
            row.url.as_deref().and_then(|u| Url::parse(u).ok()).is_some_and(|u| is_below(&u, &base))
        };
        Ok(rows.into_iter().filter(is_ours).collect())
    }

    async fn rows(&self, field: &'static str, part: &str) -> Result<Vec<wire::Callback>, CallError> {
        let unsafe_text =
            || CallError::Refused { op: LIST, status: 400, code: "the URL cannot be searched for".into() };
        let conditions = Conditions::text(field, Match::Contains, part).ok_or_else(unsafe_text)?;
        let ask = Ask::new(LIST, ["system", "callbacks"]).query("conditions", conditions.into_text());
        self.api.list(&ask, LARGEST).await
    }

    /// `Ok(false)` when the PSA says that there is one already.
    async fn create(&self, board: i64, target: &str) -> Result<bool, CallError> {
        let entry = json!({
            "description": format!("{} board {board}", self.mark),
            "url": target,
            "objectId": board,
            "type": "ticket",
            "level": "board",
            "payloadVersion": PAYLOAD,
            "inactiveFlag": false,
            "isSoapCallbackFlag": false,
            "isSelfSuppressedFlag": true,
        });
        let answer = self.api.send(&Ask::new(CREATE, ["system", "callbacks"]).body(&entry)).await?;
        if matches!(answer.status.as_u16(), 400 | 409) && Told::read(&answer.body).has("ObjectExists") {
            return Ok(false);
        }
        accepted(answer).map(|_| true)
    }

    async fn repair(&self, id: i64) -> Result<(), CallError> {
        let set = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
        let patch = json!([
            set("payloadVersion", json!(PAYLOAD)),
            set("inactiveFlag", json!(false)),
            set("isSoapCallbackFlag", json!(false)),
            set("isSelfSuppressedFlag", json!(true)),
        ]);
        let ask = Ask::new(CHANGE, ["system", "callbacks", &id.to_string()]).body(&patch);
        accepted(self.api.send(&ask).await?).map(|_| ())
    }

    /// `Ok(false)` when it was gone.
    async fn delete(&self, id: i64) -> Result<bool, CallError> {
        let answer = self.api.send(&Ask::new(DELETE, ["system", "callbacks", &id.to_string()])).await?;
        match errors::missing(&answer) {
            Some(Missing::Record) => Ok(false),
            _ => accepted(answer).map(|_| true),
        }
    }
}

/// What is registered: the PSA appends the record's number to `recordId=`. Nobody reads it; without it some
/// instances mangle the URL.
fn target(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.set_query(Some("recordId="));
    url.into()
}

/// The URL without its last segment, the path secret.
fn base(url: &Url) -> Url {
    let mut base = url.clone();
    let parent = url.path().trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    base.set_path(&format!("{parent}/"));
    base.set_query(None);
    base.set_fragment(None);
    base
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Same origin, and one segment below the base: another connection's base is another.
fn is_below(url: &Url, base: &Url) -> bool {
    let rest = url.path().strip_prefix(base.path());
    url.origin() == base.origin() && rest.is_some_and(|secret| !secret.trim_end_matches('/').contains('/'))
}

fn is_at(row: &wire::Callback, target: &str) -> bool {
    let is = |text: &Option<String>, wanted: &str| text.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(wanted));
    is(&row.kind, "ticket") && is(&row.level, "board") && row.url.as_deref() == Some(target)
}

fn is_right(row: &wire::Callback) -> bool {
    row.payload_version.as_deref() == Some(PAYLOAD)
        && row.inactive_flag != Some(true)
        && row.is_soap_callback_flag != Some(true)
        && row.is_self_suppressed_flag == Some(true)
}

fn shown(row: wire::Callback) -> Webhook {
    let url = row.url.as_deref().and_then(|url| Url::parse(url).ok());
    let object = row.object_id.map(|id| id.to_string()).unwrap_or_default();
    let kind = row.kind.unwrap_or_default().to_lowercase();
    let level = row.level.unwrap_or_default().to_lowercase();
    let board = row.object_id.filter(|_| kind == "ticket" && level == "board");
    Webhook {
        id: row.id.to_string(),
        board: board.and_then(|id| BoardId::parse(id.to_string()).ok()),
        watches: if kind == "ticket" { format!("{level} {object}") } else { format!("{kind} {level} {object}") },
        target: url.map_or_else(|| "not a URL".to_owned(), |url| format!("{}{}", authority(&url), base(&url).path())),
        is_active: row.inactive_flag != Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_secret_is_cut_off_before_anything_is_shown() {
        assert_eq!(
            base(&url("https://jit.example.com/hooks/cw/s3cret?recordId=1#x")).as_str(),
            "https://jit.example.com/hooks/cw/"
        );
        assert_eq!(
            base(&url("https://jit.example.com/hooks/cw/s3cret/")).as_str(),
            "https://jit.example.com/hooks/cw/"
        );
        assert_eq!(base(&url("https://jit.example.com")).as_str(), "https://jit.example.com/");
        let row = json!({"id": 1, "url": "https://jit.example.com:8443/hooks/cw/s3cret?recordId=", "objectId": 63,
            "type": "ticket", "level": "Board"});
        let hook = shown(serde_json::from_value(row).unwrap());
        assert_eq!((hook.target.as_str(), hook.watches.as_str()), ("jit.example.com:8443/hooks/cw/", "board 63"));
        assert_eq!(hook.board.as_ref().map(BoardId::as_str), Some("63"));
        let row = json!({"id": 1, "objectId": 63, "type": "company", "level": "board"});
        assert_eq!(shown(serde_json::from_value(row).unwrap()).board, None);
    }

    #[test]
    fn only_what_lies_at_our_host_and_path_is_ours() {
        let base = base(&url("https://jit.example.com/hooks/cw/s3cret"));
        assert!(is_below(&url("https://jit.example.com/hooks/cw/older?recordId="), &base));
        for foreign in [
            "https://jit.example.com/hooks/cw-two/s3cret",
            "https://jit.example.com/hooks/cw/a/b",
            "https://jit.example.com.attacker.example/hooks/cw/s3cret",
            "https://other.example/hooks/cw/?u=jit.example.com/hooks/cw/",
            "http://jit.example.com/hooks/cw/s3cret",
            "https://jit.example.com:8443/hooks/cw/s3cret",
        ] {
            assert!(!is_below(&url(foreign), &base), "{foreign}");
        }
    }

    #[test]
    fn the_registered_url_ends_where_the_psa_appends() {
        assert_eq!(target(&url("https://jit.example.com/hooks/cw/s")), "https://jit.example.com/hooks/cw/s?recordId=");
    }
}
