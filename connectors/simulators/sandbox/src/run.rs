//! `latchkey-sandbox` as a newcomer runs it: everything is started, a page of links is printed, and
//! it goes on until Ctrl-C.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use latchkey_contract::Clock as _;
use tempfile::TempDir;

use crate::{
    Options,
    clock::MovableClock,
    pages,
    sandbox::{DemoPerson, Sandbox},
    service::Service,
    vendors::Vendors,
};

/// Runs until Ctrl-C.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let data = Data::open(options.data.as_deref())?;
    let clock = MovableClock::new(Duration::ZERO);
    let vendors = Vendors::start(&clock).await?;
    vendors.write_ca(&data.path().join("ca.pem"))?;
    let listen = free_port()?;
    let service =
        Service::new(&data.path().join("latchkey.toml"), &data.path().join("service.log"), listen, clock.clone());
    let people = [vendors.psa.jane, vendors.psa.max].map(DemoPerson::new).into();
    let sandbox = Arc::new(Sandbox { clock, vendors, service, people, data: data.path().to_owned() });
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let pages = pages::serve(bind, sandbox.clone()).await;
    let pages = pages.with_context(|| format!("port {} cannot be used; name another with --port", options.port))?;
    writeln!(io::stdout(), "{}", welcome(&sandbox, pages.addr))?;
    tokio::signal::ctrl_c().await?;
    writeln!(io::stdout(), "\nDraining …")?;
    sandbox.service.stop().await?;
    Ok(())
}

fn welcome(sandbox: &Sandbox, pages: SocketAddr) -> String {
    let jane = &sandbox.people[0];
    format!(
        "\n  Latchkey sandbox\n\n\
         \x20 Front page       http://{pages}/\n\
         \x20 Pretend PSA      http://{pages}/psa\n\
         \x20 Pretend tenant   http://{pages}/tenant\n\
         \x20 The service      {service}/\n\n\
         \x20 Sign in as       {id} ({name})\n\
         \x20 Password         {password}\n\
         \x20 Code now         {code}   (the front page always shows the current one)\n\
         \x20 Authenticator    {secret}\n\n\
         \x20 Data             {data}\n\
         \x20 Ctrl-C ends it.\n",
        service = sandbox.service.url(),
        id = jane.id(),
        name = jane.name(),
        password = jane.password,
        code = jane.code(sandbox.clock.now()),
        secret = jane.secret_text(),
        data = sandbox.data.display(),
    )
}

/// Where everything is written: gone at the end, or kept because somebody named the place.
#[derive(Debug)]
enum Data {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Data {
    fn open(wanted: Option<&Path>) -> anyhow::Result<Self> {
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

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }
}

/// An address that is free now. The service listens on it later, and again after every restart.
fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
