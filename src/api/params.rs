//! Parameters of a request: the URL's query and a form body as one list, and how times and durations are written.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use http_body_util::{BodyExt, Limited};
use storage::TimeRange;

use super::app::App;
use super::error::ApiError;

/// Name-value pairs, the form's before the URL's as Go's `FormValue` orders them.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequest<Arc<App>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut pairs = Vec::new();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        if matches!(parts.method, Method::POST | Method::PUT)
            && content_type.starts_with("application/x-www-form-urlencoded")
        {
            pairs = parse(
                &read_body(body, app.live().config.cairn.limits.query_body_bytes_max, "query_body_bytes_max").await?,
            );
        }
        pairs.extend(parse(parts.uri.query().unwrap_or("").as_bytes()));
        Ok(Params(pairs))
    }
}

fn parse(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

/// The whole body, if it is not over `bytes_max`, the limit `cairn.limits.<key>`.
pub(crate) async fn read_body(body: Body, bytes_max: usize, key: &str) -> Result<bytes::Bytes, ApiError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::TooLarge(format!("the body has more than {bytes_max} bytes; raise cairn.limits.{key}")))
        }
        Err(e) => Err(ApiError::BadData(format!("the body cannot be read: {e}"))),
    }
}

impl Params {
    /// The first value of `name`; empty counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// The first value of `name`, or an empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// All values of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A time in milliseconds that has to be there.
    pub(crate) fn time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.text(name)).map_err(|why| ApiError::parameter(name, why))
    }

    /// A time in milliseconds, or `default`.
    pub(crate) fn time_or(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        parse_time(text).map_err(|why| ApiError::parameter(name, format!("invalid time value for '{name}': {why}")))
    }

    /// A duration in milliseconds that has to be there.
    pub(crate) fn duration(&self, name: &str) -> Result<i64, ApiError> {
        parse_duration(self.text(name)).map_err(|why| ApiError::parameter(name, why))
    }

    /// `start` and `end` of the metadata endpoints, both inclusive, all time if absent.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        let (start, end) = (self.time_or("start", i64::MIN)?, self.time_or("end", i64::MAX - 1)?);
        if end < start {
            return Err(ApiError::parameter("end", "end timestamp must not be before start timestamp"));
        }
        Ok(TimeRange::new(start, end + 1))
    }

    /// `limit`: how many items at most; 0 or absent is no limit.
    pub(crate) fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: i64 =
            text.parse().map_err(|_| ApiError::parameter(name, format!("cannot parse {text:?} to a number")))?;
        match number {
            0 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| ApiError::parameter(name, "limit must be non-negative")),
        }
    }
}

/// Milliseconds of `1435781451.781` or `2015-07-01T20:10:51.781Z`.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        return match ms.is_finite() && ms.abs() < i64::MAX as f64 {
            true => Ok(ms.round() as i64),
            false => Err(format!("cannot parse {text:?} to a valid timestamp")),
        };
    }
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(jiff::Timestamp::as_millisecond).map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Milliseconds of `15`, `0.5` (seconds) or `1m30s`.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let refused = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        return if ms.is_finite() && ms.abs() < i64::MAX as f64 { Ok(ms as i64) } else { Err(refused()) };
    }
    crate::config::parse_duration(text).map(|d| d.as_millis() as i64).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time("1435781451.781"), Ok(1_435_781_451_781));
        assert_eq!(parse_time("2015-07-01T20:10:51.781Z"), Ok(1_435_781_451_781));
        assert_eq!(parse_time("2015-07-01T22:10:51+02:00"), Ok(1_435_781_451_000));
        for bad in ["", "x", "NaN", "Inf", "1e300"] {
            assert!(parse_time(bad).unwrap_err().contains("to a valid timestamp"), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("15"), Ok(15_000));
        assert_eq!(parse_duration("0.5"), Ok(500));
        assert_eq!(parse_duration("1m30s"), Ok(90_000));
        assert!(parse_duration("1x").is_err());
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        let p = Params(parse(b"a=&b=1&b=2&limit=-1"));
        assert_eq!((p.get("a"), p.get("b"), p.all("b").count()), (None, Some("1"), 2));
        assert!(p.limit("limit").is_err());
        assert_eq!(p.limit("a"), Ok(None));
    }
}
