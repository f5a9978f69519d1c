//! Compaction: several blocks become one.
//!
//! Here: which blocks belong together, and merging them series by series.
//! Elsewhere: merging one series' samples (`merge`), writing (`block::writer`).
//!
//! Invariant: the new block is published and listed before the old ones go, and names them as its sources. A block with
//! damage is never merged: what could be saved from it later must not be lost now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::block::index::series::{SERIES, SeriesPage};
use crate::block::meta::BlockId;
use crate::block::writer::BlockWriter;
use crate::block::{Block, ChunkRef, SeriesSamples};
use crate::damage::DamageLog;
use crate::db::{Db, MaintainState, lock};
use crate::fs::IoAt;
use crate::index::{Damage, SeriesRef};
use crate::merge::{Records, merge, merge_starts, settle_kinds};
use crate::starts::Changes;
use crate::tombstone::Tombstones;

/// Lengths of merged blocks, in lengths of fresh ones: 8 h and a day for 2 h.
const LEVELS: [i64; 2] = [4, 12];
/// A window with so many blocks is merged even if one of them outweighs the others.
const BLOCKS_MAX: usize = 8;
/// Merged blocks are at most this part of retention long, so that age removes them in small steps.
const RETENTION_PARTS: i64 = 10;

/// Shorter waits are saved up.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Whether to stop is looked at this often while waiting.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Why a merge was not done.
pub(crate) enum Stop {
    Io(IoAt),
    Damage,
    /// The `Db` is closing.
    Closing,
}

impl Db {
    /// Merges what belongs together, one group after the other.
    pub(crate) fn compact(&self, state: &mut MaintainState) -> Result<(), IoAt> {
        for level in LEVELS {
            let window_ms = self.options.block_ms.saturating_mul(level);
            let retention_ms = lock(&self.retention).ms.unwrap_or(i64::MAX);
            if window_ms > retention_ms / RETENTION_PARTS {
                return Ok(());
            }
            for group in groups(&self.blocks.list(), window_ms, state.cut_t, &state.never_merge) {
                if !self.has_room_for(&group)? {
                    return Ok(());
                }
                match self.merge(&group) {
                    Ok(()) => {}
                    Err(Stop::Io(e)) => return Err(e),
                    Err(Stop::Closing) => return Ok(()),
                    Err(Stop::Damage) => state.never_merge.extend(group.iter().map(|b| b.meta().id)),
                }
            }
        }
        Ok(())
    }

    /// For a moment old and new are both there: that must fit the limit, or retention would delete what need not go.
    fn has_room_for(&self, group: &[Arc<Block>]) -> Result<bool, IoAt> {
        let Some(bytes_max) = lock(&self.retention).bytes else { return Ok(true) };
        let new: u64 = group.iter().map(|b| b.bytes()).sum();
        Ok(self.own_bytes()?.saturating_add(new) <= bytes_max)
    }

    /// Writes the blocks of `group` as one, without what is deleted of them.
    pub(crate) fn merge(&self, group: &[Arc<Block>]) -> Result<(), Stop> {
        let ids: Vec<BlockId> = group.iter().map(|b| b.meta().id).collect();
        let mut all: BTreeSet<BlockId> = ids.iter().copied().collect();
        all.extend(group.iter().flat_map(|b| b.meta().sources.iter().copied()));
        let all_ids: Vec<BlockId> = all.into_iter().collect();
        let new = self.write_merged(group, &all_ids, false)?;
        if new.is_none() {
            group.iter().for_each(|block| self.blocks.note_gone(block));
        }
        self.blocks.replace(&ids, new.into_iter().collect());
        ids.iter().try_for_each(|&old| self.blocks.remove_files(old)).map_err(Stop::Io)
    }

    /// What can be read of a block, as another one. It does not name the old one as its source: so a snapshot that relies
    /// on the old one is passed over, and log and older snapshot bring back what they still have of it.
    pub(crate) fn salvage(&self, block: &Arc<Block>) -> Result<Option<Arc<Block>>, Stop> {
        self.write_merged(std::slice::from_ref(block), &block.meta().sources, true)
    }

    /// Writes the blocks of `group` as one that is not listed yet; `None` if all in them was deleted.
    fn write_merged(
        &self,
        group: &[Arc<Block>],
        ids: &[BlockId],
        passes_over_damage: bool,
    ) -> Result<Option<Arc<Block>>, Stop> {
        let sources = group.iter().map(|block| Source::new(block, &self.damage, passes_over_damage));
        let sources = sources.collect::<Result<Vec<_>, _>>().map_err(|_| Stop::Damage)?;
        let (symbols, sources) = unite(sources);
        let id = self.blocks.new_id();
        let mut writer = BlockWriter::new(self.fs.as_ref(), self.blocks.dir(), id, symbols).map_err(Stop::Io)?;
        let pace = Pace {
            stop: &self.stopping,
            bytes_per_second: self.options.compaction_bytes_per_second,
            begun: Instant::now(),
        };
        if let Err(stop) = merge_series(&mut writer, sources, &pace) {
            writer.abandon();
            return Err(stop);
        }
        let rank = group.iter().map(|b| b.meta().rank).min().unwrap_or(id.0);
        let meta = writer.finish(rank, ids.to_vec()).map_err(Stop::Io)?;
        meta.map(|meta| self.blocks.open_new(meta.id)).transpose().map_err(Stop::Io)
    }
}

/// Blocks that lie in the same window, where the window is past and merging is worth its writing.
fn groups(blocks: &[Arc<Block>], window_ms: i64, cut_t: i64, never: &BTreeSet<BlockId>) -> Vec<Vec<Arc<Block>>> {
    let mut windows: BTreeMap<i64, Vec<Arc<Block>>> = BTreeMap::new();
    for block in blocks.iter().filter(|b| !never.contains(&b.meta().id)) {
        let range = block.meta().range;
        let window = range.min_t.div_euclid(window_ms);
        let is_inside = (range.max_t - 1).div_euclid(window_ms) == window;
        let is_past = window.checked_add(1).and_then(|w| w.checked_mul(window_ms)).is_some_and(|end| end <= cut_t);
        if is_inside && is_past {
            windows.entry(window).or_default().push(block.clone());
        }
    }
    windows.into_values().filter(|group| is_worth(group)).collect()
}

/// Late samples make small blocks beside a large one; rewriting the large one waits until they weigh something.
fn is_worth(group: &[Arc<Block>]) -> bool {
    let bytes: u64 = group.iter().map(|b| b.bytes()).sum();
    let largest = group.iter().map(|b| b.bytes()).max().unwrap_or(0);
    group.len() >= BLOCKS_MAX || (group.len() >= 2 && (bytes - largest) * 4 >= largest)
}

/// How fast a merge goes, and whether it should end.
struct Pace<'a> {
    stop: &'a AtomicBool,
    bytes_per_second: Option<u64>,
    begun: Instant,
}

impl Pace<'_> {
    /// Whether to go on; waits if `written` bytes came too early.
    fn goes_on(&self, written: u64) -> bool {
        let due = self.due(written);
        while let Some(early) = due.checked_sub(self.begun.elapsed()).filter(|early| *early > PAUSE_MIN) {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::park_timeout(early.min(PAUSE_MAX));
        }
        !self.stop.load(Ordering::Relaxed)
    }

    /// When, from the beginning on, so many bytes may be written.
    fn due(&self, written: u64) -> Duration {
        let micros = self.bytes_per_second.map(|rate| written.saturating_mul(1_000_000) / rate.max(1));
        Duration::from_micros(micros.unwrap_or(0))
    }
}

/// A block on its way into a merge.
struct Source<'a> {
    block: Arc<Block>,
    /// By the block's row and name: the place in the united table.
    rows: Vec<u32>,
    names: Vec<u32>,
    next: SeriesRef,
    page: Option<Arc<SeriesPage>>,
    tombstones: Arc<Tombstones>,
    damage: &'a DamageLog,
    /// Chunks that cannot be read are left out, instead of ending the merge.
    passes_over_damage: bool,
}

/// One series of a source: labels in the united table, where it is, its number there.
struct Next {
    labels: Vec<(u32, u32)>,
    chunks: Vec<ChunkRef>,
    number: SeriesRef,
}

impl<'a> Source<'a> {
    fn new(block: &Arc<Block>, damage: &'a DamageLog, passes_over_damage: bool) -> Result<Self, Damage> {
        if let Some(what) = block.starts_damage().filter(|_| !passes_over_damage) {
            return Err(what.clone());
        }
        // The labels are read again when they get their places; here damage shows before anything is written.
        block.index().all_values(|_| {})?;
        let tombstones = block.tombstones();
        let (block, rows, names) = (block.clone(), Vec::new(), Vec::new());
        Ok(Source { block, rows, names, next: 0, page: None, tombstones, damage, passes_over_damage })
    }

    fn advance(&mut self) -> Result<Option<Next>, Damage> {
        if self.next >= self.block.index().series_count() {
            return Ok(None);
        }
        let at = self.next as usize % SERIES;
        if at == 0 || self.page.is_none() {
            self.page = Some(self.block.index().series_page(self.next as usize / SERIES)?);
        }
        let number = self.next;
        self.next += 1;
        let Some((pairs, chunks)) = self.page.as_ref().and_then(|page| page.series(at)) else { return Ok(None) };
        let place = |&(name, row): &(u32, u32)| Some((*self.names.get(name as usize)?, *self.rows.get(row as usize)?));
        let labels = pairs.iter().map(place).collect::<Option<Vec<_>>>();
        let labels = labels.ok_or_else(|| Damage("a series uses a label that is not there".to_owned()))?;
        Ok(Some(Next { labels, chunks: chunks.to_vec(), number }))
    }

    /// All samples of a series but those that are deleted.
    fn read(&self, next: &Next) -> Result<SeriesSamples, Stop> {
        let mut samples = SeriesSamples::default();
        let errors = self.block.read_series(&next.chunks, &mut samples);
        errors.iter().for_each(|e| self.block.note_damage(e, self.damage));
        if !errors.is_empty() && !self.passes_over_damage {
            return Err(Stop::Damage);
        }
        match self.block.starts_of(next.number) {
            Ok(starts) => samples.starts = starts.map(|starts| Changes::clone(&starts)).unwrap_or_default(),
            Err(e) => {
                self.block.note_damage(&e, self.damage);
                if !self.passes_over_damage {
                    return Err(Stop::Damage);
                }
            }
        }
        if let Some(gone) = self.tombstones.of(next.number) {
            samples.strip(gone);
        }
        Ok(samples)
    }
}

/// The union of the sources' names and values, and each source's places in it.
fn unite(mut sources: Vec<Source<'_>>) -> (Vec<Arc<str>>, Vec<Source<'_>>) {
    let mut known: FxHashMap<Arc<str>, u32> = FxHashMap::default();
    let mut texts: Vec<Arc<str>> = Vec::new();
    for source in &mut sources {
        let mut number = |text: &str| {
            if let Some(&number) = known.get(text) {
                return number;
            }
            let text: Arc<str> = text.into();
            texts.push(text.clone());
            known.insert(text, texts.len() as u32 - 1);
            texts.len() as u32 - 1
        };
        let (mut rows, mut names) = (Vec::new(), Vec::new());
        let index = source.block.index();
        // Read without damage a moment ago.
        let _: Result<(), Damage> = index.all_values(|value| rows.push(number(value)));
        let _: Result<(), Damage> = index.names(|name| names.push(number(name)));
        (source.rows, source.names) = (rows, names);
    }
    drop(known);
    let mut order: Vec<u32> = (0..texts.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
    let mut ranks = vec![0; texts.len()];
    order.iter().enumerate().for_each(|(rank, &number)| ranks[number as usize] = rank as u32);
    for source in &mut sources {
        source.rows.iter_mut().chain(&mut source.names).for_each(|number| *number = ranks[*number as usize]);
    }
    (order.into_iter().map(|number| texts[number as usize].clone()).collect(), sources)
}

fn merge_series(writer: &mut BlockWriter<'_>, mut sources: Vec<Source<'_>>, pace: &Pace<'_>) -> Result<(), Stop> {
    let mut heads = Vec::with_capacity(sources.len());
    for source in &mut sources {
        heads.push(source.advance().map_err(|_| Stop::Damage)?);
    }
    while let Some(labels) = heads.iter().flatten().map(|next| &next.labels).min().cloned() {
        if !pace.goes_on(writer.bytes()) {
            return Err(Stop::Closing);
        }
        let (mut floats, mut blobs, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for (head, source) in heads.iter_mut().zip(&mut sources) {
            let Some(next) = head.take_if(|next| next.labels == labels) else { continue };
            let samples = source.read(&next)?;
            floats.push(samples.floats);
            blobs.push(Records::new(samples.blobs));
            starts.push(samples.starts);
            *head = source.advance().map_err(|_| Stop::Damage)?;
        }
        settle_kinds(&mut floats, &mut blobs);
        let starts = merge_starts(&floats, &blobs, &starts);
        let merged = SeriesSamples { floats: merge(floats), blobs: merge(blobs).into_pairs(), starts };
        if !merged.is_empty() {
            writer.add(&labels, &merged).map_err(Stop::Io)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::noise::fill_with_noise;

    /// Two blocks of some hundred kilobytes each.
    fn two_blocks(dir: &std::path::Path, compaction_bytes_per_second: Option<u64>) -> Db {
        let db = Db::open(dir, Options { compaction_bytes_per_second, ..Options::default() }).unwrap();
        // So that pages are written while series are merged.
        fill_with_noise(&db, (0..2 * db.options.block_ms).step_by(10_000));
        let end_t = 2 * db.options.block_ms;
        db.cut(&mut db.maintaining(), end_t, end_t, true).unwrap();
        assert_eq!(db.blocks.list().len(), 2);
        db
    }

    /// Four days that come in order: how often the samples of each block were written, at most.
    #[test]
    fn no_sample_is_written_more_than_four_times() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { compaction_bytes_per_second: None, ..Options::default() };
        let db = Db::open(dir.path(), options).unwrap();
        let (block_ms, mut written) = (db.options.block_ms, BTreeMap::<BlockId, usize>::new());
        for block in 0..48 {
            let start = block * block_ms;
            fill_with_noise(&db, (start..start + block_ms).step_by(600_000));
            let mut state = db.maintaining();
            // Half a block later it is due.
            db.cut_if_due(&mut state, start + block_ms * 3 / 2).unwrap();
            for step in 0..2 {
                if step == 1 {
                    db.compact(&mut state).unwrap();
                }
                for block in db.blocks.list().iter() {
                    // Sources that were never listed came and went within one call: blocks of eight hours, written twice.
                    let meta = block.meta();
                    let times = meta.sources.iter().map(|source| written.get(source).copied().unwrap_or(2));
                    let times = 1 + times.max().unwrap_or(0);
                    written.entry(meta.id).or_insert(times);
                }
            }
        }
        assert_eq!(db.blocks.list().len(), 4, "a block a day");
        assert_eq!(written.values().max(), Some(&3));
    }

    #[test]
    fn a_merge_is_as_fast_as_the_option_says() {
        for (rate, written, ms) in [(Some(1 << 20), 3 << 20, 3000), (Some(0), 5, 5_000), (None, u64::MAX, 0)] {
            let stop = AtomicBool::new(false);
            let pace = Pace { stop: &stop, bytes_per_second: rate, begun: Instant::now() };
            assert_eq!(pace.due(written), Duration::from_millis(ms), "{rate:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let db = two_blocks(dir.path(), None);
        assert!(db.merge(&db.blocks.list()).is_ok());
        assert_eq!(db.blocks.list().len(), 1);
    }

    #[test]
    fn a_merge_that_waits_ends_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let db = two_blocks(dir.path(), Some(1));
        // In days at a byte a second.
        let done = std::thread::scope(|scope| {
            let merge = scope.spawn(|| db.merge(&db.blocks.list()));
            while !std::fs::read_dir(db.blocks.dir()).unwrap().any(|e| {
                e.unwrap().file_name().to_str().is_some_and(|name| name.starts_with(crate::block::TEMP_PREFIX))
            }) {
                assert!(!merge.is_finished(), "it waits");
                std::thread::yield_now();
            }
            db.stop_maintenance();
            merge.join().unwrap()
        });
        assert!(matches!(done, Err(Stop::Closing)));
        assert_eq!(db.blocks.list().len(), 2);
    }
}
