//! A mapping against what its PSA lists.

use latchkey_contract::{
    FieldId, StatusId,
    text::one_line,
    ticket::{Board, Catalogue, Field, Status},
};

use super::{Found, Gravity, LONGEST_NAME, called};
use crate::{
    access::Length,
    rulebook::{Mapping, Rulebook},
};

pub(super) fn mapping(found: &mut Found, book: &Rulebook, mapping: &Mapping, catalogue: &Catalogue) {
    let boards = boards(found, mapping, catalogue);
    if boards.is_empty() {
        let what = format!("none of its {}s is in use at the PSA, so this mapping does nothing", catalogue.board_noun);
        return found.say(Gravity::Inert, path(mapping, "boards"), what);
    }
    let noun = &catalogue.board_noun;
    triggers(found, mapping, &boards, noun);
    set(found, mapping, &boards, noun);
    kinds(found, mapping, &boards, noun);
    sources(found, mapping, catalogue);
    fields(found, book, mapping, catalogue);
}

fn path(mapping: &Mapping, key: &str) -> String {
    format!("mapping.{}.{key}", mapping.id)
}

/// The boards that are there; what is said of the others.
fn boards<'a>(found: &mut Found, mapping: &Mapping, catalogue: &'a Catalogue) -> Vec<&'a Board> {
    let (mut alive, noun) = (Vec::new(), &catalogue.board_noun);
    for id in &mapping.boards {
        match catalogue.boards.iter().find(|b| b.id == *id) {
            None => {
                let what =
                    format!("the PSA {} lists no {noun} {id}, so nothing is asked for there", mapping.connection);
                found.say(Gravity::Warning, path(mapping, "boards"), what);
            }
            Some(board) if !board.is_active => {
                let what = format!("{noun} {} is inactive at the PSA", called(id, &board.name));
                found.say(Gravity::Warning, path(mapping, "boards"), what);
            }
            Some(board) => alive.push(board),
        }
    }
    alive
}

fn status<'a>(boards: &[&'a Board], id: &StatusId) -> Option<&'a Status> {
    boards.iter().flat_map(|b| &b.statuses).find(|s| s.id == *id)
}

fn triggers(found: &mut Found, mapping: &Mapping, boards: &[&Board], noun: &str) {
    if mapping.trigger_field.is_some() || mapping.trigger_board {
        return;
    }
    let at = || path(mapping, "trigger_statuses");
    let mut alive = 0;
    for id in &mapping.trigger_statuses {
        match status(boards, id) {
            None => {
                let what = format!("none of its {noun}s has a status {id}; it never asks");
                found.say(Gravity::Warning, at(), what);
            }
            Some(status) if !status.is_active => {
                found.say(
                    Gravity::Warning,
                    at(),
                    format!("status {} is inactive at the PSA", called(id, &status.name)),
                );
            }
            Some(status) if status.is_closing => {
                let what = format!(
                    "status {} closes the ticket, and a closed ticket is refused; use an open one",
                    called(id, &status.name)
                );
                found.say(Gravity::Warning, at(), what);
            }
            Some(_) => alive += 1,
        }
    }
    if alive == 0 {
        found.say(Gravity::Inert, at(), "none of its statuses can ask, so this mapping does nothing");
    }
    for board in boards.iter().filter(|b| b.statuses.iter().all(|s| !mapping.trigger_statuses.contains(&s.id))) {
        let what =
            format!("{noun} {} has none of these statuses, so nothing asks there", called(&board.id, &board.name));
        found.say(Gravity::Warning, at(), what);
    }
}

fn set(found: &mut Found, mapping: &Mapping, boards: &[&Board], noun: &str) {
    let ours = [
        ("granted", &mapping.statuses.granted),
        ("refused", &mapping.statuses.refused),
        ("ended", &mapping.statuses.ended),
    ];
    for (key, id) in ours.into_iter().filter_map(|(key, id)| Some((key, id.as_ref()?))) {
        let what = match status(boards, id) {
            None => format!("none of its {noun}s has a status {id}; tickets keep the one they have"),
            Some(status) if !status.is_active => {
                format!("status {} is inactive at the PSA; tickets keep the one they have", called(id, &status.name))
            }
            Some(status) if status.is_closing && key == "granted" => {
                format!("status {} closes the ticket, and a closed ticket ends its access", called(id, &status.name))
            }
            Some(status) if status.is_closing && key == "refused" => format!(
                "status {} closes the ticket, and with that ends whatever else the ticket has; use an open one",
                called(id, &status.name)
            ),
            Some(_) => continue,
        };
        found.say(Gravity::Warning, path(mapping, &format!("statuses.{key}")), what);
    }
}

fn kinds(found: &mut Found, mapping: &Mapping, boards: &[&Board], noun: &str) {
    let known =
        |id: &&latchkey_contract::TypeId| boards.iter().flat_map(|b| &b.types).any(|t| t.id == **id && t.is_active);
    for id in mapping.types.iter().filter(|id| !known(id)) {
        let what = format!("none of its {noun}s has a ticket type {id} that is in use");
        found.say(Gravity::Warning, path(mapping, "types"), what);
    }
    if !mapping.types.is_empty() && !mapping.types.iter().any(|id| known(&id)) {
        found.say(
            Gravity::Inert,
            path(mapping, "types"),
            "no ticket can have one of these types, so this mapping does nothing",
        );
    }
}

/// An empty list of sources means that the PSA does not let us read it.
fn sources(found: &mut Found, mapping: &Mapping, catalogue: &Catalogue) {
    if mapping.sources.is_empty() {
        return;
    }
    if catalogue.sources.is_empty() {
        let what = "the PSA does not list its ticket sources to us, so these could not be checked";
        return found.say(Gravity::Note, path(mapping, "sources"), what);
    }
    let known = |id: &&latchkey_contract::SourceId| catalogue.sources.iter().any(|s| s.id == **id);
    for id in mapping.sources.iter().filter(|id| !known(id)) {
        found.say(Gravity::Warning, path(mapping, "sources"), format!("the PSA lists no ticket source {id}"));
    }
    if !mapping.sources.iter().any(|id| known(&id)) {
        found.say(Gravity::Inert, path(mapping, "sources"), "no ticket comes from these, so this mapping does nothing");
    }
}

fn fields(found: &mut Found, book: &Rulebook, mapping: &Mapping, catalogue: &Catalogue) {
    let field = |id: &FieldId| catalogue.fields.iter().find(|f| f.id == *id);
    for (key, id) in mapping.fields() {
        match (field(id), key) {
            (None, "trigger_field") => {
                let what = format!("the PSA lists no ticket field {id}, so this mapping does nothing");
                found.say(Gravity::Inert, path(mapping, key), what);
            }
            (None, _) => {
                let what = format!("the PSA lists no ticket field {id}; it is read as empty");
                found.say(Gravity::Warning, path(mapping, key), what);
            }
            (Some(field), "trigger_field") => trigger_values(found, mapping, field),
            (Some(field), "length_field") => lengths(found, mapping, field),
            (Some(field), "policy_field") => policies(found, book, mapping, field),
            (Some(_), _) => {}
        }
    }
}

fn trigger_values(found: &mut Found, mapping: &Mapping, field: &Field) {
    let Some(trigger) = mapping.trigger_field.as_ref().filter(|_| !field.options.is_empty()) else { return };
    if !field.options.iter().any(|option| trigger.asks(Some(option))) {
        let what = format!(
            "field {} offers none of these texts, so this mapping does nothing",
            called(&field.id, &field.name)
        );
        found.say(Gravity::Inert, path(mapping, "trigger_field.values"), what);
    }
}

fn lengths(found: &mut Found, mapping: &Mapping, field: &Field) {
    for option in field.options.iter().filter(|option| Length::from_field(option).is_err()) {
        let what = format!(
            "field {} offers {:?}, which is no length: tickets that choose it are refused",
            called(&field.id, &field.name),
            one_line(option, LONGEST_NAME)
        );
        found.say(Gravity::Warning, path(mapping, "length_field"), what);
    }
}

fn policies(found: &mut Found, book: &Rulebook, mapping: &Mapping, field: &Field) {
    let chosen = || mapping.policies.iter().filter_map(|id| book.policy(id));
    for option in field.options.iter().filter(|option| !chosen().any(|p| p.answers_to(option))) {
        let what = format!(
            "field {} offers {:?}, which is none of its policies: tickets that choose it are refused",
            called(&field.id, &field.name),
            one_line(option, LONGEST_NAME)
        );
        found.say(Gravity::Warning, path(mapping, "policy_field"), what);
    }
}
