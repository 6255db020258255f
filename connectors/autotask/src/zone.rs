//! Which of the vendor's zones the tenant lives in.
//!
//! Asked without credentials, which the vendor allows [facts 3.1], and kept for a day. A tenant that was moved is answered
//! 401 by its former zone, so after a 401 the zone is asked again, at most once a minute.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use latchkey_contract::{
    CallError, Clock, TicketId,
    outside::{Network, Outside, Urgency, base_url},
};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::{errors::accepted, settings::Plan};

const ASK: &str = "GET /zoneInformation";
const FRESH: Duration = Duration::from_secs(24 * 3600);
const MOVED: Duration = Duration::from_secs(60);
/// Credentials are sent to hosts below this, when the zone is asked for there.
const VENDOR: &str = ".autotask.net";
const OPEN_TICKET: &str = "Autotask/AutotaskExtend/ExecuteCommand.aspx";

/// Where a tenant's API and its pages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    /// Ends in `/ATServicesRest/`.
    pub(crate) api: Url,
    /// The pages that people open.
    pub(crate) web: Url,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    url: String,
    web_url: Option<String>,
}

/// The zone of one connection.
#[derive(Debug)]
pub(crate) struct Zones {
    user: String,
    discovery: Url,
    network: Network,
    is_fixed: bool,
    outside: Outside,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Duration, Zone)>>,
    /// For links, which nobody waits for.
    last: RwLock<Zone>,
}

impl Zones {
    pub(crate) fn new(plan: &Plan, outside: Outside, clock: Arc<dyn Clock>) -> Self {
        let fixed = plan.zone.clone().map(|api| Zone { web: web_of(&api), api });
        let guess = Zone { api: plan.discovery.clone(), web: web_of(&plan.discovery) };
        Self {
            user: plan.settings.user.clone(),
            discovery: plan.discovery.clone(),
            network: plan.settings.network,
            is_fixed: fixed.is_some(),
            outside,
            clock,
            last: RwLock::new(fixed.clone().unwrap_or(guess)),
            known: Mutex::new(fixed.map(|zone| (Duration::ZERO, zone))),
        }
    }

    pub(crate) async fn get(&self) -> Result<Zone, CallError> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, zone)) = known.as_ref()
            && (self.is_fixed || now.saturating_sub(*at) < FRESH)
        {
            return Ok(zone.clone());
        }
        let zone = self.ask().await?;
        *known = Some((now, zone.clone()));
        Ok(zone)
    }

    /// Another zone than the one that answered 401, if the tenant has moved.
    pub(crate) async fn instead_of(&self, former: &Zone) -> Result<Option<Zone>, CallError> {
        if self.is_fixed {
            return Ok(None);
        }
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        let zone = match known.as_ref() {
            Some((_, zone)) if zone != former => zone.clone(),
            Some((at, _)) if now.saturating_sub(*at) < MOVED => return Ok(None),
            _ => {
                let zone = self.ask().await?;
                *known = Some((now, zone.clone()));
                zone
            }
        };
        Ok((zone != *former).then_some(zone))
    }

    /// Asks whatever is kept.
    pub(crate) async fn ask(&self) -> Result<Zone, CallError> {
        let mut url = self.discovery.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["V1.0", "zoneInformation"]);
        }
        url.query_pairs_mut().append_pair("user", &self.user);
        let answer = self.outside.send(ASK, Urgency::Removal, self.outside.request(Method::GET, url)).await?;
        let told: Told = accepted(answer, true).map_err(unknown_user)?.json()?;
        let zone = self.believed(&told).map_err(|why| CallError::malformed(ASK, why))?;
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = zone.clone();
        Ok(zone)
    }

    /// The answer names the host that credentials are sent to: only the vendor's own, or the one that was asked.
    fn believed(&self, told: &Told) -> Result<Zone, &'static str> {
        let url = Url::parse(&told.url).map_err(|_| "the zone's URL is none")?;
        let api = base_url(url, self.network).map_err(|_| "the zone's URL cannot be used")?;
        let is_vendors =
            |url: &Url| url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(VENDOR));
        if api.origin() != self.discovery.origin() && !(is_vendors(&api) && is_vendors(&self.discovery)) {
            return Err("the zone lies at a host that is not the vendor's");
        }
        let web = told.web_url.as_deref().and_then(|url| Url::parse(url).ok());
        Ok(Zone { web: web.unwrap_or_else(|| web_of(&api)), api })
    }

    /// The page that shows the ticket after sign-in. [facts 2.4]
    pub(crate) fn link(&self, id: &TicketId) -> String {
        let mut url = self.last.read().unwrap_or_else(PoisonError::into_inner).web.clone();
        url.set_path(OPEN_TICKET);
        url.query_pairs_mut().append_pair("Code", "OpenTicketDetail").append_pair("TicketID", id.as_str());
        url.into()
    }
}

/// 500 "Zone information could not be determined" is what an unknown user gets. [facts 3.1]
fn unknown_user(error: CallError) -> CallError {
    match error {
        CallError::Refused { op, .. } => {
            CallError::Unauthorized { op, code: "the vendor knows no zone of this API user".into() }
        }
        other => other,
    }
}

/// `webservices3` → `ww3`. [facts 2.4]
fn web_of(api: &Url) -> Url {
    let mut web = api.clone();
    if let Some(host) = api.host_str().and_then(|host| host.strip_prefix("webservices")) {
        // A host that only loses letters stays a host; if not, it is kept.
        let _ = web.set_host(Some(&format!("ww{host}")));
    }
    web.set_path("/");
    web
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{plan, secrets, settings};
    use latchkey_contract::Timestamp;

    #[derive(Debug)]
    struct Still;

    #[async_trait::async_trait]
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        async fn sleep_until(&self, _: Timestamp) {}
    }

    fn zones() -> Zones {
        latchkey_simulators::authority::use_ring();
        let plan = plan(settings(), secrets()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(Still);
        Zones::new(&plan, plan.client(&clock).unwrap(), clock)
    }

    fn told(url: &str) -> Told {
        Told { url: url.into(), web_url: None }
    }

    #[tokio::test]
    async fn only_the_vendors_own_hosts_are_believed() {
        let zones = zones();
        let zone = zones.believed(&told("https://webservices3.autotask.net/ATServicesRest/")).unwrap();
        assert_eq!(zone.web.as_str(), "https://ww3.autotask.net/");
        for bad in [
            "https://evil.example/ATServicesRest/",
            "https://autotask.net.evil.example/",
            "http://webservices3.autotask.net/ATServicesRest/",
            "https://user@webservices3.autotask.net/",
            "https://10.1.2.3/",
            "",
        ] {
            assert!(zones.believed(&told(bad)).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_link_opens_the_ticket() {
        let zones = zones();
        *zones.last.write().unwrap() =
            zones.believed(&told("https://webservices3.autotask.net/ATServicesRest/")).unwrap();
        assert_eq!(
            zones.link(&TicketId::parse("351181").unwrap()),
            "https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTicketDetail&TicketID=351181"
        );
    }
}
