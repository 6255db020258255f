//! From what happened to who is told by mail: the switches and subscribers in force now decide, not those of then.

use std::collections::BTreeSet;

use latchkey_contract::PersonId;

use super::{JobError, Jobs};
use crate::{
    jobs::queue::{LeaseHandle, Ran},
    rulebook::{AlertKind, MailAddress, Records, Role, Rules, Subscriber},
    store::{CommitName, Finish, Transition},
};

impl Jobs {
    pub(super) async fn alert(&self, id: &str, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(alert) = self.store.alert(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let mut transition = Transition::new(CommitName::Resolved, self.clock.now());
        transition.alert_done = Some(alert.id.clone());
        transition.lease = Some((lease.lease(), Finish::Done));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
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
