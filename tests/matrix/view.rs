//! What can be seen from outside at one moment: the vendors' own records, and the rows in the database's file.

use std::collections::BTreeMap;

use latchkey_contract::Clock as _;
use latchkey_simulators::graph::{Actor, What};
use serde_json::Value;

use crate::{
    harness::{CLIENT, TestApp, stranger::Stranger},
    people::first_line,
    point::{of_call, vendors},
    post::Post,
};

type Pair = (Option<String>, Option<String>);

async fn pairs(database: &mut Stranger, sql: &'static str) -> Result<Vec<Pair>, sqlx::Error> {
    match database {
        Stranger::Sqlite(conn) => sqlx::query_as(sql).fetch_all(conn).await,
        Stranger::Postgres(conn) => sqlx::query_as(sql).fetch_all(conn).await,
    }
}

async fn numbers(database: &mut Stranger, sql: &'static str) -> Result<Vec<i64>, sqlx::Error> {
    let found = pairs(database, sql).await?.into_iter();
    Ok(found.filter_map(|(number, _)| number).map(|number| number.parse().unwrap()).collect())
}

/// Counts of what happened at the vendors.
pub(crate) type Effects = BTreeMap<String, usize>;

/// One moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// What Latchkey changed at the vendors so far, by kind.
    pub(crate) effects: Effects,
    /// States of all grants, oldest first.
    pub(crate) grants: Vec<String>,
    /// Kind and state of every task.
    pub(crate) tasks: Vec<(String, String)>,
    /// Telling (or `tidy`) and state of every notice.
    pub(crate) notices: Vec<(String, String)>,
    /// Deliveries recorded, and those of them that came to nothing yet.
    pub(crate) deliveries: (usize, usize),
    /// Codes of the audit entries, oldest first.
    pub(crate) audit: Vec<String>,
    /// The row that holds the tenant's client secret.
    pub(crate) client_secret: String,
    /// The master keys under which there are secrets.
    pub(crate) keys: Vec<String>,
    /// How many of them take no secrets any more.
    pub(crate) retired_keys: usize,
    /// Of each invitation, whether something was chosen under it.
    pub(crate) invitations: Vec<bool>,
    /// Who is signed in, and what was counted of failed sign-ins.
    pub(crate) sessions: usize,
    pub(crate) failures: usize,
    /// What happened of which it was not found out yet who is told.
    pub(crate) alerts: usize,
    /// What is noted about the database as a whole.
    pub(crate) meta: BTreeMap<String, String>,
    /// How often entries of the audit log went.
    pub(crate) checkpoints: usize,
    /// By the wall clock, when this was seen; until when work is leased, and until when who does nothing stays signed in.
    pub(crate) at_ms: i64,
    pub(crate) leases_ms: Vec<i64>,
    pub(crate) idle_ms: Vec<i64>,
    /// Calls so far, by name; those of a dead service too.
    pub(crate) calls: BTreeMap<String, usize>,
    /// Lines about commits, oldest first.
    pub(crate) trace: Vec<String>,
}

impl View {
    pub(crate) async fn of(app: &TestApp, post: Option<&Post>) -> Self {
        let trace = std::fs::read_to_string(app.place().0.join(crate::child::TRACE)).unwrap_or_default();
        let mut view = Self {
            effects: effects(app),
            at_ms: app.clock.now().millis(),
            trace: trace.lines().map(str::to_owned).collect(),
            ..Self::default()
        };
        for (_, subject) in post.map(Post::taken).unwrap_or_default() {
            let kind = if subject.contains("ended") { "mail of the end" } else { "mail of access" };
            *view.effects.entry(kind.to_owned()).or_default() += 1;
        }
        for (vendor, faults) in vendors(app) {
            for call in faults.calls() {
                *view.calls.entry(of_call(vendor, call.op, call.body_json.as_ref())).or_default() += 1;
            }
        }
        view.rows(app.stranger().await).await.unwrap();
        view
    }

    async fn rows(&mut self, mut database: Stranger) -> Result<(), sqlx::Error> {
        let text = |value: Option<String>| value.unwrap_or_default();
        for (state, _) in pairs(&mut database, "SELECT state, NULL FROM grants ORDER BY id").await? {
            self.grants.push(text(state));
        }
        for (kind, state) in pairs(&mut database, "SELECT kind, state FROM tasks").await? {
            self.tasks.push((text(kind), text(state)));
        }
        for (doc, _) in pairs(&mut database, "SELECT doc, NULL FROM notices ORDER BY id").await? {
            let doc: Value = serde_json::from_str(&text(doc)).unwrap();
            let kind = doc["kind"]["telling"].as_str().or(doc["kind"]["kind"].as_str()).unwrap_or_default();
            let state = doc["state"]["state"].as_str().unwrap_or_default();
            self.notices.push((kind.to_owned(), state.to_owned()));
        }
        for (outcome, _) in pairs(&mut database, "SELECT outcome, NULL FROM deliveries").await? {
            self.deliveries.0 += 1;
            self.deliveries.1 += usize::from(outcome.is_none());
        }
        for (code, _) in pairs(&mut database, "SELECT code, NULL FROM audit ORDER BY seq").await? {
            self.audit.push(text(code));
        }
        let secret = "SELECT id, NULL FROM sealed WHERE name = 'acme-entra/client-secret'";
        for (id, _) in pairs(&mut database, secret).await? {
            self.client_secret = text(id);
        }
        for (key, _) in pairs(&mut database, "SELECT DISTINCT key_id, NULL FROM sealed ORDER BY key_id").await? {
            self.keys.push(text(key));
        }
        let retired = "SELECT name, NULL FROM meta WHERE name LIKE 'retired-key:%'";
        self.retired_keys = pairs(&mut database, retired).await?.len();
        for (_, chosen) in pairs(&mut database, "SELECT person, totp FROM invitations").await? {
            self.invitations.push(chosen.is_some());
        }
        self.sessions = pairs(&mut database, "SELECT person, NULL FROM sessions").await?.len();
        self.alerts = pairs(&mut database, "SELECT id, NULL FROM alerts").await?.len();
        let leases = "SELECT CAST(lease_until AS TEXT), NULL FROM tasks WHERE state = 'leased'";
        self.leases_ms = numbers(&mut database, leases).await?;
        self.idle_ms = numbers(&mut database, "SELECT CAST(idle_until AS TEXT), NULL FROM sessions").await?;
        for (name, value) in pairs(&mut database, "SELECT name, value FROM meta").await? {
            self.meta.insert(text(name), text(value));
        }
        self.checkpoints = pairs(&mut database, "SELECT hash, NULL FROM audit_checkpoints").await?.len();
        self.failures = pairs(&mut database, "SELECT key, NULL FROM failures").await?.len();
        Ok(())
    }

    pub(crate) fn effect(&self, kind: &str) -> usize {
        self.effects.get(kind).copied().unwrap_or_default()
    }

    /// How often a commit is known to have been made.
    pub(crate) fn commits(&self, name: &str) -> usize {
        let start = format!("after {name} #");
        self.trace.iter().filter(|line| line.trim_start_matches("killed ").starts_with(&start)).count()
    }

    /// The same of all commits whose name begins so.
    pub(crate) fn commits_like(&self, name: &str) -> usize {
        let start = format!("after {name}");
        self.trace.iter().filter(|line| line.trim_start_matches("killed ").starts_with(&start)).count()
    }

    pub(crate) fn has_task(&self, kind: &str, state: &str) -> bool {
        self.tasks.iter().any(|(k, s)| k == kind && s == state)
    }

    pub(crate) fn audited(&self, code: &str) -> usize {
        self.audit.iter().filter(|c| *c == code).count()
    }

    /// The newest grant's state; empty before the first.
    pub(crate) fn grant(&self) -> &str {
        self.grants.last().map_or("", String::as_str)
    }
}

/// What Latchkey's own application and API member did.
fn effects(app: &TestApp) -> Effects {
    let mut effects = Effects::new();
    let us = Actor::App(CLIENT.to_owned());
    for event in app.entra.sim.events().iter().filter(|event| event.actor == us) {
        if let Some(kind) = effect(event.what, &event.detail) {
            *effects.entry(kind.to_owned()).or_default() += 1;
        }
    }
    for ticket in app.psa.tenant.ticket_ids() {
        for line in app.psa.told(ticket) {
            *effects.entry(format!("note {}", topic(&line))).or_default() += 1;
        }
        let by_us = |entry: &&Value| entry.to_string().contains("JitApi") && entry.to_string().contains("Status");
        *effects.entry("status".to_owned()).or_default() += app.psa.tenant.audit(ticket).iter().filter(by_us).count();
    }
    for desk in app.others() {
        for ticket in desk.tickets() {
            for note in desk.notes(ticket) {
                *effects.entry(format!("note {}", topic(first_line(&note.text)))).or_default() += 1;
            }
            *effects.entry("status".to_owned()).or_default() += desk.statuses_set(ticket);
        }
    }
    effects
}

/// A note's topic, from its first line.
pub(crate) fn topic(line: &str) -> String {
    line.trim_start_matches("Latchkey: ").chars().take_while(|c| !",.:;".contains(*c)).collect()
}

fn effect(what: What, detail: &Value) -> Option<&'static str> {
    Some(match what {
        What::UserCreated => "created",
        What::UserEnabled => "enabled",
        What::UserDisabled => "disabled",
        What::PasswordReset => "password",
        What::SessionsRevoked => "sessions",
        What::UserDeleted => "deleted",
        What::UserPurged => "purged",
        What::RoleAssigned => "role given",
        What::RoleUpdated => "role lengthened",
        What::RoleRemoved => "role taken",
        What::MemberAdded => "member added",
        What::MemberRemoved if detail.to_string().contains("owner") => "owner removed",
        What::MemberRemoved => "member removed",
        What::MethodRemoved => "method removed",
        _ => return None,
    })
}
