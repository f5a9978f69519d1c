//! Alert states: inactive, pending, firing, and back.
//!
//! Here: what one evaluation does to the alerts of one rule, the `ALERTS` series, what is to be told. No queries, no I/O.
//! Elsewhere: the query and the templates (`group`), states after a restart (`restore`).
//!
//! Invariant: an alert is told as resolved only after it was firing.

use std::collections::{BTreeMap, HashMap};

use storage::{Labels, LabelsBuilder, METRIC_NAME};

use super::status::{AlertState, AlertStatus};

/// How long a resolved alert stays known, so that its end is told again if a message was lost.
const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// One alert of a rule.
#[derive(Debug, Clone)]
pub(super) struct ActiveAlert {
    pub(super) state: AlertState,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) value: f64,
    pub(super) active_at: i64,
    pub(super) fired_at: i64,
    pub(super) resolved_at: Option<i64>,
    pub(super) last_sent_at: Option<i64>,
    pub(super) keep_firing_since: Option<i64>,
}

/// What the expression gave for one alert, templates expanded.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) labels: Labels,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// The alerts of a rule by their labels.
pub(super) type Active = HashMap<Labels, ActiveAlert>;

/// The times of a rule, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holds {
    pub(super) for_ms: i64,
    pub(super) keep_firing_for_ms: i64,
}

/// Takes what the expression gave at `t`. With a `limit` (0: none) too many alerts are an error and all are forgotten.
pub(super) fn update(active: &mut Active, found: Vec<Found>, t: i64, holds: Holds, limit: u64) -> Result<(), String> {
    let mut seen = HashMap::with_capacity(found.len());
    for f in found {
        if seen.insert(f.labels.clone(), f).is_some() {
            return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
        }
    }
    let mut holding = 0;
    active.retain(|labels, alert| {
        let keep = match seen.remove(labels) {
            Some(f) if alert.state == AlertState::Inactive => {
                *alert = ActiveAlert::pending(f, t);
                true
            }
            Some(f) => {
                (alert.value, alert.annotations, alert.keep_firing_since) = (f.value, f.annotations, None);
                true
            }
            None => return alert.leave(t, holds.keep_firing_for_ms, &mut holding),
        };
        holding += 1;
        alert.fire_if_due(t, holds.for_ms);
        keep
    });
    for (labels, f) in seen {
        let mut alert = ActiveAlert::pending(f, t);
        alert.fire_if_due(t, holds.for_ms);
        active.insert(labels, alert);
        holding += 1;
    }
    if limit > 0 && holding > limit {
        active.clear();
        return Err(format!("exceeded limit of {limit} with {holding} alerts"));
    }
    Ok(())
}

impl ActiveAlert {
    fn pending(found: Found, t: i64) -> Self {
        ActiveAlert {
            state: AlertState::Pending,
            annotations: found.annotations,
            value: found.value,
            active_at: t,
            fired_at: t,
            resolved_at: None,
            last_sent_at: None,
            keep_firing_since: None,
        }
    }

    fn fire_if_due(&mut self, t: i64, for_ms: i64) {
        if self.state == AlertState::Pending && t - self.active_at >= for_ms {
            self.state = AlertState::Firing;
            self.fired_at = t;
        }
    }

    /// The condition no longer holds. False: the alert is forgotten.
    fn leave(&mut self, t: i64, keep_firing_for_ms: i64, holding: &mut u64) -> bool {
        if self.state == AlertState::Firing && keep_firing_for_ms > 0 {
            let since = *self.keep_firing_since.get_or_insert(t);
            if t - since < keep_firing_for_ms {
                *holding += 1;
                return true;
            }
        }
        match self.state {
            AlertState::Pending => return false,
            AlertState::Inactive => return self.resolved_at.is_none_or(|r| t - r <= RESOLVED_RETENTION_MS),
            AlertState::Firing => {}
        }
        self.state = AlertState::Inactive;
        self.resolved_at = Some(t);
        true
    }

    /// Whether the notifier should hear of it at `t`.
    fn is_due(&self, t: i64, resend_delay_ms: i64) -> bool {
        match (self.state, self.last_sent_at) {
            (AlertState::Pending, _) => false,
            (_, None) => true,
            (_, Some(sent)) if self.resolved_at.is_some_and(|r| r > sent) => true,
            (_, Some(sent)) => sent + resend_delay_ms < t,
        }
    }
}

/// The alerts that the notifier should hear of, marked as told.
pub(super) fn take_due(active: &mut Active, t: i64, resend_delay_ms: i64) -> Vec<(Labels, ActiveAlert)> {
    let mut due = Vec::new();
    for (labels, alert) in active.iter_mut().filter(|(_, a)| a.is_due(t, resend_delay_ms)) {
        alert.last_sent_at = Some(t);
        due.push((labels.clone(), alert.clone()));
    }
    due.sort_by(|a, b| a.0.cmp(&b.0));
    due
}

/// `ALERTS` (always 1) and `ALERTS_FOR_STATE` (the second since which it is active) of the alerts that hold.
pub(super) fn samples(active: &Active) -> Vec<(Labels, f64)> {
    let mut out = Vec::new();
    for (labels, alert) in active.iter().filter(|(_, a)| a.state != AlertState::Inactive) {
        let mut series = LabelsBuilder::from_labels(labels);
        series.set(METRIC_NAME, "ALERTS_FOR_STATE");
        out.push((series.build(), alert.active_at.div_euclid(1000) as f64));
        series.set(METRIC_NAME, "ALERTS").set("alertstate", alert.state.as_str());
        out.push((series.build(), 1.0));
    }
    out
}

/// The pending and firing alerts for pages, sorted by labels.
pub(super) fn statuses(active: &Active) -> Vec<AlertStatus> {
    let holding = active.iter().filter(|(_, a)| a.state != AlertState::Inactive);
    let mut found: Vec<AlertStatus> = holding
        .map(|(labels, a)| AlertStatus {
            labels: labels.clone(),
            annotations: a.annotations.clone(),
            state: a.state,
            active_at: a.active_at,
            keep_firing_since: a.keep_firing_since,
            value: a.value,
        })
        .collect();
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}
