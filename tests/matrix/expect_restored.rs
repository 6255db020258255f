//! What is expected around what is written at a start, or now and then whatever else happens.

use crate::{expect::Run, restored::BEHIND_S, view::View};

/// How long a lease lasts, and how long somebody stays signed in who does nothing.
const LEASE_MS: i64 = 60_000;
const IDLE_MS: i64 = 15 * 60_000;

impl Run<'_> {
    fn meta<'a>(view: &'a View, name: &str) -> Option<&'a str> {
        view.meta.get(name).map(String::as_str)
    }

    /// Whether it is noted that this is an older copy.
    fn is_compared(view: &View) -> bool {
        Self::meta(view, "comparing").is_some()
    }

    pub(super) fn session(&self) -> String {
        assert_eq!(self.death.audited("secret.revealed"), 0, "nothing was shown");
        let is_whole = self.death.idle_ms == [self.death.at_ms + IDLE_MS];
        // The first page comes in the very moment of signing in.
        assert_eq!(is_whole, self.point.nth == 1 || !self.is_before(), "{:?}", self.death.idle_ms);
        "the session's end was moved or not; the person signed in again".to_owned()
    }

    pub(super) fn renewed(&self) -> String {
        assert!(!self.death.leases_ms.is_empty(), "what was under way is leased");
        let full = self.death.at_ms + LEASE_MS;
        assert!(self.death.leases_ms.iter().all(|until| *until <= full), "{:?}", self.death.leases_ms);
        let is_renewed = self.death.leases_ms.contains(&full);
        assert_eq!(is_renewed, !self.is_before(), "{:?} at {}", self.death.leases_ms, self.death.at_ms);
        "the lease ran out, sooner or later, and the work was done by the next process".to_owned()
    }

    pub(super) fn swept(&self) -> String {
        // What nothing but the sweep makes.
        let heads = |view: &View| view.tasks.iter().filter(|(kind, _)| kind == "audit-head").count();
        assert_eq!((heads(self.beginning), heads(self.death)), (0, usize::from(!self.is_before())));
        assert_eq!(heads(self.end), 1, "made once");
        "what rows need was made by this sweep or by the next, once".to_owned()
    }

    pub(super) fn beaten(&self) -> String {
        let (was, is) = (Self::meta(self.beginning, "last-seen"), Self::meta(self.death, "last-seen"));
        let now = self.death.at_ms.to_string();
        assert_eq!(is, if self.is_before() { was } else { Some(now.as_str()) });
        "the time was noted or not; the next beat notes it".to_owned()
    }

    pub(super) fn beaten_in_doubt(&self) -> String {
        let counted = (self.death.at_ms + BEHIND_S * 1000).to_string();
        let noted = Self::meta(self.death, "last-seen-in-doubt");
        assert_eq!(noted, (!self.is_before()).then_some(counted.as_str()), "the time that counts, not the wall's");
        "the next start went on from the time that was believed, or that counted later".to_owned()
    }

    pub(super) fn raised(&self) -> String {
        let generation =
            |view: &View| Self::meta(view, "generation").map_or(0, |number| number.parse::<i64>().unwrap());
        assert_eq!(generation(self.death) - generation(self.beginning), i64::from(!self.is_before()));
        assert!(generation(self.end) > generation(self.death), "raised by the start that was one");
        assert!(!Self::is_compared(self.death) && self.end.audited("reconcile.done") == 0, "it is the one in use");
        "raised with the next start; nobody took the database for an older copy".to_owned()
    }

    pub(super) fn compared_first(&self) -> String {
        assert_eq!(Self::is_compared(self.death), !self.is_before());
        self.is_compared_before_anything_is_given();
        "noted by this start or by the next, before anything else; compared before anything was given".to_owned()
    }

    pub(super) fn compared_so_far(&self) -> String {
        assert!(Self::is_compared(self.death), "it is not over");
        assert_eq!(Self::meta(self.death, "compared"), (!self.is_before()).then_some("[]"), "nothing was reached");
        self.is_compared_before_anything_is_given();
        "compared anew by the next start; nothing was given meanwhile".to_owned()
    }

    pub(super) fn comparing_ended(&self) -> String {
        assert_eq!(Self::is_compared(self.death), self.is_before());
        assert_eq!(self.death.audited("reconcile.done"), 1, "what follows was written down before");
        let compared = self.end.audited("reconcile.done");
        assert_eq!(compared, 1 + usize::from(self.is_before()), "once more where its end was not written");
        self.is_compared_before_anything_is_given();
        "over, or compared once more; nothing was given before".to_owned()
    }

    fn is_compared_before_anything_is_given(&self) {
        assert!(self.death.grants.is_empty() && self.death.effect("created") == 0, "nothing is given yet");
        assert!(!Self::is_compared(self.end), "it is over in the end");
        let at = |code: &str| self.end.audit.iter().position(|c| c == code).expect("it is in the log");
        assert!(at("reconcile.done") < at("request.granted"), "compared first");
    }

    pub(super) fn pruned(&self) -> String {
        let done = usize::from(!self.is_before());
        assert_eq!((self.death.checkpoints, self.death.audited("audit.pruned")), (done, done), "one with the other");
        // Whoever typed it was told nothing, and types it again.
        assert_eq!((self.end.checkpoints, self.end.audited("audit.pruned")), (1 + done, 1 + done));
        assert!(!self.end.audit.iter().any(|code| code == "secret.set"), "what was old is gone");
        "checkpoint and entry together, or neither; what a checkpoint covers went in the end".to_owned()
    }
}
