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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use crate::append::{Window, Writer};
use crate::damage::DamageLog;
use crate::fs::{AtPath, Fs, RealFs};
use crate::head::Head;
use crate::querier::{self, Piece};
use crate::wal::Wal;
use crate::wal::replay::replay;
use crate::{
    AppendError, Appended, Batch, Cardinality, Labels, Matcher, OpenError, ReadError, Selection, Stats, TimeRange,
};

const LOCK_FILE: &str = "lock";
const WAL_DIR: &str = "wal";
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
}

impl Default for Options {
    fn default() -> Self {
        Options { retention_ms: None, retention_bytes: None, block_ms: 2 * 3_600_000, future_ms_max: 600_000 }
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
    dir: PathBuf,
    fs: Arc<dyn Fs>,
    options: Options,
    retention: Mutex<Retention>,
    wal: Wal,
    writer: Mutex<Writer>,
    head: RwLock<Head>,
    damage: DamageLog,
    appended: AtomicU64,
    replayed: ReplayNumbers,
    _lock: File,
}

#[derive(Debug, Clone, Copy)]
struct Retention {
    ms: Option<i64>,
    bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct ReplayNumbers {
    ms: u64,
    torn_bytes: u64,
    orphans: u64,
}

impl Db {
    /// Opens or creates `dir`, replaying the WAL. Always starts if the directory can be read and written: what is damaged
    /// is set aside and counted in [`Stats::quarantined`].
    pub fn open(dir: &Path, options: Options) -> Result<Db, OpenError> {
        Self::open_with(dir, options, Arc::new(RealFs))
    }

    pub(crate) fn open_with(dir: &Path, options: Options, fs: Arc<dyn Fs>) -> Result<Db, OpenError> {
        let start = Instant::now();
        let wal_dir = dir.join(WAL_DIR);
        fs.create_dir_all(&wal_dir).at(&wal_dir)?;
        let lock_path = dir.join(LOCK_FILE);
        let Some(lock) = fs.try_lock(&lock_path).at(&lock_path)? else {
            return Err(OpenError::Locked { path: dir.to_owned() });
        };
        fs.sync_dir(dir).at(dir)?;
        let damage = DamageLog::new(fs.clone(), dir);
        let mut head = Head::new(options.block_ms);
        let replayed = replay(&fs, &wal_dir, &mut head, None, &damage)?;
        let (wal, log) = Wal::new(fs.clone(), &wal_dir, replayed.segments, replayed.next_number, replayed.next_seq)
            .at(&wal_dir)?;
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Db {
            dir: dir.to_owned(),
            fs,
            retention: Mutex::new(Retention { ms: options.retention_ms, bytes: options.retention_bytes }),
            options,
            wal,
            writer: Mutex::new(Writer::new(log)),
            head: RwLock::new(head),
            damage,
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

    /// Housekeeping, to be called every minute or so: cuts full ranges of the head into blocks, drops what retention ends.
    pub fn maintain(&self, _now: i64) -> Result<(), OpenError> {
        Ok(())
    }

    /// Changes retention while running (configuration reload).
    pub fn set_retention(&self, retention_ms: Option<i64>, retention_bytes: Option<u64>) {
        *lock(&self.retention) = Retention { ms: retention_ms, bytes: retention_bytes };
    }

    /// Series that satisfy all `matchers` and have a sample in `range`; a snapshot that later appends do not change.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection, ReadError> {
        let head = self.select_head(matchers, range);
        Ok(Selection { series: querier::join(head, range), warnings: self.damage.warnings(range) })
    }

    /// The head's part of a selection. Refs are resolved under one lock, samples copied in portions.
    fn select_head(&self, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Vec<Piece>)> {
        let refs = self.head().select(matchers);
        let mut found = Vec::with_capacity(refs.len());
        for portion in refs.chunks(SNAPSHOT_SERIES) {
            let head = self.head();
            let series = portion.iter().filter_map(|&series| head.snapshot(series, range));
            found.extend(series.map(|s| (s.labels, s.chunks.into_iter().map(Piece::Head).collect())));
        }
        found
    }

    /// Names of the labels of the series that `matchers` select in `range`, sorted.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let found = self.select(matchers, range)?;
        let names: BTreeSet<&str> = found.series.iter().flat_map(|s| s.labels().iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of label `name` among the series that `matchers` select in `range`, sorted.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let found = self.select(matchers, range)?;
        let values: BTreeSet<&str> = found.series.iter().filter_map(|s| s.labels().get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Numbers for metrics and status pages; cheap.
    pub fn stats(&self) -> Stats {
        let wal_bytes = lock(&self.writer).log.bytes();
        let head = self.head();
        Stats {
            head_series: head.series_count(),
            head_samples: head.sample_count(),
            head_chunks: head.chunk_count(),
            head_range: head.range(),
            samples_appended: self.appended.load(Ordering::Relaxed),
            wal_bytes,
            min_t: head.range().map(|(min, _)| min),
            quarantined: self.damage.count(),
            wal_torn_bytes: self.replayed.torn_bytes,
            orphaned_samples: self.replayed.orphans,
            replay_ms: self.replayed.ms,
            ..Stats::default()
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

    fn head(&self) -> RwLockReadGuard<'_, Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // A failure has poisoned the log already; who wants to hear of it calls `close`.
        let _ = self.sync();
    }
}

/// A panic while the lock was held left at worst a refused batch behind: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
