//! Joins parts that do not know each other: a tenant as the sink of scrapes.

use std::sync::Arc;

use storage::{Batch, Durability};

use crate::scrape::{AppendAnswer, FamilyMetadata, Sink};
use crate::tenant::Tenant;

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

    fn observe_metadata(&self, family: &FamilyMetadata) {
        self.0.metadata.observe(&family.family, family.kind.as_str(), &family.help, &family.unit);
    }
}

/// The machine's name.
pub(super) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
