//! A terminal at the other end of the socket. Blocking: each session has a thread of its own.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use latchkey_contract::Secret;
use zeroize::Zeroizing;

use super::wire::{self, Answer, Broken, Heard, Incoming, Order};
use crate::cli::{Ends, Overwrite, Piece};

/// A client, as the service hears it.
pub(super) struct Remote {
    stream: UnixStream,
    incoming: Incoming,
    is_interactive: bool,
}

impl Remote {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, incoming: Incoming::new(), is_interactive: false }
    }

    pub(super) fn is_interactive(&mut self, is_interactive: bool) {
        self.is_interactive = is_interactive;
    }

    pub(super) fn send(&mut self, order: &Order, data: &[u8]) -> Result<(), Broken> {
        send(&mut self.stream, order, data)
    }

    pub(super) fn receive(&mut self) -> Result<Heard<Answer>, Broken> {
        loop {
            if let Some(answer) = self.incoming.next()? {
                return Ok(answer);
            }
            let bytes = self.stream.read(self.incoming.space()?)?;
            self.incoming.came(bytes)?;
        }
    }

    fn call(&mut self, order: &Order, data: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        self.send(order, data)?;
        match self.receive()? {
            (Answer::Value, data) => Ok(data),
            (Answer::Failed, why) => Err(anyhow!("{}", String::from_utf8_lossy(&why))),
            _ => Err(Broken::NotUnderstood.into()),
        }
    }

    fn text(&mut self, order: &Order, prompt: &str) -> anyhow::Result<Secret<String>> {
        let value = self.call(order, prompt.as_bytes())?;
        let text = std::str::from_utf8(&value).context("what was typed is not text in UTF-8")?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// All lines of an order.
pub(super) fn send(stream: &mut UnixStream, order: &Order, data: &[u8]) -> Result<(), Broken> {
    wire::lines(order, data)?.try_for_each(|line| Ok(stream.write_all(&line?)?))
}

impl Ends for Remote {
    fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.send(&Order::Say, line.as_bytes())?)
    }

    fn hint(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.send(&Order::Hint, line.as_bytes())?)
    }

    fn ask(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        self.text(&Order::Ask, prompt)
    }

    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        self.text(&Order::AskHidden, prompt)
    }

    fn rest(&mut self) -> anyhow::Result<Secret<String>> {
        self.text(&Order::Rest, "")
    }

    fn read_file(&mut self, path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
        let mut bytes = self.call(&Order::Read { path: path.to_owned(), limit }, &[])?;
        if bytes.len() as u64 > limit {
            bail!("{} is larger than what was asked for", path.display());
        }
        Ok(std::mem::take(&mut *bytes))
    }

    fn write_file(&mut self, path: &Path, bytes: &[u8], overwrite: Overwrite) -> anyhow::Result<()> {
        self.call(&Order::Write { path: path.to_owned(), overwrite }, bytes).map(drop)
    }

    fn append_file(&mut self, path: &Path, bytes: &[u8], piece: Piece) -> anyhow::Result<()> {
        self.call(&Order::Append { path: path.to_owned(), piece }, bytes).map(drop)
    }
}
