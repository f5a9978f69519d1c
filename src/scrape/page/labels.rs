//! Under which labels a series of a page is stored.
//!
//! Here: the target's labels beside the page's (`honor_labels`), metric relabelling, what names must be, limits.

use storage::{Labels, LabelsBuilder, METRIC_NAME};

use super::super::relabel::{Verdict, relabel};
use super::PageError;
use super::rules::PageRules;
use super::series::PageSeries;
use crate::config::{NameValidation, ScrapeLimits};
use crate::exposition::series::Pairs;

impl PageRules {
    /// The labels under which the series is stored; `None` if relabelling drops it. `pairs` is memory.
    pub(super) fn stored_labels<'a>(
        &self,
        series: &impl PageSeries<'a>,
        pairs: &mut Pairs<'a>,
    ) -> Result<Option<Labels>, PageError> {
        series.read_pairs(pairs)?;
        let mut labels = self.merged(pairs);
        if relabel(&mut labels, &self.metric_relabel) == Verdict::Drop {
            return Ok(None);
        }
        let labels = labels.build();
        if labels.is_empty() {
            return Ok(None);
        }
        if labels.metric_name().is_empty() {
            return Err(series.fault("metric relabelling left the series without a metric name".to_owned()));
        }
        if self.names == NameValidation::Legacy
            && let Some(name) = labels.iter().find_map(not_legacy)
        {
            let name: String = name.chars().take(50).collect();
            let message = format!("the name {name:?} is not valid under metric_name_validation_scheme \"legacy\"");
            return Err(series.fault(message));
        }
        check_limits(&labels, &self.limits)?;
        Ok(Some(labels))
    }

    /// The page's labels and the target's, the conflicts resolved as `honor_labels` says.
    fn merged(&self, pairs: &Pairs<'_>) -> LabelsBuilder {
        let mut labels = LabelsBuilder::new();
        for (name, value) in pairs {
            labels.set(name, value.as_ref());
        }
        if self.honor_labels {
            for (name, value) in self.target_labels.iter() {
                // Also an empty value is the page's word: it means "without this label".
                if !pairs.iter().any(|(n, _)| n == name) {
                    labels.set(name, value);
                }
            }
            return labels;
        }
        let mut conflicts = Vec::new();
        for (name, value) in self.target_labels.iter() {
            let exposed = labels.get(name);
            if !exposed.is_empty() {
                conflicts.push((name, exposed.to_owned()));
            }
            labels.set(name, value);
        }
        // Shortest first, so that `a` does not take the place of an exposed `exported_a`.
        conflicts.sort_by_key(|(name, _)| name.len());
        for (name, value) in conflicts {
            let mut free = format!("exported_{name}");
            while !labels.get(&free).is_empty() {
                free.insert_str(0, "exported_");
            }
            labels.set(&free, value);
        }
        labels
    }
}

/// The name of a metric or label that Prometheus 2 did not take.
fn not_legacy<'l>((name, value): (&'l str, &'l str)) -> Option<&'l str> {
    let is_legacy = |name: &str, colon: bool| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':'))
    };
    if !is_legacy(name, false) {
        return Some(name);
    }
    (name == METRIC_NAME && !is_legacy(value, true)).then_some(value)
}

fn check_limits(labels: &Labels, limits: &ScrapeLimits) -> Result<(), PageError> {
    let metric: String = labels.metric_name().chars().take(50).collect();
    let exceeds = |len: usize, limit: u64| limit > 0 && len as u64 > limit;
    let count = labels.len();
    if exceeds(count, limits.labels) {
        let message =
            format!("label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {})", limits.labels);
        return Err(PageError::LabelLimit(message));
    }
    for (name, value) in labels.iter() {
        let checks = [
            ("label_name_length_limit", name.len(), limits.label_name_bytes),
            ("label_value_length_limit", value.len(), limits.label_value_bytes),
        ];
        for (key, len, limit) in checks {
            if exceeds(len, limit) {
                let name: String = name.chars().take(50).collect();
                let message =
                    format!("{key} exceeded (metric: {metric}, label name: {name}, length: {len}, limit: {limit})");
                return Err(PageError::LabelLimit(message));
            }
        }
    }
    Ok(())
}
