//! Building the parts over open data, and joining them in one [`App`].
//!
//! Here: who gets a handle to whom. Elsewhere: when this happens (`run`), what each part does.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::glue;
use crate::api::{About, App, Live, Parts};
use crate::cli::Flags;
use crate::clock::Clock;
use crate::config::Config;
use crate::dashboards::Dashboards;
use crate::ingest::WriteLimits;
use crate::meta::Meta;
use crate::notify::{Notifier, NotifyMetrics, NotifyOptions};
use crate::promql::EngineOptions;
use crate::query::{QueryService, QuerySettings};
use crate::rules::{RuleManager, RuleMetrics, RuleOptions};
use crate::scrape::manager::{ScrapeManager, StartRules};
use crate::scrape::status::External;
use crate::telemetry::{ProcessCollector, Registry};
use crate::tenant::{StorageCollector, TenantId, Tenants};

/// What the parts stand on.
pub(super) struct Ground {
    pub(super) clock: Clock,
    pub(super) started_ms: i64,
    pub(super) tenants: Arc<Tenants>,
    pub(super) meta: Meta,
    /// Where the listeners are bound.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) reload: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
}

/// All parts, idle: nothing is scraped or evaluated before the configuration is applied. Inside a runtime.
pub(super) fn app(flags: &Flags, live: Live, ground: Ground) -> anyhow::Result<App> {
    let Ground { clock, started_ms, tenants, meta, addresses, reload } = ground;
    let external_url = external_url(flags, &addresses);
    let link_base = external_url.trim_end_matches('/').to_owned();
    let registry = Registry::new();
    registry.with(|r| {
        r.register_collector(Box::new(ProcessCollector));
        r.register_collector(Box::new(StorageCollector(tenants.clone())));
    });
    // Scrapes and rules belong to this one.
    let home = tenants.get_or_create(&TenantId::anonymous())?;
    let notifier = Arc::new(Notifier::start(
        NotifyOptions { external_url: link_base.clone(), ..NotifyOptions::default() },
        clock.clone(),
        NotifyMetrics::register(&registry),
    ));
    let queries = QueryService::new(query_settings(flags, &live.config), tenants.clone(), clock.clone(), &registry);
    let queries = Arc::new(queries);
    let rules = Arc::new(RuleManager::new(
        Arc::new(glue::TenantRules { tenant: home.clone(), queries: queries.clone() }),
        clock.clone(),
        Some(notifier.clone()),
        RuleMetrics::register(&registry),
        RuleOptions { external_url: link_base, syntax: flags.syntax(), ..RuleOptions::default() },
    ));
    let sink = glue::TenantSink::new(home);
    let seed = glue::scrape_seed(&live.config);
    let external = external(&external_url, &addresses);
    let scrape = ScrapeManager::new(clock.clone(), &registry, sink, external, seed);
    let starts = StartRules {
        stored: flags.stores_starts(),
        zeros: flags.stores_zeros(),
        synthesized: flags.synthesizes_starts(),
    };
    let scrape = Arc::new(scrape.with_starts(starts).with_type_and_unit_labels(flags.type_and_unit_labels()));
    let dashboards = Arc::new(Dashboards::new(meta, clock.clone(), live.config.cairn.dashboard_dirs.clone()));
    Ok(App::new(Parts {
        clock,
        registry,
        tenants,
        queries,
        dashboards,
        scrape,
        rules,
        notifier,
        push_limits: push_limits(&live),
        stores_starts: flags.stores_starts(),
        type_and_unit_labels: flags.type_and_unit_labels(),
        about: About {
            started_ms,
            external_url,
            route_prefix: flags.route_prefix(),
            config_file: flags.config_file.clone(),
            data_dir: flags.data_dir.clone(),
            lifecycle: flags.enable_lifecycle(),
        },
        reload,
        live,
    }))
}

/// What queries may do and take. `config` has the limits of the flags already.
pub(super) fn query_settings(flags: &Flags, config: &Config) -> QuerySettings {
    let limits = config.cairn.limits.clone();
    let engine = EngineOptions {
        lookback: flags.lookback_delta,
        samples_max: limits.query_samples_max as u64,
        memory_bytes_max: limits.query_memory_bytes_max as u64,
        series_max: limits.query_series_max as u64,
        result_bytes_max: limits.query_result_bytes_max as u64,
        cores: limits.query_cores_max.min(EngineOptions::default().cores),
        subquery_step: config.global.evaluation_interval,
        syntax: flags.syntax(),
        delayed_name_removal: flags.delayed_name_removal(),
        use_start_timestamps: flags.use_start_timestamps(),
        type_and_unit_labels: flags.type_and_unit_labels(),
    };
    QuerySettings { engine, limits, has_tenants: config.cairn.multitenancy }
}

fn push_limits(live: &Live) -> WriteLimits {
    let limits = &live.config.cairn.limits;
    WriteLimits {
        body_bytes_max: limits.push_decoded_bytes_max,
        request_samples_max: limits.push_samples_max,
        // A new series has some texts of its own: its values of labels, help of a new metric.
        request_symbols_max: limits.push_samples_max.saturating_mul(2),
        ..WriteLimits::default()
    }
}

/// The flag, or the first listener's address with the machine's name where it listens everywhere.
fn external_url(flags: &Flags, addresses: &[SocketAddr]) -> String {
    if let Some(url) = &flags.external_url {
        return url.to_string();
    }
    let address = addresses.first();
    let host = match address {
        Some(a) if !a.ip().is_unspecified() => a.ip().to_string(),
        _ => glue::hostname(),
    };
    format!("http://{host}:{}{}/", address.map_or(9090, SocketAddr::port), flags.route_prefix())
}

/// How other machines see this one, for links to targets on the loopback.
fn external(url: &str, addresses: &[SocketAddr]) -> External {
    let parsed = url::Url::parse(url).ok();
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    External {
        scheme: part(parsed.as_ref().map(url::Url::scheme)),
        host: part(parsed.as_ref().map(url::Url::authority)),
        listen_port: addresses.first().map_or(0, SocketAddr::port),
    }
}
