//! Each connection, by its own connector's checks; a few at once, printed in the order of the records.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use latchkey_contract::{Check, ConnectionId, Directory};
use url::Url;

use super::{Doctor, Line, wants, within};
use crate::{
    jobs::chain,
    registry::{Connector, InForce, SecretKind, SecretName},
    rulebook::Rules,
    seal::Seal,
};

/// Connections that are asked at once.
const AT_ONCE: usize = 8;

/// How long all checks of one connection may take.
const EACH: Duration = Duration::from_secs(120);

pub(super) async fn look(doctor: &Doctor, live: &Arc<InForce>, seal: &Arc<Seal>) -> Vec<Line> {
    let each: Vec<_> = live
        .rules
        .records
        .connections
        .iter()
        .map(|record| {
            let id = record.id.clone();
            let area = format!("connection {id}");
            async move { Box::pin(within(&area, EACH, one(doctor, live, seal, &id, &area))).await }
        })
        .collect();
    let lines: Vec<Vec<Line>> = stream::iter(each).buffered(AT_ONCE).collect().await;
    let mut lines = lines.concat();
    lines.extend(powers(live));
    lines
}

async fn one(doctor: &Doctor, live: &InForce, seal: &Seal, id: &ConnectionId, area: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let checks: Vec<Check> = match live.registry.connector(id) {
        Err(error) => return vec![Line::red(area, "set-up", error.to_string())],
        Ok(Connector::Directory(directory)) => directory.preflight(&wants::of_directory(&live.rules, id)).await,
        Ok(Connector::TicketSystem(system)) => {
            let mut want = wants::of_psa(&live.rules, id);
            match hook(doctor, seal, id).await {
                Ok(hook) => want.hook = hook,
                Err(why) => lines.push(Line::red(area, "path secret", why)),
            }
            system.checks(&want).await
        }
    };
    lines.extend(checks.into_iter().map(|check| Line::of(area, check)));
    lines
}

async fn hook(doctor: &Doctor, seal: &Seal, id: &ConnectionId) -> Result<Option<Url>, String> {
    let name = SecretName::new(id.clone(), SecretKind::HookSecret).to_string();
    let Some(row) = doctor.store.sealed_named(&name).await.map_err(|error| chain(&error))? else { return Ok(None) };
    let secret = seal.open_text(&row).map_err(|error| error.to_string())?;
    Ok(Some(doctor.config.public(&format!("/hooks/{id}/{}", secret.expose()))))
}

/// What policies give that should be given with a second thought, each said once, whoever's tenant it is in.
fn powers(live: &InForce) -> Vec<Line> {
    let directories =
        live.rules.records.connections.iter().filter_map(|record| live.registry.directory(&record.id).ok());
    directories.take(1).flat_map(|directory| warned(&live.rules, &*directory)).collect()
}

fn warned(rules: &Rules, directory: &dyn Directory) -> Vec<Line> {
    let policies = rules.rulebook.policies.iter();
    let each = policies.flat_map(|policy| policy.entitlements.iter().map(move |entitlement| (policy, entitlement)));
    let said = each.filter_map(|(policy, entitlement)| Some((policy, directory.warning(entitlement)?)));
    said.map(|(policy, know)| Line::note("rules", &format!("policy {}", policy.id), know)).collect()
}
