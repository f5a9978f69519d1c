//! The one place that builds the parts and joins them.
//!
//! Here: start order, and stop order in reverse, readable from top to bottom in [`run`]; what a reload does.
//! Elsewhere: everything that the parts do.
//!
//! Invariant: after [`run`] returns nothing of ours runs any more.

mod build;
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

use crate::api::{self, Front};
use crate::cli::{self, Flags};
use crate::clock::Clock;
use crate::meta::Meta;
use crate::tenant::{TenantOptions, Tenants};

use build::Ground;
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
    let stall_max = live.config.cairn.limits.answer_stall_max;
    let front = Arc::new(Front::new(&flags.route_prefix()));
    let mut serving = JoinSet::new();
    let mut addresses = Vec::new();
    for address in &flags.listen_addresses {
        let listener =
            api::bind(&cli::bind_candidates(address)).await.with_context(|| format!("cannot listen on {address}"))?;
        addresses.push(listener.address);
        serving.spawn(api::serve(front.clone(), listener, stall_max, stop_serving.clone()));
    }

    // Data, then the parts over it.
    let (data_dir, db, tenants_max) = (flags.data_dir.clone(), db_options(&live), live.config.cairn.limits.tenants_max);
    let open_clock = clock.clone();
    let opened = tokio::task::spawn_blocking(move || open_data(&data_dir, db, tenants_max, open_clock)).await?;
    let (tenants, meta) = opened?;
    let stop_keeping = CancellationToken::new();
    let keeping = tokio::spawn(tenants.clone().keep(stop_keeping.clone()));
    let (reload_sender, mut reload_requests) = mpsc::channel(RELOADS_WAITING_MAX);
    let ground = Ground { clock, started_ms, tenants, meta, addresses: addresses.clone(), reload: reload_sender };
    let app = Arc::new(build::app(&flags, live.clone(), ground)?);
    let reloader = Reloader { flags: flags.clone(), app: app.clone() };
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
    app.queries.stop().await;
    app.rules.stop().await;
    app.notifier.stop().await;
    app.scrape.stop().await;
    stop_keeping.cancel();
    keeping.await.context("the housekeeping task ended early")?;
    tracing::info!(component = "server", "stopped");
    Ok(())
}

fn db_options(live: &api::Live) -> storage::Options {
    let (retention_ms, retention_bytes) = reload::retention_numbers(&live.retention);
    let limits = &live.config.cairn.limits;
    let rate = limits.compaction_bytes_per_second;
    storage::Options {
        retention_ms,
        retention_bytes,
        compaction_bytes_per_second: (rate > 0).then_some(rate),
        listings_bytes_max: limits.query_selectors_bytes_max,
        ..storage::Options::default()
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
