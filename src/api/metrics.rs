//! Metrics of the API itself, under Prometheus' names where it has them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;

use crate::telemetry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    handler: &'static str,
    code: u16,
}

/// Requests by route and status, and how the last reload went.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiMetrics {
    requests: Family<Answered, Counter>,
    reload_ok: Gauge,
    reloaded: Gauge<f64, AtomicU64>,
}

impl ApiMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let m = ApiMetrics::default();
        registry.with(|r| {
            r.register("cairn_build", "What this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
            r.register("prometheus_http_requests", "Counter of HTTP requests", m.requests.clone());
            let help = "Whether the last configuration reload attempt was successful";
            r.register("prometheus_config_last_reload_successful", help, m.reload_ok.clone());
            let help = "Timestamp of the last successful configuration reload";
            r.register("prometheus_config_last_reload_success_timestamp_seconds", help, m.reloaded.clone());
        });
        m
    }

    pub(super) fn count_request(&self, handler: &'static str, code: u16) {
        self.requests.get_or_create(&Answered { handler, code }).inc();
    }

    pub(super) fn loaded(&self, at_ms: i64) {
        self.reload_ok.set(1);
        self.reloaded.set(at_ms as f64 / 1000.0);
    }

    pub(super) fn reload_failed(&self) {
        self.reload_ok.set(0);
    }
}
