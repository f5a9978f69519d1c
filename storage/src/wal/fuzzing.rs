//! Ways into the WAL's coders for fuzz targets and benches.
//!
//! Here: bytes in, nothing out; and a record there and back.
//! Elsewhere: the coders (`wal::record`, `wal::scan`).

use std::io;

use super::record::{Decoded, Decoder, Encoder, FRAME_BYTES, WalSample};
use super::scan::{HEADER_BYTES, Piece, decode_header, scan};
use crate::{Labels, SeriesId};

/// Decodes `bytes` as a record's payload, twice: the second time it meets what the first one left behind.
pub fn fuzz_payload(bytes: &[u8]) {
    if let Ok(mut decoder) = Decoder::new() {
        let mut decoded = Decoded::default();
        for seq in [0, 1, 7] {
            let _ = decoder.decode(seq, bytes, &mut decoded);
        }
    }
}

/// Walks `bytes` as a segment and decodes what passes for records.
pub fn fuzz_segment(bytes: &[u8]) {
    let Ok(mut decoder) = Decoder::new() else { return };
    let mut decoded = Decoded::default();
    let salt = decode_header(bytes).map_or(0, |(header, _)| header.salt);
    let mut seen = HEADER_BYTES.min(bytes.len());
    scan(bytes, salt, |piece| match piece {
        Piece::Record { seq, payload } => {
            let _ = decoder.decode(seq, payload, &mut decoded);
            seen += FRAME_BYTES + payload.len();
        }
        Piece::Damaged { bytes, .. } | Piece::Tail { bytes, .. } => seen += bytes,
    });
    assert_eq!(seen, bytes.len(), "each byte is accounted for");
}

/// An encoder and a decoder, for measuring.
#[derive(Debug)]
pub struct WalProbe {
    encoder: Encoder,
    decoder: Decoder,
    decoded: Decoded,
    seqs: (u64, u64),
}

impl WalProbe {
    /// Both at the beginning of a segment.
    pub fn new() -> io::Result<Self> {
        Ok(WalProbe { encoder: Encoder::new()?, decoder: Decoder::new()?, decoded: Decoded::default(), seqs: (0, 0) })
    }

    /// Begins a segment.
    pub fn clear(&mut self) {
        self.encoder.clear();
        self.decoder.clear();
    }

    /// Appends a record to `out`.
    pub fn encode(&mut self, out: &mut Vec<u8>, series: &[(SeriesId, Labels)], samples: &[(u64, i64, f64)]) {
        let samples: Vec<_> = samples.iter().map(|&(id, t, v)| WalSample { id, t, v }).collect();
        let series = series.iter().map(|(id, labels)| (*id, labels));
        self.encoder.put_batch(out, (0, self.seqs.0), series, &samples);
        self.seqs.0 += 1;
    }

    /// Decodes the record that is all of `frame`, and hands its samples to `each`; how many samples and series it had.
    pub fn decode(&mut self, frame: &[u8], mut each: impl FnMut(u64, i64, f64)) -> Option<(usize, usize)> {
        self.decoder.decode(self.seqs.1, frame.get(FRAME_BYTES..)?, &mut self.decoded)?;
        self.seqs.1 += 1;
        self.decoded.samples.iter().for_each(|s| each(s.id, s.t, s.v));
        Some((self.decoded.samples.len(), self.decoded.series.len()))
    }
}
