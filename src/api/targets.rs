//! `/api/v1/targets`, `/api/v1/targets/metadata`, `/api/v1/scrape_pools`.
//!
//! Scrapes belong to the tenant `anonymous`: any other sees none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use storage::Matcher;

use super::answer::{Answer, ApiResult};
use super::app::App;
use super::error::ApiError;
use super::params::Params;
use super::series::labels_object;
use super::status::rfc3339;
use crate::auth::Caller;
use crate::config::format_duration;
use crate::promql;
use crate::scrape::status::{ActiveTarget, DroppedTarget, Targets};
use crate::tenant::TenantId;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveJson {
    discovered_labels: Value,
    labels: Value,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

impl ActiveJson {
    fn of(target: ActiveTarget) -> Self {
        ActiveJson {
            discovered_labels: labels_object(&target.discovered_labels),
            labels: labels_object(&target.labels),
            scrape_pool: target.scrape_pool,
            scrape_url: target.scrape_url,
            global_url: target.global_url,
            last_error: target.last_error,
            last_scrape: target.last_scrape_ms.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339),
            last_scrape_duration: target.last_scrape_duration.as_secs_f64(),
            health: target.health.as_str(),
            scrape_interval: format_duration(target.interval),
            scrape_timeout: format_duration(target.timeout),
        }
    }
}

pub(super) async fn targets(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let Targets { active, dropped, dropped_counts } = of(&app, &caller);
    let state = params.text("state").to_lowercase();
    let (with_active, with_dropped) =
        (matches!(&*state, "" | "any" | "active"), matches!(&*state, "" | "any" | "dropped"));
    if !with_active && !with_dropped {
        return Err(ApiError::parameter("state", "write active, dropped or any"));
    }
    let pool = params.text("scrapePool");
    let wanted = |name: &str| pool.is_empty() || pool == name;
    let active = active.into_iter().filter(|t| with_active && wanted(&t.scrape_pool)).map(ActiveJson::of);
    let dropped = dropped.into_iter().filter(|t| with_dropped && wanted(&t.scrape_pool)).map(|t: DroppedTarget| {
        json!({ "discoveredLabels": labels_object(&t.discovered_labels), "scrapePool": t.scrape_pool })
    });
    let counts: BTreeMap<String, usize> =
        if with_dropped { dropped_counts.into_iter().collect() } else { BTreeMap::new() };
    Answer::of(&json!({
        "activeTargets": active.collect::<Vec<_>>(),
        "droppedTargets": dropped.collect::<Vec<_>>(),
        "droppedTargetCounts": counts,
    }))
}

pub(super) async fn scrape_pools(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> ApiResult {
    let pools: Vec<String> = of(&app, &caller).dropped_counts.into_iter().map(|(pool, _)| pool).collect();
    Answer::of(&json!({ "scrapePools": pools }))
}

pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let matchers: Vec<Matcher> = match params.get("match_target") {
        Some(text) => promql::parse_selector(text).map_err(|e| ApiError::parameter("match_target", e))?,
        None => Vec::new(),
    };
    let (metric, limit) = (params.text("metric"), params.limit("limit")?.unwrap_or(usize::MAX));
    let mut found = Vec::new();
    let targets = if caller.tenant == TenantId::anonymous() { app.scrape.metadata() } else { Vec::new() };
    for target in &targets {
        if !matchers.iter().all(|m| m.matches(target.labels.get(m.name()).unwrap_or(""))) {
            continue;
        }
        for family in target.families.iter().filter(|f| metric.is_empty() || f.family == metric) {
            let mut row = json!({
                "target": labels_object(&target.labels),
                "metric": family.family,
                "type": family.kind.as_str(),
                "help": family.help,
                "unit": family.unit,
            });
            // Asked for one metric, Prometheus leaves its name out.
            if let (false, Some(row)) = (metric.is_empty(), row.as_object_mut()) {
                row.remove("metric");
            }
            found.push(row);
        }
    }
    found.truncate(limit);
    if found.is_empty() {
        return Err(ApiError::NotFound("specified metadata not found".to_owned()));
    }
    Answer::of(&found)
}

/// The targets that the caller may see.
pub(super) fn of(app: &App, caller: &Caller) -> Targets {
    if caller.tenant == TenantId::anonymous() { app.scrape.targets() } else { Targets::default() }
}
