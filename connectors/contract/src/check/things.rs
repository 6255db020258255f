//! What mappings name by id: each must be there and in use.

use super::Check;
use crate::text::one_line;

/// A thing that was found.
#[derive(Debug, Clone)]
pub struct Found<'t> {
    /// Its id.
    pub id: String,
    /// As shown; hostile.
    pub name: &'t str,
    /// May be used.
    pub is_active: bool,
}

/// One kind of thing.
#[derive(Debug, Clone)]
pub struct Kind {
    /// `board`, `status`, `field`: a line is `board 63`.
    pub kind: &'static str,
    /// What is said of one that was not found.
    pub whose: &'static str,
    /// The vendor's own path to it.
    pub path: String,
}

impl Kind {
    /// The line of one thing; `None` when it was not found and not all was read.
    #[must_use]
    pub fn line(&self, id: &str, found: &[Found<'_>], is_all_read: bool) -> Option<Check> {
        let what = format!("{} {id}", self.kind);
        let Self { whose, path, .. } = self;
        match found.iter().find(|known| known.id == id) {
            Some(known) if known.is_active => Some(Check::ok(what, one_line(known.name, 80))),
            Some(known) => {
                let name = one_line(known.name, 80);
                let to_do = format!("{name} is switched off: switch it on under {path}, or name another one");
                Some(Check::red(what, to_do))
            }
            None if is_all_read => {
                Some(Check::red(what, format!("{whose}: see {path}, and name one that is in the mapping")))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_there_switched_off_or_missing() {
        let kind = Kind { kind: "board", whose: "is not there", path: "Setup".into() };
        let found = [
            Found { id: "1".into(), name: "Desk", is_active: true },
            Found { id: "2".into(), name: "Old\n", is_active: false },
        ];
        assert_eq!(kind.line("1", &found, true), Some(Check::ok("board 1", "Desk")));
        assert!(kind.line("2", &found, true).unwrap().verdict.text().starts_with("Old  is switched off"));
        assert!(kind.line("3", &found, true).unwrap().is_red());
        assert_eq!(kind.line("3", &found, false), None);
    }
}
