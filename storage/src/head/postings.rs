//! Postings of the head: which series carry a label pair.
//!
//! Here: the lists, kept in rising order, and their removal when series go.
//! Elsewhere: combining lists for matchers (`index`).
//!
//! Invariant: refs rise over time, so adding at the end keeps every list sorted.

use rustc_hash::{FxHashMap, FxHashSet};

use super::symbols::Symbol;
use crate::index::SeriesRef;

/// Series of one pair. Most pairs of a unique label have one series: no heap for those.
#[derive(Debug)]
pub(crate) enum List {
    /// A single series.
    One(SeriesRef),
    /// Rising.
    Many(Vec<SeriesRef>),
}

impl List {
    /// The refs, rising.
    pub(crate) fn refs(&self) -> &[SeriesRef] {
        match self {
            List::One(one) => std::slice::from_ref(one),
            List::Many(many) => many,
        }
    }

    fn push(&mut self, series: SeriesRef) {
        match self {
            List::One(one) => *self = List::Many(vec![*one, series]),
            List::Many(many) => many.push(series),
        }
    }
}

/// Name to value to list.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    names: FxHashMap<Symbol, FxHashMap<Symbol, List>>,
}

impl Postings {
    /// Adds a series that is newer than all others.
    pub(crate) fn insert(&mut self, series: SeriesRef, labels: &[(Symbol, Symbol)]) {
        for &(name, value) in labels {
            match self.names.entry(name).or_default().entry(value) {
                std::collections::hash_map::Entry::Occupied(mut list) => list.get_mut().push(series),
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(List::One(series));
                }
            }
        }
    }

    /// The values of `name` with their lists.
    pub(crate) fn values(&self, name: Symbol) -> Option<&FxHashMap<Symbol, List>> {
        self.names.get(&name)
    }

    /// All names with their values.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Symbol, &FxHashMap<Symbol, List>)> {
        self.names.iter().map(|(&name, values)| (name, values))
    }

    /// Removes series whose labels are `touched`; other lists are not walked.
    pub(crate) fn remove(&mut self, gone: &FxHashSet<SeriesRef>, touched: &FxHashSet<(Symbol, Symbol)>) {
        for &(name, value) in touched {
            let Some(values) = self.names.get_mut(&name) else { continue };
            let Some(list) = values.get_mut(&value) else { continue };
            let left: Vec<SeriesRef> = list.refs().iter().copied().filter(|r| !gone.contains(r)).collect();
            match left.as_slice() {
                [] => {
                    values.remove(&value);
                }
                [one] => *list = List::One(*one),
                _ => *list = List::Many(left),
            }
            if values.is_empty() {
                self.names.remove(&name);
            }
        }
    }
}
