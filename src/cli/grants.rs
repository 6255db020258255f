//! `latchkey grants`.

use super::{Desk, Terminal};
use crate::access::{Grant, State};

const PER_PERSON: u32 = 200;

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut grants: Vec<Grant> = Vec::new();
    for person in &desk.store.rules().await?.records.people {
        grants.extend(desk.store.grants_of_person(&person.id, PER_PERSON).await?);
    }
    grants.sort_by(|a, b| b.id.cmp(&a.id));
    for grant in grants {
        terminal.say(line(&grant))?;
    }
    Ok(())
}

fn line(grant: &Grant) -> String {
    let when = match &grant.state {
        State::Ending { since, .. } => format!("since {since}"),
        State::Ended { proof, .. } => format!("off {}", proof.seen_at()),
        State::Held { until, .. } => format!("lapses {until}"),
        State::Refused { at, .. } | State::Denied { at, .. } | State::Lapsed { at } => format!("at {at}"),
        living => living.end().map_or_else(String::new, |end| format!("until {end}")),
    };
    let Grant { id, person, customer, policy, ticket, .. } = grant;
    format!("{id}\t{}\t{when}\t{person}\t{customer}\t{}\t{ticket}", grant.state.name(), policy.id)
}
