//! What an admin writes about a HaloPSA connection, and the checks it passes before any call.
//!
//! Everything that differs from instance to instance, or that the vendor does not publish, is a setting with a default
//! that works on the hosted product; `README.md` names for each the fact behind it.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use latchkey_contract::{
    Clock, ConnectionId, Secret, note,
    outside::{self, Limits, Network, Outside, OutsideSettings, Quota},
};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::hook::Door;

const VENDOR: &str = "halopsa";
/// The span of the vendor's fair-use policy.
const SPAN: Duration = Duration::from_secs(300);
/// What is asked for when the admin ticks what the set-up page says. The scope asked for must be the permissions that are
/// ticked: more, and signing in fails.
const SCOPE: &str = "read:tickets edit:tickets read:customers";

/// The settings of one connection. The client secret and the webhook's password are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The instance as agents open it: `https://acme.halopsa.com`; on premises with its path, if it has one.
    pub site: Url,
    /// Where the API answers. Default: `api` below `site`.
    #[serde(default)]
    pub api: Option<Url>,
    /// Where tokens are issued. Default: `auth` below `site`. Trials and custom domains have another host; the instance
    /// shows it under Configuration > Integrations > Halo API.
    #[serde(default)]
    pub auth: Option<Url>,
    /// The tenant, where the instance's API page names one. On premises there is none.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The API application's client id (a GUID).
    pub client_id: String,
    /// The permissions that are ticked on the application, exactly. Default: `read:tickets edit:tickets read:customers`.
    #[serde(default = "default_scope")]
    pub scope: String,
    /// The number of the application's agent, for an instance that does not answer `/Agent/me`. Decides whose notes are
    /// ours. Default: asked.
    #[serde(default)]
    pub api_agent: Option<u32>,
    /// Who may ask for the ticket's owner where a mapping lets automation ask: `system` for the instance's own rules,
    /// or the client id of another application. Only what nothing from outside acts under. Default: none.
    #[serde(default)]
    pub automation: Vec<String>,
    /// Ids of applications in which agents work by hand (an app on the phone, a chat): what is done through them counts as
    /// the agent's own click, as what is done through none does. Only what every agent signs in to himself. Default: none.
    #[serde(default)]
    pub desk_applications: Vec<String>,
    /// Names of the statuses in which a ticket counts as closed. Default: those that the instance leaves out of its open
    /// ones, and `Closed`.
    #[serde(default)]
    pub closed_statuses: Vec<String>,
    /// A ticket with a closing date counts as closed whatever its status. Set it to false where the date stays when a
    /// ticket is opened again. Default: true.
    #[serde(default = "yes")]
    pub date_closed_counts: bool,
    /// The action under which notes are posted, by name or number. Default: the built-in private note.
    #[serde(default)]
    pub note_action: Option<String>,
    /// How notes are sent. Default: `html`, in which every character of ours is escaped.
    #[serde(default)]
    pub note_format: NoteFormat,
    /// What a webhook shows at the door. Default: `basic`.
    #[serde(default)]
    pub hook_auth: HookAuth,
    /// The user of Basic credentials. Default: `latchkey`.
    #[serde(default = "default_hook_user")]
    pub hook_user: String,
    /// The header that is looked at with `hook_auth = "header"` or `"hmac"`.
    #[serde(default)]
    pub hook_header: Option<String>,
    /// The webhook's id (a GUID): deliveries that name another one are refused. Default: any.
    #[serde(default)]
    pub hook_id: Option<String>,
    /// Events that the webhook is bound to, by name or number. Default: status changed, closed, reassigned, updated,
    /// deleted.
    #[serde(default = "default_events")]
    pub events: Vec<String>,
    /// The vendor's number for POST, for a webhook that is made by command. Default: 0.
    #[serde(default)]
    pub hook_method: i64,
    /// The vendor's number of the payload option, for a webhook that is made by command. Read it from one that was made by
    /// hand. Default: left to the instance.
    #[serde(default)]
    pub hook_payload: Option<i64>,
    /// Calls in any five minutes, 50 to 5000; a sixth of them is kept for removals. Default: 400, since the vendor's 700
    /// may be shared with other integrations.
    #[serde(default = "default_calls")]
    pub calls: u32,
    /// `private` for an on-premises instance. Default: `public`.
    #[serde(default)]
    pub network: Network,
    /// A PEM file with the CA of an on-premises instance; read by whoever builds the connection.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time of one API call in seconds, 1 to 60: the vendor's gateway gives up after 60.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
}

/// How a note is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteFormat {
    /// As `note_html`.
    #[default]
    Html,
    /// As `note`.
    Text,
}

/// What a webhook shows at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookAuth {
    /// User and password: what the vendor documents.
    #[default]
    Basic,
    /// `Authorization: Bearer` with the password, where a build offers it.
    Bearer,
    /// A header of the admin's choice with the password, from a runbook's method.
    Header,
    /// A header of the admin's choice with a keyed SHA-256 of the body, from a runbook that can make one.
    Hmac,
}

fn default_scope() -> String {
    SCOPE.to_owned()
}

fn default_hook_user() -> String {
    "latchkey".to_owned()
}

fn default_events() -> Vec<String> {
    ["Ticket Status Changed", "Closed", "Ticket Reassigned", "Ticket Updated", "Ticket Deleted"]
        .map(str::to_owned)
        .into()
}

const fn default_calls() -> u32 {
    400
}

const fn default_timeout_s() -> u64 {
    30
}

const fn yes() -> bool {
    true
}

/// Why a connection cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A URL or the CA file is not usable.
    #[error(transparent)]
    Outside(#[from] outside::SetupError),
    /// The marker key is too short.
    #[error(transparent)]
    Marker(#[from] note::ShortKey),
    /// `client_id` or `hook_id` is not a GUID.
    #[error("connection {0}: {1} must be the GUID that the instance shows")]
    NotAGuid(ConnectionId, &'static str),
    /// A text that must not be empty is.
    #[error("connection {0}: {1} must not be empty; leave it out instead")]
    Empty(ConnectionId, &'static str),
    /// Our own application is among the desk's.
    #[error(
        "connection {0}: desk_applications must not have client_id: whoever calls the API with it could name any agent \
             as the author"
    )]
    OwnDesk(ConnectionId),
    /// One application is among the desk's and among automation.
    #[error("connection {0}: {1} is in desk_applications and in automation: it is either agents at work, or a program")]
    DeskAndAutomation(ConnectionId, String),
    /// The client secret is missing or cannot be sent.
    #[error("connection {0}: the client secret must be the non-empty text that was shown once")]
    BadSecret(ConnectionId),
    /// `tenant` is not a name.
    #[error(
        "connection {0}: tenant must be the name on the instance's API page: letters, digits, '-', '_'; on premises \
             leave it out"
    )]
    BadTenant(ConnectionId),
    /// The door is too weak.
    #[error("connection {0}: the webhook's password must have 32 to 200 printable characters without blanks")]
    WeakHook(ConnectionId),
    /// `hook_user` cannot be sent.
    #[error("connection {0}: hook_user must be printable text without ':' and blanks")]
    BadHookUser(ConnectionId),
    /// `hook_header` is missing, or there is no use for it.
    #[error("connection {0}: hook_header is the name of one header, and goes with hook_auth = \"header\" or \"hmac\"")]
    BadHookHeader(ConnectionId),
    /// A number is out of range.
    #[error("connection {0}: {1}")]
    OutOfRange(ConnectionId, &'static str),
}

/// Checked settings, ready to build a connector from.
pub(crate) struct Plan {
    pub(crate) id: ConnectionId,
    pub(crate) site: Url,
    pub(crate) api: Url,
    pub(crate) auth: Url,
    pub(crate) tenant: Option<String>,
    pub(crate) client_id: Uuid,
    pub(crate) client_secret: Secret<String>,
    pub(crate) door: Door,
    pub(crate) settings: Settings,
    ca_pem: Option<String>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({})", self.id)
    }
}

impl Settings {
    /// What the webhook shows is set at the instance by hand: its API is known to take user and password alone.
    #[must_use]
    pub fn hook_is_set_by_hand(&self) -> bool {
        self.hook_auth != HookAuth::Basic
    }

    pub(crate) fn checked(
        self,
        id: &ConnectionId,
        client_secret: Secret<String>,
        hook_password: Secret<String>,
        ca_pem: Option<String>,
    ) -> Result<Plan, SetupError> {
        let site = outside::base_url(self.site.clone(), self.network)?;
        let below = |own: &Option<Url>, name: &str| {
            let url = own.clone().unwrap_or_else(|| {
                let mut url = site.clone();
                url.set_path(&format!("{}{name}", site.path()));
                url
            });
            outside::base_url(url, self.network)
        };
        let (api, auth) = (below(&self.api, "api")?, below(&self.auth, "auth")?);
        self.check_texts(id)?;
        self.check_numbers(id)?;
        let client_id = Uuid::try_parse(&self.client_id).map_err(|_| SetupError::NotAGuid(id.clone(), "client_id"))?;
        self.check_desk(id, client_id)?;
        if client_secret.expose().is_empty() || !client_secret.expose().chars().all(|c| c.is_ascii_graphic()) {
            return Err(SetupError::BadSecret(id.clone()));
        }
        Ok(Plan {
            id: id.clone(),
            client_id,
            // Other products write the word where there is no tenant.
            tenant: self.tenant.clone().filter(|t| !t.eq_ignore_ascii_case("none")),
            door: Door::of(&self, hook_password, id)?,
            site,
            api,
            auth,
            client_secret,
            settings: self,
            ca_pem,
        })
    }

    fn check_texts(&self, id: &ConnectionId) -> Result<(), SetupError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.tenant.as_ref().is_some_and(|t| !(1..=100).contains(&t.len()) || !t.chars().all(is_name)) {
            return Err(SetupError::BadTenant(id.clone()));
        }
        let lists = [
            ("a name in automation", &self.automation),
            ("an id in desk_applications", &self.desk_applications),
            ("a name in closed_statuses", &self.closed_statuses),
            ("a name in events", &self.events),
        ];
        for (name, list) in lists {
            if list.iter().any(|text| text.trim().is_empty()) {
                return Err(SetupError::Empty(id.clone(), name));
            }
        }
        if self.note_action.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(SetupError::Empty(id.clone(), "note_action"));
        }
        if self.scope.trim().is_empty() {
            return Err(SetupError::Empty(id.clone(), "scope"));
        }
        Ok(())
    }

    fn check_desk(&self, id: &ConnectionId, own: Uuid) -> Result<(), SetupError> {
        for listed in self.desk_applications.iter().map(|listed| listed.trim()) {
            // In whichever way a GUID is written.
            if Uuid::try_parse(listed).is_ok_and(|listed| listed == own) {
                return Err(SetupError::OwnDesk(id.clone()));
            }
            if self.automation.iter().any(|name| name.trim().eq_ignore_ascii_case(listed)) {
                return Err(SetupError::DeskAndAutomation(id.clone(), listed.to_owned()));
            }
        }
        Ok(())
    }

    fn check_numbers(&self, id: &ConnectionId) -> Result<(), SetupError> {
        let out = |what| Err(SetupError::OutOfRange(id.clone(), what));
        if !(1..=60).contains(&self.timeout_s) {
            return out("timeout_s must be 1 to 60");
        }
        if !(50..=5000).contains(&self.calls) {
            return out("calls must be 50 to 5000");
        }
        if self.api_agent.is_some_and(|agent| agent < 2) {
            return out("api_agent must be the number of the application's own agent; 1 is nobody");
        }
        if self.events.is_empty() {
            return out("events must name at least one event, or be left out");
        }
        Ok(())
    }
}

impl Plan {
    /// The client of all calls, within the vendor's budget.
    pub(crate) fn client(&self, clock: &Arc<dyn Clock>) -> Result<Outside, SetupError> {
        let settings = OutsideSettings {
            connection: self.id.clone(),
            vendor: VENDOR,
            network: self.settings.network,
            ca_pem: self.ca_pem.clone(),
            timeout: Duration::from_secs(self.settings.timeout_s),
        };
        let calls = self.settings.calls;
        let quota = Quota { calls, per: SPAN, for_removals: calls / 6 };
        let limits = Limits { in_time: Some(quota), ..Limits::default() };
        Ok(Outside::new(&settings, Arc::clone(clock))?.within(limits))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PASSWORD: &str = "p4ss:word-of-more-than-32-characters";

    pub(crate) fn settings(site: &str) -> Settings {
        let json = format!(r#"{{"site":"{site}","client_id":"c9534241-dde9-4d04-9d45-32b1fbff22ed"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    pub(crate) fn plan(settings: Settings) -> Result<Plan, SetupError> {
        let id = ConnectionId::parse("halo").unwrap();
        settings.checked(&id, Secret::new("secret".into()), Secret::new(PASSWORD.into()), None)
    }

    #[test]
    fn api_and_tokens_lie_below_the_site_unless_said() {
        let of = |settings| plan(settings).map(|p| (p.api.to_string(), p.auth.to_string())).unwrap();
        let (api, auth) = of(settings("https://acme.halopsa.com"));
        assert_eq!((api.as_str(), auth.as_str()), ("https://acme.halopsa.com/api/", "https://acme.halopsa.com/auth/"));
        let (api, auth) = of(settings("https://psa.example.com/halo/"));
        assert_eq!(
            (api.as_str(), auth.as_str()),
            ("https://psa.example.com/halo/api/", "https://psa.example.com/halo/auth/")
        );
        let custom =
            Settings { auth: "https://auth.halo.example/".parse().ok(), ..settings("https://desk.msp.example") };
        assert_eq!(of(custom).1, "https://auth.halo.example/");
    }

    #[test]
    fn the_word_none_is_no_tenant() {
        let of = |name: &str| plan(Settings { tenant: Some(name.into()), ..settings("https://a.example") });
        assert_eq!(of("None").unwrap().tenant, None);
        assert_eq!(of("acme").unwrap().tenant.as_deref(), Some("acme"));
        assert!(of("a b").unwrap_err().to_string().contains("tenant"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_do() {
        let told = |change: fn(&mut Settings)| {
            let mut s = settings("https://acme.halopsa.com");
            change(&mut s);
            plan(s).unwrap_err().to_string()
        };
        assert!(told(|s| s.site = "http://acme.halopsa.com".parse().unwrap()).contains("https"));
        assert!(told(|s| s.auth = "https://10.1.2.3".parse().ok()).contains("network"));
        assert!(told(|s| s.client_id = "1".into()).contains("client_id"));
        assert!(told(|s| s.timeout_s = 61).contains("timeout_s"));
        assert!(told(|s| s.calls = 7).contains("calls"));
        assert!(told(|s| s.api_agent = Some(1)).contains("api_agent"));
        assert!(told(|s| s.automation = vec![" ".into()]).contains("automation"));
        assert!(told(|s| s.desk_applications = vec!["c953".into(), " ".into()]).contains("an id in desk_applications"));
        for own in ["C9534241-DDE9-4D04-9D45-32B1FBFF22ED", " {c9534241-dde9-4d04-9d45-32b1fbff22ed} "] {
            let mut s = settings("https://acme.halopsa.com");
            s.desk_applications = vec!["c953".into(), own.into()];
            assert!(matches!(plan(s), Err(SetupError::OwnDesk(_))), "{own}");
        }
        let both = told(|s| (s.automation, s.desk_applications) = (vec!["C953".into()], vec!["c953".into()]));
        assert!(both.contains("automation"), "{both}");
        assert!(told(|s| s.closed_statuses = vec![String::new()]).contains("closed_statuses"));
        assert!(told(|s| s.events = vec![]).contains("events"));
        assert!(told(|s| s.scope = " ".into()).contains("scope"));
        assert!(told(|s| s.hook_user = "a:b".into()).contains("hook_user"));
        assert!(told(|s| s.hook_header = Some("x-y".into())).contains("hook_header"));
        assert!(told(|s| s.hook_auth = HookAuth::Header).contains("hook_header"));
        assert!(told(|s| s.hook_id = Some("x".into())).contains("hook_id"));
    }

    #[test]
    fn a_weak_door_and_an_unknown_setting_are_errors() {
        let id = ConnectionId::parse("halo").unwrap();
        for weak in ["", "short", &"x ".repeat(20)] {
            let built =
                settings("https://a.example").checked(&id, Secret::new("s".into()), Secret::new(weak.into()), None);
            assert!(matches!(built, Err(SetupError::WeakHook(_))), "{weak:?}");
        }
        let json = r#"{"site":"https://a.example","client_id":"c","verify":false}"#;
        assert!(serde_json::from_str::<Settings>(json).unwrap_err().to_string().contains("verify"));
        assert!(!format!("{:?}", plan(settings("https://a.example")).unwrap()).contains("secret"));
    }
}
