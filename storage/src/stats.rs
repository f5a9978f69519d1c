//! Numbers about a `Db`.
//!
//! Here: the plain structs.
//! Elsewhere: filling them (`db`, `head`).
//!
//! Invariant: none; a snapshot is taken part by part while appends go on.

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
    /// Copies made by [`crate::Db::snapshot_to`] since open that lack damaged samples of the head.
    pub incomplete_copies: u64,
    /// Bytes at the end of the WAL that were no whole record at the last open, and were cut.
    pub wal_torn_bytes: u64,
    /// Samples of the WAL whose series' labels were lost with a damaged record.
    pub orphaned_samples: u64,
    /// Series of blocks with samples that are deleted but still on the disk, each counted in every such block.
    pub tombstones: u64,
    /// Why samples are refused now, if they are.
    pub refuses: Option<Refusal>,
    /// Appends and syncs that failed since open.
    pub append_failures: u64,
    /// How long the last open took, snapshot and WAL together, in milliseconds.
    pub replay_ms: u64,
    /// Samples that the last open read from the WAL.
    pub replayed_samples: u64,
    /// "Now" of the [`crate::Db::maintain`] that wrote the newest snapshot of the head; `None` if there is none.
    pub snapshot_t: Option<i64>,
    /// How long writing it took, in milliseconds; 0 if that was before the last open.
    pub snapshot_ms: u64,
    /// Bytes of it, chunks that it refers to not included.
    pub snapshot_bytes: u64,
}

/// Why a `Db` takes no samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room on the disk.
    DiskFull,
    /// Writing or syncing failed otherwise.
    Failed,
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
