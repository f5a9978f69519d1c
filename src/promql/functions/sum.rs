//! Compensated summation (Kahan's, as Neumaier improved it): sums that do not lose small terms beside large ones.

/// Adds `v` to `(sum, compensation)`.
#[inline]
pub(crate) fn add(v: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + v;
    (total, if total.is_infinite() { 0.0 } else { compensation + error_of(v, sum, total) })
}

/// The sum of `first` and the others, if it is finite all the way: what was infinite once stays infinite or becomes NaN, so
/// the end tells, and the way there needs no branches.
///
/// The error of each addition is exact, so it has the same bits as [`error_of`]'s, without comparing which is larger (Knuth's
/// TwoSum). Near the largest float its inner terms may overflow: the compensation tells.
#[inline]
pub(crate) fn finite_sum(first: f64, values: &[f64]) -> Option<(f64, f64)> {
    let (mut sum, mut compensation) = (first, 0.0);
    for &v in values {
        let total = sum + v;
        let added = total - sum;
        compensation += (sum - (total - added)) + (v - added);
        sum = total;
    }
    (sum.is_finite() && f64::is_finite(compensation)).then_some((sum, compensation))
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

    proptest::proptest! {
        #[test]
        fn a_finite_sum_has_the_bits_of_single_additions(
            values in proptest::collection::vec(proptest::prelude::any::<(u8, f64)>(), 1..40),
        ) {
            // Magnitudes that meet, and some of everything else.
            let of = |&(kind, v): &(u8, f64)| match kind {
                0..=200 => (f64::from(kind) - 100.0) * if kind % 3 == 0 { 1e16 } else { 0.1 },
                201..=210 => f64::MAX,
                211..=220 => f64::MIN,
                221..=225 => -0.0,
                _ => v,
            };
            let values: Vec<f64> = values.iter().map(of).collect();
            let (sum, c) = values[1..].iter().fold((values[0], 0.0), |(sum, c), &v| add(v, sum, c));
            if let Some((fast, fast_c)) = finite_sum(values[0], &values[1..]) {
                let bits = (sum.to_bits(), f64::to_bits(c));
                proptest::prop_assert_eq!((fast.to_bits(), fast_c.to_bits()), bits, "{:?}", values);
            }
        }
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
