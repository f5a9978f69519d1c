//! The write path of start timestamps: compare, log, note.
//!
//! Here: what is logged before the samples of a batch that have them. Elsewhere: the lists (`starts`), the samples
//! (`append`, `append_histograms`), reading the record back (`wal::replay`).
//!
//! Invariant: a record of starts stands before that of its samples, so whoever finds the samples in the log finds their
//! starts, and what is acknowledged is both. A start whose samples did not follow says nothing. Staleness markers have no
//! start of their own.

use std::sync::{PoisonError, RwLock};

use crate::batch::Batch;
use crate::head::Head;
use crate::starts::{WalStart, WalStarts};
use crate::wal::record::{Record, WalSample};
use crate::wal::{Appender, Wal};
use crate::{AppendError, SeriesId, is_stale_nan};

/// The starts of a batch's floats by place, which must be asked for in rising order.
struct StartsOf<'b> {
    rest: &'b [(usize, i64)],
}

impl StartsOf<'_> {
    fn at(&mut self, place: usize) -> i64 {
        let passed = self.rest.iter().take_while(|(there, _)| *there < place).count();
        self.rest = &self.rest[passed..];
        self.rest.first().filter(|(there, _)| *there == place).map_or(crate::starts::UNKNOWN, |(_, start)| *start)
    }
}

/// Logs and notes the starts of `samples`, which are about to be logged; `places` are theirs in the batch, or empty if
/// they are all of it.
pub(crate) fn log_of_floats(
    wal: &Wal,
    log: &mut Appender,
    head: &RwLock<Head>,
    batch: &Batch,
    samples: &[WalSample],
    places: &[usize],
) -> Result<(), AppendError> {
    let mut starts = StartsOf { rest: &batch.starts };
    let said = samples.iter().enumerate().filter(|(_, s)| !is_stale_nan(s.v)).map(|(at, s)| {
        let place = places.get(at).copied().unwrap_or(at);
        WalStart { id: s.id, t: s.t, start: starts.at(place) }
    });
    log_starts(wal, log, head, said.collect())
}

/// Logs and notes starts of samples that are about to be logged, in the order of the batch.
pub(crate) fn log_starts(
    wal: &Wal,
    log: &mut Appender,
    head: &RwLock<Head>,
    mut said: Vec<WalStart>,
) -> Result<(), AppendError> {
    // Stable: of two samples of one time the first one counts.
    said.sort_by_key(|s| (s.id, s.t));
    said.dedup_by_key(|s| (s.id, s.t));
    let segment = log.next_segment();
    let mut plan = WalStarts::default();
    {
        let head = head.read().unwrap_or_else(PoisonError::into_inner);
        for samples in said.chunk_by(|a, b| a.id == b.id) {
            let newest = head.resolve(SeriesId(samples[0].id)).and_then(|series| head.newest_t(series));
            head.starts().plan(samples, newest, segment, &mut plan);
        }
    }
    if plan.is_empty() {
        return Ok(());
    }
    wal.append_record(log, Record::Starts(&plan))?;
    head.write().unwrap_or_else(PoisonError::into_inner).note_starts(&plan, segment);
    Ok(())
}
