//! The `[mail]` table of the configuration, checked into final types.

use std::{
    net::IpAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::Sender;

/// How long one mail may take, from connecting to the server's last word, unless the configuration says otherwise.
const TIMEOUT_S: u64 = 30;

/// The longest that may be said.
const LONGEST_TIMEOUT_S: u64 = 300;

/// Which mail server, and how. The password lies sealed under `mail/password`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A DNS name or an IP address; the server's certificate must carry it.
    pub host: String,
    /// Where the server listens.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Who we are at the server; `None` does not log in.
    pub username: Option<String>,
    /// Who mails come from.
    pub from: Sender,
    /// Roots beside the system's own, PEM.
    pub ca_file: Option<PathBuf>,
    /// For one mail, from connecting to the server's last word.
    pub timeout: Duration,
    /// How we introduce ourselves; `None` is the host of `public_url`.
    pub hello: Option<String>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Begins in clear; nothing is said before TLS but the request for it. A server that does not offer it gets no mail.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In clear. For a mail server on this machine alone.
    None,
}

impl Security {
    const fn usual_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    host: String,
    #[serde(default)]
    port: Option<NonZeroU16>,
    security: Security,
    #[serde(default)]
    username: Option<String>,
    from: String,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    timeout_s: Option<u64>,
    #[serde(default)]
    hello: Option<String>,
}

/// Which key, and what would be right.
type Fault = (&'static str, String);

impl Table {
    /// Checks the table. Relative paths are meant from `base`.
    pub(crate) fn check(self, base: &Path) -> Result<Settings, Fault> {
        if ServerName::try_from(self.host.as_str()).is_err() {
            return Err((
                "mail.host",
                "write the mail server's name, such as smtp.example.com, without a port".to_owned(),
            ));
        }
        if self.security == Security::None && !is_this_machine(&self.host) {
            let what = "\"none\" is for a mail server on this machine (localhost or 127.0.0.1) alone; \
                        write \"starttls\" or \"tls\"";
            return Err(("mail.security", what.to_owned()));
        }
        if self.username.as_ref().is_some_and(|name| name.trim().is_empty() || name.contains(char::is_control)) {
            let what = "write the name that the mail server knows, or leave it out where it asks for none";
            return Err(("mail.username", what.to_owned()));
        }
        let from: Result<Sender, _> = self.from.parse();
        let from = from.map_err(|_| {
            ("mail.from", "write an address such as \"Latchkey <latchkey@example.com>\", in ASCII".to_owned())
        })?;
        let timeout_s = self.timeout_s.unwrap_or(TIMEOUT_S);
        if !(1..=LONGEST_TIMEOUT_S).contains(&timeout_s) {
            return Err(("mail.timeout_s", format!("write whole seconds from 1 to {LONGEST_TIMEOUT_S}")));
        }
        if self.hello.as_deref().is_some_and(|name| !matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)))) {
            let what = "write the DNS name by which the mail server shall know this machine, or leave it out";
            return Err(("mail.hello", what.to_owned()));
        }
        Ok(Settings {
            port: self.port.map_or(self.security.usual_port(), NonZeroU16::get),
            host: self.host,
            security: self.security,
            username: self.username,
            from,
            ca_file: self.ca_file.map(|path| base.join(path)),
            timeout: Duration::from_secs(timeout_s),
            hello: self.hello,
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "host = \"smtp.example.com\"\nsecurity = \"starttls\"\nfrom = \"Latchkey <latchkey@example.com>\"\n";

    fn check(text: &str) -> Result<Settings, Fault> {
        toml::from_str::<Table>(text).unwrap().check(Path::new("/etc/latchkey"))
    }

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        let settings = check(TABLE).unwrap();
        assert_eq!((settings.port, settings.timeout), (587, Duration::from_secs(30)));
        assert_eq!((settings.username, settings.ca_file, settings.hello), (None, None, None));
        assert_eq!(check(&TABLE.replace("\"starttls\"", "\"tls\"")).unwrap().port, 465);
        let own = check(&format!("{TABLE}port = 2525\nca_file = \"ca.pem\"\ntimeout_s = 5")).unwrap();
        assert_eq!((own.port, own.timeout), (2525, Duration::from_secs(5)));
        assert_eq!(own.ca_file.as_deref(), Some(Path::new("/etc/latchkey/ca.pem")));
    }

    #[test]
    fn mail_goes_in_clear_to_this_machine_alone() {
        let clear = TABLE.replace("\"starttls\"", "\"none\"");
        for far in ["smtp.example.com", "192.0.2.1", "localhost.example.com", "10.0.0.1"] {
            let (key, what) = check(&clear.replace("smtp.example.com", far)).unwrap_err();
            assert!(key == "mail.security" && what.contains("starttls"), "{far}: {what}");
        }
        for near in ["localhost", "127.0.0.1", "::1", "127.8.8.8"] {
            assert_eq!(check(&clear.replace("smtp.example.com", near)).unwrap().port, 25, "{near}");
        }
    }

    #[test]
    fn each_fault_names_its_key() {
        let with = |line: &str| format!("{TABLE}{line}\n");
        for (text, expected) in [
            (TABLE.replace("smtp.example.com", "smtp.example.com:587"), "mail.host"),
            (TABLE.replace("smtp.example.com", "smtp://example.com"), "mail.host"),
            (TABLE.replace("smtp.example.com", ""), "mail.host"),
            (TABLE.replace("<latchkey@example.com>", "latchkey"), "mail.from"),
            (TABLE.replace("Latchkey <", "Latch\\r\\nBcc: eve@example.com <"), "mail.from"),
            (with("username = \" \""), "mail.username"),
            (with("username = \"a\\r\\nb\""), "mail.username"),
            (with("timeout_s = 0"), "mail.timeout_s"),
            (with("timeout_s = 301"), "mail.timeout_s"),
            (with("hello = \"a b\""), "mail.hello"),
            (with("hello = \"x\\r\\nMAIL FROM:<e@example.com>\""), "mail.hello"),
        ] {
            assert_eq!(check(&text).unwrap_err().0, expected, "{text}");
        }
        for unknown in ["password = \"s\"", "port = 0", "tls = true"] {
            assert!(toml::from_str::<Table>(&with(unknown)).is_err(), "{unknown}");
        }
        assert!(toml::from_str::<Table>(&TABLE.replace("starttls", "plain")).is_err());
    }
}
