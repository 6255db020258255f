//! Why a mail was not taken, by what can be done about it.

use std::{error::Error as _, io};

use latchkey_contract::text::one_line;
use lettre::transport::smtp;
use rustls::{CertificateError, Error as Tls};

/// The longest part of a server's answer that is repeated, in characters.
const LONGEST_ANSWER: usize = 160;

/// Why a mail was not taken. Each says what to do; none carries an address, a login or anything of the mail.
///
/// The underlying error is not kept as a source: it repeats the server's answer whole, and servers repeat addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The same mail may be taken later.
    #[error("{why}")]
    Later {
        /// A sentence.
        why: String,
        /// The server had the whole mail and did not say whether it took it: the next try is a repeat.
        may_have_arrived: bool,
    },
    /// This mail, or this recipient, is never taken; others may be.
    #[error("{why}")]
    Refused {
        /// A sentence.
        why: String,
    },
    /// No mail is taken until an operator has changed something.
    #[error("{why}")]
    Setup {
        /// A sentence naming what.
        why: String,
    },
}

impl MailError {
    /// True when the next try of the same mail is a repeat of one that may have arrived.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Later { may_have_arrived: true, .. })
    }

    /// The word for metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Later { .. } => "later",
            Self::Refused { .. } => "refused",
            Self::Setup { .. } => "setup",
        }
    }
}

/// How far the talk with the server had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Up to the server's greeting and what it offers, TLS included.
    Greeting,
    /// Login.
    Login,
    /// Who it is from.
    Sender,
    /// Whom it is to.
    Recipient,
    /// May the text be sent?
    Data,
    /// The text is being sent, or was.
    Text,
}

/// Where the talk was when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk<'a> {
    /// `host:port`.
    pub(super) server: &'a str,
    pub(super) stage: Stage,
}

impl Talk<'_> {
    fn later(self, what: &str) -> MailError {
        let why = format!("the mail server {} {what}", self.server);
        MailError::Later { why, may_have_arrived: self.stage == Stage::Text }
    }

    pub(super) fn setup(self, what: &str) -> MailError {
        MailError::Setup { why: format!("the mail server {} {what}", self.server) }
    }

    /// The connection was not made, or broke.
    pub(super) fn broken(self, error: &io::Error) -> MailError {
        let what = if self.stage == Stage::Greeting { "cannot be reached" } else { "broke off" };
        self.later(&format!("{what}: {}", one_line(&error.to_string(), LONGEST_ANSWER)))
    }

    /// It took longer than the configuration allows.
    pub(super) fn slow(self, timeout_s: u64) -> MailError {
        match self.stage {
            Stage::Greeting => self.later(&format!(
                "did not answer within {timeout_s} s; if it never does, check host, port and security under [mail]"
            )),
            _ => self.later(&format!("was not done within {timeout_s} s")),
        }
    }

    /// The talk itself failed.
    pub(super) fn failed(self, error: &smtp::Error) -> MailError {
        if let Some(fault) = tls_fault(error) {
            return self.setup(&tls_remedy(fault));
        }
        if let Some(broken) = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()) {
            return self.broken(broken);
        }
        let Some(code) = error.status() else {
            return self.later(&format!("broke off: {}", one_line(&error.to_string(), LONGEST_ANSWER)));
        };
        let said = answer(&code.to_string(), error);
        if error.is_transient() {
            // A refusal of the moment is an answer all the same: the server does not have the mail.
            let why = format!("the mail server {} does not take it now ({said})", self.server);
            return MailError::Later { why, may_have_arrived: false };
        }
        let asks_for_login = matches!(u16::from(code), 530 | 534 | 535 | 538);
        match self.stage {
            Stage::Login => self.setup(&format!(
                "does not accept user name and password ({said}); \
                 check username under [mail], and run: latchkey secret set mail/password"
            )),
            _ if asks_for_login => self.setup(&format!(
                "asks for a login ({said}); write username under [mail], and run: latchkey secret set mail/password"
            )),
            Stage::Greeting => self.setup(&format!("does not serve us ({said}); ask whoever runs it")),
            Stage::Sender => self
                .setup(&format!("does not let us send as mail.from says ({said}); write another, or allow it there")),
            Stage::Recipient => MailError::Refused {
                why: format!("the mail server {} does not take mail for this recipient ({said})", self.server),
            },
            Stage::Data | Stage::Text => {
                MailError::Refused { why: format!("the mail server {} does not take this mail ({said})", self.server) }
            }
        }
    }
}

/// The server's words on one line, without the addresses in them.
fn answer(code: &str, error: &smtp::Error) -> String {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let without_addresses = |word: &str| if word.contains('@') { "…".to_owned() } else { word.to_owned() };
    let words: Vec<String> = text.split_whitespace().map(without_addresses).collect();
    one_line(format!("{code} {}", words.join(" ")).trim_end(), LONGEST_ANSWER)
}

/// What an error comes from, one after the other.
fn causes(error: &smtp::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

/// TLS itself, somewhere in an error. An [`io::Error`] hides what it wraps from [`std::error::Error::source`].
fn tls_fault(error: &smtp::Error) -> Option<&Tls> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<Tls>())
}

fn tls_remedy(fault: &Tls) -> String {
    let what = match fault {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "shows a certificate of an authority that this machine does not trust; \
             write the file with the authority's certificate as ca_file under [mail]"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "shows a certificate for another name; write the name that it carries as host under [mail]",
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "shows a certificate that has expired; whoever runs it must renew it"
        }
        Tls::InvalidMessage(_) => "does not speak TLS there; check port and security under [mail]",
        other => return format!("and we cannot agree on TLS: {}", one_line(&other.to_string(), LONGEST_ANSWER)),
    };
    what.to_owned()
}
