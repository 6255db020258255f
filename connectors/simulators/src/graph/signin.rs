//! Signing in at the simulator: the proof that access is really on, or really off.

use super::events::SignIn;
use super::properties::hash;
use super::state::{Tenant, World};
use super::time::Ms;

/// What somebody may do after signing in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRoles {
    /// Directory roles that work now, directly or through groups: template id and scope.
    pub roles: Vec<(String, String)>,
    /// Groups the account is in, through nesting too.
    pub groups: Vec<String>,
    /// The vendor would ask for a new password before anything else.
    pub must_change_password: bool,
    /// Hand this to [`use_session`](super::Graph::use_session) to come back without a password.
    pub session: Session,
}

/// What a browser keeps after a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    tenant: String,
    user: String,
    epoch: u64,
    /// Sessions begun with a Temporary Access Pass end with it.
    ends_at: Option<i64>,
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No such tenant, or it is deleted.
    NoTenant,
    /// No such user, or it is in the recycle bin.
    NoUser,
    /// `accountEnabled` is false.
    Disabled,
    /// Neither the password nor a Temporary Access Pass that works now.
    WrongPassword,
    /// Sessions were revoked, the password changed, or the pass behind the session ran out.
    SessionEnded,
}

pub(super) fn sign_in(
    world: &mut World,
    tenant_name: &str,
    upn: &str,
    password: &str,
    now: Ms,
) -> Result<EffectiveRoles, Refused> {
    let outcome = attempt(world, tenant_name, upn, password, now);
    world.sign_ins.push(SignIn {
        at_ms: now,
        tenant: tenant_name.to_owned(),
        upn: upn.to_owned(),
        refused: outcome.as_ref().err().copied(),
    });
    outcome
}

fn attempt(
    world: &mut World,
    tenant_name: &str,
    upn: &str,
    password: &str,
    now: Ms,
) -> Result<EffectiveRoles, Refused> {
    let tenant = living_tenant(world, tenant_name)?;
    let is_pass_allowed = tenant.tap_policy.is_enabled;
    let user = tenant.user_mut(upn).ok_or(Refused::NoUser)?;
    if !user.is_enabled() {
        return Err(Refused::Disabled);
    }
    let ends_at = if user.password_hash == hash(password) {
        None
    } else {
        let end = user.take_pass(password, is_pass_allowed, now);
        Some(end.ok_or(Refused::WrongPassword)?)
    };
    let session = Session { user: user.id.clone(), epoch: user.session_epoch, tenant: tenant.id.clone(), ends_at };
    Ok(effective(tenant, session, now))
}

/// Whether an earlier session still opens the door, and to what.
pub(super) fn use_session(world: &mut World, session: &Session, now: Ms) -> Result<EffectiveRoles, Refused> {
    let tenant = living_tenant(world, &session.tenant)?;
    let user = tenant.user(&session.user).ok_or(Refused::NoUser)?;
    if !user.is_enabled() {
        return Err(Refused::Disabled);
    }
    let is_over = session.ends_at.is_some_and(|end| end <= now);
    if is_over || session.epoch != user.session_epoch {
        return Err(Refused::SessionEnded);
    }
    Ok(effective(tenant, session.clone(), now))
}

fn living_tenant<'w>(world: &'w mut World, name: &str) -> Result<&'w mut Tenant, Refused> {
    let id = world
        .find_tenant(name)
        .filter(|tenant| !tenant.is_deleted)
        .map(|tenant| tenant.id.clone())
        .ok_or(Refused::NoTenant)?;
    world.tenants.get_mut(&id).ok_or(Refused::NoTenant)
}

fn effective(tenant: &Tenant, session: Session, now: Ms) -> EffectiveRoles {
    let user = tenant.user(&session.user);
    EffectiveRoles {
        roles: tenant
            .effective_roles(&session.user, now)
            .into_iter()
            .map(|grant| (grant.role.clone(), grant.scope.clone()))
            .collect(),
        groups: tenant.groups_of(&session.user, true).into_iter().map(|group| group.id.clone()).collect(),
        must_change_password: user.is_some_and(|user| user.must_change_password),
        session,
    }
}
