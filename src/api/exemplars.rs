//! `/api/v1/query_exemplars`: the exemplars of the series that a query looks at.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use serde_json::{Map, Value};
use storage::{Exemplar, Labels, Matcher, TimeRange};

use super::answer::{Answer, ApiResult, computed};
use super::app::App;
use super::error::ApiError;
use super::json::format_float;
use super::params::Params;
use super::series::labels_object;
use crate::auth::Caller;
use crate::promql::ast::{Expr, ExprKind};
use crate::query::Ask;

pub(super) async fn exemplars(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let start = params.time_or("start", i64::MIN)?;
    let end = params.time_or("end", i64::MAX - 1)?;
    if end < start {
        return Err(ApiError::BadData("end timestamp must not be before start timestamp".to_owned()));
    }
    let mut ask = Ask::instant(params.text("query"), end);
    ask.origin.path = "/api/v1/query_exemplars";
    let (service, query) = (app.queries.clone(), ask.query.clone());
    let sets = computed(move || {
        let mut sets = Vec::new();
        collect_selectors(&service.engine().parse(&query)?, &mut sets);
        Ok(sets)
    })
    .await?;
    let range = TimeRange::new(start, end + 1);
    let work = move |tenant: &crate::tenant::Tenant, _: &_| Ok(tenant.db.exemplars(&sets, range));
    let found = app.queries.read(&caller.tenant, ask, work).await?;
    Answer::of(&found.iter().map(|(series, exemplars)| of_series(series, exemplars)).collect::<Vec<_>>())
}

/// The matchers of each selector of the query, wherever it stands.
fn collect_selectors(expr: &Expr, sets: &mut Vec<Vec<Matcher>>) {
    match &expr.kind {
        ExprKind::Selector(selector) => sets.push(selector.matchers.clone()),
        ExprKind::Matrix(matrix) => sets.push(matrix.selector.matchers.clone()),
        _ => expr.children().into_iter().for_each(|child| collect_selectors(child, sets)),
    }
}

fn of_series(series: &Labels, exemplars: &[Exemplar]) -> Value {
    let one = |e: &Exemplar| {
        Value::Object(Map::from_iter([
            ("labels".to_owned(), labels_object(&e.labels)),
            ("value".to_owned(), Value::from(format_float(e.v))),
            ("timestamp".to_owned(), seconds(e.t)),
        ]))
    };
    Value::Object(Map::from_iter([
        ("seriesLabels".to_owned(), labels_object(series)),
        ("exemplars".to_owned(), exemplars.iter().map(one).collect()),
    ]))
}

/// Whole seconds without a point, as Prometheus writes them.
fn seconds(t_ms: i64) -> Value {
    if t_ms % 1000 == 0 { Value::from(t_ms / 1000) } else { Value::from(t_ms as f64 / 1000.0) }
}
