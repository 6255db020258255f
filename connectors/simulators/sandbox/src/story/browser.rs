//! A browser without scripts: a cookie, forms, links. What it reads it understands only as far as
//! the story needs.

use reqwest::{Method, header, redirect::Policy};

use crate::sandbox::DemoPerson;

/// One person's browser at one site.
#[derive(Debug)]
pub(super) struct Browser {
    client: reqwest::Client,
    site: String,
    cookie: Option<String>,
}

/// A page as it came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) html: String,
}

impl Browser {
    /// `site` is an origin without a slash at the end.
    pub(super) fn new(site: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { client, site: site.to_owned(), cookie: None })
    }

    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.send(self.client.request(Method::GET, format!("{}{path}", self.site))).await
    }

    pub(super) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Page> {
        let request = self.client.request(Method::POST, format!("{}{path}", self.site));
        self.send(request.header(header::ORIGIN, &self.site).form(form)).await
    }

    /// Fills in the service's sign-in form.
    pub(super) async fn sign_in(&mut self, who: &DemoPerson, code: &str, next: &str) -> anyhow::Result<Page> {
        let form = [("person", who.id()), ("password", who.password.as_str()), ("code", code), ("next", next)];
        self.post("/sign-in", &form).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> anyhow::Result<Page> {
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = request.send().await?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(set) = header(header::SET_COOKIE) {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        let location = header(header::LOCATION).map(str::to_owned);
        Ok(Page { status: answer.status().as_u16(), location, html: answer.text().await? })
    }
}

impl Page {
    /// The value of an input field.
    pub(super) fn input(&self, name: &str) -> Option<String> {
        let at = self.html.find(&format!("name=\"{name}\""))?;
        let tag = &self.html[self.html[..at].rfind('<')?..];
        let tag = &tag[..tag.find('>')?];
        let (_, value) = tag.split_once("value=\"")?;
        Some(plain(&value[..value.find('"')?]))
    }

    /// The texts in `<output>`: what a claim page reveals.
    pub(super) fn outputs(&self) -> Vec<String> {
        let parts = self.html.split("<output").skip(1);
        parts.filter_map(|part| Some(plain(part.split_once('>')?.1.split_once("</output>")?.0))).collect()
    }
}

/// Undoes HTML's escapes.
fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = rest.find(';').and_then(|end| Some((character(&rest[1..end])?, end)));
        let (character, end) = known.unwrap_or(('&', 0));
        out.push(character);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        _ => entity.strip_prefix('#')?.parse().ok().and_then(char::from_u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_a_person_reads_it() {
        let page = Page {
            status: 200,
            location: None,
            html: "<input type=\"hidden\" name=\"form_token\" value=\"a&#38;b\">\
                   <dd><output class=\"secret\">x&#60;y&amp;z & &co;</output></dd><output>2</output>"
                .to_owned(),
        };
        assert_eq!(page.input("form_token").as_deref(), Some("a&b"));
        assert_eq!(page.input("other"), None);
        assert_eq!(page.outputs(), ["x<y&z & &co;", "2"]);
    }
}
