//! `cairn`: the settings that Prometheus has no key for.
//!
//! Here: their keys. Elsewhere: what they do.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::global::duration;
use super::http_client::read_secret;
use super::scrape::one_of;
use super::yaml::{Map, Node, Problems};
use super::{CairnConfig, Credential, Limits, QueryLogConfig, TenantId};

/// A client that takes something every second is not stalled, whatever the limit says.
const STALL_MIN: Duration = Duration::from_secs(1);

/// Reads the section `cairn`. Relative paths are against `dir`.
pub(super) fn read(node: &Node, dir: &Path, problems: &Problems) -> CairnConfig {
    let mut map = Map::new(node, "cairn", problems);
    let folder = |node: &Node| node.text().map(|text| dir.join(text));
    let config = CairnConfig {
        multitenancy: map.read("multitenancy", Node::boolean).unwrap_or(false),
        self_monitoring: map.read("self_monitoring", Node::boolean).unwrap_or(false),
        host_monitoring: map.read("host_monitoring", Node::boolean).unwrap_or(false),
        credentials: read_credentials(map.list("credentials"), dir, problems),
        alertmanager_config_file: map.read("alertmanager_config_file", folder),
        dashboard_dirs: map
            .list("dashboards")
            .iter()
            .filter_map(|node| problems.read("dashboards", node, folder))
            .collect(),
        limits: map.take("limits").map(|node| read_limits(node, problems)).unwrap_or_default(),
        query_log: map.take("query_log").map(|node| read_query_log(node, problems)).unwrap_or_default(),
        durability_interval: map.read("durability", |node| one_of(node, &["ack", "interval"])) == Some("interval"),
    };
    map.finish();
    config
}

fn read_query_log(node: &Node, problems: &Problems) -> QueryLogConfig {
    let mut map = Map::new(node, "cairn.query_log", problems);
    let default = QueryLogConfig::default();
    let slow_kept = map.read("slow_kept", Node::unsigned);
    let config = QueryLogConfig {
        threshold: map.read("threshold", duration).unwrap_or(default.threshold),
        slow_threshold: map.read("slow_threshold", duration).unwrap_or(default.slow_threshold),
        slow_kept: slow_kept.map_or(default.slow_kept, |n| usize::try_from(n).unwrap_or(usize::MAX)),
    };
    map.finish();
    config
}

fn read_limits(node: &Node, problems: &Problems) -> Limits {
    let mut map = Map::new(node, "cairn.limits", problems);
    let default = Limits::default();
    let push_wait_max = map.read("push_wait_max", duration).unwrap_or(default.push_wait_max);
    let query_timeout = map.read("query_timeout", duration).unwrap_or(default.query_timeout);
    let query_wait_max = map.read("query_wait_max", duration).unwrap_or(default.query_wait_max);
    // Nobody would get a large answer otherwise.
    let answer_stall_max = map.read("answer_stall_max", duration).unwrap_or(default.answer_stall_max).max(STALL_MIN);
    let query_cache_min_age = map.read("query_cache_min_age", duration).unwrap_or(default.query_cache_min_age);
    let compaction_bytes_per_second = map.read("compaction_bytes_per_second", Node::unsigned);
    let mut read = |key, default: usize| {
        map.read(key, Node::unsigned).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX))
    };
    let limits = Limits {
        tenants_max: read("tenants_max", default.tenants_max),
        push_body_bytes_max: read("push_body_bytes_max", default.push_body_bytes_max),
        push_decoded_bytes_max: read("push_decoded_bytes_max", default.push_decoded_bytes_max),
        push_samples_max: read("push_samples_max", default.push_samples_max),
        // Without a single push or a byte for it nothing could be pushed at all.
        pushes_max: read("pushes_max", default.pushes_max).max(1),
        push_memory_bytes_max: read("push_memory_bytes_max", default.push_memory_bytes_max).max(1),
        query_body_bytes_max: read("query_body_bytes_max", default.query_body_bytes_max),
        query_timeout,
        query_samples_max: read("query_samples_max", default.query_samples_max),
        query_memory_bytes_max: read("query_memory_bytes_max", default.query_memory_bytes_max),
        query_series_max: read("query_series_max", default.query_series_max),
        query_cores_max: read("query_cores_max", default.query_cores_max),
        query_points_max: read("query_points_max", default.query_points_max),
        query_result_bytes_max: read("query_result_bytes_max", default.query_result_bytes_max),
        query_answers_bytes_max: read("query_answers_bytes_max", default.query_answers_bytes_max),
        answer_stall_max,
        // Nobody could ask anything otherwise.
        query_concurrency_max: read("query_concurrency_max", default.query_concurrency_max).max(1),
        query_queue_max: read("query_queue_max", default.query_queue_max),
        query_wait_max,
        query_selectors_bytes_max: read("query_selectors_bytes_max", default.query_selectors_bytes_max),
        query_cache_bytes_max: read("query_cache_bytes_max", default.query_cache_bytes_max),
        query_cache_min_age,
        dashboard_bytes_max: read("dashboard_bytes_max", default.dashboard_bytes_max),
        push_wait_max,
        compaction_bytes_per_second: compaction_bytes_per_second.unwrap_or(default.compaction_bytes_per_second),
    };
    map.finish();
    limits
}

fn read_credentials(nodes: &[Node], dir: &Path, problems: &Problems) -> Vec<Credential> {
    let mut names = HashSet::new();
    let mut credentials = Vec::new();
    for node in nodes {
        let mut map = Map::new(node, "the credential", problems);
        let name = map.read("name", Node::text).unwrap_or_default().to_owned();
        let name_pos = map.pos_of("name");
        let secret = read_secret(&mut map, "secret", "secret_file", dir);
        let tenant = map.read("tenant", tenant_id).map(str::to_owned);
        map.finish();
        if name.is_empty() {
            problems.add(name_pos, "a credential needs a name");
        } else if !names.insert(name.clone()) {
            problems.add(name_pos, format!("found multiple credentials with name {name:?}"));
        }
        match secret {
            Some(secret) => credentials.push(Credential { name, secret, tenant }),
            None => problems.add(node.pos, format!("credential {name:?} needs a secret or a secret_file")),
        }
    }
    credentials
}

fn tenant_id(node: &Node) -> Result<&str, String> {
    let text = node.text()?;
    TenantId::parse(text).map(|_| text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::Limits;
    use crate::config::tests::load_text;

    #[test]
    fn limits_are_read_and_those_left_out_are_as_documented() {
        let text = "cairn: {limits: {answer_stall_max: 0s, pushes_max: 3, push_memory_bytes_max: 1048576, push_wait_max: 1m30s, \
                    compaction_bytes_per_second: 0, query_timeout: 5s, query_queue_max: 7}}";
        let limits = load_text(text).1.unwrap_or_else(|error| panic!("{error}")).cairn.limits;
        assert_eq!((limits.pushes_max, limits.push_memory_bytes_max), (3, 1 << 20));
        assert_eq!((limits.push_wait_max, limits.compaction_bytes_per_second), (Duration::from_secs(90), 0));
        assert_eq!((limits.query_timeout, limits.query_queue_max), (Duration::from_secs(5), 7));
        assert_eq!(limits.answer_stall_max, Duration::from_secs(1), "no less");
        let docs = include_str!("../../docs/configuration.md");
        let (_, limits) = docs.split_once("  limits:\n").unwrap();
        let (limits, _) = limits.split_once("```").unwrap();
        let documented = load_text(&format!("cairn:\n  limits:\n{limits}")).1.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(documented.cairn.limits, Limits::default());
        let keys = limits.lines().count();
        assert_eq!(keys, format!("{:?}", Limits::default()).matches(": ").count(), "each limit has its line");
    }
}
