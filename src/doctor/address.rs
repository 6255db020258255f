//! How people and PSAs reach the service: the public address is called as they call it.

use std::{error::Error, io, time::Duration};

use latchkey_contract::{Check, Clock, Timestamp};
use reqwest::{Client, redirect::Policy, tls::TlsInfo};
use rustls::{Error as Tls, pki_types::CertificateDer};
use url::Url;

use super::{Line, tls};
use crate::{config::Config, jobs::chain};

/// How long the public address may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What `/livez` says.
const LIVE: &[u8] = b"live\n";

const RENEW: &str = "get another one at the reverse proxy";

/// `own` is the certificate on disk, where the service has TLS of its own.
pub(super) async fn look(config: &Config, clock: &dyn Clock, own: Option<&CertificateDer<'static>>) -> Vec<Line> {
    let url = config.public("/livez");
    let (answer, shown) = ask(&url).await;
    let mut lines = Vec::new();
    if url.scheme() == "https" {
        let fault = untrusted(&url).await;
        lines.push(Line::of("TLS", certificate(own, shown.as_ref(), &url, clock.now(), fault.as_ref())));
    }
    lines.extend([proxies(config), public(&answer)]);
    lines
}

/// What came of a question to the public address.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The service itself answered.
    Live,
    /// Somebody else did.
    Other(u16),
    /// Nobody answered.
    None(String),
}

/// Asks whoever is there, and looks at the certificate whoever vouches for it: nothing is told, and what is answered
/// decides nothing but a line.
async fn ask(url: &Url) -> (Answer, Option<CertificateDer<'static>>) {
    let client = client().tls_danger_accept_invalid_certs(true).tls_info(true).build();
    let asked = match client {
        Ok(client) => client.get(url.clone()).send().await,
        Err(error) => Err(error),
    };
    let mut response = match asked {
        Ok(response) => response,
        Err(error) => return (Answer::None(chain(&error.without_url())), None),
    };
    let info = response.extensions().get::<TlsInfo>();
    let shown = info.and_then(TlsInfo::peer_certificate).map(|der| CertificateDer::from(der.to_vec()));
    // One piece is enough to know ours, and bounds what is read of somebody else's.
    let said = response.chunk().await.ok().flatten();
    let answer = match (response.status().as_u16(), said) {
        (200, Some(said)) if said.as_ref() == LIVE => Answer::Live,
        (status, _) => Answer::Other(status),
    };
    (answer, shown)
}

fn client() -> reqwest::ClientBuilder {
    Client::builder().timeout(ANSWERS_WITHIN).redirect(Policy::none())
}

/// Why this machine does not believe the certificate there, if it does not.
async fn untrusted(url: &Url) -> Option<Tls> {
    let error = client().build().ok()?.get(url.clone()).send().await.err()?;
    tls_fault(&error).cloned()
}

/// TLS itself, somewhere in an error. An [`io::Error`] hides what it wraps from [`Error::source`].
fn tls_fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().and_then(|inner| tls_fault(inner)),
        None => cause.downcast_ref::<Tls>(),
    })
}

fn certificate(
    own: Option<&CertificateDer<'_>>,
    shown: Option<&CertificateDer<'_>>,
    url: &Url,
    now: Timestamp,
    fault: Option<&Tls>,
) -> Check {
    const WHAT: &str = "at public_url";
    let Some(shown) = shown else {
        return Check::note(WHAT, "none was shown, since TLS was agreed on with nobody there");
    };
    // Whether that one is good is told by its own lines.
    let check = if own == Some(shown) {
        Check::ok(WHAT, "the one on disk is shown")
    } else {
        tls::judged(WHAT, shown, url, now, RENEW)
    };
    match fault {
        _ if check.is_red() => check,
        Some(fault) => Check::note(
            WHAT,
            format!(
                "this machine does not trust it ({fault}), and a PSA in the cloud will not either, unless its authority is \
                 a public one: see that the whole chain is sent, or take one of a public authority"
            ),
        ),
        None if own.is_some_and(|own| own != shown) => Check::note(
            WHAT,
            "another one than that on disk is shown: if no reverse proxy stands before the service, its log says why it \
             did not take up the new one",
        ),
        None => check,
    }
}

fn public(answer: &Answer) -> Line {
    const WHAT: &str = "public_url";
    match answer {
        Answer::Live => Line::ok("address", WHAT, "the service answers there"),
        Answer::Other(status) => {
            let know = format!(
                "something else answers there (status {status}): see that the reverse proxy leads to listen, and that the \
                 service runs"
            );
            Line::note("address", WHAT, know)
        }
        Answer::None(why) => {
            let know = format!(
                "not reached from this machine ({why}): see that the service and the reverse proxy run; where only \
                 others can reach it, look from there"
            );
            Line::note("address", WHAT, know)
        }
    }
}

fn proxies(config: &Config) -> Line {
    const WHAT: &str = "reverse proxies";
    let trusted: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    if !trusted.is_empty() {
        return Line::ok(
            "address",
            WHAT,
            format!("who comes through {} is believed to be who it says", trusted.join(", ")),
        );
    }
    if config.tls.is_some() {
        return Line::ok("address", WHAT, "none is believed, and the service has TLS of its own");
    }
    if config.public_url.scheme() != "https" {
        let know = "public_url is plain HTTP on this machine, and no PSA elsewhere can reach it: set [tls], or write the \
                    reverse proxy's https address";
        return Line::note("address", WHAT, know);
    }
    let know = "trusted_proxies names none, so everybody seems to come from the reverse proxy, and one who guesses passwords \
                slows down all: write its address there";
    Line::note("address", WHAT, know)
}

#[cfg(test)]
mod tests;
