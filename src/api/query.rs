//! `/api/v1/query`, `/api/v1/query_range`, `/api/v1/format_query`, `/api/v1/parse_query`.
//!
//! A query runs on a blocking thread, behind a permit; it is cancelled when its client goes away.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;

use super::answer::{Answer, ApiResult};
use super::app::App;
use super::error::ApiError;
use super::params::Params;
use super::tree::tree;
use crate::auth::Caller;
use crate::promql::{QueryControl, QueryError, QueryResult, Source, SourceError, SourceSeries, layout};
use crate::tenant::TenantId;

/// Most points of one series in a range answer (Prometheus' figure).
const POINTS_MAX: i64 = 11_000;

pub(super) async fn instant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let t = params.time_or("time", app.clock.now_ms())?;
    let query = params.text("query").to_owned();
    let timeout = timeout(&app, &params)?;
    let engine = app.engine.clone();
    let result =
        run(&app, &caller.tenant, timeout, move |source, control| engine.instant(source, &query, t, control)).await?;
    Ok(Answer::query(&result))
}

pub(super) async fn range(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    if end.saturating_sub(start) / step > POINTS_MAX {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::BadData(why.to_owned()));
    }
    let query = params.text("query").to_owned();
    let timeout = timeout(&app, &params)?;
    let engine = app.engine.clone();
    let work =
        move |source: &dyn Source, control: &QueryControl| engine.range(source, &query, start, end, step, control);
    Ok(Answer::query(&run(&app, &caller.tenant, timeout, work).await?))
}

pub(super) async fn format(State(app): State<Arc<App>>, params: Params) -> ApiResult {
    Answer::of(&layout(&app.engine.parse(params.text("query"))?))
}

pub(super) async fn parse(State(app): State<Arc<App>>, params: Params) -> ApiResult {
    Answer::of(&tree(&app.engine.parse(params.text("query"))?))
}

/// The smaller of the server's timeout and the `timeout` parameter.
fn timeout(app: &App, params: &Params) -> Result<Duration, ApiError> {
    let Some(_) = params.get("timeout") else { return Ok(app.query_timeout) };
    let asked = params.duration("timeout")?;
    Ok(app.query_timeout.min(Duration::from_millis(asked.max(0) as u64)))
}

/// Stops the query when the handler's future is dropped, which is what happens when the client hangs up.
struct CancelOnDrop(QueryControl);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn run<F>(app: &Arc<App>, tenant: &TenantId, timeout: Duration, work: F) -> Result<QueryResult, ApiError>
where
    F: FnOnce(&dyn Source, &QueryControl) -> Result<QueryResult, QueryError> + Send + 'static,
{
    let control = QueryControl::with_timeout(timeout);
    let permit = tokio::time::timeout(timeout, app.queries.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(ApiError::Timeout("query timed out in query queue".to_owned()));
    };
    let guard = CancelOnDrop(control.clone());
    let tenant = app.tenants.get(tenant);
    let result = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        match tenant {
            Some(tenant) => work(&*tenant.db, &control),
            None => work(&NoSeries, &control),
        }
    })
    .await;
    drop(guard);
    match result {
        Ok(result) => Ok(result?),
        Err(e) => Err(ApiError::Internal(format!("the query ended early: {e}"))),
    }
}

/// What a tenant that nobody has pushed to holds. Reading does not create it.
struct NoSeries;

impl Source for NoSeries {
    fn select(&self, _: &[storage::Matcher], _: storage::TimeRange) -> Result<SourceSeries, SourceError> {
        Ok(SourceSeries { series: Vec::new(), warnings: Vec::new() })
    }
}
