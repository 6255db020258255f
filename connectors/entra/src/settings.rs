//! What an admin writes about one tenant, parsed into types that cannot hold nonsense.
//!
//! Secrets are not here: they are sealed elsewhere and arrive as a [`Credential`].

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use latchkey_contract::{ObjectId, Secret, outside::Network};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use url::Url;

/// One Entra tenant as a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tenant's GUID. A domain name can move to another tenant, so it is not accepted.
    pub tenant: Guid,
    /// Application (client) id of the app registration.
    pub client_id: Guid,
    /// Where tokens come from; sovereign clouds have their own.
    #[serde(default = "authority")]
    pub authority: Url,
    /// Where Microsoft Graph is; sovereign clouds have their own.
    #[serde(default = "graph")]
    pub graph: Url,
    /// How the app proves who it is.
    pub credential: CredentialKind,
    /// Which attribute of a user carries our mark.
    #[serde(default)]
    pub mark: Mark,
    /// Accounts that are never touched, by object id (break-glass accounts).
    #[serde(default)]
    pub protected: BTreeSet<ObjectId>,
    /// Whether roles get an end in the tenant itself.
    #[serde(default)]
    pub time_bound: TimeBound,
    /// Public, or a host on a private network (a simulator).
    #[serde(default)]
    pub network: Network,
    /// A CA to trust beside the system's, as a PEM file; read by whoever builds the connection.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time for one HTTP call, 1 to 15 seconds: a step must fit well into the lease it is taken under.
    #[serde(default = "timeout_s", deserialize_with = "timeout_in_range")]
    pub timeout_s: u64,
}

impl Settings {
    /// Longest time for one HTTP call.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// True for an account that must never be touched. GUIDs are the same in either case.
    #[must_use]
    pub fn protects(&self, object: &ObjectId) -> bool {
        self.protected.iter().any(|id| id.as_str().eq_ignore_ascii_case(object.as_str()))
    }
}

/// A GUID in its usual form, kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid(String);

/// Why a text is not a GUID.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a GUID such as 8f0c2c1e-0000-4000-8000-000000000000 (a name, `common` or `organizations` will not do)"
)]
pub struct NotAGuid(String);

impl Guid {
    /// The GUID as text, lower case with hyphens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Guid {
    type Error = NotAGuid;
    fn try_from(text: String) -> Result<Self, NotAGuid> {
        match uuid::Uuid::try_parse(&text) {
            Ok(id) if text.len() == 36 => Ok(Self(id.hyphenated().to_string())),
            _ => Err(NotAGuid(text.chars().take(80).collect())),
        }
    }
}

impl From<Guid> for String {
    fn from(id: Guid) -> Self {
        id.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the app proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// A client secret.
    Secret,
    /// A certificate; the private key signs a short assertion for each token.
    Certificate,
}

/// The proof itself.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret.
    Secret(Secret<String>),
    /// An RSA key of 2048 to 4096 bits with its certificate, as PEM.
    Certificate {
        /// PKCS#8 or PKCS#1, not encrypted.
        key_pem: Secret<String>,
        /// The certificate that was uploaded to the app registration.
        cert_pem: String,
    },
}

/// Whether roles get an end in the tenant itself (PIM).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeBound {
    /// Where the tenant is licensed for it.
    #[default]
    Auto,
    /// Never: roles are assigned plainly and ended by our clock alone.
    Never,
}

/// The user attribute that carries our mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mark {
    /// `extensionAttribute1` to `extensionAttribute15` of `onPremisesExtensionAttributes`.
    OnPremises(String),
    /// A directory extension by its full name, `extension_{app id without hyphens}_{name}`.
    Extension(String),
}

/// Why a text does not name an attribute for the mark.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} cannot carry the mark: write extensionAttribute1 to extensionAttribute15, or the full name extension_APPID_NAME"
)]
pub struct NotAMark(String);

impl Default for Mark {
    fn default() -> Self {
        Self::OnPremises("extensionAttribute15".to_owned())
    }
}

impl TryFrom<String> for Mark {
    type Error = NotAMark;
    fn try_from(text: String) -> Result<Self, NotAMark> {
        let number = text.strip_prefix("extensionAttribute").filter(|n| !n.starts_with('0'));
        if number.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=15).contains(&n)) {
            return Ok(Self::OnPremises(text));
        }
        let parts: Vec<&str> = text.splitn(3, '_').collect();
        let is_extension = matches!(parts[..], ["extension", app, name]
            if app.len() == 32 && app.chars().all(|c| c.is_ascii_hexdigit()) && is_name(name));
        if is_extension { Ok(Self::Extension(text)) } else { Err(NotAMark(text.chars().take(80).collect())) }
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::OnPremises(name) | Mark::Extension(name) => name,
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn authority() -> Url {
    Url::parse("https://login.microsoftonline.com").expect("a literal URL parses")
}

fn graph() -> Url {
    Url::parse("https://graph.microsoft.com").expect("a literal URL parses")
}

const fn timeout_s() -> u64 {
    15
}

fn timeout_in_range<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(input)?;
    if (1..=15).contains(&seconds) { Ok(seconds) } else { Err(D::Error::custom("timeout_s must be 1 to 15 seconds")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: &serde_json::Value) -> Result<Settings, serde_json::Error> {
        let mut all = json!({
            "tenant": "8F0C2C1E-1111-4222-8333-444455556666",
            "client_id": "0b1c2d3e-1111-4222-8333-444455556666",
            "credential": "secret",
        });
        for (key, value) in change.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all)
    }

    #[test]
    fn the_short_form_is_the_public_cloud() {
        let settings = parse(&json!({})).unwrap();
        assert_eq!(settings.tenant.as_str(), "8f0c2c1e-1111-4222-8333-444455556666");
        assert_eq!(settings.authority.as_str(), "https://login.microsoftonline.com/");
        assert_eq!(settings.mark, Mark::OnPremises("extensionAttribute15".to_owned()));
        assert_eq!((settings.timeout_s, settings.time_bound), (15, TimeBound::Auto));
    }

    #[test]
    fn settings_survive_the_round_through_storage() {
        let settings = parse(&json!({"protected": ["8f0c2c1e-1111-4222-8333-444455556666"]})).unwrap();
        let stored = serde_json::to_value(&settings).unwrap();
        assert_eq!(serde_json::from_value::<Settings>(stored).unwrap(), settings);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write_instead() {
        for (change, word) in [
            (json!({"tenant": "common"}), "GUID"),
            (json!({"tenant": "contoso.onmicrosoft.com"}), "GUID"),
            (json!({"tenant": "8f0c2c1e11114222833344445555666 6"}), "GUID"),
            (json!({"mark": "extensionAttribute16"}), "extensionAttribute15"),
            (json!({"mark": "extensionAttribute01"}), "extensionAttribute15"),
            (json!({"mark": "jobTitle"}), "extension_APPID_NAME"),
            (json!({"timeout_s": 0}), "1 to 15"),
            (json!({"secret": "x"}), "unknown field"),
        ] {
            let error = parse(&change).unwrap_err().to_string();
            assert!(error.contains(word), "{change} said {error}");
        }
    }

    #[test]
    fn a_directory_extension_can_carry_the_mark() {
        let name = "extension_2f1c0a7be1c44f56b1b2c3d4e5f60718_latchkey_id";
        assert_eq!(parse(&json!({"mark": name})).unwrap().mark, Mark::Extension(name.to_owned()));
    }
}
