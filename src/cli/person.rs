//! `latchkey person add | set | list | remove | import | invite | enroll | block | unblock`.

mod by_mail;
mod enroll;
mod hold;
mod import;
mod invite;
mod record;

use std::str::FromStr;

use clap::{Subcommand, ValueEnum};
use latchkey_contract::{BadId, ConnectionId, CustomerId, MemberId, PersonId, text::one_line};

use super::{Desk, Terminal, at::At, choose::Choice};
use crate::{
    mail::MailAddress,
    rulebook::{AllWord, Customers, HoldCause, HoldOn, Person, Role},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a person. They sign in after they were invited, or enrolled at this terminal.
    Add(record::New),
    /// Change a person. What is left out stays as it is.
    Set(record::Change),
    /// List them: id, name, role, mail address, customers, PSA members, and whether they can sign in.
    List,
    /// Remove a person with their factors and sessions. Refused while they have access, and for the last owner.
    Remove {
        /// As in the records.
        id: PersonId,
    },
    /// Show the PSA's members, with the people that they may be, and take those that are chosen.
    Import {
        /// Which PSA.
        connection: ConnectionId,
        #[command(flatten)]
        choice: Choice,
        /// For which customers those work that are new: all, or ids apart by commas. Default: none yet.
        #[arg(long)]
        customers: Option<CustomersWord>,
    },
    /// Mail a person a link by which they enrol themselves, once, within a day. Nobody else sees it.
    Invite {
        /// As in the records.
        id: PersonId,
    },
    /// Give a person a password and a one-time code, with them at this terminal. Ends their sessions.
    Enroll {
        /// As in the records.
        id: PersonId,
    },
    /// Take everything from a person at once: access, requests that wait, links, sessions.
    Block {
        /// As in the records.
        id: PersonId,
        /// Why; it stands in the audit.
        #[arg(long)]
        reason: String,
    },
    /// Lift a block. What has ended stays ended.
    Unblock {
        /// As in the records.
        id: PersonId,
        /// Why; it stands in the audit.
        #[arg(long, default_value = "unblocked")]
        reason: String,
    },
}

/// `all`, or customer ids apart by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CustomersWord(pub(super) Customers);

impl FromStr for CustomersWord {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        if text == "all" {
            return Ok(Self(Customers::All(AllWord::All)));
        }
        let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
        Ok(Self(Customers::Only(ids.map(CustomerId::parse).collect::<Result<_, _>>()?)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleWord {
    Technician,
    Auditor,
    Approver,
    Admin,
    Owner,
}

impl RoleWord {
    const fn role(self) -> Role {
        match self {
            Self::Technician => Role::Technician,
            Self::Auditor => Role::Auditor,
            Self::Approver => Role::Approver,
            Self::Admin => Role::Admin,
            Self::Owner => Role::Owner,
        }
    }

    fn of(role: Role) -> String {
        let all = Self::value_variants().iter();
        let word = all.filter(|word| word.role() == role).find_map(ValueEnum::to_possible_value);
        word.map_or_else(String::new, |word| word.get_name().to_owned())
    }
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Add(new) => record::add(desk, terminal, new).await,
        Command::Set(change) => record::set(desk, terminal, change).await,
        Command::List => list(desk, terminal).await,
        Command::Remove { id } => record::remove(desk, terminal, &id).await,
        Command::Import { connection, choice, customers } => {
            let customers = customers.map_or(Customers::Only(vec![]), |word| word.0);
            import::import(desk, terminal, &connection, &choice, &customers).await
        }
        Command::Invite { id } => invite::invite(desk, terminal, &id).await,
        Command::Enroll { id } => enroll::enroll(desk, terminal, id).await,
        Command::Block { id, reason } => hold::block(desk, terminal, id, &reason).await,
        Command::Unblock { id, reason } => hold::unblock(desk, terminal, id, &reason).await,
    }
}

async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    for person in &rules.records.people {
        let state = match rules.hold(&HoldOn::Person(person.id.clone())) {
            Some(hold) => match hold.cause {
                HoldCause::Left => "LEFT THE PSA".to_owned(),
                HoldCause::Panic => "LOCKED".to_owned(),
                HoldCause::Blocked | HoldCause::Paused => "BLOCKED".to_owned(),
            },
            None => match desk.store.factors(&person.id).await? {
                Some(factors) => format!("enrolled {}", factors.enrolled_at.for_people()),
                None => "not enrolled".to_owned(),
            },
        };
        terminal.say(line(person, &state))?;
    }
    Ok(())
}

fn line(person: &Person, state: &str) -> String {
    let members: Vec<String> = person
        .members
        .iter()
        .flat_map(|bound| {
            bound
                .ids
                .iter()
                .map(|id| At::<MemberId> { connection: bound.connection.clone(), id: id.clone() }.to_string())
        })
        .collect();
    let customers = match &person.customers {
        Customers::All(_) => "all customers".to_owned(),
        Customers::Only(ids) if ids.is_empty() => "no customer".to_owned(),
        Customers::Only(ids) => ids.iter().map(CustomerId::as_str).collect::<Vec<_>>().join(","),
    };
    let cells = [
        person.id.to_string(),
        one_line(&person.name, 80),
        RoleWord::of(person.role),
        person.mail.as_ref().map_or_else(|| "no mail".to_owned(), MailAddress::to_string),
        customers,
        if members.is_empty() { "no member".to_owned() } else { members.join(",") },
        state.to_owned(),
    ];
    cells.join("\t")
}
