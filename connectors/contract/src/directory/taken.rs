//! Several steps that take, from one look.

use super::{Observation, Step};

impl Observation {
    /// What is left once `step` has taken what it takes: enough to name the next step that takes something, without
    /// another look. `None` where only a look can tell (the account goes) or where the step gives.
    ///
    /// Nothing is proven by it: a proof is made of what was read.
    #[must_use]
    pub fn without(mut self, step: &Step) -> Option<Self> {
        let account = self.account.as_mut()?;
        match step {
            Step::Disable => account.is_enabled = false,
            Step::Take(held) => account.held.retain(|other| other != held),
            Step::Disown(owned) => account.owned.retain(|other| other != owned),
            Step::RemoveMethod(method) => account.methods.retain(|other| other != method),
            // What these change is known from our own acts alone.
            Step::CutSessions | Step::ScramblePassword => {}
            Step::Create { .. }
            | Step::SetPassword { .. }
            | Step::Enable
            | Step::Give { .. }
            | Step::Delete
            | Step::Purge { .. } => return None,
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Held, How, Method, Owned, Seen};
    use super::*;
    use crate::{EntitlementId, ObjectId, Timestamp};

    fn held(role: &str, scope: &str) -> Held {
        let entitlement = EntitlementId::Role(ObjectId::parse(role).unwrap());
        Held { entitlement, holding: None, how: How::Plain, scope: scope.to_owned() }
    }

    fn seen() -> Observation {
        let account = Seen {
            object: ObjectId::parse("o1").unwrap(),
            name: "jit-jane@contoso.onmicrosoft.com".to_owned(),
            is_enabled: true,
            is_marked: true,
            protection: None,
            held: vec![held("role-a", "/"), held("role-a", "/unit"), held("role-b", "/")],
            owned: vec![Owned { object: ObjectId::parse("g1").unwrap(), kind: "group".to_owned() }],
            methods: vec![Method { kind: "fido2".to_owned(), id: "m1".to_owned() }],
            sessions_valid_from: None,
            password_changed: None,
            unread: vec![],
        };
        let at = Timestamp::from_millis(5);
        Observation { at, account: Some(account), recycled: None, has_native_end: false, unchecked: vec![] }
    }

    #[test]
    fn each_step_takes_what_it_names_and_nothing_else() {
        let all = seen();
        let of = |seen: Observation| seen.account.unwrap();
        let disabled = of(all.clone().without(&Step::Disable).unwrap());
        assert_eq!(disabled, Seen { is_enabled: false, ..of(all.clone()) });
        let less = of(all.clone().without(&Step::Take(held("role-a", "/unit"))).unwrap());
        assert_eq!(less.held, [held("role-a", "/"), held("role-b", "/")]);
        let owned = of(all.clone()).owned.remove(0);
        assert_eq!(of(all.clone().without(&Step::Disown(owned)).unwrap()), Seen { owned: vec![], ..of(all.clone()) });
        let method = of(all.clone()).methods.remove(0);
        let bare = of(all.clone().without(&Step::RemoveMethod(method)).unwrap());
        assert_eq!(bare, Seen { methods: vec![], ..of(all.clone()) });
        for step in [Step::CutSessions, Step::ScramblePassword] {
            assert_eq!(all.clone().without(&step), Some(all.clone()));
        }
    }

    #[test]
    fn after_the_account_went_or_something_was_given_only_a_look_can_tell() {
        assert_eq!(seen().without(&Step::Delete), None);
        assert_eq!(seen().without(&Step::Enable), None);
        let none = Observation { account: None, ..seen() };
        assert_eq!(none.without(&Step::Disable), None);
    }
}
