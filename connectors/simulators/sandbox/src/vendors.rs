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
    psas::{
        Names, Psa, autotask,
        connectwise::{self, LOGIN_COMPANY},
        halopsa,
    },
    sandbox::{Data, Plan, Psas},
    tenant::{CLIENT, DOMAIN, Directory, EXCHANGE_ADMINISTRATOR, TENANT},
};

/// All vendors on one clock, under one throw-away CA.
#[derive(Debug)]
pub(crate) struct Vendors {
    pub(crate) authority: Authority,
    pub(crate) connectwise: connectwise::Desk,
    pub(crate) autotask: autotask::Desk,
    pub(crate) halopsa: halopsa::Desk,
    pub(crate) directory: Directory,
}

impl Vendors {
    pub(crate) async fn start(clock: &MovableClock, plan: &Plan) -> anyhow::Result<Self> {
        let authority = Authority::new();
        let failed = |names: &Names| format!("the pretend {} did not start", names.product);
        let connectwise = connectwise::Desk::start(&authority, clock.for_simulators(), plan.crowd).await;
        let connectwise = connectwise.with_context(|| failed(&connectwise::NAMES))?;
        let autotask = autotask::Desk::start(&authority, clock.for_simulators(), plan.crowd).await;
        let autotask = autotask.with_context(|| failed(&autotask::NAMES))?;
        let halopsa = halopsa::Desk::start(&authority, clock.for_simulators(), plan.crowd).await;
        let halopsa = halopsa.with_context(|| failed(&halopsa::NAMES))?;
        let directory = Directory::start(&authority, clock.for_simulators(), plan.licence).await;
        let directory = directory.context("the pretend tenant did not start")?;
        Ok(Self { authority, connectwise, autotask, halopsa, directory })
    }

    /// The PSAs beside each other.
    pub(crate) fn psas(&self, which: Psas) -> Vec<&dyn Psa> {
        match which {
            Psas::All => vec![&self.connectwise, &self.autotask, &self.halopsa],
            Psas::ConnectWise => vec![&self.connectwise],
        }
    }

    /// Writes the CA that all vendors' certificates come from.
    pub(crate) fn write_ca(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.authority.ca_pem()).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// What an administrator notes down in the vendors' portals to connect a program to them.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) portals: [Portal; 4],
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
        let Vendors { connectwise, autotask, halopsa, directory: tenant, .. } = vendors;
        let fact = |variable, what, value: &str| Fact { variable, what, value: value.to_owned() };
        let connectwise = vec![
            fact("CW_SITE", "Site", &connectwise.sim.base_url()),
            fact("CW_COMPANY", "Company at sign-in", LOGIN_COMPANY),
            fact("CW_CLIENT_ID", "Client id", &connectwise.api.client_id),
            fact("CW_PUBLIC_KEY", "API member's public key", &connectwise.api.public_key),
            fact("CW_PRIVATE_KEY", "API member's private key", &connectwise.api.private_key),
        ];
        let autotask = vec![
            fact("AT_DISCOVERY", "Where the zone is asked for", &autotask.discovery()),
            fact("AT_USER", "API user's Username (Key)", &autotask.api.user),
            fact("AT_INTEGRATION_CODE", "Tracking identifier", &autotask.api.integration_code),
            fact("AT_SECRET", "API user's Password (Secret)", &autotask.api.secret),
        ];
        let halopsa = vec![
            fact("HALO_SITE", "Resource server", &halopsa.sim.base_url()),
            fact("HALO_TENANT", "Tenant", halopsa::TENANT),
            fact("HALO_CLIENT_ID", "Application's client id", &halopsa.api.client_id),
            fact("HALO_CLIENT_SECRET", "Application's client secret", &halopsa.api.client_secret),
        ];
        let tenant = vec![
            fact("ENTRA_HOST", "Host of sign-in and Graph", tenant.sim.base_url()),
            fact("ENTRA_TENANT", "Directory (tenant) id", TENANT),
            fact("ENTRA_CLIENT_ID", "Application (client) id", CLIENT),
            fact("ENTRA_CLIENT_SECRET", "Client secret", &tenant.client_secret),
            fact("ENTRA_BREAK_GLASS", "Break-glass account's object id", &tenant.break_glass),
            fact("VENDORS_CA", "CA of them all, as a file", &ca.display().to_string()),
        ];
        let portals = [
            Portal { name: connectwise::NAMES.product, facts: connectwise },
            Portal { name: autotask::NAMES.product, facts: autotask },
            Portal { name: halopsa::NAMES.product, facts: halopsa },
            Portal { name: "The tenant", facts: tenant },
        ];
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
    let Vendors { connectwise: psa, autotask, halopsa, directory, .. } = vendors;
    // Other people's clients ask for the scope `all`, which the service's own application must not have.
    let everything = halopsa.sim.add_application(halopsa::STRANGER, "Another program", "all");
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
        "autotask": {
            "url": autotask.sim.base_url(),
            "discovery": autotask.discovery(),
            "user": autotask.api.user,
            "integration_code": autotask.api.integration_code,
            "secret": autotask.api.secret,
            "queue": autotask::HELP_DESK.id,
            "status_requested": autotask::HELP_DESK.requested,
            "company_id": autotask::ACME,
            "resource_id": autotask::JANE,
            "tickets": autotask.ticket_ids(),
        },
        "halopsa": {
            "url": halopsa.sim.base_url(),
            "tenant": halopsa::TENANT,
            "client_id": halopsa.api.client_id,
            "client_secret": halopsa.api.client_secret,
            "everything": {"client_id": everything.client_id, "client_secret": everything.client_secret},
            "team": halopsa.service_desk.name,
            "status_requested": halopsa.service_desk.board.requested,
            "customer_id": halopsa.acme,
            "agent_id": halopsa::JANE,
            "tickets": halopsa.ticket_ids(),
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
