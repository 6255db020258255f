//! What the README files show is what is accepted.

use crate::rulebook::{Records, Rulebook};

const README: &str = include_str!("../../../README.md");
const CONNECTWISE: &str = include_str!("../../../connectors/connectwise/README.md");
const ENTRA: &str = include_str!("../../../connectors/entra/README.md");

fn toml_blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block)).collect()
}

#[test]
fn the_documents_of_the_readme_are_accepted() {
    let blocks = toml_blocks(README);
    let [records, rulebook] = blocks.as_slice() else { panic!("records and rulebook, but: {blocks:?}") };
    let records = Records::parse(records).unwrap();
    assert_eq!((records.connections.len(), records.customers.len(), records.people.len()), (2, 1, 1));
    let rulebook = Rulebook::parse(rulebook).unwrap();
    assert_eq!((rulebook.policies.len(), rulebook.mappings.len(), rulebook.brakes.len()), (1, 1, 1));
    assert!(records.connection(&rulebook.mappings[0].connection).is_some());
}

#[test]
fn the_settings_of_the_connectors_readmes_are_accepted() {
    for (kind, text) in [("connectwise", CONNECTWISE), ("entra", ENTRA)] {
        let blocks = toml_blocks(text);
        assert_eq!(blocks.len(), 1, "{kind}");
        let record = format!("[[connection]]\nid = \"it\"\nkind = \"{kind}\"\n{}", blocks[0]);
        assert_eq!(Records::parse(&record).unwrap().connections.len(), 1);
    }
}
