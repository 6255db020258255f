//! The doctor's lines about one tenant. Nothing here changes anything.
//!
//! Reading order: the token, without which nothing else can be judged; then `rights` (what the token says it may do),
//! `tenant` (domains, licence, PIM), `given` (what policies give), `emergency` (accounts that are never touched). A line
//! whose question was refused is left out where the permission behind it has a line of its own.

mod emergency;
mod given;
mod rights;
mod tenant;

use latchkey_contract::{CallError, Check, directory::DirectoryWants};

use crate::{
    Entra,
    need::{ACCOUNTS, Need},
    refusal::Refusal,
    token,
};

const REGISTRATION: &str = "Entra ID > App registrations > the app";

impl Entra {
    /// Backs [`latchkey_contract::Directory::preflight`]. Asks for a token of its own: rights are frozen when one is
    /// issued.
    pub(crate) async fn check(&self, want: &DirectoryWants) -> Vec<Check> {
        const WHAT: &str = "token";
        let token = match self.graph.tokens.renewed().await {
            Ok(token) => token,
            Err(CallError::Unauthorized { code, .. }) => {
                let advice = token::advice(&code).unwrap_or("look at tenant, client_id and the credential");
                return vec![Check::red(WHAT, format!("{code}: {advice} ({REGISTRATION} > Certificates & secrets)"))];
            }
            Err(error) => return vec![Check::failed(WHAT, &error)],
        };
        let mut lines =
            vec![Check::ok(WHAT, "the tenant issues tokens to the app"), Check::clock(token.date, token.issued)];
        lines.extend(rights::lines(token.rights.as_ref()));
        lines.extend(self.domain_lines(&want.domains).await);
        lines.extend(self.licence_line().await);
        lines.extend(self.pim_line().await);
        lines.extend(self.given_lines(&want.entitlements).await);
        let may_read_accounts = token.rights.as_ref().is_none_or(|rights| ACCOUNTS.is_met(rights));
        lines.extend(self.emergency_lines(may_read_accounts).await);
        lines
    }
}

/// The line of a question that was refused; `None` where the permission that is missing has a line of its own.
fn refused(what: impl Into<String>, refusal: &Refusal, need: Need) -> Option<Check> {
    let is_told = refusal.is_forbidden() && !refusal.has_permission(need);
    (!is_told).then(|| Check::red(what, format!("cannot be read: {}", refusal.explain(need))))
}
