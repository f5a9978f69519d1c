//! Differences between Prometheus 3.5 and 3.14, which is what Cairn means: each with its reason.
//!
//! The versions are those of Prometheus' own list of changes. A reason that is wider than the change hides faults, so each
//! asks for the functions and series that it is about; what is left is in the scripts of Prometheus 3.14.

use super::compare::{Difference, Side};

/// A difference that is explained.
pub struct Known {
    pub reason: &'static str,
    pub is: fn(query: &str, difference: &Difference) -> bool,
}

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        reason: "3.6 leaves names of metrics that are about to be dropped out of annotations",
        is: |_, difference| {
            let Difference::Note { side, text } = difference else { return false };
            let is_about = text.contains("bucket label") || text.contains("a mix of classic and native histograms");
            is_about && text.contains(" for metric name ") == (*side == Side::Theirs)
        },
    },
    Known {
        reason: "3.6 looks at the parameters of topk, bottomk and limitk even if there is nothing to choose from",
        is: |_, difference| {
            fails_only_here(difference, "value is NaN") || fails_only_here(difference, "overflows int64")
        },
    },
    Known {
        reason: "3.6 extrapolates native histograms that are counters to where they were zero",
        is: |query, difference| {
            is_about(query, &["rate(", "increase("])
                && !is_about(query, &["irate("])
                && is_about(query, &["native", "custom", "rebound", "mixed"])
                && matches!(difference, Difference::Value(..))
        },
    },
    Known {
        reason: "3.6 mends native histograms in subqueries, where a bucket could be missing",
        is: |query, difference| {
            let is_native = is_about(query, &["native", "custom", "rebound", "mixed"]);
            let is_seen = matches!(difference, Difference::Shape(_) | Difference::Value(..));
            is_about(query, &["s:", "m:", "h:"]) && is_native && is_seen
        },
    },
    Known {
        reason: "3.7 warns of conflicting counter resets",
        is: |_, difference| notes_only_here(difference, "conflicting counter resets"),
    },
    Known {
        reason: "3.7 takes negated histograms for gauges",
        is: |query, difference| {
            let is_native = is_about(query, &["native", "custom", "rebound", "mixed"]);
            let is_note_of_gauges = match difference {
                Difference::Note { side: Side::Theirs, text } => text.contains("is not a gauge"),
                _ => notes_only_here(difference, "is not a counter"),
            };
            query.contains('-') && is_native && is_note_of_gauges
        },
    },
    Known {
        reason: "3.8 reconciles custom buckets with other bounds, so there is a result, and there are notes about it",
        is: |query, difference| match difference {
            Difference::Note { side: Side::Theirs, text } => {
                text.contains("incompatible custom buckets") || text.contains("incompatible bucket layout")
            }
            Difference::Note { side: Side::Ours, text } => {
                let is_about = is_about(query, &["rebound", "mixed"]);
                text.contains("were reconciled") || (is_about && is_about_types(text))
            }
            Difference::Error { theirs, .. } => theirs.is_none() && is_about(query, &["rebound", "mixed"]),
            Difference::Shape(_) | Difference::Value(..) => is_about(query, &["rebound", "mixed"]),
            Difference::Order(_) => false,
        },
    },
    Known {
        reason: "3.8 interpolates in the first bucket of histogram_fraction",
        is: |query, difference| {
            let is_seen = matches!(difference, Difference::Shape(_) | Difference::Value(..));
            query.contains("histogram_fraction") && is_seen
        },
    },
    Known {
        reason: "3.9 refuses many-to-one matching wherever it could occur",
        is: |_, difference| fails_only_here(difference, "multiple matches for labels"),
    },
    Known {
        reason: "3.9 lets series have the same labels after label_replace, label_join and minus if they never meet",
        is: |query, difference| {
            let Difference::Error { theirs: Some(error), ours: None } = difference else { return false };
            error.contains("metrics with the same labelset") && is_about(query, &["label_replace", "label_join", "-"])
        },
    },
    Known {
        reason: "3.10 to 3.14 made info() follow @ and offset and pass on series that it knows nothing of",
        is: |query, difference| {
            query.starts_with("info(") && matches!(difference, Difference::Shape(_) | Difference::Error { .. })
        },
    },
    Known {
        reason: "3.10 adds native histograms with compensation, which count_values shows in a label",
        is: |query, difference| {
            let is_native = is_about(query, &["native", "custom", "rebound", "mixed"]);
            query.contains("count_values") && is_native && matches!(difference, Difference::Shape(_))
        },
    },
    Known {
        reason: "3.10 adds native histograms with compensation, which shows where they come to nothing",
        is: |query, difference| {
            let is_sum = is_about(query, &["sum", "avg", "sum_over_time", "avg_over_time"]);
            let is_native = is_about(query, &["native", "native_gauge", "custom", "rebound", "mixed"]);
            is_sum && is_native && matches!(difference, Difference::Value(text, _) if is_nothing(text))
        },
    },
    Known {
        reason: "3.12 warns of sort in range queries",
        is: |_, difference| notes_only_here(difference, "sort is ineffective for range queries"),
    },
    Known {
        reason: "3.12 looks at buckets where only count and sum are asked for, and warns if they do not go together",
        is: |query, difference| {
            let asks = is_about(query, &["histogram_count", "histogram_sum", "histogram_avg"]);
            asks && (query.contains("mixed") || notes_only_here(difference, "exponential and custom buckets"))
        },
    },
    Known {
        reason: "3.14 lets NaN win in mad_over_time",
        is: |query, difference| {
            query.contains("mad_over_time") && matches!(difference, Difference::Shape(_) | Difference::Value(..))
        },
    },
    // Not of a version: what Prometheus leaves open, and Go's library.
    Known {
        reason: "logarithms of subnormal numbers are wrong in Debian's build, log10(5e-324) is -308",
        is: |query, difference| {
            is_about(query, &["log2", "log10", "ln("])
                && query.contains("spiky")
                && matches!(difference, Difference::Value(..))
        },
    },
    Known {
        reason: "sort_by_label compares a label that is missing with one that is there as greater, either way",
        is: |query, difference| {
            query.starts_with("sort_by_label") && query.contains(" or ") && matches!(difference, Difference::Order(_))
        },
    },
    Known {
        reason: "variances depend on the order of series in their last digits, and Prometheus' order in a range query is none",
        is: |query, difference| {
            let is_label = query.contains("count_values") && matches!(difference, Difference::Shape(_));
            let is_little = matches!(difference, Difference::Value(_, relative) if *relative < 1e-6);
            is_about(query, &["stddev ", "stdvar "]) && (is_label || is_little)
        },
    },
    Known {
        reason: "limitk takes what comes first, and Prometheus reads a head in no order",
        is: |query, difference| {
            query.contains("limitk ") && matches!(difference, Difference::Shape(_) | Difference::Value(..))
        },
    },
    Known {
        reason: "limitk takes what comes first: series of several names that then cannot be told apart, or others",
        is: |query, difference| {
            let (Difference::Error { theirs: Some(error), ours: None }
            | Difference::Error { theirs: None, ours: Some(error) }) = difference
            else {
                return false;
            };
            let are_alike = error.contains("multiple matches for labels") || error.contains("same labelset");
            are_alike && query.contains("limitk ") && query.contains("__name__=~")
        },
    },
    Known {
        reason: "which note about mixed samples is given depends on the order of series, and Prometheus reads a head in none",
        is: |query, difference| {
            let Difference::Note { text, .. } = difference else { return false };
            query.contains("native|custom|gauge") && text.contains("a mix of")
        },
    },
];

fn is_about(query: &str, words: &[&str]) -> bool {
    words.iter().any(|word| query.contains(word))
}

fn is_about_types(note: &str) -> bool {
    note.contains("incompatible sample types") || note.contains("ignored histogram in")
}

fn notes_only_here(difference: &Difference, words: &str) -> bool {
    matches!(difference, Difference::Note { side: Side::Ours, text } if text.contains(words))
}

fn fails_only_here(difference: &Difference, words: &str) -> bool {
    matches!(difference, Difference::Error { theirs: None, ours: Some(error) } if error.contains(words))
}

/// Why `difference` is no fault.
pub fn reason(query: &str, difference: &Difference) -> Option<&'static str> {
    KNOWN.iter().find(|known| (known.is)(query, difference)).map(|known| known.reason)
}

/// Whether both values of `… is "5e-17" there, "0" here` are nothing but the rest of a subtraction.
fn is_nothing(text: &str) -> bool {
    let Some((_, values)) = text.rsplit_once(" is ") else { return false };
    let value = |part: &str| part.split('"').nth(1).and_then(|number| number.parse::<f64>().ok());
    let mut values = values.split(", ").map(value);
    values.all(|v| v.is_some_and(|v| v.abs() < 1e-12))
}
