//! Which format a body is, by its `Content-Type`.
//!
//! Here: Prometheus' rule, with the fallback to the text format. Elsewhere: the `Accept` header (`scrape`).

use super::{Format, PageFormat};

/// The format that `content_type` names, `fallback` where it is missing or names none. (Prometheus 3 refuses such answers
/// unless a fallback is configured; version 2 read them as text, and so do we: many small exporters send no type.)
/// A web page is refused at once, since "expected a metric name, found '<'" helps nobody.
pub fn format_of(content_type: Option<&str>, fallback: PageFormat) -> Result<PageFormat, String> {
    let content_type = content_type.unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/openmetrics-text" => Ok(PageFormat::Text(Format::OpenMetrics)),
        "text/html" | "application/xhtml+xml" => Err(format!(
            "the answer is a web page (Content-Type {content_type:?}), not metrics: check port and metrics_path"
        )),
        "application/vnd.google.protobuf" => Ok(PageFormat::Protobuf),
        "text/plain" => Ok(PageFormat::Text(Format::Text)),
        _ => Ok(fallback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: PageFormat = PageFormat::Text(Format::Text);
    const OPEN_METRICS: PageFormat = PageFormat::Text(Format::OpenMetrics);

    #[test]
    fn chooses_by_media_type() {
        let check = |content_type: Option<&str>, expected| {
            assert_eq!(format_of(content_type, TEXT).ok(), expected, "{content_type:?}")
        };
        check(None, Some(TEXT));
        check(Some(""), Some(TEXT));
        check(Some("text/plain; version=0.0.4; charset=utf-8"), Some(TEXT));
        check(Some("application/json"), Some(TEXT));
        check(Some("not a type"), Some(TEXT));
        check(Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), Some(OPEN_METRICS));
        check(Some("Application/OpenMetrics-Text;version=0.0.1"), Some(OPEN_METRICS));
        check(Some("text/html; charset=utf-8"), None);
        let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        check(Some(protobuf), Some(PageFormat::Protobuf));
        assert_eq!(format_of(None, OPEN_METRICS), Ok(OPEN_METRICS));
        assert_eq!(format_of(Some(""), PageFormat::Protobuf), Ok(PageFormat::Protobuf));
        assert_eq!(format_of(Some("text/plain"), OPEN_METRICS), Ok(TEXT));
        assert!(format_of(Some("text/html"), TEXT).unwrap_err().contains("web page"));
    }
}
