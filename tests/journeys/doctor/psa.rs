//! What breaks at the PSA.

use latchkey::rulebook::ConnectionKind;
use latchkey_simulators::{
    connectwise::{Level, Verb},
    fault::Act,
};
use serde_json::Value;

use super::Clinic;

impl Clinic {
    async fn cw(&mut self, what: &str, to_do: &str, break_it: impl AsyncFnOnce(&mut Self)) {
        self.turns(&[(&format!("connection cw: {what}"), "fault")], to_do, break_it).await;
    }

    async fn loses(&mut self, function: &str, verb: Verb) {
        let verb_name = format!("{verb:?}");
        let what = format!("right: {function}, {}", verb_name.to_lowercase());
        let to_do = format!("{function}, {verb_name} to All");
        self.cw(&what, &to_do, async |c| c.app.psa.tenant.set_right(function, verb, Level::None)).await;
    }
}

/// F9: a webhook that is missing, switched off or too much is told, with the command that mends it.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_at_the_psa_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    let psa = c.app.psa.clone();
    c.cw("clock", "timedatectl", async |c| c.app.psa.sim.behave(|b| b.date_off_s = 300)).await;
    c.cw("API member", "take api_member out", async |c| {
        c.app
            .change_rules(|rules| {
                for connection in &mut rules.records.connections {
                    if let ConnectionKind::ConnectWise(settings) = &mut connection.kind {
                        settings.api_member = Some("Other".to_owned());
                    }
                }
            })
            .await;
    })
    .await;

    let callback = |board: i64| {
        let all = psa.tenant.callbacks();
        all.iter().find(|row| row["objectId"] == board).expect("the board is watched")["id"].as_i64().unwrap()
    };
    let off = callback(psa.projects.board);
    let what = format!("callback of board {}", psa.projects.board);
    c.cw(&what, "latchkey webhook sync cw", async |c| c.app.psa.tenant.set_callback_inactive(off, true)).await;
    let what = format!("callback of board {}", psa.desk.board);
    let gone = callback(psa.desk.board);
    c.cw(&what, "latchkey webhook sync cw", async |c| c.app.psa.tenant.remove_callback(gone)).await;
    c.cw("other callbacks at our address", "latchkey webhook sync cw", async |c| {
        let hook = c.app.hook();
        c.app.psa.tenant.add_callback_for_all(&hook);
    })
    .await;

    for (function, verb) in [
        ("Service Tickets", Verb::Add),
        ("Service Tickets", Verb::Edit),
        ("Service Tickets", Verb::Delete),
        ("Close Service Tickets", Verb::Edit),
        ("Close Service Tickets", Verb::Inquire),
        ("Table Setup", Verb::Add),
        ("Table Setup", Verb::Edit),
        ("Table Setup", Verb::Delete),
    ] {
        c.loses(function, verb).await;
    }
    c.cw("audit trail of tickets", "must let it see the audit trail", async |c| {
        let refused = Act::Answer { status: 403, retry_after: None, body: Value::Null };
        c.app.psa.fail(|call| call.op == "GET /system/audittrail", refused);
    })
    .await;
    c.loses("Company Maintenance", Verb::Inquire).await;
    c.loses("Member Maintenance", Verb::Inquire).await;
    c.loses("Service Tickets", Verb::Inquire).await;
    c.loses("Table Setup", Verb::Inquire).await;
    c.cw("site", "try again", async |c| {
        let down = Act::Answer { status: 503, retry_after: None, body: Value::Null };
        c.app.psa.fail(|call| call.op == "GET /login/companyinfo/{company}", down);
    })
    .await;
    c.cw("sign-in", "API Keys", async |c| c.app.psa.tenant.revoke_api_key(&c.app.psa.keys.0)).await;
    c.cw("set-up", "ca_file", async |c| {
        c.app
            .change_rules(|rules| {
                for connection in &mut rules.records.connections {
                    if let ConnectionKind::ConnectWise(settings) = &mut connection.kind {
                        settings.ca_file = Some("/nowhere/ca.pem".into());
                    }
                }
            })
            .await;
    })
    .await;
    clinic.close().await;
}

/// What mappings name dies one by one: the connection's line is a fault, and the rulebook's says which rule does less.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_mapping_names_and_the_psa_has_no_more_turns_its_own_line() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let c = &mut clinic;
    let psa = c.app.psa.clone();
    let (kind, source) = (psa.tenant.add_type(psa.desk.board, "Access"), psa.tenant.add_source("Portal"));
    c.app
        .change_rules(|rules| {
            let mapping = &mut rules.rulebook.mappings[0];
            mapping.types.push(kind.to_string().parse().unwrap());
            mapping.sources.push(source.to_string().parse().unwrap());
        })
        .await;
    c.mended().await;
    let kinds = format!("connection cw: type {kind}");
    c.turns(
        &[(&kinds, "fault"), ("rulebook: mapping.desk.types", "note"), ("rulebook: mapping.desk.types (2)", "note")],
        "Service Board > Types",
        async |c| c.app.psa.tenant.set_type_inactive(kind, true),
    )
    .await;
    let sources = format!("connection cw: source {source}");
    c.turns(&[(&sources, "fault"), ("rulebook: mapping.desk.sources", "note")], "Service > Source", async |c| {
        c.app.psa.tenant.remove_source(source);
    })
    .await;
    let status = format!("connection cw: status {}", psa.desk.done);
    c.turns(&[(&status, "fault"), ("rulebook: mapping.desk.statuses.ended", "note")], "Statuses", async |c| {
        c.app.psa.tenant.set_status_inactive(psa.desk.done, true);
    })
    .await;
    c.cw(&format!("field {}", psa.length_field), "Custom Fields", async |c| {
        c.app.psa.tenant.remove_field(psa.length_field)
    })
    .await;
    assert!(c.before["rulebook: mapping.desk.length_field"].1.contains("is read as empty"), "{:?}", c.before);
    let board = format!("connection cw: board {}", psa.projects.board);
    c.turns(
        &[
            (&board, "fault"),
            ("rulebook: mapping.projects.boards", "note"),
            ("rulebook: mapping.projects.boards (2)", "note"),
        ],
        "Service Board",
        async |c| c.app.psa.tenant.set_board_inactive(psa.projects.board, true),
    )
    .await;
    clinic.close().await;
}
