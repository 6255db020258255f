//! The certificate and key of the service's own, as they lie on disk, and what is judged of any certificate.

use std::time::Duration;

use latchkey_contract::{Check, Clock, Timestamp};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use url::{Host, Url};

use super::Line;
use crate::{
    config::Config,
    jobs::chain,
    tls::{Pair, not_after},
};

const AREA: &str = "TLS";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// From here on its end is told: authorities give ninety days and less, and renew a third before.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// The lines, and the certificate on disk. There are none where the service has no TLS of its own.
pub(super) fn own(config: &Config, clock: &dyn Clock) -> (Vec<Line>, Option<CertificateDer<'static>>) {
    const WHAT: &str = "files";
    let Some(files) = &config.tls else { return (vec![], None) };
    let pair = match Pair::load(files) {
        Ok(pair) => pair,
        Err(error) => return (vec![Line::red(AREA, WHAT, chain(&error))], None),
    };
    let certificate = pair.certificate().clone();
    let fits = format!("the key fits the certificate in {}", files.certificate.display());
    let renew = "put a new one in its place, which is taken up within a minute";
    let mut lines = vec![Line::ok(AREA, WHAT, fits)];
    lines.push(match covers(&certificate, &config.public_url) {
        Ok(host) => Line::ok(AREA, "name", format!("it is for {host}")),
        Err(why) => Line::red(AREA, "name", format!("{why}: {renew}")),
    });
    lines.push(Line::of(AREA, end("end", pair.not_after, clock.now(), renew)));
    (lines, Some(certificate))
}

/// The host that it is good for, or why it is not.
pub(super) fn covers(certificate: &CertificateDer<'_>, url: &Url) -> Result<String, String> {
    let (name, host) = match url.host() {
        Some(Host::Domain(name)) => (ServerName::try_from(name.to_owned()).ok(), name.to_owned()),
        Some(Host::Ipv4(ip)) => (Some(ServerName::from(std::net::IpAddr::from(ip))), ip.to_string()),
        Some(Host::Ipv6(ip)) => (Some(ServerName::from(std::net::IpAddr::from(ip))), ip.to_string()),
        None => (None, String::new()),
    };
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| "it is no certificate of a server".to_owned())?;
    match name.is_some_and(|name| verify_server_name(&parsed, &name).is_ok()) {
        true => Ok(host),
        false => Err(format!("it is not for {host}, the host of public_url, so no browser and no PSA comes in")),
    }
}

/// How long it is good for.
pub(super) fn end(what: &str, not_after: Timestamp, now: Timestamp, renew: &str) -> Check {
    let left = not_after.since(now);
    let days = left.as_secs() / DAY.as_secs();
    if left.is_zero() {
        return Check::red(what, format!("it has expired at {not_after}, so no browser and no PSA comes in: {renew}"));
    }
    if left < SOON {
        return Check::note(what, format!("{days} days left, until {not_after}: {renew}"));
    }
    Check::ok(what, format!("{days} days left, until {not_after}"))
}

/// The one that was shown, whoever vouches for it.
pub(super) fn judged(what: &str, shown: &CertificateDer<'_>, url: &Url, now: Timestamp, renew: &str) -> Check {
    let Some(until) = not_after(shown) else {
        return Check::red(what, format!("it is no certificate of a server: {renew}"));
    };
    match covers(shown, url) {
        Err(why) => Check::red(what, format!("{why}: {renew}")),
        Ok(_) => end(what, until, now, renew),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        rcgen::generate_simple_self_signed(names).unwrap().cert.der().clone()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// F176: a certificate is good for the host that people and PSAs call.
    #[test]
    fn a_certificate_for_another_host_is_seen() {
        let of = certificate(&["latchkey.example.com", "*.msp.example", "192.0.2.7", "2001:db8::7"]);
        for good in ["latchkey.example.com", "door.msp.example", "192.0.2.7", "[2001:db8::7]"] {
            assert!(covers(&of, &url(&format!("https://{good}:8443/"))).is_ok(), "{good}");
        }
        for bad in ["example.com", "a.b.msp.example", "192.0.2.8", "[2001:db8::8]"] {
            let why = covers(&of, &url(&format!("https://{bad}/"))).unwrap_err();
            assert!(why.contains("public_url"), "{why}");
        }
    }

    /// F176: the end of a certificate is told a month before, and is a fault once it is over.
    #[test]
    fn the_end_of_a_certificate_is_told_before_it_comes() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let word = |seconds: u64| Line::of(AREA, end("end", now + Duration::from_secs(seconds), now, "renew")).word();
        let days = |days: u64| days * DAY.as_secs();
        assert_eq!([word(days(30)), word(days(30) - 1), word(1), word(0)], ["ok", "note", "note", "fault"]);
        let shown = certificate(&["a.example"]);
        let at = |host: &str, now| judged("seen", &shown, &url(&format!("https://{host}/")), now, "renew it");
        assert!(at("a.example", now).verdict.text().contains("days left"));
        assert!(at("b.example", now).verdict.text().ends_with("renew it"));
        let late = not_after(&shown).unwrap() + DAY;
        assert!(at("a.example", late).is_red() && at("b.example", now).is_red());
    }
}
