//! Only the pretend vendors, for strangers' clients and for a Latchkey of one's own: `latchkey-sandbox vendors`.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use latchkey_simulators::{Authority, graph::Licence};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{
    VendorsOptions,
    clock::MovableClock,
    pages::{self, Site},
    psa::{LOGIN_COMPANY, Psa},
    sandbox::{Data, Plan},
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
    pub(crate) async fn start(clock: &MovableClock, plan: &Plan) -> anyhow::Result<Self> {
        let authority = Authority::new();
        let psa = Psa::start(&authority, clock.for_simulators(), plan.crowd).await;
        let psa = psa.context("the pretend PSA did not start")?;
        let directory = Directory::start(&authority, clock.for_simulators(), plan.licence).await;
        let directory = directory.context("the pretend tenant did not start")?;
        Ok(Self { authority, psa, directory })
    }

    /// Writes the CA that both vendors' certificates come from.
    pub(crate) fn write_ca(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.authority.ca_pem()).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// What an administrator notes down in the vendors' portals to connect a program to them.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) portals: [Portal; 2],
    /// Where the same lies as shell variables.
    pub(crate) file: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) name: &'static str,
    pub(crate) facts: Vec<Fact>,
}

#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) variable: &'static str,
    pub(crate) what: &'static str,
    pub(crate) value: String,
}

impl Noted {
    fn down(vendors: &Vendors, directory: &Path) -> anyhow::Result<Self> {
        let ca = directory.join("ca.pem");
        vendors.write_ca(&ca)?;
        let (psa, tenant) = (&vendors.psa, &vendors.directory);
        let fact = |variable, what, value: &str| Fact { variable, what, value: value.to_owned() };
        let psa = vec![
            fact("CW_SITE", "Site", &psa.sim.base_url()),
            fact("CW_COMPANY", "Company at sign-in", LOGIN_COMPANY),
            fact("CW_CLIENT_ID", "Client id", &psa.api.client_id),
            fact("CW_PUBLIC_KEY", "API member's public key", &psa.api.public_key),
            fact("CW_PRIVATE_KEY", "API member's private key", &psa.api.private_key),
        ];
        let tenant = vec![
            fact("ENTRA_HOST", "Host of sign-in and Graph", tenant.sim.base_url()),
            fact("ENTRA_TENANT", "Directory (tenant) id", TENANT),
            fact("ENTRA_CLIENT_ID", "Application (client) id", CLIENT),
            fact("ENTRA_CLIENT_SECRET", "Client secret", &tenant.client_secret),
            fact("ENTRA_BREAK_GLASS", "Break-glass account's object id", &tenant.break_glass),
            fact("VENDORS_CA", "CA of both, as a file", &ca.display().to_string()),
        ];
        let portals = [Portal { name: "The PSA", facts: psa }, Portal { name: "The tenant", facts: tenant }];
        let noted = Self { portals, file: directory.join("noted.sh") };
        std::fs::write(&noted.file, noted.shell())
            .with_context(|| format!("{} cannot be written", noted.file.display()))?;
        Ok(noted)
    }

    fn shell(&self) -> String {
        let facts = self.portals.iter().flat_map(|portal| &portal.facts);
        facts.map(|fact| format!("{}='{}'\n", fact.variable, fact.value.replace('\'', "'\\''"))).collect()
    }
}

/// Runs the vendors and their pages until standard input ends or somebody says so; prints where they are as one line of JSON.
pub(crate) async fn run(options: &VendorsOptions) -> anyhow::Result<()> {
    let data = Data::open(options.data.as_deref())?;
    // Without PIM: it takes no role in its first five minutes, and who practises has no clock to move.
    let vendors =
        Vendors::start(&MovableClock::new(Duration::ZERO), &Plan { licence: Licence::Free, ..Plan::default() }).await?;
    let noted = Noted::down(&vendors, data.path())?;
    let mut described = described(&vendors, &data.path().join("ca.pem"));
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let pages = pages::serve(bind, Site::Vendors(Box::new(vendors), noted)).await;
    let pages = pages.with_context(|| format!("port {} cannot be used; name another with --port", options.port))?;
    described["pages"] = json!(format!("http://{}", pages.addr));
    let mut out = std::io::stdout();
    writeln!(out, "{described}")?;
    out.flush()?;
    let mut told_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = end_of_input() => {
            ended?;
            writeln!(io::stderr(), "latchkey-sandbox: standard input has ended, and the vendors with it")?;
        }
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = told_to_end.recv() => {}
    }
    Ok(())
}

/// On a thread of its own, which does not hold up the end of the process as one of the runtime's would.
async fn end_of_input() -> io::Result<()> {
    let (tell, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let read = io::copy(&mut io::stdin(), &mut io::sink());
        // Nobody waits any more when the process is told to end.
        let _ = tell.send(read.map(drop));
    });
    ended.await.unwrap_or(Ok(()))
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
