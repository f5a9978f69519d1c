//! Which part of the past was changed after somebody looked at it: what a cache of answers needs to know.
//!
//! Here: watching the past up to a time, and the changes since. Elsewhere: who changes it (`db`, `delete`, `retention`,
//! `cut`); what depends on it (the server).
//!
//! Only what lies in the watched past is noted, so that ordinary appends, which are newer, cost one comparison. Few notes
//! are kept: the oldest are joined, and then say that more changed, later, than did.
//!
//! Invariant: whoever watches the past up to `t` before a select either sees a change at or before `t` in what the select
//! finds, or finds it noted once the change has returned.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Db, TimeRange};

/// Notes that are kept apart.
const NOTES_MAX: usize = 64;

/// What was changed of the watched past.
#[derive(Debug)]
pub(crate) struct Touched {
    /// Changes at or before this are noted.
    watched_t: AtomicI64,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Number of the last change.
    last: u64,
    /// By rising number.
    kept: VecDeque<(u64, TimeRange)>,
}

impl Touched {
    pub(crate) fn new() -> Self {
        Touched { watched_t: AtomicI64::new(i64::MIN), notes: Mutex::default() }
    }

    /// Notes changes in `range`, once they can be seen.
    pub(crate) fn note(&self, range: TimeRange) {
        if range.is_empty() || range.min_t > self.watched_t.load(Ordering::SeqCst) {
            return;
        }
        let mut notes = self.lock();
        notes.last += 1;
        let number = notes.last;
        notes.kept.push_back((number, range));
        if notes.kept.len() > NOTES_MAX
            && let (Some((_, oldest)), Some((_, next))) = (notes.kept.pop_front(), notes.kept.front_mut())
        {
            *next = TimeRange::new(oldest.min_t.min(next.min_t), oldest.max_t.max(next.max_t));
        }
    }

    /// The same for samples that were appended at these times.
    pub(crate) fn note_times(&self, times: impl Iterator<Item = i64> + Clone) {
        let watched_t = self.watched_t.load(Ordering::SeqCst);
        if watched_t == i64::MIN || times.clone().min().is_none_or(|min_t| min_t > watched_t) {
            return;
        }
        let late = times.filter(|&t| t <= watched_t);
        let (min_t, max_t) = late.fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(t), max.max(t)));
        self.note(TimeRange::new(min_t, max_t.saturating_add(1)));
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Db {
    /// From now on changes to what is stored at or before `t` are noted. The number of the last change so far, to ask
    /// [`Db::touched_since`] with.
    pub fn watch_past(&self, t: i64) -> u64 {
        self.touched.watched_t.fetch_max(t, Ordering::SeqCst);
        self.touched.lock().last
    }

    /// Where the watched past was changed after the change of this number: by samples that came late, deletions, retention
    /// or damage; and the number of the last change. It may name more than was changed, never less.
    pub fn touched_since(&self, number: u64) -> (u64, Vec<TimeRange>) {
        let notes = self.touched.lock();
        let since = notes.kept.iter().filter(|(n, _)| *n > number).map(|(_, range)| *range);
        (notes.last, since.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched_since(touched: &Touched, number: u64) -> Vec<(i64, i64)> {
        let notes = touched.lock();
        notes.kept.iter().filter(|(n, _)| *n > number).map(|(_, r)| (r.min_t, r.max_t)).collect()
    }

    #[test]
    fn only_the_watched_past_is_noted() {
        let touched = Touched::new();
        touched.note_times([5, 6].into_iter());
        touched.watched_t.store(100, Ordering::SeqCst);
        touched.note_times([101, 102].into_iter());
        touched.note_times(std::iter::empty());
        assert!(touched_since(&touched, 0).is_empty());
        touched.note_times([500, 7, 90, 100, 101].into_iter());
        touched.note(TimeRange::new(0, 5));
        assert_eq!(touched_since(&touched, 0), [(7, 101), (0, 5)]);
        assert_eq!(touched_since(&touched, 1), [(0, 5)]);
    }

    #[test]
    fn notes_are_joined_and_never_lost() {
        let touched = Touched::new();
        touched.watched_t.store(i64::MAX, Ordering::SeqCst);
        for t in 0..200 {
            touched.note(TimeRange::new(t, t + 1));
        }
        let all = touched_since(&touched, 0);
        assert!(all.len() <= NOTES_MAX);
        for number in 0..200 {
            let since = touched_since(&touched, number);
            let has = |t: i64| since.iter().any(|(min_t, max_t)| (*min_t..*max_t).contains(&t));
            assert!((number as i64..200).all(has), "after {number}");
        }
    }
}
