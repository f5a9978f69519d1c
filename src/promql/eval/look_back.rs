//! Which sample is the newest at each step.
//!
//! Here: finding it, and remembering that for the next series, whose samples mostly have the same times: then only values
//! are looked up. Elsewhere: where the samples come from (`selector`).
//!
//! Invariant: the lookback is open on its left end, and a staleness marker ends a series at once.

use storage::{Columns, is_stale_nan};

use super::Done;
use super::budget::Budget;
use super::grid::Grid;
use super::row::ABSENT;
use crate::promql::types::QueryError;

/// What a selector yields for the sample it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Value,
    /// The sample's own time in seconds: `timestamp(selector)`.
    Time,
}

/// For one sequence of times the sample of each step. For one grid and one lookback only.
#[derive(Debug, Default)]
pub(super) struct Picks {
    t: Vec<i64>,
    /// Numbers of samples; [`NONE`] where there is none.
    at: Vec<u32>,
    found: usize,
}

const NONE: u32 = u32::MAX;

impl Picks {
    /// The newest sample at each reference time, or `None` if there is none at all; and at how many times there is one.
    pub(super) fn look_back(
        &mut self,
        budget: &Budget<'_>,
        columns: &Columns,
        (reference, lookback_ms): (Grid, i64),
        pick: Pick,
    ) -> Result<(Option<Vec<f64>>, usize), QueryError> {
        if self.at.is_empty() || self.t != columns.t {
            self.find(budget, &columns.t, reference, lookback_ms)?;
        }
        if self.found == 0 {
            return Ok((None, 0));
        }
        // A number that is none is beyond the end.
        let of = |at: &u32| columns.v.get(*at as usize).copied().unwrap_or(ABSENT);
        let mut values: Vec<f64> = Vec::with_capacity(self.at.len());
        budget.in_portions(self.at.len(), |steps| values.extend(self.at[steps].iter().map(of)))?;
        let has_markers = columns.v.iter().fold(false, |any, v| any | is_stale_nan(*v));
        let found = match has_markers {
            true => values.iter().filter(|v| !is_stale_nan(**v)).count(),
            false => self.found,
        };
        if pick == Pick::Time {
            for (value, at) in values.iter_mut().zip(&self.at).filter(|(value, _)| !is_stale_nan(**value)) {
                *value = columns.t[*at as usize] as f64 / 1000.0;
            }
        }
        Ok(((found > 0).then_some(values), found))
    }

    fn find(&mut self, budget: &Budget<'_>, t: &[i64], reference: Grid, lookback_ms: i64) -> Done {
        self.t.clear();
        self.t.extend_from_slice(t);
        self.at.clear();
        self.found = 0;
        let mut next = 0;
        budget.in_portions(reference.count, |steps| {
            for step in steps {
                let at = reference.time(step);
                while t.get(next).is_some_and(|&sample_t| sample_t <= at) {
                    next += 1;
                }
                let newest = next.checked_sub(1).filter(|&newest| t[newest] > at.saturating_sub(lookback_ms));
                self.found += usize::from(newest.is_some());
                self.at.push(newest.and_then(|newest| u32::try_from(newest).ok()).unwrap_or(NONE));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::is_absent;
    use super::*;
    use crate::promql::types::{EngineOptions, QueryControl};

    fn with_budget<T>(work: impl FnOnce(&Budget<'_>) -> T) -> T {
        work(&Budget::new(&QueryControl::with_timeout(std::time::Duration::MAX), &EngineOptions::default()))
    }

    fn look_back(columns: &Columns, grid: Grid) -> Option<Vec<f64>> {
        with_budget(|b| Picks::default().look_back(b, columns, (grid, 20), Pick::Value)).unwrap().0
    }

    #[track_caller]
    fn check(samples: &[(i64, f64)], expected: &[Option<f64>]) {
        let columns = Columns { t: samples.iter().map(|s| s.0).collect(), v: samples.iter().map(|s| s.1).collect() };
        let grid = Grid { start: 0, step: 10, count: expected.len() };
        let found = look_back(&columns, grid).unwrap_or(vec![ABSENT; expected.len()]);
        let found: Vec<Option<f64>> = found.into_iter().map(|v| (!is_absent(v)).then_some(v)).collect();
        assert_eq!(found, expected, "{samples:?}");
    }

    #[test]
    fn a_sample_lives_until_just_before_the_lookback_ends() {
        check(&[(0, 1.0)], &[Some(1.0), Some(1.0), None]);
        check(&[(1, 1.0)], &[None, Some(1.0), Some(1.0), None]);
        check(&[(0, 1.0), (10, 2.0)], &[Some(1.0), Some(2.0), Some(2.0), None]);
    }

    #[test]
    fn a_staleness_marker_ends_it_at_once_and_a_plain_nan_does_not() {
        check(&[(0, 1.0), (5, storage::stale_nan()), (20, 3.0)], &[Some(1.0), None, Some(3.0)]);
        let columns = Columns { t: vec![0], v: vec![f64::NAN] };
        let found = look_back(&columns, Grid { start: 0, step: 1, count: 1 });
        assert!(found.is_some_and(|v| v[0].is_nan() && !is_absent(v[0])));
    }

    #[test]
    fn what_is_remembered_does_not_show() {
        let grid = Grid { start: 0, step: 10, count: 3 };
        let mut picks = Picks::default();
        let mut of = |t: &[i64], v: &[f64]| {
            let columns = Columns { t: t.to_vec(), v: v.to_vec() };
            let (values, found) = with_budget(|b| picks.look_back(b, &columns, (grid, 20), Pick::Value)).unwrap();
            assert_eq!(values.iter().flatten().filter(|v| !is_absent(**v)).count(), found);
            values.map(|values| values.into_iter().map(|v| (!is_absent(v)).then_some(v)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[0, 10], &[1.0, 2.0]), Some(vec![Some(1.0), Some(2.0), Some(2.0)]));
        assert_eq!(of(&[0, 10], &[3.0, 4.0]), Some(vec![Some(3.0), Some(4.0), Some(4.0)]));
        assert_eq!(of(&[0, 10], &[3.0, storage::stale_nan()]), Some(vec![Some(3.0), None, None]));
        assert_eq!(of(&[0, 10], &[storage::stale_nan(), storage::stale_nan()]), None);
        assert_eq!(of(&[0, 15], &[5.0, 6.0]), Some(vec![Some(5.0), Some(5.0), Some(6.0)]));
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&[0, 10], &[1.0, 2.0]), Some(vec![Some(1.0), Some(2.0), Some(2.0)]));
    }
}
