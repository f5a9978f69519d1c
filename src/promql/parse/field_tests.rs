//! Queries from the field: dashboards where they lie beside the project, and the opinion of another parser.

use std::fs;
use std::path::Path;

use promql_parser::parser as other;
use regex::Regex;

use super::parse;
use crate::promql::ast::{Expr, ExprKind};

/// Shapes of queries that people write.
const COMMON: [&str; 34] = [
    "up",
    "up{job=\"a\", instance!~\"b.*\"}",
    "-up",
    "-1 ^ 2",
    "2 ^ 3 ^ 2",
    "1 - 2 - 3",
    "1 + 2 * 3 / 4 % 5",
    "a or b and c unless d",
    "a == bool 1 or b > 2",
    "a + on (x) group_left (y) b",
    "a / ignoring (x, y) b",
    "sum by (a) (rate(b[5m]))",
    "sum(rate(b[5m])) without (a)",
    "topk(5, avg by (x) (y))",
    "quantile(0.9, x)",
    "count_values(\"v\", x)",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "rate(x[5m] offset 1h)",
    "x offset -5m",
    "x @ 100",
    "x[5m] @ end()",
    "max_over_time(rate(x[5m])[1h:1m])",
    "max_over_time((x > 1)[1h:] @ start() offset 5m)",
    "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")",
    "absent(x{a=\"b\"})",
    "scalar(x) + vector(1)",
    "time() - x > 3600",
    "(a + b) * (c - d)",
    "sum(a) + sum(b",
    "a +",
    "rate(x)",
    "sum by (a (b)",
    "{}",
    "a[5m",
];

/// A tree reduced to what both parsers agree to name: kinds, operators, functions.
fn shape(expr: &Expr) -> String {
    if let ExprKind::Unary(unary) = &expr.kind
        && !unary.is_minus
    {
        // The other parser drops a plus.
        return shape(&unary.expr);
    }
    let inner: Vec<String> = expr.children().into_iter().map(shape).collect();
    let name = match &expr.kind {
        ExprKind::Number(n) => format!("{}", n.value),
        ExprKind::String(s) => format!("{s:?}"),
        ExprKind::Paren(_) => "paren".to_owned(),
        ExprKind::Unary(_) => "minus".to_owned(),
        ExprKind::Binary(b) => b.op.as_str().to_owned(),
        ExprKind::Aggregate(a) => a.op.as_str().to_owned(),
        ExprKind::Call(c) => c.function.name.to_owned(),
        ExprKind::Selector(s) => format!("selector {} {}", s.matchers.len(), s.offset_ms),
        ExprKind::Matrix(m) => format!("matrix {} {} {}", m.selector.matchers.len(), m.range_ms, m.selector.offset_ms),
        ExprKind::Subquery(s) => format!("subquery {} {}", s.range_ms, s.offset_ms),
    };
    format!("{name}({})", inner.join(","))
}

fn other_offset(offset: &Option<other::Offset>) -> i64 {
    match offset {
        Some(other::Offset::Pos(d)) => d.as_millis() as i64,
        Some(other::Offset::Neg(d)) => -(d.as_millis() as i64),
        None => 0,
    }
}

/// They keep the name apart from the other conditions.
fn other_matchers(s: &other::VectorSelector) -> usize {
    s.matchers.matchers.len() + usize::from(s.name.is_some())
}

fn other_shape(expr: &other::Expr) -> String {
    use other::Expr as E;
    let (name, inner) = match expr {
        E::NumberLiteral(n) => (format!("{}", n.val), vec![]),
        E::StringLiteral(s) => (format!("{:?}", s.val), vec![]),
        E::Paren(p) => ("paren".to_owned(), vec![&*p.expr]),
        E::Unary(u) => ("minus".to_owned(), vec![&*u.expr]),
        E::Binary(b) => (b.op.to_string(), vec![&*b.lhs, &*b.rhs]),
        E::Aggregate(a) => (a.op.to_string(), a.param.iter().map(|p| &**p).chain([&*a.expr]).collect()),
        E::Call(c) => (c.func.name.to_owned(), c.args.args.iter().map(|a| &**a).collect()),
        E::VectorSelector(s) => (format!("selector {} {}", other_matchers(s), other_offset(&s.offset)), vec![]),
        E::MatrixSelector(m) => {
            let (count, offset) = (other_matchers(&m.vs), other_offset(&m.vs.offset));
            (format!("matrix {count} {} {offset}", m.range.as_millis()), vec![])
        }
        E::Subquery(s) => (format!("subquery {} {}", s.range.as_millis(), other_offset(&s.offset)), vec![&*s.expr]),
        E::Extension(_) => ("extension".to_owned(), vec![]),
    };
    format!("{name}({})", inner.into_iter().map(other_shape).collect::<Vec<_>>().join(","))
}

#[test]
fn another_parser_sees_the_same_trees() {
    for query in COMMON {
        match (parse(query), other::parse(query)) {
            (Ok(ours), Ok(theirs)) => assert_eq!(shape(&ours), other_shape(&theirs), "{query}"),
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{query}: {:?} here, {:?} there", ours.map(|e| shape(&e)), theirs.is_ok()),
        }
    }
}

fn collect_queries(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(query) = map.get("expr").and_then(|v| v.as_str()) {
                queries.push(query.to_owned());
            }
            map.values().for_each(|v| collect_queries(v, queries));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| collect_queries(v, queries)),
        _ => {}
    }
}

/// Puts something plausible in the place of every dashboard variable.
fn substitute(variable: &Regex, query: &str) -> String {
    variable
        .replace_all(query, |found: &regex::Captures<'_>| {
            let name = found.get(1).or(found.get(2)).map_or("", |m| m.as_str());
            match name {
                n if n.ends_with("interval") || n.ends_with("range") => "5m",
                "topk" | "qrep" | "latency_metrics" => "5",
                _ => "x",
            }
        })
        .into_owned()
}

#[test]
fn dashboards_parse() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/dashboards"));
    let Ok(entries) = fs::read_dir(dir) else {
        println!("skipped: no dashboards in {}", dir.display());
        return;
    };
    let variable = Regex::new(r"\$\{?([A-Za-z_]\w*)(?::\w+)?\}?|\[\[(\w+)\]\]").expect("a valid expression");
    let (mut accepted, mut refused, mut differing) = (0, Vec::new(), Vec::new());
    for path in entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json"))
    {
        let text = fs::read_to_string(&path).expect("a readable dashboard");
        let mut queries = Vec::new();
        collect_queries(&serde_json::from_str(&text).expect("a dashboard is JSON"), &mut queries);
        for query in queries.iter().map(|q| substitute(&variable, q)).filter(|q| !q.trim().is_empty()) {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match parse(&query) {
                Err(e) => refused.push(format!("{file}: {query}: {e}")),
                Ok(ours) => {
                    accepted += 1;
                    let printed = ours.to_string();
                    let again = parse(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
                    assert_eq!(shape(&again), shape(&ours), "{query} printed as {printed}");
                    // The other parser takes milliseconds for each: a sample of the queries is enough.
                    let is_sampled = accepted % 10 == 0;
                    if is_sampled && other::parse(&query).is_ok_and(|theirs| other_shape(&theirs) != shape(&ours)) {
                        differing.push(query);
                    }
                }
            }
        }
    }
    println!("{accepted} queries parse, {} do not:\n{}", refused.len(), refused.join("\n"));
    assert_eq!(differing, Vec::<String>::new(), "the other parser sees them differently");
    // VictoriaMetrics' own dashboards use functions of its own; everything else is PromQL.
    let unexpected: Vec<&String> = refused.iter().filter(|text| !text.starts_with("victoriametrics__")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(accepted > 1800, "{accepted} queries parse");
}
