//! A chunk: the answer of one query at some neighbouring times, as columns.
//!
//! Chunks lie on a grid: number `k` has the steps `k * STEPS ..` of all time, and of those a run. Which run it is depends on
//! what was asked; runs that touch are joined.

use std::sync::Arc;

use storage::{Labels, STALE_NAN_BITS, is_stale_nan};

use crate::promql::{MatrixSeries, QueryResult, Value};

/// Steps of a whole chunk: two hours at a step of 15 s, three weeks at one of an hour.
pub(super) const STEPS: i64 = 512;

/// "No value": no query has it as one.
const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// The answer at the steps `first ..= last` (times are these by the query's step).
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Sorted by labels; each with a value or none for every step.
    series: Vec<(Labels, Box<[f64]>)>,
    /// What the answer said besides.
    pub(super) infos: Arc<[String]>,
}

impl Chunk {
    /// The number of the chunk that step `n` belongs to.
    pub(super) fn number_of(n: i64) -> i64 {
        n.div_euclid(STEPS)
    }

    /// The steps `first ..= last` of an answer. They must be in it.
    pub(super) fn of(result: &[MatrixSeries], step: i64, first: i64, last: i64, infos: &Arc<[String]>) -> Self {
        let length = usize::try_from(last - first + 1).unwrap_or(0);
        let mut series = Vec::new();
        for s in result {
            let from = s.points.partition_point(|&(t, _)| t < first * step);
            let inside = s.points[from..].iter().take_while(|&&(t, _)| t <= last * step);
            let mut values: Option<Box<[f64]>> = None;
            for &(t, v) in inside {
                let at = usize::try_from(t / step - first).unwrap_or(usize::MAX);
                if let Some(value) = values.get_or_insert_with(|| vec![ABSENT; length].into()).get_mut(at) {
                    *value = v;
                }
            }
            series.extend(values.map(|values| (s.labels.clone(), values)));
        }
        Chunk { first, last, series, infos: infos.clone() }
    }

    /// Hands every series with its points in `from ..= to` on, by rising labels.
    pub(super) fn read(
        &self,
        step: i64,
        from: i64,
        to: i64,
        mut each: impl FnMut(&Labels, &mut dyn Iterator<Item = (i64, f64)>),
    ) {
        let skipped = usize::try_from(from - self.first).unwrap_or(0);
        let taken = usize::try_from(to - from + 1).unwrap_or(0);
        for (labels, values) in &self.series {
            let values = values.iter().skip(skipped).take(taken).zip(from..);
            let mut points = values.filter(|(v, _)| !is_stale_nan(**v)).map(|(v, n)| (n * step, *v));
            each(labels, &mut points);
        }
    }

    /// Both together if there is nothing between them; `None` otherwise. Where both have a step, `self` counts.
    pub(super) fn joined(&self, other: &Chunk) -> Option<Chunk> {
        if other.first > self.last + 1 || self.first > other.last + 1 {
            return None;
        }
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        let length = usize::try_from(last - first + 1).unwrap_or(0);
        let mut series: Vec<(Labels, Box<[f64]>)> = Vec::with_capacity(self.series.len().max(other.series.len()));
        let (mut mine, mut others) = (self.series.iter().peekable(), other.series.iter().peekable());
        let put = |into: &mut [f64], from: i64, values: &[f64]| {
            let at = usize::try_from(from - first).unwrap_or(0);
            into[at..at + values.len()].copy_from_slice(values);
        };
        loop {
            let order = match (mine.peek(), others.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let mut values: Box<[f64]> = vec![ABSENT; length].into();
            let theirs = if order.is_ge() { others.next() } else { None };
            let ours = if order.is_le() { mine.next() } else { None };
            if let Some((_, column)) = theirs {
                put(&mut values, other.first, column);
            }
            // Also where there is no such series in it: its steps are known to be without a value.
            match ours {
                Some((_, column)) => put(&mut values, self.first, column),
                None => put(
                    &mut values,
                    self.first,
                    &vec![ABSENT; usize::try_from(self.last - self.first + 1).unwrap_or(0)],
                ),
            }
            if let Some((labels, _)) = ours.or(theirs) {
                series.push((labels.clone(), values));
            }
        }
        let mut infos: Vec<String> = self.infos.to_vec();
        infos.extend(other.infos.iter().filter(|info| !self.infos.contains(info)).cloned());
        Some(Chunk { first, last, series, infos: infos.into() })
    }

    /// What it takes, estimated upwards.
    pub(super) fn bytes(&self) -> usize {
        const SERIES_BYTES: usize = 64;
        let of_series =
            |(labels, values): &(Labels, Box<[f64]>)| labels.packed_bytes() + 8 * values.len() + SERIES_BYTES;
        let infos: usize = self.infos.iter().map(String::len).sum();
        SERIES_BYTES * 4 + infos + self.series.iter().map(of_series).sum::<usize>()
    }
}

/// The series of an answer that can be kept: floats only, nothing that warns, no info about single samples.
pub(super) fn keepable(result: &QueryResult) -> Option<&[MatrixSeries]> {
    /// Said of a name: true of any piece in which the name is.
    const OF_NAMES: &str = "PromQL info: metric might not be a counter";
    let Value::Matrix(series) = &result.value else { return None };
    let is_plain = series.iter().all(|s| s.histograms.is_empty());
    let is_quiet = result.warnings.is_empty() && result.infos.iter().all(|info| info.starts_with(OF_NAMES));
    (is_plain && is_quiet).then_some(series.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: i64, last: i64, series: &[(&str, &[(i64, f64)])]) -> Chunk {
        let result: Vec<MatrixSeries> = series
            .iter()
            .map(|(i, points)| MatrixSeries {
                labels: Labels::from_pairs([("i", *i)]).unwrap(),
                points: points.iter().map(|&(n, v)| (n * 10, v)).collect(),
                histograms: Vec::new(),
            })
            .collect();
        Chunk::of(&result, 10, first, last, &Vec::new().into())
    }

    fn read(chunk: &Chunk, from: i64, to: i64) -> Vec<(String, Vec<(i64, f64)>)> {
        let mut found = Vec::new();
        chunk.read(10, from, to, |labels, points| {
            found.push((labels.get("i").unwrap().to_owned(), points.map(|(t, v)| (t / 10, v)).collect()));
        });
        found
    }

    #[test]
    fn a_part_of_an_answer_is_read_back() {
        let points = [(-2, 0.5), (0, 1.0), (1, 2.0), (3, 3.0)];
        let chunk = chunk(-1, 2, &[("a", &points), ("b", &[(9, 1.0)])]);
        assert_eq!(read(&chunk, -1, 2), [("a".to_owned(), vec![(0, 1.0), (1, 2.0)])]);
        assert_eq!(read(&chunk, 1, 1), [("a".to_owned(), vec![(1, 2.0)])]);
    }

    #[test]
    fn runs_that_touch_are_joined() {
        let early = chunk(0, 2, &[("a", &[(0, 1.0), (2, 2.0)]), ("b", &[(1, 5.0)])]);
        let late = chunk(3, 4, &[("b", &[(3, 6.0)]), ("c", &[(4, 7.0)])]);
        let joined = late.joined(&early).unwrap();
        // "No value" is a NaN, which is not equal to itself.
        assert_eq!(format!("{joined:?}"), format!("{:?}", early.joined(&late).unwrap()));
        assert_eq!((joined.first, joined.last), (0, 4));
        let expected = [
            ("a".to_owned(), vec![(0, 1.0), (2, 2.0)]),
            ("b".to_owned(), vec![(1, 5.0), (3, 6.0)]),
            ("c".to_owned(), vec![(4, 7.0)]),
        ];
        assert_eq!(read(&joined, 0, 4), expected);
        assert!(early.joined(&chunk(4, 5, &[])).is_none());
        // What is newer counts where both know.
        let newer = chunk(1, 3, &[("a", &[(1, 9.0)])]);
        let expected = [("a".to_owned(), vec![(0, 1.0), (1, 9.0)]), ("b".to_owned(), vec![])];
        assert_eq!(read(&newer.joined(&early).unwrap(), 0, 3), expected);
    }
}
