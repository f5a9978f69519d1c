//! What pages and the API show about rules: a copy, taken at one moment.
//!
//! Here: plain structs with every field of `/api/v1/rules` and `/api/v1/alerts`. Elsewhere: their JSON (`api`).

use std::collections::BTreeMap;

use storage::Labels;

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStatus {
    /// `name`
    pub name: String,
    /// `file`
    pub file: String,
    /// `interval`, milliseconds.
    pub interval_ms: i64,
    /// `limit`, 0 is none.
    pub limit: u64,
    /// `query_offset`, milliseconds.
    pub query_offset_ms: i64,
    /// In the file's order.
    pub rules: Vec<RuleStatus>,
    /// How long the last evaluation took, in seconds.
    pub evaluation_seconds: f64,
    /// When it began, milliseconds; `None`: not yet.
    pub last_evaluation: Option<i64>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// The metric or the alert.
    pub name: String,
    /// The expression as Prometheus prints it.
    pub query: String,
    /// As written, templates not expanded.
    pub labels: BTreeMap<String, String>,
    /// `health`
    pub health: Health,
    /// `lastError`
    pub last_error: Option<String>,
    /// `evaluationTime`, seconds.
    pub evaluation_seconds: f64,
    /// `lastEvaluation`, milliseconds; `None`: not yet.
    pub last_evaluation: Option<i64>,
    /// `type` and what only that type has.
    pub kind: RuleStatusKind,
}

/// `type`
#[derive(Debug, Clone, PartialEq)]
pub enum RuleStatusKind {
    /// `recording`
    Recording,
    /// `alerting`
    Alerting {
        /// The highest state of its alerts.
        state: AlertState,
        /// `duration`: `for` in seconds.
        for_seconds: f64,
        /// `keepFiringFor`, seconds.
        keep_firing_for_seconds: f64,
        /// As written.
        annotations: BTreeMap<String, String>,
        /// Pending and firing ones, sorted by labels.
        alerts: Vec<AlertStatus>,
    },
}

/// Whether the last evaluation of a rule worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// It worked.
    Good,
    /// It failed.
    Bad,
}

impl Health {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Good => "ok",
            Health::Bad => "err",
        }
    }
}

/// State of an alert, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Its condition does not hold.
    Inactive,
    /// It holds, but not yet for long enough.
    Pending,
    /// People should know.
    Firing,
}

impl AlertState {
    /// As the API and the label `alertstate` have it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// A pending or firing alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertStatus {
    /// With `alertname`.
    pub labels: Labels,
    /// Expanded.
    pub annotations: BTreeMap<String, String>,
    /// `state`
    pub state: AlertState,
    /// `activeAt`, milliseconds.
    pub active_at: i64,
    /// `keepFiringSince`, milliseconds, while it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<i64>,
    /// The expression's value.
    pub value: f64,
}
