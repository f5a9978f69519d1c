//! Groups and their timers: which message is due when.
//!
//! Here: [`Dispatcher`], a state machine without I/O and without a clock of its own. Elsewhere: the task that drives it
//! (`notify`), sending (`deliver`).
//!
//! Invariant: a group has at most one flush under way; a resolved alert leaves its group only after all integrations know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use storage::Labels;

use super::alert::{Alert, Held, message_order};
use super::config::{NotifyConfig, WebhookConfig};
use super::route::{RouteOptions, group_key};
use super::sent::{Sent, is_due};

/// A flush may take as long as the group's interval, but at least this long.
const FLUSH_MS_MIN: i64 = 10_000;
/// How often ended alerts and expired entries are swept out.
const SWEEP_MS: i64 = 60_000;

/// One message to deliver.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) group_key: String,
    pub(super) group_labels: Labels,
    pub(super) receiver: String,
    pub(super) integration: usize,
    pub(super) webhook: Arc<WebhookConfig>,
    /// What the message is about, in its order.
    pub(super) alerts: Vec<Held>,
    pub(super) at: i64,
    pub(super) deadline: i64,
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    repeat_interval_ms: i64,
}

pub(super) struct Dispatcher {
    config: Option<Arc<NotifyConfig>>,
    alerts: HashMap<u64, Held>,
    alerts_max: usize,
    groups: BTreeMap<String, Group>,
    sent: HashMap<SentKey, Sent>,
    next_sweep: i64,
}

/// Group key, receiver, number of the integration in the receiver.
type SentKey = (String, String, usize);

struct Group {
    labels: Labels,
    options: RouteOptions,
    alerts: BTreeMap<u64, Held>,
    next_flush: i64,
    has_flushed: bool,
    flush: Option<Flush>,
}

/// A flush under way.
struct Flush {
    jobs_left: usize,
    failed: bool,
    /// Resolved alerts in it and when each was last reported.
    resolved: Vec<(u64, i64)>,
}

impl Dispatcher {
    pub(super) fn new(alerts_max: usize) -> Self {
        let (alerts, groups, sent) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        Dispatcher { config: None, alerts, alerts_max, groups, sent, next_sweep: i64::MIN }
    }

    /// Takes new routes; known alerts are grouped anew. Entries about what was sent stay.
    pub(super) fn apply(&mut self, config: Option<Arc<NotifyConfig>>, now: i64) {
        self.groups.clear();
        self.config = config;
        if self.config.is_none() {
            self.alerts.clear();
            return;
        }
        let mut known: Vec<Held> = self.alerts.values().cloned().collect();
        known.sort_by(message_order);
        known.into_iter().for_each(|held| self.route(held, now));
    }

    /// Takes one report. False if there is no room for another alert.
    pub(super) fn insert(&mut self, alert: Alert, now: i64) -> bool {
        let Some(config) = &self.config else { return true };
        let mut held = Held::new(alert, now, config.resolve_timeout_ms);
        match self.alerts.get(&held.fingerprint) {
            Some(old) => held = held.merged_onto(old, now),
            None if self.alerts.len() >= self.alerts_max => return false,
            None => {}
        }
        self.alerts.insert(held.fingerprint, held.clone());
        self.route(held, now);
        true
    }

    fn route(&mut self, held: Held, now: i64) {
        let Some(config) = self.config.clone() else { return };
        for route in config.route.matching(&held.alert.labels) {
            let labels = route.options.group_labels(&held.alert.labels);
            let group = self.groups.entry(group_key(route, &labels)).or_insert_with(|| Group {
                labels,
                options: route.options.clone(),
                alerts: BTreeMap::new(),
                next_flush: now + route.options.group_wait_ms,
                has_flushed: false,
                flush: None,
            });
            // An alert that has waited long enough elsewhere (before a restart) does not wait again.
            if !group.has_flushed && held.alert.starts_at + route.options.group_wait_ms < now {
                group.next_flush = now;
            }
            group.alerts.insert(held.fingerprint, held.clone());
        }
    }

    /// When [`Dispatcher::flush_due`] has something to do next.
    pub(super) fn next_wake_ms(&self) -> Option<i64> {
        self.groups.values().filter(|g| g.flush.is_none()).map(|g| g.next_flush).min()
    }

    /// Starts the flushes that are due and gives the messages they need.
    pub(super) fn flush_due(&mut self, now: i64) -> Vec<Job> {
        self.sweep(now);
        let Some(config) = self.config.clone() else { return Vec::new() };
        let mut jobs = Vec::new();
        let due = |g: &Group| g.flush.is_none() && g.next_flush <= now;
        let keys: Vec<String> = self.groups.iter().filter(|(_, g)| due(g)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.flush(&config, &key, now, &mut jobs);
        }
        jobs
    }

    fn flush(&mut self, config: &NotifyConfig, key: &str, now: i64, jobs: &mut Vec<Job>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        if group.alerts.is_empty() {
            self.groups.remove(key);
            return;
        }
        group.next_flush = now + group.options.group_interval_ms;
        group.has_flushed = true;
        let mut alerts: Vec<Held> = group.alerts.values().cloned().collect();
        alerts.sort_by(message_order);
        let (resolved, firing): (Vec<&Held>, Vec<&Held>) = alerts.iter().partition(|a| a.is_resolved_at(now));
        let firing: BTreeSet<u64> = firing.iter().map(|a| a.fingerprint).collect();
        let ended: BTreeSet<u64> = resolved.iter().map(|a| a.fingerprint).collect();
        let flush_resolved = resolved.iter().map(|a| (a.fingerprint, a.updated_at)).collect();
        let before = jobs.len();
        let webhooks = config.receivers.get(&group.options.receiver).map_or(&[][..], |r| &r.webhooks);
        for (integration, webhook) in webhooks.iter().enumerate() {
            let sent_key = (key.to_owned(), group.options.receiver.clone(), integration);
            let repeat_interval_ms = group.options.repeat_interval_ms;
            if !is_due(self.sent.get(&sent_key), &firing, &ended, webhook.send_resolved, repeat_interval_ms, now) {
                continue;
            }
            let told = alerts.iter().filter(|a| webhook.send_resolved || firing.contains(&a.fingerprint)).cloned();
            let job = Job {
                group_key: key.to_owned(),
                group_labels: group.labels.clone(),
                receiver: group.options.receiver.clone(),
                integration,
                webhook: Arc::clone(webhook),
                alerts: told.collect(),
                at: now,
                deadline: now + group.options.group_interval_ms.max(FLUSH_MS_MIN),
                firing: firing.clone(),
                resolved: ended.clone(),
                repeat_interval_ms,
            };
            if job.alerts.is_empty() {
                self.sent.insert(sent_key, job.as_sent(now));
            } else {
                jobs.push(job);
            }
        }
        group.flush = Some(Flush { jobs_left: jobs.len() - before, failed: false, resolved: flush_resolved });
        self.end_flush(key);
    }

    /// Takes the end of a job.
    pub(super) fn finished(&mut self, job: &Job, succeeded: bool, now: i64) {
        if succeeded {
            let key = (job.group_key.clone(), job.receiver.clone(), job.integration);
            self.sent.insert(key, job.as_sent(now));
        }
        // After `apply` the group may be another one, without this flush.
        if let Some(flush) = self.groups.get_mut(&job.group_key).and_then(|g| g.flush.as_mut()) {
            flush.jobs_left = flush.jobs_left.saturating_sub(1);
            flush.failed |= !succeeded;
            self.end_flush(&job.group_key);
        }
    }

    fn end_flush(&mut self, key: &str) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let Some(flush) = group.flush.take_if(|f| f.jobs_left == 0) else { return };
        if flush.failed {
            return;
        }
        for (fingerprint, updated_at) in flush.resolved {
            // An alert that was reported again meanwhile has news to tell.
            if group.alerts.get(&fingerprint).is_some_and(|a| a.updated_at == updated_at) {
                group.alerts.remove(&fingerprint);
            }
        }
    }

    /// Forgets alerts that ended and are in no group, and entries that expired.
    fn sweep(&mut self, now: i64) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_MS;
        let waiting: BTreeSet<u64> = self.groups.values().flat_map(|g| g.alerts.keys().copied()).collect();
        self.alerts.retain(|fingerprint, held| !held.is_resolved_at(now) || waiting.contains(fingerprint));
        self.sent.retain(|_, sent| sent.expires_at > now);
    }
}

impl Job {
    fn as_sent(&self, now: i64) -> Sent {
        let expires_at = now + 2 * self.repeat_interval_ms;
        Sent { at: now, firing: self.firing.clone(), resolved: self.resolved.clone(), expires_at }
    }
}
