//! One step, taken: a call that does no harm the second time. What is absent already counts as taken; what is there
//! already counts as given only after a look.
//!
//! Here: the account itself. Roles are in `roles`; groups, ownerships and sign-in methods in `things`.

mod roles;
mod things;

use std::time::Duration;

use latchkey_contract::{
    CallError, EntitlementId, ObjectId, Secret,
    directory::{AccountRef, Outcome, Step},
    outside::Urgency,
    text::one_line,
};
use serde_json::{Value, json};

use crate::{
    Entra,
    api::Call,
    need::{self, Need},
    observe::object_id,
    password::password,
    random::OsRandom,
    refusal::{LISTED, NAME_TAKEN, PASSWORD_REFUSED, Refusal},
    settings::Mark,
    wire::{Revoked, User},
};

const PASSWORD: &str = "PATCH /users/{id} passwordProfile";

/// A new account is seen by most reads after some seconds.
const NEW_ACCOUNT: Duration = Duration::from_secs(2);

/// Roles and groups learn of a new account within tens of seconds.
const NEW_SUBJECT: Duration = Duration::from_secs(10);

/// Rights over an account that lost its roles come back within minutes.
const RIGHTS: Duration = Duration::from_secs(15);

/// A removal that was refused is asked for again, and meanwhile holds up no other.
const REFUSED: Duration = Duration::from_secs(60);

impl Entra {
    /// Backs [`latchkey_contract::Directory::perform`].
    pub(crate) async fn act(
        &self,
        step: &Step,
        account: &AccountRef,
        secret: Option<&Secret<String>>,
    ) -> Result<Outcome, CallError> {
        self.act_unless_protected(step, account, secret).await.map_err(|error| match error {
            // Whoever refused it, it is the step that was.
            CallError::Protected { why, .. } => CallError::Protected { op: step.name(), why },
            other => other,
        })
    }

    async fn act_unless_protected(
        &self,
        step: &Step,
        account: &AccountRef,
        secret: Option<&Secret<String>>,
    ) -> Result<Outcome, CallError> {
        let urgency = step.urgency();
        match (step, self.object_of(account, urgency).await?) {
            (_, Some(object)) if self.settings.protects(&object) => {
                Err(CallError::Protected { op: step.name(), why: LISTED.to_owned() })
            }
            (_, Some(object)) => self.act_on(step, &object, secret, urgency).await,
            (Step::Create { .. }, None) => self.create(account, password_of(step, secret)?, urgency).await,
            (_, None) if step.is_giving() => {
                Err(CallError::not_yet(step.name(), NEW_ACCOUNT, "the account is not seen yet"))
            }
            (_, None) => Ok(Outcome::Done { object: None }),
        }
    }

    async fn act_on(
        &self,
        step: &Step,
        object: &ObjectId,
        secret: Option<&Secret<String>>,
        urgency: Urgency,
    ) -> Result<Outcome, CallError> {
        let id = object.as_str();
        match step {
            // An account that is there already is an earlier create call of ours. Which password that one set is not
            // known, so it is set again.
            Step::Create { .. } | Step::SetPassword { .. } => {
                self.set_password(object, password_of(step, secret)?, urgency).await
            }
            Step::ScramblePassword => self.scramble(object, secret, urgency).await,
            Step::Enable => self.enable(object).await,
            Step::Disable => {
                let call = Call::new("PATCH /users/{id} accountEnabled", &["users", id]);
                self.cut(object, &call.body(&json!({"accountEnabled": false})), need::SIGN_IN).await
            }
            Step::CutSessions => self.cut_sessions(object).await,
            Step::Delete => self.cut(object, &Call::new("DELETE /users/{id}", &["users", id]), need::DELETION).await,
            Step::Purge { object } => self.purge(object).await,
            Step::Give { entitlement: EntitlementId::Group(group), .. } => self.join(object, group).await,
            Step::Give { entitlement: EntitlementId::Role(role), native_end, is_time_bound, reason } => {
                let end = is_time_bound.then_some(*native_end);
                self.give_role(object, role, end, reason).await
            }
            Step::Take(held) => match &held.entitlement {
                EntitlementId::Group(group) => self.leave(object, group).await,
                EntitlementId::Role(role) => self.take_role(object, role, held).await,
            },
            Step::Disown(owned) => self.disown(object, owned).await,
            Step::RemoveMethod(method) => self.remove_method(object, method).await,
        }
    }

    /// The account's id: committed earlier, or found under its name with its mark.
    async fn object_of(&self, account: &AccountRef, urgency: Urgency) -> Result<Option<ObjectId>, CallError> {
        const OP: &str = "GET /users/{id}";
        if let Some(object) = &account.object {
            return Ok(Some(object.clone()));
        }
        match self.find(account, urgency).await? {
            None => Ok(None),
            Some(user) if self.mark_of(&user) == Some(account.id.as_str()) => object_id(OP, &user.id).map(Some),
            Some(_) => Err(CallError::Refused { op: OP, status: 409, code: NAME_TAKEN.to_owned() }),
        }
    }

    async fn create(
        &self,
        account: &AccountRef,
        secret: &Secret<String>,
        urgency: Urgency,
    ) -> Result<Outcome, CallError> {
        const OP: &str = "POST /users";
        let mut body = json!({
            "accountEnabled": false,
            "displayName": one_line(&account.display_name, 256),
            "mailNickname": nickname(&account.name),
            "userPrincipalName": account.name,
            "jobTitle": "Temporary administrator, managed by Latchkey",
            "passwordProfile": profile(secret),
        });
        match &self.settings.mark {
            Mark::OnPremises(name) => body["onPremisesExtensionAttributes"] = json!({name: account.id.as_str()}),
            Mark::Extension(name) => body[name] = json!(account.id.as_str()),
        }
        let refusal = match self.graph.get::<User>(&Call::new(OP, &["users"]).body(&body), urgency).await? {
            Ok(user) => return Ok(done(&object_id(OP, &user.id)?)),
            Err(refusal) => refusal,
        };
        if !refusal.is_name_taken() {
            return Err(password_refusal(refusal, need::ACCOUNTS));
        }
        // Taken since the look before: by an earlier call of ours that was slow, or by somebody else.
        match self.object_of(account, urgency).await? {
            Some(object) => self.set_password(&object, secret, urgency).await,
            None => Err(CallError::not_yet(OP, NEW_ACCOUNT, "the name is taken, but the account is not seen yet")),
        }
    }

    async fn set_password(
        &self,
        object: &ObjectId,
        secret: &Secret<String>,
        urgency: Urgency,
    ) -> Result<Outcome, CallError> {
        let absent = CallError::not_yet(PASSWORD, NEW_ACCOUNT, "the account is not yet, or no longer, there");
        self.change_password(object, secret, urgency).await?.ok_or(absent)
    }

    /// Alone in its call: one refused property would fail the others with it. `None`: there is no such account.
    async fn change_password(
        &self,
        object: &ObjectId,
        secret: &Secret<String>,
        urgency: Urgency,
    ) -> Result<Option<Outcome>, CallError> {
        let call = Call::new(PASSWORD, &["users", object.as_str()]).body(&json!({"passwordProfile": profile(secret)}));
        match self.graph.send(&call, urgency).await? {
            Ok(_) => Ok(Some(done(object))),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) if refusal.is_forbidden() => {
                self.forbidden(object, refusal, need::PASSWORDS, urgency).await.map(Some)
            }
            Err(refusal) => Err(password_refusal(refusal, need::PASSWORDS)),
        }
    }

    /// Sets a password that is forgotten at once: the caller's, or one of ours. A tenant's own list of banned words
    /// may refuse one by chance.
    async fn scramble(
        &self,
        object: &ObjectId,
        secret: Option<&Secret<String>>,
        urgency: Urgency,
    ) -> Result<Outcome, CallError> {
        let random = OsRandom::new().ok_or_else(|| CallError::transient(PASSWORD, "the system gives no randomness"))?;
        let fresh = || password(&mut |bytes| random.fill(bytes));
        let first = secret.cloned().unwrap_or_else(fresh);
        let result = match self.change_password(object, &first, urgency).await {
            Err(CallError::Refused { code, .. }) if code == PASSWORD_REFUSED => {
                self.change_password(object, &fresh(), urgency).await
            }
            other => other,
        };
        Ok(result?.unwrap_or_else(|| done(object)))
    }

    async fn enable(&self, object: &ObjectId) -> Result<Outcome, CallError> {
        const OP: &str = "PATCH /users/{id} accountEnabled";
        let call = Call::new(OP, &["users", object.as_str()]).body(&json!({"accountEnabled": true}));
        match self.graph.send(&call, Urgency::Ordinary).await? {
            Ok(_) => Ok(done(object)),
            Err(refusal) if refusal.is_missing() => {
                Err(CallError::not_yet(OP, NEW_ACCOUNT, "the account is not yet, or no longer, there"))
            }
            Err(refusal) => Err(refusal.into_error(need::SIGN_IN)),
        }
    }

    /// A call that takes sign-in away. Absence counts as done; a refusal may be due to roles that are still held.
    async fn cut(&self, object: &ObjectId, call: &Call, need: Need) -> Result<Outcome, CallError> {
        match self.graph.send(call, Urgency::Removal).await? {
            Ok(_) => Ok(done(object)),
            Err(refusal) if refusal.is_missing() => Ok(done(object)),
            Err(refusal) => self.forbidden(object, refusal, need, Urgency::Removal).await,
        }
    }

    async fn cut_sessions(&self, object: &ObjectId) -> Result<Outcome, CallError> {
        const OP: &str = "POST /users/{id}/revokeSignInSessions";
        let call = Call::new(OP, &["users", object.as_str(), "revokeSignInSessions"]);
        match self.graph.get::<Revoked>(&call, Urgency::Removal).await? {
            Ok(Revoked { value: Some(false) }) => {
                Err(CallError::transient(OP, "the tenant did not revoke the sessions"))
            }
            Ok(_) => Ok(done(object)),
            Err(refusal) if refusal.is_missing() => Ok(done(object)),
            Err(refusal) => self.forbidden(object, refusal, need::SESSIONS, Urgency::Removal).await,
        }
    }

    /// A 403 on a sensitive step: for good while the account has power (it is taken first), for some minutes after
    /// that, and a matter for an operator when the app has no such right at all.
    async fn forbidden(
        &self,
        object: &ObjectId,
        refusal: Refusal,
        need: Need,
        urgency: Urgency,
    ) -> Result<Outcome, CallError> {
        if !refusal.is_forbidden() || refusal.is_restricted() || !refusal.has_permission(need) {
            return Err(refusal.into_error(need));
        }
        let id = object.as_str();
        let mut ignored = Vec::new();
        let has_power = !self.roles(id, urgency, &mut ignored).await?.is_empty()
            || !self.groups(id, urgency, &mut ignored).await?.is_empty();
        if has_power {
            return Ok(Outcome::NoWay { code: refusal.explain(need) });
        }
        if need.any_of == need::PASSWORDS.any_of {
            return Err(refusal.into_error(need));
        }
        Err(CallError::not_yet(refusal.op, RIGHTS, "the right over an account without roles comes back within minutes"))
    }

    /// Best effort: the vendor documents no such right for apps, and purges by itself after 30 days.
    async fn purge(&self, object: &ObjectId) -> Result<Outcome, CallError> {
        const OP: &str = "DELETE /directory/deletedItems/{id}";
        match self.graph.send(&Call::new(OP, &["directory", "deletedItems", object.as_str()]), Urgency::Removal).await?
        {
            Ok(_) => Ok(done(object)),
            Err(refusal) if refusal.is_missing() => Ok(done(object)),
            Err(refusal) => Ok(Outcome::NoWay { code: refusal.code }),
        }
    }
}

/// The step is done, or was found done.
pub(crate) fn done(object: &ObjectId) -> Outcome {
    Outcome::Done { object: Some(object.clone()) }
}

fn password_of<'a>(step: &Step, secret: Option<&'a Secret<String>>) -> Result<&'a Secret<String>, CallError> {
    secret.ok_or_else(|| CallError::malformed(step.name(), "the step was sent without its password"))
}

/// A change at next sign-in would make the stored password stale, and the flag's default forces one.
fn profile(secret: &Secret<String>) -> Value {
    json!({"password": secret.expose(), "forceChangePasswordNextSignIn": false})
}

fn password_refusal(refusal: Refusal, need: Need) -> CallError {
    if refusal.is_password_refused() {
        return CallError::Refused { op: refusal.op, status: refusal.status, code: PASSWORD_REFUSED.to_owned() };
    }
    refusal.into_error(need)
}

/// The name before the `@`, as far as mail nicknames allow.
fn nickname(name: &str) -> String {
    let local = name.split('@').next().unwrap_or_default();
    let kept = local.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    kept.take(64).collect()
}
