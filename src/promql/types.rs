//! What goes in and comes out of a query: options, control, values, errors.
//!
//! Here: plain types that other rooms hold. Elsewhere: the engine that uses them (`engine`), what a query has used
//! (`numbers`), JSON (`api`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use storage::Labels;

use super::histogram::FloatHistogram;
use super::numbers::QueryNumbers;
use super::parse::ParseOptions;

/// Limits and defaults of an [`Engine`](super::Engine).
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How far an instant selector looks back, `--query.lookback-delta`, default 5 min.
    pub lookback: Duration,
    /// Most samples that a query holds at one moment: `--query.max-samples`, default 50 000 000.
    pub samples_max: u64,
    /// Most bytes that a query holds, estimated: `cairn.limits.query_memory_bytes_max`, default 1 GiB.
    pub memory_bytes_max: u64,
    /// Most series that a query selects, over all its selectors: `cairn.limits.query_series_max`, default 2 000 000.
    pub series_max: u64,
    /// Most bytes of an answer, 16 for a point and its labels: `cairn.limits.query_result_bytes_max`, default 256 MiB.
    pub result_bytes_max: u64,
    /// Threads that may work on one query, and beyond the first on all of them together; default as many as the machine
    /// has cores, and no more than `cairn.limits.query_cores_max`.
    pub cores: usize,
    /// Default step of a subquery without one: the global evaluation interval.
    pub subquery_step: Duration,
    /// What queries may use beyond the stable language, `--enable-feature`.
    pub syntax: ParseOptions,
    /// Whether metric names are dropped at the end of the query rather than at once,
    /// `--enable-feature=promql-delayed-name-removal`; off by default.
    pub delayed_name_removal: bool,
    /// Whether rates and resets look at stored start timestamps, `--enable-feature=use-start-timestamps`; off by default.
    pub use_start_timestamps: bool,
    /// Whether a counter is known by its label `__type__` rather than by its name, `--enable-feature=type-and-unit-labels`;
    /// off by default.
    pub type_and_unit_labels: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            lookback: Duration::from_secs(300),
            samples_max: 50_000_000,
            memory_bytes_max: 1 << 30,
            series_max: 2_000_000,
            result_bytes_max: 256 << 20,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            subquery_step: Duration::from_secs(60),
            syntax: ParseOptions::default(),
            delayed_name_removal: false,
            use_start_timestamps: false,
            type_and_unit_labels: false,
        }
    }
}

/// One query's handle for those outside: ends it early, and shows what it has used.
#[derive(Debug, Clone)]
pub struct QueryControl {
    /// When the query has run too long.
    pub deadline: Instant,
    /// Set by the asker when it goes away.
    pub canceled: Arc<AtomicBool>,
    /// Set by somebody else who wants it to end.
    killed: Arc<AtomicBool>,
    /// What it has used so far.
    pub numbers: Arc<QueryNumbers>,
    /// Called at each check: where a query may have to wait because others want to go on, too.
    pause: Option<fn(Instant)>,
}

impl QueryControl {
    /// A control that stops the query after `timeout`.
    pub fn with_timeout(timeout: Duration) -> Self {
        // Later than any clock shows counts as never.
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(u64::from(u32::MAX)));
        QueryControl {
            deadline,
            canceled: Arc::default(),
            killed: Arc::default(),
            numbers: Arc::default(),
            pause: None,
        }
    }

    /// The same with something to call at each check, with the time; checks are not under locks.
    pub fn pausing(self, pause: fn(Instant)) -> Self {
        QueryControl { pause: Some(pause), ..self }
    }

    /// The same, counting samples for each step, too.
    pub fn counting_steps(self) -> Self {
        QueryControl { numbers: Arc::new(QueryNumbers::with_steps()), ..self }
    }

    /// Stops the query at its next check.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
    }

    /// Stops the query at its next check, against its asker's will: the asker is told.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    /// The error that the query ends with if it is to end now.
    pub fn check(&self) -> Result<(), QueryError> {
        let now = Instant::now();
        if let Some(pause) = self.pause {
            pause(now);
        }
        if self.canceled.load(Ordering::Relaxed) {
            return Err(QueryError::Canceled);
        }
        if self.killed.load(Ordering::Relaxed) {
            return Err(QueryError::Killed);
        }
        if now >= self.deadline {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }
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

impl QueryResult {
    /// What it weighs: 16 bytes for a point, and the labels of its series.
    pub fn bytes(&self) -> u64 {
        let bytes: usize = match &self.value {
            Value::Scalar { .. } | Value::String { .. } => 0,
            Value::Vector(samples) => samples.iter().map(|s| s.labels.packed_bytes() + POINT_BYTES).sum(),
            Value::Matrix(series) => {
                let histograms = |s: &MatrixSeries| s.histograms.iter().map(|(_, h)| h.cost()).sum::<usize>();
                let points = |s: &MatrixSeries| POINT_BYTES * (s.points.len() + histograms(s));
                series.iter().map(|s| s.labels.packed_bytes() + points(s)).sum()
            }
        };
        bytes as u64
    }
}

/// A time and a value.
pub(super) const POINT_BYTES: usize = 16;

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
    /// Its value; 0 if it is a histogram.
    pub v: f64,
    /// Its value if it is a native histogram.
    pub histogram: Option<Arc<FloatHistogram>>,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// `(milliseconds, value)`, rising.
    pub points: Vec<(i64, f64)>,
    /// The same of native histograms; none at the time of a float.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

impl MatrixSeries {
    /// True if it has no point of either kind.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.histograms.is_empty()
    }
}

/// Why a query has no answer. The API maps each to Prometheus' `errorType`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// `bad_data`: the text does not parse or does not type-check; Prometheus' words with `line:column: parse error:`.
    #[error("{0}")]
    Parse(String),
    /// `execution`
    #[error("{0}")]
    Execution(String),
    /// `timeout`
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// `canceled`: the asker went away.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// `canceled`: somebody ended it.
    #[error("query was canceled in expression evaluation: it was ended through the list of running queries")]
    Killed,
}
