//! The sections that are no lists: `global`, `runtime`, `alerting`, `storage`.
//!
//! Here: their keys and what Prometheus demands of them. Elsewhere: what the settings do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::scrape::{self, ScrapeDefaults};
use super::units::{parse_duration, parse_size};
use super::yaml::{Map, Node, Problems};
use super::{Global, Retention};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl Default for Global {
    fn default() -> Self {
        Global {
            scrape_interval: DEFAULT_INTERVAL,
            scrape_timeout: DEFAULT_TIMEOUT,
            evaluation_interval: DEFAULT_INTERVAL,
            rule_query_offset: Duration::ZERO,
            query_log_file: None,
            external_labels: BTreeMap::new(),
        }
    }
}

/// Reads `global`: what applies to the server, and what scrape configs inherit. Relative paths are against `dir`.
pub(super) fn read_global(node: Option<&Node>, dir: &Path, problems: &Problems) -> (Global, ScrapeDefaults) {
    let mut global = Global::default();
    let Some(node) = node else { return (global.clone(), ScrapeDefaults::new(&global)) };
    let mut map = Map::new(node, "global", problems);
    map.not_yet("Prometheus", &["scrape_failure_log_file", "extra_scrape_metrics"]);
    global.scrape_interval = positive_duration(&mut map, "scrape_interval").unwrap_or(DEFAULT_INTERVAL);
    global.evaluation_interval = positive_duration(&mut map, "evaluation_interval").unwrap_or(DEFAULT_INTERVAL);
    let log_file = map.read("query_log_file", Node::text).filter(|path| !path.is_empty());
    global.query_log_file = log_file.map(|path| dir.join(path));
    global.rule_query_offset = map.read("rule_query_offset", duration).unwrap_or_default();
    let timeout = positive_duration(&mut map, "scrape_timeout");
    if timeout.is_some_and(|timeout| timeout > global.scrape_interval) {
        problems.add(map.pos_of("scrape_timeout"), "global scrape timeout greater than scrape interval");
    }
    global.scrape_timeout = timeout.unwrap_or(DEFAULT_TIMEOUT).min(global.scrape_interval);
    global.external_labels = map.take("external_labels").map(|node| labels(node, problems)).unwrap_or_default();
    if let Some(runtime) = map.take("runtime") {
        read_runtime(runtime, problems);
    }
    let mut defaults = ScrapeDefaults::new(&global);
    scrape::read_shared(&mut map, &mut defaults);
    map.finish();
    (global, defaults)
}

/// `runtime.gogc` is Go's garbage collector: nothing to set here, and no harm in leaving it in the file.
pub(super) fn read_runtime(node: &Node, problems: &Problems) {
    let mut map = Map::new(node, "runtime", problems);
    if map.read("gogc", Node::unsigned).is_some() {
        problems.warn(map.pos_of("gogc"), "runtime.gogc has no effect: Cairn has no garbage collector");
    }
    map.finish();
}

/// `alerting`: Cairn delivers by itself. A section that names no Alertmanager, as the sample file of Prometheus has it,
/// is accepted; one that names some is refused until alerts can be sent there.
pub(super) fn read_alerting(node: &Node, problems: &Problems) {
    let mut map = Map::new(node, "alerting", problems);
    map.not_yet("Prometheus", &["alert_relabel_configs"]);
    for manager in map.list("alertmanagers") {
        if names_nobody(manager) {
            continue;
        }
        let message = "sending alerts to an external Alertmanager is not supported yet by this version of Cairn; \
                       remove it and give Cairn the Alertmanager's own file (cairn: alertmanager_config_file)";
        problems.add(manager.pos, message);
    }
    map.finish();
}

/// Only `static_configs` without a single target.
fn names_nobody(manager: &Node) -> bool {
    let Ok(entries) = manager.entries() else { return false };
    entries.iter().all(|entry| {
        let configs = entry.value.list().unwrap_or(&[]);
        entry.key == "static_configs"
            && configs.iter().all(|config| {
                let entries = config.entries().unwrap_or(&[]);
                entries.iter().filter(|e| e.key == "targets").all(|e| e.value.list().is_ok_and(<[Node]>::is_empty))
            })
    })
}

/// `storage`: how long samples are kept.
pub(super) fn read_storage(node: &Node, problems: &Problems) -> Retention {
    let mut map = Map::new(node, "storage", problems);
    map.not_yet("Prometheus", &["exemplars"]);
    let retention = map.take("tsdb").map(|tsdb| read_tsdb(tsdb, problems)).unwrap_or_default();
    map.finish();
    retention
}

fn read_tsdb(node: &Node, problems: &Problems) -> Retention {
    let mut map = Map::new(node, "storage.tsdb", problems);
    map.not_yet("Prometheus", &["stale_series_compaction_threshold"]);
    if map.read("out_of_order_time_window", duration).is_some() {
        let message = "storage.tsdb.out_of_order_time_window has no effect: late samples are accepted as far back as \
                       retention reaches";
        problems.warn(map.pos_of("out_of_order_time_window"), message);
    }
    let retention = map.take("retention").map(|node| read_retention(node, problems)).unwrap_or_default();
    map.finish();
    retention
}

fn read_retention(node: &Node, problems: &Problems) -> Retention {
    let mut map = Map::new(node, "storage.tsdb.retention", problems);
    map.not_yet("Prometheus", &["percentage"]);
    // 0 says "not set" in Prometheus, for the time as for the size.
    let time = positive_duration(&mut map, "time");
    let size_bytes = map.read("size", |node| parse_size(node.text()?)).filter(|bytes| *bytes > 0);
    map.finish();
    Retention { time, size_bytes }
}

/// A duration where 0 means "not given", as in Prometheus.
pub(super) fn positive_duration(map: &mut Map<'_>, key: &'static str) -> Option<Duration> {
    map.read(key, duration).filter(|duration| !duration.is_zero())
}

/// A duration in Prometheus' notation.
pub(super) fn duration(node: &Node) -> Result<Duration, String> {
    parse_duration(node.text()?)
}

/// Free names with texts; names must not be empty.
pub(super) fn labels(node: &Node, problems: &Problems) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for entry in problems.read("labels", node, Node::entries).unwrap_or(&[]) {
        if entry.key.is_empty() {
            problems.add(entry.key_pos, "\"\" is not a valid label name");
        }
        if let Some(value) =
            problems.read(&entry.key, &entry.value, |node| if node.is_null() { Ok("") } else { node.text() })
        {
            labels.insert(entry.key.clone(), value.to_owned());
        }
    }
    labels
}
