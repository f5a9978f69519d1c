//! Answers in pieces: a large one is written, and packed, only as fast as its client takes it.
//!
//! Here: [`QueryAnswer`], [`SeriesAnswer`] and their texts piece by piece. Elsewhere: the body that hands the pieces on
//! (`pieces`), the JSON of one sample (`json`), choosing the encoding (`compress`).
//!
//! Invariant: at most one piece of text is in memory for each answer.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value as Json;
use storage::Labels;

use super::answer::{HEAD, JSON, push_tail};
use super::compress::Encoding;
use super::json::{push_histogram, push_items, push_labels, push_sample, push_text, push_time};
use super::pieces::Pieces;
use crate::promql::{MatrixSeries, QueryResult, Value, VectorSample};
use crate::query::Sending;

/// So many points of a series are written at a stretch.
const POINTS: usize = 1024;
/// An answer of fewer points is written at once: it is cheaper than handing it to another thread.
const SMALL_POINTS: usize = 1000;

/// A query's answer on its way out.
#[derive(Debug)]
pub(super) struct QueryAnswer {
    /// What was found.
    pub(super) result: QueryResult,
    /// What it took, if somebody wants to know.
    pub(super) stats: Option<Json>,
    /// What the client takes.
    pub(super) encoding: Encoding,
    /// Counts the answer until it is sent.
    pub(super) sending: Sending,
}

impl QueryAnswer {
    fn is_small(&self) -> bool {
        match &self.result.value {
            Value::Scalar { .. } | Value::String { .. } => true,
            Value::Vector(samples) => {
                samples.len() <= SMALL_POINTS && samples.iter().all(|sample| sample.histogram.is_none())
            }
            Value::Matrix(series) => {
                let points: usize = series.iter().map(|s| s.points.len() + 1).sum();
                points <= SMALL_POINTS && series.iter().all(|s| s.histograms.is_empty())
            }
        }
    }
}

impl IntoResponse for QueryAnswer {
    fn into_response(self) -> Response {
        let is_small = self.is_small();
        let text = Text::new(self.result, self.stats);
        if is_small { whole(text) } else { in_pieces(text, self.encoding, self.sending) }
    }
}

/// Label sets on their way out: what `/api/v1/series` answers.
#[derive(Debug)]
pub(super) struct SeriesAnswer {
    /// Sorted.
    pub(super) found: Vec<Labels>,
    /// What else there is to say.
    pub(super) warnings: Vec<String>,
    /// What the client takes.
    pub(super) encoding: Encoding,
    /// Counts the answer until it is sent.
    pub(super) sending: Sending,
}

impl IntoResponse for SeriesAnswer {
    fn into_response(self) -> Response {
        const SMALL: usize = 200;
        let is_small = self.found.len() <= SMALL;
        let text = SeriesText { found: self.found.into_iter(), written: 0, warnings: self.warnings };
        if is_small { whole(text) } else { in_pieces(text, self.encoding, self.sending) }
    }
}

/// A text that is written as far as somebody asks.
pub(super) trait Source: Send {
    /// Writes some more; false once all is written.
    fn write(&mut self, out: &mut String) -> bool;
}

fn whole(mut text: impl Source) -> Response {
    let mut out = String::new();
    while text.write(&mut out) {}
    ([(header::CONTENT_TYPE, JSON)], out).into_response()
}

fn in_pieces(text: impl Source + 'static, encoding: Encoding, sending: Sending) -> Response {
    let mut response = Body::new(Pieces::new(Box::new(text), encoding, sending)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(name) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

struct SeriesText {
    found: std::vec::IntoIter<Labels>,
    written: usize,
    warnings: Vec<String>,
}

impl Source for SeriesText {
    fn write(&mut self, out: &mut String) -> bool {
        if self.written == 0 {
            out.push_str(HEAD);
            out.push('[');
        }
        match self.found.next() {
            Some(labels) => {
                push_comma(out, self.written == 0);
                push_labels(out, &labels);
                self.written += 1;
                true
            }
            None => {
                out.push(']');
                push_tail(out, &self.warnings, &[]);
                false
            }
        }
    }
}

/// The text of a query's answer.
#[derive(Debug)]
struct Text {
    place: Place,
    stats: Option<Json>,
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// What is to be written next.
#[derive(Debug)]
enum Place {
    Start(Value),
    Vector { samples: std::vec::IntoIter<VectorSample>, is_first: bool },
    Matrix { series: std::vec::IntoIter<MatrixSeries>, open: Option<(MatrixSeries, usize)>, is_first: bool },
    Tail,
    End,
}

impl Text {
    fn new(result: QueryResult, stats: Option<Json>) -> Self {
        let QueryResult { value, warnings, infos } = result;
        Text { place: Place::Start(value), stats, warnings, infos }
    }
}

impl Source for Text {
    fn write(&mut self, out: &mut String) -> bool {
        self.place = match std::mem::replace(&mut self.place, Place::End) {
            Place::Start(value) => start(value, out),
            Place::Vector { mut samples, is_first } => match samples.next() {
                Some(sample) => {
                    push_comma(out, is_first);
                    push_vector_sample(out, &sample);
                    Place::Vector { samples, is_first: false }
                }
                None => close(out),
            },
            Place::Matrix { series, open: Some((opened, written)), is_first } => {
                let open = push_points(out, opened, written);
                Place::Matrix { series, open, is_first }
            }
            Place::Matrix { mut series, open: None, is_first } => match series.next() {
                Some(next) => {
                    push_comma(out, is_first);
                    out.push_str(r#"{"metric":"#);
                    push_labels(out, &next.labels);
                    Place::Matrix { series, open: Some((next, 0)), is_first: false }
                }
                None => close(out),
            },
            Place::Tail => {
                if let Some(stats) = &self.stats {
                    out.push_str(r#","stats":"#);
                    out.push_str(&stats.to_string());
                }
                out.push('}');
                push_tail(out, &self.warnings, &self.infos);
                Place::End
            }
            Place::End => Place::End,
        };
        !matches!(self.place, Place::End)
    }
}

fn start(value: Value, out: &mut String) -> Place {
    let kind = match &value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    out.push_str(HEAD);
    out.push_str(r#"{"resultType":""#);
    out.push_str(kind);
    out.push_str(r#"","result":"#);
    match value {
        Value::Scalar { t, v } => push_sample(out, t, v),
        Value::String { t, s } => {
            out.push('[');
            push_time(out, t);
            out.push(',');
            push_text(out, &s);
            out.push(']');
        }
        Value::Vector(samples) => {
            out.push('[');
            return Place::Vector { samples: samples.into_iter(), is_first: true };
        }
        Value::Matrix(series) => {
            out.push('[');
            return Place::Matrix { series: series.into_iter(), open: None, is_first: true };
        }
    }
    Place::Tail
}

fn push_comma(out: &mut String, is_first: bool) {
    if !is_first {
        out.push(',');
    }
}

fn close(out: &mut String) -> Place {
    out.push(']');
    Place::Tail
}

fn push_vector_sample(out: &mut String, sample: &VectorSample) {
    out.push_str(r#"{"metric":"#);
    push_labels(out, &sample.labels);
    match &sample.histogram {
        None => {
            out.push_str(r#","value":"#);
            push_sample(out, sample.t, sample.v);
        }
        Some(histogram) => {
            out.push_str(r#","histogram":"#);
            push_histogram(out, sample.t, histogram);
        }
    }
    out.push('}');
}

/// Some more points of a series of which `written` are written, floats before histograms; what is left of it.
fn push_points(out: &mut String, series: MatrixSeries, written: usize) -> Option<(MatrixSeries, usize)> {
    let floats = series.points.len();
    if written < floats || written == 0 && series.histograms.is_empty() {
        let end = floats.min(written + POINTS);
        out.push_str(if written == 0 { r#","values":["# } else { "," });
        push_items(out, &series.points[written..end], |out, &(t, v)| push_sample(out, t, v));
        if end < floats {
            return Some((series, end));
        }
        out.push(']');
        if !series.histograms.is_empty() {
            return Some((series, floats));
        }
    } else {
        // Each is many numbers.
        const HISTOGRAMS: usize = 32;
        let from = written - floats;
        let end = series.histograms.len().min(from + HISTOGRAMS);
        out.push_str(if from == 0 { r#","histograms":["# } else { "," });
        push_items(out, &series.histograms[from..end], |out, (t, histogram)| push_histogram(out, *t, histogram));
        if end < series.histograms.len() {
            return Some((series, floats + end));
        }
        out.push(']');
    }
    out.push('}');
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::FloatHistogram;

    fn written(value: Value) -> String {
        let mut text = Text::new(QueryResult { value, warnings: Vec::new(), infos: Vec::new() }, None);
        let mut out = String::new();
        while text.write(&mut out) {}
        out
    }

    #[track_caller]
    fn check(value: Value, expected: &str) {
        let got = written(value);
        assert_eq!(got, format!("{}{expected}}}", super::super::answer::HEAD));
        serde_json::from_str::<serde_json::Value>(&got).unwrap();
    }

    #[test]
    fn values_are_written_as_prometheus_does() {
        let up = Labels::from_pairs([("__name__", "up"), ("a", "q\"\n")]).unwrap();
        check(
            Value::Scalar { t: 1_435_781_451_781, v: 2.0 },
            r#"{"resultType":"scalar","result":[1435781451.781,"2"]}"#,
        );
        check(Value::String { t: -1_010, s: "x".into() }, r#"{"resultType":"string","result":[-1.010,"x"]}"#);
        check(Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#);
        check(
            Value::Vector(vec![VectorSample { labels: up.clone(), t: 1_000, v: f64::NAN, histogram: None }]),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a":"q\"\n"},"value":[1,"NaN"]}]}"#,
        );
        check(
            Value::Matrix(vec![MatrixSeries {
                labels: Labels::empty(),
                points: vec![(1, 0.1), (2_000, f64::INFINITY)],
                histograms: Vec::new(),
            }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0.001,"0.1"],[2,"+Inf"]]}]}"#,
        );
    }

    #[test]
    fn histograms_are_written_as_prometheus_does() {
        let mut histogram = FloatHistogram::empty(0);
        histogram.positive = [(1, 2.0)].into_iter().collect();
        histogram.negative = [(0, 1.5)].into_iter().collect();
        (histogram.zero_threshold, histogram.zero_count) = (0.25, 1.0);
        (histogram.count, histogram.sum) = (4.5, f64::INFINITY);
        let histogram = std::sync::Arc::new(histogram);
        let text =
            r#"{"count":"4.5","sum":"+Inf","buckets":[[1,"-1","-0.5","1.5"],[3,"-0.25","0.25","1"],[0,"1","2","2"]]}"#;
        let labels = Labels::empty();
        check(
            Value::Vector(vec![VectorSample {
                labels: labels.clone(),
                t: 1_000,
                v: 0.0,
                histogram: Some(histogram.clone()),
            }]),
            &format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"histogram":[1,{text}]}}]}}"#),
        );
        let empty = std::sync::Arc::new(FloatHistogram::empty(0));
        check(
            Value::Matrix(vec![MatrixSeries { labels, points: vec![(0, 1.0)], histograms: vec![(1_000, empty)] }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"]],"histograms":[[1,{"count":"0","sum":"0"}]]}]}"#,
        );
    }

    #[test]
    fn long_series_come_in_parts_and_read_as_one() {
        let points: Vec<(i64, f64)> = (0..2 * POINTS as i64 + 7).map(|i| (i * 1000, i as f64 / 4.0)).collect();
        let histogram = std::sync::Arc::new(FloatHistogram::empty(0));
        let histograms: Vec<_> = (0..70).map(|i| (1_000_000_000 + i, histogram.clone())).collect();
        let series = |points: &[(i64, f64)], histograms: &[_]| MatrixSeries {
            labels: Labels::empty(),
            points: points.to_vec(),
            histograms: histograms.to_vec(),
        };
        let value = Value::Matrix(vec![
            series(&points, &histograms),
            series(&points[..1], &[]),
            series(&[], &histograms),
            series(&[], &[]),
        ]);
        let read: Json = serde_json::from_str(&written(value)).unwrap();
        let counts = |key: &str| -> Vec<Option<usize>> {
            let result = read["data"]["result"].as_array().unwrap();
            result.iter().map(|s| s.get(key).map(|list| list.as_array().unwrap().len())).collect()
        };
        assert_eq!(counts("values"), [Some(points.len()), Some(1), None, Some(0)]);
        assert_eq!(counts("histograms"), [Some(70), None, Some(70), None]);
    }
}
