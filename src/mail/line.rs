//! What is read from a mail server before TLS: a line at a time, and not without end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
};

/// The most that one connection may say. A hundred mails need a tenth of it.
const LONGEST: usize = 1024 * 1024;

/// A connection that hands out one line per read, so that its reader never holds more than the answer it waits for.
///
/// Whoever sits between us and the server can put words of their own behind the server's answer to STARTTLS. A reader
/// that has them in its buffer takes them for the first words said under TLS. Here they stay behind, become the first
/// bytes of the TLS handshake, and break it.
///
/// Source: RFC 3207, section 6; Poddebniak et al., "Why TLS is better without STARTTLS", USENIX Security 2021, section 4.
#[derive(Debug)]
pub(super) struct LineByLine {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl LineByLine {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream), left: LONGEST }
    }
}

impl AsyncRead for LineByLine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let said = ready!(Pin::new(&mut this.stream).poll_fill_buf(cx))?;
        let line = said.iter().position(|byte| *byte == b'\n').map_or(said.len(), |end| end + 1);
        let taken = line.min(into.remaining());
        this.left = match this.left.checked_sub(taken) {
            Some(left) => left,
            None => return Poll::Ready(Err(io::Error::other("the mail server talks without end"))),
        };
        into.put_slice(&said[..taken]);
        Pin::new(&mut this.stream).consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn said(bytes: Vec<u8>) -> LineByLine {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        tokio::spawn(async move { drop(server.write_all(&bytes).await) });
        LineByLine::new(stream)
    }

    #[tokio::test]
    async fn no_read_goes_past_the_end_of_a_line() {
        let mut stream = said(b"220 ready\r\n250 injected\r\nhalf".to_vec()).await;
        let mut buffer = [0; 64];
        let mut reads = Vec::new();
        while let read @ 1.. = stream.read(&mut buffer).await.unwrap() {
            reads.push(String::from_utf8(buffer[..read].to_vec()).unwrap());
        }
        assert_eq!(reads[..2], ["220 ready\r\n", "250 injected\r\n"]);
        assert_eq!(reads[2..].concat(), "half");
    }

    #[tokio::test]
    async fn a_server_that_talks_without_end_is_left() {
        let mut stream = said(vec![b'x'; LONGEST + 1]).await;
        let mut all = Vec::new();
        let error = stream.read_to_end(&mut all).await.unwrap_err();
        assert!(error.to_string().contains("without end"), "{error}");
        assert!(all.len() <= LONGEST);
    }
}
