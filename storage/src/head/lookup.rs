//! Finding series by label sets that mostly resemble the one before.
//!
//! Here: from labels to numbers of pairs, each text looked at once for finding and inserting.
//! Elsewhere: the table of pairs (`head::pairs`), the hash index over their numbers (`head::table`).
//!
//! Invariant: numbers of pairs hold while the head gives up no pair (its `generation`), that a pair has no number only
//! while nothing is inserted. So what was looked up under one lock is checked before it is used under another.

use super::Head;
use super::pairs::PairId;
use crate::index::SeriesRef;
use crate::{Labels, SeriesId};

/// Stands for a pair that the head does not have (or did not when it was asked).
pub(crate) const UNKNOWN: PairId = PairId::MAX;

/// Looks up label sets; keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// The last set, and the numbers of its pairs.
    last: Option<Labels>,
    last_ids: Vec<PairId>,
    /// Numbers of the pairs of sets that are to be inserted, and where each set's end.
    ids: Vec<PairId>,
    ends: Vec<usize>,
    generation: u64,
}

impl Lookup {
    /// Forgets everything: `head` may have changed since the last time.
    pub(crate) fn begin(&mut self, head: &Head) {
        (self.last, self.generation) = (None, head.generation);
        self.last_ids.clear();
        self.ids.clear();
        self.ends.clear();
    }

    /// The series with these labels. The head is the one of [`Lookup::begin`] and has not changed since.
    pub(crate) fn find(&mut self, head: &Head, labels: &Labels) -> Option<SeriesRef> {
        let mut last = self.last.as_ref().map(Labels::iter).unwrap_or_default();
        let mut pairs = labels.iter();
        let mut at = 0;
        while let Some(((name, value), other)) = pairs.next_beside(&mut last) {
            if other.is_some() {
                let id = head.pair_at(at, name, value).unwrap_or(UNKNOWN);
                match self.last_ids.get_mut(at) {
                    Some(slot) => *slot = id,
                    None => self.last_ids.push(id),
                }
            }
            at += 1;
        }
        self.last_ids.truncate(at);
        self.last = Some(labels.clone());
        head.find_ids(&self.last_ids)
    }

    /// Keeps what was found out about the last set, to insert it later; its place among those kept.
    pub(crate) fn keep(&mut self) -> usize {
        self.ids.extend_from_slice(&self.last_ids);
        self.ends.push(self.ids.len());
        self.ends.len() - 1
    }

    /// Inserts the set kept at `place`; see [`Head::insert`]. The head may have changed.
    pub(crate) fn insert(&self, head: &mut Head, place: usize, id: SeriesId, labels: &Labels) -> Option<SeriesRef> {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let ids = self.ends.get(place).and_then(|&end| self.ids.get(start..end));
        let ids = ids.filter(|_| head.generation == self.generation).unwrap_or_default();
        head.insert_known(id, labels, ids)
    }

    /// Inserts the last set at once; nobody else changes the head meanwhile.
    pub(crate) fn insert_last(&mut self, head: &mut Head, id: SeriesId, labels: &Labels) -> Option<SeriesRef> {
        let series = head.insert_known(id, labels, &self.last_ids)?;
        // None of them is unknown now.
        self.last_ids.clone_from(&head.recent);
        Some(series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn sets_are_found_whatever_came_before() {
        let sets = [
            labels(&[("a", "1"), ("b", "2"), ("c", "3")]),
            labels(&[("a", "1"), ("c", "3")]),
            labels(&[("c", "3")]),
            Labels::empty(),
            labels(&[("a", "1"), ("b", "2")]),
            labels(&[("a", "1"), ("b", "3"), ("c", "3"), ("d", "4")]),
        ];
        let (mut head, mut lookup) = (Head::new(1000), Lookup::default());
        for (i, set) in sets.iter().enumerate() {
            lookup.begin(&head);
            assert!(sets.iter().skip(i).all(|set| lookup.find(&head, set).is_none()));
            assert_eq!(lookup.find(&head, set), None);
            assert_eq!(lookup.insert_last(&mut head, SeriesId(i as u64), set), Some(i as u32));
        }
        lookup.begin(&head);
        for i in [0, 0, 3, 1, 5, 2, 4, 0, 5] {
            assert_eq!(lookup.find(&head, &sets[i]), Some(i as u32));
            assert_eq!((head.find(&sets[i]), head.labels(i as u32)), (Some(i as u32), Some(sets[i].clone())));
        }
    }

    #[test]
    fn numbers_of_pairs_that_were_given_up_are_not_used() {
        for is_gone in [false, true] {
            let (mut head, mut lookup) = (Head::new(1000), Lookup::default());
            let (first, second) = (labels(&[("a", "1"), ("b", "1")]), labels(&[("a", "1"), ("b", "2")]));
            head.insert(SeriesId(0), &first).unwrap();
            lookup.begin(&head);
            assert_eq!(lookup.find(&head, &second), None);
            let place = lookup.keep();
            if is_gone {
                let ids: Vec<_> = head.pages.pair_ids(0).unwrap().iter().collect();
                head.pages.remove(0);
                ids.into_iter().for_each(|id| head.pairs.remove(id, &[0]));
                head.generation += 1;
                // The number of `a="1"` means something else now.
                head.insert(SeriesId(1), &labels(&[("x", "y"), ("z", "y")])).unwrap();
            }
            let series = lookup.insert(&mut head, place, SeriesId(2), &second).unwrap();
            assert_eq!((head.labels(series), head.find(&second)), (Some(second), Some(series)));
        }
    }
}
