//! Histograms as a block keeps them: each a record of its own.
//!
//! Here: from chunks of the head to records and back.
//! Elsewhere: one record (`codec`), pages of records (`block::data`), merging them (`merge`).
//!
//! Invariant: a record needs no other one, so merging moves records and never takes them apart. That their layouts
//! repeat costs little: records of one page are compressed together.

use super::head::HistogramChunk;
use super::{Histogram, HistogramColumns, codec};
use crate::TimeRange;
use crate::bytes::Reader;

/// The histograms of these chunks, which follow one another, with their times.
pub(crate) fn records(chunks: &[HistogramChunk]) -> Vec<(i64, Vec<u8>)> {
    let mut found = HistogramColumns::default();
    for chunk in chunks {
        chunk.read_into(TimeRange::ALL, &mut found).expect("memory is as it was encoded");
    }
    encoded(&found)
}

/// Histograms with their times, each encoded for itself.
pub(crate) fn encoded(found: &HistogramColumns) -> Vec<(i64, Vec<u8>)> {
    let record = |histogram: &Histogram| {
        let mut bytes = Vec::new();
        codec::encode(histogram, None, &mut bytes);
        bytes
    };
    found.t.iter().zip(&found.h).map(|(&t, histogram)| (t, record(histogram))).collect()
}

/// One of them; `None` if the bytes are no record of a sound histogram.
pub(crate) fn histogram(record: &[u8]) -> Option<Histogram> {
    let mut r = Reader::new(record);
    codec::decode(&mut r, None).filter(|histogram| r.is_at_end() && histogram.validate().is_ok())
}
