//! What a journey looks at besides the tickets: the hook's door, what was recorded, and that nothing was given.

use std::collections::BTreeMap;

use super::{HOOK_SECRET, TestApp};

impl TestApp {
    /// The URL that the PSA's callbacks go to.
    pub(crate) fn hook(&self) -> String {
        self.url(&format!("/hooks/cw/{HOOK_SECRET}"))
    }

    /// Recorded deliveries, message id → what they came to.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        self.recorded().into_iter().map(|(message, outcome)| (message, outcome.unwrap_or_default())).collect()
    }

    /// How many audit entries carry this code.
    pub(crate) async fn audited(&self, code: &str) -> usize {
        self.store().audit(0, 100_000).await.unwrap().iter().filter(|entry| entry.code == code).count()
    }

    /// The password that stands in the ticket.
    pub(crate) fn password_in(&self, ticket: i64) -> String {
        let notes = self.psa.notes(ticket);
        let line = notes.iter().flat_map(|n| n.lines()).find_map(|l| l.strip_prefix("Password:"));
        line.expect("the ticket holds a password").trim().to_owned()
    }

    /// No grant was ever made of this ticket, and the directory was not touched.
    pub(crate) async fn assert_nothing_given(&self, ticket: i64) {
        assert!(self.grants(ticket).await.is_empty(), "a grant was made");
        assert!(self.entra.sim.faults().calls().is_empty(), "the directory was called");
        assert!(self.entra.accounts().is_empty(), "an account was made");
    }

    /// The ticket was told no, with this reason, and nothing was given.
    pub(crate) async fn assert_refused(&self, ticket: i64, why: &str) {
        let notes = self.psa.notes(ticket);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("Latchkey: access was not granted."), "{notes:?}");
        assert!(notes[0].contains(why), "{why:?} is missing in {notes:?}");
        assert!(notes[0].contains("Nothing was given."), "{notes:?}");
        self.assert_nothing_given(ticket).await;
    }
}
