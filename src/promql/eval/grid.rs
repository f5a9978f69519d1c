//! The times at which an expression is evaluated, and the times it then looks at.

/// `count` times from `start` on, `step` milliseconds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    /// At least 1.
    pub(crate) count: usize,
}

impl Grid {
    /// The grid from `start` to at most `end`; `None` if `end` lies before `start`.
    pub(crate) fn spanning(start: i64, end: i64, step: i64) -> Option<Grid> {
        let length = i128::from(end) - i128::from(start);
        let count = usize::try_from(length / i128::from(step.max(1))).ok().filter(|_| length >= 0)?;
        Some(Grid { start, step, count: count.saturating_add(1) })
    }

    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    pub(crate) fn last(&self) -> i64 {
        self.time(self.count - 1)
    }

    /// The grid seen through `@` and `offset`: the times that a selector looks at. With `@` they are all the same.
    pub(super) fn reference(&self, at: Option<i64>, offset_ms: i64) -> Grid {
        let (start, step) = at.map_or((self.start, self.step), |t| (t, 0));
        Grid { start: start.saturating_sub(offset_ms), step, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_both_ends() {
        assert_eq!(Grid::spanning(0, 10, 5).map(|g| (g.count, g.last())), Some((3, 10)));
        assert_eq!(Grid::spanning(0, 9, 5).map(|g| (g.count, g.last())), Some((2, 5)));
        assert_eq!(Grid::spanning(7, 7, 5).map(|g| g.count), Some(1));
        assert_eq!(Grid::spanning(1, 0, 5), None);
        assert_eq!(Grid::spanning(i64::MIN, i64::MAX, i64::MAX).map(|g| g.count), Some(3));
    }
}
