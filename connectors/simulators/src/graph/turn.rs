//! One authenticated request being answered: who asks, of which tenant, when.

use serde_json::Value;

use super::answer::Refusal;
use super::ask::Ask;
use super::authz::Caller;
use super::events::{Actor, What, event};
use super::odata::Place;
use super::state::{Tenant, User, World};
use super::time::Ms;

pub(super) struct Turn<'w> {
    pub(super) world: &'w mut World,
    pub(super) caller: Caller,
    pub(super) ask: &'w Ask,
    pub(super) now: Ms,
}

const KEPT: &str = "tenants are marked deleted but never dropped, and the token named this one";

impl Turn<'_> {
    pub(super) fn tenant(&self) -> &Tenant {
        self.world.tenants.get(&self.caller.tenant).expect(KEPT)
    }

    pub(super) fn tenant_mut(&mut self) -> &mut Tenant {
        self.world.tenants.get_mut(&self.caller.tenant).expect(KEPT)
    }

    /// A path segment after the version; the route table only matches paths that are long enough.
    pub(super) fn segment(&self, at: usize) -> &str {
        self.ask.segments.get(at).map(String::as_str).unwrap_or_default()
    }

    /// The user named in the path, once it has been replicated.
    pub(super) fn user(&self, key: &str) -> Result<&User, Refusal> {
        self.tenant().user(key).filter(|user| user.visible_at <= self.now).ok_or_else(|| Refusal::not_found(key))
    }

    /// The id of the user named in the path.
    pub(super) fn user_id(&self) -> Result<String, Refusal> {
        self.user(self.segment(1)).map(|user| user.id.clone())
    }

    pub(super) fn record(&mut self, what: What, object: &str, detail: Value) {
        let actor = Actor::App(self.caller.client_id.clone());
        let entry = event(self.now, &self.caller.tenant, &actor, what, object, detail);
        self.world.events.push(entry);
    }

    pub(super) fn place(&self, context: impl Into<String>) -> Place<'_> {
        Place { base_url: &self.world.base_url, context: context.into(), page_size: self.world.knobs.page_size }
    }

    /// An absolute address below the version that the caller used.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.world.base_url, self.ask.version)
    }

    pub(super) fn context(&self, name: &str) -> String {
        self.url(&format!("$metadata#{name}"))
    }
}
