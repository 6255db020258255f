//! Every verb of the store that writes is a place which some story comes by, or stands in `globals.toml` with the tests that
//! are its faults, or with why they cannot happen: what is not a place has no cell of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::{
    clean::Cleans,
    globals::{self, root},
};

/// Held against the store's own source, as the names of commits and calls are.
pub(crate) fn every_verb_that_writes_is_come_by(cleans: &Cleans) {
    let commits = cleans.values().flat_map(|clean| clean.commits.keys());
    let reached: BTreeSet<&str> = commits.filter_map(|name| name.strip_prefix("commit ")?.split('/').next()).collect();
    // A transition has a name of its own, and those are a list of the code's that is looked at by itself.
    let writing = writing().into_iter().filter(|verb| verb != "commit");
    let missing: BTreeSet<String> = writing.filter(|verb| !reached.contains(verb.as_str())).collect();
    let elsewhere = globals::verbs();
    let unnamed: Vec<&String> = missing.difference(&elsewhere).collect();
    assert!(unnamed.is_empty(), "in no story, and globals.toml does not say where they are tested: {unnamed:#?}");
    let needless: Vec<&String> = elsewhere.difference(&missing).collect();
    assert!(needless.is_empty(), "globals.toml has verbs that are in a story, or write nothing: {needless:#?}");
}

/// The verbs that the engines carry out by way of their writer.
fn writing() -> BTreeSet<String> {
    let source = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (asked, done) = (source("src/store/mod.rs"), source("src/store/sql/verbs.rs"));
    let asked = verbs(&asked, "pub trait Store:");
    let done = verbs(&done, "impl Store for Engine {");
    assert!(asked.keys().eq(done.keys()), "the verbs that are asked for are those that are carried out");
    let writes = |body: &str| ["self.write(", "self.record("].iter().any(|way| body.contains(way));
    let writing: BTreeSet<String> = done.into_iter().filter(|(_, body)| writes(body)).map(|(name, _)| name).collect();
    assert!(writing.len() > 20 && writing.len() < asked.len(), "it is not seen any more which verbs write");
    writing
}

/// Names and bodies of the functions of one block.
fn verbs(source: &str, block: &str) -> BTreeMap<String, String> {
    let (_, inside) = source.split_once(block).expect("the block is there");
    let inside = inside.split("\n}\n").next().unwrap_or_default();
    let verbs = inside.split("\n    async fn ").skip(1);
    verbs.map(|verb| (verb.split('(').next().unwrap_or_default().replace('_', "-"), verb.to_owned())).collect()
}

#[test]
fn what_writes_is_told_from_what_reads() {
    let writing = writing();
    for verb in ["record-delivery", "commit", "claim", "session", "sweep", "chain-owed", "heartbeat"] {
        assert!(writing.contains(verb), "{verb} writes");
    }
    for verb in ["rules", "queue", "audit-head", "generation"] {
        assert!(!writing.contains(verb), "{verb} reads");
    }
}
