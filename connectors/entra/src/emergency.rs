//! Emergency access accounts: members of restricted management administrative units, and those an admin listed.

use std::collections::BTreeMap;

use latchkey_contract::{CallError, ObjectId, directory::ProtectedAccount, outside::Urgency, text::one_line};

use crate::{
    Entra,
    api::Call,
    need::{ACCOUNTS, UNITS},
    observe::object_id,
    wire::{Unit, User},
};

const LIST: &str = "GET /directory/administrativeUnits";
const MEMBERS: &str = "GET /directory/administrativeUnits/{id}/members/microsoft.graph.user";
const USER: &str = "GET /users/{id}";
/// A tenant has at most 100 restricted units.
const MOST_UNITS: usize = 100;
/// Emergency accounts are few. A tenant that restricts more than this is read no further.
const MOST_ACCOUNTS: usize = 5_000;

/// The restricted units of a tenant.
#[derive(Debug)]
pub(crate) enum Units {
    /// The users of each one, by its name.
    Read(Vec<(String, Vec<User>)>),
    /// The app may not read them.
    Unread,
}

impl Units {
    /// Whether one of them holds this account; `None` when they cannot be read.
    pub(crate) fn hold(&self, object: &ObjectId) -> Option<bool> {
        let Self::Read(units) = self else { return None };
        let mut users = units.iter().flat_map(|(_, users)| users);
        Some(users.any(|user| user.id.eq_ignore_ascii_case(object.as_str())))
    }
}

impl Entra {
    /// Backs [`latchkey_contract::Directory::protected`]. Units are left out, with a warning, where the app may not
    /// read them: what an admin listed stays visible.
    pub(crate) async fn list_protected(&self) -> Result<Vec<ProtectedAccount>, CallError> {
        let units = match self.restricted_units().await? {
            Units::Read(units) => units,
            Units::Unread => {
                tracing::warn!("restricted management units cannot be read and are left out");
                vec![]
            }
        };
        let mut found = Found::default();
        for (unit, users) in &units {
            for user in users {
                let object = object_id(MEMBERS, &user.id.to_ascii_lowercase())?;
                let name = one_line(&user.user_principal_name, 120);
                found.add(object, name, &format!("in the restricted management unit {unit}"));
            }
        }
        for listed in &self.settings.protected {
            let object = object_id(USER, &listed.as_str().to_ascii_lowercase())?;
            let name = match found.0.get(&object) {
                Some(known) => Some(known.name.clone()),
                None => self.name_of(&object).await?,
            };
            let why = if name.is_some() { "listed under protected" } else { "listed under protected, and not there" };
            found.add(object, name.unwrap_or_default(), why);
        }
        Ok(found.0.into_values().collect())
    }

    /// The restricted units with the users in them.
    pub(crate) async fn restricted_units(&self) -> Result<Units, CallError> {
        let call = Call::new(LIST, &["directory", "administrativeUnits"])
            .query("$select", "id,displayName,isMemberManagementRestricted");
        let units: Vec<Unit> = match self.graph.list(&call, Urgency::Ordinary).await? {
            Ok(units) => units,
            Err(refusal) if refusal.is_forbidden() && !refusal.has_permission(UNITS) => return Ok(Units::Unread),
            Err(refusal) => return Err(refusal.into_error(UNITS)),
        };
        // The vendor does not filter by this property.
        let restricted: Vec<Unit> = units.into_iter().filter(Unit::is_restricted).collect();
        if restricted.len() > MOST_UNITS {
            return Err(CallError::malformed(LIST, "more restricted units than a tenant can have"));
        }
        let (mut all, mut count) = (Vec::new(), 0);
        for unit in restricted {
            let users = self.users_in(&unit).await?;
            count += users.len();
            if count > MOST_ACCOUNTS {
                return Err(CallError::malformed(MEMBERS, "more than 5,000 accounts are in restricted units"));
            }
            all.push((unit.name(), users));
        }
        Ok(Units::Read(all))
    }

    async fn users_in(&self, unit: &Unit) -> Result<Vec<User>, CallError> {
        let path = ["directory", "administrativeUnits", unit.id.as_str(), "members", "microsoft.graph.user"];
        let call = Call::new(MEMBERS, &path).query("$select", "id,userPrincipalName").query("$top", "999");
        self.graph.list(&call, Urgency::Ordinary).await?.map_err(|refusal| refusal.into_error(UNITS))
    }

    /// The sign-in name of an account; `None` when there is none of this id.
    pub(crate) async fn name_of(&self, object: &ObjectId) -> Result<Option<String>, CallError> {
        let id = object.as_str().to_ascii_lowercase();
        let call = Call::new(USER, &["users", &id]).query("$select", "id,userPrincipalName");
        match self.graph.get::<User>(&call, Urgency::Ordinary).await? {
            Ok(user) => Ok(Some(one_line(&user.user_principal_name, 120))),
            Err(refusal) if refusal.is_no_object() => Ok(None),
            Err(refusal) => Err(refusal.into_error(ACCOUNTS)),
        }
    }
}

/// Each account once, with every protection it has.
#[derive(Default)]
struct Found(BTreeMap<ObjectId, ProtectedAccount>);

impl Found {
    fn add(&mut self, object: ObjectId, name: String, why: &str) {
        let new = || ProtectedAccount { object: object.clone(), name, why: String::new() };
        let account = self.0.entry(object.clone()).or_insert_with(new);
        if !account.why.is_empty() {
            account.why.push_str("; ");
        }
        account.why.push_str(why);
    }
}
