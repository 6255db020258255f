//! Who brought a ticket into its present status, or a custom field to its present value: from the ticket's history, in
//! which every note, mail, status change and button is an entry ("action").
//!
//! A ticket names nobody, and a webhook's `agent_id` is not who acted. An entry counts as a person's click only where the
//! agent that did it and the agent it shows are one, no application did it that is not the desk's own, and nobody was acted
//! for; `who`, which a caller can set, is not looked at. Entries that a merge copied from another ticket say nothing about
//! this one.

use latchkey_contract::{
    CallError, FieldId, Timestamp,
    outside::Urgency,
    ticket::{Actor, Change, Part, Ticket},
    trail,
};

use crate::{
    api::{Api, Ask, number, number_or_refused, real},
    members::{Agents, by_number_name},
    moment,
    tickets::{Reader, field_text},
    wire,
};

pub(crate) const LIST: &str = "GET /Actions";
/// How many entries are asked for: first so many, then, where that was not all, all there can be.
const COUNTS: [usize; 2] = [500, 5_000];
/// The word for the instance's own rules in the settings.
const SYSTEM: &str = "system";

/// The histories of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History<'c> {
    pub(crate) reader: Reader<'c>,
    pub(crate) agents: Agents<'c>,
    /// Our own application's client id.
    pub(crate) application: &'c str,
    pub(crate) automation: &'c [String],
    pub(crate) desk: Desk<'c>,
}

/// Applications in which agents work by hand, as an admin listed them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'c>(pub(crate) &'c [String]);

impl Desk<'_> {
    fn has(self, application: &str) -> bool {
        self.0.iter().any(|listed| listed.trim().eq_ignore_ascii_case(application))
    }
}

/// Whose entry it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// A click of this agent's own.
    Agent(i64),
    /// An end user: by mail, in the portal.
    Contact(i64),
    /// Another program, or ours.
    Application(String),
    /// The instance itself.
    System,
    /// The entry contradicts itself: shown as another's, or done for another.
    Doubtful(i64),
}

impl Who {
    fn of(action: &wire::Action, desk: Desk<'_>) -> Self {
        let application = action.actionby_application_id.as_deref().unwrap_or_default().trim();
        let (agent, shown) = (real(action.actionby_agent_id), real(action.who_agentid));
        // Without an agent it is the application's own act, whichever it is.
        let is_by_hand = agent.is_some() && desk.has(application);
        if !application.is_empty() && !is_by_hand {
            return Self::Application(application.to_lowercase());
        }
        match (agent, real(action.actionby_user_id)) {
            (Some(agent), None) if shown == Some(agent) && real(action.on_behalf_of).is_none() => Self::Agent(agent),
            (Some(agent), _) => Self::Doubtful(agent),
            (None, Some(user)) => Self::Contact(user),
            (None, None) if shown.is_some() => Self::Doubtful(0),
            (None, None) => Self::System,
        }
    }

    /// Not a name that anybody can give to himself: made of numbers alone.
    fn name(&self) -> String {
        match self {
            Self::Agent(agent) => by_number_name(*agent),
            Self::Contact(user) => format!("contact-{user}"),
            Self::Application(id) => format!("application-{id}"),
            Self::System => SYSTEM.to_owned(),
            Self::Doubtful(agent) => format!("somebody as agent-{agent}"),
        }
    }
}

/// No application had a hand in it: whoever calls through one, also through the desk's own, may name any agent.
pub(crate) fn is_by_hand(action: &wire::Action) -> bool {
    action.actionby_application_id.as_deref().unwrap_or_default().trim().is_empty()
}

/// The agent whose own click it was.
pub(crate) fn agent(action: &wire::Action, desk: Desk<'_>) -> Option<i64> {
    match Who::of(action, desk) {
        Who::Agent(agent) => Some(agent),
        Who::Contact(_) | Who::Application(_) | Who::System | Who::Doubtful(_) => None,
    }
}

impl History<'_> {
    pub(crate) async fn change(
        &self,
        ticket: &Ticket,
        of: Part<'_>,
        urgency: Urgency,
    ) -> Result<Option<Change>, CallError> {
        let entries = own(list(self.reader.api, ticket.id.as_str(), urgency).await?);
        let who = |entry: &wire::Action| Who::of(entry, self.desk);
        let is_unclear = |since, at| is_unclear(&entries, (since, at), who, |who| self.is_ours(who));
        let chosen = match of {
            Part::Status => ticket.status.as_ref().and_then(|s| into_status(&entries, number(s.as_str())?, is_unclear)),
            Part::Field(field) => ticket.fields.get(field).and_then(|v| into_value(&entries, field, v, is_unclear)),
            // No entry is known to tell a team reliably.
            Part::Board => None,
        };
        let Some(chosen) = chosen else { return Ok(None) };
        let after = self.reader.read(&ticket.id, urgency).await?;
        trail::still(LIST, after.as_ref().is_some_and(|after| is_same(after, ticket, of)))?;
        self.found(&entries, chosen).await
    }

    pub(crate) async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
        let ours = [Who::Agent(self.agents.me), Who::Application(self.application.to_lowercase())];
        let change = self.change(ticket, Part::Status, urgency).await?;
        Ok(change.is_some_and(|c| ours.iter().any(|who| who.name() == c.by) && c.later_by.is_none()))
    }

    async fn found(&self, entries: &[wire::Action], chosen: usize) -> Result<Option<Change>, CallError> {
        let Some(entry) = entries.get(chosen) else { return Ok(None) };
        let who = Who::of(entry, self.desk);
        let Some(at) = entered_at(entry).filter(|_| !matches!(who, Who::Doubtful(_))) else { return Ok(None) };
        let (by, actor) = self.identity(&who).await?;
        let text = entry.guid.clone().unwrap_or_else(|| format!("{} {:?}", entry.id, entry.new_status));
        // Compared by who they are and not by what they are called.
        let is_other = |later: &Who| *later != who && *later != Who::System && !self.is_ours(later);
        let mut later = entries[chosen + 1..].iter().map(|entry| Who::of(entry, self.desk));
        let later_by = later.find(is_other).map(|later| later.name());
        Ok(Some(Change { key: trail::key(at, &who.name(), &text), by, actor, at, later_by }))
    }

    fn is_ours(&self, who: &Who) -> bool {
        match who {
            Who::Agent(agent) | Who::Doubtful(agent) => *agent == self.agents.me,
            Who::Application(id) => id.eq_ignore_ascii_case(self.application),
            Who::Contact(_) | Who::System => false,
        }
    }

    /// The login name under which somebody is asked for, and what kind of identity it is.
    async fn identity(&self, who: &Who) -> Result<(String, Actor), CallError> {
        let name = who.name();
        let is_listed = |listed: &str| self.automation.iter().any(|name| name.trim().eq_ignore_ascii_case(listed));
        Ok(match who {
            _ if self.is_ours(who) => (name, Actor::Unknown),
            Who::Agent(agent) => match self.agents.by_number(*agent).await? {
                Some(member) if member.is_human => (member.name, Actor::Member),
                Some(member) => (member.name, Actor::Unknown),
                None => (name, Actor::Unknown),
            },
            Who::Application(id) if is_listed(id) => (name, Actor::Automation),
            Who::System if is_listed(SYSTEM) => (name, Actor::Automation),
            Who::Application(_) | Who::System | Who::Contact(_) | Who::Doubtful(_) => (name, Actor::Unknown),
        })
    }
}

/// A ticket's history, unsorted; none when the ticket is gone.
///
/// Without paging an answer does not tell how many there are, so an answer as long as was asked for is asked for again.
pub(crate) async fn list(api: &Api, ticket: &str, urgency: Urgency) -> Result<Vec<wire::Action>, CallError> {
    let ticket = number_or_refused(LIST, ticket)?;
    for count in COUNTS {
        // Entries of the system are wanted: they change statuses, too.
        let ask = Ask::new(LIST, ["Actions"]).query("ticket_id", ticket.to_string()).query("excludesys", "false");
        let ask = ask.query("count", count.to_string()).urgent(urgency);
        let Some(rows) = api.list_if_any::<wire::Action>(&ask).await? else { return Ok(Vec::new()) };
        if rows.len() < count {
            return Ok(rows);
        }
    }
    Err(CallError::malformed(LIST, "the history does not end"))
}

/// The entries of this very ticket in the order in which they were made. Their numbers count upwards; a date can be set.
pub(crate) fn own(mut entries: Vec<wire::Action>) -> Vec<wire::Action> {
    entries.retain(|entry| real(entry.merged_from_ticketid).is_none());
    entries.sort_by_key(|entry| entry.id);
    entries
}

pub(crate) fn entered_at(entry: &wire::Action) -> Option<Timestamp> {
    let times = [&entry.actiondatecreated, &entry.datetime];
    times.into_iter().find_map(|time| time.as_deref().and_then(moment::parse))
}

fn is_same(after: &Ticket, before: &Ticket, of: Part<'_>) -> bool {
    let is_part_same = match of {
        Part::Status => after.status == before.status,
        Part::Board => after.board == before.board,
        Part::Field(field) => after.fields.get(field) == before.fields.get(field),
    };
    is_part_same && after.updated_at == before.updated_at
}

/// The last entry that changed the status, if it is the one into the present status. An entry without the former status
/// is compared with the one that showed it before, and must not only show what an edit in between set; one that stays in a
/// status of which nobody tells how the ticket came there leaves it open who did it.
fn into_status(
    entries: &[wire::Action],
    status: i64,
    is_unclear: impl Fn(Option<usize>, usize) -> bool,
) -> Option<usize> {
    let (mut last, mut shown) = (None, None);
    for (at, entry) in entries.iter().enumerate() {
        let Some(new) = real(entry.new_status) else { continue };
        let before = shown.map(|(by, _)| by);
        let stays = shown.is_some_and(|(_, present)| present == new);
        last = match real(entry.old_status) {
            Some(old) if old != new => Some(at),
            _ if stays => last,
            Some(_) => None,
            None => (!is_unclear(before, at)).then_some(at),
        };
        shown = Some((at, new));
    }
    last.filter(|_| shown.is_some_and(|(_, present)| present == status))
}

/// The last entry that changed the field, if it is the one to the present value. An entry that only shows the value again
/// is not it, nor is one that shows what an edit may have set since the entry that showed it before.
fn into_value(
    entries: &[wire::Action],
    field: &FieldId,
    value: &str,
    is_unclear: impl Fn(Option<usize>, usize) -> bool,
) -> Option<usize> {
    let field = number(field.as_str())?;
    let (mut last, mut shown) = (None, None);
    for (at, entry) in entries.iter().enumerate() {
        let Some(named) = entry.customfields.iter().flatten().find(|f| f.id == field) else { continue };
        let text = field_text(named);
        let before = shown.as_ref().map(|(by, _)| *by);
        if shown.as_ref().is_none_or(|(_, present)| *present != text) {
            last = (!is_unclear(before, at)).then_some(at);
        }
        shown = Some((at, text));
    }
    last.filter(|_| shown.and_then(|(_, present)| present).as_deref() == Some(value))
}

/// Between these two entries somebody else edited the ticket, and the history does not tell what: the later one may only show
/// what that edit set. The ticket's making is the first entry and no edit; nor is an action's button, nor anything of ours.
fn is_unclear(
    entries: &[wire::Action],
    (since, at): (Option<usize>, usize),
    who: impl Fn(&wire::Action) -> Who,
    is_ours: impl Fn(&Who) -> bool,
) -> bool {
    let Some(by) = entries.get(at).map(&who) else { return true };
    let is_silent = |earlier: &wire::Action| {
        let tells = real(earlier.outcome_id).is_some() || earlier.customfields.iter().flatten().next().is_some();
        let earlier = who(earlier);
        !tells && earlier != by && !is_ours(&earlier)
    };
    entries.iter().take(at).skip(since.unwrap_or(0) + 1).any(is_silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, old: i64, new: i64) -> wire::Action {
        let json = format!(r#"{{"id":{id},"old_status":{old},"new_status":{new}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn who_at(desk: &[String], json: &str) -> Who {
        Who::of(&serde_json::from_str(&format!(r#"{{"id":1,{json}}}"#)).unwrap(), Desk(desk))
    }

    fn who(json: &str) -> Who {
        who_at(&[], json)
    }

    #[test]
    fn a_click_is_an_agents_own_or_nobodys() {
        let click = r#""actionby_agent_id":17,"who_agentid":17"#;
        assert_eq!(who(&format!(r#"{click},"actionby_application_id":"""#)), Who::Agent(17));
        assert_eq!(who(&format!(r#"{click},"actionby_application_id":null,"actionby_user_id":0"#)), Who::Agent(17));
        assert_eq!(who(&format!(r#"{click},"actionby_application_id":"C953""#)), Who::Application("c953".into()));
        for doubtful in [
            r#""actionby_agent_id":17,"who_agentid":18"#,
            r#""actionby_agent_id":17"#,
            r#""actionby_agent_id":17,"who_agentid":17,"on_behalf_of":18"#,
            r#""actionby_agent_id":17,"who_agentid":17,"actionby_user_id":95"#,
            r#""actionby_agent_id":0,"who_agentid":17"#,
        ] {
            assert!(matches!(who(doubtful), Who::Doubtful(_)), "{doubtful}");
        }
        assert_eq!(who(r#""actionby_user_id":95"#), Who::Contact(95));
        assert_eq!(who(r#""who":"Dana Reyes""#), Who::System, "a name alone is nobody");
    }

    #[test]
    fn what_is_done_in_an_application_of_the_desk_is_the_agents_own_or_nobodys() {
        let desk = ["C953".to_owned()];
        let who = |json: &str| who_at(&desk, &format!(r#"{json},"actionby_application_id":" c953 ""#));
        assert_eq!(who(r#""actionby_agent_id":17,"who_agentid":17"#), Who::Agent(17));
        assert_eq!(who(r#""actionby_agent_id":17,"who_agentid":18"#), Who::Doubtful(17));
        assert_eq!(who(r#""actionby_agent_id":17,"who_agentid":17,"on_behalf_of":18"#), Who::Doubtful(17));
        for nobodys in [r#""who":"Dana Reyes""#, r#""who_agentid":17"#, r#""actionby_user_id":95"#] {
            assert_eq!(who(nobodys), Who::Application("c953".into()), "{nobodys}");
        }
        let another = r#""actionby_agent_id":17,"who_agentid":17,"actionby_application_id":"c954""#;
        assert_eq!(who_at(&desk, another), Who::Application("c954".into()));
    }

    #[test]
    fn the_last_entry_into_the_present_status_is_the_one() {
        let entries =
            [entry(1, 0, 1), entry(2, 1, 31), entry(3, 31, 31), entry(4, 31, 1), entry(5, 1, 31), entry(6, 31, 31)];
        assert_eq!(into_status(&entries, 31, |_, _| false), Some(4));
        assert_eq!(into_status(&entries, 1, |_, _| false), None, "the history ends in another status");
        assert_eq!(into_status(&[], 1, |_, _| false), None);
        let untold = [entry(1, 0, 1), entry(2, 0, 1), entry(3, 0, 31), entry(4, 0, 31), entry(5, 0, 0)];
        assert_eq!(into_status(&untold, 31, |_, _| false), Some(2), "compared with the entry before it");
    }

    #[test]
    fn how_the_ticket_came_into_a_status_must_be_told_by_the_entry_that_brought_it_there() {
        let stays = [entry(1, 0, 1), entry(2, 31, 31)];
        assert_eq!(into_status(&stays, 31, |_, _| false), None, "1 into 31 is told by nobody");
        let again = [entry(1, 0, 1), entry(2, 31, 31), entry(3, 31, 1), entry(4, 1, 31)];
        assert_eq!(into_status(&again, 31, |_, _| false), Some(3));
        let shown = [entry(1, 0, 1), entry(2, 0, 31)];
        assert_eq!(into_status(&shown, 31, |since, at| (since, at) == (Some(0), 1)), None, "an edit in between");
    }

    #[test]
    fn whoever_shows_a_value_after_anothers_silent_edit_has_not_set_it() {
        let json = |id: i64, by: i64, rest: &str| {
            let json = format!(r#"{{"id":{id},"actionby_agent_id":{by},"who_agentid":{by}{rest}}}"#);
            serde_json::from_str::<wire::Action>(&json).unwrap()
        };
        let shows = |value: &str| format!(r#","customfields":[{{"id":183,"type":0,"value":"{value}"}}]"#);
        let field = FieldId::parse("183").unwrap();
        let asks = |entries: &[wire::Action]| {
            let who = |entry: &wire::Action| Who::of(entry, Desk(&[]));
            into_value(entries, &field, "4 hours", |since, at| is_unclear(entries, (since, at), who, |_| false))
        };
        let made = || json(1, 17, "");
        let first = || json(2, 17, &shows("1 hour"));
        let edit = || json(3, 18, "");
        let then = || json(4, 17, &shows("4 hours"));
        assert_eq!(asks(&[made(), first(), then()]), Some(2));
        assert_eq!(asks(&[made(), first(), edit(), then()]), None);
        assert_eq!(asks(&[made(), edit(), first(), then()]), Some(3), "it was seen after the edit");
    }

    #[test]
    fn entries_that_a_merge_brought_say_nothing() {
        let copied =
            serde_json::from_str(r#"{"id":3,"old_status":1,"new_status":31,"merged_from_ticketid":9}"#).unwrap();
        let entries = own(vec![copied, entry(2, 1, 2), entry(1, 0, 1)]);
        assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(into_status(&entries, 31, |_, _| false), None);
    }

    #[test]
    fn the_entry_that_changed_a_field_is_not_one_that_shows_it_again() {
        let entry = |id: i64, value: &str| {
            let json = format!(r#"{{"id":{id},"customfields":[{{"id":183,"type":0,"value":"{value}"}}]}}"#);
            serde_json::from_str::<wire::Action>(&json).unwrap()
        };
        let field = FieldId::parse("183").unwrap();
        let entries = [entry(1, "a"), entry(2, "b"), entry(3, "b"), serde_json::from_str(r#"{"id":4}"#).unwrap()];
        assert_eq!(into_value(&entries, &field, "b", |_, _| false), Some(1));
        assert_eq!(into_value(&entries, &field, "a", |_, _| false), None);
        assert_eq!(into_value(&entries, &FieldId::parse("184").unwrap(), "b", |_, _| false), None);
    }
}
