//! What Graph means when it says no. Codes are too broad alone, so code and message are read together.
//!
//! Texts are those of `Microsoft Graph` error bodies as seen in the field; a text that changes makes a refusal
//! plain, never a success.

use std::sync::Arc;

use latchkey_contract::{CallError, outside::Answer, text::one_line};

use crate::{
    need::Need,
    token::{Rights, Token},
};

/// [`CallError::Refused`]'s code when the tenant does not accept a password: make another one.
pub const PASSWORD_REFUSED: &str = "PasswordRefused";

/// [`CallError::Refused`]'s code when an account that is not ours has the sign-in name.
pub const NAME_TAKEN: &str = "NameTaken";

/// [`CallError::Refused`]'s code when the role is not, or no longer, in the tenant.
pub const ROLE_NOT_FOUND: &str = "RoleNotFound";

/// [`CallError::Refused`]'s code when the group is not, or no longer, in the tenant.
pub const GROUP_NOT_FOUND: &str = "GroupNotFound";

/// Why an account is protected that an admin listed; refused by us alone, before any call.
pub const LISTED: &str = "The account is on this connection's list of protected accounts.";

/// Why an account is protected that a restricted management administrative unit holds. Seen before a call and refused by
/// us, or refused by the directory where it was put there in between: the sentence is the same.
pub const RESTRICTED: &str = "The account is in a restricted management administrative unit.";

/// Why a group cannot be given or taken that such a unit holds.
pub const GROUP_RESTRICTED: &str = "The group is in a restricted management administrative unit.";

/// A refusal that is not about throttling, tokens or the vendor's own trouble.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) op: &'static str,
    pub(crate) status: u16,
    pub(crate) code: String,
    message: String,
    details: Vec<String>,
    rights: Option<Rights>,
}

impl Refusal {
    pub(crate) fn read(answer: &Answer, token: &Arc<Token>) -> Self {
        let body = serde_json::from_slice::<crate::wire::Envelope>(&answer.body).unwrap_or_default().error;
        let details = body.details.unwrap_or_default().into_iter().filter_map(|detail| detail.code).collect();
        let code = if body.code.is_empty() { "no error code".to_owned() } else { one_line(&body.code, 80) };
        let rights = token.rights.clone();
        Self { op: answer.op, status: answer.status.as_u16(), code, message: body.message, details, rights }
    }

    fn says(&self, text: &str) -> bool {
        self.message.to_ascii_lowercase().contains(text)
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code)
    }

    /// The object of the call, or what it refers to, is not there (or not yet everywhere).
    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404
    }

    /// The directory itself says that the object is not there.
    pub(crate) fn is_no_object(&self) -> bool {
        self.is_missing() && (self.has_code("Request_ResourceNotFound") || self.has_code("ResourceNotFound"))
    }

    /// A right is missing, or the target is protected. A full tenant answers with the same status.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.status == 403 && !self.has_code("Directory_QuotaExceeded")
    }

    /// The target is in a restricted management administrative unit.
    pub(crate) fn is_restricted(&self) -> bool {
        self.is_forbidden() && self.says("restricted management administrative unit")
    }

    /// The user principal name or an alias of it belongs to somebody.
    pub(crate) fn is_name_taken(&self) -> bool {
        let is_conflict = self.details.iter().any(|code| code == "ObjectConflict");
        let is_name = self.says("userprincipalname") || self.says("proxyaddresses") || self.says("mailnickname");
        matches!(self.status, 400 | 409) && (is_conflict || self.says("already exists")) && (is_conflict || is_name)
    }

    pub(crate) fn is_password_refused(&self) -> bool {
        self.status == 400 && self.says("password") && self.says("does not comply")
    }

    /// The very role assignment or membership is there already.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.status, 400 | 409)
            && (self.says("conflicting object")
                || self.says("references already exist")
                || self.has_code("RoleAssignmentExists"))
    }

    /// The membership, ownership or role assignment is gone already.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_missing() || self.has_code("RoleAssignmentDoesNotExist") || self.says("references do not exist")
    }

    /// A new account that this part of the vendor has not heard of yet.
    pub(crate) fn is_unknown_subject(&self) -> bool {
        self.has_code("SubjectNotFound") || self.says("not a valid reference update")
    }

    /// The PIM rules that the request broke (`["MfaRule"]`), as one printable text.
    pub(crate) fn broken_rules(&self) -> Option<String> {
        if !self.has_code("RoleAssignmentRequestPolicyValidationFailed") {
            return None;
        }
        let list = self.message.find('[').and_then(|from| self.message.get(from..))?;
        let list = list.get(..=list.find(']')?)?;
        let rules: Vec<String> = serde_json::from_str(list).ok()?;
        Some(one_line(&rules.join(" "), 100))
    }

    /// The error to report when nothing better is known.
    pub(crate) fn into_error(self, need: Need) -> CallError {
        let Self { op, status, .. } = self;
        if self.is_restricted() {
            return CallError::Protected { op, why: RESTRICTED.to_owned() };
        }
        if self.is_forbidden() {
            return CallError::Unauthorized { op, code: self.explain(need) };
        }
        CallError::Refused { op, status, code: self.code }
    }

    /// The vendor's code with the right that the token lacks, where that can be seen.
    pub(crate) fn explain(&self, need: Need) -> String {
        let Some(rights) = &self.rights else { return self.code.clone() };
        match need.any_of.first() {
            Some(first) if !need.is_met(rights) => format!("{}: the app lacks the permission {first}", self.code),
            _ if need.role && !rights.may_act_on_admins() => {
                format!("{}: the app lacks the directory role Privileged Authentication Administrator", self.code)
            }
            _ => self.code.clone(),
        }
    }

    /// False only when the token is readable and lacks each of the permissions.
    pub(crate) fn has_permission(&self, need: Need) -> bool {
        self.rights.as_ref().is_none_or(|rights| need.is_met(rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::need::{PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, SIGN_IN as NEED};

    fn refusal(status: u16, code: &str, message: &str) -> Refusal {
        let (code, message) = (code.to_owned(), message.to_owned());
        Refusal { op: "PATCH /users/{id}", status, code, message, details: vec![], rights: None }
    }

    #[test]
    fn the_vendors_texts_are_told_apart() {
        let taken = "Another object with the same value for property userPrincipalName already exists.";
        assert!(refusal(400, "Request_BadRequest", taken).is_name_taken());
        let proxy = "Another object with the same value for property proxyAddresses already exists.";
        assert!(refusal(400, "Request_BadRequest", proxy).is_name_taken());
        let conflict =
            "A conflicting object with one or more of the specified property values is present in the directory.";
        for (status, code) in [(400, "Request_BadRequest"), (409, "Request_MultipleObjectsWithSameKeyValue")] {
            let refusal = refusal(status, code, conflict);
            assert!(refusal.is_conflict() && !refusal.is_name_taken());
        }
        let password = "The specified password does not comply with password complexity requirements. Please provide a different password.";
        assert!(refusal(400, "Request_BadRequest", password).is_password_refused());
        assert!(
            !refusal(400, "Request_BadRequest", "One or more property values specified are invalid")
                .is_password_refused()
        );
    }

    #[test]
    fn broken_pim_rules_are_read_from_the_message() {
        let message = r#"The following policy rules failed: ["ExpirationRule","MfaRule"]"#;
        let refusal = refusal(400, "RoleAssignmentRequestPolicyValidationFailed", message);
        assert_eq!(refusal.broken_rules().as_deref(), Some("ExpirationRule MfaRule"));
    }

    #[test]
    fn a_missing_right_is_named_where_the_token_shows_it() {
        let said = |roles: &[&str], wids: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
            let rights = Some(Rights { roles: own(roles), wids: own(wids) });
            let refusal = Refusal { rights, ..refusal(403, "Authorization_RequestDenied", "Insufficient privileges") };
            refusal.into_error(NEED).to_string()
        };
        assert!(said(&[], &[]).contains("permission User.ReadWrite.All"));
        assert!(said(&["User.ReadWrite.All"], &[]).contains("Privileged Authentication Administrator"));
        let all = said(&["User.ReadWrite.All"], &[PRIVILEGED_AUTHENTICATION_ADMINISTRATOR]);
        assert!(all.contains("Authorization_RequestDenied") && !all.contains("lacks"));
    }

    #[test]
    fn a_restricted_unit_is_protection_and_not_a_missing_right() {
        let message = "Insufficient privileges to complete the operation. Target object is a member of a restricted management administrative unit and can only be modified by administrators scoped to that administrative unit.";
        let error = refusal(403, "Authorization_RequestDenied", message).into_error(NEED);
        assert!(matches!(error, CallError::Protected { why, .. } if why == RESTRICTED));
    }
}
