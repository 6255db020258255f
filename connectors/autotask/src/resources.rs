//! Resources of the PSA: people, API users, the system; and which of them is us.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use latchkey_contract::{
    CallError, Clock, MemberId,
    outside::Urgency,
    text::is_same_name,
    ticket::{Actor, Member},
};
use tokio::sync::Mutex;

use crate::{
    api::{Api, Ask, number},
    filter::{Filter, IDS_PER_CALL},
    metadata::{self, Metadata},
    settings::Plan,
    wire,
};

pub(crate) const LIST: &str = "POST /Resources/query";
const ONE: &str = "GET /Resources/{id}";
const FRESH: Duration = Duration::from_secs(3600);
/// The licence of an API user in one client's code; the tenant's own list is asked as well. [facts 2.6]
const API_LICENCE: i64 = 7;

/// The resources of one connection.
#[derive(Debug)]
pub(crate) struct Resources {
    user: String,
    configured: Option<MemberId>,
    automation: Vec<String>,
    clock: Arc<dyn Clock>,
    me: Mutex<Option<i64>>,
    /// User names by number: they are shown and compared, but nobody is let in by them.
    names: Mutex<HashMap<i64, (Duration, Option<String>)>>,
}

impl Resources {
    pub(crate) fn new(plan: &Plan, clock: Arc<dyn Clock>) -> Self {
        let settings = &plan.settings;
        Self {
            user: settings.user.clone(),
            configured: settings.api_resource.clone(),
            automation: settings.automation.clone(),
            clock,
            me: Mutex::new(None),
            names: Mutex::default(),
        }
    }

    /// Our own resource's number: whose notes are ours is never guessed. [facts 10, step 4]
    ///
    /// # Errors
    /// [`CallError::Unauthorized`] where the API user may not look itself up: `api_resource` must be set then.
    pub(crate) async fn me(&self, api: &Api, urgency: Urgency) -> Result<i64, CallError> {
        if let Some(id) = self.configured.as_ref().and_then(|id| number(id.as_str())) {
            return Ok(id);
        }
        let mut me = self.me.lock().await;
        if let Some(id) = *me {
            return Ok(id);
        }
        let id = self.ask_me(api, urgency).await?;
        *me = Some(id);
        Ok(id)
    }

    pub(crate) async fn ask_me(&self, api: &Api, urgency: Urgency) -> Result<i64, CallError> {
        let untold = || CallError::Unauthorized { op: LIST, code: "set api_resource: we may not see ourselves".into() };
        Ok(self.find(api, &self.user, urgency).await?.ok_or_else(untold)?.id)
    }

    /// The resource with this user name, compared without case; `None` when there is none. User names are unique. [facts 4.5]
    pub(crate) async fn by_name(&self, api: &Api, meta: &Metadata, name: &str) -> Result<Option<Member>, CallError> {
        match self.find(api, name, Urgency::Ordinary).await? {
            Some(found) => self.member(api, meta, found, Urgency::Ordinary).await.map(Some),
            None => Ok(None),
        }
    }

    /// The resource with this number; `None` when there is none: a contact's number is not found here. [facts 2.6]
    pub(crate) async fn by_id(
        &self,
        api: &Api,
        meta: &Metadata,
        id: &MemberId,
        urgency: Urgency,
    ) -> Result<Option<Member>, CallError> {
        let Some(number) = number(id.as_str()) else { return Ok(None) };
        match self.fetch(api, number, urgency).await? {
            Some(found) => self.member(api, meta, found, urgency).await.map(Some),
            None => Ok(None),
        }
    }

    /// The user name behind a number; `None` for a number that is no resource's.
    pub(crate) async fn name(&self, api: &Api, id: i64, urgency: Urgency) -> Result<Option<String>, CallError> {
        let now = self.clock.monotonic();
        if let Some((at, name)) = self.names.lock().await.get(&id)
            && now.saturating_sub(*at) < FRESH
        {
            return Ok(name.clone());
        }
        let name = self.fetch(api, id, urgency).await?.and_then(|found| found.user_name);
        self.names.lock().await.insert(id, (now, name.clone()));
        Ok(name)
    }

    /// Those of `ids` that the PSA does not call active: switched off, or not listed any more.
    pub(crate) async fn inactive(&self, api: &Api, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        let numbers: BTreeSet<i64> = ids.iter().filter_map(|id| number(id.as_str())).collect();
        let numbers: Vec<i64> = numbers.into_iter().collect();
        let mut active = BTreeSet::new();
        for part in numbers.chunks(IDS_PER_CALL) {
            let wanted = [Filter::one_of("id", part)];
            let rows: Vec<wire::Resource> = api.query(LIST, &wanted, wire::RESOURCE, Urgency::Removal).await?;
            active.extend(rows.into_iter().filter(|row| row.is_active == Some(true)).map(|row| row.id));
        }
        let is_active = |id: &MemberId| number(id.as_str()).is_some_and(|id| active.contains(&id));
        Ok(ids.iter().filter(|id| !is_active(id)).cloned().collect())
    }

    /// What kind of identity acts under this name.
    pub(crate) async fn actor(
        &self,
        api: &Api,
        meta: &Metadata,
        name: &str,
        urgency: Urgency,
    ) -> Result<Actor, CallError> {
        let Some(found) = self.find(api, name, urgency).await? else { return Ok(Actor::Unknown) };
        let (is_me, is_listed) = (found.id == self.me(api, urgency).await?, self.is_automation(name));
        Ok(match self.member(api, meta, found, urgency).await? {
            member if member.is_human && !is_me => Actor::Member,
            _ if is_listed && !is_me => Actor::Automation,
            _ => Actor::Unknown,
        })
    }

    pub(crate) async fn all(&self, api: &Api, meta: &Metadata) -> Result<Vec<Member>, CallError> {
        let rows: Vec<wire::Resource> = api.query(LIST, &[Filter::all()], wire::RESOURCE, Urgency::Ordinary).await?;
        let mut members = Vec::new();
        for row in rows {
            members.push(self.member(api, meta, row, Urgency::Ordinary).await?);
        }
        Ok(members)
    }

    fn is_automation(&self, name: &str) -> bool {
        self.automation.iter().any(|listed| is_same_name(listed, name))
    }

    async fn find(&self, api: &Api, name: &str, urgency: Urgency) -> Result<Option<wire::Resource>, CallError> {
        let wanted = [Filter::is("userName", name.trim())];
        let rows: Vec<wire::Resource> = api.query(LIST, &wanted, wire::RESOURCE, urgency).await?;
        let is_it = |row: &wire::Resource| row.user_name.as_deref().is_some_and(|own| is_same_name(own, name));
        let mut same = rows.into_iter().filter(is_it);
        match (same.next(), same.next()) {
            (Some(_), Some(_)) => Err(CallError::malformed(LIST, "two resources have this user name")),
            (first, _) => Ok(first),
        }
    }

    async fn fetch(&self, api: &Api, id: i64, urgency: Urgency) -> Result<Option<wire::Resource>, CallError> {
        let ask = Ask::new(ONE, ["Resources", &id.to_string()]).urgent(urgency);
        match api.item::<wire::Resource>(&ask).await? {
            Some(found) if found.id != id => Err(CallError::malformed(ONE, "another resource was answered")),
            found => Ok(found),
        }
    }

    /// The border for members. Whatever does not say that it is an active person is none; an API user never is, whatever
    /// number the tenant gives that licence, and neither is a name that an admin listed as automation: the system's own
    /// resource looks like a person. [facts 2.1, 2.6]
    async fn member(
        &self,
        api: &Api,
        meta: &Metadata,
        wire: wire::Resource,
        urgency: Urgency,
    ) -> Result<Member, CallError> {
        let name = wire.user_name.unwrap_or_default();
        let licences = meta.picks(api, metadata::RESOURCE, "licenseType", urgency).await?;
        let is_persons = |licence: i64| match licences.iter().find(|pick| pick.value == licence.to_string()) {
            Some(pick) => !pick.label.as_deref().unwrap_or_default().to_uppercase().contains("API"),
            // A licence that is not on the list; or there is no list to read.
            None => licences.is_empty(),
        };
        let is_person = wire.license_type.is_some_and(|licence| licence != API_LICENCE && is_persons(licence));
        let full: Vec<String> =
            [wire.first_name, wire.last_name].into_iter().flatten().filter(|part| !part.trim().is_empty()).collect();
        Ok(Member {
            id: MemberId::parse(wire.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?,
            full_name: if full.is_empty() { name.clone() } else { full.join(" ") },
            mail: wire.email.filter(|mail| !mail.trim().is_empty()),
            is_active: wire.is_active == Some(true),
            is_human: is_person && !name.trim().is_empty() && !self.is_automation(&name),
            name,
        })
    }
}
