//! Two answers of the query API: what differs.
//!
//! Here: values to 1e-12, label sets, times, order where one is promised, annotations, kinds of errors. Elsewhere: which
//! differences are those of the versions (`known`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Largest relative difference of two values that are the same.
const TOLERANCE: f64 = 1e-12;

/// What is not the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// One side fails, or both in other ways.
    Error { theirs: Option<String>, ours: Option<String> },
    /// A warning or info that only one side has, without its position.
    Note { side: Side, text: String },
    /// Series, times or kinds of samples.
    Shape(String),
    /// A float, or a number of a histogram; how much of the larger one it is.
    Value(String, f64),
    /// The order of a vector.
    Order(String),
}

/// Who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Theirs,
    Ours,
}

/// What differs; nothing if the answers are the same, errors of one kind included.
pub fn compare(query: &str, theirs: &Value, ours: &Value) -> Vec<Difference> {
    let error = |answer: &Value| {
        let kind = answer["errorType"].as_str()?;
        Some(format!("{kind}: {}", answer["error"].as_str().unwrap_or_default()))
    };
    match (error(theirs), error(ours)) {
        (None, None) => {}
        // Which of several faults is met first is a matter of order; the words have tests of their own.
        (Some(_), Some(_)) if theirs["errorType"] == ours["errorType"] => return Vec::new(),
        (theirs, ours) => return vec![Difference::Error { theirs, ours }],
    }
    let mut found = Vec::new();
    found.extend(compare_results(query, &theirs["data"], &ours["data"]));
    for key in ["warnings", "infos"] {
        let (theirs, ours) = (note_kinds(&theirs[key]), note_kinds(&ours[key]));
        // Prometheus shows ten of them in no order.
        let is_cut = |notes: &BTreeSet<String>| notes.iter().any(|note| note.contains("omitted"));
        if is_cut(&theirs) || is_cut(&ours) {
            continue;
        }
        let note = |side, text: &String| Difference::Note { side, text: text.clone() };
        found.extend(theirs.difference(&ours).map(|text| note(Side::Theirs, text)));
        found.extend(ours.difference(&theirs).map(|text| note(Side::Ours, text)));
    }
    found
}

/// The texts without positions; where one text is about many places, which of them is shown is not said.
fn note_kinds(notes: &Value) -> BTreeSet<String> {
    let texts = notes.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| text.rsplit_once(" (").map_or(text, |(text, _)| text).to_owned()).collect()
}

fn compare_results(query: &str, theirs: &Value, ours: &Value) -> Option<Difference> {
    let kind = &theirs["resultType"];
    if *kind != ours["resultType"] {
        return Some(Difference::Shape(format!("{kind} there, {} here", ours["resultType"])));
    }
    match kind.as_str() {
        Some("scalar") => compare_floats("the scalar", &theirs["result"][1], &ours["result"][1]),
        Some("string") if theirs["result"][1] == ours["result"][1] => None,
        Some("string") => Some(Difference::Shape(format!("{} there, {} here", theirs["result"], ours["result"]))),
        _ => {
            let (theirs, ours) = (list(&theirs["result"]), list(&ours["result"]));
            compare_series(theirs, ours).or_else(|| compare_order(query, kind == "matrix", theirs, ours))
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn labels(series: &Value) -> BTreeMap<&str, &str> {
    let pairs = series["metric"].as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect()
}

fn compare_series(theirs: &[Value], ours: &[Value]) -> Option<Difference> {
    let sorted = |series: &[Value]| {
        let mut sorted: Vec<Value> = series.to_vec();
        sorted.sort_by(|a, b| labels(a).cmp(&labels(b)));
        sorted
    };
    let (theirs, ours) = (sorted(theirs), sorted(ours));
    let names = |series: &[Value]| series.iter().map(|s| s["metric"].to_string()).collect::<Vec<_>>().join(" ");
    if theirs.len() != ours.len() || theirs.iter().zip(&ours).any(|(a, b)| labels(a) != labels(b)) {
        return Some(Difference::Shape(format!("{} there, {} here", names(&theirs), names(&ours))));
    }
    theirs.iter().zip(&ours).find_map(|(theirs, ours)| {
        let place = theirs["metric"].to_string();
        let (left, right) = (points(theirs), points(ours));
        let (lengths, kinds) = ((left.len(), right.len()), left.iter().zip(&right));
        if lengths.0 != lengths.1 || kinds.clone().any(|(a, b)| a.0 != b.0 || a.1.is_object() != b.1.is_object()) {
            let odd = kinds.clone().find(|(a, b)| a.0 != b.0 || a.1.is_object() != b.1.is_object());
            return Some(Difference::Shape(format!("{place} has {lengths:?} points, first odd one {odd:?}")));
        }
        left.iter().zip(&right).find_map(|(a, b)| compare_points(&format!("{place} at {}", a.0), a.1, b.1))
    })
}

/// Times in milliseconds and values, oldest first; histograms are objects.
fn points(series: &Value) -> Vec<(i64, &Value)> {
    let one = [&series["value"], &series["histogram"]];
    let many = [&series["values"], &series["histograms"]];
    let all = one.into_iter().filter(|p| p.is_array()).chain(many.into_iter().flat_map(list));
    let mut points: Vec<(i64, &Value)> =
        all.map(|p| ((p[0].as_f64().unwrap_or(f64::NAN) * 1000.0).round() as i64, &p[1])).collect();
    points.sort_by_key(|p| p.0);
    points
}

fn compare_points(place: &str, theirs: &Value, ours: &Value) -> Option<Difference> {
    if !theirs.is_object() {
        return compare_floats(place, theirs, ours);
    }
    let count = compare_floats(&format!("{place} count"), &theirs["count"], &ours["count"]);
    let sum = || compare_floats(&format!("{place} sum"), &theirs["sum"], &ours["sum"]);
    count.or_else(sum).or_else(|| {
        let (left, right) = (list(&theirs["buckets"]), list(&ours["buckets"]));
        if left.len() != right.len() || left.iter().zip(right).any(|(a, b)| a[0] != b[0]) {
            return Some(Difference::Shape(format!("{place} is {theirs} there, {ours} here")));
        }
        let numbers = left.iter().zip(right).flat_map(|(a, b)| (1..4).map(move |i| (&a[i], &b[i])));
        numbers.into_iter().find_map(|(a, b)| compare_floats(&format!("{place} bucket"), a, b))
    })
}

fn compare_floats(place: &str, theirs: &Value, ours: &Value) -> Option<Difference> {
    let float = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let relative = match (float(theirs), float(ours)) {
        (Some(a), Some(b)) => relative_difference(a, b),
        _ => f64::INFINITY,
    };
    let words = || format!("{place} is {theirs} there, {ours} here");
    (relative > TOLERANCE).then(|| Difference::Value(words(), relative))
}

fn relative_difference(a: f64, b: f64) -> f64 {
    if (a.is_nan() && b.is_nan()) || a == b {
        return 0.0;
    }
    let relative = (a - b).abs() / a.abs().max(b.abs());
    if relative.is_nan() { f64::INFINITY } else { relative }
}

/// Sorting promises the order of values (not which of equal ones is first) or of labels; a matrix is sorted by labels.
fn compare_order(query: &str, is_matrix: bool, theirs: &[Value], ours: &[Value]) -> Option<Difference> {
    let is_by_label = query.starts_with("sort_by_label") || is_matrix;
    let is_by_value = query.starts_with("sort(") || query.starts_with("sort_desc(") || query.starts_with("topk(");
    let odd = theirs.iter().zip(ours).find(|(a, b)| {
        let values = compare_floats("", &a["value"][1], &b["value"][1]);
        (is_by_label && labels(a) != labels(b))
            || (!is_by_label && is_by_value && a["value"].is_array() && values.is_some())
    });
    odd.map(|(a, b)| Difference::Order(format!("{a} there where {b} is here")))
}
