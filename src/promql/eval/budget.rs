//! What one query may use, and its end.
//!
//! Here: counting samples, bytes and series that a query holds, refusing more than its limits, and the checks for timeout
//! and cancellation. Elsewhere: where the limits come from (`config`, the server).
//!
//! Bytes are an estimate that errs upwards: a sample is 16, a series what its labels take and a little for handling it.
//! Allocators and the answer's text are not in it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::Labels;

use super::row::Row;
use crate::promql::source::SeriesReader;
use crate::promql::types::{EngineOptions, POINT_BYTES, QueryControl, QueryError};

const SAMPLE_BYTES: u64 = POINT_BYTES as u64;
/// Bytes of a selected series beside its labels: its handle and the list of its chunks.
const SERIES_BYTES: u64 = 256;
/// Bytes of a row beside its labels and values.
const ROW_BYTES: u64 = 96;

/// Steps of a loop that does little for each: about a tenth of a millisecond.
const PORTION: usize = if cfg!(test) { 3 } else { 1 << 15 };

/// One query's account. Shared by all that evaluate it.
pub(crate) struct Budget<'a> {
    control: &'a QueryControl,
    options: &'a EngineOptions,
    samples: AtomicU64,
    /// Beside those of samples.
    bytes: AtomicU64,
    series: AtomicU64,
}

type Done = Result<(), QueryError>;

impl<'a> Budget<'a> {
    pub(crate) fn new(control: &'a QueryControl, options: &'a EngineOptions) -> Self {
        Budget { control, options, samples: AtomicU64::new(0), bytes: AtomicU64::new(0), series: AtomicU64::new(0) }
    }

    /// Ends the query if its time is over or its asker is gone.
    pub(crate) fn check(&self) -> Done {
        self.control.check()
    }

    /// Does `work` for the numbers of so many steps, which may be millions: some at a time, with a check before.
    pub(crate) fn in_portions(&self, steps: usize, mut work: impl FnMut(Range<usize>)) -> Done {
        (0..steps).step_by(PORTION).try_for_each(|start| {
            self.check()?;
            work(start..steps.min(start + PORTION));
            Ok(())
        })
    }

    /// What is counted for whoever wants to know.
    pub(crate) fn control(&self) -> &'a QueryControl {
        self.control
    }

    /// Counts samples that the query now holds.
    pub(crate) fn charge(&self, samples: usize) -> Done {
        let held = self.samples.fetch_add(samples as u64, Ordering::Relaxed).saturating_add(samples as u64);
        self.control.numbers.saw_peak(held);
        let max = self.options.samples_max;
        if held > max {
            return Err(too_many_samples(max));
        }
        self.check_bytes(held, self.bytes.load(Ordering::Relaxed))
    }

    /// Counts samples that the query no longer holds.
    pub(crate) fn release(&self, samples: usize) {
        self.samples.fetch_sub(samples as u64, Ordering::Relaxed);
    }

    /// Counts bytes that the query now holds, those of samples not among them.
    pub(crate) fn charge_bytes(&self, bytes: u64) -> Done {
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.check_bytes(self.samples.load(Ordering::Relaxed), held)
    }

    /// Counts a row that is kept.
    pub(crate) fn charge_row(&self, row: &Row) -> Done {
        self.charge(row.cost())?;
        self.charge_bytes(row.labels.packed_bytes() as u64 + ROW_BYTES)
    }

    /// How many more series may be selected.
    pub(crate) fn series_left(&self) -> u64 {
        self.options.series_max.saturating_sub(self.series.load(Ordering::Relaxed))
    }

    /// Counts series that were selected.
    pub(crate) fn charge_series(&self, series: &[Box<dyn SeriesReader>]) -> Done {
        let count = series.len() as u64;
        self.control.numbers.saw_series(count);
        if self.series.fetch_add(count, Ordering::Relaxed).saturating_add(count) > self.options.series_max {
            return Err(self.too_many_series());
        }
        let labels: u64 = series.iter().map(|s| packed_bytes(s.labels())).sum();
        self.charge_bytes(labels.saturating_add(count.saturating_mul(SERIES_BYTES)))
    }

    pub(crate) fn too_many_series(&self) -> QueryError {
        let max = self.options.series_max;
        QueryError::Execution(format!(
            "the query selects more than {max} series; select fewer, or raise cairn.limits.query_series_max"
        ))
    }

    fn check_bytes(&self, samples: u64, bytes: u64) -> Done {
        let max = self.options.memory_bytes_max;
        if samples.saturating_mul(SAMPLE_BYTES).saturating_add(bytes) > max {
            return Err(QueryError::Execution(format!(
                "the query needs more than {max} bytes of memory; ask for less, or raise cairn.limits.query_memory_bytes_max"
            )));
        }
        Ok(())
    }

    /// Refuses an answer over its limit; to be told all of its rows.
    pub(crate) fn check_result(&self, rows: &[Row]) -> Done {
        let max = self.options.result_bytes_max;
        let mut bytes = 0_u64;
        for row in rows {
            let values = row.cost() as u64 * SAMPLE_BYTES;
            bytes = bytes.saturating_add(values + packed_bytes(&row.labels));
            if bytes > max {
                return Err(too_large(max));
            }
        }
        Ok(())
    }
}

/// An answer of more bytes than it may have.
pub(crate) fn too_large(max: u64) -> QueryError {
    QueryError::Execution(format!(
        "the answer has more than {max} bytes ({SAMPLE_BYTES} for a point, and the labels); ask for fewer series or a longer \
         step, or raise cairn.limits.query_result_bytes_max"
    ))
}

/// Prometheus' words for a query over its budget of samples, and what to do.
pub(crate) fn too_many_samples(max: u64) -> QueryError {
    QueryError::Execution(format!(
        "query processing would load too many samples into memory in query execution: more than {max}; ask for less, or \
         raise --query.max-samples (cairn.limits.query_samples_max)"
    ))
}

fn packed_bytes(labels: &Labels) -> u64 {
    labels.packed_bytes() as u64
}
