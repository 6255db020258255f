//! From what happened to who is told by mail: the switches and subscribers in force now decide, not those of then.

use std::collections::BTreeSet;

use latchkey_contract::{CustomerId, MailId, PersonId};

use super::{JobError, Jobs};
use crate::{
    access::{Account, Grant, State},
    jobs::queue::{LeaseHandle, Ran},
    mail::{About, MailAddress, Named, Words},
    random::ulid,
    rulebook::{AlertKind, Records, Role, Rules, Subscriber},
    store::{Alert, CommitName, Finish, Happening, MailState, OwedMail, Transition},
};

impl Jobs {
    pub(super) async fn alert(&self, id: &str, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(alert) = self.store.alert(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let rules = &self.live.current().await.rules;
        let grant = match of_grant(&alert.what) {
            Some(id) => self.store.grant(id).await?,
            None => None,
        };
        let account = match &grant {
            Some(grant) => self.store.account(&grant.account).await?,
            None => None,
        };
        let mut transition = Transition::new(CommitName::Resolved, self.clock.now());
        let scene = Scene { alert: &alert, rules, grant: grant.as_ref(), account: account.as_ref(), jobs: self };
        let to_subscribers = alert.what.kind().map(|kind| subscribers(rules, kind)).unwrap_or_default();
        if let Some(words) = scene.words() {
            transition.mails.extend(to_subscribers.into_iter().map(|to| self.owe(&alert, to, words.clone())));
        }
        if let Some((to, words)) = scene.to_requester() {
            transition.mails.push(self.owe(&alert, to, words));
        }
        transition.alert_done = Some(alert.id.clone());
        transition.lease = Some((lease.lease(), Finish::Done));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    fn owe(&self, alert: &Alert, to: MailAddress, words: Words) -> OwedMail {
        let id = MailId::parse(ulid(self.random.as_ref(), alert.at)).expect("a ULID is 26 letters and digits");
        OwedMail { id, to, at: alert.at, words, state: MailState::Open { is_repeat: false } }
    }
}

/// Who is told of an alert of this kind: nobody while its switch is off, and nobody who does not subscribe.
#[must_use]
pub fn subscribers(rules: &Rules, kind: AlertKind) -> BTreeSet<MailAddress> {
    let switch = rules.rulebook.alerts.switch(kind);
    if !switch.on {
        return BTreeSet::new();
    }
    let of_role = |is_meant: fn(Role) -> bool| -> Vec<MailAddress> {
        rules.records.people.iter().filter(|p| is_meant(p.role)).filter_map(|p| p.mail.clone()).collect()
    };
    let addresses = switch.to.iter().flat_map(|to| match to {
        Subscriber::Owners => of_role(|role| role == Role::Owner),
        Subscriber::Admins => of_role(Role::is_admin),
        Subscriber::Person(id) => address(&rules.records, id).into_iter().collect(),
        Subscriber::Address(address) => vec![address.clone()],
    });
    addresses.collect()
}

fn address(records: &Records, person: &PersonId) -> Option<MailAddress> {
    records.person(person)?.mail.clone()
}

const fn of_grant(what: &Happening) -> Option<&latchkey_contract::GrantId> {
    match what {
        Happening::Created { grant, .. }
        | Happening::Enabled { grant, .. }
        | Happening::Active { grant, .. }
        | Happening::EndsSoon { grant, .. }
        | Happening::FailedToDisable { grant, .. }
        | Happening::Ended { grant }
        | Happening::Waiting { grant, .. } => Some(grant),
        Happening::Refused { .. }
        | Happening::ConnectorTrouble { .. }
        | Happening::WebhookTrouble { .. }
        | Happening::AuditHead { .. } => None,
    }
}

/// An alert with what its words are made of.
struct Scene<'a> {
    alert: &'a Alert,
    rules: &'a Rules,
    grant: Option<&'a Grant>,
    account: Option<&'a Account>,
    jobs: &'a Jobs,
}

impl Scene<'_> {
    /// What subscribers are told; `None` where what it was about is gone.
    fn words(&self) -> Option<Words> {
        let at = self.alert.at;
        Some(match &self.alert.what {
            Happening::Created { latest_end, .. } => {
                Words::AccountCreated { about: self.about()?, account: self.name(), at, latest_end: *latest_end }
            }
            Happening::Enabled { latest_end, .. } => {
                Words::AccountEnabled { about: self.about()?, account: self.name(), at, latest_end: *latest_end }
            }
            Happening::FailedToDisable { due, why, .. } => {
                let (about, account, why) = (self.about()?, self.name(), why.clone());
                Words::FailedToDisable { about, account, due: *due, at, why }
            }
            Happening::Ended { .. } => {
                let State::Ended { cause, due, proof } = &self.grant?.state else { return None };
                let (why, seen_off) = (cause.sentence(), proof.seen_at());
                Words::GrantEnded { about: self.about()?, account: self.name(), why, due: *due, seen_off }
            }
            Happening::Refused { ticket, ticket_link, customer, person, why } => Words::RequestRefused {
                ticket: ticket.clone(),
                ticket_link: ticket_link.clone(),
                customer: customer.as_ref().map(|id| self.customer(id)),
                person: person.as_ref().map(|id| self.person(id)),
                why: why.clone(),
                at,
            },
            Happening::Waiting { grant, brakes, until } => Words::BrakePulled {
                about: self.about()?,
                brake: brakes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                answer: format!("Two approvers answer with: latchkey approve {grant} --as PERSON (or deny)."),
                until: *until,
            },
            Happening::ConnectorTrouble { connection, what, remedy } => Words::ConnectorTrouble {
                connection: connection.clone(),
                what: what.clone(),
                remedy: remedy.clone(),
                since: at,
            },
            Happening::WebhookTrouble { connection, what, remedy } => Words::WebhookTrouble {
                connection: connection.clone(),
                what: what.clone(),
                remedy: remedy.clone(),
                since: at,
            },
            Happening::AuditHead { entries, head, given_up } => {
                let (entries, given_up) = (u64::try_from(*entries).unwrap_or(0), *given_up);
                Words::AuditHead { entries, head: head.clone(), at, given_up }
            }
            Happening::Active { .. } | Happening::EndsSoon { .. } => return None,
        })
    }

    /// What the requester is told, where they have an address and the switch for it is on.
    fn to_requester(&self) -> Option<(MailAddress, Words)> {
        let grant = self.grant.filter(|_| self.rules.rulebook.alerts.requester)?;
        let words = match &self.alert.what {
            Happening::Active { until, .. } => {
                Words::AccessActive { about: self.about()?, account: self.name(), until: *until, page: self.page()? }
            }
            // What is over, or ends at another time, is not told to end soon.
            Happening::EndsSoon { until, .. } if grant.is_warned() && grant.state.end() == Some(*until) => {
                Words::AccessEndsSoon { about: self.about()?, account: self.name(), until: *until, page: self.page()? }
            }
            Happening::Ended { .. } => {
                let State::Ended { cause, proof, .. } = &grant.state else { return None };
                let (why, seen_off) = (cause.sentence(), proof.seen_at());
                Words::AccessEnded { about: self.about()?, account: self.name(), why, seen_off }
            }
            _ => return None,
        };
        Some((address(&self.rules.records, &grant.person)?, words))
    }

    fn about(&self) -> Option<About> {
        let grant = self.grant?;
        Some(About {
            grant: grant.id.clone(),
            ticket: grant.ticket.clone(),
            ticket_link: grant.ticket_link.clone(),
            customer: self.customer(&grant.customer),
            person: self.person(&grant.person),
            policy: grant.policy.name.clone(),
        })
    }

    /// The requester's page of it, behind a sign-in.
    fn page(&self) -> Option<String> {
        let page = self.jobs.public_url.join(&format!("claim/{}", self.grant?.id)).ok()?;
        Some(page.into())
    }

    fn name(&self) -> String {
        self.account.map(|account| account.name.clone()).unwrap_or_default()
    }

    fn customer(&self, id: &CustomerId) -> Named<CustomerId> {
        let name = self.rules.records.customer(id).map_or_else(|| id.to_string(), |c| c.name.clone());
        Named { id: id.clone(), name }
    }

    fn person(&self, id: &PersonId) -> Named<PersonId> {
        let name = self.rules.records.person(id).map_or_else(|| id.to_string(), |p| p.name.clone());
        Named { id: id.clone(), name }
    }
}
