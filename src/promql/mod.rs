//! PromQL: text to values.
//!
//! Here: the parser, the planner and the columnar evaluator; the functions, one family per file.
//! Elsewhere: where samples come from (`storage`, reached through [`Source`]), who may ask (the server), JSON (`api`).
//!
//! Invariant: the meaning is Prometheus'; evaluation time is a parameter, no clock is read.

pub mod ast;
pub mod functions;
mod parse;
mod print;

pub use parse::{ParseError, ParseOptions, QUERY_BYTES_MAX, parse, parse_selector, parse_with};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use storage::{Columns, Labels, Matcher, TimeRange};

/// Where an engine finds series. `storage::Db` is the usual one; a union of several is how federation reads.
pub trait Source: Send + Sync {
    /// Series that satisfy all `matchers` with a sample in `range`, sorted by labels, and warnings about what could not be read.
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<SourceSeries, SourceError>;
}

/// What [`Source::select`] found.
pub struct SourceSeries {
    /// Sorted by labels.
    pub series: Vec<Box<dyn SeriesReader>>,
    /// One sentence each; they end up in the answer's `warnings`.
    pub warnings: Vec<String>,
}

/// One series of a [`Source`].
pub trait SeriesReader: Send + Sync {
    /// Its labels.
    fn labels(&self) -> &Labels;
    /// Appends its samples in the selected range to `out`, oldest first; staleness markers included.
    fn read_into(&self, out: &mut Columns) -> Result<(), SourceError>;
}

/// The store's words when reading fails as a whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Limits and defaults of an [`Engine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How far an instant selector looks back, `--query.lookback-delta`, default 5 min.
    pub lookback: Duration,
    /// `--query.max-samples`, default 50 000 000.
    pub samples_max: u64,
    /// Default step of a subquery without one: the global evaluation interval.
    pub subquery_step: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            lookback: Duration::from_secs(300),
            samples_max: 50_000_000,
            subquery_step: Duration::from_secs(60),
        }
    }
}

/// Ends one query early: a deadline, and a flag that the asker sets when it goes away. Checked between series.
#[derive(Debug, Clone)]
pub struct QueryControl {
    /// When the query has run too long.
    pub deadline: Instant,
    /// Set by anyone to stop it.
    pub canceled: Arc<AtomicBool>,
}

impl QueryControl {
    /// A control that stops the query after `timeout`.
    pub fn with_timeout(timeout: Duration) -> Self {
        QueryControl { deadline: Instant::now() + timeout, canceled: Arc::default() }
    }

    /// Stops the query at its next check.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
    }
}

/// The evaluator. Stateless but for its options; any number of queries at once.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: EngineOptions,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// Warnings, in Prometheus' words with position.
    pub warnings: Vec<String>,
    /// Infos, in Prometheus' words with position.
    pub infos: Vec<String>,
}

/// What a query evaluates to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number at the evaluation time `t` (milliseconds).
    Scalar { t: i64, v: f64 },
    /// A string at the evaluation time.
    String { t: i64, s: String },
    /// One sample for each series; `t` is the evaluation time.
    Vector(Vec<VectorSample>),
    /// Points for each series, sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub t: i64,
    /// Its value.
    pub v: f64,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// `(milliseconds, value)`, rising.
    pub points: Vec<(i64, f64)>,
}

/// Why a query has no answer. The API maps each to Prometheus' `errorType`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// `bad_data`: the text does not parse or does not type-check; Prometheus' message with `line:column: parse error:`.
    #[error("{0}")]
    Parse(String),
    /// `execution`
    #[error("{0}")]
    Execution(String),
    /// `timeout`
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// `canceled`
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

impl Engine {
    /// An engine with these limits.
    pub fn new(options: EngineOptions) -> Self {
        Engine { options }
    }

    /// Evaluates `query` at `t` (milliseconds).
    pub fn instant(
        &self,
        _source: &dyn Source,
        query: &str,
        t: i64,
        _control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        let _ = (&self.options, query, t);
        Err(QueryError::Execution("the evaluator is not built yet".to_owned()))
    }

    /// Evaluates `query` at `start`, `start + step`, … up to `end` (milliseconds, inclusive; `step > 0`).
    pub fn range(
        &self,
        _source: &dyn Source,
        query: &str,
        start: i64,
        end: i64,
        step: i64,
        _control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        let _ = (query, start, end, step);
        Err(QueryError::Execution("the evaluator is not built yet".to_owned()))
    }
}
