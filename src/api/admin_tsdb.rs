//! `/api/v1/admin/tsdb/…`: deleting series, taking them off the disk, snapshots; one tenant's at a time.
//!
//! Prometheus has these behind `--web.enable-admin-api`, which is accepted; here the route table's access decides.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use storage::{DeleteError, OpenError, SnapshotHead};

use super::answer::{Answer, ApiResult};
use super::app::App;
use super::error::ApiError;
use super::params::Params;
use super::series::selectors;
use crate::auth::Caller;
use crate::tenant::Tenant;

/// Where a tenant's snapshots are, below its directory.
const SNAPSHOTS_DIR: &str = "snapshots";

pub(super) async fn delete_series(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let selectors = selectors(&params).await?;
    if selectors.is_empty() {
        return Err(ApiError::BadData("no match[] parameter provided".to_owned()));
    }
    let range = params.range()?;
    let Some(tenant) = app.tenants.get(&caller.tenant) else { return Ok(StatusCode::NO_CONTENT) };
    let work = move |tenant: &Tenant| {
        for matchers in &selectors {
            let done = tenant.db.delete_series(matchers, range).map_err(|e| match e {
                DeleteError::Io { .. } => ApiError::Internal(e.to_string()),
                DeleteError::Wal(e) => ApiError::Unavailable { message: e.to_string(), retry_after_s: 5 },
            })?;
            tracing::info!(component = "storage", tenant = %tenant.id, series = done.series, "samples are deleted");
        }
        Ok(())
    };
    blocking(tenant, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn clean_tombstones(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, ApiError> {
    let Some(tenant) = app.tenants.get(&caller.tenant) else { return Ok(StatusCode::NO_CONTENT) };
    blocking(tenant, |tenant| tenant.db.clean_tombstones().map_err(|e| ApiError::Internal(e.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let head = match params.get("skip_head").map(parse_bool) {
        None | Some(Some(false)) => SnapshotHead::Written,
        Some(Some(true)) => SnapshotHead::Skipped,
        Some(None) => {
            let text = params.text("skip_head");
            let why = format!("unable to parse boolean skip_head argument: invalid syntax: {text:?}");
            return Err(ApiError::parameter("skip_head", why));
        }
    };
    let Some(tenant) = app.tenants.get(&caller.tenant) else {
        return Err(ApiError::NotFound(format!("tenant {} has no data", caller.tenant)));
    };
    let name = snapshot_name(app.clock.now_ms());
    let dir = tenant.db.dir().join(SNAPSHOTS_DIR).join(&name);
    let log_name = name.clone();
    let work = move |tenant: &Tenant| {
        let parent = tenant.db.dir().join(SNAPSHOTS_DIR);
        let made = std::fs::create_dir_all(&parent)
            .map_err(|source| OpenError::Io { path: parent.clone(), source })
            .and_then(|()| tenant.db.snapshot_to(&dir, head))
            .map_err(|e| ApiError::Internal(format!("create snapshot: {e}")));
        for warning in made.iter().flatten() {
            tracing::warn!(component = "storage", tenant = %tenant.id, snapshot = log_name, "{warning}");
        }
        made
    };
    let warnings = blocking(tenant, work).await?;
    Ok(Answer::of(&json!({ "name": name }))?.with_warnings(warnings))
}

/// Runs `work` off the async threads.
async fn blocking<T: Send + 'static>(
    tenant: Arc<Tenant>,
    work: impl FnOnce(&Tenant) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&tenant)).await;
    done.map_err(|e| ApiError::Internal(format!("the work ended early: {e}")))?
}

/// As Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `20171210T211224Z-2be650b6d019eb54`: the time, and a number so that two within a second do not meet.
fn snapshot_name(now: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    format!("{}-{:016x}", time.strftime("%Y%m%dT%H%M%SZ"), RandomState::new().hash_one(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prometheus_and_differ() {
        let name = snapshot_name(1_512_940_344_000);
        assert!(name.starts_with("20171210T211224Z-") && name.len() == 33, "{name}");
        assert_ne!(name, snapshot_name(1_512_940_344_000));
    }

    #[test]
    fn booleans_are_gos() {
        assert_eq!(["true", "1", "f", "yes"].map(parse_bool), [Some(true), Some(true), Some(false), None]);
    }
}
