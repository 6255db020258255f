//! What an instance calls its things: statuses, teams, the action for notes, our own agent. Read once and kept for a
//! while; nothing about these numbers is portable from one instance to another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use latchkey_contract::{CallError, Clock, outside::Urgency, text::is_same_name};
use tokio::sync::Mutex;

use crate::{
    api::{Api, Ask},
    settings::Plan,
    wire,
};

const STATUSES: &str = "GET /Status";
const TEAMS: &str = "GET /Team";
const OUTCOMES: &str = "GET /Outcome";
const ME: &str = "GET /Agent/me";
const FRESH: Duration = Duration::from_secs(600);
/// The application's agent is changed by hand alone.
const ME_FRESH: Duration = Duration::from_secs(3600);
/// So long a table that was read because something was missing is trusted although it still is.
const PAUSE: Duration = Duration::from_secs(30);
/// The built-in private note, on every instance seen.
const PRIVATE_NOTE: i64 = 7;
const NOTE_NAMES: [&str; 2] = ["Private Note", "Internal Note"];
const CLOSED: &str = "Closed";

/// The tables of one connection.
#[derive(Debug)]
pub(crate) struct Tables {
    clock: Arc<dyn Clock>,
    closed_statuses: Vec<String>,
    note_action: Option<String>,
    api_agent: Option<i64>,
    known: Mutex<Option<Held>>,
    note: Mutex<Option<(Duration, i64)>>,
    me: Mutex<Option<(Duration, i64)>>,
}

#[derive(Debug)]
struct Held {
    at: Duration,
    known: Arc<Known>,
    /// When it was last read because something was missing in it.
    missed_at: Option<Duration>,
}

/// Statuses and teams at one moment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) statuses: BTreeMap<i64, Status>,
    pub(crate) teams: Vec<wire::Row>,
}

/// A status. One belongs to no team: all tickets share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) is_closing: bool,
}

impl Known {
    /// A team by number, or by name where only that is told. Two of one name are none.
    pub(crate) fn team(&self, id: Option<i64>, name: Option<&str>) -> Option<i64> {
        if let Some(id) = id.filter(|id| *id > 0) {
            return Some(id);
        }
        let name = name.filter(|name| !name.trim().is_empty())?;
        let mut same = self.teams.iter().filter(|t| t.name.as_deref().is_some_and(|n| is_same_name(n, name)));
        match (same.next(), same.next()) {
            (Some(team), None) => Some(team.id),
            _ => None,
        }
    }
}

impl Tables {
    pub(crate) fn new(plan: &Plan, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            closed_statuses: plan.settings.closed_statuses.clone(),
            note_action: plan.settings.note_action.clone(),
            api_agent: plan.settings.api_agent.map(i64::from),
            known: Mutex::default(),
            note: Mutex::default(),
            me: Mutex::default(),
        }
    }

    /// Read again where it is old, or where `has` does not find in it what it looks for; the latter not all the time.
    pub(crate) async fn known(
        &self,
        api: &Api,
        urgency: Urgency,
        has: impl Fn(&Known) -> bool,
    ) -> Result<Arc<Known>, CallError> {
        let mut held = self.known.lock().await;
        let now = self.clock.monotonic();
        let age = |at: Duration| now.saturating_sub(at);
        let mut missed_at = None;
        if let Some(h) = held.as_ref().filter(|h| age(h.at) < FRESH) {
            if has(&h.known) || h.missed_at.is_some_and(|at| age(at) < PAUSE) {
                return Ok(Arc::clone(&h.known));
            }
            missed_at = Some(now);
        }
        let known = Arc::new(self.look(api, urgency).await?);
        *held = Some(Held { at: now, known: Arc::clone(&known), missed_at });
        Ok(known)
    }

    /// Asked now, whatever is known.
    pub(crate) async fn look(&self, api: &Api, urgency: Urgency) -> Result<Known, CallError> {
        let statuses = self.statuses(api, urgency).await?;
        Ok(Known { statuses, teams: api.list(&Ask::new(TEAMS, ["Team"]).urgent(urgency)).await? })
    }

    /// Closed are those an admin named; without a word of theirs those that the list of open ones leaves out, and
    /// what is called "Closed". Where the filter is ignored, both lists are the same and the name alone counts; so it does
    /// where the list of open ones is empty, since no instance works with closed tickets alone.
    async fn statuses(&self, api: &Api, urgency: Urgency) -> Result<BTreeMap<i64, Status>, CallError> {
        let ask = Ask::new(STATUSES, ["Status"]).urgent(urgency);
        let all: Vec<wire::Row> = api.list(&ask).await?;
        let open: Vec<wire::Row> = match self.closed_statuses.is_empty() {
            true => api.list(&ask.query("excludeclosed", "true")).await?,
            false => Vec::new(),
        };
        let is_closing = |row: &wire::Row| {
            let is_called = |name: &str| row.name.as_deref().is_some_and(|own| is_same_name(own, name));
            match self.closed_statuses.is_empty() {
                true => is_called(CLOSED) || !(open.is_empty() || open.iter().any(|o| o.id == row.id)),
                false => self.closed_statuses.iter().any(|name| is_called(name)),
            }
        };
        let status =
            |row: &wire::Row| Status { name: row.name.clone().unwrap_or_default(), is_closing: is_closing(row) };
        Ok(all.iter().map(|row| (row.id, status(row))).collect())
    }

    /// The action under which notes are posted.
    pub(crate) async fn note_action(&self, api: &Api, urgency: Urgency) -> Result<i64, CallError> {
        let mut held = self.note.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, id)) = *held
            && now.saturating_sub(at) < FRESH
        {
            return Ok(id);
        }
        let id = self.look_for_note_action(api, urgency).await?;
        *held = Some((now, id));
        Ok(id)
    }

    /// An admin has removed it, or taken it from our agent.
    pub(crate) async fn forget_note_action(&self) {
        *self.note.lock().await = None;
    }

    /// # Errors
    /// [`CallError::Unauthorized`] where no action is fit: an action's own settings decide who sees a note, so none is
    /// guessed.
    pub(crate) async fn look_for_note_action(&self, api: &Api, urgency: Urgency) -> Result<i64, CallError> {
        if let Some(id) = self.note_action.as_ref().and_then(|name| name.trim().parse().ok()) {
            return Ok(id);
        }
        let rows: Vec<wire::Outcome> = api.list(&Ask::new(OUTCOMES, ["Outcome"]).urgent(urgency)).await?;
        let is_called = |row: &wire::Outcome, name: &str| {
            [&row.outcome, &row.buttonname].into_iter().flatten().any(|own| is_same_name(own, name))
        };
        let named = |name: &str| rows.iter().find(|row| is_called(row, name)).map(|row| row.id);
        let found = match &self.note_action {
            Some(name) => named(name),
            None => {
                let is_built_in =
                    |row: &&wire::Outcome| row.id == PRIVATE_NOTE && NOTE_NAMES.iter().any(|n| is_called(row, n));
                rows.iter().find(is_built_in).map(|row| row.id).or_else(|| NOTE_NAMES.iter().find_map(|n| named(n)))
            }
        };
        let untold =
            || CallError::Unauthorized { op: OUTCOMES, code: "no action for private notes: set note_action".into() };
        found.ok_or_else(untold)
    }

    /// The number of our own agent.
    ///
    /// # Errors
    /// [`CallError::Unauthorized`] where the instance does not tell: `api_agent` must be set then. Whose notes are ours is
    /// never guessed.
    pub(crate) async fn me(&self, api: &Api, urgency: Urgency) -> Result<i64, CallError> {
        if let Some(id) = self.api_agent {
            return Ok(id);
        }
        let mut held = self.me.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, id)) = *held
            && now.saturating_sub(at) < ME_FRESH
        {
            return Ok(id);
        }
        let id = ask_me(api, urgency).await?;
        *held = Some((now, id));
        Ok(id)
    }

    /// As the settings name it.
    pub(crate) const fn configured_me(&self) -> Option<i64> {
        self.api_agent
    }

    /// Names of closed statuses that an admin wrote.
    pub(crate) fn configured_closed(&self) -> &[String] {
        &self.closed_statuses
    }
}

/// Whose token this is.
pub(crate) async fn ask_me(api: &Api, urgency: Urgency) -> Result<i64, CallError> {
    let untold = |code: &str| CallError::Unauthorized { op: ME, code: format!("set api_agent: {code}") };
    match api.call::<wire::Agent>(&Ask::new(ME, ["Agent", "me"]).urgent(urgency)).await {
        Ok(agent) if agent.id > 1 => Ok(agent.id),
        Ok(_) => Err(untold("nobody was named")),
        Err(CallError::Refused { code, .. } | CallError::Unauthorized { op: ME, code }) => Err(untold(&code)),
        Err(other) => Err(other),
    }
}
