//! Cutting: the head's older samples become blocks.
//!
//! Here: when it is time, the order of steps, sorting series for a block.
//! Elsewhere: what the head gives (`head::series`), writing a block (`block::writer`), the snapshot that ends a cut and
//! lets the WAL go (`snapshot`).
//!
//! Room for a block is made before it is written, as for a snapshot: by itself a cut would go over the limit on size.
//!
//! Invariant: for readers each sample is in a listed block or in the head. So: samples are taken, blocks are published
//! and listed, a snapshot without those samples is published, the head lets go. If the snapshot fails, the head lets go
//! all the same: the blocks are on the disk, and what a replay brings back is merged away by readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::SeriesSamples;
use crate::block::meta::BlockId;
use crate::block::writer::BlockWriter;
use crate::db::{Db, MaintainState, lock};
use crate::fs::IoAt;
use crate::head::SymbolPairs;
use crate::head::series::Sealed;
use crate::head::symbols::Symbol;
use crate::histogram::blobs;
use crate::histogram::head::HistogramChunk;
use crate::index::SeriesRef;
use crate::merge::merge;
use crate::snapshot::write::Order;
use crate::starts::Changes;
use crate::{Columns, TimeRange, chunk};

/// So many samples from before the last cut start another one before its time.
const OLD_SAMPLES_MAX: u64 = 1 << 20;
/// "Now" that lies so many block lengths behind the last cut was put right; less is an ordinary step.
const CLOCK_BLOCKS: i64 = 2;
/// The head's lock is released after so many series while a block is written.
const PORTION: usize = 256;
/// What a series takes in a block's index besides the texts of its labels, for reckoning ahead: its entry, and its place
/// in the lists of some ten labels.
const INDEX_BYTES_PER_SERIES: u64 = 40;

/// One range of one cut: where its block begins, and the series that have samples there.
type Ranges = BTreeMap<i64, Vec<SeriesRef>>;

impl Db {
    /// Cuts what lies before the last full range, if it is time to.
    pub(crate) fn cut_if_due(&self, state: &mut MaintainState, now: i64) -> Result<(), IoAt> {
        let block_ms = self.options.block_ms;
        let cut_t = now.saturating_sub(block_ms / 2).max(crate::append::MIN_T).div_euclid(block_ms) * block_ms;
        let (oldest, old_samples) = {
            let head = self.head();
            (head.range().map(|(min_t, _)| min_t), head.old_count())
        };
        // A clock that ran ahead and was put right must not stop cutting until time has caught up.
        let went_back = cut_t.saturating_add(CLOCK_BLOCKS.saturating_mul(block_ms)) < state.cut_t;
        let advances = cut_t > state.cut_t || went_back;
        let cut_t = if advances { cut_t } else { state.cut_t };
        if !advances && old_samples < OLD_SAMPLES_MAX {
            return Ok(());
        }
        if oldest.is_some_and(|t| t < cut_t) || (advances && state.cut_t > i64::MIN) {
            self.cut(state, now, cut_t, advances)?;
        }
        state.cut_t = cut_t;
        Ok(())
    }

    pub(crate) fn cut(&self, state: &mut MaintainState, now: i64, cut_t: i64, advances: bool) -> Result<(), IoAt> {
        let ranges = self.take(cut_t);
        let oldest = lock(&self.retention).ms.map_or(i64::MIN, |ms| state.retain_t.saturating_sub(ms));
        let blocks = match self.write_blocks(&ranges, oldest).and_then(|blocks| self.list_blocks(blocks)) {
            Ok(blocks) => blocks,
            Err(e) => {
                self.end_take(false, false, cut_t);
                return Err(e);
            }
        };
        let snapshot = self.write_snapshot(state, Order { now, cut_t, blocks, head_stays: true });
        // A series is forgotten only when both kept snapshots are from after its samples: else a deletion that does not know
        // it any more would not be repeated when they come back.
        self.end_take(true, advances && snapshot.is_ok(), cut_t);
        // For those of series that are gone now.
        self.listings.clear();
        // What was not written is not seen any more.
        let unwritten = ranges.keys().map(|&start| self.cut_range(start)).filter(|range| range.max_t <= oldest);
        unwritten.for_each(|range| self.touched.note(range));
        snapshot
    }

    /// Opens and lists new blocks; after an error none of them is left.
    fn list_blocks(&self, blocks: Vec<BlockId>) -> Result<Vec<BlockId>, IoAt> {
        match blocks.iter().map(|&id| self.blocks.open_new(id)).collect::<Result<Vec<_>, _>>() {
            Ok(opened) => self.blocks.replace(&[], opened),
            Err(e) => {
                self.remove_blocks(blocks);
                return Err(e);
            }
        }
        Ok(blocks)
    }

    /// Best effort: left behind, they hold the same samples as the head, which readers merge.
    fn remove_blocks(&self, blocks: Vec<BlockId>) {
        for id in blocks {
            let _ = self.blocks.remove_files(id);
        }
    }

    /// Takes everything before `cut_t`, page by page, so that appends wait for one page at most.
    fn take(&self, cut_t: i64) -> Ranges {
        let mut ranges = Ranges::new();
        for page in 0..self.page_count() {
            self.head_mut().take_page(page, cut_t, |start, series| {
                let list = ranges.entry(start).or_default();
                if list.last() != Some(&series) {
                    list.push(series);
                }
            });
        }
        ranges
    }

    fn end_take(&self, is_published: bool, counts_idle: bool, cut_t: i64) {
        for page in 0..self.page_count() {
            self.head_mut().end_take_page(page, is_published);
        }
        if is_published {
            crate::head::forget::end_cut(&self.head, counts_idle, cut_t);
            self.trim_starts();
        }
    }

    /// Starts that only blocks need now. Not while an append has logged starts whose samples it is about to show.
    fn trim_starts(&self) {
        if self.head().starts().is_empty() {
            return;
        }
        for page in 0..self.page_count() {
            let _writer = lock(&self.writer);
            self.head_mut().trim_starts(page);
        }
    }

    fn cut_range(&self, start: i64) -> TimeRange {
        TimeRange::new(start, start + self.options.block_ms)
    }

    /// Writes one block for each range that does not end before `oldest`. After an error none of them is left.
    fn write_blocks(&self, ranges: &Ranges, oldest: i64) -> Result<Vec<BlockId>, IoAt> {
        let mut written = Vec::new();
        for (&start, series) in ranges {
            let range = self.cut_range(start);
            if range.max_t <= oldest {
                continue;
            }
            match self.write_block(range, series) {
                Ok(id) => written.extend(id),
                Err(e) => {
                    self.remove_blocks(written);
                    return Err(e);
                }
            }
        }
        Ok(written)
    }

    fn write_block(&self, range: TimeRange, series: &[SeriesRef]) -> Result<Option<BlockId>, IoAt> {
        let sorted = self.sort_series(series);
        if lock(&self.retention).bytes.is_some() {
            self.make_room(self.block_bytes(&sorted, range))?;
        }
        let id = self.blocks.new_id();
        let mut writer = BlockWriter::new(self.fs.as_ref(), self.blocks.dir(), id, sorted.symbols.clone())?;
        match self.fill_block(&mut writer, &sorted, range) {
            Ok(()) => Ok(writer.finish(id.0, Vec::new())?.map(|meta| meta.id)),
            Err(e) => {
                writer.abandon();
                Err(e)
            }
        }
    }

    /// About what the block will take: chunks as they are in the head, which blocks pack tighter, and the index.
    fn block_bytes(&self, sorted: &Sorted, range: TimeRange) -> u64 {
        let texts: u64 = sorted.symbols.iter().map(|text| text.len() as u64).sum();
        let mut bytes = texts + sorted.series.len() as u64 * INDEX_BYTES_PER_SERIES;
        for portion in sorted.series.chunks(PORTION) {
            let head = self.head();
            for &(_, series) in portion {
                bytes += head.taken(series, range).iter().map(|chunk| u64::from(chunk.bytes.stored_len())).sum::<u64>();
                let histograms = head.histograms().taken(series, range);
                bytes += histograms.iter().map(|chunk| chunk.bytes.len() as u64).sum::<u64>();
            }
        }
        bytes
    }

    fn fill_block(&self, writer: &mut BlockWriter<'_>, sorted: &Sorted, range: TimeRange) -> Result<(), IoAt> {
        let mut labels = Vec::new();
        for portion in sorted.series.chunks(PORTION) {
            let taken: Vec<(Vec<Sealed>, Vec<HistogramChunk>, Changes)> = {
                let head = self.head();
                let of_one = |&(_, series): &(_, SeriesRef)| {
                    let starts = head.starts_of(series, range).unwrap_or_default();
                    (head.taken(series, range), head.histograms().taken(series, range), starts)
                };
                portion.iter().map(of_one).collect()
            };
            for ((symbols, _), (mut chunks, histograms, starts)) in portion.iter().zip(taken) {
                chunks.retain(|chunk| self.is_usable(chunk));
                let floats = merge(chunks.iter().map(decoded).collect());
                let samples = SeriesSamples { floats, blobs: blobs::records(&histograms), starts };
                if !samples.is_empty() {
                    labels.clear();
                    labels.extend(symbols.iter().map(|&pair| sorted.rank_pair(pair)));
                    writer.add(&labels, &samples)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a chunk can go into a block. One whose bytes on the disk are damaged ends here, and that is said.
    fn is_usable(&self, chunk: &Sealed) -> bool {
        let is_whole = chunk.bytes.is_whole();
        if !is_whole {
            let count = chunk.count;
            let text = format!("{}; its {count} samples are missing from the block of that time", chunk.bytes.error());
            if !chunk.bytes.is_news() {
                // It is the same piece, but now queries have to be told.
                self.damage.forget_one();
            }
            self.damage.add(TimeRange::new(chunk.min_t, chunk.max_t.saturating_add(1)), text);
        }
        is_whole
    }

    /// Series by their labels' texts. Symbols in use cannot change meanwhile: only maintenance, which this is, forgets.
    fn sort_series(&self, series: &[SeriesRef]) -> Sorted {
        let mut found = Vec::with_capacity(series.len());
        for portion in series.chunks(PORTION) {
            let head = self.head();
            found.extend(portion.iter().filter_map(|&series| Some((head.symbols_of(series)?, series))));
        }
        let mut used: Vec<Symbol> = found.iter().flat_map(|(s, _)| s.iter().flat_map(|&(n, v)| [n, v])).collect();
        used.sort_unstable();
        used.dedup();
        let mut texts: Vec<(Arc<str>, Symbol)> = {
            let head = self.head();
            used.iter().map(|&symbol| (head.text(symbol), symbol)).collect()
        };
        texts.sort_unstable();
        let mut ranks = vec![0; used.last().map_or(0, |&last| last as usize + 1)];
        for (rank, (_, symbol)) in texts.iter().enumerate() {
            ranks[*symbol as usize] = rank as u32;
        }
        let mut sorted =
            Sorted { symbols: texts.into_iter().map(|(text, _)| text).collect(), ranks, series: Vec::new() };
        found.sort_by(|a, b| {
            let a = a.0.iter().map(|&pair| sorted.rank_pair(pair));
            a.cmp(b.0.iter().map(|&pair| sorted.rank_pair(pair)))
        });
        sorted.series = found;
        sorted
    }

    /// A function of its own, so that the guard is gone before a loop over the pages begins.
    fn page_count(&self) -> usize {
        self.head().page_count()
    }
}

fn decoded(chunk: &Sealed) -> Columns {
    let count = chunk.count as usize;
    let mut out = Columns { t: Vec::with_capacity(count), v: Vec::with_capacity(count) };
    chunk::decode_into(&chunk.bytes, chunk.count, i64::MIN, i64::MAX, &mut out)
        .expect("chunks in memory are as they were encoded");
    out
}

/// Series in the order of a block.
struct Sorted {
    /// All names and values, rising.
    symbols: Vec<Arc<str>>,
    /// By the head's symbol: the place in `symbols`.
    ranks: Vec<u32>,
    series: Vec<(SymbolPairs, SeriesRef)>,
}

impl Sorted {
    fn rank_pair(&self, (name, value): (Symbol, Symbol)) -> (u32, u32) {
        (self.ranks[name as usize], self.ranks[value as usize])
    }
}
