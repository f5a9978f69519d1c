//! The write path of a batch's histograms: resolve, check, log, show.
//!
//! Here: what happens to them under the appender's lock, after the floats of the same batch.
//! Elsewhere: floats (`append`), the record (`wal::record`), taking them (`histogram::head`).
//!
//! Invariant: as for floats, log and head agree; and nothing but valid histograms is logged.

use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::append::{Window, Writer, is_newest};
use crate::append_starts::log_starts;
use crate::batch::{Batch, BatchHistogram, HistogramSeries};
use crate::head::Head;
use crate::head::series::Verdict;
use crate::histogram::codec;
use crate::starts::WalStart;
use crate::wal::record::{Blob, Record};
use crate::wal::{Lsn, Wal};
use crate::{AppendError, Appended, Labels, RefuseReason, Refused, SeriesId};

/// Series that the batch brings, in the order of their numbers.
#[derive(Default)]
struct Created {
    series: Vec<(SeriesId, Labels)>,
    ids: FxHashMap<Labels, SeriesId>,
}

/// One that is to be logged.
struct Planned {
    index: usize,
    id: SeriesId,
    bytes: Vec<u8>,
}

impl Writer {
    /// Logs and shows the histograms of a batch. Series are declared by a record before that of the histograms.
    pub(crate) fn append_histograms(
        &mut self,
        wal: &Wal,
        head: &RwLock<Head>,
        batch: &mut Batch,
        window: Window,
        done: &mut Appended,
    ) -> Result<Lsn, AppendError> {
        let mut created = Created::default();
        let planned = {
            let head = head.read().unwrap_or_else(PoisonError::into_inner);
            plan(&head, &mut batch.histograms, window, &mut created, done)
        };
        let created = created.series;
        if planned.is_empty() {
            return Ok(wal.written());
        }
        if !created.is_empty() {
            let declared = wal.append(&mut self.log, created.iter().map(|(id, labels)| (*id, labels)), &[]);
            let mut head = head.write().unwrap_or_else(PoisonError::into_inner);
            if let Err(e) = declared {
                // As in `append`: the record may be on disk in spite of the error.
                head.skip_ids(created.last().map_or(0, |(id, _)| id.0 + 1));
                return Err(e);
            }
            for (id, labels) in &created {
                done.series_created += u64::from(head.insert(*id, labels).is_some());
            }
        }
        let has_starts = !head.read().unwrap_or_else(PoisonError::into_inner).starts().is_empty();
        if has_starts || batch.histograms.iter().any(|h| h.start != 0) {
            let started = planned.iter().map(|p| (p.id.0, &batch.histograms[p.index]));
            let started = started.filter(|(_, h)| !h.histogram.is_stale());
            let said = started.map(|(id, h)| WalStart { id, t: h.t, start: h.start }).collect();
            log_starts(wal, &mut self.log, head, said)?;
        }
        let blobs: Vec<Blob<&[u8]>> =
            planned.iter().map(|p| Blob { id: p.id.0, t: batch.histograms[p.index].t, bytes: &*p.bytes }).collect();
        let lsn = wal.append_record(&mut self.log, Record::Blobs(&blobs))?;
        let mut head = head.write().unwrap_or_else(PoisonError::into_inner);
        for p in &planned {
            let entry = &batch.histograms[p.index];
            let verdict = head.resolve(p.id).map(|series| head.push_histogram(series, entry.t, &entry.histogram));
            settle(verdict, p.index, done);
        }
        done.refused_histograms.sort_by_key(|r| r.index);
        Ok(lsn)
    }
}

fn plan(
    head: &Head,
    entries: &mut [BatchHistogram],
    window: Window,
    created: &mut Created,
    done: &mut Appended,
) -> Vec<Planned> {
    let mut planned = Vec::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.id = None;
        match plan_one(head, entry, window, created) {
            Ok((id, _)) if entry.newest_only && !is_newest(head, id, entry.t) => {
                done.refused_histograms.push(Refused { index, reason: RefuseReason::NotNewest });
            }
            Ok((id, Verdict::Accept)) => {
                let mut bytes = Vec::new();
                codec::encode(&entry.histogram, None, &mut bytes);
                planned.push(Planned { index, id, bytes });
            }
            Ok((_, verdict)) => settle(Some(verdict), index, done),
            Err(reason) => done.refused_histograms.push(Refused { index, reason }),
        }
    }
    planned
}

fn plan_one(
    head: &Head,
    entry: &mut BatchHistogram,
    window: Window,
    created: &mut Created,
) -> Result<(SeriesId, Verdict), RefuseReason> {
    let known = match &entry.series {
        HistogramSeries::Known(id) => Some(head.resolve(*id).ok_or(RefuseReason::UnknownSeries)?),
        HistogramSeries::New(labels) if labels.is_empty() => return Err(RefuseReason::NoLabels),
        HistogramSeries::New(labels) => head.find(labels),
    };
    window.check(entry.t)?;
    entry.histogram.validate().map_err(|_| RefuseReason::InvalidHistogram)?;
    let (id, verdict) = match (known, &entry.series) {
        (Some(series), _) => (SeriesId(u64::from(series)), head.check_histogram(series, entry.t, &entry.histogram)),
        (None, HistogramSeries::New(labels)) => (find_or_create(head, labels, created), Verdict::Accept),
        (None, HistogramSeries::Known(_)) => return Err(RefuseReason::UnknownSeries),
    };
    entry.id = Some(id);
    Ok((id, verdict))
}

fn find_or_create(head: &Head, labels: &Labels, created: &mut Created) -> SeriesId {
    let next = SeriesId(head.next_id().0 + created.series.len() as u64);
    let id = *created.ids.entry(labels.clone()).or_insert(next);
    if id == next {
        created.series.push((id, labels.clone()));
    }
    id
}

fn settle(verdict: Option<Verdict>, index: usize, done: &mut Appended) {
    let reason = match verdict {
        Some(Verdict::Accept) => {
            done.accepted += 1;
            return;
        }
        Some(Verdict::Duplicate) => {
            done.duplicates += 1;
            return;
        }
        Some(Verdict::Conflict) => RefuseReason::DuplicateTimestamp,
        None => RefuseReason::UnknownSeries,
    };
    done.refused_histograms.push(Refused { index, reason });
}
