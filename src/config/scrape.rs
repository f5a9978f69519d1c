//! `scrape_configs`: what to scrape, how often, and what to make of it.
//!
//! Here: the keys of one scrape config and those that `global` has in common with it.
//! Elsewhere: the HTTP client's keys (`http_client`), relabelling (`relabel`), scraping.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use super::global::{labels, positive_duration};
use super::protocols::{self, Names};
use super::relabel::read_steps;
use super::units::parse_size;
use super::yaml::{Map, Node, Pos, Problems, nearest};
use super::{
    Global, HttpClientConfig, NameEscaping, NameValidation, ScrapeConfig, ScrapeHistograms, ScrapeLimits,
    ScrapeProtocol, StaticConfig, http_client,
};

/// Ways of finding targets that Prometheus 3 has and Cairn does not, yet.
const DISCOVERY_NOT_YET: [&str; 30] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "file_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
];

/// Other keys of a scrape config that would change what is stored.
const NOT_YET: [&str; 2] = ["scrape_failure_log_file", "extra_scrape_metrics"];

/// What a scrape config inherits from `global`.
#[derive(Debug, Clone)]
pub(super) struct ScrapeDefaults {
    interval: Duration,
    timeout: Duration,
    limits: ScrapeLimits,
    protocols: Vec<ScrapeProtocol>,
    histograms: ScrapeHistograms,
    names: Names,
}

impl ScrapeDefaults {
    pub(super) fn new(global: &Global) -> Self {
        ScrapeDefaults {
            interval: global.scrape_interval,
            timeout: global.scrape_timeout,
            limits: ScrapeLimits::default(),
            protocols: Vec::new(),
            histograms: ScrapeHistograms::default(),
            names: Names::default(),
        }
    }
}

impl ScrapeConfig {
    /// A scrape config with nothing but a name and Prometheus' defaults under `global`.
    pub fn new(job_name: &str, global: &Global) -> Self {
        Self::inheriting(job_name, &ScrapeDefaults::new(global))
    }

    fn inheriting(job_name: &str, defaults: &ScrapeDefaults) -> Self {
        let (name_validation, name_escaping) = Names::default().under(defaults.names);
        ScrapeConfig {
            job_name: job_name.to_owned(),
            scrape_interval: defaults.interval,
            scrape_timeout: defaults.timeout,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            http: HttpClientConfig::default(),
            static_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            limits: defaults.limits.clone(),
            enable_compression: true,
            scrape_protocols: defaults.protocols.clone(),
            fallback_scrape_protocol: None,
            histograms: defaults.histograms,
            name_validation,
            name_escaping,
        }
    }
}

/// The file that scrape configs stand in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// As the user named it.
    pub(super) file: &'a str,
    /// What its relative paths are against.
    pub(super) dir: &'a Path,
}

/// Reads the scrape configs of one file. `seen` says where the job names of the files before stand.
pub(super) fn read_all(
    nodes: &[Node],
    defaults: &ScrapeDefaults,
    source: Source<'_>,
    seen: &mut HashMap<String, String>,
    problems: &Problems,
) -> Vec<ScrapeConfig> {
    let mut configs = Vec::new();
    for node in nodes {
        let (config, name_pos) = read_one(node, defaults, source.dir, problems);
        if config.job_name.is_empty() {
            problems.add(name_pos, "job_name is empty");
        } else if let Some(first) = seen.insert(config.job_name.clone(), format!("{}:{}", source.file, name_pos.line)) {
            let name = &config.job_name;
            problems.add(
                name_pos,
                format!("found multiple scrape configs with job name {name:?}; the first is at {first}"),
            );
        }
        configs.push(config);
    }
    configs
}

fn read_one(node: &Node, defaults: &ScrapeDefaults, dir: &Path, problems: &Problems) -> (ScrapeConfig, Pos) {
    let mut map = Map::new(node, "the scrape config", problems);
    let job_name = map.read("job_name", Node::text).unwrap_or_default();
    let mut config = ScrapeConfig::inheriting(job_name, defaults);
    let name_pos = map.pos_of("job_name");
    map.not_yet("Prometheus", &DISCOVERY_NOT_YET);
    map.not_yet("Prometheus", &NOT_YET);
    read_timing(&mut map, &mut config, defaults);
    read_request(&mut map, &mut config);
    config.honor_labels = map.read("honor_labels", Node::boolean).unwrap_or(false);
    config.honor_timestamps = map.read("honor_timestamps", Node::boolean).unwrap_or(true);
    config.track_timestamps_staleness = map.read("track_timestamps_staleness", Node::boolean).unwrap_or(false);
    config.fallback_scrape_protocol = map.read("fallback_scrape_protocol", protocols::protocol);
    let mut shared = ScrapeDefaults { names: Names::default(), ..defaults.clone() };
    read_shared(&mut map, &mut shared);
    (config.limits, config.scrape_protocols, config.histograms) = (shared.limits, shared.protocols, shared.histograms);
    config.limits.buckets = map.read("native_histogram_bucket_limit", Node::unsigned).unwrap_or(0);
    config.histograms.min_bucket_factor = map.read("native_histogram_min_bucket_factor", Node::float).unwrap_or(0.0);
    (config.name_validation, config.name_escaping) = shared.names.under(defaults.names);
    if config.name_validation == NameValidation::Legacy && config.name_escaping == NameEscaping::AllowUtf8 {
        problems.add(name_pos, "utf8 metric names requested but validation scheme is not set to UTF8");
    }
    config.http = http_client::read(&mut map, dir);
    config.static_configs = map.list("static_configs").iter().map(|node| read_static(node, problems)).collect();
    config.relabel_configs = read_steps(map.list("relabel_configs"), problems);
    config.metric_relabel_configs = read_steps(map.list("metric_relabel_configs"), problems);
    map.finish();
    (config, name_pos)
}

fn read_timing(map: &mut Map<'_>, config: &mut ScrapeConfig, defaults: &ScrapeDefaults) {
    config.scrape_interval = positive_duration(map, "scrape_interval").unwrap_or(defaults.interval);
    let timeout = positive_duration(map, "scrape_timeout");
    if timeout.is_some_and(|timeout| timeout > config.scrape_interval) {
        let name = &config.job_name;
        let message = format!("scrape timeout greater than scrape interval for scrape config with job name {name:?}");
        map.problems().add(map.pos_of("scrape_timeout"), message);
    }
    config.scrape_timeout = timeout.unwrap_or(defaults.timeout).min(config.scrape_interval);
}

fn read_request(map: &mut Map<'_>, config: &mut ScrapeConfig) {
    if let Some(path) = map.read("metrics_path", Node::text) {
        config.metrics_path = path.to_owned();
    }
    if let Some(scheme) = map.read("scheme", |node| one_of(node, &["http", "https"])) {
        config.scheme = scheme.to_owned();
    }
    config.enable_compression = map.read("enable_compression", Node::boolean).unwrap_or(true);
    let problems = map.problems();
    for entry in map.read("params", Node::entries).unwrap_or(&[]) {
        let values = problems.read(&entry.key, &entry.value, texts).unwrap_or_default();
        config.params.insert(entry.key.clone(), values);
    }
}

/// The keys that `global` and a scrape config have in common, intervals aside. What a scrape config leaves out keeps
/// the value it came with.
pub(super) fn read_shared(map: &mut Map<'_>, defaults: &mut ScrapeDefaults) {
    let limits = &mut defaults.limits;
    let sizes = map.read("body_size_limit", |node| parse_size(node.text()?));
    limits.body_bytes = sizes.unwrap_or(limits.body_bytes);
    let mut limit = |key, field: &mut u64| *field = map.read(key, Node::unsigned).unwrap_or(*field);
    limit("sample_limit", &mut limits.samples);
    limit("label_limit", &mut limits.labels);
    limit("label_name_length_limit", &mut limits.label_name_bytes);
    limit("label_value_length_limit", &mut limits.label_value_bytes);
    limit("target_limit", &mut limits.targets);
    limit("keep_dropped_targets", &mut limits.dropped_targets_kept);
    if let Some(protocols) = map.read("scrape_protocols", protocols::protocols).flatten() {
        defaults.protocols = protocols;
    }
    defaults.names = Names::read(map);
    let histograms = &mut defaults.histograms;
    let mut switch = |key, field: &mut bool| *field = map.read(key, Node::boolean).unwrap_or(*field);
    switch("scrape_native_histograms", &mut histograms.native);
    switch("convert_classic_histograms_to_nhcb", &mut histograms.to_custom_buckets);
    // The second is what Prometheus 2 called the first.
    switch("scrape_classic_histograms", &mut histograms.always_classic);
    switch("always_scrape_classic_histograms", &mut histograms.always_classic);
}

fn read_static(node: &Node, problems: &Problems) -> StaticConfig {
    let mut map = Map::new(node, "the static config", problems);
    let mut targets = Vec::new();
    for node in map.list("targets") {
        targets.extend(problems.read("target", node, target_address));
    }
    let labels = map.take("labels").map(|node| labels(node, problems)).unwrap_or_default();
    map.finish();
    StaticConfig { targets, labels }
}

/// `host:port`, verbatim; underscores in host names are fine.
fn target_address(node: &Node) -> Result<String, String> {
    let text = node.text()?;
    if node.is_null() || text.is_empty() {
        return Err("the address is empty".to_owned());
    }
    if text.contains('/') {
        return Err(format!(
            "{text:?} is not a valid hostname; write host:port, and put the rest into scheme and metrics_path"
        ));
    }
    let port = text.rsplit_once(':').filter(|_| !text.ends_with(']')).map(|(_, port)| port);
    match port {
        Some(port) if port.parse::<u16>().is_err() => {
            Err(format!("{text:?} has no valid port; a port is a number from 0 to 65535"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// One of `known`, or an error with the nearest of them.
pub(super) fn one_of<'n>(node: &'n Node, known: &[&'static str]) -> Result<&'n str, String> {
    let text = node.text()?;
    if known.contains(&text) {
        return Ok(text);
    }
    let hint = nearest(text, known.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
    Err(format!("unknown value {text:?}, expected {}{}", known.join(" or "), hint.unwrap_or_default()))
}

fn texts(node: &Node) -> Result<Vec<String>, String> {
    node.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
}
