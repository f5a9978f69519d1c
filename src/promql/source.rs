//! Where samples come from.
//!
//! Here: the traits that a store implements, and their implementation for `storage::Db`.
//! Elsewhere: unions of several tenants and remote stores (their own rooms).

use storage::{
    Columns, Db, GoOn, HistogramColumns, Labels, Matcher, SampleKind, SelectedSeries, Selection, TimeRange, View,
};

/// Where an engine finds series. `storage::Db` is the usual one; a union of several is how federation reads.
pub trait Source: Send + Sync {
    /// Series that satisfy all `matchers` with a sample in `range`, sorted by labels, and warnings about what could not
    /// be read.
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<SourceSeries, SourceError>;

    /// The same for who may lose patience: `go_on` is asked now and then with how many series there are so far; `None` once
    /// it says no. What finds its series at once need not ask. `threads` may be used, the caller's among them.
    fn select_while(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        _threads: usize,
        go_on: &GoOn<'_>,
    ) -> Result<Option<SourceSeries>, SourceError> {
        let found = self.select(matchers, range)?;
        Ok(go_on(found.series.len()).then_some(found))
    }
}

/// What [`Source::select`] found.
pub struct SourceSeries {
    /// Sorted by labels.
    pub series: Vec<Box<dyn SeriesReader>>,
    /// One sentence each; they end up in the answer's `warnings`.
    pub warnings: Vec<String>,
}

/// One series of a [`Source`].
pub trait SeriesReader: Send + Sync {
    /// Its labels.
    fn labels(&self) -> &Labels;
    /// Appends its samples that are floats in the selected range to `out`, oldest first; staleness markers included.
    fn read_into(&self, out: &mut Columns) -> Result<(), SourceError>;
    /// The newest sample in the selected range, if it is a float and known without reading.
    fn newest(&self) -> Option<(i64, f64)> {
        None
    }
    /// How many floats [`SeriesReader::read_into`] appends, about; 0 if that is not known without reading.
    fn sample_count(&self) -> usize {
        0
    }
    /// Whether it may have native histograms in the selected range. Most series have none and are not asked again.
    fn has_histograms(&self) -> bool {
        false
    }
    /// Appends its native histograms in the selected range to `out`, oldest first, none at the time of a float;
    /// staleness markers included.
    fn read_histograms_into(&self, _out: &mut HistogramColumns) -> Result<(), SourceError> {
        Ok(())
    }
    /// Whether its samples may have start timestamps. Most series have none and are not asked for them.
    fn has_starts(&self) -> bool {
        false
    }
    /// Appends to `out` the start timestamp of each sample at `times`, which are some of those read before of this kind;
    /// 0 where it has none.
    fn read_starts(&self, _kind: SampleKind, times: &[i64], out: &mut Vec<i64>) {
        out.resize(out.len() + times.len(), 0);
    }
}

/// The store's words when reading fails as a whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

impl Source for Db {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<SourceSeries, SourceError> {
        Ok(boxed(Db::select(self, matchers, range).map_err(|e| SourceError(e.to_string()))?))
    }

    fn select_while(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        threads: usize,
        go_on: &GoOn<'_>,
    ) -> Result<Option<SourceSeries>, SourceError> {
        let found = Db::select_while(self, matchers, range, threads, go_on).map_err(|e| SourceError(e.to_string()))?;
        Ok(found.map(boxed))
    }
}

fn boxed(found: Selection) -> SourceSeries {
    let series = found.series.into_iter().map(|s| Box::new(s) as Box<dyn SeriesReader>).collect();
    SourceSeries { series, warnings: found.warnings }
}

impl Source for View {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<SourceSeries, SourceError> {
        Ok(boxed(View::select(self, matchers, range).map_err(|e| SourceError(e.to_string()))?))
    }
}

impl SeriesReader for SelectedSeries {
    fn labels(&self) -> &Labels {
        SelectedSeries::labels(self)
    }

    fn read_into(&self, out: &mut Columns) -> Result<(), SourceError> {
        SelectedSeries::read_into(self, out).map_err(|e| SourceError(e.to_string()))
    }

    fn newest(&self) -> Option<(i64, f64)> {
        SelectedSeries::newest(self)
    }

    fn sample_count(&self) -> usize {
        SelectedSeries::sample_count(self)
    }

    fn has_histograms(&self) -> bool {
        SelectedSeries::has_histograms(self)
    }

    fn read_histograms_into(&self, out: &mut HistogramColumns) -> Result<(), SourceError> {
        SelectedSeries::read_histograms_into(self, out).map_err(|e| SourceError(e.to_string()))
    }

    fn has_starts(&self) -> bool {
        SelectedSeries::has_starts(self)
    }

    fn read_starts(&self, kind: SampleKind, times: &[i64], out: &mut Vec<i64>) {
        SelectedSeries::read_starts(self, kind, times, out);
    }
}
