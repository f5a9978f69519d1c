//! `/api/cairn/v1/queries`: what is asked right now, ending it, and what took long.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiError;
use super::params::Params;
use crate::auth::Caller;
use crate::query::{SlowQuery, When, stats_json};

pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> axum::Json<Vec<Value>> {
    let now = app.clock.now_ms();
    let active = app.queries.active(&caller.tenant);
    let show = active.iter().map(|q| {
        json!({
            "id": q.id.to_string(),
            "query": q.query,
            "path": q.path,
            "client": q.client,
            "since": q.since_ms,
            "seconds": now.saturating_sub(q.since_ms) as f64 / 1000.0,
            "state": if q.is_waiting { "waiting" } else { "running" },
            "samples": q.samples,
        })
    });
    axum::Json(show.collect())
}

/// Most of them unless `limit` says otherwise.
const SLOW_ROWS: usize = 100;

pub(super) async fn slow(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<axum::Json<Vec<Value>>, ApiError> {
    let limit = params.limit("limit")?.unwrap_or(SLOW_ROWS);
    let show = |q: SlowQuery| {
        let (start, end, step) = match q.when {
            When::Instant(t) => (t, t, None),
            When::Range { start, end, step } => (start, end, Some(step)),
        };
        json!({
            "query": q.query,
            "path": q.origin.path,
            "client": q.origin.client,
            "ruleGroup": q.origin.rule_group.map(|group| json!({ "file": group.file, "name": group.name })),
            "start": start,
            "end": end,
            "step": step,
            "endedAt": q.ended_ms,
            "seconds": (q.cost.queued + q.cost.ran).as_secs_f64(),
            "series": q.cost.used.series,
            "error": q.error,
            "stats": stats_json(&q.cost, q.when),
        })
    };
    Ok(axum::Json(app.queries.slow(&caller.tenant, limit).into_iter().map(show).collect()))
}

pub(super) async fn kill(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = id.parse().is_ok_and(|id| app.queries.kill(&caller.tenant, id));
    match found {
        true => {
            tracing::info!(component = "query", tenant = %caller.tenant, id, "a query is ended on request");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        false => Err(ApiError::NotFound(format!("no query {id:?} runs; it may have ended by itself"))),
    }
}
