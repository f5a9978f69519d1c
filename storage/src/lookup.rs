//! Which labels there are: names, values and whole sets, of all series or of those that matchers select.
//!
//! Here: [`Db::series`], [`Db::label_names`], [`Db::label_values`], and the walk over head and blocks.
//! Elsewhere: making one sorted list of what many sources have (`distinct`), the indexes that are asked (`head::select`, `block::index`), the samples of the series (`db`).
//!
//! Invariant: what cannot be read is left out and counted; a damaged index never fails a look-up.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::block::index::Index;
use crate::db::Db;
use crate::distinct::{Distinct, Texts};
use crate::head;
use crate::head::copies::LabelCopies;
use crate::index::Damage;
use crate::select::{GoOn, SNAPSHOT_SERIES};
use crate::{Labels, Matcher, ReadError, TimeRange};

impl Db {
    /// Labels of the series that satisfy `matchers`, sorted. `range` is honoured to the chunk, and no sample is read: a
    /// series counts if it has a chunk that reaches into `range` and is not deleted as a whole. Blocks that cannot be read
    /// are left out. `go_on` as for [`Db::select_while`].
    pub fn series(&self, matchers: &[Matcher], range: TimeRange, go_on: &GoOn<'_>) -> Option<Vec<Labels>> {
        let mut found = Vec::new();
        self.each_series(matchers, range, go_on, |labels| found.push(labels.clone()))?;
        // What was listed is in order already.
        found.sort();
        Some(found)
    }

    /// Names of the labels of the series that `matchers` select in `range`, sorted. `range` is honoured as for
    /// [`Db::series`], without matchers to the block: a block's labels count if any of its samples may lie there.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        if matchers.is_empty() {
            self.each_index(range, |index| match index {
                Some(index) => index.names(|name| insert(&mut names, name)),
                None => {
                    self.head().names().for_each(|name| insert(&mut names, name));
                    Ok(())
                }
            });
        } else {
            let each = |labels: &Labels| labels.iter().for_each(|(name, _)| insert(&mut names, name));
            let _ = self.each_series(matchers, range, &|_| true, each);
        }
        Ok(names.into_iter().collect())
    }

    /// Values of label `name` among the series that `matchers` select in `range`, sorted; `range` as for
    /// [`Db::label_names`].
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut values = Distinct::default();
        if matchers.is_empty() {
            self.each_index(range, |index| {
                let mut texts = Texts::default();
                let read = match index {
                    // Up to the damage, if there is some.
                    Some(index) => index.values(name, |value| texts.push(value)),
                    None => {
                        head::select::values(&self.head, name, |value| texts.push(value));
                        Ok(())
                    }
                };
                values.put(texts);
                read
            });
        } else {
            // Many series share a value, and few values are the rule.
            let mut selected: FxHashSet<String> = FxHashSet::default();
            let each = |labels: &Labels| {
                if let Some(value) = labels.get(name).filter(|value| !selected.contains(*value)) {
                    selected.insert(value.to_owned());
                }
            };
            let _ = self.each_series(matchers, range, &|_| true, each);
            let mut texts = Texts::default();
            selected.iter().for_each(|value| texts.push(value));
            values.put(texts);
        }
        Ok(values.into_strings())
    }

    /// Shows `visit` the index of each block that touches `range`, and `None` for the head. Blocks whose index is damaged
    /// are counted and passed over.
    fn each_index(&self, range: TimeRange, mut visit: impl FnMut(Option<&Index>) -> Result<(), Damage>) {
        if self.head().reaches(range) {
            // The head cannot be damaged.
            let _: Result<(), Damage> = visit(None);
        }
        for block in self.blocks_in(range) {
            // A damaged index is counted at its first use and set aside by the next `maintain`, which warns selects.
            let _: Result<(), Damage> = visit(Some(block.index()));
            block.count_damage(&self.damage);
        }
    }

    /// Shows `each` the labels of every series that [`Db::series`] finds, once; `None` once `go_on` says no.
    fn each_series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        go_on: &GoOn<'_>,
        mut each: impl FnMut(&Labels),
    ) -> Option<()> {
        // By their packed texts.
        let mut seen: FxHashSet<Arc<str>> = FxHashSet::default();
        // Head first: a cut lists its blocks before the head lets go, so nothing falls between the two.
        self.each_series_of_head(matchers, range, go_on, |labels| {
            seen.insert(labels.packed().clone());
            each(labels);
        })?;
        for block in self.blocks_in(range) {
            if !go_on(seen.len()) {
                return None;
            }
            // All of its series have samples in the range then.
            let is_inside = range.covers(&block.meta().range) && block.tombstones().is_empty();
            if is_inside && let Some(listed) = self.listings.of_block(block.owner(), matchers) {
                for (_, labels) in listed.iter().filter(|(_, labels)| !seen.contains(labels.packed())) {
                    each(labels);
                }
                seen.extend(listed.iter().map(|(_, labels)| labels.packed().clone()));
                continue;
            }
            let (mut all, mut is_over) = (Vec::new(), false);
            let read = block.each_reaching(matchers, range, &self.damage, |series, packed| {
                is_over = is_over || all.len().is_multiple_of(SNAPSHOT_SERIES) && !go_on(seen.len());
                if is_over {
                    return;
                }
                let known = seen.get(packed).cloned().map(Labels::from_packed);
                let labels = known.unwrap_or_else(|| {
                    let labels = Labels::from_packed(packed);
                    seen.insert(labels.packed().clone());
                    each(&labels);
                    labels
                });
                all.push((series, labels));
            });
            if is_over {
                return None;
            }
            // As in `each_index`.
            if read.is_ok() && is_inside {
                self.listings.put_block(block.owner(), matchers, all);
            }
        }
        Some(())
    }

    fn each_series_of_head(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        go_on: &GoOn<'_>,
        mut each: impl FnMut(&Labels),
    ) -> Option<()> {
        if !self.head().reaches(range) {
            return Some(());
        }
        let mut count = 0;
        match self.listings.list(&self.head, matchers, &|| go_on(0))? {
            Ok(listed) => {
                let mut there = Vec::with_capacity(SNAPSHOT_SERIES);
                for portion in listed.chunks(SNAPSHOT_SERIES) {
                    go_on(count).then_some(())?;
                    {
                        let head = self.head();
                        there.extend(portion.iter().map(|(series, _)| head.has_chunk_in(*series, range)));
                    }
                    for ((_, labels), _) in portion.iter().zip(there.drain(..)).filter(|(_, is_there)| *is_there) {
                        count += 1;
                        each(labels);
                    }
                }
            }
            Err(refs) => {
                let mut copies = LabelCopies::default();
                for portion in refs.chunks(SNAPSHOT_SERIES) {
                    go_on(count).then_some(())?;
                    copies.take_all(&self.head, portion, |head, series| head.has_chunk_in(series, range));
                    copies.drain(|_, labels| {
                        count += 1;
                        each(&labels);
                    });
                }
            }
        }
        Some(())
    }
}

fn insert(set: &mut BTreeSet<String>, text: &str) {
    if !set.contains(text) {
        set.insert(text.to_owned());
    }
}
