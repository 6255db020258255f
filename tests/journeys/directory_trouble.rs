//! A tenant that does not do what it is asked: down, throttled, slow to replicate, misconfigured, gone.
//!
//! Giving gives up cleanly and says why; taking never gives up, says once that it is late, and ends with proof.

use std::{path::PathBuf, time::Duration};

use latchkey::{access::State, rulebook::ConnectionKind};
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::{
    authority::Authority,
    fault::{Act, Call, Fault},
    graph::{AppSpec, Licence, What, throttled},
};
use serde_json::json;

use crate::harness::*;

const USER_ADMIN: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
const PAA: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
const OVERDUE: &str = "could not be made to remove it yet";

fn count(app: &TestApp, ticket: i64, text: &str) -> usize {
    app.psa.notes(ticket).iter().filter(|n| n.contains(text)).count()
}

/// A ticket asked for, and time for it.
async fn asked(app: &TestApp, minutes: u64) -> i64 {
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.minutes(minutes).await;
    ticket
}

/// The whole policy: two roles and a group, with the password in the ticket.
async fn give_all(app: &TestApp) {
    app.change_rules(|rules| {
        let more = rules.rulebook.policies[0].entitlements.clone();
        rules.rulebook.policies[1].entitlements.extend(more);
    })
    .await;
}

/// Ended on time or after trouble: off, bare, told, with the status of an end.
async fn is_over(app: &TestApp, ticket: i64) {
    assert_eq!(app.state(ticket).await.name(), "ended", "{:?}", app.psa.notes(ticket));
    assert_eq!((app.entra.is_enabled(), app.entra.roles(), app.entra.groups()), (false, vec![], vec![]));
    assert_eq!(app.psa.told(ticket).last().unwrap(), "Latchkey: access has ended, proven off.");
    assert_eq!(app.psa.status(ticket), app.psa.projects.done);
}

async fn overhang_minutes(app: &TestApp, ticket: i64, due: Timestamp) -> u64 {
    let State::Ended { due: owed, proof, .. } = app.state(ticket).await else { panic!("not ended") };
    assert_eq!(owed, due, "removal was owed from the moment the access should have ended");
    proof.seen_at().since(owed).as_secs() / 60
}

/// F117, F126, F127: Graph is down when the time comes: owed from then on, told once, proven as soon as it is back.
#[tokio::test(flavor = "multi_thread")]
async fn graph_down_for_an_hour_when_a_grant_falls_due() {
    let app = TestApp::start().await;
    let ticket = asked(&app, 59).await;
    let due = app.state(ticket).await.end().unwrap();
    app.entra.fail(|_| true, Act::ResetBefore);
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ending");
    assert!(app.entra.is_enabled());
    assert_eq!(count(&app, ticket, OVERDUE), 1, "{:?}", app.psa.told(ticket));
    app.entra.sim.faults().clear();
    app.minutes(6).await;
    is_over(&app, ticket).await;
    let late = overhang_minutes(&app, ticket, due).await;
    assert!((60..66).contains(&late), "{late} min");
    assert!(count(&app, ticket, &format!("off was seen {late} min later")) == 1, "{:?}", app.psa.notes(ticket).last());
    assert_eq!(count(&app, ticket, OVERDUE), 1);
    app.end().await;
}

/// F117, F126: stopped while access stands, and started after its end while Graph is down, or while the customer has taken their
/// consent back: removal stays owed since its time, over one more start as well, and is proven when it can be.
#[tokio::test(flavor = "multi_thread")]
async fn started_while_the_directory_is_down_or_refuses_what_is_owed_stays_owed() {
    for is_down in [true, false] {
        let mut app = TestApp::start().await;
        let ticket = asked(&app, 30).await;
        let due = app.state(ticket).await.end().unwrap();
        for _ in 0..2 {
            app.down().await;
            if is_down {
                app.entra.fail(|_| true, Act::ResetBefore);
            } else {
                app.entra.sim.remove_consent(TENANT, CLIENT);
            }
            app.clock.pass(Duration::from_secs(3600));
            app.up().await;
            app.minutes(10).await;
            assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ending", true), "{is_down}");
        }
        assert_eq!(count(&app, ticket, OVERDUE), 1, "{:?}", app.psa.told(ticket));
        app.entra.sim.faults().clear();
        if !is_down {
            consent(&app, &[PAA]);
        }
        app.minutes(6).await;
        is_over(&app, ticket).await;
        // Thirty of its sixty minutes were left, and two hours and twenty minutes have passed since.
        let late = overhang_minutes(&app, ticket, due).await;
        assert!((105..120).contains(&late), "{late} min");
        app.end().await;
    }
}

/// F126, I1: whoever answers in the directory's place shows a certificate that nobody we trust has signed: nothing is said to
/// them, and access ends when the right one is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_we_do_not_trust_is_told_nothing_and_waited_out() {
    let app = TestApp::start().await;
    let ticket = asked(&app, 59).await;
    let foreign = app.data_dir().join("another-authority.pem");
    std::fs::write(&foreign, Authority::new().ca_pem()).unwrap();
    let right = trusting(&app, Some(foreign)).await;
    app.entra.sim.faults().clear_calls();
    app.minutes(10).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ending", true));
    assert!(app.entra.sim.faults().calls().is_empty(), "something was sent to them");
    assert_eq!(count(&app, ticket, OVERDUE), 1, "{:?}", app.psa.told(ticket));
    trusting(&app, right).await;
    app.minutes(6).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// Whom the service trusts for the directory from now on; answers whom it did.
async fn trusting(app: &TestApp, ca_file: Option<PathBuf>) -> Option<PathBuf> {
    let mut before = None;
    app.change_rules(|rules| {
        for connection in &mut rules.records.connections {
            if let ConnectionKind::Entra(settings) = &mut connection.kind {
                before = std::mem::replace(&mut settings.ca_file, ca_file.clone());
            }
        }
    })
    .await;
    before
}

/// F72, F126: Graph is down while giving: nothing is made for ever; it is given up at the latest end, and told.
#[tokio::test(flavor = "multi_thread")]
async fn graph_down_while_giving_ends_by_the_latest_end() {
    let app = TestApp::start().await;
    app.entra.fail(|_| true, Act::ResetBefore);
    let ticket = asked(&app, 74).await;
    assert_eq!(app.state(ticket).await.name(), "granting");
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ending");
    assert_eq!(count(&app, ticket, "Why: the account could not be made ready in time.\n"), 1);
    app.entra.sim.faults().clear();
    app.minutes(8).await;
    is_over(&app, ticket).await;
    assert!(app.entra.accounts().is_empty(), "nothing was made after all");
    app.end().await;
}

/// F72: a short outage only delays: the clock of access starts when it is given.
#[tokio::test(flavor = "multi_thread")]
async fn graph_down_for_ten_minutes_while_giving_only_delays() {
    let app = TestApp::start().await;
    app.entra.fail(|_| true, Act::ResetBefore);
    let ticket = asked(&app, 10).await;
    app.entra.sim.faults().clear();
    app.minutes(6).await;
    let State::Active { since, until, .. } = app.state(ticket).await else { panic!("{:?}", app.psa.notes(ticket)) };
    assert_eq!(until.since(since).as_secs(), 3600);
    app.minutes(61).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// F126, F175: throttled, with and without a wait asked for, while giving and while taking: both come to their end.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_delays_giving_and_taking_and_stops_neither() {
    for wait in [Some(20), None] {
        let app = TestApp::start().await;
        give_all(&app).await;
        let storm = app.entra.sim.faults().add(Fault::always(throttled(wait)).times(8));
        let ticket = asked(&app, 20).await;
        assert_eq!((storm.count(), app.state(ticket).await.name()), (8, "active"), "{wait:?}");
        let due = app.state(ticket).await.end().unwrap();
        app.pass(due.since(app.clock.now()) - std::time::Duration::from_secs(1)).await;
        let storm = app.entra.sim.faults().add(Fault::always(throttled(wait)).times(8));
        app.minutes(12).await;
        assert_eq!(storm.count(), 8);
        is_over(&app, ticket).await;
        assert!(overhang_minutes(&app, ticket, due).await < 10);
        app.end().await;
    }
}

type Matches = fn(&Call) -> bool;

/// F84, F94, F126: the answer is lost after the effect: the next act is a look, and nothing is done twice or forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_the_effect_is_looked_for_and_adopted() {
    let lost: [(&str, Matches); 9] = [
        ("create", |c| c.op == "POST /users"),
        ("enable", |c| is_patch(c, |b| b["accountEnabled"] == true)),
        ("give a role", |c| c.op == "POST /roleManagement/directory/roleAssignments"),
        ("give a group", |c| c.op == "POST /groups/{id}/members/$ref"),
        ("disable", |c| is_patch(c, |b| b["accountEnabled"] == false)),
        ("password", |c| is_patch(c, |b| b.get("passwordProfile").is_some())),
        ("take a role", |c| c.op == "DELETE /roleManagement/directory/roleAssignments/{id}"),
        ("take a group", |c| c.op == "DELETE /groups/{id}/members/{member}/$ref"),
        ("sessions", |c| c.op == "POST /users/{id}/revokeSignInSessions"),
    ];
    for (step, matches) in lost {
        let app = TestApp::start().await;
        give_all(&app).await;
        let fired = app.entra.sim.faults().add(Fault::when(matches, Act::ResetAfter).once());
        let ticket = asked(&app, 3).await;
        assert_eq!(app.state(ticket).await.name(), "active", "{step}: {:?}", app.psa.notes(ticket));
        let (name, password) = app.credentials(ticket);
        let access = app.entra.sim.sign_in(TENANT, &name, &password).expect(step);
        assert_eq!((access.roles.len(), access.groups.len()), (2, 1), "{step}");
        app.minutes(63).await;
        assert_eq!(fired.count(), 1, "{step}");
        is_over(&app, ticket).await;
        assert_eq!(app.entra.accounts().len(), 1, "{step}");
        app.end().await;
    }
}

fn is_patch(call: &Call, body: impl Fn(&serde_json::Value) -> bool) -> bool {
    call.op == "PATCH /users/{id}" && call.body_json.as_ref().is_some_and(body)
}

/// F84, F86: the same for a burner's deletion.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_answer_is_lost_is_not_repeated_blindly() {
    let app = TestApp::start_with(&[("mode = \"standard\"", "mode = \"burner\"")]).await;
    let fired = app.entra.sim.faults().add(Fault::on("DELETE /users/{id}", Act::ResetAfter).once());
    let ticket = asked(&app, 63).await;
    assert_eq!((fired.count(), app.entra.accounts().len()), (1, 0));
    is_over(&app, ticket).await;
    let deleted = app.entra.sim.events().iter().filter(|e| e.what == What::UserDeleted).count();
    assert_eq!(deleted, 1);
    app.end().await;
}

/// F75, F127: new accounts are seen late, by PIM later still: waited for, not made twice; also when the answer is lost.
#[tokio::test(flavor = "multi_thread")]
async fn late_replication_is_waited_for() {
    for is_answer_lost in [false, true] {
        let app = TestApp::start().await;
        give_all(&app).await;
        app.entra.sim.set_licence(TENANT, Licence::P2);
        app.entra.sim.knobs(|k| {
            (k.user_delay_ms, k.pim_delay_ms, k.index_delay_ms) = (25_000, 60_000, 40_000);
            (k.pim_provisioning_ms, k.pim_expiry_lag_ms) = (8_000, 60_000);
        });
        if is_answer_lost {
            app.entra.sim.faults().add(Fault::on("POST /users", Act::ResetAfter).once());
        }
        let ticket = asked(&app, 5).await;
        assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.notes(ticket));
        let (name, password) = app.credentials(ticket);
        assert_eq!(app.entra.sim.sign_in(TENANT, &name, &password).unwrap().roles.len(), 2);
        app.minutes(62).await;
        is_over(&app, ticket).await;
        assert_eq!(app.entra.accounts().len(), 1);
        app.end().await;
    }
}

/// F75: the client secret has run out: refused at once, saying so; with a new one the next ticket is granted.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_client_secret_refuses_and_is_mended_by_a_new_one() {
    let app = TestApp::start().await;
    app.entra.sim.expire_secret(CLIENT, CLIENT_SECRET, Some(app.clock.now().millis()));
    let ticket = asked(&app, 1).await;
    assert_eq!(app.state(ticket).await.name(), "refused");
    assert_eq!(count(&app, ticket, "(AADSTS7000222); an admin has to look at the connection"), 1);
    assert_eq!(app.psa.status(ticket), app.psa.projects.refused);
    assert!(app.entra.accounts().is_empty());
    app.entra.sim.rotate_secret(CLIENT, "another-client-secret");
    app.set_client_secret("another-client-secret").await;
    let ticket = asked(&app, 1).await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// F126: the client secret runs out while access stands: told, and ended as soon as a new one is set.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_that_expires_before_the_end_is_mended_and_access_ends() {
    let app = TestApp::start().await;
    let ticket = asked(&app, 30).await;
    app.entra.sim.expire_secret(CLIENT, CLIENT_SECRET, Some(app.clock.now().millis()));
    app.minutes(60).await;
    assert_eq!((app.state(ticket).await.name(), count(&app, ticket, OVERDUE)), ("ending", 1));
    app.entra.sim.rotate_secret(CLIENT, "another-client-secret");
    app.set_client_secret("another-client-secret").await;
    app.minutes(6).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// F126: the customer deletes the tenant: nothing new is given, what stood is asked for for ever, and told once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_refuses_what_is_new_and_leaves_removal_owed() {
    let app = TestApp::start().await;
    let ticket = asked(&app, 30).await;
    app.entra.sim.delete_tenant(TENANT);
    app.minutes(24 * 60).await;
    assert_eq!((app.state(ticket).await.name(), count(&app, ticket, OVERDUE)), ("ending", 1));
    let other = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", other);
    app.run().await;
    assert_eq!(app.state(other).await.name(), "refused");
    assert_eq!(count(&app, other, "Nothing was given."), 1);
    assert!(count(&app, other, "an admin has to look at the connection") == 1, "{:?}", app.psa.notes(other));
    app.end().await;
}

fn consent(app: &TestApp, directory_roles: &[&str]) {
    let permissions = [
        "User.ReadWrite.All",
        "User-PasswordProfile.ReadWrite.All",
        "RoleManagement.ReadWrite.Directory",
        "GroupMember.ReadWrite.All",
        "Group.ReadWrite.All",
        "UserAuthenticationMethod.ReadWrite.All",
        "Domain.Read.All",
        "Directory.Read.All",
    ];
    let spec = AppSpec {
        client_id: CLIENT.into(),
        permissions: permissions.map(str::to_owned).to_vec(),
        directory_roles: directory_roles.iter().map(|&r| r.to_owned()).collect(),
        ..AppSpec::default()
    };
    app.entra.sim.register_app(TENANT, spec);
}

/// F126: the customer removes the app while access stands: told; ended once they consent again.
#[tokio::test(flavor = "multi_thread")]
async fn consent_removed_before_the_end_leaves_removal_owed_until_it_is_back() {
    let app = TestApp::start().await;
    let ticket = asked(&app, 30).await;
    app.entra.sim.remove_consent(TENANT, CLIENT);
    app.minutes(60).await;
    assert_eq!((app.state(ticket).await.name(), count(&app, ticket, OVERDUE)), ("ending", 1));
    let refused = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", refused);
    app.run().await;
    assert_eq!(app.state(refused).await.name(), "refused", "{:?}", app.psa.notes(refused));
    consent(&app, &[PAA]);
    app.minutes(6).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// F84: an app with a lesser directory role may not touch an administrator: power is taken first, then sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_lesser_directory_role_power_goes_first_and_sign_in_next() {
    let app = TestApp::start().await;
    app.entra.sim.remove_consent(TENANT, CLIENT);
    consent(&app, &[USER_ADMIN]);
    let ticket = asked(&app, 59).await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.notes(ticket));
    app.minutes(3).await;
    is_over(&app, ticket).await;
    assert_eq!(count(&app, ticket, OVERDUE), 0);
    let events = app.entra.sim.events();
    let at = |what| events.iter().position(|e| e.what == what).unwrap_or_else(|| panic!("{what:?} did not happen"));
    assert!(at(What::RoleRemoved) < at(What::UserDisabled));
    app.end().await;
}

/// F84, F126, F127: an app without any directory role cannot rotate the password: all else goes, the missing proof is
/// told, and comes once the role is there.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_role_the_end_is_not_called_proven() {
    let app = TestApp::start().await;
    app.entra.sim.remove_consent(TENANT, CLIENT);
    consent(&app, &[]);
    let ticket = asked(&app, 90).await;
    assert_eq!((app.state(ticket).await.name(), count(&app, ticket, OVERDUE)), ("ending", 1));
    assert_eq!((app.entra.is_enabled(), app.entra.roles()), (false, vec![]));
    app.entra.sim.remove_consent(TENANT, CLIENT);
    consent(&app, &[PAA]);
    // One try may still be made with a token from before.
    app.minutes(11).await;
    is_over(&app, ticket).await;
    app.end().await;
}

const DEAD: &str = "00000000-0000-4000-8000-00000000dead";

/// F42, F79: a policy that names a role which is no more gives nothing, not even its other half: it is refused before
/// anything is made, with the role's name. The rest of the rulebook works.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_no_longer_exists_is_refused_before_anything_is_made_and_the_rest_works() {
    let app = TestApp::start_with(&[(HELPDESK_ROLE, DEAD)]).await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "refused", "{:?}", app.psa.notes(ticket));
    let why =
        format!("the directory has no role:{DEAD}, which policy helpdesk gives; an admin has to look at the policy");
    assert!(app.psa.notes(ticket).iter().any(|n| n.contains(&why)), "{:?}", app.psa.notes(ticket));
    assert_eq!((app.psa.status(ticket), app.entra.writes()), (app.psa.desk.refused, vec![]));
    app.active_on(app.psa.projects).await;
    app.end().await;
}

/// F42: a request that must be refused for a dead group takes nothing from what lives on the same account.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_group_cuts_nobody_who_has_access_already() {
    let app = TestApp::start().await;
    let living = app.active_on(app.psa.projects).await;
    app.minutes(1).await;
    app.change_rules(|rules| rules.rulebook.policies[0].entitlements.push(format!("group:{DEAD}").try_into().unwrap()))
        .await;
    let writes = app.entra.writes().len();
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "refused", "{:?}", app.psa.notes(ticket));
    assert_eq!((app.state(living).await.name(), app.entra.writes().len()), ("active", writes));
    app.end().await;
}

/// F12: a mapping whose board is no more does nothing, and the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_no_longer_exists_stops_nobody_elses_tickets() {
    let app = TestApp::start().await;
    let board = app.psa.desk.board.to_string().parse().unwrap();
    app.change_rules(|rules| {
        let mapping = rules.rulebook.mappings.iter_mut().find(|m| m.boards.contains(&board)).unwrap();
        mapping.boards = vec!["999999".parse().unwrap()];
    })
    .await;
    let dead = app.psa.ticket();
    app.psa.ask(dead);
    app.run().await;
    assert!(app.grants(dead).await.is_empty());
    assert!(app.psa.notes(dead).is_empty(), "{:?}", app.psa.notes(dead));
    app.active_on(app.psa.projects).await;
    app.end().await;
}

/// F79, F126: the role dies while the account is being made ready: said so, and what was made is taken away with proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_dies_on_the_way_is_told_and_nothing_is_left() {
    let app = TestApp::start().await;
    let gone = |status, code: &str| Act::Answer {
        status,
        retry_after: None,
        body: json!({"error": {"code": code, "message": "The role definition is not there."}}),
    };
    app.entra.fail(|c| c.op == "POST /roleManagement/directory/roleAssignments", gone(400, "RoleNotFound"));
    let died =
        |c: &Call| c.op.starts_with("GET /roleManagement/directory/roleDefinitions/") && c.path.contains(EXCHANGE_ROLE);
    let looks = app.entra.sim.faults().add(Fault::when(died, gone(404, "Request_ResourceNotFound")).skip(1));
    let ticket = asked(&app, 2).await;
    assert!(looks.count() > 0);
    is_over(&app, ticket).await;
    let why = format!(
        "the directory refused giving role:{EXCHANGE_ROLE} (RoleNotFound); an admin has to look at the policy.\n"
    );
    assert_eq!(count(&app, ticket, &why), 2, "{:?}", app.psa.notes(ticket));
    assert_eq!(count(&app, ticket, "access granted"), 0);
    app.end().await;
}

fn complexity() -> Act {
    let message = "The specified password does not comply with password complexity requirements. Please provide a different password.";
    let body = json!({"error": {"code": "Request_BadRequest", "message": message}});
    Act::Answer { status: 400, retry_after: None, body }
}

/// F94: a password that the tenant does not like is replaced by a fresh one; the one handed over works.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_replaced() {
    let app = TestApp::start().await;
    let fired = app.entra.sim.faults().add(Fault::on("POST /users", complexity()).times(2));
    let ticket = asked(&app, 2).await;
    assert_eq!(fired.count(), 2);
    let (name, password) = app.credentials(ticket);
    assert!(app.entra.sim.sign_in(TENANT, &name, &password).is_ok());
    let calls = app.entra.sim.faults().calls();
    let tried: Vec<_> = (calls.iter().filter(|c| c.op == "POST /users"))
        .map(|c| c.body_json.as_ref().unwrap()["passwordProfile"]["password"].clone())
        .collect();
    assert_eq!(tried.len(), 3);
    assert!(tried[0] != tried[1] && tried[1] != tried[2] && tried[2] == password);
    app.minutes(61).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// F94, F126: a tenant that likes no password, or has no room: told with the vendor's code, nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_made_is_told_and_nothing_is_left() {
    for is_quota in [true, false] {
        let app = TestApp::start().await;
        let code = if is_quota {
            app.entra.sim.set_quota(TENANT, Some(0));
            "Directory_QuotaExceeded"
        } else {
            app.entra.sim.faults().add(Fault::on("POST /users", complexity()));
            "PasswordRefused"
        };
        let ticket = asked(&app, 5).await;
        is_over(&app, ticket).await;
        let why = format!("the directory refused making the account ({code})");
        assert_eq!(count(&app, ticket, &why), 2, "{:?}", app.psa.notes(ticket));
        assert!(app.entra.accounts().is_empty());
        app.end().await;
    }
}

/// F75, F126: unreadable and endless answers: waited out when they pass, given up with a word when they do not, and
/// never taken for an end.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_huge_answers_are_no_answers() {
    for act in [Act::Garbage, Act::Huge] {
        let app = TestApp::start().await;
        let fired = app.entra.sim.faults().add(Fault::when(|c| c.method == "GET", act.clone()).times(3));
        let ticket = asked(&app, 5).await;
        assert_eq!((fired.count(), app.state(ticket).await.name()), (3, "active"), "{act:?}");
        app.minutes(50).await;
        app.entra.sim.faults().add(Fault::always(act.clone()));
        app.minutes(30).await;
        assert_eq!((app.state(ticket).await.name(), count(&app, ticket, OVERDUE)), ("ending", 1));
        let other = app.psa.ticket_on(app.psa.projects);
        app.psa.ask_as("msmith", other);
        app.minutes(10).await;
        assert_eq!(count(&app, other, "the directory's answer could not be read"), 1, "{:?}", app.psa.notes(other));
        app.entra.sim.faults().clear();
        app.minutes(6).await;
        is_over(&app, ticket).await;
        app.end().await;
    }
}

/// I6: a directory that says "done" and goes on showing the account enabled is asked again, with growing pauses, and its
/// cuts follow each other in each round; the end is not called proven before it was seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_goes_on_showing_what_was_cut_is_asked_with_growing_pauses() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let nothing = Act::Answer { status: 204, retry_after: None, body: serde_json::Value::Null };
    let shown = app.entra.sim.faults().add(Fault::on("PATCH /users/{id}", nothing));
    app.minutes(64).await;
    let asked = shown.count();
    assert!((4..=40).contains(&asked), "{asked} times in four minutes");
    assert!(app.entra.roles().is_empty(), "what can be taken is taken meanwhile");
    assert_eq!(app.state(ticket).await.name(), "ending");
    app.entra.sim.faults().clear();
    app.minutes(2).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.end().await;
}
