//! Cutting: the head's older samples become blocks, and the WAL is let go.
//!
//! Here: the order of steps, the mark that says what was cut, the checkpoint of labels.
//! Elsewhere: what the head gives (`head::series`), writing a block (`block::writer`), replay (`wal::replay`).
//!
//! Invariant: at every moment each sample is in a whole block or in a WAL segment that replay will read, and for
//! readers in a listed block or in the head. So: a new segment begins, samples are taken, blocks are published and
//! listed, the mark is published, the head lets go, and segments leave one cut later than they could (so that a copy
//! of the live directory made meanwhile is whole).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::block::meta::{BlockId, checked};
use crate::block::writer::BlockWriter;
use crate::blocks::Blocks;
use crate::bytes::Reader;
use crate::damage::DamageLog;
use crate::db::{Db, MaintainState, lock};
use crate::fs::{AtPath, Fs, IoAt, publish};
use crate::head::SymbolPairs;
use crate::head::series::Sealed;
use crate::head::symbols::Symbol;
use crate::index::SeriesRef;
use crate::merge::merge_chunks;
use crate::wal::Segment;
use crate::wal::replay::Done;
use crate::{OpenError, TimeRange};

/// Name of the mark, in the `Db`'s directory.
pub(crate) const MARK_FILE: &str = "cut";
/// First bytes of the mark.
pub(crate) const MARK_MAGIC: [u8; 8] = *b"CAIRNCUT";
/// Version of the mark.
pub(crate) const MARK_VERSION: u32 = 1;
/// So many samples from before the last cut start another one before its time.
const OLD_SAMPLES_MAX: u64 = 1 << 20;
/// "Now" that lies so many block lengths behind the last cut was put right; less is an ordinary step.
const CLOCK_BLOCKS: i64 = 2;
/// Samples in one record when samples are logged anew.
const RELOG_SAMPLES: usize = 10_000;
/// The head's lock is released after so many series while a block is written.
const PORTION: usize = 256;

/// What the last cut moved to blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The samples.
    pub(crate) done: Done,
    /// The blocks that hold them.
    pub(crate) blocks: Vec<BlockId>,
}

impl Mark {
    /// The whole file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MARK_MAGIC.to_vec();
        out.extend_from_slice(&MARK_VERSION.to_le_bytes());
        out.extend_from_slice(&self.done.segment.to_le_bytes());
        out.extend_from_slice(&self.done.cut_t.to_le_bytes());
        let count = u32::try_from(self.blocks.len()).expect("a cut makes far fewer than four billion blocks");
        out.extend_from_slice(&count.to_le_bytes());
        self.blocks.iter().for_each(|id| out.extend_from_slice(&id.0.to_le_bytes()));
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Mark> {
        let mut r = Reader::new(bytes.get(12..bytes.len().checked_sub(4)?)?);
        let done = Done { segment: r.u64()?, cut_t: r.i64()? };
        let mut blocks = Vec::new();
        for _ in 0..r.u32()? {
            blocks.push(BlockId(r.u64()?));
        }
        r.is_at_end().then_some(Mark { done, blocks })
    }

    /// The mark in `dir`; `None` if there is none or it is damaged: then replay reads everything, and what blocks hold
    /// already is merged away by readers.
    pub(crate) fn load(fs: &dyn Fs, dir: &Path, damage: &DamageLog) -> Result<Option<Mark>, OpenError> {
        let path = dir.join(MARK_FILE);
        let bytes = match fs.read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        match checked(&bytes, MARK_MAGIC) {
            Some(MARK_VERSION) => Ok(Mark::decode(&bytes)),
            Some(found) => Err(OpenError::Version { path, found, known: MARK_VERSION }),
            None => {
                damage.add(TimeRange::ALL, format!("{}: checksum does not hold; nothing is lost", path.display()));
                Ok(None)
            }
        }
    }

    /// What replay may skip: nothing if a block of the cut is missing (set aside as damaged, or not in a copy of the
    /// directory), for then the WAL is the only place that has its samples.
    pub(crate) fn honoured(&self, blocks: &Blocks) -> Option<Done> {
        let known = blocks.known_ids();
        self.blocks.iter().all(|id| known.contains(id)).then_some(self.done)
    }
}

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

    fn cut(&self, state: &mut MaintainState, now: i64, cut_t: i64, advances: bool) -> Result<(), IoAt> {
        let segment = {
            let mut writer = lock(&self.writer);
            self.wal.rotate(&mut writer.log)
        };
        let ranges = self.take(cut_t);
        let written = self.write_blocks(&ranges, now);
        if let Ok(blocks) = &written {
            let opened = blocks.iter().map(|&id| self.blocks.open_new(id)).collect::<Result<Vec<_>, _>>();
            match opened {
                Ok(opened) => self.blocks.replace(&[], opened),
                Err(e) => {
                    self.end_take(false, false, cut_t);
                    return Err(e);
                }
            }
        }
        let blocks = match written {
            Ok(blocks) => blocks,
            Err(e) => {
                self.end_take(false, false, cut_t);
                return Err(e);
            }
        };
        let mark = Mark { done: Done { segment, cut_t }, blocks };
        let marked = publish(self.fs.as_ref(), &self.dir, MARK_FILE, &mark.encode());
        // The blocks are on the disk and listed: the head may let go even if the mark failed.
        self.end_take(true, advances, cut_t);
        marked?;
        if advances {
            self.relog_future(segment, now.saturating_add(self.options.future_ms_max))?;
            self.drop_segments(state, segment, cut_t)?;
        }
        Ok(())
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
        }
    }

    /// Writes one block for each range that retention still wants. After an error none of them is left.
    fn write_blocks(&self, ranges: &Ranges, now: i64) -> Result<Vec<BlockId>, IoAt> {
        let oldest = lock(&self.retention).ms.map_or(i64::MIN, |ms| now.saturating_sub(ms));
        let mut written = Vec::new();
        for (&start, series) in ranges {
            let range = TimeRange::new(start, start + self.options.block_ms);
            if range.max_t <= oldest {
                continue;
            }
            match self.write_block(range, series) {
                Ok(id) => written.extend(id),
                Err(e) => {
                    for id in written {
                        // Best effort: left behind, they hold the same samples as the head, which readers merge.
                        let _ = self.blocks.remove_files(id);
                    }
                    return Err(e);
                }
            }
        }
        Ok(written)
    }

    fn write_block(&self, range: TimeRange, series: &[SeriesRef]) -> Result<Option<BlockId>, IoAt> {
        let sorted = self.sort_series(series);
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

    fn fill_block(&self, writer: &mut BlockWriter<'_>, sorted: &Sorted, range: TimeRange) -> Result<(), IoAt> {
        let mut labels = Vec::new();
        for portion in sorted.series.chunks(PORTION) {
            let chunks: Vec<Vec<Sealed>> = {
                let head = self.head();
                portion.iter().map(|(_, series)| head.taken(*series, range)).collect()
            };
            for ((symbols, _), chunks) in portion.iter().zip(chunks) {
                let chunks = merge_chunks(chunks).expect("chunks in memory are as they were encoded");
                if !chunks.is_empty() {
                    labels.clear();
                    labels.extend(symbols.iter().map(|&pair| sorted.rank_pair(pair)));
                    writer.add(&labels, &chunks)?;
                }
            }
        }
        Ok(())
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

    /// Samples from a clock that ran ahead stay in the head until time catches up, and would keep their segments and all
    /// after them: they are logged once more, so that only the newest segment waits for them.
    fn relog_future(&self, segment: u64, far_t: i64) -> Result<(), IoAt> {
        let is_waiting = |s: &Segment| s.number < segment && s.max_t > far_t;
        if !lock(&self.writer).log.segments().iter().any(is_waiting) {
            return Ok(());
        }
        let mut samples = Vec::new();
        for page in 0..self.page_count() {
            self.head().samples_after(page, far_t, &mut samples);
        }
        let logged = samples.chunks(RELOG_SAMPLES).try_for_each(|part| {
            let mut writer = lock(&self.writer);
            self.wal.append(&mut writer.log, [].into_iter(), part).map(|_| ())
        });
        let synced = logged.and_then(|()| self.wal.sync_to(self.wal.written()));
        synced.map_err(std::io::Error::other).at(self.wal.dir())?;
        lock(&self.writer).log.lower_max_t(segment, far_t);
        Ok(())
    }

    /// Removes the segments in front that an earlier cut had emptied, after a checkpoint of all labels still in use.
    fn drop_segments(&self, state: &mut MaintainState, segment: u64, cut_t: i64) -> Result<(), IoAt> {
        let emptied: Vec<u64> = {
            let writer = lock(&self.writer);
            let front = writer.log.segments().iter().take_while(|s| s.number < segment && s.max_t < cut_t);
            front.map(|s| s.number).collect()
        };
        let gone: Vec<u64> = emptied.iter().copied().filter(|n| state.emptied.contains(n)).collect();
        if let Some(last) = gone.last() {
            let bytes = self.write_checkpoint(last + 1)?;
            self.checkpoint_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
            self.wal.drop_segments(&gone).at(self.wal.dir())?;
            lock(&self.writer).log.forget(&gone);
        }
        state.emptied = emptied.into_iter().filter(|n| !gone.contains(n)).collect();
        Ok(())
    }

    /// Labels of all series of the head, standing for the segments before `number`.
    fn write_checkpoint(&self, number: u64) -> Result<u64, IoAt> {
        let mut checkpoint = self.wal.begin_checkpoint(number)?;
        let mut series = Vec::new();
        for page in 0..self.page_count() {
            series.clear();
            self.head().declarations(page, &mut series);
            checkpoint.put(&series)?;
        }
        let aliases = self.head().alias_declarations();
        checkpoint.put(&aliases)?;
        checkpoint.finish()
    }

    /// A function of its own, so that the guard is gone before a loop over the pages begins.
    fn page_count(&self) -> usize {
        self.head().page_count()
    }
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
