//! What every test stands on: a tenant, an application with a token, and a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use latchkey_simulators::SimClock;
use latchkey_simulators::graph::{AppSpec, Graph, Licence, Options, UserSeed};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const TENANT: &str = "7a1c0000-0000-4000-8000-000000000001";
pub(crate) const APP: &str = "2f1c0a7b-e1c4-4f56-b1b2-c3d4e5f60718";
pub(crate) const SECRET: &str = "a-secret-of-the-bench";
pub(crate) const DOMAIN: &str = "contoso.onmicrosoft.com";

pub(crate) const GLOBAL_ADMIN: &str = "62e90394-69f5-4237-9190-012177145e10";
pub(crate) const PAA: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
pub(crate) const USER_ADMIN: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
pub(crate) const EXCHANGE_ADMIN: &str = "29232cdf-9323-42fd-ade2-1d097af3e4de";
pub(crate) const HELPDESK: &str = "729827e3-9c14-49f7-bb1b-9608f156bbb8";

/// 2026-09-01T10:00:00Z
pub(crate) const START: i64 = 1_788_256_800_000;
pub(crate) const MINUTE: i64 = 60_000;

pub(crate) const CORE: [&str; 8] = [
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "UserAuthenticationMethod.ReadWrite.All",
    "Policy.Read.AuthenticationMethod",
    "Domain.Read.All",
    "GroupMember.ReadWrite.All",
    "AdministrativeUnit.Read.All",
];

pub(crate) struct Bench {
    pub(crate) graph: Graph,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
    /// Object id of the application's service principal.
    pub(crate) principal: String,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Got {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn values(&self) -> &Vec<Value> {
        self.body["value"].as_array().unwrap_or_else(|| panic!("a collection, not {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}", self.body);
        self
    }
}

impl Bench {
    /// A P2 tenant whose application has the core permissions and the role that reaches admins.
    pub(crate) async fn new() -> Self {
        Self::with(&CORE, &[PAA], Licence::P2).await
    }

    pub(crate) async fn with(permissions: &[&str], roles: &[&str], licence: Licence) -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let hand = now.clone();
        let clock = SimClock::new(move || hand.load(Ordering::SeqCst));
        let graph = Graph::start(Options { seed: Some(7), ..Options::new(clock) }).await.expect("a free loopback port");
        graph.add_tenant(TENANT, &[DOMAIN, "contoso.example"], licence);
        let principal = graph.register_app(
            TENANT,
            AppSpec {
                client_id: APP.into(),
                secrets: vec![SECRET.into()],
                certificates: vec![],
                permissions: permissions.iter().map(ToString::to_string).collect(),
                directory_roles: roles.iter().map(ToString::to_string).collect(),
            },
        );
        latchkey_simulators::authority::use_ring();
        let mut bench = Self { graph, now, client: reqwest::Client::new(), token: String::new(), principal };
        bench.renew().await;
        bench
    }

    /// Fetches a token that carries the rights of this moment.
    pub(crate) async fn renew(&mut self) {
        let got = self.ask_token(&self.secret_form(SECRET)).await.is(200);
        self.token = got.body["access_token"].as_str().expect("a token").to_owned();
    }

    pub(crate) fn secret_form<'a>(&self, secret: &'a str) -> Vec<(&'static str, &'a str)> {
        vec![
            ("client_id", APP),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_secret", secret),
        ]
    }

    pub(crate) async fn ask_token(&self, form: &[(&str, &str)]) -> Got {
        self.ask_token_of(TENANT, form).await
    }

    pub(crate) async fn ask_token_of(&self, tenant: &str, form: &[(&str, &str)]) -> Got {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.graph.authority());
        got(self.client.post(url).form(form).send().await.expect("an answer")).await
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, None, &[]).await
    }

    /// A read by the advanced query engine.
    pub(crate) async fn query(&self, path: &str) -> Got {
        self.send(Method::GET, path, None, &[("ConsistencyLevel", "eventual")]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Got {
        self.send(Method::PATCH, path, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Got {
        self.send(Method::DELETE, path, None, &[]).await
    }

    /// `path` starts after `/v1.0/`, or is a whole address.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Got {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}/v1.0/{path}", self.graph.base_url()),
        };
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        got(request.send().await.expect("an answer")).await
    }

    pub(crate) fn add(&self, name: &str) -> String {
        self.graph.add_user(TENANT, UserSeed::new(&upn(name)))
    }

    /// A user who holds a role, given by somebody else.
    pub(crate) fn add_admin(&self, name: &str, role: &str) -> String {
        let id = self.add(name);
        self.graph.by_hand(TENANT).assign_role(&id, role, "/");
        id
    }

    pub(crate) async fn assign(&self, principal: &str, role: &str) -> Got {
        let body = json!({"principalId": principal, "roleDefinitionId": role, "directoryScopeId": "/"});
        self.post("roleManagement/directory/roleAssignments", body).await
    }

    pub(crate) async fn roles_of(&self, principal: &str) -> Got {
        let path = format!("roleManagement/directory/roleAssignments?$filter=principalId eq '{principal}'");
        self.get(&path).await.is(200)
    }
}

async fn got(response: reqwest::Response) -> Got {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.expect("a whole body");
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
    Got { status, headers, body }
}

pub(crate) fn upn(name: &str) -> String {
    format!("{name}@{DOMAIN}")
}

/// A body that creates a user.
pub(crate) fn new_user(name: &str) -> Value {
    json!({
        "accountEnabled": false,
        "displayName": "JIT Jane Doe (T-48213)",
        "givenName": "Jane",
        "surname": "Doe",
        "mailNickname": name,
        "userPrincipalName": upn(name),
        "jobTitle": "Temporary admin",
        "passwordProfile": {"password": "Vq8-zurk-Plim-0427", "forceChangePasswordNextSignIn": false},
    })
}
