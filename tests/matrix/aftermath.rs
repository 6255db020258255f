//! What is seen when the weather is over: that all is well again in time, what became of what was asked for before, and that
//! what is asked for now is given.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    bench::Bench,
    harness::TestApp,
    people::is_told,
    story::MINUTE,
    weather::{Phase, RECOVERY, Weather},
};

/// So many deliveries in a row are taken when the server is back.
const IN_A_ROW: usize = 100;

/// How soon after that, in real time, the first one of them.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

const GRANTED: &str = "Latchkey: access granted.";
const REFUSED: &str = "Latchkey: access was not granted.";
const UNDONE: &str = "Latchkey: access could not be given.";
const ENDED: &str = "Latchkey: access has ended, proven off.";

/// What was asked for before, and what there was of it.
pub(crate) struct Asked {
    /// By people who may.
    pub(crate) tickets: Vec<i64>,
    /// By somebody who may not, before the weather.
    pub(crate) refused: Effects,
    /// By the same, when it was over.
    pub(crate) in_a_row: Vec<i64>,
}

/// What a ticket has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effects {
    ticket: i64,
    grants: BTreeSet<String>,
    told: Vec<String>,
}

impl Effects {
    pub(crate) async fn of(app: &TestApp, ticket: i64) -> Self {
        let grants = app.grants(ticket).await.into_iter().map(|grant| grant.id.to_string()).collect();
        Self { ticket, grants, told: app.psa.told(ticket) }
    }

    /// What every such ticket comes to: where giving takes its time, it is told before that it was heard.
    fn kinds(&self) -> (usize, Vec<&str>) {
        let told = self.told.iter().map(String::as_str).filter(|line| *line != "Latchkey: request received.");
        let mut told: Vec<&str> = told.collect();
        told.sort_unstable();
        (self.grants.len(), told)
    }
}

/// All is well in time, or a person is asked and answers.
pub(crate) async fn recovered(bench: &mut Bench) {
    let began = Instant::now();
    loop {
        let (status, failing) = bench.app.ready().await;
        if status == 200 {
            return;
        }
        assert!(began.elapsed() < RECOVERY, "it is not well again: {failing:?}");
        if failing == ["reconcile"] {
            let said = bench.app.type_in(&["--yes", "reconcile", "--accept"], "").await;
            if said.is_err() {
                bench.pass(MINUTE).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The server is back: soon a row of deliveries begins of which each is answered 202. Their tickets.
pub(crate) async fn taken_in_a_row(bench: &Bench) -> Vec<i64> {
    let back = Instant::now();
    let (psa, mut row) = (&bench.app.psa, Vec::new());
    while row.len() < IN_A_ROW {
        if row.is_empty() {
            let since = back.elapsed();
            assert!(since < TAKEN_WITHIN, "after {since:?} a delivery is not taken; {}", bench.log_tail());
        }
        let ticket = psa.ticket();
        psa.ask_as("unbound", ticket);
        psa.sim.settled().await;
        let sent = psa.sim.deliveries().into_iter().filter(|delivery| delivery.ticket == ticket);
        let answers: Vec<Option<u16>> = sent.map(|delivery| delivery.status).collect();
        assert!(!answers.is_empty(), "nothing was delivered");
        // What was not taken is found by the poll, and the row begins anew.
        if answers.iter().all(|status| *status == Some(202)) { row.push(ticket) } else { row.clear() }
    }
    row
}

/// Whatever was asked for came to its end: given and ended with proof, or never heard of, and then nothing of it is left.
pub(crate) async fn over(bench: &mut Bench, (weather, phase): (Weather, Phase), asked: &Asked) -> String {
    let tickets = &asked.tickets;
    // In small steps: what was lost is found by the poll, which nobody waits for.
    for _ in 0..35 {
        bench.pass(4 * MINUTE).await;
        // What a standby lacks may be noticed only now.
        recovered(bench).await;
    }
    let app = &bench.app;
    let proven = tickets.iter().filter(|ticket| is_told(app, **ticket, ENDED)).count();
    let told: Vec<_> = tickets.iter().map(|ticket| app.psa.told(*ticket)).collect();
    assert_eq!(enabled(app), 0, "an account is left: {told:?} {}", bench.log_tail());
    if weather != Weather::FailedOver {
        assert_eq!(proven, tickets.len(), "each was given and ended: {told:?}");
    }
    let unanswered = asked.in_a_row.iter().filter(|ticket| !is_told(app, **ticket, REFUSED)).count();
    assert_eq!(unanswered, 0, "of what was taken has no answer");
    let (next, who) = given_now(bench, weather).await;
    let mut said = format!("{proven} of {} ended with proof", tickets.len());
    if proven < tickets.len() {
        said += ", nothing is left of the others";
    }
    if weather == Weather::Replays {
        one_effect_each(bench, asked, next).await;
        said += match phase {
            Phase::Idle => ", and nothing new came of what was refused before",
            _ => {
                ", of each there are one grant and the notes of one delivery, and nothing new came of what was refused before"
            }
        };
    }
    if !asked.in_a_row.is_empty() {
        said += &format!(
            "; at most {TAKEN_WITHIN:?} after the server was back {IN_A_ROW} deliveries in a row were taken, and each ticket answered"
        );
    }
    format!("{said}; then {who} was given access, and it ended with proof")
}

fn enabled(app: &TestApp) -> usize {
    app.entra.accounts().iter().filter(|account| account["accountEnabled"] == true).count()
}

/// Access is given again, and ended. Jane's account may be one that the standby lacked: should its name stand in the way, somebody
/// asks who had none.
async fn given_now(bench: &mut Bench, weather: Weather) -> (i64, &'static str) {
    let (mut next, mut who) = (bench.app.psa.ticket(), "Jane");
    bench.app.psa.ask(next);
    if !is_granted_in_the_end(bench, next).await {
        let notes = bench.app.psa.notes(next).concat();
        assert_eq!(weather, Weather::FailedOver, "it works no more: {notes}");
        assert!(notes.to_lowercase().contains("name"), "it is not the name that stands in the way: {notes}");
        newcomer(&bench.app).await;
        bench.pass(MINUTE).await;
        (next, who) = (bench.app.psa.ticket(), "somebody new");
        bench.app.psa.ask_as("unbound", next);
        let is_granted = is_granted_in_the_end(bench, next).await;
        assert!(is_granted, "it works no more: {:?}", bench.app.psa.notes(next));
    }
    bench.pass(75 * MINUTE).await;
    assert!(is_told(&bench.app, next, ENDED), "it is not ended: {:?}", bench.app.psa.notes(next));
    assert_eq!(enabled(&bench.app), 0, "access is left");
    (next, who)
}

/// The member whom nobody knew is somebody from now on.
async fn newcomer(app: &TestApp) {
    app.change_rules(|rules| {
        let people = &mut rules.records.people;
        let mut lee = people.iter().find(|person| person.id.as_str() == "mark").expect("Mark is there").clone();
        lee.id = "lee".parse().unwrap();
        lee.name = "Lee Park".to_owned();
        for members in &mut lee.members {
            members.ids = vec!["179".parse().unwrap()];
            members.bound.clear();
        }
        people.push(lee);
    })
    .await;
}

/// However often a delivery came, there is of its ticket what there is of one whose delivery came once; and of one that had its
/// answer before, what there was.
async fn one_effect_each(bench: &Bench, asked: &Asked, once: i64) {
    let app = &bench.app;
    let once = Effects::of(app, once).await;
    assert_eq!(once.kinds().0, 1, "one grant: {once:?}");
    for ticket in &asked.tickets {
        let effects = Effects::of(app, *ticket).await;
        assert_eq!(effects.kinds(), once.kinds(), "ticket {ticket}");
    }
    assert_eq!(Effects::of(app, asked.refused.ticket).await, asked.refused, "what was refused");
}

/// Whether a request was granted; answered it is in any case.
async fn is_granted_in_the_end(bench: &mut Bench, ticket: i64) -> bool {
    let answers = [GRANTED, REFUSED, UNDONE];
    bench.until(10 * MINUTE, "an answer", |app| answers.iter().any(|line| is_told(app, ticket, line))).await;
    is_told(&bench.app, ticket, GRANTED)
}
