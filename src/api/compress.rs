//! gzip for answers, where the client takes it and it pays.

use std::io::Write as _;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

use super::error::ApiError;

/// Below this a packet holds the answer anyway.
const PAYS_FROM_BYTES: u64 = 1400;

/// Compresses text and JSON answers that are not compressed yet.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let wanted = accepts_gzip(request.headers());
    let response = next.run(request).await;
    if !wanted || !pays(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Our own answer, in memory already.
    let Ok(plain) = body.collect().await else {
        return ApiError::Internal("the answer broke off".to_owned()).into_response();
    };
    let plain = plain.to_bytes();
    match tokio::task::spawn_blocking(move || gzip(&plain)).await {
        Ok(packed) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
            Response::from_parts(parts, Body::from(packed))
        }
        Err(e) => ApiError::Internal(format!("the answer cannot be compressed: {e}")).into_response(),
    }
}

/// Whether `Accept-Encoding` names gzip without forbidding it.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|p| p.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
    })
}

fn pays(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let is_text = kind.starts_with("text/")
        || kind.starts_with("application/json")
        || kind.starts_with("application/openmetrics-text");
    let size = axum::body::HttpBody::size_hint(response.body()).exact();
    is_text && !headers.contains_key(header::CONTENT_ENCODING) && size.is_none_or(|bytes| bytes >= PAYS_FROM_BYTES)
}

/// One gzip member at the fastest level that still compresses well.
pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(3));
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_accept_encoding() {
        for (value, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
    }
}
