//! The one place that builds the parts and joins them.
//!
//! Here: start order, and stop order in reverse, readable from top to bottom in [`run`]; what a reload does.
//! Elsewhere: everything that the parts do.
//!
//! Invariant: after [`run`] returns nothing of ours runs any more.

mod glue;
mod reload;
mod signals;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, About, App, Front, Parts};
use crate::cli::{self, Flags};
use crate::clock::Clock;
use crate::dashboards::Dashboards;
use crate::ingest::WriteLimits;
use crate::meta::Meta;
use crate::notify::{Notifier, NotifyMetrics, NotifyOptions};
use crate::promql::{Engine, EngineOptions};
use crate::rules::{RuleManager, RuleMetrics, RuleOptions};
use crate::scrape::manager::ScrapeManager;
use crate::scrape::status::External;
use crate::telemetry::{ProcessCollector, Registry};
use crate::tenant::{StorageCollector, TenantId, TenantOptions, Tenants};

use reload::Reloader;
use signals::{Signal, Signals};

/// Reloads that may wait for their turn; more are asked to wait by the channel.
const RELOADS_WAITING_MAX: usize = 4;

/// Serves until SIGTERM or SIGINT. `warnings` are about flags, to be logged.
pub async fn run(flags: Flags, warnings: Vec<String>) -> anyhow::Result<()> {
    let clock = Clock::system();
    let started_ms = clock.now_ms();
    let mut signals = Signals::listen().context("signals cannot be received")?;
    for warning in warnings {
        tracing::warn!(component = "flags", "{warning}");
    }
    let live = reload::load(&flags, &clock)?;

    // The listeners come first: an address in use is said at once, and probes are answered while data is opened.
    let stop_serving = CancellationToken::new();
    let front = Arc::new(Front::new(&flags.route_prefix()));
    let mut serving = JoinSet::new();
    let mut addresses = Vec::new();
    for address in &flags.listen_addresses {
        let listener =
            api::bind(&cli::bind_candidates(address)).await.with_context(|| format!("cannot listen on {address}"))?;
        addresses.push(listener.address);
        serving.spawn(api::serve(front.clone(), listener, stop_serving.clone()));
    }
    let external_url = external_url(&flags, &addresses);

    // Data.
    let registry = Registry::new();
    let (data_dir, db, tenants_max) = (flags.data_dir.clone(), db_options(&live), live.config.cairn.limits.tenants_max);
    let open_clock = clock.clone();
    let opened = tokio::task::spawn_blocking(move || open_data(&data_dir, db, tenants_max, open_clock)).await?;
    let (tenants, meta) = opened?;
    registry.with(|r| {
        r.register_collector(Box::new(ProcessCollector));
        r.register_collector(Box::new(StorageCollector(tenants.clone())));
    });
    let stop_keeping = CancellationToken::new();
    let keeping = tokio::spawn(tenants.clone().keep(stop_keeping.clone()));

    // Parts.
    let home = tenants.get_or_create(&TenantId::anonymous())?;
    let notifier = Arc::new(Notifier::start(
        NotifyOptions { external_url: external_url.trim_end_matches('/').to_owned(), ..NotifyOptions::default() },
        clock.clone(),
        NotifyMetrics::register(&registry),
    ));
    let engine = Engine::new(EngineOptions {
        lookback: flags.lookback_delta,
        samples_max: flags.query_samples_max as u64,
        subquery_step: live.config.global.evaluation_interval,
        ..EngineOptions::default()
    });
    let rules = Arc::new(RuleManager::new(
        Arc::new(glue::TenantRules(home.clone())),
        engine.clone(),
        clock.clone(),
        Some(notifier.clone()),
        RuleMetrics::register(&registry),
        RuleOptions {
            external_url: external_url.trim_end_matches('/').to_owned(),
            query_timeout: flags.query_timeout,
            ..RuleOptions::default()
        },
    ));
    let hostname = glue::hostname();
    let sink = glue::TenantSink::new(home.clone());
    let seed = glue::scrape_seed(&hostname, &live.config);
    let external = external(&external_url, &addresses);
    let scrape = Arc::new(ScrapeManager::new(clock.clone(), &registry, sink, external, seed));
    let dashboards = Arc::new(Dashboards::new(meta, clock.clone(), live.config.cairn.dashboard_dirs.clone()));

    // The API.
    let (reload_sender, mut reload_requests) = mpsc::channel(RELOADS_WAITING_MAX);
    let app = Arc::new(App::new(Parts {
        clock: clock.clone(),
        registry: registry.clone(),
        tenants: tenants.clone(),
        engine,
        dashboards: dashboards.clone(),
        scrape: scrape.clone(),
        rules: rules.clone(),
        notifier: notifier.clone(),
        push_limits: push_limits(&live),
        query_timeout: flags.query_timeout,
        query_concurrency: flags.query_concurrency_max,
        about: About {
            started_ms,
            flags: flags.as_map(),
            external_url,
            route_prefix: flags.route_prefix(),
            config_file: flags.config_file.clone(),
            data_dir: flags.data_dir.clone(),
            lifecycle: flags.enable_lifecycle(),
        },
        reload: reload_sender,
        live: live.clone(),
    }));
    let reloader = Reloader { flags: flags.clone(), app: app.clone(), hostname };
    reloader.apply(live).await.map_err(|e| anyhow::anyhow!(e))?;
    front.open(app.clone());
    app.ready.store(true, Ordering::Release);
    announce(&addresses, &flags)?;

    // Until somebody stops us.
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => drop(reloader.reload().await),
            },
            Some(done) = reload_requests.recv() => {
                // Nobody waits for the answer any more if its client hung up.
                let _ = done.send(reloader.reload().await);
            }
        }
    }

    // In reverse.
    tracing::info!(component = "server", "stopping");
    app.ready.store(false, Ordering::Release);
    stop_serving.cancel();
    while serving.join_next().await.is_some() {}
    rules.stop().await;
    notifier.stop().await;
    scrape.stop().await;
    stop_keeping.cancel();
    keeping.await.context("the housekeeping task ended early")?;
    tracing::info!(component = "server", "stopped");
    Ok(())
}

fn db_options(live: &api::Live) -> storage::Options {
    let (retention_ms, retention_bytes) = reload::retention_numbers(&live.retention);
    storage::Options { retention_ms, retention_bytes, ..storage::Options::default() }
}

fn push_limits(live: &api::Live) -> WriteLimits {
    let limits = &live.config.cairn.limits;
    WriteLimits {
        body_bytes_max: limits.push_decoded_bytes_max,
        request_samples_max: limits.push_samples_max,
        ..WriteLimits::default()
    }
}

fn open_data(
    dir: &Path,
    db: storage::Options,
    tenants_max: usize,
    clock: Clock,
) -> anyhow::Result<(Arc<Tenants>, Meta)> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be created", dir.display()))?;
    let options = TenantOptions { data_dir: dir.to_owned(), db, tenants_max };
    let tenants = Arc::new(Tenants::open(options, clock)?);
    Ok((tenants, Meta::open(&dir.join("meta.db"))?))
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

/// The one line on standard output: where to point the browser.
fn announce(addresses: &[SocketAddr], flags: &Flags) -> anyhow::Result<()> {
    use std::io::Write as _;
    let Some(address) = addresses.first() else { return Ok(()) };
    let reachable = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        _ => *address,
    };
    writeln!(std::io::stdout(), "Cairn is ready: open http://{reachable}{}/", flags.route_prefix())?;
    Ok(())
}
