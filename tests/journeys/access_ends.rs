//! How access ends: on time, early, against somebody else's hand; and what an account is between two grants.

use std::time::Duration;

use latchkey_contract::Clock;
use latchkey_simulators::graph::{GroupSeed, Licence, Refused, UserSeed};
use serde_json::Value;

use crate::harness::{stranger::Stranger, *};

const READER_ROLE: &str = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b";

/// F85, F94: between two grants the account is disabled and bare; the second one brings it back with a new password.
#[tokio::test(flavor = "multi_thread")]
async fn a_standard_account_waits_disabled_and_comes_back_with_a_new_password() {
    let app = TestApp::start().await;
    let first = app.active_on(app.psa.projects).await;
    let ((name, password), object) = (app.credentials(first), app.entra.object());
    app.minutes(61).await;
    assert_eq!(app.state(first).await.name(), "ended");
    assert_eq!((app.entra.is_enabled(), app.entra.roles(), app.entra.object()), (false, vec![], object.clone()));
    let second = app.active_on(app.psa.projects).await;
    let (again, fresh) = app.credentials(second);
    assert_eq!((again, app.entra.object()), (name.clone(), object), "the same account");
    assert_ne!(fresh, password);
    assert_eq!(app.entra.sim.sign_in(TENANT, &name, &password).unwrap_err(), Refused::WrongPassword);
    assert!(app.entra.sim.sign_in(TENANT, &name, &fresh).is_ok());
    app.minutes(61).await;
    assert_eq!(app.state(second).await.name(), "ended");
    assert_eq!(app.entra.accounts().len(), 1);
    app.end().await;
}

/// F86: a burner is deleted at the end, and the next grant makes another account under another name.
#[tokio::test(flavor = "multi_thread")]
async fn a_burner_is_deleted_and_its_name_is_never_used_again() {
    let app = TestApp::start_with(&[("mode = \"standard\"", "mode = \"burner\"")]).await;
    let first = app.active_on(app.psa.projects).await;
    let ((name, password), object) = (app.credentials(first), app.entra.object());
    app.minutes(61).await;
    assert!(app.entra.accounts().is_empty());
    assert_eq!(app.entra.sim.sign_in(TENANT, &name, &password).unwrap_err(), Refused::NoUser);
    let bin = app.entra.sim.deleted_users(TENANT);
    assert_eq!(bin.iter().map(|u| u["id"].as_str().unwrap()).collect::<Vec<_>>(), [object]);
    let notes = app.psa.notes(first);
    let last = notes.last().unwrap();
    assert!(last.contains("the account does not exist"), "{last}");
    assert!(last.contains("recycle bin, restorable by an admin"), "{last}");
    let second = app.active_on(app.psa.projects).await;
    assert_ne!(app.credentials(second).0, name);
    app.minutes(61).await;
    assert!(app.entra.accounts().is_empty());
    assert_eq!(app.psa.status(second), app.psa.projects.done);
    app.end().await;
}

/// F86: where the vendor lets an application purge, nothing is left in the recycle bin either.
#[tokio::test(flavor = "multi_thread")]
async fn a_burner_is_purged_where_the_vendor_allows_it() {
    let app = TestApp::start_with(&[("mode = \"standard\"", "mode = \"burner\"")]).await;
    app.entra.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
    let ticket = app.active().await;
    app.minutes(61).await;
    assert!(app.entra.accounts().is_empty() && app.entra.sim.deleted_users(TENANT).is_empty());
    assert!(!app.psa.notes(ticket).last().unwrap().contains("recycle bin"));
    app.end().await;
}

/// F91: every account is found by its mark, without our database, and by nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn every_account_carries_our_mark() {
    let app = TestApp::start().await;
    app.entra.sim.add_user(TENANT, UserSeed::new("somebody@contoso.onmicrosoft.com"));
    let ticket = app.active().await;
    let account = app.grant(ticket).await.account;
    let directory = app.directory().await;
    for is_enabled in [true, false] {
        let marked = directory.find_marked().await.unwrap();
        let [found] = &marked[..] else { panic!("one account carries the mark: {marked:?}") };
        assert_eq!((found.mark.as_ref(), found.is_enabled), (Some(&account), is_enabled));
        assert_eq!((found.object.as_str(), found.name.as_str()), (&*app.entra.object(), &*app.entra.name()));
        app.minutes(61).await;
    }
    app.end().await;
}

/// F117, F126: where the tenant has PIM, the role has an end of its own after ours, which holds when we are gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_directory_ends_a_role_itself_when_we_are_gone() {
    let mut app = TestApp::start().await;
    app.entra.sim.set_licence(TENANT, Licence::P2);
    let ticket = app.active().await;
    let until = app.state(ticket).await.end().unwrap();
    let held = app.entra.sim.assignments(TENANT, &app.entra.object());
    let end = held[0]["end_ms"].as_i64().expect("the assignment has an end");
    assert!(end > until.millis() && end <= until.millis() + 25 * 60_000, "{held:?}");
    app.down().await;
    app.clock.pass(Duration::from_secs(3 * 3600));
    assert!(app.entra.roles().is_empty(), "PIM took it");
    assert!(app.entra.is_enabled(), "the rest is ours to do");
    app.up().await;
    app.run().await;
    app.minutes(1).await;
    assert!(!app.entra.is_enabled());
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(app.psa.notes(ticket).last().unwrap().contains("Removal was due 2026-06-09 22:00:"));
    app.end().await;
}

/// F84, F117, F127: on time, with PIM; and without it plainly, without an end of the directory's own.
#[tokio::test(flavor = "multi_thread")]
async fn access_ends_on_time_with_and_without_the_licence() {
    for (licence, is_bound) in [(Licence::P2, true), (Licence::P1, false)] {
        let app = TestApp::start().await;
        app.entra.sim.set_licence(TENANT, licence);
        let ticket = app.active().await;
        let held = app.entra.sim.assignments(TENANT, &app.entra.object());
        assert_eq!(held[0]["end_ms"].is_i64(), is_bound, "{held:?}");
        app.minutes(61).await;
        assert_eq!((app.entra.is_enabled(), app.entra.roles()), (false, vec![]));
        let notes = app.psa.notes(ticket);
        assert_eq!(notes.last().unwrap().contains("Not checked:"), !is_bound, "{notes:?}");
        app.end().await;
    }
}

/// F84, F123: PIM takes no role in its first five minutes; sign-in is cut at once, the role as soon as it can be.
#[tokio::test(flavor = "multi_thread")]
async fn ended_within_pims_first_minutes_sign_in_is_cut_before_the_role() {
    let app = TestApp::start().await;
    app.entra.sim.set_licence(TENANT, Licence::P2);
    app.entra.sim.knobs(|knobs| knobs.delete_ends_pim = false);
    let ticket = app.active().await;
    app.minutes(1).await;
    app.end_now(&app.grant(ticket).await).await;
    app.run().await;
    assert!(!app.entra.is_enabled(), "sign-in is cut at once");
    assert!(app.entra.groups().is_empty());
    assert_eq!(app.state(ticket).await.name(), "ending");
    assert_eq!(app.entra.roles(), [HELPDESK_ROLE], "PIM keeps it for five minutes");
    app.minutes(5).await;
    assert!(app.entra.roles().is_empty());
    assert_eq!(app.state(ticket).await.name(), "ended");
    let told = app.psa.told(ticket);
    assert_eq!(told.last().unwrap(), "Latchkey: access has ended, proven off.");
    assert!(app.psa.notes(ticket).last().unwrap().contains("Why: ended by the technician."));
    app.end().await;
}

/// F84, F123, F127: what the account collected while it lived is gone with it, and so are its sessions.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_collected_by_hand_is_gone_at_the_end() {
    let app = TestApp::start().await;
    app.entra.sim.set_licence(TENANT, Licence::P2);
    let other = GroupSeed { display_name: "Finance".into(), ..GroupSeed::default() };
    let (joined, owned) = (app.entra.sim.add_group(TENANT, other.clone()), app.entra.sim.add_group(TENANT, other));
    let unit = app.entra.sim.add_unit(TENANT, "Branch", false, &[]);
    let ticket = app.active_on(app.psa.projects).await;
    let (name, password) = app.credentials(ticket);
    let session = app.entra.sim.sign_in(TENANT, &name, &password).unwrap().session;
    let hand = app.entra.sim.by_hand(TENANT);
    hand.add_method(&name, "phoneAuthenticationMethod");
    hand.add_method(&name, "fido2AuthenticationMethod");
    hand.join_group(&name, &joined);
    let owner = app.entra.sim.add_user(TENANT, UserSeed::new("owner@contoso.onmicrosoft.com"));
    hand.own_group(&owner, &owned);
    hand.own_group(&name, &owned);
    hand.assign_role(&name, READER_ROLE, "/");
    hand.assign_role(&name, HELPDESK_ROLE, &format!("/administrativeUnits/{unit}"));
    app.entra.sim.add_eligibility(TENANT, &app.entra.object(), HELPDESK_ROLE);
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended", "{:?}", app.psa.notes(ticket));
    assert!(app.entra.sim.methods_of(TENANT, &name).is_empty());
    assert!(app.entra.groups().is_empty());
    assert!(app.entra.sim.assignments(TENANT, &name).is_empty());
    assert_eq!(app.entra.sim.use_session(&session).unwrap_err(), Refused::Disabled);
    app.entra.sim.by_hand(TENANT).enable(&name);
    assert_eq!(app.entra.sim.use_session(&session).unwrap_err(), Refused::SessionEnded);
    app.minutes(2).await;
    assert!(!app.entra.is_enabled(), "and cut again");
    app.end().await;
}

/// F125, F126: what the vendor will not let go (a group's only owner) is told, asked for again, and proven when it goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendor_will_not_take_is_told_and_never_given_up() {
    let app = TestApp::start().await;
    let group = app.entra.sim.add_group(TENANT, GroupSeed { display_name: "Finance".into(), ..GroupSeed::default() });
    let owner = app.entra.sim.add_user(TENANT, UserSeed::new("owner@contoso.onmicrosoft.com"));
    let ticket = app.active().await;
    app.entra.sim.by_hand(TENANT).own_group(&app.entra.name(), &group);
    app.minutes(65).await;
    assert_eq!((app.entra.is_enabled(), app.entra.roles()), (false, vec![]), "all else is gone");
    assert_eq!(app.state(ticket).await.name(), "ending");
    app.minutes(60).await;
    let overdue = |told: &[String]| told.iter().filter(|t| t.contains("could not be made to remove it yet")).count();
    assert_eq!(overdue(&app.psa.told(ticket)), 1, "{:?}", app.psa.told(ticket));
    app.entra.sim.by_hand(TENANT).own_group(&owner, &group);
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(app.psa.notes(ticket).last().unwrap().contains("- no ownership"));
    app.end().await;
}

/// F83, F126: somebody enables it again after the end; it is cut again, and the ticket says so.
#[tokio::test(flavor = "multi_thread")]
async fn enabled_again_by_hand_after_the_end_it_is_cut_again_and_told() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.minutes(61).await;
    let name = app.entra.name();
    for (rest_s, times) in [(20, 1), (300, 2)] {
        app.pass(Duration::from_secs(rest_s)).await;
        app.entra.sim.by_hand(TENANT).enable(&name);
        app.entra.sim.by_hand(TENANT).assign_role(&name, EXCHANGE_ROLE, "/");
        app.minutes(10).await;
        assert_eq!((app.entra.is_enabled(), app.entra.roles()), (false, vec![]), "after {rest_s} s");
        let notes = app.psa.notes(ticket);
        let told = notes.iter().filter(|n| n.contains("was changed outside Latchkey after this access had ended"));
        assert_eq!(told.count(), times, "{notes:?}");
    }
    assert_eq!(app.psa.status(ticket), app.psa.desk.done);
    app.end().await;
}

/// F84: a role given by hand after the end, to the disabled account, does not stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_given_by_hand_after_the_end_is_taken() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.minutes(61).await;
    app.entra.sim.by_hand(TENANT).assign_role(&app.entra.name(), EXCHANGE_ROLE, "/");
    app.minutes(2).await;
    assert!(app.entra.roles().is_empty());
    assert!(app.psa.told(ticket).last().unwrap().contains("was changed outside Latchkey"));
    app.end().await;
}

/// F126, F127: deleted by hand while it lives: ended with proof on time. Restored by hand: cut again.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_by_hand_while_it_lives_it_ends_with_proof() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.entra.sim.by_hand(TENANT).delete(&app.entra.name());
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(app.psa.notes(ticket).last().unwrap().contains("the account does not exist"));
    assert_eq!(app.psa.status(ticket), app.psa.desk.done);
    app.end().await;
}

/// F85, F87: deleted by hand, the account is made anew for the next ticket.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_deleted_between_two_grants_is_made_anew() {
    let app = TestApp::start().await;
    app.active().await;
    let object = app.entra.object();
    app.minutes(61).await;
    app.entra.sim.by_hand(TENANT).delete(&object);
    app.minutes(30).await;
    let second = app.active_on(app.psa.projects).await;
    let (name, password) = app.credentials(second);
    assert_ne!(app.entra.object(), object);
    assert!(app.entra.sim.sign_in(TENANT, &name, &password).is_ok());
    app.minutes(61).await;
    assert_eq!(app.state(second).await.name(), "ended");
    app.end().await;
}

/// F83, F127: a new name hides nothing: the account is found by its id and cut.
#[tokio::test(flavor = "multi_thread")]
async fn renamed_by_hand_while_it_lives_it_is_cut_all_the_same() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let object = app.entra.object();
    app.entra.sim.by_hand(TENANT).rename(&object, "quiet@contoso.onmicrosoft.com");
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    let user = app.entra.sim.user(TENANT, &object).unwrap();
    assert_eq!(user["accountEnabled"], false);
    assert!(app.entra.sim.assignments(TENANT, &object).is_empty());
    assert!(app.entra.sim.groups_of(TENANT, &object).is_empty());
    app.end().await;
}

/// F22, F110, F111: an account that an admin protects, in the tenant or here, is not written to, and the ticket says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_protected_account_is_refused_before_any_write() {
    for is_listed in [true, false] {
        let app = TestApp::start().await;
        app.active().await;
        app.minutes(61).await;
        let object = app.entra.object();
        let sentence = if is_listed {
            app.protect(&object).await;
            "The account is on this connection's list of protected accounts.\n"
        } else {
            app.entra.sim.add_unit(TENANT, "Break glass", true, &[&object]);
            "The account is in a restricted management administrative unit.\n"
        };
        let before = app.entra.writes();
        let ticket = app.psa.ticket();
        app.psa.ask(ticket);
        app.run().await;
        assert_eq!(app.state(ticket).await.name(), "refused");
        let notes = app.psa.notes(ticket);
        let last = notes.last().unwrap();
        assert!(last.starts_with("Latchkey: access was not granted.") && last.contains(sentence), "{last}");
        assert_eq!(app.psa.status(ticket), app.psa.desk.refused);
        assert_eq!(app.entra.writes(), before, "nothing was written");
        app.end().await;
    }
}

/// F91: an account of the same name without our mark is somebody else's: refused, untouched.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_the_same_name_without_our_mark_is_left_alone() {
    let app = TestApp::start().await;
    let theirs = UserSeed { enabled: false, ..UserSeed::new("jit-jane@contoso.onmicrosoft.com") };
    let object = app.entra.sim.add_user(TENANT, theirs);
    let before: Option<Value> = app.entra.sim.user(TENANT, &object);
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    let notes = app.psa.notes(ticket);
    let last = notes.last().unwrap();
    assert!(last.contains("The name jit-jane@contoso.onmicrosoft.com is taken by another account.\n"), "{last}");
    assert!(last.contains("Nothing was given."), "{last}");
    assert_eq!(app.state(ticket).await.name(), "refused");
    assert_eq!(app.psa.status(ticket), app.psa.desk.refused);
    assert_eq!(app.entra.sim.user(TENANT, &object), before);
    assert!(app.entra.writes().is_empty(), "{:?}", app.entra.writes());
    app.end().await;
}

/// F119: with 100,000 grants waiting, removal begins at its time: no clock passes that second, so nothing that
/// waits can begin it. How soon that is in a second's parts, `latchkey-sandbox bench` measures.
#[tokio::test(flavor = "multi_thread")]
async fn removal_begins_at_its_time_with_a_hundred_thousand_grants_waiting() {
    const WAITING: i64 = 100_000;
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    let grant = app.grant(ticket).await;
    app.down().await;
    fill(&app, grant.id.as_str(), WAITING).await;
    app.up().await;
    app.run().await;
    let queue = app.store().queue(app.clock.now()).await.unwrap();
    assert!(queue.future >= u64::try_from(WAITING).unwrap(), "{queue:?}");
    let due = grant.state.end().unwrap();
    app.pass(due.since(app.clock.now()) - Duration::from_millis(1)).await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.clock.pass(Duration::from_millis(1));
    soon!("the removal", app.state(ticket).await.name() != "active");
    app.minutes(1).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.end().await;
}

/// Copies an active grant and its waiting task many times, to fall due in the days to come.
async fn fill(app: &TestApp, grant: &str, count: i64) {
    let later = app.clock.now().millis() + 48 * 3600 * 1000;
    let made = match app.stranger().await {
        Stranger::Sqlite(mut conn) => {
            let grants = "INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                SELECT printf('copy%08d', i), version, printf('elsewhere/%d', i), printf('acct%08d', i), printf('p%08d', i), state,
                       is_open, $2 + i, json_set(doc, '$.id', printf('copy%08d', i), '$.account', printf('acct%08d', i),
                                                       '$.ticket.connection', 'elsewhere', '$.ticket.ticket', printf('%d', i))
                FROM n, grants WHERE id = $3";
            sqlx::query(grants).bind(count).bind(later).bind(grant).execute(&mut conn).await.unwrap();
            sqlx::query(TASKS).bind(grant).execute(&mut conn).await.unwrap().rows_affected()
        }
        Stranger::Postgres(mut conn) => {
            let grants = "INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc)
                SELECT format('copy%s', i), version, format('elsewhere/%s', i), format('acct%s', i), format('p%s', i), state,
                       is_open, $2 + i, CAST(CAST(doc AS jsonb) || jsonb_build_object('id', format('copy%s', i), 'account', format('acct%s', i),
                           'ticket', jsonb_build_object('connection', 'elsewhere', 'ticket', CAST(i AS TEXT))) AS TEXT)
                FROM generate_series(900000000, 900000000 + $1 - 1) AS i, grants WHERE id = $3";
            sqlx::query(grants).bind(count).bind(later - 900_000_000).bind(grant).execute(&mut conn).await.unwrap();
            sqlx::query(TASKS).bind(grant).execute(&mut conn).await.unwrap().rows_affected()
        }
    };
    assert_eq!(made, u64::try_from(count).unwrap());
}

const TASKS: &str = "INSERT INTO tasks (slot, key, connection, kind, work, priority, state, run_at, created_at)
    SELECT replace(t.slot, $1, g.id), replace(t.key, $1, g.id), t.connection, t.kind,
           replace(t.work, $1, g.id), t.priority, t.state, g.due_at, t.created_at
    FROM tasks AS t, grants AS g WHERE t.slot = 'due:' || $1 AND g.id LIKE 'copy%'";

/// F126, F127: a hold is no refusal of new requests alone: what stands is taken at once, and proven off.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_access_that_stands() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.change_rules(|rules| rules.records.customers[0].jit = false).await;
    app.pass(Duration::from_secs(20)).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    let notes = app.psa.notes(ticket);
    let why = "Why: just-in-time access is switched off for customer acme.";
    assert!(notes.last().is_some_and(|note| note.contains(why)), "{notes:?}");
    app.end().await;
}
