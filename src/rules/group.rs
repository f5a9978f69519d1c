//! One rule group: its state, and one evaluation of all its rules.
//!
//! Here: query, templates, writing results and staleness markers, handing alerts to the notifier. Blocking.
//! Elsewhere: when (`schedule`), which groups (`manager`), alert states (`alerting`).
//!
//! Invariant: only one evaluation of a group runs at a time; the lock on the state is never held during a query or a
//! write.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use storage::{Batch, Labels, LabelsBuilder, METRIC_NAME, stale_nan};

use crate::notify;
use crate::promql::histogram::FloatHistogram;
use crate::promql::{QueryError, Value as QueryValue, VectorSample};
use crate::template::{Env, QuerySample, Template, Value, table_link};

use super::alerting::{self, Active, ActiveAlert, Found, Holds};
use super::metrics::Iteration;
use super::status::{AlertState, GroupStatus, Health, RuleStatus, RuleStatusKind};
use super::{Context, GroupConfig, RuleConfig, RuleKind, RuleQuery, lock, millis, restore};

/// A group that runs.
pub(super) struct Group {
    pub(super) config: GroupConfig,
    pub(super) interval_ms: i64,
    /// `file;name`, as metrics have it.
    pub(super) key: String,
    state: Mutex<State>,
    /// Set to break off an evaluation.
    canceled: Arc<AtomicBool>,
    /// Alert states are yet to be taken up from before a restart.
    pub(super) restore_pending: AtomicBool,
}

#[derive(Default)]
struct State {
    /// One for each rule of the configuration.
    rules: Vec<RuleState>,
    /// Series of rules that a reload removed: they are marked stale at the next evaluation.
    orphans: HashSet<Labels>,
    evaluation_seconds: f64,
    last_evaluation: Option<i64>,
}

#[derive(Clone, Default)]
struct RuleState {
    /// Series of the last evaluation.
    previous: HashSet<Labels>,
    active: Active,
    /// `ALERTS` is written only once states from before a restart are known, else it would overwrite them.
    restored: bool,
    health: Health,
    last_error: Option<String>,
    evaluation_seconds: f64,
    last_evaluation: Option<i64>,
}

enum RuleError {
    /// The group is stopping; nothing is to be recorded.
    Canceled,
    Failed(String),
}

impl From<String> for RuleError {
    fn from(message: String) -> Self {
        RuleError::Failed(message)
    }
}

impl Group {
    /// A group that has never run. With `restores` it takes up alert states after its second evaluation.
    pub(super) fn new(config: GroupConfig, interval_ms: i64, restores: bool) -> Self {
        let rule = RuleState { restored: !restores, ..RuleState::default() };
        let state = State { rules: vec![rule; config.rules.len()], ..State::default() };
        Group {
            key: format!("{};{}", config.file, config.name),
            config,
            interval_ms,
            state: Mutex::new(state),
            canceled: Arc::default(),
            restore_pending: AtomicBool::new(restores),
        }
    }

    /// How far back the rules look, milliseconds; the manager has filled in the global setting.
    fn query_offset_ms(&self) -> i64 {
        self.config.query_offset_ms.unwrap_or(0)
    }

    /// Takes over what `old`, which no longer runs, knew of the rules that both have.
    pub(super) fn copy_state(&self, old: &Group) {
        let old_state = std::mem::take(&mut *lock(&old.state));
        let mut known: HashMap<String, std::collections::VecDeque<RuleState>> = HashMap::new();
        for (rule, state) in old.config.rules.iter().zip(old_state.rules) {
            known.entry(rule.identity()).or_default().push_back(state);
        }
        let mut state = lock(&self.state);
        state.evaluation_seconds = old_state.evaluation_seconds;
        state.last_evaluation = old_state.last_evaluation;
        for (rule, slot) in self.config.rules.iter().zip(&mut state.rules) {
            if let Some(same) = known.get_mut(&rule.identity()).and_then(|same| same.pop_front()) {
                (slot.previous, slot.active, slot.restored) = (same.previous, same.active, same.restored);
            }
        }
        state.orphans = old_state.orphans;
        state.orphans.extend(known.into_values().flatten().flat_map(|left| left.previous));
        self.restore_pending.fetch_or(old.restore_pending.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Breaks off an evaluation under way.
    pub(super) fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst)
    }

    /// All series that the last evaluation gave.
    pub(super) fn series(&self) -> HashSet<Labels> {
        let state = lock(&self.state);
        state.rules.iter().flat_map(|r| &r.previous).chain(&state.orphans).cloned().collect()
    }

    /// Evaluates all rules at `t`. Blocks.
    pub(super) fn evaluate(&self, ctx: &Context, t: i64) {
        let (started, started_at) = (Instant::now(), ctx.clock.now_ms());
        let mut samples = 0;
        for index in 0..self.config.rules.len() {
            let rule_started = Instant::now();
            let rule_started_at = ctx.clock.now_ms();
            let outcome = self.evaluate_rule(ctx, index, t);
            let error = match outcome {
                Err(RuleError::Canceled) => return,
                Ok(written) => {
                    samples += written;
                    None
                }
                Err(RuleError::Failed(message)) => Some(message),
            };
            ctx.metrics.count_rule(&self.key, error.is_some());
            self.record(index, rule_started_at, rule_started.elapsed().as_secs_f64(), error);
        }
        self.mark_orphans_stale(ctx, t);
        let seconds = started.elapsed().as_secs_f64();
        let mut state = lock(&self.state);
        state.evaluation_seconds = seconds;
        state.last_evaluation = Some(started_at);
        drop(state);
        ctx.metrics.count_iteration(&self.key, &Iteration { started_at, seconds, samples });
    }

    fn record(&self, index: usize, started_at: i64, seconds: f64, error: Option<String>) {
        let rule = &self.config.rules[index];
        let mut state = lock(&self.state);
        let slot = &mut state.rules[index];
        // An error that lasts is said once, not at every evaluation.
        if let Some(message) = error.as_ref().filter(|_| slot.last_error.is_none()) {
            tracing::warn!(group = %self.key, rule = %rule.name, error = %message, "rule evaluation failed");
        }
        slot.health = if error.is_some() { Health::Bad } else { Health::Good };
        slot.last_error = error;
        slot.evaluation_seconds = seconds;
        slot.last_evaluation = Some(started_at);
    }

    /// The number of samples written.
    fn evaluate_rule(&self, ctx: &Context, index: usize, t: i64) -> Result<u64, RuleError> {
        let rule = &self.config.rules[index];
        let queried_at = t - self.query_offset_ms();
        let vector = self.query(ctx, &rule.expr, queried_at)?;
        let samples = match &rule.kind {
            RuleKind::Recording => self.recorded(rule, vector)?,
            RuleKind::Alerting { for_ms, keep_firing_for_ms, annotations } => {
                let holds = Holds { for_ms: *for_ms, keep_firing_for_ms: *keep_firing_for_ms };
                self.alerted(ctx, index, vector, annotations, holds, t)?.into_iter().map(Recorded::float).collect()
            }
        };
        self.write(ctx, index, samples, queried_at)
    }

    fn query(&self, ctx: &Context, expr: &str, t: i64) -> Result<Vec<VectorSample>, RuleError> {
        let (file, group, canceled) = (&self.config.file, &self.config.name, &self.canceled);
        let result = match ctx.store.query(RuleQuery { expr, t, file, group, canceled }) {
            Ok(result) => result,
            Err(QueryError::Canceled) if self.is_canceled() => return Err(RuleError::Canceled),
            Err(e) => return Err(RuleError::Failed(e.to_string())),
        };
        match result.value {
            QueryValue::Vector(vector) => Ok(vector),
            QueryValue::Scalar { t, v } => Ok(vec![VectorSample { labels: Labels::empty(), t, v, histogram: None }]),
            _ => Err("rule result is not a vector or scalar".to_owned().into()),
        }
    }

    fn recorded(&self, rule: &RuleConfig, vector: Vec<VectorSample>) -> Result<Vec<Recorded>, RuleError> {
        let count = vector.len() as u64;
        let mut samples = BTreeMap::new();
        for sample in vector {
            let mut labels = LabelsBuilder::from_labels(&sample.labels);
            labels.set(METRIC_NAME, rule.name.as_str());
            for (name, text) in &rule.labels {
                labels.set(name, text.text());
            }
            if samples.insert(labels.build(), (sample.v, sample.histogram)).is_some() {
                return Err("vector contains metrics with the same labelset after applying rule labels"
                    .to_owned()
                    .into());
            }
        }
        match self.config.limit {
            limit if limit > 0 && count > limit => Err(format!("exceeded limit of {limit} with {count} series").into()),
            _ => Ok(samples.into_iter().map(|(labels, (v, histogram))| Recorded { labels, v, histogram }).collect()),
        }
    }

    fn alerted(
        &self,
        ctx: &Context,
        index: usize,
        vector: Vec<VectorSample>,
        annotations: &BTreeMap<String, Template>,
        holds: Holds,
        t: i64,
    ) -> Result<Vec<(Labels, f64)>, RuleError> {
        let rule = &self.config.rules[index];
        let external_labels = ctx.external_labels();
        let found = vector.into_iter().map(|s| self.found(ctx, rule, &s, annotations, &external_labels, t)).collect();
        let mut state = lock(&self.state);
        let slot = &mut state.rules[index];
        alerting::update(&mut slot.active, found, t, holds, self.config.limit)?;
        let samples = if slot.restored { alerting::samples(&slot.active) } else { Vec::new() };
        let resend_ms = millis(ctx.options.resend_delay);
        let due = alerting::take_due(&mut slot.active, t, resend_ms);
        drop(state);
        if let Some(notifier) = ctx.notifier.as_ref().filter(|_| !due.is_empty()) {
            // Two evaluations or two messages may fail before the receiving side takes the alert for ended.
            let valid_until = t + 4 * self.interval_ms.max(resend_ms);
            let alert = |(labels, alert)| told(ctx, rule, labels, alert, &external_labels, valid_until);
            notifier.submit(due.into_iter().map(alert).collect());
        }
        Ok(samples)
    }

    /// An element of the vector as an alert, its templates expanded.
    fn found(
        &self,
        ctx: &Context,
        rule: &RuleConfig,
        sample: &VectorSample,
        annotations: &BTreeMap<String, Template>,
        external_labels: &BTreeMap<String, String>,
        t: i64,
    ) -> Found {
        let queried_at = t - self.query_offset_ms();
        let query = |expr: &str| match self.query(ctx, expr, queried_at) {
            Ok(vector) => Ok(vector.into_iter().map(query_sample).collect()),
            Err(RuleError::Canceled) => Err("the rule group is stopping".to_owned()),
            Err(RuleError::Failed(message)) => Err(message),
        };
        let env = Env { now_ms: t, external_url: &ctx.options.external_url, query: &query };
        let values = [
            Value::labels(&sample.labels),
            Value::Labels(Arc::new(external_labels.clone())),
            Value::str(ctx.options.external_url.as_str()),
            Value::Float(sample.v),
        ];
        let names = ["Labels", "ExternalLabels", "ExternalURL", "Value"];
        let data = Value::Struct(Arc::new(names.into_iter().zip(values.iter().cloned()).collect()));
        let expand = |template: &Template| {
            template.render(&data, &values, &env).unwrap_or_else(|e| {
                tracing::warn!(group = %self.key, rule = %rule.name, error = %e, "expanding a template failed");
                format!("<error expanding template: error executing template {}: {e}>", e.name)
            })
        };
        let mut labels = LabelsBuilder::from_labels(&sample.labels);
        labels.remove(METRIC_NAME);
        for (name, template) in &rule.labels {
            labels.set(name, expand(template));
        }
        labels.set("alertname", rule.name.as_str());
        let annotations = annotations.iter().map(|(name, template)| (name.clone(), expand(template))).collect();
        Found { labels: labels.build(), annotations, value: sample.v }
    }

    /// Stores a rule's results at `t`, and staleness markers for the series that it no longer gives.
    fn write(&self, ctx: &Context, index: usize, samples: Vec<Recorded>, t: i64) -> Result<u64, RuleError> {
        let previous = lock(&self.state).rules[index].previous.clone();
        let mut batch = Batch::new();
        let mut given: HashSet<Labels> = HashSet::with_capacity(samples.len());
        let (mut order, mut histogram_order) = (Vec::with_capacity(samples.len()), Vec::new());
        for Recorded { labels, v, histogram } in samples {
            given.insert(labels.clone());
            match histogram {
                None => {
                    batch.push(labels.clone(), t, v);
                    order.push(labels);
                }
                Some(histogram) => {
                    batch.push_histogram(labels.clone(), t, histogram.to_stored());
                    histogram_order.push(labels);
                }
            }
        }
        for gone in previous.difference(&given) {
            batch.push(gone.clone(), t, stale_nan());
        }
        if batch.is_empty() {
            return Ok(0);
        }
        let appended = ctx.store.append(&mut batch, ctx.clock.now_ms())?;
        let mut first_refusal = None;
        let kinds = [(&appended.refused, &order), (&appended.refused_histograms, &histogram_order)];
        for (refused, order) in kinds {
            for refused in refused.iter().filter(|r| r.index < order.len()) {
                given.remove(&order[refused.index]);
                first_refusal.get_or_insert_with(|| format!("{}: {}", order[refused.index], refused.reason));
            }
        }
        let written = given.len() as u64;
        lock(&self.state).rules[index].previous = given;
        match first_refusal {
            Some(message) => Err(message.into()),
            None => Ok(written),
        }
    }

    fn mark_orphans_stale(&self, ctx: &Context, t: i64) {
        let orphans = std::mem::take(&mut lock(&self.state).orphans);
        let current = self.series();
        let gone = orphans.into_iter().filter(|labels| !current.contains(labels));
        write_stale(ctx, gone, t - self.query_offset_ms());
    }

    /// Takes up alert states from before a restart. Blocks.
    pub(super) fn restore(&self, ctx: &Context) {
        let now = ctx.clock.now_ms();
        for (index, rule) in self.config.rules.iter().enumerate() {
            let RuleKind::Alerting { for_ms, .. } = rule.kind else { continue };
            // A rule that fires sooner than the grace period ends would only be delayed by it.
            let states = if for_ms < millis(ctx.options.grace_period) || lock(&self.state).rules[index].restored {
                Ok(HashMap::new())
            } else {
                restore::last_states(&*ctx.store.source(), rule, now, &ctx.options)
            };
            let mut state = lock(&self.state);
            let slot = &mut state.rules[index];
            match states {
                Ok(states) => restore::restore(&mut slot.active, &states, for_ms, now, &ctx.options),
                Err(e) => {
                    tracing::warn!(group = %self.key, rule = %rule.name, error = %e, "alert states are not restored")
                }
            }
            slot.restored = true;
        }
        self.restore_pending.store(false, Ordering::SeqCst);
    }

    /// A copy for pages.
    pub(super) fn status(&self) -> GroupStatus {
        let state = lock(&self.state);
        GroupStatus {
            name: self.config.name.clone(),
            file: self.config.file.clone(),
            interval_ms: self.interval_ms,
            limit: self.config.limit,
            query_offset_ms: self.query_offset_ms(),
            rules: self.config.rules.iter().zip(&state.rules).map(|(rule, slot)| rule_status(rule, slot)).collect(),
            evaluation_seconds: state.evaluation_seconds,
            last_evaluation: state.last_evaluation,
        }
    }
}

/// A sample that a rule gives.
struct Recorded {
    labels: Labels,
    v: f64,
    /// The value if it is a native histogram.
    histogram: Option<Arc<FloatHistogram>>,
}

impl Recorded {
    fn float((labels, v): (Labels, f64)) -> Self {
        Recorded { labels, v, histogram: None }
    }
}

/// Ends series at `t`.
pub(super) fn write_stale(ctx: &Context, series: impl Iterator<Item = Labels>, t: i64) {
    let mut batch = Batch::new();
    series.for_each(|labels| batch.push(labels, t, stale_nan()));
    if batch.is_empty() {
        return;
    }
    if let Err(e) = ctx.store.append(&mut batch, ctx.clock.now_ms()) {
        tracing::warn!(error = %e, "series of removed rules are not marked stale");
    }
}

fn query_sample(sample: VectorSample) -> QuerySample {
    let labels = sample.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    QuerySample { labels: Arc::new(labels), value: sample.v }
}

/// An alert as the notifier takes it.
fn told(
    ctx: &Context,
    rule: &RuleConfig,
    labels: Labels,
    alert: ActiveAlert,
    external_labels: &BTreeMap<String, String>,
    valid_until: i64,
) -> notify::Alert {
    let mut all = LabelsBuilder::from_labels(&labels);
    for (name, value) in external_labels.iter().filter(|(name, _)| labels.get(name).is_none()) {
        all.set(name, value.as_str());
    }
    notify::Alert {
        labels: all.build(),
        annotations: alert.annotations,
        starts_at: alert.fired_at,
        ends_at: Some(alert.resolved_at.unwrap_or(valid_until)),
        generator_url: format!("{}{}", ctx.options.external_url, table_link(&rule.query)),
    }
}

fn rule_status(rule: &RuleConfig, slot: &RuleState) -> RuleStatus {
    let kind = match &rule.kind {
        RuleKind::Recording => RuleStatusKind::Recording,
        RuleKind::Alerting { for_ms, keep_firing_for_ms, annotations } => RuleStatusKind::Alerting {
            state: slot.active.values().map(|a| a.state).max().unwrap_or(AlertState::Inactive),
            for_seconds: *for_ms as f64 / 1000.0,
            keep_firing_for_seconds: *keep_firing_for_ms as f64 / 1000.0,
            annotations: annotations.iter().map(|(n, t)| (n.clone(), t.text().to_owned())).collect(),
            alerts: alerting::statuses(&slot.active),
        },
    };
    RuleStatus {
        name: rule.name.clone(),
        query: rule.query.clone(),
        labels: rule.label_texts(),
        health: slot.health,
        last_error: slot.last_error.clone(),
        evaluation_seconds: slot.evaluation_seconds,
        last_evaluation: slot.last_evaluation,
        kind,
    }
}
