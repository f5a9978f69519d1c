//! `/api/v1/query`, `/api/v1/query_range`, `/api/v1/format_query`, `/api/v1/parse_query`.
//!
//! Here: parameters to a question, and its answer to JSON. Elsewhere: when and how it is evaluated (`query`).

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Method, header};

use super::Connection;
use super::answer::{Answer, ApiResult, computed};
use super::app::App;
use super::compress::Encoding;
use super::error::ApiError;
use super::params::Params;
use super::series::TRUNCATED;
use super::stream::QueryAnswer;
use super::tree::tree;
use crate::auth::Caller;
use crate::promql::{QueryResult, Value, layout};
use crate::query::{Answered, Ask, Origin, When, stats_json};

/// Prometheus' figure for the points of a series, which stands in its message.
const USUAL_POINTS_MAX: usize = 11_000;

pub(super) async fn instant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Connection>,
    method: Method,
    encoding: Encoding,
    params: Params,
) -> Result<QueryAnswer, ApiError> {
    let t = params.time_or("time", app.clock.now_ms())?;
    let ask = ask(&params, When::Instant(t), connection.origin(&method, "/api/v1/query"))?;
    answer(&app, &caller, ask, &params, encoding).await
}

pub(super) async fn range(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Connection>,
    method: Method,
    headers: HeaderMap,
    encoding: Encoding,
    params: Params,
) -> Result<QueryAnswer, ApiError> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", why));
    }
    check_points(end.saturating_sub(start) / step, app.queries.limits().query_points_max)?;
    let mut ask = ask(&params, When::Range { start, end, step }, connection.origin(&method, "/api/v1/query_range"))?;
    // What it takes is asked about the query, not about what others have asked before.
    ask.uses_cache = !forbids_cache(&headers, &params) && params.get("stats").is_none();
    answer(&app, &caller, ask, &params, encoding).await
}

async fn answer(
    app: &App,
    caller: &Caller,
    ask: Ask,
    params: &Params,
    encoding: Encoding,
) -> Result<QueryAnswer, ApiError> {
    let (when, limit) = (ask.when, params.limit("limit")?);
    let Answered { mut result, cost } = app.queries.ask(&caller.tenant, ask).await?;
    if let Some(limit) = limit {
        truncate(&mut result, limit);
    }
    let stats = params.get("stats").map(|_| stats_json(&cost, when));
    let sending = app.queries.begin_sending(result.bytes())?;
    Ok(QueryAnswer { result, stats, encoding, sending })
}

/// `limit`: the first series only, and a word about it.
fn truncate(result: &mut QueryResult, limit: usize) {
    let found = match &mut result.value {
        Value::Vector(samples) => {
            let found = samples.len();
            samples.truncate(limit);
            found
        }
        Value::Matrix(series) => {
            let found = series.len();
            series.truncate(limit);
            found
        }
        Value::Scalar { .. } | Value::String { .. } => 0,
    };
    if found > limit {
        result.warnings.push(TRUNCATED.to_owned());
    }
}

/// `nocache=1`, as VictoriaMetrics has it, or `Cache-Control: no-store`, as Mimir has.
fn forbids_cache(headers: &HeaderMap, params: &Params) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok());
    let mut words = values.flat_map(|v| v.split(',')).map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("no-store")) || matches!(params.text("nocache"), "1" | "true")
}

/// As Prometheus counts: the distances between points.
fn check_points(distances: i64, max: usize) -> Result<(), ApiError> {
    if u64::try_from(distances).is_ok_and(|distances| distances <= max as u64) {
        return Ok(());
    }
    let figure = if max == USUAL_POINTS_MAX { "11,000".to_owned() } else { max.to_string() };
    Err(ApiError::BadData(format!(
        "exceeded maximum resolution of {figure} points per timeseries. Try decreasing the query resolution (?step=XX), or \
         raise cairn.limits.query_points_max"
    )))
}

pub(super) async fn format(State(app): State<Arc<App>>, params: Params) -> ApiResult {
    computed(move || Answer::of(&layout(&app.queries.engine().parse(params.text("query"))?))).await
}

pub(super) async fn parse(State(app): State<Arc<App>>, params: Params) -> ApiResult {
    computed(move || Answer::of(&tree(&app.queries.engine().parse(params.text("query"))?))).await
}

fn ask(params: &Params, when: When, origin: Origin) -> Result<Ask, ApiError> {
    let duration = |name: &str| match params.get(name) {
        Some(_) => params.duration(name).map(|ms| Some(Duration::from_millis(ms.max(0) as u64))),
        None => Ok(None),
    };
    Ok(Ask {
        query: params.text("query").to_owned(),
        when,
        timeout: duration("timeout")?,
        lookback: duration("lookback_delta")?.filter(|lookback| !lookback.is_zero()),
        counts_steps: params.get("stats") == Some("all"),
        uses_cache: false,
        origin,
    })
}
