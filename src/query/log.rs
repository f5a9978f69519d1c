//! What was asked: Prometheus' query log, and the newest slow queries of each tenant.
//!
//! Here: the file (`global.query_log_file`), one line of JSON for each query that took long enough, and the list.
//! Elsewhere: queries that still run (`active`).
//!
//! Invariant: the list holds at most so many of each tenant; a file that cannot be written to costs no query.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};

use super::active::shown;
use super::stats::stats_json;
use super::{Ask, Cost, Origin, When};
use crate::config::{QueryLogConfig, TenantId};
use crate::telemetry::Registry;

/// A query that has ended.
#[derive(Debug, Clone)]
pub struct SlowQuery {
    /// Its text, cut where it is long.
    pub query: String,
    /// For when.
    pub when: When,
    /// Who asked.
    pub origin: Origin,
    /// When it ended, milliseconds since the epoch.
    pub ended_ms: i64,
    /// What it took.
    pub cost: Cost,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// The settings that a reload replaces, the file opened.
#[derive(Debug, Default)]
pub struct LogSettings {
    file: Option<File>,
    path: Option<PathBuf>,
    config: QueryLogConfig,
}

impl LogSettings {
    /// Opens the file, which is made if it is not there and written to at its end.
    pub fn open(path: Option<PathBuf>, config: QueryLogConfig) -> Result<Self, String> {
        let open = |path: &PathBuf| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened
                .map_err(|e| format!("{}: the query log (global.query_log_file) cannot be opened: {e}", path.display()))
        };
        let file = path.as_ref().map(open).transpose()?;
        Ok(LogSettings { file, path, config })
    }
}

#[derive(Debug)]
pub(super) struct QueryLog {
    settings: Mutex<LogSettings>,
    slow: Mutex<BTreeMap<TenantId, VecDeque<SlowQuery>>>,
    enabled: Gauge,
    failures: Counter,
}

impl QueryLog {
    pub(super) fn new(registry: &Registry) -> Self {
        let (enabled, failures) = (Gauge::default(), Counter::default());
        registry.with(|r| {
            r.register("prometheus_engine_query_log_enabled", "State of the query log", enabled.clone());
            r.register("prometheus_engine_query_log_failures", "The number of query log failures", failures.clone());
        });
        QueryLog { settings: Mutex::default(), slow: Mutex::default(), enabled, failures }
    }

    pub(super) fn apply(&self, settings: LogSettings) {
        self.enabled.set(i64::from(settings.file.is_some()));
        *lock(&self.settings) = settings;
    }

    /// Notes a query that has ended. May wait for the disk.
    pub(super) fn note(&self, tenant: &TenantId, ask: &Ask, cost: &Cost, error: Option<String>, now_ms: i64) {
        let took = cost.queued + cost.ran;
        let mut settings = lock(&self.settings);
        if took >= settings.config.threshold && settings.file.is_some() {
            self.write(&mut settings, &line(tenant, ask, cost, error.as_deref(), now_ms));
        }
        let QueryLogConfig { slow_threshold, slow_kept, .. } = settings.config;
        drop(settings);
        if took < slow_threshold {
            return;
        }
        let mut slow = lock(&self.slow);
        let mine = slow.entry(tenant.clone()).or_default();
        mine.push_back(SlowQuery {
            query: shown(&ask.query),
            when: ask.when,
            origin: ask.origin.clone(),
            ended_ms: now_ms,
            cost: cost.clone(),
            error,
        });
        while mine.len() > slow_kept {
            mine.pop_front();
        }
    }

    fn write(&self, settings: &mut LogSettings, line: &str) {
        let Some(file) = &mut settings.file else { return };
        if let Err(error) = file.write_all(line.as_bytes()) {
            // A full disk lasts: it is said once, and counted.
            if self.failures.inc() == 0 {
                let path = settings.path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
                tracing::error!(component = "query", path, %error, "the query log cannot be written to; later failures are counted only");
            }
        }
    }

    /// The newest slow queries of a tenant, newest first.
    pub(super) fn slow(&self, tenant: &TenantId, limit: usize) -> Vec<SlowQuery> {
        let slow = lock(&self.slow);
        slow.get(tenant).map(|mine| mine.iter().rev().take(limit).cloned().collect()).unwrap_or_default()
    }
}

/// A line as Prometheus writes it; the tenant is ours.
fn line(tenant: &TenantId, ask: &Ask, cost: &Cost, error: Option<&str>, now_ms: i64) -> String {
    let (start, end, step) = match ask.when {
        When::Instant(t) => (t, t, 0),
        When::Range { start, end, step } => (start, end, step / 1000),
    };
    let mut entry = json!({
        "time": date(now_ms),
        "level": "INFO",
        "msg": "promql query logged",
        "params": { "end": date(end), "query": ask.query, "start": date(start), "step": step },
    });
    if let Some(error) = error {
        entry["error"] = Value::from(error);
    }
    entry["stats"] = stats_json(cost, ask.when);
    let Origin { client, method, path, rule_group } = &ask.origin;
    match rule_group {
        Some(group) => entry["ruleGroup"] = json!({ "file": group.file, "name": group.name }),
        None => entry["httpRequest"] = json!({ "clientIP": client, "method": method, "path": path }),
    }
    entry["tenant"] = Value::from(tenant.as_str());
    format!("{entry}\n")
}

/// `2026-01-02T03:04:05.678Z`
fn date(t_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(t_ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_slow_ones_are_kept_for_each_tenant() {
        let log = QueryLog::new(&Registry::new());
        let config =
            QueryLogConfig { slow_threshold: Duration::from_secs(1), slow_kept: 2, ..QueryLogConfig::default() };
        log.apply(LogSettings::open(None, config).unwrap());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        for (i, ms) in [1500, 10, 999, 1000, 3000].into_iter().enumerate() {
            let cost = Cost { ran: Duration::from_millis(ms), ..Cost::default() };
            log.note(&a, &Ask::instant(&format!("q{i}"), 0), &cost, None, i as i64);
        }
        let texts = |tenant, limit| log.slow(tenant, limit).into_iter().map(|s| s.query).collect::<Vec<_>>();
        assert_eq!(texts(&a, 9), ["q4", "q3"]);
        assert_eq!(texts(&a, 1), ["q4"]);
        assert!(texts(&b, 9).is_empty());
    }

    #[test]
    fn the_file_has_prometheus_lines_of_what_took_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("query.log");
        let config = QueryLogConfig { threshold: Duration::from_millis(5), ..QueryLogConfig::default() };
        let log = QueryLog::new(&Registry::new());
        log.apply(LogSettings::open(Some(path.clone()), config).unwrap());
        let tenant = TenantId::anonymous();
        let mut ask = Ask::instant("up == \"0\"", 1_500);
        ask.when = When::Range { start: 1_500, end: 61_000, step: 15_000 };
        let path_of_range = "/api/v1/query_range";
        ask.origin = Origin { client: "::1".to_owned(), method: "POST", path: path_of_range, ..Origin::default() };
        let cost = |ms| Cost { ran: Duration::from_millis(ms), ..Cost::default() };
        log.note(&tenant, &ask, &cost(4), None, 0);
        log.note(&tenant, &ask, &cost(5), Some("no".to_owned()), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let entry: Value = serde_json::from_str(&text).unwrap();
        let params = json!({
            "query": "up == \"0\"", "start": "1970-01-01T00:00:01.500Z", "end": "1970-01-01T00:01:01.000Z", "step": 15
        });
        assert_eq!(entry["params"], params);
        assert_eq!((&entry["error"], &entry["msg"]), (&json!("no"), &json!("promql query logged")));
        assert_eq!(entry["stats"]["timings"]["execTotalTime"], 0.005);
        let request = json!({ "clientIP": "::1", "method": "POST", "path": "/api/v1/query_range" });
        assert_eq!(entry["httpRequest"], request);
        let refused = LogSettings::open(Some(dir.path().to_owned()), config).unwrap_err();
        assert!(refused.contains("global.query_log_file"), "{refused}");
    }
}
