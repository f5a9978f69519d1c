//! The webhook message: Alertmanager's JSON, version "4".
//!
//! Here: its shape and what goes into each field. Elsewhere: sending it (`deliver`).
//!
//! Invariant: field names, order and formats are Alertmanager's, so that a receiver written for it needs no change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use storage::Labels;

use super::alert::Held;
use super::dispatch::Job;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    receiver: String,
    status: &'static str,
    alerts: Vec<MessageAlert<'a>>,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageAlert<'a> {
    status: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

/// The body for a job, without its newline.
pub(super) fn body(job: &Job, external_url: &str) -> String {
    let shown = match job.webhook.max_alerts {
        0 => &job.alerts[..],
        max => &job.alerts[..job.alerts.len().min(max)],
    };
    let any_firing = shown.iter().any(|a| !a.is_resolved_at(job.at));
    let message = Message {
        receiver: quote_meta(&job.receiver),
        status: if any_firing { "firing" } else { "resolved" },
        alerts: shown.iter().map(|a| message_alert(a, job.at)).collect(),
        group_labels: job.group_labels.iter().collect(),
        common_labels: common(shown.iter().map(|a| pairs(&a.alert.labels))),
        common_annotations: common(shown.iter().map(|a| text_pairs(&a.alert.annotations))),
        external_url,
        version: "4",
        group_key: &job.group_key,
        truncated_alerts: job.alerts.len() - shown.len(),
    };
    serde_json::to_string(&message).expect("a message holds texts and numbers only")
}

fn message_alert(held: &Held, at: i64) -> MessageAlert<'_> {
    let resolved = held.is_resolved_at(at);
    MessageAlert {
        status: if resolved { "resolved" } else { "firing" },
        labels: pairs(&held.alert.labels),
        annotations: &held.alert.annotations,
        starts_at: rfc3339(held.alert.starts_at),
        // Go's zero time: "still open".
        ends_at: if resolved { rfc3339(held.ends_at) } else { "0001-01-01T00:00:00Z".to_owned() },
        generator_url: &held.alert.generator_url,
        fingerprint: format!("{:016x}", held.fingerprint),
    }
}

fn pairs(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

fn text_pairs(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

/// The pairs that all maps have.
fn common<'a>(mut maps: impl Iterator<Item = BTreeMap<&'a str, &'a str>>) -> BTreeMap<&'a str, &'a str> {
    let mut shared = maps.next().unwrap_or_default();
    maps.for_each(|map| shared.retain(|name, value| map.get(name) == Some(value)));
    shared
}

/// Milliseconds as RFC 3339 in UTC, with as many digits of the second as it needs.
fn rfc3339(t: i64) -> String {
    Timestamp::from_millisecond(t).map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// Alertmanager writes the receiver's name as a regular expression that matches it.
fn quote_meta(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
