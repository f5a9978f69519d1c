//! Walking a segment's bytes: the good records, and what lies between them.
//!
//! Here: [`scan`], which finds the next good record after damage.
//! Elsewhere: what to do with each (`wal::replay`), the payload (`wal::record`).
//!
//! Invariant: every byte of the segment is accounted for as header, record, or damage.

use super::record::{FRAME_BYTES, MARKER, header_crc};
use crate::bytes::Reader;

/// First bytes of a segment.
pub(crate) const MAGIC: [u8; 8] = *b"CAIRNWAL";
/// Version of this format.
pub(crate) const VERSION: u32 = 1;
/// One copy of the segment header: magic, version, segment number, salt, checksum.
pub(crate) const HEADER_COPY_BYTES: usize = 32;
/// The header stands twice: without its salt no record of the segment could be told from a forgery.
pub(crate) const HEADER_BYTES: usize = 2 * HEADER_COPY_BYTES;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Format version.
    pub(crate) version: u32,
    /// Its number, also in the file's name.
    pub(crate) number: u64,
    /// Random; part of each frame header's checksum.
    pub(crate) salt: u64,
}

/// One piece of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record whose checksums hold.
    Record {
        /// Rises by one from record to record over all segments.
        seq: u64,
        /// Its contents.
        payload: &'a [u8],
    },
    /// Bytes that are no record, with good ones after them.
    Damaged {
        /// Where they begin.
        offset: usize,
        /// How many.
        bytes: usize,
    },
    /// Bytes that are no record, up to the end: a torn write, or damage.
    Tail {
        /// Where they begin.
        offset: usize,
        /// How many.
        bytes: usize,
    },
}

/// The two copies of a segment's header.
pub(crate) fn encode_header(header: Header) -> [u8; HEADER_BYTES] {
    let mut out = [0u8; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&header.version.to_le_bytes());
    out[12..20].copy_from_slice(&header.number.to_le_bytes());
    out[20..28].copy_from_slice(&header.salt.to_le_bytes());
    let crc = crc32fast::hash(&out[..28]);
    out[28..32].copy_from_slice(&crc.to_le_bytes());
    out.copy_within(..HEADER_COPY_BYTES, HEADER_COPY_BYTES);
    out
}

/// The first header copy that is whole, and whether both were.
pub(crate) fn decode_header(bytes: &[u8]) -> Option<(Header, bool)> {
    let copy = |i: usize| bytes.get(i * HEADER_COPY_BYTES..(i + 1) * HEADER_COPY_BYTES).and_then(decode_copy);
    match (copy(0), copy(1)) {
        (Some(a), b) => Some((a, b.is_some())),
        (None, Some(b)) => Some((b, false)),
        (None, None) => None,
    }
}

fn decode_copy(copy: &[u8]) -> Option<Header> {
    let mut r = Reader::new(copy);
    let magic = r.bytes(8)?;
    let header = Header { version: r.u32()?, number: r.u64()?, salt: r.u64()? };
    (magic == MAGIC && r.u32()? == crc32fast::hash(&copy[..28])).then_some(header)
}

/// Hands out the pieces after the header, in order.
pub(crate) fn scan<'a>(segment: &'a [u8], salt: u64, mut each: impl FnMut(Piece<'a>)) {
    let mut at = HEADER_BYTES;
    while at < segment.len() {
        match frame_at(segment, at, salt) {
            Some(frame) if frame.end <= segment.len() => {
                let payload = &segment[at + FRAME_BYTES..frame.end];
                if crc32fast::hash(payload) == frame.crc {
                    each(Piece::Record { seq: frame.seq, payload });
                } else if frame.end == segment.len() {
                    each(Piece::Tail { offset: at, bytes: frame.end - at });
                } else {
                    each(Piece::Damaged { offset: at, bytes: frame.end - at });
                }
                at = frame.end;
            }
            _ => match next_frame(segment, at + 1, salt) {
                Some(next) => {
                    each(Piece::Damaged { offset: at, bytes: next - at });
                    at = next;
                }
                None => {
                    each(Piece::Tail { offset: at, bytes: segment.len() - at });
                    return;
                }
            },
        }
    }
}

struct Frame {
    seq: u64,
    crc: u32,
    end: usize,
}

/// The frame header at `at`, if its checksum holds.
fn frame_at(segment: &[u8], at: usize, salt: u64) -> Option<Frame> {
    let header = segment.get(at..at.checked_add(FRAME_BYTES)?)?;
    let mut r = Reader::new(header);
    if r.bytes(4)? != MARKER {
        return None;
    }
    let len = usize::try_from(r.u32()?).ok()?;
    let (seq, crc) = (r.u64()?, r.u32()?);
    (r.u32()? == header_crc(salt, &header[..20])).then_some(())?;
    Some(Frame { seq, crc, end: at.checked_add(FRAME_BYTES)?.checked_add(len)? })
}

fn next_frame(segment: &[u8], from: usize, salt: u64) -> Option<usize> {
    let rest = segment.get(from..)?;
    (0..rest.len().saturating_sub(FRAME_BYTES - 1))
        .filter(|&i| rest[i] == MARKER[0])
        .map(|i| from + i)
        .find(|&at| frame_at(segment, at, salt).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::record::{Encoder, WalSample};
    use super::*;

    fn segment(records: u64) -> Vec<u8> {
        let mut out = encode_header(Header { version: VERSION, number: 1, salt: 9 }).to_vec();
        let mut encoder = Encoder::new().unwrap();
        for seq in 0..records {
            encoder.put_batch(&mut out, (9, seq), [].into_iter(), &[WalSample { id: seq, t: 1, v: 2.5 }]);
        }
        out
    }

    fn seqs(bytes: &[u8]) -> (Vec<u64>, usize) {
        let (mut seqs, mut lost) = (Vec::new(), 0);
        scan(bytes, 9, |piece| match piece {
            Piece::Record { seq, .. } => seqs.push(seq),
            Piece::Damaged { bytes, .. } | Piece::Tail { bytes, .. } => lost += bytes,
        });
        (seqs, lost)
    }

    #[test]
    fn every_flip_costs_at_most_one_record() {
        let good = segment(5);
        for at in HEADER_BYTES..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let (found, lost) = seqs(&bad);
            assert_eq!(found.len(), 4, "flip at {at}");
            assert!(lost > 0);
        }
    }

    #[test]
    fn every_cut_keeps_the_records_before_it() {
        let good = segment(3);
        let record = (good.len() - HEADER_BYTES) / 3;
        for len in HEADER_BYTES..good.len() {
            assert_eq!(seqs(&good[..len]).0.len(), (len - HEADER_BYTES) / record, "cut at {len}");
        }
    }

    #[test]
    fn one_good_header_copy_is_enough() {
        let good = segment(0);
        for at in 0..HEADER_BYTES {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(decode_header(&bad).map(|(h, whole)| (h.salt, whole)), Some((9, false)));
        }
        assert_eq!(decode_header(&good[..10]), None);
    }

    #[test]
    fn a_record_inside_a_label_value_is_not_found() {
        let mut forged = Vec::new();
        Encoder::new().unwrap().put_batch(&mut forged, (1234, 7), [].into_iter(), &[]);
        let mut bytes = segment(0);
        bytes.push(0);
        bytes.extend(forged);
        assert_eq!(seqs(&bytes).0, [] as [u64; 0]);
    }
}
