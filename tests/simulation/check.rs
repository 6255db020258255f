//! What must hold: I1 to I14, looked at from outside. Most is asked while it happens (`directory`, `psa`, `accounts`);
//! here is what needs the whole time line, and the end.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt as _;

use crate::{
    access::grant::Telling,
    accounts::Held,
    ledger::Told,
    model::Model,
    rules::{COMPANIES, CUSTOMERS, TENANTS},
    run::Scene,
    store::{NoticeKind, NoticeState, Store, verify_chain},
    world::{SECOND, World},
};

/// After its end access may stand so long where nothing broke: a lost lease, the steps, a role that came late and was
/// found by the first look.
const OVERHANG: i64 = 300 * SECOND;

/// What goes on for ever, or waits for tomorrow.
const STANDING: [&str; 5] = ["poll:", "presence:", "audit-head", "recheck:", "webhooks:"];

pub(crate) fn is_final(state: &str) -> bool {
    matches!(state, "ended" | "refused" | "denied" | "lapsed")
}

fn rows<T>(answer: impl Future<Output = Result<T, crate::store::StoreError>>) -> T {
    match answer.now_or_never() {
        Some(Ok(found)) => found,
        _ => panic!("the model answers at once"),
    }
}

/// No task is left that anybody waits for.
pub(crate) fn nothing_owed(model: &Model) -> bool {
    let tasks = rows(model.tasks(u32::MAX));
    tasks.iter().all(|task| task.state == "dead" || STANDING.iter().any(|kind| task.slot.starts_with(kind)))
}

/// I7: whatever was answered with 202 is there after every death.
pub(crate) fn acknowledged_is_kept(world: &World, model: &Model, acknowledged: &BTreeSet<String>) {
    let stored = rows(model.deliveries(false, u32::MAX));
    let kept: BTreeSet<&str> = stored.iter().map(|d| d.event.message_id.as_str()).collect();
    let lost = acknowledged.iter().find(|id| !kept.contains(id.as_str()));
    world.hold("I7", lost.is_none(), || {
        let id = lost.cloned().unwrap_or_default();
        (format!("delivery {id} was answered with 202 and is forgotten"), vec![format!("delivery {id} ")])
    });
}

/// Everything has come to rest. Answers by how much access stood longer than its grants.
pub(crate) fn at_the_end(scene: &Scene) -> Vec<i64> {
    grants(scene);
    let overhangs = accounts(scene);
    tickets(scene);
    deliveries(scene);
    audit(scene);
    overhangs
}

/// I2, I6, I8, I10, I12.
fn grants(scene: &Scene) {
    let (world, told) = (&scene.world, scene.ledger.lock());
    let mut of_ticket: BTreeMap<String, u32> = BTreeMap::new();
    let desk = scene.psa.desk();
    for (id, told) in told.iter() {
        let about = || vec![id.to_string(), told.account.to_string(), told.ticket.to_string()];
        let stored = rows(scene.rows.grant(id));
        world.hold("I2", is_final(told.state) && stored.is_some_and(|g| g.state.is_final()), || {
            (format!("grant {id} has not ended: it is {}", told.state), about())
        });
        world.hold("I6", told.state != "ended" || told.overhang.is_some(), || {
            (format!("nobody says how long grant {id} stood after its end"), about())
        });
        let n = CUSTOMERS.iter().position(|c| *c == told.customer.as_str()).unwrap_or(usize::MAX);
        let case = told.ticket.ticket.as_str().parse().ok().and_then(|n: u64| desk.tickets.get(&n));
        let is_theirs = TENANTS.get(n).is_some_and(|tenant| *tenant == told.directory.as_str())
            && case.is_some_and(|case| COMPANIES.get(n).is_some_and(|company| case.companies.contains(company)));
        world.hold("I10", is_theirs, || (format!("grant {id} is for another customer's directory"), about()));
        *of_ticket.entry(told.ticket.to_string()).or_default() += 1;
    }
    for (number, case) in &desk.tickets {
        let ticket = format!("cw/{number}");
        let given = of_ticket.get(&ticket).copied().unwrap_or(0);
        let about = || vec![ticket.clone(), format!("ticket {number}")];
        world.hold("I8", given <= case.asked.max(1), || {
            (format!("{ticket} asked {} times and got {given}", case.asked), about())
        });
        world.hold("I12", case.asked > 0 || given == 0, || {
            (format!("{ticket} was given what nobody may ask for"), about())
        });
    }
}

/// I1, I2, I5, I6, I11: power at every instant within a grant; and none at the end.
fn accounts(scene: &Scene) -> Vec<i64> {
    let (world, mut overhangs) = (&scene.world, Vec::new());
    let told = scene.ledger.lock();
    for tenant in &scene.tenants {
        let mut accounts = tenant.accounts();
        accounts.expire(world.now());
        for account in &accounts.all {
            let about = || vec![account.mark.to_string()];
            let mine: Vec<&Told> = told.values().filter(|t| t.account == account.mark && t.begun.is_some()).collect();
            for (from, until) in &account.spans {
                let covered = covered(world, tenant.id.as_str(), account, &mine, *from);
                world.hold("I1", covered.is_some(), || {
                    (format!("account {} had power at {from} ms under no grant", account.mark), about())
                });
                let ends = mine.iter().filter(|t| t.begun.is_some_and(|at| at <= *until)).filter_map(|t| t.end());
                if account.by_hand_at.is_none_or(|at| !(*from..=*until).contains(&at)) {
                    overhangs.extend(ends.max().map(|end| (until - end).max(0)));
                }
                let last = covered.unwrap_or(i64::MAX);
                world.hold("I11", *until <= last, || {
                    (format!("account {} had power until {until} ms and not until {last} ms", account.mark), about())
                });
            }
            world.hold("I2", !account.has_power(), || {
                (format!("account {} has power at the end", account.mark), about())
            });
            world.hold("I5", account.is_deleted || account.is_scrambled, || {
                (format!("account {} keeps a password that was handed out", account.mark), about())
            });
        }
    }
    overhangs
}

/// Until when power that began then may stand; `None` where no grant is its reason.
fn covered(world: &World, tenant: &str, account: &Held, grants: &[&Told], from: i64) -> Option<i64> {
    let about = [account.mark.as_str(), tenant, "all"];
    let mut until = None;
    loop {
        let reached = until.unwrap_or(from);
        let begun = grants.iter().filter(|t| t.begun.is_some_and(|at| at <= reached));
        let next = begun.filter_map(|t| Some(world.deadline(&about, t.end()? + OVERHANG, OVERHANG))).max();
        match next {
            Some(next) if next >= from && until.is_none_or(|until| next > until) => until = Some(next),
            _ => return until,
        }
    }
}

/// I4, I5: each ticket was told what it is owed, once, and no password is left in any.
fn tickets(scene: &Scene) {
    let (world, told, desk) = (&scene.world, scene.ledger.lock(), scene.psa.desk());
    for (id, told) in told.iter() {
        let Some(case) = told.ticket.ticket.as_str().parse().ok().and_then(|n: u64| desk.tickets.get(&n)) else {
            continue;
        };
        let notices = rows(scene.rows.notices_of(id));
        let about = || vec![id.to_string(), told.ticket.to_string(), format!("ticket {}", told.ticket.ticket)];
        let is_end = |kind: &NoticeKind| matches!(kind, NoticeKind::Note { telling: Telling::Ended, .. });
        let ends = notices.iter().filter(|notice| is_end(&notice.kind)).count();
        world.hold("I4", ends == usize::from(told.state == "ended"), || {
            (format!("the end of grant {id} is told {ends} times"), about())
        });
        for notice in &notices {
            world.hold("I4", notice.state.is_closed(), || {
                (format!("notice {} of {id} is still owed", notice.id), about())
            });
            let NoticeState::Done { notes } = &notice.state else { continue };
            let stands = case.notes.iter().filter(|note| note.key == notice.id).count();
            world.hold("I4", notes.is_empty() || case.is_deleted || stands == 1, || {
                (format!("notice {} of {id} stands {stands} times in its ticket", notice.id), about())
            });
        }
    }
    for (number, case) in &desk.tickets {
        let shown = case.notes.iter().find(|note| note.is_shown && !note.is_taken_back);
        world.hold("I5", shown.is_none() || case.is_deleted, || {
            let key = shown.map(|note| note.key.clone()).unwrap_or_default();
            (
                format!("note {key} of ticket {number} stays where the customer reads"),
                vec![format!("ticket {number}"), key],
            )
        });
        let bare = case.notes.iter().find(|note| !note.is_taken_back && note.text.contains("pw!"));
        world.hold("I5", bare.is_none() || case.is_deleted, || {
            let key = bare.map(|note| note.key.clone()).unwrap_or_default();
            (format!("a password is left in note {key} of ticket {number}"), vec![format!("ticket {number}"), key])
        });
    }
}

/// I7: and each came to something.
fn deliveries(scene: &Scene) {
    let acknowledged = scene.psa.desk().acknowledged.clone();
    acknowledged_is_kept(&scene.world, &scene.rows, &acknowledged);
    for delivery in rows(scene.rows.deliveries(false, u32::MAX)) {
        scene.world.hold("I7", delivery.outcome.is_some(), || {
            (format!("delivery {} came to nothing", delivery.event.message_id), vec![delivery.id.clone()])
        });
    }
}

/// I5, I9: one chain, whole, without a secret.
fn audit(scene: &Scene) {
    let entries = rows(scene.rows.audit(0, u32::MAX));
    let chain = verify_chain((0, ""), &entries);
    scene.world.hold("I9", chain.is_ok(), || (format!("{chain:?}"), Vec::new()));
    let owed = rows(scene.rows.audit_owed());
    scene.world.hold("I9", owed == 0, || (format!("{owed} entries are still owed"), Vec::new()));
    let all = rows(scene.rows.audit_rows(&crate::audit::AuditFilter::default(), 0, u32::MAX));
    let bare = all.iter().find(|row| row.text.contains("pw!"));
    scene.world.hold("I5", bare.is_none(), || {
        (format!("a password stands in audit entry {:?}", bare.map(|r| r.seq)), Vec::new())
    });
}
