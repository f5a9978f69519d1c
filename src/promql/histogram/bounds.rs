//! Where buckets begin and end.
//!
//! The bounds of exponential buckets are Prometheus' to the last bit: they show in labels and answers.

use std::sync::LazyLock;

use super::FloatHistogram;

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to it.
    pub has_lower: bool,
    /// Whether the upper bound belongs to it.
    pub has_upper: bool,
    /// How many observations.
    pub count: f64,
}

impl Bucket {
    /// The part of the bucket below `v`, which lies in it: by the distance, or by that of logarithms.
    pub(crate) fn fraction_below(&self, v: f64, is_linear: bool) -> f64 {
        if is_linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, v_log) = (self.lower.abs().log2(), self.upper.abs().log2(), v.abs().log2());
        if v > 0.0 { (v_log - lower) / (upper - lower) } else { 1.0 - (v_log - upper) / (lower - upper) }
    }
}

impl FloatHistogram {
    /// The upper bound of positive bucket `index` (of a negative one, the lower bound with the sign changed).
    pub(crate) fn bound(&self, index: i32) -> f64 {
        if !self.is_custom() {
            return exponential_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Ok(index) => self.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    /// The positive bucket of this index as it is.
    pub(super) fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (self.bound(index.wrapping_sub(1)), self.bound(index));
        let has_lower = if self.is_custom() { index == 0 } else { lower < 0.0 };
        Bucket { lower, upper, has_lower, has_upper: self.is_custom() || upper > 0.0, count }
    }

    /// The negative bucket of this index as it is.
    pub(super) fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (-self.bound(index), -self.bound(index.wrapping_sub(1)));
        Bucket { lower, upper, has_lower: lower < 0.0, has_upper: upper > 0.0, count }
    }

    /// The zero bucket.
    pub(super) fn zero_bucket(&self) -> Bucket {
        let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
        Bucket { lower, upper, has_lower: true, has_upper: true, count: self.zero_count }
    }

    /// All buckets from the lowest to the highest, empty ones but the zero bucket among them. Those that reach into the
    /// zero bucket end at it.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let negative = self.negative.iter().rev().map(|(index, count)| {
            let bucket = self.negative_bucket(index, count);
            let is_inside = bucket.upper < 0.0 && bucket.upper > -self.zero_threshold;
            Bucket { upper: if is_inside { -self.zero_threshold } else { bucket.upper }, ..bucket }
        });
        let positive = self.positive.iter().map(|(index, count)| {
            let bucket = self.positive_bucket(index, count);
            let is_inside = bucket.lower > 0.0 && bucket.lower < self.zero_threshold;
            Bucket { lower: if is_inside { self.zero_threshold } else { bucket.lower }, ..bucket }
        });
        negative.chain((self.zero_count > 0.0).then(|| self.zero_bucket())).chain(positive)
    }
}

/// For each schema from 0 on the bounds between a half and one.
static FRACTIONS: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    // The ratio of neighbours in bits, as Go's Exp2 rounds it: some are one bit off the true value.
    const FACTORS: [u64; 8] = [
        0x3ff6_a09e_667f_3bcc,
        0x3ff3_06fe_0a31_b715,
        0x3ff1_72b8_3c7d_517b,
        0x3ff0_b558_6cf9_890f,
        0x3ff0_59b0_d315_8574,
        0x3ff0_2c9a_3e77_8061,
        0x3ff0_163d_a9fb_3335,
        0x3ff0_0b1a_fa5a_bcbf,
    ];
    let mut fractions = vec![vec![0.5]];
    for factor in FACTORS.map(f64::from_bits) {
        // Every second bound is one of the coarser schema.
        let finer = fractions[fractions.len() - 1].iter().flat_map(|&bound| [bound, bound * factor]).collect();
        fractions.push(finer);
    }
    fractions
});

/// `2^(index * 2^-schema)`; the last bucket of finite numbers ends at the largest one.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let index = i64::from(index);
    let Some(fractions) = usize::try_from(schema).ok().and_then(|schema| FRACTIONS.get(schema)) else {
        let exponent = index << schema.unsigned_abs().min(31);
        return if exponent == 1024 { f64::MAX } else { scaled_by_power(1.0, exponent) };
    };
    let fraction = fractions[index.rem_euclid(fractions.len() as i64) as usize];
    let exponent = index.div_euclid(fractions.len() as i64) + 1;
    if fraction == 0.5 && exponent == 1025 { f64::MAX } else { scaled_by_power(fraction, exponent) }
}

/// `v * 2^exponent` without an overflow on the way.
fn scaled_by_power(v: f64, exponent: i64) -> f64 {
    let exponent = exponent.clamp(-2200, 2200) as i32;
    let first = exponent.clamp(-1000, 1000);
    let second = (exponent - first).clamp(-1000, 1000);
    v * 2f64.powi(first) * 2f64.powi(second) * 2f64.powi(exponent - first - second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_two_and_what_lies_between() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(3, 0), 8.0);
        assert_eq!(exponential_bound(-1, -4), 2f64.powi(-16));
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(-1074, 0), f64::from_bits(1));
        assert_eq!(exponential_bound(i32::MAX, 8), f64::INFINITY);
        assert_eq!(exponential_bound(i32::MIN, -4), 0.0);
        for schema in 0..=8 {
            let per_power = 1 << schema;
            for index in -3 * per_power..3 * per_power {
                let (bound, next) = (exponential_bound(index, schema), exponential_bound(index + 1, schema));
                assert!(bound < next, "{index} of {schema}");
                let exact = (f64::from(index) / f64::from(per_power)).exp2();
                assert!((bound / exact - 1.0).abs() < 1e-13, "{index} of {schema}: {bound} for {exact}");
            }
        }
    }

    #[test]
    fn bounds_of_coarser_schemas_are_bounds_of_finer_ones() {
        for schema in 1..=8 {
            for index in -20..20 {
                assert_eq!(exponential_bound(2 * index, schema), exponential_bound(index, schema - 1));
            }
        }
        // As Prometheus has it, one bit below the nearest number to the root of a half.
        assert_eq!(exponential_bound(-1, 1), 0.707_106_781_186_547_5);
    }
}
