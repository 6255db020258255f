//! Where no service runs and the database cannot be opened: why, and what can be seen without it.

use std::sync::Arc;

use latchkey_contract::Clock;

use super::{
    HERE, Line, Report, address, place,
    server::{self, Seen},
    tls, within,
};
use crate::{
    app::database,
    config::{Config, ConfigError},
    jobs::chain,
    store::{
        self, Database,
        sqlite::{OpenError, copy::examine, newest_migration},
    },
};

/// Why there is no database to look at the rest with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut(Line);

impl Shut {
    /// What speaks against opening it: an operator who looks changes nothing by it.
    pub async fn before(config: &Config, clock: &dyn Clock) -> Option<Self> {
        if let Database::Postgres(at) = &config.database {
            return match server::look(config, clock).await? {
                Seen::Not(why) => Some(Self(why)),
                Seen::All(look) => server::unopened(look.schema, &format!("the database {}", at.shown())).map(Self),
            };
        }
        let path = database(config);
        if !path.exists() && !path.with_extension("db.id").exists() {
            let to_do = format!(
                "there is no database {} yet: begin with latchkey init; if there should be one, correct data_dir in the \
                 configuration, or mount its disk",
                path.display()
            );
            return Some(Self(Line::red("database", "file", to_do)));
        }
        // What else is wrong with it is told by opening it.
        let facts = examine(&path).await.ok()?;
        (facts.migration < newest_migration()).then(|| {
            let to_do = format!(
                "it is of an earlier release (migration {}, and this program's is {}): make a backup with that release, \
                 then start the service of this one, which brings it up",
                facts.migration,
                newest_migration()
            );
            Self(Line::red("database", "schema", to_do))
        })
    }

    /// What came of opening it.
    #[must_use]
    pub fn by(why: &anyhow::Error) -> Self {
        let told = format!("{why:#}");
        Self(match why.downcast_ref::<store::OpenError>() {
            Some(store::OpenError::Postgres(error)) => server::closed(error),
            Some(store::OpenError::Sqlite(OpenError::Newer { .. } | OpenError::Altered { .. })) => {
                Line::red("database", "schema", told)
            }
            Some(store::OpenError::Sqlite(_)) => Line::red("database", "file", told),
            None => Line::red("service", "running", told),
        })
    }
}

/// Looks at what needs no database.
pub async fn without_database(config: &Config, clock: Arc<dyn Clock>, Shut(why): Shut) -> Report {
    let mut lines = vec![why, place::disk_of(config)];
    lines.extend(place::key_alone(config));
    let (own, certificate) = tls::own(config, &*clock);
    lines.extend(own);
    lines.extend(within("address", HERE * 2, address::look(config, &*clock, certificate.as_ref())).await);
    let know = "not looked at, since what is needed for it lies in the database: mend that first";
    lines.extend(["mail", "connections", "rulebook", "queue", "audit"].map(|area| Line::note(area, "all", know)));
    Report { lines }
}

impl Report {
    /// Nothing can be looked at: where everything lies is not known.
    #[must_use]
    pub fn without_configuration(error: &ConfigError) -> Self {
        Self { lines: vec![Line::red("configuration", "file", chain(error))] }
    }
}
