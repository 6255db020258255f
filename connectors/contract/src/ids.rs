//! Identifiers. Those that share a shape still have separate types: mixing a grant with a ticket
//! does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {kind}: {rule}")]
pub struct BadId {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses once, at the door.
            ///
            /// # Errors
            /// [`BadId`] naming the rule that the text breaks.
            pub fn parse(value: impl Into<String>) -> Result<Self, BadId> {
                let value = value.into();
                let is_ok: fn(&str) -> bool = $ok;
                if is_ok(&value) {
                    Ok(Self(value))
                } else {
                    Err(BadId { kind: $kind, value: value.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(value: String) -> Result<Self, BadId> {
                Self::parse(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(value: &str) -> Result<Self, BadId> {
                Self::parse(value)
            }
        }
    };
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

id!(
    /// Names one configured PSA instance or one directory; appears in URLs; chosen once. `mail` is the mail server's own.
    ConnectionId, "connection id",
    "1 to 40 lower-case letters, digits and hyphens, beginning with a letter; `mail` is taken by the mail server",
    |text| is_slug(text) && text != "mail"
);
id!(
    /// An MSP's client, as named in our records.
    CustomerId, "customer id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A technician or admin, as named in our records.
    PersonId, "person id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A policy of the rulebook.
    PolicyId, "policy id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A mapping of the rulebook.
    MappingId, "mapping id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A group of people or of customers of the rulebook.
    GroupId, "group id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A brake of the rulebook: what makes a request wait for people.
    BrakeId, "brake id", "1 to 40 lower-case letters, digits and hyphens, beginning with a letter", is_slug
);
id!(
    /// A ticket within its PSA.
    TicketId, "ticket id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A PSA member's immutable id (not the login name, which can be renamed).
    MemberId, "member id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A PSA company's immutable id.
    CompanyId, "company id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A board (ConnectWise), queue (Autotask) or team (HaloPSA) by immutable id.
    BoardId, "board id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A ticket status by immutable id.
    StatusId, "status id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A ticket's type by immutable id; a type belongs to one board.
    TypeId, "ticket type id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// Where a ticket came from (e-mail, phone, portal), by immutable id.
    SourceId, "ticket source id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A custom field's definition by immutable id.
    FieldId, "field id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A note as the PSA names it.
    NoteId, "note id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// One period of access, from the first webhook to the last note. Time-ordered.
    GrantId, "grant id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// One JIT account in one directory. Also the mark the account carries there. Time-ordered.
    AccountId, "account id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A sealed secret's row. Says nothing about the secret.
    SecretId, "secret id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A mail that is owed to one recipient. Its Message-ID is made from it. Time-ordered.
    MailId, "mail id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);
id!(
    /// A directory object's own immutable id.
    ObjectId, "object id", "1 to 64 letters, digits, '-', '_' or '.'", is_word
);

/// A ticket among all connections: ticket 42 exists in every PSA.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TicketRef {
    /// Which PSA.
    pub connection: ConnectionId,
    /// Which ticket there.
    pub ticket: TicketId,
}

impl fmt::Display for TicketRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.ticket)
    }
}

/// A directory role or group by the directory's own immutable id; written `role:ID` or `group:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EntitlementId {
    /// A directory role, by role definition id.
    Role(ObjectId),
    /// A group, by object id.
    Group(ObjectId),
}

impl EntitlementId {
    /// The directory's id without our prefix.
    #[must_use]
    pub const fn object(&self) -> &ObjectId {
        match self {
            Self::Role(id) | Self::Group(id) => id,
        }
    }
}

impl fmt::Display for EntitlementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(id) => write!(f, "role:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
        }
    }
}

impl TryFrom<String> for EntitlementId {
    type Error = BadId;
    fn try_from(value: String) -> Result<Self, BadId> {
        let bad = || BadId {
            kind: "entitlement id",
            value: value.chars().take(80).collect(),
            rule: "write role:ID or group:ID with the directory's own id",
        };
        match value.split_once(':') {
            Some(("role", id)) => ObjectId::parse(id).map(Self::Role),
            Some(("group", id)) => ObjectId::parse(id).map(Self::Group),
            _ => Err(bad()),
        }
    }
}

impl From<EntitlementId> for String {
    fn from(id: EntitlementId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_parsed_at_the_door() {
        assert!(ConnectionId::parse("cw-main").is_ok() && ConnectionId::parse("mail-psa").is_ok());
        for bad in ["", "Main", "1a", "a/b", "a b", &"a".repeat(41), "mail"] {
            assert!(ConnectionId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TicketId::parse("../etc").is_err());
    }

    #[test]
    fn an_entitlement_says_what_it_is() {
        let role = EntitlementId::try_from("role:29232cdf-9323-42fd-ade2-1d097af3e4de".to_owned()).unwrap();
        assert!(matches!(role, EntitlementId::Role(_)));
        assert!(EntitlementId::try_from("Exchange Administrator".to_owned()).is_err());
    }
}
