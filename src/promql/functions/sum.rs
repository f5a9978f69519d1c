//! Compensated summation (Kahan's, as Neumaier improved it): sums that do not lose small terms beside large ones.

/// Adds `v` to `(sum, compensation)`.
#[inline]
pub(crate) fn add(v: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + v;
    (total, if total.is_infinite() { 0.0 } else { compensation + error_of(v, sum, total) })
}

/// What a finite `total` of both lacks.
#[inline]
pub(crate) fn error_of(v: f64, sum: f64, total: f64) -> f64 {
    let is_smaller = sum.abs() >= v.abs();
    let (large, small) = if is_smaller { (sum, v) } else { (v, sum) };
    (large - total) + small
}

/// A mean that survives a sum beyond the largest float: from there on it goes by increments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    sum: f64,
    compensation: f64,
    count: f64,
    is_incremental: bool,
}

impl Mean {
    /// The mean of one value.
    pub(crate) fn of(v: f64) -> Self {
        Mean { sum: v, compensation: 0.0, count: 1.0, is_incremental: false }
    }

    /// The mean of `count` values whose compensated sum is finite.
    pub(crate) fn from_parts(sum: f64, compensation: f64, count: f64) -> Self {
        Mean { sum, compensation, count, is_incremental: false }
    }

    pub(crate) fn push(&mut self, v: f64) {
        self.count += 1.0;
        if !self.is_incremental {
            let (sum, compensation) = add(v, self.sum, self.compensation);
            if !sum.is_infinite() {
                (self.sum, self.compensation) = (sum, compensation);
                return;
            }
            // From here on `sum` holds the mean.
            self.is_incremental = true;
            self.sum /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        (self.sum, self.compensation) = add(v / self.count, weight * self.sum, weight * self.compensation);
    }

    pub(crate) fn value(&self) -> f64 {
        if self.is_incremental {
            return self.sum + self.compensation;
        }
        self.sum / self.count + self.compensation / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let (sum, c) = [1e100, 1.0, -1e100].iter().fold((0.0, 0.0), |(s, c), &v| add(v, s, c));
        assert_eq!(sum + c, 1.0);
    }

    #[test]
    fn a_mean_survives_overflow() {
        let mut mean = Mean::of(f64::MAX);
        mean.push(f64::MAX);
        mean.push(f64::MAX);
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-15);
        let mut infinite = Mean::of(f64::INFINITY);
        infinite.push(1.0);
        assert_eq!(infinite.value(), f64::INFINITY);
    }
}
