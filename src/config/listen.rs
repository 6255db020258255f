//! Where the service may be reached, and how: never in plain HTTP by whoever happens to be near.

use std::net::{IpAddr, SocketAddr};

use super::Fault;

/// Pages and hooks: TLS anywhere; plain HTTP on loopback, or on a private address for named proxies alone.
pub(super) fn public(at: SocketAddr, has_tls: bool, proxies: &[IpAddr]) -> Result<(), Fault> {
    let ip = at.ip().to_canonical();
    if has_tls || ip.is_loopback() {
        return Ok(());
    }
    let what = match (is_private(ip), proxies) {
        (true, [_, ..]) => return Ok(()),
        (true, []) => format!(
            "{at} speaks plain HTTP on a private address, which is for a reverse proxy alone: name it in \
             trusted_proxies, and every other peer is refused; or set certificate and key under [tls]"
        ),
        (false, _) => format!(
            "{at} would speak plain HTTP to everybody who reaches this machine: set certificate and key under [tls], or \
             listen on 127.0.0.1 behind a reverse proxy, or on one private address with the proxy in trusted_proxies"
        ),
    };
    Err(("listen", what))
}

/// Metrics are plain and ask nobody who they are.
pub(super) fn metrics(at: SocketAddr) -> Result<(), Fault> {
    if at.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let what =
        format!("{at} is no loopback address, and metrics are given to whoever asks: use one such as 127.0.0.1:9464");
    Err(("metrics_listen", what))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(at: &str, has_tls: bool, proxies: &[&str]) -> Option<String> {
        let proxies: Vec<IpAddr> = proxies.iter().map(|ip| ip.parse().unwrap()).collect();
        public(at.parse().unwrap(), has_tls, &proxies).err().map(|(key, what)| format!("{key}: {what}"))
    }

    /// F176: plain HTTP where nobody but this machine, or a named proxy, can speak it; never on a public address.
    #[test]
    fn plain_http_is_for_loopback_and_for_named_proxies() {
        let proxy = ["10.0.0.7"];
        for loopback in ["127.0.0.1:8080", "127.1.2.3:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert_eq!(said(loopback, false, &[]), None, "{loopback}");
        }
        for private in ["10.0.0.5:80", "172.16.0.1:80", "192.168.1.1:80", "[fd00::5]:80", "[::ffff:10.0.0.5]:80"] {
            assert_eq!(said(private, false, &proxy), None, "{private}");
            let alone = said(private, false, &[]).unwrap();
            assert!(alone.contains("listen: ") && alone.contains("trusted_proxies"), "{alone}");
        }
        let others = [
            "0.0.0.0:80",
            "[::]:80",
            "198.51.100.7:80",
            "[2001:db8::1]:80",
            "172.32.0.1:80",
            "100.64.0.1:80",
            "169.254.0.1:80",
            "[fe80::1]:80",
        ];
        for other in others {
            let refused = said(other, false, &proxy).unwrap();
            assert!(refused.contains("[tls]") && refused.contains("127.0.0.1"), "{refused}");
            assert_eq!(said(other, true, &[]), None, "{other} with TLS");
        }
    }

    #[test]
    fn metrics_are_for_this_machine_alone() {
        assert!(metrics("127.0.0.1:9464".parse().unwrap()).is_ok());
        for other in ["10.0.0.5:9464", "0.0.0.0:9464"] {
            assert_eq!(metrics(other.parse().unwrap()).unwrap_err().0, "metrics_listen");
        }
    }
}
