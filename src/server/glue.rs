//! Joins parts that do not know each other: a tenant as the sink of scrapes and as the store of rules.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHasher;
use storage::{Appended, Batch, Db, Durability, Exemplar, SeriesId};

use crate::config::Config;
use crate::promql::{QueryError, QueryResult, Source};
use crate::query::{Ask, Origin, QueryService, RuleGroup};
use crate::rules::{RuleQuery, RuleStore};
use crate::scrape::fetch::Render;
use crate::scrape::manager::LocalTarget;
use crate::scrape::sink::{AppendAnswer, ExemplarsAnswer, FamilyMetadata, Sink};
use crate::tenant::Tenant;

/// How often the built-in targets are rendered: they cost little, and the first page should fill quickly.
const BUILT_IN_INTERVAL: Duration = Duration::from_secs(5);

/// Scraped samples go to one tenant. They are written at once and synced within a second by the tenants' keeper.
pub(super) struct TenantSink(Arc<Tenant>);

impl TenantSink {
    pub(super) fn new(tenant: Arc<Tenant>) -> Arc<Self> {
        Arc::new(TenantSink(tenant))
    }
}

impl Sink for TenantSink {
    fn append(&self, batch: Batch) -> AppendAnswer<'_> {
        Box::pin(async move { self.0.append(batch, Durability::Written).await.map_err(|e| e.to_string()) })
    }

    fn append_exemplars(&self, exemplars: Vec<(SeriesId, Exemplar)>) -> ExemplarsAnswer<'_> {
        Box::pin(async move {
            self.0.append_exemplars(exemplars, Durability::Written).await.map(drop).map_err(|e| e.to_string())
        })
    }

    fn observe_metadata(&self, family: &FamilyMetadata) {
        self.0.metadata.observe(&family.family, family.kind.as_str(), &family.help, &family.unit);
    }
}

/// The machine's name.
pub(super) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Rules read and write one tenant's samples; what they ask is logged as other queries are, what they write is as durable
/// as scrapes.
pub(super) struct TenantRules {
    pub(super) tenant: Arc<Tenant>,
    pub(super) queries: Arc<QueryService>,
}

impl RuleStore for TenantRules {
    fn query(&self, query: RuleQuery<'_>) -> Result<QueryResult, QueryError> {
        let group = RuleGroup { file: query.file.to_owned(), name: query.group.to_owned() };
        let origin = Origin { rule_group: Some(group), ..Origin::default() };
        let ask = Ask { origin, ..Ask::instant(query.expr, query.t) };
        self.queries.ask_now(&self.tenant, &ask, query.canceled)
    }

    fn source(&self) -> Arc<dyn Source> {
        let db: Arc<Db> = self.tenant.db.clone();
        db
    }

    fn append(&self, batch: &mut Batch, now: i64) -> Result<Appended, String> {
        self.tenant.db.append(batch, now, Durability::Written).map_err(|e| e.to_string())
    }
}

/// A target inside this process, under the name of this machine.
pub(super) fn local_target(job_name: &str, render: Render) -> LocalTarget {
    LocalTarget {
        job_name: job_name.to_owned(),
        name: job_name.to_owned(),
        labels: BTreeMap::from([("instance".to_owned(), hostname())]),
        interval: BUILT_IN_INTERVAL,
        render,
    }
}

/// Shifts the moments of scraping, so that two servers with the same targets do not ask at the same time; as Prometheus,
/// from the machine's name and the external labels.
pub(super) fn scrape_seed(config: &Config) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(hostname().as_bytes());
    for (name, value) in &config.global.external_labels {
        hasher.write(name.as_bytes());
        hasher.write(value.as_bytes());
    }
    hasher.finish()
}
