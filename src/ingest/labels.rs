//! Foreign labels become a label set, or a reason why not.
//!
//! Here: the checks and their words. Elsewhere: what a label set is (`storage`).

use storage::{Labels, METRIC_NAME};

use super::WriteLimits;
use super::outcome::{Excerpt, Reason};

/// Checks `pairs` (any order, any bytes) against `limits`. Pairs with an empty value mean "no such label" and are
/// dropped. `texts` is memory to work in.
pub(super) fn label_set<'a>(
    pairs: &[(&'a [u8], &'a [u8])],
    limits: &WriteLimits,
    texts: &mut Vec<(&'a str, &'a str)>,
) -> Result<Labels, (Reason, String)> {
    to_texts(pairs, texts)?;
    let series = || Excerpt(&describe(pairs)).to_string();
    if texts.len() > limits.label_names_max {
        let (found, max) = (texts.len(), limits.label_names_max);
        let message =
            format!("a series has {found} labels, the limit max_label_names_per_series is {max}: series {}", series());
        return Err((Reason::MaxLabelNamesPerSeries, message));
    }
    for &(name, value) in texts.iter() {
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
    let labels = Labels::from_unsorted(texts).map_err(|error| {
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

fn to_texts<'a>(pairs: &[(&'a [u8], &'a [u8])], texts: &mut Vec<(&'a str, &'a str)>) -> Result<(), (Reason, String)> {
    let text = |bytes: &'a [u8]| {
        str::from_utf8(bytes).map_err(|_| {
            let shown = String::from_utf8_lossy(bytes);
            (Reason::LabelInvalid, format!("a label is not valid UTF-8: {}", Excerpt(&shown)))
        })
    };
    texts.clear();
    for &(name, value) in pairs {
        texts.push((text(name)?, text(value)?));
    }
    Ok(())
}

/// `up{job="x"}`, as the labels stand.
fn describe(pairs: &[(&[u8], &[u8])]) -> String {
    let name = pairs.iter().find(|(n, _)| *n == METRIC_NAME.as_bytes()).map_or(&[][..], |(_, v)| v);
    let others = pairs.iter().filter(|(n, _)| *n != METRIC_NAME.as_bytes());
    let others = others.map(|(n, v)| format!("{}={:?}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)));
    format!("{}{{{}}}", String::from_utf8_lossy(name), others.collect::<Vec<_>>().join(", "))
}
