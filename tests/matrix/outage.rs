//! A thousand grants fall due while the directory is down for hours: nothing counts as ended, somebody is told, and when it is back
//! everything ends, what can do most harm first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use latchkey::{
    access::{Account, Grant, State, grant::GIVING_MARGIN, risk},
    jobs::{
        backoff::REMOVAL,
        task::{NewTask, Priority, Work},
    },
    mail::Words,
    random::{self, SystemRandom},
    store::{CommitName, Store, Transition},
};
use latchkey_contract::{AccountId, Clock as _, EntitlementId, Timestamp};
use latchkey_simulators::{
    fault::{Act, Fault},
    graph::{Actor, UserSeed, What},
};
use serde_json::{Map, Value};

use crate::{
    ground,
    harness::{CLIENT, TENANT, TestApp, stranger::On},
    pool::{Cell, in_a_world_of_its_own},
    story::MINUTE,
    table::Row,
    weather::{PART, Phase},
};

/// As the list of global faults says it.
const NAME: &str = "1,000 grants fall due while the directory is down";

const GRANTS: usize = 1000;

/// So many are stored at once.
const TOGETHER: usize = 500;

/// Tickets that they stand on.
const TICKETS: usize = 50;

/// For how long, by the test's clock, the directory answers nobody.
const OUTAGE: Duration = Duration::from_secs(2 * 3600);

/// All of them are due so soon after it began.
const DUE_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Off is seen so soon after the directory is back.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Jobs at once, whatever they are about.
const IN_HAND: usize = 24;

/// How long so many may take, in real time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Mark is an owner, and is told of alerts.
///
/// Of accounts for one time there may be any number.
const EDITS: [(&str, &str); 2] = [
    ("name = \"Mark Smith\"", "name = \"Mark Smith\"\nrole = \"owner\"\nmail = \"mark@msp.example\""),
    ("mode = \"standard\"", "mode = \"burner\""),
];

pub(crate) fn cells(on: On) -> Vec<Cell> {
    let cell = |phase: Phase| {
        let row = Row::new(PART, ground::name(on), phase.name(), "everything", NAME);
        let act = move || {
            in_a_world_of_its_own(async {
                tokio::time::timeout(PATIENCE, live(on, phase)).await.expect("a cell takes minutes at most")
            })
        };
        Cell { row, waits: false, act: Box::new(act) }
    };
    vec![cell(Phase::Removals), cell(Phase::Restart)]
}

/// An account whose access will end.
struct End {
    object: String,
    has_role: bool,
}

async fn live(on: On, phase: Phase) -> String {
    let mut app = TestApp::installed_in(ground::fresh(on), &EDITS, |_, _| ()).await;
    app.entra.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
    app.up().await;
    app.register_webhooks().await;
    let tickets: Vec<i64> = (0..TICKETS).map(|_| app.psa.ticket()).collect();
    let sample = app.active().await;
    let (began, ends) = fill(&mut app, sample, &tickets).await;
    // What the others were made after is over before.
    let end = app.state(sample).await.end().expect("it is active");
    app.pass(end.since(app.clock.now()) + MINUTE).await;
    assert_eq!(app.state(sample).await.name(), "ended");

    let is_down = app.entra.sim.faults().add(Fault::always(Act::ResetBefore));
    leap(&app, began.since(app.clock.now()) + DUE_WITHIN).await;
    leap(&app, 2 * MINUTE).await;
    assert!(is_down.count() > 0, "the directory was asked");
    let back = began + OUTAGE;
    let rest = back.since(app.clock.now());
    if phase == Phase::Restart {
        app.down().await;
        app.clock.pass(rest / 2);
        app.up().await;
        leap(&app, rest / 2).await;
    } else {
        leap(&app, rest).await;
    }
    let states = states(&app, &tickets).await;
    assert_eq!(states, BTreeMap::from([("ending", GRANTS)]), "nothing is given up, and nothing counts as ended");
    let alerts = app.store().mails(100_000).await.unwrap();
    let alerts = alerts.iter().filter(|mail| matches!(mail.words, Words::FailedToDisable { .. })).count();
    assert!(alerts >= GRANTS, "of each somebody is told: {alerts}");

    app.entra.sim.faults().clear();
    let back = app.clock.now();
    let first = app.entra.sim.events().len();
    leap(&app, REMOVAL + Duration::from_secs(1)).await;
    let late = too_late(&app, &ends, first);
    assert!(late <= IN_HAND, "{late} that hold no role were touched before the last that holds one");
    while app.clock.now() < back + SEEN_WITHIN {
        leap(&app, Duration::from_secs(6)).await;
    }
    let longest = all_are_off(&app, &tickets, &ends, back).await;
    app.end().await;
    format!(
        "each was alerted of and none counted as ended; the directory was back after {} min, and then all {GRANTS} ended with \
         proof, roles first, the last {} s after that",
        OUTAGE.as_secs() / 60,
        longest.as_secs()
    )
}

/// Stores them as the service does, while it is down. Answers when the first one is due.
async fn fill(app: &mut TestApp, sample: i64, tickets: &[i64]) -> (Timestamp, Vec<End>) {
    let grant = app.grant(sample).await;
    let account = app.store().account(&grant.account).await.unwrap().expect("a grant has an account");
    let (user, mark) = (app.entra.account().expect("the account is there"), account.id.clone());
    let began = grant.state.end().expect("it is active") + 10 * MINUTE;
    app.down().await;
    app.open_store().await;
    let (mut made, mut ends) = (Vec::new(), Vec::new());
    let step = DUE_WITHIN / u32::try_from(GRANTS).unwrap();
    for n in 0..GRANTS {
        let due = began + step * u32::try_from(n).unwrap();
        let (mut grant, mut account) = again((&grant, &account), app.clock.now(), due);
        let has_role = n % 2 == 1;
        if !has_role {
            grant.policy.entitlements.retain(|e| matches!(e, EntitlementId::Group(_)));
        }
        grant.ticket.ticket = tickets[n % tickets.len()].to_string().parse().unwrap();
        account.last = Some((grant.id.clone(), grant.ticket.clone()));
        let object = user_of(app, (&user, &mark), (&account, &grant));
        account.known.object = Some(object.parse().unwrap());
        account.known.given.retain(|what, _| grant.policy.entitlements.contains(what));
        ends.push(End { object, has_role });
        made.push((grant, account));
    }
    while !made.is_empty() {
        let rest = made.split_off(made.len().min(TOGETHER));
        commit(app.store().as_ref(), app.clock.now(), std::mem::replace(&mut made, rest)).await;
    }
    app.close_store().await;
    app.up().await;
    (began, ends)
}

/// The same once more, for another account, until another time.
fn again((grant, account): (&Grant, &Account), now: Timestamp, until: Timestamp) -> (Grant, Account) {
    let id = random::account_id(&SystemRandom, now);
    let State::Active { secret, since, .. } = &grant.state else { panic!("it is {}", grant.state.name()) };
    let state = State::Active { secret: secret.clone(), since: *since, until, latest_end: until + GIVING_MARGIN };
    let own = random::grant_id(&SystemRandom, now);
    let grant = Grant { id: own, version: 0, account: id.clone(), state, ..grant.clone() };
    let name = format!("jit-{}@contoso.onmicrosoft.com", id.as_str().to_lowercase());
    (grant, Account { id, version: 0, name, secret: None, ..account.clone() })
}

/// The account in the tenant, marked as the real one is, with what it was given.
fn user_of(app: &TestApp, (sample, mark): (&Value, &AccountId), (account, grant): (&Account, &Grant)) -> String {
    let sim = &app.entra.sim;
    let is_mark = |value: &Value| value.as_str() == Some(mark.as_str());
    let marks = sample.as_object().into_iter().flatten().filter(|(_, value)| is_mark(value));
    let properties: Map<String, Value> = marks.map(|(name, _)| (name.clone(), account.id.as_str().into())).collect();
    let object = sim.add_user(TENANT, UserSeed { properties, ..UserSeed::new(&account.name) });
    for entitlement in &grant.policy.entitlements {
        match entitlement {
            EntitlementId::Role(role) => drop(sim.by_hand(TENANT).assign_role(&object, role.as_str(), "/")),
            EntitlementId::Group(group) => sim.by_hand(TENANT).join_group(&object, group.as_str()),
        }
    }
    object
}

async fn commit(store: &dyn Store, now: Timestamp, made: Vec<(Grant, Account)>) {
    let mut transition = Transition::new(CommitName::Command, now);
    for (grant, account) in made {
        let (due, work) = (grant.state.end().expect("it is active"), Work::Due { grant: grant.id.clone() });
        transition.tasks.push(NewTask::new(work, due, Priority::Removal).of(risk(&grant.policy)));
        transition.grants.push(grant);
        transition.accounts.push(account);
    }
    store.commit(transition).await.unwrap();
}

/// Moves the clock at once, and lets all be done that is due then.
async fn leap(app: &TestApp, by: Duration) {
    app.clock.pass(by);
    let (began, mut quiet) = (Instant::now(), 0);
    while quiet < 3 {
        assert!(began.elapsed() < PATIENCE, "the service does not come to rest");
        app.psa.sim.settled().await;
        quiet = if app.app().is_idle().await { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn states(app: &TestApp, tickets: &[i64]) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::new();
    for ticket in tickets {
        for grant in app.grants(*ticket).await {
            *states.entry(grant.state.name()).or_default() += 1;
        }
    }
    states
}

/// How many accounts that hold no role were changed before the last that holds one was.
fn too_late(app: &TestApp, ends: &[End], from: usize) -> usize {
    let us = Actor::App(CLIENT.to_owned());
    let roles: BTreeMap<&str, bool> = ends.iter().map(|end| (end.object.as_str(), end.has_role)).collect();
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    let events = app.entra.sim.events();
    for event in events.iter().skip(from).filter(|e| e.actor == us && e.what != What::TokenIssued) {
        if let Some(has_role) = roles.get(event.object.as_str())
            && seen.insert(event.object.as_str())
        {
            order.push(*has_role);
        }
    }
    assert_eq!(order.len(), GRANTS, "each was changed");
    let last = order.iter().rposition(|has_role| *has_role).expect("half of them hold one");
    order[..last].iter().filter(|has_role| !**has_role).count()
}

/// Every grant ended with proof, owed since it was due; nothing is left in the tenant. Answers how long after the directory was back
/// the last one was seen to be off.
async fn all_are_off(app: &TestApp, tickets: &[i64], ends: &[End], back: Timestamp) -> Duration {
    let (mut ended, mut longest) = (0, Duration::ZERO);
    for ticket in tickets {
        for grant in app.grants(*ticket).await {
            let State::Ended { due, proof, .. } = &grant.state else {
                panic!("I2: grant {} is {}", grant.id, grant.state.name())
            };
            let late = proof.seen_at().since(back);
            assert!(*due < back && proof.seen_at() >= back, "I6: {} was due {due}, off {}", grant.id, proof.seen_at());
            assert!(late <= SEEN_WITHIN, "I6: {} was off {late:?} after the directory was back", grant.id);
            longest = longest.max(late);
            ended += 1;
        }
    }
    assert_eq!(ended, GRANTS);
    let sim = &app.entra.sim;
    let enabled = app.entra.accounts().iter().filter(|account| account["accountEnabled"] == true).count();
    assert_eq!(enabled, 0, "accounts are left");
    for End { object, .. } in ends {
        let held = (sim.assignments(TENANT, object).len(), sim.groups_of(TENANT, object).len());
        assert_eq!(held, (0, 0), "{object} holds roles or groups");
    }
    longest
}
