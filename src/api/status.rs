//! `/api/v1/status/*` in Prometheus' shapes.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use storage::Cardinality;

use super::answer::{Answer, ApiResult};
use super::app::App;
use super::error::ApiError;
use super::params::Params;
use crate::auth::Caller;

/// The Prometheus API that we speak: clients choose their features by this version, so ours stands behind it.
pub(super) const API_VERSION: &str = "3.14.0";

/// Rows of each cardinality list unless `limit` says otherwise, and the most that it may say.
const CARDINALITY_ROWS: usize = 10;
const CARDINALITY_ROWS_MAX: usize = 10_000;

pub(super) async fn buildinfo() -> ApiResult {
    Answer::of(&json!({
        "version": format!("{API_VERSION}+cairn.{}", env!("CARGO_PKG_VERSION")),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

pub(super) async fn runtimeinfo(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> ApiResult {
    let live = app.live();
    let runtime = tokio::runtime::Handle::current().metrics();
    let quarantined = app.tenants.get(&caller.tenant).map_or(0, |t| t.db.stats().quarantined);
    let directory = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    Answer::of(&json!({
        "startTime": rfc3339(app.about.started_ms),
        "CWD": directory,
        "hostname": rustix::system::uname().nodename().to_string_lossy(),
        "serverTime": rfc3339(app.clock.now_ms()),
        "reloadConfigSuccess": live.reload_ok,
        "lastConfigTime": rfc3339(live.loaded_ms),
        "corruptionCount": quarantined,
        "goroutineCount": runtime.num_alive_tasks(),
        "GOMAXPROCS": runtime.num_workers(),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": live.retention.to_string(),
    }))
}

pub(super) async fn config(State(app): State<Arc<App>>) -> ApiResult {
    Answer::of(&json!({ "yaml": app.live().config.yaml }))
}

pub(super) async fn flags(State(app): State<Arc<App>>) -> ApiResult {
    Answer::of(&*app.live().flags)
}

/// The router answers once the log is replayed, so there is never anything left to do.
pub(super) async fn walreplay() -> ApiResult {
    Answer::of(&json!({ "min": 0, "max": 0, "current": 0 }))
}

#[derive(Serialize)]
struct Named {
    name: String,
    value: u64,
}

pub(super) async fn tsdb(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let limit = params.limit("limit")?.unwrap_or(CARDINALITY_ROWS);
    if limit > CARDINALITY_ROWS_MAX {
        return Err(ApiError::BadData(format!("limit must not be over {CARDINALITY_ROWS_MAX}")));
    }
    let tenant = app.tenants.get(&caller.tenant);
    let work = move || tenant.map(|t| (t.db.stats(), t.db.cardinality(limit))).unwrap_or_default();
    let (stats, cardinality) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| ApiError::Internal(format!("the count ended early: {e}")))?;
    let Cardinality { series_by_metric, values_by_label, bytes_by_label, series_by_pair, label_pairs } = cardinality;
    let named =
        |rows: Vec<(String, u64)>| rows.into_iter().map(|(name, value)| Named { name, value }).collect::<Vec<_>>();
    // An empty head has Prometheus' far ends as its range.
    let (min_time, max_time) = stats.head_range.unwrap_or((i64::MAX, i64::MIN));
    Answer::of(&json!({
        "headStats": {
            "numSeries": stats.head_series,
            "numLabelPairs": label_pairs,
            "chunkCount": stats.head_chunks,
            "minTime": min_time,
            "maxTime": max_time,
        },
        "seriesCountByMetricName": named(series_by_metric),
        "labelValueCountByLabelName": named(values_by_label),
        "memoryInBytesByLabelName": named(bytes_by_label),
        "seriesCountByLabelValuePair": named(series_by_pair),
    }))
}

/// `2026-01-02T03:04:05.678Z`
pub(super) fn rfc3339(t_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(t_ms).map(|t| t.to_string()).unwrap_or_default()
}
