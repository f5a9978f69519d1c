//! Scraping's own metrics, under Prometheus' names.
//!
//! Here: counters of the loops and the quantiles of the interval between two scrapes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::config::format_duration;
use crate::telemetry::Registry;

type ByPool = Family<Vec<(String, String)>, Gauge>;

/// All of them; clones share the numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) exceeded_sample_limit: Counter,
    pub(crate) exceeded_body_size_limit: Counter,
    pub(crate) exceeded_bucket_limit: Counter,
    pub(crate) exceeded_label_limits: Counter,
    pub(crate) exceeded_target_limit: Counter,
    pub(crate) duplicate_timestamp: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) append_failed: Counter,
    pub(crate) intervals: Arc<Intervals>,
    pool_targets: ByPool,
    pool_target_limit: ByPool,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Self {
        let metrics = Metrics::default();
        registry.with(|r| {
            let mut counter = |name: &str, help: &str, counter: &Counter| r.register(name, help, counter.clone());
            counter(
                "prometheus_target_scrapes_exceeded_sample_limit",
                "Total number of scrapes that hit the sample limit and were rejected",
                &metrics.exceeded_sample_limit,
            );
            counter(
                "prometheus_target_scrapes_exceeded_body_size_limit",
                "Total number of scrapes that hit the body size limit",
                &metrics.exceeded_body_size_limit,
            );
            counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit",
                "Total number of scrapes that hit the native histogram bucket limit and were rejected",
                &metrics.exceeded_bucket_limit,
            );
            counter(
                "prometheus_target_scrape_pool_exceeded_label_limits",
                "Total number of times scrape pools hit the label limits, during sync or config reload",
                &metrics.exceeded_label_limits,
            );
            counter(
                "prometheus_target_scrape_pool_exceeded_target_limit",
                "Total number of times scrape pools hit the target limit, during sync or config reload",
                &metrics.exceeded_target_limit,
            );
            counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp",
                "Total number of samples rejected due to duplicate timestamps but different values",
                &metrics.duplicate_timestamp,
            );
            counter(
                "prometheus_target_scrapes_sample_out_of_order",
                "Total number of samples rejected for being out of order; late samples are accepted",
                &metrics.out_of_order,
            );
            counter(
                "prometheus_target_scrapes_sample_out_of_bounds",
                "Total number of samples rejected due to timestamp falling outside of the time bounds",
                &metrics.out_of_bounds,
            );
            counter(
                "cairn_target_scrapes_append_failed",
                "Total number of scrapes whose samples could not be stored",
                &metrics.append_failed,
            );
            r.register(
                "prometheus_target_scrape_pool_targets",
                "Current number of targets in this scrape pool",
                metrics.pool_targets.clone(),
            );
            r.register(
                "prometheus_target_scrape_pool_target_limit",
                "Maximum number of targets allowed in this scrape pool",
                metrics.pool_target_limit.clone(),
            );
            r.register_collector(Box::new(metrics.intervals.clone()));
        });
        metrics
    }

    /// Notes how many targets a pool has and may have (0: no limit).
    pub(crate) fn set_pool(&self, job_name: &str, targets: usize, limit: u64) {
        self.pool_targets.get_or_create(&pool_label(job_name)).set(targets as i64);
        self.pool_target_limit.get_or_create(&pool_label(job_name)).set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Forgets a pool.
    pub(crate) fn remove_pool(&self, job_name: &str) {
        self.pool_targets.remove(&pool_label(job_name));
        self.pool_target_limit.remove(&pool_label(job_name));
    }
}

fn pool_label(job_name: &str) -> Vec<(String, String)> {
    vec![("scrape_job".to_owned(), job_name.to_owned())]
}

/// `prometheus_target_interval_length_seconds`: actual time between two scrapes, by configured interval. A summary over
/// the last [`WINDOW`] scrapes; written out by hand, since the client library has no summaries.
#[derive(Default)]
pub(crate) struct Intervals(Mutex<BTreeMap<Duration, Observed>>);

/// Scrapes that the quantiles look back on.
const WINDOW: usize = 1_024;

const QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];

#[derive(Default)]
struct Observed {
    recent: Vec<f64>,
    next: usize,
    sum: f64,
    count: u64,
}

impl Intervals {
    pub(crate) fn observe(&self, interval: Duration, seconds: f64) {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let observed = all.entry(interval).or_default();
        if observed.recent.len() < WINDOW {
            observed.recent.push(seconds);
        } else {
            observed.recent[observed.next] = seconds;
            observed.next = (observed.next + 1) % WINDOW;
        }
        observed.sum += seconds;
        observed.count += 1;
    }
}

impl fmt::Debug for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intervals")
    }
}

impl Collector for Intervals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        const NAME: &str = "prometheus_target_interval_length_seconds";
        const HELP: &str = "Actual intervals between scrapes.";
        let all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if all.is_empty() {
            return Ok(());
        }
        let mut quantiles = encoder.encode_descriptor(NAME, HELP, None, MetricType::Unknown)?;
        for (interval, observed) in all.iter() {
            let mut sorted = observed.recent.clone();
            sorted.sort_by(f64::total_cmp);
            for q in QUANTILES {
                let rank = (q * (sorted.len() - 1) as f64).round() as usize;
                let labels = [("interval", format_duration(*interval)), ("quantile", q.to_string())];
                quantiles.encode_family(&labels)?.encode_gauge(&sorted[rank])?;
            }
        }
        let (sum_name, count_name) = (format!("{NAME}_sum"), format!("{NAME}_count"));
        let mut sums = encoder.encode_descriptor(&sum_name, HELP, None, MetricType::Unknown)?;
        for (interval, observed) in all.iter() {
            sums.encode_family(&[("interval", format_duration(*interval))])?.encode_gauge(&observed.sum)?;
        }
        let mut counts = encoder.encode_descriptor(&count_name, HELP, None, MetricType::Unknown)?;
        for (interval, observed) in all.iter() {
            counts.encode_family(&[("interval", format_duration(*interval))])?.encode_gauge(&observed.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Format, Parser};

    #[test]
    fn intervals_are_rendered_as_a_summary() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry);
        metrics.set_pool("a job", 3, 0);
        for n in 0..=2_000 {
            metrics.intervals.observe(Duration::from_secs(15), 14.0 + f64::from(n) / 1_000.0);
        }
        let text = registry.render();
        assert_eq!(Parser::new(text.as_bytes(), Format::OpenMetrics).find_map(Result::err), None, "{text}");
        let median = "prometheus_target_interval_length_seconds{interval=\"15s\",quantile=\"0.5\"} 15.4";
        for part in
            [median, "_count{interval=\"15s\"} 2001", "prometheus_target_scrape_pool_targets{scrape_job=\"a job\"} 3"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("prometheus_target_scrapes_exceeded_sample_limit_total 0"), "{text}");
    }
}
