//! Configuration: files and flags become validated plain structs.
//!
//! Here: every setting and every default. Reading the files and refusing what is wrong is in the children.
//! Elsewhere: what the settings do.
//!
//! Invariant: a [`Config`] that exists is valid; nobody downstream checks it again.

mod env;
mod glob;
mod global;
pub(crate) mod http_client;
mod load;
mod mask;
mod own;
mod protocols;
mod relabel;
mod scrape;
mod tenant_id;
mod units;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

pub use glob::expand_glob;
pub use load::{ConfigError, check, load};
pub use protocols::{NameEscaping, NameValidation, ScrapeProtocol};
pub use tenant_id::{TenantId, TenantIdError};
pub use units::{format_duration, parse_duration, parse_size};

/// A whole `prometheus.yml` (with Cairn's own settings under its key `cairn`), validated, defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// `global`
    pub global: Global,
    /// `scrape_configs`, job names unique.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// `rule_files`: glob patterns, made absolute against the configuration file's folder.
    pub rule_files: Vec<PathBuf>,
    /// `storage.tsdb.retention`, if the file sets it.
    pub retention: Retention,
    /// `cairn`
    pub cairn: CairnConfig,
    /// Settings that are accepted and have no effect, `file:line:column: sentence`: to be logged once after loading.
    pub warnings: Vec<String>,
    /// The file as YAML, comments dropped, variables not expanded, secrets masked: for `/api/v1/status/config`.
    pub yaml: String,
}

/// `global`
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Default 1m.
    pub scrape_interval: Duration,
    /// Default 10s, or the interval if that is shorter.
    pub scrape_timeout: Duration,
    /// Default 1m.
    pub evaluation_interval: Duration,
    /// `query_log_file`, absolute: where queries are logged.
    pub query_log_file: Option<PathBuf>,
    /// How long ago rules evaluate, for samples that arrive late; default 0.
    pub rule_query_offset: Duration,
    /// Added to alerts and to what leaves this server.
    pub external_labels: BTreeMap<String, String>,
}

/// One element of `scrape_configs`; what it leaves out is taken from `global`.
#[derive(Debug, Clone)]
pub struct ScrapeConfig {
    /// `job_name`
    pub job_name: String,
    /// `scrape_interval`
    pub scrape_interval: Duration,
    /// `scrape_timeout`, never above the interval.
    pub scrape_timeout: Duration,
    /// `metrics_path`, default `/metrics`.
    pub metrics_path: String,
    /// `scheme`: `http` (default) or `https`.
    pub scheme: String,
    /// `params`: URL parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// `honor_labels`, default false.
    pub honor_labels: bool,
    /// `honor_timestamps`, default true.
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`, default false.
    pub track_timestamps_staleness: bool,
    /// How requests are made.
    pub http: HttpClientConfig,
    /// `static_configs`
    pub static_configs: Vec<StaticConfig>,
    /// `relabel_configs`
    pub relabel_configs: Vec<RelabelConfig>,
    /// `metric_relabel_configs`
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// Body, sample and label limits; 0 is no limit.
    pub limits: ScrapeLimits,
    /// `enable_compression`, default true: ask the target for gzip.
    pub enable_compression: bool,
    /// `scrape_protocols`: the formats to ask the target for, best first; empty: the default
    /// ([`ScrapeConfig::protocols`]).
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// `fallback_scrape_protocol`: the format of an answer without a usable content type; `None`: text 0.0.4.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// What becomes of histograms.
    pub histograms: ScrapeHistograms,
    /// `metric_name_validation_scheme`
    pub name_validation: NameValidation,
    /// `metric_name_escaping_scheme`, never `allow-utf-8` with `legacy` validation.
    pub name_escaping: NameEscaping,
}

impl ScrapeConfig {
    /// The formats to ask for. The default begins with protobuf where only that has what is wanted: native histograms,
    /// or start timestamps.
    pub fn protocols(&self, wants_starts: bool) -> &[ScrapeProtocol] {
        match self.scrape_protocols.as_slice() {
            [] => ScrapeProtocol::defaults(self.histograms.native || wants_starts),
            given => given,
        }
    }
}

/// What becomes of the histograms of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScrapeHistograms {
    /// `scrape_native_histograms`, default false.
    pub native: bool,
    /// `always_scrape_classic_histograms`, default false: classic series also where there is a native histogram.
    pub always_classic: bool,
    /// `convert_classic_histograms_to_nhcb`, default false: classic ones become native ones with custom buckets.
    pub to_custom_buckets: bool,
    /// `native_histogram_min_bucket_factor`: buckets that grow by less are merged; 0 merges none.
    pub min_bucket_factor: f64,
}

/// Credentials and TLS of an HTTP client (the keys of Prometheus' `http_client_config` that are there).
#[derive(Clone, Default, PartialEq)]
pub struct HttpClientConfig {
    /// `basic_auth`: user name and password.
    pub basic_auth: Option<(String, Secret)>,
    /// `authorization`: type (default `Bearer`) and credentials.
    pub authorization: Option<(String, Secret)>,
    /// `tls_config.ca_file`
    pub ca_file: Option<PathBuf>,
    /// `tls_config.insecure_skip_verify`
    pub insecure_skip_verify: bool,
    /// `follow_redirects`, default true in Prometheus; stored inverted so that `Default` is right.
    pub refuse_redirects: bool,
    /// `enable_http2: false`, stored inverted for the same reason.
    pub http1_only: bool,
}

impl std::fmt::Debug for HttpClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClientConfig")
            .field("basic_auth", &self.basic_auth)
            .field("authorization", &self.authorization)
            .finish_non_exhaustive()
    }
}

/// A secret: given in place or in a file that is read again at each use. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text itself.
    Inline(String),
    /// A file whose trimmed content it is.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// `static_configs`: addresses with common labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StaticConfig {
    /// `host:port`, verbatim.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}

/// Limits of one scrape; 0 is no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScrapeLimits {
    /// `body_size_limit`, uncompressed bytes.
    pub body_bytes: u64,
    /// `sample_limit`, after metric relabelling.
    pub samples: u64,
    /// `native_histogram_bucket_limit`: a native histogram with more buckets is made coarser.
    pub buckets: u64,
    /// `label_limit`
    pub labels: u64,
    /// `label_name_length_limit`
    pub label_name_bytes: u64,
    /// `label_value_length_limit`
    pub label_value_bytes: u64,
    /// `target_limit`
    pub targets: u64,
    /// `keep_dropped_targets`: how many dropped targets are remembered for the targets page.
    pub dropped_targets_kept: u64,
}

/// One relabelling step, as in Prometheus.
#[derive(Debug, Clone)]
pub struct RelabelConfig {
    /// `source_labels`
    pub source_labels: Vec<String>,
    /// `separator`, default `;`
    pub separator: String,
    /// `target_label`
    pub target_label: String,
    /// `regex`, default `(.*)`; anchored, dot matches newline.
    pub regex: Regex,
    /// `modulus`
    pub modulus: u64,
    /// `replacement`, default `$1`
    pub replacement: String,
    /// `action`, default `replace`
    pub action: RelabelAction,
}

/// What a relabelling step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "Prometheus' own names")]
pub enum RelabelAction {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// How long samples are kept where neither the file nor a flag says anything: Prometheus' 15 d.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(15 * 86_400);

/// How long samples are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retention {
    /// `time`; the default of 15 d applies where neither file nor flag sets time or size.
    pub time: Option<Duration>,
    /// `size` in bytes.
    pub size_bytes: Option<u64>,
}

/// Cairn's own settings: the top-level key `cairn` of the configuration file.
#[derive(Debug, Clone, Default)]
pub struct CairnConfig {
    /// `multitenancy: on | off` (default off: everything is tenant `anonymous`).
    pub multitenancy: bool,
    /// `self_monitoring: true | false`: scrape Cairn itself. Default: true without a configuration file, else false.
    pub self_monitoring: bool,
    /// `host_monitoring: true | false`: the built-in host collector. Default as above.
    pub host_monitoring: bool,
    /// `credentials`: who may push from elsewhere than the loopback.
    pub credentials: Vec<Credential>,
    /// `alertmanager_config_file`: Alertmanager's YAML (routes and receivers), absolute.
    pub alertmanager_config_file: Option<PathBuf>,
    /// `dashboards`: folders with Grafana JSON files, absolute.
    pub dashboard_dirs: Vec<PathBuf>,
    /// `limits`
    pub limits: Limits,
    /// `query_log`
    pub query_log: QueryLogConfig,
    /// `durability`: `ack` (default) or `interval`.
    pub durability_interval: bool,
}

/// `cairn.query_log`: which queries are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLogConfig {
    /// `threshold`: queries that took at least so long are written to `global.query_log_file`; default 0, all of them.
    pub threshold: Duration,
    /// `slow_threshold`: queries that took at least so long are listed as slow; default 1s.
    pub slow_threshold: Duration,
    /// `slow_kept`: how many of them, for each tenant; default 100.
    pub slow_kept: usize,
}

impl Default for QueryLogConfig {
    fn default() -> Self {
        QueryLogConfig { threshold: Duration::ZERO, slow_threshold: Duration::from_secs(1), slow_kept: 100 }
    }
}

/// `cairn.limits`: what a request may weigh, what is done at one moment, and how many tenants there may be. Each message that refuses something names its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most tenants of one appliance.
    pub tenants_max: usize,
    /// Largest compressed push, in bytes.
    pub push_body_bytes_max: usize,
    /// Largest push after decompression, in bytes.
    pub push_decoded_bytes_max: usize,
    /// Most samples of one push.
    pub push_samples_max: usize,
    /// Most pushes that are worked on at one moment. Each has a thread, and most of them wait for the disk.
    pub pushes_max: usize,
    /// Memory that the pushes that are worked on at one moment may take together, unpacked, in bytes; more wait. One that
    /// needs more than all of it goes alone.
    pub push_memory_bytes_max: usize,
    /// A push that had to wait for so long is sent back.
    pub push_wait_max: Duration,
    /// Bytes that merging blocks writes in a second, for each tenant; 0 is no limit.
    pub compaction_bytes_per_second: u64,
    /// Largest form body of a query, in bytes.
    pub query_body_bytes_max: usize,
    /// Longest run of a query, its wait included; `--query.timeout` wins.
    pub query_timeout: Duration,
    /// Most samples that a query holds at one moment; `--query.max-samples` wins.
    pub query_samples_max: usize,
    /// Most bytes that a query holds at one moment, estimated.
    pub query_memory_bytes_max: usize,
    /// Most series that a query selects, over all its selectors.
    pub query_series_max: usize,
    /// Most points of one series in the answer to a range query.
    pub query_points_max: usize,
    /// Most threads that work on one query, and beyond the first on all of them together; never more than cores.
    pub query_cores_max: usize,
    /// Most bytes of an answer: 16 for a point, and the labels.
    pub query_result_bytes_max: usize,
    /// Most bytes of all answers that are being sent, counted in the same way.
    pub query_answers_bytes_max: usize,
    /// A client that takes nothing of what is sent to it for so long is cut off.
    pub answer_stall_max: Duration,
    /// Most queries that run at one moment; `--query.max-concurrency` wins. More wait.
    pub query_concurrency_max: usize,
    /// Most queries of one tenant that wait; more are sent back.
    pub query_queue_max: usize,
    /// A query that had to wait for so long is sent back.
    pub query_wait_max: Duration,
    /// Bytes for the series that selectors found before, for each tenant; 0 keeps none.
    pub query_selectors_bytes_max: usize,
    /// Bytes of the cache of answers to range queries; 0 is no cache.
    pub query_cache_bytes_max: usize,
    /// Answers about times less than this before the newest sample, and before now, are not cached.
    pub query_cache_min_age: Duration,
    /// Largest dashboard document, in bytes: the largest public ones are near 1 MB.
    pub dashboard_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            tenants_max: 1000,
            push_body_bytes_max: 32 << 20,
            push_decoded_bytes_max: 128 << 20,
            push_samples_max: 2_000_000,
            pushes_max: 64,
            push_memory_bytes_max: 512 << 20,
            push_wait_max: Duration::from_secs(10),
            compaction_bytes_per_second: 32 << 20,
            query_body_bytes_max: 10 << 20,
            query_timeout: Duration::from_secs(120),
            query_samples_max: 50_000_000,
            query_memory_bytes_max: 1 << 30,
            query_series_max: 2_000_000,
            query_points_max: 11_000,
            query_cores_max: 8,
            query_result_bytes_max: 256 << 20,
            query_answers_bytes_max: 1 << 30,
            answer_stall_max: Duration::from_secs(60),
            query_concurrency_max: 20,
            query_queue_max: 100,
            query_wait_max: Duration::from_secs(30),
            query_selectors_bytes_max: 32 << 20,
            query_cache_bytes_max: 32 << 20,
            query_cache_min_age: Duration::from_secs(600),
            dashboard_bytes_max: 8 << 20,
        }
    }
}

/// `cairn.credentials[]`: a name and a secret (Basic Auth, or `Bearer <secret>`), bound to a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Basic Auth user name.
    pub name: String,
    /// Basic Auth password or bearer token.
    pub secret: Secret,
    /// The tenant it pushes for; `None`: whatever the request names.
    pub tenant: Option<String>,
}

#[cfg(test)]
mod scrape_tests;
#[cfg(test)]
mod tests;
