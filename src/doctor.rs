//! `latchkey doctor`: every line is a live look at one thing, and says `ok`, `note`, or `fault` with what to do.
//!
//! Reading order: [`line`](Line) says what a line is and how it is printed; then an area each: `place` (database, disk, key
//! file, clock) with `server` for a database that is no file, `tls`, `address`, `mail`, `connections`, with `wants` for what the rules in force want of them, `rulebook`,
//! `work` (queue, removals, holds, audit log); `shut` is what is left where there is no database. In each, what is judged
//! is apart from what is asked. No area waits for another's verdict, each has its time, and nothing is changed but the
//! database's last seen time and what a test mail leaves behind.

mod address;
mod connections;
mod line;
mod mail;
mod place;
mod rulebook;
mod server;
mod shut;
mod tls;
mod wants;
mod work;

use std::{sync::Arc, time::Duration};

use latchkey_contract::Clock;

pub(crate) use connections::Connections;
pub use line::{Line, Report};
pub use mail::TestMail;
pub use shut::{Shut, without_database};
pub(crate) use wants::of_psa as wanted_of_psa;

use crate::{
    config::Config,
    jobs::{Jobs, Post, chain},
    registry::{self, InForce, Live},
    rulebook::Rules,
    seal::Seal,
    store::Store,
};

/// How long an area on this machine may take.
const HERE: Duration = Duration::from_secs(20);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Doctor {
    /// As it was read at the start.
    pub config: Config,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// The wall's time.
    pub clock: Arc<dyn Clock>,
    /// The service's own work, where one runs.
    pub jobs: Option<Arc<Jobs>>,
    /// Whether a test mail goes out, and to whom.
    pub test_mail: TestMail,
    /// Who asked, for the test mail.
    pub by: String,
}

impl Doctor {
    /// Looks at everything.
    pub async fn look(&self) -> Report {
        let seen = server::look(&self.config, &*self.clock).await;
        let at_work = seen.as_ref().map_or(0, server::Seen::at_work);
        let apart = seen.as_ref().and_then(server::Seen::all).map(|look| look.apart);
        let mut lines = vec![self.service(at_work)];
        lines.extend(Box::pin(place::database(self, seen)).await);
        let rules = self.rules(&mut lines).await;
        let (key, seal) = Box::pin(place::key(self)).await;
        lines.extend(key);
        lines.extend(within("clock", HERE, place::clock(self)).await);
        lines.extend(apart.filter(|_| !self.clock.is_moved_by_hand()).map(server::clock));
        let (own, certificate) = tls::own(&self.config, &*self.clock);
        lines.extend(own);
        let (work, address, mail, vendors) = tokio::join!(
            Box::pin(work::look(self, &rules, self.jobs.is_some() || at_work > 0)),
            Box::pin(within("address", HERE * 2, address::look(&self.config, &*self.clock, certificate.as_ref()))),
            Box::pin(mail::look(self, &rules, seal.as_deref())),
            Box::pin(self.vendors(&rules, seal.as_ref())),
        );
        lines.extend([address, mail, vendors, work].into_iter().flatten());
        Report { lines }
    }

    /// `at_work`: processes on the database's server.
    fn service(&self, at_work: i64) -> Line {
        const WHAT: &str = "running";
        match &self.jobs {
            Some(_) => {
                Line::ok("service", WHAT, format!("Latchkey {}, which looks by itself", env!("CARGO_PKG_VERSION")))
            }
            None if at_work > 0 => {
                let know = "no service runs here, and what is to be done is left to others on the same database: start it \
                            (systemctl start latchkey)";
                Line::note("service", WHAT, know)
            }
            None => {
                let know =
                    "no service runs here, so nothing is given and nothing ends: start it (systemctl start latchkey)";
                Line::note("service", WHAT, know)
            }
        }
    }

    async fn rules(&self, lines: &mut Vec<Line>) -> Rules {
        match tokio::time::timeout(HERE, self.store.rules()).await {
            Ok(Ok(rules)) => return rules,
            Ok(Err(error)) => lines.push(Line::red("database", "rules", chain(&error))),
            Err(_) => lines.push(slow("database", "rules", HERE)),
        }
        Rules::default()
    }

    async fn vendors(&self, rules: &Rules, seal: Option<&Arc<Seal>>) -> Vec<Line> {
        if rules.records.connections.is_empty() {
            let know = "there are none yet: latchkey connection add ID KIND KEY=VALUE…";
            return vec![Line::note("connections", "records", know)];
        }
        let Some(seal) = seal else {
            let know = "not looked at, since their secrets cannot be opened: mend the key file first";
            return vec![Line::note("connections", "secrets", know)];
        };
        let live = match tokio::time::timeout(HERE, self.in_force(seal)).await {
            Ok(Ok(live)) => live,
            Ok(Err(why)) => return vec![Line::red("connections", "load", why)],
            Err(_) => return vec![slow("connections", "load", HERE)],
        };
        let (config, store, seal) = (self.config.clone(), Arc::clone(&self.store), Arc::clone(seal));
        Connections { config, store, seal, live }.look().await
    }

    async fn in_force(&self, seal: &Arc<Seal>) -> Result<Arc<InForce>, String> {
        if let Some(jobs) = &self.jobs {
            return Ok(jobs.live.current().await);
        }
        let vendors = registry::Vendors::new(Arc::clone(&self.store), Arc::clone(seal), Arc::clone(&self.clock));
        let live = Live::start(Arc::clone(&self.store), Arc::new(vendors)).await.map_err(|error| chain(&error))?;
        Ok(live.known())
    }

    fn post(&self) -> Post {
        Post::new(self.config.mail.clone(), self.config.public_url.clone(), Arc::clone(&self.clock))
    }
}

/// An area in its time; what takes longer is a line of its own.
async fn within(area: &str, limit: Duration, look: impl Future<Output = Vec<Line>>) -> Vec<Line> {
    tokio::time::timeout(limit, look).await.unwrap_or_else(|_| vec![slow(area, "time", limit)])
}

fn slow(area: &str, what: &str, limit: Duration) -> Line {
    let to_do = format!("no answer within {} s: try again; if it stays, look at the service's log", limit.as_secs());
    Line::red(area, what, to_do)
}
