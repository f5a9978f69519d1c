//! How long a client may take nothing of what is sent to it.
//!
//! Here: a connection whose writes fail once that is over, so that its answers, their memory and their place among all that
//! are being sent go. Elsewhere: how long it may take to ask (`serve`), how much may be under way (`query`).
//!
//! Invariant: a client that takes something now and then is never cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection that waits for its client so long, and no longer.
pub(super) struct Patience<S> {
    stream: S,
    stall_max: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Patience<S> {
    pub(super) fn new(stream: S, stall_max: Duration) -> Self {
        Patience { stream, stall_max, stalled: None }
    }

    /// What `attempt` says, or an error if it has said nothing for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        attempt: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = attempt(Pin::new(&mut self.stream), context) {
            self.stalled = None;
            return Poll::Ready(done);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stall_max)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, room)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().watched(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watched(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watched(context, |stream, context| stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().watched(context, |stream, context| stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut patience = Patience::new(ours, Duration::from_millis(1));
        let error = patience.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_something_now_and_then_gets_all() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut patience = Patience::new(ours, Duration::from_secs(60));
        let text = [7; 1000];
        let mut taken = Vec::new();
        let sending = async {
            patience.write_all(&text).await.unwrap();
            assert!(patience.stalled.is_none());
            drop(patience);
        };
        let (_, read) = tokio::join!(sending, theirs.read_to_end(&mut taken));
        assert_eq!((read.unwrap(), taken.as_slice()), (1000, &text[..]));
    }
}
