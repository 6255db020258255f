//! Our webhooks at the PSA ("callbacks"): one per board, active, at the present URL.
//!
//! The URL ends in the path secret: it is compared, sent, and never shown. Ours is what points below the same host
//! and path; entries of other products are never touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_contract::{
    BoardId, CallError, ConnectionId,
    hook_url::{self, authority, base},
    ticket::{Scope, Webhook, WebhookChanges},
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
        Ok(self.named_ours().await?.into_iter().map(shown).collect())
    }

    /// Every entry that carries our name, wherever it points.
    pub(crate) async fn named_ours(&self) -> Result<Vec<wire::Callback>, CallError> {
        let rows = self.rows("description", &self.mark).await?;
        let is_ours = |row: &wire::Callback| row.description.as_deref().is_some_and(|d| d.starts_with(&self.mark));
        Ok(rows.into_iter().filter(is_ours).collect())
    }

    /// Those that carry our name and point to another host or path.
    pub(crate) async fn elsewhere(&self, url: &Url) -> Result<Vec<wire::Callback>, CallError> {
        let base = base(url);
        Ok(self.named_ours().await?.into_iter().filter(|row| !points_below(row, &base)).collect())
    }

    /// Keeps what is right, mends what is not, makes what is missing, removes what is too much; in this order, so
    /// that no board is without a webhook in between. One with an older path secret is moved as it is.
    pub(crate) async fn sync(&self, url: &Url, boards: &BTreeSet<BoardId>) -> Result<WebhookChanges, CallError> {
        let target = target(url);
        let wanted = boards.iter().map(|board| number_or_refused(CREATE, board.as_str()).map(i64::from));
        let Sorted { ours, mut strays } = sorted(self.below(url).await?, &target, wanted.collect::<Result<_, _>>()?);
        let (mut changes, mut is_blocked) = (WebhookChanges::default(), false);
        for (board, row) in ours {
            match row {
                Some(row) if fault(&row, &target).is_none() => changes.kept += 1,
                Some(row) if self.repair(row.id, &target).await? => changes.repaired += 1,
                // One that cannot be mended is replaced, and goes only once its successor is there.
                other => match self.create(board, &target).await? {
                    true => {
                        changes.created += 1;
                        strays.extend(other.map(|row| row.id));
                    }
                    false => is_blocked = true,
                },
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
    pub(crate) async fn below(&self, url: &Url) -> Result<Vec<wire::Callback>, CallError> {
        let base = base(url);
        let rows = self.rows("url", &format!("{}{}", authority(url), base.path())).await?;
        Ok(rows.into_iter().filter(|row| points_below(row, &base)).collect())
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

    /// `Ok(false)` when the PSA does not change it, or not into this.
    async fn repair(&self, id: i64, target: &str) -> Result<bool, CallError> {
        let set = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
        let patch = json!([
            set("url", json!(target)),
            set("payloadVersion", json!(PAYLOAD)),
            set("inactiveFlag", json!(false)),
            set("isSoapCallbackFlag", json!(false)),
            set("isSelfSuppressedFlag", json!(true)),
        ]);
        let answer = self.api.send(&Ask::new(CHANGE, ["system", "callbacks", &id.to_string()]).body(&patch)).await?;
        if matches!(answer.status.as_u16(), 400 | 409) || errors::missing(&answer) == Some(Missing::Record) {
            return Ok(false);
        }
        let unclear = |_| CallError::transient(CHANGE, "the callback may be mended: the answer could not be read");
        let after: wire::Callback = accepted(answer)?.json().map_err(unclear)?;
        Ok(fault(&after, target).is_none())
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
pub(crate) fn target(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.set_query(Some("recordId="));
    url.into()
}

fn points_below(row: &wire::Callback, base: &Url) -> bool {
    row.url.as_deref().is_some_and(|url| hook_url::is_below(url, base))
}

/// Every wanted board with its callback, if it has one, and what is too much.
pub(crate) struct Sorted {
    pub(crate) ours: BTreeMap<i64, Option<wire::Callback>>,
    pub(crate) strays: Vec<i64>,
}

/// Of several callbacks for one board, the best is its callback and the others are strays.
pub(crate) fn sorted(rows: impl IntoIterator<Item = wire::Callback>, target: &str, boards: BTreeSet<i64>) -> Sorted {
    let mut ours: BTreeMap<i64, Option<wire::Callback>> = boards.into_iter().map(|board| (board, None)).collect();
    let mut strays = Vec::new();
    for row in rows {
        let place = row.object_id.filter(|_| is_of_board(&row)).and_then(|board| ours.get_mut(&board));
        let Some(place) = place else {
            strays.push(row.id);
            continue;
        };
        let is_better = place.as_ref().is_none_or(|held| worth(&row, target) > worth(held, target));
        let loser = if is_better { place.replace(row) } else { Some(row) };
        strays.extend(loser.map(|row| row.id));
    }
    Sorted { ours, strays }
}

fn worth(row: &wire::Callback, target: &str) -> (bool, bool) {
    (row.url.as_deref() == Some(target), fault(row, target).is_none())
}

fn is_of_board(row: &wire::Callback) -> bool {
    let is = |text: &Option<String>, wanted: &str| text.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(wanted));
    is(&row.kind, "ticket") && is(&row.level, "board")
}

/// What is wrong with a board's callback; `None` when it sends what we can prove, to where we listen.
pub(crate) fn fault(row: &wire::Callback, target: &str) -> Option<&'static str> {
    if row.inactive_flag == Some(true) {
        Some("it is switched off")
    } else if row.url.as_deref() != Some(target) {
        Some("it points at an older path secret")
    } else if row.payload_version.as_deref() != Some(PAYLOAD) || row.is_soap_callback_flag == Some(true) {
        Some("it does not send signed messages")
    } else if row.is_self_suppressed_flag != Some(true) {
        Some("it also tells of our own saves")
    } else {
        None
    }
}

/// Host and path of where it points, without the path secret.
pub(crate) fn place(row: &wire::Callback) -> String {
    hook_url::shown(row.url.as_deref().unwrap_or_default())
}

fn shown(row: wire::Callback) -> Webhook {
    let target = place(&row);
    let object = row.object_id.map(|id| id.to_string()).unwrap_or_default();
    let kind = row.kind.unwrap_or_default().to_lowercase();
    let level = row.level.unwrap_or_default().to_lowercase();
    let board = row.object_id.filter(|_| kind == "ticket" && level == "board");
    Webhook {
        id: row.id.to_string(),
        scope: board.and_then(|id| BoardId::parse(id.to_string()).ok()).map_or(Scope::Else, Scope::Board),
        watches: if kind == "ticket" { format!("{level} {object}") } else { format!("{kind} {level} {object}") },
        target,
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
    fn what_is_shown_of_a_callback_holds_no_secret() {
        let row = json!({"id": 1, "url": "https://jit.example.com:8443/hooks/cw/s3cret?recordId=", "objectId": 63,
            "type": "ticket", "level": "Board"});
        let hook = shown(serde_json::from_value(row).unwrap());
        assert_eq!((hook.target.as_str(), hook.watches.as_str()), ("jit.example.com:8443/hooks/cw/", "board 63"));
        assert_eq!(hook.scope, Scope::Board(BoardId::parse("63").unwrap()));
        let row = json!({"id": 1, "objectId": 63, "type": "company", "level": "board"});
        assert_eq!(shown(serde_json::from_value(row).unwrap()).scope, Scope::Else);
    }

    #[test]
    fn the_registered_url_ends_where_the_psa_appends() {
        assert_eq!(target(&url("https://jit.example.com/hooks/cw/s")), "https://jit.example.com/hooks/cw/s?recordId=");
    }
}
