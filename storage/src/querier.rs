//! Reading: what a query found, and merging its pieces.
//!
//! Here: [`Selection`], [`SelectedSeries`] and the merge of chunks that may overlap.
//! Elsewhere: finding series (`index`), the pieces' bytes (`head`, `block`).
//!
//! Invariant: a selection holds what it shows (shared chunks, mapped blocks), so later appends, cuts and deletions do
//! not change it. Where two pieces have the same millisecond, the one that was written first wins: what was
//! acknowledged is never changed.

use std::sync::Arc;

use crate::block::{Block, ChunkRef};
use crate::chunk;
use crate::head::series::Sealed;
use crate::histogram::head::HistogramChunk;
use crate::{Columns, HistogramColumns, Labels, ReadError, TimeRange};

/// The series that a [`crate::Db::select`] found, sorted by labels, and what could not be read.
#[derive(Debug, Default)]
pub struct Selection {
    /// Sorted by labels.
    pub series: Vec<SelectedSeries>,
    /// Damage that was met and skipped, one sentence each.
    pub warnings: Vec<String>,
}

/// One selected series: labels now, samples on demand. Cheap to move to another thread.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    labels: Labels,
    range: TimeRange,
    /// Older sources first: that is their rank where they disagree.
    pieces: Vec<Piece>,
}

/// A chunk, wherever it is.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// In the head.
    Head(Sealed),
    /// Native histograms in the head.
    Histograms(HistogramChunk),
    /// In a block.
    Block(Arc<Block>, ChunkRef),
}

impl Piece {
    /// First and last sample.
    fn span(&self) -> (i64, i64) {
        match self {
            Piece::Head(chunk) => (chunk.min_t, chunk.max_t),
            Piece::Histograms(chunk) => (chunk.min_t, chunk.max_t),
            Piece::Block(_, chunk) => (chunk.min_t, chunk.max_t),
        }
    }

    fn read_into(&self, range: TimeRange, out: &mut Columns) -> Result<(), ReadError> {
        match self {
            Piece::Head(c) => {
                chunk::decode_into(&c.bytes, c.count, range.min_t, range.max_t, out).ok_or_else(|| c.bytes.error())
            }
            Piece::Histograms(_) => Ok(()),
            Piece::Block(block, chunk) => block.read_chunk(chunk, range, out),
        }
    }

    fn read_histograms_into(&self, range: TimeRange, out: &mut HistogramColumns) {
        if let Piece::Histograms(c) = self {
            c.read_into(range, out).expect("a chunk in memory is as it was encoded");
        }
    }

    fn is_histograms(&self) -> bool {
        matches!(self, Piece::Histograms(_))
    }

    /// Whether a sample lies in `range`; decodes only if the span does not tell.
    fn has_sample_in(&self, range: TimeRange) -> bool {
        let (min_t, max_t) = self.span();
        if range.contains(min_t) || range.contains(max_t) {
            return true;
        }
        if self.is_histograms() {
            let mut found = HistogramColumns::default();
            self.read_histograms_into(range, &mut found);
            return !found.is_empty();
        }
        let mut found = Columns::default();
        min_t < range.min_t && max_t >= range.max_t && self.read_into(range, &mut found).is_ok() && !found.is_empty()
    }
}

impl SelectedSeries {
    /// The series' labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Appends the native histograms in the selected range to `out`, oldest first, at most one per millisecond and none
    /// where there is a float; staleness markers included.
    pub fn read_histograms_into(&self, out: &mut HistogramColumns) -> Result<(), ReadError> {
        // Only the head has any so far, and its chunks come in order and do not overlap.
        self.pieces.iter().for_each(|piece| piece.read_histograms_into(self.range, out));
        Ok(())
    }

    /// Whether the series may have native histograms in the selected range: most have none, and need not be asked.
    pub fn has_histograms(&self) -> bool {
        self.pieces.iter().any(Piece::is_histograms)
    }

    /// Appends the samples that are floats in the selected range to `out`, oldest first, at most one per millisecond;
    /// staleness markers included.
    /// Decodes only chunks that overlap the range. After an error `out` holds the good samples before it.
    pub fn read_into(&self, out: &mut Columns) -> Result<(), ReadError> {
        let mut order: Vec<&Piece> = self.pieces.iter().filter(|piece| !piece.is_histograms()).collect();
        // Stable: pieces that begin together keep their rank.
        order.sort_by_key(|p| p.span().0);
        let is_disjoint = order.windows(2).all(|pair| pair[0].span().1 < pair[1].span().0);
        if is_disjoint { self.chain(&order, out) } else { self.merge(out) }
    }

    fn chain(&self, order: &[&Piece], out: &mut Columns) -> Result<(), ReadError> {
        order.iter().try_for_each(|piece| piece.read_into(self.range, out))
    }

    fn merge(&self, out: &mut Columns) -> Result<(), ReadError> {
        let mut all: Vec<(i64, f64)> = Vec::new();
        let mut part = Columns::default();
        let mut failed: Option<(i64, ReadError)> = None;
        for piece in &self.pieces {
            part.clear();
            if let Err(e) = piece.read_into(self.range, &mut part) {
                let at = piece.span().0;
                failed = match failed {
                    Some((earlier, e)) if earlier <= at => Some((earlier, e)),
                    _ => Some((at, e)),
                };
            }
            all.extend(part.t.iter().copied().zip(part.v.iter().copied()));
        }
        // Stable, and pieces come by rank: of equal times the first is the one to keep.
        all.sort_by_key(|&(t, _)| t);
        all.dedup_by_key(|&mut (t, _)| t);
        let end = failed.as_ref().map_or(i64::MAX, |(at, _)| *at);
        for &(t, v) in all.iter().filter(|&&(t, _)| t < end) {
            out.push(t, v);
        }
        failed.map_or(Ok(()), |(_, e)| Err(e))
    }
}

/// Joins what several sources found. `found` comes by rank of source, and sorted by labels within each source.
pub(crate) fn join(mut found: Vec<(Labels, Vec<Piece>)>, range: TimeRange) -> Vec<SelectedSeries> {
    // Stable and fast on runs that are sorted already: ranks stay in order.
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut series: Vec<SelectedSeries> = Vec::with_capacity(found.len());
    for (labels, pieces) in found {
        match series.last_mut() {
            Some(last) if last.labels == labels => last.pieces.extend(pieces),
            _ => series.push(SelectedSeries { labels, range, pieces }),
        }
    }
    series.retain(|s| s.pieces.iter().any(|p| p.has_sample_in(range)));
    series
}
