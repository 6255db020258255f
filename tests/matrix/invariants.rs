//! What must hold in every run, whatever broke and where: looked at from outside once all has come to rest, but over
//! the whole time. [`outside`] holds those that the journeys share; here are those that need the time line, the files of
//! a dead process, or a second tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use latchkey::{
    access::{Grant, State},
    app::database,
    backup,
    generation::Counter,
    seal,
    store::AuditEntry,
};
use latchkey_contract::{Clock as _, ConnectionId, EntitlementId, Timestamp};
use latchkey_simulators::graph::{Actor, Refused, Span, What};

use crate::{
    bench::{Bench, OTHER_TENANT},
    customers::OTHER_DIRECTORY,
    ground::files_with,
    harness::{CLIENT, CLIENT_SECRET, HOOK_SECRET, PASSWORD, TENANT, outside, stranger::Stranger},
    point::TIDYING,
    wrong::{CallFault, Wrong},
};

/// How long after its end access may stand: the lease of a dead process, and the steps.
const OVERHANG: Duration = Duration::from_secs(120);

/// The same where nothing could be done for minutes: as long as that lasted, and the longest pause.
const STARVED: Duration = Duration::from_secs(600);

/// How long after a failover access may stand of which the database lost all trace: somebody accepts what was found, and PIM
/// takes no role in its first minutes.
const FOUND_WITHIN: Duration = Duration::from_secs(30 * 60);

/// For how long, on the test's clock, something may be broken off: it is moved in small steps until work is at rest again.
const BROKEN_OFF: Duration = Duration::from_secs(120);

/// What is not asked where commits were lost, and why.
pub(crate) const NOT_ASKED: &str = "not asked: I7 of deliveries that went with the primary, I1 and I11 of grants that did (such \
                                    access stood half an hour at most), since the database cannot know of them";

fn overhang(bench: &Bench) -> Duration {
    if matches!(bench.wrong, Wrong::Starved(_) | Wrong::Squeezed(_)) { STARVED } else { OVERHANG }
}

/// A grant, with the name of its account and the audit entries about it.
struct Told {
    grant: Grant,
    account: String,
    directory: ConnectionId,
    /// Whose the ticket is.
    company: Option<i64>,
    audit: Vec<AuditEntry>,
}

/// Whose the ticket of a grant is. At a PSA beside the first all are of one company.
fn company(bench: &Bench, grant: &Grant) -> Option<i64> {
    let psa = &bench.app.psa;
    if grant.ticket.connection.as_str() != "cw" {
        return Some(psa.acme);
    }
    let ticket = psa.tenant.ticket(grant.ticket.ticket.as_str().parse().ok()?)?;
    ticket["company"]["id"].as_i64()
}

/// What broke off whatever was under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) at: Timestamp,
    /// How often, in one go.
    pub(crate) times: usize,
    /// When a standby took over that lacked commits.
    pub(crate) lost: Option<Timestamp>,
}

pub(crate) async fn check(bench: &Bench) {
    hold(bench, None).await;
}

/// The same after weather; after a failover to a standby that lacked commits all but [`NOT_ASKED`].
pub(crate) async fn check_after(bench: &Bench, struck: Struck) {
    hold(bench, Some(struck)).await;
}

async fn hold(bench: &Bench, struck: Option<Struck>) {
    let lost = struck.and_then(|struck| struck.lost);
    outside::check(&bench.app, lost.is_none()).await;
    let audit = bench.app.store().audit(0, 100_000).await.unwrap();
    let mut told = Vec::new();
    for grant in outside::grants(&bench.app).await {
        let account = bench.app.store().account(&grant.account).await.unwrap().expect("a grant has an account");
        let (account, directory) = (account.name, account.directory);
        let audit = audit.iter().filter(|e| e.grant.as_ref() == Some(&grant.id)).cloned().collect();
        let company = company(bench, &grant);
        told.push(Told { grant, account, directory, company, audit });
    }
    what_was_taken_is_recorded(bench);
    privilege_only_within_a_grant(bench, &told, lost);
    every_grant_ended(&told);
    refused_is_nothing_given(&told);
    every_account_is_one_that_we_know(bench, lost.is_some()).await;
    what_takes_goes_first(bench);
    secrets_are_nowhere(bench).await;
    every_intent_has_an_outcome_or_another_look(bench, struck, (&told, &audit));
    every_write_is_where_its_ticket_says(bench, &told, lost.is_some());
    passwords_are_dead(bench);
}

/// I7 at a PSA beside the first: as many messages as were answered 202 are recorded.
fn what_was_taken_is_recorded(bench: &Bench) {
    let Some(desk) = bench.app.beside() else { return };
    let taken = desk.sent().into_iter().filter(|(_, status)| *status == Some(202));
    let taken: BTreeSet<Vec<u8>> = taken.map(|(body, _)| body).collect();
    let (recorded, _) = bench.app.deliveries();
    assert!(taken.len() <= recorded.len(), "I7: {} were taken, {} are recorded", taken.len(), recorded.len());
}

/// I12: for a request that was refused nothing was granted and nothing sent; where it was the directory that refused, nobody
/// was handed anything.
fn refused_is_nothing_given(told: &[Told]) {
    for t in told.iter().filter(|t| matches!(t.grant.state, State::Refused { .. })) {
        let is_ours = t.audit.iter().any(|entry| entry.code.as_str() == "request.refused");
        let given: &[&str] = match is_ours {
            true => &["request.granted", "grant.granting", "step.intent"],
            false => &["grant.delivering", "grant.active"],
        };
        let entry = t.audit.iter().find(|entry| given.contains(&entry.code.as_str())).map(|entry| entry.code);
        assert!(entry.is_none(), "I12: {} was refused, and {entry:?}", t.grant.id);
    }
}

/// I3: however often a create was sent, each account that came of it is one that the database names, and a name was made again
/// only after it was deleted. A create that was under way in a failover that lost it may have left one that was never let in.
async fn every_account_is_one_that_we_know(bench: &Bench, is_lost: bool) {
    let directory = "acme-entra".parse().unwrap();
    let known = bench.app.store().accounts_in(&directory, None, 1000).await.unwrap();
    let events = bench.app.entra.sim.events();
    let us = Actor::App(CLIENT.to_owned());
    let mut objects: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for event in events.iter().filter(|e| e.what == What::UserCreated && e.actor == us && e.tenant == TENANT) {
        let name = event.detail["userPrincipalName"].as_str().unwrap_or_default().to_owned();
        objects.entry(name).or_default().insert(&event.object);
    }
    for (name, objects) in objects {
        let is_known = known.iter().any(|account| account.name == name);
        let was_let_in = objects.iter().any(|id| !bench.app.entra.sim.enabled_spans(TENANT, id).is_empty());
        assert!(is_known || (is_lost && !was_let_in), "I3: nobody knows of {name}");
        let deleted = events.iter().filter(|e| e.what == What::UserDeleted && objects.contains(e.object.as_str()));
        assert!(objects.len() <= 1 + deleted.count(), "I3: {name} was made {} times", objects.len());
    }
}

/// I14: whatever takes something away is sent with the priority that the vendor keeps for it.
fn what_takes_goes_first(bench: &Bench) {
    for write in bench.app.entra.sim.writes() {
        let takes = match write.op {
            "PATCH /users/{id}" => write.enables == Some(false),
            "POST /users/{id}/revokeSignInSessions" => true,
            op => op.starts_with("DELETE "),
        };
        assert!(!takes || write.is_urgent, "I14: {write:?} was sent without priority");
    }
}

/// I1, I11: at every instant in which an account was enabled, or held a role or a group, a grant of it was committed
/// before and its end was at most a short time ago. Of access whose grant went with a primary: that it was found and ended.
fn privilege_only_within_a_grant(bench: &Bench, told: &[Told], lost: Option<Timestamp>) {
    let events = bench.app.entra.sim.events();
    let made = events.iter().filter(|e| e.what == What::UserCreated && e.actor == Actor::App(CLIENT.to_owned()));
    for (tenant, object, name) in
        made.map(|e| (e.tenant.as_str(), e.object.clone(), e.detail["userPrincipalName"].to_string()))
    {
        let mine: Vec<&Told> = told.iter().filter(|t| name.contains(&t.account)).collect();
        let sim = &bench.app.entra.sim;
        let mut spans: Vec<(String, Span)> = Vec::new();
        spans.extend(sim.enabled_spans(tenant, &object).into_iter().map(|span| ("enabled".to_owned(), span)));
        for entitlement in mine.iter().flat_map(|t| &t.grant.policy.entitlements) {
            match entitlement {
                EntitlementId::Role(role) => {
                    let held = sim.role_spans(tenant, &object, role.as_str());
                    spans.extend(held.into_iter().map(|span| (format!("role {role}"), span)));
                }
                EntitlementId::Group(group) => {
                    let mut from = None;
                    for event in events.iter().filter(|e| e.object == object && e.detail["group"] == group.as_str()) {
                        match event.what {
                            What::MemberAdded => from = Some(event.at_ms),
                            What::MemberRemoved => {
                                if let Some(from_ms) = from.take() {
                                    spans.push((
                                        format!("group {group}"),
                                        Span { from_ms, until_ms: Some(event.at_ms) },
                                    ));
                                }
                            }
                            _ => {}
                        }
                    }
                    assert!(from.is_none(), "I1: a group is held for ever");
                }
            }
        }
        // One that was held was granted when it was approved; one that was refused at once, never.
        let begun = |t: &Told| t.at("request.granted").min(t.at("grant.granting"));
        let granted = mine.iter().filter(|t| begun(t) != Timestamp::MAX);
        let windows = granted.map(|t| (begun(t).millis(), (t.end(overhang(bench)) + overhang(bench)).millis()));
        let windows: Vec<(i64, i64)> = windows.collect();
        for (what, span) in spans {
            // One grant may take over from another before that has ended.
            let mut until_ms = span.from_ms;
            let goes_on =
                |at: i64| windows.iter().filter(|(from, until)| *from <= at && *until > at).map(|w| w.1).max();
            while let Some(later) = goes_on(until_ms) {
                until_ms = later;
            }
            let is_covered = span.until_ms.is_some_and(|at| at <= until_ms);
            let is_forgotten = lost.is_some_and(|lost| {
                let found_by = (lost + FOUND_WITHIN).millis();
                span.from_ms <= lost.millis() && span.until_ms.is_some_and(|at| at <= found_by)
            });
            assert!(is_covered || is_forgotten, "I1, I11: {name} {what} {span:?} is within no grant");
        }
    }
}

impl Told {
    fn at(&self, code: &str) -> Timestamp {
        self.audit.iter().find(|e| e.code == code).map_or(Timestamp::MAX, |e| e.at)
    }

    /// When it had to end, as committed when it began; earlier when somebody ended it.
    fn end(&self, overhang: Duration) -> Timestamp {
        let until = |code: &str, field: &str| {
            let entry = self.audit.iter().find(|e| e.code == code)?;
            Some(Timestamp::from_millis(entry.detail["state"][field].as_i64()?))
        };
        let planned = until("grant.active", "until").or_else(|| until("grant.granting", "latest_end"));
        let planned = planned.expect("a grant has an end from its first commit");
        match &self.grant.state {
            State::Ended { due, .. } => {
                assert!(*due <= planned + overhang, "I11: removal began late: {due} instead of {planned}");
                planned.min(*due)
            }
            _ => planned,
        }
    }
}

/// I2: none is left in between.
fn every_grant_ended(told: &[Told]) {
    for t in told {
        assert!(t.grant.state.is_final(), "I2: grant {} is {}", t.grant.id, t.grant.state.name());
    }
}

/// I5: in no log line, no file, no row and no log of writes of the database, no backup and no note: neither what was given to
/// people nor what was given to us.
async fn secrets_are_nowhere(bench: &Bench) {
    let mut beside = Vec::new();
    for desk in bench.app.others() {
        beside.extend(desk.secrets());
    }
    let mut secrets: BTreeSet<&str> = bench.secrets.iter().chain(&beside).map(String::as_str).collect();
    secrets.extend([CLIENT_SECRET, HOOK_SECRET, PASSWORD, &bench.app.psa.keys.1]);
    let dir = tempfile::tempdir().unwrap();
    let (log, rows) = (dir.path().join("log"), dir.path().join("rows"));
    std::fs::write(&log, bench.log()).unwrap();
    let mut files = vec![log];
    if let Stranger::Postgres(mut conn) = bench.app.stranger().await {
        std::fs::write(&rows, all_rows(&mut conn).await).unwrap();
        files.push(rows);
    }
    if let (Wrong::Nothing, None) = (&bench.wrong, bench.app.on_server()) {
        files.push(backed_up(bench, dir.path()).await);
    }
    for file in std::fs::read_dir(bench.app.data_dir()).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            files.push(file.path());
        }
    }
    let wanted: Vec<&str> = secrets.iter().copied().collect();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let found = files_with(&wanted, &files);
    assert!(found.is_empty(), "I5: a secret stands in {found}");
    no_write_had_a_secret(bench);
    if let Wrong::Call(name, CallFault::Unauthorized | CallFault::Forbidden) = &bench.wrong
        && TIDYING.contains(&name.as_str())
    {
        // Refused once, tidying is given up: what stands there opens nothing any more, which is looked at too.
        return;
    }
    let psa = &bench.app.psa;
    let mut written: Vec<(i64, String)> =
        psa.tenant.ticket_ids().into_iter().map(|t| (t, psa.notes(t).concat())).collect();
    for desk in bench.app.others() {
        let tickets = desk.tickets().into_iter();
        written.extend(tickets.map(|t| (t, desk.notes(t).into_iter().map(|note| note.text).collect())));
    }
    for (ticket, notes) in written {
        let stands = secrets.iter().any(|secret| notes.contains(secret));
        assert!(!stands, "I5: a secret stands in ticket {ticket}");
    }
}

/// What was written to a server is in its log also where no row has it any more. The log is that of other runs as well, which
/// have other passwords; before this run nobody knew them.
fn no_write_had_a_secret(bench: &Bench) {
    let Some(database) = bench.app.on_server() else { return };
    let since = bench.begun - Duration::from_secs(1);
    let is_of_this_run =
        |file: &PathBuf| file.metadata().and_then(|about| about.modified()).is_ok_and(|at| at >= since);
    let files: Vec<PathBuf> = database.files_of_writes().into_iter().filter(is_of_this_run).collect();
    assert!(!files.is_empty(), "this run was written to the log");
    if bench.secrets.is_empty() {
        return;
    }
    let wanted: Vec<&str> = bench.secrets.iter().map(String::as_str).collect();
    let found = files_with(&wanted, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert!(found.is_empty(), "I5: a secret stands in {found}");
}

/// A backup as an operator makes one of a file.
async fn backed_up(bench: &Bench, dir: &Path) -> PathBuf {
    let (store, config, now) = (bench.app.store(), bench.app.config(), bench.app.clock.now());
    let seal = seal::unlock(&config.key_file, store.as_ref(), now).await.unwrap();
    let counter = Counter::at(&config.generation_file);
    let target = dir.join("backup.tar");
    backup::make(&database(config), store.as_ref(), &seal, &counter, &target, now).await.unwrap();
    assert!(!files_with(&["acme-entra"], &[&target]).is_empty(), "what is in it can be read");
    target
}

/// Every row of every table, as text; what is binary as the text that it may be.
async fn all_rows(conn: &mut sqlx::PgConnection) -> String {
    let sql =
        "SELECT string_agg(format('SELECT encode(convert_to(t::text, ''UTF8''), ''escape'') FROM %I t', tablename),
                                 ' UNION ALL ') FROM pg_tables WHERE schemaname = current_schema()";
    let all: String = sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(all)).fetch_all(conn).await.unwrap();
    rows.join("\n")
}

/// I9, I13: a step that was sent is known to have come to something, or the account was looked at again. Of those without an
/// outcome there are no more than were under way when it went wrong: one, or where weather broke off what was done to several
/// accounts, one of each as often as it did, of that time; besides those during which a second request joined the account.
fn every_intent_has_an_outcome_or_another_look(
    bench: &Bench,
    struck: Option<Struck>,
    (told, audit): (&[Told], &[AuditEntry]),
) {
    let accounts: BTreeMap<&str, &str> = told.iter().map(|t| (t.grant.id.as_str(), t.grant.account.as_str())).collect();
    let (mut open, mut joined): (BTreeMap<&str, Timestamp>, BTreeSet<&str>) = Default::default();
    let mut unanswered: Vec<(&str, Timestamp)> = Vec::new();
    for entry in audit {
        let of_grant = || entry.grant.as_ref().and_then(|grant| accounts.get(grant.as_str()).copied());
        let account = match entry.code.as_str() {
            code if code.starts_with("step.") => entry.detail["account"].as_str(),
            // Both follow from a look at the account alone.
            "grant.delivering" | "grant.ended" => of_grant(),
            // What was to be written of a step does not go with what a second request has written of the account meanwhile.
            "grant.granting" => {
                joined.extend(of_grant().filter(|account| open.contains_key(account)));
                None
            }
            _ => None,
        };
        let Some(account) = account else { continue };
        let is_intent = entry.code == "step.intent";
        let before = if is_intent { open.insert(account, entry.at) } else { open.remove(account) };
        // Its outcome is the one that follows.
        let is_outcome = !is_intent && entry.code.as_str().starts_with("step.");
        let is_joined = joined.remove(account);
        unanswered.extend(before.filter(|_| !is_outcome && !is_joined).map(|at| (account, at)));
    }
    assert!(open.is_empty(), "I9: the last step came to nothing, and nobody looked: {open:?}");
    if let Some(struck) = struck {
        for (account, at) in &unanswered {
            let own = unanswered.iter().filter(|(other, _)| other == account).count();
            let near = audit.iter().filter(|entry| entry.at.since(*at) < BROKEN_OFF && at.since(entry.at) < BROKEN_OFF);
            let near: Vec<_> = near.map(|entry| (entry.at, entry.code.as_str(), &entry.detail)).collect();
            assert!(own <= struck.times, "I9: {own} intents for {account} have no outcome, one of {at}: {near:?}");
            let is_of_that_time = (struck.at..=struck.at + BROKEN_OFF).contains(at);
            assert!(is_of_that_time, "I9: an intent of {at} has no outcome, and it struck at {}", struck.at);
        }
        return;
    }
    let allowed = usize::from(!matches!(bench.wrong, Wrong::Nothing | Wrong::Stopped(_) | Wrong::Unread));
    assert!(unanswered.len() <= allowed, "I9: intents have no outcome: {unanswered:?}");
}

/// I10: an account lives in the directory of the company whose ticket asks, and whatever is written there is written by way of
/// that company's tenant. Where nobody asks for the other customer, its tenant is not even called.
fn every_write_is_where_its_ticket_says(bench: &Bench, told: &[Told], is_lost: bool) {
    let psa = &bench.app.psa;
    let home = |told: &Told| match told.company {
        Some(company) if company == psa.stranger => (OTHER_DIRECTORY, OTHER_TENANT),
        company => {
            assert_eq!(company, Some(psa.acme), "it is one of the two");
            ("acme-entra", TENANT)
        }
    };
    for t in told {
        assert_eq!(t.directory.as_str(), home(t).0, "I10: {} asks for another customer's directory", t.grant.id);
    }
    let us = Actor::App(CLIENT.to_owned());
    let events = bench.app.entra.sim.events();
    let made: BTreeMap<(&str, &str), &str> = (events.iter())
        .filter(|e| e.what == What::UserCreated)
        .map(|e| ((e.tenant.as_str(), e.object.as_str()), e.detail["userPrincipalName"].as_str().unwrap_or_default()))
        .collect();
    let homes: BTreeSet<&str> = told.iter().map(|t| home(t).1).chain([TENANT]).collect();
    for event in events.iter().filter(|event| event.actor == us) {
        assert!(homes.contains(event.tenant.as_str()), "I10: nobody asked for anything there: {event:?}");
        let Some(name) = made.get(&(event.tenant.as_str(), event.object.as_str())) else { continue };
        let mut of_account = told.iter().filter(|t| t.account == *name).peekable();
        assert!(is_lost || of_account.peek().is_some(), "I10: no ticket asked for {name}");
        assert!(of_account.all(|t| home(t).1 == event.tenant), "I10: another customer's tenant: {event:?}");
    }
    let calls = bench.app.entra.sim.faults().calls();
    let is_called = calls.iter().any(|call| call.path.contains(OTHER_TENANT));
    assert_eq!(is_called, homes.contains(OTHER_TENANT), "I10: a call to another tenant");
}

/// What was revealed opens nothing any more, not even when somebody enables the account by hand.
fn passwords_are_dead(bench: &Bench) {
    for user in bench.app.entra.accounts() {
        let name = user["userPrincipalName"].as_str().unwrap_or_default();
        for password in &bench.secrets {
            bench.app.entra.sim.by_hand(TENANT).enable(name);
            let refused = bench.app.entra.sim.sign_in(TENANT, name, password).unwrap_err();
            bench.app.entra.sim.by_hand(TENANT).disable(name);
            assert_eq!(refused, Refused::WrongPassword);
        }
    }
}
