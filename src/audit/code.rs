//! The closed list of what an entry can say.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::access::State;

macro_rules! codes {
    ($($name:ident = $text:literal, $says:literal;)+) => {
        /// What an entry says, in one stable word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum Code {
            $(#[doc = $says] $name,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it is stored and exported.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The same for people.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)+ }
            }
        }
    };
}

codes! {
    RequestGranted = "request.granted", "a ticket's request was granted; the decision's whole input";
    RequestRefused = "request.refused", "a ticket's request was refused, and why; the decision's whole input";
    RequestWaiting = "request.waiting", "a ticket's request waits for approvers; the decision's whole input";
    DeliveryLost = "delivery.lost", "a request was found by the poll alone: the PSA's webhook did not come";
    GrantHeld = "grant.held", "the request waits for approvers, or one of them has approved it";
    GrantGranting = "grant.granting", "the account is being made what it should be";
    GrantDelivering = "grant.delivering", "the account is ready; the person is to be told";
    GrantActive = "grant.active", "the person has access";
    GrantEnding = "grant.ending", "access is being taken away, and why";
    GrantEnded = "grant.ended", "access is off, with the proof";
    GrantRefused = "grant.refused", "the grant came to nothing; nothing was ever given";
    GrantDenied = "grant.denied", "an approver said no; nothing was ever given";
    GrantLapsed = "grant.lapsed", "nobody approved it in time; nothing was ever given";
    GrantLeaving = "grant.leaving", "the ticket has left what it asked for: access ends when the grace is over";
    GrantGoesOn = "grant.goes-on", "the ticket was put right in time: access goes on";
    GrantExtending = "grant.extending", "more time was allowed; the directory's own end is being moved first; the decision's whole input";
    GrantExtended = "grant.extended", "access ends later, and no later than the directory lets it";
    GrantNotExtended = "grant.not-extended", "more time was refused or could not be had, and why: the end stands";
    StepIntent = "step.intent", "a step in a directory is about to be taken";
    StepDone = "step.done", "the step was taken";
    StepNotBefore = "step.not-before", "the directory takes the step later";
    StepNoWay = "step.no-way", "the directory has no way to take the step";
    StepUnknown = "step.unknown", "whether the step was taken is not known; the account is looked at again";
    StepFailed = "step.failed", "the directory refused the step";
    StepPasswordRefused = "step.password-refused", "the directory did not like the password; another one was sealed";
    AccountImpossible = "account.impossible", "the account cannot be made what it should be";
    AccountCutAgain = "account.cut-again", "the account was changed outside Latchkey after its end; it is cut again";
    AccountOffAgain = "account.off-again", "the account that was cut again is off, with the proof";
    TicketTold = "ticket.told", "the ticket was told, or could not be";
    SecretHandingOver = "secret.handing-over", "credentials are about to be written into the ticket";
    SecretRevealed = "secret.revealed", "credentials were shown to the person";
    RulesSaved = "rules.saved", "rulebook or records were changed, and what of them";
    HoldSet = "hold.set", "a customer, a person or everything is held: nothing is given, and what stands is taken";
    HoldLifted = "hold.lifted", "a hold was lifted";
    SecretSet = "secret.set", "secrets of connections were set, by name";
    KeyRotated = "key.rotated", "another master key seals, and every secret is wrapped by it";
    KeyRetired = "key.retired", "former master keys went: backups made under them open no more";
    KeyShown = "key.shown", "the master keys, with a new one first, are about to be printed for a systemd credential";
    BindingAdded = "binding.added", "a PSA member is a person from now on";
    BindingConfirmed = "binding.confirmed", "a binding counts before it has cooled down: it was confirmed";
    BindingRemoved = "binding.removed", "a PSA member is a person no longer";
    PersonInvited = "person.invited", "a link to enrol was made for a person; the one before is void";
    PersonEnrolled = "person.enrolled", "a person got a password and a one-time code";
    WebhookSynced = "webhook.synced", "the PSA's webhooks were made what the rulebook needs";
    WebhookRemoved = "webhook.removed", "our webhooks were removed from the PSA";
    ReconcileDone = "reconcile.done", "a database was compared with the directories, and what followed from it";
    WebhookTrouble = "webhook.trouble", "the PSA's webhooks are missing, switched off, or lose deliveries";
    WebhookWell = "webhook.well", "the PSA's webhooks are as they should be again";
    ConnectorTrouble = "connector.trouble", "a connection cannot be used, its rights were refused, or it does not answer";
    ConnectorWell = "connector.well", "the connection's trouble is over";
    AuditHead = "audit.head", "the head of the day";
    AuditPruned = "audit.pruned", "older entries went; the checkpoint that stays";
}

impl Code {
    /// What is said of a grant that comes into a state.
    #[must_use]
    pub const fn of(state: &State) -> Self {
        match state {
            State::Held { .. } => Self::GrantHeld,
            State::Granting { .. } => Self::GrantGranting,
            State::Delivering { .. } => Self::GrantDelivering,
            State::Active { .. } => Self::GrantActive,
            State::Ending { .. } => Self::GrantEnding,
            State::Ended { .. } => Self::GrantEnded,
            State::Refused { .. } => Self::GrantRefused,
            State::Denied { .. } => Self::GrantDenied,
            State::Lapsed { .. } => Self::GrantLapsed,
        }
    }
}

/// A later release wrote it, or somebody else did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no code of an audit entry")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

impl TryFrom<String> for Code {
    type Error = UnknownCode;
    fn try_from(text: String) -> Result<Self, UnknownCode> {
        text.parse()
    }
}

impl From<Code> for &'static str {
    fn from(code: Code) -> Self {
        code.as_str()
    }
}

impl PartialEq<str> for Code {
    fn eq(&self, text: &str) -> bool {
        self.as_str() == text
    }
}

impl PartialEq<&str> for Code {
    fn eq(&self, text: &&str) -> bool {
        self.as_str() == *text
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F139: every code there is stands in the table of this module's page, with the same words, and none besides.
    #[test]
    fn the_documented_list_of_codes_is_the_whole_list() {
        let page = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let documented: Vec<&str> = page.collect();
        let known: Vec<String> =
            Code::ALL.iter().map(|code| format!("{}` | {} |", code.as_str(), code.says())).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn a_code_is_read_back_and_an_unknown_one_is_not() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse::<Code>().unwrap(), *code);
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
        assert!("grant.forever".parse::<Code>().is_err());
    }

    /// A state's code is its name: what earlier releases stored stays readable, and `grant.` finds them all.
    #[test]
    fn a_state_has_the_code_of_its_name() {
        use crate::access::tests::samples::{START, active, granting, proof, secret};
        use crate::access::{Cause, State};
        let cause = Cause::Expired;
        for state in [
            granting(),
            State::Delivering { secret: secret("s1"), since: START, latest_end: START },
            active(START),
            State::Ending { cause: cause.clone(), since: START },
            State::Ended { cause, due: START, proof: proof(START) },
            State::Refused { why: "no".into(), at: START },
        ] {
            assert_eq!(Code::of(&state).as_str(), format!("grant.{}", state.name()));
        }
    }
}
