//! `latchkey-sandbox` as a newcomer runs it: everything is started, a page of links is printed, and
//! it goes on until Ctrl-C.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use latchkey_contract::Clock as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Options,
    pages::{self, Site},
    sandbox::{Plan, Sandbox},
};

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let sandbox = Arc::new(Sandbox::set_up(options.data.as_deref(), &Plan::default()).await?);
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let pages = pages::serve(bind, Site::Whole(sandbox.clone())).await;
    let pages = pages.with_context(|| format!("port {} cannot be used; name another with --port", options.port))?;
    sandbox.service.start().await?;
    sandbox.service.ready().await?;
    writeln!(io::stdout(), "{}", welcome(&sandbox, pages.addr))?;
    let mut told_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = told_to_end.recv() => {}
    }
    writeln!(io::stdout(), "\n  Letting the service finish what it is doing …")?;
    sandbox.service.stop().await
}

fn welcome(sandbox: &Sandbox, pages: SocketAddr) -> String {
    let jane = &sandbox.jane;
    format!(
        "\n  Latchkey sandbox: three pretend PSAs, a pretend tenant, the real service\n\n\
         \x20 Front page       http://{pages}/\n\
         \x20 ConnectWise PSA  http://{pages}/connectwise   set a ticket to JIT Requested\n\
         \x20 Autotask PSA     http://{pages}/autotask      set its status, queue or field\n\
         \x20 HaloPSA          http://{pages}/halopsa       press the action Request JIT access, or set its status\n\
         \x20 Entra tenant     http://{pages}/tenant        see what became of it\n\
         \x20 The service      {service}/\n\n\
         \x20 Sign in as       {id}   ({name})\n\
         \x20 Password         {password}\n\
         \x20 Code             {code}   (now; the front page shows the present one)\n\
         \x20 Authenticator    {secret}\n\n\
         \x20 Everything is written to {data}\n\
         \x20 Ctrl-C ends it.\n",
        service = sandbox.service.url(),
        id = jane.id(),
        name = jane.name(),
        password = jane.password,
        code = jane.code(sandbox.clock.now()),
        secret = jane.secret(),
        data = sandbox.data().display(),
    )
}
