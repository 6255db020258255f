//! Cells that the service lives through: every call that a story makes × what may be wrong with it, every commit × what
//! the store may say of it, and what the PSA may do to its deliveries.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    bench::Bench,
    clean::{Clean, Cleans},
    ground,
    harness::{Beside, stranger::On},
    invariants,
    kills::{PATIENCE, is_read},
    outcome,
    pool::{Cell, in_a_world_of_its_own},
    story::Story,
    table::Row,
    weather::{PART, Phase},
    wrong::{CallFault, CommitFault, DeliveryFault, Wrong},
};

/// A call that is refused when the account is there.
const GIVES: &str = "entra POST /roleManagement/directory/roleAssignments";

/// All of an engine: those to be run, and those that cannot happen.
pub(crate) fn cells(on: On, cleans: &Cleans) -> (Vec<Cell>, Vec<Row>) {
    let (mut cells, mut never) = (Vec::new(), Vec::new());
    let (mut calls, mut commits) = (BTreeSet::new(), BTreeSet::new());
    for clean in cleans.values() {
        let is_its = |name: &&String| clean.story.has_cells_of(name, on);
        for name in clean.view.calls.keys().filter(is_its).filter(|name| calls.insert((*name).clone())) {
            for fault in CallFault::ALL {
                let row = Row::new("calls", ground::name(on), clean.story.name(), name, fault.name());
                match is_senseless_call(name, fault) {
                    Some(why) => never.push(row.never(why)),
                    None => cells.push(cell(on, clean, row, Wrong::Call(name.clone(), fault))),
                }
            }
        }
        for name in clean.commits.keys().filter(is_its).filter(|name| commits.insert((*name).clone())) {
            for fault in CommitFault::ALL {
                let row = Row::new("commits", ground::name(on), clean.story.name(), name, fault.name());
                match is_senseless_commit(name, fault) {
                    Some(why) => never.push(row.never(why)),
                    None => cells.push(cell(on, clean, row, Wrong::Commit(name.clone(), fault))),
                }
            }
        }
    }
    // What is made for one time goes with what was given of it.
    let row = Row::new("calls", ground::name(on), Story::Burner.name(), GIVES, CallFault::Forbidden.name());
    cells.push(cell(on, &cleans[&Story::Burner], row, Wrong::Call(GIVES.to_owned(), CallFault::Forbidden)));
    for fault in DeliveryFault::ALL {
        let beside = [Beside::Autotask, Beside::HaloPsa].map(Story::ClaimLinkAt);
        for story in [Story::ClaimLink, Story::Refused].into_iter().chain(beside) {
            let clean = &cleans[&story];
            let row = Row::new("deliveries", ground::name(on), story.name(), "what the PSA sends", fault.name());
            cells.push(cell(on, clean, row, Wrong::Delivery(fault)));
        }
    }
    for phase in Phase::ALL {
        let clean = &cleans[&Story::ClaimLink];
        let row = |fault| Row::new(PART, ground::name(on), phase.name(), "everything", fault);
        cells.push(cell(on, clean, row("SIGTERM"), Wrong::Stopped(phase)));
        if phase != Phase::Restart {
            cells.push(cell(on, clean, row("no file descriptor left"), Wrong::Starved(phase)));
            cells.push(cell(on, clean, row("no memory left"), Wrong::Squeezed(phase)));
        }
    }
    // Both phases in one run.
    let clean = &cleans[&Story::ClaimLink];
    let row = Row::new("unread log", ground::name(on), clean.story.name(), "everything", "no room for the log");
    cells.push(cell(on, clean, row, Wrong::Unread));
    (cells, never)
}

fn is_senseless_call(name: &str, fault: CallFault) -> Option<&'static str> {
    match fault {
        CallFault::CutAfter | CallFault::SilentAfter if is_read(name) => {
            Some("a read has no effect: the same as when it was not done")
        }
        _ => None,
    }
}

fn is_senseless_commit(name: &str, fault: CommitFault) -> Option<&'static str> {
    const COMPARES_NOTHING: [&str; 19] = [
        "claim/",
        "finish/",
        "record-delivery",
        "open-session",
        "use-step",
        "touch",
        "invite",
        "set-hold",
        "lift-hold",
        "rewrap",
        "retire-key",
        "count-failure",
        "close-session",
        "commit session",
        "commit renew",
        "commit sweep",
        "commit heartbeat",
        "raise-generation",
        "compare-first",
    ];
    let compares_nothing = COMPARES_NOTHING.iter().any(|verb| name.contains(verb));
    match fault {
        CommitFault::Conflict if compares_nothing => Some("this verb compares no version: it never says so"),
        _ if name.starts_with("commit claim/") && fault != CommitFault::UnheardDone => {
            Some("a claim that fails claims nothing: as if nothing were due, and then it is tried again")
        }
        _ => None,
    }
}

fn cell(on: On, clean: &Arc<Clean>, row: Row, wrong: Wrong) -> Cell {
    let clean = Arc::clone(clean);
    let waits = matches!(&wrong, Wrong::Call(_, fault) if fault.is_waited_out());
    let act = move || {
        in_a_world_of_its_own(async {
            tokio::time::timeout(PATIENCE, attempt(on, wrong, &clean)).await.expect("a cell takes seconds")
        })
    };
    Cell { row, waits, act: Box::new(act) }
}

async fn attempt(on: On, wrong: Wrong, clean: &Clean) -> String {
    let mut bench = Bench::start(on, clean.story, wrong).await;
    let fate = clean.story.play(&mut bench).await;
    bench.stop().await;
    let end = bench.view().await;
    let said = outcome::check(&bench, fate, &end, clean);
    invariants::check(&bench).await;
    bench.end().await;
    said
}
