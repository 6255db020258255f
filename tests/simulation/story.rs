//! What people do, and what happens to vendors and clocks: drawn once from the seed, then played.

use crate::{
    psa::{Case, NEW, REQUESTED},
    rules::{BOARDS, COMPANIES, CUSTOMERS, TECHNICIANS, TENANTS},
    world::{Dice, Event, HOUR, MINUTE, SECOND, World},
};

/// For so long things happen; afterwards nothing new does.
pub(crate) const STORY: i64 = 3 * HOUR;

/// From here on nothing breaks.
pub(crate) const QUIET: i64 = STORY + HOUR / 2;

/// One thing that somebody does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// A ticket is made.
    Make {
        ticket: u64,
        case: Box<Case>,
    },
    /// Somebody sets its trigger.
    Ask {
        ticket: u64,
        by: String,
        may: bool,
    },
    /// Somebody else saves it.
    Touch {
        ticket: u64,
        by: String,
    },
    /// It is taken out of the trigger, and asks once more.
    Again {
        ticket: u64,
        by: String,
    },
    Close {
        ticket: u64,
    },
    Delete {
        ticket: u64,
    },
    Move {
        ticket: u64,
        company: &'static str,
    },
    /// The person ends what the ticket gave.
    End {
        ticket: u64,
        is_operator: bool,
    },
    Hold {
        person: Option<usize>,
        customer: Option<usize>,
    },
    Lift {
        person: Option<usize>,
        customer: Option<usize>,
    },
    /// A customer's access is switched off or on, in the records.
    Switch {
        customer: usize,
        is_on: bool,
    },
    /// The longest length of the policies changes.
    Shorten {
        length: &'static str,
    },
    /// A technician leaves the PSA, or comes back.
    Leave {
        person: usize,
        has_left: bool,
    },
    /// Whoever approves looks at what waits.
    Approve,
    Down {
        tenant: Option<usize>,
        ms: i64,
    },
    Refuse {
        tenant: Option<usize>,
        ms: i64,
    },
    /// A role is gone from a directory, or is there again.
    Dead {
        tenant: usize,
        is_dead: bool,
    },
    /// The audit chain takes no entry, or takes them again.
    Chain {
        is_broken: bool,
    },
    /// Our own wall clock is set by so much.
    Clock {
        ms: i64,
    },
    Kill,
    /// Somebody enables an account by hand that is off.
    ByHand {
        tenant: usize,
        nth: u64,
    },
    /// A delivery that was lost on its way, repeated, or late, arrives.
    Deliver {
        message: Box<latchkey_contract::ticket::TicketEvent>,
        tries: u32,
    },
    Quiet,
}

/// Draws the whole story.
pub(crate) fn tell(world: &World, seed: u64, tickets: u64) {
    let mut dice = Dice::new(seed);
    let at = |ms: i64, act: Act| world.schedule(ms, Event::Act(act));
    for ticket in 1..=tickets {
        one_ticket(&mut dice, ticket, &at);
    }
    for _ in 0..dice.between(0, 3) {
        people(&mut dice, &at);
    }
    clocks(&mut dice, &at);
    for _ in 0..dice.between(0, 4) {
        vendors(&mut dice, &at);
    }
    for _ in 0..dice.between(0, 3) {
        at(dice.between(0, STORY), Act::Kill);
    }
    for ms in (10 * MINUTE..QUIET + 2 * HOUR).step_by(600_000) {
        at(ms, Act::Approve);
    }
    at(QUIET, Act::Quiet);
}

fn one_ticket(dice: &mut Dice, ticket: u64, at: &impl Fn(i64, Act)) {
    let begin = dice.between(10 * SECOND, STORY - HOUR / 2);
    let (board, n) = (*dice.pick(&BOARDS), dice.between(0, 3));
    let company = if dice.chance(200) { COMPANIES[3] } else { COMPANIES[usize::try_from(n).unwrap_or(0)] };
    let is_long = dice.chance(100);
    let length =
        if is_long { Some("1d") } else { *dice.pick(&[Some("5m"), Some("15m"), Some("30m"), Some("1h"), None]) };
    let length = if dice.chance(200) { Some("for ever") } else { length };
    at(begin, Act::Make { ticket, case: Box::new(Case::new(board, company, length)) });
    let tech = |dice: &mut Dice| format!("tech{}", dice.next() % TECHNICIANS as u64);
    let mut by = tech(dice);
    let mut may = company != COMPANIES[3] && length != Some("for ever");
    if dice.chance(500) {
        (by, may) = ((*dice.pick(&["stranger", "robot", "retired"])).to_owned(), false);
    }
    let asked = begin + dice.between(5 * SECOND, MINUTE);
    at(asked, Act::Ask { ticket, by: by.clone(), may });
    if dice.chance(300) {
        at(asked + dice.between(0, 20 * SECOND), Act::Touch { ticket, by: tech(dice) });
    }
    let later = asked + dice.between(SECOND, HOUR);
    match dice.between(0, 100) {
        0..10 => at(later, Act::End { ticket, is_operator: false }),
        10..15 => at(later, Act::End { ticket, is_operator: true }),
        15..22 => at(later, Act::Close { ticket }),
        22..24 => at(later, Act::Delete { ticket }),
        // Moved to a customer before it was looked at, what nobody might ask for becomes what its technician may.
        24..27 if company != COMPANIES[3] => at(later, Act::Move { ticket, company: dice.pick::<&str>(&COMPANIES) }),
        27..37 if may => at(later, Act::Again { ticket, by }),
        _ => {}
    }
}

fn people(dice: &mut Dice, at: &impl Fn(i64, Act)) {
    let (begin, long) = (dice.between(0, STORY - HOUR), dice.between(5 * MINUTE, 40 * MINUTE));
    let person = usize::try_from(dice.next() % TECHNICIANS as u64).unwrap_or(0);
    let customer = usize::try_from(dice.next() % CUSTOMERS.len() as u64).unwrap_or(0);
    let (person_too, customer_too) = if dice.chance(5_000) { (Some(person), None) } else { (None, Some(customer)) };
    match dice.between(0, 4) {
        0 => {
            at(begin, Act::Hold { person: person_too, customer: customer_too });
            at(begin + long, Act::Lift { person: person_too, customer: customer_too });
        }
        1 => {
            at(begin, Act::Switch { customer, is_on: false });
            at(begin + long, Act::Switch { customer, is_on: true });
        }
        2 => {
            at(begin, Act::Leave { person, has_left: true });
            at(begin + long, Act::Leave { person, has_left: false });
            at(begin + long + 10 * MINUTE, Act::Lift { person: Some(person), customer: None });
        }
        _ => {
            at(begin, Act::Shorten { length: "15m" });
            at(begin + long, Act::Shorten { length: "1d" });
        }
    }
}

fn clocks(dice: &mut Dice, at: &impl Fn(i64, Act)) {
    let begin = dice.between(0, STORY - HOUR);
    match dice.between(0, 6) {
        0 => at(begin, Act::Clock { ms: *dice.pick(&[10 * MINUTE, HOUR, 24 * HOUR]) }),
        1 => {
            at(begin, Act::Clock { ms: -*dice.pick(&[HOUR, 24 * HOUR]) });
            at(begin + dice.between(MINUTE, 30 * MINUTE), Act::Clock { ms: 0 });
        }
        _ => {}
    }
}

fn vendors(dice: &mut Dice, at: &impl Fn(i64, Act)) {
    let (begin, ms) = (dice.between(0, STORY), dice.between(3 * MINUTE, 40 * MINUTE));
    let one = usize::try_from(dice.next() % TENANTS.len() as u64).unwrap_or(0);
    let tenant = if dice.chance(6_000) { Some(one) } else { None };
    match dice.between(0, 6) {
        0 | 1 => at(begin, Act::Down { tenant, ms }),
        5 => {
            at(begin, Act::Chain { is_broken: true });
            at(begin + ms / 4, Act::Chain { is_broken: false });
        }
        2 => at(begin, Act::Refuse { tenant, ms: ms / 3 }),
        3 => {
            at(begin, Act::Dead { tenant: one, is_dead: true });
            at(begin + ms, Act::Dead { tenant: one, is_dead: false });
        }
        _ => at(begin, Act::ByHand { tenant: one, nth: dice.next() }),
    }
}

impl Act {
    /// What it does to the ticket, where that is all it does.
    pub(crate) fn on_ticket(&self) -> Option<(u64, &str, Change)> {
        Some(match self {
            Self::Ask { ticket, by, .. } => (*ticket, by, |case, _| case.status = REQUESTED.to_owned()),
            Self::Touch { ticket, by } => (*ticket, by, |_, _| {}),
            Self::Again { ticket, by } => (*ticket, by, |case, _| case.status = NEW.to_owned()),
            Self::Close { ticket } => (*ticket, "tech0", |case, _| case.is_closed = true),
            Self::Delete { ticket } => (*ticket, "tech0", |case, _| case.is_deleted = true),
            Self::Move { ticket, .. } => (*ticket, "tech0", |case, act| {
                if let Self::Move { company, .. } = act {
                    case.company = company;
                    case.companies.insert(company);
                }
            }),
            _ => return None,
        })
    }
}

/// A change of a ticket.
pub(crate) type Change = fn(&mut Case, &Act);
