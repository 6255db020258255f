//! The end of a comparison: what was found is written down, and the copy becomes the database in use.

use latchkey_contract::{ConnectionId, GrantId, Timestamp, directory::Risk};
use serde_json::{Value, json};

use super::{Comparison, Different, Found, Place};
use crate::{
    access::{Account, Cause, Event, Grant},
    audit::{AuditEntry, By, Code},
    generation::{Counter, CounterError},
    jobs::{
        advance::advance,
        chain,
        task::{NewTask, Priority, Work},
    },
    random::{Random, account_id},
    store::{CommitName, Comparing, Store, StoreError, Transition},
};

/// What ends access that an older copy takes for living. For the ticket, after "Access ended: ".
const NOT_AS_GIVEN: &str =
    "the database was restored from a backup, and the directory does not show this access as it was given";

const NOT_COMPARED: &str =
    "the database was restored from a backup, and the directory could not be asked whether this access still stands";

/// Who accepts what.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// For the history and the audit log.
    pub by: By,
    /// Directories that could not be compared and are done without.
    pub without: &'a [ConnectionId],
    /// The copy that is compared; `None` when the database is the one in use, and only unknown accounts are taken away.
    pub restored: Option<Comparing>,
}

/// What follows from a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Accounts that were unknown, and are to be taken away.
    pub adopted: usize,
    /// Accounts that were not as they should be, and are to be looked at.
    pub different: usize,
    /// Grants that end.
    pub ended: usize,
}

/// Writes down what follows, and ends the comparison. Whenever this breaks off, it is compared again, and what was written
/// is found as known.
///
/// # Errors
/// When the database fails; [`StoreError::Conflict`] when it has changed since it was compared.
pub async fn settle(
    store: &dyn Store,
    comparison: &Comparison,
    accepted: &Accepted<'_>,
    counter: &Counter,
    random: &dyn Random,
    now: Timestamp,
) -> Result<Settled, StoreError> {
    if let Some(comparing) = accepted.restored {
        // As long as the note is there nothing new is given, by whomever it was compared meanwhile: what is unknown is not
        // somebody's new account. Two who compare may both get past this, and find the same.
        if store.generation().await?.comparing != accepted.restored {
            return Err(StoreError::Conflict);
        }
        take_up_nothing_from_before(store, comparing.since, &accepted.by, now).await?;
    }
    let mut act = Act {
        transition: Transition::new(CommitName::Command, now),
        settled: Settled::default(),
        by: &accepted.by,
        random,
    };
    act.transition.is_removal = true;
    let mut places = Vec::new();
    for place in &comparison.places {
        places.push(match &place.found {
            Ok(found) => act.compared(store, place, found, accepted.restored.is_some()).await?,
            Err(why) => act.not_compared(place, why, accepted.restored.is_some()),
        });
    }
    let Act { mut transition, settled, .. } = act;
    let detail = json!({
        "restored": accepted.restored,
        "compared_at": comparison.at,
        "without": accepted.without,
        "directories": places,
    });
    transition.audit.push(AuditEntry::new(Code::ReconcileDone, now, accepted.by.clone(), detail));
    store.commit(transition).await?;
    if let Some(comparing) = accepted.restored {
        match counter.raise_compared(store, comparing).await {
            Ok(_) => {}
            Err(CounterError::Store(error)) => return Err(error),
            Err(error) => tracing::error!(error = chain(&error), "the generation is raised in the database alone"),
        }
    }
    Ok(settled)
}

struct Act<'a> {
    transition: Transition,
    settled: Settled,
    by: &'a By,
    random: &'a dyn Random,
}

impl Act<'_> {
    async fn compared(
        &mut self,
        store: &dyn Store,
        place: &Place,
        found: &Found,
        is_restored: bool,
    ) -> Result<Value, StoreError> {
        let mut adopted = Vec::new();
        for marked in &found.unknown {
            // A mark that is somebody else's here already was copied: the object alone tells whose it is.
            let id = match &marked.mark {
                Some(mark) if store.account(mark).await?.is_none() && !self.has(mark) => mark.clone(),
                _ => account_id(self.random, self.transition.now),
            };
            adopted.push(json!({ "account": id, "object": marked.object, "name": marked.name }));
            let (directory, customer) = (place.directory.clone(), place.customer.clone());
            self.cut(Account::found(id, directory, customer, marked, self.transition.now));
        }
        self.settled.adopted += adopted.len();
        let mut different = Vec::new();
        for one in found.different.iter().filter(|_| is_restored) {
            let ended: Vec<&GrantId> = one.living().collect();
            different.push(json!({ "account": one.account.id, "what": one.what, "ended": ended }));
            self.different(one);
        }
        Ok(json!({
            "directory": place.directory, "as_expected": found.as_expected, "different": different, "adopted": adopted,
        }))
    }

    fn different(&mut self, one: &Different) {
        self.settled.different += 1;
        if one.grants.is_empty() {
            self.cut(one.account.clone().to_be_cut(self.transition.now));
        } else {
            self.end(&one.grants, NOT_AS_GIVEN);
        }
    }

    fn not_compared(&mut self, place: &Place, why: &str, is_restored: bool) -> Value {
        let ended: Vec<&GrantId> = place.living.iter().map(|grant| &grant.id).collect();
        let told = json!({ "directory": place.directory, "not_compared": why, "ended": ended });
        if is_restored {
            self.end(&place.living, NOT_COMPARED);
        }
        told
    }

    fn end(&mut self, grants: &[Grant], why: &str) {
        for grant in grants {
            let event = Event::End(Cause::Held { why: why.to_owned() });
            let ended = advance(&mut self.transition, grant, &event, grants, self.by, self.random);
            self.settled.ended += usize::from(ended.is_some());
        }
    }

    fn cut(&mut self, account: Account) {
        let work = Work::Converge { account: account.id.clone(), directory: account.directory.clone() };
        self.transition.tasks.push(NewTask::new(work, self.transition.now, Priority::Removal).of(Risk::Power));
        self.transition.accounts.push(account);
    }

    fn has(&self, id: &latchkey_contract::AccountId) -> bool {
        self.transition.accounts.iter().any(|account| account.id == *id)
    }
}

/// A ticket that stands in its trigger since before the copy was put back may have been granted already. A person who
/// still wants it sets it again.
async fn take_up_nothing_from_before(
    store: &dyn Store,
    since: Timestamp,
    by: &By,
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let mut rules = store.rules().await?;
        let before: Vec<_> =
            rules.rulebook.mappings.iter_mut().filter(|m| m.watched_since.is_none_or(|at| at < since)).collect();
        if before.is_empty() {
            return Ok(());
        }
        for mapping in before {
            mapping.watched_since = Some(since);
        }
        match store
            .save_rules(&rules, &by.to_string(), "restored: what was asked for before is not taken up", now)
            .await
        {
            Err(StoreError::Conflict) => {}
            saved => return saved.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use latchkey_contract::directory::{Marked, Mode};

    use super::*;
    use crate::{
        random::SystemRandom,
        store::{
            LaterHolds,
            sqlite::{Options, Sqlite},
            story::{self, START},
        },
    };

    /// An account whose mark is another one's here already is taken away under an id of its own; the other one stays.
    #[tokio::test]
    async fn a_copied_mark_does_not_lead_to_the_account_that_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
        let mut known = story::account("a1", Mode::Standard);
        known.known.object = Some("o1".parse().unwrap());
        store.commit(Transition { accounts: vec![known], ..story::transition() }).await.unwrap();
        let marked = |mark: &str, object: &str| Marked {
            mark: Some(mark.parse().unwrap()),
            object: object.parse().unwrap(),
            name: format!("{object}@contoso.onmicrosoft.com"),
            is_enabled: true,
        };
        let unknown = vec![marked("a1", "o2"), marked("a9", "o3"), marked("a9", "o4")];
        let found = Found { unknown, ..Found::default() };
        let (directory, customer) = (story::connection("acme-entra"), "acme".parse().unwrap());
        let places = vec![Place { directory, customer, found: Ok(found), living: vec![] }];
        let comparison = Comparison { at: START, later_holds: LaterHolds::Unknown, places };
        let accepted = Accepted { by: By::Service, without: &[], restored: None };
        let counter = Counter::at(&dir.path().join("generation"));
        let settled = settle(&store, &comparison, &accepted, &counter, &SystemRandom, START).await.unwrap();
        assert_eq!(settled.adopted, 3);
        let accounts = store.accounts(None, 10).await.unwrap();
        let object = |id: &str| {
            let account = accounts.iter().find(|account| account.id.as_str() == id).unwrap();
            account.known.object.clone().unwrap().to_string()
        };
        assert_eq!((accounts.len(), object("a1").as_str(), object("a9").as_str()), (4, "o1", "o3"));
        let burners: Vec<_> = accounts.iter().filter(|account| account.mode == Mode::Burner).collect();
        assert!(burners.len() == 3 && burners.iter().all(|account| account.person.as_str() == "unknown"));
        assert_eq!(story::claim(&store, START).await.len(), 3, "each has a task that takes it away");
        assert_eq!(store.generation().await.unwrap().number, None, "the database is the one in use");
    }
}
