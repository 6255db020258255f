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

story::tell!(fresh:
    a_delivery_is_recorded_once_with_its_task,
    rules_are_saved_one_revision_after_another,
    records_and_rulebook_have_histories_of_their_own,
    a_record_does_not_go_while_access_needs_it,
    a_hold_is_undone_by_its_own_word_alone,
    a_hold_looks_again_at_what_it_is_about,
    a_brake_is_counted_again_where_it_is_written,
    an_account_is_found_by_its_name,
    a_transition_is_written_whole_and_read_back,
    a_version_that_moved_changes_nothing,
    two_requests_cannot_make_two_standard_accounts,
    accounts_are_listed_page_by_page,
    a_destroyed_secret_is_gone_and_its_name_free,
    data_keys_are_wrapped_anew_and_a_retired_key_takes_no_more,
    sightings_and_notices_are_replaced,
    notices_stay_in_the_order_of_their_commits,
    the_audit_is_one_chain,
    audit_entries_are_found_by_what_they_are_about,
    what_is_pruned_leaves_a_checkpoint,
    a_claim_takes_what_is_due_removals_first,
    one_key_has_one_hand,
    nothing_is_claimed_while_a_copy_is_compared,
    what_is_owed_where_it_was_compared_is_claimed,
    what_is_in_hand_gives_nothing_while_a_copy_is_compared,
    a_connection_at_its_limit_is_skipped_but_not_by_removals,
    a_lease_that_ran_out_is_lost_to_who_comes_next,
    a_lease_does_not_fit_a_later_task_of_its_slot,
    a_waiting_task_is_moved_and_the_more_urgent_priority_stays,
    what_is_asked_for_again_while_it_runs_runs_again,
    retries_count_and_the_dead_are_visible_until_asked_for,
    a_removal_is_never_given_up,
    the_sweep_makes_what_is_missing_once,
    the_sweep_wakes_a_dead_removal_and_lets_a_dead_delivery_lie,
    many_workers_never_hold_the_same_task,
    a_one_time_code_works_once,
    an_invitation_enrols_once,
    who_is_removed_takes_their_factors_along,
    every_binding_is_audited,
    failures_are_counted_per_key_and_time,
    a_session_ends_by_its_end_by_idling_by_closing_and_by_enrolment,
    the_last_wall_time_is_remembered,
    trouble_begins_once_and_ends_once,
    a_save_that_nobody_saw_is_found,
    who_is_held_is_not_here,
    the_sweep_makes_who_watches,
);

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
