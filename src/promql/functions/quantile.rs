//! The quantile of a set of values.

/// The `q`-quantile of `values`, which are moved about on the way; NaN counts as the lowest. Between two values it is interpolated.
/// NaN for no values or a NaN `q`; infinite for a `q` outside 0 to 1.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor().max(0.0) as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    // Only these two places matter, so not all of them are put in order.
    let (_, &mut at_lower, above) = values.select_nth_unstable_by_key(lower, place);
    let next = || above.iter().copied().min_by_key(place).unwrap_or(at_lower);
    let at_upper = if upper == lower { at_lower } else { next() };
    at_lower * (1.0 - weight) + at_upper * weight
}

/// Rises with the value; NaN comes first.
fn place(v: &f64) -> i64 {
    let bits = v.to_bits() as i64;
    // The order of bits is that of numbers, backwards below zero.
    if v.is_nan() { i64::MIN } else { bits ^ (((bits >> 63) as u64) >> 1) as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_neighbours() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert_eq!(quantile(0.0, &mut [3.0, 1.0]), 1.0);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0, 2.0]), 3.0);
        assert_eq!(quantile(-1.0, &mut [3.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(2.0, &mut [3.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [3.0]).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn is_what_sorting_finds() {
        let odd = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.5, 0.0, 2.5, 2.5, -7.0, 1e300, 0.25];
        for count in 1..=odd.len() {
            let mut sorted = odd[..count].to_vec();
            sorted.sort_by(|a, b| {
                b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
            });
            for at in 0..count {
                let q = if count > 1 { at as f64 / (count - 1) as f64 } else { 0.0 };
                let rank = q * (count - 1) as f64;
                let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
                let expected = sorted[lower] * (1.0 - weight) + sorted[(lower + 1).min(count - 1)] * weight;
                let found = quantile(q, &mut odd[..count].to_vec());
                assert!(found == expected || (found.is_nan() && expected.is_nan()), "{q} of {sorted:?}: {found}");
            }
        }
    }
}
