//! The rulebook as a text that people edit: every key on its line, each kind of table explained once, above its first.

use std::fmt::Write as _;

use serde::Serialize;
use toml::{Table, Value};

use super::{Mapping, Rulebook};

const SETTINGS: &str = "\
What is set once for the whole installation. Lengths are whole minutes, hours or days: 90m, 4h, 3d.
binding_cools_for: for this long a newly bound PSA member asks for nothing, unless an owner confirms the binding.
waiting_lapses_after: a request that waits for approvers lapses after this.
poll_minutes: so often each PSA is asked which tickets were saved, so that a lost webhook loses no request; 1 to 60.";

const ALERTS: &str = "\
Mails. on: it is sent; to: who gets it: owners, admins, a person's id, or a mail address.
requester: tell the requester when access is active and when it has ended.";

const TECHNICIAN_GROUP: &str = "\
Technicians who may use the same policies.
members: \"all\", or person ids; max_length (optional): nothing that its members are given lasts longer.";

const CUSTOMER_GROUP: &str = "\
Customers where the same policies may be used.
customers: customer ids; max_length (optional): nothing that is given at them lasts longer.";

const POLICY: &str = "\
What may be given. Where several limits on a length meet, the strictest wins.
mode: \"standard\", the account stays, disabled; \"burner\", it is deleted. entitlements: role:ID or group:ID.
technicians: \"admins\" (owners too), or technician groups. customers: \"all\" that a technician has, or customer groups.
lengths: what may be asked for; default_length: where nothing is asked; max_length: nothing exceeds it.
warn_minutes: so long before the end ticket and requester are warned, where access lasts longer; 10 unless said otherwise, 0 is never.
reason: \"optional\" or \"required\". delivery: \"claim-link\", or \"ticket\" with ticket_readers_may_use_it = true.
user_name: of new accounts, before the @, with {person} and, if wanted, {customer} and {grant}.";

const MAPPING: &str = "\
Which tickets ask for it, by the PSA's own ids. types and sources (optional): only tickets of these.
trigger_statuses, or trigger_field = { field, values }, or trigger_board = true, being moved there (Autotask): what asks.
actor: \"technician\", or \"automation\": the PSA's own too.
policy: what it asks for. policy_field, with policies to choose from; length_field, reason_field, user_name_field (optional):
custom fields to read. max_length (optional): nothing asked for here lasts longer.
statuses (optional): granted, refused, ended: what Latchkey sets.
ends_with (optional): { closed, merged, deleted, company, board, reassigned = false } lets access outlive that; merged: and the
closing of what is merged. grace_minutes: from seeing it to the end, told in a note, 5 unless said otherwise; deleted and
company end at once.";

const BRAKE: &str = "\
Limits on how much is given in a time: the request that would go beyond it waits for two approvers.
per: \"technician\", \"customer\" or \"msp\"; grants: so many pass; within: in this time.";

impl Rulebook {
    /// The document as TOML with comments, to be read back without loss: what Latchkey itself remembers with it is left
    /// out.
    ///
    /// # Errors
    /// When it cannot be written as TOML, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = String::new();
        one(&mut text, "settings", SETTINGS, &self.settings)?;
        one(&mut text, "alerts", ALERTS, &self.alerts)?;
        each(&mut text, "technician_group", TECHNICIAN_GROUP, &self.technician_groups)?;
        each(&mut text, "customer_group", CUSTOMER_GROUP, &self.customer_groups)?;
        each(&mut text, "policy", POLICY, &self.policies)?;
        let mappings: Vec<Mapping> = self.mappings.iter().map(Mapping::as_written).collect();
        each(&mut text, "mapping", MAPPING, &mappings)?;
        each(&mut text, "brake", BRAKE, &self.brakes)?;
        Ok(text)
    }
}

fn one(text: &mut String, name: &str, about: &str, table: &impl Serialize) -> Result<(), toml::ser::Error> {
    comment(text, about);
    let _ = writeln!(text, "[{name}]");
    lines(text, &Table::try_from(table)?);
    Ok(())
}

fn each(text: &mut String, name: &str, about: &str, tables: &[impl Serialize]) -> Result<(), toml::ser::Error> {
    for (n, table) in tables.iter().enumerate() {
        if n == 0 {
            comment(text, about);
        } else {
            text.push('\n');
        }
        let _ = writeln!(text, "[[{name}]]");
        lines(text, &Table::try_from(table)?);
    }
    Ok(())
}

fn comment(text: &mut String, about: &str) {
    let between = if text.is_empty() { "" } else { "\n" };
    text.push_str(between);
    for line in about.lines() {
        let _ = writeln!(text, "# {line}");
    }
}

/// One line for each key, whatever is in it: a value prints inline. Keys are ours, and plain.
pub(super) fn lines(text: &mut String, table: &Table) {
    for (key, value) in table.iter().filter(|(_, value)| !is_nothing(value)) {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn is_nothing(value: &Value) -> bool {
    value.as_table().is_some_and(Table::is_empty)
}

#[cfg(test)]
pub(super) mod tests;
