//! Notifications: alerts in, messages out, with Alertmanager's meaning.
//!
//! Here: [`Notifier`], the owner of one task that groups and delivers; its bounded queue. Children: `config` (Alertmanager's
//! YAML), `matchers` and `route` (who gets what), `dispatch` (groups and their timers), `sent` (what was told already),
//! `webhook` (the message), `deliver` (sending it, retries), `log` (who was told when), `metrics`.
//! Elsewhere: where alerts come from (`rules`); this module never asks.
//!
//! Invariant: nothing waits for a receiver but its own delivery, and after [`Notifier::stop`] no task of ours runs.

mod alert;
mod config;
mod deliver;
mod dispatch;
mod log;
mod matchers;
mod metrics;
mod route;
mod sent;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

pub use alert::{Alert, fingerprint};
pub use config::{NotifyConfig, Receiver, WebhookConfig, parse_config};
pub use log::{Delivery, Outcome};
pub use metrics::NotifyMetrics;
pub use route::{GroupBy, Route, RouteOptions};

use deliver::{Deliverer, Finished};
use dispatch::Dispatcher;
use log::DeliveryLog;

/// What a [`Notifier`] is bounded by, and how it names itself.
#[derive(Debug, Clone)]
pub struct NotifyOptions {
    /// Alerts that may wait; beyond it the oldest are dropped and counted. Prometheus' default is 10 000.
    pub queue_max: usize,
    /// Alerts that are kept; beyond it new ones are dropped and counted.
    pub alerts_max: usize,
    /// Deliveries under way at once.
    pub deliveries_max: usize,
    /// Entries of the delivery log.
    pub log_max: usize,
    /// The `externalURL` of messages, without a slash at its end.
    pub external_url: String,
}

impl Default for NotifyOptions {
    fn default() -> Self {
        NotifyOptions {
            queue_max: 10_000,
            alerts_max: 100_000,
            deliveries_max: 16,
            log_max: 1_000,
            external_url: String::new(),
        }
    }
}

/// Groups alerts and tells receivers. Without a configuration alerts are taken and forgotten: they are only shown.
pub struct Notifier {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the callers and the task have in common. One lock, never held across an await.
struct Shared {
    options: NotifyOptions,
    inbox: Mutex<Inbox>,
    wake: tokio::sync::Notify,
    log: Mutex<DeliveryLog>,
    metrics: NotifyMetrics,
}

#[derive(Default)]
struct Inbox {
    alerts: VecDeque<Alert>,
    config: Option<Option<Arc<NotifyConfig>>>,
}

impl Notifier {
    /// Starts the task on the current runtime.
    pub fn start(options: NotifyOptions, clock: Clock, metrics: NotifyMetrics) -> Self {
        // Another part may have installed the same provider before; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        metrics.queue_capacity.set(options.queue_max as i64);
        let shared = Arc::new(Shared {
            log: Mutex::new(DeliveryLog::new(options.log_max)),
            options,
            inbox: Mutex::default(),
            wake: tokio::sync::Notify::new(),
            metrics,
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&shared), clock, stop.clone()));
        Notifier { shared, stop, task: Mutex::new(Some(task)) }
    }

    /// Queues alerts; never waits. When the queue is full the oldest go, counted in
    /// `prometheus_notifications_dropped_total`: a newer message about an alert says more than an older one.
    pub fn submit(&self, alerts: Vec<Alert>) {
        let mut inbox = lock(&self.shared.inbox);
        inbox.alerts.extend(alerts);
        let over = inbox.alerts.len().saturating_sub(self.shared.options.queue_max);
        inbox.alerts.drain(..over);
        self.shared.metrics.dropped.inc_by(over as u64);
        self.shared.metrics.queue_length.set(inbox.alerts.len() as i64);
        drop(inbox);
        self.shared.wake.notify_one();
    }

    /// Replaces routes and receivers. Known alerts are grouped anew; what was told already is not told again.
    pub fn apply(&self, config: Option<NotifyConfig>) {
        lock(&self.shared.inbox).config = Some(config.map(Arc::new));
        self.shared.wake.notify_one();
    }

    /// The last deliveries, newest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.shared.log).newest_first()
    }

    /// Ends the task and its deliveries; those under way are broken off.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = lock(&self.task).take();
        if let Some(task) = task
            && let Err(e) = task.await
        {
            tracing::error!(error = %e, "the notifier's task ended badly");
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

async fn run(shared: Arc<Shared>, clock: Clock, stop: CancellationToken) {
    let mut dispatcher = Dispatcher::new(shared.options.alerts_max);
    let mut deliveries: JoinSet<Finished> = JoinSet::new();
    let deliverer = Deliverer::new(shared.options.deliveries_max, shared.options.external_url.clone(), clock.clone());
    loop {
        let now = clock.now_ms();
        take_inbox(&shared, &mut dispatcher, now);
        for job in dispatcher.flush_due(now) {
            let deliverer = deliverer.clone();
            deliveries.spawn(async move { deliverer.deliver(job).await });
        }
        let wake_at = dispatcher.next_wake_ms().unwrap_or(i64::MAX);
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.wake.notified() => {}
            () = clock.sleep_until(wake_at) => {}
            Some(joined) = deliveries.join_next() => match joined {
                Ok(finished) => record(&shared, &mut dispatcher, finished, clock.now_ms()),
                Err(e) => tracing::error!(error = %e, "a delivery ended badly"),
            },
        }
    }
    deliveries.shutdown().await;
}

fn take_inbox(shared: &Shared, dispatcher: &mut Dispatcher, now: i64) {
    let mut inbox = std::mem::take(&mut *lock(&shared.inbox));
    shared.metrics.queue_length.set(0);
    if let Some(config) = inbox.config.take() {
        dispatcher.apply(config, now);
    }
    for alert in inbox.alerts {
        if !dispatcher.insert(alert, now) {
            shared.metrics.dropped.inc();
        }
    }
}

fn record(shared: &Shared, dispatcher: &mut Dispatcher, finished: Finished, now: i64) {
    shared.metrics.count(&finished.delivery);
    if let Outcome::Failed { message } = &finished.delivery.outcome {
        let (receiver, group) = (&finished.delivery.receiver, &finished.delivery.group_key);
        tracing::warn!(%receiver, %group, attempts = finished.delivery.attempts, error = %message, "notification failed");
    }
    dispatcher.finished(&finished.job, finished.delivery.outcome == Outcome::Sent, now);
    lock(&shared.log).push(finished.delivery);
}
