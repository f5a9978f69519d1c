//! Metric metadata (type, help, unit) as scrapes and pushes told it, in memory, for one tenant.
//!
//! Bounded by [`METADATA_FAMILIES_MAX`]: a family beyond it is not remembered (its samples are stored all the same).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most metric families remembered for one tenant.
pub(super) const METADATA_FAMILIES_MAX: usize = 50_000;

/// Most differing descriptions remembered for one family.
const VARIANTS_MAX: usize = 10;

/// What is known about a metric family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, … or `unknown`.
    pub kind: Arc<str>,
    /// The help text.
    pub help: Arc<str>,
    /// The unit, mostly empty.
    pub unit: Arc<str>,
}

/// Family name -> its descriptions (several where sources disagree).
#[derive(Debug, Default)]
pub struct MetadataStore(Mutex<BTreeMap<Arc<str>, Vec<MetricMetadata>>>);

impl MetadataStore {
    /// Remembers one description. Cheap if it is known already.
    pub fn observe(&self, family: &str, kind: &str, help: &str, unit: &str) {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || MetricMetadata { kind: kind.into(), help: help.into(), unit: unit.into() };
        let has_room = families.len() < METADATA_FAMILIES_MAX;
        match families.get_mut(family) {
            Some(known) => {
                let same = |m: &MetricMetadata| &*m.kind == kind && &*m.help == help && &*m.unit == unit;
                if known.len() < VARIANTS_MAX && !known.iter().any(same) {
                    known.push(fresh());
                }
            }
            None if has_room => {
                families.insert(family.into(), vec![fresh()]);
            }
            None => {}
        }
    }

    /// Families in order of name; with `metric` only that one.
    pub fn list(&self, metric: Option<&str>) -> Vec<(Arc<str>, Vec<MetricMetadata>)> {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |name: &str| metric.is_none_or(|m| m == name);
        families.iter().filter(|(name, _)| wanted(name)).map(|(name, known)| (name.clone(), known.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_differing_descriptions_once_each() {
        let store = MetadataStore::default();
        store.observe("up", "gauge", "Up.", "");
        store.observe("up", "gauge", "Up.", "");
        store.observe("up", "gauge", "Is it up?", "");
        store.observe("down", "gauge", "", "");
        assert_eq!(store.list(None).len(), 2);
        assert_eq!(store.list(Some("up"))[0].1.len(), 2);
        assert!(store.list(Some("sideways")).is_empty());
    }
}
