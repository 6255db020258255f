//! Only the pretend vendors, for strangers' clients: `latchkey-sandbox vendors`.

use std::{io::Write as _, path::Path, time::Duration};

use anyhow::Context as _;
use latchkey_simulators::Authority;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{
    clock::MovableClock,
    psa::{LOGIN_COMPANY, Psa},
    tenant::{CLIENT, DOMAIN, Directory, EXCHANGE_ADMINISTRATOR, TENANT},
};

/// Both vendors on one clock, under one throw-away CA.
#[derive(Debug)]
pub(crate) struct Vendors {
    pub(crate) authority: Authority,
    pub(crate) psa: Psa,
    pub(crate) directory: Directory,
}

impl Vendors {
    pub(crate) async fn start(clock: &MovableClock) -> anyhow::Result<Self> {
        let authority = Authority::new();
        let psa = Psa::start(&authority, clock.for_simulators()).await.context("the pretend PSA did not start")?;
        let directory = Directory::start(&authority, clock.for_simulators()).await;
        let directory = directory.context("the pretend tenant did not start")?;
        Ok(Self { authority, psa, directory })
    }

    /// Writes the CA that both vendors' certificates come from.
    pub(crate) fn write_ca(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.authority.ca_pem()).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Runs the vendors until standard input ends; prints where they are as one line of JSON.
pub(crate) async fn run() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("latchkey-vendors-").tempdir()?;
    let ca = directory.path().join("ca.pem");
    let vendors = Vendors::start(&MovableClock::new(Duration::ZERO)).await?;
    vendors.write_ca(&ca)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", described(&vendors, &ca))?;
    out.flush()?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

fn described(vendors: &Vendors, ca: &Path) -> Value {
    let (psa, directory) = (&vendors.psa, &vendors.directory);
    json!({
        "ca": ca,
        "connectwise": {
            "url": psa.sim.base_url(),
            "site": psa.sim.site(),
            "company": LOGIN_COMPANY,
            "client_id": psa.api.client_id,
            "public_key": psa.api.public_key,
            "private_key": psa.api.private_key,
            "board": psa.help_desk.id,
            "status_requested": psa.help_desk.requested,
            "company_id": psa.acme,
            "tickets": psa.msp.ticket_ids(),
        },
        "graph": {
            "url": directory.sim.base_url(),
            "tenant": TENANT,
            "domain": DOMAIN,
            "client_id": CLIENT,
            "client_secret": directory.client_secret,
            "role": EXCHANGE_ADMINISTRATOR,
            "group": directory.group,
        },
    })
}
