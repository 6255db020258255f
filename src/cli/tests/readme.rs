//! What the README files show is what is accepted.

use std::{collections::BTreeSet, fs, path::Path};

use crate::rulebook::{Records, Rulebook};

const README: &str = include_str!("../../../README.md");
const CONNECTORS: [(&str, &str); 4] = [
    ("connectwise", include_str!("../../../connectors/connectwise/README.md")),
    ("autotask", include_str!("../../../connectors/autotask/README.md")),
    ("halopsa", include_str!("../../../connectors/halopsa/README.md")),
    ("entra", include_str!("../../../connectors/entra/README.md")),
];

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
    assert_eq!((rulebook.policies.len(), rulebook.mappings.len(), rulebook.brakes.len()), (1, 3, 1));
    assert!(records.connection(&rulebook.mappings[0].connection).is_some());
}

#[test]
fn the_settings_of_the_connectors_readmes_are_accepted() {
    for (kind, text) in CONNECTORS {
        let blocks = toml_blocks(text);
        assert_eq!(blocks.len(), 1, "{kind}");
        for block in [blocks[0].to_owned(), with_what_is_optional(blocks[0])] {
            let record = format!("[[connection]]\nid = \"it\"\nkind = \"{kind}\"\n{block}");
            assert_eq!(Records::parse(&record).unwrap().connections.len(), 1, "{kind}");
        }
    }
}

/// The block with its optional settings in force, which stand there as comments.
fn with_what_is_optional(block: &str) -> String {
    let lines = block.lines().map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_setting_of_a_connector_stands_in_its_readme() {
    for (kind, text) in CONNECTORS {
        let settings = settings_of(kind);
        assert!(settings.len() > 5, "{kind}: {settings:?}");
        let is_told = |key: &&String| text.contains(&format!("{key} = ")) || text.contains(&format!("`{key}`"));
        let untold: Vec<_> = settings.iter().filter(|key| !is_told(key)).collect();
        assert!(untold.is_empty(), "{kind}: {untold:?}");
    }
}

/// The fields of a connector's `Settings`.
fn settings_of(kind: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(kind).join("src/settings.rs");
    let source = fs::read_to_string(file).unwrap();
    let fields = source.split("pub struct Settings {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = fields.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    names.map(str::to_owned).collect()
}

/// How a connector's source names a line of the doctor; the name goes on to the next quotation mark or placeholder.
const NAMED_BY: [&str; 11] = [
    "const WHAT: &str = \"",
    "const EVENTS: &str = \"",
    "Check::ok(\"",
    "Check::note(\"",
    "Check::red(\"",
    "Check::failed(\"",
    "Check::red(format!(\"",
    "what = format!(\"",
    "kind: \"",
    "kind(\"",
    "read(\"",
];

/// The names of the doctor's lines in one file and in the folder beside it.
fn lines_named(file: &str) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(file);
    let beside = fs::read_dir(file.with_extension("")).unwrap().map(|entry| entry.unwrap().path());
    let sources: Vec<String> = beside.chain([file]).map(|path| fs::read_to_string(path).unwrap()).collect();
    let names = sources.iter().flat_map(|source| {
        NAMED_BY.iter().flat_map(move |by| source.split(by).skip(1)).filter_map(|rest| rest.split(['"', '{']).next())
    });
    names.map(str::to_owned).collect()
}

#[test]
fn every_line_of_the_doctor_about_a_connection_stands_under_its_vendor() {
    let table = README.split("\n## Troubleshooting\n").nth(1).unwrap();
    for (vendor, file, at_least) in [
        ("ConnectWise", "connectwise/src/checks.rs", 11),
        ("Autotask", "autotask/src/checks.rs", 13),
        ("HaloPSA", "halopsa/src/checks.rs", 20),
        ("Entra", "entra/src/preflight.rs", 11),
    ] {
        let block = table.split(&format!("\n| `connection ID` ({vendor}) ")).nth(1).expect("the vendor has its lines");
        let block = block.split("\n| `").next().unwrap();
        let names = lines_named(file);
        assert!(names.len() >= at_least, "{vendor}: {names:?}");
        let untold: Vec<_> = names.iter().filter(|name| !block.contains(&format!("`{name}"))).collect();
        assert!(untold.is_empty(), "{vendor}: {untold:?}");
    }
}
