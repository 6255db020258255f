//! How Jane asks at the PSAs beside ConnectWise, in each vendor's own way.

use anyhow::Context as _;

use crate::{
    psas::{
        Psa, Standing,
        autotask::{ACCESS_FIELD, HELP_DESK, PROJECTS, WANTED},
    },
    sandbox::Sandbox,
};

/// How Jane asks in one ticket.
pub(super) struct Click<'s> {
    pub(super) psa: &'s dyn Psa,
    pub(super) ticket: i64,
    pub(super) says: &'static str,
    pub(super) button: &'static str,
    pub(super) form: Vec<(&'static str, String)>,
    /// Seen at the PSA: it is as she left it.
    pub(super) is_so: Box<dyn Fn() -> bool + Send + Sync + 's>,
}

/// On Projects, where the field asks.
pub(super) fn by_field(sandbox: &Sandbox) -> anyhow::Result<Click<'_>> {
    let psa = &sandbox.vendors.autotask;
    let on_projects = |id: &i64| psa.sim.ticket(*id).is_some_and(|ticket| ticket["queueID"] == PROJECTS.id);
    let ticket = psa.ticket_ids().into_iter().find(on_projects).context("there is a ticket on Projects")?;
    let is_so = move || {
        let shown = psa.sim.ticket(ticket).unwrap_or_default();
        let fields = shown["userDefinedFields"].as_array().cloned().unwrap_or_default();
        fields.iter().any(|field| field["name"] == ACCESS_FIELD && field["value"] == WANTED.0)
    };
    Ok(Click {
        psa,
        ticket,
        says: "Jane sets JIT Access to Wanted on a ticket in the queue Projects, and saves it",
        button: "save",
        form: vec![("access", WANTED.0.to_owned()), ("length", String::new())],
        is_so: Box::new(is_so),
    })
}

/// On Projects, whose mapping hands over in the ticket; for longer than from one poll to the next, which finds what she
/// writes.
pub(super) fn by_button(sandbox: &Sandbox) -> anyhow::Result<Click<'_>> {
    let psa = &sandbox.vendors.halopsa;
    let of_projects = |id: &i64| psa.sim.ticket(*id).is_some_and(|ticket| ticket["team"] == psa.projects.name);
    let ticket = psa.ticket_ids().into_iter().find(of_projects).context("there is a ticket of Projects")?;
    Ok(Click {
        psa,
        ticket,
        says: "Jane presses the action Request JIT access on a ticket of the team Projects, for an hour",
        button: "request",
        form: vec![("length", "1 hour".to_owned())],
        is_so: Box::new(move || psa.standing(ticket) == Some(Standing::Requested)),
    })
}

/// On the Help Desk, for much longer than it is going to last.
pub(super) fn by_status(sandbox: &Sandbox) -> anyhow::Result<Click<'_>> {
    let psa = &sandbox.vendors.autotask;
    let on_help_desk = |id: &i64| psa.sim.ticket(*id).is_some_and(|ticket| ticket["queueID"] == HELP_DESK.id);
    let ticket = psa.ticket_ids().into_iter().find(on_help_desk).context("there is a ticket on the Help Desk")?;
    Ok(Click {
        psa,
        ticket,
        says: "Jane sets the status JIT Requested on a ticket in the queue Help Desk, for 8 hours",
        button: "save",
        form: vec![("status", HELP_DESK.requested.to_string()), ("length", "480".to_owned())],
        is_so: Box::new(move || psa.standing(ticket) == Some(Standing::Requested)),
    })
}
