//! Answers for people, as promtool prints them: `up{job="node"} => 1 @[1700000000]`.

use std::io::{self, Write};

use serde_json::Value;
use storage::Labels;

/// Prints the answer's data, then its warnings and infos as comments; an error instead.
pub(super) fn show(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    if answer["status"] != "success" {
        return writeln!(out, "error: {}", answer["error"].as_str().unwrap_or("unknown"));
    }
    let data = &answer["data"];
    match data["resultType"].as_str() {
        Some(kind) => show_result(kind, &data["result"], out)?,
        None => {
            for item in list(data) {
                match item.as_str() {
                    Some(text) => writeln!(out, "{text}")?,
                    None => writeln!(out, "{}", metric(item))?,
                }
            }
        }
    }
    for text in ["warnings", "infos"].into_iter().flat_map(|key| list(&answer[key])).filter_map(Value::as_str) {
        writeln!(out, "# {text}")?;
    }
    Ok(())
}

fn show_result(kind: &str, result: &Value, out: &mut dyn Write) -> io::Result<()> {
    match kind {
        "scalar" => writeln!(out, "scalar: {}", at(&result[1], &result[0])),
        "string" => writeln!(out, "{}", result[1].as_str().unwrap_or_default()),
        "vector" => list(result).iter().try_for_each(|sample| {
            let point = if sample["histogram"].is_array() { &sample["histogram"] } else { &sample["value"] };
            writeln!(out, "{} => {}", metric(&sample["metric"]), at(&point[1], &point[0]))
        }),
        _ => list(result).iter().try_for_each(|series| {
            writeln!(out, "{} =>", metric(&series["metric"]))?;
            let mut points: Vec<&Value> = list(&series["values"]).iter().chain(list(&series["histograms"])).collect();
            points.sort_by(|a, b| seconds(&a[0]).total_cmp(&seconds(&b[0])));
            points.into_iter().try_for_each(|point| writeln!(out, "{}", at(&point[1], &point[0])))
        }),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn seconds(t: &Value) -> f64 {
    t.as_f64().unwrap_or(f64::NAN)
}

/// `1 @[1700000000]`
fn at(value: &Value, t: &Value) -> String {
    let shown = match value {
        Value::Object(_) => histogram(value),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    format!("{shown} @[{t}]")
}

/// `{count:4, sum:6, (1,2]:4}`
fn histogram(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut shown = format!("{{count:{}, sum:{}", text(&value["count"]), text(&value["sum"]));
    for bucket in list(&value["buckets"]) {
        let (open, close) = match bucket[0].as_i64() {
            Some(0) => ('(', ']'),
            Some(1) => ('[', ')'),
            Some(2) => ('(', ')'),
            _ => ('[', ']'),
        };
        shown += &format!(", {open}{},{}{close}:{}", text(&bucket[1]), text(&bucket[2]), text(&bucket[3]));
    }
    shown + "}"
}

/// `up{job="node"}`, to be used as a selector again.
fn metric(object: &Value) -> String {
    let pairs =
        object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or("")));
    Labels::from_pairs(pairs).map_or_else(|_| object.to_string(), |labels| labels.to_string())
}
