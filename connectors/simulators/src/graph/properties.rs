//! Which properties of a user can be written, with what value, and by whose leave.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answer::Refusal;
use super::odata::Object;
use super::state::{Tenant, World};

/// What a write to a property needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// The permission to write users.
    Plain,
    /// The same, and a role over the target: a sensitive action.
    Sensitive,
    /// `accountEnabled`, sensitive too, with a permission of its own.
    Enable,
    /// `passwordProfile`: a permission of its own and always a role.
    Password,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(usize),
    Bool,
    Texts,
    Attributes,
    Password,
}

const WRITABLE: [(&str, Gate, Kind); 26] = [
    ("accountEnabled", Gate::Enable, Kind::Bool),
    ("businessPhones", Gate::Sensitive, Kind::Texts),
    ("city", Gate::Plain, Kind::Text(128)),
    ("companyName", Gate::Plain, Kind::Text(64)),
    ("country", Gate::Plain, Kind::Text(128)),
    ("department", Gate::Plain, Kind::Text(64)),
    ("displayName", Gate::Plain, Kind::Text(256)),
    ("employeeId", Gate::Plain, Kind::Text(16)),
    ("employeeType", Gate::Plain, Kind::Text(256)),
    ("givenName", Gate::Plain, Kind::Text(64)),
    ("jobTitle", Gate::Plain, Kind::Text(128)),
    ("mail", Gate::Plain, Kind::Text(256)),
    ("mailNickname", Gate::Plain, Kind::Text(64)),
    ("mobilePhone", Gate::Sensitive, Kind::Text(64)),
    ("officeLocation", Gate::Plain, Kind::Text(128)),
    ("onPremisesExtensionAttributes", Gate::Plain, Kind::Attributes),
    ("onPremisesImmutableId", Gate::Sensitive, Kind::Text(256)),
    ("otherMails", Gate::Sensitive, Kind::Texts),
    ("passwordPolicies", Gate::Plain, Kind::Text(256)),
    ("passwordProfile", Gate::Password, Kind::Password),
    ("postalCode", Gate::Plain, Kind::Text(40)),
    ("preferredLanguage", Gate::Plain, Kind::Text(64)),
    ("surname", Gate::Plain, Kind::Text(64)),
    ("usageLocation", Gate::Plain, Kind::Text(2)),
    ("userPrincipalName", Gate::Sensitive, Kind::Text(1024)),
    ("userType", Gate::Plain, Kind::Text(64)),
];

const READ_ONLY: [&str; 7] = [
    "createdDateTime",
    "deletedDateTime",
    "id",
    "isManagementRestricted",
    "lastPasswordChangeDateTime",
    "onPremisesSyncEnabled",
    "proxyAddresses",
];

pub(super) const COMPLEXITY: &str = "The specified password does not comply with password complexity requirements. Please provide a different password.";

/// Checks names and values of a body and says what it needs.
pub(super) fn gates(world: &World, tenant: &Tenant, body: &Object) -> Result<BTreeSet<Gate>, Refusal> {
    let mut gates = BTreeSet::new();
    for (name, value) in body {
        if name.starts_with("extension_") {
            check_extension(world, tenant, name, value)?;
            gates.insert(Gate::Plain);
        } else if let Some((_, gate, kind)) = WRITABLE.iter().find(|(n, ..)| n == name) {
            check_value(name, *kind, value)?;
            gates.insert(*gate);
        } else if READ_ONLY.contains(&name.as_str()) {
            let message = format!("Property '{name}' is read-only and cannot be set.");
            return Err(Refusal::bad_request(message));
        } else {
            return Err(Refusal::bad_request(format!("Invalid property '{name}'.")));
        }
    }
    Ok(gates)
}

/// An extension must have been defined by an application that lives in this tenant.
fn check_extension(world: &World, tenant: &Tenant, name: &str, value: &Value) -> Result<(), Refusal> {
    let is_defined = world.registrations.iter().any(|(client_id, registration)| {
        registration.extensions.contains(name) && tenant.principals.contains_key(client_id)
    });
    let fits = match value {
        Value::Null => true,
        Value::String(text) => !text.is_empty() && text.chars().count() <= 256,
        _ => false,
    };
    if is_defined && fits {
        Ok(())
    } else {
        let message = "One or more property values specified are invalid.";
        Err(Refusal::bad_request(message))
    }
}

fn check_value(name: &str, kind: Kind, value: &Value) -> Result<(), Refusal> {
    const NEVER_NULL: [&str; 4] = ["accountEnabled", "displayName", "mailNickname", "userPrincipalName"];
    let fits = match (kind, value) {
        (Kind::Text(_), Value::Null) => !NEVER_NULL.contains(&name),
        (Kind::Text(longest), Value::String(text)) => !text.is_empty() && text.chars().count() <= longest,
        (Kind::Bool, Value::Bool(_)) => true,
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
        (Kind::Attributes, Value::Object(attributes)) => attributes.iter().all(|(key, text)| {
            is_attribute(key) && (text.is_null() || text.as_str().is_some_and(|t| t.chars().count() <= 1024))
        }),
        (Kind::Password, Value::Object(profile)) => {
            profile.get("forceChangePasswordNextSignIn").is_none_or(Value::is_boolean)
        }
        _ => false,
    };
    let fits = fits && (name != "mailNickname" || value.as_str().is_some_and(is_nickname));
    if fits {
        return Ok(());
    }
    let message = format!("Invalid value specified for property '{name}' of resource 'User'.");
    Err(Refusal::bad_request(message))
}

fn is_attribute(key: &str) -> bool {
    key == "@odata.type"
        || key
            .strip_prefix("extensionAttribute")
            .and_then(|n| n.parse::<u8>().ok())
            .is_some_and(|n| (1..=15).contains(&n))
}

fn is_nickname(text: &str) -> bool {
    text.is_ascii() && !text.contains(|c: char| c.is_whitespace() || "@()\\[]\";:<>,".contains(c))
}

/// The password of a `passwordProfile`, checked against the rules for new passwords.
pub(super) fn password(profile: &Value) -> Result<&str, Refusal> {
    let password = profile["password"].as_str().ok_or_else(|| Refusal::bad_request("A password must be specified."))?;
    if is_complex(password) { Ok(password) } else { Err(Refusal::bad_request(COMPLEXITY)) }
}

/// 8 to 256 characters, three of four classes, no word that everybody tries first.
fn is_complex(password: &str) -> bool {
    const BANNED: [&str; 4] = ["password", "welcome", "qwerty", "letmein"];
    let has = |class: fn(char) -> bool| usize::from(password.chars().any(class));
    let classes = has(|c| c.is_ascii_lowercase())
        + has(|c| c.is_ascii_uppercase())
        + has(|c| c.is_ascii_digit())
        + has(|c| !c.is_ascii_alphanumeric());
    let folded = password.to_lowercase();
    (8..=256).contains(&password.chars().count()) && classes >= 3 && !BANNED.iter().any(|word| folded.contains(word))
}

/// A user principal name's local part and its domain, the domain verified in this tenant.
///
/// `true` beside it when the domain is federated.
pub(super) fn check_upn(tenant: &Tenant, upn: &str) -> Result<bool, Refusal> {
    let invalid = || Refusal::bad_request("Property userPrincipalName is invalid.");
    let (local, domain) = upn.rsplit_once('@').ok_or_else(invalid)?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "'.-_!#^~".contains(c);
    if local.is_empty() || local.len() > 64 || !local.chars().all(is_allowed) {
        return Err(invalid());
    }
    tenant
        .domains
        .iter()
        .find(|known| known.is_verified && known.name.eq_ignore_ascii_case(domain))
        .map(|known| known.is_federated)
        .ok_or_else(|| {
            Refusal::bad_request("The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain names in your organization.")
        })
}

pub(super) fn hash(password: &str) -> [u8; 32] {
    Sha256::digest(password.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_need_three_of_four_classes_and_no_common_word() {
        assert!(is_complex("Tr0ub4dor-and-3"));
        for weak in ["Ab1-", "alllowercase1", "Password-123!", "ALLUPPER!"] {
            assert!(!is_complex(weak), "{weak}");
        }
        assert!(!is_complex(&"Aa1".repeat(86)));
    }
}
