//! A connection that is written to and read from at once: a server that has answered much may not read on before its answers are read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::net::Stream;

/// How much is read at once, in octets.
const READ: usize = 8 << 10;

/// A connection, and what has come over it and is to go over it.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    /// What is to be written, and how much of it was.
    waiting: (Vec<u8>, usize),
    /// Why nothing can be written any more. What the server has said before counts more.
    failed: Option<io::Error>,
}

impl Link {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Link { stream, received: Vec::new(), waiting: (Vec::new(), 0), failed: None }
    }

    /// The connection alone.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// What has come.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Drops what was understood of it.
    pub(super) fn understood(&mut self, octets: usize) {
        self.received.drain(..octets);
    }

    /// Has octets be written by [`Link::more`].
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.waiting.0.extend_from_slice(octets);
    }

    /// Writes octets at once, behind what waits. Whoever stops waiting for that drops the connection.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        let (waiting, written) = std::mem::take(&mut self.waiting);
        let written = async {
            self.stream.write_all(&waiting[written..]).await?;
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| error.to_string())
    }

    /// Ends the connection.
    pub(super) async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Waits until something more has come, and writes what waits meanwhile.
    pub(super) async fn more(&mut self) -> Result<(), String> {
        let read = poll_fn(|context| {
            if self.failed.is_none()
                && let Poll::Ready(Err(error)) = self.poll_write(context)
            {
                self.failed = Some(error);
            }
            self.poll_read(context)
        });
        match (read.await, self.failed.take()) {
            (Ok(1..), failed) => {
                self.failed = failed;
                Ok(())
            }
            (_, Some(failed)) => Err(failed.to_string()),
            (Ok(0), None) => Err("it closed the connection".to_owned()),
            (Err(error), None) => Err(error.to_string()),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (octets, written) = &mut self.waiting;
        while *written < octets.len() {
            match Pin::new(&mut self.stream).poll_write(context, &octets[*written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(length)) => *written += length,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // A batch is not kept in memory.
        self.waiting = (Vec::new(), 0);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut octets = [0; READ];
        let mut read = ReadBuf::new(&mut octets);
        match Pin::new(&mut self.stream).poll_read(context, &mut read) {
            Poll::Ready(Ok(())) => {
                self.received.extend_from_slice(read.filled());
                Poll::Ready(Ok(read.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn octets_go_in_their_order_while_others_come() {
        let (own, mut other) = tokio::io::duplex(4);
        let mut link = Link::new(Box::new(own));
        link.push(b"0123456789");
        other.write_all(b"abcd").await.unwrap();
        link.more().await.unwrap();
        assert_eq!(link.received(), b"abcd");
        link.understood(3);
        assert_eq!(link.received(), b"d");
        let written = async {
            link.write(b"end").await.unwrap();
            link.shutdown().await;
        };
        let read = async {
            let mut all = Vec::new();
            other.read_to_end(&mut all).await.map(|_| all).unwrap()
        };
        let ((), all) = tokio::join!(written, read);
        assert_eq!(all, b"0123456789end");
        drop(other);
        assert_eq!(link.more().await, Err("it closed the connection".to_owned()));
    }
}
