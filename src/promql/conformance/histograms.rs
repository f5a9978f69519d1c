//! Native histograms of scripts: reading `{{…}}`, storing them as Prometheus' test storage does, comparing.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage::{CounterResetHint, Labels, LabelsBuilder, METRIC_NAME, SCHEMA_CUSTOM};

use super::run::same;
use super::series::Point;
use crate::promql::histogram::{Buckets, FloatHistogram, HistogramSum};

/// A histogram as a script writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) histogram: Arc<FloatHistogram>,
    /// The hint is written, so that it has to be as it is.
    has_hint: bool,
}

/// Reads `{{…}}`, `{{…}}xN`, `{{…}}+{{…}}xN`.
pub(super) fn push_histograms(item: &str, points: &mut Vec<Point>) -> Result<(), String> {
    let (first, rest) = take_histogram(item)?;
    if rest.is_empty() {
        points.push(Point::Histogram(first));
        return Ok(());
    }
    let (step, rest) = match rest.strip_prefix(['+', '-']) {
        Some(step) => {
            let (histogram, after) = take_histogram(step)?;
            (Some((histogram, rest.starts_with('-'))), after)
        }
        None => (None, rest),
    };
    let more = rest.strip_prefix('x').and_then(|n| n.parse::<usize>().ok()).ok_or_else(|| format!("{item}: xN"))?;
    let mut current = first;
    points.push(Point::Histogram(current.clone()));
    for _ in 0..more {
        if let Some((step, is_minus)) = &step {
            let mut sum = HistogramSum::of(&current.histogram);
            let added = if *is_minus { sum.subtract(&step.histogram) } else { sum.add(&step.histogram) };
            added.map_err(|_| format!("{item}: mixed buckets"))?;
            current.histogram = Arc::new(sum.finish());
        }
        points.push(Point::Histogram(current.clone()));
    }
    Ok(())
}

fn take_histogram(text: &str) -> Result<(Written, &str), String> {
    let inner = text.strip_prefix("{{").ok_or_else(|| format!("{text}: {{{{ is missing"))?;
    let (inner, rest) = inner.split_once("}}").ok_or_else(|| format!("{text}: }}}} is missing"))?;
    Ok((read(inner)?, rest))
}

fn read(text: &str) -> Result<Written, String> {
    let mut histogram = FloatHistogram::empty(0);
    let (mut positive, mut negative) = ((0, Vec::new()), (0, Vec::new()));
    let mut has_hint = false;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or_else(|| format!("{rest}: a colon is missing"))?;
        let is_list = after.starts_with('[');
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').ok_or_else(|| format!("{list}: ] is missing"))?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        rest = after.trim_start();
        let bad = |e: &dyn std::fmt::Display| format!("{key}:{value}: {e}");
        let float = || value.parse::<f64>().map_err(|e| bad(&e));
        let int = || value.parse::<i32>().map_err(|e| bad(&e));
        let list = || value.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>().map_err(|e| bad(&e));
        match (key, is_list) {
            ("schema", false) => histogram.schema = int()?,
            ("count", false) => histogram.count = float()?,
            ("sum", false) => histogram.sum = float()?,
            ("z_bucket", false) => histogram.zero_count = float()?,
            ("z_bucket_w", false) => histogram.zero_threshold = float()?,
            ("offset", false) => positive.0 = int()?,
            ("n_offset", false) => negative.0 = int()?,
            ("buckets", true) => positive.1 = list()?,
            ("n_buckets", true) => negative.1 = list()?,
            ("custom_values", true) => histogram.custom_values = list()?.into(),
            ("counter_reset_hint", false) => {
                has_hint = true;
                histogram.hint = match value {
                    "unknown" => CounterResetHint::Unknown,
                    "reset" => CounterResetHint::CounterReset,
                    "not_reset" => CounterResetHint::NotCounterReset,
                    "gauge" => CounterResetHint::Gauge,
                    other => return Err(format!("{other} is no hint")),
                };
            }
            _ => return Err(format!("{key} is not known")),
        }
    }
    let side = |(offset, counts): (i32, Vec<f64>)| -> Buckets { (offset..).zip(counts).collect() };
    (histogram.positive, histogram.negative) = (side(positive), side(negative));
    Ok(Written { histogram: Arc::new(histogram), has_hint })
}

/// Whether a result is what a script expects, but for rounding.
pub(super) fn fits(expected: &Written, found: &FloatHistogram) -> bool {
    let Written { histogram, has_hint } = expected;
    let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b));
    let full = |buckets: &Buckets| -> Vec<(i32, f64)> { buckets.iter().filter(|(_, count)| *count != 0.0).collect() };
    let alike = |a: &Buckets, b: &Buckets| {
        let (a, b) = (full(a), full(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
    };
    histogram.schema == found.schema
        && same(histogram.count, found.count)
        && same(histogram.sum, found.sum)
        && same(histogram.zero_threshold, found.zero_threshold)
        && same(histogram.zero_count, found.zero_count)
        && (!histogram.is_custom() || close(&histogram.custom_values, &found.custom_values))
        && alike(&histogram.positive, &found.positive)
        && alike(&histogram.negative, &found.negative)
        && (!has_hint || histogram.hint == found.hint)
}

/// The hint that Prometheus' storage gives back for a histogram after `before`: it knows of no reset inside a chunk, and
/// nothing of the first one in a chunk.
pub(super) fn stored_hint(before: Option<&FloatHistogram>, histogram: &FloatHistogram) -> CounterResetHint {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    if histogram.hint == Gauge {
        return Gauge;
    }
    let Some(before) = before.filter(|before| before.hint != Gauge && histogram.hint != CounterReset) else {
        return Unknown;
    };
    let same_chunk = histogram.schema == before.schema
        && histogram.zero_threshold == before.zero_threshold
        && *histogram.custom_values == *before.custom_values
        && !histogram.clone().with_hint(Unknown).is_reset_since(before);
    if same_chunk { NotCounterReset } else { Unknown }
}

/// The histograms with custom buckets of `load_with_nhcb`, from the classic ones among `series`.
pub(super) fn custom_histograms(
    series: &BTreeMap<Labels, Vec<Point>>,
) -> BTreeMap<Labels, BTreeMap<usize, FloatHistogram>> {
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut found: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for (labels, points) in series {
        let name = labels.metric_name();
        let suffix = ["_bucket", "_count", "_sum"].into_iter().find(|suffix| name.ends_with(suffix));
        let Some((suffix, base)) = suffix.and_then(|suffix| Some((suffix, name.strip_suffix(suffix)?))) else {
            continue;
        };
        let bound = labels.get("le").and_then(|le| le.parse::<f64>().ok());
        if suffix == "_bucket" && bound.is_none_or(f64::is_nan) {
            continue;
        }
        let mut builder = LabelsBuilder::from_labels(labels);
        builder.set(METRIC_NAME, base);
        builder.remove("le");
        let histograms = found.entry(builder.build()).or_default();
        for (k, point) in points.iter().enumerate() {
            let Point::Float(v) = point else { continue };
            let classic = histograms.entry(k).or_default();
            match suffix {
                "_bucket" => classic.buckets.push((bound.unwrap_or(f64::NAN), *v)),
                "_count" => classic.count = Some(*v),
                _ => classic.sum = *v,
            }
        }
    }
    let convert = |classic: Classic| {
        let mut buckets = classic.buckets;
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets.dedup_by(|a, b| a.0 == b.0);
        let count = classic.count.or(buckets.last().map(|b| b.1)).unwrap_or(0.0);
        if buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        let before = std::iter::once(0.0).chain(buckets.iter().map(|b| b.1));
        let counts = buckets.iter().zip(before).map(|(b, before)| b.1 - before);
        FloatHistogram {
            positive: (0..).zip(counts).collect(),
            custom_values: buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect(),
            count,
            sum: classic.sum,
            ..FloatHistogram::empty(SCHEMA_CUSTOM)
        }
    };
    let converted = |(labels, at): (Labels, BTreeMap<usize, Classic>)| {
        (labels, at.into_iter().map(|(k, classic)| (k, convert(classic))).collect())
    };
    found.into_iter().map(converted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_fields_and_steps() {
        let mut points = Vec::new();
        let text = "{{schema:1 count:3.5 sum:-2 z_bucket:1 z_bucket_w:0.01 buckets:[1 0 2] offset:-1 counter_reset_hint:gauge}}";
        push_histograms(text, &mut points).unwrap();
        push_histograms(
            "{{schema:-53 custom_values:[1 2] buckets:[1]}}+{{schema:-53 custom_values:[1 2] buckets:[1 1]}}x2",
            &mut points,
        )
        .unwrap();
        let shown: Vec<String> = points
            .iter()
            .map(|p| if let Point::Histogram(h) = p { h.histogram.to_string() } else { String::new() })
            .collect();
        assert_eq!(
            shown[0],
            "{count:3.5, sum:-2, [-0.01,0.01]:1, (0.5,0.7071067811865475]:1, (1,1.414213562373095]:2}"
        );
        assert_eq!(shown[3], "{count:0, sum:0, [-Inf,1]:3, (1,2]:2}");
        assert!(push_histograms("{{what:1}}", &mut points).is_err());
    }
}
