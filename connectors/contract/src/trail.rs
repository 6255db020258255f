//! A PSA's record of changes, whatever the vendor calls it: audit trail, ticket history, actions.
//!
//! Which entry made a change is for the vendor's crate to find. What follows from it is the same for all.

use sha2::{Digest, Sha256};

use crate::{
    CallError, Timestamp,
    text::is_same_name,
    ticket::{Actor, Change},
};

/// The entries from old to new. Within one instant the record's own order counts, and it may run either way.
#[must_use]
pub fn in_order<E>(mut entries: Vec<E>, at: impl Fn(&E) -> Timestamp) -> Vec<E> {
    if entries.first().map(&at) > entries.last().map(&at) {
        entries.reverse();
    }
    entries.sort_by_key(at);
    entries
}

/// The change that an entry tells of; what kind of identity made it is not looked up yet. `later` are the names under
/// which the ticket was saved afterwards, our own API identity (`me`) does not count. `None` when the entry names nobody.
#[must_use]
pub fn change<'e>(
    at: Timestamp,
    by: &str,
    text: &str,
    later: impl IntoIterator<Item = &'e str>,
    me: &str,
) -> Option<Change> {
    if by.is_empty() {
        return None;
    }
    let is_other = |name: &str| !is_same_name(name, by) && !is_same_name(name, me);
    Some(Change {
        by: by.to_owned(),
        actor: Actor::Unknown,
        at,
        key: key(at, by, text),
        later_by: later.into_iter().find(|name| is_other(name)).map(str::to_owned),
    })
}

/// What a record says is compared with a ticket that stands still.
///
/// # Errors
/// [`CallError::Transient`] when it does not.
pub fn still(op: &'static str, is_still: bool) -> Result<(), CallError> {
    let moved = || CallError::transient(op, "the ticket changed while its history was read");
    is_still.then_some(()).ok_or_else(moved)
}

/// Whether `text` holds `word` as words of its own ("New" is not in "Renewed").
#[must_use]
pub fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// The same change gives the same key in every reading.
#[must_use]
pub fn key(at: Timestamp, by: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&at.millis().to_string(), &by.to_lowercase(), text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(s * 1000)
    }

    #[test]
    fn the_record_may_run_either_way() {
        let in_order = |entries: &[(i64, &'static str)]| {
            in_order(entries.to_vec(), |e| at(e.0)).into_iter().map(|e| e.1).collect::<String>()
        };
        assert_eq!(in_order(&[(1, "a"), (2, "b"), (2, "c")]), "abc");
        assert_eq!(in_order(&[(2, "c"), (2, "b"), (1, "a")]), "abc");
    }

    #[test]
    fn somebody_elses_later_save_is_told_and_our_own_is_not() {
        let later = |names: &[&'static str]| change(at(1), "jdoe", "x", names.iter().copied(), "Api").unwrap().later_by;
        assert_eq!(later(&["JDOE", " api "]), None);
        assert_eq!(later(&["jdoe", "ann", "bob"]).as_deref(), Some("ann"));
        assert_eq!(change(at(1), "", "x", [], "Api"), None);
    }

    #[test]
    fn a_word_is_found_as_words_of_its_own() {
        assert!(names("to New.", "New") && names("New", "New") && names("„New“", "New"));
        assert!(!names("Renewed", "New") && !names("Newer", "New") && !names("", "New"));
        assert!(names("Newer to New", "New"));
    }

    #[test]
    fn a_key_tells_changes_apart_and_is_stable() {
        assert_eq!(key(at(1), "jdoe", "x"), key(at(1), "JDOE", "x"));
        assert_ne!(key(at(1), "jdoe", "x"), key(at(2), "jdoe", "x"));
        assert_ne!(key(at(1), "jdoe", "x"), key(at(1), "ann", "x"));
        assert_eq!(key(at(1), "jdoe", "x").len(), 32);
    }
}
