//! The database: one directory, one [`Db`].
//!
//! Here: the public face - open, append, select, maintain, stats - and the locks.
//! Elsewhere: everything else; `append` and `maintain` say in which order things happen.
//!
//! Invariant: one process has the directory, by the lock of the file `lock`.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::append::{Window, Writer};
use crate::block::Block;
use crate::block::index::Index;
use crate::block::meta::BlockId;
use crate::blocks::{BLOCKS_DIR, Blocks};
use crate::cut::Mark;
use crate::damage::DamageLog;
use crate::fs::{AtPath, Fs, RealFs};
use crate::head::{self, Head};
use crate::index::Damage;
use crate::querier::{self, Piece};
use crate::wal::Wal;
use crate::wal::replay::replay;
use crate::{
    AppendError, Appended, Batch, Cardinality, Labels, Matcher, OpenError, ReadError, Selection, Stats, TimeRange,
};

const LOCK_FILE: &str = "lock";
const WAL_DIR: &str = "wal";
/// Sensible lengths of a block: shorter ones drown in files, longer ones never leave the head.
const BLOCK_MS: std::ops::RangeInclusive<i64> = 1_000..=31_536_000_000;
/// A select releases the head's lock after so many series, so that appends do not wait for a large query.
const SNAPSHOT_SERIES: usize = 512;

/// How a [`Db`] is kept. Plain numbers; the server owns the defaults that users see.
#[derive(Debug, Clone)]
pub struct Options {
    /// Samples older than this many milliseconds may be dropped; `None` keeps all.
    pub retention_ms: Option<i64>,
    /// The whole directory's limit in bytes; `None` has no limit.
    pub retention_bytes: Option<u64>,
    /// Length of a freshly cut block in milliseconds.
    pub block_ms: i64,
    /// Samples further ahead of "now" than this are refused.
    pub future_ms_max: i64,
    /// Most exemplars kept, the newest of all series; 0 keeps none.
    pub exemplars_max: usize,
    /// Most metrics whose type, help and unit are kept.
    pub metadata_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            retention_ms: None,
            retention_bytes: None,
            block_ms: 2 * 3_600_000,
            future_ms_max: 600_000,
            exemplars_max: 100_000,
            metadata_max: 50_000,
        }
    }
}

/// When [`Db::append`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After the samples are fsynced (concurrent appends share one fsync).
    Synced,
    /// After the samples are in the operating system's hands: they survive a kill, not a power cut.
    /// The caller runs [`Db::sync`] often enough for its promise.
    Written,
}

/// An open database. All methods take `&self` and may be called from many threads; all may block on disk.
///
/// Lock order: `writer`, then `head`; a select takes `head` and gives it back before it looks at blocks.
#[derive(Debug)]
pub struct Db {
    pub(crate) dir: PathBuf,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) options: Options,
    pub(crate) retention: Mutex<Retention>,
    pub(crate) wal: Wal,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) head: RwLock<Head>,
    pub(crate) blocks: Blocks,
    pub(crate) damage: DamageLog,
    /// Bytes of the WAL's segments when somebody last looked.
    segment_bytes: AtomicU64,
    pub(crate) checkpoint_bytes: AtomicU64,
    maintain: Mutex<MaintainState>,
    appended: AtomicU64,
    replayed: ReplayNumbers,
    _lock: File,
}

/// What maintenance remembers from run to run; whoever holds it is the one that maintains.
#[derive(Debug)]
pub(crate) struct MaintainState {
    /// End of the last cut.
    pub(crate) cut_t: i64,
    /// Segments whose samples are all in blocks since an earlier cut.
    pub(crate) emptied: Vec<u64>,
    /// Blocks in which a merge met damage.
    pub(crate) never_merge: BTreeSet<BlockId>,
}

/// The limits, changeable while running.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// [`Options::retention_ms`].
    pub(crate) ms: Option<i64>,
    /// [`Options::retention_bytes`].
    pub(crate) bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct ReplayNumbers {
    ms: u64,
    torn_bytes: u64,
    orphans: u64,
}

impl Db {
    /// Opens or creates `dir`, replaying the WAL. Always starts if the directory can be read and written:
    /// what is damaged
    /// is set aside and counted in [`Stats::quarantined`].
    pub fn open(dir: &Path, options: Options) -> Result<Db, OpenError> {
        Self::open_with(dir, options, Arc::new(RealFs))
    }

    pub(crate) fn open_with(dir: &Path, options: Options, fs: Arc<dyn Fs>) -> Result<Db, OpenError> {
        let start = Instant::now();
        if !BLOCK_MS.contains(&options.block_ms) {
            return Err(OpenError::BlockLength { block_ms: options.block_ms });
        }
        let wal_dir = dir.join(WAL_DIR);
        fs.create_dir_all(&wal_dir).at(&wal_dir)?;
        let lock_path = dir.join(LOCK_FILE);
        let Some(lock) = fs.try_lock(&lock_path).at(&lock_path)? else {
            return Err(OpenError::Locked { path: dir.to_owned() });
        };
        let damage = DamageLog::new(fs.clone(), dir);
        let mark = Mark::load(fs.as_ref(), dir, &damage)?;
        let blocks = Blocks::open(fs.clone(), &dir.join(BLOCKS_DIR), &damage)?;
        fs.sync_dir(dir).at(dir)?;
        mark.iter().flat_map(|m| &m.blocks).chain(&blocks.known_ids()).for_each(|&id| blocks.skip_ids(id));
        let mut head = Head::new(options.block_ms);
        head.set_limits(options.exemplars_max, options.metadata_max);
        let done = mark.as_ref().and_then(|m| m.honoured(&blocks));
        let replayed = replay(&fs, &wal_dir, &mut head, done, &damage)?;
        // Segments that the last cut skips are never begun again, even if it left none behind to count on from: what is
        // appended now belongs to no block yet.
        let next_number = replayed.next_number.max(mark.as_ref().map_or(0, |m| m.done.segment));
        let (wal, log) =
            Wal::new(fs.clone(), &wal_dir, replayed.segments, next_number, replayed.next_seq).at(&wal_dir)?;
        let segment_bytes = log.bytes();
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Db {
            dir: dir.to_owned(),
            fs,
            retention: Mutex::new(Retention { ms: options.retention_ms, bytes: options.retention_bytes }),
            options,
            wal,
            writer: Mutex::new(Writer::new(log)),
            head: RwLock::new(head),
            blocks,
            damage,
            segment_bytes: AtomicU64::new(segment_bytes),
            checkpoint_bytes: AtomicU64::new(replayed.checkpoint_bytes),
            maintain: Mutex::new(MaintainState {
                cut_t: done.map_or(i64::MIN, |done| done.cut_t),
                emptied: Vec::new(),
                never_merge: BTreeSet::new(),
            }),
            appended: AtomicU64::new(0),
            replayed: ReplayNumbers { ms, torn_bytes: replayed.torn_bytes, orphans: replayed.orphans },
            _lock: lock,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores a batch: WAL first, then visible to queries. `now` is milliseconds since the epoch.
    /// Ids of the entries' series are in the batch afterwards.
    ///
    /// With [`Durability::Synced`] an answer of success says that all of the batch is on the disk, samples that were
    /// duplicates included. An error says that it may not be, not that it is not.
    pub fn append(&self, batch: &mut Batch, now: i64, durability: Durability) -> Result<Appended, AppendError> {
        let window = Window::new(now, lock(&self.retention).ms, self.options.future_ms_max);
        let (done, lsn) = lock(&self.writer).append(&self.wal, &self.head, batch, window)?;
        self.appended.fetch_add(done.accepted, Ordering::Relaxed);
        if durability == Durability::Synced {
            self.wal.sync_to(lsn)?;
        }
        Ok(done)
    }

    /// Makes everything that was written durable (one fsync, shared).
    pub fn sync(&self) -> Result<(), AppendError> {
        self.wal.sync_to(self.wal.written())
    }

    /// Housekeeping, to be called every minute or so: cuts full ranges of the head into blocks, drops what
    /// retention ends.
    ///
    /// May take long; appends and selects go on meanwhile. An error leaves everything readable, and the next call tries
    /// again; limits on size are enforced all the same.
    pub fn maintain(&self, now: i64) -> Result<(), OpenError> {
        let mut state = lock(&self.maintain);
        self.blocks.quarantine(&self.damage);
        let cut = self.cut_if_due(&mut state, now);
        let retained = self.retain(now);
        let compacted = self.compact(&mut state);
        Ok(cut.and(retained).and(compacted)?)
    }

    /// Changes retention while running (configuration reload).
    pub fn set_retention(&self, retention_ms: Option<i64>, retention_bytes: Option<u64>) {
        *lock(&self.retention) = Retention { ms: retention_ms, bytes: retention_bytes };
    }

    /// Series that satisfy all `matchers` and have a sample in `range`; a snapshot that later appends do not change.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection, ReadError> {
        // Head first: a cut lists its blocks before the head lets go, so nothing falls between the two.
        let head = self.select_head(matchers, range);
        let mut warnings = self.damage.warnings(range);
        let mut found = Vec::new();
        for block in self.blocks_in(range) {
            match block.select(matchers, range, &self.damage, &mut warnings) {
                Ok(series) => found.extend(series),
                Err(damage) => warnings.push(unserved(&damage)),
            }
        }
        found.extend(head);
        Ok(Selection { series: querier::join(found, range), warnings })
    }

    fn blocks_in(&self, range: TimeRange) -> Vec<Arc<Block>> {
        self.blocks.list().iter().filter(|b| b.meta().range.overlaps(&range)).cloned().collect()
    }

    /// The head's part of a selection. Refs are resolved under one lock, samples copied in portions.
    fn select_head(&self, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Vec<Piece>)> {
        let refs = head::select::select(&self.head, matchers);
        let mut found = Vec::with_capacity(refs.len());
        for portion in refs.chunks(SNAPSHOT_SERIES) {
            let head = self.head();
            let series = portion.iter().filter_map(|&series| head.snapshot(series, range));
            found.extend(series.map(|s| {
                let histograms = s.histograms.into_iter().map(Piece::Histograms);
                (s.labels, s.chunks.into_iter().map(Piece::Head).chain(histograms).collect())
            }));
        }
        found
    }

    /// Names of the labels of the series that `matchers` select in `range`, sorted. `range` is honoured to the block:
    /// a series counts if its head or block has any sample there. Blocks that cannot be read are left out.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        self.visit_labels(matchers, range, |part| match part {
            Part::Index(index) => index.names(|name| insert(&mut names, name)),
            Part::Head(head) => {
                read(head).names().for_each(|name| insert(&mut names, name));
                Ok(())
            }
            Part::Series(labels) => {
                labels.iter().for_each(|(name, _)| insert(&mut names, name));
                Ok(())
            }
        });
        Ok(names.into_iter().collect())
    }

    /// Values of label `name` among the series that `matchers` select in `range`, sorted; `range` as for
    /// [`Db::label_names`].
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut values = BTreeSet::new();
        self.visit_labels(matchers, range, |part| match part {
            Part::Index(index) => index.values(name, |value| insert(&mut values, value)),
            Part::Head(head) => {
                head::select::values(head, name, |value| insert(&mut values, value));
                Ok(())
            }
            Part::Series(labels) => {
                labels.get(name).into_iter().for_each(|value| insert(&mut values, value));
                Ok(())
            }
        });
        Ok(values.into_iter().collect())
    }

    /// Shows `visit` the head and the blocks that touch `range`: as indexes if there is no matcher, else the labels of
    /// each series that passes. Blocks whose index is damaged are counted and passed over.
    fn visit_labels(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        mut visit: impl FnMut(Part<'_>) -> Result<(), Damage>,
    ) {
        let head_range = self.head().range();
        let is_inside = head_range.is_some_and(|(min_t, max_t)| min_t < range.max_t && range.min_t <= max_t);
        // The head's parts cannot be damaged.
        let _: Result<(), Damage> = match (is_inside, matchers) {
            (false, _) => Ok(()),
            (true, []) => visit(Part::Head(&self.head)),
            (true, _) => head::select::select(&self.head, matchers).chunks(SNAPSHOT_SERIES).try_for_each(|portion| {
                let labels: Vec<Labels> = {
                    let head = self.head();
                    portion.iter().filter_map(|&series| head.labels(series)).collect()
                };
                labels.iter().try_for_each(|labels| visit(Part::Series(labels)))
            }),
        };
        for block in self.blocks_in(range) {
            // A damaged index is counted at its first use and set aside by the next `maintain`, which warns selects.
            let _: Result<(), Damage> = match matchers {
                [] => block.index(&self.damage).and_then(|index| visit(Part::Index(index))),
                _ => block
                    .select_labels(matchers, &self.damage)
                    .and_then(|found| found.iter().try_for_each(|labels| visit(Part::Series(labels)))),
            };
        }
    }

    /// Numbers for metrics and status pages; cheap.
    pub fn stats(&self) -> Stats {
        // An append may be waiting for a slow disk with the writer in its hands: then the last known size is good enough.
        if let Ok(writer) = self.writer.try_lock() {
            self.segment_bytes.store(writer.log.bytes(), Ordering::Relaxed);
        }
        let wal_bytes = self.segment_bytes.load(Ordering::Relaxed) + self.checkpoint_bytes.load(Ordering::Relaxed);
        let blocks = self.blocks.list();
        let head = self.head();
        let oldest_block = blocks.iter().map(|b| b.meta().range.min_t).min();
        Stats {
            head_series: head.series_count(),
            head_samples: head.sample_count(),
            head_chunks: head.chunk_count(),
            head_range: head.range(),
            samples_appended: self.appended.load(Ordering::Relaxed),
            wal_bytes,
            blocks: blocks.len() as u64,
            block_bytes: self.blocks.bytes(),
            min_t: head.range().map(|(min, _)| min).into_iter().chain(oldest_block).min(),
            quarantined: self.damage.count(),
            wal_torn_bytes: self.replayed.torn_bytes,
            orphaned_samples: self.replayed.orphans,
            replay_ms: self.replayed.ms,
        }
    }

    /// The head's cardinality, each list cut to `limit`; walks the index.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.head().cardinality(limit)
    }

    /// Syncs and closes. Dropping does the same but cannot report an error.
    pub fn close(self) -> Result<(), AppendError> {
        self.sync()
    }

    /// The head, to change it.
    pub(crate) fn head_mut(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head, for reading.
    pub(crate) fn head(&self) -> RwLockReadGuard<'_, Head> {
        read(&self.head)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // A failure has poisoned the log already; who wants to hear of it calls `close`.
        let _ = self.sync();
    }
}

/// Something that has label names and values.
enum Part<'a> {
    Head(&'a RwLock<Head>),
    Index(&'a Index),
    Series(&'a Labels),
}

fn insert(set: &mut BTreeSet<String>, text: &str) {
    if !set.contains(text) {
        set.insert(text.to_owned());
    }
}

fn unserved(damage: &Damage) -> String {
    format!("{}; what its block held is missing from this answer", damage.0)
}

fn read(head: &RwLock<Head>) -> RwLockReadGuard<'_, Head> {
    head.read().unwrap_or_else(PoisonError::into_inner)
}

/// A panic while the lock was held left at worst a refused batch behind: go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
