//! The pages and files of the UI.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::compress::{accepts_gzip, gzip};
use super::error::ApiError;
use crate::ui;

/// Names of built files carry a hash of their content, so a browser may keep them for good.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

static PACKED: LazyLock<ui::Packed> = LazyLock::new(ui::Packed::default);

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let base = format!("{}/", app.about.route_prefix);
    match ui::page(&base) {
        Some(html) => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (headers, html).into_response()
        }
        None => ApiError::NotFound("this binary was built without its web UI".to_owned()).into_response(),
    }
}

/// A browser gets the UI, which says that there is no such page; everyone else gets the words.
pub(super) async fn not_found(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if method == Method::GET && accept.contains("text/html") {
        return (StatusCode::NOT_FOUND, page(State(app)).await).into_response();
    }
    ApiError::NotFound("there is no such page".to_owned()).into_response()
}

pub(super) async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    send(&format!("assets/{file}"), &headers, FOR_GOOD).await
}

pub(super) async fn root_asset(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match ui::asset(&file) {
        Some(_) => send(&file, &headers, "max-age=3600").await,
        None => not_found(State(app), method, headers).await,
    }
}

async fn send(path: &str, headers: &HeaderMap, cache: &'static str) -> Response {
    let Some(asset) = ui::asset(path) else {
        return ApiError::NotFound("there is no such page".to_owned()).into_response();
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static(cache));
    let is_text = asset.content_type.starts_with("text/") || asset.content_type.ends_with("xml");
    if !is_text || !accepts_gzip(headers) {
        return ([kind, cache], asset.bytes.into_owned()).into_response();
    }
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || PACKED.get(&path, &asset.bytes, gzip)).await {
        Ok(packed) => {
            let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            ([kind, cache, encoding], bytes::Bytes::from_owner(packed)).into_response()
        }
        Err(e) => ApiError::Internal(format!("the file cannot be compressed: {e}")).into_response(),
    }
}
