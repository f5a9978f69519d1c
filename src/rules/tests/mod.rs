//! Rules against a real `Db` and the real engine; time turned by hand.
//!
//! Here: the store and the bench that the tests share. Children: `files` (what is refused), `states` (one group,
//! evaluation by evaluation), `manager` (tasks, reloads, restarts, messages), `shipped` (the files in `rules/`, with
//! promtool).

mod files;
mod manager;
mod promtool;
mod shipped;
mod states;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use storage::{Appended, Batch, Columns, Db, Durability, Labels, Matcher, Options, TimeRange, is_stale_nan};

use super::group::Group;
use super::*;
use crate::promql::{Engine, QueryControl};
use crate::telemetry::Registry;

/// A whole day, so that intervals are easy to follow.
const START: i64 = 1_699_920_000_000;
const MINUTE: i64 = 60_000;

struct Store {
    db: Arc<Db>,
    /// What rules have asked: file, group, expression.
    asked: Mutex<Vec<String>>,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
        Arc::new(Store { db, asked: Mutex::default(), _dir: dir })
    }

    fn put(&self, series: &str, t: i64, v: f64) {
        self.put_labels(labels(series), t, v);
    }

    fn put_labels(&self, labels: Labels, t: i64, v: f64) {
        let mut batch = Batch::new();
        batch.push(labels.clone(), t, v);
        let appended = self.db.append(&mut batch, t, Durability::Written).unwrap();
        assert_eq!(appended.accepted, 1, "{labels} at {t}");
    }

    /// Every sample of a metric: series, seconds since the start, value (`stale` for a marker).
    fn samples(&self, metric: &str) -> Vec<String> {
        let found = self.db.select(&[Matcher::equal("__name__", metric)], TimeRange::ALL).unwrap();
        let mut out = Vec::new();
        for series in &found.series {
            let mut columns = Columns::default();
            series.read_into(&mut columns).unwrap();
            for (t, v) in columns.t.iter().zip(&columns.v) {
                let value = if is_stale_nan(*v) { "stale".to_owned() } else { v.to_string() };
                out.push(format!("{} {} {value}", series.labels(), (t - START) / 1000));
            }
        }
        out
    }
}

impl RuleStore for Store {
    fn query(&self, query: RuleQuery<'_>) -> Result<QueryResult, QueryError> {
        let mut control = QueryControl::with_timeout(Duration::from_secs(120));
        control.canceled = Arc::clone(query.canceled);
        lock(&self.asked).push(format!("{} {}: {}", query.file, query.group, query.expr));
        Engine::default().instant(&*self.db, query.expr, query.t, &control)
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.db) as Arc<dyn Source>
    }

    fn append(&self, batch: &mut Batch, now: i64) -> Result<Appended, String> {
        self.db.append(batch, now, Durability::Written).map_err(|e| e.to_string())
    }
}

/// `a=1,b=2`, the metric's name as `__name__`.
fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(',').map(|pair| pair.split_once('=').unwrap())).unwrap()
}

fn context(store: &Arc<Store>, clock: &Clock, registry: &Registry) -> Context {
    let options = RuleOptions { external_url: "http://cairn.example".to_owned(), ..RuleOptions::default() };
    Context {
        store: Arc::clone(store) as Arc<dyn RuleStore>,
        clock: clock.clone(),
        notifier: None,
        metrics: RuleMetrics::register(registry),
        options,
        external_labels: Mutex::new(Arc::new(BTreeMap::from([("site".to_owned(), "here".to_owned())]))),
        permits: Arc::new(tokio::sync::Semaphore::new(1)),
    }
}

/// One group, evaluated by hand.
struct Bench {
    store: Arc<Store>,
    clock: Clock,
    registry: Registry,
    ctx: Context,
    group: Group,
}

impl Bench {
    fn new(rules: &str) -> Self {
        Self::on(Store::new(), rules, false)
    }

    fn on(store: Arc<Store>, rules: &str, restores: bool) -> Self {
        let (clock, registry) = (Clock::manual(START), Registry::new());
        let ctx = context(&store, &clock, &registry);
        Bench { store, clock, registry, ctx, group: group(rules, restores) }
    }

    /// Evaluates at a minute since the start.
    fn evaluate(&self, minute: i64) {
        self.clock.set(START + minute * MINUTE);
        self.group.evaluate(&self.ctx, START + minute * MINUTE);
    }

    fn put(&self, series: &str, minute: i64, v: f64) {
        self.store.put(series, START + minute * MINUTE, v);
    }

    fn rule(&self, index: usize) -> RuleStatus {
        self.group.status().rules[index].clone()
    }

    /// State and alerts of the first rule, shortly.
    fn alerts(&self) -> Vec<(AlertState, i64)> {
        let RuleStatusKind::Alerting { alerts, .. } = self.rule(0).kind else { panic!("not an alerting rule") };
        alerts.iter().map(|a| (a.state, (a.active_at - START) / MINUTE)).collect()
    }
}

/// A group of one minute with these rules (indented by two).
fn group(rules: &str, restores: bool) -> Group {
    let text = format!("groups:\n- name: g\n  rules:\n{rules}");
    let config = read_rule_file("r.yml", &text).unwrap().remove(0);
    Group::new(config, MINUTE, restores)
}
