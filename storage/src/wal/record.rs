//! WAL records: one batch each, in columns.
//!
//! Here: the payload of a record and the frame around it.
//! Elsewhere: files (`wal`), walking them after a crash (`wal::scan`), the tables (`FORMAT.md`).
//!
//! Invariant: a record says everything about its batch: the labels of each series that it names for the first time.

use crate::bytes::{Reader, put_signed, put_str, put_varint};
use crate::{Labels, SeriesId};

/// First bytes of every frame, chosen to be no UTF-8.
pub(crate) const MARKER: [u8; 4] = [0xC4, 0x17, 0xFE, 0xED];
/// Marker, payload length, sequence number, payload checksum, header checksum.
pub(crate) const FRAME_BYTES: usize = 24;
/// Payload kind: a batch of new series and samples.
pub(crate) const KIND_BATCH: u8 = 1;

/// Value nibbles 0..=8: so many high bytes of the float; 9..=15: a whole number in 1..=7 bytes.
const NIBBLE_WHOLE: u8 = 8;

/// A sample on its way into the log and the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WalSample {
    /// The series.
    pub(crate) id: u64,
    /// Milliseconds.
    pub(crate) t: i64,
    /// Value.
    pub(crate) v: f64,
}

/// A decoded payload. Keep and reuse it.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Series named for the first time.
    pub(crate) series: Vec<(SeriesId, Labels)>,
    /// Samples in batch order.
    pub(crate) samples: Vec<WalSample>,
}

/// Appends a frame with its payload to `out`.
pub(crate) fn put_frame<'a>(
    out: &mut Vec<u8>,
    salt: u64,
    seq: u64,
    series: impl ExactSizeIterator<Item = (SeriesId, &'a Labels)>,
    samples: &[WalSample],
) {
    let start = out.len();
    out.resize(start + FRAME_BYTES, 0);
    put_payload(out, series, samples);
    seal_frame(&mut out[start..], salt, seq);
}

/// Fills in the header of a frame whose payload is complete.
fn seal_frame(frame: &mut [u8], salt: u64, seq: u64) {
    let len = u32::try_from(frame.len() - FRAME_BYTES).expect("a batch is limited far below 4 GiB by its caller");
    let crc = crc32fast::hash(&frame[FRAME_BYTES..]);
    frame[..4].copy_from_slice(&MARKER);
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    let header = header_crc(salt, &frame[..20]);
    frame[20..24].copy_from_slice(&header.to_le_bytes());
}

/// Checksum of a frame's header. The segment's salt is part of it, so that a label value that looks like a frame
/// is not taken for one when the walk resynchronises.
pub(crate) fn header_crc(salt: u64, header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(header);
    hasher.finalize()
}

fn put_payload<'a>(
    out: &mut Vec<u8>,
    series: impl ExactSizeIterator<Item = (SeriesId, &'a Labels)>,
    samples: &[WalSample],
) {
    out.push(KIND_BATCH);
    put_varint(out, series.len() as u64);
    for (id, labels) in series {
        put_varint(out, id.0);
        put_varint(out, labels.len() as u64);
        for (name, value) in labels {
            put_str(out, name);
            put_str(out, value);
        }
    }
    put_varint(out, samples.len() as u64);
    put_ids(out, samples);
    put_times(out, samples);
    put_values(out, samples);
}

fn put_ids(out: &mut Vec<u8>, samples: &[WalSample]) {
    let mut last = 0u64;
    for s in samples {
        put_signed(out, s.id.wrapping_sub(last) as i64);
        last = s.id;
    }
}

/// Runs of equal times: a scrape has one.
fn put_times(out: &mut Vec<u8>, samples: &[WalSample]) {
    let mut last = 0i64;
    for run in samples.chunk_by(|a, b| a.t == b.t) {
        put_varint(out, run.len() as u64);
        put_signed(out, run[0].t.wrapping_sub(last));
        last = run[0].t;
    }
}

fn put_values(out: &mut Vec<u8>, samples: &[WalSample]) {
    let nibbles_at = out.len();
    out.resize(nibbles_at + samples.len().div_ceil(2), 0);
    for (i, s) in samples.iter().enumerate() {
        let (nibble, bytes, len) = shorten(s.v);
        out[nibbles_at + i / 2] |= nibble << (4 * (i % 2));
        out.extend_from_slice(&bytes[..len]);
    }
}

/// The shorter of two forms: the float's high bytes, or a whole number's low bytes.
fn shorten(v: f64) -> (u8, [u8; 8], usize) {
    let bits = v.to_bits();
    let high = 8 - bits.trailing_zeros().min(64) as usize / 8;
    if v >= 1.0 && v < (1u64 << 53) as f64 {
        let n = v as u64;
        let len = 8 - n.leading_zeros() as usize / 8;
        if n as f64 == v && len < high {
            return (NIBBLE_WHOLE + len as u8, n.to_le_bytes(), len);
        }
    }
    (high as u8, bits.to_be_bytes(), high)
}

/// Decodes a payload into `out`, replacing what is there. `None` if it is not a valid one; then `out` is undefined.
pub(crate) fn decode(payload: &[u8], out: &mut Decoded) -> Option<()> {
    let mut r = Reader::new(payload);
    out.series.clear();
    out.samples.clear();
    if r.u8()? != KIND_BATCH {
        return None;
    }
    for _ in 0..r.count(2)? {
        let id = SeriesId(r.varint()?);
        out.series.push((id, read_labels(&mut r)?));
    }
    let count = r.count(1)?;
    read_ids(&mut r, count, &mut out.samples)?;
    read_times(&mut r, &mut out.samples)?;
    read_values(&mut r, &mut out.samples)?;
    r.is_at_end().then_some(())
}

fn read_labels(r: &mut Reader<'_>) -> Option<Labels> {
    let count = r.count(2)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((r.str()?, r.str()?));
    }
    Labels::from_pairs(pairs).ok()
}

fn read_ids(r: &mut Reader<'_>, count: usize, samples: &mut Vec<WalSample>) -> Option<()> {
    samples.reserve(count);
    let mut id = 0u64;
    for _ in 0..count {
        id = id.wrapping_add(r.signed()? as u64);
        samples.push(WalSample { id, t: 0, v: 0.0 });
    }
    Some(())
}

fn read_times(r: &mut Reader<'_>, samples: &mut [WalSample]) -> Option<()> {
    let (mut at, mut t) = (0usize, 0i64);
    while at < samples.len() {
        let run = usize::try_from(r.varint()?).ok()?;
        t = t.wrapping_add(r.signed()?);
        if run == 0 {
            return None;
        }
        for s in samples.get_mut(at..at.checked_add(run)?)? {
            s.t = t;
        }
        at += run;
    }
    Some(())
}

fn read_values(r: &mut Reader<'_>, samples: &mut [WalSample]) -> Option<()> {
    let nibbles = r.bytes(samples.len().div_ceil(2))?;
    for (i, s) in samples.iter_mut().enumerate() {
        let nibble = nibbles[i / 2] >> (4 * (i % 2)) & 15;
        s.v = if nibble > NIBBLE_WHOLE {
            r.uint(usize::from(nibble - NIBBLE_WHOLE))? as f64
        } else {
            let mut wide = [0u8; 8];
            let len = usize::from(nibble);
            wide[..len].copy_from_slice(r.bytes(len)?);
            f64::from_bits(u64::from_be_bytes(wide))
        };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(series: &[(SeriesId, Labels)], samples: &[WalSample]) -> Vec<u8> {
        let mut out = Vec::new();
        put_payload(&mut out, series.iter().map(|(id, l)| (*id, l)), samples);
        out
    }

    #[test]
    fn a_scrape_of_small_numbers_takes_few_bytes() {
        let samples: Vec<_> =
            (0..100).map(|i| WalSample { id: 500 + i, t: 1_700_000_000_000, v: (i % 3) as f64 }).collect();
        let bytes = payload(&[], &samples);
        assert!(bytes.len() < 280, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn batches_round_trip(raw in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), 0..4u8), 0..50), names in prop::collection::vec("[a-zé]{1,70}", 0..5)) {
            let samples: Vec<_> = raw.iter().map(|&(id, t, bits, kind)| WalSample {
                id,
                t: if kind == 0 { t } else { 5 },
                v: match kind { 0 => f64::from_bits(bits), 1 => (bits >> 12) as f64, 2 => -0.0, _ => (bits & 0xffff) as f64 / 8.0 },
            }).collect();
            let series: Vec<_> = names.iter().enumerate().map(|(i, n)| (SeriesId(i as u64), Labels::from_pairs([("a", n.as_str()), ("b", "c")]).unwrap())).collect();
            let mut out = Decoded::default();
            prop_assert_eq!(decode(&payload(&series, &samples), &mut out), Some(()));
            prop_assert_eq!(&out.series, &series);
            let bits = |s: &[WalSample]| s.iter().map(|s| (s.id, s.t, s.v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(&out.samples), bits(&samples));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes, &mut Decoded::default());
            let with_kind: Vec<u8> = std::iter::once(KIND_BATCH).chain(bytes).collect();
            let _ = decode(&with_kind, &mut Decoded::default());
        }
    }
}
