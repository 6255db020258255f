//! What the rulebook says in vain, and what it gives that should be given with a second thought.
//!
//! None of it is a fault here: a rulebook that names what is dead is right by itself. What is dead at a vendor is a fault
//! of that connection's own line.

use std::collections::BTreeSet;

use latchkey_contract::ConnectionId;

use super::Line;
use crate::rulebook::{Catalogues, Gravity, Rules};

const AREA: &str = "rulebook";

/// `silent` are connections that work, and yet did not list what they have.
pub(super) fn lines(rules: &Rules, listed: &Catalogues, silent: &BTreeSet<ConnectionId>) -> Vec<Line> {
    let warnings = rules.rulebook.warnings(&rules.records, listed);
    let mut lines: Vec<Line> = warnings
        .iter()
        .map(|warning| match warning.gravity {
            Gravity::Inert | Gravity::Warning => {
                let to_do = "correct the rule (latchkey rulebook export, then import), or what it names";
                Line::note(AREA, &warning.path, format!("{}: {to_do}", warning.what))
            }
            Gravity::Loud | Gravity::Note => Line::note(AREA, &warning.path, &warning.what),
        })
        .collect();
    let unheard = |id: &ConnectionId| {
        let know = "it did not list what it has, so the rulebook was not held against it: try again";
        Line::note(AREA, &format!("against {id}"), know)
    };
    lines.extend(silent.iter().map(unheard));
    if lines.is_empty() {
        let found = match rules.rulebook.policies.is_empty() {
            true => "there are no policies yet, so nothing is given: latchkey mapping suggest CONNECTION drafts some",
            false => "nothing that it names is dead, and nothing that it gives reaches everything",
        };
        lines.push(Line::ok(AREA, "rules", found));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::{Records, Rulebook};

    fn said(entitlement: &str) -> Vec<Line> {
        let text = format!(
            "[[policy]]\nid = \"all\"\nname = \"All\"\nsource = \"entra\"\nmode = \"standard\"\nentitlements = [{entitlement:?}]\n\
             lengths = [\"1h\"]\ndefault_length = \"1h\"\nmax_length = \"1h\"\ndelivery = \"claim-link\"\n"
        );
        let rules = Rules { rulebook: Rulebook::parse(&text).unwrap(), ..Rules::default() };
        lines(&rules, &Catalogues::default(), &BTreeSet::new())
    }

    /// F43: Global Administrator in a policy is warned about, whether or not any tenant can be asked.
    #[test]
    fn a_policy_that_gives_global_administrator_is_noted_and_is_no_fault() {
        let is_loud =
            |line: &Line| line.check.what == "policy.all.entitlements" && line.to_string().contains("narrower");
        let loud = said("role:62e90394-69f5-4237-9190-012177145e10");
        assert!(loud.iter().any(is_loud) && loud.iter().all(|line| line.word() == "note"), "{loud:?}");
        assert!(!said("role:729827e3-9c14-49f7-bb1b-9608f156bbb8").iter().any(is_loud));
    }

    #[test]
    fn a_rulebook_without_fault_is_one_line() {
        let owner = "[[person]]\nid = \"jane\"\nname = \"Jane\"\nrole = \"owner\"\nmail = \"jane@msp.example\"\ncustomers = \"all\"\n";
        let rules = Rules { records: Records::parse(owner).unwrap(), ..Rules::default() };
        let of = |silent| lines(&rules, &Catalogues::default(), &silent);
        let none = of(BTreeSet::new());
        assert!(none.len() == 1 && none[0].word() == "ok", "{none:?}");
        let unheard = of(["cw".parse().unwrap()].into());
        assert!(unheard.len() == 1 && unheard[0].to_string().starts_with("note rulebook: against cw"), "{unheard:?}");
    }
}
