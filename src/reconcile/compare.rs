//! What the directories say, held against the database. Changes nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use latchkey_contract::{
    AccountId, CallError, ConnectionId, CustomerId, Directory, GrantId, Timestamp,
    directory::{Marked, Next, Observation},
    outside::Urgency,
};

use crate::{
    access::{
        Account, Grant, Holds,
        account::{UNKNOWN, target},
    },
    jobs::chain,
    registry::InForce,
    rulebook::Records,
    store::{Comparing, LaterHolds, Store, StoreError},
};

/// How many accounts of one directory are looked at at once.
const AT_ONCE: usize = 4;

/// How often one look is tried.
const TRIES: u64 = 3;

/// Clocks of vendors and ours may differ by this much.
const SKEW: Duration = Duration::from_secs(5 * 60);

const PAGE: u32 = 500;

/// Every directory, as it was found.
#[derive(Debug)]
pub struct Comparison {
    /// When it began.
    pub at: Timestamp,
    /// What became of the holds that the copy does not know.
    pub later_holds: LaterHolds,
    /// One for each directory.
    pub places: Vec<Place>,
}

/// One directory.
#[derive(Debug)]
pub struct Place {
    /// Which.
    pub directory: ConnectionId,
    /// The customer whose accounts live there; [`UNKNOWN`] where there are several, or none.
    pub customer: CustomerId,
    /// What was found; or why it could not be compared.
    pub found: Result<Found, String>,
    /// Grants that the database takes for living there.
    pub living: Vec<Grant>,
}

/// What was found in a directory.
#[derive(Debug, Default)]
pub struct Found {
    /// Accounts that are as the database says, or are being taken away already.
    pub as_expected: usize,
    /// Accounts that are not.
    pub different: Vec<Different>,
    /// Accounts with a mark of ours, of which the database does not know: made after the copy.
    pub unknown: Vec<Marked>,
    /// Accounts that carry something in the place of our mark, which cannot have been written since the copy was made; and
    /// emergency access accounts, whatever they carry.
    pub strange: Vec<Marked>,
}

/// An account that is not as the database says.
#[derive(Debug)]
pub struct Different {
    /// As the database has it.
    pub account: Account,
    /// All its grants that are not final.
    pub grants: Vec<Grant>,
    /// A sentence.
    pub what: String,
}

impl Comparison {
    /// What keeps the service from going on by itself, as a sentence; `without` are directories that may be missing.
    #[must_use]
    pub fn missing(&self, without: &[ConnectionId]) -> Option<String> {
        let unreached: Vec<&str> = self.unreached().filter(|id| !without.contains(id)).map(|id| id.as_str()).collect();
        let unknown: usize = self.found().map(|(_, found)| found.unknown.len()).sum();
        let mut parts = Vec::new();
        if !unreached.is_empty() {
            parts.push(format!("directories could not be compared: {}", unreached.join(", ")));
        }
        if unknown > 0 {
            parts.push(format!("{unknown} accounts are not in this database, and have to be accepted"));
        }
        if self.later_holds == LaterHolds::Lost {
            parts.push(
                "the database that was replaced told no holds: who was blocked, which customer was paused and what was locked \
                 after the backup may be free again; set that again, and accept"
                    .to_owned(),
            );
        }
        (!parts.is_empty()).then(|| parts.join("; and "))
    }

    /// Directories that could not be compared.
    pub fn unreached(&self) -> impl Iterator<Item = &ConnectionId> {
        self.places.iter().filter(|place| place.found.is_err()).map(|place| &place.directory)
    }

    /// Directories that were, and hold nothing that somebody has to accept.
    #[must_use]
    pub fn clear(&self) -> Vec<ConnectionId> {
        let clear = self.found().filter(|(_, found)| found.unknown.is_empty());
        clear.map(|(place, _)| place.directory.clone()).collect()
    }

    /// Directories that were, with what was found there.
    pub fn found(&self) -> impl Iterator<Item = (&Place, &Found)> {
        self.places.iter().filter_map(|place| place.found.as_ref().ok().map(|found| (place, found)))
    }
}

/// Asks every directory: those of the records, and those that accounts are in.
///
/// # Errors
/// When the database fails. A directory that fails is an answer.
pub async fn compare(
    store: &dyn Store,
    world: &Arc<InForce>,
    comparing: &Comparing,
    now: Timestamp,
) -> Result<Comparison, StoreError> {
    let records = &world.rules.records;
    let mut places: BTreeMap<ConnectionId, Vec<(Account, Vec<Grant>)>> = BTreeMap::new();
    for connection in records.connections.iter().filter(|c| c.kind.is_directory()) {
        places.entry(connection.id.clone()).or_default();
    }
    let mut after: Option<AccountId> = None;
    loop {
        let page = store.accounts(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for account in page {
            let grants = store.open_grants(&account.id).await?;
            places.entry(account.directory.clone()).or_default().push((account, grants));
        }
    }
    let (holds, until) = (Holds::of(&world.rules), comparing.knows_until);
    let asked = places.into_iter().map(|(id, accounts)| {
        let (holds, directory) = (&holds, world.registry.directory(&id));
        async move {
            let living =
                accounts.iter().flat_map(|(_, grants)| grants).filter(|g| g.state.is_living()).cloned().collect();
            let found = match directory {
                Ok(directory) => look(&*directory, accounts, holds, until, now).await.map_err(|error| chain(&error)),
                Err(error) => Err(chain(&error)),
            };
            Place { customer: customer(records, &id), directory: id, found, living }
        }
    });
    let places = stream::iter(asked).buffered(AT_ONCE).collect().await;
    Ok(Comparison { at: now, later_holds: comparing.later_holds, places })
}

async fn look(
    directory: &dyn Directory,
    accounts: Vec<(Account, Vec<Grant>)>,
    holds: &Holds,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Found, CallError> {
    let mut found = Found::default();
    let marked = patiently(|| directory.find_marked()).await?;
    let mut unknown = marked.into_iter().filter(|one| !is_known(one, &accounts)).peekable();
    // No sweep touches an emergency account: somebody marked it by hand.
    let spared = if unknown.peek().is_some() { patiently(|| directory.protected()).await? } else { Vec::new() };
    for one in unknown {
        // The account of a known mark may have been deleted, and made again as another object.
        let is_ours =
            is_since(&one, until) || accounts.iter().any(|(account, _)| one.mark.as_ref() == Some(&account.id));
        let is_spared = spared.iter().any(|account| account.object == one.object);
        let list = if is_ours && !is_spared { &mut found.unknown } else { &mut found.strange };
        list.push(one);
    }
    let looked = accounts.into_iter().map(|(account, grants)| async move {
        let reference = account.reference();
        let seen = patiently(|| directory.observe(&reference, Urgency::Removal)).await?;
        let seen = Observation { at: now, ..seen };
        let what = differs(directory, &account, &grants, &seen, holds, until, now);
        Ok::<_, CallError>(what.map(|what| Different { account, grants, what }))
    });
    let looked: Vec<Option<Different>> = stream::iter(looked).buffered(AT_ONCE).try_collect().await?;
    found.as_expected = looked.iter().filter(|different| different.is_none()).count();
    found.different = looked.into_iter().flatten().collect();
    Ok(found)
}

/// One lost answer must not send thousands of looks back to the beginning.
async fn patiently<T, F: Future<Output = Result<T, CallError>>>(ask: impl Fn() -> F) -> Result<T, CallError> {
    let mut tried = 1;
    loop {
        match ask().await {
            Err(error) if error.is_transient() && tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(200 * tried)).await;
                tried += 1;
            }
            answer => return answer,
        }
    }
}

/// How an account is not as the database says; `None` where it is, or where its removal is owed already.
fn differs(
    directory: &dyn Directory,
    account: &Account,
    grants: &[Grant],
    seen: &Observation,
    holds: &Holds,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let target = target(account, grants, holds, now);
    if !target.gives() && !grants.is_empty() {
        return None;
    }
    let account = account.clone().under(&target);
    let password_set = seen.account.as_ref().and_then(|seen| seen.password_changed);
    if target.gives() && password_set.zip(until).is_some_and(|(set, until)| set > until + SKEW) {
        return Some("its password was set after the copy of the database was made".to_owned());
    }
    match directory.next(&target, seen, &account.known, now) {
        Next::Reached | Next::Wait { .. } => None,
        Next::Step(step) if target.gives() => {
            Some(format!("it is not as its grants say (the next step would be {})", step.name()))
        }
        Next::Step(step) => Some(format!("it has what no grant gives (the next step is {})", step.name())),
        Next::Impossible { why } => Some(why),
    }
}

/// By the object that our own call returned; and where none is known yet, by our mark under our name.
fn is_known(marked: &Marked, accounts: &[(Account, Vec<Grant>)]) -> bool {
    accounts.iter().any(|(account, _)| match &account.known.object {
        Some(object) => *object == marked.object,
        None => marked.mark.as_ref() == Some(&account.id) && marked.name.eq_ignore_ascii_case(&account.name),
    })
}

/// Our marks tell when they were made. Whatever else stands in that attribute was there before, or is not of ours.
fn is_since(marked: &Marked, until: Option<Timestamp>) -> bool {
    let Some(made) = marked.mark.as_ref().and_then(|mark| ulid::Ulid::from_string(mark.as_str()).ok()) else {
        return false;
    };
    let made = Timestamp::from_millis(i64::try_from(made.timestamp_ms()).unwrap_or(i64::MAX));
    until.is_none_or(|until| made + SKEW > until)
}

fn customer(records: &Records, directory: &ConnectionId) -> CustomerId {
    let mut theirs = records.customers.iter().filter(|c| c.directory.as_ref() == Some(directory));
    match (theirs.next(), theirs.next()) {
        (Some(one), None) => one.id.clone(),
        _ => CustomerId::parse(UNKNOWN).expect("a constant of lower-case letters"),
    }
}

impl Different {
    /// Grants that the database takes for living.
    pub fn living(&self) -> impl Iterator<Item = &GrantId> {
        self.grants.iter().filter(|grant| grant.state.is_living()).map(|grant| &grant.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::story;

    const UNTIL: Timestamp = story::START;

    fn marked(mark: Option<&str>, object: &str, name: &str) -> Marked {
        let mark = mark.map(|mark| mark.parse().unwrap());
        Marked { mark, object: object.parse().unwrap(), name: name.to_owned(), is_enabled: true }
    }

    fn made_at(time: Timestamp) -> String {
        crate::random::id(time)
    }

    #[test]
    fn a_mark_is_news_only_when_it_was_made_since_the_copy() {
        let is_news = |mark: &str| is_since(&marked(Some(mark), "o1", "x"), Some(UNTIL));
        assert!(is_news(&made_at(UNTIL + Duration::from_secs(60))));
        assert!(is_news(&made_at(UNTIL - Duration::from_secs(60))), "clocks differ");
        assert!(!is_news(&made_at(UNTIL - Duration::from_secs(3600))));
        assert!(!is_news("HR-4711") && !is_news("01hzx3v9q2"));
        assert!(!is_since(&marked(None, "o1", "x"), None));
        assert!(
            is_since(&marked(Some(&made_at(UNTIL - Duration::from_secs(3600))), "o1", "x"), None),
            "nothing is known"
        );
    }

    #[test]
    fn an_account_is_known_by_its_object_and_before_that_by_mark_and_name() {
        let mut found = story::account("a1", latchkey_contract::directory::Mode::Standard);
        found.known.object = Some("o1".parse().unwrap());
        let asked = story::account("a2", latchkey_contract::directory::Mode::Standard);
        let name = asked.name.clone();
        let accounts = vec![(found, vec![]), (asked, vec![])];
        assert!(is_known(&marked(Some("a1"), "o1", "renamed"), &accounts));
        assert!(is_known(&marked(None, "o1", "renamed"), &accounts), "its mark was changed by hand");
        assert!(!is_known(&marked(Some("a1"), "o2", "made again"), &accounts));
        assert!(is_known(&marked(Some("a2"), "o3", &name.to_uppercase()), &accounts));
        assert!(!is_known(&marked(Some("a2"), "o3", "another"), &accounts), "the mark was copied");
    }
}
