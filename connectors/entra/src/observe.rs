//! What the tenant says about one account: one read after the other, each bounded, nothing changed.
//!
//! The account is found by object id once that is known, so a rename hides nothing; before, by sign-in name. It is
//! never found by its mark alone: anybody who may edit users could write our mark on somebody else's account.

mod power;

use std::{sync::atomic::Ordering, time::Duration};

use latchkey_contract::{
    CallError, ObjectId, Timestamp,
    directory::{AccountRef, Method, Mode, Observation, Owned, Seen, Unread},
    outside::Urgency,
};

use crate::{
    Entra,
    api::{Call, Reply},
    need,
    refusal::{LISTED, RESTRICTED},
    settings::{Mark, TimeBound},
    wire::{Object, User},
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
            if !self.may_have_pim(at) {
                seen.unread.push(Unread::Eligible);
            }
            match self.owned(id, urgency, &mut unchecked).await? {
                Some(owned) => seen.owned = owned,
                None => seen.unread.push(Unread::Owned),
            }
            match self.methods(id, urgency, &mut unchecked).await? {
                Some(methods) => seen.methods = methods,
                None => seen.unread.push(Unread::Methods),
            }
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
            Err(refusal) if refusal.is_no_object() => Ok(None),
            Err(refusal) if refusal.is_missing() => Err(not_the_directory(refusal.op)),
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
            Some(LISTED)
        } else if user.is_management_restricted == Some(true) {
            Some(RESTRICTED)
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
            unread: vec![],
        })
    }

    /// `None`: not readable, and said so in `unchecked`.
    async fn owned(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Option<Vec<Owned>>, CallError> {
        const OP: &str = "GET /users/{id}/ownedObjects";
        let call = Call::new(OP, &["users", id, "ownedObjects"]).query("$select", "id").query("$top", "999");
        let reply = self.graph.list::<Object>(&call, urgency).await?;
        if matches!(&reply, Err(refusal) if refusal.is_forbidden()) {
            unchecked.push("Ownership of groups and applications: the app may not read it.".to_owned());
            return Ok(None);
        }
        let all = of_user(Ok(reply), need::ACCOUNTS)?;
        let kinds = ["group", "application", "servicePrincipal"];
        let counted = all.iter().filter(|object| kinds.contains(&object.short_kind()));
        let owned = counted.map(|o| Ok(Owned { object: object_id(OP, &o.id)?, kind: o.short_kind().to_owned() }));
        owned.collect::<Result<_, CallError>>().map(Some)
    }

    /// `None`: not readable, and said so in `unchecked`.
    async fn methods(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Option<Vec<Method>>, CallError> {
        const OP: &str = "GET /users/{id}/authentication/methods";
        let call = Call::new(OP, &["users", id, "authentication", "methods"]);
        let reply = self.graph.list::<Object>(&call, urgency).await?;
        if matches!(&reply, Err(refusal) if refusal.is_forbidden()) {
            unchecked.push("Sign-in methods: the app may not read them.".to_owned());
            return Ok(None);
        }
        let all = of_user(Ok(reply), need::METHODS)?;
        let added = all.iter().filter(|method| method.short_kind() != PASSWORD_METHOD);
        Ok(Some(added.map(|m| Method { kind: m.short_kind().to_owned(), id: m.id.clone() }).collect()))
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
            Err(refusal) if refusal.is_no_object() => Ok(None),
            Err(refusal) if refusal.is_missing() => Err(not_the_directory(refusal.op)),
            Err(refusal) if refusal.is_forbidden() => {
                unchecked.push("The recycle bin: the app may not read it.".to_owned());
                Ok(None)
            }
            Err(refusal) => Err(refusal.into_error(need::DELETION)),
        }
    }
}

/// A 404 that does not say which object is missing comes from something else than the directory: a proxy, a wrong host.
/// It must not pass for "there is no such account".
fn not_the_directory(op: &'static str) -> CallError {
    CallError::transient(op, "a 404 that is not the directory's own word for a missing object")
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
