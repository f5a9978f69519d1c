//! Alertmanager's YAML: routes and receivers.
//!
//! Here: the keys that are understood, their defaults, and the refusal of the rest by name. Elsewhere: YAML itself
//! (`config::yaml`), what the settings do.
//!
//! Invariant: in a [`NotifyConfig`] every route names a receiver that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use storage::{MatchOp, Matcher};

use crate::config::yaml::{FileProblem, Map, Node, Problems, parse};
use crate::config::{HttpClientConfig, Secret};

use super::matchers;
use super::route::{GroupBy, Route, RouteOptions};

/// Deepest nesting of routes.
const ROUTE_DEPTH_MAX: usize = 50;

/// A whole `alertmanager.yml`, as far as it is understood.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// `global.resolve_timeout`, default 5 min: for alerts that come without an end.
    pub resolve_timeout_ms: i64,
    /// The root of the tree.
    pub route: Route,
    /// By name.
    pub receivers: BTreeMap<String, Receiver>,
}

/// One element of `receivers`.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    /// `webhook_configs`
    pub webhooks: Vec<Arc<WebhookConfig>>,
}

/// One element of `webhook_configs`.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// `url` or `url_file`: secret, because many services put a token there.
    pub url: Secret,
    /// `send_resolved`, default true.
    pub send_resolved: bool,
    /// `max_alerts`: most alerts in one message, 0 is no limit.
    pub max_alerts: usize,
    /// `http_config`, or the one of `global`.
    pub http: HttpClientConfig,
}

const GLOBAL_LATER: [&str; 25] = [
    "smtp_from",
    "smtp_hello",
    "smtp_smarthost",
    "smtp_auth_username",
    "smtp_auth_password",
    "smtp_auth_password_file",
    "smtp_auth_secret",
    "smtp_auth_identity",
    "smtp_require_tls",
    "smtp_tls_config",
    "slack_api_url",
    "slack_api_url_file",
    "slack_app_token",
    "pagerduty_url",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "opsgenie_api_url",
    "telegram_api_url",
    "webex_api_url",
    "victorops_api_key",
    "victorops_api_key_file",
    "victorops_api_url",
    "wechat_api_url",
    "wechat_api_secret",
    "wechat_api_corp_id",
];

const RECEIVERS_LATER: [&str; 15] = [
    "email_configs",
    "slack_configs",
    "pagerduty_configs",
    "opsgenie_configs",
    "telegram_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "discord_configs",
    "webex_configs",
    "sns_configs",
    "victorops_configs",
    "wechat_configs",
    "pushover_configs",
    "jira_configs",
    "rocketchat_configs",
];

/// Reads `text`, which came from `file`; relative paths in it are against `dir`.
pub fn parse_config(file: &str, dir: &Path, text: &str) -> Result<NotifyConfig, Vec<FileProblem>> {
    let root =
        parse(text).map_err(|p| vec![FileProblem { file: file.to_owned(), pos: Some(p.pos), message: p.message }])?;
    let problems = Problems::new();
    let config = read(&root, dir, &problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.in_file(file)),
    }
}

fn read(root: &Node, dir: &Path, problems: &Problems) -> Option<NotifyConfig> {
    let mut map = Map::new(root, "the Alertmanager configuration", problems);
    for key in ["inhibit_rules", "time_intervals", "mute_time_intervals", "templates"] {
        not_yet_unless_empty(&mut map, root, key);
    }
    map.not_yet("Alertmanager", &["tracing"]);
    let (resolve_timeout_ms, http) = match map.take("global") {
        Some(node) => read_global(node, dir, problems),
        None => (300_000, HttpClientConfig::default()),
    };
    let mut receivers = BTreeMap::new();
    for node in map.list("receivers") {
        read_receiver(node, dir, &http, problems, &mut receivers);
    }
    let route = match map.take("route") {
        Some(node) => read_route(node, None, &receivers, problems, 0),
        None => {
            problems.add(map.pos(), "no routes provided");
            None
        }
    };
    map.finish();
    Some(NotifyConfig { resolve_timeout_ms, route: route?, receivers })
}

/// Some files have these keys with an empty list, which asks for nothing.
fn not_yet_unless_empty(map: &mut Map<'_>, node: &Node, key: &'static str) {
    let given = node.entries().unwrap_or(&[]).iter().find(|e| e.key == key);
    match given.map(|e| e.value.list()) {
        Some(Ok([])) => _ = map.take(key),
        _ => map.not_yet("Alertmanager", &[key]),
    }
}

fn read_global(node: &Node, dir: &Path, problems: &Problems) -> (i64, HttpClientConfig) {
    let mut map = Map::new(node, "global", problems);
    map.not_yet("Alertmanager", &GLOBAL_LATER);
    let timeout = map.read("resolve_timeout", duration_ms).unwrap_or(300_000);
    let http = map.take("http_config").map_or_else(HttpClientConfig::default, |n| read_http(n, dir, problems));
    map.finish();
    (timeout, http)
}

fn duration_ms(node: &Node) -> Result<i64, String> {
    crate::config::parse_duration(node.text()?).map(|d| d.as_millis() as i64)
}

fn read_http(node: &Node, dir: &Path, problems: &Problems) -> HttpClientConfig {
    let mut map = Map::new(node, "http_config", problems);
    let config = crate::config::http_client::read(&mut map, dir);
    map.finish();
    config
}

fn read_receiver(
    node: &Node,
    dir: &Path,
    http: &HttpClientConfig,
    problems: &Problems,
    receivers: &mut BTreeMap<String, Receiver>,
) {
    let mut map = Map::new(node, "the receiver", problems);
    map.not_yet("Alertmanager", &RECEIVERS_LATER);
    let name = map.read("name", Node::text).unwrap_or_default().to_owned();
    if name.is_empty() {
        problems.add(map.pos_of("name"), "missing name in receiver");
    }
    let webhooks =
        map.list("webhook_configs").iter().filter_map(|n| read_webhook(n, dir, http, problems)).map(Arc::new).collect();
    if receivers.insert(name.clone(), Receiver { webhooks }).is_some() {
        problems.add(map.pos_of("name"), format!("notification config name {name:?} is not unique"));
    }
    map.finish();
}

fn read_webhook(node: &Node, dir: &Path, global: &HttpClientConfig, problems: &Problems) -> Option<WebhookConfig> {
    let mut map = Map::new(node, "the webhook config", problems);
    map.not_yet("Alertmanager", &["timeout", "payload"]);
    let send_resolved = map.read("send_resolved", Node::boolean).unwrap_or(true);
    let max_alerts = map.read("max_alerts", Node::unsigned).unwrap_or(0) as usize;
    let http = map.take("http_config").map_or_else(|| global.clone(), |n| read_http(n, dir, problems));
    let inline = map.read("url", Node::text);
    let file = map.read("url_file", Node::text);
    let url = match (inline, file) {
        (Some(url), None) => {
            if let Err(message) = check_url(url) {
                problems.add(map.pos_of("url"), message);
            }
            Some(Secret::Inline(url.to_owned()))
        }
        (None, Some(path)) => Some(Secret::File(dir.join(path))),
        (Some(_), Some(_)) => {
            problems.add(map.pos_of("url_file"), "at most one of url & url_file must be configured");
            None
        }
        (None, None) => {
            problems.add(map.pos(), "one of url or url_file must be configured");
            None
        }
    };
    map.finish();
    Some(WebhookConfig { url: url?, send_resolved, max_alerts, http })
}

/// The text of the address is left out: it may hold a token.
fn check_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text.trim()).map_err(|e| format!("url: {e}"))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(()),
        (scheme @ ("http" | "https"), false) => Err(format!("url: missing host after {scheme}://")),
        (scheme, _) => Err(format!("url: unsupported scheme {scheme:?}, expected http or https")),
    }
}

fn read_route(
    node: &Node,
    parent: Option<&Route>,
    receivers: &BTreeMap<String, Receiver>,
    problems: &Problems,
    depth: usize,
) -> Option<Route> {
    if depth > ROUTE_DEPTH_MAX {
        problems.add(node.pos, format!("routes nested deeper than {ROUTE_DEPTH_MAX} levels"));
        return None;
    }
    let mut map = Map::new(node, "the route", problems);
    not_yet_unless_empty(&mut map, node, "mute_time_intervals");
    not_yet_unless_empty(&mut map, node, "active_time_intervals");
    let matchers = read_matchers(&mut map, problems);
    let options = read_options(&mut map, parent.map(|p| &p.options), receivers, problems);
    let continues = map.read("continue", Node::boolean).unwrap_or(false);
    if parent.is_none() && !matchers.is_empty() {
        problems.add(map.pos(), "root route must not have any matchers");
    }
    if parent.is_none() && continues {
        problems.add(map.pos_of("continue"), "cannot have continue in root route");
    }
    let mut route = Route::new(parent.map(|p| p.key.as_str()), matchers, options);
    route.continues = continues;
    let children =
        map.list("routes").iter().filter_map(|n| read_route(n, Some(&route), receivers, problems, depth + 1));
    route.children = children.collect();
    map.finish();
    Some(route)
}

fn read_matchers(map: &mut Map<'_>, problems: &Problems) -> Vec<Matcher> {
    let mut found = Vec::new();
    for (key, op) in [("match", MatchOp::Equal), ("match_re", MatchOp::Regex)] {
        for entry in map.read(key, Node::entries).unwrap_or(&[]) {
            let matcher = problems
                .read(key, &entry.value, |n| Matcher::new(op, &entry.key, n.text()?).map_err(|e| e.to_string()));
            found.extend(matcher);
        }
    }
    for node in map.list("matchers") {
        found.extend(problems.read("matchers", node, |n| matchers::parse(n.text()?)).unwrap_or_default());
    }
    found
}

fn read_options(
    map: &mut Map<'_>,
    inherited: Option<&RouteOptions>,
    receivers: &BTreeMap<String, Receiver>,
    problems: &Problems,
) -> RouteOptions {
    let mut options = inherited.cloned().unwrap_or_default();
    match map.read("receiver", Node::text) {
        Some(name) => options.receiver = name.to_owned(),
        None if inherited.is_none() => problems.add(map.pos(), "root route must specify a default receiver"),
        None => {}
    }
    if !options.receiver.is_empty() && !receivers.contains_key(&options.receiver) {
        problems.add(map.pos_of("receiver"), format!("undefined receiver {:?} used in route", options.receiver));
    }
    if map.take("group_by").is_some() {
        options.group_by = read_group_by(map, problems);
    }
    let interval =
        |n: &Node| duration_ms(n).and_then(|ms| if ms == 0 { Err("cannot be zero".to_owned()) } else { Ok(ms) });
    options.group_wait_ms = map.read("group_wait", duration_ms).unwrap_or(options.group_wait_ms);
    options.group_interval_ms = map.read("group_interval", interval).unwrap_or(options.group_interval_ms);
    options.repeat_interval_ms = map.read("repeat_interval", interval).unwrap_or(options.repeat_interval_ms);
    options
}

fn read_group_by(map: &mut Map<'_>, problems: &Problems) -> GroupBy {
    let nodes = map.list("group_by");
    let mut names = BTreeSet::new();
    for node in nodes {
        let Some(name) = problems.read("group_by", node, Node::text) else { continue };
        if name.is_empty() {
            problems.add(node.pos, "invalid label name \"\" in group_by list");
        }
        if !names.insert(name.to_owned()) {
            problems.add(node.pos, format!("duplicated label {name:?} in group_by"));
        }
    }
    if !names.remove("...") {
        return GroupBy::Labels(names);
    }
    if !names.is_empty() {
        problems.add(map.pos_of("group_by"), "cannot have wildcard group_by (`...`) and other labels at the same time");
    }
    GroupBy::All
}
