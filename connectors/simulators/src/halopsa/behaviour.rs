//! Where the vendor's documents leave room, or its builds differ: one switch each.

/// Switches of a running simulator; see [`super::HaloPsa::behave`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// One record that was posted is answered as an array of one.
    pub answers_arrays: bool,
    /// Ids are answered as strings.
    pub ids_are_strings: bool,
    /// A ticket's update must name its type and client, or the ticket is not found.
    pub updates_need_type_and_client: bool,
    /// What a change to a ticket that is not there is answered with: 400 or 404.
    pub unknown_record: u16,
    /// A deleted ticket is still answered, with its flags, instead of 404.
    pub deleted_is_shown: bool,
    /// Builds before 2025: tickets name their team and not its number.
    pub has_no_team_id: bool,
    /// The list of tickets is not sorted, whatever is asked.
    pub ignores_order: bool,
    /// Every page of a list is its first.
    pub ignores_paging: bool,
    /// `excludeclosed` does nothing.
    pub ignores_exclude_closed: bool,
    /// The history is listed oldest first.
    pub oldest_action_first: bool,
    /// Rows of the history are listed without the fields of their action.
    pub lists_no_action_fields: bool,
    /// `dateclosed` stays after a ticket is opened again.
    pub keeps_date_closed: bool,
    /// The `tenant` parameter must be there and right; where not, it must only not be wrong.
    pub demands_tenant: bool,
    pub closing: Closing,
    /// Calls in any five minutes.
    pub budget: usize,
    /// A throttled answer says how long to wait.
    pub says_retry_after: bool,
    /// The event numbers that the documents do not tell.
    pub reassigned_event: i64,
    pub updated_event: i64,
    /// How far the `Date` of answers is from the simulator's clock, in seconds.
    pub date_off_s: i64,
    /// What `who` is read back as, when a note carries one: `None` as the caller wrote it.
    pub ignores_who: bool,
    /// The hidden flag is dropped from whatever is posted, as an action's own settings may do.
    pub shows_every_note: bool,
    /// Builds without `/Agent/me`.
    pub has_no_agent_me: bool,
    /// The agent's role does not let it delete actions: 403.
    pub forbids_deleting_actions: bool,
    /// Edits of a ticket's details leave an entry that does not tell which fields they set.
    pub edits_tell_no_fields: bool,
}

/// What closing a ticket comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Closing {
    #[default]
    Allowed,
    /// 400.
    Refused,
    /// A success that carries `_warning` and changes nothing.
    Warned,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            answers_arrays: false,
            ids_are_strings: false,
            updates_need_type_and_client: false,
            unknown_record: 404,
            deleted_is_shown: false,
            has_no_team_id: false,
            ignores_order: false,
            ignores_paging: false,
            ignores_exclude_closed: false,
            oldest_action_first: false,
            lists_no_action_fields: false,
            keeps_date_closed: false,
            demands_tenant: false,
            closing: Closing::Allowed,
            budget: 700,
            says_retry_after: true,
            reassigned_event: 9,
            updated_event: 18,
            date_off_s: 0,
            ignores_who: false,
            shows_every_note: false,
            has_no_agent_me: false,
            forbids_deleting_actions: false,
            edits_tell_no_fields: false,
        }
    }
}
