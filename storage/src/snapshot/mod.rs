//! Snapshots: the whole head on the disk, so that a start need not replay it and the WAL can go.
//!
//! Here: the files' names, which snapshots are kept and what they need, when the next one is due.
//! Elsewhere: writing (`snapshot::write`), reading (`snapshot::load`), verifying the one that is not read
//! (`snapshot::check`), bytes (`snapshot::format`, `head::export`),
//! finished chunks in files (`snapshot::chunks`).
//!
//! Invariant: at every moment every acknowledged sample is in a listed whole block, or in one of the two kept snapshots
//! with its chunk files, or in WAL segments that replay will read.
//!
//! Why it holds, step by step. A snapshot begins a new segment S while no append runs: it stands for all segments before
//! S. Then pages of the head are copied while appends go on; those are in S and after, and replaying them over a page
//! that has them already changes nothing (same time, same value: a duplicate; another value was refused the first time,
//! too). Nothing leaves the head meanwhile: cuts, deletions and snapshots exclude each other by the lock of maintenance.
//! Series that begin meanwhile are left out, the segments from S on name them. Chunk file, then snapshot get their names
//! when they are on the disk, and only then goes what neither of the two newest snapshots needs. The first snapshot of
//! all therefore removes nothing. A crash before the new name leaves temporary files and the state before.
//!
//! A cut publishes and lists its blocks, writes a snapshot without what they hold, and only then lets the head go. After
//! a crash before the snapshot's name, samples are in the blocks and in the log, which readers and merges make one of.
//!
//! At open the newest snapshot that is whole is used. If the newest is not, the one before it and the segments since
//! have all the same samples; the damaged one is set aside, for its numbers of series may differ from those that are
//! given from now on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::chunks::ChunkFile;
use self::format::{Facts, NeededFile};
use crate::block::meta::BlockId;
use crate::head::export::Files;

pub(crate) mod check;
pub(crate) mod chunks;
mod extras;
pub(crate) mod format;
pub(crate) mod load;
#[cfg(test)]
mod tests;
pub(crate) mod write;

/// Directory of snapshots and chunk files, below the `Db`'s.
pub(crate) const HEAD_DIR: &str = "head";
/// Names of snapshots, before their number.
pub(crate) const SNAPSHOT_PREFIX: &str = "snap-";
/// Names of chunk files, before their number.
pub(crate) const CHUNKS_PREFIX: &str = "chunks-";
/// Ends the names of files in the making.
const TEMP_SUFFIX: &str = ".tmp";
/// So many snapshots are kept, with all that they need.
pub(crate) const KEPT: usize = 2;
/// A snapshot is written so long after the last one, if there is something to gain.
const INTERVAL_MS: u64 = 300_000;
/// Less WAL than this is not worth one.
const WAL_BYTES_MIN: u64 = 1 << 20;
/// More WAL than this takes too long to replay, whatever the time.
const WAL_BYTES_MAX: u64 = 64 << 20;

/// So many samples are replayed in a second or less, on a slow machine: then it is time for a snapshot. A well packed log
/// has them in few bytes.
const SAMPLES_MAX: u64 = 2 << 20;
/// But no snapshot before so many samples for each series: writing one costs about as much as replaying five.
const SAMPLES_OF_SERIES: u64 = 16;

/// What came since the newest snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    /// Bytes of WAL.
    pub(crate) bytes: u64,
    /// Samples.
    pub(crate) samples: u64,
    /// Series now.
    pub(crate) series: u64,
}

impl Since {
    /// Whether replaying it takes too long, whatever the time.
    pub(crate) fn is_much(self) -> bool {
        self.bytes >= WAL_BYTES_MAX || self.samples >= SAMPLES_MAX.max(self.series.saturating_mul(SAMPLES_OF_SERIES))
    }
}

/// The name of snapshot `number`.
pub(crate) fn snapshot_name(number: u64) -> String {
    format!("{SNAPSHOT_PREFIX}{number:08}")
}

/// The name of chunk file `number`.
pub(crate) fn chunks_name(number: u64) -> String {
    format!("{CHUNKS_PREFIX}{number:08}")
}

/// The name of a file in the making.
fn temp_name(name: &str) -> String {
    format!("{name}{TEMP_SUFFIX}")
}

/// A file of the directory, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Snapshot(u64),
    Chunks(u64),
    Temp(u64),
}

fn parse_name(name: &str) -> Option<Name> {
    if let Some(name) = name.strip_suffix(TEMP_SUFFIX) {
        return match parse_name(name)? {
            Name::Snapshot(n) | Name::Chunks(n) | Name::Temp(n) => Some(Name::Temp(n)),
        };
    }
    let snapshot = name.strip_prefix(SNAPSHOT_PREFIX).and_then(|n| n.parse().ok()).map(Name::Snapshot);
    snapshot.or_else(|| name.strip_prefix(CHUNKS_PREFIX).and_then(|n| n.parse().ok()).map(Name::Chunks))
}

/// A snapshot on the disk that the next open may need.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    number: u64,
    segment: u64,
    files: Vec<NeededFile>,
    blocks: Vec<BlockId>,
}

impl Kept {
    fn new(number: u64, facts: &Facts) -> Self {
        Kept { number, segment: facts.segment, files: facts.files.clone(), blocks: facts.blocks.clone() }
    }
}

/// What maintenance knows about snapshots.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    next_number: u64,
    /// At most [`KEPT`], oldest first.
    kept: Vec<Kept>,
    /// Chunk files that the head's chunks are in.
    files: Files,
    /// Files most of which nobody needs: their chunks are written anew.
    sparse: Vec<u64>,
    /// What the newest one stands for.
    last: Option<Facts>,
    /// Damage has cost a copy: write one soon.
    is_due: bool,
}

impl Snapshots {
    /// Whether the next one is worth writing.
    fn is_due(&self, now: i64, since: Since) -> bool {
        // A clock that was put back counts as time passed.
        let is_time = self.last.as_ref().is_none_or(|last| last.now.abs_diff(now) >= INTERVAL_MS);
        self.is_due || since.is_much() || (is_time && since.bytes >= WAL_BYTES_MIN)
    }

    /// Blocks that the kept ones name.
    pub(crate) fn named_blocks(&self) -> BTreeSet<BlockId> {
        self.kept.iter().flat_map(|kept| kept.blocks.iter().copied()).collect()
    }

    fn add_file(&mut self, file: ChunkFile) -> Arc<ChunkFile> {
        let file = Arc::new(file);
        self.files.insert(file.number, file.clone());
        file
    }
}

/// What status pages show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SnapshotNumbers {
    /// "Now" of the newest one.
    pub(crate) t: Option<i64>,
    /// How long it took.
    pub(crate) took: Duration,
    /// Its length.
    pub(crate) bytes: u64,
    /// Samples appended (or replayed) before it since open.
    pub(crate) samples_before: u64,
}
