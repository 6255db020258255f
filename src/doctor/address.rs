//! How people and PSAs reach the service.

use std::{error::Error, io, net::IpAddr, time::Duration};

use rustls::{CertificateError, Error as Tls};
use url::Url;

use super::{Doctor, Line};

/// How long the public address may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What `/livez` says.
const LIVE: &[u8] = b"live\n";

pub(super) async fn look(doctor: &Doctor) -> Vec<Line> {
    let config = &doctor.config;
    let answer = ask(&config.public("/livez")).await;
    vec![proxies(&config.public_url, &config.trusted_proxies), public(&answer)]
}

/// What came of a question to the public address.
#[derive(Debug)]
enum Answer {
    /// The service itself answered.
    Live,
    /// Somebody else did.
    Other(u16),
    /// TLS could not be agreed on.
    Tls(Tls),
    /// Nobody answered.
    None(String),
}

async fn ask(url: &Url) -> Answer {
    let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).redirect(reqwest::redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return Answer::None(crate::jobs::chain(&error)),
    };
    match client.get(url.clone()).send().await {
        Ok(mut response) => {
            // One piece is enough to know ours, and bounds what is read of somebody else's.
            let said = response.chunk().await.ok().flatten();
            match (response.status().as_u16(), said) {
                (200, Some(said)) if said.as_ref() == LIVE => Answer::Live,
                (status, _) => Answer::Other(status),
            }
        }
        Err(error) => match tls_fault(&error) {
            Some(fault) => Answer::Tls(fault.clone()),
            None => Answer::None(crate::jobs::chain(&error)),
        },
    }
}

/// TLS itself, somewhere in an error. An [`io::Error`] hides what it wraps from [`Error::source`].
fn tls_fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().and_then(|inner| tls_fault(inner)),
        None => cause.downcast_ref::<Tls>(),
    })
}

fn public(answer: &Answer) -> Line {
    const WHAT: &str = "public_url";
    match answer {
        Answer::Live => Line::ok("address", WHAT, "the service answers there"),
        Answer::Tls(fault) => certificate(fault),
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

fn certificate(fault: &Tls) -> Line {
    const WHAT: &str = "public_url";
    match fault {
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => Line::red(
            "address",
            WHAT,
            "the certificate there has expired, so no PSA delivers: renew it at the reverse proxy",
        ),
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Line::red(
            "address",
            WHAT,
            "the certificate there is for another name, so no PSA delivers: get one for public_url's host at the reverse proxy",
        ),
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => Line::note(
            "address",
            WHAT,
            "the certificate there is of an authority that this machine does not trust: a PSA in the cloud will not either, \
             unless it is a public one",
        ),
        other => Line::note("address", WHAT, format!("TLS could not be agreed on there: {other}")),
    }
}

fn proxies(public_url: &Url, trusted: &[IpAddr]) -> Line {
    const WHAT: &str = "proxies";
    if public_url.scheme() != "https" {
        let know = "public_url is plain HTTP on this machine: no PSA elsewhere can reach it; write the reverse proxy's \
                    https address";
        return Line::note("address", WHAT, know);
    }
    if trusted.is_empty() {
        let know = "trusted_proxies names none, so everybody seems to come from the reverse proxy, and one who guesses \
                    passwords slows down all: write its address there";
        return Line::note("address", WHAT, know);
    }
    let named: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    Line::ok("address", WHAT, format!("TLS ends at a reverse proxy that is believed: {}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_stops_deliveries_is_red() {
        let of = |fault| public(&Answer::Tls(Tls::InvalidCertificate(fault)));
        for (fault, word, to_do) in [
            (CertificateError::Expired, "FAILED", "renew"),
            (CertificateError::NotValidForName, "FAILED", "another name"),
            (CertificateError::UnknownIssuer, "note", "does not trust"),
        ] {
            let line = of(fault);
            assert!(line.word() == word && line.to_string().contains(to_do), "{line}");
        }
    }

    #[test]
    fn who_is_not_reached_from_here_may_be_reached_from_elsewhere() {
        assert_eq!(public(&Answer::Live).word(), "ok");
        assert_eq!(public(&Answer::Other(502)).word(), "note");
        assert_eq!(public(&Answer::None("refused".to_owned())).word(), "note");
    }

    #[test]
    fn a_tls_fault_is_found_however_deep() {
        let fault = Tls::InvalidCertificate(CertificateError::Expired);
        let deep = io::Error::other(io::Error::other(fault.clone()));
        assert_eq!(tls_fault(&deep), Some(&fault));
        assert_eq!(tls_fault(&io::Error::other("no")), None);
    }

    #[test]
    fn a_proxy_that_is_not_named_is_noted() {
        let url = |text: &str| Url::parse(text).unwrap();
        let local = [IpAddr::from([127, 0, 0, 1])];
        assert_eq!(proxies(&url("http://127.0.0.1:8080"), &local).word(), "note");
        assert_eq!(proxies(&url("https://latchkey.example.com"), &[]).word(), "note");
        assert_eq!(proxies(&url("https://latchkey.example.com"), &local).word(), "ok");
    }
}
