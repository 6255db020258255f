//! Stories of access: asked for, used, ended. Whatever goes wrong meanwhile, people try again, and what they rely on is
//! asserted for every run alike.

use std::{collections::BTreeSet, time::Duration};

use latchkey_simulators::{
    fault::{Act, Fault},
    graph::{Licence, Refused, UserSeed},
};
use serde_json::json;

use crate::{
    bench::{Bench, OTHER_CLIENT_SECRET},
    commands::Command,
    customers, ground,
    harness::{Beside, EXCHANGE_ROLE, HELPDESK_ROLE, TENANT, TestApp, Whose, stranger::On},
    kills::is_read,
    people::{
        approve, ask, credentials_note, ended, granted, has_link, is_told, off, reveal, sign_in_and_out, try_end,
    },
    restored,
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const HELD: &str = "Latchkey: request is waiting.";

/// One period of access, as it is asked for, used and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// Credentials by the claim page; a role and a group; ended by time.
    ClaimLink,
    /// Credentials in the ticket, overwritten at the end.
    InTheTicket,
    /// An account for one time only.
    Burner,
    /// Ended by the person.
    EndNow,
    /// Asked by somebody who may not.
    Refused,
    /// The standing account once more, which somebody has meddled with.
    Again,
    /// The PSA refuses us for a moment, the directory is down for another, and then refuses the role.
    Trouble,
    /// An operator changes a secret, then all goes on, through the night.
    Command,
    /// The person has an address to mail to.
    Mail,
    /// More than is usual: two people have to approve.
    Held,
    /// The tenant keeps an end of its own for each role.
    Pim,
    /// An operator does what is done now and then, one thing after another; somebody signs in and out, and then asks.
    Chores,
    /// As [`Self::InTheTicket`], at a PSA beside the first.
    InTheTicketAt(Beside),
    /// As [`Self::ClaimLink`], at a PSA beside the first.
    ClaimLinkAt(Beside),
    /// An older copy of the database is put back on a machine whose clock is behind, and the directory is down as it is
    /// compared.
    Restored,
    /// Two customers with a tenant each, at the same time.
    TwoCustomers,
    /// The directory takes so long to answer that a lease has to be renewed.
    Slow,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Given, used, and ended with proof.
    Given,
    /// What was given of it was taken back, with proof, and the ticket says so.
    Undone,
    /// Nothing was given, and the ticket says so.
    Refused,
}

impl Story {
    pub(crate) const ALL: [Self; 19] = [
        Self::ClaimLink,
        Self::InTheTicket,
        Self::Burner,
        Self::EndNow,
        Self::Refused,
        Self::Again,
        Self::Trouble,
        Self::Command,
        Self::Mail,
        Self::Held,
        Self::Pim,
        Self::Chores,
        Self::InTheTicketAt(Beside::Autotask),
        Self::InTheTicketAt(Beside::HaloPsa),
        Self::ClaimLinkAt(Beside::Autotask),
        Self::ClaimLinkAt(Beside::HaloPsa),
        Self::Restored,
        Self::TwoCustomers,
        Self::Slow,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClaimLink => "claim link",
            Self::InTheTicket => "in the ticket",
            Self::Burner => "burner",
            Self::EndNow => "end now",
            Self::Refused => "refused",
            Self::Again => "again",
            Self::Trouble => "trouble",
            Self::Command => "command",
            Self::Mail => "mail",
            Self::Held => "held",
            Self::Pim => "pim",
            Self::Chores => "chores",
            Self::InTheTicketAt(Beside::Autotask) => "in the ticket at autotask",
            Self::InTheTicketAt(Beside::HaloPsa) => "in the ticket at halopsa",
            Self::ClaimLinkAt(Beside::Autotask) => "claim link at autotask",
            Self::ClaimLinkAt(Beside::HaloPsa) => "claim link at halopsa",
            Self::Restored => "restored",
            Self::TwoCustomers => "two customers",
            Self::Slow => "slow",
        }
    }

    /// The PSA that is asked at, where it is not the first.
    pub(crate) const fn beside(self) -> Option<Beside> {
        match self {
            Self::InTheTicketAt(psa) | Self::ClaimLinkAt(psa) => Some(psa),
            _ => None,
        }
    }

    /// Whether a place that this story comes by may be a cell of it: at a PSA beside the first, that one's calls alone; and
    /// those that only read on one engine, since what an answer comes to is no matter of where it is written down.
    pub(crate) fn has_cells_of(self, place: &str, on: On) -> bool {
        if !self.is_sure_of(place) {
            return false;
        }
        let Some(psa) = self.beside() else { return true };
        let is_its = place.split(' ').next() == Some(psa.vendor());
        is_its && (!is_read(place) || ground::engines().first() == Some(&on))
    }

    /// Whether it comes by there in every run: what is renewed when time is moved over something that is under way is
    /// renewed elsewhere by chance.
    pub(crate) fn is_sure_of(self, place: &str) -> bool {
        place != "commit renew" || self == Self::Slow
    }

    /// Replacements in the installation's documents.
    pub(crate) const fn edits(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Burner => &[("mode = \"standard\"", "mode = \"burner\"")],
            // The mapping of a PSA beside the first is a copy of that one.
            Self::ClaimLinkAt(_) => &[("policy = \"exchange\"", "policy = \"helpdesk\"")],
            Self::Mail => &[("name = \"Jane Doe\"", "name = \"Jane Doe\"\nmail = \"jane@msp.example\"")],
            Self::Held => &[
                ("name = \"Mark Smith\"", "name = \"Mark Smith\"\nrole = \"owner\""),
                (
                    "[[person]]\nid = \"mark\"",
                    "[[person]]\nid = \"lee\"\nname = \"Lee Park\"\nrole = \"approver\"\ncustomers = []\n\n[[person]]\nid = \"mark\"",
                ),
                (
                    "[[technician_group]]",
                    "[[brake]]\nid = \"busy\"\nper = \"msp\"\ngrants = 1\nwithin = \"8h\"\n[[technician_group]]",
                ),
            ],
            _ => &[],
        }
    }

    /// Plays it to its end.
    pub(crate) async fn play(self, bench: &mut Bench) -> Fate {
        if self == Self::Command {
            bench.operate(&Command::Secret(OTHER_CLIENT_SECRET.to_owned())).await;
        }
        if self == Self::Chores {
            for command in Command::CHORES {
                bench.operate(&command).await;
            }
        }
        if self == Self::Restored {
            restored::put_back(bench).await;
        }
        if self == Self::Burner {
            bench.app.entra.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
        }
        if self == Self::Pim {
            bench.app.entra.sim.set_licence(TENANT, Licence::P2);
        }
        bench.up().await;
        bench.idle().await;
        let fate = match self {
            Self::ClaimLink | Self::ClaimLinkAt(_) => claim_link(bench).await,
            Self::InTheTicket | Self::InTheTicketAt(_) => in_the_ticket(bench).await,
            Self::Burner => burner(bench).await,
            Self::EndNow => end_now(bench).await,
            Self::Refused => refused(bench).await,
            Self::Again => again(bench).await,
            Self::Trouble => trouble(bench).await,
            Self::Command => command(bench).await,
            Self::Mail => mail(bench).await,
            Self::Held => held(bench).await,
            Self::Pim => pim(bench).await,
            Self::Chores => chores(bench).await,
            Self::Restored => restored::restored(bench).await,
            Self::TwoCustomers => customers::two(bench).await,
            Self::Slow => restored::slow(bench).await,
        };
        bench.over().await;
        fate
    }
}

/// A new ticket at the PSA that is asked at; at the first, on the projects board or the help desk.
fn ticket_of(app: &TestApp, is_project: bool) -> i64 {
    match app.beside() {
        Some(desk) => desk.ticket(Whose::Acme),
        None if is_project => app.psa.ticket_on(app.psa.projects),
        None => app.psa.ticket(),
    }
}

pub(crate) async fn claim_link(bench: &mut Bench) -> Fate {
    let ticket = ticket_of(&bench.app, false);
    let fate = granted(bench, ticket).await;
    if fate == Fate::Given {
        used_and_ended(bench, ticket).await;
    }
    fate
}

/// Credentials by the claim page, a role and a group, and an end by time.
pub(crate) async fn used_and_ended(bench: &mut Bench, ticket: i64) {
    let (user, password) = reveal(bench, ticket).await;
    let roles = bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(HELPDESK_ROLE.to_owned(), "/".to_owned())]);
    assert_eq!(bench.app.entra.groups(), std::slice::from_ref(&bench.app.entra.group));
    ended(bench, ticket, 70 * MINUTE).await;
    off(bench, &user, &password);
}

async fn in_the_ticket(bench: &mut Bench) -> Fate {
    let ticket = ticket_of(&bench.app, true);
    let fate = granted(bench, ticket).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = credentials_note(&bench.app, ticket);
    bench.secrets.push(password.clone());
    let roles = bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(EXCHANGE_ROLE.to_owned(), "/".to_owned())]);
    ended(bench, ticket, 70 * MINUTE).await;
    off(bench, &user, &password);
    fate
}

async fn burner(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    let fate = granted(bench, ticket).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = reveal(bench, ticket).await;
    bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap();
    ended(bench, ticket, 70 * MINUTE).await;
    assert_eq!(bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap_err(), Refused::NoUser);
    assert!(bench.app.entra.accounts().is_empty());
    fate
}

async fn end_now(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    let fate = granted(bench, ticket).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = reveal(bench, ticket).await;
    // Whoever gets no answer looks into the ticket, and tries again while the link still stands there.
    for _ in 0..3 {
        if !has_link(&bench.app, ticket) || try_end(bench, ticket).await.is_some() {
            break;
        }
        bench.rest().await;
    }
    ended(bench, ticket, 5 * MINUTE).await;
    off(bench, &user, &password);
    fate
}

async fn refused(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    bench.rest().await;
    let fate = ask(bench, "unbound", ticket).await;
    bench.pass(11 * MINUTE).await;
    assert!(bench.app.entra.accounts().is_empty(), "nothing was given");
    assert_eq!(bench.app.psa.status(ticket), bench.app.psa.desk.refused);
    fate
}

async fn again(bench: &mut Bench) -> Fate {
    let first = bench.app.psa.ticket();
    let fate = granted(bench, first).await;
    if fate != Fate::Given {
        return fate;
    }
    ended(bench, first, 70 * MINUTE).await;
    let second = bench.app.psa.ticket();
    let fate = granted(bench, second).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = reveal(bench, second).await;
    bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap();
    let (sim, group) = (&bench.app.entra.sim, &bench.app.entra.group);
    let owner = "owner@contoso.onmicrosoft.com";
    sim.add_user(TENANT, UserSeed::new(owner));
    let hand = sim.by_hand(TENANT);
    hand.own_group(owner, group);
    hand.own_group(&user, group);
    hand.add_method(&user, "phoneAuthenticationMethod");
    ended(bench, second, 70 * MINUTE).await;
    off(bench, &user, &password);
    assert!(bench.app.entra.sim.methods_of(TENANT, &user).iter().all(|m| !m.contains("phone")));
    fate
}

async fn trouble(bench: &mut Bench) -> Fate {
    let answer = |status, code: &str, message: &str| Act::Answer {
        status,
        retry_after: None,
        body: json!({"error": {"code": code, "message": message}}),
    };
    let faults = bench.app.entra.sim.faults();
    faults.add(Fault::on("GET /users/{id}", answer(503, "serviceUnavailable", "")).once());
    let no = answer(400, "Request_BadRequest", "The role cannot be assigned.");
    bench.app.entra.fail(|call| call.op == "POST /roleManagement/directory/roleAssignments", no);
    let denied = answer(403, "SecurityPermission", "Insufficient security permissions");
    bench.app.psa.sim.faults().add(Fault::on("GET /service/tickets/{id}", denied).once());
    let ticket = bench.app.psa.ticket();
    bench.rest().await;
    let fate = ask(bench, "jdoe", ticket).await;
    ended(bench, ticket, 20 * MINUTE).await;
    assert!(!bench.app.entra.is_enabled() && bench.app.entra.roles().is_empty());
    fate
}

/// The vendor takes both secrets, the old one and the new one: whichever is in force, the service works.
async fn command(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    let fate = granted(bench, ticket).await;
    if fate != Fate::Given {
        return fate;
    }
    ended(bench, ticket, 70 * MINUTE).await;
    bench.pass(8 * 60 * MINUTE).await;
    fate
}

async fn mail(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    let fate = granted(bench, ticket).await;
    if fate != Fate::Given {
        return fate;
    }
    ended(bench, ticket, 70 * MINUTE).await;
    let taken = bench.post.as_ref().expect("a mail server").taken();
    let ids: BTreeSet<&str> = taken.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), 2, "that it is there, and that it is over; a repeat has its first one's id: {taken:?}");
    fate
}

/// The brake lets one grant pass; the next one waits for two people, who may be asked twice.
async fn held(bench: &mut Bench) -> Fate {
    let first = bench.app.psa.ticket();
    let fate = granted(bench, first).await;
    if fate != Fate::Given {
        return fate;
    }
    ended(bench, first, 70 * MINUTE).await;
    let ticket = bench.app.psa.ticket_on(bench.app.psa.projects);
    bench.rest().await;
    bench.app.psa.ask(ticket);
    bench.until(10 * MINUTE, HELD, |app| is_told(app, ticket, HELD)).await;
    let id = bench.app.psa.notes(ticket);
    assert!(id.iter().any(|note| note.starts_with(HELD)));
    let people = [("mark", bench.app.mark.clone()), ("lee", bench.lee.clone().expect("Lee has enrolled"))];
    for (person, codes) in &people {
        approve(bench, ticket, person, codes).await;
    }
    let granted = "Latchkey: access granted.";
    bench.until(10 * MINUTE, granted, |app| is_told(app, ticket, granted)).await;
    assert_eq!(bench.app.entra.roles(), [EXCHANGE_ROLE.to_owned()]);
    ended(bench, ticket, 70 * MINUTE).await;
    fate
}

/// A role is given with an end, which a second request moves; somebody makes the person eligible besides; all of it is taken.
async fn pim(bench: &mut Bench) -> Fate {
    let first = bench.app.psa.ticket();
    let fate = granted(bench, first).await;
    if fate != Fate::Given {
        return fate;
    }
    let (user, password) = reveal(bench, first).await;
    bench.app.entra.sim.add_eligibility(TENANT, &bench.app.entra.object(), HELPDESK_ROLE);
    bench.pass(20 * MINUTE).await;
    let second = bench.app.psa.ticket();
    bench.rest().await;
    let fate = ask(bench, "jdoe", second).await;
    ended(bench, first, 70 * MINUTE).await;
    ended(bench, second, 70 * MINUTE).await;
    off(bench, &user, &password);
    assert!(bench.app.entra.sim.assignments(TENANT, &user).is_empty(), "it is not even eligible");
    fate
}

async fn chores(bench: &mut Bench) -> Fate {
    sign_in_and_out(bench).await;
    claim_link(bench).await
}
