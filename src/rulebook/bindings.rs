//! Bindings: which PSA member is which person, since when, and what a save changes about that.

use latchkey_contract::{ConnectionId, MemberId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Members, Records, Rules};

/// Since when a PSA member is bound to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Since when.
    pub since: Timestamp,
    /// An owner has confirmed it, so that it need not cool down.
    pub is_confirmed: bool,
}

impl Bound {
    /// A binding of which nothing is remembered is older than remembering.
    const OLD: Self = Self { since: Timestamp::from_millis(0), is_confirmed: true };
}

/// One PSA member as one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Which PSA.
    pub connection: ConnectionId,
    /// Which member there.
    pub member: MemberId,
    /// Who that is.
    pub person: PersonId,
    /// Since when.
    pub bound: Bound,
}

/// What became of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebound {
    /// The member is this person from now on.
    Added,
    /// An owner confirmed it.
    Confirmed,
    /// The member is this person no longer.
    Removed,
}

impl Records {
    /// Every binding.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> + '_ {
        self.people.iter().flat_map(|person| {
            person.members.iter().flat_map(|members| {
                members.ids.iter().map(|member| Binding {
                    connection: members.connection.clone(),
                    member: member.clone(),
                    person: person.id.clone(),
                    bound: members.bound.get(member).copied().unwrap_or(Bound::OLD),
                })
            })
        })
    }

    /// Gives each binding of a PSA member the time since which it stands: kept while it is the same person's, `now`
    /// otherwise. Where nobody was ever bound there is nobody to be robbed: an installation's first bindings need not cool
    /// down. Once there were any, to remove them all opens no way around it.
    #[must_use]
    pub fn bound_since(mut self, rules: &Rules, now: Timestamp) -> Self {
        let before = &rules.records;
        let is_first = !rules.was_bound && before.bindings().next().is_none();
        for person in &mut self.people {
            for members in &mut person.members {
                let of = |id: &MemberId| before.bound(&person.id, &members.connection, id);
                let new = Bound { since: now, is_confirmed: is_first };
                members.bound = members.ids.iter().map(|id| (id.clone(), of(id).unwrap_or(new))).collect();
            }
        }
        self
    }

    /// Since when a PSA member is this person; `None` when it is not.
    #[must_use]
    pub fn bound(&self, person: &PersonId, connection: &ConnectionId, member: &MemberId) -> Option<Bound> {
        let members = &self.person(person)?.members;
        let found = members.iter().find(|m| m.connection == *connection && m.ids.contains(member))?;
        Some(found.bound.get(member).copied().unwrap_or(Bound::OLD))
    }

    /// Binds a PSA member to a person of these records. Whoever else has it keeps it, which is a fault of the records.
    pub fn bind(&mut self, person: &PersonId, connection: &ConnectionId, member: &MemberId) {
        let Some(person) = self.people.iter_mut().find(|p| p.id == *person) else { return };
        match person.members.iter_mut().find(|m| m.connection == *connection) {
            Some(members) if members.ids.contains(member) => {}
            Some(members) => members.ids.push(member.clone()),
            None => person.members.push(Members {
                connection: connection.clone(),
                ids: vec![member.clone()],
                bound: std::collections::BTreeMap::new(),
            }),
        }
    }

    /// A PSA member is nobody from here on.
    pub fn unbind(&mut self, connection: &ConnectionId, member: &MemberId) {
        for person in &mut self.people {
            for members in person.members.iter_mut().filter(|m| m.connection == *connection) {
                members.ids.retain(|id| id != member);
                members.bound.remove(member);
            }
            person.members.retain(|members| !members.ids.is_empty());
        }
    }

    /// An owner confirms a binding: it need not cool down.
    pub fn confirm(&mut self, connection: &ConnectionId, member: &MemberId) {
        let members = self.people.iter_mut().flat_map(|p| &mut p.members).filter(|m| m.connection == *connection);
        for bound in members.filter_map(|m| m.bound.get_mut(member)) {
            bound.is_confirmed = true;
        }
    }

    /// What became of the bindings of `before`. One that went to somebody else is removed and added.
    #[must_use]
    pub fn rebound(&self, before: &Self) -> Vec<(Rebound, Binding)> {
        let of = |records: &Self, b: &Binding| records.bound(&b.person, &b.connection, &b.member);
        let gone = before.bindings().filter(|b| of(self, b).is_none()).map(|b| (Rebound::Removed, b));
        let come = self.bindings().filter_map(|b| match of(before, &b) {
            None => Some((Rebound::Added, b)),
            Some(old) if b.bound.is_confirmed && !old.is_confirmed => Some((Rebound::Confirmed, b)),
            Some(_) => None,
        });
        gone.chain(come).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_790_000_060_000);

    fn records() -> Records {
        let person = |id: &str| format!("[[person]]\nid = \"{id}\"\nname = \"X\"\ncustomers = \"all\"\n");
        Records::parse(&format!("{}{}", person("jane"), person("mary"))).unwrap()
    }

    fn rules(records: &Records) -> Rules {
        let was_bound = records.bindings().next().is_some();
        Rules { records: records.clone(), was_bound, ..Rules::default() }
    }

    fn told(now: &Records, before: &Records) -> Vec<String> {
        now.rebound(before).iter().map(|(what, b)| format!("{what:?} {} {}", b.member, b.person)).collect()
    }

    #[test]
    fn what_becomes_of_a_binding_is_told() {
        let (cw, member) = ("cw".parse().unwrap(), "176".parse().unwrap());
        let (jane, mary) = ("jane".parse().unwrap(), "mary".parse().unwrap());
        let nobody = records();
        let mut first = nobody.clone();
        first.bind(&jane, &cw, &member);
        first.bind(&jane, &cw, &member);
        let first = first.bound_since(&rules(&nobody), NOW);
        assert_eq!(told(&first, &nobody), ["Added 176 jane"]);
        assert!(first.bound(&jane, &cw, &member).unwrap().is_confirmed, "nobody was bound before");
        let mut moved = first.clone();
        moved.unbind(&cw, &member);
        moved.bind(&mary, &cw, &member);
        let moved = moved.bound_since(&rules(&first), LATER);
        assert_eq!(told(&moved, &first), ["Removed 176 jane", "Added 176 mary"]);
        assert_eq!(moved.bound(&mary, &cw, &member), Some(Bound { since: LATER, is_confirmed: false }));
        let mut confirmed = moved.clone();
        confirmed.confirm(&cw, &member);
        assert_eq!(told(&confirmed, &moved), ["Confirmed 176 mary"]);
        assert!(told(&confirmed.clone().bound_since(&rules(&confirmed), LATER), &confirmed).is_empty());
    }
}
