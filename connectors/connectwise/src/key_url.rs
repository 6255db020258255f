//! Judges the reference to a signing key that stands in an unproven body (`Metadata.key_url`).
//!
//! Only a GUID is ever taken from it. That GUID is worth nothing to a stranger: the URL that is fetched is rebuilt
//! from configuration with our own company, because a cloud host serves the keys of every customer of its region.

use url::Url;
use uuid::Uuid;

const MAX_LENGTH: usize = 2048;

/// Which references are ours.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// The site and the API host, as configured.
    bases: [Url; 2],
    company: String,
}

impl Home {
    pub(crate) fn new(site: Url, api: Url, company: String) -> Self {
        Self { bases: [site, api], company }
    }

    pub(crate) fn is_company(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(&self.company)
    }

    /// Whether `FromUrl`, a bare host (with its port where it is not the usual one), is the site or the API host.
    pub(crate) fn is_host(&self, text: &str) -> bool {
        self.bases.iter().any(|base| {
            let host = base.host_str().unwrap_or_default();
            let with_port = format!("{host}:{}", base.port_or_known_default().unwrap_or_default());
            text.eq_ignore_ascii_case(host) || text.eq_ignore_ascii_case(&with_port)
        })
    }

    /// The key's id, if `text` is a key reference of this installation.
    ///
    /// # Errors
    /// What was wrong, for the log.
    pub(crate) fn key_id(&self, text: &str) -> Result<Uuid, &'static str> {
        if text.len() > MAX_LENGTH || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("key_url is too long or not plain ASCII");
        }
        let url = Url::parse(text).map_err(|_| "key_url is not a URL")?;
        // A parser forgives much (backslashes, dot segments, numbers as hosts). What it had to mend is not the vendor's.
        if !url.as_str().eq_ignore_ascii_case(text) || text.contains(['%', '@', '#', '\\']) {
            return Err("key_url is not written plainly");
        }
        if !self.bases.iter().any(|base| is_same_origin(base, &url)) {
            return Err("key_url names another host");
        }
        if !is_key_path(url.path()) {
            return Err("key_url names another path");
        }
        self.id_in_query(&url)
    }

    fn id_in_query(&self, url: &Url) -> Result<Uuid, &'static str> {
        let pairs: Vec<_> = url.query_pairs().collect();
        let only = |name: &str| {
            let mut values = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_ref());
            values.next().filter(|_| values.next().is_none())
        };
        let (company, id) = match (pairs.len(), only("companyName"), only("id")) {
            (2, Some(company), Some(id)) => (company, id),
            _ => return Err("key_url has another query"),
        };
        if !self.is_company(company) {
            return Err("key_url names another company");
        }
        let is_guid_shaped = id.len() == 36;
        Uuid::try_parse(id).ok().filter(|_| is_guid_shaped).ok_or("key_url holds no GUID")
    }
}

fn is_same_origin(base: &Url, url: &Url) -> bool {
    base.scheme() == url.scheme()
        && base.host() == url.host()
        && base.port_or_known_default() == url.port_or_known_default()
}

/// `/{codebase}/system/callbackkey/index.rails`, with the vendor's doubled slash or without.
fn is_key_path(path: &str) -> bool {
    let Some((codebase, rest)) = path.strip_prefix('/').and_then(|p| p.split_once('/')) else { return false };
    !codebase.is_empty()
        && codebase.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && rest.strip_prefix('/').unwrap_or(rest) == "system/callbackkey/index.rails"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn home() -> Home {
        let url = |text: &str| text.parse().unwrap();
        Home::new(url("https://na.myconnectwise.net/"), url("https://api-na.myconnectwise.net/"), "examplemsp".into())
    }

    const ID: &str = "89966c04-9889-46ad-8d5e-421103aca922";

    #[test]
    fn the_vendors_own_references_are_accepted() {
        for good in [
            "https://na.myconnectwise.net/v2025_1//system/callbackkey/index.rails?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922",
            "https://na.myconnectwise.net/v4_6_release/system/callbackkey/index.rails?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922",
            "https://NA.myconnectwise.net/v2025_1//system/callbackkey/index.rails?companyName=ExampleMSP&id=89966C04-9889-46AD-8D5E-421103ACA922",
            "https://api-na.myconnectwise.net/v2025_1//system/callbackkey/index.rails?id=89966c04-9889-46ad-8d5e-421103aca922&companyName=examplemsp",
        ] {
            assert_eq!(home().key_id(good).map(|id| id.to_string()).as_deref(), Ok(ID), "{good}");
        }
    }

    /// F8
    #[test]
    fn a_hostile_reference_is_refused() {
        let tail =
            "v2025_1//system/callbackkey/index.rails?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922";
        let host = |h: &str| format!("https://{h}/{tail}");
        let path = |p: &str| format!("https://na.myconnectwise.net/{p}?companyName=examplemsp&id={ID}");
        let query = |q: &str| format!("https://na.myconnectwise.net/v2025_1//system/callbackkey/index.rails{q}");
        let corpus = [
            // other hosts
            host("eu.myconnectwise.net"),
            host("evil.myconnectwise.net.attacker.example"),
            host("na.myconnectwise.net.attacker.example"),
            host("xna.myconnectwise.net"),
            host("sub.na.myconnectwise.net"),
            host("na.myconnectwise.net."),
            host("na-myconnectwise.net"),
            host("attacker.example"),
            host("127.0.0.1"),
            host("2130706433"),
            host("0x7f.1"),
            host("[::1]"),
            host("[::ffff:169.254.169.254]"),
            host("169.254.169.254"),
            host("metadata.google.internal"),
            host("localhost"),
            host("n\u{0430}.myconnectwise.net"),
            host("na%2Emyconnectwise.net"),
            // user information, ports, schemes
            host("na.myconnectwise.net@attacker.example"),
            host("user:pw@na.myconnectwise.net"),
            host("@na.myconnectwise.net"),
            host("na.myconnectwise.net:8443"),
            host("na.myconnectwise.net:22"),
            format!("http://na.myconnectwise.net/{tail}"),
            format!("ftp://na.myconnectwise.net/{tail}"),
            format!("file:///na.myconnectwise.net/{tail}"),
            format!("//na.myconnectwise.net/{tail}"),
            format!("https:na.myconnectwise.net/{tail}"),
            format!("https:\\\\na.myconnectwise.net\\{tail}"),
            format!("https://attacker.example\\@na.myconnectwise.net/{tail}"),
            format!("https://attacker.example#@na.myconnectwise.net/{tail}"),
            format!(" https://na.myconnectwise.net/{tail}"),
            format!("https://na.myconnect\twise.net/{tail}"),
            format!("https://na.myconnectwise.net/{tail}\r\nHost: attacker.example"),
            format!("https://na.myconnectwise.net/{tail}#x"),
            format!("javascript:alert(1)//{tail}"),
            String::new(),
            "x".repeat(3000),
            // other paths
            path("v2025_1///system/callbackkey/index.rails"),
            path("system/callbackkey/index.rails"),
            path("a/b/system/callbackkey/index.rails"),
            path("v2025_1/../x/system/callbackkey/index.rails"),
            path("v2025_1/%2e%2e/system/callbackkey/index.rails"),
            path("v2025_1//system/callbackkey/index.rails/x"),
            path("v2025_1//system/callbackkey/Index.rails;x"),
            path("v2025_1//redirect"),
            // other queries
            query(""),
            query("?companyName=othermsp&id=89966c04-9889-46ad-8d5e-421103aca922"),
            query("?companyName=examplemsp"),
            query("?id=89966c04-9889-46ad-8d5e-421103aca922"),
            query("?companyName=examplemsp&companyName=othermsp&id=89966c04-9889-46ad-8d5e-421103aca922"),
            query("?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922&next=https://attacker.example"),
            query(
                "?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922&id=89966c04-9889-46ad-8d5e-421103aca923",
            ),
            query("?companyName=examplemsp&id=7"),
            query("?companyName=examplemsp&id=89966c0498894 6ad8d5e421103aca922"),
            query("?companyName=examplemsp&id=89966c04988946ad8d5e421103aca922"),
            query("?companyName=examplemsp&id={89966c04-9889-46ad-8d5e-421103aca922}"),
            query("?companyName=examplemsp&id=urn:uuid:89966c04-9889-46ad-8d5e-421103aca922"),
            query("?companyName=example%6dsp&id=89966c04-9889-46ad-8d5e-421103aca922"),
            query("?CompanyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922"),
        ];
        assert!(corpus.len() >= 40);
        for hostile in corpus {
            assert!(home().key_id(&hostile).is_err(), "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_names_our_host_and_our_company(text in "https://[a-z.@:/\\\\#%]{0,12}na\\.myconnectwise\\.net[a-z.@:/\\\\#%0-9]{0,12}/v2025_1//system/callbackkey/index\\.rails\\?companyName=examplemsp&id=89966c04-9889-46ad-8d5e-421103aca922") {
            if home().key_id(&text).is_ok() {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.host_str(), Some("na.myconnectwise.net"));
            }
        }
    }

    #[test]
    fn the_senders_host_is_compared_whole() {
        assert!(home().is_host("na.myconnectwise.net"));
        assert!(home().is_host("NA.myconnectwise.net:443"));
        assert!(!home().is_host("eu.myconnectwise.net"));
        assert!(!home().is_host("na.myconnectwise.net.attacker.example"));
        assert!(!home().is_host(""));
    }
}
