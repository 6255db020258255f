//! Where a request comes from. `X-Forwarded-For` is believed from the configured proxies alone.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;

#[derive(Debug)]
pub(super) struct Proxies(Vec<IpAddr>);

impl Proxies {
    pub(super) fn new(trusted: Vec<IpAddr>) -> Self {
        Self(trusted.iter().map(IpAddr::to_canonical).collect())
    }

    /// The address that the last of our proxies saw; the peer itself when it is no proxy of ours.
    pub(super) fn source(&self, request: &HttpRequest) -> IpAddr {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        self.behind(peer, forwarded)
    }

    /// `forwarded` are the headers in their order, which together are one list.
    fn behind<'h>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'h str>) -> IpAddr {
        // On a listener for both families, a peer of the older one has a mapped address.
        let mut source = peer.to_canonical();
        let mut hops = forwarded.rev().flat_map(|header| header.rsplit(',')).map(str::trim);
        while self.0.contains(&source) {
            match hops.next().and_then(|hop| hop.parse().ok()) {
                Some(before) => source = IpAddr::to_canonical(&before),
                None => break,
            }
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_forwarded_address_is_believed_from_our_proxy_alone() {
        let proxies = Proxies::new(vec![ip("127.0.0.1"), ip("10.0.0.1")]);
        let behind = |peer: &str, headers: &[&'static str]| proxies.behind(ip(peer), headers.iter().copied());
        assert_eq!(behind("127.0.0.1", &["203.0.113.9"]), ip("203.0.113.9"));
        assert_eq!(behind("127.0.0.1", &["6.6.6.6, 203.0.113.9, 10.0.0.1"]), ip("203.0.113.9"));
        assert_eq!(behind("127.0.0.1", &["6.6.6.6", "7.7.7.7, 203.0.113.9", "10.0.0.1"]), ip("203.0.113.9"));
        assert_eq!(behind("198.51.100.7", &["203.0.113.9"]), ip("198.51.100.7"));
        assert_eq!(behind("::ffff:127.0.0.1", &["6.6.6.6, ::ffff:10.0.0.1"]), ip("6.6.6.6"));
        assert_eq!(behind("127.0.0.1", &[]), ip("127.0.0.1"));
        assert_eq!(behind("127.0.0.1", &[""]), ip("127.0.0.1"));
        assert_eq!(behind("127.0.0.1", &["unknown"]), ip("127.0.0.1"));
        assert_eq!(behind("127.0.0.1", &["6.6.6.6", "unknown"]), ip("127.0.0.1"));
        assert_eq!(Proxies::new(vec![]).behind(ip("127.0.0.1"), ["203.0.113.9"].into_iter()), ip("127.0.0.1"));
    }
}
