//! The addresses of our webhooks: which of those registered at a PSA are ours, and what may be shown of them.
//!
//! An address ends in the path secret, `https://HOST/hooks/CONNECTION/SECRET`: the last segment is cut off before
//! anything is compared for ownership, shown or logged.

use url::Url;

use crate::text::one_line;

/// The URL without its last segment (the path secret), its query and its fragment.
#[must_use]
pub fn base(url: &Url) -> Url {
    let mut base = url.clone();
    let parent = url.path().trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    base.set_path(&format!("{parent}/"));
    base.set_query(None);
    base.set_fragment(None);
    base
}

/// Host, and port where it is not the scheme's own.
#[must_use]
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a registered address is of this connection, whatever its path secret: same origin, and one segment below
/// `base`. Another connection's base is another.
#[must_use]
pub fn is_below(registered: &str, base: &Url) -> bool {
    Url::parse(registered).is_ok_and(|url| {
        let rest = url.path().strip_prefix(base.path());
        url.origin() == base.origin() && rest.is_some_and(|secret| !secret.trim_end_matches('/').contains('/'))
    })
}

/// Host and path of a registered address without the path secret, for one line.
#[must_use]
pub fn shown(registered: &str) -> String {
    let text = |url: Url| one_line(&format!("{}{}", authority(&url), base(&url).path()), 120);
    Url::parse(registered).map_or_else(|_| "not a URL".to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_secret_is_cut_off_before_anything_is_shown() {
        assert_eq!(
            base(&url("https://jit.example.com/hooks/cw/s3cret?recordId=1#x")).as_str(),
            "https://jit.example.com/hooks/cw/"
        );
        assert_eq!(
            base(&url("https://jit.example.com/hooks/cw/s3cret/")).as_str(),
            "https://jit.example.com/hooks/cw/"
        );
        assert_eq!(base(&url("https://jit.example.com")).as_str(), "https://jit.example.com/");
        assert_eq!(shown("https://jit.example.com:8443/hooks/cw/s3cret?recordId="), "jit.example.com:8443/hooks/cw/");
        assert_eq!(shown("s3cret"), "not a URL");
    }

    #[test]
    fn only_what_lies_at_our_host_and_path_is_ours() {
        let base = base(&url("https://jit.example.com/hooks/cw/s3cret"));
        assert!(is_below("https://jit.example.com/hooks/cw/older?recordId=", &base));
        for foreign in [
            "https://jit.example.com/hooks/cw-two/s3cret",
            "https://jit.example.com/hooks/cw/a/b",
            "https://jit.example.com.attacker.example/hooks/cw/s3cret",
            "https://other.example/hooks/cw/?u=jit.example.com/hooks/cw/",
            "http://jit.example.com/hooks/cw/s3cret",
            "https://jit.example.com:8443/hooks/cw/s3cret",
            "not a URL",
        ] {
            assert!(!is_below(foreign, &base), "{foreign}");
        }
    }
}
