//! Each permission and the directory role, as the token tells them.

use latchkey_contract::Check;

use super::REGISTRATION;
use crate::{
    need::{NEEDED, Need, OPTIONAL},
    token::Rights,
};

pub(super) fn lines(rights: Option<&Rights>) -> Vec<Check> {
    let Some(rights) = rights else {
        return vec![Check::note("permissions", "the token does not show them; the calls below will tell")];
    };
    let mut lines: Vec<Check> = NEEDED.iter().map(|need| needed(need, rights)).collect();
    lines.extend(OPTIONAL.iter().map(|need| optional(need, rights)));
    lines.push(role(rights));
    lines
}

fn needed(need: &Need, rights: &Rights) -> Check {
    let what = format!("permission {}", need.name());
    match held(need, rights) {
        Some(by) => Check::ok(what, by),
        None => Check::red(what, format!("without it {}: {}", need.why, to_do(need))),
    }
}

fn optional(need: &Need, rights: &Rights) -> Check {
    let what = format!("permission {} (optional)", need.name());
    match held(need, rights) {
        Some(by) => Check::ok(what, by),
        None => Check::note(what, format!("not granted: {}. To have it: {}", need.why, to_do(need))),
    }
}

fn held(need: &Need, rights: &Rights) -> Option<String> {
    let by = need.any_of.iter().find(|name| rights.roles.iter().any(|held| held == *name))?;
    Some(if *by == need.name() { "granted".to_owned() } else { format!("granted by {by}") })
}

fn to_do(need: &Need) -> String {
    format!(
        "add {} under {REGISTRATION} > API permissions > Microsoft Graph > Application permissions, then Grant admin consent",
        need.name()
    )
}

fn role(rights: &Rights) -> Check {
    const WHAT: &str = "directory role Privileged Authentication Administrator";
    if rights.may_act_on_admins() {
        return Check::ok(WHAT, "assigned");
    }
    Check::red(
        WHAT,
        "without it passwords cannot be rotated, and an account that holds a role cannot be disabled before the role is \
         taken: assign it under Entra ID > Roles & admins > Privileged Authentication Administrator > Add assignments > \
         the app",
    )
}
