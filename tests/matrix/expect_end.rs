//! How a run with a death ends: as one without.

use crate::expect::Run;

impl Run<'_> {
    /// One request, one effect: whatever was repeated on the way left no second trace.
    pub(super) fn end_is_as_without_a_death(&self) {
        let (mut effects, clean) = (self.end.effects.clone(), &self.clean.effects);
        let is_mail_unheard = self.mails(self.death) > self.death.commits_like("commit mailed");
        let mails = if is_mail_unheard { &MAILS[..] } else { &[] };
        for kind in self.may_be_repeated().iter().chain(mails) {
            let (is, was) = (self.end.effect(kind), self.clean.effect(kind));
            if is == was + 1 {
                effects.insert((*kind).to_owned(), was);
            }
        }
        assert_eq!(&effects, clean, "what was done outside");
        assert_eq!(self.end.grants, self.clean.grants, "grants");
        assert_eq!(sorted(&self.end.notices), sorted(&self.clean.notices), "notices");
        assert_eq!(self.end.deliveries.1, 0, "every delivery is worked off");
        assert!(self.end.tasks.iter().all(|(_, state)| state == "pending"), "{:?}", self.end.tasks);
    }

    /// What may be done once more because its outcome was not known: nothing that gives, but for the password, of which
    /// nobody could say otherwise that it is the one that was revealed, or one that nobody knows. The step may have been
    /// under way on another thread when the service died elsewhere.
    fn may_be_repeated(&self) -> Option<&'static str> {
        let of = |line: &str, commit: &str| {
            let (_, step) = line.split_once(&format!("after commit {commit}/"))?;
            Some(step.split_once(" #")?.0.to_owned())
        };
        let trace = &self.death.trace;
        let intended = trace.iter().rposition(|line| of(line, "step-intent").is_some())?;
        let is_known = trace[intended..].iter().any(|line| of(line, "step-outcome").is_some());
        let is_unsent = trace[intended].starts_with("killed ");
        match of(&trace[intended], "step-intent")?.as_str() {
            _ if is_known || is_unsent => None,
            "create" | "set-password" | "scramble-password" => Some("password"),
            "cut-sessions" => Some("sessions"),
            _ => None,
        }
    }
}

/// Mails that are owed for one grant.
pub(crate) const MAILS: [&str; 2] = ["mail of access", "mail of the end"];

fn sorted(pairs: &[(String, String)]) -> Vec<&(String, String)> {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    sorted
}
