//! Cells are run a few at a time, each in a world of its own.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    time::Instant,
};

use crate::table::{self, Outcome, Row};

/// Cells at once: most of a cell is waiting for disk and loopback.
const AT_ONCE: usize = 3;

/// Cells at once that wait in real time for nothing to happen.
const WAITING: usize = 8;

/// What a cell does, and says when it is well.
pub(crate) type Act = Box<dyn FnOnce() -> Result<String, String> + Send>;

/// A cell of the matrix, not yet run.
pub(crate) struct Cell {
    pub(crate) row: Row,
    /// Most of its time is waiting.
    pub(crate) waits: bool,
    pub(crate) act: Act,
}

/// Does a few of them at a time.
pub(crate) fn at_once<T: Send, R: Send>(threads: usize, all: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let (waiting, done) = (Mutex::new(VecDeque::from(all)), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = next() {
                    let result = act(one);
                    done.lock().unwrap().push(result);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// As many as this machine does well at once.
pub(crate) fn a_few<T: Send, R: Send>(all: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    at_once(AT_ONCE, all, act)
}

/// Runs them all; those that wait beside the others.
pub(crate) fn run(cells: Vec<Cell>) -> Vec<Row> {
    let (waiting, working): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| cell.waits);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| at_once(WAITING, waiting, one));
        let mut rows = at_once(AT_ONCE, working, one);
        rows.extend(waiting.join().unwrap());
        rows
    })
}

fn one(cell: Cell) -> Row {
    let start = Instant::now();
    let outcome = match (cell.act)() {
        Ok(said) => Outcome::Held(said),
        Err(why) => Outcome::Failed(why),
    };
    let row = Row { outcome, time: start.elapsed(), ..cell.row };
    table::say_if_failed(&row);
    row
}

/// In a runtime whose end ends the vendors too. A failed assertion is the answer's error.
pub(crate) fn in_a_world_of_its_own<R>(act: impl Future<Output = R>) -> Result<R, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(act))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    runtime.shutdown_background();
    result
}
