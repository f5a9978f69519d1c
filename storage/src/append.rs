//! The write path: resolve, check, log, show.
//!
//! Here: what happens to a batch under the appender's lock.
//! Elsewhere: the log (`wal`), the head (`head`), waiting for the disk (`db`).
//!
//! Invariant: log and head agree: a sample is shown only after its record is written, and a record that could not be
//! written leaves no trace in the head. Numbers of series that a failed record named are never used again.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use rustc_hash::FxHashMap;

use crate::append_starts::log_of_floats;
use crate::batch::{Batch, NEW, NewSeries};
use crate::head::Head;
use crate::head::lookup::Lookup;
use crate::head::series::Verdict;
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

    #[inline]
    pub(crate) fn check(self, t: i64) -> Result<(), RefuseReason> {
        match t {
            t if t > self.max_t => Err(RefuseReason::TooFarInFuture),
            t if t < self.min_t => Err(RefuseReason::TooOld),
            _ => Ok(()),
        }
    }
}

/// Readers of the head wait for at most so many samples or new series of an append.
const PORTION: usize = 1024;

/// The appender: one at a time, behind a lock. Its memory is reused from batch to batch.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The log's end.
    pub(crate) log: Appender,
    planned: Planned,
}

/// What of a batch is to be logged and shown.
#[derive(Debug, Default)]
struct Planned {
    /// All of the batch as it stands: the buffers below are not used.
    is_whole: bool,
    samples: Vec<WalSample>,
    /// For each of `samples`, its place in the batch.
    places: Vec<usize>,
    new_series: Vec<(SeriesId, Labels)>,
    new_ids: FxHashMap<Labels, SeriesId>,
    /// Knows the label pairs of each of `new_series`.
    lookup: Lookup,
}

impl Writer {
    /// A writer at the log's end.
    pub(crate) fn new(log: Appender) -> Self {
        Writer { log, planned: Planned::default() }
    }

    /// Logs and shows a batch. The position is what must be synced for it to be durable.
    pub(crate) fn append(
        &mut self,
        wal: &Wal,
        head: &RwLock<Head>,
        batch: &mut Batch,
        window: Window,
    ) -> Result<(Appended, Lsn), AppendError> {
        let (mut done, lsn) = self.append_floats(wal, head, batch, window)?;
        if batch.histograms.is_empty() {
            return Ok((done, lsn));
        }
        let lsn = self.append_histograms(wal, head, batch, window, &mut done)?;
        Ok((done, lsn))
    }

    fn append_floats(
        &mut self,
        wal: &Wal,
        head: &RwLock<Head>,
        batch: &mut Batch,
        window: Window,
    ) -> Result<(Appended, Lsn), AppendError> {
        let mut done = Appended::default();
        let planned = &mut self.planned;
        batch.forget_ids();
        let has_starts = {
            let head = head.read().unwrap_or_else(PoisonError::into_inner);
            planned.plan(&head, batch, window, &mut done);
            !batch.starts.is_empty() || !head.starts().is_empty()
        };
        let samples = if planned.is_whole { &batch.samples } else { &planned.samples };
        if samples.is_empty() && planned.new_series.is_empty() {
            batch.is_appended = true;
            return Ok((done, wal.written()));
        }
        let before = match has_starts {
            true => log_of_floats(wal, &mut self.log, head, batch, samples, &planned.places),
            false => Ok(()),
        };
        let new_series = planned.new_series.iter().map(|(id, l)| (*id, l));
        match before.and_then(|()| wal.append(&mut self.log, new_series, samples)) {
            Ok(lsn) => {
                planned.show(head, samples, &mut done);
                batch.is_appended = true;
                Ok((done, lsn))
            }
            Err(e) => {
                // The record may be on disk in spite of the error; its numbers must not come to mean something else.
                if let Some((last, _)) = planned.new_series.last() {
                    let mut head = write(head);
                    head.skip_ids(last.0 + 1);
                    planned.new_series.iter().for_each(|(id, _)| head.forget_starts(*id));
                }
                batch.forget_ids();
                Err(e)
            }
        }
    }
}

impl Planned {
    /// Sorts the batch into what is stored and what is refused; changes nothing that others see.
    fn plan(&mut self, head: &Head, batch: &mut Batch, window: Window, done: &mut Appended) {
        self.samples.clear();
        self.places.clear();
        self.new_series.clear();
        self.new_ids.clear();
        self.lookup.begin(head);
        let plain_max = batch.newest_only.first().copied().unwrap_or(batch.samples.len());
        let plain = plain_prefix(head, &batch.samples[..plain_max.min(batch.samples.len())], window);
        self.is_whole = plain == batch.samples.len();
        if self.is_whole {
            return;
        }
        self.samples.extend_from_slice(&batch.samples[..plain]);
        self.places.extend(0..plain);
        let Batch { samples, new, without_id, newest_only, .. } = batch;
        for (index, sample) in samples.iter().enumerate().skip(plain) {
            let (id, verdict) = match self.plan_sample(head, sample, new, window) {
                Ok(planned) => planned,
                Err(reason) => {
                    done.refused.push(Refused { index, reason });
                    without_id.push(index);
                    continue;
                }
            };
            match verdict {
                _ if newest_only.binary_search(&index).is_ok() && !is_newest(head, SeriesId(id), sample.t) => {
                    done.refused.push(Refused { index, reason: RefuseReason::NotNewest });
                }
                Verdict::Accept => {
                    self.samples.push(WalSample { id, ..*sample });
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
    fn plan_sample(
        &mut self,
        head: &Head,
        sample: &WalSample,
        new: &mut [NewSeries],
        window: Window,
    ) -> Result<(u64, Verdict), RefuseReason> {
        let known = |id| head.resolve(id).map(|series| (id.0, head.check(series, sample.t, sample.v)));
        if sample.id & NEW == 0 {
            let found = known(SeriesId(sample.id)).ok_or(RefuseReason::UnknownSeries)?;
            window.check(sample.t)?;
            return Ok(found);
        }
        let series = new.get_mut((sample.id & !NEW) as usize).ok_or(RefuseReason::UnknownSeries)?;
        if series.labels.is_empty() {
            return Err(RefuseReason::NoLabels);
        }
        window.check(sample.t)?;
        let id = match series.id {
            Some(id) => id,
            None => *series.id.insert(self.find_or_create(head, &series.labels)),
        };
        // What this batch creates is not in the head yet.
        Ok(known(id).unwrap_or((id.0, Verdict::Accept)))
    }

    fn find_or_create(&mut self, head: &Head, labels: &Labels) -> SeriesId {
        if let Some(series) = self.lookup.find(head, labels) {
            return SeriesId(u64::from(series));
        }
        let next = SeriesId(head.next_id().0 + self.new_series.len() as u64);
        let id = *self.new_ids.entry(labels.clone()).or_insert(next);
        if id == next {
            self.new_series.push((id, labels.clone()));
            self.lookup.keep();
        }
        id
    }

    /// Puts what was logged into the head. A batch that names one time twice is sorted out here, as it is at replay.
    fn show(&self, head: &RwLock<Head>, samples: &[WalSample], done: &mut Appended) {
        let refused_before = done.refused.len();
        for (number, portion) in self.new_series.chunks(PORTION).enumerate() {
            let mut head = write(head);
            for (at, (id, labels)) in portion.iter().enumerate() {
                if self.lookup.insert(&mut head, number * PORTION + at, *id, labels).is_some() {
                    done.series_created += 1;
                }
            }
        }
        for (number, portion) in samples.chunks(PORTION).enumerate() {
            let mut head = write(head);
            for (at, s) in portion.iter().enumerate() {
                let verdict = head.resolve(SeriesId(s.id)).map(|series| head.push(series, s.t, s.v));
                let reason = match verdict {
                    Some(Verdict::Accept) => {
                        done.accepted += 1;
                        continue;
                    }
                    Some(Verdict::Duplicate) => {
                        done.duplicates += 1;
                        continue;
                    }
                    Some(Verdict::Conflict) => RefuseReason::DuplicateTimestamp,
                    None => RefuseReason::UnknownSeries,
                };
                let place = number * PORTION + at;
                let index = if self.is_whole { place } else { self.places[place] };
                done.refused.push(Refused { index, reason });
            }
        }
        if done.refused.len() > refused_before {
            done.refused.sort_by_key(|r| r.index);
        }
    }
}

/// How many samples from the start are of known series and new to them: all of them, mostly.
fn plain_prefix(head: &Head, samples: &[WalSample], window: Window) -> usize {
    let is_plain = |s: &WalSample| {
        let known = if s.id & NEW == 0 { head.resolve(SeriesId(s.id)) } else { None };
        window.check(s.t).is_ok() && known.is_some_and(|series| head.check(series, s.t, s.v) == Verdict::Accept)
    };
    samples.iter().position(|s| !is_plain(s)).unwrap_or(samples.len())
}

/// Whether the series has no sample of this time or later; what this batch creates has none.
pub(crate) fn is_newest(head: &Head, id: SeriesId, t: i64) -> bool {
    head.resolve(id).and_then(|series| head.newest_t(series)).is_none_or(|newest| newest < t)
}

fn write(head: &RwLock<Head>) -> RwLockWriteGuard<'_, Head> {
    head.write().unwrap_or_else(PoisonError::into_inner)
}
