//! `/api/cairn/v1/status`: the appliance at a glance, for the home page.

use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::app::App;
use super::targets;
use crate::auth::Caller;
use crate::rules::{self, AlertState, RuleStatus, RuleStatusKind};
use crate::scrape::status::Health;
use crate::tenant::TenantId;

pub(super) async fn status(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let live = app.live();
    let stats = app.tenants.get(&caller.tenant).map(|t| t.db.stats()).unwrap_or_default();
    let targets = targets::of(&app, &caller).active;
    let count_targets = |health| targets.iter().filter(|t| t.health == health).count();
    let groups = if caller.tenant == TenantId::anonymous() { app.rules.groups() } else { Vec::new() };
    let all_rules: Vec<&RuleStatus> = groups.iter().flat_map(|g| &g.rules).collect();
    let count_alerts = |state| {
        let alerts = all_rules.iter().filter_map(|r| match &r.kind {
            RuleStatusKind::Alerting { alerts, .. } => Some(alerts),
            RuleStatusKind::Recording => None,
        });
        alerts.flatten().filter(|a| a.state == state).count()
    };
    let disk = disk(&app.about.data_dir);
    // Which tenants there are is nobody's business but the owner's.
    let tenants: Option<Vec<String>> =
        caller.local.then(|| app.tenants.all().iter().map(|t| t.id.to_string()).collect());
    axum::Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "startedAt": app.about.started_ms,
        "ready": app.is_ready(),
        "multitenancy": live.config.cairn.multitenancy,
        "tenant": caller.tenant.as_str(),
        "tenants": tenants,
        "configFile": app.about.config_file.as_ref().map(|p| p.display().to_string()),
        "reload": { "ok": live.reload_ok, "at": live.loaded_ms },
        "targets": {
            "up": count_targets(Health::Up),
            "down": count_targets(Health::Down),
            "unknown": count_targets(Health::Unknown),
        },
        "alerts": { "firing": count_alerts(AlertState::Firing), "pending": count_alerts(AlertState::Pending) },
        "rules": {
            "groups": groups.len(),
            "failing": all_rules.iter().filter(|r| r.health == rules::Health::Bad).count(),
        },
        "storage": {
            "headSeries": stats.head_series,
            "samplesAppended": stats.samples_appended,
            "walBytes": stats.wal_bytes,
            "blocks": stats.blocks,
            "blockBytes": stats.block_bytes,
            "minTime": stats.min_t,
            "quarantined": stats.quarantined,
            "retention": live.retention.to_string(),
            "diskFreeBytes": disk.map(|d| d.0),
            "diskTotalBytes": disk.map(|d| d.1),
        },
    }))
    .into_response()
}

/// Free bytes (for us) and all bytes of the file system under `dir`.
fn disk(dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some((found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize))
}
