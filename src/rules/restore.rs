//! Alert states after a restart: taken up again from the series `ALERTS_FOR_STATE`.
//!
//! Here: which series, and how an outage shifts the start of a pending alert. Elsewhere: when it is done (`schedule`).
//!
//! Invariant: an outage neither fires an alert early nor makes it wait for longer than `for` in all plus the grace period.

use std::collections::HashMap;

use storage::{Columns, Labels, METRIC_NAME, Matcher, TimeRange, is_stale_nan};

use crate::promql::Source;

use super::alerting::Active;
use super::{RuleConfig, RuleOptions, millis};

/// Gives the alerts in `active` the start they had before the outage.
pub(super) fn restore(
    active: &mut Active,
    before: &HashMap<Labels, (i64, f64)>,
    for_ms: i64,
    now: i64,
    options: &RuleOptions,
) {
    let grace_ms = millis(options.grace_period);
    for (labels, alert) in active.iter_mut() {
        let Some(&(down_at, value)) = before.get(labels).filter(|(_, v)| !is_stale_nan(*v)) else { continue };
        let active_at = (value * 1000.0) as i64;
        let left_ms = for_ms - (down_at - active_at);
        alert.active_at = if left_ms <= 0 {
            // It was firing: the next evaluation makes it fire again.
            active_at
        } else if left_ms < grace_ms {
            now + grace_ms - for_ms
        } else {
            // The time of the outage does not count as time in which the condition held.
            active_at + (now - down_at)
        };
    }
}

/// The last sample of each `ALERTS_FOR_STATE` series of a rule, by the alert's labels.
pub(super) fn last_states(
    source: &dyn Source,
    rule: &RuleConfig,
    now: i64,
    options: &RuleOptions,
) -> Result<HashMap<Labels, (i64, f64)>, String> {
    let mut matchers =
        vec![Matcher::equal(METRIC_NAME, "ALERTS_FOR_STATE"), Matcher::equal("alertname", rule.name.as_str())];
    // A label with a template has another value in each alert.
    let fixed = rule.labels.iter().filter(|(_, t)| !t.text().contains("{{"));
    matchers.extend(fixed.map(|(name, t)| Matcher::equal(name.as_str(), t.text())));
    let range = TimeRange { min_t: now.saturating_sub(millis(options.outage_tolerance)), max_t: now.saturating_add(1) };
    let found = source.select(&matchers, range).map_err(|e| e.to_string())?;
    let mut states = HashMap::new();
    let mut columns = Columns::default();
    for series in &found.series {
        columns.clear();
        series.read_into(&mut columns).map_err(|e| e.to_string())?;
        if let (Some(&t), Some(&v)) = (columns.t.last(), columns.v.last()) {
            states.insert(series.labels().without_name(), (t, v));
        }
    }
    Ok(states)
}
