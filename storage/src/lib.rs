//! `cairn-storage`: a time-series store that is usable alone. One directory is one [`Db`].
//!
//! Synchronous, no tenants, no clock, no YAML: "now", limits and paths come in as arguments.
//! What the bytes on disk mean is written in `FORMAT.md`; why things are so, in each module's head.
//!
//! Reading order: `labels`, `matcher`, `sample`, `batch`, then `db`, which ties the rest together.

/// The README's example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod append;
mod append_histograms;
mod append_starts;
mod batch;
mod block;
mod blocks;
mod bytes;
mod chunk;
mod column;
mod compact;
#[cfg(test)]
mod crash_tests;
mod cut;
mod damage;
mod db;
mod delete;
mod distinct;
mod error;
mod exemplar;
mod extras;
#[cfg(test)]
mod format_tests;
mod fs;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod histogram;
mod hotcopy;
mod index;
mod labels;
mod listing;
mod lookup;
mod matcher;
mod merge;
mod metadata;
mod mmap;
#[cfg(test)]
mod noise;
mod querier;
mod recover;
mod retention;
mod sample;
mod select;
mod snapshot;
mod starts;
mod stats;
mod tombstone;
mod touched;
mod verify;
mod view;
mod wal;

pub use batch::{Appended, Batch, RefuseReason, Refused};
pub use db::{Db, Durability, Options};
pub use delete::DeleteOutcome;
pub use error::{AppendError, DeleteError, OpenError, ReadError};
pub use exemplar::{EXEMPLAR_LABEL_CHARS_MAX, Exemplar, ExemplarsAppended};
pub use histogram::{
    CounterResetHint, HISTOGRAM_BUCKETS_MAX, Histogram, HistogramColumns, HistogramCounts, HistogramError, ReduceError,
    SCHEMA_CUSTOM, SCHEMA_MAX, SCHEMA_MIN, Side, Span,
};
pub use hotcopy::SnapshotHead;
pub use labels::{Labels, LabelsBuilder, LabelsError, METRIC_NAME, METRIC_TYPE, METRIC_UNIT};
pub use matcher::{MatchOp, Matcher, MatcherError, full_match_regex};
pub use metadata::{METADATA_TEXT_BYTES_MAX, MetadataAppended, MetricMetadata};
pub use querier::{SampleKind, SelectedSeries, Selection};
pub use sample::{Columns, STALE_NAN_BITS, Sample, SeriesId, TimeRange, is_stale_nan, stale_nan};
pub use select::GoOn;
pub use stats::{Cardinality, Refusal, Stats};
pub use verify::{Verified, VerifyMode, verify};
pub use view::View;
