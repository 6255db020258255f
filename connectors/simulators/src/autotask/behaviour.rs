//! Where the vendor's documents leave room, or its tenants differ: one switch each.

use std::collections::BTreeMap;

/// How a picklist's value stands in the `Fields` of a callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// `"8"`.
    #[default]
    Text,
    /// `8`.
    Number,
    /// `"In Progress"`.
    Label,
}

/// Where user-defined fields stand in the `Fields` of a callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UdfPlace {
    /// `Fields["JIT State"]`.
    #[default]
    Flat,
    /// `Fields["userDefinedFields"] = [{name, value}]`.
    Nested,
    /// Nowhere.
    Absent,
}

/// What a webhook whose `isActive` is set to true again does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reactivation {
    /// It sends again.
    #[default]
    Works,
    /// The change is accepted and does not stick.
    IsIgnored,
}

/// How the ticket history words a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryText {
    /// `Status changed from "New" to "In Progress"`.
    #[default]
    English,
    /// `Status geändert von „Neu“ in „In Bearbeitung“`, with the field's name as the tenant has it.
    German,
    /// `Changed Status from New to In Progress`.
    Unquoted,
    /// `Ticket edited`, and nothing more.
    Mute,
}

/// Switches of a running simulator; see [`super::Autotask::behave`].
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// `PersonId` instead of `PersonID`.
    pub person_id_spelling: bool,
    pub values: Values,
    pub udfs: UdfPlace,
    /// The deactivation callout carries a signature.
    pub deactivation_is_signed: bool,
    /// It carries `EntityType` and empty `Fields`.
    pub deactivation_is_whole: bool,
    /// Delete callouts have no `Fields` at all.
    pub delete_without_fields: bool,
    pub reactivation: Reactivation,
    /// Two webhooks of the same URL are refused.
    pub refuses_duplicates: bool,
    pub history: HistoryText,
    /// What the history calls a field, by its name in REST; `Status` and so on where nothing is said.
    pub history_words: BTreeMap<String, String>,
    /// What a missing record is answered with at `GET /{Entity}/{id}`: 200 with `item: null`, or 404 with errors.
    pub missing_is_404: bool,
    /// The status of answers beyond a limit.
    pub limit_status: u16,
    /// Threads at one endpoint.
    pub threads: usize,
    /// Calls in a rolling hour.
    pub calls_per_hour: u32,
    /// The longest description of a note.
    pub note_length: usize,
    /// A ticket's `userDefinedFields` are absent, `[]` or `{}` where none has a value.
    pub no_udfs: NoUdfs,
    /// The API user may register webhooks.
    pub may_create_webhooks: bool,
    /// The API user sees itself among the resources.
    pub sees_itself: bool,
    /// How far the `Date` of answers is from the simulator's clock, in seconds.
    pub date_off_s: i64,
}

/// What a ticket without any value shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoUdfs {
    #[default]
    Absent,
    EmptyList,
    EmptyObject,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            person_id_spelling: false,
            values: Values::default(),
            udfs: UdfPlace::default(),
            deactivation_is_signed: false,
            deactivation_is_whole: false,
            delete_without_fields: false,
            reactivation: Reactivation::default(),
            refuses_duplicates: true,
            history: HistoryText::default(),
            history_words: BTreeMap::new(),
            missing_is_404: false,
            limit_status: 500,
            threads: 3,
            calls_per_hour: 10_000,
            note_length: 32_000,
            no_udfs: NoUdfs::default(),
            may_create_webhooks: true,
            sees_itself: true,
            date_off_s: 0,
        }
    }
}
