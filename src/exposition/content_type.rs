//! Which format a body is, by its `Content-Type`.
//!
//! Here: Prometheus' rule, with the fallback to the text format. Elsewhere: the `Accept` header (`scrape`).

use super::Format;

/// The format that `content_type` names, `fallback` where it is missing or names none. (Prometheus 3 refuses such answers
/// unless a fallback is configured; version 2 read them as text, and so do we: many small exporters send no type.)
/// A web page is refused at once, since "expected a metric name, found '<'" helps nobody.
pub fn format_of(content_type: Option<&str>, fallback: Format) -> Result<Format, String> {
    let content_type = content_type.unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "text/html" | "application/xhtml+xml" => Err(format!(
            "the answer is a web page (Content-Type {content_type:?}), not metrics: check port and metrics_path"
        )),
        "application/vnd.google.protobuf" => Err(format!(
            "the answer is in the protobuf format (Content-Type {content_type:?}), which was not asked for"
        )),
        "text/plain" => Ok(Format::Text),
        _ => Ok(fallback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_by_media_type() {
        let check = |content_type: Option<&str>, expected| {
            assert_eq!(format_of(content_type, Format::Text).ok(), expected, "{content_type:?}")
        };
        check(None, Some(Format::Text));
        check(Some(""), Some(Format::Text));
        check(Some("text/plain; version=0.0.4; charset=utf-8"), Some(Format::Text));
        check(Some("application/json"), Some(Format::Text));
        check(Some("not a type"), Some(Format::Text));
        check(Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), Some(Format::OpenMetrics));
        check(Some("Application/OpenMetrics-Text;version=0.0.1"), Some(Format::OpenMetrics));
        check(Some("text/html; charset=utf-8"), None);
        assert_eq!(format_of(None, Format::OpenMetrics), Ok(Format::OpenMetrics));
        assert_eq!(format_of(Some("text/plain"), Format::OpenMetrics), Ok(Format::Text));
        assert!(format_of(Some("text/html"), Format::Text).unwrap_err().contains("web page"));
    }
}
