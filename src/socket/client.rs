//! The other end: hands over the words, and lends the service this terminal until the command is done.

use std::{io, path::Path};

use anyhow::{Context, anyhow, bail};
use latchkey_contract::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use zeroize::Zeroizing;

use super::{
    path,
    wire::{self, Answer, Broken, Heard, Incoming, Order, VERSION},
};
use crate::cli::Terminal;

/// Who is behind the door.
#[derive(Debug)]
pub(crate) enum Knock {
    /// A service.
    Answered(UnixStream),
    /// No service runs, or it does not listen yet.
    Nobody,
}

/// Looks for a running service.
///
/// # Errors
/// When there may be one that this user cannot reach.
pub(crate) async fn knock(data_dir: &Path) -> anyhow::Result<Knock> {
    let path = path(data_dir);
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Knock::Answered(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(Knock::Nobody)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error).with_context(|| {
            format!("{} may not be used; run this as root or as the user that Latchkey runs as", path.display())
        }),
        Err(error) => Err(error).with_context(|| format!("the service cannot be reached at {}", path.display())),
    }
}

/// Has the service run a command.
///
/// # Errors
/// The command's own sentence, or why it was not run.
pub(crate) async fn ask(stream: UnixStream, words: Vec<String>, terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut service = Service { stream, incoming: Incoming::new() };
    match service.receive().await.context("the service let nobody in")? {
        (Order::Welcome { version }, _) if version == VERSION => {}
        (Order::Welcome { version }, _) => bail!(
            "the service that runs is Latchkey {version}, and this program is {VERSION}: restart the service \
             (systemctl restart latchkey), or use the program that it runs"
        ),
        (Order::Failed, why) => bail!("{}", String::from_utf8_lossy(&why)),
        _ => return Err(Broken::NotUnderstood.into()),
    }
    let hello = Answer::Words { version: VERSION.to_owned(), words, is_interactive: terminal.is_interactive() };
    // A service that has something against it says so before it hangs up.
    let sent = service.send(&hello, &[]).await;
    loop {
        let (order, data) = service.receive().await.map_err(|broken| match sent {
            Err(Broken::TooLong) => anyhow!("the command is too long"),
            _ => anyhow!(broken).context(
                "the service hung up before the command was done: whether it was is not known, so look before you run it again",
            ),
        })?;
        let text = || String::from_utf8_lossy(&data);
        match order {
            Order::Done => return Ok(()),
            Order::Failed => bail!("{}", text()),
            Order::Say => terminal.say(text())?,
            Order::Hint => terminal.hint(text())?,
            asked => service.answer(serve(&asked, &data, terminal)).await,
        }
    }
}

/// Does what the service asks of this terminal.
fn serve(order: &Order, data: &[u8], terminal: &mut Terminal) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let prompt = || String::from_utf8_lossy(data);
    let typed = |value: Secret<String>| Zeroizing::new(value.expose().as_bytes().to_vec());
    match order {
        Order::Ask => terminal.ask(&prompt()).map(typed),
        Order::AskHidden => terminal.ask_hidden(&prompt(), false).map(typed),
        Order::Rest => terminal.rest().map(typed),
        Order::Read { path, limit } => terminal.read_file(path, *limit).map(Zeroizing::new),
        Order::Write { path, overwrite } => terminal.write_file(path, data, *overwrite).map(|()| Zeroizing::default()),
        Order::Append { path, piece } => terminal.append_file(path, data, *piece).map(|()| Zeroizing::default()),
        _ => Err(Broken::NotUnderstood.into()),
    }
}

struct Service {
    stream: UnixStream,
    incoming: Incoming,
}

impl Service {
    async fn receive(&mut self) -> Result<Heard<Order>, Broken> {
        loop {
            if let Some(order) = self.incoming.next()? {
                return Ok(order);
            }
            let bytes = self.stream.read(self.incoming.space()?).await?;
            self.incoming.came(bytes)?;
        }
    }

    async fn send(&mut self, answer: &Answer, data: &[u8]) -> Result<(), Broken> {
        for line in wire::lines(answer, data)? {
            self.stream.write_all(&line?).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, done: anyhow::Result<Zeroizing<Vec<u8>>>) {
        // What cannot be sent is noticed when the next order is waited for, which may say why.
        let _ = match done {
            Ok(value) => self.send(&Answer::Value, &value).await,
            Err(error) => self.send(&Answer::Failed, format!("{error:#}").as_bytes()).await,
        };
    }
}
