//! A row: one series' values for all steps.
//!
//! Here: rows of floats, and of native histograms beside them; making label sets unique. Elsewhere: what one histogram
//! is (`histogram`).
//!
//! Invariant: "no value at this step" is the staleness marker, bit for bit. No computation yields that pattern
//! (arithmetic returns quiet NaNs) and selectors never let a stored marker through, so the bit pattern is free.
//!
//! A row of floats alone, which nearly all are, has no column of histograms at all. Where a step has a histogram, it has
//! no float: whatever looks at floats only need not know of histograms.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use storage::{Labels, STALE_NAN_BITS, is_stale_nan};

use crate::promql::histogram::FloatHistogram;
use crate::promql::types::QueryError;

/// "No value at this step".
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `v` is [`ABSENT`]; an ordinary NaN is a value.
pub(crate) fn is_absent(v: f64) -> bool {
    is_stale_nan(v)
}

/// One series of an instant vector over all steps of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric's name goes at the end of the query (only with delayed name removal).
    pub(crate) drop_name: bool,
    /// One for each step.
    pub(crate) values: Vec<f64>,
    /// As many, if any step has a histogram.
    pub(crate) histograms: Option<Column>,
}

/// Native histograms of one series, one for each step that has one.
pub(crate) type Column = Box<[Option<Arc<FloatHistogram>>]>;

/// A column without histograms, to be filled in.
pub(crate) fn empty_column(steps: usize) -> Column {
    vec![None; steps].into()
}

/// Takes rows one at a time.
pub(crate) type Sink<'s> = dyn FnMut(Row) -> Result<(), QueryError> + 's;

/// Words of Prometheus for two series that became one.
pub(super) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

impl Row {
    pub(crate) fn new(labels: Labels, values: Vec<f64>) -> Self {
        Row { labels, drop_name: false, values, histograms: None }
    }

    /// How many steps have a value.
    pub(super) fn present_count(&self) -> usize {
        let floats = self.values.iter().filter(|v| !is_absent(**v)).count();
        floats + self.histograms.as_ref().map_or(0, |column| column.iter().flatten().count())
    }

    /// The histogram at a step.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.as_ref()?.get(step)?.as_ref()
    }

    /// The steps with histograms.
    pub(crate) fn each_histogram(&self) -> impl Iterator<Item = (usize, &Arc<FloatHistogram>)> {
        let column = self.histograms.as_deref().unwrap_or_default();
        column.iter().enumerate().filter_map(|(step, histogram)| Some((step, histogram.as_ref()?)))
    }

    /// Replaces every histogram; where `f` has none, the step has no value any more.
    pub(super) fn map_histograms(&mut self, mut f: impl FnMut(usize, &FloatHistogram) -> Option<FloatHistogram>) {
        let Some(column) = &mut self.histograms else { return };
        for (step, histogram) in column.iter_mut().enumerate() {
            *histogram = histogram.take().and_then(|histogram| f(step, &histogram)).map(Arc::new);
        }
    }

    /// Takes the value at a step away, whatever it is.
    pub(super) fn clear(&mut self, step: usize) {
        self.values[step] = ABSENT;
        if let Some(column) = &mut self.histograms {
            column[step] = None;
        }
    }

    /// What keeping the row costs of the budget: its samples, but at least as much as its memory is worth of them
    /// (a budgeted sample is 16 bytes, a step 8).
    pub(super) fn cost(&self) -> usize {
        let floats = self.values.iter().filter(|v| !is_absent(**v)).count().max(self.values.len() / 2);
        // Shared histograms count wherever they are held: the budget is for the worst case.
        floats + self.each_histogram().map(|(_, histogram)| histogram.cost()).sum::<usize>()
    }

    pub(super) fn is_present(&self, step: usize) -> bool {
        !is_absent(self.values[step]) || self.histogram(step).is_some()
    }
}

/// What happens to rows whose labels are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They become one row if they have no step in common.
    Merge,
    /// The query fails.
    Refuse,
}

/// Makes label sets unique again, keeping the order of first appearance.
pub(super) fn unite(rows: Vec<Row>, overlap: Overlap) -> Result<Vec<Row>, QueryError> {
    let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
    let mut united: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.get(&row.labels) {
            None => {
                places.insert(row.labels.clone(), united.len());
                united.push(row);
            }
            Some(_) if overlap == Overlap::Refuse => return Err(QueryError::Execution(SAME_LABELSET.to_owned())),
            Some(&place) => merge_into(&mut united[place], &row)?,
        }
    }
    Ok(united)
}

fn merge_into(target: &mut Row, row: &Row) -> Result<(), QueryError> {
    target.drop_name |= row.drop_name;
    if target.histograms.is_some() || row.histograms.is_some() {
        merge_histograms(target, row)?;
    }
    for (old, &new) in target.values.iter_mut().zip(&row.values) {
        match (is_absent(*old), is_absent(new)) {
            (_, true) => {}
            (true, false) => *old = new,
            (false, false) => return Err(QueryError::Execution(SAME_LABELSET.to_owned())),
        }
    }
    Ok(())
}

/// The histograms of `row` into `target`; the floats come after.
fn merge_histograms(target: &mut Row, row: &Row) -> Result<(), QueryError> {
    if (0..row.values.len()).any(|step| target.is_present(step) && row.is_present(step)) {
        return Err(QueryError::Execution(SAME_LABELSET.to_owned()));
    }
    let column = target.histograms.get_or_insert_with(|| empty_column(row.values.len()));
    for (step, histogram) in row.each_histogram() {
        column[step] = Some(histogram.clone());
    }
    Ok(())
}
