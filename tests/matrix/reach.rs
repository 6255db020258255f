//! Every call that is written in a connector's source is come by in some story, or is named here or in `psas.toml` with the
//! test that comes by it instead, or with why there is none: what no story comes by has no cell.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

use crate::{
    clean::Cleans,
    globals::{look_up, root},
};

const CONNECTORS: [(&str, &str); 2] = [("entra", "connectors/entra/src"), ("psa", "connectors/connectwise/src")];

/// Those that some stories ask at in the place of the first.
const PSAS: [(&str, &str); 2] = [("autotask", "connectors/autotask/src"), ("halopsa", "connectors/halopsa/src")];

const PSAS_LIST: &str = "tests/matrix/psas.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Psas {
    calls: Vec<PutToFault>,
}

/// Calls, and by which test one of them is put to a fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutToFault {
    by: String,
    of: Vec<String>,
}

/// In no story: what an operator asks for by a command, what is done before access is given, and what needs somebody else's
/// hand; and where it is tested, or `none: ` and why it is not.
const ELSEWHERE: [(&str, &str); 16] = [
    (
        "entra DELETE /applications/{id}/owners/{id}/$ref",
        "none: the pretend tenant has no applications; groups' owners go the same way",
    ),
    (
        "entra DELETE /servicePrincipals/{id}/owners/{id}/$ref",
        "none: the pretend tenant has no service principals; groups' owners go the same way",
    ),
    (
        "entra GET /directory/administrativeUnits",
        "connectors/entra/tests/tenant/doctor.rs::emergency_accounts_are_listed_with_every_protection_they_have",
    ),
    (
        "entra GET /directory/administrativeUnits/{id}/members/microsoft.graph.user",
        "connectors/entra/tests/tenant/doctor.rs::a_unit_of_thousands_is_an_error_and_not_a_shorter_list",
    ),
    ("entra GET /directoryObjects/{id}", "none: it is an address in a body, and nobody asks for it"),
    (
        "entra GET /domains",
        "connectors/entra/tests/tenant/doctor.rs::the_usable_domains_are_listed_the_initial_one_first",
    ),
    (
        "entra GET /groups",
        "connectors/entra/tests/tenant/overview.rs::the_catalogue_offers_roles_and_groups_that_can_be_given",
    ),
    (
        "entra GET /organization",
        "connectors/entra/tests/tenant/overview.rs::the_preflight_says_what_is_missing_and_what_to_do",
    ),
    (
        "entra GET /roleManagement/directory/roleDefinitions",
        "connectors/entra/tests/tenant/overview.rs::the_catalogue_offers_roles_and_groups_that_can_be_given",
    ),
    (
        "psa DELETE /service/tickets/{id}/notes/{noteId}",
        "tests/journeys/delivering.rs::what_the_customer_sees_is_taken_back_as_soon_as_the_psa_lets_us",
    ),
    (
        "psa DELETE /system/callbacks/{id}",
        "connectors/connectwise/tests/psa/callbacks.rs::an_entry_that_is_still_seen_after_its_deletion_is_waited_for",
    ),
    (
        "psa GET /service/boards/{id}/types",
        "connectors/connectwise/tests/psa/tickets.rs::the_catalogue_is_whole_however_long_its_lists_are",
    ),
    (
        "psa GET /service/sources",
        "connectors/connectwise/tests/psa/tickets.rs::the_catalogue_is_whole_however_long_its_lists_are",
    ),
    ("psa GET /system/members/{id}", "connectors/connectwise/tests/psa/people.rs::a_member_is_found_by_id"),
    (
        "psa PATCH /system/callbacks/{id}",
        "connectors/connectwise/tests/psa/callbacks.rs::a_callback_that_cannot_be_moved_goes_only_after_its_successor_came",
    ),
    (
        "psa POST /system/callbacks",
        "connectors/connectwise/tests/psa/callbacks.rs::a_lost_answer_makes_no_second_webhook",
    ),
];

/// Held against the sources and the tests.
pub(crate) fn every_call_is_come_by(cleans: &Cleans) {
    let calls = cleans.values().flat_map(|clean| clean.view.calls.keys());
    let reached: BTreeSet<String> = calls.map(|name| template(name)).collect();
    for (op, test) in ELSEWHERE.iter().filter(|(_, test)| !test.starts_with("none: ")) {
        look_up(test).unwrap_or_else(|why| panic!("{op}: {why}"));
    }
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|(op, _)| template(op)).chain(listed()).collect();
    let mut missing = BTreeSet::new();
    for (vendor, sources) in CONNECTORS.into_iter().chain(PSAS) {
        missing.extend(written(vendor, sources).into_iter().filter(|op| !reached.contains(op)));
    }
    let unnamed: Vec<&String> = missing.difference(&elsewhere).collect();
    assert!(unnamed.is_empty(), "in no story, and not said where they are tested: {unnamed:#?}");
    let needless: Vec<&String> = elsewhere.difference(&missing).collect();
    assert!(needless.is_empty(), "said to be in no story, and they are, or in no source: {needless:#?}");
}

/// What is listed of the other PSAs, each once and with a test that is there.
fn listed() -> BTreeSet<String> {
    let list: Psas = toml::from_str(&fs::read_to_string(root().join(PSAS_LIST)).unwrap()).unwrap();
    let mut listed = BTreeSet::new();
    for calls in &list.calls {
        for op in &calls.of {
            assert!(listed.insert(template(op)), "{op} is listed twice");
        }
        if !calls.by.starts_with("none: ") {
            look_up(&calls.by).unwrap_or_else(|why| panic!("{:?}: {why}", calls.of));
        }
    }
    listed
}

/// Whether no story comes by them is known when the stories were played; that they are written in a source, at once.
#[test]
fn what_is_listed_of_the_other_psas_is_a_call_of_theirs() {
    let written: BTreeSet<String> = PSAS.into_iter().flat_map(|(psa, sources)| written(psa, sources)).collect();
    let listed = listed();
    let foreign: Vec<&String> = listed.difference(&written).collect();
    assert!(foreign.is_empty(), "in no source: {foreign:#?}");
}

/// The calls of one vendor that its connector's sources name.
fn written(vendor: &str, sources: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    collect(&root().join(sources), &mut named);
    assert!(named.len() > 10, "{sources} names no calls any more");
    named.iter().map(|op| template(&format!("{vendor} {op}"))).collect()
}

/// Whose it is, method and path; parameters without their names, and without what is said about it.
fn template(name: &str) -> String {
    let path: Vec<&str> = name.split(' ').take(3).collect();
    let mut rest = path.join(" ");
    let mut template = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        template.push_str(before);
        template.push_str("{}");
        rest = after.split_once('}').map_or_else(String::new, |(_, after)| after.to_owned());
    }
    template + &rest
}

/// Whatever is written as a method and a path, outside of tests; what begins every path is none.
fn collect(at: &Path, named: &mut BTreeSet<String>) {
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            collect(&path, named);
        } else if name.to_string_lossy().ends_with(".rs") && name != "tests.rs" {
            let source = fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]\nmod").next().unwrap_or_default();
            for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
                for (at, _) in code.match_indices(&format!("\"{method} /")) {
                    let written = code[at + 1..].split('"').next().unwrap_or_default();
                    if !written.ends_with(" /") {
                        named.insert(written.to_owned());
                    }
                }
            }
        }
    }
}

#[test]
fn parameters_have_no_names_here() {
    assert_eq!(template("entra DELETE /groups/{id}/owners/{owner}/$ref"), "entra DELETE /groups/{}/owners/{}/$ref");
    assert_eq!(template("entra PATCH /users/{id} accountEnabled=true"), "entra PATCH /users/{}");
}
