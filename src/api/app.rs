//! What the handlers share: handles to the rooms below, and what a reload replaces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::metrics::ApiMetrics;
use super::write::{PushGate, PushMetrics};
use crate::auth::Policy;
use crate::clock::Clock;
use crate::config::{Config, Retention};
use crate::dashboards::Dashboards;
use crate::ingest::{Ingester, WriteLimits};
use crate::notify::Notifier;
use crate::query::QueryService;
use crate::rules::RuleManager;
use crate::scrape::manager::ScrapeManager;
use crate::telemetry::Registry;
use crate::tenant::Tenants;

/// The state behind all routes. Built by `server`, which also owns the tasks.
pub struct App {
    /// Time.
    pub clock: Clock,
    /// Our own metrics.
    pub registry: Registry,
    /// Samples.
    pub tenants: Arc<Tenants>,
    /// Queries.
    pub queries: Arc<QueryService>,
    /// Dashboard documents.
    pub dashboards: Arc<Dashboards>,
    /// What pushes go through.
    pub ingester: Ingester,
    pub(super) push_gate: PushGate,
    pub(super) push_metrics: PushMetrics,
    pub(super) metrics: ApiMetrics,
    /// Targets.
    pub scrape: Arc<ScrapeManager>,
    /// Rules and their alerts.
    pub rules: Arc<RuleManager>,
    /// Who was told.
    pub notifier: Arc<Notifier>,
    /// What never changes while the process runs.
    pub about: About,
    /// Asks the server to reload; the answer is the reload's outcome.
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    /// Whether everything is started: `/-/ready`.
    pub ready: AtomicBool,
    live: RwLock<Live>,
}

/// Facts about this process.
#[derive(Debug, Clone)]
pub struct About {
    /// When it started, milliseconds since the epoch.
    pub started_ms: i64,
    /// Where users reach it, with scheme, host and path.
    pub external_url: String,
    /// The path under which everything is served: empty, or `/like/this`.
    pub route_prefix: String,
    /// The configuration file, if there is one.
    pub config_file: Option<PathBuf>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Whether `/-/reload` works (`--web.enable-lifecycle`).
    pub lifecycle: bool,
}

/// What a reload replaces as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// Every flag with its value; of those that the file can set, what holds.
    pub flags: Arc<BTreeMap<&'static str, String>>,
    /// How long samples are kept: the file's word and the flags', resolved.
    pub retention: Retention,
    /// When it was loaded, milliseconds since the epoch.
    pub loaded_ms: i64,
    /// Whether the last reload worked.
    pub reload_ok: bool,
}

/// What `server` hands over to build an [`App`].
pub struct Parts {
    pub clock: Clock,
    pub registry: Registry,
    pub tenants: Arc<Tenants>,
    pub queries: Arc<QueryService>,
    pub dashboards: Arc<Dashboards>,
    pub scrape: Arc<ScrapeManager>,
    pub rules: Arc<RuleManager>,
    pub notifier: Arc<Notifier>,
    pub push_limits: WriteLimits,
    /// Whether start timestamps that are pushed are stored.
    pub stores_starts: bool,
    /// Whether pushed series get labels that say their metric's type and unit, where the sender tells them.
    pub type_and_unit_labels: bool,
    pub about: About,
    pub reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
    pub live: Live,
}

impl App {
    /// An app that is not ready yet.
    pub fn new(parts: Parts) -> Self {
        App {
            clock: parts.clock,
            tenants: parts.tenants,
            queries: parts.queries,
            dashboards: parts.dashboards,
            scrape: parts.scrape,
            rules: parts.rules,
            notifier: parts.notifier,
            ingester: Ingester::new(parts.push_limits)
                .with_starts(parts.stores_starts)
                .with_type_and_unit_labels(parts.type_and_unit_labels),
            push_gate: PushGate::new(&parts.live.config.cairn.limits),
            push_metrics: PushMetrics::register(&parts.registry),
            metrics: ApiMetrics::register(&parts.registry),
            about: parts.about,
            reload: parts.reload,
            ready: AtomicBool::new(false),
            live: RwLock::new(parts.live),
            registry: parts.registry,
        }
    }

    /// The configuration and policy in force.
    pub fn live(&self) -> Live {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new configuration in force.
    pub fn set_live(&self, live: Live) {
        self.metrics.loaded(live.loaded_ms);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Marks a reload that did not work; the old configuration stays in force.
    pub fn reload_failed(&self) {
        self.metrics.reload_failed();
        self.live.write().unwrap_or_else(PoisonError::into_inner).reload_ok = false;
    }

    /// Whether everything is started.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}
