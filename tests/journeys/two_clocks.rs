//! The second clock: the service is gone for ever in the middle of a grant. Where the tenant keeps an end of its own, the
//! access ends by it; where it keeps none, that is said here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use latchkey_simulators::{fault::Act, graph::Licence};

use crate::harness::*;

/// What the policy allows, the time that giving and telling may take, and the margin by which ours comes first.
const THE_TENANTS_END: Duration = Duration::from_secs((60 + 15 + 10) * 60);

/// Where the service is when it is gone.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The role was given, and the answer never came.
    RoleGiven,
    /// The account is ready, and nobody could be told.
    BeingTold,
    /// The person has it.
    InUse,
}

impl Moment {
    const ALL: [Self; 3] = [Self::RoleGiven, Self::BeingTold, Self::InUse];

    const fn state(self) -> &'static str {
        match self {
            Self::RoleGiven => "granting",
            Self::BeingTold => "delivering",
            Self::InUse => "active",
        }
    }

    fn arrange(self, app: &TestApp) {
        match self {
            Self::RoleGiven => {
                let is_gone = Arc::new(AtomicBool::new(false));
                let (sees, now) = (Arc::clone(&is_gone), Act::after(move |_| is_gone.store(true, Ordering::SeqCst)));
                app.entra.fail(|call| gives_a_role(call.op), now);
                app.entra.fail(|call| gives_a_role(call.op), Act::ResetAfter);
                app.entra.fail(move |_| sees.load(Ordering::SeqCst), Act::ResetBefore);
            }
            Self::BeingTold => {
                let tells = |body: &serde_json::Value| body["text"].as_str().is_some_and(|t| t.contains("granted"));
                app.psa.fail(
                    move |call| call.method == "POST" && call.body_json.as_ref().is_some_and(tells),
                    Act::ResetBefore,
                );
            }
            Self::InUse => {}
        }
    }
}

fn gives_a_role(op: &str) -> bool {
    op.starts_with("POST /roleManagement/directory/roleAssignment")
}

/// A grant whose service is gone.
async fn left_alone(licence: Licence, moment: Moment) -> (TestApp, i64) {
    let mut app = TestApp::start().await;
    app.entra.sim.set_licence(TENANT, licence);
    moment.arrange(&app);
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), moment.state(), "{moment:?}");
    assert_eq!(app.entra.roles(), [HELPDESK_ROLE], "{moment:?}");
    app.down().await;
    (app, ticket)
}

/// The service is back after all: what no other clock has ended, it ends.
async fn back(mut app: TestApp, ticket: i64) {
    app.entra.sim.faults().clear();
    app.psa.sim.faults().clear();
    app.up().await;
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ended", "{:?}", app.psa.notes(ticket));
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty() && app.entra.groups().is_empty());
    app.end().await;
}

/// F130: with PIM, the tenant takes the role at the end that was set when it was given, with nobody there to ask for it;
/// whenever it was that the service died.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_ever_in_the_middle_of_a_grant_the_tenants_own_clock_takes_the_role() {
    for moment in Moment::ALL {
        let (app, ticket) = left_alone(Licence::P2, moment).await;
        let object = app.entra.object();
        app.clock.pass(THE_TENANTS_END - Duration::from_secs(60));
        assert_eq!(app.entra.roles(), [HELPDESK_ROLE], "{moment:?}: ours comes first");
        app.clock.pass(Duration::from_secs(60));
        assert!(app.entra.roles().is_empty(), "{moment:?}: {:?}", app.entra.roles());
        let spans = app.entra.sim.role_spans(TENANT, &object, HELPDESK_ROLE);
        assert_eq!(spans.len(), 1, "{moment:?}: {spans:?}");
        let lasted = spans[0].until_ms.unwrap() - spans[0].from_ms;
        assert!(u128::try_from(lasted).unwrap() <= THE_TENANTS_END.as_millis(), "{moment:?}: {lasted} ms");
        assert!(app.entra.is_enabled(), "an account has no end of its own in any tenant");
        let is_member = app.entra.groups() == std::slice::from_ref(&app.entra.group);
        assert_eq!(is_member, !matches!(moment, Moment::RoleGiven), "nor has a membership, once it is given");
        back(app, ticket).await;
    }
}

/// F130: without the licence there is no second clock: what was given stays until the service is back, however late.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_licence_there_is_no_second_clock() {
    for licence in [Licence::P1, Licence::Free] {
        let (app, ticket) = left_alone(licence, Moment::InUse).await;
        app.clock.pass(Duration::from_secs(3 * 86_400));
        assert_eq!(app.entra.roles(), [HELPDESK_ROLE], "{licence:?}");
        assert!(app.entra.is_enabled());
        back(app, ticket).await;
    }
}
