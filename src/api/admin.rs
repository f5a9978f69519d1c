//! `/-/healthy`, `/-/ready`, `/-/reload`, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::app::App;
use super::error::ApiError;

pub(super) async fn healthy() -> &'static str {
    "Cairn is Healthy.\n"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    readiness(&app, "Cairn is Ready.\n")
}

pub(super) async fn ready_mimir(State(app): State<Arc<App>>) -> Response {
    readiness(&app, "ready\n")
}

fn readiness(app: &App, words: &'static str) -> Response {
    match app.is_ready() {
        true => words.into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n").into_response(),
    }
}

/// Waits for the reload and answers with its outcome, errors in full.
pub(super) async fn reload(State(app): State<Arc<App>>) -> Response {
    if !app.about.lifecycle {
        return (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.\n").into_response();
    }
    let (done, outcome) = oneshot::channel();
    if app.reload.send(done).await.is_err() {
        return ApiError::Unavailable { message: "the server is stopping".to_owned(), retry_after_s: 5 }.into_text();
    }
    match outcome.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(why)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {why}\n")).into_response()
        }
        Err(_) => ApiError::Unavailable { message: "the server is stopping".to_owned(), retry_after_s: 5 }.into_text(),
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let registry = app.registry.clone();
    // Collectors read /proc: not for an async thread.
    match tokio::task::spawn_blocking(move || registry.render()).await {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(e) => ApiError::Internal(format!("metrics cannot be collected: {e}")).into_response(),
    }
}
