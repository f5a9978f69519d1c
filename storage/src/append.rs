//! The write path: resolve, check, log, show.
//!
//! Here: what happens to a batch under the appender's lock.
//! Elsewhere: the log (`wal`), the head (`head`), waiting for the disk (`db`).
//!
//! Invariant: log and head agree: a sample is shown only after its record is written, and a record that could not be
//! written leaves no trace in the head. Numbers of series that a failed record named are never used again.

use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::batch::{Batch, BatchSeries, Entry};
use crate::head::Head;
use crate::head::series::Verdict;
use crate::index::SeriesRef;
use crate::wal::record::WalSample;
use crate::wal::{Appender, Lsn, Wal};
use crate::{AppendError, Appended, Labels, RefuseReason, Refused, SeriesId};

/// Earlier than any real time; keeps arithmetic on times from overflowing.
pub(crate) const MIN_T: i64 = i64::MIN / 4;
/// Later than any real time, for the same reason.
pub(crate) const MAX_T: i64 = i64::MAX / 4;

/// What may be appended now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Oldest time accepted.
    pub(crate) min_t: i64,
    /// Newest time accepted.
    pub(crate) max_t: i64,
}

impl Window {
    /// From "now", the retention and the tolerance for clocks that are ahead.
    pub(crate) fn new(now: i64, retention_ms: Option<i64>, future_ms_max: i64) -> Self {
        let oldest = retention_ms.map_or(MIN_T, |ms| now.saturating_sub(ms));
        Window { min_t: oldest.max(MIN_T), max_t: now.saturating_add(future_ms_max).min(MAX_T) }
    }
}

/// The appender: one at a time, behind a lock. Its memory is reused from batch to batch.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The log's end.
    pub(crate) log: Appender,
    samples: Vec<WalSample>,
    /// For each of `samples`, its place in the batch.
    places: Vec<usize>,
    new_series: Vec<(SeriesId, Labels)>,
    new_ids: FxHashMap<Labels, SeriesId>,
}

impl Writer {
    /// A writer at the log's end.
    pub(crate) fn new(log: Appender) -> Self {
        Writer { log, samples: Vec::new(), places: Vec::new(), new_series: Vec::new(), new_ids: FxHashMap::default() }
    }

    /// Logs and shows a batch. The position is what must be synced for it to be durable.
    pub(crate) fn append(
        &mut self,
        wal: &Wal,
        head: &RwLock<Head>,
        batch: &mut Batch,
        window: Window,
    ) -> Result<(Appended, Lsn), AppendError> {
        let mut done = Appended::default();
        self.plan(&head.read().unwrap_or_else(PoisonError::into_inner), batch, window, &mut done);
        if self.samples.is_empty() && self.new_series.is_empty() {
            return Ok((done, wal.written()));
        }
        let logged = wal.append(&mut self.log, self.new_series.iter().map(|(id, l)| (*id, l)), &self.samples);
        let mut head = head.write().unwrap_or_else(PoisonError::into_inner);
        match logged {
            Ok(lsn) => {
                self.show(&mut head, &mut done);
                Ok((done, lsn))
            }
            Err(e) => {
                // The record may be on disk in spite of the error; its numbers must not come to mean something else.
                head.skip_ids(self.new_series.last().map_or(0, |(id, _)| id.0 + 1));
                batch.ids.clear();
                Err(e)
            }
        }
    }

    /// Sorts the batch into what is stored and what is refused; changes no state but its own buffers.
    fn plan(&mut self, head: &Head, batch: &mut Batch, window: Window, done: &mut Appended) {
        self.samples.clear();
        self.places.clear();
        self.new_series.clear();
        self.new_ids.clear();
        batch.ids.clear();
        for (index, entry) in batch.entries.iter().enumerate() {
            let planned = self.plan_entry(head, entry, window);
            let (id, outcome) = match planned {
                Ok((id, verdict)) => (Some(id), verdict),
                Err(reason) => {
                    done.refused.push(Refused { index, reason });
                    batch.ids.push(None);
                    continue;
                }
            };
            batch.ids.push(id);
            match outcome {
                Verdict::Accept => {
                    self.samples.push(WalSample { id: id.map_or(0, |id| id.0), t: entry.t, v: entry.v });
                    self.places.push(index);
                }
                Verdict::Duplicate => done.duplicates += 1,
                Verdict::Conflict => {
                    done.refused.push(Refused { index, reason: RefuseReason::DuplicateTimestamp });
                }
            }
        }
    }

    #[inline]
    fn plan_entry(&mut self, head: &Head, entry: &Entry, window: Window) -> Result<(SeriesId, Verdict), RefuseReason> {
        let check_time = || match entry.t {
            t if t > window.max_t => Err(RefuseReason::TooFarInFuture),
            t if t < window.min_t => Err(RefuseReason::TooOld),
            _ => Ok(()),
        };
        let known: Option<SeriesRef> = match &entry.series {
            BatchSeries::Known(id) => Some(head.resolve(*id).ok_or(RefuseReason::UnknownSeries)?),
            BatchSeries::New(labels) if labels.is_empty() => return Err(RefuseReason::NoLabels),
            BatchSeries::New(labels) => head.find(labels),
        };
        check_time()?;
        match (known, &entry.series) {
            (Some(series), _) => Ok((SeriesId(u64::from(series)), head.check(series, entry.t, entry.v))),
            (None, BatchSeries::New(labels)) => Ok((self.new_id(head, labels), Verdict::Accept)),
            (None, BatchSeries::Known(_)) => Err(RefuseReason::UnknownSeries),
        }
    }

    fn new_id(&mut self, head: &Head, labels: &Labels) -> SeriesId {
        let next = SeriesId(head.next_id().0 + self.new_series.len() as u64);
        let id = *self.new_ids.entry(labels.clone()).or_insert(next);
        if id == next {
            self.new_series.push((id, labels.clone()));
        }
        id
    }

    /// Puts what was logged into the head. A batch that names one time twice is sorted out here, as it is at replay.
    fn show(&mut self, head: &mut Head, done: &mut Appended) {
        let refused_before = done.refused.len();
        for (id, labels) in &self.new_series {
            if head.insert(*id, labels).is_some() {
                done.series_created += 1;
            }
        }
        for (s, &index) in self.samples.iter().zip(&self.places) {
            let verdict = head.resolve(SeriesId(s.id)).map(|series| head.push(series, s.t, s.v));
            match verdict {
                Some(Verdict::Accept) => done.accepted += 1,
                Some(Verdict::Duplicate) => done.duplicates += 1,
                Some(Verdict::Conflict) => {
                    done.refused.push(Refused { index, reason: RefuseReason::DuplicateTimestamp });
                }
                None => done.refused.push(Refused { index, reason: RefuseReason::UnknownSeries }),
            }
        }
        if done.refused.len() > refused_before {
            done.refused.sort_by_key(|r| r.index);
        }
    }
}
