//! `--enable-feature`: Prometheus' names of what is off by default.
//!
//! Here: which names do something, and what is said about the others. Elsewhere: what they allow (`promql`, `scrape`).

use super::Flags;
use crate::promql::ParseOptions;

const EXPERIMENTAL_FUNCTIONS: &str = "promql-experimental-functions";
const EXTENDED_RANGE_SELECTORS: &str = "promql-extended-range-selectors";
const BINOP_FILL_MODIFIERS: &str = "promql-binop-fill-modifiers";
const DELAYED_NAME_REMOVAL: &str = "promql-delayed-name-removal";
const ST_STORAGE: &str = "st-storage";
const ZERO_INGESTION: &str = "created-timestamp-zero-ingestion";
const ST_SYNTHESIS: &str = "st-synthesis";
const USE_START_TIMESTAMPS: &str = "use-start-timestamps";
const TYPE_AND_UNIT_LABELS: &str = "type-and-unit-labels";

/// Once features, now part of Prometheus and of Cairn.
const ALWAYS_ON: [&str; 3] = ["ooo-native-histograms", "promql-duration-expr", "promql-per-step-stats"];

/// Other names that Prometheus 3.14 knows.
const WITHOUT_EFFECT: [&str; 15] = [
    "auto-reload-config",
    "concurrent-rule-eval",
    "delayed-compaction",
    "exemplar-storage",
    "extra-scrape-metrics",
    "fast-startup",
    "histograms-st-encoding",
    "memory-snapshot-on-shutdown",
    "metadata-wal-records",
    "old-ui",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "search-api",
    "use-uncached-io",
    "xor2-encoding",
];

impl Flags {
    /// What queries may use.
    pub fn syntax(&self) -> ParseOptions {
        syntax(&self.features)
    }

    /// Whether names of metrics are dropped at the end of a query rather than at once.
    pub fn delayed_name_removal(&self) -> bool {
        delayed_name_removal(&self.features)
    }

    /// Whether start timestamps that senders and targets tell are stored.
    pub fn stores_starts(&self) -> bool {
        has(&self.features, ST_STORAGE)
    }

    /// Whether a zero is stored where a scraped counter began.
    pub fn stores_zeros(&self) -> bool {
        has(&self.features, ZERO_INGESTION)
    }

    /// Whether start timestamps are made up for scraped counters that tell none.
    pub fn synthesizes_starts(&self) -> bool {
        has(&self.features, ST_SYNTHESIS)
    }

    /// Whether rates and resets look at stored start timestamps.
    pub fn use_start_timestamps(&self) -> bool {
        use_start_timestamps(&self.features)
    }

    /// Whether series get labels that say their metric's type and unit.
    pub fn type_and_unit_labels(&self) -> bool {
        type_and_unit_labels(&self.features)
    }
}

/// Whether rates and resets look at stored start timestamps with these features.
pub(super) fn use_start_timestamps(names: &[String]) -> bool {
    has(names, USE_START_TIMESTAMPS)
}

/// Whether series have labels that say their metric's type with these features.
pub(super) fn type_and_unit_labels(names: &[String]) -> bool {
    has(names, TYPE_AND_UNIT_LABELS)
}

/// Whether names of metrics are dropped at the end of a query with these features.
pub(super) fn delayed_name_removal(names: &[String]) -> bool {
    has(names, DELAYED_NAME_REMOVAL)
}

/// What queries may use with these features.
pub(super) fn syntax(names: &[String]) -> ParseOptions {
    ParseOptions {
        experimental_functions: has(names, EXPERIMENTAL_FUNCTIONS),
        extended_range_selectors: has(names, EXTENDED_RANGE_SELECTORS),
        binop_fill_modifiers: has(names, BINOP_FILL_MODIFIERS),
        ..ParseOptions::default()
    }
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|feature| feature == name)
}

/// One sentence for each name that does nothing.
pub(super) fn warnings(names: &[String]) -> Vec<String> {
    let effective = [
        EXPERIMENTAL_FUNCTIONS,
        EXTENDED_RANGE_SELECTORS,
        BINOP_FILL_MODIFIERS,
        DELAYED_NAME_REMOVAL,
        ST_STORAGE,
        ZERO_INGESTION,
        ST_SYNTHESIS,
        USE_START_TIMESTAMPS,
        TYPE_AND_UNIT_LABELS,
    ];
    let idle = names.iter().map(String::as_str).filter(|name| !effective.contains(name));
    let sentence = |name: &str| {
        match name {
        name if ALWAYS_ON.contains(&name) => {
            format!("feature {name} of --enable-feature is now permanently enabled and therefore a no-op")
        }
        "native-histograms" => {
            "feature native-histograms of --enable-feature is a no-op: set scrape_native_histograms in the configuration"
                .to_owned()
        }
        name if WITHOUT_EFFECT.contains(&name) => {
            format!("feature {name} of Prometheus is accepted and has no effect")
        }
        name => format!("unknown option for --enable-feature: {name}"),
    }
    };
    idle.map(sentence).collect()
}
