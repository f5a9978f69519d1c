//! The database: one directory, one [`Db`].
//!
//! Here: the public face - open, append, select, maintain, stats - and the locks.
//! Elsewhere: everything else; `append` and `maintain` say in which order things happen.
//!
//! Invariant: one process has the directory, by the lock of the file `lock`.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::append::{Window, Writer};
use crate::block::meta::BlockId;
use crate::blocks::{BLOCKS_DIR, Blocks};
use crate::damage::DamageLog;
use crate::fs::{AtPath, Fs, RealFs};
use crate::head::Head;
use crate::listing::Listings;
use crate::recover::RefusalCell;
use crate::retention::{Anchor, STEP_MS};
use crate::snapshot::load::load;
use crate::snapshot::{HEAD_DIR, SnapshotNumbers, Snapshots};
use crate::touched::Touched;
use crate::wal::Wal;
use crate::wal::replay::{Start, list_segments, replay};
use crate::{AppendError, Appended, Batch, Cardinality, OpenError, Refusal, Stats};

const LOCK_FILE: &str = "lock";
const WAL_DIR: &str = "wal";
/// Sensible lengths of a block: shorter ones drown in files, longer ones never leave the head.
const BLOCK_MS: std::ops::RangeInclusive<i64> = 1_000..=31_536_000_000;

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
    /// Bytes of chunks that merging blocks writes in a second, so that it leaves the disk to others; `None` has no limit.
    pub compaction_bytes_per_second: Option<u64>,
    /// Bytes for what selectors found before: their series' labels, in order; 0 keeps none.
    pub listings_bytes_max: usize,
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
            // Far more than merging needs to keep up, but not the whole disk.
            compaction_bytes_per_second: Some(32 << 20),
            listings_bytes_max: 32 << 20,
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
/// Lock order: `maintain`, `writer`, `head`; a select takes `head` and gives it back before it looks at blocks.
#[derive(Debug)]
pub struct Db {
    pub(crate) dir: PathBuf,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) options: Options,
    pub(crate) retention: Mutex<Retention>,
    pub(crate) wal: Wal,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) head: RwLock<Head>,
    pub(crate) listings: Listings,
    pub(crate) blocks: Blocks,
    pub(crate) damage: DamageLog,
    /// Changes of what somebody has looked at.
    pub(crate) touched: Touched,
    /// A merge that runs should end soon.
    pub(crate) stopping: AtomicBool,
    /// Bytes of the WAL's segments when somebody last looked.
    segment_bytes: AtomicU64,
    pub(crate) maintain: Mutex<MaintainState>,
    pub(crate) snapshot: Mutex<SnapshotNumbers>,
    /// [`MaintainState::retain_t`] for those who do not hold the lock; `i64::MAX` before the first maintenance.
    believed_t: AtomicI64,
    pub(crate) refusal: RefusalCell,
    appended: AtomicU64,
    /// [`Stats::incomplete_copies`].
    pub(crate) incomplete_copies: AtomicU64,
    replayed: ReplayNumbers,
    _lock: File,
}

/// What maintenance remembers from run to run; whoever holds it is the one that maintains.
#[derive(Debug)]
pub(crate) struct MaintainState {
    /// End of the last cut.
    pub(crate) cut_t: i64,
    /// What the last call was told.
    pub(crate) now: i64,
    /// Position of the log then.
    pub(crate) wal_written: u64,
    /// Snapshots of the head.
    pub(crate) snapshots: Snapshots,
    /// Blocks in which a merge met damage.
    pub(crate) never_merge: BTreeSet<BlockId>,
    /// What age is measured from.
    pub(crate) anchor: Anchor,
    /// The same, as of the last maintenance; `i64::MIN` before the first.
    pub(crate) retain_t: i64,
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
    samples: u64,
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
        let Some(open_lock) = fs.try_lock(&lock_path).at(&lock_path)? else {
            return Err(OpenError::Locked { path: dir.to_owned() });
        };
        let damage = DamageLog::new(fs.clone(), dir);
        let blocks = Blocks::open(fs.clone(), &dir.join(BLOCKS_DIR), &damage)?;
        let head_dir = dir.join(HEAD_DIR);
        fs.create_dir_all(&head_dir).at(&head_dir)?;
        fs.sync_dir(dir).at(dir)?;
        let segments = list_segments(fs.as_ref(), &wal_dir)?;
        let mut head = Head::new(options.block_ms);
        head.set_limits(options.exemplars_max, options.metadata_max);
        let loaded = load(fs.as_ref(), &head_dir, &mut head, &blocks, &segments, &damage)?;
        let facts = loaded.facts.as_ref();
        let known_ids = blocks.known_ids().last().map_or(0, |last| last.0 + 1);
        blocks.skip_ids(BlockId(facts.map_or(0, |facts| facts.next_block).max(known_ids)));
        let from = match facts {
            Some(facts) => Start { segment: facts.segment, next_seq: Some(facts.next_seq) },
            None => Start { segment: 0, next_seq: (!loaded.is_lost).then_some(0) },
        };
        let replayed = replay(&fs, &wal_dir, &segments, &mut head, from, &damage)?;
        let (wal, log) =
            Wal::new(fs.clone(), &wal_dir, replayed.segments, replayed.next_number, replayed.next_seq).at(&wal_dir)?;
        let segment_bytes = log.bytes();
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let db = Db {
            dir: dir.to_owned(),
            fs,
            retention: Mutex::new(Retention { ms: options.retention_ms, bytes: options.retention_bytes }),
            listings: Listings::new(options.listings_bytes_max),
            options,
            wal,
            writer: Mutex::new(Writer::new(log)),
            head: RwLock::new(head),
            blocks,
            damage,
            touched: Touched::new(),
            stopping: AtomicBool::new(false),
            segment_bytes: AtomicU64::new(segment_bytes),
            snapshot: Mutex::new(loaded.numbers),
            maintain: Mutex::new(MaintainState {
                cut_t: facts.map_or(i64::MIN, |facts| facts.cut_t),
                now: facts.map_or(i64::MIN, |facts| facts.now),
                wal_written: 0,
                snapshots: loaded.snapshots,
                never_merge: BTreeSet::new(),
                anchor: Anchor::new(None),
                retain_t: i64::MIN,
            }),
            believed_t: AtomicI64::new(i64::MAX),
            refusal: RefusalCell::default(),
            appended: AtomicU64::new(0),
            incomplete_copies: AtomicU64::new(0),
            replayed: ReplayNumbers {
                ms,
                torn_bytes: replayed.torn_bytes,
                samples: replayed.samples,
                orphans: replayed.orphans,
            },
            _lock: open_lock,
        };
        db.maintaining().anchor = Anchor::new(db.newest_t());
        Ok(db)
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
        let done = self.append_inner(batch, now, durability);
        self.refusal.note(done.as_ref().err(), done.as_ref().is_ok_and(|done| done.accepted > 0));
        done
    }

    fn append_inner(&self, batch: &mut Batch, now: i64, durability: Durability) -> Result<Appended, AppendError> {
        let retention_ms = lock(&self.retention).ms;
        let mut window = Window::new(now, retention_ms, self.options.future_ms_max);
        // Senders whose clock is right are not refused while ours is ahead.
        let believed_t = self.believed_t.load(Ordering::Relaxed).saturating_add(STEP_MS);
        window.min_t = window.min_t.min(Window::new(believed_t, retention_ms, 0).min_t);
        let appended = lock(&self.writer).append(&self.wal, &self.head, batch, window);
        // After an error, too: a part may be seen already.
        if appended.as_ref().map_or(true, |(done, _)| done.accepted > 0) {
            self.touched.note_times(batch.times());
        }
        let (done, lsn) = appended?;
        self.appended.fetch_add(done.accepted, Ordering::Relaxed);
        if durability == Durability::Synced {
            self.wal.sync_to(lsn)?;
        }
        Ok(done)
    }

    /// Makes everything that was written durable (one fsync, shared).
    pub fn sync(&self) -> Result<(), AppendError> {
        let done = self.wal.sync_to(self.wal.written());
        self.refusal.note(done.as_ref().err(), false);
        done
    }

    /// Housekeeping, to be called every minute or so: cuts full ranges of the head into blocks, writes a snapshot of the
    /// head every few minutes, drops what retention ends.
    ///
    /// May take long; appends and selects go on meanwhile. An error leaves everything readable, and the next call tries
    /// again; limits on size are enforced all the same.
    pub fn maintain(&self, now: i64) -> Result<(), OpenError> {
        let mut state = self.maintaining();
        state.now = now;
        self.blocks.quarantine(&self.damage).into_iter().for_each(|range| self.touched.note(range));
        let retain_t = state.anchor.advance(now, self.newest_t(), self.options.future_ms_max);
        state.retain_t = retain_t;
        self.believed_t.store(retain_t, Ordering::Relaxed);
        // The log grew since the last call, and will as much until the next.
        let grown = self.wal.written().saturating_sub(state.wal_written);
        state.wal_written = self.wal.written();
        let room = self.make_room(grown);
        let cut = self.cut_if_due(&mut state, now);
        let snapshot = self.snapshot_if_due(&mut state, now);
        let retained = self.retain(retain_t);
        let compacted = self.compact(&mut state);
        Ok(room.and(cut).and(snapshot).and(retained).and(compacted)?)
    }

    /// Tells maintenance that runs on another thread to end early: a long merge is given up and done another time.
    /// For good; to be called before [`Db::close`].
    pub fn stop_maintenance(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`Db::maintain`] should not wait for its turn: a start after a kill would have much to replay. Cheap; to be
    /// asked every second or so.
    pub fn is_maintenance_due(&self) -> bool {
        self.since_snapshot(0).is_much()
    }

    /// Samples accepted since open, and those that the open replayed.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed) + self.replayed.samples
    }

    /// Changes retention while running (configuration reload).
    pub fn set_retention(&self, retention_ms: Option<i64>, retention_bytes: Option<u64>) {
        *lock(&self.retention) = Retention { ms: retention_ms, bytes: retention_bytes };
    }

    /// Numbers for metrics and status pages; cheap.
    pub fn stats(&self) -> Stats {
        // An append may be waiting for a slow disk with the writer in its hands: then the last known size is good enough.
        if let Ok(writer) = self.writer.try_lock() {
            self.segment_bytes.store(writer.log.bytes(), Ordering::Relaxed);
        }
        let wal_bytes = self.segment_bytes.load(Ordering::Relaxed);
        let snapshot = *lock(&self.snapshot);
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
            incomplete_copies: self.incomplete_copies.load(Ordering::Relaxed),
            wal_torn_bytes: self.replayed.torn_bytes,
            orphaned_samples: self.replayed.orphans,
            replay_ms: self.replayed.ms,
            tombstones: blocks.iter().map(|b| b.tombstones().series_count()).sum(),
            refuses: self.refusal.get(),
            append_failures: self.refusal.failures(),
            replayed_samples: self.replayed.samples,
            snapshot_t: snapshot.t,
            snapshot_ms: u64::try_from(snapshot.took.as_millis()).unwrap_or(u64::MAX),
            snapshot_bytes: snapshot.bytes,
        }
    }

    /// Why samples are refused now, if the last write failed; see [`Db::recover`].
    pub fn refuses(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// What was found damaged since open, in words, from the `from`-th on: so that a log says each once. Only the first
    /// some are kept; [`Stats::quarantined`] counts all.
    pub fn damage_from(&self, from: usize) -> Vec<String> {
        self.damage.notes_from(from)
    }

    /// The head's cardinality, each list cut to `limit`; walks the index.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.head().cardinality(limit)
    }

    /// Syncs, and writes a snapshot of the head so that the next open is quick. The directory is free once the `Db` is
    /// dropped; dropping alone only syncs, and cannot report an error.
    pub fn close(&self) -> Result<(), AppendError> {
        self.sync()?;
        // Without it the next open replays the WAL instead: that costs time, no sample.
        let _ = self.snapshot_at_close(&mut self.maintaining());
        Ok(())
    }

    /// What maintenance remembers; whoever holds it keeps cuts and snapshots away.
    pub(crate) fn maintaining(&self) -> MutexGuard<'_, MaintainState> {
        lock(&self.maintain)
    }

    /// The head, for reading.
    pub(crate) fn head(&self) -> RwLockReadGuard<'_, Head> {
        read(&self.head)
    }

    /// The head, to change it.
    pub(crate) fn head_mut(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // A failure has poisoned the log already; who wants to hear of it calls `close`.
        let _ = self.sync();
    }
}

pub(crate) fn read(head: &RwLock<Head>) -> RwLockReadGuard<'_, Head> {
    head.read().unwrap_or_else(PoisonError::into_inner)
}

/// A panic while the lock was held left at worst a refused batch behind: go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
