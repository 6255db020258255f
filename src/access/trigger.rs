//! The trigger is an edge, not a level: it fires when a ticket is seen to have come into it, is
//! consumed by the decision it caused, and is armed again only when the ticket was seen outside it.

use latchkey_contract::{MappingId, StatusId, TicketRef, Timestamp, ticket::Change};
use serde::{Deserialize, Serialize};

use crate::rulebook::Mapping;

/// What is remembered of one ticket under one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The ticket.
    pub ticket: TicketRef,
    /// The mapping.
    pub mapping: MappingId,
    /// Seen outside the trigger since it was last consumed.
    pub is_armed: bool,
    /// The change that was consumed last ([`Change::key`]).
    pub consumed: Option<String>,
    /// When this was last looked at.
    pub seen_at: Timestamp,
    /// Every save up to this one, by the PSA's clock, is known by what was seen; `None` where that cannot be said.
    #[serde(default)]
    pub covers: Option<Timestamp>,
}

/// What is to be remembered. Looks and our own status changes run side by side, so each says what it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighted {
    /// A look, judged by what was remembered when it began. Where that has changed since, it has to look again.
    Looked {
        /// What was remembered then.
        before: Option<Sighting>,
        /// What is to be remembered now.
        now: Sighting,
    },
    /// Our own status has taken the ticket out of the trigger: armed, and what was consumed meanwhile stays so.
    Left(Sighting),
}

impl Sighted {
    /// What is remembered from now on where `stored` is; `None` where the look went by something else.
    #[must_use]
    pub fn over(&self, stored: Option<&Sighting>) -> Option<Sighting> {
        match self {
            Self::Looked { before, now } => (before.as_ref() == stored).then(|| now.clone()),
            Self::Left(seen) => {
                let consumed = stored.map_or_else(|| seen.consumed.clone(), |stored| stored.consumed.clone());
                Some(Sighting { consumed, ..seen.clone() })
            }
        }
    }

    /// The sighting as it is to be.
    #[must_use]
    pub const fn sighting(&self) -> &Sighting {
        match self {
            Self::Looked { now, .. } | Self::Left(now) => now,
        }
    }
}

/// Whether a status that Latchkey sets takes a ticket out of what asks under this mapping. A field or a queue stands as it
/// did: whoever corrects it afterwards asks for nothing.
#[must_use]
pub fn is_left_by(mapping: &Mapping, status: &StatusId) -> bool {
    mapping.trigger_field.is_none() && !mapping.trigger_board && !mapping.trigger_statuses.contains(status)
}

/// What a look at a ticket means for one mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Outside the trigger: arm it.
    Armed,
    /// In the trigger, but this is not news: it stood before we watched, or was consumed already.
    Standing,
    /// In the trigger, but this delivery speaks of another save. The trigger's own delivery follows, or a later look.
    AnotherSave,
    /// It came into the trigger, by this person.
    Fired {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Which change.
        change: String,
    },
    /// It came into the trigger, but who did it is in doubt. Consumed, and to be answered with "set it again".
    Doubtful {
        /// A sentence.
        why: String,
        /// Which change, where there is one.
        change: Option<String>,
    },
}

/// What is known when a ticket is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The ticket stands in the trigger now.
    pub is_in: bool,
    /// What was remembered; `None` at first sight.
    pub before: Option<&'a Sighting>,
    /// The PSA's record of the change into the present status.
    pub change: Option<&'a Change>,
    /// Login name in the signed delivery, where it names one.
    pub signed_actor: Option<&'a str>,
    /// The signed delivery tells of a save in which the ticket was outside the trigger: it says nothing about who set it.
    pub is_of_another_save: bool,
    /// Since when this mapping watches.
    pub watched_since: Timestamp,
}

/// Judges one look.
#[must_use]
pub fn look(sight: &Sight<'_>) -> Look {
    if !sight.is_in {
        return Look::Armed;
    }
    if sight.before.is_some_and(|s| !s.is_armed) {
        return Look::Standing;
    }
    if sight.is_of_another_save {
        return Look::AnotherSave;
    }
    let Some(change) = sight.change else {
        return doubtful("the PSA has no record of who set it", None);
    };
    let was_consumed = sight.before.and_then(|s| s.consumed.as_deref()) == Some(change.key.as_str());
    if was_consumed || change.at < sight.watched_since {
        return Look::Standing;
    }
    let key = Some(change.key.clone());
    if change.later_by.as_deref().is_some_and(|later| !same(later, &change.by)) {
        return doubtful("somebody else saved the ticket after it was set", key);
    }
    if sight.signed_actor.is_some_and(|actor| !same(actor, &change.by)) {
        return doubtful("the PSA's message and its history name different people", key);
    }
    Look::Fired { by: change.by.clone(), at: change.at, change: change.key.clone() }
}

fn doubtful(why: &str, change: Option<String>) -> Look {
    Look::Doubtful { why: why.to_owned(), change }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

#[cfg(test)]
mod tests {
    use latchkey_contract::ticket::Actor;

    use super::*;

    const WATCHED: Timestamp = Timestamp::from_millis(1_000);

    fn change(by: &str, at: i64) -> Change {
        let (key, at) = (format!("{by}@{at}"), Timestamp::from_millis(at));
        Change { by: by.into(), actor: Actor::Member, at, key, later_by: None }
    }

    fn sighting(is_armed: bool, consumed: Option<&str>) -> Sighting {
        let ticket = TicketRef { connection: "cw".parse().unwrap(), ticket: "1".parse().unwrap() };
        Sighting {
            ticket,
            mapping: "m".parse().unwrap(),
            is_armed,
            consumed: consumed.map(str::to_owned),
            seen_at: WATCHED,
            covers: None,
        }
    }

    #[test]
    fn a_look_that_went_by_something_else_does_not_count_and_what_was_left_is_armed() {
        let (consumed, armed) = (sighting(false, Some("jdoe@1")), sighting(true, Some("jdoe@1")));
        let look = |before: &Sighting| Sighted::Looked { before: Some(before.clone()), now: consumed.clone() };
        assert_eq!(look(&consumed).over(Some(&consumed)), Some(consumed.clone()));
        assert_eq!(look(&consumed).over(Some(&armed)), None, "armed meanwhile by our own status");
        assert_eq!(look(&consumed).over(None), None);
        let first = Sighted::Looked { before: None, now: consumed.clone() };
        assert_eq!((first.over(None), first.over(Some(&armed))), (Some(consumed.clone()), None));
        let newer = sighting(false, Some("jdoe@2"));
        let left = Sighted::Left(armed.clone());
        assert_eq!(
            left.over(Some(&newer)),
            Some(sighting(true, Some("jdoe@2"))),
            "what was consumed meanwhile asks once"
        );
        assert_eq!(left.over(None), Some(armed));
    }

    /// F4, F12: what asks and is not the status stands as it did when Latchkey sets its own.
    #[test]
    fn our_own_status_leaves_no_trigger_but_another_status() {
        let mapping = |asks: &str| -> Mapping {
            toml::from_str(&format!("id = \"m\"\nconnection = \"cw\"\nboards = [\"1\"]\n{asks}\n")).unwrap()
        };
        for (asks, is_left) in [
            ("trigger_statuses = [\"10\"]", true),
            ("trigger_statuses = [\"10\", \"11\"]", false),
            ("trigger_field = { field = \"33\", values = [\"yes\"] }", false),
            ("trigger_board = true", false),
        ] {
            assert_eq!(is_left_by(&mapping(asks), &"11".parse().unwrap()), is_left, "{asks}");
        }
    }

    fn sight<'a>(before: Option<&'a Sighting>, change: Option<&'a Change>) -> Sight<'a> {
        Sight {
            is_in: true,
            before,
            change,
            signed_actor: Some("jdoe"),
            is_of_another_save: false,
            watched_since: WATCHED,
        }
    }

    #[test]
    fn a_new_ticket_fires_by_the_person_who_set_it() {
        let change = change("jdoe", 2_000);
        assert!(matches!(look(&sight(None, Some(&change))), Look::Fired { by, .. } if by == "jdoe"));
    }

    #[test]
    fn a_trigger_that_stood_before_we_watched_does_not_fire() {
        let change = change("jdoe", 999);
        assert_eq!(look(&sight(None, Some(&change))), Look::Standing);
    }

    #[test]
    fn a_consumed_trigger_fires_again_only_after_it_was_seen_outside() {
        let (first, second) = (change("jdoe", 2_000), change("jdoe", 3_000));
        let consumed = sighting(false, Some(&first.key));
        assert_eq!(look(&sight(Some(&consumed), Some(&second))), Look::Standing);
        assert_eq!(look(&Sight { is_in: false, ..sight(Some(&consumed), None) }), Look::Armed);
        let armed = sighting(true, Some(&first.key));
        assert_eq!(look(&sight(Some(&armed), Some(&first))), Look::Standing);
        assert!(matches!(look(&sight(Some(&armed), Some(&second))), Look::Fired { .. }));
    }

    #[test]
    fn every_disagreement_about_who_asked_is_doubt() {
        let by_a = change("jdoe", 2_000);
        let saved_later = Change { later_by: Some("msmith".into()), ..by_a.clone() };
        let doubt = |s: Sight<'_>| matches!(look(&s), Look::Doubtful { .. });
        assert!(doubt(sight(None, Some(&saved_later))));
        assert!(doubt(Sight { signed_actor: Some("msmith"), ..sight(None, Some(&by_a)) }));
        assert!(doubt(sight(None, None)));
        assert!(doubt(sight(Some(&sighting(true, None)), None)));
    }

    /// Deliveries overtake each other: the one about the save before says nothing about who set the trigger.
    #[test]
    fn a_delivery_about_another_save_decides_nothing() {
        let by_a = change("jdoe", 2_000);
        let sight = Sight { is_of_another_save: true, signed_actor: Some("msmith"), ..sight(None, Some(&by_a)) };
        assert_eq!(look(&sight), Look::AnotherSave);
        assert_eq!(look(&Sight { is_in: false, ..sight }), Look::Armed);
    }

    #[test]
    fn a_name_in_other_case_and_a_delivery_without_a_name_are_no_disagreement() {
        let by_a = change("JDoe", 2_000);
        assert!(matches!(look(&sight(None, Some(&by_a))), Look::Fired { .. }));
        assert!(matches!(look(&Sight { signed_actor: None, ..sight(None, Some(&by_a)) }), Look::Fired { .. }));
    }
}
