//! Successful answers in Prometheus' envelope.
//!
//! Here: what handlers return, whole. Elsewhere: queries' answers, which may be too large for that (`stream`), the JSON of
//! samples (`json`).

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;
use super::json::{push_list, push_text};

/// `{"status":"success","data":…}` with warnings and infos where there are any.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    data: String,
    warnings: Vec<String>,
}

/// What every JSON handler returns.
pub(crate) type ApiResult = Result<Answer, ApiError>;

impl Answer {
    /// `data` as serde writes it.
    pub(crate) fn of(data: &impl Serialize) -> ApiResult {
        let data = serde_json::to_string(data)
            .map_err(|e| ApiError::Internal(format!("the answer cannot be written: {e}")))?;
        Ok(Answer { data, ..Answer::default() })
    }

    /// Adds warnings.
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut body = String::with_capacity(self.data.len() + 64);
        body.push_str(HEAD);
        body.push_str(&self.data);
        push_tail(&mut body, &self.warnings, &[]);
        ([(header::CONTENT_TYPE, JSON)], body).into_response()
    }
}

/// Runs work that may take a while, such as parsing a query of a megabyte, off the async threads.
pub(super) async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| ApiError::Internal(format!("the request ended early: {e}")))?
}

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What stands before the data.
pub(super) const HEAD: &str = r#"{"status":"success","data":"#;

/// What stands after it.
pub(super) fn push_tail(out: &mut String, warnings: &[String], infos: &[String]) {
    for (key, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            push_list(out, texts, |out, text| push_text(out, text));
        }
    }
    out.push('}');
}
