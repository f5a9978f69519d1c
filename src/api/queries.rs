//! `/api/cairn/v1/queries`: what is asked right now, and ending it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiError;
use crate::auth::Caller;

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
