//! Members of the PSA, and which of them is us.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use latchkey_contract::{
    CallError, Clock, MemberId,
    outside::Urgency,
    text::is_same_name,
    ticket::{Actor, Member},
};
use tokio::sync::Mutex;

use crate::{
    api::{Api, Ask, number},
    conditions::{Conditions, IDS_PER_CALL, Match},
    paging::{LARGEST, Paging},
    wire,
};

pub(crate) const LIST: &str = "GET /system/members";
const ONE: &str = "GET /system/members/{id}";
const MINE: &str = "GET /system/mymembers";
const FRESH: Duration = Duration::from_secs(3600);

/// The licence class of API members.
const API_LICENCE: &str = "A";
/// Login names of the PSA's own automation: workflow rules, mail, imports. Compared without case.
const SYSTEM_NAMES: &[&str] = &["zadmin", "workflow", "system", "connectwise", "automate", "emailconnector", "api"];

/// The member with this login name, compared without case; `None` when there is none, or when the name could not be
/// one.
pub(crate) async fn by_name(api: &Api, name: &str, urgency: Urgency) -> Result<Option<Member>, CallError> {
    let Some(conditions) = Conditions::text("identifier", Match::Equals, name) else { return Ok(None) };
    let ask = Ask::new(LIST, ["system", "members"]).query("conditions", conditions.into_text());
    let ask = ask.urgent(urgency);
    let found: Vec<wire::Member> = api.list(&ask, Paging::Navigable(25)).await?;
    let mut same = found.into_iter().filter(|m| is_same_name(&m.identifier, name));
    match (same.next(), same.next()) {
        (Some(_), Some(_)) => Err(CallError::malformed(LIST, "two members have this login name")),
        (first, _) => first.map(member).transpose(),
    }
}

/// The member with this id; `None` when there is none.
pub(crate) async fn by_id(api: &Api, id: &MemberId, urgency: Urgency) -> Result<Option<Member>, CallError> {
    let Some(number) = number(id.as_str()) else { return Ok(None) };
    let ask = Ask::new(ONE, ["system", "members", &number.to_string()]).urgent(urgency);
    match api.call_if_any::<wire::Member>(&ask).await? {
        Some(found) if found.id != i64::from(number) => Err(CallError::malformed(ONE, "another member was answered")),
        found => found.map(member).transpose(),
    }
}

/// Those of `ids` that the PSA does not call active: switched off, or not listed any more.
pub(crate) async fn inactive(api: &Api, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
    let numbers: BTreeSet<u32> = ids.iter().filter_map(|id| number(id.as_str())).collect();
    let numbers: Vec<u32> = numbers.into_iter().collect();
    let mut active = BTreeSet::new();
    for part in numbers.chunks(IDS_PER_CALL) {
        let ask = Ask::new(LIST, ["system", "members"]).query("conditions", Conditions::one_of("id", part).into_text());
        let ask = ask.urgent(Urgency::Removal);
        let rows: Vec<wire::Member> = api.list(&ask, LARGEST).await?;
        active.extend(rows.into_iter().filter(|m| m.inactive_flag == Some(false)).map(|m| m.id));
    }
    let is_active = |id: &MemberId| number(id.as_str()).is_some_and(|n| active.contains(&i64::from(n)));
    Ok(ids.iter().filter(|id| !is_active(id)).cloned().collect())
}

/// What kind of identity acts under this name. `automation` are the names that an admin listed: a person is none of
/// them even so, and neither are we.
pub(crate) async fn actor(
    api: &Api,
    (automation, me): (&[String], &str),
    name: &str,
    urgency: Urgency,
) -> Result<Actor, CallError> {
    let member = by_name(api, name, urgency).await?;
    Ok(match member {
        Some(member) if member.is_human => Actor::Member,
        _ if !is_same_name(name, me) && automation.iter().any(|listed| is_same_name(listed, name)) => Actor::Automation,
        _ => Actor::Unknown,
    })
}

/// The border for members. Whatever does not say that it is an active person is none.
pub(crate) fn member(wire: wire::Member) -> Result<Member, CallError> {
    let is_system = SYSTEM_NAMES.iter().any(|system| is_same_name(system, &wire.identifier));
    let licence = wire.license_class.as_deref().unwrap_or(API_LICENCE);
    let names = [wire.first_name, wire.last_name];
    let full_name: Vec<String> = names.into_iter().flatten().filter(|n| !n.trim().is_empty()).collect();
    Ok(Member {
        id: MemberId::parse(wire.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?,
        full_name: if full_name.is_empty() { wire.identifier.clone() } else { full_name.join(" ") },
        name: wire.identifier,
        mail: wire.primary_email.or(wire.office_email).filter(|m| !m.trim().is_empty()),
        is_active: wire.inactive_flag == Some(false),
        is_human: !licence.trim().eq_ignore_ascii_case(API_LICENCE) && !is_system,
    })
}

/// Our own API member's login name: from the settings, or asked and kept for an hour.
#[derive(Debug)]
pub(crate) struct Me {
    configured: Option<String>,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Duration, String)>>,
}

impl Me {
    pub(crate) fn new(configured: Option<String>, clock: Arc<dyn Clock>) -> Self {
        Self { configured, clock, known: Mutex::new(None) }
    }

    /// As the settings name it.
    pub(crate) fn configured(&self) -> Option<&str> {
        self.configured.as_deref()
    }

    /// # Errors
    /// [`CallError::Unauthorized`] where the instance does not tell: `api_member` must be set then. Whose notes are
    /// ours is never guessed.
    pub(crate) async fn name(&self, api: &Api, urgency: Urgency) -> Result<String, CallError> {
        if let Some(name) = &self.configured {
            return Ok(name.clone());
        }
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        match known.as_ref() {
            Some((at, name)) if now.saturating_sub(*at) < FRESH => Ok(name.clone()),
            _ => {
                let name = ask(api, urgency).await?;
                *known = Some((now, name.clone()));
                Ok(name)
            }
        }
    }
}

/// Whose keys these are.
pub(crate) async fn ask(api: &Api, urgency: Urgency) -> Result<String, CallError> {
    let untold = |code: &str| CallError::Unauthorized { op: MINE, code: format!("set api_member: {code}") };
    let mine = match api.call::<wire::MyMember>(&Ask::new(MINE, ["system", "mymembers"]).urgent(urgency)).await {
        Ok(wire::MyMember::One(one)) => one,
        Ok(wire::MyMember::List(mut list)) if list.len() == 1 => list.remove(0),
        Ok(wire::MyMember::List(_)) => return Err(untold("several members were named")),
        Err(CallError::Refused { code, .. }) => return Err(untold(&code)),
        Err(other) => return Err(other),
    };
    if mine.identifier.trim().is_empty() { Err(untold("no name was given")) } else { Ok(mine.identifier) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Member {
        member(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn a_person_is_active_and_human() {
        let m = parse(
            r#"{"id":176,"identifier":"jdoe","firstName":"Jane","lastName":"Doe","officeEmail":"jdoe@examplemsp.example","licenseClass":"F","inactiveFlag":false}"#,
        );
        assert_eq!((m.id.as_str(), m.name.as_str(), m.full_name.as_str()), ("176", "jdoe", "Jane Doe"));
        assert_eq!(m.mail.as_deref(), Some("jdoe@examplemsp.example"));
        assert!(m.is_active && m.is_human);
    }

    #[test]
    fn whoever_does_not_say_that_it_is_an_active_person_is_none() {
        let m = parse(r#"{"id":1,"identifier":"x"}"#);
        assert!(!m.is_active && !m.is_human);
        assert!(!parse(r#"{"id":1,"identifier":"x","licenseClass":"A","inactiveFlag":false}"#).is_human);
        assert!(!parse(r#"{"id":1,"identifier":"zAdmin","licenseClass":"F","inactiveFlag":false}"#).is_human);
        assert!(!parse(r#"{"id":1,"identifier":"x","licenseClass":"F","inactiveFlag":true}"#).is_active);
    }

    #[test]
    fn our_own_record_is_read_in_both_shapes() {
        assert!(matches!(serde_json::from_str(r#"{"identifier":"JitApi"}"#), Ok(wire::MyMember::One(_))));
        assert!(matches!(serde_json::from_str(r#"[{"identifier":"JitApi"}]"#), Ok(wire::MyMember::List(_))));
    }
}
