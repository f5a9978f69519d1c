//! One query on several cores.
//!
//! Here: work on many series at once whose results come in the order of the series. Elsewhere: what is done with one
//! series (`selector`, `range_call`), folding the results, which stays on the query's own thread, unless the order does
//! not show ([`each_apart`], for `tally`).
//!
//! Invariant: results do not depend on the number of cores: each series is worked on alone, and what comes out is handed
//! on in order. Helpers run ahead by a few portions at most, so memory does not depend on the number of series; they are
//! joined before the call returns, and all queries together never have more of them than there are cores to spare.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use storage::Columns;

use super::Done;
use super::look_back::Picks;
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// Series that are worked on at a time, at least. Tests have few: theirs are small, so that helpers have something to do.
const PORTION: usize = if cfg!(test) { 2 } else { 32 };
/// And at most: neighbours are on the same pages of a block, which two threads should not take apart at once.
const PORTION_MAX: usize = 8 * PORTION;
/// Steps of all series of a portion: results wait for their turn in memory.
const PORTION_STEPS: usize = 1 << 16;
/// How many portions may be done ahead of the one that is handed on.
const AHEAD: usize = 8;
/// Samples and steps below which a second thread costs more than it gives.
const WORTH: usize = if cfg!(test) { 1 } else { 400_000 };

/// Series that a second thread does not help to drop.
const GIVEN_BACK_ALONE: usize = if cfg!(test) { 2 } else { 16_384 };

/// The threads that help queries, of one engine.
#[derive(Debug, Default)]
pub(in crate::promql) struct Helpers {
    busy: AtomicUsize,
}

/// Threads that are taken; gives them back.
pub(super) struct Taken<'h>(&'h Helpers, usize);

impl Helpers {
    /// As many of `wanted` as are free, with `max` for all queries.
    pub(super) fn take(&self, wanted: usize, max: usize) -> Taken<'_> {
        let mut taken = 0;
        let _ = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| {
            taken = wanted.min(max.saturating_sub(busy));
            Some(busy + taken)
        });
        Taken(self, taken)
    }

    /// What work on `series` is worth.
    fn take_for(&self, cores: usize, series: &[Box<dyn SeriesReader>], steps: usize) -> Taken<'_> {
        let spare = cores.saturating_sub(1);
        self.take(if is_worth(series, steps) { spare.min(series.len() / (2 * PORTION)) } else { 0 }, spare)
    }
}

/// How many of so many series are worked on at a time.
fn portion_len(series: usize, steps: usize, threads: usize) -> usize {
    (series / (8 * threads)).min(PORTION_STEPS / steps.max(1)).clamp(PORTION, PORTION_MAX)
}

impl Taken<'_> {
    pub(super) fn count(&self) -> usize {
        self.1
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// What one thread has to work in.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) columns: Columns,
    pub(super) picks: Picks,
}

/// What is done with one series.
pub(super) trait Work<T>: Fn(&dyn SeriesReader, &mut Room) -> Result<T, QueryError> + Sync {}
impl<T, F: Fn(&dyn SeriesReader, &mut Room) -> Result<T, QueryError> + Sync> Work<T> for F {}

/// Does `work` for each of `series` and hands the results to `take`, in order. `steps` is how many values a series has at
/// most; `cores` is how many threads may work, the caller's among them.
pub(super) fn each_in_order<T: Send>(
    helpers: &Helpers,
    cores: usize,
    (series, steps): (&[Box<dyn SeriesReader>], usize),
    work: &impl Work<T>,
    take: &mut dyn FnMut(&dyn SeriesReader, T) -> Done,
) -> Done {
    let taken = helpers.take_for(cores, series, steps);
    if taken.count() == 0 {
        let mut room = Room::default();
        return series.iter().try_for_each(|one| take(one.as_ref(), work(one.as_ref(), &mut room)?));
    }
    let portion_len = portion_len(series.len(), steps, 1 + taken.count());
    let queue = Queue { series, portion_len, state: Mutex::default(), changed: Condvar::new() };
    std::thread::scope(|scope| {
        // However this ends, helpers are told.
        let _end = End { queue: &queue, is_caller: true };
        for _ in 0..taken.count() {
            scope.spawn(|| queue.help(work));
        }
        queue.hand_on(work, take)
    })
}

/// Does `work` for each of `series` with what the thread it happens on has from `new`, and gives back what all have then.
/// Which thread works on which series is left to chance; the first failure is that of the first series that fails.
pub(super) fn each_apart<A: Send>(
    helpers: &Helpers,
    cores: usize,
    (series, steps): (&[Box<dyn SeriesReader>], usize),
    new: &(impl Fn() -> A + Sync),
    work: &(impl Fn(&mut A, usize, &mut Room) -> Done + Sync),
) -> Result<Vec<A>, QueryError> {
    let taken = helpers.take_for(cores, series, steps);
    let threads = 1 + taken.count();
    let portion_len = portion_len(series.len(), steps, threads);
    // Each thread begins in a stretch of its own, so that they look at different pages, and then helps with the others.
    let stretch_len = series.len().div_ceil(threads);
    let nexts: Vec<AtomicUsize> = (0..threads).map(|thread| AtomicUsize::new(thread * stretch_len)).collect();
    let failed_at = AtomicUsize::new(usize::MAX);
    let on_one = |thread: usize| {
        let (mut own, mut room) = (new(), Room::default());
        for stretch in (thread..threads).chain(0..thread) {
            let end = series.len().min((stretch + 1) * stretch_len);
            loop {
                let start = nexts[stretch].fetch_add(portion_len, Ordering::Relaxed);
                for at in start..end.min(start + portion_len) {
                    // What comes before a failure may hold an earlier one.
                    if at > failed_at.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Err(e) = work(&mut own, at, &mut room) {
                        failed_at.fetch_min(at, Ordering::Relaxed);
                        return Err((at, e));
                    }
                }
                if start >= end {
                    break;
                }
            }
        }
        Ok(own)
    };
    let results: Vec<Result<A, (usize, QueryError)>> = std::thread::scope(|scope| {
        let on_one = &on_one;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || on_one(thread))).collect();
        let own = on_one(0);
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        std::iter::once(own).chain(others).collect()
    });
    let mut first: Option<(usize, QueryError)> = None;
    let mut all = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(own) => all.push(own),
            Err((at, e)) if first.as_ref().is_none_or(|(first_at, _)| at < *first_at) => first = Some((at, e)),
            Err(_) => {}
        }
    }
    first.map_or(Ok(all), |(_, e)| Err(e))
}

/// Does `work` for each of `tasks`; the results are in their order. `cost` is how many samples they look at in all.
pub(super) fn on_cores<T: Sync, R: Send>(
    helpers: &Helpers,
    cores: usize,
    cost: usize,
    tasks: &[T],
    work: &(impl Fn(&T) -> Result<R, QueryError> + Sync),
) -> Result<Vec<R>, QueryError> {
    let spare = cores.saturating_sub(1);
    let taken = helpers.take(if cost >= WORTH { spare.min(tasks.len().saturating_sub(1)) } else { 0 }, spare);
    let part_len = tasks.len().div_ceil(1 + taken.count()).max(1);
    let all = |part: &[T]| part.iter().map(work).collect::<Result<Vec<R>, QueryError>>();
    std::thread::scope(|scope| {
        let mut parts = tasks.chunks(part_len);
        let own = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || all(part))).collect();
        let mut results = all(own)?;
        for other in others {
            results.append(&mut other.join().unwrap_or_else(|e| std::panic::resume_unwind(e))?);
        }
        Ok(results)
    })
}

/// Drops many series: each has memory in several places.
pub(super) fn give_back(helpers: &Helpers, cores: usize, mut series: Vec<Box<dyn SeriesReader>>) {
    let spare = cores.saturating_sub(1);
    let taken = helpers.take(if series.len() >= GIVEN_BACK_ALONE { spare } else { 0 }, spare);
    let part_len = series.len().div_ceil(1 + taken.count()).max(1);
    std::thread::scope(|scope| {
        while series.len() > part_len {
            let part = series.split_off(series.len() - part_len);
            scope.spawn(move || drop(part));
        }
        drop(series);
    });
}

fn is_worth(series: &[Box<dyn SeriesReader>], steps: usize) -> bool {
    let mut cost = series.len().saturating_mul(steps);
    let mut left = series.iter();
    while cost < WORTH
        && let Some(one) = left.next()
    {
        cost = cost.saturating_add(one.sample_count());
    }
    cost >= WORTH && series.len() >= 2 * PORTION
}

/// Results of one portion, up to the first failure.
type Portion<T> = Vec<Result<T, QueryError>>;

struct Queue<'s, T> {
    series: &'s [Box<dyn SeriesReader>],
    portion_len: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The portion that is begun next.
    next: usize,
    /// Portions that were handed on.
    handed: usize,
    done: BTreeMap<usize, Portion<T>>,
    is_over: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        State { next: 0, handed: 0, done: BTreeMap::new(), is_over: false }
    }
}

/// Ends the work of all when the caller's goes, or a helper's in a panic.
struct End<'q, 's, T: Send> {
    queue: &'q Queue<'s, T>,
    is_caller: bool,
}

impl<T: Send> Drop for End<'_, '_, T> {
    fn drop(&mut self) {
        if self.is_caller || std::thread::panicking() {
            self.queue.lock().is_over = true;
            self.queue.changed.notify_all();
        }
    }
}

impl<'s, T: Send> Queue<'s, T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn portion(&self, number: usize) -> &'s [Box<dyn SeriesReader>] {
        let start = (number * self.portion_len).min(self.series.len());
        &self.series[start..(start + self.portion_len).min(self.series.len())]
    }

    /// Begins a portion if one may be begun.
    fn begin(&self, state: &mut State<T>) -> Option<usize> {
        let may = !self.portion(state.next).is_empty() && state.next < state.handed + AHEAD;
        may.then(|| {
            state.next += 1;
            state.next - 1
        })
    }

    fn finish(&self, number: usize, work: &impl Work<T>, room: &mut Room) {
        let mut results = Vec::with_capacity(self.portion_len);
        for one in self.portion(number) {
            results.push(work(one.as_ref(), room));
            if results.last().is_some_and(Result::is_err) {
                break;
            }
        }
        self.lock().done.insert(number, results);
        self.changed.notify_all();
    }

    fn help(&self, work: &impl Work<T>) {
        // A panic here must not leave the others waiting; it goes on when the threads are joined.
        let _end = End { queue: self, is_caller: false };
        let mut room = Room::default();
        loop {
            let mut state = self.lock();
            let number = loop {
                if state.is_over || self.portion(state.next).is_empty() {
                    return;
                }
                match self.begin(&mut state) {
                    Some(number) => break number,
                    None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            self.finish(number, work, &mut room);
        }
    }

    fn hand_on(&self, work: &impl Work<T>, take: &mut dyn FnMut(&dyn SeriesReader, T) -> Done) -> Done {
        let mut room = Room::default();
        for number in 0..self.series.len().div_ceil(self.portion_len) {
            let results = loop {
                let mut state = self.lock();
                if let Some(results) = state.done.remove(&number) {
                    state.handed = number + 1;
                    break results;
                }
                if let Some(own) = self.begin(&mut state) {
                    drop(state);
                    self.finish(own, work, &mut room);
                } else if state.is_over {
                    // A helper has panicked: joining it, which comes next, goes on with that.
                    return Ok(());
                } else {
                    drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                }
            };
            self.changed.notify_all();
            for (one, result) in self.portion(number).iter().zip(results) {
                take(one.as_ref(), result?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use storage::Labels;

    use super::*;
    use crate::promql::source::SourceError;

    /// A series of so many samples.
    struct Fake(Labels, usize);

    impl SeriesReader for Fake {
        fn labels(&self) -> &Labels {
            &self.0
        }

        fn read_into(&self, out: &mut Columns) -> Result<(), SourceError> {
            (0..self.1).for_each(|i| out.push(i as i64, i as f64));
            Ok(())
        }

        fn sample_count(&self) -> usize {
            self.1
        }
    }

    fn fakes(count: usize) -> Vec<Box<dyn SeriesReader>> {
        (0..count).map(|i| Box::new(Fake(Labels::empty(), i)) as Box<dyn SeriesReader>).collect()
    }

    fn work(one: &dyn SeriesReader, room: &mut Room) -> Result<usize, QueryError> {
        let columns = &mut room.columns;
        columns.clear();
        one.read_into(columns).map_err(|e| QueryError::Execution(e.to_string()))?;
        Ok(columns.len())
    }

    fn run(helpers: &Helpers, cores: usize, work: &impl Work<usize>) -> (Vec<usize>, Done) {
        let series = fakes(1000);
        let mut found = Vec::new();
        let done = each_in_order(helpers, cores, (&series, 1000), work, &mut |_, n| {
            found.push(n);
            if n == 900 { Err(QueryError::Timeout) } else { Ok(()) }
        });
        (found, done)
    }

    #[test]
    fn results_come_in_order_and_end_at_the_first_failure_on_any_number_of_cores() {
        let failing = |one: &dyn SeriesReader, room: &mut Room| {
            work(one, room).and_then(|n| if n >= 500 { Err(QueryError::Canceled) } else { Ok(n) })
        };
        for cores in [0, 1, 2, 3, 8] {
            let helpers = Helpers::default();
            let (found, done) = run(&helpers, cores, &work);
            assert_eq!(found, (0..=900).collect::<Vec<_>>());
            assert!(matches!(done, Err(QueryError::Timeout)));
            let (found, done) = run(&helpers, cores, &failing);
            assert_eq!(found, (0..500).collect::<Vec<_>>());
            assert!(matches!(done, Err(QueryError::Canceled)));
            assert_eq!(helpers.busy.load(Ordering::Relaxed), 0, "all are given back");
        }
    }

    #[test]
    fn each_series_is_worked_on_once_wherever_and_the_first_failure_is_told() {
        let series = fakes(1000);
        for cores in [0, 1, 2, 3, 8] {
            let helpers = Helpers::default();
            let apart = |fails_from: usize| {
                each_apart(&helpers, cores, (&series, 1000), &Vec::new, &|seen: &mut Vec<usize>, at, _| {
                    seen.push(at);
                    if at >= fails_from { Err(QueryError::Execution(at.to_string())) } else { Ok(()) }
                })
            };
            let mut seen = apart(usize::MAX).unwrap().concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
            assert_eq!(apart(345).unwrap_err().to_string(), QueryError::Execution("345".to_owned()).to_string());
            assert_eq!(helpers.busy.load(Ordering::Relaxed), 0, "all are given back");
        }
    }

    #[test]
    fn helpers_are_shared_by_all_queries() {
        let helpers = Helpers::default();
        let first = helpers.take(2, 3);
        let second = helpers.take(2, 3);
        assert_eq!((first.1, second.1, helpers.take(2, 3).1), (2, 1, 0));
        drop(first);
        assert_eq!(helpers.take(5, 3).1, 2);
    }

    #[test]
    fn a_panic_of_a_helper_is_the_callers() {
        let helpers = Helpers::default();
        let panicking = |_: &dyn SeriesReader, _: &mut Room| -> Result<usize, QueryError> { panic!("on purpose") };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&helpers, 2, &panicking)));
        assert!(caught.is_err());
        assert_eq!(helpers.busy.load(Ordering::Relaxed), 0);
    }
}
