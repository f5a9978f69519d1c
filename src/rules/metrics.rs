//! The rule engine's own metrics, under Prometheus' names.
//!
//! Here: counters and gauges for each group. Elsewhere: the registry (`telemetry`).

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::Registry;

type Labels = Vec<(String, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Registered once; clones count together (one clone for each tenant's rules). The label `rule_group` is `file;name`.
#[derive(Clone, Debug, Default)]
pub struct RuleMetrics {
    evaluations: Counters,
    failures: Counters,
    iterations: Counters,
    missed: Counters,
    interval: Gauges,
    last_duration: Gauges,
    last_evaluation: Gauges,
    last_samples: Gauges,
    rules: Gauges,
}

/// What one evaluation of a group was like.
pub(super) struct Iteration {
    pub(super) started_at: i64,
    pub(super) seconds: f64,
    pub(super) samples: u64,
}

impl RuleMetrics {
    /// Registers all families.
    pub fn register(registry: &Registry) -> Self {
        let m = Self::default();
        registry.with(|r| {
            r.register("prometheus_rule_evaluations", "Rule evaluations", m.evaluations.clone());
            r.register("prometheus_rule_evaluation_failures", "Rule evaluations that failed", m.failures.clone());
            let iterations = "Scheduled evaluations of the group, executed or missed";
            r.register("prometheus_rule_group_iterations", iterations, m.iterations.clone());
            let missed = "Evaluations of the group missed because the one before was slow";
            r.register("prometheus_rule_group_iterations_missed", missed, m.missed.clone());
            r.register("prometheus_rule_group_interval_seconds", "Interval of the group", m.interval.clone());
            let duration = "Duration of the group's last evaluation";
            r.register("prometheus_rule_group_last_duration_seconds", duration, m.last_duration.clone());
            let last = "When the group's last evaluation began, in seconds since the epoch";
            r.register("prometheus_rule_group_last_evaluation_timestamp_seconds", last, m.last_evaluation.clone());
            let samples = "Samples that the group's last evaluation gave";
            r.register("prometheus_rule_group_last_evaluation_samples", samples, m.last_samples.clone());
            r.register("prometheus_rule_group_rules", "Rules in the group", m.rules.clone());
        });
        m
    }

    /// A group appeared: its counters begin at 0.
    pub(super) fn add_group(&self, group: &str, interval_ms: i64, rules: usize) {
        let labels = labels(group);
        for counters in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            drop(counters.get_or_create(&labels));
        }
        self.interval.get_or_create(&labels).set(interval_ms as f64 / 1000.0);
        self.rules.get_or_create(&labels).set(rules as f64);
    }

    pub(super) fn remove_group(&self, group: &str) {
        let labels = labels(group);
        for counters in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            counters.remove(&labels);
        }
        for gauges in [&self.interval, &self.last_duration, &self.last_evaluation, &self.last_samples, &self.rules] {
            gauges.remove(&labels);
        }
    }

    pub(super) fn count_rule(&self, group: &str, failed: bool) {
        let labels = labels(group);
        self.evaluations.get_or_create(&labels).inc();
        if failed {
            self.failures.get_or_create(&labels).inc();
        }
    }

    pub(super) fn count_missed(&self, group: &str, missed: u64) {
        let labels = labels(group);
        self.missed.get_or_create(&labels).inc_by(missed);
        self.iterations.get_or_create(&labels).inc_by(missed);
    }

    pub(super) fn count_iteration(&self, group: &str, iteration: &Iteration) {
        let labels = labels(group);
        self.iterations.get_or_create(&labels).inc();
        self.last_duration.get_or_create(&labels).set(iteration.seconds);
        self.last_evaluation.get_or_create(&labels).set(iteration.started_at as f64 / 1000.0);
        self.last_samples.get_or_create(&labels).set(iteration.samples as f64);
    }
}

fn labels(group: &str) -> Labels {
    vec![("rule_group".to_owned(), group.to_owned())]
}
