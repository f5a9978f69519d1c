//! Recording and alerting rules: files in, series and alerts out.
//!
//! Here: what the rest of the server sees: [`RuleManager`], the store it needs ([`RuleStore`]), its options. Children:
//! `file` (reading rule files), `check` (the command line's check), `manager` (which groups run), `schedule` (one
//! group's task), `group` (one evaluation), `alerting` (alert states), `restore` (states after a restart), `status`
//! (what pages show).
//! Elsewhere: evaluating expressions and logging that (whoever implements [`RuleStore`]), telling people (`notify`), JSON (`api`).
//!
//! Invariant: the rules of a group run one after another at the same timestamp, and a failing rule stops no other.

mod alerting;
mod check;
mod file;
mod group;
mod manager;
mod metrics;
mod restore;
mod schedule;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use storage::{Appended, Batch};

use crate::clock::Clock;
use crate::notify::Notifier;
use crate::promql::{ParseOptions, QueryError, QueryResult, Source};

pub use check::{RulesChecked, check_rules, count_rules};
pub use file::{GroupConfig, RuleConfig, RuleKind, read_rule_file};
pub use manager::{RuleManager, read_rule_files};
pub use metrics::RuleMetrics;
pub use status::{AlertState, AlertStatus, GroupStatus, Health, RuleStatus, RuleStatusKind};

/// What is wrong in a rule file, and where.
pub type RuleFileError = crate::config::yaml::FileProblem;

/// What a rule asks, or a template of one.
#[derive(Debug, Clone, Copy)]
pub struct RuleQuery<'a> {
    /// PromQL.
    pub expr: &'a str,
    /// For when, milliseconds since the epoch.
    pub t: i64,
    /// The file of its group.
    pub file: &'a str,
    /// The name of its group.
    pub group: &'a str,
    /// Set while it runs if it is to end: its group is stopping.
    pub canceled: &'a Arc<AtomicBool>,
}

/// Where rules read and write: one tenant's samples.
pub trait RuleStore: Send + Sync {
    /// Answers an instant query. Blocks.
    fn query(&self, query: RuleQuery<'_>) -> Result<QueryResult, QueryError>;
    /// The series, to look into directly.
    fn source(&self) -> Arc<dyn Source>;
    /// Stores a batch; `now` is milliseconds since the epoch. May block on disk.
    fn append(&self, batch: &mut Batch, now: i64) -> Result<Appended, String>;
}

/// How rules are run. The defaults are Prometheus'.
#[derive(Debug, Clone)]
pub struct RuleOptions {
    /// Without a slash at its end; links in alerts begin with it.
    pub external_url: String,
    /// `--rules.alert.for-outage-tolerance`: how old a state may be that is taken up again.
    pub outage_tolerance: Duration,
    /// `--rules.alert.for-grace-period`: least time between a restart and firing again, and the shortest `for` that is
    /// restored.
    pub grace_period: Duration,
    /// `--rules.alert.resend-delay`: a firing alert is reported again after this.
    pub resend_delay: Duration,
    /// What expressions may use beyond the stable language, `--enable-feature`.
    pub syntax: ParseOptions,
    /// Rule evaluations at once, over all groups.
    pub evaluations_max: usize,
}

impl Default for RuleOptions {
    fn default() -> Self {
        RuleOptions {
            external_url: String::new(),
            outage_tolerance: Duration::from_secs(3600),
            grace_period: Duration::from_secs(600),
            resend_delay: Duration::from_secs(60),
            syntax: ParseOptions::default(),
            evaluations_max: 4,
        }
    }
}

/// What every group uses.
struct Context {
    store: Arc<dyn RuleStore>,
    clock: Clock,
    notifier: Option<Arc<Notifier>>,
    metrics: RuleMetrics,
    options: RuleOptions,
    /// Replaced as a whole at a reload.
    external_labels: Mutex<Arc<BTreeMap<String, String>>>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Context {
    fn external_labels(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&lock(&self.external_labels))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
