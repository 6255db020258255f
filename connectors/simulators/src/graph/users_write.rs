//! Changing users: create, update, cut sessions. Deleting is in `recycle_bin`.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::odata::Object;
use super::properties::{self, Gate};
use super::state::{Tenant, User};
use super::time::{Ms, iso};
use super::turn::Turn;
use super::users::DEFAULTS;

const WRITE: [&str; 2] = ["User.ReadWrite.All", "Directory.ReadWrite.All"];
/// `POST /users`
pub(super) fn create(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&WRITE)?;
    let mut body = turn.ask.object()?;
    check_mandatory(&body)?;
    properties::gates(turn.world, turn.tenant(), &body)?;
    let profile = body.remove("passwordProfile").unwrap_or_default();
    let password = properties::password(&profile)?.to_owned();
    check_names(turn.tenant(), &body)?;
    if turn.tenant().quota.is_some_and(|q| turn.tenant().object_count() >= q) {
        let message = "The directory object quota limit for the Tenant has been exceeded. Please ask your administrator to increase the quota limit or delete objects to reduce the used quota.";
        return Err(Refusal::new(403, "Directory_QuotaExceeded", message));
    }

    let id = turn.world.mint.guid();
    let user = build(turn, &id, body, &password, must_change(&profile));
    let answer = default_view(turn.tenant(), &user);
    let detail = as_made(&user);
    turn.tenant_mut().users.push(user);
    turn.record(What::UserCreated, &id, detail);

    let mut answer = answer;
    answer.insert("@odata.context".into(), json!(turn.context("users/$entity")));
    let location = turn.url(&format!("directoryObjects/{id}/Microsoft.DirectoryServices.User"));
    Reply::created(Value::Object(answer), location)
}

/// What the record of changes says of an account that was made: also what it is known by once it is gone for good.
pub(super) fn as_made(user: &User) -> Value {
    json!({
        "userPrincipalName": user.upn(),
        "accountEnabled": user.is_enabled(),
        "onPremisesExtensionAttributes": user.properties.get("onPremisesExtensionAttributes"),
    })
}

fn check_mandatory(body: &Object) -> Result<(), Refusal> {
    for name in ["accountEnabled", "displayName", "mailNickname", "userPrincipalName"] {
        if body.get(name).is_none_or(Value::is_null) {
            let message = format!("A value is required for property '{name}' of resource 'User'.");
            return Err(Refusal::bad_request(message));
        }
    }
    if body.get("passwordProfile").is_none_or(|p| p["password"].is_null()) {
        let message = "A password must be specified to create a new user.";
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

/// Name, domain and clashes with objects that exist, replicated or not.
fn check_names(tenant: &Tenant, body: &Object) -> Result<(), Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let upn = text("userPrincipalName");
    let is_federated = properties::check_upn(tenant, upn)?;
    if is_federated && text("onPremisesImmutableId").is_empty() {
        let message = "One or more property values specified are invalid.";
        return Err(Refusal::bad_request(message));
    }
    if tenant.user(upn).is_some() {
        return Err(Refusal::taken("userPrincipalName"));
    }
    let domain = upn.rsplit('@').next().unwrap_or_default();
    let address = format!("{}@{domain}", text("mailNickname"));
    let is_used = tenant.users.iter().any(|user| {
        user.deleted_at.is_none() && (user.text("mail").eq_ignore_ascii_case(&address) || has_proxy(user, &address))
    });
    if is_used {
        return Err(Refusal::taken("proxyAddresses"));
    }
    Ok(())
}

fn has_proxy(user: &User, address: &str) -> bool {
    user.properties
        .get("proxyAddresses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|proxy| proxy.split_once(':'))
        .any(|(_, mail)| mail.eq_ignore_ascii_case(address))
}

/// The vendor forces a change at the next sign-in unless it is told not to.
fn must_change(profile: &Value) -> bool {
    profile["forceChangePasswordNextSignIn"].as_bool().unwrap_or(true)
}

fn build(turn: &Turn<'_>, id: &str, body: Object, password: &str, must_change_password: bool) -> User {
    let knobs = &turn.world.knobs;
    let mut user = new_user(id, body, password, turn.now);
    user.must_change_password = must_change_password;
    user.visible_at = turn.now + knobs.user_delay_ms;
    user.indexed_at = turn.now + knobs.user_delay_ms + knobs.index_delay_ms;
    user.pim_visible_at = turn.now + knobs.pim_delay_ms;
    user
}

/// A user as the directory stores it, visible at once.
pub(super) fn new_user(id: &str, given: Object, password: &str, now: Ms) -> User {
    let mut properties: Map<String, Value> = Map::new();
    let at = json!(iso(now));
    properties.insert("businessPhones".into(), json!([]));
    properties.insert("createdDateTime".into(), at.clone());
    properties.insert("lastPasswordChangeDateTime".into(), at);
    properties.insert("otherMails".into(), json!([]));
    properties.insert("userType".into(), json!("Member"));
    apply(&mut properties, given);
    User {
        id: id.to_owned(),
        properties,
        password_hash: properties::hash(password),
        must_change_password: false,
        methods: Vec::new(),
        visible_at: now,
        indexed_at: now,
        pim_visible_at: now,
        sessions_valid_from: now,
        session_epoch: 0,
        deleted_at: None,
    }
}

/// Writes values over stored ones; null removes, extension attributes are merged one by one.
fn apply(stored: &mut Object, given: Object) {
    for (name, value) in given {
        match value {
            Value::Null => drop(stored.remove(&name)),
            Value::Object(inner) => {
                let entry = stored.entry(name).or_insert_with(|| json!({}));
                if let Value::Object(old) = entry {
                    apply(old, inner);
                }
            }
            value => drop(stored.insert(name, value)),
        }
    }
}

/// What the vendor returns of a user when nothing is selected.
pub(super) fn default_view(tenant: &Tenant, user: &User) -> Object {
    let mut all = user.view(tenant);
    DEFAULTS
        .iter()
        .map(|name| {
            let value = all.remove(*name).unwrap_or_default();
            ((*name).to_owned(), value)
        })
        .collect()
}

/// `PATCH /users/{id}`: all of it or nothing.
pub(super) fn update(turn: &mut Turn<'_>) -> Answer {
    let mut body = turn.ask.object()?;
    let id = turn.user_id()?;
    let gates = properties::gates(turn.world, turn.tenant(), &body)?;
    for gate in &gates {
        check_gate(turn, *gate, &id)?;
    }
    check_rename(turn, &id, &body)?;
    let profile = body.remove("passwordProfile");
    let password = profile.as_ref().map(properties::password).transpose()?;
    let is_synced = turn.user(&id)?.properties.get("onPremisesSyncEnabled") == Some(&json!(true));
    if is_synced && password.is_some() {
        let message = "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.";
        return Err(Refusal::bad_request(message));
    }

    if let (Some(profile), Some(password)) = (&profile, password) {
        set_password(turn, &id, password, must_change(profile));
    }
    write(turn, &id, body);
    Reply::no_content()
}

fn check_gate(turn: &Turn<'_>, gate: Gate, id: &str) -> Result<(), Refusal> {
    let caller = &turn.caller;
    match gate {
        Gate::Plain => caller.needs(&WRITE)?,
        Gate::Sensitive => caller.needs(&["User.ReadWrite.All"])?,
        Gate::Enable => {
            let narrow = caller.has_any(&["User.EnableDisableAccount.All"]) && caller.has_any(&super::users::READ);
            if !narrow {
                caller.needs(&WRITE)?;
            }
        }
        Gate::Password => caller.needs(&["User-PasswordProfile.ReadWrite.All"])?,
    }
    match gate {
        Gate::Plain => turn.may_touch(id),
        Gate::Sensitive | Gate::Enable => turn.may_manage(id),
        Gate::Password => turn.may_reset_password(id),
    }
}

fn check_rename(turn: &Turn<'_>, id: &str, body: &Object) -> Result<(), Refusal> {
    let Some(upn) = body.get("userPrincipalName").and_then(Value::as_str) else {
        return Ok(());
    };
    properties::check_upn(turn.tenant(), upn)?;
    match turn.tenant().user(upn) {
        Some(other) if other.id != id => Err(Refusal::taken("userPrincipalName")),
        _ => Ok(()),
    }
}

fn set_password(turn: &mut Turn<'_>, id: &str, password: &str, must_change_password: bool) {
    let now = turn.now;
    if let Some(user) = turn.tenant_mut().user_mut(id) {
        user.set_password(password, must_change_password, now);
    }
    let detail = json!({"forceChangePasswordNextSignIn": must_change_password});
    turn.record(What::PasswordReset, id, detail);
}

fn write(turn: &mut Turn<'_>, id: &str, body: Object) {
    let Some(user) = turn.tenant_mut().user_mut(id) else {
        return;
    };
    let before = user.is_enabled();
    apply(&mut user.properties, body.clone());
    let after = user.is_enabled();
    if before != after {
        let what = if after { What::UserEnabled } else { What::UserDisabled };
        turn.record(what, id, Value::Null);
    }
    let mut rest = body;
    rest.remove("accountEnabled");
    if !rest.is_empty() {
        turn.record(What::UserUpdated, id, Value::Object(rest));
    }
}

/// `POST /users/{id}/revokeSignInSessions`
pub(super) fn revoke_sessions(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&["User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All"])?;
    let id = turn.user_id()?;
    if turn.world.knobs.revoke_admin_needs_paa {
        turn.may_manage(&id)?;
    } else {
        turn.may_touch(&id)?;
    }
    let now = turn.now;
    if let Some(user) = turn.tenant_mut().user_mut(&id) {
        user.end_sessions(now);
    }
    turn.record(What::SessionsRevoked, &id, Value::Null);
    Reply::ok(json!({"@odata.context": turn.context("Edm.Boolean"), "value": true}))
}
