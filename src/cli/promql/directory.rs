//! A data directory, read without a server and without changing it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use storage::{Labels, Matcher, Options, ReadError, TimeRange, View};

use super::{Asked, Backend, Span, refusal, selectors, shape};
use crate::cli::{features, verify};
use crate::promql::{Engine, EngineOptions, QueryControl, QueryError, QueryResult};

pub(super) struct Directory<'a> {
    view: View,
    asked: &'a Asked,
    engine: Engine,
}

impl<'a> Directory<'a> {
    /// Opens the tenant's database in `dir`.
    pub(super) fn open(dir: &Path, asked: &'a Asked) -> Result<Self, String> {
        let database = database(dir, asked.tenant.as_deref())?;
        let view = View::open(&database, Options::default()).map_err(|e| e.to_string())?;
        Ok(Directory { view, asked, engine: Engine::new(options(asked)) })
    }

    fn control(&self) -> QueryControl {
        QueryControl::with_timeout(self.asked.timeout)
    }

    fn answer(&self, result: Result<QueryResult, QueryError>) -> Value {
        let mut result = match result {
            Ok(result) => result,
            Err(e) => {
                let kind = match &e {
                    QueryError::Parse(_) => "bad_data",
                    QueryError::Execution(_) => "execution",
                    QueryError::Timeout => "timeout",
                    QueryError::Canceled | QueryError::Killed => "canceled",
                };
                return refusal(kind, &e.to_string());
            }
        };
        result.warnings.extend(self.view.damage());
        shape::answer(&result)
    }

    fn list(&self, found: Result<Value, ReadError>) -> Value {
        match found {
            Ok(data) => with_warnings(json!({ "status": "success", "data": data }), self.view.damage()),
            Err(e) => refusal("execution", &e.to_string()),
        }
    }
}

fn with_warnings(mut answer: Value, warnings: Vec<String>) -> Value {
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    answer
}

fn options(asked: &Asked) -> EngineOptions {
    EngineOptions {
        lookback: asked.lookback_delta,
        syntax: features::syntax(&asked.features),
        delayed_name_removal: features::delayed_name_removal(&asked.features),
        use_start_timestamps: features::use_start_timestamps(&asked.features),
        type_and_unit_labels: features::type_and_unit_labels(&asked.features),
        ..EngineOptions::default()
    }
}

/// The one database that is meant.
fn database(dir: &Path, tenant: Option<&str>) -> Result<PathBuf, String> {
    let found = verify::databases(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names = || found.iter().map(name).collect::<Vec<_>>().join(", ");
    match (tenant, &found[..]) {
        (Some(tenant), _) => found
            .iter()
            .find(|path| name(path) == tenant)
            .cloned()
            .ok_or_else(|| format!("{}: there is no tenant {tenant:?}; there are: {}", dir.display(), names())),
        (None, [one]) => Ok(one.clone()),
        (None, []) => Err(format!("{}: there is no tenant yet", dir.display())),
        (None, _) => Err(format!("{}: name one of the tenants with --tenant: {}", dir.display(), names())),
    }
}

fn range_of(span: Span) -> TimeRange {
    TimeRange::new(span.start.unwrap_or(i64::MIN), span.end.unwrap_or(i64::MAX - 1).saturating_add(1))
}

impl Backend for Directory<'_> {
    fn instant(&self, query: &str, t: i64) -> Result<Value, String> {
        Ok(self.answer(self.engine.instant(&self.view, query, t, &self.control())))
    }

    fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Value, String> {
        Ok(self.answer(self.engine.range(&self.view, query, start, end, step, &self.control())))
    }

    fn labels(&self, name: Option<&str>, matches: &[String], span: Span) -> Result<Value, String> {
        let mut sets = match selectors(matches) {
            Ok(sets) => sets,
            Err(words) => return Ok(refusal("bad_data", &words)),
        };
        if sets.is_empty() {
            sets.push(Vec::new());
        }
        let read = |matchers: &Vec<Matcher>| match name {
            Some(name) => self.view.label_values(name, matchers, range_of(span)),
            None => self.view.label_names(matchers, range_of(span)),
        };
        let found: Result<Vec<Vec<String>>, ReadError> = sets.iter().map(read).collect();
        Ok(self.list(found.map(|lists| json!(lists.into_iter().flatten().collect::<BTreeSet<String>>()))))
    }

    fn series(&self, matches: &[String], span: Span) -> Result<Value, String> {
        let sets = match selectors(matches) {
            Ok(sets) => sets,
            Err(words) => return Ok(refusal("bad_data", &words)),
        };
        let found: BTreeSet<Labels> =
            sets.iter().flat_map(|matchers| self.view.series(matchers, range_of(span))).collect();
        Ok(self.list(Ok(found.iter().map(shape::labels).collect())))
    }

    fn engine(&self) -> Result<(EngineOptions, Vec<String>), String> {
        Ok((self.engine.options().clone(), self.asked.features.clone()))
    }
}
