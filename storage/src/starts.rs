//! Start timestamps: since when the counter behind a sample has been counting.
//!
//! Here: those of one series ([`Changes`]) and of all series of a head ([`HeadStarts`]).
//! Elsewhere: logging them (`append_starts`), the record (`wal::record`), the file of a block (`block::starts`), reading
//! them with samples (`querier`), what they mean to a query (the server's `promql`).
//!
//! A start belongs to a sample, float or histogram, but hardly ever differs from that of the sample before. So it is kept
//! beside the samples, as a list of changes: from a time on all samples of the series have this start. A counter that
//! never resets has one change however long it lives, a series whose samples have no start has nothing, and neither the
//! samples' chunks nor their records in the log know of any of it. Where samples say their start (a batch with starts,
//! or any batch once the head has a series with some) each is compared with what the list says, so the list is exact.
//!
//! Invariant: changes rise in time, neighbours differ, the first is not [`UNKNOWN`]. What a list says of a time at which
//! there is no sample, or a staleness marker, means nothing.

use rustc_hash::FxHashMap;

use crate::index::SeriesRef;

/// The start of a sample that came without one.
pub(crate) const UNKNOWN: i64 = 0;

/// From a time on samples have this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// First millisecond.
    pub(crate) from: i64,
    /// The start.
    pub(crate) start: i64,
}

/// The starts of one series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    /// The changes that these make: they must rise, but may repeat themselves. `None` if they do not rise.
    pub(crate) fn new(raw: Vec<Change>) -> Option<Changes> {
        raw.windows(2).all(|pair| pair[0].from < pair[1].from).then(|| Changes::normal(raw))
    }

    fn normal(mut raw: Vec<Change>) -> Changes {
        let mut last = UNKNOWN;
        raw.retain(|change| std::mem::replace(&mut last, change.start) != change.start);
        Changes(raw)
    }

    /// One by one.
    pub(crate) fn as_slice(&self) -> &[Change] {
        &self.0
    }

    /// Whether no sample has a start.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The start of a sample at `t`.
    pub(crate) fn at(&self, t: i64) -> i64 {
        let after = self.0.partition_point(|change| change.from <= t);
        after.checked_sub(1).map_or(UNKNOWN, |at| self.0[at].start)
    }

    /// All samples from `t` on have this start; what was said of later ones is forgotten.
    pub(crate) fn hold(&mut self, t: i64, start: i64) {
        let kept = self.0.partition_point(|change| change.from < t);
        self.0.truncate(kept);
        if self.0.last().map_or(UNKNOWN, |last| last.start) != start {
            // Most series have one change for all their life.
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.push(Change { from: t, start });
        }
    }

    /// The sample at `t` has this start, its neighbours have theirs.
    pub(crate) fn put(&mut self, t: i64, start: i64) {
        let old = self.at(t);
        if old == start {
            return;
        }
        let next = t.saturating_add(1);
        let before = self.0.partition_point(|change| change.from < t);
        let after = self.0.partition_point(|change| change.from <= t);
        let back =
            (self.0.get(after).is_none_or(|change| change.from != next)).then_some(Change { from: next, start: old });
        self.0.splice(before..after, [Change { from: t, start }].into_iter().chain(back));
        *self = Changes::normal(std::mem::take(&mut self.0));
    }

    /// Forgets what says nothing about samples from `oldest` on.
    fn trim(&mut self, oldest: i64) {
        let before = self.0.partition_point(|change| change.from <= oldest).saturating_sub(1);
        if before > 0 {
            self.0.drain(..before);
            self.0.shrink_to_fit();
            *self = Changes::normal(std::mem::take(&mut self.0));
        }
    }

    /// What it says of samples between `min_t` and `max_t`, both included.
    pub(crate) fn clipped(&self, min_t: i64, max_t: i64) -> Changes {
        let inside = self.0.iter().filter(|change| min_t < change.from && change.from <= max_t).copied();
        Changes::normal(std::iter::once(Change { from: min_t, start: self.at(min_t) }).chain(inside).collect())
    }

    /// Of samples with their starts, in any order, no time twice.
    pub(crate) fn of_samples(mut samples: Vec<(i64, i64)>) -> Changes {
        samples.sort_unstable();
        Changes::normal(samples.into_iter().map(|(from, start)| Change { from, start }).collect())
    }

    /// For each of `times`, which rise, the start of a sample then.
    pub(crate) fn each<'a>(&'a self, times: &'a [i64]) -> impl Iterator<Item = i64> + 'a {
        let mut after = times.first().map_or(0, |first| self.0.partition_point(|change| change.from <= *first));
        times.iter().map(move |&t| {
            while self.0.get(after).is_some_and(|change| change.from <= t) {
                after += 1;
            }
            after.checked_sub(1).map_or(UNKNOWN, |at| self.0[at].start)
        })
    }
}

/// A start on its way into log and head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WalStart {
    /// The series.
    pub(crate) id: u64,
    /// Its sample's time.
    pub(crate) t: i64,
    /// The start.
    pub(crate) start: i64,
}

/// What a record of the log says about starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WalStarts {
    /// Of samples newer than all before them in their series: see [`Changes::hold`].
    pub(crate) holding: Vec<WalStart>,
    /// Of others: see [`Changes::put`].
    pub(crate) single: Vec<WalStart>,
}

impl WalStarts {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.holding.is_empty() && self.single.is_empty()
    }
}

/// The starts of a head's series. A series that ever had one stays until it is forgotten.
#[derive(Debug, Default)]
pub(crate) struct HeadStarts {
    series: FxHashMap<SeriesRef, SeriesStarts>,
}

#[derive(Debug)]
struct SeriesStarts {
    changes: Changes,
    /// The segment of the log that says the newest one: each does for itself, so that damage to one does not reach beyond.
    stated: u64,
    /// Of samples before this a replay may remember what is forgotten here, as it may begin before the last cut: so
    /// the log says their starts in any case.
    sure_from: i64,
}

impl SeriesStarts {
    fn new() -> Self {
        SeriesStarts { changes: Changes::default(), stated: 0, sure_from: i64::MIN }
    }
}

impl HeadStarts {
    /// Whether no series ever had a start: then samples without one need no look here.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The changes of a series that has any.
    pub(crate) fn of(&self, series: SeriesRef) -> Option<&Changes> {
        self.series.get(&series).map(|s| &s.changes).filter(|changes| !changes.is_empty())
    }

    /// The series that ever had a start, in no order.
    pub(crate) fn series(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.series.keys().copied()
    }

    /// Whether the series ever had a start.
    pub(crate) fn knows(&self, series: SeriesRef) -> bool {
        self.series.contains_key(&series)
    }

    /// Says of samples of one series, rising in time, what the log must say. `newest` is the series' newest sample, `segment`
    /// the one that the record will be in.
    pub(crate) fn plan(&self, samples: &[WalStart], newest: Option<i64>, segment: u64, out: &mut WalStarts) {
        let Some(first) = samples.first() else { return };
        let known = SeriesRef::try_from(first.id).ok().and_then(|series| self.series.get(&series));
        let mut is_stated = known.is_none_or(|known| known.stated == segment);
        let start_at = |t: i64| known.map_or(UNKNOWN, |known| known.changes.at(t));
        let sure_from = known.map_or(i64::MIN, |known| known.sure_from);
        let is_last = |t: i64| known.is_none_or(|known| known.changes.0.last().is_none_or(|last| last.from <= t));
        let (mut newest, mut held) = (newest, None);
        for sample in samples {
            let t = sample.t;
            if newest.is_some_and(|newest| t <= newest) {
                if start_at(t) != sample.start || t < sure_from {
                    out.single.push(*sample);
                }
                continue;
            }
            newest = Some(t);
            let is_said = match held {
                Some(start) => start == sample.start,
                // A change after it is of a sample that was not stored in the end.
                None => start_at(t) == sample.start && is_last(t),
            };
            if !is_said || !is_stated {
                out.holding.push(*sample);
                (is_stated, held) = (true, Some(sample.start));
            }
        }
    }

    /// Does what a record of `segment` says of one series.
    pub(crate) fn hold(&mut self, series: SeriesRef, t: i64, start: i64, segment: u64) {
        if start != UNKNOWN || self.knows(series) {
            let own = self.series.entry(series).or_insert_with(SeriesStarts::new);
            own.changes.hold(t, start);
            own.stated = segment;
            own.sure_from = own.sure_from.min(t);
        }
    }

    /// The same for one sample.
    pub(crate) fn put(&mut self, series: SeriesRef, t: i64, start: i64) {
        if start != UNKNOWN || self.knows(series) {
            self.series.entry(series).or_insert_with(SeriesStarts::new).changes.put(t, start);
        }
    }

    /// From `t` on nothing is known, as what the log said of it is damaged.
    pub(crate) fn doubt(&mut self, series: SeriesRef, t: i64) {
        if let Some(own) = self.series.get_mut(&series) {
            own.changes.hold(t, UNKNOWN);
        }
    }

    /// What is said of a series from now on is of another one with the same labels: it was forgotten in between.
    pub(crate) fn begin_anew(&mut self, series: SeriesRef) {
        if let Some(own) = self.series.get_mut(&series) {
            *own = SeriesStarts::new();
        }
    }

    /// Puts back what a snapshot says.
    pub(crate) fn restore(&mut self, series: SeriesRef, changes: Changes) {
        self.series.insert(series, SeriesStarts { changes, stated: 0, sure_from: i64::MAX });
    }

    /// Forgets what is not about samples from `oldest` on; without any the last change stays, for those to come.
    pub(crate) fn trim(&mut self, series: SeriesRef, oldest: Option<i64>) {
        if let Some(own) = self.series.get_mut(&series) {
            let oldest = oldest.unwrap_or(i64::MAX);
            own.changes.trim(oldest);
            own.sure_from = own.sure_from.max(oldest);
        }
    }

    /// Forgets a series.
    pub(crate) fn remove(&mut self, series: SeriesRef) {
        self.series.remove(&series);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_constant_start_is_one_change() {
        let mut changes = Changes::default();
        (10..1000).for_each(|t| changes.hold(t, 5));
        assert_eq!(changes.as_slice(), [Change { from: 10, start: 5 }]);
        changes.put(20, 6);
        assert_eq!([19, 20, 21].map(|t| changes.at(t)), [5, 6, 5]);
        changes.put(20, 5);
        assert_eq!(changes.as_slice(), [Change { from: 10, start: 5 }]);
        changes.put(10, UNKNOWN);
        assert_eq!(changes.as_slice(), [Change { from: 11, start: 5 }]);
    }

    proptest! {
        /// Samples in any order, planned and done as an append does it, beside a map.
        #[test]
        fn the_list_says_what_was_said(
            samples in prop::collection::vec((0i64..60, 0i64..4, 0u64..4), 1..60),
            trimmed in 0i64..60,
        ) {
            let mut head = HeadStarts::default();
            let mut model: BTreeMap<i64, i64> = BTreeMap::new();
            for &(t, start, segment) in &samples {
                if model.contains_key(&t) {
                    continue;
                }
                let newest = model.last_key_value().map(|(t, _)| *t);
                let mut plan = WalStarts::default();
                head.plan(&[WalStart { id: 3, t, start }], newest, segment, &mut plan);
                plan.holding.iter().for_each(|s| head.hold(3, s.t, s.start, segment));
                plan.single.iter().for_each(|s| head.put(3, s.t, s.start));
                model.insert(t, start);
                let changes = head.of(3).cloned().unwrap_or_default();
                let times: Vec<i64> = model.keys().copied().collect();
                let expected: Vec<i64> = model.values().copied().collect();
                prop_assert_eq!(changes.each(&times).collect::<Vec<_>>(), expected);
                prop_assert!(changes.as_slice().windows(2).all(|p| p[0].from < p[1].from && p[0].start != p[1].start));
            }
            let changes = head.of(3).cloned().unwrap_or_default();
            prop_assert_eq!(&Changes::of_samples(model.clone().into_iter().collect()).clipped(-5, 100).at(7), &Changes::of_samples(model.clone().into_iter().collect()).at(7));
            let clipped = changes.clipped(trimmed, trimmed + 20);
            for (t, start) in model.range(trimmed..=trimmed + 20) {
                prop_assert_eq!(clipped.at(*t), *start);
            }
            head.trim(3, Some(trimmed));
            let left = head.of(3).cloned().unwrap_or_default();
            for (t, start) in model.range(trimmed..) {
                prop_assert_eq!(left.at(*t), *start);
            }
            prop_assert!(left.as_slice().iter().filter(|c| c.from <= trimmed).count() <= 1);
        }

        #[test]
        fn a_batch_is_planned_as_its_samples_are(raw in prop::collection::vec(0i64..3, 1..40)) {
            let samples: Vec<WalStart> =
                raw.iter().enumerate().map(|(t, &start)| WalStart { id: 1, t: t as i64, start }).collect();
            let mut plan = WalStarts::default();
            HeadStarts::default().plan(&samples, None, 1, &mut plan);
            let mut head = HeadStarts::default();
            plan.holding.iter().for_each(|s| head.hold(1, s.t, s.start, 1));
            prop_assert!(plan.single.is_empty());
            let changes = head.of(1).cloned().unwrap_or_default();
            prop_assert!(samples.iter().all(|s| changes.at(s.t) == s.start));
        }
    }
}
