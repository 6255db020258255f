//! Access follows its ticket: what of a ticket, as it stands now, ends the access that it asked for.
//!
//! Only what is looked at on the ticket counts, and only against what stood there when it asked: a status that Latchkey
//! sets is no departure, and nothing that is put right after the end brings access back.

use std::time::Duration;

use latchkey_contract::{
    BoardId, CompanyId, CustomerId, MemberId, StatusId, Timestamp,
    ticket::{Actor, Change, Ticket},
};
use serde::{Deserialize, Serialize};

use super::{Grant, State};
use crate::rulebook::{EndsWith, Mapping};

/// What a ticket was when it asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// Its company.
    pub company: Option<CompanyId>,
    /// Its board, queue or team.
    pub board: Option<BoardId>,
    /// Whose it was.
    pub owner: Option<MemberId>,
}

impl Stood {
    /// As it was read.
    #[must_use]
    pub fn of(ticket: &Ticket) -> Self {
        Self { company: ticket.company.clone(), board: ticket.board.clone(), owner: ticket.owner.clone() }
    }
}

/// How a ticket left what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Departure {
    /// Deleted, or no longer to be seen by us.
    Deleted,
    /// Moved to a company of another customer, or of none.
    Company,
    /// Merged into another ticket.
    Merged,
    /// Closed or completed.
    Closed,
    /// Moved to a board, queue or team whose tickets do not ask here.
    Board,
    /// Assigned to somebody else than who asked.
    Reassigned,
}

impl Departure {
    /// For people, as the end of "because …" and of "Why: …".
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Deleted => "the ticket was deleted, or can no longer be seen",
            Self::Company => "the ticket was moved to another company",
            Self::Merged => "the ticket was merged into another one",
            Self::Closed => "the ticket was closed",
            Self::Board => "the ticket was moved to another board, queue or team",
            Self::Reassigned => "the ticket was assigned to somebody else",
        }
    }

    /// Nobody is told first: of a deleted ticket nobody can be, and another customer's ticket is no reason for a minute more.
    #[must_use]
    pub const fn is_at_once(self) -> bool {
        matches!(self, Self::Deleted | Self::Company)
    }
}

/// A departure that ends access when its grace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// How the ticket left.
    pub how: Departure,
    /// When that was seen.
    pub since: Timestamp,
    /// Access ends here, unless it is put right before.
    pub ends_at: Timestamp,
}

/// Latchkey closed a ticket itself: with the status for access that has ended, while other access that the same ticket
/// asked for goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The status that was set on the open ticket, and closes it.
    pub status: StatusId,
    /// When.
    pub at: Timestamp,
    /// When the ticket, so closed, was saved last, by the PSA's clock; `None` where that was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<Timestamp>,
}

impl Closing {
    /// Whether this change into the ticket's present status is another closing than this one: somebody opened the ticket in
    /// between, and nobody looked. Latchkey's own member is never known as a person or as automation. A record that is behind
    /// tells of what was before; PSAs count in whole seconds.
    #[must_use]
    pub fn is_undone_by(&self, change: &Change) -> bool {
        let is_somebodys = matches!(change.actor, Actor::Member | Actor::Automation);
        is_somebodys && self.saved_at.is_some_and(|saved_at| saved_at.seconds() <= change.at.seconds())
    }
}

/// Whether the ticket is closed as far as this grant goes: what Latchkey closed after the grant was asked for, and what
/// stands as it was left then, is not.
#[must_use]
pub fn is_closed(grant: &Grant, ticket: &Ticket, by_us: &[Closing]) -> bool {
    let is_ours = |c: &Closing| Some(&c.status) == ticket.status.as_ref() && grant.asked_at <= c.at;
    ticket.is_closed && !by_us.iter().any(is_ours)
}

/// What is known when a ticket is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The mapping that caught it, as it is in force; `None` when it went.
    pub mapping: Option<&'a Mapping>,
    /// The ticket; `None` when it is gone.
    pub ticket: Option<&'a Ticket>,
    /// Whose its company is now.
    pub customer: Option<&'a CustomerId>,
    /// Who asked, as members of this PSA.
    pub members: &'a [MemberId],
    /// How Latchkey closed it, if it did.
    pub closed_by_us: &'a [Closing],
}

/// What a look means for one grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Nothing new.
    Stays,
    /// It was not handed over yet, and is not any more.
    Withdraw,
    /// It ends now.
    EndsNow(Departure),
    /// It ends soon.
    EndsAt(Leaving),
    /// It was put right in time.
    GoesOn,
}

/// Judges one look at a grant's ticket.
#[must_use]
pub fn follow(grant: &Grant, seen: &Seen<'_>, now: Timestamp) -> Follow {
    let State::Active { until, .. } = &grant.state else { return before_handing_over(grant, seen) };
    let leaving = grant.leaving.as_ref();
    let Some(how) = departed(grant, seen) else {
        let is_in_time = leaving.is_some_and(|l| now < l.ends_at);
        return if is_in_time { Follow::GoesOn } else { Follow::Stays };
    };
    let grace_minutes = ends_with(seen).grace_minutes;
    if how.is_at_once() || grace_minutes == 0 {
        return Follow::EndsNow(how);
    }
    let ends_at = now + Duration::from_secs(u64::from(grace_minutes) * 60);
    // What was told holds, and what ends sooner by itself needs no telling; more time that is on its way has not come yet.
    let until = grant.extending.map_or(*until, |more| more.until.max(*until));
    if leaving.is_some() || ends_at >= until {
        return Follow::Stays;
    }
    Follow::EndsAt(Leaving { how, since: now, ends_at })
}

/// There is no work in progress that a grace could spare. A ticket that is over hands nothing over, whatever is switched off.
fn before_handing_over(grant: &Grant, seen: &Seen<'_>) -> Follow {
    if !grant.state.is_wanted() {
        return Follow::Stays;
    }
    if seen.ticket.is_none_or(|ticket| is_closed(grant, ticket, seen.closed_by_us)) {
        return Follow::Withdraw;
    }
    departed(grant, seen).map_or(Follow::Stays, Follow::EndsNow)
}

fn ends_with(seen: &Seen<'_>) -> EndsWith {
    seen.mapping.map(|m| m.ends_with).unwrap_or_default()
}

/// The gravest way in which the ticket has left that is switched on, whether access ends the sooner for it or not.
#[must_use]
pub fn departed(grant: &Grant, seen: &Seen<'_>) -> Option<Departure> {
    let ends_with = ends_with(seen);
    let Some(ticket) = seen.ticket else { return ends_with.deleted.then_some(Departure::Deleted) };
    let stood = grant.stood.as_ref();
    // A company of the same customer is as good, and one that an admin unbound was not moved.
    // A grant that does not say what its ticket was says whose it is.
    let is_elsewhere = stood.is_none_or(|s| s.company != ticket.company) && seen.customer != Some(&grant.customer);
    let is_closed = is_closed(grant, ticket, seen.closed_by_us);
    let asks_there = |board: &BoardId| seen.mapping.is_some_and(|m| m.boards.contains(board));
    let is_moved = !ticket.is_merged
        && stood.is_some_and(|s| s.board != ticket.board)
        && !ticket.board.as_ref().is_some_and(asks_there);
    let is_anothers = ticket
        .owner
        .as_ref()
        .is_some_and(|owner| stood.is_some_and(|s| s.owner.as_ref() != Some(owner)) && !seen.members.contains(owner));
    let ways = [
        (ends_with.company && is_elsewhere, Departure::Company),
        (ends_with.merged && ticket.is_merged, Departure::Merged),
        // A PSA may close what it merges, and take it from its board: one switch for one thing.
        (ends_with.closed && is_closed && !ticket.is_merged, Departure::Closed),
        (ends_with.board && is_moved, Departure::Board),
        (ends_with.reassigned && is_anothers, Departure::Reassigned),
    ];
    ways.into_iter().find_map(|(has_left, how)| has_left.then_some(how))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{
        extend::Extending,
        tests::samples::{START, active, after, grant as sample, granting, ticket},
    };

    const MAPPING: &str = "id = \"helpdesk\"\nconnection = \"cw\"\nboards = [\"1\", \"2\"]\n\
                           trigger_statuses = [\"10\"]\n";

    fn mapping(ends_with: &str) -> Mapping {
        toml::from_str(&format!("{MAPPING}{ends_with}")).unwrap()
    }

    fn grant(state: State) -> Grant {
        Grant { stood: Some(Stood::of(&ticket())), ..sample("g1", &[1], state) }
    }

    fn look(grant: &Grant, mapping: &Mapping, ticket: Option<&Ticket>, at: Timestamp) -> Follow {
        let acme = grant.customer.clone();
        let ours = ticket.and_then(|t| t.company.as_ref()).filter(|c| ["250", "251"].contains(&c.as_str()));
        let members = ["7".parse().unwrap()];
        let customer = ours.map(|_| &acme);
        let seen = Seen { mapping: Some(mapping), ticket, customer, members: &members, closed_by_us: &[] };
        follow(grant, &seen, at)
    }

    fn changed(change: impl FnOnce(&mut Ticket)) -> Ticket {
        let mut ticket = ticket();
        change(&mut ticket);
        ticket
    }

    /// F11: each way in which a ticket leaves, by its own switch; and what is none.
    #[test]
    fn every_way_to_leave_has_a_switch_and_nothing_else_counts() {
        let board = |id: &str| Some(id.parse().unwrap());
        let ways = [
            ("closed", Departure::Closed, changed(|t| (t.is_closed, t.status) = (true, Some("12".parse().unwrap())))),
            // Some PSAs close a ticket and leave its status alone.
            ("closed", Departure::Closed, changed(|t| t.is_closed = true)),
            ("merged", Departure::Merged, changed(|t| (t.is_merged, t.is_closed, t.board) = (true, true, None))),
            ("company", Departure::Company, changed(|t| t.company = Some("300".parse().unwrap()))),
            ("company", Departure::Company, changed(|t| t.company = None)),
            ("board", Departure::Board, changed(|t| t.board = board("3"))),
            ("board", Departure::Board, changed(|t| t.board = None)),
            ("reassigned", Departure::Reassigned, changed(|t| t.owner = Some("8".parse().unwrap()))),
        ];
        let grant = grant(active(START));
        let at_once = "ends_with = { grace_minutes = 0 }";
        for (switch, how, ticket) in &ways {
            assert_eq!(look(&grant, &mapping(at_once), Some(ticket), after(60)), Follow::EndsNow(*how), "{switch}");
            let off = mapping(&format!("ends_with = {{ {switch} = false, grace_minutes = 0 }}"));
            assert_eq!(look(&grant, &off, Some(ticket), after(60)), Follow::Stays, "{switch} is off");
        }
        assert_eq!(look(&grant, &mapping(""), None, after(60)), Follow::EndsNow(Departure::Deleted));
        assert_eq!(look(&grant, &mapping("ends_with = { deleted = false }"), None, after(60)), Follow::Stays);
        let none = [
            ("as it stood", ticket()),
            ("another status", changed(|t| t.status = Some("13".parse().unwrap()))),
            ("another company of the same customer", changed(|t| t.company = Some("251".parse().unwrap()))),
            ("another board of the mapping", changed(|t| t.board = board("2"))),
            ("assigned to who asked", changed(|t| t.owner = Some("7".parse().unwrap()))),
        ];
        for (what, ticket) in &none {
            assert_eq!(look(&grant, &mapping(at_once), Some(ticket), after(60)), Follow::Stays, "{what}");
        }
    }

    /// F11: access that goes on outlives the end of another that the same ticket asked for, and no other closing.
    #[test]
    fn only_what_latchkey_closed_itself_is_no_departure_and_only_for_access_that_was_there() {
        let usual = mapping("ends_with = { grace_minutes = 0 }");
        let closed = |status: &str| changed(|t| (t.is_closed, t.status) = (true, Some(status.parse().unwrap())));
        let closing = |at| [Closing { status: "12".parse().unwrap(), at, saved_at: None }];
        let judge = |state: State, ticket: &Ticket, by_us: &[Closing]| {
            let grant = grant(state);
            let seen = Seen {
                mapping: Some(&usual),
                ticket: Some(ticket),
                customer: Some(&grant.customer),
                members: &[],
                closed_by_us: by_us,
            };
            follow(&grant, &seen, after(60))
        };
        let (left, earlier) = (Follow::EndsNow(Departure::Closed), START - Duration::from_secs(1));
        assert_eq!(judge(active(START), &closed("12"), &closing(after(50))), Follow::Stays);
        assert_eq!(judge(active(START), &closed("12"), &closing(earlier)), left, "it was asked for afterwards");
        assert_eq!(judge(active(START), &closed("13"), &closing(after(50))), left, "somebody closed it in another way");
        assert_eq!(judge(active(START), &closed("12"), &[]), left, "somebody closed it with that status");
        assert_eq!(judge(granting(), &closed("12"), &closing(after(50))), Follow::Stays);
        assert_eq!(judge(granting(), &closed("12"), &[]), Follow::Withdraw);
    }

    /// F11: the status is the same, and the PSA's record says that it is somebody else's now.
    #[test]
    fn a_closing_is_undone_by_a_later_one_that_is_somebodys() {
        let saved_at = Some(Timestamp::from_millis(10_500));
        for (saved_at, actor, at, is_undone) in [
            (saved_at, Actor::Member, 63_000, true),
            (saved_at, Actor::Automation, 63_000, true),
            (saved_at, Actor::Unknown, 63_000, false),
            (saved_at, Actor::Member, 10_000, true),
            (saved_at, Actor::Member, 9_000, false),
            (None, Actor::Member, 63_000, false),
        ] {
            let closing = Closing { status: "12".parse().unwrap(), at: START, saved_at };
            let (at, key) = (Timestamp::from_millis(at), "c1".to_owned());
            let change = Change { by: "jdoe".to_owned(), actor, at, key, later_by: None };
            assert_eq!(closing.is_undone_by(&change), is_undone, "{saved_at:?} {actor:?} {at:?}");
        }
    }

    /// F11: told once, called off in time, and never afterwards.
    #[test]
    fn a_departure_has_its_grace_and_can_be_put_right_within_it() {
        let (usual, gone) = (mapping(""), changed(|t| (t.is_closed, t.status) = (true, None)));
        let active = grant(active(START));
        let Follow::EndsAt(leaving) = look(&active, &usual, Some(&gone), after(60)) else { panic!("it has a grace") };
        assert_eq!(leaving, Leaving { how: Departure::Closed, since: after(60), ends_at: after(360) });
        let leaving = Grant { leaving: Some(leaving), ..active.clone() };
        assert_eq!(leaving.due_at(), Some(after(360)), "the clock matters sooner");
        assert_eq!(look(&leaving, &usual, Some(&gone), after(120)), Follow::Stays, "it is told once");
        assert_eq!(look(&leaving, &usual, Some(&ticket()), after(359)), Follow::GoesOn);
        assert_eq!(look(&leaving, &usual, Some(&ticket()), after(360)), Follow::Stays, "too late");
        assert_eq!(look(&leaving, &usual, None, after(120)), Follow::EndsNow(Departure::Deleted));
        assert_eq!(look(&active, &usual, Some(&gone), after(3400)), Follow::Stays, "it ends sooner by itself");
        let more = Extending { until: after(7200), latest_end: after(7200) };
        let extending = Grant { extending: Some(more), ..active };
        let late = look(&extending, &usual, Some(&gone), after(3400));
        assert!(matches!(late, Follow::EndsAt(_)), "it would not: more time is on its way");
    }

    /// F11, F107: what was not handed over has no grace; what is over stays over.
    #[test]
    fn what_was_not_handed_over_is_taken_back_at_once() {
        let (usual, closed) = (mapping("ends_with = { closed = false }"), changed(|t| t.is_closed = true));
        let granting = grant(granting());
        assert_eq!(look(&granting, &usual, Some(&closed), after(5)), Follow::Withdraw, "whatever is switched off");
        assert_eq!(look(&granting, &usual, None, after(5)), Follow::Withdraw);
        let moved = changed(|t| t.board = Some("3".parse().unwrap()));
        assert_eq!(look(&granting, &usual, Some(&moved), after(5)), Follow::EndsNow(Departure::Board));
        assert_eq!(look(&granting, &usual, Some(&ticket()), after(5)), Follow::Stays);
        let ended = grant(State::Lapsed { at: START });
        assert_eq!(look(&ended, &usual, None, after(5)), Follow::Stays);
    }

    /// A grant that an earlier release stored does not say what its ticket was: nothing is guessed but whose it is.
    #[test]
    fn nothing_is_guessed_of_a_grant_that_does_not_say_what_its_ticket_was() {
        let old = Grant { stood: None, ..grant(active(START)) };
        let elsewhere = changed(|t| (t.board, t.owner) = (None, Some("8".parse().unwrap())));
        assert_eq!(look(&old, &mapping(""), Some(&elsewhere), after(60)), Follow::Stays);
        let anothers = changed(|t| t.company = Some("300".parse().unwrap()));
        assert_eq!(look(&old, &mapping(""), Some(&anothers), after(60)), Follow::EndsNow(Departure::Company));
    }
}
