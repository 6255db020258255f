//! What must hold whatever broke, looked at from outside: the vendors' own records, the tickets, the database's file.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey::{
    access::{Grant, State},
    store::verify_chain,
};
use latchkey_contract::Clock as _;
use latchkey_simulators::graph::What;

use super::{TENANT, TestApp, TestClock};

/// As far behind a wall clock may be that is believed.
const BEHIND: Duration = Duration::from_secs(30);

/// Looks at everything once the faults have stopped and nothing is left to do. Where a failover lost commits (not `is_whole`),
/// deliveries may be missing that were accepted.
pub(crate) async fn check(app: &TestApp, is_whole: bool) {
    no_privilege_without_a_grant(app).await;
    every_note_once(app);
    every_delivery_is_worked_off(app, is_whole).await;
    the_audit_chain_is_whole(app).await;
    every_ended_grant_is_off_in_time(app).await;
}

/// The grants of all tickets, at whichever PSA.
pub(crate) async fn grants(app: &TestApp) -> Vec<Grant> {
    let mut grants = Vec::new();
    for ticket in app.psa.tenant.ticket_ids() {
        grants.extend(app.grants(ticket).await);
    }
    for desk in app.others() {
        for ticket in desk.tickets() {
            grants.extend(app.grants_at(desk, ticket).await);
        }
    }
    grants
}

/// I1, I2: what is enabled or privileged now has a living grant.
async fn no_privilege_without_a_grant(app: &TestApp) {
    let mut living = BTreeSet::new();
    for grant in grants(app).await {
        if !grant.state.is_final() {
            let account = app.store().account(&grant.account).await.unwrap().expect("a grant has an account");
            living.insert(account.name);
        }
    }
    for user in app.entra.accounts() {
        let name = user["userPrincipalName"].as_str().unwrap_or_default();
        let held = app.entra.sim.assignments(TENANT, user["id"].as_str().unwrap_or_default());
        let is_privileged = user["accountEnabled"] == true || held.iter().any(|h| h["is_active"] == true);
        assert!(!is_privileged || living.contains(name), "I1: {name} has privilege without a grant");
    }
}

/// I4: each marker stands in one note.
fn every_note_once(app: &TestApp) {
    let once = |at: &str, ticket: i64, found: Vec<String>| {
        let mut markers: BTreeMap<String, usize> = BTreeMap::new();
        for marker in found {
            *markers.entry(marker).or_default() += 1;
        }
        assert!(markers.values().all(|n| *n == 1), "I4: a note stands twice in ticket {ticket} of {at}: {markers:?}");
    };
    for ticket in app.psa.tenant.ticket_ids() {
        let mut found = Vec::new();
        for note in app.psa.tenant.notes(ticket) {
            let text = note["text"].as_str().unwrap_or_default();
            found.extend(text.lines().filter(|l| l.starts_with("[latchkey ")).map(str::to_owned));
        }
        once("cw", ticket, found);
    }
    for desk in app.others() {
        for ticket in desk.tickets() {
            once(desk.connection(), ticket, desk.markers(ticket));
        }
    }
}

/// I7, I8: what was answered 202 is recorded and came to something.
async fn every_delivery_is_worked_off(app: &TestApp, is_whole: bool) {
    let queue = app.store().queue(latchkey_contract::Clock::now(&app.clock)).await.unwrap();
    assert_eq!((queue.ready, queue.leased), (0, 0), "I7: work is left");
    let accepted: BTreeSet<String> = (app.psa.sim.deliveries().iter())
        .filter(|d| d.status == Some(202))
        .filter_map(|d| serde_json::from_slice::<serde_json::Value>(&d.body).ok())
        .filter_map(|body| body["MessageId"].as_str().map(str::to_owned))
        .collect();
    let (known, open) = app.deliveries();
    assert!(!is_whole || accepted.is_subset(&known), "I7: an accepted delivery is not recorded");
    assert_eq!(open, 0, "I7: a delivery came to nothing");
}

/// I9: the chain verifies from where its older entries went, and every step that was intended has an outcome or was followed by
/// another look.
async fn the_audit_chain_is_whole(app: &TestApp) {
    let entries = app.store().audit(0, 100_000).await.unwrap();
    let gone = app.store().audit_checkpoints().await.unwrap().pop().map(|checkpoint| checkpoint.gone);
    let before = gone.as_ref().map_or((0, ""), |gone| (gone.seq, gone.hash.as_str()));
    verify_chain(before, &entries).expect("I9: the chain is whole");
}

/// I2, I6, I11: an ended grant was off when it says, and nothing was given after its end.
async fn every_ended_grant_is_off_in_time(app: &TestApp) {
    let events = app.entra.sim.events();
    // A wall clock that is behind a little is believed, and the vendors' is not it.
    let behind = (TestClock::new().now() + app.clock.monotonic()).since(app.clock.now()).min(BEHIND);
    for grant in grants(app).await {
        let State::Ended { proof, due, .. } = &grant.state else { continue };
        assert!(proof.seen_at() >= *due, "I6: off was seen before it was due");
        let account = app.store().account(&grant.account).await.unwrap().expect("a grant has an account");
        // One name may have been several accounts, where somebody deleted one by hand.
        let objects: BTreeSet<&str> = (events.iter())
            .filter(|e| e.what == What::UserCreated && e.detail["userPrincipalName"] == account.name)
            .map(|e| e.object.as_str())
            .collect();
        let is_cut = events.iter().any(|e| {
            objects.contains(e.object.as_str())
                && matches!(e.what, What::UserDisabled | What::UserDeleted)
                && e.at_ms <= (proof.seen_at() + behind).millis()
        });
        let is_let_in =
            |e: &latchkey_simulators::graph::Event| objects.contains(e.object.as_str()) && e.what == What::UserEnabled;
        let never_enabled = !events.iter().any(is_let_in);
        let is_part = proof.facts().iter().any(|f| f.contains("another grant"));
        assert!(
            is_cut || never_enabled || is_part,
            "I6: grant {} says off since {:?}, but nothing was cut by then: {:?}",
            grant.id,
            proof.seen_at(),
            events
                .iter()
                .filter(|e| objects.contains(e.object.as_str()))
                .map(|e| (e.at_ms, e.what))
                .collect::<Vec<_>>()
        );
    }
}
