//! Errors of the HTTP API: the only place with status codes.
//!
//! Prometheus' shape: `{"status":"error","errorType":"…","error":"…"}` and its status for each type.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::auth::Denied;
use crate::dashboards::DashboardsError;
use crate::promql::QueryError;
use crate::query::AskError;

/// After how many seconds a query that found no place should try again.
const QUERY_RETRY_AFTER_S: u32 = 5;

/// What went wrong, as the asker is told.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    BadData(String),
    #[error("{0}")]
    Execution(String),
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    Canceled(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Internal(String),
    /// Try again later: starting, overloaded, or the disk does not take writes.
    #[error("{message}")]
    Unavailable { message: String, retry_after_s: u32 },
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    UnsupportedMedia(String),
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl ApiError {
    /// Prometheus' words for a parameter that cannot be used.
    pub(crate) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        ApiError::BadData(format!("invalid parameter {name:?}: {why}"))
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::BadData(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            ApiError::Execution(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            ApiError::Timeout(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            // nginx' "client closed request", as Prometheus answers.
            ApiError::Canceled(_) => (StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST), "canceled"),
            ApiError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            ApiError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            ApiError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ApiError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            ApiError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "bad_data"),
            ApiError::UnsupportedMedia(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data"),
            ApiError::Denied(Denied::Unauthorized(_) | Denied::NoTenant) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            ApiError::Denied(Denied::Forbidden(_)) => (StatusCode::FORBIDDEN, "forbidden"),
            ApiError::Denied(Denied::BadTenant(_) | Denied::SingleTenant(_)) => (StatusCode::BAD_REQUEST, "bad_data"),
        }
    }

    /// The same as plain text, for the endpoints whose clients expect that (push, `/-/…`).
    pub(crate) fn into_text(self) -> Response {
        let (status, _) = self.kind();
        self.dress((status, format!("{self}\n")).into_response())
    }

    /// Adds the headers that belong to the error.
    fn dress(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        match self {
            ApiError::Denied(Denied::Unauthorized(_)) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"cairn\""));
            }
            ApiError::Unavailable { retry_after_s, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            _ => {}
        }
        response
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error_type) = self.kind();
        let text = self.to_string();
        let body = axum::Json(ErrorBody { status: "error", error_type, error: &text });
        self.dress((status, body).into_response())
    }
}

impl From<QueryError> for ApiError {
    fn from(e: QueryError) -> Self {
        let text = e.to_string();
        match e {
            QueryError::Parse(_) => ApiError::parameter("query", text),
            QueryError::Execution(_) => ApiError::Execution(text),
            QueryError::Timeout => ApiError::Timeout(text),
            QueryError::Canceled | QueryError::Killed => ApiError::Canceled(text),
        }
    }
}

impl From<AskError> for ApiError {
    fn from(e: AskError) -> Self {
        match e {
            AskError::Full(message) => ApiError::Unavailable { message, retry_after_s: QUERY_RETRY_AFTER_S },
            AskError::Timeout(text) => ApiError::Timeout(text),
            AskError::Query(e) => e.into(),
            AskError::Internal(text) => ApiError::Internal(text),
        }
    }
}

impl From<storage::ReadError> for ApiError {
    fn from(e: storage::ReadError) -> Self {
        ApiError::Execution(e.to_string())
    }
}

impl From<DashboardsError> for ApiError {
    fn from(e: DashboardsError) -> Self {
        let text = e.to_string();
        match e {
            DashboardsError::NotFound(_) => ApiError::NotFound(text),
            DashboardsError::Document(_) | DashboardsError::ReadOnly(_) => ApiError::BadData(text),
            DashboardsError::Taken(_) => ApiError::Conflict(text),
            DashboardsError::State(_) => ApiError::Internal(text),
        }
    }
}
