//! The sandbox as a whole: one clock, the vendors, the service, the people who sign in to it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use latchkey::people::OneTime;
use latchkey_contract::Timestamp;
use latchkey_simulators::graph::Licence;
use tempfile::TempDir;

use crate::{
    clock::MovableClock,
    install::{CONFIG, install},
    psas::{Psa, connectwise::Member},
    service::Service,
    vendors::Vendors,
};

/// Which of the PSAs the service is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Psas {
    All,
    ConnectWise,
}

/// How one sandbox differs from another.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) psas: Psas,
    /// What the pretend tenant has paid for.
    pub(crate) licence: Licence,
    /// Technicians beside Jane and Max. They ask, and sign in nowhere.
    pub(crate) crowd: usize,
    /// What the second policy makes: `standard` or `burner`.
    pub(crate) mode: &'static str,
    /// Further lines of the service's configuration.
    pub(crate) settings: String,
    /// Further lines of the rulebook.
    pub(crate) rules: String,
    /// What is run as the service, in real time; without it the sandbox's own program, on a clock that can be moved.
    pub(crate) binary: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            psas: Psas::All,
            licence: Licence::P2,
            crowd: 0,
            mode: "standard",
            settings: String::new(),
            rules: String::new(),
            binary: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) clock: MovableClock,
    pub(crate) vendors: Vendors,
    pub(crate) service: Service,
    pub(crate) jane: DemoPerson,
    pub(crate) max: DemoPerson,
    connected: Psas,
    data: Data,
}

/// Somebody who can sign in to the service: everything that is a secret elsewhere, on show.
#[derive(Debug)]
pub(crate) struct DemoPerson {
    pub(crate) member: Member,
    pub(crate) password: String,
    /// What the authenticator app holds.
    pub(crate) app: OneTime,
}

impl Sandbox {
    /// Starts the vendors and installs the service, which is not started yet. Without a wanted
    /// directory everything is written to a temporary one.
    pub(crate) async fn set_up(data: Option<&Path>, plan: &Plan) -> anyhow::Result<Self> {
        let data = Data::open(data)?;
        let clock = MovableClock::new(Duration::ZERO);
        let vendors = Vendors::start(&clock, plan).await?;
        let listen = free_port()?;
        let people = install(data.path(), listen, &vendors, &clock, plan).await;
        let [jane, max] = people.context("the service was not installed")?;
        let service = Service::new(data.path(), listen, clock.clone(), plan.binary.clone());
        Ok(Self { clock, vendors, service, jane, max, connected: plan.psas, data })
    }

    pub(crate) fn people(&self) -> [&DemoPerson; 2] {
        [&self.jane, &self.max]
    }

    /// Those that the service is connected to.
    pub(crate) fn psas(&self) -> Vec<&dyn Psa> {
        self.vendors.psas(self.connected)
    }

    /// The configuration that the service and its commands are given.
    pub(crate) fn config(&self) -> PathBuf {
        self.data().join(CONFIG)
    }

    /// Where everything that was written lies.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
}

impl DemoPerson {
    /// The id that the sign-in form asks for.
    pub(crate) const fn id(&self) -> &'static str {
        self.member.identifier
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.member.first, self.member.last)
    }

    /// The one-time code at this time.
    pub(crate) fn code(&self, now: Timestamp) -> String {
        self.app.code(now)
    }

    /// For an authenticator app.
    pub(crate) fn secret(&self) -> String {
        self.app.base32().expose().clone()
    }
}

/// Where everything is written: gone at the end, or kept because somebody named the place.
#[derive(Debug)]
pub(crate) enum Data {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Data {
    pub(crate) fn open(wanted: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = wanted else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("latchkey-sandbox-").tempdir()?));
        };
        std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        if std::fs::read_dir(path)?.next().is_some() {
            bail!(
                "{} is not empty: the pretend vendors start afresh every time, so an old database would not fit them; \
                 name an empty directory",
                path.display()
            );
        }
        Ok(Self::Kept(path.canonicalize()?))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }
}

/// An address that is free now. The service listens on it later, and again after every restart.
pub(crate) fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_with_what_to_do() {
        let there = tempfile::tempdir().unwrap();
        assert!(Data::open(Some(&there.path().join("new"))).is_ok());
        let refused = Data::open(Some(there.path())).unwrap_err().to_string();
        assert!(refused.contains("name an empty directory"), "{refused}");
    }
}
