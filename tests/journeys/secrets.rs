//! Secrets change while the service runs: no delivery is lost, and nothing that stands is given up.

use std::{sync::Arc, time::Duration};

use latchkey::{
    audit::By,
    registry::{FORMER_LIVES, HookPath, Renewed},
    seal::{self, Seal},
    store::Store,
};
use latchkey_contract::{
    Clock, ConnectionId, TicketSystem,
    ticket::{WantedHooks, WebhookChanges},
};

use crate::harness::*;

/// What the commands of an operator work with, beside the service that runs.
struct Operator {
    store: Arc<dyn Store>,
    seal: Seal,
    cw: ConnectionId,
    psa: Arc<dyn TicketSystem>,
}

impl Operator {
    async fn at(app: &TestApp) -> Self {
        let store = app.store();
        let seal = seal::unlock(&app.config().key_file, store.as_ref(), app.clock.now()).await.unwrap();
        Self { store, seal, cw: "cw".parse().unwrap(), psa: app.connector().await }
    }

    fn path(&self) -> HookPath<'_> {
        HookPath::new(self.store.as_ref(), &self.seal, &self.cw)
    }

    async fn sync(&self, app: &TestApp) -> Result<WebhookChanges, latchkey_contract::CallError> {
        let secret = self.path().secret().await.unwrap().unwrap();
        let url = app.config().public(&format!("/hooks/cw/{}", secret.expose()));
        let boards = [app.psa.desk.board, app.psa.projects.board].map(|b| b.to_string().parse().unwrap()).into();
        self.psa.sync_webhooks(&WantedHooks { url, boards, fields: Default::default() }).await
    }
}

fn answers(app: &TestApp) -> Vec<Option<u16>> {
    app.psa.sim.deliveries().iter().map(|delivery| delivery.status).collect()
}

/// F178: a delivery that is under way to the old path is taken, and an hour after the move the old path is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_secret_is_rotated_without_losing_a_delivery() {
    let app = TestApp::start().await;
    let operator = Operator::at(&app).await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    assert!(app.psa.sim.held() > 0, "it is under way");

    assert_eq!(operator.path().renew(&By::operator("test"), app.clock.now()).await.unwrap(), Renewed::Another);
    assert_eq!(operator.path().renew(&By::operator("test"), app.clock.now()).await.unwrap(), Renewed::UnderWay);
    assert_eq!(operator.sync(&app).await.unwrap().repaired, 2);
    let until = operator.path().moved(&By::operator("test"), app.clock.now()).await.unwrap();
    assert_eq!(until, Some(app.clock.now() + FORMER_LIVES));

    app.psa.sim.release();
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", answers(&app));
    let old = app.psa.sim.deliveries().first().unwrap().clone();
    assert!(old.url.contains(HOOK_SECRET) && old.status == Some(202), "{:?}", old.status);
    let new = app.psa.ticket();
    app.psa.ask_as("msmith", new);
    app.run().await;
    assert_eq!(app.state(new).await.name(), "active");
    let last = app.psa.sim.deliveries().last().unwrap().clone();
    assert!(!last.url.contains(HOOK_SECRET), "it came by the new path");

    app.pass(FORMER_LIVES - Duration::from_secs(60)).await;
    assert!(app.psa.sim.replay(old.n));
    app.psa.sim.settled().await;
    assert_eq!(answers(&app).last().unwrap(), &Some(202), "in its time");
    app.minutes(2).await;
    assert!(app.psa.sim.replay(old.n) && app.psa.sim.replay(last.n));
    app.psa.sim.settled().await;
    assert_eq!(answers(&app)[answers(&app).len() - 2..], [Some(401), Some(202)]);
    assert!(operator.path().moved(&By::operator("test"), app.clock.now()).await.unwrap().is_none());
    assert!(operator.path().former().await.unwrap().is_none(), "it is not kept either");
    app.end().await;
}

/// F178: the PSA is down in the middle of a move: both paths are accepted until the webhooks have moved, however long.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_breaks_off_loses_nothing_and_is_gone_on_with() {
    let mut app = TestApp::start().await;
    let operator = Operator::at(&app).await;
    operator.path().renew(&By::operator("test"), app.clock.now()).await.unwrap();
    let fired =
        app.psa.fail(|call| call.op.ends_with("/system/callbacks/{id}"), latchkey_simulators::fault::Act::ResetBefore);
    assert!(operator.sync(&app).await.is_err() && fired.count() > 0);
    drop(operator);
    app.down().await;
    app.clock.pass(FORMER_LIVES * 3);
    app.psa.sim.faults().clear();
    app.up().await;
    let ticket = app.active().await;
    assert!(app.psa.sim.deliveries().last().unwrap().url.contains(HOOK_SECRET), "the webhooks are where they were");

    let operator = Operator::at(&app).await;
    assert_eq!(operator.path().renew(&By::operator("test"), app.clock.now()).await.unwrap(), Renewed::UnderWay);
    operator.sync(&app).await.unwrap();
    assert!(operator.path().moved(&By::operator("test"), app.clock.now()).await.unwrap().is_some());
    assert!(
        operator.path().moved(&By::operator("test"), app.clock.now()).await.unwrap().is_none(),
        "its end does not move"
    );
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}
