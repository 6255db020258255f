//! Cells that are tests of their own: `globals.toml` says which, and is held against their sources, so that no cell is
//! empty and none is named that is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;

use crate::{
    ground,
    table::{self, Outcome, Row},
    weather::{PART, Phase},
};

const LIST: &str = "tests/matrix/globals.toml";

/// The bugs that are put into the simulation on purpose.
const PLANTS: &str = "tests/simulation/plant.rs";

/// All that there are, on this machine or not.
const ENGINES: [&str; 2] = ["sqlite", "postgres"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    fault: Vec<Entry>,
    call: Vec<Entry>,
    verb: Vec<Entry>,
}

/// What may be wrong with a verb of the store that no story comes by.
const VERB_FAULTS: [&str; 2] = ["killed around it", "refused, or the answer is lost"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    both: BTreeMap<String, String>,
    #[serde(default)]
    sqlite: BTreeMap<String, String>,
    #[serde(default)]
    postgres: BTreeMap<String, String>,
}

impl Entry {
    fn on(&self, engine: &str) -> &BTreeMap<String, String> {
        let own = if engine == "sqlite" { &self.sqlite } else { &self.postgres };
        if own.is_empty() { &self.both } else { own }
    }
}

fn list() -> List {
    toml::from_str(&fs::read_to_string(root().join(LIST)).unwrap()).unwrap()
}

/// The verbs that have rows there.
pub(crate) fn verbs() -> BTreeSet<String> {
    list().verb.into_iter().map(|verb| verb.name).collect()
}

/// The rows for what is tested elsewhere or never happens. `live` are the cells that this program runs by itself.
pub(crate) fn rows(live: &[Row]) -> Vec<Row> {
    let list = list();
    let mut rows = Vec::new();
    let here = ground::engines().into_iter().map(ground::name);
    let here: Vec<&str> = here.collect();
    for engine in ENGINES.into_iter().filter(|engine| !here.contains(engine)) {
        table::say(&format!("{engine} is left out: it is not on this machine, or was not asked for\n"));
    }
    for engine in here {
        for fault in &list.fault {
            let said = fault.on(engine);
            let unknown = said.keys().find(|key| *key != "all" && Phase::ALL.iter().all(|phase| phase.name() != *key));
            assert!(unknown.is_none(), "{}: {unknown:?} is no phase", fault.name);
            for phase in Phase::ALL.map(Phase::name) {
                let row = Row::new(PART, engine, phase, "everything", &fault.name);
                let value = said.get(phase).or_else(|| said.get("all"));
                let value = value.unwrap_or_else(|| panic!("{} is an empty cell", row.name()));
                rows.extend(resolve(row, value, live));
            }
        }
        for verb in &list.verb {
            let said = verb.on(engine);
            let is_whole = said.len() == VERB_FAULTS.len() && VERB_FAULTS.iter().all(|fault| said.contains_key(*fault));
            assert!(is_whole, "{} has other faults than {VERB_FAULTS:?}", verb.name);
            for (fault, value) in said {
                let place = format!("commit {}", verb.name);
                rows.extend(resolve(Row::new("commits", engine, "-", &place, fault), value, live));
            }
        }
        for call in &list.call {
            for (fault, value) in call.on(engine) {
                rows.extend(resolve(Row::new("calls", engine, "-", &call.name, fault), value, live));
            }
        }
    }
    rows
}

/// A cell of this program has a row of its own already.
fn resolve(row: Row, value: &str, live: &[Row]) -> Option<Row> {
    if let Some(why) = value.strip_prefix("never: ") {
        return Some(row.never(why));
    }
    if value == "here" {
        let is_there = live.iter().any(|cell| cell.name() == row.name());
        return if is_there { None } else { Some(failed(row, "it is a cell of this program, and there is none")) };
    }
    if let Some(part) = value.strip_prefix("here: ") {
        let is_there = live.iter().any(|cell| cell.part == part && cell.engine == row.engine);
        let outcome = Outcome::Elsewhere(format!("the cells of \"{part}\" above"));
        return Some(if is_there { Row { outcome, ..row } } else { failed(row, "there are no such cells") });
    }
    Some(match look_up(value) {
        Ok(()) => Row { outcome: Outcome::Elsewhere(value.to_owned()), ..row },
        Err(why) => failed(row, &why),
    })
}

fn failed(row: Row, why: &str) -> Row {
    Row { outcome: Outcome::Failed(why.to_owned()), ..row }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether `path/of/file.rs::name` is a test that runs, or what every engine or every PSA makes a test of, or a bug that every run
/// of the simulation has to find.
pub(crate) fn look_up(test: &str) -> Result<(), String> {
    let (file, name) = test.split_once("::").ok_or(format!("{test} is not file::test"))?;
    let source = fs::read_to_string(root().join(file)).map_err(|_| format!("there is no file {file}"))?;
    if file == PLANTS {
        return is_planted(&source, name).then_some(()).ok_or(format!("{name} is not planted in any run"));
    }
    let lines: Vec<&str> = source.lines().collect();
    if is_told_by_all(file, name) && lines.iter().any(|line| line.starts_with(&format!("pub(crate) async fn {name}(")))
    {
        return Ok(());
    }
    let is_it = |line: &&str| line.trim_start().trim_start_matches("async ").starts_with(&format!("fn {name}("));
    let at = lines.iter().position(is_it).ok_or(format!("there is no test {name} in {file}"))?;
    let above = lines[..at]
        .iter()
        .rev()
        .map(|line| line.trim_start())
        .take_while(|line| line.starts_with("///") || line.starts_with("#[") || line.starts_with("//"));
    let head: Vec<&str> = above.collect();
    let is_test = head.iter().any(|line| line.starts_with("#[test]") || line.contains("::test"));
    let runs = is_test && !head.iter().any(|line| line.starts_with("#[ignore"));
    runs.then_some(()).ok_or(format!("{name} in {file} is not a test that runs"))
}

/// Whether it is one of the bugs that every run of the simulation, which is a program of its own, has to find.
fn is_planted(plants: &str, name: &str) -> bool {
    let simulation = fs::read_to_string(root().join("tests/simulation/main.rs")).unwrap_or_default();
    let body =
        |of: &str| simulation.split_once(&format!("\nfn {of}(")).and_then(|(_, rest)| rest.split("\n}\n").next());
    let is_run = body("main").is_some_and(|main| main.contains("planted()"))
        && body("planted").is_some_and(|planted| planted.contains("Plant::ALL"));
    let all = plants.split_once("const ALL:").and_then(|(_, rest)| rest.split(';').nth(1)).unwrap_or_default();
    let named = plants.lines().find_map(|line| line.trim().strip_suffix(&format!(" => \"{name}\",")));
    is_run && named.is_some_and(|plant| all.split(['[', ']', ',']).any(|one| one.trim() == plant))
}

/// Whether it is in the list that a macro beside that file makes tests of.
fn is_told_by_all(file: &str, name: &str) -> bool {
    let beside = root().join(file).with_file_name("mod.rs");
    let list = fs::read_to_string(beside).unwrap_or_default();
    list.contains("macro_rules!") && list.lines().any(|line| line.trim() == format!("{name},"))
}

/// A name that is nowhere, and a function that is no test, are noticed.
#[test]
fn what_is_named_and_not_there_is_noticed() {
    assert!(look_up("tests/matrix/globals.rs::what_is_named_and_not_there_is_noticed").is_ok());
    assert!(look_up("tests/matrix/globals.rs::resolve").unwrap_err().contains("is not a test"));
    assert!(look_up("src/store/story/people.rs::a_one_time_code_works_once").is_ok());
    assert!(look_up("src/store/story/sample.rs::claim").unwrap_err().contains("there is no test"));
    assert!(look_up("tests/simulation/plant.rs::not-synced").is_ok());
    assert!(look_up("tests/simulation/plant.rs::never-planted").unwrap_err().contains("not planted"));
    assert!(look_up("tests/matrix/globals.rs::nobody").unwrap_err().contains("there is no test"));
    assert!(look_up("tests/matrix/nowhere.rs::nobody").unwrap_err().contains("there is no file"));
}
