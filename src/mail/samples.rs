//! One mail of every kind, with whatever free text a test wants in it.

use latchkey_contract::{Secret, TicketRef, Timestamp};

use super::{About, Invitation, Named, Words, Written};

/// Where the sample's ticket is.
pub(super) const TICKET_LINK: &str = "https://na.myconnectwise.net/v4_6_release/services/system_io/router/openrecord.rails?recordType=ServiceFv&recid=48211";

/// Free text as it should be.
pub(super) struct Free<'a> {
    pub(super) customer: &'a str,
    pub(super) person: &'a str,
    pub(super) policy: &'a str,
    pub(super) account: &'a str,
    pub(super) by: &'a str,
    pub(super) cause: &'a str,
    pub(super) refusal: &'a str,
    pub(super) brake: &'a str,
    pub(super) trouble: &'a str,
}

pub(super) const BENIGN: Free<'_> = Free {
    customer: "ACME Ltd",
    person: "Jane Doe",
    policy: "Helpdesk Administrator",
    account: "jit-jdoe@acme.onmicrosoft.com",
    by: "Maria Rossi",
    cause: "its time was over",
    refusal: "8h is not allowed; this policy allows 30m, 1h",
    brake: "at most 5 requests of one technician within 1 hour",
    trouble: "the directory answers 403 Authorization_RequestDenied",
};

impl<'a> Free<'a> {
    /// The same text everywhere.
    pub(super) const fn everywhere(text: &'a str) -> Self {
        Self {
            customer: text,
            person: text,
            policy: text,
            account: text,
            by: text,
            cause: text,
            refusal: text,
            brake: text,
            trouble: text,
        }
    }
}

pub(super) fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-06-09T{time}Z")).unwrap()
}

/// One of every kind, in the order in which they are declared.
pub(super) fn words(free: &Free<'_>, ticket_link: &str) -> Vec<Words> {
    let person = Named { id: "jdoe".parse().unwrap(), name: free.person.to_owned() };
    let customer = Named { id: "acme".parse().unwrap(), name: free.customer.to_owned() };
    let ticket = TicketRef { connection: "cw".parse().unwrap(), ticket: "48211".parse().unwrap() };
    let about = About {
        grant: "01JZ5GQ2ZP3M8T0V6WXYZ12345".parse().unwrap(),
        ticket: ticket.clone(),
        ticket_link: ticket_link.to_owned(),
        customer: customer.clone(),
        person: person.clone(),
        policy: free.policy.to_owned(),
    };
    let account = free.account.to_owned();
    let (cause, refusal, trouble) = (free.cause.to_owned(), free.refusal.to_owned(), free.trouble.to_owned());
    vec![
        Words::AccountCreated {
            about: about.clone(),
            account: account.clone(),
            at: at("21:59:47"),
            latest_end: at("23:15:00"),
        },
        Words::AccountEnabled {
            about: about.clone(),
            account: account.clone(),
            at: at("21:59:47"),
            latest_end: at("23:15:00"),
        },
        Words::FailedToDisable {
            about: about.clone(),
            account: account.clone(),
            due: at("23:00:00"),
            at: at("23:05:10"),
            why: trouble.clone(),
        },
        Words::GrantEnded {
            about: about.clone(),
            account: account.clone(),
            why: cause.clone(),
            due: at("23:00:00"),
            seen_off: at("23:00:02"),
        },
        Words::RequestRefused {
            ticket: ticket.clone(),
            ticket_link: ticket_link.to_owned(),
            customer: Some(customer),
            person: Some(person.clone()),
            why: refusal.clone(),
            at: at("21:59:47"),
        },
        Words::RequestRefused {
            ticket,
            ticket_link: ticket_link.to_owned(),
            customer: None,
            person: None,
            why: refusal.clone(),
            at: at("21:59:47"),
        },
        Words::BrakePulled {
            about: about.clone(),
            brake: free.brake.to_owned(),
            answer: "Two approvers run: latchkey approve 01JZ5GQ2ZP3M8T0V6WXYZ12345 --as PERSON".to_owned(),
            until: at("23:59:00"),
        },
        Words::ConnectorTrouble {
            connection: "acme-entra".parse().unwrap(),
            what: trouble.clone(),
            remedy: "Run: latchkey connection test acme-entra".to_owned(),
            since: at("20:00:00"),
        },
        Words::WebhookTrouble {
            connection: "cw".parse().unwrap(),
            what: trouble.clone(),
            remedy: "Run: latchkey webhook sync cw".to_owned(),
            since: at("20:00:00"),
        },
        Words::AccessActive {
            about: about.clone(),
            account: account.clone(),
            until: at("23:00:00"),
            page: "https://latchkey.example.com/claim/01JZ5GQ2ZP3M8T0V6WXYZ12345".to_owned(),
        },
        Words::AccessEndsSoon {
            about: about.clone(),
            account: account.clone(),
            until: at("23:00:00"),
            page: "https://latchkey.example.com/claim/01JZ5GQ2ZP3M8T0V6WXYZ12345".to_owned(),
        },
        Words::AccessEnded { about, account, why: cause, seen_off: at("23:00:02") },
        Words::AuditHead {
            entries: 10_482,
            head: "9f2c1a7be04d5566c81f0b3e7a9d2c4481f6e5d3b2a190887766554433221100".to_owned(),
            at: at("06:00:00"),
            given_up: 2,
        },
        Words::Test { by: free.by.to_owned(), at: at("12:00:00") },
    ]
}

pub(super) fn invitation(free: &Free<'_>) -> Invitation {
    Invitation {
        person: Named { id: "jdoe".parse().unwrap(), name: free.person.to_owned() },
        by: free.by.to_owned(),
        link: Secret::new("https://latchkey.example.com/enrol/the-token".to_owned()),
        until: at("23:00:00"),
    }
}

/// Every mail there is, written.
pub(super) fn written(free: &Free<'_>, ticket_link: &str) -> Vec<Written> {
    let mut all: Vec<Written> = words(free, ticket_link).iter().map(Words::write).collect();
    all.push(invitation(free).write());
    all
}
