//! The model, held to every chapter; and what only it has to prove.

use crate::store::{
    Recorded, Store, StoreError,
    model::Model,
    story::{self, *},
    verify_chain,
};

async fn fresh() -> Option<((), Model)> {
    Some(((), Model::default()))
}

story::tell_all!(fresh);

/// Breaks the model's chain by its own means.
struct ByHand<'a>(&'a Model);

#[async_trait::async_trait]
impl Breaks for ByHand<'_> {
    async fn break_it(&mut self) {
        self.0.break_chain(true);
    }
    async fn mend(&mut self) {
        self.0.break_chain(false);
    }
}

/// F143.
#[tokio::test]
async fn without_the_chain_nothing_is_given_and_removals_go_on() {
    let model = Model::default();
    story::without_the_chain_nothing_is_given_and_removals_go_on(&model, &mut ByHand(&model)).await;
}

/// F143.
#[tokio::test]
async fn what_is_owed_is_chained_without_another_entry() {
    let model = Model::default();
    story::what_is_owed_is_chained_without_another_entry(&model, &mut ByHand(&model)).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let model = Model::default();
    before_the_end(&model).await;
    model.crash();
    after_the_end(&model).await;
}

/// What an engine may not do: the model can, so that it is seen to be noticed.
#[tokio::test]
async fn what_was_answered_before_it_was_synced_is_forgotten_whole() {
    let model = Model::lazy();
    before_the_end(&model).await;
    assert!(model.grant(&"g1".parse().unwrap()).await.unwrap().is_some(), "it is there while nothing dies");
    model.crash();
    assert!(model.grant(&"g1".parse().unwrap()).await.unwrap().is_none());
    assert_eq!(model.record_delivery(delivery("d2", "m1", Some("4711"))).await.unwrap(), Recorded::New);
    assert_eq!(model.queue(START).await.unwrap().ready, 1, "of the delivery alone");
    assert_eq!((model.last_seen().await.unwrap(), model.audit_head().await.unwrap()), (None, None));
}

/// What fails on its way leaves nothing behind, in whatever order it would have written.
#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_behind() {
    let model = Model::default();
    before_the_end(&model).await;
    let whole = crate::store::Transition {
        grants: vec![grant("g2", "a1", "4711", granting())],
        audit: vec![entry("x")],
        tasks: vec![task(tell_work("4711"), START, crate::jobs::task::Priority::Telling)],
        delivery_done: Some(("no such delivery".into(), "granted".into())),
        ..transition()
    };
    assert!(matches!(model.commit(whole).await, Err(StoreError::Conflict)));
    assert!(model.grant(&"g2".parse().unwrap()).await.unwrap().is_none());
    let audit = model.audit(0, 10).await.unwrap();
    assert_eq!((audit.len(), verify_chain((0, ""), &audit).is_ok()), (1, true));
    assert_eq!(claim(&model, START).await.len(), 2);
}
