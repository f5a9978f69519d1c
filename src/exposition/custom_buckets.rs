//! Classic buckets of one histogram become a native histogram with custom buckets.
//!
//! Here: collecting bounds and counts in any order, and the conversion, by Prometheus' rules. Elsewhere: which series
//! belong together (`protobuf` here, the page reader in `scrape`).

use storage::{HISTOGRAM_BUCKETS_MAX, Histogram, HistogramCounts, SCHEMA_CUSTOM, Span};

/// The classic parts of one histogram as they come.
#[derive(Debug, Default)]
pub struct ClassicBuckets {
    /// Upper bound and cumulative count, by rising bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    fault: Option<String>,
}

impl ClassicBuckets {
    /// As new, keeping the memory.
    pub fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.fault) = (None, 0.0, None);
    }

    /// A bucket; a bound that is there already is passed over.
    pub fn set_bucket(&mut self, bound: f64, count: f64) {
        if self.fault.is_some() {
            return;
        }
        let at = self.buckets.partition_point(|(there, _)| *there < bound);
        let before = at.checked_sub(1).map(|before| self.buckets[before].1);
        let after = self.buckets.get(at).copied();
        self.fault = match (before, after) {
            _ if bound.is_nan() => Some("the bound of a bucket is NaN".to_owned()),
            _ if count < 0.0 => Some(format!("the bucket le={bound} has a count of {count}, less than 0")),
            (_, Some((there, _))) if there == bound => return,
            _ if self.buckets.len() > HISTOGRAM_BUCKETS_MAX => {
                Some(format!("it has more than {HISTOGRAM_BUCKETS_MAX} buckets"))
            }
            (Some(before), _) if count < before => {
                Some(format!("the bucket le={bound} has a count of {count}, less than the {before} below it"))
            }
            (_, Some((_, after))) if count > after => {
                Some(format!("the bucket le={bound} has a count of {count}, more than the {after} above it"))
            }
            _ => None,
        };
        self.buckets.insert(at, (bound, count));
    }

    /// How many observations there are.
    pub fn set_count(&mut self, count: f64) {
        if count < 0.0 && self.fault.is_none() {
            self.fault = Some(format!("the count is {count}, less than 0"));
        }
        self.count = Some(count);
    }

    /// Their sum.
    pub fn set_sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The histogram, a sound one; or what is wrong, in words.
    pub fn convert(&mut self) -> Result<Histogram, String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let (bound, in_last) = self.buckets[self.buckets.len() - 1];
        if in_last != count {
            return Err(format!("the count is {count}, but the bucket le={bound} has {in_last}"));
        }
        let mut histogram = Histogram {
            schema: SCHEMA_CUSTOM,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: self.buckets.len() as u32 }],
            counts: self.counts(count),
            custom_values: self.buckets.iter().map(|b| b.0).filter(|bound| *bound != f64::INFINITY).collect(),
            ..Histogram::default()
        };
        histogram.validate().map_err(|e| e.to_string())?;
        histogram.compact();
        Ok(histogram)
    }

    /// Whole counts if all of them are.
    fn counts(&self, count: f64) -> HistogramCounts {
        let cumulative = || self.buckets.iter().map(|b| b.1);
        if cumulative().chain([count]).all(|count| (count.round() as i64) as f64 == count) {
            let (mut before, mut in_last) = (0i64, 0i64);
            let delta = |count: f64| {
                let in_bucket = (count as i64).wrapping_sub(before);
                let delta = in_bucket.wrapping_sub(in_last);
                (before, in_last) = (count as i64, in_bucket);
                delta
            };
            let positive = cumulative().map(delta).collect();
            return HistogramCounts::Int { count: count as u64, zero_count: 0, positive, negative: Vec::new() };
        }
        let mut before = 0.0;
        let in_bucket = |count: f64| {
            let in_bucket = count - before;
            before = count;
            in_bucket
        };
        let positive = cumulative().map(in_bucket).collect();
        HistogramCounts::Float { count, zero_count: 0.0, positive, negative: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(f64, f64)], count: Option<f64>) -> Result<Histogram, String> {
        let mut classic = ClassicBuckets::default();
        // What was before leaves no trace.
        classic.set_bucket(f64::NAN, 1.0);
        classic.clear();
        buckets.iter().for_each(|(bound, count)| classic.set_bucket(*bound, *count));
        count.into_iter().for_each(|count| classic.set_count(count));
        classic.set_sum(4.5);
        classic.convert()
    }

    #[test]
    fn whole_counts_in_any_order() {
        let h = of(&[(1.0, 5.0), (0.5, 2.0), (f64::INFINITY, 6.0), (0.7, 2.0), (0.5, 9.0)], Some(6.0)).unwrap();
        assert_eq!((h.schema, h.count(), h.sum), (SCHEMA_CUSTOM, 6.0, 4.5));
        assert_eq!(h.custom_values, [0.5, 0.7, 1.0]);
        assert_eq!(h.positive_buckets().collect::<Vec<_>>(), [(0, 2.0), (2, 3.0), (3, 1.0)]);
        assert!(!h.is_float());
    }

    #[test]
    fn fractional_counts_and_missing_parts() {
        let h = of(&[(1.0, 0.5)], Some(2.0)).unwrap();
        assert_eq!((h.is_float(), h.positive_buckets().collect::<Vec<_>>()), (true, vec![(0, 0.5), (1, 1.5)]));
        let h = of(&[(1.0, 3.0)], None).unwrap();
        assert_eq!((h.count(), h.positive_buckets().collect::<Vec<_>>()), (3.0, vec![(0, 3.0)]));
        let h = of(&[], Some(3.0)).unwrap();
        assert_eq!((h.custom_values.len(), h.positive_buckets().collect::<Vec<_>>()), (0, vec![(0, 3.0)]));
        assert_eq!(of(&[], None).unwrap().count(), 0.0);
    }

    #[test]
    fn what_is_no_histogram_is_said_in_words() {
        let check = |buckets: &[(f64, f64)], count, part: &str| {
            let message = of(buckets, count).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        check(&[(f64::NAN, 1.0)], None, "NaN");
        check(&[(1.0, -1.0)], None, "le=1 has a count of -1, less than 0");
        check(&[(1.0, 2.0), (2.0, 1.0)], None, "le=2 has a count of 1, less than the 2 below it");
        check(&[(2.0, 1.0), (1.0, 2.0)], None, "le=1 has a count of 2, more than the 1 above it");
        check(&[(1.0, 1.0), (f64::INFINITY, 3.0)], Some(4.0), "the count is 4, but the bucket le=inf has 3");
        check(&[(1.0, 1.0)], Some(-4.0), "the count is -4");
        check(&[(1.0, 1.0)], Some(f64::NAN), "the count is NaN");
        let many: Vec<_> = (0..=HISTOGRAM_BUCKETS_MAX + 1).map(|n| (n as f64, 0.0)).collect();
        check(&many, None, "more than");
    }
}
