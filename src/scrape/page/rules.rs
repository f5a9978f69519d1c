//! How a target's samples are treated, from its scrape config.

use std::sync::Arc;

use storage::{Labels, SCHEMA_MAX, SCHEMA_MIN};

use crate::config::{NameValidation, RelabelConfig, ScrapeConfig, ScrapeHistograms, ScrapeLimits};
use crate::exposition::protobuf::HistogramRules;

/// How a target's samples are treated; shared by the targets of a pool but for `target_labels`.
#[derive(Debug, Clone)]
pub(crate) struct PageRules {
    pub(crate) target_labels: Labels,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps_staleness: bool,
    pub(crate) metric_relabel: Arc<[RelabelConfig]>,
    pub(crate) limits: ScrapeLimits,
    pub(crate) names: NameValidation,
    pub(crate) histograms: HistogramRules,
    /// Native histograms of a finer schema are made coarser.
    pub(crate) schema_max: i32,
    pub(crate) starts: StartRules,
    /// Series get labels `__type__` and `__unit__` of their family (`type-and-unit-labels`).
    pub(crate) type_and_unit_labels: bool,
}

/// What becomes of start timestamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartRules {
    /// They are stored beside the samples (`st-storage`).
    pub stored: bool,
    /// A zero is stored where a counter began (`created-timestamp-zero-ingestion`).
    pub zeros: bool,
    /// They are made up where a counter tells none (`st-synthesis`).
    pub synthesized: bool,
}

impl StartRules {
    /// Whether anything is made of those that targets tell; else `_created` lines are samples like others.
    pub(crate) fn are_taken(self) -> bool {
        self.stored || self.zeros
    }
}

impl Default for PageRules {
    fn default() -> Self {
        PageRules {
            target_labels: Labels::empty(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            metric_relabel: Arc::from([]),
            limits: ScrapeLimits::default(),
            names: NameValidation::default(),
            histograms: HistogramRules::default(),
            schema_max: SCHEMA_MAX,
            starts: StartRules::default(),
            type_and_unit_labels: false,
        }
    }
}

impl PageRules {
    /// Those of a scrape config with what becomes of the histograms of a target; without its labels, and without what
    /// costs to copy.
    pub(crate) fn new(config: &ScrapeConfig, histograms: ScrapeHistograms) -> Self {
        PageRules {
            honor_labels: config.honor_labels,
            honor_timestamps: config.honor_timestamps,
            track_timestamps_staleness: config.track_timestamps_staleness,
            limits: config.limits.clone(),
            names: config.name_validation,
            histograms: HistogramRules {
                native: histograms.native,
                classic: histograms.always_classic,
                custom_buckets: histograms.to_custom_buckets,
            },
            schema_max: schema_of(histograms.min_bucket_factor),
            ..PageRules::default()
        }
    }
}

/// The finest schema whose buckets grow by at least this factor; all may be as fine as they are for 1 and less.
fn schema_of(min_bucket_factor: f64) -> i32 {
    if min_bucket_factor.is_nan() || min_bucket_factor <= 1.0 {
        return SCHEMA_MAX;
    }
    // Each power of two has 2^schema buckets, so the factor is 2^(2^-schema). Infinity has the coarsest, too.
    let schema = (-min_bucket_factor.log2().log2()).floor();
    schema.clamp(f64::from(SCHEMA_MIN), f64::from(SCHEMA_MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_names_a_schema() {
        let cases = [
            (0.0, 8),
            (1.0, 8),
            (1.002, 8),
            (1.00271, 8),
            (1.003, 7),
            (1.1, 2),
            (1.5, 0),
            (2.0, 0),
            (2.1, -1),
            (65_536.0, -4),
            (1e9, -4),
            (f64::INFINITY, -4),
            (f64::NAN, 8),
            (-3.0, 8),
        ];
        for (factor, schema) in cases {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
    }
}
