//! Showing the credentials: recorded first, shown after. What cannot be recorded is not shown.

use std::{borrow::Cow, fmt};

use latchkey_contract::{GrantId, PersonId, Secret};

use super::Web;
use crate::{
    access::{Grant, Holds, State},
    audit::{AuditEntry, By, Code},
    rulebook::Rules,
    store::{CommitName, StoreError, Transition},
};

/// How often a lost race is run again.
const TRIES: usize = 4;

/// What is shown, once.
pub(super) struct Revealed {
    pub(super) name: String,
    pub(super) password: Secret<String>,
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed(***)")
    }
}

/// Why nothing is shown.
#[derive(Debug)]
pub(super) enum NotRevealed {
    /// A sentence for the person.
    NotNow(String),
    /// The database failed; nothing was recorded, nothing is shown.
    Store(StoreError),
}

impl From<StoreError> for NotRevealed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Commits the audit entry against the very version of the grant that was looked at, and against the rules' revision:
/// a grant that ends, or a hold that falls, at the same moment wins.
pub(super) async fn reveal(web: &Web, id: &GrantId, by: &PersonId) -> Result<(Grant, Revealed), NotRevealed> {
    for _ in 0..TRIES {
        let live = web.live.current().await;
        let grant = web.store.grant(id).await?.filter(|grant| grant.person == *by);
        let grant = grant.ok_or_else(|| NotRevealed::NotNow("There is no such access.".to_owned()))?;
        let revealed = look(web, &grant, &live.rules).await?;
        match web.store.commit(record(web, &grant, &live.rules, by)).await {
            Ok(()) => {
                metrics::counter!("secret_reveals_total", "result" => "ok").increment(1);
                tracing::info!(grant.id = %grant.id, ticket.ref = %grant.ticket, person = %by, "credentials revealed");
                return Ok((grant, revealed));
            }
            Err(StoreError::Conflict) if web.store.generation().await?.comparing.is_some() => {
                let why = "Nothing is shown while the database is compared with the directories. Try again later.";
                return Err(NotRevealed::NotNow(why.to_owned()));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(NotRevealed::Store(StoreError::Conflict))
}

async fn look(web: &Web, grant: &Grant, rules: &Rules) -> Result<Revealed, NotRevealed> {
    let secret = may_see(web, grant, rules).map_err(|why| {
        metrics::counter!("secret_reveals_total", "result" => "refused").increment(1);
        NotRevealed::NotNow(why.into_owned())
    })?;
    let gone = || NotRevealed::NotNow("The credentials are gone: the access has ended.".to_owned());
    let account = web.store.account(&grant.account).await?.ok_or_else(gone)?;
    let row = web.store.sealed(secret).await?.ok_or_else(gone)?;
    match web.seal.open_text(&row) {
        Ok(password) => Ok(Revealed { name: account.name, password }),
        Err(error) => {
            tracing::error!(grant.id = %grant.id, %error, "a password does not open");
            Err(NotRevealed::NotNow("The credentials cannot be read. Ask whoever runs Latchkey.".to_owned()))
        }
    }
}

fn may_see<'a>(
    web: &Web,
    grant: &'a Grant,
    rules: &Rules,
) -> Result<&'a latchkey_contract::SecretId, Cow<'static, str>> {
    let secret = match &grant.state {
        State::Delivering { secret, .. } | State::Active { secret, .. } => secret,
        State::Held { .. } => return Err("This request waits for approval; there is nothing to show yet.".into()),
        State::Granting { .. } => return Err("The account is not ready yet. Try again in a moment.".into()),
        State::Ending { .. } | State::Ended { .. } => {
            return Err("This access has ended; nothing is shown any more.".into());
        }
        State::Refused { .. } | State::Denied { .. } | State::Lapsed { .. } => {
            return Err("Nothing was given, so there is nothing to show.".into());
        }
    };
    if grant.state.end().is_none_or(|end| web.clock.now() >= end) {
        return Err("This access is over; nothing is shown any more.".into());
    }
    if let Some(why) = Holds::of(rules).stops(&grant.customer, &grant.person) {
        return Err(format!("Nothing is shown: {why}.").into());
    }
    Ok(secret)
}

fn record(web: &Web, grant: &Grant, rules: &Rules, by: &PersonId) -> Transition {
    let now = web.clock.now();
    let detail = serde_json::json!({ "account": grant.account, "state": grant.state.name() });
    let entry = AuditEntry::new(Code::SecretRevealed, now, By::Person(by.clone()), detail).about(grant);
    Transition {
        revision: Some(rules.revision),
        grants: vec![grant.clone()],
        audit: vec![entry],
        ..Transition::new(CommitName::Revealed, now)
    }
}
