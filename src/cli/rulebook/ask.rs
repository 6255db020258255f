//! What the vendors list that a rulebook speaks of, all of them asked at once. One that cannot be asked is told, and stops
//! nothing.

use std::time::Duration;

use futures::{StreamExt, stream};
use latchkey_contract::ConnectionId;

use super::Desk;
use crate::{
    cli::connection::to_do,
    registry::{Connector, Registry},
    rulebook::{Catalogues, Records, Rulebook},
};

/// How many vendors are asked at a time.
const AT_ONCE: usize = 8;

/// How long one may take for all that it lists.
const PATIENCE: Duration = Duration::from_secs(60);

/// What they list, and who could not be asked, each with a sentence.
pub(in crate::cli) struct Asked {
    pub(in crate::cli) catalogues: Catalogues,
    pub(in crate::cli) silent: Vec<String>,
}

enum Listed {
    Psa(latchkey_contract::ticket::Catalogue),
    Directory(Vec<latchkey_contract::directory::Entitlement>),
}

/// Asks the PSAs and the directories that a rulebook speaks of.
pub(in crate::cli) async fn ask(desk: &Desk, book: &Rulebook, records: &Records) -> anyhow::Result<Asked> {
    these(desk, book.connections(records).into_iter().collect()).await
}

/// Asks these.
pub(in crate::cli) async fn these(desk: &Desk, connections: Vec<ConnectionId>) -> anyhow::Result<Asked> {
    let mut asked = Asked { catalogues: Catalogues::default(), silent: Vec::new() };
    if connections.is_empty() {
        return Ok(asked);
    }
    let live = match desk.live().await {
        Ok(live) => live.known(),
        Err(error) => {
            asked.silent.push(format!("no PSA and no directory could be asked: {error:#}"));
            return Ok(asked);
        }
    };
    let answers = stream::iter(connections).map(|id| {
        let registry = &live.registry;
        async move {
            let listed = tokio::time::timeout(PATIENCE, list(registry, &id)).await;
            (id, listed.unwrap_or_else(|_| Err("it took too long to answer; try again".to_owned())))
        }
    });
    let mut answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
    answers.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (id, answer) in answers {
        match answer {
            Ok(Listed::Psa(catalogue)) => drop(asked.catalogues.psas.insert(id, catalogue)),
            Ok(Listed::Directory(listed)) => drop(asked.catalogues.directories.insert(id, listed)),
            Err(why) => asked.silent.push(format!("{id} could not be asked, so nothing was held against it: {why}")),
        }
    }
    Ok(asked)
}

async fn list(registry: &Registry, id: &ConnectionId) -> Result<Listed, String> {
    match registry.connector(id).map_err(|error| error.to_string())? {
        Connector::TicketSystem(psa) => psa.catalogue().await.map(Listed::Psa).map_err(|error| to_do(&error)),
        Connector::Directory(directory) => {
            directory.catalogue().await.map(Listed::Directory).map_err(|error| to_do(&error))
        }
    }
}
