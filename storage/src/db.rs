//! The database: one directory, one [`Db`].
//!
//! Here: the public face - append, select, maintain, stats - and nothing of how it is done.
//! Elsewhere: everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::{Columns, Labels, Matcher, SeriesId, TimeRange};

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

/// One request's samples, appended together. Keep and reuse it: its memory is recycled.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    ids: Vec<Option<SeriesId>>,
}

#[derive(Debug)]
struct Entry {
    series: BatchSeries,
    t: i64,
    v: f64,
}

#[derive(Debug)]
enum BatchSeries {
    Known(SeriesId),
    New(Labels),
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample of the series with these labels, creating the series at append if need be.
    pub fn push(&mut self, labels: Labels, t: i64, v: f64) {
        self.entries.push(Entry { series: BatchSeries::New(labels), t, v });
    }

    /// Adds a sample of a series whose id an earlier append gave ([`Batch::id`]): the fast lane.
    pub fn push_known(&mut self, id: SeriesId, t: i64, v: f64) {
        self.entries.push(Entry { series: BatchSeries::Known(id), t, v });
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ids.clear();
    }

    /// After an append: the series of entry `index`, `None` where the entry was refused before it had one.
    pub fn id(&self, index: usize) -> Option<SeriesId> {
        self.ids.get(index).copied().flatten()
    }
}

/// What became of a batch. Refusals are values, not errors: the rest of the batch is stored.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Appended {
    /// Samples stored.
    pub accepted: u64,
    /// Samples that were there already with the same value; counted as success.
    pub duplicates: u64,
    /// Series created.
    pub series_created: u64,
    /// The samples that were not stored, in batch order.
    pub refused: Vec<Refused>,
}

/// One sample that was not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub reason: RefuseReason,
}

/// Why a sample was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefuseReason {
    /// Same series, same time, another value.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// Older than retention reaches.
    #[error("out of bounds")]
    TooOld,
    /// More than `future_ms_max` ahead of now.
    #[error("too far in the future")]
    TooFarInFuture,
    /// `push_known` with an id that this `Db` does not know (any more): push it again with its labels.
    #[error("unknown series reference")]
    UnknownSeries,
    /// A label set without any label.
    #[error("empty label set")]
    NoLabels,
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process; stop that one first or choose another directory")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
}

/// Why nothing of a batch was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Writing or syncing the WAL failed; what is stored stays readable.
    #[error("{path}: {message}; samples are refused until the directory is writable")]
    Wal {
        /// The segment.
        path: PathBuf,
        /// The operating system's words.
        message: String,
        /// True if there is no room.
        disk_full: bool,
    },
    /// An earlier fsync failed, so nobody knows what is on disk.
    #[error("writing is stopped after a failed fsync ({message}); reopen the database")]
    Poisoned {
        /// The earlier failure.
        message: String,
    },
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// A damaged piece; its place, and what was expected.
    #[error("{path}: chunk at byte {offset} is damaged (crc {found:#010x}, expected {expected:#010x}); its block will be set aside")]
    Checksum {
        /// File.
        path: PathBuf,
        /// Byte offset in it.
        offset: u64,
        /// As computed.
        found: u32,
        /// As stored.
        expected: u32,
    },
}

/// The series that a [`Db::select`] found, sorted by labels, and what could not be read.
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
    samples: Arc<Mutex<BTreeMap<i64, f64>>>,
    range: TimeRange,
}

impl SelectedSeries {
    /// The series' labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Appends the samples in the selected range to `out`, oldest first, at most one per millisecond; staleness markers included.
    /// Decodes only chunks that overlap the range. After an error `out` holds the good samples before it.
    pub fn read_into(&self, out: &mut Columns) -> Result<(), ReadError> {
        let samples = self.samples.lock().unwrap_or_else(|e| e.into_inner());
        for (&t, &v) in samples.range(self.range.min_t..self.range.max_t) {
            out.push(t, v);
        }
        Ok(())
    }
}

/// Numbers about one `Db`, for `/metrics`, `/api/v1/status/tsdb` and the UI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Series in the head.
    pub head_series: u64,
    /// Samples in the head.
    pub head_samples: u64,
    /// Chunks in the head.
    pub head_chunks: u64,
    /// Oldest and newest sample in the head.
    pub head_range: Option<(i64, i64)>,
    /// Samples accepted since open.
    pub samples_appended: u64,
    /// Blocks on disk.
    pub blocks: u64,
    /// Bytes of blocks.
    pub block_bytes: u64,
    /// Bytes of WAL.
    pub wal_bytes: u64,
    /// Oldest sample anywhere.
    pub min_t: Option<i64>,
    /// Pieces set aside as damaged since open.
    pub quarantined: u64,
    /// How long the last open took to replay the WAL, in milliseconds.
    pub replay_ms: u64,
}

/// Cardinality of the head, as `/api/v1/status/tsdb` shows it; each list is the `limit` largest, largest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cardinality {
    /// Series per metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Distinct values per label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of values per label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series per `name=value` pair.
    pub series_by_pair: Vec<(String, u64)>,
    /// Distinct label pairs in all.
    pub label_pairs: u64,
}

/// An open database. All methods take `&self` and may be called from many threads; all may block on disk.
#[derive(Debug)]
pub struct Db {
    dir: PathBuf,
    options: Options,
    state: Mutex<State>,
}

type Shared = Arc<Mutex<BTreeMap<i64, f64>>>;

#[derive(Debug, Default)]
struct State {
    ids: BTreeMap<Labels, SeriesId>,
    series: Vec<(Labels, Shared)>,
    appended: u64,
}

impl Db {
    /// Opens or creates `dir`, replaying the WAL. Always starts if the directory can be read and written: what is damaged
    /// is set aside and counted in [`Stats::quarantined`].
    pub fn open(dir: &Path, options: Options) -> Result<Db, OpenError> {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
        Ok(Db { dir: dir.to_owned(), options, state: Mutex::default() })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores a batch: WAL first, then visible to queries. `now` is milliseconds since the epoch.
    /// Ids of the entries' series are in the batch afterwards.
    pub fn append(&self, batch: &mut Batch, now: i64, _durability: Durability) -> Result<Appended, AppendError> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let mut done = Appended::default();
        batch.ids.clear();
        for (index, entry) in batch.entries.iter().enumerate() {
            let id = match &entry.series {
                BatchSeries::Known(id) => *id,
                BatchSeries::New(labels) => match state.ids.get(labels) {
                    Some(id) => *id,
                    None => {
                        let id = SeriesId(state.series.len() as u64);
                        state.series.push((labels.clone(), Shared::default()));
                        state.ids.insert(labels.clone(), id);
                        done.series_created += 1;
                        id
                    }
                },
            };
            batch.ids.push(Some(id));
            let Some((_, samples)) = state.series.get(id.0 as usize) else {
                done.refused.push(Refused { index, reason: RefuseReason::UnknownSeries });
                continue;
            };
            if entry.t > now.saturating_add(self.options.future_ms_max) {
                done.refused.push(Refused { index, reason: RefuseReason::TooFarInFuture });
                continue;
            }
            let mut samples = samples.lock().unwrap_or_else(|e| e.into_inner());
            match samples.get(&entry.t) {
                Some(v) if v.to_bits() == entry.v.to_bits() => done.duplicates += 1,
                Some(_) => done.refused.push(Refused { index, reason: RefuseReason::DuplicateTimestamp }),
                None => {
                    samples.insert(entry.t, entry.v);
                    done.accepted += 1;
                }
            }
        }
        state.appended += done.accepted;
        Ok(done)
    }

    /// Makes everything that was written durable (one fsync, shared).
    pub fn sync(&self) -> Result<(), AppendError> {
        Ok(())
    }

    /// Housekeeping, to be called every minute or so: cuts full ranges of the head into blocks, drops what retention ends.
    pub fn maintain(&self, _now: i64) -> Result<(), OpenError> {
        Ok(())
    }

    /// Changes retention while running (configuration reload).
    pub fn set_retention(&self, _retention_ms: Option<i64>, _retention_bytes: Option<u64>) {}

    /// Series that satisfy all `matchers` and have a sample in `range`; a snapshot that later appends do not change.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection, ReadError> {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let found = state.ids.iter().filter(|(labels, id)| {
            matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
                && state.series[id.0 as usize].1.lock().is_ok_and(|s| s.range(range.min_t..range.max_t).next().is_some())
        });
        let series = found
            .map(|(labels, id)| SelectedSeries { labels: labels.clone(), samples: state.series[id.0 as usize].1.clone(), range })
            .collect();
        Ok(Selection { series, warnings: Vec::new() })
    }

    /// Names of the labels of the series that `matchers` select in `range`, sorted.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let found = self.select(matchers, range)?;
        let names: BTreeSet<&str> = found.series.iter().flat_map(|s| s.labels.iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of label `name` among the series that `matchers` select in `range`, sorted.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let found = self.select(matchers, range)?;
        let values: BTreeSet<&str> = found.series.iter().filter_map(|s| s.labels.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Numbers for metrics and status pages; cheap.
    pub fn stats(&self) -> Stats {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        Stats { head_series: state.series.len() as u64, samples_appended: state.appended, ..Stats::default() }
    }

    /// The head's cardinality, each list cut to `limit`; walks the index.
    pub fn cardinality(&self, _limit: usize) -> Cardinality {
        Cardinality::default()
    }

    /// Syncs and closes. Dropping does the same but cannot report an error.
    pub fn close(self) -> Result<(), AppendError> {
        self.sync()
    }
}
