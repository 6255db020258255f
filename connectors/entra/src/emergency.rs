//! Emergency access accounts: members of restricted management administrative units, and those an admin listed.

use std::collections::BTreeMap;

use latchkey_contract::{CallError, ObjectId, directory::ProtectedAccount, outside::Urgency, text::one_line};

use crate::{
    Entra,
    api::Call,
    need::UNITS,
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

impl Entra {
    /// Backs [`latchkey_contract::Directory::protected`]: the listed ones first.
    pub(crate) async fn list_protected(&self) -> Result<Vec<ProtectedAccount>, CallError> {
        let mut found: BTreeMap<ObjectId, ProtectedAccount> = BTreeMap::new();
        for (unit, users) in self.restricted_members().await? {
            for user in users {
                let object = object_id(MEMBERS, &user.id.to_ascii_lowercase())?;
                let name = one_line(&user.user_principal_name, 120);
                let why = format!("in the restricted management unit {unit}");
                let account = found.entry(object.clone());
                let account = account.or_insert(ProtectedAccount { object, name, why: String::new() });
                account.also(&why);
            }
        }
        for listed in &self.settings.protected {
            let object = object_id(USER, &listed.as_str().to_ascii_lowercase())?;
            if !found.contains_key(&object) {
                let name = self.name_of(&object).await?;
                let why = if name.is_none() { "there is no such account".to_owned() } else { String::new() };
                let name = name.unwrap_or_default();
                found.insert(object.clone(), ProtectedAccount { object: object.clone(), name, why });
            }
            if let Some(account) = found.get_mut(&object) {
                account.also("listed under `protected`");
            }
        }
        Ok(found.into_values().collect())
    }

    /// The users of each restricted unit, by the unit's name.
    pub(crate) async fn restricted_members(&self) -> Result<Vec<(String, Vec<User>)>, CallError> {
        let call = Call::new(LIST, &["directory", "administrativeUnits"])
            .query("$select", "id,displayName,isMemberManagementRestricted");
        let units: Vec<Unit> = self.graph.list(&call, Urgency::Ordinary).await?.map_err(|r| r.into_error(UNITS))?;
        let restricted: Vec<Unit> =
            units.into_iter().filter(|unit| unit.is_member_management_restricted == Some(true)).collect();
        if restricted.len() > MOST_UNITS {
            return Err(CallError::malformed(LIST, "more restricted units than a tenant can have"));
        }
        let (mut all, mut count) = (Vec::new(), 0);
        for unit in restricted {
            let path = ["directory", "administrativeUnits", unit.id.as_str(), "members", "microsoft.graph.user"];
            let call = Call::new(MEMBERS, &path).query("$select", "id,userPrincipalName").query("$top", "999");
            let users: Vec<User> = self.graph.list(&call, Urgency::Ordinary).await?.map_err(|r| r.into_error(UNITS))?;
            count += users.len();
            if count > MOST_ACCOUNTS {
                return Err(CallError::malformed(MEMBERS, "more than 5,000 accounts are protected"));
            }
            all.push((unit.name(), users));
        }
        Ok(all)
    }

    async fn name_of(&self, object: &ObjectId) -> Result<Option<String>, CallError> {
        let call = Call::new(USER, &["users", object.as_str()]).query("$select", "id,userPrincipalName");
        match self.graph.get::<User>(&call, Urgency::Ordinary).await? {
            Ok(user) => Ok(Some(one_line(&user.user_principal_name, 120))),
            Err(refusal) if refusal.is_no_object() => Ok(None),
            Err(refusal) => Err(refusal.into_error(UNITS)),
        }
    }
}

/// Adds one more reason.
trait Also {
    fn also(&mut self, why: &str);
}

impl Also for ProtectedAccount {
    fn also(&mut self, why: &str) {
        if !self.why.is_empty() {
            self.why.push_str("; ");
        }
        self.why.push_str(why);
    }
}
