//! How samples count: as looked at and as read, and at which step of the query.
//!
//! Here: where the steps of a subquery lie in the query, and the counts of one series on their way to the query's.
//! Elsewhere: what has been counted (`promql::numbers`), finding the samples (`selector`, `window`).
//!
//! Looked at is every sample at each step that sees it; inside a subquery nothing is, as its windows are. Read is what a
//! step sees that no step before it saw: a range function reads its first window and then what is new, an instant selector
//! a sample for each step, either one only once with `@`. A subquery reads what stands inside it: that counts at the first
//! step whose window shows it, and not at all between windows. Nothing is done for single samples, and nothing for single
//! steps unless that is asked for or there are gaps between the windows of a subquery.

use super::Evaluator;
use super::grid::Grid;
use super::window::Windows;
use crate::promql::numbers::{QueryNumbers, Samples};

/// How samples count that an evaluator finds.
#[derive(Debug)]
pub(super) struct Counting {
    is_looked_at: bool,
    /// For each step of the evaluator the step of the query, or [`NOWHERE`]; `None` if they are the same, or if it does not
    /// matter because all of them count and single steps do not.
    places: Option<Vec<u32>>,
    has_gaps: bool,
}

const NOWHERE: u32 = u32::MAX;

/// What the samples of windows count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    LookedAtAndRead,
    /// Windows of a subquery: what it read is counted already.
    LookedAt,
    /// They are counted elsewhere.
    Nothing,
}

impl Counting {
    /// For what stands in no subquery.
    pub(super) fn of_query() -> Self {
        Counting { is_looked_at: true, places: None, has_gaps: false }
    }

    /// For what stands inside a subquery with steps `grid`, whose result `windows` slide over.
    pub(super) fn of_subquery(numbers: &QueryNumbers, grid: Grid, windows: &Windows<'_>, is_looked_at: bool) -> Self {
        let (outer, reference, range_ms) = (windows.counting, windows.reference, windows.range_ms);
        let is_gapless = reference.count == 1 || reference.step <= range_ms;
        if is_gapless && !outer.has_gaps && !numbers.has_steps() {
            return Counting { is_looked_at, places: None, has_gaps: false };
        }
        let mut shown_at = 0;
        let place = |step: usize| {
            let t = grid.time(step);
            while shown_at + 1 < reference.count && reference.time(shown_at) < t {
                shown_at += 1;
            }
            let is_shown = t > reference.time(shown_at).saturating_sub(range_ms);
            if is_shown { outer.place(shown_at) } else { NOWHERE }
        };
        let places: Vec<u32> = (0..grid.count).map(place).collect();
        let has_gaps = places.contains(&NOWHERE);
        Counting { is_looked_at, places: Some(places), has_gaps }
    }

    fn place(&self, step: usize) -> u32 {
        match &self.places {
            Some(places) => places.get(step).copied().unwrap_or(NOWHERE),
            None => u32::try_from(step).unwrap_or(NOWHERE),
        }
    }

    /// Samples of 16 bytes that it takes as much memory as.
    pub(super) fn cost(&self) -> usize {
        self.places.as_ref().map_or(0, |places| places.len().div_ceil(4))
    }

    pub(super) fn is_looked_at(&self) -> bool {
        self.is_looked_at
    }

    /// Whether some steps count nowhere.
    pub(super) fn has_gaps(&self) -> bool {
        self.has_gaps
    }
}

/// Samples of one series, told to the query when this is dropped.
pub(super) struct Seen<'c> {
    numbers: &'c QueryNumbers,
    counting: &'c Counting,
    counts: Counts,
    has_steps: bool,
    /// Whether some steps do not count.
    has_gaps: bool,
    all: Samples,
    steps: Vec<(usize, Samples)>,
}

impl<'c> Seen<'c> {
    pub(super) fn new(numbers: &'c QueryNumbers, counting: &'c Counting, counts: Counts) -> Self {
        // Who neither looks nor reads has nothing to tell.
        let counts = match counts {
            Counts::LookedAt if !counting.is_looked_at => Counts::Nothing,
            counts => counts,
        };
        let has_steps = counts != Counts::Nothing && numbers.has_steps();
        let (all, steps) = (Samples::default(), Vec::new());
        Seen { numbers, counting, counts, has_steps, has_gaps: counting.has_gaps, all, steps }
    }

    /// Samples that the step of this number looked at, and those of them that no step before it did.
    pub(super) fn add(&mut self, step: usize, looked_at: usize, read: usize) {
        let found = Samples { looked_at: looked_at as u64, read: read as u64 };
        if self.has_steps || self.has_gaps {
            self.add_at(step, found);
        } else {
            self.all += found;
        }
    }

    #[cold]
    fn add_at(&mut self, step: usize, found: Samples) {
        let place = self.counting.place(step);
        if place == NOWHERE {
            return;
        }
        self.all += found;
        if self.has_steps {
            self.steps.push((place as usize, self.counted(found)));
        }
    }

    fn counted(&self, found: Samples) -> Samples {
        Samples {
            looked_at: if self.counting.is_looked_at { found.looked_at } else { 0 },
            read: if self.counts == Counts::LookedAtAndRead { found.read } else { 0 },
        }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if self.counts == Counts::Nothing {
            return;
        }
        self.numbers.saw_samples(self.counted(self.all));
        if self.has_steps {
            self.numbers.saw_at_steps(self.steps.drain(..));
        }
    }
}

impl Evaluator<'_> {
    /// Counts what an instant selector found: `found` at all steps together, and how much of it at which. With
    /// `is_fixed` (`@`) it is the same at each of them.
    pub(super) fn count_found(&self, found: usize, is_fixed: bool, at_steps: impl Iterator<Item = (usize, usize)>) {
        if found == 0 {
            return;
        }
        let numbers = &self.ctx.budget().control().numbers;
        let mut seen = Seen::new(numbers, &self.counting, Counts::LookedAtAndRead);
        if seen.has_steps || seen.has_gaps {
            at_steps.for_each(|(step, found)| seen.add(step, found, if is_fixed && step > 0 { 0 } else { found }));
        } else {
            seen.add(0, found, if is_fixed { found / self.grid.count.max(1) } else { found });
        }
    }
}
