//! What hangs on an account beside its roles: group memberships, ownerships, sign-in methods.

use std::time::Duration;

use latchkey_contract::{
    CallError, ObjectId,
    directory::{Method, Outcome, Owned},
    outside::Urgency,
};
use serde_json::json;

use super::{NEW_SUBJECT, REFUSED, done};
use crate::{
    Entra,
    api::Call,
    need::{self, Need},
    refusal::{GROUP_NOT_FOUND, GROUP_RESTRICTED, Refusal},
    wire::Object,
};

/// A default method is removable once the others are gone.
const LAST_METHOD: Duration = Duration::from_secs(5);

impl Entra {
    pub(super) async fn join(&self, object: &ObjectId, group: &ObjectId) -> Result<Outcome, CallError> {
        const OP: &str = "POST /groups/{id}/members/$ref";
        let body = json!({"@odata.id": self.graph.reference(object.as_str())});
        let call = Call::new(OP, &["groups", group.as_str(), "members", "$ref"]).body(&body);
        let refusal = match self.graph.send(&call, Urgency::Ordinary).await? {
            Ok(_) => return Ok(done(object)),
            Err(refusal) if refusal.is_conflict() => return Ok(done(object)),
            Err(refusal) => refusal,
        };
        if refusal.is_restricted() {
            return Err(CallError::Protected { op: OP, why: GROUP_RESTRICTED.to_owned() });
        }
        if !refusal.is_missing() && !refusal.is_unknown_subject() {
            return Err(refusal.into_error(need::GROUPS));
        }
        let call = Call::new("GET /groups/{id}", &["groups", group.as_str()]).query("$select", "id");
        match self.graph.get::<Object>(&call, Urgency::Ordinary).await? {
            Err(gone) if gone.is_missing() => {
                Err(CallError::Refused { op: OP, status: 404, code: GROUP_NOT_FOUND.to_owned() })
            }
            _ => Err(CallError::not_yet(OP, NEW_SUBJECT, "the group does not know the account yet")),
        }
    }

    /// Always with `/$ref`: without it some paths delete the member itself.
    pub(super) async fn leave(&self, object: &ObjectId, group: &ObjectId) -> Result<Outcome, CallError> {
        const OP: &str = "DELETE /groups/{id}/members/{id}/$ref";
        let call = Call::new(OP, &["groups", group.as_str(), "members", object.as_str(), "$ref"]);
        self.remove(object, &call, need::GROUPS).await
    }

    pub(super) async fn disown(&self, object: &ObjectId, owned: &Owned) -> Result<Outcome, CallError> {
        let (op, collection, need) = match owned.kind.as_str() {
            "group" => ("DELETE /groups/{id}/owners/{id}/$ref", "groups", need::GROUP_OWNERS),
            "application" => ("DELETE /applications/{id}/owners/{id}/$ref", "applications", need::APP_OWNERS),
            "servicePrincipal" => {
                ("DELETE /servicePrincipals/{id}/owners/{id}/$ref", "servicePrincipals", need::APP_OWNERS)
            }
            _ => return Ok(Outcome::NoWay { code: "an ownership of an unknown kind".to_owned() }),
        };
        let call = Call::new(op, &[collection, owned.object.as_str(), "owners", object.as_str(), "$ref"]);
        self.remove(object, &call, need).await
    }

    pub(super) async fn remove_method(&self, object: &ObjectId, method: &Method) -> Result<Outcome, CallError> {
        const OP: &str = "DELETE /users/{id}/authentication/{methods}/{id}";
        let Some(segment) = method_segment(&method.kind) else {
            return Ok(Outcome::NoWay { code: "a sign-in method of an unknown kind".to_owned() });
        };
        let call = Call::new(OP, &["users", object.as_str(), "authentication", segment, &method.id]);
        self.remove(object, &call, need::METHODS).await
    }

    /// Takes something from the account. A refusal is no error: the other removals must not wait for it.
    pub(super) async fn remove(&self, object: &ObjectId, call: &Call, need: Need) -> Result<Outcome, CallError> {
        match self.graph.send(call, Urgency::Removal).await? {
            Ok(_) => Ok(done(object)),
            Err(refusal) if refusal.is_gone() => Ok(done(object)),
            Err(refusal) if refusal.is_forbidden() => Ok(self.later(&refusal, need, REFUSED)),
            Err(refusal) => Ok(self.later(&refusal, need, LAST_METHOD)),
        }
    }

    pub(super) fn later(&self, refusal: &Refusal, need: Need, wait: Duration) -> Outcome {
        let code = refusal.explain(need);
        tracing::warn!(op = refusal.op, code, "a removal was refused; it is asked for again");
        Outcome::NotBefore(self.now() + wait)
    }
}

fn method_segment(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "microsoftAuthenticatorAuthenticationMethod" => "microsoftAuthenticatorMethods",
        "softwareOathAuthenticationMethod" => "softwareOathMethods",
        "phoneAuthenticationMethod" => "phoneMethods",
        "emailAuthenticationMethod" => "emailMethods",
        "fido2AuthenticationMethod" => "fido2Methods",
        "windowsHelloForBusinessAuthenticationMethod" => "windowsHelloForBusinessMethods",
        "platformCredentialAuthenticationMethod" => "platformCredentialMethods",
        "temporaryAccessPassAuthenticationMethod" => "temporaryAccessPassMethods",
        "externalAuthenticationMethod" => "externalAuthenticationMethods",
        "hardwareOathAuthenticationMethod" => "hardwareOathMethods",
        _ => return None,
    })
}
