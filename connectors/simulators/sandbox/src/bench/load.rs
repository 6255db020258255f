//! Deliveries as fast as the service takes them, over connections that stay open as long as the service lets them. The requests are made beforehand, so
//! that sending them costs as little as it can.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use latchkey_simulators::connectwise::{Delivery, SIGNATURE_HEADER};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use crate::psas::connectwise::Desk;

/// What came of it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) took: Duration,
    /// Sorted.
    pub(super) waits: Vec<Duration>,
    /// How often each status was answered.
    pub(super) statuses: BTreeMap<u16, usize>,
}

impl Sent {
    pub(super) fn per_second(&self) -> f64 {
        count(self.waits.len()) / self.took.as_secs_f64()
    }

    pub(super) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.waits, percent)
    }

    /// An error when anything but this was answered.
    pub(super) fn only(self, status: u16) -> anyhow::Result<Self> {
        ensure!(self.statuses.keys().eq([&status]), "{status} was to be answered, but: {:?}", self.statuses);
        Ok(self)
    }
}

/// Of what is sorted; nothing at all takes no time.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

pub(super) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// How a made request is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// By the PSA's signature.
    Signed,
    /// By a signature that is not the PSA's, from ever new addresses behind a proxy.
    Forged,
    /// The same, all from one address.
    ForgedFromOne,
}

/// Deliveries like one that the PSA has sent, each with a message id of its own, from number `from` on.
pub(super) fn make(
    psa: &Desk,
    like: &Delivery,
    from: usize,
    many: usize,
    proof: Proof,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let url = Url::parse(&like.url)?;
    let body = std::str::from_utf8(&like.body)?;
    let id = serde_json::from_str::<serde_json::Value>(body)?["MessageId"].as_str().map(str::to_owned);
    let (before, after) = id.as_deref().and_then(|id| body.split_once(id)).context("a delivery has a message id")?;
    let target = url[url::Position::BeforePath..].to_owned();
    let host = url.host_str().context("a hook has a host")?;
    let made = (from..from + many).map(|n| {
        let body = format!("{before}{n:08x}-0000-4000-8000-000000000000{after}");
        let (signature, source) = match proof {
            Proof::Signed => (psa.msp.sign(body.as_bytes()), String::new()),
            Proof::Forged => (psa.msp.sign(b"another body"), format!("X-Forwarded-For: {}\r\n", address(n))),
            Proof::ForgedFromOne => (psa.msp.sign(b"another body"), "X-Forwarded-For: 198.51.100.7\r\n".to_owned()),
        };
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{SIGNATURE_HEADER}: {signature}\r\n\
             {source}Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    });
    Ok(made.collect())
}

/// One of sixteen million addresses.
fn address(n: usize) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

/// Sends all of them over so many connections.
pub(super) async fn send(to: SocketAddr, requests: Vec<Vec<u8>>, connections: usize) -> anyhow::Result<Sent> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(connect(to).await?);
    }
    let started = Instant::now();
    let tasks = open.into_iter().map(|stream| tokio::spawn(one(to, stream, Arc::clone(&requests), Arc::clone(&next))));
    let mut sent = Sent { took: Duration::ZERO, waits: Vec::with_capacity(requests.len()), statuses: BTreeMap::new() };
    for task in tasks.collect::<Vec<_>>() {
        for (wait, status) in task.await?? {
            sent.waits.push(wait);
            *sent.statuses.entry(status).or_default() += 1;
        }
    }
    sent.took = started.elapsed();
    sent.waits.sort();
    Ok(sent)
}

async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.context("the service takes no connection")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn one(
    to: SocketAddr,
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<(Duration, u16)>> {
    let (mut answers, mut buffer) = (Vec::new(), Vec::with_capacity(4096));
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let asked = Instant::now();
        stream.write_all(request).await?;
        let (status, stays) = answer(&mut stream, &mut buffer).await?;
        answers.push((asked.elapsed(), status));
        if !stays {
            stream = connect(to).await?;
        }
    }
    Ok(answers)
}

/// Reads one answer whole; answers its status, and whether the connection stays open.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<(u16, bool)> {
    buffer.clear();
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the service closed the connection");
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Ok(0), |text| text.trim().parse())?;
        if buffer.len() >= end + 4 + length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let stays = !head.lines().any(|line| line == "connection: close");
            return Ok((status.context("an answer has a status")?, stays));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_what_was_measured() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(101));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(199));
        assert_eq!(percentile(&sorted, 100), Duration::from_millis(200));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
