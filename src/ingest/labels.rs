//! Foreign labels become a label set, or a reason why not.
//!
//! Here: the checks and their words. Elsewhere: what a label set is (`storage`).

use storage::{Labels, METRIC_NAME};

use super::WriteLimits;
use super::outcome::{Excerpt, Reason};

/// Checks `pairs` (any order, any bytes) against `limits`. Pairs with an empty value mean "no such label" and are
/// dropped.
pub(super) fn label_set(pairs: &[(&[u8], &[u8])], limits: &WriteLimits) -> Result<Labels, (Reason, String)> {
    let texts = to_texts(pairs)?;
    let series = || Excerpt(&describe(&texts)).to_string();
    if texts.len() > limits.label_names_max {
        let (found, max) = (texts.len(), limits.label_names_max);
        let message =
            format!("a series has {found} labels, the limit max_label_names_per_series is {max}: series {}", series());
        return Err((Reason::MaxLabelNamesPerSeries, message));
    }
    for (name, value) in &texts {
        if name.len() > limits.label_name_bytes_max {
            let (found, max) = (name.len(), limits.label_name_bytes_max);
            let message = format!(
                "a label name has {found} bytes, the limit max_label_name_length is {max}: label {}",
                Excerpt(name)
            );
            return Err((Reason::LabelNameTooLong, message));
        }
        if value.len() > limits.label_value_bytes_max {
            let (found, max) = (value.len(), limits.label_value_bytes_max);
            let what = format!("label {} of series {}", Excerpt(name), series());
            let message = format!("a label value has {found} bytes, the limit max_label_value_length is {max}: {what}");
            return Err((Reason::LabelValueTooLong, message));
        }
    }
    let labels = Labels::from_pairs(texts.iter().copied()).map_err(|error| {
        let reason = match &error {
            storage::LabelsError::Duplicate(_) => Reason::DuplicateLabelNames,
            storage::LabelsError::EmptyName(_) => Reason::LabelInvalid,
        };
        (reason, Excerpt(&error.to_string()).to_string() + ": series " + &series())
    })?;
    match labels.get(METRIC_NAME) {
        Some(_) => Ok(labels),
        None => Err((Reason::MissingMetricName, format!("a series has no metric name: series {}", series()))),
    }
}

fn to_texts<'a>(pairs: &[(&'a [u8], &'a [u8])]) -> Result<Vec<(&'a str, &'a str)>, (Reason, String)> {
    let text = |bytes: &'a [u8]| {
        str::from_utf8(bytes).map_err(|_| {
            let shown = String::from_utf8_lossy(bytes);
            (Reason::LabelInvalid, format!("a label is not valid UTF-8: {}", Excerpt(&shown)))
        })
    };
    pairs.iter().map(|&(name, value)| Ok((text(name)?, text(value)?))).collect()
}

/// `up{job="x"}`, as the labels stand.
fn describe(pairs: &[(&str, &str)]) -> String {
    let name = pairs.iter().find(|(n, _)| *n == METRIC_NAME).map_or("", |(_, v)| v);
    let others: Vec<String> =
        pairs.iter().filter(|(n, _)| *n != METRIC_NAME).map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{name}{{{}}}", others.join(", "))
}
