//! Loading the configuration, at start and again while running.
//!
//! Invariant: a reload is all or nothing as far as the file goes: what does not load or check changes nothing.

use std::sync::Arc;

use anyhow::Context;

use super::{build, glue};
use crate::api::{App, Live};
use crate::auth::{Credentials, Policy};
use crate::cli::Flags;
use crate::clock::Clock;
use crate::config::yaml::FileProblem;
use crate::config::{self, Config, Retention};
use crate::host::{HostCollector, Roots};
use crate::notify::{self, NotifyConfig};
use crate::query::LogSettings;
use crate::scrape::manager::LocalTarget;

/// Applies configurations to the running parts.
pub(super) struct Reloader {
    pub(super) flags: Flags,
    pub(super) app: Arc<App>,
}

/// Reads the configuration that the flags name, or takes that of an appliance without one.
pub(super) fn load(flags: &Flags, clock: &Clock) -> anyhow::Result<Live> {
    let mut config = match &flags.config_file {
        Some(path) => config::load(path)?,
        None => Config::default_appliance(),
    };
    if let Some(on) = flags.multitenancy() {
        config.cairn.multitenancy = on;
    }
    if let Some(on) = flags.host_monitoring() {
        config.cairn.host_monitoring = on;
    }
    if let Some(path) = &flags.alertmanager_config_file {
        config.cairn.alertmanager_config_file = Some(path.clone());
    }
    flags.limit_queries(&mut config.cairn.limits);
    for warning in &config.warnings {
        tracing::warn!(component = "config", "{warning}");
    }
    let credentials = Credentials::load(&config.cairn.credentials).context("the credentials cannot be used")?;
    let policy = Policy { multitenancy: config.cairn.multitenancy, credentials };
    let retention = retention(flags, &config.retention);
    let loaded_ms = clock.now_ms();
    let flags = Arc::new(flags.as_map(&config.cairn.limits));
    Ok(Live { config: Arc::new(config), policy: Arc::new(policy), flags, retention, loaded_ms, reload_ok: true })
}

/// A flag wins over the file; 15 d where neither says anything.
fn retention(flags: &Flags, file: &Retention) -> Retention {
    let time = flags.retention_time.or(file.time).filter(|t| !t.is_zero());
    let size_bytes = flags.retention_bytes.or(file.size_bytes).filter(|&bytes| bytes > 0);
    let time = time.or_else(|| size_bytes.is_none().then_some(config::DEFAULT_RETENTION));
    Retention { time, size_bytes }
}

/// Milliseconds and bytes, as the store takes them.
pub(super) fn retention_numbers(retention: &Retention) -> (Option<i64>, Option<u64>) {
    (retention.time.map(|t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX)), retention.size_bytes)
}

impl Reloader {
    /// Reads everything again; the old configuration stays in force where the new one is wrong.
    pub(super) async fn reload(&self) -> Result<(), String> {
        let (flags, clock) = (self.flags.clone(), self.app.clock.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&flags, &clock)).await;
        let outcome = match loaded {
            Ok(Ok(live)) => self.apply(live).await,
            Ok(Err(e)) => Err(format!("{e:#}")),
            Err(e) => Err(e.to_string()),
        };
        match &outcome {
            Ok(()) => tracing::info!(component = "config", "the configuration is loaded"),
            Err(e) => {
                self.app.reload_failed();
                tracing::error!(component = "config", error = %e, "the configuration is not loaded; the old one stays in force");
            }
        }
        outcome
    }

    /// Puts a checked configuration in force everywhere.
    pub(super) async fn apply(&self, live: Live) -> Result<(), String> {
        let config = live.config.clone();
        let routes = self.load_routes(&config).await?;
        let log = self.open_query_log(&config).await?;
        // The rule files are the last thing that can be refused; from here on nothing fails.
        self.app.rules.apply(&config.rule_files, &config.global).await.map_err(|errors| lines(&errors))?;
        self.app.notifier.apply(routes);
        self.app.queries.set_log(log);
        self.app.queries.apply(build::query_settings(&self.flags, &config));
        let (retention_ms, retention_bytes) = retention_numbers(&live.retention);
        self.app.tenants.set_retention(retention_ms, retention_bytes);
        self.app.dashboards.set_dirs(config.cairn.dashboard_dirs.clone());
        self.app.scrape.apply(&config.scrape_configs, &self.local_targets(&config));
        self.app.set_live(live);
        Ok(())
    }

    /// Alertmanager's file, if one is configured.
    async fn load_routes(&self, config: &Config) -> Result<Option<NotifyConfig>, String> {
        let Some(path) = config.cairn.alertmanager_config_file.clone() else { return Ok(None) };
        let read = move || notify::load_config(&path).map_err(|errors| lines(&errors));
        tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?.map(Some)
    }

    async fn open_query_log(&self, config: &Config) -> Result<LogSettings, String> {
        let (path, log) = (config.global.query_log_file.clone(), config.cairn.query_log);
        tokio::task::spawn_blocking(move || LogSettings::open(path, log)).await.map_err(|e| e.to_string())?
    }

    /// What is watched without a network: Cairn itself and its host.
    fn local_targets(&self, config: &Config) -> Vec<LocalTarget> {
        let mut targets = Vec::new();
        if config.cairn.self_monitoring {
            let registry = self.app.registry.clone();
            let render = move |out: &mut String| {
                out.push_str(&registry.render());
                Ok(())
            };
            targets.push(glue::local_target("cairn", Arc::new(render)));
        }
        if config.cairn.host_monitoring {
            let collector = HostCollector::new(Roots::default(), self.app.clock.clone());
            let render = move |out: &mut String| {
                collector.render(out);
                Ok(())
            };
            targets.push(glue::local_target("host", Arc::new(render)));
        }
        targets
    }
}

fn lines(errors: &[FileProblem]) -> String {
    errors.iter().map(FileProblem::to_string).collect::<Vec<_>>().join("\n")
}
