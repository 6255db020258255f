//! Each connection, by its own connector's checks; a few at once, printed in the order of the records.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use latchkey_contract::{Check, ConnectionId, directory::Entitlement, ticket};
use url::Url;

use super::{Line, rulebook, wants, within};
use crate::{
    config::Config,
    jobs::chain,
    registry::{Connector, InForce, NoConnector, SecretKind, SecretName, without_end},
    rulebook::Catalogues,
    seal::Seal,
    store::Store,
};

/// Connections that are asked at once.
const AT_ONCE: usize = 8;

/// How long all checks of one connection may take.
const EACH: Duration = Duration::from_secs(120);

/// How long it may take to list what it has.
const LISTED_WITHIN: Duration = Duration::from_secs(60);

/// What connections are asked with.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) seal: Arc<Seal>,
    pub(crate) live: Arc<InForce>,
}

/// What a connection has, for the rulebook to be held against.
enum Listed {
    Psa(ticket::Catalogue),
    Directory(Vec<Entitlement>),
    /// It works, and yet did not tell.
    Silent,
    /// Nobody asked, or its own lines say why it did not tell.
    Not,
}

impl Connections {
    pub(super) async fn look(&self) -> Vec<Line> {
        let rules = &self.live.rules;
        let named = rules.rulebook.connections(&rules.records);
        let each: Vec<_> = rules
            .records
            .connections
            .iter()
            .map(|record| {
                let (id, is_named) = (&record.id, named.contains(&record.id));
                async move {
                    let lines = Box::pin(within(&area(id), EACH, self.lines(id))).await;
                    let is_well = !lines.iter().any(|line| line.check.is_red());
                    let listed = if is_named { Box::pin(self.listed(id, is_well)).await } else { Listed::Not };
                    (id.clone(), lines, listed)
                }
            })
            .collect();
        let each: Vec<_> = stream::iter(each).buffered(AT_ONCE).collect().await;
        let (mut all, mut catalogues, mut silent) = (Vec::new(), Catalogues::default(), BTreeSet::new());
        for (id, lines, listed) in each {
            all.extend(lines);
            match listed {
                Listed::Psa(catalogue) => drop(catalogues.psas.insert(id, catalogue)),
                Listed::Directory(listed) => drop(catalogues.directories.insert(id, listed)),
                Listed::Silent => drop(silent.insert(id)),
                Listed::Not => {}
            }
        }
        all.extend(rulebook::lines(rules, &catalogues, &silent));
        all
    }

    async fn lines(&self, id: &ConnectionId) -> Vec<Line> {
        match self.connection(id).await {
            Ok(lines) => lines,
            Err(error) => vec![Line::red(&area(id), "set-up", error.to_string())],
        }
    }

    /// The lines of one connection: does it work, and is there what the rules in force want of it?
    ///
    /// # Errors
    /// Where there is nothing to ask it with, such as a secret that is not set.
    pub(crate) async fn connection(&self, id: &ConnectionId) -> Result<Vec<Line>, NoConnector> {
        let (rules, area) = (&self.live.rules, area(id));
        let mut lines = Vec::new();
        let checks: Vec<Check> = match self.live.registry.connector(id)? {
            Connector::Directory(directory) => directory.preflight(&wants::of_directory(rules, id)).await,
            Connector::TicketSystem(system) => {
                let mut want = wants::of_psa(rules, id);
                match self.hook(id).await {
                    Ok(hook) => want.hook = hook,
                    Err(why) => lines.push(Line::red(&area, "path secret", why)),
                }
                lines.extend(self.formers(id, &area).await);
                system.checks(&want).await
            }
        };
        lines.extend(checks.into_iter().map(|check| Line::of(&area, check)));
        Ok(lines)
    }

    async fn hook(&self, id: &ConnectionId) -> Result<Option<Url>, String> {
        let name = SecretName::new(id.clone(), SecretKind::HookSecret).to_string();
        let Some(row) = self.store.sealed_named(&name).await.map_err(|error| chain(&error))? else { return Ok(None) };
        let secret = self.seal.open_text(&row).map_err(|error| error.to_string())?;
        Ok(Some(self.config.public(&format!("/hooks/{id}/{}", secret.expose()))))
    }

    /// Those that are accepted as well until somebody does something.
    async fn formers(&self, id: &ConnectionId, area: &str) -> Vec<Line> {
        const WHAT: &str = "former credential";
        let waiting = match without_end(&*self.store, &self.seal, id).await {
            Ok(waiting) => waiting,
            Err(error) => return vec![Line::red(area, WHAT, chain(&error))],
        };
        let record = self.live.rules.records.connection(id);
        let is_by_hand = record.is_some_and(|record| record.kind.sets_hooks_by_hand());
        let line = |kind: SecretKind| {
            let name = SecretName::new(id.clone(), kind);
            let by_hand = if is_by_hand && kind == SecretKind::HookPassword {
                " --credential-is-set, once the present one is set at the PSA by hand"
            } else {
                ""
            };
            let know =
                format!("a former {name} is accepted as well, until you run: latchkey webhook sync {id}{by_hand}");
            Line::note(area, WHAT, know)
        };
        waiting.into_iter().map(line).collect()
    }

    async fn listed(&self, id: &ConnectionId, is_well: bool) -> Listed {
        let silent = if is_well { Listed::Silent } else { Listed::Not };
        let Ok(connector) = self.live.registry.connector(id) else { return silent };
        let asked = async {
            match connector {
                Connector::TicketSystem(system) => system.catalogue().await.map(Listed::Psa),
                Connector::Directory(directory) => directory.catalogue().await.map(Listed::Directory),
            }
        };
        match tokio::time::timeout(LISTED_WITHIN, asked).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(_)) | Err(_) => silent,
        }
    }
}

fn area(id: &ConnectionId) -> String {
    format!("connection {id}")
}
