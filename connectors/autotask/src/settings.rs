//! What an admin writes about an Autotask connection, and the checks it passes before any call.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use latchkey_contract::{
    Clock, ConnectionId, Former, MemberId, Secret, StatusId, note,
    outside::{self, Limits, Network, Outside, OutsideSettings, Quota, Share},
};
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;

const VENDOR: &str = "autotask";
/// Where every tenant's zone is asked for. [facts 3.1]
const DISCOVERY: &str = "https://webservices.autotask.net/ATServicesRest/";
/// *Complete* is a system status with a fixed id. [facts 4.1]
const COMPLETE: &str = "5";
/// The webhook's key may have at most so many characters; the vendor advises at least ten. [facts 1.2]
const KEY_CHARS: std::ops::RangeInclusive<usize> = 16..=64;

/// The settings of one connection. No secret is among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The API user's key: it looks like a mail address.
    pub user: String,
    /// The tracking identifier of the API user (*Custom (Internal Integration)* or a vendor's).
    pub integration_code: String,
    /// Where the zone is asked for. Default: the vendor's.
    #[serde(default = "discovery")]
    pub discovery: Url,
    /// The zone's own URL, which ends in `/ATServicesRest/`, for a tenant whose zone shall not be asked for.
    #[serde(default)]
    pub zone: Option<Url>,
    /// Our own resource's id, where the API user may not look itself up among the resources. Default: asked from the PSA.
    #[serde(default)]
    pub api_resource: Option<MemberId>,
    /// User names under which the PSA's own automation (workflow rules, an integration) saves tickets, for mappings that
    /// let it ask for the ticket's owner. They never count as people. Default: none.
    #[serde(default)]
    pub automation: Vec<String>,
    /// Statuses that count as completed beside a completion date: tenants add their own. Default: 5.
    #[serde(default = "completed_statuses")]
    pub completed_statuses: Vec<StatusId>,
    /// What the ticket history calls a status, in the tenant's language. Default: `Status`.
    #[serde(default = "status_word")]
    pub status_word: String,
    /// What it calls a queue. Default: `Queue`.
    #[serde(default = "queue_word")]
    pub queue_word: String,
    /// Which `publish` makes a note internal. Default: 2. Never 1 or 4: customers see those.
    #[serde(default = "internal_publish")]
    pub internal_publish: i64,
    /// Which `noteType` our notes have. Default: 1.
    #[serde(default = "note_type")]
    pub note_type: i64,
    /// Which `noteType` the system gives the note on a ticket that was merged away. Default: 93.
    #[serde(default = "merged_note_type")]
    pub merged_note_type: i64,
    /// What extension callouts of workflow rules may do. Default: nothing.
    #[serde(default)]
    pub callouts: Callouts,
    /// Threads that the vendor allows one integration at one endpoint, 2 to 20. Default: 3.
    #[serde(default = "threads")]
    pub threads: usize,
    /// Calls in an hour that the vendor allows all integrations of the database together. Default: 10000.
    #[serde(default = "calls_per_hour")]
    pub calls_per_hour: u32,
    /// `private` for a simulator. Default: `public`.
    #[serde(default)]
    pub network: Network,
    /// A PEM file with a CA to trust beside the system's; read by whoever builds the connection.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time of one API call in seconds, 1 to 60.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

/// An extension callout is not signed and names no actor: it can only be a reason to look. [facts 2.2]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Callouts {
    /// They are refused.
    #[default]
    Off,
    /// They ring; who knows the path secret may.
    Ring,
    /// They ring with HTTP Basic credentials: this user, and the secret `callout-password`.
    Basic(String),
}

fn discovery() -> Url {
    Url::parse(DISCOVERY).expect("the vendor's address is one")
}

fn completed_statuses() -> Vec<StatusId> {
    vec![StatusId::parse(COMPLETE).expect("a digit is a word")]
}

fn status_word() -> String {
    "Status".to_owned()
}

fn queue_word() -> String {
    "Queue".to_owned()
}

/// "Internal Project Team" or "Internal Only". [facts 4.3]
const fn internal_publish() -> i64 {
    2
}

/// "Task Summary": one of the three that may be written. [facts 4.3]
const fn note_type() -> i64 {
    1
}

/// "Merged into ticket". [facts 4.3]
const fn merged_note_type() -> i64 {
    93
}

/// Of integrations made after 2023.1. [facts 3.7]
const fn threads() -> usize {
    3
}

const fn calls_per_hour() -> u32 {
    10_000
}

const fn timeout_s() -> u64 {
    15
}

/// The secrets of one connection.
pub struct Secrets {
    /// The API user's secret.
    pub api: Secret<String>,
    /// The key that webhooks are signed with: the one that is registered.
    pub webhook_key: Secret<String>,
    /// Those before it that may still be under way, or registered: each is accepted in its time.
    pub former_webhook_keys: Vec<Former>,
    /// The password of [`Callouts::Basic`].
    pub callout_password: Option<Secret<String>>,
    /// Signs the markers in our notes: with another key, older notes are no longer found. At least 32 bytes.
    pub marker_key: Secret<Vec<u8>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// Why a connection cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A base URL or the CA file is not usable.
    #[error(transparent)]
    Outside(#[from] outside::SetupError),
    /// The marker key is too short to protect anything.
    #[error(transparent)]
    ShortMarkerKey(#[from] note::ShortKey),
    /// A value is out of range, empty, or cannot be sent: which, and what it should be.
    #[error("connection {0}: {1}")]
    Bad(ConnectionId, &'static str),
}

/// Checked settings, ready to build clients from.
pub(crate) struct Plan {
    pub(crate) id: ConnectionId,
    pub(crate) settings: Settings,
    pub(crate) discovery: Url,
    pub(crate) zone: Option<Url>,
    pub(crate) code: HeaderValue,
    pub(crate) user: HeaderValue,
    pub(crate) secret: HeaderValue,
    pub(crate) webhook_key: Secret<String>,
    pub(crate) former_webhook_keys: Vec<Former>,
    pub(crate) callout_password: Option<Secret<String>>,
    ca_pem: Option<String>,
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
        secrets: Secrets,
        ca_pem: Option<String>,
    ) -> Result<Plan, SetupError> {
        let bad = |why| SetupError::Bad(id.clone(), why);
        self.in_range().map_err(bad)?;
        let plain = |text: &str, why| header(text).ok_or_else(|| bad(why));
        let secret = Secret::new(secrets.api.expose().clone());
        let mut secret = plain(secret.expose(), "the API secret must be non-empty printable text")?;
        secret.set_sensitive(true);
        let key = secrets.webhook_key.expose();
        if !KEY_CHARS.contains(&key.len()) || !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(bad("a webhook key must have 16 to 64 printable characters without blanks"));
        }
        if matches!(self.callouts, Callouts::Basic(_)) && secrets.callout_password.is_none() {
            return Err(bad("callouts with a user need the secret callout-password"));
        }
        let zone = self.zone.clone().map(|zone| rest(zone, self.network)).transpose()?;
        if zone.as_ref().is_some_and(|zone| !zone.path().to_lowercase().ends_with("/atservicesrest/")) {
            return Err(bad(
                "zone must end in /ATServicesRest/, such as https://webservices3.autotask.net/ATServicesRest/",
            ));
        }
        Ok(Plan {
            id: id.clone(),
            discovery: rest(self.discovery.clone(), self.network)?,
            zone,
            code: plain(&self.integration_code, "integration_code must be the tracking identifier of the API user")?,
            user: plain(&self.user, "user must be the API user's key, which looks like a mail address")?,
            secret,
            webhook_key: secrets.webhook_key,
            former_webhook_keys: secrets.former_webhook_keys,
            callout_password: secrets.callout_password,
            ca_pem,
            settings: self,
        })
    }

    fn in_range(&self) -> Result<(), &'static str> {
        let is_empty = |text: &String| text.trim().is_empty();
        if !(1..=60).contains(&self.timeout_s) {
            return Err("timeout_s must be 1 to 60");
        }
        if !(2..=20).contains(&self.threads) {
            return Err("threads must be 2 to 20: one is kept for removals");
        }
        if self.calls_per_hour < 100 {
            return Err("calls_per_hour must be at least 100");
        }
        // 4 is "Internal & Co-Managed": the customer's own technicians read it. [facts 4.3]
        if matches!(self.internal_publish, i64::MIN..=1 | 4) {
            return Err("internal_publish must be an internal one, such as 2: customers see notes with 1 and with 4");
        }
        if self.completed_statuses.is_empty() {
            return Err("completed_statuses must name at least one status; leave it out for 5");
        }
        if self.automation.iter().any(is_empty) || is_empty(&self.status_word) || is_empty(&self.queue_word) {
            return Err("a name in automation, status_word and queue_word must not be empty; leave it out instead");
        }
        Ok(())
    }
}

impl Plan {
    /// The client, within the vendor's limits: one thread of each endpoint and a tenth of the hour are kept for removals.
    pub(crate) fn client(&self, clock: &Arc<dyn Clock>) -> Result<Outside, SetupError> {
        let Settings { threads, calls_per_hour: calls, network, timeout_s, .. } = self.settings;
        let settings = OutsideSettings {
            connection: self.id.clone(),
            vendor: VENDOR,
            network,
            ca_pem: self.ca_pem.clone(),
            timeout: Duration::from_secs(timeout_s),
        };
        let limits = Limits {
            per_endpoint: Some(Share { ordinary: threads - 1, removals: 1 }),
            in_time: Some(Quota { calls, per: Duration::from_secs(3600), for_removals: calls / 10 }),
            ..Limits::default()
        };
        Ok(Outside::new(&settings, Arc::clone(clock))?.within(limits))
    }
}

fn rest(url: Url, network: Network) -> Result<Url, SetupError> {
    Ok(outside::base_url(url, network)?)
}

fn header(text: &str) -> Option<HeaderValue> {
    let is_text = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    is_text.then(|| HeaderValue::from_str(text).ok()).flatten()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        let json = r#"{"user":"jit-api@msp.example","integration_code":"ABCDEF1234567890ABCDEF12345"}"#;
        serde_json::from_str(json).unwrap()
    }

    pub(crate) fn secrets() -> Secrets {
        Secrets {
            api: Secret::new("a$cret~#*@".into()),
            webhook_key: Secret::new("jit-demo-Secret-0123456789".into()),
            former_webhook_keys: Vec::new(),
            callout_password: None,
            marker_key: Secret::new(vec![7; 32]),
        }
    }

    pub(crate) fn plan(settings: Settings, secrets: Secrets) -> Result<Plan, SetupError> {
        settings.checked(&ConnectionId::parse("at").unwrap(), secrets, None)
    }

    #[test]
    fn little_has_to_be_written() {
        let plan = plan(settings(), secrets()).unwrap();
        assert_eq!(plan.discovery.as_str(), "https://webservices.autotask.net/ATServicesRest/");
        assert!(plan.zone.is_none() && plan.secret.is_sensitive());
        assert_eq!((plan.settings.internal_publish, plan.settings.threads), (2, 3));
        assert!(!format!("{plan:?} {:?}", secrets()).contains("cret~"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_do() {
        let told = |change: fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            plan(settings, secrets()).unwrap_err().to_string()
        };
        assert!(told(|s| s.user = String::new()).contains("user"));
        assert!(told(|s| s.integration_code = "a b".into()).contains("integration_code"));
        assert!(told(|s| s.discovery = "http://webservices.autotask.net".parse().unwrap()).contains("https"));
        assert!(told(|s| s.zone = Some("https://webservices3.autotask.net/".parse().unwrap())).contains("zone"));
        assert!(told(|s| s.zone = Some("https://10.0.0.1/ATServicesRest/".parse().unwrap())).contains("network"));
        assert!(told(|s| s.internal_publish = 1).contains("customers"));
        assert!(told(|s| s.internal_publish = 4).contains("customers"));
        assert!(told(|s| s.threads = 1).contains("threads"));
        assert!(told(|s| s.calls_per_hour = 0).contains("calls_per_hour"));
        assert!(told(|s| s.timeout_s = 0).contains("timeout_s"));
        assert!(told(|s| s.automation = vec![" ".into()]).contains("automation"));
        assert!(told(|s| s.completed_statuses = vec![]).contains("completed_statuses"));
        assert!(told(|s| s.callouts = Callouts::Basic("u".into())).contains("callout-password"));
        for key in ["short", &"x".repeat(65), "with a blank in it"] {
            let secrets = Secrets { webhook_key: Secret::new(key.to_owned()), ..secrets() };
            assert!(plan(settings(), secrets).unwrap_err().to_string().contains("webhook key"), "{key}");
        }
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let json = r#"{"user":"u","integration_code":"c","verify":false}"#;
        assert!(serde_json::from_str::<Settings>(json).unwrap_err().to_string().contains("verify"));
    }
}
