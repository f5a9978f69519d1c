//! Targets: what an address of the configuration becomes.
//!
//! Here: discovered labels, relabelling, the URL, interval and timeout; Prometheus' rules and words.
//! Elsewhere: fetching (`fetch`), the loop (`target_loop`), how a target fares (`status`).
//!
//! Invariant: the labels of a [`Target`] hold nothing that begins with `__`.

use std::collections::BTreeMap;
use std::time::Duration;

use storage::{Labels, LabelsBuilder};
use url::Url;

use super::relabel::{Verdict, relabel};
use crate::config::{ScrapeConfig, ScrapeHistograms, format_duration, parse_duration};

/// What is scraped, how often, and what its series are labelled with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) job_name: String,
    /// As found, before relabelling.
    pub(crate) discovered: Labels,
    /// What every series gets.
    pub(crate) labels: Labels,
    pub(crate) url: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) histograms: ScrapeHistograms,
}

/// What became of one address.
#[derive(Debug, PartialEq)]
pub(crate) enum Populated {
    Active(Target),
    /// Dropped by `relabel_configs`; the discovered labels.
    Dropped(Labels),
}

/// Why an address is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("no address: relabelling left __address__ empty")]
    NoAddress,
    #[error("{0:?} is not a valid hostname: a target is host:port, without scheme and path")]
    BadAddress(String),
    #[error("{url:?} is not a URL that can be scraped ({reason})")]
    BadUrl { url: String, reason: String },
    #[error("error parsing scrape {what}: {value:?} is not a duration above zero")]
    BadDuration { what: &'static str, value: String },
    #[error("error parsing {what}: {value:?} is neither true nor false")]
    BadSwitch { what: &'static str, value: String },
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval { timeout: String, interval: String },
}

/// Turns one address of `config` with the labels beside it into a target.
pub(crate) fn populate(
    config: &ScrapeConfig,
    address: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Populated, TargetError> {
    let discovered = discover(config, address, labels).build();
    let mut set = LabelsBuilder::from_labels(&discovered);
    if relabel(&mut set, &config.relabel_configs) == Verdict::Drop {
        return Ok(Populated::Dropped(discovered));
    }
    let address = set.get("__address__").to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::BadAddress(address));
    }
    let interval = read_duration(&set, "__scrape_interval__", "interval")?;
    let timeout = read_duration(&set, "__scrape_timeout__", "timeout")?;
    if timeout > interval {
        let text = |name| set.get(name).to_owned();
        let (timeout, interval) = (text("__scrape_timeout__"), text("__scrape_interval__"));
        return Err(TargetError::TimeoutAboveInterval { timeout, interval });
    }
    let histograms = ScrapeHistograms {
        native: read_switch(&set, NATIVE, config.histograms.native)?,
        always_classic: read_switch(&set, ALWAYS_CLASSIC, config.histograms.always_classic)?,
        to_custom_buckets: read_switch(&set, TO_CUSTOM_BUCKETS, config.histograms.to_custom_buckets)?,
        ..config.histograms
    };
    if set.get("instance").is_empty() {
        set.set("instance", address.as_str());
    }
    let url = scrape_url(config, &set)?;
    set.retain(|name, _| !name.starts_with("__"));
    Ok(Populated::Active(Target {
        job_name: config.job_name.clone(),
        discovered,
        labels: set.build(),
        url,
        interval,
        timeout,
        histograms,
    }))
}

fn discover(config: &ScrapeConfig, address: &str, labels: &BTreeMap<String, String>) -> LabelsBuilder {
    let mut set = LabelsBuilder::new();
    for (name, value) in labels {
        set.set(name, value.as_str());
    }
    set.set("__address__", address);
    let mut default = |name: &str, value: &str| {
        if set.get(name).is_empty() {
            set.set(name, value);
        }
    };
    default("job", &config.job_name);
    default("__scrape_interval__", &format_duration(config.scrape_interval));
    default("__scrape_timeout__", &format_duration(config.scrape_timeout));
    default("__metrics_path__", &config.metrics_path);
    default("__scheme__", &config.scheme);
    default(NATIVE.0, &config.histograms.native.to_string());
    default(ALWAYS_CLASSIC.0, &config.histograms.always_classic.to_string());
    default(TO_CUSTOM_BUCKETS.0, &config.histograms.to_custom_buckets.to_string());
    for (name, values) in &config.params {
        default(&format!("__param_{name}"), values.first().map_or("", String::as_str));
    }
    set
}

fn read_duration(set: &LabelsBuilder, label: &str, what: &'static str) -> Result<Duration, TargetError> {
    let value = set.get(label);
    let bad = || TargetError::BadDuration { what, value: value.to_owned() };
    parse_duration(value).ok().filter(|d| !d.is_zero()).ok_or_else(bad)
}

/// What relabelling may set for a target alone: the label, and what messages call it.
type Switch = (&'static str, &'static str);
const NATIVE: Switch = ("__scrape_native_histograms__", "scrape native histograms");
const ALWAYS_CLASSIC: Switch = ("__always_scrape_classic_histograms__", "always scrape classic histograms");
const TO_CUSTOM_BUCKETS: Switch = ("__convert_classic_histograms_to_nhcb__", "convert classic histograms to nhcb");

/// A truth as Go spells it; `default` where relabelling took the label away.
fn read_switch(set: &LabelsBuilder, (label, what): Switch, default: bool) -> Result<bool, TargetError> {
    match set.get(label) {
        "" => Ok(default),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        value => Err(TargetError::BadSwitch { what, value: value.to_owned() }),
    }
}

/// The URL as Prometheus prints it: a port that is the scheme's default stays, the host's case too.
fn scrape_url(config: &ScrapeConfig, set: &LabelsBuilder) -> Result<String, TargetError> {
    let (scheme, address) = (set.get("__scheme__"), set.get("__address__"));
    let base = format!("{scheme}://{address}");
    let bad = |reason: &str| TargetError::BadUrl { url: base.clone(), reason: reason.to_owned() };
    if !matches!(scheme, "http" | "https") {
        return Err(bad("the scheme must be http or https"));
    }
    let mut parsed = Url::parse(&base).map_err(|e| bad(&e.to_string()))?;
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(bad("the address holds more than host and port"));
    }
    parsed.set_path(set.get("__metrics_path__"));
    let mut params = config.params.clone();
    for (name, value) in set.iter() {
        if let Some(param) = name.strip_prefix("__param_") {
            match params.entry(param.to_owned()).or_default().first_mut() {
                Some(first) => *first = value.to_owned(),
                None => drop(params.insert(param.to_owned(), vec![value.to_owned()])),
            }
        }
    }
    let query: Vec<String> = params
        .iter()
        .flat_map(|(name, values)| {
            values.iter().map(move |value| format!("{}={}", escape_query(name), escape_query(value)))
        })
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(format!("{base}{}{mark}{}", parsed.path(), query.join("&")))
}

/// As Go's `url.QueryEscape`, so that URLs look the same in both.
fn escape_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl Target {
    /// FNV-1a over labels and URL: the same after a restart, so that a target keeps its place in the interval.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut eat = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        for (name, value) in self.labels.iter() {
            eat(name);
            eat(value);
        }
        eat(&self.url);
        hash
    }

    /// What makes it the same target of its job after a reload.
    pub(crate) fn key(&self) -> TargetKey {
        (self.labels.clone(), self.url.clone())
    }
}

/// Labels and URL.
pub(crate) type TargetKey = (Labels, String);

/// The first moment after `now` of the grid `offset_ms + n × interval_ms`.
pub(crate) fn next_tick(now: i64, interval_ms: i64, offset_ms: i64) -> i64 {
    now + interval_ms - (now - offset_ms).rem_euclid(interval_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::testing::scrape_config;
    use storage::full_match_regex;

    use crate::config::{RelabelAction, RelabelConfig};

    fn replace(source: &str, target: &str, replacement: &str) -> RelabelConfig {
        RelabelConfig {
            source_labels: vec![source.to_owned()],
            separator: ";".to_owned(),
            target_label: target.to_owned(),
            regex: full_match_regex("(.*)").unwrap(),
            modulus: 0,
            replacement: replacement.to_owned(),
            action: RelabelAction::Replace,
        }
    }

    fn active(config: &ScrapeConfig, address: &str) -> Target {
        match populate(config, address, &BTreeMap::new()) {
            Ok(Populated::Active(target)) => target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_become_targets() {
        let target = active(&scrape_config("backend"), "pluto-next_backend_1:7676");
        assert_eq!(target.url, "http://pluto-next_backend_1:7676/metrics");
        // Underscores are no host names to the letter, but Docker makes them: every layer must let them pass.
        let uri: axum::http::Uri = reqwest::Url::parse(&target.url).unwrap().as_str().parse().unwrap();
        assert_eq!(uri.host(), Some("pluto-next_backend_1"));
        assert_eq!(target.labels.to_string(), r#"{instance="pluto-next_backend_1:7676", job="backend"}"#);
        let discovered = [
            r#"{__address__="pluto-next_backend_1:7676", __always_scrape_classic_histograms__="false", "#,
            r#"__convert_classic_histograms_to_nhcb__="false", __metrics_path__="/metrics", __scheme__="http", "#,
            r#"__scrape_interval__="15s", __scrape_native_histograms__="false", __scrape_timeout__="10s", job="backend"}"#,
        ];
        assert_eq!(target.discovered.to_string(), discovered.concat());
    }

    #[test]
    fn urls_look_like_prometheus() {
        let mut config = scrape_config("j");
        config.metrics_path = "a b?c".to_owned();
        config.params.insert("match[]".to_owned(), vec!["x y".to_owned(), "é".to_owned()]);
        config.relabel_configs =
            vec![replace("__address__", "__param_target", "$1"), replace("__none__", "__param_match[]", "z")];
        assert_eq!(
            active(&config, "Host:80").url,
            "http://Host:80/a%20b%3Fc?match%5B%5D=z&match%5B%5D=%C3%A9&target=Host%3A80"
        );
        config = scrape_config("j");
        config.relabel_configs = vec![
            replace("job", "__scheme__", "https"),
            replace("job", "__address__", "[::1]:9"),
            replace("job", "__tmp", "x"),
        ];
        let target = active(&config, "h");
        assert_eq!(
            (target.url.as_str(), target.labels.to_string().as_str()),
            ("https://[::1]:9/metrics", r#"{instance="[::1]:9", job="j"}"#)
        );
    }

    #[test]
    fn what_cannot_be_scraped_is_refused_in_words() {
        let check = |rule: RelabelConfig, part: &str| {
            let mut config = scrape_config("j");
            config.relabel_configs = vec![rule];
            let message = populate(&config, "h:1", &BTreeMap::new()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        check(replace("job", "__address__", ""), "no address");
        check(replace("job", "__address__", "http://h/x"), "not a valid hostname");
        check(replace("job", "__address__", "h:port"), "invalid port");
        check(replace("job", "__scheme__", "ftp"), "must be http or https");
        check(replace("job", "__scrape_interval__", "0"), "error parsing scrape interval");
        check(replace("job", "__scrape_timeout__", "1h"), "\"1h\" > \"15s\"");
        let message = "error parsing scrape native histograms: \"maybe\" is neither true nor false";
        check(replace("job", "__scrape_native_histograms__", "maybe"), message);
    }

    #[test]
    fn relabelling_decides_about_the_histograms_of_a_target() {
        let mut config = scrape_config("j");
        config.histograms = ScrapeHistograms { native: true, min_bucket_factor: 1.1, ..ScrapeHistograms::default() };
        assert_eq!(active(&config, "h:1").histograms, config.histograms);
        config.relabel_configs = vec![
            replace("job", "__scrape_native_histograms__", "0"),
            replace("job", "__always_scrape_classic_histograms__", "true"),
            replace("job", "__convert_classic_histograms_to_nhcb__", "T"),
        ];
        let all =
            ScrapeHistograms { native: false, always_classic: true, to_custom_buckets: true, ..config.histograms };
        assert_eq!(active(&config, "h:1").histograms, all);
    }

    #[test]
    fn a_dropped_target_keeps_its_discovered_labels() {
        let mut config = scrape_config("j");
        config.relabel_configs = vec![RelabelConfig { action: RelabelAction::Drop, ..replace("job", "", "") }];
        match populate(&config, "h:1", &BTreeMap::new()) {
            Ok(Populated::Dropped(labels)) => assert_eq!(labels.get("__address__"), Some("h:1")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ticks_stay_on_their_grid() {
        assert_eq!(next_tick(1_000, 1_000, 250), 1_250);
        assert_eq!(next_tick(1_250, 1_000, 250), 2_250);
        assert_eq!(next_tick(1_251, 1_000, 250), 2_250);
        assert_eq!(next_tick(-3, 10, 4), 4 - 6 + 6);
    }
}
