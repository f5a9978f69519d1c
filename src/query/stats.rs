//! What a query took, as Prometheus writes it: in answers (`stats=`) and in the query log.

use serde_json::{Value, json};

use super::{Cost, When};
use crate::promql::Samples;

/// Timings in seconds, and samples.
pub fn stats_json(cost: &Cost, when: When) -> Value {
    let used = &cost.used;
    let mut samples = json!({
        "totalQueryableSamples": used.samples.looked_at,
        "samplesRead": used.samples.read,
        "peakSamples": used.samples_peak,
    });
    if !used.samples_per_step.is_empty() {
        let (start, step) = match when {
            When::Instant(t) => (t, 0),
            When::Range { start, step, .. } => (start, step),
        };
        let at = |step_number: usize| start.saturating_add(step.saturating_mul(step_number as i64)) as f64 / 1000.0;
        let steps = |count: fn(&Samples) -> u64| -> Value {
            used.samples_per_step.iter().enumerate().map(|(i, samples)| json!([at(i), count(samples)])).collect()
        };
        samples["totalQueryableSamplesPerStep"] = steps(|samples| samples.looked_at);
        samples["samplesReadPerStep"] = steps(|samples| samples.read);
    }
    json!({
        "timings": {
            "evalTotalTime": (used.prepare + used.inner + used.sort).as_secs_f64(),
            "resultSortTime": used.sort.as_secs_f64(),
            "queryPreparationTime": used.prepare.as_secs_f64(),
            "innerEvalTime": used.inner.as_secs_f64(),
            "execQueueTime": cost.queued.as_secs_f64(),
            "execTotalTime": (cost.queued + cost.ran).as_secs_f64(),
        },
        "samples": samples,
    })
}
