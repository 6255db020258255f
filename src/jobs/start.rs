//! From a decision to what is committed before any call to a directory: grant, account, sealed password; or a request
//! that waits for approvers, and what they say.

use latchkey_contract::{
    AccountId, BrakeId, ConnectionId, CustomerId, Directory, GrantId, PersonId, SecretId, Timestamp,
    directory::{Known, Mode},
    text::one_line,
};

use super::{
    JobError, Jobs,
    advance::{advance, write},
    intake::{Reading, decided},
    task::presence_of,
};
use crate::{
    access::{
        Account, Event, Grant, Holds, Refusal, Request, State,
        decide::{Living, Terms, refuse},
        follow::Stood,
        grant::{Step, Waiting, begin, may_approve, may_deny, wait},
    },
    audit::{By, Code},
    clock_guard::Doubt,
    random::{account_id, grant_id, secret_id},
    registry::InForce,
    rulebook::{Policy, Records, Role, typed_name},
    store::{CommitName, Store, StoreError, Transition},
};

/// So many people let a held request pass.
const APPROVERS: u32 = 2;

/// How often a lost race is run again.
const TRIES: usize = 5;

/// Why a word about a held request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotDecided {
    /// A sentence for whoever said it.
    #[error("{0}")]
    No(String),
    /// It could not be carried out; nothing was changed.
    #[error(transparent)]
    Job(#[from] JobError),
}

impl From<StoreError> for NotDecided {
    fn from(error: StoreError) -> Self {
        Self::Job(error.into())
    }
}

/// A grant's account, and what else lives on it.
struct Housed {
    account: Account,
    others: Vec<Grant>,
}

impl Jobs {
    /// Builds grant, account and sealed password: intent, all of it, before any call to the directory.
    pub(super) async fn start(
        &self,
        transition: &mut Transition,
        reading: &Reading,
        request: &Request,
        living: &Living,
        terms: &Terms,
    ) -> Result<Result<(), Refusal>, JobError> {
        let now = transition.now;
        let Ok(directory) = reading.world.registry.directory(&terms.directory) else {
            return Ok(Err(unusable(&terms.directory)));
        };
        let id = grant_id(self.random.as_ref(), now);
        let housed = match self.house(&reading.world, terms, &id, now).await? {
            Ok(housed) => housed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let secret = self.password(transition, &housed, directory.as_ref());
        let begun = begin(secret.clone(), terms.length, now);
        let grant = grant(reading, request, terms, id, &housed.account.id, begun.state);
        transition.accounts.push(self.taking(&reading.world, housed.account, &grant, secret));
        transition.name = CommitName::Decided;
        transition.audit.push(decided(now, request, living, Code::RequestGranted, &grant.id, None));
        write(transition, &grant, &begun.effects, &housed.others, &By::Service, self.random.as_ref());
        transition.tasks.extend(presence_of(&reading.world.rules.records, &grant.person, now));
        tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, policy = %grant.policy.id, "granted");
        Ok(Ok(()))
    }

    /// Builds a grant that waits: its account is named, and nothing is sealed.
    pub(super) async fn hold_back(
        &self,
        transition: &mut Transition,
        reading: &Reading,
        request: &Request,
        living: &Living,
        terms: &Terms,
        brakes: Vec<BrakeId>,
    ) -> Result<Result<(), Refusal>, JobError> {
        let now = transition.now;
        let id = grant_id(self.random.as_ref(), now);
        let housed = match self.house(&reading.world, terms, &id, now).await? {
            Ok(housed) => housed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let lapses = now + reading.world.rules.rulebook.settings.waiting_lapses_after.duration();
        let waiting = Waiting { needed: APPROVERS, brakes, approved: Vec::new() };
        let Step { state, effects } = wait(waiting, lapses);
        let grant = grant(reading, request, terms, id, &housed.account.id, state);
        if housed.account.version == 0 {
            transition.accounts.push(housed.account);
        }
        transition.name = CommitName::Decided;
        transition.audit.push(decided(now, request, living, Code::RequestWaiting, &grant.id, None));
        write(transition, &grant, &effects, &housed.others, &By::Service, self.random.as_ref());
        transition.tasks.extend(presence_of(&reading.world.rules.records, &grant.person, now));
        tracing::warn!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, "a brake was pulled: the request waits for approvers");
        Ok(Ok(()))
    }

    /// One person lets a held request pass. Answers how many more have to.
    ///
    /// # Errors
    /// [`NotDecided`].
    pub async fn approve(&self, id: &GrantId, by: &PersonId) -> Result<u32, NotDecided> {
        for _ in 0..TRIES {
            let world = self.live.current().await;
            let grant = self.held_grant(&world, id, by, may_approve).await?;
            if self.store.generation().await?.comparing.is_some() {
                let why =
                    "the database is compared with the directories first, and nothing new is given before that is over";
                return Err(NotDecided::No(format!("{why}; look at: latchkey reconcile")));
            }
            if let Some(doubt) = self.trust.doubt() {
                return Err(NotDecided::No(format!("{}: nothing new is given", Doubt::sentence(doubt))));
            }
            if let Some(why) = Holds::of(&world.rules).stops(&grant.customer, &grant.person) {
                return Err(NotDecided::No(format!("{why}: nothing is given")));
            }
            let Ok(directory) = world.registry.directory(&grant.directory) else {
                return Err(NotDecided::No(unusable(&grant.directory).sentence));
            };
            let mut transition = Transition::new(CommitName::Approved, self.clock.now());
            transition.revision = Some(world.rules.revision);
            let account = self.store.account(&grant.account).await?.ok_or(StoreError::Conflict)?;
            let others = self.store.open_grants(&grant.account).await?;
            let housed = Housed { account, others };
            let mut sealing = Transition::new(CommitName::Approved, transition.now);
            let secret = self.password(&mut sealing, &housed, directory.as_ref());
            let event = Event::Approved { by: by.clone(), secret: secret.clone() };
            let others = &housed.others;
            let next = advance(&mut transition, &grant, &event, others, &By::Person(by.clone()), self.random.as_ref());
            let Some(next) = next else { return Err(NotDecided::No("it was decided meanwhile".to_owned())) };
            let more = match &next.state {
                State::Held { waiting, .. } => {
                    waiting.needed.saturating_sub(u32::try_from(waiting.approved.len()).unwrap_or(u32::MAX))
                }
                State::Granting { .. } => {
                    transition.seal.extend(sealing.seal);
                    transition.grants.extend(sealing.grants);
                    transition.accounts.push(self.taking(&world, housed.account, &next, secret));
                    0
                }
                _ => return self.settled(transition, "it has lapsed; it has to be asked for again").await,
            };
            match self.store.commit(transition).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|()| more)?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// One person says no to a held request.
    ///
    /// # Errors
    /// [`NotDecided`].
    pub async fn deny(&self, id: &GrantId, by: &PersonId, why: &str) -> Result<(), NotDecided> {
        for _ in 0..TRIES {
            let world = self.live.current().await;
            let grant = self.held_grant(&world, id, by, may_deny).await?;
            let others = self.store.open_grants(&grant.account).await?;
            let mut transition = Transition::new(CommitName::Approved, self.clock.now());
            let event = Event::Denied { by: by.clone(), why: one_line(why, 200) };
            if advance(&mut transition, &grant, &event, &others, &By::Person(by.clone()), self.random.as_ref())
                .is_none()
            {
                return Err(NotDecided::No("it was decided meanwhile".to_owned()));
            }
            match self.store.commit(transition).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn settled(&self, transition: Transition, why: &str) -> Result<u32, NotDecided> {
        self.store.commit(transition).await?;
        Err(NotDecided::No(why.to_owned()))
    }

    async fn held_grant(
        &self,
        world: &InForce,
        id: &GrantId,
        by: &PersonId,
        may: fn(&Grant, &PersonId, Role) -> Result<(), &'static str>,
    ) -> Result<Grant, NotDecided> {
        let grant = self.store.grant(id).await?;
        let grant = grant.ok_or_else(|| NotDecided::No(format!("there is no grant {id}")))?;
        let role = world.rules.records.person(by).map(|p| p.role).unwrap_or_default();
        may(&grant, by, role).map_err(|why| NotDecided::No(why.to_owned()))?;
        Ok(grant)
    }

    /// The password of what lives on the account already, or a new one, sealed in the transition.
    fn password(&self, transition: &mut Transition, housed: &Housed, directory: &dyn Directory) -> SecretId {
        let shared = housed.others.iter().find(|g| g.state.secret().is_some());
        // Whose password is shared must still live when this is committed: its version is compared.
        transition.grants.extend(shared.cloned());
        if let Some(secret) = shared.and_then(|g| g.state.secret()) {
            return secret.clone();
        }
        let secret = secret_id(self.random.as_ref(), transition.now);
        let password = directory.password(&mut |buffer| self.random.fill(buffer));
        transition.seal.push(self.seal.seal(secret.clone(), None, "account-password", &password));
        secret
    }

    /// The account as it is while this grant begins.
    fn taking(&self, world: &InForce, account: Account, grant: &Grant, secret: SecretId) -> Account {
        let person = world.rules.records.person(&grant.person);
        let name = person.map_or_else(|| grant.person.to_string(), |p| p.name.clone());
        Account {
            secret: Some(secret),
            display_name: one_line(&format!("{name} (Latchkey)"), 120),
            last: Some((grant.id.clone(), grant.ticket.clone())),
            off_since: None,
            is_surprised: false,
            first_off: None,
            ..account
        }
    }

    /// The standing account of this person there, or a new one. A burner is always new. The name is chosen here, once.
    async fn house(
        &self,
        world: &InForce,
        terms: &Terms,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<Result<Housed, Refusal>, JobError> {
        let home = home(self.store.as_ref(), &world.rules.records, terms, grant).await?;
        Ok(match home {
            Err(refusal) => Err(refusal),
            Ok(Home::Standing(account)) => {
                let others = self.store.open_grants(&account.id).await?;
                Ok(Housed { account: *account, others })
            }
            Ok(Home::New(name)) => {
                let id = account_id(self.random.as_ref(), now);
                let mode = terms.policy.mode;
                let account = new_account(id, &terms.directory, &terms.customer, &terms.person, mode, name);
                Ok(Housed { account, others: Vec::new() })
            }
        })
    }
}

/// Where a grant would live.
#[derive(Debug)]
pub(crate) enum Home {
    /// The person's standing account there.
    Standing(Box<Account>),
    /// A new account of this name.
    New(String),
}

/// The standing account of this person there, or the name of a new one. Changes nothing.
pub(crate) async fn home(
    store: &dyn Store,
    records: &Records,
    terms: &Terms,
    grant: &GrantId,
) -> Result<Result<Home, Refusal>, StoreError> {
    let mode = terms.policy.mode;
    if mode == Mode::Standard
        && let Some(found) = store.accounts_of(&terms.person, &terms.directory, mode).await?.pop()
    {
        return Ok(Ok(Home::Standing(Box::new(found))));
    }
    let before_at = match &terms.user_name {
        Some(typed) => typed_name(typed, mode, grant.as_str()),
        None => terms.policy.user_name.name(mode, &terms.person, &terms.customer, grant.as_str()),
    };
    let before_at = match before_at {
        Ok(name) => name,
        Err(why) => return Ok(Err(refuse("user-name-unusable", policy_rule(&terms.policy), why))),
    };
    let domain = records.customer(&terms.customer).and_then(|c| c.domain.clone()).unwrap_or_default();
    let name = format!("{before_at}@{domain}");
    if store.account_named(&terms.directory, &name).await?.is_none() {
        return Ok(Ok(Home::New(name)));
    }
    // Nobody has typed it, so nobody can ask for another one: it may be that of an account of their own which the database
    // had forgotten. It gets what a burner's name has, which no other name has.
    if terms.user_name.is_none()
        && let Ok(own) = terms.policy.user_name.name(Mode::Burner, &terms.person, &terms.customer, grant.as_str())
    {
        let own = format!("{own}@{domain}");
        if store.account_named(&terms.directory, &own).await?.is_none() {
            return Ok(Ok(Home::New(own)));
        }
    }
    let to_do = match &terms.user_name {
        Some(_) => "ask for another name",
        None => "an admin has to change how the policy names accounts",
    };
    let sentence = format!("the user name {name} is or was another account's; {to_do}");
    Ok(Err(refuse("account-name-taken", "one name, one account", sentence)))
}

fn policy_rule(policy: &Policy) -> String {
    format!("policy {}", policy.id)
}

/// The directory that a grant is for cannot be reached at all.
pub(crate) fn unusable(directory: &ConnectionId) -> Refusal {
    let sentence = "the customer's directory connection is not usable now; an admin has to look at it";
    refuse("no-directory", format!("connection {directory}"), sentence)
}

fn grant(reading: &Reading, request: &Request, terms: &Terms, id: GrantId, account: &AccountId, state: State) -> Grant {
    Grant {
        id,
        version: 0,
        ticket: reading.at.clone(),
        ticket_link: reading.psa.link(&reading.at.ticket),
        customer: terms.customer.clone(),
        person: terms.person.clone(),
        mapping: terms.mapping.clone(),
        revision: reading.world.rules.revision,
        policy: terms.policy.clone(),
        reason: terms.reason.clone(),
        asked_at: request.asked_at,
        directory: terms.directory.clone(),
        account: account.clone(),
        length: terms.length,
        stood: Some(Stood::of(&reading.ticket)),
        leaving: None,
        extending: None,
        warned_of: None,
        state,
    }
}

/// An account that nothing is known of yet.
fn new_account(
    id: AccountId,
    directory: &ConnectionId,
    customer: &CustomerId,
    person: &PersonId,
    mode: Mode,
    name: String,
) -> Account {
    Account {
        id,
        version: 0,
        directory: directory.clone(),
        customer: customer.clone(),
        person: person.clone(),
        mode,
        name,
        display_name: String::new(),
        known: Known::default(),
        is_giving: false,
        is_surprised: false,
        last_step: None,
        secret: None,
        gave_at: None,
        first_off: None,
        off_since: None,
        last: None,
        looks: Vec::new(),
        overdue: None,
    }
}
