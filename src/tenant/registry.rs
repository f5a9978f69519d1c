//! The registry: tenant id -> open database.
//!
//! Here: opening at start and at the first push, appending off the async threads, the housekeeping task.
//! Elsewhere: what housekeeping does (`storage::Db::maintain`).
//!
//! Invariant: a tenant is opened at most once; readers of an unknown tenant create nothing on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use storage::{
    AppendError, Appended, Batch, Db, Durability, Exemplar, ExemplarsAppended, OpenError, Refusal, SeriesId,
};
use tokio_util::sync::CancellationToken;

use super::{MetadataStore, TenantId};
use crate::clock::Clock;

/// How often it is asked whether much was written: a fast sender writes a million samples meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Every how many looks written samples are synced when no push has done it: a second, which is the window that scraped
/// samples may lose in a power cut.
const LOOKS_PER_SYNC: u32 = 4;

/// Every how many syncs a tenant is maintained (blocks cut, retention applied).
const SYNCS_PER_MAINTENANCE: u32 = 30;

/// Where tenants live and how their databases are kept.
#[derive(Debug, Clone)]
pub struct TenantOptions {
    /// The data directory; tenants are under `tenants/` in it.
    pub data_dir: PathBuf,
    /// Options of each database.
    pub db: storage::Options,
    /// Most tenants that pushes may create (`cairn.limits.tenants_max`).
    pub tenants_max: usize,
}

/// One tenant: its database and what goes with it.
#[derive(Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its samples.
    pub db: Arc<Db>,
    /// What its metrics mean.
    pub metadata: MetadataStore,
    clock: Clock,
    said: Mutex<Said>,
}

/// What the log was told about a tenant's store, so that it is told once.
#[derive(Debug, Default)]
struct Said {
    refusal: Option<Refusal>,
    maintenance_failed: bool,
    damage: usize,
}

/// All tenants of this appliance.
#[derive(Debug)]
pub struct Tenants {
    options: TenantOptions,
    clock: Clock,
    open: RwLock<BTreeMap<TenantId, Arc<Tenant>>>,
    opening: Mutex<()>,
    retention: Mutex<(Option<i64>, Option<u64>)>,
}

/// Why a tenant cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// Its directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One more than `tenants_max`.
    #[error("tenant {id} would be one more than the limit of {limit} tenants; raise cairn.limits.tenants_max")]
    TooMany {
        /// Who asked.
        id: TenantId,
        /// The limit.
        limit: usize,
    },
}

impl Tenant {
    /// Appends off the async threads and hands the batch back for reuse.
    pub async fn append(
        self: &Arc<Self>,
        mut batch: Batch,
        durability: Durability,
    ) -> Result<(Batch, Appended), AppendError> {
        let tenant = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let done = tenant.append_blocking(&mut batch, durability)?;
            Ok((batch, done))
        });
        work.await.expect("append does not panic and the runtime outlives it")
    }

    /// Stores exemplars of series by their ids, off the async threads.
    pub async fn append_exemplars(
        self: &Arc<Self>,
        exemplars: Vec<(SeriesId, Exemplar)>,
        durability: Durability,
    ) -> Result<ExemplarsAppended, AppendError> {
        let tenant = self.clone();
        let work = tokio::task::spawn_blocking(move || tenant.db.append_exemplars_by_id(exemplars, durability));
        work.await.expect("append does not panic and the runtime outlives it")
    }

    /// The same as [`Tenant::append`] for callers that are on a blocking thread already.
    pub fn append_blocking(&self, batch: &mut Batch, durability: Durability) -> Result<Appended, AppendError> {
        self.db.append(batch, self.clock.now_ms(), durability)
    }
}

impl Tenants {
    /// Opens every tenant found in the data directory.
    pub fn open(options: TenantOptions, clock: Clock) -> Result<Self, TenantError> {
        let root = options.data_dir.join("tenants");
        let io = |source| OpenError::Io { path: root.clone(), source };
        std::fs::create_dir_all(&root).map_err(io)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&root).map_err(io)? {
            let entry = entry.map_err(io)?;
            // What is not a tenant id was not put there by us: it is left alone.
            if let Some(id) = entry.file_name().to_str().and_then(|name| TenantId::parse(name).ok()) {
                found.push(id);
            }
        }
        let retention = Mutex::new((options.db.retention_ms, options.db.retention_bytes));
        let tenants = Tenants { options, clock, open: RwLock::default(), opening: Mutex::default(), retention };
        for id in found {
            tenants.open_one(&id)?;
        }
        Ok(tenants)
    }

    /// The tenant, if it exists.
    pub fn get(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The tenant, created if it does not exist. Blocks on disk in that case.
    pub fn get_or_create(&self, id: &TenantId) -> Result<Arc<Tenant>, TenantError> {
        if let Some(tenant) = self.get(id) {
            return Ok(tenant);
        }
        self.open_one(id)
    }

    /// All tenants, in order of id.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes retention for all tenants, those to come included.
    pub fn set_retention(&self, retention_ms: Option<i64>, retention_bytes: Option<u64>) {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner) = (retention_ms, retention_bytes);
        for tenant in self.all() {
            tenant.db.set_retention(retention_ms, retention_bytes);
        }
    }

    fn open_one(&self, id: &TenantId) -> Result<Arc<Tenant>, TenantError> {
        // Lock order: `opening`, then `open`.
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = self.get(id) {
            return Ok(tenant);
        }
        let dir = self.options.data_dir.join("tenants").join(id.as_str());
        let count = self.open.read().unwrap_or_else(PoisonError::into_inner).len();
        if count >= self.options.tenants_max {
            return Err(TenantError::TooMany { id: id.clone(), limit: self.options.tenants_max });
        }
        let mut options = self.options.db.clone();
        (options.retention_ms, options.retention_bytes) =
            *self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let db = Arc::new(Db::open(&dir, options)?);
        let tenant = Arc::new(Tenant {
            id: id.clone(),
            db,
            metadata: MetadataStore::default(),
            clock: self.clock.clone(),
            said: Mutex::default(),
        });
        tenant.say_damage();
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), tenant.clone());
        Ok(tenant)
    }

    /// Syncs every second, maintains every half minute or when much was written; until `stop`: then closes all, so that
    /// the next start has nothing to replay.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut looks: u32 = 0;
        let mut maintenance: Option<tokio::task::JoinHandle<()>> = None;
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            looks = looks.wrapping_add(1);
            let is_sync = stopping || looks.is_multiple_of(LOOKS_PER_SYNC);
            let tenants = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                if is_sync {
                    tenants.sync_all();
                }
                tenants.is_maintenance_due()
            });
            let has_much = looked.await.unwrap_or_else(|e| {
                tracing::error!(component = "storage", error = %e, "the sync task ended early");
                false
            });
            if stopping {
                break;
            }
            let idle = maintenance.as_ref().is_none_or(tokio::task::JoinHandle::is_finished);
            if idle && (has_much || looks.is_multiple_of(LOOKS_PER_SYNC * SYNCS_PER_MAINTENANCE)) {
                let tenants = self.clone();
                maintenance = Some(tokio::task::spawn_blocking(move || tenants.maintain_all()));
            }
        }
        self.all().iter().for_each(|tenant| tenant.db.stop_maintenance());
        if let Some(running) = maintenance {
            let _ = running.await;
        }
        if let Err(e) = tokio::task::spawn_blocking(move || self.close_all()).await {
            tracing::error!(component = "storage", error = %e, "closing ended early; the next start replays the log");
        }
    }

    fn close_all(&self) {
        for tenant in self.all() {
            if let Err(e) = tenant.metadata.store(&tenant.db).and_then(|()| tenant.db.close()) {
                tracing::error!(component = "storage", tenant = %tenant.id, error = %e, "samples cannot be made durable");
            }
        }
    }

    fn sync_all(&self) {
        for tenant in self.all() {
            tenant.keep_writable();
            tenant.say_damage();
        }
    }

    /// True if one of them should be maintained before its turn.
    fn is_maintenance_due(&self) -> bool {
        self.all().iter().any(|tenant| tenant.db.is_maintenance_due())
    }

    fn maintain_all(&self) {
        for tenant in self.all() {
            tenant.maintain();
        }
    }
}

impl Tenant {
    /// Syncs; after a refusal tries whether the disk takes writes again. A refusal may last for hours, with thousands of
    /// samples a second: the log hears of its begin and of its end.
    fn keep_writable(&self) {
        let synced = self.metadata.store(&self.db).and_then(|()| self.db.sync()).map_err(|e| e.to_string());
        let refused = self.db.refuses();
        let recovered = self.db.recover().map_err(|e| e.to_string());
        let refusal = if recovered.is_err() { refused.or(Some(Refusal::Failed)) } else { None };
        let mut said = self.said();
        // One that was over within a second is told as well.
        let begun = refused.or(refusal);
        let name = &self.id;
        match (said.refusal, begun) {
            (before, Some(now)) if before != Some(now) => {
                let why = synced.err().or(recovered.err()).unwrap_or_default();
                let what = match now {
                    Refusal::DiskFull => "the disk is full: samples are refused, queries are answered; free some room",
                    Refusal::Failed => "the disk does not take writes: samples are refused, queries are answered",
                };
                tracing::error!(component = "storage", tenant = %name, error = %why, "{what}");
            }
            _ => {}
        }
        if said.refusal.or(begun).is_some() && refusal.is_none() {
            tracing::info!(component = "storage", tenant = %name, "the disk takes writes again; samples are stored");
        }
        said.refusal = refusal;
    }

    fn maintain(&self) {
        let done = self.db.maintain(self.clock.now_ms());
        let mut said = self.said();
        match &done {
            Err(e) if !said.maintenance_failed => {
                tracing::error!(component = "storage", tenant = %self.id, error = %e, "housekeeping failed; it is tried again every half minute");
            }
            Ok(()) if said.maintenance_failed => {
                tracing::info!(component = "storage", tenant = %self.id, "housekeeping works again");
            }
            _ => {}
        }
        said.maintenance_failed = done.is_err();
    }

    /// Each damaged piece is said once.
    fn say_damage(&self) {
        let mut said = self.said();
        for what in self.db.damage_from(said.damage) {
            said.damage += 1;
            tracing::error!(component = "storage", tenant = %self.id, "{what}");
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(dir: &std::path::Path, tenants_max: usize) -> Tenants {
        let options = TenantOptions { data_dir: dir.to_owned(), db: storage::Options::default(), tenants_max };
        Tenants::open(options, Clock::manual(0)).unwrap()
    }

    #[test]
    fn reading_creates_nothing_and_the_limit_holds() {
        let dir = tempfile::tempdir().unwrap();
        let all = tenants(dir.path(), 1);
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        assert!(all.get(&a).is_none());
        let first = all.get_or_create(&a).unwrap();
        assert!(Arc::ptr_eq(&first, &all.get_or_create(&a).unwrap()));
        let refused = all.get_or_create(&b).unwrap_err().to_string();
        assert!(refused.contains("limit of 1 tenants") && refused.contains("cairn.limits.tenants_max"), "{refused}");
    }

    #[test]
    fn finds_its_tenants_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(tenants(dir.path(), 9).get_or_create(&TenantId::parse("prod").unwrap()).unwrap());
        let ids: Vec<String> = tenants(dir.path(), 9).all().iter().map(|t| t.id.to_string()).collect();
        assert_eq!(ids, ["prod"]);
    }
}
