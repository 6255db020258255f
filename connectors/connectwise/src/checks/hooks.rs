//! The callbacks: one line for each watched board, one for what is too much.

use std::collections::BTreeSet;

use latchkey_contract::{Check, ConnectionId, ticket::WantedChecks};

use super::tables::Tables;
use crate::{
    api::number,
    callbacks::{self, Sorted},
};

pub(super) fn lines(tables: &Tables, want: &WantedChecks, connection: &ConnectionId) -> Vec<Check> {
    // Why they cannot be read is told by the right to read them.
    let Ok(rows) = &tables.callbacks else { return vec![] };
    let mend = format!("run latchkey webhook sync {connection}");
    let Some(hook) = &want.hook else {
        let none = if want.boards.is_empty() {
            Check::note("callbacks", "no mapping watches a board of this PSA")
        } else {
            Check::red("callbacks", format!("none is registered, so no request is ever told: {mend}"))
        };
        return vec![none];
    };
    let target = callbacks::target(hook);
    let boards: BTreeSet<i64> = want.boards.iter().filter_map(|id| number(id.as_str())).map(i64::from).collect();
    let Sorted { ours, strays } = callbacks::sorted(rows.iter().cloned(), &target, boards);
    let mut lines: Vec<Check> = ours
        .into_iter()
        .map(|(board, row)| {
            let what = format!("callback of board {board}");
            match row.map(|row| callbacks::fault(&row, &target)) {
                Some(None) => Check::ok(what, "active, at our address"),
                Some(Some(fault)) => {
                    Check::red(what, format!("{fault}, so what happens there is not heard of: {mend}"))
                }
                None => Check::red(what, format!("there is none, so what happens there is not heard of: {mend}")),
            }
        })
        .collect();
    lines.push(match strays.len() {
        0 => Check::ok("other callbacks at our address", "none"),
        n => Check::red("other callbacks at our address", format!("{n} that no mapping needs: {mend}")),
    });
    lines.extend(elsewhere(tables));
    lines
}

/// They may be another installation's, so they break nothing here, and nobody but a person can say whose they are.
fn elsewhere(tables: &Tables) -> Option<Check> {
    let rows = tables.elsewhere.as_ref().ok()?;
    let places: BTreeSet<String> = rows.iter().map(callbacks::place).collect();
    let places: Vec<String> = places.into_iter().take(5).collect();
    (!places.is_empty()).then(|| {
        let know = format!(
            "{} of this connection's name point to {}: if Latchkey has moved from there, delete them at the PSA \
             (DELETE /system/callbacks/ID); they tell that address of every ticket",
            rows.len(),
            places.join(", ")
        );
        Check::note("callbacks at other addresses", know)
    })
}
