//! What an admin writes about a ConnectWise connection, and the checks it passes before any call.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_contract::{
    Clock, ConnectionId, Secret, note,
    outside::{self, Network, Outside, OutsideSettings},
};
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

/// The largest answer of the key endpoint and of codebase discovery that is read.
const QUICK_ANSWER_BYTES: usize = 64 * 1024;
const QUICK_TIMEOUT: Duration = Duration::from_secs(5);
const VENDOR: &str = "connectwise";

/// The settings of one connection. The private key is not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The site as people open it: `https://na.myconnectwise.net`. Base of codebase discovery, of the key endpoint
    /// and of links; the only host, beside `api`, that a delivery may name.
    pub site: Url,
    /// Where the API answers. Default: the cloud's `api-` host beside a cloud `site`, else `site`.
    #[serde(default)]
    pub api: Option<Url>,
    /// The company name typed at sign-in. It tells this instance from the others on the same cloud host.
    pub company: String,
    /// The integration's client id (a GUID) from the vendor's developer portal.
    pub client_id: String,
    /// The API member's public key.
    pub public_key: String,
    /// The API member's login name, for an instance that does not let it read `/system/mymembers`.
    /// Decides whose notes are ours. Default: asked from the PSA.
    #[serde(default)]
    pub api_member: Option<String>,
    /// Login names under which the PSA's own automation (workflow rules, an integration) saves tickets, for mappings
    /// that let it ask for the ticket's owner. Only names that nothing from outside acts under: not the mail
    /// connector's, not the portal's. Default: none.
    #[serde(default)]
    pub automation: Vec<String>,
    /// The sub-type under which the audit trail lists changes of custom fields, on an instance that does not speak
    /// English. Default: recognised by `Custom` or `UDF`.
    #[serde(default)]
    pub field_audit_type: Option<String>,
    /// `private` for an on-premises PSA. Default: `public`.
    #[serde(default)]
    pub network: Network,
    /// A PEM file with the CA of an on-premises PSA; read by whoever builds the connection.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time of one API call in seconds, 1 to 60.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
}

const fn default_timeout_s() -> u64 {
    15
}

/// Why a connection cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A base URL or the CA file is not usable.
    #[error(transparent)]
    Outside(#[from] outside::SetupError),
    /// `site` or `api` carries a path.
    #[error("connection {0}: {1} must be a host alone, such as https://na.myconnectwise.net, without a path")]
    HasPath(ConnectionId, &'static str),
    /// `site` is the API's host.
    #[error("connection {0}: site is the host people open, such as na.myconnectwise.net; the api- host goes into api")]
    ApiAsSite(ConnectionId),
    /// `company` is not a login company id.
    #[error("connection {0}: company must be the company name typed at sign-in: letters, digits, '_', '-', '.'")]
    BadCompany(ConnectionId),
    /// `client_id` is not a GUID.
    #[error("connection {0}: client_id must be the GUID shown in the vendor's developer portal")]
    BadClientId(ConnectionId),
    /// The key pair cannot be sent.
    #[error("connection {0}: the API keys must be non-empty printable text, and the public key without ':'")]
    BadKeys(ConnectionId),
    /// `automation` or `field_audit_type` holds an empty name.
    #[error("connection {0}: {1} must not be empty; leave it out instead")]
    Empty(ConnectionId, &'static str),
    /// `timeout_s` is out of range.
    #[error("connection {0}: timeout_s must be 1 to 60")]
    BadTimeout(ConnectionId),
    /// The marker key is too short to protect anything.
    #[error(transparent)]
    ShortMarkerKey(#[from] note::ShortKey),
}

/// Checked settings, ready to build clients from.
pub(crate) struct Plan {
    pub(crate) id: ConnectionId,
    pub(crate) site: Url,
    pub(crate) api: Url,
    pub(crate) company: String,
    pub(crate) client_id: HeaderValue,
    /// The value of `Authorization`, marked as sensitive.
    pub(crate) authorization: HeaderValue,
    pub(crate) api_member: Option<String>,
    pub(crate) automation: Vec<String>,
    pub(crate) field_audit_type: Option<String>,
    network: Network,
    ca_pem: Option<String>,
    timeout: Duration,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({})", self.id)
    }
}

impl Settings {
    pub(crate) fn checked(
        self,
        id: &ConnectionId,
        private_key: Secret<String>,
        ca_pem: Option<String>,
    ) -> Result<Plan, SetupError> {
        if is_cloud(&self.site) && self.site.host_str().is_some_and(|host| host.starts_with("api-")) {
            return Err(SetupError::ApiAsSite(id.clone()));
        }
        let api = self.api.unwrap_or_else(|| default_api(&self.site));
        let (site, api) = (host_alone(self.site, "site", self.network, id)?, host_alone(api, "api", self.network, id)?);
        if !is_company(&self.company) {
            return Err(SetupError::BadCompany(id.clone()));
        }
        if !(1..=60).contains(&self.timeout_s) {
            return Err(SetupError::BadTimeout(id.clone()));
        }
        if self.automation.iter().any(|name| name.trim().is_empty()) {
            return Err(SetupError::Empty(id.clone(), "a name in automation"));
        }
        if self.field_audit_type.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(SetupError::Empty(id.clone(), "field_audit_type"));
        }
        let client_id = Uuid::try_parse(&self.client_id).map_err(|_| SetupError::BadClientId(id.clone()))?;
        let authorization = basic(&self.company, &self.public_key, &private_key);
        Ok(Plan {
            id: id.clone(),
            site,
            api,
            client_id: HeaderValue::from_str(&client_id.to_string())
                .map_err(|_| SetupError::BadClientId(id.clone()))?,
            authorization: authorization.ok_or_else(|| SetupError::BadKeys(id.clone()))?,
            company: self.company,
            api_member: self.api_member,
            automation: self.automation,
            field_audit_type: self.field_audit_type,
            network: self.network,
            ca_pem,
            timeout: Duration::from_secs(self.timeout_s),
        })
    }
}

impl Plan {
    /// The client of API calls.
    pub(crate) fn client(&self, clock: &Arc<dyn Clock>) -> Result<Outside, SetupError> {
        self.build(self.timeout, clock)
    }

    /// A client for the small questions that a sender waits for: 5 s, 64 KiB.
    pub(crate) fn quick_client(&self, clock: &Arc<dyn Clock>) -> Result<Outside, SetupError> {
        Ok(self.build(QUICK_TIMEOUT, clock)?.answers_up_to(QUICK_ANSWER_BYTES))
    }

    fn build(&self, timeout: Duration, clock: &Arc<dyn Clock>) -> Result<Outside, SetupError> {
        let settings = OutsideSettings {
            connection: self.id.clone(),
            vendor: VENDOR,
            network: self.network,
            ca_pem: self.ca_pem.clone(),
            timeout,
        };
        Ok(Outside::new(&settings, Arc::clone(clock))?)
    }
}

/// The cloud serves its API beside the site; sandboxes and own servers serve it on the site itself.
fn default_api(site: &Url) -> Url {
    let mut api = site.clone();
    if let Some(host) = site.host_str().filter(|host| is_cloud(site) && !host.starts_with("sandbox-")) {
        // A host that only gains letters stays a host; if not, the site is kept.
        let _ = api.set_host(Some(&format!("api-{host}")));
    }
    api
}

fn is_cloud(site: &Url) -> bool {
    let host = site.host_str().unwrap_or_default();
    host.ends_with(".myconnectwise.net") || host.ends_with(".connectwisedev.com")
}

fn host_alone(url: Url, name: &'static str, network: Network, id: &ConnectionId) -> Result<Url, SetupError> {
    let url = outside::base_url(url, network)?;
    if url.path() == "/" { Ok(url) } else { Err(SetupError::HasPath(id.clone(), name)) }
}

fn is_company(text: &str) -> bool {
    (1..=50).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// `Basic base64(company+public:private)`; the plus is the vendor's.
fn basic(company: &str, public: &str, private: &Secret<String>) -> Option<HeaderValue> {
    let is_text = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if !is_text(public) || public.contains(':') || !is_text(private.expose()) {
        return None;
    }
    let pair = Secret::new(format!("{company}+{public}:{}", private.expose()));
    let line = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    let mut value = HeaderValue::from_str(line.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings(site: &str) -> Settings {
        Settings {
            site: site.parse().unwrap(),
            api: None,
            company: "examplemsp".into(),
            client_id: "6b1f0c3e-0000-4000-8000-000000000001".into(),
            public_key: "public".into(),
            api_member: None,
            automation: vec![],
            field_audit_type: None,
            network: Network::Public,
            ca_file: None,
            timeout_s: 15,
        }
    }

    pub(crate) fn plan(settings: Settings) -> Result<Plan, SetupError> {
        settings.checked(&ConnectionId::parse("cw").unwrap(), Secret::new("private".into()), None)
    }

    #[test]
    fn the_cloud_answers_its_api_beside_the_site() {
        let api = |site: &str| plan(settings(site)).unwrap().api.to_string();
        assert_eq!(api("https://na.myconnectwise.net"), "https://api-na.myconnectwise.net/");
        assert_eq!(api("https://staging.connectwisedev.com"), "https://api-staging.connectwisedev.com/");
        assert_eq!(api("https://sandbox-na.myconnectwise.net"), "https://sandbox-na.myconnectwise.net/");
        assert_eq!(api("https://psa.example.com:8443"), "https://psa.example.com:8443/");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_do() {
        let told = |change: fn(&mut Settings)| {
            let mut s = settings("https://na.myconnectwise.net");
            change(&mut s);
            plan(s).unwrap_err().to_string()
        };
        assert!(told(|s| s.site = "http://na.myconnectwise.net".parse().unwrap()).contains("https"));
        assert!(told(|s| s.site = "https://psa.example.com/v4_6_release".parse().unwrap()).contains("without a path"));
        assert!(told(|s| s.site = "https://10.1.2.3".parse().unwrap()).contains("network"));
        assert!(told(|s| s.site = "https://api-na.myconnectwise.net".parse().unwrap()).contains("site"));
        assert!(told(|s| s.company = "a+b".into()).contains("company"));
        assert!(told(|s| s.client_id = "1".into()).contains("client_id"));
        assert!(told(|s| s.public_key = "a:b".into()).contains("public key"));
        assert!(told(|s| s.timeout_s = 0).contains("timeout_s"));
        assert!(told(|s| s.automation = vec![" ".into()]).contains("automation"));
        assert!(told(|s| s.field_audit_type = Some(String::new())).contains("field_audit_type"));
    }

    #[test]
    fn the_credentials_are_sent_as_the_vendor_wants_them_and_do_not_print() {
        let plan = plan(settings("https://na.myconnectwise.net")).unwrap();
        assert_eq!(plan.authorization, "Basic ZXhhbXBsZW1zcCtwdWJsaWM6cHJpdmF0ZQ==");
        assert!(plan.authorization.is_sensitive());
        assert!(!format!("{plan:?}").contains("private"));
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let json = r#"{"site":"https://x.example","company":"a","client_id":"b","public_key":"c","verify":false}"#;
        assert!(serde_json::from_str::<Settings>(json).unwrap_err().to_string().contains("verify"));
    }
}
