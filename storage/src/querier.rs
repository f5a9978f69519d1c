//! Reading: what a query found, and merging its pieces.
//!
//! Here: [`Selection`], [`SelectedSeries`] and the merge of chunks that may overlap.
//! Elsewhere: finding series (`index`), the pieces' bytes (`head`, `block`).
//!
//! Invariant: a selection holds what it shows (shared chunks, mapped blocks), so later appends, cuts and deletions do
//! not change it. Where two pieces have the same millisecond, the one that was written first wins, also where one is a
//! float and the other a histogram: what was acknowledged is never changed.

use std::sync::Arc;

use crate::block::{Block, ChunkRef};
use crate::chunk;
use crate::head::copies::HeadSeries;
use crate::head::series::Sealed;
use crate::histogram::head::HistogramChunk;
use crate::merge::{merge, settle_kinds};
use crate::starts::{Changes, UNKNOWN};
use crate::tombstone::{is_gone, strip};
use crate::{Columns, HistogramColumns, Labels, ReadError, TimeRange};

/// The series that a [`crate::Db::select`] found, sorted by labels, and what could not be read.
#[derive(Debug, Default)]
pub struct Selection {
    /// Sorted by labels.
    pub series: Vec<SelectedSeries>,
    /// Damage that was met and skipped, one sentence each.
    pub warnings: Vec<String>,
}

/// One selected series: labels now, samples on demand, of which there may be none: its chunks reach into the range, but
/// whether they have a sample there only reading tells. Cheap to move to another thread.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    labels: Labels,
    range: TimeRange,
    /// Older sources first: that is their rank where they disagree.
    pieces: Vec<Piece>,
}

/// One of the two kinds of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// A number.
    Float,
    /// A native histogram.
    Histogram,
}

/// A chunk, wherever it is.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// In the head; with the bits of its last value, where they are known without decoding.
    Head(Sealed, Option<u64>),
    /// Native histograms in the head.
    Histograms(HistogramChunk),
    /// In a block.
    Block(Arc<Block>, ChunkRef),
    /// Another one less these ranges, which were deleted.
    Without(Box<Piece>, Arc<[TimeRange]>),
    /// Another one whose samples have these starts.
    Started(Box<Piece>, Arc<Changes>),
}

/// What the head has of a series.
pub(crate) fn pieces_of(s: HeadSeries) -> Vec<Piece> {
    let newest = s.newest;
    let chunks = s.chunks.into_iter().map(|chunk| {
        let last = newest.filter(|&(t, _)| t == chunk.max_t).map(|(_, bits)| bits);
        Piece::Head(chunk, last)
    });
    let pieces = chunks.chain(s.histograms.into_iter().map(Piece::Histograms));
    pieces.map(|piece| piece.started(s.starts.as_ref())).collect()
}

impl Piece {
    /// The same less what is deleted.
    pub(crate) fn without(self, gone: Option<&Arc<[TimeRange]>>) -> Piece {
        let (min_t, max_t) = self.span();
        match gone {
            Some(gone) if gone.iter().any(|range| range.meets(min_t, max_t)) => {
                Piece::Without(Box::new(self), gone.clone())
            }
            _ => self,
        }
    }

    /// The same with the starts of its samples, if they have any.
    pub(crate) fn started(self, starts: Option<&Arc<Changes>>) -> Piece {
        match starts {
            Some(starts) => Piece::Started(Box::new(self), starts.clone()),
            None => self,
        }
    }

    fn starts(&self) -> Option<&Arc<Changes>> {
        match self {
            Piece::Started(_, starts) => Some(starts),
            Piece::Without(piece, _) => piece.starts(),
            _ => None,
        }
    }

    /// Times of its samples in `range`. What cannot be read has none.
    fn times(&self, range: TimeRange) -> Vec<i64> {
        if self.is_histograms() {
            let mut found = HistogramColumns::default();
            let _ = self.read_histograms_into(range, &mut found);
            return found.t;
        }
        let mut found = Columns::default();
        let _ = self.read_into(range, &mut found);
        found.t
    }

    /// First and last sample; of one with deletions, as before them.
    pub(crate) fn span(&self) -> (i64, i64) {
        match self {
            Piece::Head(chunk, _) => (chunk.min_t, chunk.max_t),
            Piece::Histograms(chunk) => (chunk.min_t, chunk.max_t),
            Piece::Block(_, chunk) => (chunk.min_t, chunk.max_t),
            Piece::Without(piece, _) | Piece::Started(piece, _) => piece.span(),
        }
    }

    fn read_into(&self, range: TimeRange, out: &mut Columns) -> Result<(), ReadError> {
        match self {
            Piece::Head(c, _) => {
                chunk::decode_into(&c.bytes, c.count, range.min_t, range.max_t, out).ok_or_else(|| c.bytes.error())
            }
            Piece::Histograms(_) => Ok(()),
            Piece::Block(block, chunk) => block.read_chunk(chunk, range, out),
            Piece::Without(piece, gone) => {
                let from = out.len();
                let read = piece.read_into(range, out);
                strip(gone, out, from);
                read
            }
            Piece::Started(piece, _) => piece.read_into(range, out),
        }
    }

    fn read_histograms_into(&self, range: TimeRange, out: &mut HistogramColumns) -> Result<(), ReadError> {
        match self {
            Piece::Head(..) => {}
            Piece::Histograms(c) => c.read_into(range, out).expect("a chunk in memory is as it was encoded"),
            Piece::Block(block, chunk) => block.read_histograms(chunk, range, out)?,
            Piece::Without(piece, gone) => {
                let from = out.len();
                let read = piece.read_histograms_into(range, out);
                out.retain_from(from, |t| !is_gone(gone, t));
                return read;
            }
            Piece::Started(piece, _) => piece.read_histograms_into(range, out)?,
        }
        Ok(())
    }

    /// Samples of the whole chunk.
    fn sample_count(&self) -> usize {
        match self {
            Piece::Head(chunk, _) => chunk.count as usize,
            Piece::Histograms(chunk) => chunk.count as usize,
            Piece::Block(_, chunk) => chunk.count as usize,
            Piece::Without(piece, _) | Piece::Started(piece, _) => piece.sample_count(),
        }
    }

    fn is_histograms(&self) -> bool {
        match self {
            Piece::Head(..) => false,
            Piece::Histograms(_) => true,
            Piece::Block(_, chunk) => chunk.is_blobs(),
            Piece::Without(piece, _) | Piece::Started(piece, _) => piece.is_histograms(),
        }
    }
}

impl SelectedSeries {
    /// What one source has of a series in `range`.
    pub(crate) fn new(labels: Labels, range: TimeRange, pieces: Vec<Piece>) -> Self {
        SelectedSeries { labels, range, pieces }
    }

    /// No sample in the range is before it.
    pub(crate) fn earliest_t(&self) -> Option<i64> {
        self.pieces.iter().map(|piece| piece.span().0.max(self.range.min_t)).min()
    }

    /// What it is put together from.
    #[cfg(test)]
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The series' labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Appends the native histograms in the selected range to `out`, oldest first, at most one per millisecond and none
    /// where there is a float; staleness markers included. After an error `out` holds the good ones before it.
    pub fn read_histograms_into(&self, out: &mut HistogramColumns) -> Result<(), ReadError> {
        let order = self.order(true);
        if is_disjoint(&order) && !self.is_mixed() {
            return order.iter().try_for_each(|piece| piece.read_histograms_into(self.range, out));
        }
        let (_, found, failed) = self.merge_kinds();
        let end = failed.as_ref().map_or(i64::MAX, |(at, _)| *at);
        for (t, h) in found.t.into_iter().zip(found.h).take_while(|(t, _)| *t < end) {
            out.push(t, h);
        }
        failed.map_or(Ok(()), |(_, e)| Err(e))
    }

    /// The newest sample of the selected range, where it is a float and known without decoding: that of a series which
    /// still gets samples, if the range reaches beyond it.
    pub fn newest(&self) -> Option<(i64, f64)> {
        let open = self.pieces.iter().enumerate().find_map(|(at, piece)| match piece {
            Piece::Head(chunk, Some(bits)) => Some((at, chunk.max_t, *bits)),
            _ => None,
        });
        let (at, t, bits) = open?;
        let is_last = self.pieces.iter().enumerate().all(|(other, piece)| other == at || piece.span().1 < t);
        (is_last && self.range.contains(t)).then(|| (t, f64::from_bits(bits)))
    }

    /// How many samples the chunks hold that are to be read: at least as many as [`SelectedSeries::read_into`] appends.
    pub fn sample_count(&self) -> usize {
        self.pieces.iter().map(Piece::sample_count).sum()
    }

    /// Whether the series may have native histograms in the selected range: most have none, and need not be asked.
    pub fn has_histograms(&self) -> bool {
        self.pieces.iter().any(Piece::is_histograms)
    }

    /// Whether samples in the selected range may have start timestamps: most have none, and need not be asked.
    pub fn has_starts(&self) -> bool {
        self.pieces.iter().any(|piece| piece.starts().is_some())
    }

    /// Appends to `out` the start timestamp of each sample at `times`, 0 where it has none. `times` are those that
    /// [`SelectedSeries::read_into`] gave, or for histograms [`SelectedSeries::read_histograms_into`]. What is said of a
    /// staleness marker means nothing.
    pub fn read_starts(&self, kind: SampleKind, times: &[i64], out: &mut Vec<i64>) {
        if !self.has_starts() {
            out.resize(out.len() + times.len(), UNKNOWN);
            return;
        }
        let order = self.order(kind == SampleKind::Histogram);
        let none = Changes::default();
        let changes = |piece: &'_ Piece| piece.starts().cloned().unwrap_or_default();
        if let [first, rest @ ..] = order.as_slice()
            && rest.iter().all(|piece| piece.starts() == first.starts())
        {
            out.extend(first.starts().map_or(&none, |starts| starts).each(times));
            return;
        }
        // Each sample is of the first source that has one then: which that is, only its times tell where pieces overlap.
        let mut sources: Vec<(i64, usize)> = Vec::new();
        let by_rank: Vec<&Piece> =
            self.pieces.iter().filter(|piece| piece.is_histograms() == (kind == SampleKind::Histogram)).collect();
        for (rank, piece) in by_rank.iter().enumerate() {
            sources.extend(piece.times(self.range).into_iter().map(|t| (t, rank)));
        }
        sources.sort_unstable();
        sources.dedup_by_key(|(t, _)| *t);
        let starts: Vec<Arc<Changes>> = by_rank.into_iter().map(changes).collect();
        let mut next = 0;
        for &t in times {
            next += sources[next..].iter().take_while(|(there, _)| *there < t).count();
            let source = sources.get(next).filter(|(there, _)| *there == t);
            out.push(source.map_or(UNKNOWN, |&(_, rank)| starts[rank].at(t)));
        }
    }

    /// Appends the samples that are floats in the selected range to `out`, oldest first, at most one per millisecond;
    /// staleness markers included.
    /// Decodes only chunks that overlap the range. After an error `out` holds the good samples before it.
    pub fn read_into(&self, out: &mut Columns) -> Result<(), ReadError> {
        let order = self.order(false);
        if self.is_mixed() {
            let (found, _, failed) = self.merge_kinds();
            let end = failed.as_ref().map_or(i64::MAX, |(at, _)| *at);
            let good = found.t.partition_point(|&t| t < end);
            out.t.extend_from_slice(&found.t[..good]);
            out.v.extend_from_slice(&found.v[..good]);
            return failed.map_or(Ok(()), |(_, e)| Err(e));
        }
        if is_disjoint(&order) { self.chain(&order, out) } else { self.merge(out) }
    }

    /// The pieces of one kind by time.
    fn order(&self, is_histograms: bool) -> Vec<&Piece> {
        let mut order: Vec<&Piece> = self.pieces.iter().filter(|p| p.is_histograms() == is_histograms).collect();
        // Stable: pieces that begin together keep their rank.
        order.sort_by_key(|p| p.span().0);
        order
    }

    /// Whether pieces of both kinds overlap, so that both may have a sample at one time; most series have one kind.
    fn is_mixed(&self) -> bool {
        let floats = || self.pieces.iter().filter(|p| !p.is_histograms()).map(Piece::span);
        let mut histograms = self.pieces.iter().filter(|p| p.is_histograms()).map(Piece::span);
        histograms.any(|(min_t, max_t)| floats().any(|(first, last)| first <= max_t && min_t <= last))
    }

    /// Both kinds by rank, and the error that comes first in time.
    fn merge_kinds(&self) -> (Columns, HistogramColumns, Option<(i64, ReadError)>) {
        let (mut floats, mut histograms) = (Vec::new(), Vec::new());
        let mut failed: Option<(i64, ReadError)> = None;
        for piece in &self.pieces {
            let (mut own_floats, mut own_histograms) = (Columns::default(), HistogramColumns::default());
            let read = if piece.is_histograms() {
                piece.read_histograms_into(self.range, &mut own_histograms)
            } else {
                piece.read_into(self.range, &mut own_floats)
            };
            if let Err(e) = read
                && failed.as_ref().is_none_or(|(earlier, _)| piece.span().0 < *earlier)
            {
                failed = Some((piece.span().0, e));
            }
            floats.push(own_floats);
            histograms.push(own_histograms);
        }
        settle_kinds(&mut floats, &mut histograms);
        (merge(floats), merge(histograms), failed)
    }

    fn chain(&self, order: &[&Piece], out: &mut Columns) -> Result<(), ReadError> {
        order.iter().try_for_each(|piece| piece.read_into(self.range, out))
    }

    fn merge(&self, out: &mut Columns) -> Result<(), ReadError> {
        let mut all: Vec<(i64, f64)> = Vec::new();
        let mut part = Columns::default();
        let mut failed: Option<(i64, ReadError)> = None;
        for piece in self.pieces.iter().filter(|piece| !piece.is_histograms()) {
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

/// Whether pieces that are ordered by time follow one another.
fn is_disjoint(order: &[&Piece]) -> bool {
    order.windows(2).all(|pair| pair[0].span().1 < pair[1].span().0)
}

/// Joins what several sources found, which comes by rank of source and sorted by labels within each: each series once, in
/// order.
pub(crate) fn join(mut found: Vec<SelectedSeries>) -> Vec<SelectedSeries> {
    // Stable and fast on runs that are sorted already: ranks stay in order.
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found.dedup_by(|later, first| {
        let is_same = later.labels == first.labels;
        if is_same {
            first.pieces.append(&mut later.pieces);
        }
        is_same
    });
    found
}
