//! Mail addresses, parsed once at the door: what is in these types can be written into a header as it stands.

use std::{fmt, str::FromStr};

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

/// The longest address that RFC 5321 lets through a mail server, in bytes.
const LONGEST: usize = 254;

/// The longest sender's name, in characters.
const LONGEST_NAME: usize = 80;

/// Why a text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a mail address; write one such as jane.doe@example.com, in ASCII and without a name beside it")]
pub struct BadAddress;

/// Somebody's mail address, without a name: names of people stay out of headers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

impl MailAddress {
    /// Parses once.
    ///
    /// # Errors
    /// [`BadAddress`] for anything but one plain ASCII address. Quoted local parts are refused too: nobody has one, and
    /// they can carry what headers are made of.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>()[],;:\\".contains(c);
        if text.len() > LONGEST || !text.chars().all(is_plain) || text.parse::<lettre::Address>().is_err() {
            return Err(BadAddress);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MailAddress {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        Self::parse(text)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = BadAddress;
    fn try_from(text: String) -> Result<Self, BadAddress> {
        Self::parse(&text)
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.0
    }
}

/// Who mails come from: `Latchkey <latchkey@example.com>`, or the address alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// What people see.
    pub name: Option<String>,
    /// Where answers and bounces go.
    pub address: MailAddress,
}

impl FromStr for Sender {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let Some((name, rest)) = text.split_once('<') else {
            return Ok(Self { name: None, address: MailAddress::parse(text.trim())? });
        };
        let name = name.trim().trim_matches('"');
        let is_name =
            name.chars().count() <= LONGEST_NAME && !name.contains(['"', '\\']) && !name.contains(char::is_control);
        let address = rest.strip_suffix('>').filter(|_| is_name).ok_or(BadAddress)?;
        Ok(Self { name: (!name.is_empty()).then(|| name.to_owned()), address: MailAddress::parse(address)? })
    }
}

impl Sender {
    /// As the `From` header says it.
    pub(super) fn mailbox(&self) -> Result<Mailbox, lettre::address::AddressError> {
        Ok(Mailbox::new(self.name.clone(), self.address.as_str().parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_plain_address() {
        for good in
            ["jane.doe@example.com", "ops+latchkey@mail.example.co.uk", "o'neil@example.com", "x@xn--bcher-kva.example"]
        {
            assert_eq!(MailAddress::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "jane",
            "jane@",
            "@example.com",
            "jane@example.com, eve@example.com",
            "Jane <jane@example.com>",
            "jane@example.com\r\nBcc: eve@example.com",
            "jane@example.com\n",
            " jane@example.com",
            "jane@exa mple.com",
            "\"jane\r\n\"@example.com",
            "\"jane doe\"@example.com",
            "jané@example.com",
            "jane@bücher.example",
            "jane@example.com\0",
            "jane@[192.0.2.1]",
        ] {
            assert_eq!(MailAddress::parse(bad), Err(BadAddress), "{bad:?}");
        }
        assert!(MailAddress::parse(&format!("{}@example.com", "a".repeat(250))).is_err());
    }

    #[test]
    fn a_sender_may_have_a_name() {
        let sender: Sender = "Latchkey at Example <latchkey@example.com>".parse().unwrap();
        assert_eq!(sender.name.as_deref(), Some("Latchkey at Example"));
        assert_eq!(sender.address.as_str(), "latchkey@example.com");
        assert_eq!("\"Latchkey\" <l@example.com>".parse::<Sender>().unwrap().name.as_deref(), Some("Latchkey"));
        assert_eq!("latchkey@example.com".parse::<Sender>().unwrap().name, None);
        assert_eq!("<latchkey@example.com>".parse::<Sender>().unwrap().name, None);
        for bad in [
            "",
            "Latchkey",
            "Latchkey <latchkey@example.com",
            "Latchkey <latchkey@example.com> x",
            "Latch\r\nkey <latchkey@example.com>",
            "La\"tch\"key <latchkey@example.com>",
            "a@example.com <b@example.com>, <c@example.com>",
        ] {
            assert!(bad.parse::<Sender>().is_err(), "{bad:?}");
        }
    }
}
