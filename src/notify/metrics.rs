//! The notifier's own metrics, under the names that Prometheus and Alertmanager use.
//!
//! Here: the counters. Elsewhere: the registry (`telemetry`).

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::Registry;

use super::log::{Delivery, Outcome};

type ByIntegration = Family<Vec<(String, String)>, Counter>;

/// Registered once; clones count together (one clone for each tenant's notifier).
#[derive(Clone, Debug, Default)]
pub struct NotifyMetrics {
    pub(super) dropped: Counter,
    pub(super) queue_length: Gauge,
    pub(super) queue_capacity: Gauge,
    sent: ByIntegration,
    failed: ByIntegration,
    requests: ByIntegration,
}

impl NotifyMetrics {
    /// Registers all families.
    pub fn register(registry: &Registry) -> Self {
        let m = Self::default();
        registry.with(|r| {
            let dropped = "Alerts dropped because the queue or the store of alerts was full";
            r.register("prometheus_notifications_dropped", dropped, m.dropped.clone());
            r.register("prometheus_notifications_queue_length", "Alerts waiting in the queue", m.queue_length.clone());
            r.register(
                "prometheus_notifications_queue_capacity",
                "Most alerts that may wait",
                m.queue_capacity.clone(),
            );
            r.register("alertmanager_notifications", "Messages that were tried", m.sent.clone());
            r.register("alertmanager_notifications_failed", "Messages that were given up", m.failed.clone());
            r.register("alertmanager_notification_requests", "Requests made, retries included", m.requests.clone());
        });
        m
    }

    pub(super) fn count(&self, delivery: &Delivery) {
        let labels = vec![("integration".to_owned(), delivery.integration.to_owned())];
        self.sent.get_or_create(&labels).inc();
        self.requests.get_or_create(&labels).inc_by(u64::from(delivery.attempts));
        let failed = self.failed.get_or_create(&labels);
        if matches!(delivery.outcome, Outcome::Failed { .. }) {
            failed.inc();
        }
    }
}
