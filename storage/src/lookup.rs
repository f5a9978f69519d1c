//! Which labels there are: names and values, of all series or of those that matchers select.
//!
//! Here: [`Db::label_names`], [`Db::label_values`], and the walk over head and blocks.
//! Elsewhere: making one sorted list of what many sources have (`distinct`), the indexes that are asked (`head::select`, `block::index`), the samples of the series (`db`).
//!
//! Invariant: what cannot be read is left out and counted; a damaged index never fails a look-up.

use std::collections::BTreeSet;
use std::sync::RwLock;

use rustc_hash::FxHashSet;

use crate::block::index::Index;
use crate::db::{Db, read};
use crate::distinct::{Distinct, Texts};
use crate::head::{self, Head};
use crate::index::Damage;
use crate::select::SNAPSHOT_SERIES;
use crate::{Labels, Matcher, ReadError, TimeRange};

impl Db {
    /// Names of the labels of the series that `matchers` select in `range`, sorted. `range` is honoured to the block:
    /// a series counts if its head or block has any sample there. Blocks that cannot be read are left out.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        self.visit_labels(matchers, range, |part| match part {
            Part::Index(index) => index.names(|name| insert(&mut names, name)),
            Part::Head(head) => {
                read(head).names().for_each(|name| insert(&mut names, name));
                Ok(())
            }
            Part::Series(labels) => {
                labels.iter().for_each(|(name, _)| insert(&mut names, name));
                Ok(())
            }
        });
        Ok(names.into_iter().collect())
    }

    /// Values of label `name` among the series that `matchers` select in `range`, sorted; `range` as for
    /// [`Db::label_names`].
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        let mut values = Distinct::default();
        // Of series that matchers select, many share a value, and few values are the rule.
        let mut selected: FxHashSet<String> = FxHashSet::default();
        self.visit_labels(matchers, range, |part| {
            let mut texts = Texts::default();
            let read = match part {
                // Up to the damage, if there is some.
                Part::Index(index) => index.values(name, |value| texts.push(value)),
                Part::Head(head) => {
                    head::select::values(head, name, |value| texts.push(value));
                    Ok(())
                }
                Part::Series(labels) => {
                    if let Some(value) = labels.get(name).filter(|value| !selected.contains(*value)) {
                        selected.insert(value.to_owned());
                    }
                    return Ok(());
                }
            };
            values.put(texts);
            read
        });
        let mut texts = Texts::default();
        selected.iter().for_each(|value| texts.push(value));
        values.put(texts);
        Ok(values.into_strings())
    }

    /// Shows `visit` the head and the blocks that touch `range`: as indexes if there is no matcher, else the labels of
    /// each series that passes. Blocks whose index is damaged are counted and passed over.
    fn visit_labels(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        mut visit: impl FnMut(Part<'_>) -> Result<(), Damage>,
    ) {
        let is_inside = self.head().reaches(range);
        // The head's parts cannot be damaged.
        let _: Result<(), Damage> = match (is_inside, matchers) {
            (false, _) => Ok(()),
            (true, []) => visit(Part::Head(&self.head)),
            (true, _) => head::select::select(&self.head, matchers).chunks(SNAPSHOT_SERIES).try_for_each(|portion| {
                let labels: Vec<Labels> = {
                    let head = self.head();
                    portion.iter().filter_map(|&series| head.labels(series)).collect()
                };
                labels.iter().try_for_each(|labels| visit(Part::Series(labels)))
            }),
        };
        for block in self.blocks_in(range) {
            // A damaged index is counted at its first use and set aside by the next `maintain`, which warns selects.
            let _: Result<(), Damage> = match matchers {
                [] => visit(Part::Index(block.index())),
                _ => block
                    .select_labels(matchers, &self.damage)
                    .and_then(|found| found.iter().try_for_each(|labels| visit(Part::Series(labels)))),
            };
            block.count_damage(&self.damage);
        }
    }
}

/// Something that has label names and values.
enum Part<'a> {
    Head(&'a RwLock<Head>),
    Index(&'a Index),
    Series(&'a Labels),
}

fn insert(set: &mut BTreeSet<String>, text: &str) {
    if !set.contains(text) {
        set.insert(text.to_owned());
    }
}
