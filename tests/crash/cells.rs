//! The cells: made from what the stories come by, run a few at a time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use latchkey::store::CommitName;
use latchkey_contract::directory::Step;

use crate::{
    bench::Bench,
    expect::{self, Run},
    invariants,
    point::{Point, Side},
    story::Story,
    view::View,
};

/// Cells at once: most of a cell is waiting for disk and loopback.
const AT_ONCE: usize = 3;

/// Longer than this, in real time, and a cell has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the last occurrence of something is looked for where the number of occurrences is not always the same.
const TRIES: usize = 3;

/// Commits of the code that no story comes by, and why that is no hole.
const EXCUSED_COMMITS: [(CommitName, &str); 3] = [
    (
        CommitName::Mailed,
        "no story has an address to mail to; a mail holds up nothing, and is marked where it is a repeat",
    ),
    (CommitName::Approved, "no story pulls a brake yet; what an approval seals is committed with it"),
    (CommitName::Trouble, "a row and its entry in one commit, and no call follows: the store's story tells it"),
];

/// Steps that no story takes, and why that is no hole.
const EXCUSED_STEPS: [(&str, &str); 0] = [];

/// A story without a death.
#[derive(Debug)]
struct Clean {
    story: Story,
    view: View,
    commits: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Cell {
    story: Story,
    point: Point,
}

/// A cell that was run.
struct Outcome {
    cell: Cell,
    time: Duration,
    /// What was seen, or what went wrong.
    result: Result<String, String>,
}

/// Every commit and every call, each before and after.
#[test]
fn killed_anywhere_everything_comes_out_as_it_should() {
    let start = Instant::now();
    let clean = at_once(Story::ALL.to_vec(), |story| (story, in_a_world_of_its_own(record(story))));
    let clean: BTreeMap<Story, Arc<Clean>> = (clean.into_iter())
        .map(|(story, clean)| {
            (story, Arc::new(clean.unwrap_or_else(|why| panic!("{} without a death: {why}", story.name()))))
        })
        .collect();
    everything_is_reached(&clean);
    let mut outcomes = at_once(cells(&clean), |cell| {
        let (start, clean) = (Instant::now(), Arc::clone(&clean[&cell.story]));
        let result = in_a_world_of_its_own(async {
            tokio::time::timeout(PATIENCE, attempt(&cell, &clean)).await.expect("a cell takes seconds")
        });
        Outcome { cell, time: start.elapsed(), result }
    });
    outcomes.sort_by(|a, b| (a.cell.story, &a.cell.point).cmp(&(b.cell.story, &b.cell.point)));
    report(&outcomes, start.elapsed());
    let failed: Vec<String> = (outcomes.iter())
        .filter_map(|o| Some((o, o.result.as_ref().err()?)))
        .map(|(o, why)| format!("{} | {}\n    {why}", o.cell.story.name(), o.cell.point))
        .collect();
    assert!(failed.is_empty(), "{} cells failed:\n{}", failed.len(), failed.join("\n"));
}

/// Does a few of them at a time.
fn at_once<T: Send, R: Send>(all: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let (waiting, done) = (Mutex::new(VecDeque::from(all)), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop_front();
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(one) = next() {
                    let result = act(one);
                    done.lock().unwrap().push(result);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// In a runtime whose end ends the vendors too. A failed assertion is the answer's error.
fn in_a_world_of_its_own<R>(act: impl Future<Output = R>) -> Result<R, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(act))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

/// The excuses name what exists, and each says why.
#[test]
fn what_is_excused_exists() {
    assert!(EXCUSED_COMMITS.iter().all(|(name, why)| CommitName::ALL.contains(name) && why.len() > 20));
    assert!(EXCUSED_STEPS.iter().all(|(name, why)| Step::NAMES.contains(name) && why.len() > 20));
}

async fn record(story: Story) -> Clean {
    let mut bench = Bench::start(story.edits(), None).await;
    story.play(&mut bench).await;
    bench.stop().await;
    let view = View::of(&bench.app).await;
    invariants::check(&bench).await;
    bench.app.close_store().await;
    let mut commits = BTreeMap::new();
    for line in &view.trace {
        if let Some((name, nth)) = line.strip_prefix("after ").and_then(|line| line.rsplit_once(" #")) {
            commits.insert(name.to_owned(), nth.parse().unwrap());
        }
    }
    Clean { story, view, commits }
}

/// The code's own lists of commits and steps, each come by in some story or excused.
fn everything_is_reached(clean: &BTreeMap<Story, Arc<Clean>>) {
    let names: BTreeSet<&str> = clean.values().flat_map(|c| c.commits.keys()).map(String::as_str).collect();
    for commit in CommitName::ALL {
        let name = serde_json::to_value(commit).unwrap();
        let name = format!("commit {}", name.as_str().unwrap());
        let is_reached = names.iter().any(|n| *n == name || n.starts_with(&format!("{name}/")));
        let is_excused = EXCUSED_COMMITS.iter().any(|(excused, _)| *excused == commit);
        assert!(is_reached != is_excused, "{name}: reached {is_reached}, excused {is_excused}");
    }
    for step in Step::NAMES {
        let is_reached =
            ["intent", "outcome"].iter().all(|side| names.contains(format!("commit step-{side}/{step}").as_str()));
        let is_excused = EXCUSED_STEPS.iter().any(|(excused, _)| *excused == step);
        assert!(is_reached != is_excused, "{step}: reached {is_reached}, excused {is_excused}");
    }
}

/// Of each story what no story before came by, the first time and the last time. Handing credentials over in the ticket
/// is another act than handing over a link, under the same names.
fn cells(clean: &BTreeMap<Story, Arc<Clean>>) -> Vec<Cell> {
    let only = std::env::var("LATCHKEY_CRASH_CELLS").unwrap_or_default();
    let (mut known, mut cells) = (BTreeSet::new(), Vec::new());
    for clean in clean.values() {
        let Clean { story, view, commits } = &**clean;
        for (name, count) in commits.iter().chain(&view.calls) {
            let is_handed_over = *story == Story::InTheTicket && (name.contains("granted") || name.contains("tidy"));
            if !known.insert(name.clone()) && !is_handed_over {
                continue;
            }
            for (nth, side) in places(name, *count) {
                let cell = Cell { story: *story, point: Point { name: name.clone(), nth, side } };
                if format!("{} | {}", story.name(), cell.point).contains(&only) {
                    cells.push(cell);
                }
            }
        }
    }
    cells
}

/// What is only read is the same before and after; a claim is known only once it is made.
fn places(name: &str, count: usize) -> BTreeSet<(usize, Side)> {
    let is_read = name.contains(" GET ") || name.ends_with("/token");
    match name {
        _ if is_read => [(1, Side::Before), (count, Side::After)].into(),
        _ if name.starts_with("commit claim/") => [(1, Side::After), (count, Side::After)].into(),
        _ => [1, count].iter().flat_map(|nth| [(*nth, Side::Before), (*nth, Side::After)]).collect(),
    }
}

async fn attempt(cell: &Cell, clean: &Clean) -> String {
    let mut point = cell.point.clone();
    for _ in 0..TRIES {
        let mut bench = Bench::start(cell.story.edits(), Some(point.clone())).await;
        cell.story.play(&mut bench).await;
        bench.rest().await;
        if !bench.is_as_planned() {
            let view = View::of(&bench.app).await;
            let came_by = view.commits(&point.name) + view.calls.get(&point.name).copied().unwrap_or_default();
            assert!(point.nth > 1 && came_by > 0, "the service was not killed: it never came by {point}");
            point.nth = came_by;
            continue;
        }
        bench.stop().await;
        let end = View::of(&bench.app).await;
        let death = &bench.death.as_ref().expect("it is as planned");
        let run = Run { point: &point, beginning: &bench.beginning, death, end: &end, clean: &clean.view };
        let said = expect::check(&run);
        invariants::check(&bench).await;
        bench.app.close_store().await;
        return said;
    }
    panic!("the service was not killed in {TRIES} runs: it did not come by {point}");
}

fn report(outcomes: &[Outcome], time: Duration) {
    let mut table = String::new();
    for Outcome { cell, time, result } in outcomes {
        let (mark, said) = match result {
            Ok(said) => ("ok", said.as_str()),
            Err(why) => ("FAILED", why.lines().next().unwrap_or_default()),
        };
        let (story, point) = (cell.story.name(), cell.point.to_string());
        table.push_str(&format!("{mark:6} {:5} ms | {story:13} | {point:75} | {said}\n", time.as_millis()));
    }
    let failed = outcomes.iter().filter(|o| o.result.is_err()).count();
    table.push_str(&format!("{} cells, {failed} failed, {} s\n", outcomes.len(), time.as_secs()));
    std::io::stdout().lock().write_all(table.as_bytes()).unwrap();
}
