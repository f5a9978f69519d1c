//! Cutting observations off: the operators `</` and `>/`.
//!
//! A bucket that the bound cuts is divided by interpolation: linearly with custom bounds and in the zero bucket, on a
//! logarithmic scale otherwise. What is left of the sum is estimated from the middles of the buckets.

use super::{Bucket, Buckets, FloatHistogram};

/// Which observations stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those below the bound: `</`.
    Below,
    /// Those above: `>/`.
    Above,
}

/// What is left, bucket by bucket.
#[derive(Default)]
struct Left {
    count: f64,
    sum: f64,
    is_cut: bool,
}

impl Left {
    /// `kept` of `count` observations around `middle`.
    fn take(&mut self, count: f64, (kept, middle): (f64, f64)) -> f64 {
        self.is_cut |= kept != count;
        self.count += kept;
        // A middle far out times nothing is nothing.
        self.sum += if kept == 0.0 { 0.0 } else { middle * kept };
        kept
    }
}

impl FloatHistogram {
    /// The histogram less the observations beyond `bound`.
    pub(crate) fn trimmed(&self, bound: f64, keep: Keep) -> FloatHistogram {
        let mut left = Left::default();
        let is_linear = self.is_custom();
        let positive: Buckets = self
            .positive
            .iter()
            .map(|(index, count)| {
                let bucket = self.positive_bucket(index, count);
                (index, left.take(count, kept_of(bucket, bound, keep, true, is_linear)))
            })
            .collect();
        let negative: Buckets = self
            .negative
            .iter()
            .map(|(index, count)| {
                let bucket = self.negative_bucket(index, count);
                (index, left.take(count, kept_of(bucket, bound, keep, false, is_linear)))
            })
            .collect();
        let mut zero_count = self.zero_count;
        if zero_count > 0.0 {
            zero_count = left.take(zero_count, self.kept_of_zero(bound, keep));
        }
        if !left.is_cut {
            return self.clone();
        }
        FloatHistogram {
            positive,
            negative,
            zero_count,
            count: left.count,
            sum: left.sum,
            custom_values: self.custom_values.clone(),
            ..*self
        }
        .compact()
    }

    /// Where there are observations on one side only, those in the zero bucket are taken to be on that side, too.
    fn kept_of_zero(&self, bound: f64, keep: Keep) -> (f64, f64) {
        let has_any = |buckets: &Buckets| buckets.counts.iter().any(|count| *count != 0.0);
        let (has_positive, has_negative) = (has_any(&self.positive), has_any(&self.negative));
        let lower = if has_positive && !has_negative { 0.0 } else { -self.zero_threshold };
        let upper = if has_negative && !has_positive { 0.0 } else { self.zero_threshold };
        let all = (self.zero_count, (lower + upper) / 2.0);
        let part = |kept: f64, middle: f64| (self.zero_count * kept / (upper - lower), middle);
        match keep {
            Keep::Below if bound <= lower => (0.0, 0.0),
            Keep::Below if bound >= upper => all,
            Keep::Below => part(bound - lower, (lower + bound) / 2.0),
            Keep::Above if bound <= lower => all,
            Keep::Above if bound >= upper => (0.0, 0.0),
            Keep::Above => part(upper - bound, (bound + upper) / 2.0),
        }
    }
}

/// How many observations of a bucket stay, and where their middle is.
fn kept_of(bucket: Bucket, bound: f64, keep: Keep, is_positive: bool, is_linear: bool) -> (f64, f64) {
    let (is_whole, is_cut) = match keep {
        Keep::Below => (bucket.upper <= bound, bucket.lower < bound),
        Keep::Above => (bucket.lower >= bound, bucket.upper > bound),
    };
    if is_whole {
        return (bucket.count, middle(bucket.lower, bucket.upper, is_positive, is_linear));
    }
    if !is_cut {
        return (0.0, 0.0);
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return kept_of_endless(bucket, bound, keep);
    }
    let below = bucket.count * bucket.fraction_below(bound, is_linear);
    match keep {
        Keep::Below => (below, middle(bucket.lower, bound, is_positive, is_linear)),
        Keep::Above => (bucket.count - below, middle(bound, bucket.upper, is_positive, is_linear)),
    }
}

/// Of a bucket without an end on one side, which the bound cuts. The first custom bucket is taken to begin at zero if it
/// ends above; apart from that nothing is known of where in the bucket observations lie.
fn kept_of_endless(bucket: Bucket, bound: f64, keep: Keep) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = bucket;
    if lower != f64::NEG_INFINITY {
        return match keep {
            Keep::Below => (0.0, 0.0),
            Keep::Above => (count, bound),
        };
    }
    let is_divisible = upper > 0.0 && upper != f64::INFINITY;
    match keep {
        Keep::Below if bound > 0.0 && is_divisible => (count * bound / upper, bound / 2.0),
        Keep::Below if upper <= 0.0 => (count, bound),
        Keep::Above if bound >= 0.0 && is_divisible => (count * (1.0 - bound / upper), (bound + upper) / 2.0),
        _ => (0.0, 0.0),
    }
}

fn middle(lower: f64, upper: f64, is_positive: bool, is_linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) => {
            if upper > 0.0 {
                upper / 2.0
            } else {
                upper
            }
        }
        (false, true) => lower,
        _ if is_linear => (lower + upper) / 2.0,
        _ => {
            let geometric = (lower * upper).abs().sqrt();
            if is_positive { geometric } else { -geometric }
        }
    }
}
