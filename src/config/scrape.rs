//! `scrape_configs`: what to scrape, how often, and what to make of it.
//!
//! Here: the keys of one scrape config and those that `global` has in common with it.
//! Elsewhere: the HTTP client's keys (`http_client`), relabelling (`relabel`), scraping.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use super::global::{labels, positive_duration};
use super::relabel::read_steps;
use super::units::parse_size;
use super::yaml::{Map, Node, Pos, Problems, nearest};
use super::{Global, HttpClientConfig, ScrapeConfig, ScrapeLimits, StaticConfig, http_client};

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
const NOT_YET: [&str; 4] = [
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "scrape_failure_log_file",
    "extra_scrape_metrics",
];

/// Formats a target may be asked for, in Prometheus' spelling; those that Cairn reads come first.
const PROTOCOLS_READ: [&str; 4] =
    ["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"];
const PROTOCOLS_KNOWN: [&str; 5] =
    ["PrometheusProto", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusText0.0.4", "PrometheusText1.0.0"];

/// What a scrape config inherits from `global`.
#[derive(Debug, Clone)]
pub(super) struct ScrapeDefaults {
    interval: Duration,
    timeout: Duration,
    limits: ScrapeLimits,
    protocols: Vec<String>,
}

impl ScrapeDefaults {
    pub(super) fn new(global: &Global) -> Self {
        let protocols = PROTOCOLS_READ.iter().map(|&p| p.to_owned()).collect();
        ScrapeDefaults {
            interval: global.scrape_interval,
            timeout: global.scrape_timeout,
            limits: ScrapeLimits::default(),
            protocols,
        }
    }
}

impl ScrapeConfig {
    /// A scrape config with nothing but a name and Prometheus' defaults under `global`.
    pub fn new(job_name: &str, global: &Global) -> Self {
        Self::inheriting(job_name, &ScrapeDefaults::new(global))
    }

    fn inheriting(job_name: &str, defaults: &ScrapeDefaults) -> Self {
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
    config.fallback_scrape_protocol = map.read("fallback_scrape_protocol", protocol).map(str::to_owned);
    let mut shared = defaults.clone();
    read_shared(&mut map, &mut shared);
    (config.limits, config.scrape_protocols) = (shared.limits, shared.protocols);
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
    if let Some(protocols) = map.read("scrape_protocols", protocols) {
        defaults.protocols = protocols;
    }
    // Only the values that mean what Cairn does are taken; the others would silently change what is stored.
    map.read("metric_name_validation_scheme", |node| only(node, &["utf8"], &["legacy"]));
    let escaping = ["underscores", "dots", "values"];
    map.read("metric_name_escaping_scheme", |node| only(node, &["allow-utf-8"], &escaping));
    map.read("scrape_native_histograms", only_false);
    map.read("convert_classic_histograms_to_nhcb", only_false);
    // Classic histograms are always scraped, so either answer is right.
    map.read("always_scrape_classic_histograms", Node::boolean);
    map.read("scrape_classic_histograms", Node::boolean);
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

fn protocols(node: &Node) -> Result<Vec<String>, String> {
    let mut asked: Vec<String> = Vec::new();
    for item in node.list()? {
        let name = protocol_name(item)?;
        if asked.iter().any(|other| other == name) {
            return Err(format!("duplicated protocol {name:?} in scrape_protocols"));
        }
        asked.push(name.to_owned());
    }
    match asked.iter().any(|name| PROTOCOLS_READ.contains(&name.as_str())) || asked.is_empty() {
        true => Ok(asked),
        false => Err("PrometheusProto is not supported yet by this version of Cairn; add a text format".to_owned()),
    }
}

fn protocol(node: &Node) -> Result<&str, String> {
    let name = protocol_name(node)?;
    match PROTOCOLS_READ.contains(&name) {
        true => Ok(name),
        false => Err(format!("{name} is not supported yet by this version of Cairn; choose a text format")),
    }
}

fn protocol_name(node: &Node) -> Result<&str, String> {
    let text = node.text()?;
    let unknown = || format!("unknown scrape protocol {text:?}, supported: {}", PROTOCOLS_KNOWN.join(", "));
    PROTOCOLS_KNOWN.contains(&text).then_some(text).ok_or_else(unknown)
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

fn only(node: &Node, taken: &[&'static str], later: &[&'static str]) -> Result<(), String> {
    let text = node.text()?;
    match later.contains(&text) {
        true => Err(format!(
            "{text:?} of Prometheus is not supported yet by this version of Cairn; only {} is",
            taken.join(", ")
        )),
        false => one_of(node, taken).map(|_| ()),
    }
}

fn only_false(node: &Node) -> Result<(), String> {
    match node.boolean()? {
        true => Err("true is not supported yet by this version of Cairn; remove it".to_owned()),
        false => Ok(()),
    }
}

fn texts(node: &Node) -> Result<Vec<String>, String> {
    node.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
}
