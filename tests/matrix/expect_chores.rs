//! What is expected where the chores of an operator, or of who signs in and out, are broken off around a commit of their own:
//! they are done once more.

use crate::{expect::Run, view::View};

impl Run<'_> {
    /// What is told of in the same commit, and was done once more by whoever did not hear of it.
    pub(super) fn operated(&self, code: &str) -> String {
        let told = |view: &View| view.audited(code) - self.beginning.audited(code);
        assert_eq!(told(self.death), usize::from(!self.is_before()), "{code}");
        assert!(told(self.end) > 0, "{code} in the end");
        "whole or not at all, and told of with it; the operator did it again, and it was as if done once".to_owned()
    }

    pub(super) fn chosen(&self) -> String {
        assert_eq!(self.death.invitations, [!self.is_before()], "what was chosen");
        assert!(self.end.invitations.is_empty(), "nothing of it is left");
        "kept or not; chosen once more in its place, and worth nothing until it is confirmed".to_owned()
    }

    pub(super) fn uninvited(&self) -> String {
        assert_eq!(self.death.invitations.is_empty(), !self.is_before());
        assert!(self.end.invitations.is_empty());
        "good, or taken back with what was chosen under it; taken back in the end".to_owned()
    }

    pub(super) fn rewrapped(&self) -> String {
        assert_eq!(self.death.keys.len(), 1, "all secrets at once: {:?}", self.death.keys);
        assert_eq!(self.death.keys == self.beginning.keys, self.is_before());
        assert_eq!(self.death.retired_keys, 0, "the file holds both keys");
        self.keys_in_the_end();
        "wrapped by the former key or by the new one, and the file holds both; gone on with".to_owned()
    }

    pub(super) fn retired(&self) -> String {
        assert_ne!(self.death.keys, self.beginning.keys, "no secret needs it any more");
        assert_eq!(self.death.retired_keys, usize::from(!self.is_before()));
        self.keys_in_the_end();
        "it took secrets or it did not, and none needed it; it went from the file at the next try".to_owned()
    }

    pub(super) fn counted(&self) -> String {
        assert_eq!(self.death.failures, self.point.nth - usize::from(self.is_before()));
        "counted or not, and whoever was not answered has learnt nothing of the code".to_owned()
    }

    pub(super) fn signed_out(&self) -> String {
        assert_eq!(self.death.sessions, usize::from(self.is_before()));
        "signed in still or signed out, which the next page shows; signed out at the next try".to_owned()
    }

    fn keys_in_the_end(&self) {
        assert_eq!(self.end.keys.len(), 1, "{:?}", self.end.keys);
        assert_ne!(self.end.keys, self.beginning.keys, "another one");
        assert!(self.end.retired_keys > 0, "the former one takes no secrets");
    }
}
