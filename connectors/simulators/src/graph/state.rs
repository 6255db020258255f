//! What the directory remembers. The questions everybody asks of it are in `directory`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::events::{Event, SignIn, Write};
use super::mint::Mint;
use super::options::{Knobs, Licence, PimPolicy, TapPolicy};
use super::time::Ms;

#[derive(Debug)]
pub(super) struct World {
    pub(super) base_url: String,
    pub(super) tenants: BTreeMap<String, Tenant>,
    /// By client id.
    pub(super) registrations: BTreeMap<String, Registration>,
    /// By the token's own text.
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) knobs: Knobs,
    pub(super) events: Vec<Event>,
    pub(super) writes: Vec<Write>,
    pub(super) sign_ins: Vec<SignIn>,
    pub(super) spent: BTreeMap<(String, String), Spent>,
    /// Of every application together, since the start.
    pub(super) units_spent: u64,
    pub(super) mint: Mint,
}

/// What an application has taken out of its bucket and did not get back until then, in units times the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) until: Ms,
    pub(super) owed: i64,
}

/// An application in its home tenant: what it can prove, and the extensions it defined.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) object_id: String,
    pub(super) home_tenant: String,
    pub(super) secrets: Vec<ClientSecret>,
    /// DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Full names, `extension_{client id without dashes}_{name}`.
    pub(super) extensions: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct ClientSecret {
    pub(super) value: String,
    pub(super) expires_at: Option<Ms>,
}

/// An access token as the server remembers it: rights are those of the moment it was issued.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) principal: String,
    pub(super) permissions: BTreeSet<String>,
    /// Directory roles with their scopes.
    pub(super) directory_roles: Vec<(String, String)>,
    pub(super) expires_at: Ms,
}

#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) display_name: String,
    pub(super) domains: Vec<Domain>,
    pub(super) licence: Licence,
    pub(super) is_deleted: bool,
    /// Objects the tenant may hold; `None` is without limit.
    pub(super) quota: Option<usize>,
    /// By client id.
    pub(super) principals: BTreeMap<String, ServicePrincipal>,
    /// In order of creation, which is the order of listings.
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
    pub(super) units: Vec<Unit>,
    pub(super) roles: Vec<RoleGrant>,
    pub(super) eligibilities: Vec<RoleGrant>,
    pub(super) custom_roles: Vec<(String, String)>,
    /// Role definitions that an administrator has switched off.
    pub(super) disabled_roles: std::collections::BTreeSet<String>,
    /// By name; the initial one until another is chosen.
    pub(super) default_domain: Option<String>,
    /// PIM requests as they were answered, with their status kept current on reading.
    pub(super) requests: Vec<super::pim::Request>,
    /// By role id; roles that are absent have the default.
    pub(super) pim_policies: BTreeMap<String, PimPolicy>,
    pub(super) tap_policy: TapPolicy,
}

#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) is_verified: bool,
    pub(super) is_federated: bool,
}

#[derive(Debug)]
pub(super) struct ServicePrincipal {
    pub(super) id: String,
    pub(super) is_enabled: bool,
    pub(super) permissions: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) id: String,
    /// Every stored property in Graph's spelling, without id and computed ones.
    pub(super) properties: Map<String, Value>,
    pub(super) password_hash: [u8; 32],
    pub(super) must_change_password: bool,
    pub(super) methods: Vec<Method>,
    pub(super) visible_at: Ms,
    pub(super) indexed_at: Ms,
    pub(super) pim_visible_at: Ms,
    pub(super) sessions_valid_from: Ms,
    /// Goes up whenever older sessions lose their worth: a clock may stand still, this does not.
    pub(super) session_epoch: u64,
    pub(super) deleted_at: Option<Ms>,
}

/// A registered authentication method, apart from the password.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) id: String,
    /// Without the `#microsoft.graph.` prefix.
    pub(super) kind: String,
    pub(super) properties: Map<String, Value>,
    /// A Temporary Access Pass's code.
    pub(super) code: Option<String>,
    pub(super) usable: Option<(Ms, Ms)>,
    pub(super) is_used: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) display_name: String,
    pub(super) is_assignable_to_role: bool,
    pub(super) is_dynamic: bool,
    pub(super) is_synced: bool,
    pub(super) is_mail_enabled: bool,
    pub(super) members: Vec<String>,
    pub(super) owners: Vec<String>,
}

/// An administrative unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) id: String,
    pub(super) display_name: String,
    pub(super) is_restricted: bool,
    pub(super) members: Vec<String>,
}

/// A directory role held, or to be held, by a principal.
#[derive(Debug, Clone)]
pub(super) struct RoleGrant {
    pub(super) id: String,
    pub(super) principal: String,
    pub(super) role: String,
    pub(super) scope: String,
    pub(super) created: Ms,
    pub(super) start: Ms,
    /// `None` is permanent.
    pub(super) end: Option<Ms>,
    /// The PIM schedule behind it; `None` is a direct assignment.
    pub(super) schedule: Option<String>,
}

impl RoleGrant {
    pub(super) fn is_active(&self, now: Ms) -> bool {
        self.start <= now
    }
}
