//! The story that every engine tells: each chapter takes a fresh store and knows nothing of the engine.
//!
//! `tell_all!` makes one test per chapter, so that each engine is held to every one of them.

mod access;
mod audit;
mod model;
mod people;
mod sample;
mod tasks;
mod watched;

pub(crate) use access::*;
pub(crate) use audit::*;
pub(crate) use people::*;
pub(crate) use sample::*;
pub(crate) use tasks::*;
pub(crate) use watched::*;

/// One test per chapter. `$fresh` is an async function that answers a guard and a fresh store, or nothing where the engine
/// is not on this machine.
macro_rules! tell {
    ($fresh:path: $($chapter:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $chapter() {
            let Some((_guard, store)) = $fresh().await else { return };
            crate::store::story::$chapter(&store).await;
        }
    )+};
}
pub(crate) use tell;

/// Every chapter that needs nothing but a store.
macro_rules! tell_all {
    ($fresh:path) => {
        crate::store::story::tell!($fresh:
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
            of_the_removals_that_are_due_the_riskiest_goes_first,
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
            tickets_with_access_are_looked_at_in_turn,
            the_sweep_makes_who_watches,
            a_bad_write_never_fails_its_neighbours,
        );
    };
}
pub(crate) use tell_all;
