//! The body of an answer that comes in pieces.
//!
//! Here: making the next piece, off the async threads, when the client has taken the one before.
//! Elsewhere: the texts (`stream`), packing (`compress`).
//!
//! Invariant: no thread waits for a client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;

use super::compress::{Encoding, Packer};
use super::stream::Source;
use crate::query::Sending;

/// Text is handed on in pieces of about this size.
const PIECE_BYTES: usize = 128 << 10;

/// Makes the pieces of one answer, one after the other.
struct Maker {
    text: Box<dyn Source>,
    buffer: String,
    packer: Packer,
    /// All is written; a source is not asked again then.
    is_done: bool,
    /// Counts the answer until it is sent; its threads make the pieces.
    sending: Sending,
}

impl Maker {
    /// The next piece; the last one is empty.
    fn next(&mut self) -> std::io::Result<Vec<u8>> {
        while !self.is_done {
            self.buffer.clear();
            while !self.is_done && self.buffer.len() < PIECE_BYTES {
                self.is_done = !self.text.write(&mut self.buffer);
            }
            let piece = self.packer.pack(self.buffer.as_bytes(), self.is_done)?;
            // A packer may keep some input for itself.
            if !piece.is_empty() {
                return Ok(piece);
            }
        }
        Ok(Vec::new())
    }
}

/// The body: the next piece is made, off the async threads, when it is asked for.
pub(super) struct Pieces(State);

enum State {
    Idle(Box<Maker>),
    Making(Pin<Box<dyn Future<Output = Made> + Send>>),
    End,
}

/// A piece, and who makes the next one, if there may be one.
type Made = std::io::Result<Option<(Box<Maker>, Vec<u8>)>>;

impl Pieces {
    pub(super) fn new(text: Box<dyn Source>, encoding: Encoding, sending: Sending) -> Self {
        let maker = Maker { text, buffer: String::new(), packer: encoding.packer(), is_done: false, sending };
        Pieces(State::Idle(Box::new(maker)))
    }
}

/// Makes the next piece. After the last one the maker is dropped over there, too: that of a large answer takes its time.
async fn make(mut maker: Box<Maker>) -> Made {
    let threads = maker.sending.threads();
    let made = threads.run(move || {
        let piece = maker.next()?;
        Ok((!piece.is_empty()).then_some((maker, piece)))
    });
    made.await.map_err(std::io::Error::other)?
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let pieces = &mut self.get_mut().0;
        if let State::Idle(_) = pieces
            && let State::Idle(maker) = std::mem::replace(pieces, State::End)
        {
            *pieces = State::Making(Box::pin(make(maker)));
        }
        let State::Making(making) = pieces else { return Poll::Ready(None) };
        let made = ready!(making.as_mut().poll(context));
        *pieces = State::End;
        Poll::Ready(match made {
            Ok(Some((maker, piece))) => {
                *pieces = State::Idle(maker);
                Some(Ok(Frame::data(Bytes::from(piece))))
            }
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Names = std::sync::Arc<Mutex<Vec<String>>>;

    fn note(names: &Names) {
        names.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
    }

    /// Notes on which threads it is written and dropped.
    struct Noting(usize, Names);

    impl Source for Noting {
        fn write(&mut self, out: &mut String) -> bool {
            assert!(self.0 > 0, "on purpose");
            note(&self.1);
            out.push_str(&"x".repeat(PIECE_BYTES));
            self.0 -= 1;
            self.0 > 0
        }
    }

    impl Drop for Noting {
        fn drop(&mut self) {
            note(&self.1);
        }
    }

    #[tokio::test]
    async fn pieces_are_made_and_dropped_on_threads_of_low_priority() {
        let names = Names::default();
        let pieces = Pieces::new(Box::new(Noting(3, names.clone())), Encoding::Identity, Sending::of_nothing());
        let all = axum::body::to_bytes(axum::body::Body::new(pieces), usize::MAX).await.unwrap();
        assert_eq!(all.len(), 3 * PIECE_BYTES);
        assert_eq!(*names.lock().unwrap(), ["cairn-answer-1"; 4]);
    }

    #[tokio::test]
    async fn a_panic_in_a_text_ends_its_answer_with_an_error() {
        let pieces = Pieces::new(Box::new(Noting(0, Names::default())), Encoding::Identity, Sending::of_nothing());
        let failed = axum::body::to_bytes(axum::body::Body::new(pieces), usize::MAX).await.unwrap_err();
        assert!(failed.to_string().contains("ended early"), "{failed}");
    }
}
