//! When access was on, read back from the event log: what invariants over time are checked with.

use serde_json::Value;

use super::events::{Event, What};
use super::start::Graph;

/// A stretch of time in which something was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first millisecond.
    pub from_ms: i64,
    /// The first millisecond after it; `None` while it lasts.
    pub until_ms: Option<i64>,
}

impl Span {
    /// Whether the instant lies within.
    pub fn covers(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms && self.until_ms.is_none_or(|until| at_ms < until)
    }
}

impl Graph {
    /// When an account (object id) was enabled and not deleted, oldest first.
    pub fn enabled_spans(&self, tenant: &str, user: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut is_enabled = false;
        for event in self.events_of(tenant, user) {
            match event.what {
                What::UserCreated => is_enabled = event.detail["accountEnabled"] == true,
                What::UserEnabled => is_enabled = true,
                What::UserDisabled => is_enabled = false,
                What::UserDeleted | What::UserPurged => {
                    close(&mut spans, event.at_ms);
                    continue;
                }
                What::UserRestored => {}
                _ => continue,
            }
            if is_enabled {
                open(&mut spans, event.at_ms);
            } else {
                close(&mut spans, event.at_ms);
            }
        }
        spans
    }

    /// When a principal (object id) held a role at tenant scope itself, oldest first. Roles through
    /// groups are not counted.
    pub fn role_spans(&self, tenant: &str, principal: &str, role: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let is_role = |detail: &Value| detail["roleDefinitionId"] == role && detail["directoryScopeId"] == "/";
        for event in self.events_of(tenant, principal) {
            match event.what {
                What::RoleAssigned if is_role(&event.detail) => {
                    open(&mut spans, event.detail["start_ms"].as_i64().unwrap_or(event.at_ms));
                }
                What::RoleRemoved | What::RoleExpired if is_role(&event.detail) => close(&mut spans, event.at_ms),
                What::UserPurged => close(&mut spans, event.at_ms),
                _ => {}
            }
        }
        // An assignment of the future that was cancelled never began.
        spans.retain(|span| span.until_ms.is_none_or(|until| span.from_ms < until));
        spans
    }

    fn events_of(&self, tenant: &str, object: &str) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.tenant == tenant && event.object == object);
        events
    }
}

fn open(spans: &mut Vec<Span>, at_ms: i64) {
    if spans.last().is_none_or(|last| last.until_ms.is_some()) {
        spans.push(Span { from_ms: at_ms, until_ms: None });
    }
}

fn close(spans: &mut [Span], at_ms: i64) {
    if let Some(last) = spans.last_mut().filter(|last| last.until_ms.is_none()) {
        last.until_ms = Some(at_ms);
    }
}
