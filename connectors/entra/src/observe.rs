//! What the tenant says about one account: one read after the other, each bounded, nothing changed.
//!
//! The account is found by object id once that is known, so a rename hides nothing; before, by sign-in name. It is
//! never found by its mark alone: anybody who may edit users could write our mark on somebody else's account.

use std::{sync::atomic::Ordering, time::Duration};

use latchkey_contract::{
    CallError, EntitlementId, ObjectId, Timestamp,
    directory::{AccountRef, Held, How, Method, Mode, Observation, Owned, Seen},
    outside::Urgency,
};

use crate::{
    Entra,
    api::{Call, Reply},
    need,
    settings::{Mark, TimeBound},
    wire::{Group, Object, RoleAssignment, ScheduleInstance, User},
};

/// A tenant without the licence is asked again after this.
const NO_PIM_FOR: Duration = Duration::from_secs(24 * 3600);

/// A deleted account stays restorable for this long.
const RECYCLED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// How soon a read is tried again that does not see an account which another read saw.
const REPLICATION: Duration = Duration::from_secs(2);

const PASSWORD_METHOD: &str = "passwordAuthenticationMethod";

impl Entra {
    /// Backs [`latchkey_contract::Directory::observe`].
    pub(crate) async fn look(&self, account: &AccountRef, urgency: Urgency) -> Result<Observation, CallError> {
        let at = self.now();
        let mut unchecked = Vec::new();
        let Some(user) = self.find(account, urgency).await? else {
            let recycled = self.recycled(account, urgency, &mut unchecked).await?;
            return Ok(Observation { at, account: None, recycled, has_native_end: false, unchecked });
        };
        let mut seen = self.seen(&user, account)?;
        if seen.is_marked || account.object.as_ref() == Some(&seen.object) {
            let id = seen.object.as_str();
            seen.held = self.roles(id, urgency, &mut unchecked).await?;
            seen.held.extend(self.groups(id, urgency, &mut unchecked).await?);
            seen.held.sort();
            seen.owned = self.owned(id, urgency, &mut unchecked).await?;
            seen.methods = self.methods(id, urgency, &mut unchecked).await?;
        }
        let has_native_end = self.settings.time_bound == TimeBound::Auto && self.may_have_pim(at);
        Ok(Observation { at, account: Some(seen), recycled: None, has_native_end, unchecked })
    }

    /// The user by object id if known, else by sign-in name.
    pub(crate) async fn find(&self, account: &AccountRef, urgency: Urgency) -> Result<Option<User>, CallError> {
        let key = account.object.as_ref().map_or(account.name.as_str(), ObjectId::as_str);
        let mark = match &self.settings.mark {
            Mark::OnPremises(_) => "onPremisesExtensionAttributes",
            Mark::Extension(name) => name,
        };
        let select = format!(
            "id,userPrincipalName,accountEnabled,isManagementRestricted,onPremisesSyncEnabled,\
             signInSessionsValidFromDateTime,lastPasswordChangeDateTime,{mark}"
        );
        let call = Call::new("GET /users/{id}", &["users", key]).query("$select", select);
        match self.graph.get(&call, urgency).await? {
            Ok(user) => Ok(Some(user)),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) => Err(refusal.into_error(need::ACCOUNTS)),
        }
    }

    /// The mark as the user carries it.
    pub(crate) fn mark_of<'a>(&self, user: &'a User) -> Option<&'a str> {
        let value = match &self.settings.mark {
            Mark::OnPremises(name) => user.rest.get("onPremisesExtensionAttributes")?.get(name)?,
            Mark::Extension(name) => user.rest.get(name)?,
        };
        value.as_str().filter(|text| !text.is_empty())
    }

    /// PIM is not known to be missing.
    pub(crate) fn may_have_pim(&self, now: Timestamp) -> bool {
        now.millis() >= self.no_pim_until.load(Ordering::Relaxed)
    }

    /// Remembers that the tenant has no licence for PIM.
    pub(crate) fn note_no_pim(&self) {
        self.no_pim_until.store((self.now() + NO_PIM_FOR).millis(), Ordering::Relaxed);
    }

    fn seen(&self, user: &User, account: &AccountRef) -> Result<Seen, CallError> {
        let object = object_id("GET /users/{id}", &user.id)?;
        let is_marked = self.mark_of(user) == Some(account.id.as_str());
        let protection = if self.settings.protects(&object) {
            Some("The account is on this connection's list of protected accounts.")
        } else if user.is_management_restricted == Some(true) {
            Some("The account is in a restricted management administrative unit.")
        } else if user.on_premises_sync_enabled == Some(true) {
            Some("The account is synchronised from an on-premises directory.")
        } else {
            None
        };
        Ok(Seen {
            object,
            name: user.user_principal_name.clone(),
            // Unsaid counts as enabled: what is off must be seen to be off.
            is_enabled: user.account_enabled != Some(false),
            is_marked,
            protection: protection.map(str::to_owned),
            held: vec![],
            owned: vec![],
            methods: vec![],
            sessions_valid_from: user.sign_in_sessions_valid_from_date_time,
            password_changed: user.last_password_change_date_time,
        })
    }

    pub(crate) async fn roles(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const DIRECT: &str = "GET /roleManagement/directory/roleAssignments";
        let assigned: Vec<RoleAssignment> =
            needed(self.graph.list(&of_principal(DIRECT, "roleAssignments", id), urgency).await, need::ROLES)?;

        const ACTIVE: &str = "GET /roleManagement/directory/roleAssignmentScheduleInstances";
        let active = self.schedules(&of_principal(ACTIVE, "roleAssignmentScheduleInstances", id), urgency).await?;
        const ELIGIBLE: &str = "GET /roleManagement/directory/roleEligibilityScheduleInstances";
        let eligible = self.schedules(&of_principal(ELIGIBLE, "roleEligibilityScheduleInstances", id), urgency).await?;
        if !self.may_have_pim(self.now()) {
            unchecked.push("Eligible roles: the tenant is not licensed for Privileged Identity Management.".to_owned());
        }

        let mut held = active_roles(DIRECT, &assigned, &active)?;
        for instance in eligible.iter().filter(|instance| instance.is_direct()) {
            held.push(role(ELIGIBLE, &instance.role_definition_id, instance.scope(), None, How::Eligible)?);
        }
        let inherited = self.inherited_roles(id, &held, urgency, unchecked).await?;
        held.extend(inherited);
        Ok(held)
    }

    /// PIM instances; none where the tenant is not licensed, which is remembered for a day.
    async fn schedules(&self, call: &Call, urgency: Urgency) -> Result<Vec<ScheduleInstance>, CallError> {
        if !self.may_have_pim(self.now()) {
            return Ok(vec![]);
        }
        match self.graph.list(call, urgency).await? {
            Ok(instances) => Ok(instances),
            Err(refusal) if refusal.has_code("AadPremiumLicenseRequired") => {
                self.note_no_pim();
                Ok(vec![])
            }
            Err(refusal) if refusal.is_missing() => Ok(vec![]),
            Err(refusal) => Err(refusal.into_error(need::ROLES)),
        }
    }

    /// The vendor lists direct roles again here; what is left comes through a group, whose id it names as principal.
    async fn inherited_roles(
        &self,
        id: &str,
        direct: &[Held],
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const OP: &str = "GET /roleManagement/directory/transitiveRoleAssignments";
        let call = of_principal(OP, "transitiveRoleAssignments", id).advanced();
        let all: Vec<RoleAssignment> = match self.graph.list(&call, urgency).await? {
            Ok(all) => all,
            Err(refusal) => {
                unchecked.push(format!("Roles held through groups: the tenant does not list them ({}).", refusal.code));
                return Ok(vec![]);
            }
        };
        let is_direct = |a: &RoleAssignment| {
            let is_it = |h: &Held| h.entitlement.object().as_str() == a.role_definition_id && h.scope == a.scope();
            a.principal_id == id && direct.iter().any(|h| h.how != How::Eligible && is_it(h))
        };
        all.iter()
            .filter(|assignment| !is_direct(assignment))
            .map(|a| {
                let group = Some(a.principal_id.clone()).filter(|principal| principal != id);
                role(OP, &a.role_definition_id, a.scope(), group, How::Inherited)
            })
            .collect()
    }

    /// Memberships that somebody gave; computed and synchronised ones are told apart, since nobody can take them here.
    pub(crate) async fn groups(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const OP: &str = "GET /users/{id}/memberOf";
        let call = Call::new(OP, &["users", id, "memberOf"])
            .query("$select", "id,displayName,groupTypes,mailEnabled,onPremisesSyncEnabled")
            .query("$top", "999");
        let all: Vec<Group> = of_user(self.graph.list(&call, urgency).await, need::GROUPS)?;
        let mut held = Vec::new();
        for group in all.iter().filter(|group| group.kind == "#microsoft.graph.group") {
            if let Some(why) = group.unwritable() {
                unchecked.push(format!("Membership of the group {:?}: {why}.", group.name()));
                continue;
            }
            held.push(Held {
                entitlement: EntitlementId::Group(object_id(OP, &group.id)?),
                holding: None,
                how: How::Plain,
                scope: "/".to_owned(),
            });
        }
        Ok(held)
    }

    async fn owned(&self, id: &str, urgency: Urgency, unchecked: &mut Vec<String>) -> Result<Vec<Owned>, CallError> {
        const OP: &str = "GET /users/{id}/ownedObjects";
        let call = Call::new(OP, &["users", id, "ownedObjects"]).query("$select", "id").query("$top", "999");
        let reply = self.graph.list::<Object>(&call, urgency).await?;
        if matches!(&reply, Err(refusal) if refusal.is_forbidden()) {
            unchecked.push("Ownership of groups and applications: the app may not read it.".to_owned());
            return Ok(vec![]);
        }
        let all = of_user(Ok(reply), need::ACCOUNTS)?;
        let kinds = ["group", "application", "servicePrincipal"];
        let counted = all.iter().filter(|object| kinds.contains(&object.short_kind()));
        counted.map(|o| Ok(Owned { object: object_id(OP, &o.id)?, kind: o.short_kind().to_owned() })).collect()
    }

    async fn methods(&self, id: &str, urgency: Urgency, unchecked: &mut Vec<String>) -> Result<Vec<Method>, CallError> {
        const OP: &str = "GET /users/{id}/authentication/methods";
        let call = Call::new(OP, &["users", id, "authentication", "methods"]);
        let reply = self.graph.list::<Object>(&call, urgency).await?;
        if matches!(&reply, Err(refusal) if refusal.is_forbidden()) {
            unchecked.push("Sign-in methods: the app may not read them.".to_owned());
            return Ok(vec![]);
        }
        let all = of_user(Ok(reply), need::METHODS)?;
        let added = all.iter().filter(|method| method.short_kind() != PASSWORD_METHOD);
        Ok(added.map(|m| Method { kind: m.short_kind().to_owned(), id: m.id.clone() }).collect())
    }

    /// A burner in the recycle bin; a standard account is not looked for there.
    async fn recycled(
        &self,
        account: &AccountRef,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Option<ObjectId>, CallError> {
        let (Mode::Burner, Some(object)) = (account.mode, &account.object) else { return Ok(None) };
        let call = Call::new("GET /directory/deletedItems/{id}", &["directory", "deletedItems", object.as_str()])
            .query("$select", "id,deletedDateTime");
        match self.graph.get::<User>(&call, urgency).await? {
            Ok(user) => {
                let purged = user.deleted_date_time.map(|at| (at + RECYCLED_FOR).for_people());
                let until = purged.map_or_else(|| "30 days after deletion".to_owned(), |at| format!("on {at}"));
                unchecked.push(format!(
                    "The deleted account is in the tenant's recycle bin, restorable by an admin; it is purged {until}."
                ));
                Ok(Some(object.clone()))
            }
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) if refusal.is_forbidden() => {
                unchecked.push("The recycle bin: the app may not read it.".to_owned());
                Ok(None)
            }
            Err(refusal) => Err(refusal.into_error(need::DELETION)),
        }
    }
}

/// Direct roles of both kinds, once each: PIM's own assignments are listed among the plain ones too.
fn active_roles(
    op: &'static str,
    assigned: &[RoleAssignment],
    active: &[ScheduleInstance],
) -> Result<Vec<Held>, CallError> {
    let is_same = |a: &RoleAssignment, i: &ScheduleInstance| {
        a.role_definition_id == i.role_definition_id && a.scope() == i.scope()
    };
    let direct: Vec<&ScheduleInstance> = active.iter().filter(|instance| instance.is_direct()).collect();
    let mut held = Vec::new();
    for assignment in assigned {
        let end = direct.iter().find(|i| is_same(assignment, i)).and_then(|i| i.end_date_time);
        let how = end.map_or(How::Plain, |end| How::TimeBound { end: Some(end) });
        held.push(role(op, &assignment.role_definition_id, assignment.scope(), Some(assignment.id.clone()), how)?);
    }
    for instance in direct.iter().filter(|i| !assigned.iter().any(|a| is_same(a, i))) {
        let how = How::TimeBound { end: instance.end_date_time };
        held.push(role(op, &instance.role_definition_id, instance.scope(), None, how)?);
    }
    Ok(held)
}

fn role(op: &'static str, id: &str, scope: String, holding: Option<String>, how: How) -> Result<Held, CallError> {
    Ok(Held { entitlement: EntitlementId::Role(object_id(op, id)?), holding, how, scope })
}

/// A read of role management about one principal.
pub(crate) fn of_principal(op: &'static str, collection: &str, id: &str) -> Call {
    let call = Call::new(op, &["roleManagement", "directory", collection]);
    call.query("$filter", format!("principalId eq '{}'", id.replace('\'', "''")))
}

pub(crate) fn object_id(op: &'static str, id: &str) -> Result<ObjectId, CallError> {
    ObjectId::parse(id).map_err(|e| CallError::malformed(op, e))
}

fn needed<T>(reply: Reply<T>, need: need::Need) -> Result<T, CallError> {
    reply?.map_err(|refusal| refusal.into_error(need))
}

/// A read below a user that was just seen: a 404 means that this part of the vendor does not see it yet.
fn of_user<T>(reply: Reply<T>, need: need::Need) -> Result<T, CallError> {
    match reply? {
        Ok(answer) => Ok(answer),
        Err(refusal) if refusal.is_missing() => {
            Err(CallError::not_yet(refusal.op, REPLICATION, "the account is not yet, or no longer, seen by this read"))
        }
        Err(refusal) => Err(refusal.into_error(need)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(id: &str, role: &str) -> RoleAssignment {
        serde_json::from_value(serde_json::json!({
            "id": id, "principalId": "u", "roleDefinitionId": role, "directoryScopeId": "/"
        }))
        .unwrap()
    }

    fn instance(role: &str, end: Option<&str>, member: &str) -> ScheduleInstance {
        serde_json::from_value(serde_json::json!({
            "principalId": "u", "roleDefinitionId": role, "directoryScopeId": "/", "memberType": member,
            "endDateTime": end,
        }))
        .unwrap()
    }

    #[test]
    fn a_role_that_both_lists_name_is_held_once() {
        let end = "2026-09-01T14:00:00Z";
        let assigned = [assignment("a1", "r1"), assignment("a2", "r2")];
        let active = [
            instance("r1", Some(end), "Direct"),
            instance("r2", None, "Direct"),
            instance("r3", Some(end), "Direct"),
            instance("r4", Some(end), "Group"),
        ];
        let held = active_roles("GET /x", &assigned, &active).unwrap();
        let short: Vec<(&str, Option<&str>, bool)> = held
            .iter()
            .map(|h| (h.entitlement.object().as_str(), h.holding.as_deref(), matches!(h.how, How::TimeBound { .. })))
            .collect();
        assert_eq!(short, [("r1", Some("a1"), true), ("r2", Some("a2"), false), ("r3", None, true)]);
    }
}
