//! One alert as the notifier knows it.
//!
//! Here: [`Alert`], its fingerprint, merging two reports of it, the order in messages. Elsewhere: grouping (`dispatch`).
//!
//! Invariant: the labels are the alert's identity; everything else may change from report to report.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use storage::Labels;

/// An alert that fires or has ended. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its identity, with `alertname`.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire.
    pub starts_at: i64,
    /// When it ended, or will count as ended unless it is reported again; `None`: after `resolve_timeout`.
    pub ends_at: Option<i64>,
    /// Where it comes from: a link to its expression.
    pub generator_url: String,
}

/// Alertmanager's fingerprint: 64-bit FNV-1a over names and values, each ended by the byte 255.
/// Written as 16 hex digits in messages.
pub fn fingerprint(labels: &Labels) -> u64 {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    if labels.is_empty() {
        return OFFSET;
    }
    let add =
        |hash: u64, text: &str| text.bytes().chain([255]).fold(hash, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME));
    labels.iter().fold(OFFSET, |hash, (name, value)| add(add(hash, name), value))
}

/// An alert in the notifier's hands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) alert: Alert,
    pub(super) fingerprint: u64,
    /// Always known here; for an alert that came without one, a guess.
    pub(super) ends_at: i64,
    /// `ends_at` is that guess.
    pub(super) times_out: bool,
    pub(super) updated_at: i64,
}

impl Held {
    pub(super) fn new(alert: Alert, now: i64, resolve_timeout_ms: i64) -> Self {
        Held {
            fingerprint: fingerprint(&alert.labels),
            ends_at: alert.ends_at.unwrap_or(now.saturating_add(resolve_timeout_ms)),
            times_out: alert.ends_at.is_none(),
            updated_at: now,
            alert,
        }
    }

    pub(super) fn is_resolved_at(&self, now: i64) -> bool {
        self.ends_at <= now
    }

    /// This newer report, joined with an older one where their times overlap.
    pub(super) fn merged_onto(mut self, old: &Held, now: i64) -> Self {
        let inside = |t: i64| t > old.alert.starts_at && t < old.ends_at;
        if !inside(self.ends_at) && !inside(self.alert.starts_at) {
            return self;
        }
        self.alert.starts_at = self.alert.starts_at.min(old.alert.starts_at);
        let old_end_holds = if self.is_resolved_at(now) { old.is_resolved_at(now) } else { !old.times_out };
        if old_end_holds && old.ends_at > self.ends_at {
            self.ends_at = old.ends_at;
        }
        self
    }
}

/// The order in messages: by `job`, then `instance` (alerts that have them first), then all labels.
pub(super) fn message_order(a: &Held, b: &Held) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (a.alert.labels.get(name), b.alert.labels.get(name)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.alert.labels.cmp(&b.alert.labels)
}
