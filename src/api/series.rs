//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/<name>/values`, `/api/v1/metadata`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use storage::{Labels, Matcher, ReadError, TimeRange};

use super::answer::{Answer, ApiResult, computed};
use super::app::App;
use super::compress::Encoding;
use super::error::ApiError;
use super::params::Params;
use super::stream::SeriesAnswer;
use crate::auth::Caller;
use crate::promql::{self, QueryControl, QueryError};
use crate::query::Ask;
use crate::tenant::Tenant;

/// Prometheus' words where `limit` cut the answer.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

pub(super) async fn series(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    encoding: Encoding,
    params: Params,
) -> Result<SeriesAnswer, ApiError> {
    let selectors = selectors(&params).await?;
    if selectors.is_empty() {
        return Err(ApiError::BadData("no match[] parameter provided".to_owned()));
    }
    let (range, limit) = (params.range()?, params.limit("limit")?);
    let series_max = app.queries.limits().query_series_max;
    let found = read(&app, &caller, asked(&params, "/api/v1/series"), move |tenant, control| {
        let mut found = Vec::new();
        for matchers in &selectors {
            let go_on = |count: usize| count <= series_max && control.check().is_ok();
            let selected = tenant.db.series(matchers, range, &go_on);
            let Some(mut selected) = selected.filter(|selected| selected.len() <= series_max) else {
                control.check()?;
                return Err(QueryError::Execution(format!(
                    "match[] selects more than {series_max} series; select fewer, or raise cairn.limits.query_series_max"
                )));
            };
            found.append(&mut selected);
        }
        // Each is in order already.
        if selectors.len() > 1 {
            found.sort();
            found.dedup();
        }
        Ok(found)
    })
    .await?;
    let (found, warnings) = limited(found, limit);
    let sending = app.queries.begin_sending(found.iter().map(|labels: &Labels| labels.packed_bytes() as u64).sum())?;
    Ok(SeriesAnswer { found, warnings, encoding, sending })
}

pub(super) async fn labels(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    union(&app, &caller, &params, "/api/v1/labels", |tenant, matchers, range| tenant.db.label_names(matchers, range))
        .await
}

pub(super) async fn label_values(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    params: Params,
) -> ApiResult {
    let name = unescape_name(&name);
    if name.is_empty() {
        return Err(ApiError::BadData(format!("invalid label name: {name:?}")));
    }
    let path = "/api/v1/label/{name}/values";
    union(&app, &caller, &params, path, move |tenant, matchers, range| tenant.db.label_values(&name, matchers, range))
        .await
}

pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let metric = params.get("metric").map(str::to_owned);
    let (limit, per_metric) = (params.limit("limit")?, params.limit("limit_per_metric")?);
    let families =
        app.tenants.get(&caller.tenant).map(|t| t.metadata.list(&t.db, metric.as_deref())).unwrap_or_default();
    let mut data = Map::new();
    for (family, known) in families.into_iter().take(limit.unwrap_or(usize::MAX)) {
        let described = known.iter().take(per_metric.unwrap_or(usize::MAX));
        let described = described.map(|m| json!({ "type": &*m.kind, "help": &*m.help, "unit": &*m.unit }));
        data.insert(family.to_string(), described.collect());
    }
    Answer::of(&data)
}

/// The sorted union of what `read_one` finds for each `match[]`, or for everything where there is none.
async fn union<F>(app: &Arc<App>, caller: &Caller, params: &Params, path: &'static str, read_one: F) -> ApiResult
where
    F: Fn(&Tenant, &[Matcher], TimeRange) -> Result<Vec<String>, ReadError> + Send + 'static,
{
    let (range, limit) = (params.range()?, params.limit("limit")?);
    let mut selectors = selectors(params).await?;
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let found = read(app, caller, asked(params, path), move |tenant, control| {
        let mut found = Vec::new();
        for matchers in &selectors {
            control.check()?;
            found.append(&mut read_one(tenant, matchers, range).map_err(unread)?);
        }
        // Each is sorted already.
        if selectors.len() > 1 {
            found.sort();
            found.dedup();
        }
        Ok(found)
    })
    .await?;
    let (found, warnings) = limited(found, limit);
    Ok(Answer::of(&found)?.with_warnings(warnings))
}

/// Runs `work` on the caller's tenant, in its turn; a tenant that does not exist has nothing.
async fn read<T, F>(app: &Arc<App>, caller: &Caller, ask: Ask, work: F) -> Result<T, ApiError>
where
    T: Default + Send + 'static,
    F: FnOnce(&Tenant, &QueryControl) -> Result<T, QueryError> + Send + 'static,
{
    Ok(app.queries.read(&caller.tenant, ask, work).await?)
}

/// What stands in the list of running queries.
fn asked(params: &Params, path: &'static str) -> Ask {
    let selectors: Vec<&str> = params.all("match[]").collect();
    let mut ask = Ask::instant(&selectors.join(" or "), 0);
    ask.origin.path = path;
    ask
}

fn unread(e: ReadError) -> QueryError {
    QueryError::Execution(e.to_string())
}

/// As many as are wanted, and a word about it if there are more.
fn limited<T>(mut items: Vec<T>, limit: Option<usize>) -> (Vec<T>, Vec<String>) {
    let limit = limit.unwrap_or(usize::MAX);
    let warnings = if items.len() > limit { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    items.truncate(limit);
    (items, warnings)
}

/// The `match[]` parameters, parsed.
pub(super) async fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let parse = |text: &String| {
        let matchers = promql::parse_selector(text).map_err(|e| ApiError::parameter("match[]", e))?;
        match matchers.iter().all(Matcher::matches_empty) {
            true => Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher")),
            false => Ok(matchers),
        }
    };
    let texts: Vec<String> = params.all("match[]").map(str::to_owned).collect();
    computed(move || texts.iter().map(parse).collect()).await
}

pub(super) fn labels_object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect())
}

/// Prometheus writes UTF-8 names into paths as `U__` with `__` for `_` and `_hex_` for what is not `[a-zA-Z0-9:]`.
fn unescape_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut out = String::new();
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('_') {
        out.push_str(plain);
        let Some((code, tail)) = after.split_once('_') else { return name.to_owned() };
        match code {
            "" => out.push('_'),
            code => match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
                Some(c) => out.push(c),
                None => return name.to_owned(),
            },
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read_back() {
        for (escaped, plain) in [
            ("job", "job"),
            ("U__my_2e_name", "my.name"),
            ("U__a__b", "a_b"),
            ("U__x_zz_", "U__x_zz_"),
            ("U__x_2e", "U__x_2e"),
        ] {
            assert_eq!(unescape_name(escaped), plain);
        }
    }
}
