//! Which rows of the feature ledger are claimed, and by which test: `tests/rows.toml` held against the tests themselves.
//! And the tables of vendor facts in the connectors' README files, whose tests must be there, too.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// What is claimed so far. A row leaves this list never; a new one comes with its tests.
const CLAIMED: [&str; 86] = [
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15", "F16", "F18",
    "F21", "F22", "F29", "F30", "F31", "F33", "F34", "F35", "F36", "F37", "F38", "F39", "F40", "F41", "F42", "F43",
    "F46", "F48", "F49", "F55", "F56", "F57", "F58", "F72", "F75", "F79", "F83", "F84", "F85", "F86", "F87", "F88",
    "F89", "F91", "F94", "F106", "F107", "F110", "F111", "F113", "F117", "F118", "F119", "F120", "F121", "F122",
    "F123", "F124", "F125", "F126", "F127", "F128", "F130", "F131", "F132", "F133", "F136", "F139", "F140", "F143",
    "F144", "F162", "F163", "F171", "F175", "F176", "F177", "F178", "F180",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What the row says, in short.
    does: String,
    /// `path/of/file.rs::name_of_test`.
    tests: Vec<String>,
    /// The one-line break under which a test of this row was seen red.
    red_when: String,
}

fn rows() -> BTreeMap<String, Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rows.toml");
    toml::from_str(&fs::read_to_string(path).expect("tests/rows.toml is there"))
        .expect("tests/rows.toml has the right shape")
}

/// The lines above a function: its attributes and doc comment.
fn head_of(source: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let is_it = |line: &&str| line.trim_start().trim_start_matches("async ").starts_with(&format!("fn {name}("));
    let at = lines.iter().position(is_it)?;
    let above = lines[..at].iter().rev().take_while(|line| {
        let line = line.trim_start();
        line.starts_with("///") || line.starts_with("#[") || line.starts_with("//")
    });
    Some(above.copied().collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_claimed_row_has_a_living_test_that_was_seen_red() {
    let rows = rows();
    let mut faults = Vec::new();
    for claimed in CLAIMED {
        if !rows.contains_key(claimed) {
            faults.push(format!("{claimed} is claimed but has no entry"));
        }
    }
    for (row, entry) in &rows {
        if !CLAIMED.contains(&row.as_str()) {
            faults.push(format!("{row} has an entry but is not claimed"));
        }
        if entry.does.is_empty() || entry.red_when.is_empty() || entry.tests.is_empty() {
            faults.push(format!("{row}: does, tests and red_when must all be filled"));
        }
        if !broken_file(&entry.red_when).is_some_and(|file| file.exists()) {
            faults.push(format!("{row}: red_when begins with no file of the product"));
        }
        for test in &entry.tests {
            check(row, test).unwrap_or_else(|fault| faults.push(fault));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The file of `jobs/words.rs: what is broken there`, or of `entra/perform.rs: …` in a connector.
fn broken_file(red_when: &str) -> Option<PathBuf> {
    let (file, _) = red_when.split_once(':')?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("src").join(file);
    let (connector, rest) = file.split_once('/').unwrap_or((file, ""));
    Some(if own.exists() { own } else { root.join("connectors").join(connector).join("src").join(rest) })
}

fn check(row: &str, test: &str) -> Result<(), String> {
    let (file, name) = test.split_once("::").ok_or(format!("{row}: {test} is not file::test"))?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let source = fs::read_to_string(path).map_err(|_| format!("{row}: there is no file {file}"))?;
    let head = head_of(&source, name).ok_or(format!("{row}: there is no test {name} in {file}"))?;
    if !runs(&head) {
        return Err(format!("{row}: {name} in {file} is not a test that runs"));
    }
    let carries = head.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == row);
    carries.then_some(()).ok_or(format!("{row}: the doc comment of {name} in {file} does not name the row"))
}

/// Whether what stands above a function makes it a test that is not left out.
fn runs(head: &str) -> bool {
    (head.contains("#[test]") || head.contains("::test")) && !head.contains("#[ignore")
}

/// The sources below a folder.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(fs::read_to_string(&path).expect("it can be read"));
        }
    }
}

/// What stands in backticks in the tables and can only be a test by its shape: four words or more. One that is abbreviated
/// counts, and is not found.
fn tests_named(readme: &str) -> Vec<String> {
    let rows = readme.lines().filter(|line| line.starts_with('|'));
    let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_…".contains(c);
    let is_test = |word: &&str| word.matches('_').count() >= 3 && word.chars().all(is_of_a_name);
    quoted.filter(is_test).map(str::to_owned).collect()
}

#[test]
fn the_tests_that_the_tables_of_vendor_facts_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (connector, at_least) in [("connectwise", 40), ("autotask", 60), ("halopsa", 40)] {
        let folder = root.join("connectors").join(connector);
        let mut all = Vec::new();
        for place in [folder.clone(), root.join("connectors/simulators"), root.join("tests/journeys")] {
            sources(&place, &mut all);
        }
        let readme = fs::read_to_string(folder.join("README.md")).expect("the connector has one");
        let named = tests_named(&readme);
        assert!(named.len() >= at_least, "{connector}: {}", named.len());
        let is_there = |name: &&String| all.iter().any(|source| head_of(source, name).is_some_and(|head| runs(&head)));
        let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{connector}: {missing:#?}");
    }
}

/// What the tables call a setting: in backticks right after the word, several with commas between.
fn settings_named(readme: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for rest in readme.lines().filter(|line| line.starts_with('|')).flat_map(|row| row.split("setting").skip(1)) {
        let mut list = rest.trim_start_matches('s').strip_prefix(" `");
        while let Some((quoted, after)) = list.and_then(|list| list.split_once('`')) {
            // Values of one stand among them: `hook_auth = "bearer"`, `"header"`.
            named.extend(quoted.split(' ').next().filter(|name| !name.starts_with('"')));
            list = after.strip_prefix(", `");
        }
    }
    named
}

#[test]
fn the_settings_and_files_that_the_tables_of_vendor_facts_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (connector, at_least) in [("connectwise", 3), ("autotask", 12), ("halopsa", 12)] {
        let folder = root.join("connectors").join(connector);
        let readme = fs::read_to_string(folder.join("README.md")).expect("the connector has one");
        let settings = fs::read_to_string(folder.join("src/settings.rs")).expect("the connector has settings");
        let named = settings_named(&readme);
        assert!(named.len() >= at_least, "{connector}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !settings.contains(&format!("    pub {name}: "))).collect();
        assert!(missing.is_empty(), "{connector}: {missing:?}");
        let rows = readme.lines().filter(|line| line.starts_with('|'));
        let files = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|word| word.ends_with(".rs"));
        let missing: Vec<_> = files.filter(|file| !folder.join("tests/psa").join(file).exists()).collect();
        assert!(missing.is_empty(), "{connector}: {missing:?}");
    }
}
