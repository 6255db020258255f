//! Authentication methods: listing them, deleting them by type, and Temporary Access Passes.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::odata::{Object, Shape, object};
use super::options::TapPolicy;
use super::state::{Method, User};
use super::time::{MINUTE, Ms, iso, parse_iso};
use super::turn::Turn;

const ALL: &str = "UserAuthenticationMethod.ReadWrite.All";
const READ_ALL: &str = "UserAuthenticationMethod.Read.All";
pub(super) const TAP: &str = "temporaryAccessPassAuthenticationMethod";
/// Every account has a password; it cannot be deleted as a method.
const PASSWORD_ID: &str = "28c10230-6103-485e-b985-444c60001490";

/// Path segment, type, and the narrow permission that deletes it.
const DELETABLE: [(&str, &str, &str); 9] = [
    (
        "microsoftAuthenticatorMethods",
        "microsoftAuthenticatorAuthenticationMethod",
        "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
    ),
    ("softwareOathMethods", "softwareOathAuthenticationMethod", "UserAuthMethod-SoftwareOATH.ReadWrite.All"),
    ("phoneMethods", "phoneAuthenticationMethod", "UserAuthMethod-Phone.ReadWrite.All"),
    ("emailMethods", "emailAuthenticationMethod", "UserAuthMethod-Email.ReadWrite.All"),
    ("fido2Methods", "fido2AuthenticationMethod", "UserAuthMethod-Passkey.ReadWrite.All"),
    (
        "windowsHelloForBusinessMethods",
        "windowsHelloForBusinessAuthenticationMethod",
        "UserAuthMethod-WindowsHello.ReadWrite.All",
    ),
    (
        "platformCredentialMethods",
        "platformCredentialAuthenticationMethod",
        "UserAuthMethod-PlatformCred.ReadWrite.All",
    ),
    ("temporaryAccessPassMethods", TAP, "UserAuthMethod-TAP.ReadWrite.All"),
    ("externalAuthenticationMethods", "externalAuthenticationMethod", "UserAuthMethod-External.ReadWrite.All"),
];

const METHOD: Shape = Shape {
    resource: "AuthenticationMethod",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |_| false,
    largest_page: 999,
    is_uniform: false,
    expands: &[],
};

/// Auth-method calls refuse with their own code.
fn needs(turn: &Turn<'_>, permissions: &[&str]) -> Result<(), Refusal> {
    if turn.caller.has_any(permissions) {
        return Ok(());
    }
    Err(Refusal::new(403, "accessDenied", "Request Authorization failed"))
}

/// Writing methods of an administrator needs no directory role, unless the knob says so.
fn may_write(turn: &Turn<'_>, user: &str) -> Result<(), Refusal> {
    if turn.world.knobs.tap_admin_needs_role { turn.may_manage(user) } else { turn.may_touch(user) }
}

/// `GET /users/{id}/authentication/methods`
pub(super) fn list(turn: &mut Turn<'_>) -> Answer {
    needs(turn, &[ALL, READ_ALL])?;
    let user = turn.user(turn.segment(1))?;
    let password = json!({
        "@odata.type": "#microsoft.graph.passwordAuthenticationMethod",
        "id": PASSWORD_ID,
        "password": null,
        "createdDateTime": user.text("lastPasswordChangeDateTime"),
    });
    let mut items = vec![object(password)];
    items.extend(user.methods.iter().map(|m| view(turn, m, None)));
    let context = format!("users('{}')/authentication/methods", user.id);
    METHOD.list(turn.ask, &turn.place(context), items)
}

/// `GET /users/{id}/authentication/{type}Methods`
pub(super) fn list_kind(turn: &mut Turn<'_>) -> Answer {
    let (segment, kind, permission) = kind(turn)?;
    let narrow_read = permission.replace("ReadWrite", "Read");
    needs(turn, &[ALL, READ_ALL, permission, &narrow_read])?;
    let user = turn.user(turn.segment(1))?;
    let items =
        user.methods.iter().filter(|method| method.kind == kind).map(|method| view(turn, method, None)).collect();
    let context = format!("users('{}')/authentication/{segment}", user.id);
    METHOD.list(turn.ask, &turn.place(context), items)
}

/// `DELETE /users/{id}/authentication/{type}Methods/{method}`
pub(super) fn delete(turn: &mut Turn<'_>) -> Answer {
    let (_, kind, permission) = kind(turn)?;
    needs(turn, &[ALL, permission])?;
    let user = turn.user_id()?;
    may_write(turn, &user)?;
    let id = turn.segment(4).to_owned();
    let is_it = |method: &Method| method.id == id && method.kind == kind;
    if !turn.user(&user)?.methods.iter().any(is_it) {
        return Err(missing(&id));
    }
    if let Some(user) = turn.tenant_mut().user_mut(&user) {
        user.methods.retain(|method| !is_it(method));
    }
    turn.record(What::MethodRemoved, &user, json!({"type": kind}));
    Reply::no_content()
}

fn missing(id: &str) -> Refusal {
    Refusal::new(404, "resourceNotFound", format!("Resource '{id}' not found."))
}

fn kind(turn: &Turn<'_>) -> Result<(&'static str, &'static str, &'static str), Refusal> {
    let segment = turn.segment(3);
    DELETABLE.iter().find(|(known, ..)| *known == segment).copied().ok_or_else(|| Refusal::no_segment(segment))
}

/// `POST /users/{id}/authentication/temporaryAccessPassMethods`: replaces an older pass.
pub(super) fn create_tap(turn: &mut Turn<'_>) -> Answer {
    needs(turn, &[ALL, "UserAuthMethod-TAP.ReadWrite.All"])?;
    let user = turn.user_id()?;
    may_write(turn, &user)?;
    let body = turn.ask.object()?;
    let policy = turn.tenant().tap_policy.clone();
    let wanted = Pass::read(&body, &policy, turn.now)?;
    if turn.user(&user)?.text("userType") == "Guest" {
        return Err(bad("Temporary Access Pass cannot be added to an external guest user"));
    }
    let code: String = turn.world.mint.opaque().chars().take(8).collect();
    let method = Method {
        id: turn.world.mint.guid(),
        kind: TAP.to_owned(),
        properties: wanted.properties(turn.now),
        code: Some(code.clone()),
        usable: Some((wanted.start, wanted.start + wanted.minutes * MINUTE)),
        is_used: false,
    };
    let mut body = view(turn, &method, Some(&code));
    let path = format!("users('{user}')/authentication/temporaryAccessPassMethods");
    body.insert("@odata.context".into(), json!(turn.context(&format!("{path}/$entity"))));
    let location = turn.url(&format!("{path}/{}", method.id));
    if let Some(user) = turn.tenant_mut().user_mut(&user) {
        user.methods.retain(|old| old.kind != TAP);
        user.methods.push(method);
    }
    let detail = json!({"type": TAP, "lifetimeInMinutes": wanted.minutes});
    turn.record(What::MethodAdded, &user, detail);
    Reply::created(Value::Object(body), location)
}

#[derive(Debug)]
struct Pass {
    minutes: i64,
    is_usable_once: bool,
    start: Ms,
}

impl Pass {
    fn read(body: &Object, policy: &TapPolicy, now: Ms) -> Result<Self, Refusal> {
        if !policy.is_enabled {
            return Err(bad(
                "Converged UserCredentialPolicy does not allow creating or updating credential of type TemporaryAccessPass.",
            ));
        }
        let minutes = match body.get("lifetimeInMinutes") {
            None | Some(Value::Null) => policy.default_minutes,
            Some(value) => value.as_i64().unwrap_or_default(),
        };
        let (least, most) = (policy.minimum_minutes, policy.maximum_minutes);
        if !(least..=most).contains(&minutes) {
            return Err(bad(format!(
                "Invalid LifetimeInMinutes specified. The valid range between {least} and {most}."
            )));
        }
        let is_usable_once = body.get("isUsableOnce").and_then(Value::as_bool).unwrap_or(policy.is_usable_once);
        if policy.is_usable_once && !is_usable_once {
            return Err(bad(
                "Invalid IsUsableOnce specified. Tenant Policy does not allow multiple use temporary access pass method.",
            ));
        }
        let start = match body.get("startDateTime").and_then(Value::as_str) {
            None => now,
            Some(text) => parse_iso(text)
                .filter(|start| *start >= now - MINUTE)
                .ok_or_else(|| bad("Invalid StartDateTime specified."))?,
        };
        Ok(Self { minutes, is_usable_once, start })
    }

    fn properties(&self, now: Ms) -> Map<String, Value> {
        object(json!({
            "createdDateTime": iso(now),
            "startDateTime": iso(self.start),
            "lifetimeInMinutes": self.minutes,
            "isUsableOnce": self.is_usable_once,
        }))
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "badRequest", message)
}

/// `GET /policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass`
pub(super) fn tap_policy(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&[
        "Policy.Read.AuthenticationMethod",
        "Policy.ReadWrite.AuthenticationMethod",
        "Policy.Read.All",
    ])?;
    let policy = &turn.tenant().tap_policy;
    Reply::ok(json!({
        "@odata.context": turn.context("authenticationMethodConfigurations/$entity"),
        "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
        "id": "TemporaryAccessPass",
        "state": if policy.is_enabled { "enabled" } else { "disabled" },
        "defaultLifetimeInMinutes": policy.default_minutes,
        "defaultLength": 8,
        "minimumLifetimeInMinutes": policy.minimum_minutes,
        "maximumLifetimeInMinutes": policy.maximum_minutes,
        "isUsableOnce": policy.is_usable_once,
        "excludeTargets": [],
        "includeTargets": [{"targetType": "group", "id": "all_users", "isRegistrationRequired": false}],
    }))
}

/// A pass shows its code only in the answer that made it.
fn view(turn: &Turn<'_>, method: &Method, code: Option<&str>) -> Object {
    let mut view = method.properties.clone();
    view.insert("id".into(), json!(method.id));
    let kind = format!("#microsoft.graph.{}", method.kind);
    if method.kind == TAP {
        let reason = method.usability(turn.tenant().tap_policy.is_enabled, turn.now);
        view.insert("temporaryAccessPass".into(), json!(code));
        view.insert("isUsable".into(), json!(reason == ENABLED));
        view.insert("methodUsabilityReason".into(), json!(reason));
    }
    if code.is_none() {
        view.insert("@odata.type".into(), json!(kind));
    }
    view
}

const ENABLED: &str = "EnabledByPolicy";

impl Method {
    fn usability(&self, is_allowed: bool, now: Ms) -> &'static str {
        let (start, end) = self.usable.unwrap_or((Ms::MIN, Ms::MAX));
        if !is_allowed {
            "DisabledByPolicy"
        } else if self.is_used {
            "OneTimeUsed"
        } else if now < start {
            "NotYetValid"
        } else if end <= now {
            "Expired"
        } else {
            ENABLED
        }
    }

    fn is_one_time(&self) -> bool {
        self.properties.get("isUsableOnce") == Some(&Value::Bool(true))
    }
}

impl User {
    /// Whether the text is a pass that works now; a one-time pass is used up by asking. Answers
    /// when the pass ends.
    pub(super) fn take_pass(&mut self, code: &str, is_allowed: bool, now: Ms) -> Option<Ms> {
        let pass = self
            .methods
            .iter_mut()
            .find(|method| method.code.as_deref() == Some(code) && method.usability(is_allowed, now) == ENABLED)?;
        pass.is_used = pass.is_one_time();
        pass.usable.map(|(_, end)| end)
    }
}
