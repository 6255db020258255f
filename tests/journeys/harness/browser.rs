//! A browser without JavaScript: cookies, forms, links.

use std::collections::BTreeMap;

use latchkey::people::OneTime;
use latchkey_contract::Timestamp;
use reqwest::{Method, StatusCode, redirect::Policy};

use super::PASSWORD;

/// One person's browser.
#[derive(Debug)]
pub(crate) struct Browser {
    client: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

/// A page as the browser got it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) location: Option<String>,
}

impl Browser {
    pub(crate) fn new(base: String) -> Self {
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { client, base, cookie: None }
    }

    /// The session, as `name=token`.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let fields: BTreeMap<&str, &str> = form.iter().copied().collect();
        self.send(Method::POST, path, Some(fields)).await
    }

    async fn send(&mut self, method: Method, path: &str, form: Option<BTreeMap<&str, &str>>) -> Page {
        self.try_send(method, path, form).await.unwrap()
    }

    /// `None` when the service did not answer.
    pub(crate) async fn try_get(&mut self, path: &str) -> Option<Page> {
        self.try_send(Method::GET, path, None).await.ok()
    }

    /// `None` when the service did not answer.
    pub(crate) async fn try_post(&mut self, path: &str, form: &[(&str, &str)]) -> Option<Page> {
        let fields: BTreeMap<&str, &str> = form.iter().copied().collect();
        self.try_send(Method::POST, path, Some(fields)).await.ok()
    }

    async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        form: Option<BTreeMap<&str, &str>>,
    ) -> Result<Page, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header("origin", &self.base);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(form) = form {
            request = request.form(&form);
        }
        let response = request.send().await?;
        if let Some(set) = response.headers().get("set-cookie") {
            self.cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        let location = response.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
        Ok(Page { status: response.status(), location, text: response.text().await? })
    }

    /// Signs in by the form, with the code of this moment.
    pub(crate) async fn sign_in(&mut self, person: &str, one_time: &OneTime, now: Timestamp) -> Page {
        let code = one_time.code(now);
        self.post("/sign-in", &[("person", person), ("password", PASSWORD), ("code", &code), ("next", "/")]).await
    }
}

impl Page {
    /// The value of a hidden or visible input.
    pub(crate) fn input(&self, name: &str) -> Option<String> {
        let at = self.text.find(&format!("name=\"{name}\""))?;
        let tag = &self.text[self.text[..at].rfind('<')?..];
        let tag = &tag[..tag.find('>')?];
        let value = &tag[tag.find("value=\"")? + 7..];
        Some(value[..value.find('"')?].to_owned())
    }
}
