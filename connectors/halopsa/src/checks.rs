//! The doctor's lines about one instance. Nothing here changes anything.
//!
//! Reading order: the address and signing in, without which nothing else can be judged; then the rights, each by reading;
//! then `hooks` and `things`.

mod hooks;
mod things;

use latchkey_contract::{
    CallError, Check, Clock, ConnectionId, outside::Urgency, text::one_line, ticket::WantedChecks,
};
use serde_json::Value;
use url::Url;

use crate::{
    api::{Api, Ask},
    errors::accepted,
    members::Agents,
    settings::Plan,
    tables::{self, Known, Tables},
    webhooks::Webhooks,
    wire,
};

const INFO: &str = "GET /authinfo";
const API_PAGE: &str = "Configuration > Integrations > Halo API";
const ROLE: &str = "Configuration > Teams & Agents > the API agent's role";

/// Where the instance is said to be.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) auth: Url,
    pub(crate) tenant: Option<String>,
}

impl Place {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self { auth: plan.auth.clone(), tenant: plan.tenant.clone() }
    }
}

/// What the lines are read with.
#[derive(Debug)]
pub(crate) struct Doctor<'c> {
    pub(crate) api: &'c Api,
    pub(crate) tables: &'c Tables,
    pub(crate) webhooks: Webhooks<'c>,
    pub(crate) place: &'c Place,
    pub(crate) clock: &'c dyn Clock,
    pub(crate) connection: &'c ConnectionId,
    /// Applications whose acts count as an agent's own.
    pub(crate) desk: &'c [String],
}

impl Doctor<'_> {
    pub(crate) async fn look(&self, want: &WantedChecks) -> Vec<Check> {
        let mut lines = vec![self.address().await];
        if !self.sign_in(&mut lines).await {
            return lines;
        }
        let me = self.own_agent(&mut lines).await;
        lines.extend(self.desk_applications());
        lines.extend(self.rights(me).await);
        lines.push(self.note_action().await);
        match self.tables.look(self.api, Urgency::Ordinary).await {
            Ok(known) => {
                lines.push(self.closed(&known));
                lines.extend(things::lines(self.api, &known, want).await);
            }
            Err(error) => lines.push(Check::failed("statuses and teams", &error)),
        }
        lines.extend(hooks::lines(&self.webhooks, want, self.connection).await);
        lines
    }

    /// What the instance says of itself is compared, and never followed: credentials go where the settings say.
    async fn address(&self) -> Check {
        const WHAT: &str = "address";
        let answer = match self.api.send_unsigned(&Ask::new(INFO, ["authinfo"])).await {
            Ok(answer) => answer,
            Err(error) => return Check::failed(WHAT, &error),
        };
        let Ok(info) = accepted(answer).and_then(|answer| answer.json::<wire::AuthInfo>()) else {
            return Check::note(
                WHAT,
                format!("the instance does not say where it issues tokens: compare auth with {API_PAGE}"),
            );
        };
        let told = info.auth_url.as_deref().unwrap_or_default().trim_end_matches('/');
        if told != self.place.auth.as_str().trim_end_matches('/') {
            let told = one_line(told, 120);
            return Check::red(
                WHAT,
                format!("the instance issues its tokens at {told}: set auth to that, if it is yours"),
            );
        }
        match (info.tenant_id.filter(|t| !t.is_empty()), &self.place.tenant) {
            (Some(told), Some(own)) if !told.eq_ignore_ascii_case(own) => {
                Check::red(WHAT, format!("the instance calls its tenant {}: set tenant to that", one_line(&told, 60)))
            }
            _ => Check::ok(WHAT, "tokens are issued where auth says"),
        }
    }

    /// `false` when no token is given. Any answer carries the vendor's clock.
    async fn sign_in(&self, lines: &mut Vec<Check>) -> bool {
        const WHAT: &str = "sign-in";
        let answer = match self.api.send(&Ask::new("GET /Status", ["Status"])).await {
            Ok(answer) => answer,
            Err(CallError::Unauthorized { op: "POST /auth/token", code }) => {
                let to_do = format!(
                    "no token is given ({code}): under {API_PAGE} look at client id, secret (latchkey secret set \
                     {}/client-secret), and the permissions, which must be those of scope and no others",
                    self.connection
                );
                lines.push(Check::red(WHAT, to_do));
                return false;
            }
            Err(error) => {
                lines.push(Check::failed(WHAT, &error));
                return false;
            }
        };
        lines.push(Check::ok(WHAT, "a token is given"));
        lines.push(Check::clock(answer.date(), self.clock.now()));
        true
    }

    async fn own_agent(&self, lines: &mut Vec<Check>) -> Option<i64> {
        const WHAT: &str = "own agent";
        let told = tables::ask_me(self.api, Urgency::Ordinary).await;
        let (line, me) = match (told, self.tables.configured_me()) {
            (Ok(told), Some(own)) if told != own => (
                Check::red(WHAT, format!("the token is agent {told}'s, and api_agent says {own}: correct it")),
                Some(own),
            ),
            (Ok(told), _) => (Check::ok(WHAT, format!("agent {told}")), Some(told)),
            (Err(_), Some(own)) => (Check::ok(WHAT, format!("agent {own}, as set")), Some(own)),
            (Err(error), None) => (Check::failed(WHAT, &error), None),
        };
        lines.push(line);
        me
    }

    /// None where none is trusted.
    fn desk_applications(&self) -> Option<Check> {
        let trusted = one_line(&self.desk.iter().map(|id| id.trim()).collect::<Vec<_>>().join(", "), 200);
        let know = format!(
            "what is done through {trusted} counts as the agent's own click: see that only agents who sign in themselves \
             work through it, and no program"
        );
        (!self.desk.is_empty()).then(|| Check::note("desk applications", know))
    }

    /// Rights to read are tried; the right to write cannot be seen without writing.
    async fn rights(&self, me: Option<i64>) -> Vec<Check> {
        let read = async |what: &'static str, op: &'static str, path: &'static str, without: &str| {
            let answer = self.api.send(&Ask::new(op, [path]).query("count", "1")).await.and_then(accepted);
            match answer.and_then(|answer| answer.json::<Value>()) {
                Ok(_) => Check::ok(what, "tried by reading"),
                Err(CallError::Unauthorized { code, .. }) => Check::red(
                    what,
                    format!(
                        "{code}; without it {without}: tick it under {API_PAGE}, add it to scope, and look at {ROLE}"
                    ),
                ),
                Err(error) => Check::failed(what, &error),
            }
        };
        let mut lines = vec![
            read("right: read:tickets", "GET /Tickets", "Tickets", "no ticket is seen").await,
            read("right: read:customers", "GET /Client", "Client", "nobody knows whose ticket it is").await,
        ];
        let agents = Agents { api: self.api, me: me.unwrap_or_default(), urgency: Urgency::Ordinary };
        lines.push(match agents.all().await {
            Ok(found) if found.iter().any(|m| m.is_active && m.is_human) => {
                Check::ok("right: agents", "tried by reading")
            }
            Ok(_) => Check::red(
                "right: agents",
                format!("no agent is shown as an active person, so nobody may ask: see {ROLE}"),
            ),
            Err(error) => Check::failed("right: agents", &error),
        });
        let know = format!("cannot be seen by reading: look at {API_PAGE} and {ROLE}");
        lines.push(Check::note("right: edit:tickets", know));
        lines
    }

    async fn note_action(&self) -> Check {
        const WHAT: &str = "action for notes";
        match self.tables.look_for_note_action(self.api, Urgency::Ordinary).await {
            Ok(id) => Check::ok(WHAT, format!("action {id}")),
            Err(CallError::Unauthorized { .. }) => Check::red(
                WHAT,
                "no action for private notes is there: make one under Configuration > Tickets > Actions that is hidden from \
                 users and sends no mail, allow it to the API agent, and set note_action to its name",
            ),
            Err(error) => Check::failed(WHAT, &error),
        }
    }

    fn closed(&self, known: &Known) -> Check {
        const WHAT: &str = "closed statuses";
        let is_there =
            |name: &&String| known.statuses.values().any(|s| s.name.trim().eq_ignore_ascii_case(name.trim()));
        if let Some(missing) = self.tables.configured_closed().iter().find(|name| !is_there(name)) {
            let missing = one_line(missing, 60);
            return Check::red(
                WHAT,
                format!("no status is called {missing}: correct closed_statuses, or access outlives its ticket"),
            );
        }
        let names: Vec<&str> = known.statuses.values().filter(|s| s.is_closing).map(|s| s.name.as_str()).collect();
        match names.is_empty() {
            true => Check::red(WHAT, "none is known, so access outlives its ticket: name them in closed_statuses"),
            false => Check::ok(WHAT, one_line(&names.join(", "), 200)),
        }
    }
}
