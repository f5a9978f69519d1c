//! What a target's pages say about their metric families.
//!
//! Here: the families of one target and what changed with the last page. Elsewhere: who stores it (`sink`).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::sink::FamilyMetadata;
use crate::exposition::Kind;

/// A family is forgotten when this many good pages did not have it, as in Prometheus.
const PAGES_KEPT: u64 = 10;

/// Families of one target; owned by its loop.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: FxHashMap<String, Known>,
    page: u64,
    changed: Vec<String>,
    is_stale: bool,
}

#[derive(Debug)]
struct Known {
    data: FamilyMetadata,
    page: u64,
}

impl MetadataCache {
    /// A page begins.
    pub(crate) fn begin(&mut self) {
        self.page += 1;
    }

    pub(crate) fn set_kind(&mut self, family: &str, kind: Kind) {
        self.set(family, |data| std::mem::replace(&mut data.kind, kind) != kind);
    }

    pub(crate) fn set_help(&mut self, family: &str, help: &str) {
        self.set(family, |data| replace_text(&mut data.help, help));
    }

    pub(crate) fn set_unit(&mut self, family: &str, unit: &str) {
        self.set(family, |data| replace_text(&mut data.unit, unit));
    }

    /// `replace` says whether it changed anything.
    fn set(&mut self, family: &str, replace: impl FnOnce(&mut FamilyMetadata) -> bool) {
        let page = self.page;
        let known = match self.families.get_mut(family) {
            Some(known) => known,
            None => {
                let family = family.to_owned();
                let data = FamilyMetadata {
                    family: family.clone(),
                    kind: Kind::Unknown,
                    help: String::new(),
                    unit: String::new(),
                };
                self.changed.push(family.clone());
                self.families.entry(family).or_insert(Known { data, page })
            }
        };
        known.page = page;
        if replace(&mut known.data) {
            self.changed.push(family.to_owned());
        }
    }

    /// A good page ended.
    pub(crate) fn finish(&mut self) {
        let before = self.families.len();
        self.families.retain(|_, known| known.page + PAGES_KEPT > self.page);
        self.is_stale |= before != self.families.len();
    }

    /// If anything changed since the last call: the families that did, and all of them sorted by name.
    pub(crate) fn take_changes(&mut self) -> Option<(Vec<FamilyMetadata>, Arc<[FamilyMetadata]>)> {
        if self.changed.is_empty() && !self.is_stale {
            return None;
        }
        self.is_stale = false;
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let changed = changed.iter().filter_map(|f| self.families.get(f)).map(|k| k.data.clone()).collect();
        let mut all: Vec<FamilyMetadata> = self.families.values().map(|k| k.data.clone()).collect();
        all.sort_unstable_by(|a, b| a.family.cmp(&b.family));
        Some((changed, all.into()))
    }
}

fn replace_text(text: &mut String, new: &str) -> bool {
    if text == new {
        return false;
    }
    new.clone_into(text);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_changes_once_and_forgets_what_left() {
        let mut cache = MetadataCache::default();
        let page = |cache: &mut MetadataCache, help: &str| {
            cache.begin();
            if !help.is_empty() {
                cache.set_help("m", help);
                cache.set_kind("m", Kind::Gauge);
            }
            cache.finish();
            cache.take_changes().map(|(changed, all)| (changed.len(), all.len()))
        };
        assert_eq!(page(&mut cache, "one"), Some((1, 1)));
        assert_eq!(page(&mut cache, "one"), None);
        assert_eq!(page(&mut cache, "two"), Some((1, 1)));
        for _ in 1..PAGES_KEPT {
            assert_eq!(page(&mut cache, ""), None);
        }
        assert_eq!(page(&mut cache, ""), Some((0, 0)));
    }
}
