//! Metric metadata (type, help, unit) as scrapes and pushes told it, for one tenant.
//!
//! Here: what scrapes said since the start, with differing descriptions of one metric, and its way into the database.
//! Elsewhere: the last description of each metric, which outlives a start, and what pushes said (`storage`).
//!
//! Invariant: at most [`METADATA_FAMILIES_MAX`] families; one beyond it is not remembered (its samples are stored all
//! the same). Whoever observes never waits for a disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::{AppendError, Db, Durability, MetricMetadata};

/// Most metric families remembered for one tenant.
pub(super) const METADATA_FAMILIES_MAX: usize = 50_000;

/// Most differing descriptions remembered for one family.
const VARIANTS_MAX: usize = 10;

/// Family name -> its descriptions (several where sources disagree).
#[derive(Debug, Default)]
pub struct MetadataStore(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    families: BTreeMap<Arc<str>, Vec<MetricMetadata>>,
    /// Not in the database yet.
    news: Vec<(String, MetricMetadata)>,
}

impl MetadataStore {
    /// Remembers one description. Cheap if it is known already.
    pub fn observe(&self, family: &str, kind: &str, help: &str, unit: &str) {
        let mut told = self.lock();
        let has_room = told.families.len() < METADATA_FAMILIES_MAX;
        let same = |m: &MetricMetadata| &*m.kind == kind && &*m.help == help && &*m.unit == unit;
        let meaning = || MetricMetadata::new(kind, help, unit);
        match told.families.get_mut(family) {
            Some(known) if known.len() >= VARIANTS_MAX || known.iter().any(same) => return,
            Some(known) => known.push(meaning()),
            None if !has_room => return,
            None => {
                told.families.insert(family.into(), vec![meaning()]);
            }
        }
        let meaning = meaning();
        told.news.push((family.to_owned(), meaning));
    }

    /// Writes what is new into the database. After an error it is still shown, and scrapes tell it again after a start.
    pub fn store(&self, db: &Db) -> Result<(), AppendError> {
        let news = std::mem::take(&mut self.lock().news);
        if !news.is_empty() {
            db.append_metadata(&news, Durability::Written)?;
        }
        Ok(())
    }

    /// Families of this store and of the database in order of name; with `metric` only that one.
    pub fn list(&self, db: &Db, metric: Option<&str>) -> Vec<(Arc<str>, Vec<MetricMetadata>)> {
        let mut all: BTreeMap<Arc<str>, Vec<MetricMetadata>> =
            db.metadata(metric).into_iter().map(|(family, meaning)| (family, vec![meaning])).collect();
        let told = self.lock();
        for (family, known) in told.families.iter().filter(|(family, _)| metric.is_none_or(|m| m == &***family)) {
            let listed = all.entry(family.clone()).or_default();
            known.iter().for_each(|meaning| {
                if !listed.contains(meaning) {
                    listed.push(meaning.clone());
                }
            });
        }
        all.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use storage::Options;

    use super::*;

    #[test]
    fn keeps_differing_descriptions_once_each_and_the_last_over_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        let store = MetadataStore::default();
        store.observe("up", "gauge", "Up.", "");
        store.observe("up", "gauge", "Up.", "");
        store.observe("up", "gauge", "Is it up?", "");
        store.observe("down", "gauge", "", "");
        for _ in 0..2 {
            assert_eq!(store.list(&db, None).len(), 2);
            assert_eq!(store.list(&db, Some("up"))[0].1.len(), 2);
            assert!(store.list(&db, Some("sideways")).is_empty());
            store.store(&db).unwrap();
        }
        drop(db);
        let db = Db::open(dir.path(), Options::default()).unwrap();
        let found = MetadataStore::default().list(&db, Some("up"));
        assert_eq!((found[0].1.len(), &*found[0].1[0].help), (1, "Is it up?"));
    }
}
