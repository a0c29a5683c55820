//! A connection whose reader must go on: one that takes nothing for a while is closed, so that nobody holds a place or what waits for him.

use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connection.
pub(super) struct Stall<S> {
    stream: S,
    /// Ends when the reader has taken nothing for too long.
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Stall<S> {
    pub(super) fn new(stream: S) -> Self {
        Stall { stream, end: None }
    }

    /// What became of an attempt to write.
    fn judged<T>(&mut self, context: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.end = None;
            return tried;
        }
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(context, tried)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.judged(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judged(context, tried)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_loses_the_connection() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stalled = Stall::new(near);
        stalled.write_all(&[1; 64]).await.unwrap();
        let slow = async {
            tokio::time::sleep(PATIENCE.saturating_sub(Duration::from_secs(1))).await;
            far.read_exact(&mut [0; 64]).await.unwrap();
            far
        };
        let (written, _far) = tokio::join!(stalled.write_all(&[2; 64]), slow);
        written.unwrap();
        assert_eq!(stalled.write_all(&[3; 64]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
