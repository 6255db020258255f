//! One call to Microsoft Graph: address, token, headers, pages. What a refusal means is in `refusal`.

use std::sync::Arc;

use latchkey_contract::{
    CallError, Clock, Secret,
    outside::{Answer, Outside, Urgency},
};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    refusal::Refusal,
    token::{Token, Tokens},
    wire::Page,
};

/// No collection that we read is longer; a vendor that pages for ever is broken.
const MAX_PAGES: usize = 200;

/// Graph as one tenant's app sees it.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) outside: Outside,
    pub(crate) tokens: Tokens,
    /// With a trailing slash.
    pub(crate) base: Url,
    pub(crate) clock: Arc<dyn Clock>,
}

/// One request, before it has a token.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    op: &'static str,
    version: &'static str,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Secret<String>>,
    is_advanced: bool,
}

impl Call {
    /// `op` is method and path template (`"GET /users/{id}"`); `path` the real segments, not yet encoded.
    pub(crate) fn new(op: &'static str, path: &[&str]) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { op, version: "v1.0", path, query: vec![], body: None, is_advanced: false }
    }

    pub(crate) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// The body may hold a password, so it is kept as a secret.
    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = Some(Secret::new(body.to_string()));
        self
    }

    pub(crate) const fn beta(mut self) -> Self {
        self.version = "beta";
        self
    }

    /// Some filters work on the vendor's lagging index only, and only when told so.
    pub(crate) fn advanced(mut self) -> Self {
        self.is_advanced = true;
        self.query("$count", "true")
    }

    fn method(&self) -> Method {
        let name = self.op.split(' ').next().unwrap_or_default();
        Method::from_bytes(name.as_bytes()).expect("every op in this crate begins with an HTTP method")
    }
}

/// An answer of the 2xx kind, or what the vendor says against it.
pub(crate) type Reply<T> = Result<Result<T, Refusal>, CallError>;

impl Graph {
    /// Sends one call; a token that is refused is replaced once.
    ///
    /// # Errors
    /// [`CallError::Transient`] for network, throttling and 5xx, [`CallError::Unauthorized`] when no token is to be
    /// had or the vendor takes none. Every other refusal is an inner `Err`, whose meaning depends on the call.
    pub(crate) async fn send(&self, call: &Call, urgency: Urgency) -> Reply<Answer> {
        let url = self.address(call);
        self.send_to(url, call, urgency).await
    }

    /// [`Graph::send`], with a JSON answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, call: &Call, urgency: Urgency) -> Reply<T> {
        match self.send(call, urgency).await? {
            Ok(answer) => answer.json().map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Every item of a collection.
    pub(crate) async fn list<T: DeserializeOwned>(&self, call: &Call, urgency: Urgency) -> Reply<Vec<T>> {
        let mut items = Vec::new();
        let mut url = self.address(call);
        for _ in 0..MAX_PAGES {
            let page: Page<T> = match self.send_to(url, call, urgency).await? {
                Ok(answer) => answer.json()?,
                Err(refusal) => return Ok(Err(refusal)),
            };
            items.extend(page.value);
            match page.next_link {
                Some(link) => url = self.next_page(call.op, &link)?,
                None => return Ok(Ok(items)),
            }
        }
        Err(CallError::malformed(call.op, "the collection has no end"))
    }

    /// The absolute address of a directory object, for `$ref` bodies.
    pub(crate) fn reference(&self, object: &str) -> String {
        let call = Call::new("GET /directoryObjects/{id}", &["directoryObjects", object]);
        self.address(&call).into()
    }

    fn address(&self, call: &Call) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(call.version).extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }

    /// The vendor's next page is followed only within Graph itself: the token goes with it.
    fn next_page(&self, op: &'static str, link: &str) -> Result<Url, CallError> {
        let url = Url::parse(link).map_err(|e| CallError::malformed(op, e))?;
        if url.origin() == self.base.origin() && url.path().starts_with(self.base.path()) {
            Ok(url)
        } else {
            Err(CallError::malformed(op, "the next page lies on another host"))
        }
    }

    async fn send_to(&self, url: Url, call: &Call, urgency: Urgency) -> Reply<Answer> {
        let mut token = self.tokens.get(urgency, None).await?;
        let mut answer = self.send_with(&token, url.clone(), call, urgency).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            token = self.tokens.get(urgency, Some(&token)).await?;
            answer = self.send_with(&token, url, call, urgency).await?;
        }
        if answer.status.is_success() {
            return Ok(Ok(answer));
        }
        let refusal = Refusal::read(&answer, &token);
        match answer.status.as_u16() {
            401 | 408 | 425 | 429 | 500..=599 => Err(answer.error(&refusal.code)),
            403 => {
                self.tokens.doubt(&token).await;
                Ok(Err(refusal))
            }
            _ => Ok(Err(refusal)),
        }
    }

    async fn send_with(
        &self,
        token: &Arc<Token>,
        url: Url,
        call: &Call,
        urgency: Urgency,
    ) -> Result<Answer, CallError> {
        let mut request = self
            .outside
            .request(call.method(), url)
            .bearer_auth(token.text.expose())
            .header("client-request-id", uuid::Uuid::new_v4().to_string());
        if urgency == Urgency::Removal {
            request = request.header("x-ms-throttle-priority", "high");
        }
        if call.is_advanced {
            request = request.header("ConsistencyLevel", "eventual");
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.expose().clone());
        }
        self.outside.send(call.op, urgency, request).await
    }
}

#[cfg(test)]
mod tests {
    use latchkey_contract::{ConnectionId, Timestamp, outside::OutsideSettings};
    use serde_json::json;
    use std::{sync::Mutex, time::Duration};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::token::Proof;

    #[derive(Debug)]
    struct Stopped;

    #[async_trait::async_trait]
    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        async fn sleep_until(&self, _: Timestamp) {}
    }

    /// A server that answers everything alike and keeps what it was sent: the simulator's log has no headers.
    async fn listening(answer: serde_json::Value) -> (Graph, Arc<Mutex<Vec<String>>>) {
        sending_on(answer, None).await
    }

    /// The same, which sends everything but the question for a token on to another address.
    async fn sending_on(answer: serde_json::Value, to: Option<Url>) -> (Graph, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 64 * 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                let asked = String::from_utf8_lossy(&buffer[..read]).to_ascii_lowercase();
                let status = match &to {
                    Some(to) if !asked.contains("/oauth2/") => format!("307 Temporary Redirect\r\nLocation: {to}"),
                    _ => "200 OK".to_owned(),
                };
                ears.lock().unwrap().push(asked);
                let body = answer.to_string();
                let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        (connected(base), heard)
    }

    fn connected(base: Url) -> Graph {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::new(Stopped);
        let settings = OutsideSettings {
            connection: ConnectionId::parse("contoso").unwrap(),
            vendor: "entra",
            network: latchkey_contract::outside::Network::Private,
            ca_pem: None,
            timeout: Duration::from_secs(5),
        };
        let outside = Outside::new(&settings, Arc::clone(&clock)).unwrap();
        let tokens = Tokens {
            outside: outside.clone(),
            endpoint: base.join("t/oauth2/v2.0/token").unwrap(),
            client_id: "app".to_owned(),
            scope: format!("{base}.default"),
            proof: Proof::Secret(Secret::new("s&cret".to_owned())),
            clock: Arc::clone(&clock),
            held: tokio::sync::Mutex::default(),
        };
        Graph { outside, tokens, base, clock }
    }

    fn canned(next_link: &str) -> serde_json::Value {
        json!({"access_token": "tok", "expires_in": 3599, "value": [], "@odata.nextLink": next_link})
    }

    #[tokio::test]
    async fn removals_say_that_they_come_first_and_every_call_is_authorised() {
        let (graph, heard) = listening(json!({"access_token": "tok", "expires_in": 3599})).await;
        let call = Call::new("GET /users/{id}", &["users", "a#b/c@d"]).query("$select", "id");
        graph.send(&call, Urgency::Removal).await.unwrap().unwrap();
        graph.send(&call, Urgency::Ordinary).await.unwrap().unwrap();
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 3, "one token for both calls");
        assert!(heard[0].contains("client_secret=s%26cret") && heard[0].contains("grant_type=client_credentials"));
        assert!(heard[1].starts_with("get /v1.0/users/a%23b%2fc@d?%24select=id "), "{}", heard[1]);
        assert!(heard[1].contains("x-ms-throttle-priority: high") && heard[1].contains("authorization: bearer tok"));
        assert!(heard[1].contains("client-request-id: "));
        assert!(!heard[2].contains("x-ms-throttle-priority"));
    }

    #[tokio::test]
    async fn the_token_does_not_follow_a_redirect() {
        let answer = json!({"access_token": "tok", "expires_in": 3599});
        let (elsewhere, overheard) = listening(answer.clone()).await;
        let (graph, heard) = sending_on(answer, Some(elsewhere.base.clone())).await;
        let call = Call::new("GET /users/{id}", &["users", "u"]);
        let said = graph.send(&call, Urgency::Removal).await.unwrap();
        assert_eq!(said.unwrap_err().status, 307);
        assert_eq!((heard.lock().unwrap().len(), overheard.lock().unwrap().len()), (2, 0));
    }

    #[tokio::test]
    async fn the_token_does_not_follow_a_page_to_another_host() {
        for link in ["https://evil.example/v1.0/users?$skiptoken=1", "http://127.0.0.1:1/v1.0/users", "not a url"] {
            let (graph, heard) = listening(canned(link)).await;
            let call = Call::new("GET /users", &["users"]);
            let said = graph.list::<serde_json::Value>(&call, Urgency::Ordinary).await;
            assert!(matches!(said, Err(CallError::Malformed { .. })), "{link}");
            assert_eq!(heard.lock().unwrap().len(), 2);
        }
    }
}
