//! Misbehaviour on request, and the log of every call: one [`Faults`] per simulator.
//!
//! A fault says *when* (a matcher, how many matching calls to let pass, how often to fire) and
//! *what* ([`Act`]). What a fault means for the vendor's data is fixed here: everything before the
//! effect leaves no trace, everything after it leaves a committed effect behind a bad answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::clock::SimClock;
use crate::server::{Answer, Response};

/// How many calls the log keeps; older ones are forgotten.
const LOG_LENGTH: usize = 20_000;

/// The body of [`Act::Huge`]: more than any sane client accepts, small enough for loopback.
const HUGE: usize = 24 * 1024 * 1024;

/// How long [`Act::SilentAfter`] keeps a connection, in real time: longer than any client waits.
const SILENCE: Duration = Duration::from_secs(120);

/// One request, as the matchers and hooks see it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and the vendor's path template: `"GET /service/tickets/{id}"`.
    pub op: &'static str,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// `None` when there was no body or it is not JSON.
    pub body_json: Option<Value>,
}

/// One line of the call log.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// 1 for the first call; never reused.
    pub n: usize,
    /// By the simulator's clock.
    pub at_ms: i64,
    pub op: &'static str,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body_json: Option<Value>,
    /// `None` while the call is under way, and for ever when the connection was dropped.
    pub status: Option<u16>,
}

/// A hook; it runs on the server's task, so it must not block for long.
pub type Hook = Arc<dyn Fn(&Call) + Send + Sync>;

type Matcher = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// What goes wrong.
#[derive(Clone)]
pub enum Act {
    /// Wait this many real milliseconds before the effect.
    Delay(u64),
    /// No effect; this answer instead.
    Answer { status: u16, retry_after: Option<u64>, body: Value },
    /// No effect; the connection is dropped.
    ResetBefore,
    /// The effect is committed; the connection is dropped.
    ResetAfter,
    /// The effect is committed; nothing is answered for as long as somebody waits.
    SilentAfter,
    /// The effect is committed; the answer is a 24 MiB body.
    Huge,
    /// The effect is committed; the answer is 200 with a body that is not JSON.
    Garbage,
    /// Call the hook right before the effect, then go on.
    Before(Hook),
    /// Call the hook right after the effect, before anything is answered, then go on.
    After(Hook),
}

impl Act {
    /// A throttled answer with the wait the vendor asks for, in seconds, and no body.
    pub fn throttled(seconds: u64) -> Self {
        Self::Answer { status: 429, retry_after: Some(seconds), body: Value::Null }
    }

    pub fn before(hook: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }

    pub fn after(hook: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(hook))
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(ms) => write!(f, "Delay({ms})"),
            Self::Answer { status, .. } => write!(f, "Answer({status})"),
            Self::ResetBefore => f.write_str("ResetBefore"),
            Self::ResetAfter => f.write_str("ResetAfter"),
            Self::SilentAfter => f.write_str("SilentAfter"),
            Self::Huge => f.write_str("Huge"),
            Self::Garbage => f.write_str("Garbage"),
            Self::Before(_) => f.write_str("Before"),
            Self::After(_) => f.write_str("After"),
        }
    }
}

/// When something goes wrong, and what. Fires on every match until told otherwise.
#[derive(Clone)]
pub struct Fault {
    matches: Matcher,
    skip: usize,
    times: Option<usize>,
    act: Act,
}

impl Fault {
    pub fn when(matches: impl Fn(&Call) -> bool + Send + Sync + 'static, act: Act) -> Self {
        Self { matches: Arc::new(matches), skip: 0, times: None, act }
    }

    /// For one operation, named as in [`Call::op`].
    pub fn on(op: &'static str, act: Act) -> Self {
        Self::when(move |call| call.op == op, act)
    }

    /// For every call.
    pub fn always(act: Act) -> Self {
        Self::when(|_| true, act)
    }

    /// Let this many matching calls pass first.
    #[must_use]
    pub fn skip(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// Fire at most this often.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({:?}, skip {}, times {:?})", self.act, self.skip, self.times)
    }
}

/// Tells how often an added fault has fired. Outlives [`Faults::clear`].
#[derive(Debug, Clone)]
pub struct Fired(Arc<AtomicUsize>);

impl Fired {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A simulator's faults and its call log; clones share both.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    armed: Vec<Armed>,
    calls: VecDeque<CallRecord>,
    seen: usize,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    matched: usize,
    fired: Arc<AtomicUsize>,
}

impl Faults {
    pub fn add(&self, fault: Fault) -> Fired {
        let fired = Arc::new(AtomicUsize::new(0));
        self.lock().armed.push(Armed { fault, matched: 0, fired: fired.clone() });
        Fired(fired)
    }

    /// Forgets all faults; the log stays.
    pub fn clear(&self) {
        self.lock().armed.clear();
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Empties the log; the numbering goes on.
    pub fn clear_calls(&self) {
        self.lock().calls.clear();
    }

    /// Runs one call through the faults: logs it, applies what fires in the order it was added,
    /// and runs `effect` unless an act says that nothing happens.
    pub async fn around(&self, clock: &SimClock, call: Call, effect: impl FnOnce() -> Response + Send) -> Answer {
        let (n, acts) = self.arrive(clock.now_ms(), &call);
        for act in &acts {
            match act {
                Act::Delay(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
                Act::Before(hook) => hook(&call),
                Act::Answer { status, retry_after, body } => {
                    return self.leave(n, early(*status, *retry_after, body).into());
                }
                Act::ResetBefore => return self.leave(n, Answer::Reset),
                Act::ResetAfter | Act::SilentAfter | Act::Huge | Act::Garbage | Act::After(_) => {}
            }
        }
        let mut answer = Answer::Respond(effect());
        for act in &acts {
            match act {
                Act::After(hook) => hook(&call),
                Act::ResetAfter => answer = Answer::Reset,
                Act::SilentAfter => {
                    tokio::time::sleep(SILENCE).await;
                    answer = Answer::Reset;
                }
                Act::Huge => answer = huge().into(),
                Act::Garbage => answer = garbage().into(),
                Act::Delay(_) | Act::Before(_) | Act::Answer { .. } | Act::ResetBefore => {}
            }
        }
        self.leave(n, answer)
    }

    /// Logs the call and says what fires for it.
    fn arrive(&self, at_ms: i64, call: &Call) -> (usize, Vec<Act>) {
        // Matchers are foreign code: they run without the lock, so that they may ask for the log.
        let candidates: Vec<(Arc<AtomicUsize>, Matcher)> = {
            let inner = self.lock();
            inner.armed.iter().map(|a| (a.fired.clone(), a.fault.matches.clone())).collect()
        };
        let matched: Vec<Arc<AtomicUsize>> =
            candidates.into_iter().filter(|(_, m)| m(call)).map(|(id, _)| id).collect();

        let mut inner = self.lock();
        inner.seen += 1;
        let n = inner.seen;
        if inner.calls.len() == LOG_LENGTH {
            inner.calls.pop_front();
        }
        inner.calls.push_back(CallRecord {
            n,
            at_ms,
            op: call.op,
            method: call.method.clone(),
            path: call.path.clone(),
            query: call.query.clone(),
            body_json: call.body_json.clone(),
            status: None,
        });
        let acts = inner
            .armed
            .iter_mut()
            .filter(|armed| matched.iter().any(|id| Arc::ptr_eq(id, &armed.fired)))
            .filter_map(Armed::fire)
            .collect();
        (n, acts)
    }

    fn leave(&self, n: usize, answer: Answer) -> Answer {
        if let Answer::Respond(response) = &answer
            && let Some(record) = self.lock().calls.iter_mut().rev().find(|r| r.n == n)
        {
            record.status = Some(response.status);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    /// Counts a match; the act when this one is neither skipped nor beyond the limit.
    fn fire(&mut self) -> Option<Act> {
        self.matched += 1;
        if self.matched <= self.fault.skip {
            return None;
        }
        if self.fault.times.is_some_and(|times| self.fired.load(Ordering::SeqCst) >= times) {
            return None;
        }
        self.fired.fetch_add(1, Ordering::SeqCst);
        Some(self.fault.act.clone())
    }
}

/// A JSON body, or plain text when the body is a JSON string.
fn early(status: u16, retry_after: Option<u64>, body: &Value) -> Response {
    let response = match body {
        Value::String(text) => Response::text(status, text.clone()),
        Value::Null => Response::empty(status),
        body => Response::json(status, body),
    };
    match retry_after {
        Some(seconds) => response.with_header("Retry-After", seconds.to_string()),
        None => response,
    }
}

fn huge() -> Response {
    let mut body = Vec::with_capacity(HUGE + 2);
    body.push(b'"');
    body.resize(HUGE + 1, b'x');
    body.push(b'"');
    Response::bytes(200, "application/json; charset=utf-8", body)
}

fn garbage() -> Response {
    Response::bytes(200, "application/json; charset=utf-8", "<html>\r\n<body>proxy</body>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(op: &'static str) -> Call {
        let (method, path) = op.split_once(' ').unwrap();
        Call { op, method: method.into(), path: path.into(), query: vec![], body_json: None }
    }

    async fn run(faults: &Faults, op: &'static str, effects: &AtomicUsize) -> Answer {
        let effect = || {
            effects.fetch_add(1, Ordering::SeqCst);
            Response::text(200, "done")
        };
        faults.around(&SimClock::new(|| 7), call(op), effect).await
    }

    #[tokio::test]
    async fn a_fault_skips_fires_and_stops() {
        let faults = Faults::default();
        let effects = AtomicUsize::new(0);
        let fired = faults.add(Fault::on("GET /a", Act::ResetBefore).skip(1).times(1));
        assert!(matches!(run(&faults, "GET /b", &effects).await, Answer::Respond(_)));
        assert!(matches!(run(&faults, "GET /a", &effects).await, Answer::Respond(_)));
        assert_eq!(run(&faults, "GET /a", &effects).await, Answer::Reset);
        assert!(matches!(run(&faults, "GET /a", &effects).await, Answer::Respond(_)));
        assert_eq!((fired.count(), effects.load(Ordering::SeqCst)), (1, 3));
        let statuses: Vec<_> = faults.calls().iter().map(|c| c.status).collect();
        assert_eq!(statuses, [Some(200), Some(200), None, Some(200)]);
    }

    #[tokio::test]
    async fn reset_after_commits_and_hooks_frame_the_effect() {
        let faults = Faults::default();
        let effects = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |before: bool| {
            let (seen, effects) = (seen.clone(), effects.clone());
            move |_: &Call| seen.lock().unwrap().push((before, effects.load(Ordering::SeqCst)))
        };
        faults.add(Fault::always(Act::before(note(true))));
        faults.add(Fault::always(Act::after(note(false))));
        faults.add(Fault::always(Act::ResetAfter));
        assert_eq!(run(&faults, "POST /a", &effects).await, Answer::Reset);
        assert_eq!(*seen.lock().unwrap(), [(true, 0), (false, 1)]);
    }

    #[tokio::test]
    async fn throttling_says_how_long_to_wait() {
        let faults = Faults::default();
        faults.add(Fault::always(Act::throttled(9)));
        let Answer::Respond(answer) = run(&faults, "GET /a", &AtomicUsize::new(0)).await else {
            panic!("an answer was asked for")
        };
        assert_eq!(answer.status, 429);
        assert!(answer.headers.contains(&("Retry-After".into(), "9".into())));
    }
}
