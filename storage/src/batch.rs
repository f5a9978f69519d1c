//! Batches: what is appended, and what became of it.
//!
//! Here: [`Batch`], [`Appended`] and the reasons for refusal.
//! Elsewhere: the way into log and head (`append`).
//!
//! Invariant: a refusal concerns one sample; the rest of its batch is stored.

use crate::{Labels, SeriesId};

/// One request's samples, appended together. Keep and reuse it: its memory is recycled.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) ids: Vec<Option<SeriesId>>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) series: BatchSeries,
    pub(crate) t: i64,
    pub(crate) v: f64,
}

#[derive(Debug)]
pub(crate) enum BatchSeries {
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
