//! What the security role of a tenant's API members lets them do, and how the vendor tells them.
//!
//! Only what an integration meets is played: a call without its right is answered 403. `My` lets calls pass like `All`
//! does; what it would hide from them is not played.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Cx;
use super::errors::Refusal;
use crate::server::Response;

/// What is done to records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Add,
    Edit,
    Delete,
    Inquire,
}

/// How far a right reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    None,
    /// Only the member's own records.
    My,
    All,
}

/// How `/system/mySecurity` answers; the vendor's description has no word on API members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MySecurity {
    /// The rows of the caller's role.
    #[default]
    Told,
    /// 403.
    Forbidden,
    /// The release does not have it.
    Unknown,
}

/// Module, and function within it.
const FUNCTIONS: [(&str, &str); 5] = [
    ("Companies", "Company Maintenance"),
    ("Service Desk", "Close Service Tickets"),
    ("Service Desk", "Service Tickets"),
    ("System", "Member Maintenance"),
    ("System", "Table Setup"),
];

/// The role of a tenant's API members: everything, until something is taken.
#[derive(Debug, Default)]
pub(super) struct Rights(BTreeMap<(String, Verb), Level>);

impl Rights {
    pub(super) fn set(&mut self, function: &str, verb: Verb, level: Level) {
        self.0.insert((function.to_owned(), verb), level);
    }

    fn level(&self, function: &str, verb: Verb) -> Level {
        self.0.get(&(function.to_owned(), verb)).copied().unwrap_or(Level::All)
    }

    /// # Errors
    /// 403 where the role lacks what an operation needs.
    pub(super) fn allow(&self, op: &str) -> Result<(), Refusal> {
        match needed(op) {
            Some((function, verb)) if self.level(function, verb) == Level::None => Err(Refusal::forbidden(function)),
            _ => Ok(()),
        }
    }
}

/// What an operation needs; `None` for what every member may ask.
fn needed(op: &str) -> Option<(&'static str, Verb)> {
    let (method, path) = op.split_once(' ')?;
    let begins = |prefix: &str| path.starts_with(prefix);
    let function = if begins("/service/tickets") {
        "Service Tickets"
    } else if begins("/company/") {
        "Company Maintenance"
    } else if begins("/system/members") || begins("/system/apiMembers") {
        "Member Maintenance"
    } else if begins("/service/") || begins("/system/callbacks") || begins("/system/userDefinedFields") {
        "Table Setup"
    } else {
        return None;
    };
    let verb = match method {
        "POST" if begins("/service/tickets/search") => Verb::Inquire,
        "POST" => Verb::Add,
        "PATCH" | "PUT" => Verb::Edit,
        "DELETE" => Verb::Delete,
        _ => Verb::Inquire,
    };
    Some((function, verb))
}

/// `GET /system/mySecurity`
pub(super) fn mine(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    match cx.settings.my_security {
        MySecurity::Told => {}
        MySecurity::Forbidden => return Err(Refusal::forbidden("My Security")),
        MySecurity::Unknown => return Err(Refusal::no_endpoint()),
    }
    let rights = &cx.desk.tenant.rights;
    let rows = (1..).zip(FUNCTIONS).map(|(id, function)| row(id, function, rights)).collect();
    cx.listed(rows, &[])
}

fn row(id: i64, (module, function): (&str, &str), rights: &Rights) -> Value {
    let level = |verb| format!("{:?}", rights.level(function, verb));
    json!({
        "id": id, "addLevel": level(Verb::Add), "editLevel": level(Verb::Edit), "deleteLevel": level(Verb::Delete),
        "inquireLevel": level(Verb::Inquire), "moduleFunctionName": function, "moduleFunctionDescription": function,
        "moduleFunctionIdentifier": function.replace(' ', ""), "moduleName": module, "moduleDescription": module,
        "moduleIdentifier": module.replace(' ', ""), "myAllFlag": true, "reportFlag": false, "restrictFlag": false,
        "customFlag": false, "sortOrder": id, "_info": {},
    })
}
