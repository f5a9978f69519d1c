//! `limitk` and `limit_ratio`: some of the series of each group, whatever their values.

use storage::Labels;
use xxhash_rust::xxh64::xxh64;

use super::aggregate::Groups;
use super::rank::{check_k, count_of};
use super::row::Sink;
use super::{Done, Evaluator, impossible, short_float};
use crate::promql::ast::{AggregateExpr, Expr};
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    /// `limitk`: at each step the first k series of each group.
    pub(super) fn limit_count(&self, aggregate: &AggregateExpr, sink: &mut Sink<'_>) -> Done {
        let k = self.scalar(param_of(aggregate)?)?;
        let mut rows = self.rows(&aggregate.expr)?;
        if k.iter().all(|&k| k < 1.0) {
            return Ok(());
        }
        check_k(&k)?;
        let mut groups = Groups::new(aggregate);
        // How many series each group has had so far, at each step.
        let mut counts: Vec<Vec<usize>> = Vec::new();
        for row in &mut rows {
            self.ctx.check()?;
            let place = groups.place(&row.labels);
            if place == counts.len() {
                self.ctx.charge(k.len())?;
                counts.push(vec![0; k.len()]);
            }
            for (step, count) in counts[place].iter_mut().enumerate() {
                if row.is_present(step) {
                    *count += 1;
                    if *count > count_of(k[step]) {
                        row.clear(step);
                    }
                }
            }
        }
        rows.into_iter().try_for_each(|row| self.emit_if_any(row, sink))
    }

    /// `limit_ratio`: the series whose hash lies in the wanted part of all hashes; the same ones at every step.
    pub(super) fn limit_ratio(&self, aggregate: &AggregateExpr, sink: &mut Sink<'_>) -> Done {
        let param = param_of(aggregate)?;
        let ratios = self.scalar(param)?;
        let rows = self.rows(&aggregate.expr)?;
        if ratios.iter().all(|&r| r == 0.0) {
            return Ok(());
        }
        if ratios.iter().any(|r| r.is_nan()) {
            return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
        }
        self.warn_of_ratios(&ratios, param);
        for mut row in rows {
            let offset = offset_of(&row.labels);
            for (step, &ratio) in ratios.iter().enumerate() {
                if !is_sampled(ratio.clamp(-1.0, 1.0), offset) {
                    row.clear(step);
                }
            }
            self.emit_if_any(row, sink)?;
        }
        Ok(())
    }

    fn warn_of_ratios(&self, ratios: &[f64], param: &Expr) {
        let max = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let rule = "ratio value should be between -1 and 1";
        for (is_outside, found, capped) in [(max > 1.0, max, 1), (min < -1.0, min, -1)] {
            if is_outside {
                self.ctx.warn(&format!("{rule}, got {}, capping to {capped}", short_float(found)), param.span);
            }
        }
    }
}

fn param_of(aggregate: &AggregateExpr) -> Result<&Expr, QueryError> {
    aggregate.param.as_ref().ok_or_else(|| impossible("a limit"))
}

/// A negative ratio takes what its complement leaves: together they are everything.
fn is_sampled(ratio: f64, offset: f64) -> bool {
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// Where the label set lies among all hashes, from 0 to 1; the same place as in Prometheus, which hashes its labels in
/// memory: names and values, each after its length.
fn offset_of(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < 255 => bytes.push(length),
            _ => {
                bytes.push(255);
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_their_complements_are_everything() {
        for i in 0..1000 {
            let labels = Labels::from_pairs([("i", format!("{i}").as_str())]).unwrap();
            let offset = offset_of(&labels);
            assert!((0.0..=1.0).contains(&offset));
            assert!(is_sampled(0.3, offset) != is_sampled(-0.7, offset));
        }
        assert!(!is_sampled(0.0, 0.0));
    }

    #[test]
    fn long_values_are_hashed_by_a_long_length() {
        let long = "x".repeat(300);
        let labels = Labels::from_pairs([("a", long.as_str())]).unwrap();
        let mut bytes = vec![1, b'a', 255, 44, 1, 0];
        bytes.extend_from_slice(long.as_bytes());
        assert_eq!(offset_of(&labels), xxh64(&bytes, 0) as f64 / u64::MAX as f64);
    }
}
