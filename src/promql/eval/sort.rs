//! Sorting that can be ended: a query over millions of series must not sort on after its end.

use std::cmp::Ordering;

use crate::promql::types::QueryError;

/// Runs of so many are sorted at a stretch; a check between them costs nothing.
const RUN: usize = 1 << 14;

/// Sorts, stably, as long as `check` lets it go on. After an error the items are in some order.
pub(in crate::promql) fn sort_while<T>(
    items: &mut [T],
    compare: &dyn Fn(&T, &T) -> Ordering,
    check: &dyn Fn() -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    for run in items.chunks_mut(RUN) {
        check()?;
        run.sort_by(compare);
    }
    let mut sorted = RUN;
    while sorted < items.len() {
        for pair in items.chunks_mut(sorted.saturating_mul(2)) {
            check()?;
            // Two runs in order are what the standard sort recognizes: it merges them in linear time.
            pair.sort_by(compare);
        }
        sorted = sorted.saturating_mul(2);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_stably_and_ends_when_told() {
        let items = |count: u64| -> Vec<(u64, u64)> { (0..count).map(|i| (i * 7919 % 101, i)).collect() };
        for count in [0, 1, 2, RUN as u64 + 3, 5 * RUN as u64 + 1] {
            let (mut found, mut expected) = (items(count), items(count));
            sort_while(&mut found, &|a, b| a.0.cmp(&b.0), &|| Ok(())).unwrap();
            expected.sort();
            assert_eq!(found, expected);
        }
        let ended = sort_while(&mut items(10), &|a, b| a.cmp(b), &|| Err(QueryError::Canceled));
        assert_eq!(ended, Err(QueryError::Canceled));
    }
}
