//! The pretend tenant's pages: its accounts, what happened in it, and a place to sign in.

use askama::Template;
use latchkey_simulators::graph::{Actor, Event, Graph, Refused, What};
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{field, page, show, trouble};
use crate::{
    tenant::{CLIENT, DOMAIN, TENANT},
    vendors::Vendors,
};

/// How much of the log the page shows.
const SHOWN_EVENTS: usize = 60;

#[derive(Debug, Template)]
#[template(path = "tenant.html")]
struct Tenant {
    domain: &'static str,
    accounts: Vec<Account>,
    events: Vec<Line>,
}

#[derive(Debug)]
struct Account {
    name: String,
    upn: String,
    is_enabled: bool,
    roles: Vec<Role>,
    groups: Vec<String>,
    password_changed: String,
    sessions_from: String,
}

#[derive(Debug)]
struct Role {
    name: String,
    until: Option<String>,
}

#[derive(Debug)]
struct Line {
    at: String,
    who: &'static str,
    what: &'static str,
    whom: String,
    detail: String,
}

#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    upn: String,
    outcome: Option<Outcome>,
    domain: &'static str,
}

#[derive(Debug)]
enum Outcome {
    In { roles: Vec<String>, groups: Vec<String> },
    Refused(&'static str),
}

pub(super) fn accounts(vendors: &Vendors) -> Response {
    let graph = &vendors.directory.sim;
    let accounts = graph.users(TENANT).iter().rev().map(|user| account(graph, user)).collect();
    let events = graph.events();
    let shown = events.iter().rev().filter(|e| e.what != What::TokenIssued).take(SHOWN_EVENTS);
    page(200, &Tenant { domain: DOMAIN, accounts, events: shown.map(|event| line(graph, event)).collect() })
}

pub(super) fn sign_in_form(_: &Vendors) -> Response {
    page(200, &SignIn { upn: String::new(), outcome: None, domain: DOMAIN })
}

pub(super) fn sign_in(vendors: &Vendors, request: &Request) -> Response {
    let (Some(upn), Some(password)) = (field(request, "upn"), field(request, "password")) else {
        return trouble(400, "Give the account's name and its password.");
    };
    let graph = &vendors.directory.sim;
    let outcome = match graph.sign_in(TENANT, &upn, &password) {
        Ok(may) => Outcome::In {
            roles: may.roles.iter().map(|(role, _)| graph.role_name(TENANT, role)).collect(),
            groups: may.groups.iter().map(|group| graph.group_name(TENANT, group)).collect(),
        },
        Err(refused) => Outcome::Refused(why(refused)),
    };
    page(200, &SignIn { upn, outcome: Some(outcome), domain: DOMAIN })
}

fn account(graph: &Graph, user: &Value) -> Account {
    let text = |name: &str| user[name].as_str().unwrap_or_default().to_owned();
    let id = text("id");
    let role = |held: &Value| Role {
        name: graph.role_name(TENANT, held["roleDefinitionId"].as_str().unwrap_or_default()),
        until: held["end_ms"].as_i64().map(|ms| show::moment(latchkey_contract::Timestamp::from_millis(ms))),
    };
    Account {
        name: text("displayName"),
        upn: text("userPrincipalName"),
        is_enabled: user["accountEnabled"] == true,
        roles: graph.assignments(TENANT, &id).iter().map(role).collect(),
        groups: graph.groups_of(TENANT, &id).iter().map(|group| graph.group_name(TENANT, group)).collect(),
        password_changed: show::moment_of(&text("lastPasswordChangeDateTime")),
        sessions_from: show::moment_of(&text("signInSessionsValidFromDateTime")),
    }
}

fn line(graph: &Graph, event: &Event) -> Line {
    let user = graph.user(TENANT, &event.object);
    let whom = user.as_ref().and_then(|u| u["userPrincipalName"].as_str());
    let role = event.detail["roleDefinitionId"].as_str().map(|role| graph.role_name(TENANT, role));
    let group = event.detail["group"].as_str().map(|group| graph.group_name(TENANT, group));
    Line {
        at: show::moment(latchkey_contract::Timestamp::from_millis(event.at_ms)),
        who: match &event.actor {
            Actor::App(client) if client == CLIENT => "Latchkey",
            Actor::App(_) => "another application",
            Actor::SomebodyElse => "somebody by hand",
            Actor::Vendor => "the tenant itself",
        },
        what: sentence(event.what),
        whom: whom.unwrap_or(&event.object).to_owned(),
        detail: role.or(group).unwrap_or_default(),
    }
}

const fn sentence(what: What) -> &'static str {
    match what {
        What::TokenIssued => "got a token",
        What::UserCreated => "made the account",
        What::UserEnabled => "enabled",
        What::UserDisabled => "disabled",
        What::UserUpdated => "changed",
        What::PasswordReset => "set a new password of",
        What::SessionsRevoked => "cut all sessions of",
        What::UserDeleted => "deleted",
        What::UserRestored => "restored",
        What::UserPurged => "deleted for good",
        What::RoleAssigned => "gave a role to",
        What::RoleUpdated => "moved the end of a role of",
        What::RoleRemoved => "took a role from",
        What::RoleExpired => "let a role run out of",
        What::MemberAdded => "put into a group",
        What::MemberRemoved => "took out of a group",
        What::OwnerAdded => "made an owner of a group",
        What::MethodAdded => "registered a sign-in method of",
        What::MethodRemoved => "removed a sign-in method of",
        What::ExtensionDefined => "defined an attribute of",
    }
}

const fn why(refused: Refused) -> &'static str {
    match refused {
        Refused::NoTenant => "there is no such tenant",
        Refused::NoUser => "there is no such account",
        Refused::Disabled => "the account is disabled",
        Refused::WrongPassword => "the password is wrong",
        Refused::SessionEnded => "the session has ended",
    }
}
