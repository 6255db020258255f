//! Agents: who works here, and who of them is a person.
//!
//! A login name here is the agent's mail address, which is what people sign in with; an agent without one is `agent-17`. Of
//! several with one address it is the only one that may sign in; where there are more, the address is nobody's.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, MemberId, outside::Urgency, text::is_same_name, ticket::Member};

use crate::{
    api::{Api, Ask, number},
    wire,
};

const LIST: &str = "GET /Agent";
const ONE: &str = "GET /Agent/{id}";
/// The built-in agent that stands for nobody.
pub(crate) const UNASSIGNED: i64 = 1;
const BY_NUMBER: &str = "agent-";

/// Agents as one connection sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agents<'c> {
    pub(crate) api: &'c Api,
    /// Our own agent: no person, whatever the instance says of it.
    pub(crate) me: i64,
    pub(crate) urgency: Urgency,
}

impl Agents<'_> {
    /// The agent with this login name; `None` when there is none, or when the name could not be one.
    pub(crate) async fn by_name(&self, name: &str) -> Result<Option<Member>, CallError> {
        if let Some(number) = name.trim().strip_prefix(BY_NUMBER).and_then(number) {
            return self.by_number(number).await;
        }
        if !name.contains('@') {
            return Ok(None);
        }
        let rows = self.rows().await?;
        let same = rows.iter().filter(|a| a.email.as_deref().is_some_and(|m| is_same_name(m, name)));
        // A row of the list may be cut short.
        let mut members = Vec::new();
        for row in same {
            members.extend(self.by_number(row.id).await?);
        }
        if members.len() > 1 {
            members.retain(|member| member.is_active);
        }
        if members.len() > 1 {
            tracing::warn!(
                agents = members.len(),
                "several active agents have one mail address: none of them is meant"
            );
        }
        Ok(members.pop().filter(|_| members.is_empty()))
    }

    /// The agent with this id; `None` when there is none.
    pub(crate) async fn by_id(&self, id: &MemberId) -> Result<Option<Member>, CallError> {
        match number(id.as_str()) {
            Some(number) => self.by_number(number).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn by_number(&self, number: i64) -> Result<Option<Member>, CallError> {
        if number <= UNASSIGNED {
            return Ok(None);
        }
        let ask = Ask::new(ONE, ["Agent", &number.to_string()]).urgent(self.urgency);
        match self.api.call_if_any::<wire::Agent>(&ask).await? {
            Some(found) if found.id != number => Err(CallError::malformed(ONE, "another agent was answered")),
            Some(found) => member(found, self.me).map(Some),
            None => Ok(None),
        }
    }

    /// Those of `ids` that may no longer sign in, or are gone. One that the list does not show as active is asked for by
    /// itself, since a list may leave things out.
    pub(crate) async fn inactive(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        let rows = self.rows().await?;
        let active: BTreeSet<i64> = rows.iter().filter(|a| a.isdisabled == Some(false)).map(|a| a.id).collect();
        let mut inactive = Vec::new();
        for id in ids {
            let is_listed = number(id.as_str()).is_some_and(|n| active.contains(&n));
            if !is_listed && !self.by_id(id).await?.is_some_and(|m| m.is_active) {
                inactive.push(id.clone());
            }
        }
        Ok(inactive)
    }

    /// Every agent but the one that is nobody.
    pub(crate) async fn all(&self) -> Result<Vec<Member>, CallError> {
        self.rows().await?.into_iter().map(|row| member(row, self.me)).collect()
    }

    async fn rows(&self) -> Result<Vec<wire::Agent>, CallError> {
        let rows: Vec<wire::Agent> = self.api.list(&Ask::new(LIST, ["Agent"]).urgent(self.urgency)).await?;
        Ok(rows.into_iter().filter(|row| row.id > UNASSIGNED).collect())
    }
}

/// An agent's name where nothing more is known of it than its number.
pub(crate) fn by_number_name(number: i64) -> String {
    format!("{BY_NUMBER}{number}")
}

/// The border for agents. Whatever does not say that it is an active person is none.
fn member(row: wire::Agent, me: i64) -> Result<Member, CallError> {
    let mail = row.email.filter(|mail| mail.contains('@')).map(|mail| mail.trim().to_owned());
    let name = mail.clone().unwrap_or_else(|| by_number_name(row.id));
    Ok(Member {
        id: MemberId::parse(row.id.to_string()).map_err(|e| CallError::malformed(ONE, e))?,
        full_name: row.name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| name.clone()),
        name,
        mail,
        is_active: row.isdisabled == Some(false),
        is_human: row.isapiagent == Some(false) && row.id != me,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Member {
        member(serde_json::from_str(json).unwrap(), 42).unwrap()
    }

    #[test]
    fn a_person_says_that_it_is_active_and_no_api_agent() {
        let m =
            parse(r#"{"id":17,"name":"Dana Reyes","email":"dana@msp.example","isdisabled":false,"isapiagent":false}"#);
        assert_eq!((m.id.as_str(), m.name.as_str(), m.full_name.as_str()), ("17", "dana@msp.example", "Dana Reyes"));
        assert!(m.is_active && m.is_human);
        let untold = parse(r#"{"id":"17","name":"Dana Reyes"}"#);
        assert!(!untold.is_active && !untold.is_human);
        assert_eq!(untold.name, "agent-17");
        assert!(!parse(r#"{"id":42,"isdisabled":false,"isapiagent":false}"#).is_human, "our own");
        assert!(!parse(r#"{"id":9,"isdisabled":false,"isapiagent":true}"#).is_human);
    }
}
