//! `cairn-storage`: a time-series store that is usable alone. One directory is one [`Db`].
//!
//! Synchronous, no tenants, no clock, no YAML: "now", limits and paths come in as arguments.
//! What the bytes on disk mean is written in `FORMAT.md`; why things are so, in each module's head.
//!
//! Reading order: [`labels`], [`matcher`], [`sample`], then [`db`], which ties the rest together.

mod db;
mod labels;
mod matcher;
mod sample;

pub use db::{
    Appended, AppendError, Batch, Cardinality, Db, Durability, OpenError, Options, ReadError, RefuseReason, Refused, SelectedSeries,
    Selection, Stats,
};
pub use labels::{Labels, LabelsBuilder, LabelsError, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError, full_match_regex};
pub use sample::{Columns, STALE_NAN_BITS, Sample, SeriesId, TimeRange, is_stale_nan, stale_nan};
