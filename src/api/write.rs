//! `POST /api/v1/write` and `/api/v1/push`: remote write 1.0 and 2.0, as the content type says.
//!
//! 204: all is stored and, unless configured otherwise, fsynced. 400: the request or some of its samples are wrong, the good
//! ones are stored, sending again does not help. 415: another content type. 503: nothing is wrong with the request, send again.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use storage::Durability;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::app::App;
use super::error::ApiError;
use super::params::read_body;
use crate::auth::Caller;
use crate::config::{Limits, format_duration};
use crate::ingest::{IngestError, Protocol, WriteOutcome, check_headers, unpacked_bytes};
use crate::query::Hurry;
use crate::telemetry::Registry;
use crate::tenant::TenantError;

/// After how many seconds a sender should try again.
const RETRY_AFTER_S: u32 = 5;

/// Bytes that a push takes for each byte that its body unpacks to: the body itself and its batch.
const MEMORY_PER_BYTE: usize = 2;
/// The same of remote write 2.0, where a text that many series share stands once.
const MEMORY_PER_BYTE_2: usize = 16;

/// Bounds what pushes take at one moment.
#[derive(Debug)]
pub(super) struct PushGate {
    memory_kib: Arc<Semaphore>,
    memory_kib_max: u32,
    pushes: Arc<Semaphore>,
    pushes_max: usize,
    wait_max: Duration,
}

impl PushGate {
    pub(super) fn new(limits: &Limits) -> Self {
        let memory_kib_max = u32::try_from(limits.push_memory_bytes_max >> 10).unwrap_or(u32::MAX).max(1);
        let pushes_max = limits.pushes_max.min(Semaphore::MAX_PERMITS);
        PushGate {
            memory_kib: Arc::new(Semaphore::new(memory_kib_max as usize)),
            memory_kib_max,
            pushes: Arc::new(Semaphore::new(pushes_max)),
            pushes_max,
            wait_max: limits.push_wait_max,
        }
    }

    /// Waits until a body that unpacks to so many bytes may be worked on, but not for ever.
    async fn enter(&self, protocol: Protocol, bytes: usize) -> Result<[OwnedSemaphorePermit; 2], ApiError> {
        let memory_per_byte = if protocol == Protocol::V1 { MEMORY_PER_BYTE } else { MEMORY_PER_BYTE_2 };
        let kib = u32::try_from(bytes.saturating_mul(memory_per_byte) >> 10).unwrap_or(u32::MAX);
        let kib = kib.clamp(1, self.memory_kib_max);
        let end = tokio::time::Instant::now() + self.wait_max;
        let push = tokio::time::timeout_at(end, self.pushes.clone().acquire_owned()).await;
        let Ok(Ok(push)) = push else {
            let limit = format!("{} pushes are worked on at one moment", self.pushes_max);
            return Err(self.busy(&limit, "pushes_max"));
        };
        let memory = tokio::time::timeout_at(end, self.memory_kib.clone().acquire_many_owned(kib)).await;
        let Ok(Ok(memory)) = memory else {
            let limit = format!("pushes of {} KiB, unpacked, are worked on at one moment", self.memory_kib_max);
            return Err(self.busy(&limit, "push_memory_bytes_max"));
        };
        Ok([push, memory])
    }

    /// `limit` is what was reached, `key` what raises it.
    fn busy(&self, limit: &str, key: &str) -> ApiError {
        let message = format!(
            "more is pushed at once than can be stored: this push has waited for {} (cairn.limits.push_wait_max), and at most \
             {limit}; send it again or raise cairn.limits.{key}",
            format_duration(self.wait_max),
        );
        ApiError::Unavailable { message, retry_after_s: RETRY_AFTER_S }
    }
}

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
    exemplars: Counter,
    discarded_extras: Family<ByReason, Counter>,
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
            r.register("cairn_push_exemplars", "Pushed exemplars that were stored", m.exemplars.clone());
            let help = "Pushed exemplars and entries of metadata that were not stored, by reason";
            r.register("cairn_discarded_extras", help, m.discarded_extras.clone());
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
        let (exemplars, metadata) = (outcome.exemplars, outcome.metadata);
        self.exemplars.inc_by(exemplars.accepted);
        let extras = [
            ("exemplar_out_of_order", exemplars.out_of_order),
            ("exemplar_too_long", exemplars.too_long),
            ("exemplar_unknown_series", exemplars.unknown_series),
            ("metadata_over_limit", metadata.over_limit),
            ("invalid", metadata.invalid + outcome.extras_invalid),
        ];
        for (reason, count) in extras.into_iter().filter(|(_, count)| *count > 0) {
            self.discarded_extras.get_or_create(&ByReason { reason }).inc_by(count);
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
        Ok((protocol, outcome)) => {
            let mut response = match outcome.message() {
                None => StatusCode::NO_CONTENT.into_response(),
                Some(message) => {
                    tracing::warn!(component = "remote_write", tenant = %caller.tenant, "{message}");
                    ApiError::BadData(message).into_text()
                }
            };
            if protocol == Protocol::V2 {
                tell_written(response.headers_mut(), &outcome);
            }
            response
        }
        // Said once by the tenant's keeper: a full disk refuses every push.
        Err(e @ ApiError::Unavailable { .. }) => e.into_text(),
        Err(e) => {
            tracing::warn!(component = "remote_write", tenant = %caller.tenant, error = %e, "a push is refused");
            e.into_text()
        }
    }
}

/// What a sender of version 2.0 compares with what it sent.
fn tell_written(headers: &mut HeaderMap, outcome: &WriteOutcome) {
    let samples = (outcome.accepted + outcome.duplicates).saturating_sub(outcome.histograms);
    let written = [
        ("x-prometheus-remote-write-samples-written", samples),
        ("x-prometheus-remote-write-histograms-written", outcome.histograms),
        ("x-prometheus-remote-write-exemplars-written", outcome.exemplars.accepted),
    ];
    for (name, count) in written {
        headers.insert(name, HeaderValue::from(count));
    }
}

async fn store(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Protocol, WriteOutcome), ApiError> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let protocol = check_headers(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING))?;
    let config = app.live().config;
    let body = read_body(body, config.cairn.limits.push_body_bytes_max, "push_body_bytes_max").await?;
    let durability = if config.cairn.durability_interval { Durability::Written } else { Durability::Synced };
    // Before the tenant: what is no push must not create one.
    let permits = app.push_gate.enter(protocol, unpacked_bytes(&body, app.ingester.limits())?).await?;
    // Until the answer: its threads sleep and wake up several times on the way.
    let _hurry = Hurry::begin();
    let (work_app, tenant) = (app.clone(), caller.tenant.clone());
    let work = tokio::task::spawn_blocking(move || {
        // Given back when the work is done, even if the sender has gone by then.
        let _permits = permits;
        let tenant = work_app.tenants.get_or_create(&tenant)?;
        let now = work_app.clock.now_ms();
        let body = (protocol, body.as_ref());
        Ok::<_, ApiError>(work_app.ingester.write(tenant.id.as_str(), &tenant.db, body, now, durability)?)
    });
    let outcome: WriteOutcome = work.await.map_err(|e| ApiError::Internal(format!("the push ended early: {e}")))??;
    app.push_metrics.count(&outcome);
    Ok((protocol, outcome))
}

impl From<IngestError> for ApiError {
    fn from(e: IngestError) -> Self {
        let text = e.to_string();
        match e {
            IngestError::Empty | IngestError::Snappy(_) | IngestError::Decode(_) => ApiError::BadData(text),
            IngestError::ContentType(_) | IngestError::ContentEncoding(_) => ApiError::UnsupportedMedia(text),
            IngestError::TooLarge { .. } | IngestError::TooManySamples { .. } | IngestError::TooManySymbols { .. } => {
                ApiError::TooLarge(text)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(gate: &PushGate) -> String {
        match gate.enter(Protocol::V1, 1).await {
            Err(ApiError::Unavailable { message, .. }) => message,
            other => panic!("there is no room: {other:?}"),
        }
    }

    #[tokio::test]
    async fn pushes_wait_for_memory_and_are_sent_back_in_the_end() {
        let limits = Limits {
            pushes_max: 3,
            push_memory_bytes_max: 1 << 20,
            push_wait_max: Duration::from_millis(1),
            ..Limits::default()
        };
        let gate = PushGate::new(&limits);
        let whole = gate.enter(Protocol::V1, usize::MAX).await.unwrap();
        let words = "more is pushed at once than can be stored: this push has waited for 1ms \
            (cairn.limits.push_wait_max), and at most ";
        let memory = "pushes of 1024 KiB, unpacked, are worked on at one moment; send it again or raise cairn.limits.push_memory_bytes_max";
        assert_eq!(refusal(&gate).await, format!("{words}{memory}"));
        drop(whole);
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(gate.enter(Protocol::V1, 100 << 10).await.unwrap());
        }
        let pushes = "3 pushes are worked on at one moment; send it again or raise cairn.limits.pushes_max";
        assert_eq!(refusal(&gate).await, format!("{words}{pushes}"));
        inside.pop();
        assert!(gate.enter(Protocol::V1, 1).await.is_ok());
    }
}
