//! The scrape manager: pools of targets, started and stopped as the configuration says.
//!
//! Here: which loops run; start, reload, stop; the view of all targets. Elsewhere: one loop (`target_loop`).
//!
//! Invariant: after [`ScrapeManager::stop`] no loop runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use storage::{Labels, LabelsBuilder};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cache::SeriesCache;
use super::fetch::{Fetcher, LocalFetcher, Render};
use super::http::{HttpFetcher, PoolClient, RequestRules};
use super::metrics::Metrics;
use super::page::PageRules;
pub use super::page::StartRules;
use super::sink::Sink;
use super::status::{DroppedTarget, External, Running, TargetMetadata, Targets};
use super::target::{Populated, Target, TargetKey, populate};
use super::target_loop::{End, Orders, Shared, TargetLoop};
use crate::clock::Clock;
use crate::config::{ScrapeConfig, ScrapeHistograms, format_duration};
use crate::telemetry::Registry;

/// A collector inside this process, scraped like a target; its address is shown as `builtin://<name>`.
#[derive(Clone)]
pub struct LocalTarget {
    /// The label `job`, and the pool's name.
    pub job_name: String,
    /// What follows `builtin://`.
    pub name: String,
    /// Labels of its series; `instance` is `name` unless given here.
    pub labels: BTreeMap<String, String>,
    /// How often it is rendered.
    pub interval: Duration,
    /// Writes the page.
    pub render: Render,
}

/// Scrapes all targets. Owns a task for each; cheap to ask for their state.
pub struct ScrapeManager {
    shared: Arc<Shared>,
    external: External,
    /// What becomes of start timestamps.
    starts: StartRules,
    type_and_unit_labels: bool,
    runtime: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<String, Pool>,
    /// Loops of removed targets that may still say farewell: their series' labels, and how to stop that.
    leaving: Vec<(Labels, CancellationToken)>,
}

#[derive(Default)]
struct Pool {
    running: Vec<RunningLoop>,
    dropped: Vec<Labels>,
    client: Option<Arc<PoolClient>>,
}

struct RunningLoop {
    running: Arc<Running>,
    /// All settings that a loop cannot change while it runs, as text.
    fingerprint: String,
    orders: Orders,
    task: JoinHandle<SeriesCache>,
}

/// A pool as it shall be.
struct WantedPool {
    targets: Vec<Wanted>,
    dropped: Vec<Labels>,
    client: Option<Arc<PoolClient>>,
    target_limit: u64,
}

/// A loop as it shall be.
struct Wanted {
    target: Target,
    fingerprint: String,
    rules: PageRules,
    source: Source,
}

enum Source {
    Http { client: Arc<PoolClient>, rules: Arc<RequestRules> },
    Local { render: Render },
    Refused(String),
}

impl ScrapeManager {
    /// A manager without targets; must be called inside a tokio runtime. `seed` shifts the moments of scraping: any
    /// number that two servers with the same targets do not share, the same after a restart (say, a hash of host name
    /// and external labels).
    pub fn new(clock: Clock, registry: &Registry, sink: Arc<dyn Sink>, external: External, seed: u64) -> Self {
        let metrics = Metrics::register(registry);
        ScrapeManager {
            shared: Arc::new(Shared { clock, sink, metrics, seed }),
            external,
            starts: StartRules::default(),
            type_and_unit_labels: false,
            runtime: Handle::current(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            state: Mutex::default(),
        }
    }

    /// The same, doing with start timestamps what `starts` says.
    pub fn with_starts(self, starts: StartRules) -> Self {
        ScrapeManager { starts, ..self }
    }

    /// The same, with labels that say the type and the unit of each metric if `type_and_unit_labels`.
    pub fn with_type_and_unit_labels(self, type_and_unit_labels: bool) -> Self {
        ScrapeManager { type_and_unit_labels, ..self }
    }

    /// Makes the running targets those of `configs` and `locals`; for start and reload. A target whose settings stay
    /// runs on, undisturbed; one whose settings change is restarted on the same grid; the series of one that is gone
    /// end at its next tick. Does not block and does not fail: what is wrong with a target shows on the targets page or
    /// in the log.
    pub fn apply(&self, configs: &[ScrapeConfig], locals: &[LocalTarget]) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut state = self.lock();
        let mut wanted: BTreeMap<String, WantedPool> = BTreeMap::new();
        for config in configs {
            let client = state.pools.get(&config.job_name).and_then(|p| p.client.clone());
            wanted.insert(config.job_name.clone(), self.wanted_pool(config, client));
        }
        for local in locals {
            let pool = WantedPool { targets: Vec::new(), dropped: Vec::new(), client: None, target_limit: 0 };
            wanted.entry(local.job_name.clone()).or_insert(pool).targets.push(wanted_local(local));
        }
        self.sync(&mut state, wanted);
    }

    /// All targets and how they fare.
    pub fn targets(&self) -> Targets {
        let state = self.lock();
        let mut targets = Targets::default();
        for (name, pool) in &state.pools {
            targets.active.extend(pool.running.iter().map(|l| l.running.snapshot(&self.external)));
            let dropped =
                |labels: &Labels| DroppedTarget { discovered_labels: labels.clone(), scrape_pool: name.clone() };
            targets.dropped.extend(pool.dropped.iter().map(dropped));
            targets.dropped_counts.push((name.clone(), pool.dropped.len()));
        }
        targets.active.sort_by(|a, b| {
            (&a.scrape_pool, &a.labels, &a.scrape_url).cmp(&(&b.scrape_pool, &b.labels, &b.scrape_url))
        });
        targets
    }

    /// Names of all pools, sorted.
    pub fn pools(&self) -> Vec<String> {
        self.lock().pools.keys().cloned().collect()
    }

    /// What the targets say about their metric families.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let state = self.lock();
        state.pools.values().flat_map(|pool| pool.running.iter().map(|l| l.running.metadata())).collect()
    }

    /// Ends all loops, without farewell: series go on after a restart. Returns when none runs.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn wanted_pool(&self, config: &ScrapeConfig, client: Option<Arc<PoolClient>>) -> WantedPool {
        let client = match client {
            Some(client) if client.config == config.http => client,
            _ => Arc::new(PoolClient::new(config.http.clone())),
        };
        let mut pool = WantedPool {
            targets: Vec::new(),
            dropped: Vec::new(),
            client: Some(client.clone()),
            target_limit: config.limits.targets,
        };
        let metric_relabel = Arc::from(config.metric_relabel_configs.as_slice());
        let request_rules = Arc::new(RequestRules::new(config, self.starts.are_taken()));
        let mut keys = FxHashSet::default();
        for group in &config.static_configs {
            for address in &group.targets {
                let target = match populate(config, address, &group.labels) {
                    Ok(Populated::Active(target)) => target,
                    Ok(Populated::Dropped(labels)) => {
                        pool.dropped.push(labels);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(job = config.job_name, address, %error, "target is left out");
                        continue;
                    }
                };
                if !keys.insert(target.key()) {
                    continue;
                }
                let rules = PageRules {
                    target_labels: target.labels.clone(),
                    metric_relabel: Arc::clone(&metric_relabel),
                    starts: self.starts,
                    type_and_unit_labels: self.type_and_unit_labels,
                    ..PageRules::new(config, target.histograms)
                };
                let source = Source::Http { client: client.clone(), rules: request_rules.clone() };
                pool.targets.push(Wanted { target, fingerprint: String::new(), rules, source });
            }
        }
        self.enforce_target_limit(&mut pool);
        for wanted in &mut pool.targets {
            wanted.fingerprint = fingerprint(wanted);
        }
        pool
    }

    /// Too many targets: none of the pool is scraped, and each says why, as in Prometheus.
    fn enforce_target_limit(&self, pool: &mut WantedPool) {
        let (found, limit) = (pool.targets.len(), pool.target_limit);
        if limit == 0 || found as u64 <= limit {
            return;
        }
        self.shared.metrics.exceeded_target_limit.inc();
        let message = format!("target_limit exceeded (number of targets: {found}, limit: {limit})");
        for wanted in &mut pool.targets {
            wanted.source = Source::Refused(message.clone());
        }
    }

    fn sync(&self, state: &mut State, wanted: BTreeMap<String, WantedPool>) {
        let gone: Vec<String> = state.pools.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        let mut removed: Vec<RunningLoop> = Vec::new();
        for name in gone {
            removed.extend(state.pools.remove(&name).into_iter().flat_map(|pool| pool.running));
            self.shared.metrics.remove_pool(&name);
        }
        for (name, wanted) in wanted {
            self.shared.metrics.set_pool(&name, wanted.targets.len(), wanted.target_limit);
            let pool = match state.pools.entry(name) {
                MapEntry::Occupied(pool) => pool.into_mut(),
                MapEntry::Vacant(place) => place.insert(Pool::default()),
            };
            (pool.dropped, pool.client) = (wanted.dropped, wanted.client);
            let before = std::mem::take(&mut pool.running).into_iter();
            let mut before: FxHashMap<TargetKey, RunningLoop> = before.map(|l| (l.running.target.key(), l)).collect();
            for wanted in wanted.targets {
                pool.running.push(match before.remove(&wanted.target.key()) {
                    Some(old) if old.fingerprint == wanted.fingerprint => {
                        old.running.set_discovered(wanted.target.discovered);
                        old
                    }
                    old => self.start(wanted, old),
                });
            }
            removed.extend(before.into_values());
        }
        self.dismiss(state, removed);
    }

    /// Starts a loop, after the end of the one that it replaces.
    fn start(&self, wanted: Wanted, replaced: Option<RunningLoop>) -> RunningLoop {
        let orders = Orders {
            stop: self.stop.child_token(),
            end: Arc::new(OnceLock::new()),
            no_farewell: self.stop.child_token(),
        };
        let url = wanted.target.url.clone();
        let running = Arc::new(Running::new(wanted.target));
        let predecessor = replaced.map(|old| {
            running.inherit(&old.running);
            old.end(End::Replaced)
        });
        let fetcher = match wanted.source {
            Source::Http { client, rules } => Fetcher::Http(HttpFetcher { client, url, rules }),
            Source::Local { render } => {
                Fetcher::Local(LocalFetcher { url, render, is_running: Arc::new(AtomicBool::new(false)) })
            }
            Source::Refused(reason) => Fetcher::Refused(reason),
        };
        let target_loop = TargetLoop::new(self.shared.clone(), running.clone(), fetcher, wanted.rules, orders.clone());
        let task = self.tasks.spawn_on(target_loop.run(predecessor), &self.runtime);
        RunningLoop { running, fingerprint: wanted.fingerprint, orders, task }
    }

    /// Ends loops whose targets are gone; they say farewell unless their series go on in another loop.
    fn dismiss(&self, state: &mut State, removed: Vec<RunningLoop>) {
        for old in removed {
            state.leaving.push((old.running.target.labels.clone(), old.orders.no_farewell.clone()));
            // The task says farewell on its own; the tracker waits for it.
            drop(old.end(End::Removed));
        }
        let loops = state.pools.values().flat_map(|pool| &pool.running);
        let going_on: FxHashSet<&Labels> = loops.map(|l| &l.running.target.labels).collect();
        for (labels, no_farewell) in &state.leaving {
            if going_on.contains(labels) {
                no_farewell.cancel();
            }
        }
        state.leaving.retain(|(_, no_farewell)| !no_farewell.is_cancelled());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl RunningLoop {
    fn end(self, end: End) -> JoinHandle<SeriesCache> {
        // Only this, which consumes the loop, sets it.
        let _ = self.orders.end.set(end);
        self.orders.stop.cancel();
        self.task
    }
}

fn wanted_local(local: &LocalTarget) -> Wanted {
    let mut labels = LabelsBuilder::new();
    labels.set("instance", local.name.as_str());
    for (name, value) in &local.labels {
        labels.set(name, value.as_str());
    }
    labels.set("job", local.job_name.as_str());
    let labels = labels.build();
    let mut discovered = LabelsBuilder::from_labels(&labels);
    let interval = format_duration(local.interval);
    discovered.set("__address__", local.name.as_str()).set("__scheme__", "builtin");
    discovered.set("__scrape_interval__", interval.as_str()).set("__scrape_timeout__", interval);
    let rules = PageRules { target_labels: labels.clone(), ..PageRules::default() };
    let target = Target {
        job_name: local.job_name.clone(),
        discovered: discovered.build(),
        labels,
        url: format!("builtin://{}", local.name),
        interval: local.interval,
        timeout: local.interval,
        histograms: ScrapeHistograms::default(),
    };
    let mut wanted =
        Wanted { target, fingerprint: String::new(), rules, source: Source::Local { render: local.render.clone() } };
    wanted.fingerprint = fingerprint(&wanted);
    wanted
}

/// Two loops with equal fingerprints do the same. Renderers and clients are compared by address: a client is kept while
/// its settings stay.
fn fingerprint(wanted: &Wanted) -> String {
    let Target { interval, timeout, .. } = &wanted.target;
    let source = match &wanted.source {
        Source::Http { client, rules } => format!("{:p} {rules:?}", Arc::as_ptr(client)),
        Source::Local { render } => format!("{:p}", Arc::as_ptr(render)),
        Source::Refused(reason) => reason.clone(),
    };
    format!("{interval:?} {timeout:?} {source} {:?}", wanted.rules)
}
