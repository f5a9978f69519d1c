//! `/api/cairn/v1/dashboards`: list, read, keep, remove.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::app::App;
use super::error::ApiError;
use super::params::read_body;
use crate::auth::Caller;
use crate::dashboards::{Dashboards, DashboardsError, Meta, Origin};

/// What an import's wrapping may add to the document.
const WRAPPING_BYTES_MAX: usize = 64 << 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetaJson<'a> {
    uid: &'a str,
    title: &'a str,
    folder: &'a str,
    tags: &'a [String],
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    read_only: bool,
}

impl<'a> MetaJson<'a> {
    fn of(meta: &'a Meta) -> Self {
        let (source, path) = match &meta.origin {
            Origin::BuiltIn => ("built-in", None),
            Origin::File(path) => ("file", Some(path.display().to_string())),
            Origin::User => ("user", None),
        };
        let read_only = meta.origin != Origin::User;
        MetaJson { uid: &meta.uid, title: &meta.title, folder: &meta.folder, tags: &meta.tags, source, path, read_only }
    }
}

#[derive(Serialize)]
struct OneJson<'a> {
    meta: MetaJson<'a>,
    dashboard: &'a RawValue,
}

#[derive(Deserialize)]
struct ImportJson<'a> {
    #[serde(borrow)]
    dashboard: &'a RawValue,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    overwrite: bool,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let all = blocking(&app, move |dashboards| dashboards.list(&caller.tenant)).await?;
    Ok(axum::Json(all.iter().map(MetaJson::of).collect::<Vec<_>>()).into_response())
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Result<Response, ApiError> {
    let (meta, json) = blocking(&app, move |dashboards| dashboards.get(&caller.tenant, &uid)).await?;
    let raw = |e: serde_json::Error| ApiError::Internal(format!("the document cannot be written: {e}"));
    let dashboard: &RawValue = serde_json::from_str(json.trim()).map_err(raw)?;
    let text = serde_json::to_string(&OneJson { meta: MetaJson::of(&meta), dashboard }).map_err(raw)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

pub(super) async fn import(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes_max = app.live().config.cairn.limits.dashboard_bytes_max.saturating_add(WRAPPING_BYTES_MAX);
    let body = read_body(body, bytes_max, "dashboard_bytes_max").await?;
    let uid = blocking(&app, move |dashboards| {
        let asked: ImportJson<'_> = serde_json::from_slice(&body).map_err(crate::dashboards::DocumentError::Json)?;
        dashboards.put(&caller.tenant, asked.dashboard.get(), &asked.folder, asked.overwrite)
    })
    .await?;
    Ok((StatusCode::CREATED, axum::Json(serde_json::json!({ "uid": uid }))).into_response())
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Result<Response, ApiError> {
    blocking(&app, move |dashboards| dashboards.delete(&caller.tenant, &uid)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn blocking<T, F>(app: &Arc<App>, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&Dashboards) -> Result<T, DashboardsError> + Send + 'static,
{
    let dashboards = app.dashboards.clone();
    let done = tokio::task::spawn_blocking(move || work(&dashboards)).await;
    Ok(done.map_err(|e| ApiError::Internal(format!("the request ended early: {e}")))??)
}
