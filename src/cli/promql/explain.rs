//! `cairn promql explain`: the tree of a query with types, and what each selector reads.
//!
//! Elsewhere: the plan itself (`promql::plan`).

use std::io::Write;

use serde_json::{Value, json};
use storage::TimeRange;

use super::{Backend, Output, Span, refusal};
use crate::promql::{EngineOptions, Plan, Reads, parse_with, plan};

/// 1 if the query is refused.
pub(super) fn run(
    backend: &dyn Backend,
    query: &str,
    times: (i64, i64, i64),
    output: Output,
    out: &mut dyn Write,
) -> Result<u8, String> {
    let (options, features) = backend.engine()?;
    let planned = parse_with(query, options.syntax)
        .map_err(|e| refusal("bad_data", &e.to_string()))
        .and_then(|expr| plan(&expr, times, &options).map_err(|e| refusal("execution", &e.to_string())));
    let planned = match planned {
        Ok(planned) => planned,
        Err(refused) => return super::show(&refused, output, out).map_err(|e| e.to_string()),
    };
    let written = match output {
        Output::Json => {
            let tree = tree(backend, &planned)?;
            let answer = json!({
                "status": "success",
                "data": { "plan": tree, "features": features, "lookback": options.lookback.as_secs_f64() },
            });
            writeln!(out, "{answer}")
        }
        Output::Text => writeln!(out, "{}", text(backend, &planned, &options, &features)?),
    };
    written.map(|()| 0).map_err(|e| e.to_string())
}

/// How many series there are now; what is written or ends until the query runs is not known.
fn series_count(backend: &dyn Backend, reads: &Reads) -> Result<usize, String> {
    let span = Span { start: Some(reads.range.min_t), end: Some(reads.range.max_t.saturating_sub(1)) };
    let answer = backend.series(&[selector(reads)], span)?;
    match answer["data"].as_array() {
        Some(found) => Ok(found.len()),
        None => Err(answer["error"].as_str().unwrap_or("the series cannot be counted").to_owned()),
    }
}

fn selector(reads: &Reads) -> String {
    format!("{{{}}}", reads.matchers.join(", "))
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{}s", ms / 1000), |t| t.to_string())
}

/// `(after, last]`
fn window(range: TimeRange) -> (String, String) {
    (time(range.min_t.saturating_sub(1)), time(range.max_t.saturating_sub(1)))
}

fn text(backend: &dyn Backend, planned: &Plan, options: &EngineOptions, features: &[String]) -> Result<String, String> {
    let on = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let lookback = crate::config::format_duration(options.lookback);
    let mut lines = vec![format!("features: {on}"), format!("lookback: {lookback}"), String::new()];
    push(backend, planned, "", "", &mut lines)?;
    Ok(lines.join("\n"))
}

/// A node after `branch`, what belongs to it after `rest`.
fn push(backend: &dyn Backend, node: &Plan, branch: &str, rest: &str, lines: &mut Vec<String>) -> Result<(), String> {
    lines.push(format!("{branch}{} → {}", node.what, node.value_type.documented()));
    if let Some(reads) = &node.reads {
        let (after, last) = window(reads.range);
        lines.push(format!("{rest}   series: {} of {}", series_count(backend, reads)?, selector(reads)));
        lines.push(format!("{rest}   samples: after {after}, up to {last}"));
    }
    for (i, part) in node.parts.iter().enumerate() {
        let (branch, next) = if i + 1 == node.parts.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        push(backend, part, &format!("{rest}{branch}"), &format!("{rest}{next}"), lines)?;
    }
    Ok(())
}

fn tree(backend: &dyn Backend, node: &Plan) -> Result<Value, String> {
    let parts: Result<Vec<Value>, String> = node.parts.iter().map(|part| tree(backend, part)).collect();
    let mut found = json!({ "node": node.what, "type": node.value_type.name(), "parts": parts? });
    if let Some(reads) = &node.reads {
        let (after, last) = window(reads.range);
        found["reads"] = json!({
            "matchers": reads.matchers,
            "after": after,
            "last": last,
            "series": series_count(backend, reads)?,
        });
    }
    Ok(found)
}
