//! Records of a segment, decoded ahead of whoever applies them.
//!
//! Here: a second thread that decodes while the first one fills the head.
//! Elsewhere: the decoder (`wal::record`), what becomes of a record (`wal::replay`).
//!
//! Invariant: pieces are handed out in the segment's order, with the same outcome whether or not there is a second
//! thread. At most [`BUNDLES`] bundles of records are decoded and not yet applied: it bounds memory.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::record::{Decoded, Decoder};
use super::scan::Piece;

/// Shorter segments are decoded in turn: a thread costs more. Tests want it all the same.
const AHEAD_BYTES_MIN: usize = if cfg!(test) { 1 << 10 } else { 128 << 10 };
/// A bundle ends with the record that reaches so many samples: passing one on costs some microseconds. 1.5 MB.
const BUNDLE_SAMPLES: usize = if cfg!(test) { 64 } else { 64 << 10 };
/// Or so many records.
const BUNDLE_RECORDS: usize = 1024;
/// One being filled, one on its way, one being applied.
const BUNDLES: usize = 3;

/// Decodes segments. Its memory is kept from segment to segment.
#[derive(Debug)]
pub(crate) struct Ahead {
    decoder: Decoder,
    spare: Vec<Bundle>,
}

/// Some records in a row, as decoded; only the first `len` count, the others keep memory.
#[derive(Debug, Default)]
struct Bundle {
    records: Vec<(bool, Decoded)>,
    len: usize,
    samples: usize,
}

impl Bundle {
    fn decode(&mut self, decoder: &mut Decoder, seq: u64, payload: &[u8]) {
        if self.len == self.records.len() {
            self.records.push((false, Decoded::default()));
        }
        let Some((is_good, decoded)) = self.records.get_mut(self.len) else { return };
        *is_good = decoder.decode(seq, payload, decoded).is_some();
        self.samples += decoded.samples.len();
        self.len += 1;
    }

    /// What is in a record, if that can be understood.
    fn get(&self, at: usize) -> Option<&Decoded> {
        self.records.get(..self.len)?.get(at).filter(|(is_good, _)| *is_good).map(|(_, decoded)| decoded)
    }

    fn is_full(&self) -> bool {
        self.samples >= BUNDLE_SAMPLES || self.len >= BUNDLE_RECORDS
    }

    fn clear(&mut self) {
        (self.len, self.samples) = (0, 0);
    }
}

impl Ahead {
    /// An error means that there is no memory for a decoder.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Ahead { decoder: Decoder::new()?, spare: Vec::new() })
    }

    /// Hands out the pieces of one segment, records with what is in them: `None` if they cannot be understood.
    pub(crate) fn segment<'a>(&mut self, pieces: &[Piece<'a>], mut each: impl FnMut(Piece<'a>, Option<&Decoded>)) {
        self.decoder.clear();
        let bytes: usize = payloads(pieces).map(|(_, payload)| payload.len()).sum();
        // Without a thread it takes longer, and that is all.
        if bytes < AHEAD_BYTES_MIN || !self.two_threads(pieces, &mut each) {
            self.in_turn(pieces, each);
        }
    }

    fn in_turn<'a>(&mut self, pieces: &[Piece<'a>], mut each: impl FnMut(Piece<'a>, Option<&Decoded>)) {
        let mut bundle = self.spare.pop().unwrap_or_default();
        for &piece in pieces {
            bundle.clear();
            if let Piece::Record { seq, payload } = piece {
                bundle.decode(&mut self.decoder, seq, payload);
            }
            each(piece, bundle.get(0));
        }
        self.spare.push(bundle);
    }

    /// Whether a thread could be had; if not, nothing has happened.
    fn two_threads<'a>(&mut self, pieces: &[Piece<'a>], each: &mut impl FnMut(Piece<'a>, Option<&Decoded>)) -> bool {
        let (full, decoded) = sync_channel(BUNDLES);
        let (back, empty) = sync_channel(BUNDLES);
        self.spare.resize_with(BUNDLES, Bundle::default);
        // There is room for all of them.
        self.spare.drain(..).for_each(|bundle| drop(back.try_send(bundle)));
        let decoder = &mut self.decoder;
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("wal-decode".to_owned());
            let is_running = thread.spawn_scoped(scope, move || decode_all(decoder, pieces, &empty, &full)).is_ok();
            if is_running {
                // It takes its ends along: whatever happens to one side, the other does not wait for it.
                apply_all(pieces, decoded, back, each);
            }
            is_running
        })
    }
}

fn payloads<'a>(pieces: &[Piece<'a>]) -> impl Iterator<Item = (u64, &'a [u8])> {
    pieces.iter().filter_map(|piece| match *piece {
        Piece::Record { seq, payload } => Some((seq, payload)),
        Piece::Damaged { .. } | Piece::Tail { .. } => None,
    })
}

/// The second thread's work; ends early if nobody waits for it.
fn decode_all(decoder: &mut Decoder, pieces: &[Piece<'_>], empty: &Receiver<Bundle>, full: &SyncSender<Bundle>) {
    let mut records = payloads(pieces).peekable();
    while records.peek().is_some() {
        let Ok(mut bundle) = empty.recv() else { return };
        bundle.clear();
        while let Some((seq, payload)) = records.next_if(|_| !bundle.is_full()) {
            bundle.decode(decoder, seq, payload);
        }
        if full.send(bundle).is_err() {
            return;
        }
    }
}

/// The first thread's work.
fn apply_all<'a>(
    pieces: &[Piece<'a>],
    decoded: Receiver<Bundle>,
    back: SyncSender<Bundle>,
    each: &mut impl FnMut(Piece<'a>, Option<&Decoded>),
) {
    let (mut bundle, mut at) = (Bundle::default(), 0);
    for &piece in pieces {
        if !matches!(piece, Piece::Record { .. }) {
            each(piece, None);
            continue;
        }
        if at == bundle.len {
            // It ends before its last record only by a panic, which the scope passes on.
            let Ok(next) = decoded.recv() else { return };
            // The very first one is no bundle and finds no room.
            let _ = back.try_send(std::mem::replace(&mut bundle, next));
            at = 0;
        }
        each(piece, bundle.get(at));
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Encoder, WalSample};
    use super::super::scan::{HEADER_BYTES, scan};
    use super::*;

    /// What one way of reading makes of it.
    fn seen(pieces: &[Piece<'_>], is_threaded: bool) -> Vec<(String, Option<Vec<WalSample>>)> {
        let (mut ahead, mut out) = (Ahead::new().unwrap(), Vec::new());
        let mut each = |piece: Piece<'_>, decoded: Option<&Decoded>| {
            out.push((format!("{piece:?}"), decoded.map(|d| d.samples.clone())));
        };
        if is_threaded {
            assert!(ahead.two_threads(pieces, &mut each));
        } else {
            ahead.in_turn(pieces, each);
        }
        out
    }

    #[test]
    fn a_second_thread_changes_nothing() {
        let mut encoder = Encoder::new().unwrap();
        let mut bytes = vec![0; HEADER_BYTES];
        for seq in 0..900 {
            let samples: Vec<_> =
                (0..seq % 50).map(|id| WalSample { id, t: seq as i64, v: (seq * id) as f64 }).collect();
            encoder.put_batch(&mut bytes, (9, seq), [].into_iter(), &samples);
        }
        for at in [HEADER_BYTES + 100, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 4;
        }
        let mut pieces = Vec::new();
        scan(&bytes, 9, |piece| pieces.push(piece));
        assert!(pieces.len() >= 900 && matches!(pieces.last(), Some(Piece::Tail { .. })));
        // A payload that cannot be understood, too.
        pieces.insert(500, Piece::Record { seq: 7, payload: b"none" });
        assert_eq!(seen(&pieces, true), seen(&pieces, false));
        assert_eq!(seen(&[], true), []);
    }
}
