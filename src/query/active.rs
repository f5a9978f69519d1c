//! What is asked right now: the list that people look at, and ending one of its queries.
//!
//! Here: an entry for each query, from its arrival to its answer. Elsewhere: how a query notices its end (`promql`).
//!
//! Invariant: an entry is shown to its own tenant only, and is gone when its query is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Ask;
use crate::config::TenantId;
use crate::promql::QueryControl;

/// Most bytes of a query's text that lists show.
const SHOWN_BYTES: usize = 4096;

/// One query that waits or runs.
#[derive(Debug, Clone)]
pub struct ActiveQuery {
    /// Names it among all that ever ran in this process.
    pub id: u64,
    /// Its text, cut where it is long.
    pub query: String,
    /// The route it came by.
    pub path: &'static str,
    /// Who asks.
    pub client: String,
    /// When it came, milliseconds since the epoch.
    pub since_ms: i64,
    /// Whether it still waits for its turn.
    pub is_waiting: bool,
    /// Samples that it looked at so far.
    pub samples: u64,
}

#[derive(Debug, Default)]
pub(super) struct ActiveQueries(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    query: String,
    path: &'static str,
    client: String,
    since_ms: i64,
    runs: Arc<AtomicBool>,
    control: QueryControl,
    killed: Arc<Notify>,
}

/// An entry of the list; gone when it is dropped. Its query is canceled then, if it still runs: nobody waits for it.
#[derive(Debug)]
pub(super) struct Listed {
    list: Arc<ActiveQueries>,
    id: u64,
    control: QueryControl,
    runs: Arc<AtomicBool>,
    killed: Arc<Notify>,
}

impl ActiveQueries {
    pub(super) fn add(self: &Arc<Self>, tenant: &TenantId, ask: &Ask, since_ms: i64, control: &QueryControl) -> Listed {
        let runs = Arc::new(AtomicBool::new(false));
        let mut state = self.lock();
        state.last_id += 1;
        let id = state.last_id;
        let entry = Entry {
            tenant: tenant.clone(),
            query: shown(&ask.query),
            path: ask.origin.path,
            client: ask.origin.client.clone(),
            since_ms,
            runs: runs.clone(),
            control: control.clone(),
            killed: Arc::default(),
        };
        let killed = entry.killed.clone();
        state.entries.insert(id, entry);
        Listed { list: self.clone(), id, control: control.clone(), runs, killed }
    }

    /// Those of a tenant, oldest first.
    pub(super) fn list(&self, tenant: &TenantId) -> Vec<ActiveQuery> {
        let state = self.lock();
        let mine = state.entries.iter().filter(|(_, entry)| entry.tenant == *tenant);
        let show = |(id, entry): (&u64, &Entry)| ActiveQuery {
            id: *id,
            query: entry.query.clone(),
            path: entry.path,
            client: entry.client.clone(),
            since_ms: entry.since_ms,
            is_waiting: !entry.runs.load(Ordering::Relaxed),
            samples: entry.control.numbers.used().samples.looked_at,
        };
        mine.map(show).collect()
    }

    /// Ends a query of this tenant; false if there is none of this number.
    pub(super) fn kill(&self, tenant: &TenantId, id: u64) -> bool {
        let state = self.lock();
        let found = state.entries.get(&id).filter(|entry| entry.tenant == *tenant);
        let end = |entry: &&Entry| {
            entry.control.kill();
            entry.killed.notify_one();
        };
        found.inspect(end).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// Its turn has come.
    pub(super) fn starts(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Waits until somebody ends it: one that runs looks for itself, one that waits for its turn does not.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.control.cancel();
        self.list.lock().entries.remove(&self.id);
    }
}

/// The text, or as much of it as is shown.
pub(super) fn shown(query: &str) -> String {
    if query.len() <= SHOWN_BYTES {
        return query.to_owned();
    }
    let end = (0..=SHOWN_BYTES).rev().find(|&at| query.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &query[..end])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tenant_sees_and_ends_its_own_only() {
        let list = Arc::new(ActiveQueries::default());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let control = QueryControl::with_timeout(Duration::from_secs(9));
        let listed = list.add(&a, &Ask::instant("up", 0), 5, &control);
        assert!(list.list(&b).is_empty() && !list.kill(&b, listed.id) && control.check().is_ok());
        let found = list.list(&a);
        assert_eq!((found[0].query.as_str(), found[0].since_ms, found[0].is_waiting), ("up", 5, true));
        listed.starts();
        assert!(!list.list(&a)[0].is_waiting);
        assert!(list.kill(&a, found[0].id) && control.check().is_err());
        drop(listed);
        assert!(list.list(&a).is_empty() && !list.kill(&a, found[0].id));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = format!("x{}", "ä".repeat(SHOWN_BYTES));
        assert!(shown(&long).len() <= SHOWN_BYTES + "…".len() && shown(&long).ends_with("ä…"));
        assert_eq!(shown("up"), "up");
    }
}
