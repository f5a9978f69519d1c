//! The server's flags, under Prometheus' names where Prometheus has them.
//!
//! Here: names, defaults, environment variables (`CAIRN_` and the name in capitals), and what `/api/v1/status/flags`
//! shows. Elsewhere: what the flags do. A flag that is given wins over the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::config::{Limits, format_duration, parse_duration, parse_size};

/// Port of the first listener.
const DEFAULT_PORT: u16 = 9090;

/// All flags of the server.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Flags {
    /// Configuration file (prometheus.yml). Without one, Cairn watches itself and its host.
    #[arg(long = "config.file", env = "CAIRN_CONFIG_FILE", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Address to listen on; can be repeated. `:9090` is every interface.
    #[arg(
        long = "web.listen-address",
        visible_alias = "listen",
        env = "CAIRN_WEB_LISTEN_ADDRESS",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:9090",
        value_parser = listen_address
    )]
    pub listen_addresses: Vec<String>,

    /// The URL under which people reach this server; for links and redirects.
    #[arg(long = "web.external-url", env = "CAIRN_WEB_EXTERNAL_URL", value_name = "URL", value_parser = external_url)]
    pub external_url: Option<url::Url>,

    /// Prefix of all paths. Default: the path of the external URL.
    #[arg(long = "web.route-prefix", env = "CAIRN_WEB_ROUTE_PREFIX", value_name = "PATH")]
    pub route_prefix: Option<String>,

    #[command(flatten)]
    pub switches: Switches,

    /// Data directory.
    #[arg(long = "storage.tsdb.path", env = "CAIRN_STORAGE_TSDB_PATH", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// How long samples are kept, such as 30d. Default, if no size is set either: 15d.
    #[arg(
        long = "storage.tsdb.retention.time",
        env = "CAIRN_STORAGE_TSDB_RETENTION_TIME",
        value_name = "DURATION",
        value_parser = parse_duration
    )]
    pub retention_time: Option<Duration>,

    /// How many bytes of samples are kept, such as 10GB. Default: no limit.
    #[arg(
        long = "storage.tsdb.retention.size",
        env = "CAIRN_STORAGE_TSDB_RETENTION_SIZE",
        value_name = "SIZE",
        value_parser = parse_size
    )]
    pub retention_bytes: Option<u64>,

    /// How far back an instant looks for a series' last sample.
    #[arg(
        long = "query.lookback-delta",
        env = "CAIRN_QUERY_LOOKBACK_DELTA",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = parse_duration
    )]
    pub lookback_delta: Duration,

    /// Longest run time of a query. Default: the configuration file's cairn.limits.query_timeout, 2m.
    #[arg(
        long = "query.timeout",
        env = "CAIRN_QUERY_TIMEOUT",
        value_name = "DURATION",
        value_parser = parse_duration
    )]
    pub query_timeout: Option<Duration>,

    /// Most samples a query may hold in memory. Default: the file's cairn.limits.query_samples_max, 50000000.
    #[arg(long = "query.max-samples", env = "CAIRN_QUERY_MAX_SAMPLES", value_name = "COUNT")]
    pub query_samples_max: Option<usize>,

    /// Most queries at a time. Default: the file's cairn.limits.query_concurrency_max, 20.
    #[arg(
        long = "query.max-concurrency",
        env = "CAIRN_QUERY_MAX_CONCURRENCY",
        value_name = "COUNT",
        value_parser = at_least_one
    )]
    pub query_concurrency_max: Option<usize>,

    /// Names of features that are off by default, with commas between: promql-experimental-functions,
    /// promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, st-storage,
    /// use-start-timestamps.
    #[arg(long = "enable-feature", env = "CAIRN_ENABLE_FEATURE", value_name = "NAMES", value_delimiter = ',')]
    pub features: Vec<String>,

    /// Least level that is logged.
    #[arg(long = "log.level", env = "CAIRN_LOG_LEVEL", value_name = "LEVEL", value_enum, default_value = "info")]
    pub log_level: LogLevel,

    /// Format of the log.
    #[arg(long = "log.format", env = "CAIRN_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "logfmt")]
    pub log_format: LogFormat,

    /// Alertmanager's configuration file: routes and receivers.
    #[arg(long = "alertmanager.config-file", env = "CAIRN_ALERTMANAGER_CONFIG_FILE", value_name = "FILE")]
    pub alertmanager_config_file: Option<PathBuf>,
}

/// Flags that are on or off: `--x`, `--x=true`, `--no-x`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Switches {
    /// Allow `POST /-/reload` and `/-/quit`. On by default.
    #[arg(
        long = "web.enable-lifecycle",
        env = "CAIRN_WEB_ENABLE_LIFECYCLE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_name = "BOOL",
        action = ArgAction::Set
    )]
    enable_lifecycle: bool,
    #[arg(long = "no-web.enable-lifecycle", hide = true, overrides_with = "enable_lifecycle")]
    no_enable_lifecycle: bool,

    /// Require a tenant with each request (header X-Scope-OrgID, path or credential). Default: the configuration file's
    /// cairn.multitenancy.
    #[arg(
        long = "auth.multitenancy-enabled",
        env = "CAIRN_AUTH_MULTITENANCY_ENABLED",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        action = ArgAction::Set
    )]
    multitenancy: Option<bool>,
    #[arg(long = "no-auth.multitenancy-enabled", hide = true, overrides_with = "multitenancy")]
    no_multitenancy: bool,

    /// Collect the metrics of this machine. Default: the configuration file's cairn.host_monitoring; on without a file.
    #[arg(
        long = "collector.host",
        env = "CAIRN_COLLECTOR_HOST",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        action = ArgAction::Set
    )]
    collector_host: Option<bool>,
    #[arg(long = "no-collector.host", hide = true, overrides_with = "collector_host")]
    no_collector_host: bool,
}

/// `--log.level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// `--log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs, as Prometheus writes them.
    Logfmt,
}

impl LogLevel {
    /// As the log filter spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

impl Flags {
    /// `--web.enable-lifecycle`
    pub fn enable_lifecycle(&self) -> bool {
        self.switches.enable_lifecycle && !self.switches.no_enable_lifecycle
    }

    /// `--auth.multitenancy-enabled`, if it is given.
    pub fn multitenancy(&self) -> Option<bool> {
        if self.switches.no_multitenancy { Some(false) } else { self.switches.multitenancy }
    }

    /// `--collector.host`, if it is given.
    pub fn host_monitoring(&self) -> Option<bool> {
        if self.switches.no_collector_host { Some(false) } else { self.switches.collector_host }
    }

    /// Puts what flags say about queries into `limits`.
    pub fn limit_queries(&self, limits: &mut Limits) {
        limits.query_timeout = self.query_timeout.unwrap_or(limits.query_timeout);
        limits.query_samples_max = self.query_samples_max.unwrap_or(limits.query_samples_max);
        limits.query_concurrency_max = self.query_concurrency_max.unwrap_or(limits.query_concurrency_max);
    }

    /// Prefix of all paths: empty, or `/like/this` without a slash at the end.
    pub fn route_prefix(&self) -> String {
        let given = self.route_prefix.as_deref();
        let path = given.or(self.external_url.as_ref().map(url::Url::path)).unwrap_or_default();
        let path = path.trim_matches('/');
        if path.is_empty() { String::new() } else { format!("/{path}") }
    }

    /// Name to value of every flag, as `/api/v1/status/flags` shows them; empty where nothing is set. What `limits` say
    /// stands for flags about queries.
    pub fn as_map(&self, limits: &Limits) -> BTreeMap<&'static str, String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        let on = |switch: Option<bool>| switch.map(|on| on.to_string()).unwrap_or_default();
        BTreeMap::from([
            ("config.file", path(&self.config_file)),
            ("web.listen-address", self.listen_addresses.join(",")),
            ("web.external-url", self.external_url.as_ref().map(masked_url).unwrap_or_default()),
            ("web.route-prefix", format!("{}/", self.route_prefix())),
            ("web.enable-lifecycle", self.enable_lifecycle().to_string()),
            ("storage.tsdb.path", self.data_dir.display().to_string()),
            (
                "storage.tsdb.retention.time",
                self.retention_time.map(format_duration).unwrap_or_else(|| "0s".to_owned()),
            ),
            ("storage.tsdb.retention.size", format!("{}B", self.retention_bytes.unwrap_or(0))),
            ("query.lookback-delta", format_duration(self.lookback_delta)),
            ("query.timeout", format_duration(limits.query_timeout)),
            ("query.max-samples", limits.query_samples_max.to_string()),
            ("query.max-concurrency", limits.query_concurrency_max.to_string()),
            ("enable-feature", self.features.join(",")),
            ("log.level", self.log_level.as_str().to_owned()),
            ("log.format", "logfmt".to_owned()),
            ("alertmanager.config-file", path(&self.alertmanager_config_file)),
            ("auth.multitenancy-enabled", on(self.multitenancy())),
            ("collector.host", on(self.host_monitoring())),
        ])
    }
}

/// `host:port`, `:port` or `[v6]:port`, verbatim. The port may be 0: any free one.
fn listen_address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_owned()).ok_or_else(|| "write host:port or :port, the port from 0 to 65535".to_owned())
}

/// What to listen on when nobody says: the loopback, at 9090 or the port that a compose file's `PROMETHEUS_PORT` names,
/// and at `GRAFANA_PORT`, too, for those who expect a dashboard there. Kubernetes sets variables of these names to
/// URLs; those are not meant.
pub(super) fn default_listen_addresses(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let port = |name: &str| lookup(name).and_then(|text| text.parse::<u16>().ok());
    let main = port("PROMETHEUS_PORT").unwrap_or(DEFAULT_PORT);
    let second = port("GRAFANA_PORT").filter(|port| *port != main);
    std::iter::once(main).chain(second).map(|port| format!("127.0.0.1:{port}")).collect()
}

/// The addresses to try for one listener, in order, the first that binds is it: `:9090` is every interface, by IPv6
/// (which takes IPv4 along) or, on machines without it, by IPv4.
pub fn bind_candidates(address: &str) -> Vec<String> {
    match address.strip_prefix(':') {
        Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
        None => vec![address.to_owned()],
    }
}

/// An absolute http(s) URL; a path alone is not enough to build links from.
fn external_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("write an absolute URL such as https://example.org/cairn/".to_owned());
    }
    Ok(url)
}

fn masked_url(url: &url::Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Refused only for URLs without a host, which the parser does not let through.
        let _ = url.set_password(Some("xxxxx"));
    }
    url.to_string()
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a whole number of at least 1".to_owned())
}
