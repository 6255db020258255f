//! Which sentences each mail says.

use std::time::Duration;

use latchkey_contract::Timestamp;

use super::{
    About, Invitation, Words, Written,
    letter::{Letter, Tone},
};
use crate::rulebook::AlertKind;

impl Words {
    /// Subject, text and HTML.
    #[must_use]
    pub fn write(&self) -> Written {
        let letter = self.letter();
        match self.alert() {
            Some(kind) => because_of(kind, letter).write(),
            None => letter.write(),
        }
    }

    fn letter(&self) -> Letter {
        match self {
            Self::AccountCreated { about, account, at, latest_end } => {
                let says = format!("An account was created for {} at {}.", about.person.name, about.customer.name);
                given("Account created", "account created", &says, (about, account, *at, *latest_end))
            }
            Self::AccountEnabled { about, account, at, latest_end } => {
                let says = format!("The account of {} at {} was switched on.", about.person.name, about.customer.name);
                given("Account enabled", "account enabled", &says, (about, account, *at, *latest_end))
            }
            Self::FailedToDisable { about, account, due, at, why } => {
                failed_to_disable((about, account), *due, *at, why)
            }
            Self::GrantEnded { about, account, why, due, seen_off } => {
                grant_ended((about, account), why, *due, *seen_off)
            }
            Self::RequestRefused { ticket, ticket_link, customer, person, why, at } => {
                let subject = format!("request refused, ticket {}", ticket.ticket);
                Letter::new(Tone::Calm, "Request refused", &subject)
                    .says("A ticket asked for access, and nothing was given.")
                    .fact("Why", why)
                    .known("Asked by", person.as_ref().map(|person| person.name.as_str()))
                    .known("Customer", customer.as_ref().map(|customer| customer.name.as_str()))
                    .time("Refused", *at)
                    .linked("Ticket", &ticket.to_string(), ticket_link)
            }
            Self::BrakePulled { about, brake, answer, until } => brake_pulled(about, brake, answer, *until),
            Self::ConnectorTrouble { connection, what, remedy, since } => Letter::new(
                Tone::Act,
                "A connection does not work",
                &format!("connection {connection} does not work"),
            )
            .says(&format!(
                "The connection {connection} has not done its part since {}. Access through it may not be given, \
                         and access that ends may not be taken away in time.",
                since.for_people()
            ))
            .says(remedy)
            .fact("Connection", connection.as_str())
            .fact("What is wrong", what)
            .time("Since", *since),
            Self::WebhookTrouble { connection, what, remedy, since } => {
                Letter::new(Tone::Care, "Webhooks need attention", &format!("webhooks of {connection} need attention"))
                    .says(&format!(
                        "The webhooks of {connection} have not been as they should be since {}. \
                         Requests may be seen late.",
                        since.for_people()
                    ))
                    .says(remedy)
                    .fact("Connection", connection.as_str())
                    .fact("What is wrong", what)
                    .time("Since", *since)
            }
            Self::AccessActive { about, account, until, page } => access_active((about, account), *until, page),
            Self::AccessEndsSoon { about, account, until, page } => access_ends_soon((about, account), *until, page),
            Self::AccessEnded { about, account, why, seen_off } => access_ended((about, account), why, *seen_off),
            Self::AuditHead { entries, head, at, given_up } => audit_head(*entries, head, *at, *given_up),
            Self::Test { by, at } => Letter::new(Tone::Calm, "Mail works", "test mail")
                .says("This is a test. Mails of Latchkey reach you.")
                .time("Sent", *at)
                .because(&format!("{by} asked for a test mail.")),
        }
    }
}

impl Invitation {
    /// Subject, text and HTML. Text and HTML hold the link.
    #[must_use]
    pub fn write(&self) -> Written {
        Letter::new(Tone::Calm, "You are invited", "your invitation")
            .says(&format!("{} invites {} to use Latchkey.", self.by, self.person.name))
            .says(&format!(
                "Open the link to choose a password and to set up one-time codes. It works once, until {}. \
                 Do not pass it on: whoever opens it first has your place.",
                self.until.for_people()
            ))
            .action("Accept the invitation", self.link.expose())
            .because(&format!("{} invited you. If you do not expect that, ask them before you open the link.", self.by))
            .write()
    }
}

fn because_of(kind: AlertKind, letter: Letter) -> Letter {
    letter.because(&format!("the alert {} is on, and you are among those who get it.", kind.key()))
}

/// An account that came to be usable: which, from when, and until when at the latest.
fn given(
    title: &'static str,
    subject: &str,
    says: &str,
    (about, account, at, latest_end): (&About, &str, Timestamp, Timestamp),
) -> Letter {
    let letter = Letter::new(Tone::Calm, title, &format!("{subject}, {}", who(about)))
        .says(says)
        .fact("User name", account)
        .time("When", at)
        .time("Ends at the latest", latest_end);
    facts_of(about, letter)
}

fn failed_to_disable((about, account): (&About, &str), due: Timestamp, at: Timestamp, why: &str) -> Letter {
    let title = "An account could not be disabled";
    let letter = Letter::new(Tone::Act, title, &format!("account could NOT be disabled, {}", who(about)))
        .says(&format!(
            "The access of {} at {} should have been off at {}, {} ago. \
             The directory could not be made to remove it yet.",
            about.person.name,
            about.customer.name,
            due.for_people(),
            spoken(at.since(due))
        ))
        .says(
            "Latchkey goes on trying until it is proven off. If this is urgent, disable the account by hand in the \
             customer's directory.",
        )
        .fact("User name", account)
        .fact("What stands in the way", why)
        .time("Should be off since", due);
    facts_of(about, letter)
}

fn grant_ended((about, account): (&About, &str), why: &str, due: Timestamp, seen_off: Timestamp) -> Letter {
    let letter = Letter::new(Tone::Calm, "Access has ended", &format!("access has ended, {}", who(about)))
        .says(&format!(
            "The access of {} at {} has ended and is proven off. The proof stands in the ticket.",
            about.person.name, about.customer.name
        ))
        .fact("Why", why)
        .fact("User name", account)
        .time("Removal was due", due)
        .fact("Off was seen", &format!("{}, {} later", seen_off.for_people(), spoken(seen_off.since(due))));
    facts_of(about, letter)
}

fn brake_pulled(about: &About, brake: &str, answer: &str, until: Timestamp) -> Letter {
    let letter = Letter::new(Tone::Act, "A request is held", &format!("request held by a brake, {}", who(about)))
        .says(&format!(
            "{} asks for access at {}, and a brake holds the request. Nothing is given before two approvers have said so.",
            about.person.name, about.customer.name
        ))
        .says(answer)
        .fact("Brake", brake)
        .time("Lapses", until);
    facts_of(about, letter)
}

fn access_active((about, account): (&About, &str), until: Timestamp, page: &str) -> Letter {
    let ticket = &about.ticket.ticket;
    let letter = Letter::new(Tone::Calm, "Your access is active", &format!("your access is active, ticket {ticket}"))
        .says(&format!(
            "You can work at {} until {}. Then the access ends by itself.",
            about.customer.name,
            until.for_people()
        ))
        .says("This mail holds no password. If you are done sooner, end the access on its page.")
        .fact("User name", account)
        .time("Until", until)
        .action("Open the page of this access", page)
        .because("you asked for this access.");
    facts_of(about, letter)
}

fn access_ends_soon((about, account): (&About, &str), until: Timestamp, page: &str) -> Letter {
    let ticket = &about.ticket.ticket;
    let letter = Letter::new(Tone::Care, "Your access ends soon", &format!("your access ends soon, ticket {ticket}"))
        .says(&format!("Your access at {} ends at {}, by itself.", about.customer.name, until.for_people()))
        .says(
            "Bring what you are doing to a place where it can stop. If you are done sooner, end the access on its page; \
             if you need longer, ask for that there. Or by an internal note in the ticket whose first line is /jit end, or \
             /jit extend 30m.",
        )
        .fact("User name", account)
        .time("Ends", until)
        .action("Open the page of this access", page)
        .because("you asked for this access.");
    facts_of(about, letter)
}

fn access_ended((about, account): (&About, &str), why: &str, seen_off: Timestamp) -> Letter {
    let ticket = &about.ticket.ticket;
    let letter = Letter::new(Tone::Calm, "Your access has ended", &format!("your access has ended, ticket {ticket}"))
        .says(&format!("Your access at {} has ended and is proven off.", about.customer.name))
        .fact("Why", why)
        .fact("User name", account)
        .time("Off was seen", seen_off)
        .because("you asked for this access.");
    facts_of(about, letter)
}

fn audit_head(entries: u64, head: &str, at: Timestamp, given_up: u64) -> Letter {
    let day = at.for_people();
    let day = day.get(..10).unwrap_or_default();
    let letter = Letter::new(Tone::Calm, "Head of the audit chain", &format!("head of the audit chain, {day}"));
    let letter = match given_up {
        0 => letter,
        some => letter.says(&format!(
            "Mails of the last seven days that reached nobody: {some}. \"latchkey mails\" says which, and why."
        )),
    };
    letter
        .says(
            "Keep this mail where those who run Latchkey cannot change it. Whoever changes, removes or adds an older entry \
             cannot make the chain end in this value again, and \"latchkey audit verify\" shows it.",
        )
        .fact("Entries", &entries.to_string())
        .fact("Head", head)
        .time("Taken", at)
        .because("the head of the audit chain is kept by mail, once a day.")
}

/// For subjects: ids alone.
fn who(about: &About) -> String {
    format!("{} at {}, ticket {}", about.person.id, about.customer.id, about.ticket.ticket)
}

fn facts_of(about: &About, letter: Letter) -> Letter {
    letter
        .fact("Access", &about.policy)
        .fact("Person", &about.person.name)
        .fact("Customer", &about.customer.name)
        .linked("Ticket", &about.ticket.to_string(), &about.ticket_link)
        .fact("Grant", about.grant.as_str())
}

/// A length of time as one says it, rounded down.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}
