//! What a snapshot says beside series of floats: native histograms, start timestamps, exemplars, metadata.
//!
//! Here: the contents of their frames, both ways.
//! Elsewhere: what they are (`histogram::head`, `starts`, `exemplar`, `metadata`), frames (`snapshot::format`), tables (`FORMAT.md`).
//!
//! Invariant: histograms follow the frames of the series that they belong to, and those of one series rise in time.
//! Exemplars keep the order of their arrival, so the same ones leave first after a start. Histograms that a running cut
//! has taken are left out: blocks have them.

use super::format::{KIND_EXEMPLARS, KIND_HISTOGRAMS, KIND_METADATA, KIND_STARTS};
use crate::bytes::{Reader, put_signed, put_str, put_varint};
use crate::head::Head;
use crate::head::export::Exported;
use crate::histogram::head::HistogramChunk;
use crate::index::SeriesRef;
use crate::starts::{Change, Changes};
use crate::{Exemplar, ExemplarsAppended, Labels, MetadataAppended, MetricMetadata, SeriesId, TimeRange};

/// A frame ends after so many bytes.
const CONTENTS_BYTES: usize = 256 << 10;

/// Gathers contents and gives them away by the frame.
#[derive(Debug)]
pub(crate) struct Gatherer<F: FnMut(u8, &[u8])> {
    contents: Vec<u8>,
    give: F,
}

impl<F: FnMut(u8, &[u8])> Gatherer<F> {
    /// `give` takes a frame's kind and contents.
    pub(crate) fn new(give: F) -> Self {
        Gatherer { contents: Vec::new(), give }
    }

    /// The chunks of some series, as [`chunks_of`] has them.
    pub(crate) fn histograms(&mut self, found: &[(SeriesRef, HistogramChunk)]) -> Exported {
        let mut done = Exported::default();
        for (series, chunk) in found {
            put_varint(&mut self.contents, u64::from(*series));
            put_signed(&mut self.contents, chunk.min_t);
            put_varint(&mut self.contents, chunk.max_t.wrapping_sub(chunk.min_t) as u64);
            put_varint(&mut self.contents, u64::from(chunk.count));
            put_varint(&mut self.contents, chunk.bytes.len() as u64);
            self.contents.extend_from_slice(&chunk.bytes);
            done.count(chunk.count.into(), chunk.min_t, chunk.max_t);
            self.flush(KIND_HISTOGRAMS, CONTENTS_BYTES);
        }
        self.flush(KIND_HISTOGRAMS, 1);
        done
    }

    /// Start timestamps of some series.
    pub(crate) fn starts(&mut self, found: &[(SeriesRef, Changes)]) {
        for (series, changes) in found {
            put_varint(&mut self.contents, u64::from(*series));
            put_varint(&mut self.contents, changes.as_slice().len() as u64);
            let mut last = Change { from: 0, start: 0 };
            for change in changes.as_slice() {
                put_signed(&mut self.contents, change.from.wrapping_sub(last.from));
                put_signed(&mut self.contents, change.start.wrapping_sub(last.start));
                last = *change;
            }
            self.flush(KIND_STARTS, CONTENTS_BYTES);
        }
        self.flush(KIND_STARTS, 1);
    }

    /// Exemplars with their series, oldest arrival first.
    pub(crate) fn exemplars(&mut self, all: &[(Labels, Exemplar)]) {
        for (series, exemplar) in all {
            put_labels(&mut self.contents, series);
            put_labels(&mut self.contents, &exemplar.labels);
            put_signed(&mut self.contents, exemplar.t);
            self.contents.extend_from_slice(&exemplar.v.to_bits().to_le_bytes());
            self.flush(KIND_EXEMPLARS, CONTENTS_BYTES);
        }
        self.flush(KIND_EXEMPLARS, 1);
    }

    /// Metrics and what they mean.
    pub(crate) fn metadata<S: AsRef<str>>(&mut self, all: &[(S, MetricMetadata)]) {
        for (metric, meaning) in all {
            for text in [metric.as_ref(), &meaning.kind, &meaning.help, &meaning.unit] {
                put_str(&mut self.contents, text);
            }
            self.flush(KIND_METADATA, CONTENTS_BYTES);
        }
        self.flush(KIND_METADATA, 1);
    }

    fn flush(&mut self, kind: u8, bytes_min: usize) {
        if self.contents.len() >= bytes_min {
            (self.give)(kind, &self.contents);
            self.contents.clear();
        }
    }
}

/// The chunks of these series that no cut has taken; the open ones as they are now.
pub(crate) fn chunks_of(head: &Head, series: &[SeriesRef]) -> Vec<(SeriesRef, HistogramChunk)> {
    let of_one = |&series: &SeriesRef| {
        let chunks = head.histograms().snapshot(series, TimeRange::ALL);
        chunks.into_iter().filter(|chunk| !chunk.is_taken).map(move |chunk| (series, chunk))
    };
    series.iter().flat_map(of_one).collect()
}

/// Puts the contents of such a frame back into `head`, histograms counted in `done`. `None` if they are no such
/// contents; what stands before the fault has been put back then.
pub(crate) fn read_extras(kind: u8, contents: &[u8], head: &mut Head, done: &mut Exported) -> Option<()> {
    let mut r = Reader::new(contents);
    while !r.is_at_end() {
        match kind {
            KIND_HISTOGRAMS => read_histograms(&mut r, head, done)?,
            KIND_EXEMPLARS => read_exemplar(&mut r, head)?,
            KIND_METADATA => read_metadata(&mut r, head)?,
            KIND_STARTS => read_starts(&mut r, head)?,
            _ => return None,
        }
    }
    Some(())
}

/// Chunks of series whose frame is lost are passed over: the sum of samples tells.
fn read_histograms(r: &mut Reader<'_>, head: &mut Head, done: &mut Exported) -> Option<()> {
    let series = SeriesRef::try_from(r.varint()?).ok()?;
    let min_t = r.signed()?;
    let max_t = min_t.checked_add(i64::try_from(r.varint()?).ok()?)?;
    let count = u32::try_from(r.varint()?).ok()?;
    let len = r.count(1)?;
    let chunk = HistogramChunk { min_t, max_t, count, is_taken: false, bytes: r.bytes(len)?.into() };
    if head.restore_histograms(series, chunk)? {
        done.count(count.into(), min_t, max_t);
    }
    Some(())
}

/// Of a series whose frame is lost they are passed over.
fn read_starts(r: &mut Reader<'_>, head: &mut Head) -> Option<()> {
    let id = r.varint()?;
    let mut raw = Vec::new();
    let mut last = Change { from: 0, start: 0 };
    for _ in 0..r.count(2)? {
        last = Change { from: last.from.wrapping_add(r.signed()?), start: last.start.wrapping_add(r.signed()?) };
        raw.push(last);
    }
    let changes = Changes::new(raw)?;
    if let Some(series) = head.resolve(SeriesId(id)) {
        head.starts_mut().restore(series, changes);
    }
    Some(())
}

fn read_exemplar(r: &mut Reader<'_>, head: &mut Head) -> Option<()> {
    let (series, labels) = (read_labels(r)?, read_labels(r)?);
    let exemplar = Exemplar { labels, t: r.signed()?, v: f64::from_bits(r.u64()?) };
    head.exemplars_mut().push(&series, exemplar, &mut ExemplarsAppended::default());
    Some(())
}

fn read_metadata(r: &mut Reader<'_>, head: &mut Head) -> Option<()> {
    let metric = r.str()?;
    let meaning = MetricMetadata::new(r.str()?, r.str()?, r.str()?);
    head.metadata_mut().set(metric, meaning, &mut MetadataAppended::default());
    Some(())
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_varint(out, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_str(out, name);
        put_str(out, value);
    }
}

fn read_labels(r: &mut Reader<'_>) -> Option<Labels> {
    let mut pairs = Vec::new();
    for _ in 0..r.count(2)? {
        pairs.push((r.str()?, r.str()?));
    }
    Labels::from_pairs(pairs).ok()
}
