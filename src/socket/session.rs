//! One client: who is there, what is wanted, and the command.

use std::{
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::{anyhow, bail};
use tokio::runtime::Handle;

use super::{
    Obey, Sessions,
    remote::{Remote, send},
    wire::{Answer, Broken, Order, VERSION},
};
use crate::cli::{Operator, Terminal};

/// Holds it to its end; nothing that happens in it reaches the service.
pub(super) fn hold(stream: UnixStream, desk: &dyn Obey, operator: Operator, sessions: &Sessions, runtime: &Handle) {
    let Ok(mut last_word) = stream.try_clone() else { return };
    let by = operator.to_string();
    let held = catch_unwind(AssertUnwindSafe(|| converse(stream, desk, operator, sessions, runtime)));
    let (order, why) = match held {
        Ok(Ok(())) => (Order::Done, String::new()),
        Ok(Err(error)) => (Order::Failed, format!("{error:#}")),
        Err(_) => {
            tracing::error!(%by, "a command broke off by a fault of this program; the service goes on");
            let why = "the command broke off by a fault of Latchkey's own; the service goes on, and its log says more. \
                       Look at what was done before you run it again";
            (Order::Failed, why.to_owned())
        }
    };
    // A client that is gone does not hear it.
    let _ = send(&mut last_word, &order, why.as_bytes());
}

fn converse(
    stream: UnixStream,
    desk: &dyn Obey,
    operator: Operator,
    sessions: &Sessions,
    runtime: &Handle,
) -> anyhow::Result<()> {
    let patience = stream.try_clone()?;
    let mut remote = Remote::new(stream);
    remote.send(&Order::Welcome { version: VERSION.to_owned() }, &[])?;
    let (Answer::Words { version, words, is_interactive }, _) = remote.receive()? else {
        return Err(Broken::NotUnderstood.into());
    };
    if version != VERSION {
        bail!("the service is Latchkey {VERSION}, and what you run is {version}");
    }
    remote.is_interactive(is_interactive);
    patience.set_read_timeout(Some(sessions.limits.idle))?;
    let mut terminal = Terminal::over(Box::new(remote));
    let mut stop = sessions.stop.subscribe();
    runtime.block_on(async {
        tokio::select! {
            done = desk.obey(&words, operator, &mut terminal) => done,
            _ = stop.wait_for(|is_over| *is_over) => {
                Err(anyhow!("the service is stopping; look at what was done, and run the command again"))
            }
        }
    })
}
