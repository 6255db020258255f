//! The sandbox's own web pages: the front page, the pretend PSAs, the pretend tenant.
//!
//! Plain forms, no scripts. The pages listen on loopback, and answer only to requests that were
//! meant for them: another site in the same browser can neither read them nor press their buttons.

mod autotask;
mod connectwise;
mod front;
mod halopsa;
mod psa;
mod show;
mod tenant;
mod vendors;

use std::{io, net::SocketAddr, sync::Arc};

use askama::Template;
use latchkey_simulators::server::{self, Answer, Request, Response, Running};

use crate::{
    sandbox::Sandbox,
    vendors::{Noted, Vendors},
};
use psa::Pages;

const STYLE: &str = include_str!("../../templates/style.css");

/// Whose pages they are.
#[derive(Debug)]
pub(crate) enum Site {
    /// The vendors', with the service beside them.
    Whole(Arc<Sandbox>),
    /// The vendors' alone: the service is somebody else's to run.
    Vendors(Box<Vendors>, Noted),
}

impl Site {
    fn vendors(&self) -> &Vendors {
        match self {
            Self::Whole(sandbox) => &sandbox.vendors,
            Self::Vendors(vendors, _) => vendors,
        }
    }
}

/// Serves the pages until the answer is dropped.
pub(crate) async fn serve(bind: SocketAddr, site: Site) -> io::Result<Running> {
    let site = Arc::new(site);
    let handler = server::handler(move |request| {
        let site = Arc::clone(&site);
        async move { Answer::Respond(guarded(&site, &request).await) }
    });
    server::serve(bind, None, handler).await
}

async fn guarded(site: &Site, request: &Request) -> Response {
    let answer = match is_meant_for_us(request) {
        true => route(site, request).await,
        false => Response::text(421, "These pages answer to 127.0.0.1 and localhost, and to their own forms."),
    };
    answer
        .with_header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        )
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "same-origin")
        .with_header("Cache-Control", "no-store")
}

async fn route(site: &Site, request: &Request) -> Response {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let wanted = (request.method.as_str(), segments.as_slice());
    match (site, wanted) {
        (Site::Whole(sandbox), ("GET", [])) => front::show(sandbox).await,
        (Site::Whole(sandbox), ("POST", ["clock"])) => front::move_clock(sandbox, request).await,
        (Site::Whole(sandbox), ("POST", ["service", "kill"])) => front::kill(sandbox).await,
        (Site::Whole(sandbox), ("POST", ["service", "start"])) => front::start(sandbox).await,
        (Site::Vendors(vendors, noted), ("GET", [])) => vendors::show(vendors, noted),
        _ => of_the_vendors(site.vendors(), wanted, request),
    }
}

fn of_the_vendors(vendors: &Vendors, wanted: (&str, &[&str]), request: &Request) -> Response {
    let psas: [&dyn Pages; 3] = [&vendors.connectwise, &vendors.autotask, &vendors.halopsa];
    let (method, segments) = wanted;
    if let [first, below @ ..] = segments
        && let Some(psa) = psas.into_iter().find(|psa| psa.names().kind == *first)
    {
        return psa::route(psa, (method, below), request);
    }
    match wanted {
        ("GET", ["style.css"]) => Response::bytes(200, "text/css; charset=utf-8", STYLE),
        ("GET", ["tenant"]) => tenant::accounts(vendors),
        ("GET", ["tenant", "sign-in"]) => tenant::sign_in_form(vendors),
        ("POST", ["tenant", "sign-in"]) => tenant::sign_in(vendors, request),
        _ => trouble(404, "There is no such page."),
    }
}

/// The host must be a name of loopback (else a name of somebody else's was pointed at us), and a
/// form must come from our own page.
fn is_meant_for_us(request: &Request) -> bool {
    let Some(host) = request.header("host") else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_loopback = ["127.0.0.1", "localhost"].contains(&name);
    let is_own_form = match request.header("origin") {
        Some(origin) => origin == format!("http://{host}"),
        None => true,
    };
    is_loopback && (is_own_form || request.method == "GET")
}

/// A page, or a plain text saying why it could not be drawn.
fn page(status: u16, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Response::bytes(status, "text/html; charset=utf-8", html),
        Err(error) => Response::text(500, error.to_string()),
    }
}

fn see_other(location: &str) -> Response {
    Response::empty(303).with_header("Location", location)
}

#[derive(Debug, Template)]
#[template(path = "trouble.html")]
struct Trouble<'a> {
    what: &'a str,
}

fn trouble(status: u16, what: &str) -> Response {
    page(status, &Trouble { what })
}

/// A form's field, trimmed; empty counts as absent.
fn field(request: &Request, name: &str) -> Option<String> {
    let value = request.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value.trim().to_owned());
    value.filter(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use latchkey_simulators::server::HeaderMap;

    use super::*;

    fn request(method: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Request {
            method: method.to_owned(),
            path: "/clock".to_owned(),
            segments: vec!["clock".to_owned()],
            raw_query: String::new(),
            query: Vec::new(),
            headers: map,
            body: Vec::new().into(),
        }
    }

    #[test]
    fn a_form_of_another_site_and_a_foreign_host_name_are_turned_away() {
        let own = ("origin", "http://127.0.0.1:8000");
        let host = ("host", "127.0.0.1:8000");
        assert!(is_meant_for_us(&request("POST", &[host, own])));
        assert!(is_meant_for_us(&request("GET", &[("host", "localhost:8000")])));
        assert!(!is_meant_for_us(&request("POST", &[host, ("origin", "https://evil.example")])));
        assert!(!is_meant_for_us(&request("POST", &[host, ("origin", "null")])));
        assert!(!is_meant_for_us(&request("GET", &[("host", "evil.example:8000")])));
        assert!(!is_meant_for_us(&request("GET", &[])));
    }
}
