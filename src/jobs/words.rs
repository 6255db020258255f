//! What the notes say. Plain text that reads well unrendered, times in UTC, no free text of strangers.

use std::time::Duration;

use latchkey_contract::{TicketRef, Timestamp};

use crate::{
    access::{Cause, Grant, Proof, State, follow::Leaving},
    audit::Head,
};

/// What the credentials note says after the end. It does not say that they are dead: the proof does, when it was seen,
/// and another access of the same account may still live on them.
pub const TIDIED: &str = "Latchkey: this access has ended; the credentials that stood here were removed. \
     The note with the proof says what was seen off.";

/// The answer to what is no command.
pub const NO_COMMAND: &str =
    "this is no command.\n\nThe first line of an internal note may be /jit status, /jit extend 30m or /jit end.";

/// The answer to `/jit extend` where a program, or somebody else, may have said it.
pub const NOT_CERTAIN: &str = "nothing was extended.\n\nThe PSA does not tell for certain who wrote this note: a program \
     that may act as somebody wrote it, or it was changed afterwards. Ask in a new note, or on the page of the access.";

/// The answer to `/jit status`: how everything stands that the ticket asked for and that is not over.
#[must_use]
pub fn standing(grants: &[Grant], name: &dyn Fn(&Grant) -> String) -> String {
    let line = |grant: &Grant| {
        let stands = match &grant.state {
            State::Held { until, .. } => format!("waits for approval, until {} at most", exact(*until)),
            State::Granting { .. } | State::Delivering { .. } => "is being made ready".to_owned(),
            State::Active { until, .. } => {
                let ends_at = grant.leaving.as_ref().map_or(*until, |leaving| leaving.ends_at.min(*until));
                format!("is active, and ends at {}", exact(ends_at))
            }
            _ => "is over".to_owned(),
        };
        format!("- \"{}\" for {} {stands}.", grant.policy.name, name(grant))
    };
    let lines: Vec<String> = grants.iter().map(line).collect();
    format!("access of this ticket.\n\n{}", lines.join("\n"))
}

/// The answer to `/jit end` by whoever may say it.
#[must_use]
pub fn ends_as_asked(by: &str) -> String {
    format!("access ends now, as {by} said.\n\nA note with the proof follows.")
}

/// The answer to `/jit end` by somebody else.
#[must_use]
pub fn only_they_end(requester: &str) -> String {
    format!("nothing was ended.\n\nOnly {requester}, or an admin, ends this access early.")
}

/// The answer to any command when all that the ticket asked for is over: `last` is how what it had last stands.
#[must_use]
pub fn over(last: &State) -> String {
    let how = match last {
        State::Ended { proof, .. } => {
            format!("The last access of this ticket has ended: off was seen at {}.", exact(proof.seen_at()))
        }
        State::Ending { since, .. } => format!(
            "The last access of this ticket has ended at {}, and is being taken away; a note with the proof follows.",
            exact(*since)
        ),
        _ => "The last access of this ticket is over.".to_owned(),
    };
    format!("nothing is given here any more.\n\n{how}\nIf it is needed again, ask for it anew.")
}

/// The answer to `/jit extend`: what comes of it, for each access that whoever asked has.
#[must_use]
pub fn extends(asked: &[(Grant, Result<Timestamp, String>)]) -> String {
    let line = |(grant, comes): &(Grant, Result<Timestamp, String>)| {
        let name = &grant.policy.name;
        match (comes, &grant.state) {
            (Ok(until), State::Active { until: stands, .. }) => format!(
                "- \"{name}\" is to end at {}. Until the directory has taken that, the end stands at {}; a note says when.",
                exact(*until),
                exact(*stands)
            ),
            (Ok(until), _) => format!("- \"{name}\" is to end at {}.", exact(*until)),
            (Err(why), _) => format!("- \"{name}\" is not extended: {}.", unstopped(why)),
        }
    };
    let is_any = asked.iter().any(|(_, comes)| comes.is_ok());
    let first = if is_any { "access is being extended." } else { "nothing was extended." };
    format!("{first}\n\n{}", asked.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The answer to `/jit extend` by somebody else.
#[must_use]
pub fn only_they_extend(requester: &str) -> String {
    format!("nothing was extended.\n\nOnly {requester} asks for more time for this access.")
}

/// What a note is made from.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The grant.
    pub grant: &'a Grant,
    /// The customer's name, from our records.
    pub customer: &'a str,
    /// The person's name, from our records.
    pub person: &'a str,
    /// Now.
    pub now: Timestamp,
    /// How long already issued tokens may still work after revocation.
    pub token_tail: Option<Duration>,
}

/// A refusal: why, and what to do, in one sentence.
#[must_use]
pub fn refused(why: &str, ticket: &TicketRef, link: &str) -> String {
    let why = unstopped(why);
    format!("Latchkey: access was not granted.\n\nWhy: {why}.\nNothing was given.\n\nTicket {}\n{link}", ticket.ticket)
}

impl Words<'_> {
    /// Waits for approvers.
    #[must_use]
    pub fn waiting(&self, brakes: &[String], needed: u32, until: Timestamp) -> String {
        format!(
            "Latchkey: request is waiting.\n\n{} asked for \"{}\" at {} for {}. More is being asked for than usual ({}), so {needed} \
             approvers have to let it pass. Nothing is given yet.\nWithout their word it lapses at {}.\n\n{}",
            self.person,
            self.grant.policy.name,
            self.customer,
            self.length(),
            brakes.join(", "),
            exact(until),
            self.foot()
        )
    }

    /// An approver said no.
    #[must_use]
    pub fn denied(&self, by: &str, why: &str) -> String {
        let why = unstopped(why);
        format!("Latchkey: access was not granted.\n\n{by} denied it: {why}.\nNothing was given.\n\n{}", self.foot())
    }

    /// Nobody answered in time.
    #[must_use]
    pub fn lapsed(&self) -> String {
        format!(
            "Latchkey: access was not granted.\n\nThe request lapsed: it was not approved in time. Ask again if it is still \
             needed.\nNothing was given.\n\n{}",
            self.foot()
        )
    }

    /// Asked, and being given.
    #[must_use]
    pub fn received(&self) -> String {
        format!(
            "Latchkey: request received.\n\n{} asked for \"{}\" at {} for {}. The account is being made ready.\n\n{}",
            self.person,
            self.grant.policy.name,
            self.customer,
            self.length(),
            self.foot()
        )
    }

    /// Given, to be claimed.
    #[must_use]
    pub fn claim_link(&self, account: &str, link: &str) -> String {
        format!(
            "Latchkey: access granted.\n\n{}\n\nCredentials (only {} can open this, by signing in):\n{link}\n\n{}",
            self.terms(account),
            self.person,
            self.foot()
        )
    }

    /// Given, with the credentials.
    #[must_use]
    pub fn credentials(&self, account: &str, password: &str) -> String {
        format!(
            "Latchkey: access granted.\n\n{}\nPassword: {password}\n\n\
             Whoever can read this note can use the account until the access ends. Then the password stops working and this note is overwritten.\n\n{}",
            self.terms(account),
            self.foot()
        )
    }

    /// Being taken back, because it could not be given or delivered.
    #[must_use]
    pub fn failed(&self, cause: &Cause) -> String {
        format!(
            "Latchkey: access could not be given.\n\nWhy: {}.\n\
             Whatever was made ready is being taken away; a note with the proof follows.\n\n{}",
            unstopped(&cause.sentence()),
            self.foot()
        )
    }

    /// Taken away, with proof.
    ///
    /// `head` is the audit log's as it is committed now: whoever keeps the note can tell later whether what is below it
    /// was rewritten.
    #[must_use]
    pub fn ended(&self, account: &str, cause: &Cause, due: Timestamp, proof: &Proof, head: Option<&Head>) -> String {
        let mut text = format!(
            "Latchkey: access has ended, proven off.\n\nAccount: {account}\nWhy: {}.\nRemoval was due {}; off was seen {} later, and again at {}.\n\nSeen in the directory:\n",
            unstopped(&cause.sentence()),
            exact(due),
            seconds(proof.seen_at().since(due)),
            exact(proof.confirmed_at())
        );
        for fact in proof.facts() {
            text.push_str(&format!("- {fact}\n"));
        }
        if !proof.unchecked().is_empty() {
            text.push_str("\nNot checked:\n");
            for gap in proof.unchecked() {
                text.push_str(&format!("- {gap}\n"));
            }
        }
        if let (Some(cut), Some(tail)) = (proof.sessions_cut(), self.token_tail) {
            text.push_str(&format!(
                "\nSessions were revoked at {}. A token issued before may still work in some services until {} at the latest.\n",
                exact(cut), exact(cut + tail)
            ));
        }
        if let Some(head) = head {
            text.push_str(&format!("\nAudit {}\n", head.short()));
        }
        text.push_str(&format!("\n{}", self.foot()));
        text
    }

    /// Somebody gave it back outside Latchkey.
    #[must_use]
    pub fn cut_again(&self, account: &str) -> String {
        format!(
            "Latchkey: the account {account} was changed outside Latchkey after this access had ended. \
             It was cut again and is proven off. Please find out who did this.\n\n{}",
            self.foot()
        )
    }

    /// Removal is late.
    #[must_use]
    pub fn overdue(&self, account: &str) -> String {
        format!(
            "Latchkey: the access of {account} has ended, but the directory could not be made to remove it yet. \
             Latchkey goes on trying until it is proven off. If this is urgent, disable the account by hand.\n\n{}",
            self.foot()
        )
    }

    /// The ticket has left: it ends soon.
    #[must_use]
    pub fn leaving(&self, leaving: &Leaving) -> String {
        format!(
            "Latchkey: access ends soon.\n\nAccess ends at {} because {}.\n\
             If that was a slip, put it right before then and access goes on; afterwards it has to be asked for again.\n\n{}",
            exact(leaving.ends_at),
            leaving.how.sentence(),
            self.foot()
        )
    }

    /// That was put right in time.
    #[must_use]
    pub fn goes_on(&self, until: Timestamp) -> String {
        format!(
            "Latchkey: access goes on.\n\nThe ticket is as it was when it asked; access ends at {} as before.\n\n{}",
            exact(until),
            self.foot()
        )
    }

    /// Its time is over soon.
    #[must_use]
    pub fn ends_soon(&self, until: Timestamp) -> String {
        format!(
            "Latchkey: access ends soon.\n\nThe access of {} ends at {}.\n\
             If you are done sooner, end it by an internal note whose first line is /jit end. If you need longer, ask by one whose \
             first line is /jit extend 30m.\n\n{}",
            self.person,
            exact(until),
            self.foot()
        )
    }

    /// It goes on for longer.
    #[must_use]
    pub fn extended(&self, until: Timestamp) -> String {
        format!(
            "Latchkey: access was extended.\n\nThe access of {} ends at {} now.\n\n{}",
            self.person,
            exact(until),
            self.foot()
        )
    }

    /// It was to go on for longer, and does not.
    #[must_use]
    pub fn not_extended(&self, why: &str, until: Timestamp) -> String {
        format!(
            "Latchkey: access was not extended.\n\nWhy: {}.\nIt ends at {} as before.\n\n{}",
            unstopped(why),
            exact(until),
            self.foot()
        )
    }

    /// What a command comes to.
    #[must_use]
    pub fn answered(&self, text: &str) -> String {
        format!("Latchkey: {text}\n\n{}", self.foot())
    }

    fn terms(&self, account: &str) -> String {
        let until = match &self.grant.state {
            State::Active { until, .. } => *until,
            State::Delivering { latest_end, .. } => (self.now + self.grant.length.duration()).min(*latest_end),
            _ => self.now + self.grant.length.duration(),
        };
        format!(
            "Access: {}\nCustomer: {}\nFor: {}\nFrom now for {}, until about {}\nUser name: {account}",
            self.grant.policy.name,
            self.customer,
            self.person,
            self.length(),
            until.for_people()
        )
    }

    fn length(&self) -> String {
        let minutes = self.grant.length.duration().as_secs() / 60;
        let (number, unit) = match minutes {
            m if m % 1440 == 0 => (m / 1440, "day"),
            m if m % 60 == 0 => (m / 60, "hour"),
            m => (m, "minute"),
        };
        if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
    }

    fn foot(&self) -> String {
        format!("Grant {} · ticket {}\n{}", self.grant.id, self.grant.ticket.ticket, self.grant.ticket_link)
    }
}

/// Connectors' sentences end with a full stop, ours do not: the note adds its own.
fn unstopped(sentence: &str) -> &str {
    sentence.trim_end_matches('.')
}

fn exact(at: Timestamp) -> String {
    let text = at.rfc3339();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms if ms < 120_000 => format!("{} s", ms / 1000),
        ms => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use latchkey_contract::directory::{Known, Mode, Observation};

    use super::*;
    use crate::access::{Length, follow::Departure, proof::Owed, tests::samples};

    const ACCOUNT: &str = "jit-jdoe@contoso.onmicrosoft.com";

    fn grant() -> Grant {
        samples::grant("01JZ5GQ2ZP3M8T0V6WXYZ12345", &[1], samples::granting())
    }

    fn proof() -> Proof {
        let at = Timestamp::parse("2026-06-09T23:00:02Z").unwrap();
        let seen = |at| Observation {
            at,
            account: None,
            recycled: None,
            has_native_end: false,
            unchecked: vec!["memberships computed by a rule (dynamic groups)".to_owned()],
        };
        let known = Known { sessions_cut: Some(at), ..Known::default() };
        let second = seen(at + Duration::from_secs(6));
        Proof::of(Some(&seen(at)), &second, &known, &Owed::Whole(Mode::Burner)).unwrap()
    }

    /// F3, F7, F123, F144: every note carries ticket and grant, says what happened, and reads well as plain text.
    #[test]
    fn every_note_reads_well() {
        let mut grant = grant();
        grant.length = Length::parse("1h").unwrap();
        let now = Timestamp::parse("2026-06-09T22:00:00Z").unwrap();
        grant.state =
            State::Delivering { secret: "s".parse().unwrap(), since: now, latest_end: now + Duration::from_secs(4500) };
        let tail = Some(Duration::from_secs(3600));
        let words = Words { grant: &grant, customer: "ACME Ltd", person: "Jane Doe", now, token_tail: tail };
        let due = Timestamp::parse("2026-06-09T23:00:00Z").unwrap();
        let head = Head::new(1234, "ab12cd34ef567890".repeat(4));
        let all = [
            words.received(),
            words.claim_link(ACCOUNT, "https://latchkey.example.com/claim/01JZ5GQ2ZP3M8T0V6WXYZ12345"),
            words.credentials(ACCOUNT, "<the password>"),
            refused("2h is not allowed; this policy allows 30m, 1h", &grant.ticket, &grant.ticket_link),
            words.failed(&Cause::DeliveryFailed { why: "the credentials could not be delivered in time".into() }),
            words.ended(ACCOUNT, &Cause::Expired, due, &proof(), Some(&head)),
            words.cut_again(ACCOUNT),
            words.overdue(ACCOUNT),
            words.leaving(&Leaving { how: Departure::Closed, since: now, ends_at: now + Duration::from_secs(300) }),
            words.goes_on(due),
            words.ends_soon(due),
            words.extended(due),
            words.not_extended("the directory ends this access by its own clock, and does not let that be later", due),
            words.answered(&extends(&[
                (Grant { state: samples::active(now), ..grant.clone() }, Ok(due)),
                (grant.clone(), Err("2h more would be longer in all than policy helpdesk lets it be".to_owned())),
            ])),
            words.answered(&only_they_extend("Jane Doe")),
            words.answered(NOT_CERTAIN),
            words.answered(&standing(
                &[Grant { state: samples::active(now), ..grant.clone() }, grant.clone()],
                &|grant| grant.person.to_string(),
            )),
            words.answered(&ends_as_asked("Jane Doe")),
            words.answered(&only_they_end("Jane Doe")),
            words.answered(NO_COMMAND),
            words.answered(&over(&State::Ended { cause: Cause::Expired, due, proof: proof() })),
            TIDIED.to_owned(),
        ];
        for note in &all[..21] {
            assert!(note.lines().all(|l| l.chars().count() <= 240), "a line is too long: {note}");
        }
        insta::assert_snapshot!(all.join("\n\n────────\n\n"));
    }
}
