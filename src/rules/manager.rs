//! Which groups run.
//!
//! Here: [`RuleManager`]: loading files, starting, replacing and removing groups, stopping. Elsewhere: running one
//! (`schedule`).
//!
//! Invariant: either all files of a configuration are valid and their groups run, or nothing changes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use storage::Labels;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Global, expand_glob};
use crate::notify::Notifier;
use crate::promql::ParseOptions;

use super::group::{Group, write_stale};
use super::status::{AlertStatus, GroupStatus, RuleStatusKind};
use super::{Context, GroupConfig, RuleFileError, RuleMetrics, RuleOptions, RuleStore, check, lock, millis, schedule};

/// Most groups in all files.
const GROUPS_MAX: usize = 10_000;

/// The rules of one tenant.
pub struct RuleManager {
    ctx: Arc<Context>,
    /// Sorted by file and name, the order of the API. The lock is short; `changing` is taken before it.
    groups: Mutex<BTreeMap<GroupId, Running>>,
    /// Held during a whole [`RuleManager::apply`] or [`RuleManager::stop`].
    changing: tokio::sync::Mutex<Changing>,
    stop: CancellationToken,
}

/// File and name.
type GroupId = (String, String);

struct Running {
    group: Arc<Group>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Changing {
    /// A configuration was applied before: rules that come later have no state from before the start.
    applied: bool,
    /// Tasks that end the series of removed groups.
    sweeps: JoinSet<()>,
}

impl RuleManager {
    /// A manager without groups. Without a notifier alerts are only shown.
    pub fn new(
        store: Arc<dyn RuleStore>,
        clock: Clock,
        notifier: Option<Arc<Notifier>>,
        metrics: RuleMetrics,
        options: RuleOptions,
    ) -> Self {
        let permits = Arc::new(tokio::sync::Semaphore::new(options.evaluations_max.max(1)));
        let ctx = Context { store, clock, notifier, metrics, options, external_labels: Mutex::default(), permits };
        RuleManager {
            ctx: Arc::new(ctx),
            groups: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Loads the rule files that `patterns` match and runs their groups, what they leave out taken from `global`; groups that did not change go on undisturbed,
    /// changed ones keep the state of the rules they share. On an error the old groups keep running.
    pub async fn apply(&self, patterns: &[PathBuf], global: &Global) -> Result<(), Vec<RuleFileError>> {
        let interval = global.evaluation_interval;
        let mut changing = self.changing.lock().await;
        let patterns = patterns.to_vec();
        let syntax = self.ctx.options.syntax;
        let loading = tokio::task::spawn_blocking(move || read_rule_files(&patterns, syntax));
        let loaded =
            loading.await.unwrap_or_else(|e| Err(vec![file_error("rules", format!("loading ended badly: {e}"))]))?;
        *lock(&self.ctx.external_labels) = Arc::new(global.external_labels.clone());
        let mut wanted: BTreeMap<GroupId, GroupConfig> =
            loaded.into_iter().map(|g| ((g.file.clone(), g.name.clone()), g)).collect();
        for group in wanted.values_mut() {
            group.query_offset_ms.get_or_insert(millis(global.rule_query_offset));
        }
        let restores = !changing.applied;
        let mut leaving = self.take_changed(&mut wanted, interval);
        self.end_tasks(leaving.values_mut()).await;
        for (id, config) in wanted {
            let interval_ms = config.interval_ms.unwrap_or(millis(interval)).max(1);
            let group = Group::new(config, interval_ms, restores);
            if let Some(old) = leaving.remove(&id) {
                group.copy_state(&old.group);
            }
            self.start(id, group);
        }
        for old in leaving.into_values() {
            self.ctx.metrics.remove_group(&old.group.key);
            self.sweep_later(&mut changing.sweeps, &old.group);
        }
        changing.applied = true;
        while changing.sweeps.try_join_next().is_some() {}
        Ok(())
    }

    /// Takes out the running groups that are not in `wanted` as they are, and out of `wanted` those that are.
    fn take_changed(
        &self,
        wanted: &mut BTreeMap<GroupId, GroupConfig>,
        interval: Duration,
    ) -> BTreeMap<GroupId, Running> {
        let mut groups = lock(&self.groups);
        let running = std::mem::take(&mut *groups);
        let (same, leaving): (BTreeMap<_, _>, BTreeMap<_, _>) = running.into_iter().partition(|(id, running)| {
            let is_same = |config: &GroupConfig| {
                running.group.config.is_same(config)
                    && running.group.interval_ms == config.interval_ms.unwrap_or(millis(interval)).max(1)
            };
            wanted.get(id).is_some_and(is_same)
        });
        wanted.retain(|id, _| !same.contains_key(id));
        *groups = same;
        leaving
    }

    fn start(&self, id: GroupId, group: Group) {
        self.ctx.metrics.add_group(&group.key, group.interval_ms, group.config.rules.len());
        let group = Arc::new(group);
        let stop = self.stop.child_token();
        let task = tokio::spawn(schedule::run(Arc::clone(&self.ctx), Arc::clone(&group), stop.clone()));
        lock(&self.groups).insert(id, Running { group, stop, task });
    }

    async fn end_tasks(&self, running: impl Iterator<Item = &mut Running>) {
        let mut tasks = Vec::new();
        for running in running {
            running.stop.cancel();
            running.group.cancel();
            tasks.push(&mut running.task);
        }
        for task in tasks {
            if let Err(e) = task.await {
                tracing::error!(error = %e, "the task of a rule group ended badly");
            }
        }
    }

    /// Ends the series of a removed group, two intervals later: by then a renamed group has written its own, and what
    /// it writes on with is left alone.
    fn sweep_later(&self, sweeps: &mut JoinSet<()>, group: &Arc<Group>) {
        let series = group.series();
        if series.is_empty() {
            return;
        }
        let removed_at = self.ctx.clock.now_ms();
        let (ctx, stop, interval_ms) = (Arc::clone(&self.ctx), self.stop.clone(), group.interval_ms);
        sweeps.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => return,
                () = ctx.clock.sleep_until(removed_at + 2 * interval_ms) => {}
            }
            let work = tokio::task::spawn_blocking(move || {
                let gone = without_news(&ctx, series, removed_at);
                write_stale(&ctx, gone.into_iter(), removed_at);
            });
            if let Err(e) = work.await {
                tracing::error!(error = %e, "marking series of removed rules stale ended badly");
            }
        });
    }

    /// All groups, sorted by file and name.
    pub fn groups(&self) -> Vec<GroupStatus> {
        let groups: Vec<Arc<Group>> = lock(&self.groups).values().map(|r| Arc::clone(&r.group)).collect();
        groups.iter().map(|g| g.status()).collect()
    }

    /// All pending and firing alerts, in the order of their rules.
    pub fn alerts(&self) -> Vec<AlertStatus> {
        let rules = self.groups().into_iter().flat_map(|g| g.rules);
        let alerts = rules.filter_map(|r| match r.kind {
            RuleStatusKind::Alerting { alerts, .. } => Some(alerts),
            RuleStatusKind::Recording => None,
        });
        alerts.flatten().collect()
    }

    /// Ends all groups and waits for them. Series keep their last values: this server will be back.
    pub async fn stop(&self) {
        let mut changing = self.changing.lock().await;
        self.stop.cancel();
        let mut groups = std::mem::take(&mut *lock(&self.groups));
        self.end_tasks(groups.values_mut()).await;
        while changing.sweeps.join_next().await.is_some() {}
    }
}

impl Drop for RuleManager {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Those of `series` that nobody has written since `t`.
fn without_news(ctx: &Context, series: HashSet<Labels>, t: i64) -> Vec<Labels> {
    let source = ctx.store.source();
    let has_news = |labels: &Labels| {
        let matchers: Vec<_> = labels.iter().map(|(n, v)| storage::Matcher::equal(n, v)).collect();
        let range = storage::TimeRange::new(t, i64::MAX);
        source.select(&matchers, range).is_ok_and(|found| found.series.iter().any(|s| s.labels() == labels))
    };
    series.into_iter().filter(|labels| !has_news(labels)).collect()
}

fn file_error(file: &str, message: String) -> RuleFileError {
    RuleFileError { file: file.to_owned(), pos: None, message }
}

/// The groups of all files that `patterns` match, or every problem in all of them. Blocks on disk. For a reload that wants to
/// know, before it changes anything, whether [`RuleManager::apply`] will accept the files. Expressions may use what
/// `syntax` allows.
pub fn read_rule_files(patterns: &[PathBuf], syntax: ParseOptions) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    let (mut files, mut errors, mut groups) = (BTreeSet::new(), Vec::new(), Vec::new());
    for pattern in patterns {
        match expand_glob(pattern) {
            Ok(found) => files.extend(found),
            Err(e) => errors.push(file_error(&pattern.display().to_string(), e.to_string())),
        }
    }
    for file in &files {
        match check::load_with(Path::new(file), syntax) {
            Ok(found) => groups.extend(found),
            Err(found) => errors.extend(found),
        }
    }
    if groups.len() > GROUPS_MAX {
        errors
            .push(file_error("rules", format!("{} groups, more than the {GROUPS_MAX} that are allowed", groups.len())));
    }
    if errors.is_empty() { Ok(groups) } else { Err(errors) }
}
