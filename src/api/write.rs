//! `POST /api/v1/write` and `/api/v1/push`: remote write 1.0.
//!
//! 204: all is stored and, unless configured otherwise, fsynced. 400: the request or some of its samples are wrong, the good
//! ones are stored, sending again does not help. 503: nothing is wrong with the request, send again.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use storage::Durability;

use super::app::App;
use super::error::ApiError;
use super::params::read_body;
use crate::auth::Caller;
use crate::ingest::{IngestError, WriteOutcome, check_headers};
use crate::telemetry::Registry;
use crate::tenant::TenantError;

/// After how many seconds a sender should try again.
const RETRY_AFTER_S: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// Counts of what was pushed, over all tenants.
#[derive(Debug, Clone, Default)]
pub(super) struct PushMetrics {
    requests: Counter,
    accepted: Counter,
    duplicates: Counter,
    discarded: Family<ByReason, Counter>,
    unsupported: Family<ByReason, Counter>,
}

impl PushMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let m = PushMetrics::default();
        registry.with(|r| {
            r.register("cairn_push_requests", "Push requests that were read", m.requests.clone());
            r.register("cairn_push_samples", "Pushed samples that were stored", m.accepted.clone());
            r.register("cairn_push_duplicate_samples", "Pushed samples that were there already", m.duplicates.clone());
            r.register(
                "cairn_discarded_samples",
                "Pushed samples that were not stored, by reason",
                m.discarded.clone(),
            );
            let help = "Parts of pushes that are not stored yet, by kind";
            r.register("cairn_push_unsupported", help, m.unsupported.clone());
        });
        m
    }

    fn count(&self, outcome: &WriteOutcome) {
        self.requests.inc();
        self.accepted.inc_by(outcome.accepted);
        self.duplicates.inc_by(outcome.duplicates);
        for (reason, discarded) in &outcome.discarded {
            self.discarded.get_or_create(&ByReason { reason: reason.as_label() }).inc_by(discarded.samples);
        }
        let kinds = [("exemplar", outcome.exemplars_unsupported), ("histogram", outcome.histograms_unsupported)];
        for (reason, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            self.unsupported.get_or_create(&ByReason { reason }).inc_by(count);
        }
    }
}

pub(super) async fn push(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match store(&app, &caller, &headers, body).await {
        Ok(outcome) => match outcome.message() {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(message) => {
                tracing::warn!(component = "remote_write", tenant = %caller.tenant, "{message}");
                ApiError::BadData(message).into_text()
            }
        },
        Err(e) => {
            tracing::warn!(component = "remote_write", tenant = %caller.tenant, error = %e, "a push is refused");
            e.into_text()
        }
    }
}

async fn store(app: &Arc<App>, caller: &Caller, headers: &HeaderMap, body: Body) -> Result<WriteOutcome, ApiError> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    check_headers(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING))?;
    let config = app.live().config;
    let body = read_body(body, config.cairn.limits.push_body_bytes_max, "push_body_bytes_max").await?;
    let durability = if config.cairn.durability_interval { Durability::Written } else { Durability::Synced };
    let (work_app, tenant) = (app.clone(), caller.tenant.clone());
    let work = tokio::task::spawn_blocking(move || {
        // Before the tenant: a damaged body must not create one.
        if body.is_empty() {
            return Err(ApiError::from(IngestError::Empty));
        }
        let tenant = work_app.tenants.get_or_create(&tenant)?;
        let now = work_app.clock.now_ms();
        Ok(work_app.ingester.write(tenant.id.as_str(), &tenant.db, &body, now, durability)?)
    });
    let outcome: WriteOutcome = work.await.map_err(|e| ApiError::Internal(format!("the push ended early: {e}")))??;
    app.push_metrics.count(&outcome);
    Ok(outcome)
}

impl From<IngestError> for ApiError {
    fn from(e: IngestError) -> Self {
        let text = e.to_string();
        match e {
            IngestError::Empty | IngestError::Snappy(_) | IngestError::Decode(_) => ApiError::BadData(text),
            IngestError::ContentType(_) | IngestError::ContentEncoding(_) => ApiError::UnsupportedMedia(text),
            IngestError::TooLarge { .. } | IngestError::TooManySamples { .. } => ApiError::TooLarge(text),
            IngestError::Append(_) => ApiError::Unavailable { message: text, retry_after_s: RETRY_AFTER_S },
        }
    }
}

impl From<TenantError> for ApiError {
    fn from(e: TenantError) -> Self {
        let text = e.to_string();
        match e {
            TenantError::TooMany { .. } => ApiError::BadData(text),
            TenantError::Open(_) => ApiError::Unavailable { message: text, retry_after_s: RETRY_AFTER_S },
        }
    }
}
