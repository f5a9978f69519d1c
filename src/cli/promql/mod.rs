//! `cairn promql`: queries from the command line, to a running server or to a data directory.
//!
//! Here: the subcommands and what they have in common. Elsewhere: who answers (`server`, `directory`), how answers look
//! (`shape`, `text`), what a query will do (`explain`).
//!
//! Invariant: both ways of asking give the same answer, in the shape of Prometheus' HTTP API.

mod directory;
mod explain;
mod server;
mod shape;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use storage::Matcher;

use super::features;
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::promql::{EngineOptions, layout, parse_selector, parse_with};
use directory::Directory;
use server::Server;

/// A range query without `--step` has about so many points, as promtool's.
const POINTS: i64 = 250;
/// What a range query looks at without `--start`.
const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// `cairn promql …`
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Promql {
    /// Evaluate a query at one moment.
    Query {
        /// The query.
        query: String,
        /// When: seconds since 1970 or RFC 3339. Default: now.
        #[arg(long, value_parser = time, allow_hyphen_values = true)]
        time: Option<i64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Evaluate a query at many moments.
    Range {
        /// The query.
        query: String,
        #[command(flatten)]
        window: Window,
        /// Distance of the moments, such as 30s. Default: 250 of them, at least a second.
        #[arg(long, value_parser = step)]
        step: Option<i64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Lay a query out over lines.
    Format {
        /// The query.
        query: String,
        /// Features that the query may use.
        #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
        features: Vec<String>,
    },
    /// Say what a query would do: its tree with types, and which series and samples each selector reads.
    Explain {
        /// The query.
        query: String,
        #[command(flatten)]
        window: Window,
        /// Distance of the moments of a range query; without it the plan is that of an instant query at `--end`.
        #[arg(long, value_parser = step)]
        step: Option<i64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// List names of labels, or the values of one.
    Labels {
        /// The label whose values are listed.
        name: Option<String>,
        /// Only of series that this selects; can be repeated.
        #[arg(long = "match", value_name = "SELECTOR")]
        matches: Vec<String>,
        #[command(flatten)]
        window: Window,
        #[command(flatten)]
        asked: Asked,
    },
    /// List series.
    Series {
        /// Which, such as 'up{job="node"}'.
        #[arg(required = true, value_name = "SELECTOR")]
        matches: Vec<String>,
        #[command(flatten)]
        window: Window,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Two ends of a time.
#[derive(Debug, Clone, Copy, PartialEq, Args)]
pub struct Window {
    /// From when on: seconds since 1970 or RFC 3339.
    #[arg(long, value_parser = time, allow_hyphen_values = true)]
    pub start: Option<i64>,
    /// Until when, inclusive. Default: now.
    #[arg(long, value_parser = time, allow_hyphen_values = true)]
    pub end: Option<i64>,
}

/// Who is asked, and how the answer looks.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Asked {
    /// A running server.
    #[arg(long, env = "CAIRN_URL", default_value = "http://127.0.0.1:9090", value_parser = server::url)]
    pub url: url::Url,
    /// A header of the requests, such as 'Authorization: Bearer …'; can be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = server::header)]
    pub headers: Vec<(String, String)>,
    /// A data directory instead of a server. Nothing in it is changed, and a server may have it open: what it wrote up to now
    /// is seen.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The tenant. Needed where there are several.
    #[arg(long)]
    pub tenant: Option<String>,
    /// With --data-dir: features that the query may use.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
    pub features: Vec<String>,
    /// With --data-dir: how far back an instant looks for a series' last sample.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub lookback_delta: Duration,
    /// Longest wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// How the answer looks.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `-o`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, as promtool prints it.
    Text,
    /// What the HTTP API answers.
    Json,
}

/// Who answers. Times are milliseconds; answers are those of Prometheus' HTTP API, errors included.
trait Backend {
    fn instant(&self, query: &str, t: i64) -> Result<Value, String>;
    fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Value, String>;
    /// Names of labels, or values of `name`.
    fn labels(&self, name: Option<&str>, matches: &[String], window: Span) -> Result<Value, String>;
    fn series(&self, matches: &[String], window: Span) -> Result<Value, String>;
    /// How queries are evaluated there, and the features that are on.
    fn engine(&self) -> Result<(EngineOptions, Vec<String>), String>;
}

/// Both ends inclusive; all time where one is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: Option<i64>,
    end: Option<i64>,
}

/// 0 if there is an answer; 1 if the query is refused, 2 if nobody can be asked.
pub(super) fn run(command: &Promql, out: &mut dyn Write) -> io::Result<u8> {
    let asked = match command {
        Promql::Format { query, features } => {
            return match parse_with(query, features::syntax(features)) {
                Ok(expr) => writeln!(out, "{}", layout(&expr)).map(|()| 0),
                Err(e) => writeln!(out, "error: {e}").map(|()| 1),
            };
        }
        Promql::Query { asked, .. }
        | Promql::Range { asked, .. }
        | Promql::Explain { asked, .. }
        | Promql::Labels { asked, .. }
        | Promql::Series { asked, .. } => asked,
    };
    let opened: Result<Box<dyn Backend>, String> = match &asked.data_dir {
        Some(dir) => Directory::open(dir, asked).map(|found| Box::new(found) as Box<dyn Backend>),
        None => Server::new(asked).map(|found| Box::new(found) as Box<dyn Backend>),
    };
    match opened.and_then(|backend| answer(command, backend.as_ref(), asked.output, out)) {
        Ok(Answered::Json(answer)) => show(&answer, asked.output, out),
        Ok(Answered::Shown(code)) => Ok(code),
        Err(words) => writeln!(out, "error: {words}").map(|()| 2),
    }
}

enum Answered {
    /// To be shown.
    Json(Value),
    /// Already, with this exit code.
    Shown(u8),
}

fn answer(command: &Promql, backend: &dyn Backend, output: Output, out: &mut dyn Write) -> Result<Answered, String> {
    let now = || Clock::system().now_ms();
    Ok(Answered::Json(match command {
        Promql::Format { .. } => Value::Null,
        Promql::Query { query, time, .. } => backend.instant(query, time.unwrap_or_else(now))?,
        Promql::Range { query, window, step, .. } => {
            let (start, end) = ends(*window, now());
            let step = step.unwrap_or_else(|| (end.saturating_sub(start) / POINTS / 1000 * 1000).max(1000));
            backend.range(query, start, end, step)?
        }
        Promql::Explain { query, window, step, .. } => {
            let times = match step {
                Some(step) => (ends(*window, now()).0, ends(*window, now()).1, *step),
                None => (window.end.unwrap_or_else(now), window.end.unwrap_or_else(now), 0),
            };
            return explain::run(backend, query, times, output, out).map(Answered::Shown);
        }
        Promql::Labels { name, matches, window, .. } => {
            backend.labels(name.as_deref(), matches, Span { start: window.start, end: window.end })?
        }
        Promql::Series { matches, window, .. } => {
            backend.series(matches, Span { start: window.start, end: window.end })?
        }
    }))
}

fn ends(window: Window, now: i64) -> (i64, i64) {
    let end = window.end.unwrap_or(now);
    (window.start.unwrap_or(end.saturating_sub(DEFAULT_RANGE_MS)), end)
}

fn show(answer: &Value, output: Output, out: &mut dyn Write) -> io::Result<u8> {
    match output {
        Output::Json => writeln!(out, "{answer}")?,
        Output::Text => text::show(answer, out)?,
    }
    Ok(u8::from(answer["status"] != "success"))
}

/// An answer that refuses.
fn refusal(kind: &str, words: &str) -> Value {
    json!({ "status": "error", "errorType": kind, "error": words })
}

fn selectors(matches: &[String]) -> Result<Vec<Vec<Matcher>>, String> {
    matches.iter().map(|text| parse_selector(text).map_err(|e| e.to_string())).collect()
}

/// Milliseconds of seconds since 1970 or of RFC 3339.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        let is_time = ms.is_finite() && ms.abs() < i64::MAX as f64;
        return if is_time { Ok(ms.round() as i64) } else { Err("that is no time".to_owned()) };
    }
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let words = |_| "write seconds since 1970, or a time such as 2026-01-31T08:00:00Z".to_owned();
    parsed.map(jiff::Timestamp::as_millisecond).map_err(words)
}

/// Milliseconds of `15`, `0.5` (seconds) or `1m30s`; above 0.
fn step(text: &str) -> Result<i64, String> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => (seconds * 1000.0) as i64,
        Err(_) => i64::try_from(parse_duration(text)?.as_millis()).map_err(|e| e.to_string())?,
    };
    if ms > 0 { Ok(ms) } else { Err("write a duration above 0, such as 30s".to_owned()) }
}
