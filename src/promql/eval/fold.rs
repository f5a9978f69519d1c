//! The columns of one group of an aggregation: an accumulator for each step.
//!
//! Here: adding a series' values to them, and what they come to. Elsewhere: which series belong to a group
//! (`aggregate`), native histograms (`histogram_fold`), compensated sums of one window (`functions::sum`).
//!
//! Nearly all series have a value at every step. For those the loops have no branches, so that they run on several steps
//! at once; the bits that come out are those of adding one value after another.

use super::row::{ABSENT, is_absent};
use crate::promql::ast::AggregateOp;
use crate::promql::functions::sum::{Mean, add, error_of};

pub(super) enum Fold {
    Sum(Sums),
    Avg(Means),
    Count(Vec<f64>),
    Min(Vec<f64>),
    Max(Vec<f64>),
    Group(Vec<f64>),
    /// Count, mean and squared distance of Welford's algorithm.
    Variance(Vec<(f64, f64, f64)>),
    /// All values: a quantile needs them.
    Quantile(Vec<Vec<f64>>),
}

/// Compensated sums.
pub(super) struct Sums {
    /// [`ABSENT`] until there is a value.
    sums: Vec<f64>,
    compensations: Vec<f64>,
    /// No sum is absent.
    is_full: bool,
}

/// Means: sums and counts, until a sum is beyond the largest float.
pub(super) enum Means {
    Sums { sums: Sums, counts: Vec<f64> },
    Single(Vec<Option<Mean>>),
}

impl Sums {
    fn new(steps: usize) -> Self {
        Sums { sums: vec![ABSENT; steps], compensations: vec![0.0; steps], is_full: false }
    }

    /// Whether some sum will be infinite.
    fn overflows_with(&self, values: &[f64]) -> bool {
        // An absent one is a NaN, as is what comes of it.
        self.sums.iter().zip(values).fold(false, |any, (sum, v)| any | (sum + v).is_infinite())
    }

    /// `overflows` is what [`Sums::overflows_with`] says of `values`.
    fn push(&mut self, values: &[f64], is_row_full: bool, overflows: bool) {
        if self.is_full && is_row_full && !overflows {
            for ((sum, compensation), &v) in self.sums.iter_mut().zip(&mut self.compensations).zip(values) {
                let total = *sum + v;
                *compensation += error_of(v, *sum, total);
                *sum = total;
            }
            return;
        }
        for ((sum, compensation), &v) in self.sums.iter_mut().zip(&mut self.compensations).zip(values) {
            match (is_absent(v), is_absent(*sum)) {
                (true, _) => {}
                (false, true) => *sum = v,
                (false, false) => (*sum, *compensation) = add(v, *sum, *compensation),
            }
        }
        self.is_full |= is_row_full;
    }
}

impl Means {
    fn new(steps: usize) -> Self {
        Means::Sums { sums: Sums::new(steps), counts: vec![0.0; steps] }
    }

    fn push(&mut self, values: &[f64], is_row_full: bool) {
        if let Means::Sums { sums, counts } = self {
            if !sums.overflows_with(values) {
                sums.push(values, is_row_full, false);
                counts.iter_mut().zip(values).for_each(|(count, v)| *count += if is_absent(*v) { 0.0 } else { 1.0 });
                return;
            }
            let parts = sums.sums.iter().zip(&sums.compensations).zip(&*counts);
            let means = parts.map(|((sum, c), n)| (!is_absent(*sum)).then(|| Mean::from_parts(*sum, *c, *n)));
            *self = Means::Single(means.collect());
        }
        let Means::Single(means) = self else { return };
        for (mean, &v) in means.iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)) {
            match mean {
                Some(mean) => mean.push(v),
                empty => *empty = Some(Mean::of(v)),
            }
        }
    }

    fn finish(self) -> Vec<f64> {
        match self {
            Means::Sums { sums, counts } => {
                let parts = sums.sums.into_iter().zip(sums.compensations).zip(counts);
                parts.map(|((s, c), n)| if is_absent(s) { s } else { Mean::from_parts(s, c, n).value() }).collect()
            }
            Means::Single(means) => means.iter().map(|m| m.as_ref().map_or(ABSENT, Mean::value)).collect(),
        }
    }
}

impl Fold {
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Avg => Fold::Avg(Means::new(steps)),
            AggregateOp::Count => Fold::Count(vec![ABSENT; steps]),
            AggregateOp::Min => Fold::Min(vec![ABSENT; steps]),
            AggregateOp::Max => Fold::Max(vec![ABSENT; steps]),
            AggregateOp::Group => Fold::Group(vec![ABSENT; steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Fold::Variance(vec![(0.0, 0.0, 0.0); steps]),
            AggregateOp::Quantile => Fold::Quantile(Vec::new()),
            _ => Fold::Sum(Sums::new(steps)),
        }
    }

    /// Whether a sum or a mean has met a float at this step.
    pub(super) fn has_value(&self, step: usize) -> bool {
        match self {
            Fold::Sum(sums) | Fold::Avg(Means::Sums { sums, .. }) => !is_absent(sums.sums[step]),
            Fold::Avg(Means::Single(means)) => means[step].is_some(),
            _ => false,
        }
    }

    pub(super) fn push(&mut self, values: Vec<f64>) {
        let is_full = || !values.iter().fold(false, |any, v| any | is_absent(*v));
        let present = || values.iter().copied().enumerate().filter(|(_, v)| !is_absent(*v));
        match self {
            Fold::Sum(sums) => sums.push(&values, is_full(), sums.overflows_with(&values)),
            Fold::Avg(means) => means.push(&values, is_full()),
            Fold::Count(counts) => counts.iter_mut().zip(&values).for_each(|(count, v)| {
                let one_more = if is_absent(*count) { 1.0 } else { *count + 1.0 };
                *count = if is_absent(*v) { *count } else { one_more };
            }),
            // An absent value is a NaN, too: both give way to the first number.
            Fold::Min(least) if is_full() => {
                least.iter_mut().zip(&values).for_each(|(least, &v)| {
                    *least = if (*least > v) | least.is_nan() { v } else { *least };
                });
            }
            Fold::Max(most) if is_full() => {
                most.iter_mut().zip(&values).for_each(|(most, &v)| {
                    *most = if (*most < v) | most.is_nan() { v } else { *most };
                });
            }
            Fold::Min(least) => present().for_each(|(i, v)| {
                if least[i] > v || least[i].is_nan() {
                    least[i] = v;
                }
            }),
            Fold::Max(most) => present().for_each(|(i, v)| {
                if most[i] < v || most[i].is_nan() {
                    most[i] = v;
                }
            }),
            Fold::Group(ones) => present().for_each(|(i, _)| ones[i] = 1.0),
            Fold::Variance(states) => present().for_each(|(i, v)| push_variance(&mut states[i], v)),
            Fold::Quantile(rows) => rows.push(values),
        }
    }

    /// Adds what was folded elsewhere; only where the order does not show, which is for count and group.
    pub(super) fn merge(&mut self, other: Fold) {
        let is_count = matches!(self, Fold::Count(_));
        let ((Fold::Count(own), Fold::Count(other)) | (Fold::Group(own), Fold::Group(other))) = (self, other) else {
            return;
        };
        for (own, other) in own.iter_mut().zip(other) {
            *own = match (is_absent(*own), is_absent(other)) {
                (true, _) => other,
                (false, false) if is_count => *own + other,
                (false, _) => *own,
            };
        }
    }

    pub(super) fn finish(self, op: AggregateOp) -> Vec<f64> {
        match self {
            Fold::Sum(Sums { sums, compensations, .. }) => {
                let total = |(sum, c): (f64, f64)| if is_absent(sum) { sum } else { sum + c };
                sums.into_iter().zip(compensations).map(total).collect()
            }
            Fold::Avg(means) => means.finish(),
            Fold::Count(values) | Fold::Min(values) | Fold::Max(values) | Fold::Group(values) => values,
            Fold::Variance(states) => {
                let is_deviation = op == AggregateOp::Stddev;
                let finish = |(count, _, distance): (f64, f64, f64)| {
                    let variance = distance / count;
                    if is_deviation { variance.sqrt() } else { variance }
                };
                states.into_iter().map(|s| if s.0 == 0.0 { ABSENT } else { finish(s) }).collect()
            }
            // Its own way: it takes long, and looks for the query's end meanwhile.
            Fold::Quantile(_) => Vec::new(),
        }
    }
}

fn push_variance((count, mean, distance): &mut (f64, f64, f64), v: f64) {
    *count += 1.0;
    if *count == 1.0 {
        *mean = v;
        *distance = if v.is_finite() { 0.0 } else { f64::NAN };
        return;
    }
    let delta = v - *mean;
    *mean += delta / *count;
    *distance += delta * (v - *mean);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way: one value after another, each step alone.
    fn slowly(op: AggregateOp, rows: &[Vec<f64>], step: usize) -> f64 {
        let mut values = rows.iter().map(|row| row[step]).filter(|v| !is_absent(*v));
        let Some(first) = values.next() else { return ABSENT };
        match op {
            AggregateOp::Sum => {
                let (sum, c) = values.fold((first, 0.0), |(sum, c), v| add(v, sum, c));
                sum + c
            }
            AggregateOp::Avg => {
                let mut mean = Mean::of(first);
                values.for_each(|v| mean.push(v));
                mean.value()
            }
            AggregateOp::Min => values.fold(first, |least, v| if least > v || least.is_nan() { v } else { least }),
            AggregateOp::Max => values.fold(first, |most, v| if most < v || most.is_nan() { v } else { most }),
            _ => 1.0 + values.count() as f64,
        }
    }

    proptest::proptest! {
        #[test]
        fn columns_come_to_what_single_values_come_to(
            rows in proptest::collection::vec(proptest::collection::vec(0_usize..24, 5), 1..12),
        ) {
            const ODD: [f64; 10] = [
                ABSENT, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.0, 0.0, 1e100, f64::MIN_POSITIVE,
            ];
            let value = |n: usize| ODD.get(n).copied().unwrap_or(n as f64 * 0.1 - 1.7);
            let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&n| value(n)).collect()).collect();
            for op in [AggregateOp::Sum, AggregateOp::Avg, AggregateOp::Min, AggregateOp::Max, AggregateOp::Count] {
                let mut fold = Fold::new(op, 5);
                rows.iter().for_each(|row| fold.push(row.clone()));
                let bits = |v: f64| if v.is_nan() && !is_absent(v) { f64::NAN.to_bits() } else { v.to_bits() };
                for (step, found) in fold.finish(op).into_iter().enumerate() {
                    let expected = slowly(op, &rows, step);
                    proptest::prop_assert_eq!(bits(found), bits(expected), "{:?} {:?}: {} {}", op, rows, found, expected);
                }
            }
        }
    }
}
