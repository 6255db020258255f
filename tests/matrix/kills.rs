//! Cells in which the service dies: before and after every commit and every call that a story comes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use latchkey::store::CommitName;
use latchkey_contract::directory::Step;

use crate::{
    bench::Bench,
    clean::{Clean, Cleans},
    expect::{self, Run},
    ground,
    harness::stranger::On,
    invariants,
    point::{Point, Side},
    pool::{Cell, in_a_world_of_its_own},
    story::Story,
    table::Row,
    wrong::Wrong,
};

const PART: &str = "killed";

/// Longer than this, in real time, and a cell has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Done now and then whatever else happens, as often as time was looked at: the first time is as good as the last.
const BESIDES: [&str; 5] =
    ["commit heartbeat", "commit heartbeat-in-doubt", "commit sweep", "commit renew", "commit raise-generation"];

/// What is given in a tenant, where there are two of them: the first time in one, and the last time in the other.
const IN_A_TENANT: [&str; 2] = ["entra POST /users", "entra POST /roleManagement/directory/roleAssignments"];

/// How often the last occurrence of something is looked for where the number of occurrences is not always the same.
const TRIES: usize = 3;

/// The code's own lists of commits and steps, each come by in some story.
pub(crate) fn everything_is_reached(cleans: &Cleans) {
    let names: BTreeSet<&str> = cleans.values().flat_map(|c| c.commits.keys()).map(String::as_str).collect();
    for commit in CommitName::ALL {
        let name = serde_json::to_value(commit).unwrap();
        let name = format!("commit {}", name.as_str().unwrap());
        let is_reached = names.iter().any(|n| *n == name || n.starts_with(&format!("{name}/")));
        let needs_mail = commit == CommitName::Mailed && !crate::post::is_there();
        assert!(is_reached || needs_mail, "{name} is in no story: {names:?}");
    }
    for step in Step::NAMES {
        let sides = ["intent", "outcome"].map(|side| format!("commit step-{side}/{step}"));
        assert!(sides.iter().all(|name| names.contains(name.as_str())), "{step} is in no story");
    }
}

/// Of each story what no story before came by, the first time and the last time. Handing credentials over in the ticket
/// is another act than handing over a link, under the same names.
pub(crate) fn cells(on: On, cleans: &Cleans) -> Vec<Cell> {
    let (mut known, mut cells) = (BTreeSet::new(), Vec::new());
    for clean in cleans.values() {
        let counts: BTreeMap<&String, &usize> = clean.commits.iter().chain(&clean.view.calls).collect();
        for (name, count) in counts.into_iter().filter(|(name, _)| clean.story.has_cells_of(name, on)) {
            let is_handed_over =
                clean.story == Story::InTheTicket && (name.contains("granted") || name.contains("tidy"));
            let is_of_either = clean.story == Story::TwoCustomers && IN_A_TENANT.contains(&name.as_str());
            if !known.insert(name.clone()) && !is_handed_over && !is_of_either {
                continue;
            }
            for (nth, side) in places(name, *count) {
                cells.push(cell(on, clean, Point { name: name.clone(), nth, side }));
            }
        }
    }
    cells
}

fn cell(on: On, clean: &Arc<Clean>, point: Point) -> Cell {
    let (side, nth) = (if point.side == Side::Before { "before" } else { "after" }, point.nth);
    let row = Row::new(PART, ground::name(on), clean.story.name(), &point.name, &format!("{side} #{nth}"));
    let clean = Arc::clone(clean);
    let act = move || {
        in_a_world_of_its_own(async {
            tokio::time::timeout(PATIENCE, attempt(on, point, &clean)).await.expect("a cell takes seconds")
        })
    };
    Cell { row, waits: false, act: Box::new(act) }
}

/// What is only read is the same before and after; a claim is known only once it is made.
fn places(name: &str, count: usize) -> BTreeSet<(usize, Side)> {
    match name {
        _ if is_read(name) => [(1, Side::Before), (count, Side::After)].into(),
        _ if BESIDES.contains(&name) => [(1, Side::Before), (1, Side::After)].into(),
        _ if name.starts_with("commit claim/") => [(1, Side::After), (count, Side::After)].into(),
        _ => [1, count].iter().flat_map(|nth| [(*nth, Side::Before), (*nth, Side::After)]).collect(),
    }
}

/// A call that changes nothing.
pub(crate) fn is_read(name: &str) -> bool {
    name.contains(" GET ") || name.ends_with("/token") || name.ends_with("/query")
}

async fn attempt(on: On, mut point: Point, clean: &Clean) -> String {
    for _ in 0..TRIES {
        let mut bench = Bench::start(on, clean.story, Wrong::Death(point.clone())).await;
        let fate = clean.story.play(&mut bench).await;
        bench.rest().await;
        if bench.fired() == 0 {
            let view = bench.view().await;
            let came_by = view.commits(&point.name) + view.calls.get(&point.name).copied().unwrap_or_default();
            assert!(point.nth > 1 && came_by > 0, "the service was not killed: it never came by {point}");
            point.nth = came_by;
            bench.end().await;
            continue;
        }
        assert_eq!(fate, clean.fate, "what became of the request");
        // Whoever died at the very end still holds leases, and they have to run out.
        bench.rest_in_the_end().await;
        bench.stop().await;
        let end = bench.view().await;
        let death = &bench.death.as_ref().expect("it is as planned");
        let run = Run { point: &point, beginning: &bench.beginning, death, end: &end, clean: &clean.view };
        let said = expect::check(&run);
        invariants::check(&bench).await;
        bench.end().await;
        return said;
    }
    panic!("the service was not killed in {TRIES} runs: it did not come by {point}");
}
