//! A histogram as text, as `count_values` puts it into a label.

use std::fmt::{self, Display, Formatter};

use super::{Bucket, FloatHistogram};

impl Display for FloatHistogram {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", go_float(self.count), go_float(self.sum))?;
        for (index, count) in self.negative.iter().rev() {
            write_bucket(f, self.negative_bucket(index, count))?;
        }
        write_bucket(f, self.zero_bucket())?;
        for (index, count) in self.positive.iter() {
            write_bucket(f, self.positive_bucket(index, count))?;
        }
        f.write_str("}")
    }
}

fn write_bucket(f: &mut Formatter<'_>, bucket: Bucket) -> fmt::Result {
    if bucket.count == 0.0 {
        return Ok(());
    }
    let (open, close) = (if bucket.has_lower { '[' } else { '(' }, if bucket.has_upper { ']' } else { ')' });
    let (lower, upper, count) = (go_float(bucket.lower), go_float(bucket.upper), go_float(bucket.count));
    write!(f, ", {open}{lower},{upper}{close}:{count}")
}

/// A float as Go's `%g` shows it: the shortest digits, with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn go_float(v: f64) -> String {
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{v:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return v.to_string() };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v == 0.0 || (-4..6).contains(&exponent) {
        return v.to_string();
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::super::tests::exponential;
    use super::*;

    #[test]
    fn shows_every_bucket_from_the_lowest_on() {
        let mut histogram = exponential(0, &[(1, 2.0), (3, 0.5)], &[(0, 1.0)]);
        (histogram.count, histogram.sum) = (4.5, -0.25);
        (histogram.zero_threshold, histogram.zero_count) = (0.001, 1.0);
        assert_eq!(histogram.to_string(), "{count:4.5, sum:-0.25, [-1,-0.5):1, [-0.001,0.001]:1, (1,2]:2, (4,8]:0.5}");
    }

    #[test]
    fn floats_look_as_go_prints_them() {
        assert_eq!(go_float(0.5), "0.5");
        assert_eq!(go_float(0.00001), "1e-05");
        assert_eq!(go_float(123_456.0), "123456");
        assert_eq!(go_float(-1e6), "-1e+06");
        assert_eq!(go_float(f64::NAN), "NaN");
    }
}
