//! Alert switches and who subscribes, and the settings that are nobody else's.

use std::{fmt, time::Duration};

use latchkey_contract::PersonId;
use serde::{Deserialize, Serialize};

use crate::{access::Length, mail::MailAddress};

/// One switch for each kind. All are off at first but the one for access that could not be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// An account was made.
    pub account_created: Switch,
    /// An account was enabled again.
    pub account_enabled: Switch,
    /// Access could not be taken away yet.
    #[serde(default = "loud")]
    pub failed_to_disable: Switch,
    /// Access has ended, with proof.
    pub grant_ended: Switch,
    /// A request was refused.
    pub request_refused: Switch,
    /// A brake holds a request.
    pub brake_pulled: Switch,
    /// A connection's credentials or rights were refused.
    pub connector_trouble: Switch,
    /// A PSA's webhooks are missing, switched off, or lose deliveries.
    pub webhook_trouble: Switch,
    /// Tell the requester when their access is active and when it has ended.
    pub requester: bool,
    /// Mail the head of the audit chain once a day.
    pub audit_head: Switch,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// An account was made.
    AccountCreated,
    /// An account was enabled again.
    AccountEnabled,
    /// Access could not be taken away yet.
    FailedToDisable,
    /// Access has ended, with proof.
    GrantEnded,
    /// A request was refused.
    RequestRefused,
    /// A brake holds a request.
    BrakePulled,
    /// A connection's credentials or rights were refused.
    ConnectorTrouble,
    /// A PSA's webhooks are missing, switched off, or lose deliveries.
    WebhookTrouble,
    /// The head of the audit chain.
    AuditHead,
}

/// A switch and its subscribers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Mails are sent.
    pub on: bool,
    /// To whom.
    #[serde(default)]
    pub to: Vec<Subscriber>,
}

/// Who gets a mail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subscriber {
    /// `owners`: everybody with that role.
    Owners,
    /// `admins`: admins and owners.
    Admins,
    /// A person of the records, at their address there.
    Person(PersonId),
    /// An address.
    Address(MailAddress),
}

/// Why a text names no subscriber.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no subscriber: write owners, admins, a person's id, or a mail address")]
pub struct BadSubscriber(String);

fn loud() -> Switch {
    Switch { on: true, to: vec![Subscriber::Owners] }
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            account_created: Switch::default(),
            account_enabled: Switch::default(),
            failed_to_disable: loud(),
            grant_ended: Switch::default(),
            request_refused: Switch::default(),
            brake_pulled: Switch::default(),
            connector_trouble: Switch::default(),
            webhook_trouble: Switch::default(),
            requester: true,
            audit_head: Switch::default(),
        }
    }
}

impl Alerts {
    /// The switch of a kind.
    #[must_use]
    pub const fn switch(&self, kind: AlertKind) -> &Switch {
        match kind {
            AlertKind::AccountCreated => &self.account_created,
            AlertKind::AccountEnabled => &self.account_enabled,
            AlertKind::FailedToDisable => &self.failed_to_disable,
            AlertKind::GrantEnded => &self.grant_ended,
            AlertKind::RequestRefused => &self.request_refused,
            AlertKind::BrakePulled => &self.brake_pulled,
            AlertKind::ConnectorTrouble => &self.connector_trouble,
            AlertKind::WebhookTrouble => &self.webhook_trouble,
            AlertKind::AuditHead => &self.audit_head,
        }
    }
}

impl AlertKind {
    /// Somebody has something to do: that is worth knowing late, and twice.
    #[must_use]
    pub const fn asks_to_act(self) -> bool {
        matches!(self, Self::FailedToDisable | Self::BrakePulled | Self::ConnectorTrouble | Self::WebhookTrouble)
    }

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AccountCreated,
        Self::AccountEnabled,
        Self::FailedToDisable,
        Self::GrantEnded,
        Self::RequestRefused,
        Self::BrakePulled,
        Self::ConnectorTrouble,
        Self::WebhookTrouble,
        Self::AuditHead,
    ];

    /// The key of its switch.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::AccountCreated => "account_created",
            Self::AccountEnabled => "account_enabled",
            Self::FailedToDisable => "failed_to_disable",
            Self::GrantEnded => "grant_ended",
            Self::RequestRefused => "request_refused",
            Self::BrakePulled => "brake_pulled",
            Self::ConnectorTrouble => "connector_trouble",
            Self::WebhookTrouble => "webhook_trouble",
            Self::AuditHead => "audit_head",
        }
    }
}

impl TryFrom<String> for Subscriber {
    type Error = BadSubscriber;
    fn try_from(text: String) -> Result<Self, BadSubscriber> {
        match text.as_str() {
            "owners" => Ok(Self::Owners),
            "admins" => Ok(Self::Admins),
            address if address.contains('@') => {
                MailAddress::parse(address).map(Self::Address).map_err(|_| BadSubscriber(text))
            }
            id => PersonId::parse(id).map(Self::Person).map_err(|_| BadSubscriber(text)),
        }
    }
}

impl From<Subscriber> for String {
    fn from(subscriber: Subscriber) -> Self {
        subscriber.to_string()
    }
}

impl fmt::Display for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owners => f.write_str("owners"),
            Self::Admins => f.write_str("admins"),
            Self::Person(id) => id.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What is set once for the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalSettings {
    /// For this long a new or changed binding of a PSA member to a person asks for nothing, unless an owner confirms it.
    pub binding_cools_for: Length,
    /// A request that waits for approvers lapses after this.
    pub waiting_lapses_after: Length,
    /// Every so many minutes each PSA is asked which tickets were saved, so that a lost webhook loses no request. 1 to 60.
    pub poll_minutes: u32,
}

impl Default for GlobalSettings {
    fn default() -> Self {
        Self { binding_cools_for: Length::ONE_HOUR, waiting_lapses_after: Length::EIGHT_HOURS, poll_minutes: 5 }
    }
}

impl GlobalSettings {
    /// Between two polls of a PSA.
    #[must_use]
    pub fn poll_every(&self) -> Duration {
        Duration::from_secs(u64::from(self.poll_minutes) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::Rulebook;

    /// F132: everything is off at first, but what must not go unheard.
    #[test]
    fn all_switches_are_off_at_first_but_the_one_for_access_that_stays() {
        for alerts in
            [Alerts::default(), Rulebook::parse("").unwrap().alerts, Rulebook::parse("[alerts]\n").unwrap().alerts]
        {
            let on: Vec<AlertKind> = AlertKind::ALL.into_iter().filter(|k| alerts.switch(*k).on).collect();
            assert_eq!(on, [AlertKind::FailedToDisable]);
            assert_eq!(alerts.failed_to_disable.to, [Subscriber::Owners]);
        }
        let off = Rulebook::parse("[alerts]\nfailed_to_disable = { on = false }\n").unwrap().alerts;
        assert!(!off.failed_to_disable.on, "until it is changed");
    }

    #[test]
    fn a_subscriber_is_a_word_a_person_or_an_address() {
        let read = |text: &str| Subscriber::try_from(text.to_owned());
        assert_eq!(read("owners").unwrap(), Subscriber::Owners);
        assert!(matches!(read("jane").unwrap(), Subscriber::Person(_)));
        assert!(matches!(read("noc@msp.example").unwrap(), Subscriber::Address(_)));
        for bad in ["", "Jane Doe", "a@b\nBcc: c@d.example", "@", "a@"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    /// F10
    #[test]
    fn a_psa_is_asked_every_one_to_sixty_minutes() {
        let read = |text: &str| Rulebook::parse(&format!("[settings]\n{text}\n"));
        assert_eq!(read("").unwrap().settings.poll_every(), Duration::from_secs(300));
        assert_eq!(read("poll_minutes = 60").unwrap().settings.poll_every(), Duration::from_secs(3600));
        for bad in [0, 61] {
            let said = read(&format!("poll_minutes = {bad}")).unwrap_err().to_string();
            assert!(said.contains("settings.poll_minutes") && said.contains("1 to 60 minutes"), "{said}");
        }
    }
}
