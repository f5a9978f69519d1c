//! Native histograms of a window to one value.
//!
//! Here: rates, sums and means of histograms, and what counts both kinds of samples in their order.
//! Elsewhere: the same of floats (`rate`, `over_time`), who calls which (`eval::mixed_range`).

use std::cell::OnceCell;
use std::sync::Arc;

use storage::CounterResetHint;

use super::rate::{Kind, extrapolation};
use crate::promql::eval::Window;
use crate::promql::histogram::{FloatHistogram, HistogramMean, HistogramSum, MixedBuckets};

/// What is to be told about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// Exponential and custom buckets meet.
    MixedBuckets,
    /// A gauge where a counter is wanted.
    NotCounter,
    /// A counter where a gauge is wanted.
    NotGauge,
    /// Custom bounds differed while adding.
    ReconciledAdding,
    /// Custom bounds differed while subtracting.
    ReconciledSubtracting,
    /// Custom bounds differed in a sum or a mean.
    ReconciledAggregating,
    /// Some say that the counter was reset, others that it was not.
    Collision,
    /// A sample has counted what the one before it has counted.
    Overlap,
}

/// Takes what is to be told.
pub(crate) type Tell<'t> = dyn FnMut(Note) + 't;

/// The native histograms of one series, oldest first.
#[derive(Debug, Default)]
pub(crate) struct HistogramRange {
    t: Vec<i64>,
    histograms: Vec<Arc<FloatHistogram>>,
    /// Whether each is a reset since the one before it. Windows overlap: each pair is compared once.
    resets: OnceCell<Vec<bool>>,
}

impl HistogramRange {
    pub(crate) fn push(&mut self, t: i64, histogram: Arc<FloatHistogram>) {
        self.t.push(t);
        self.histograms.push(histogram);
    }

    pub(crate) fn t(&self) -> &[i64] {
        &self.t
    }

    pub(crate) fn histograms(&self) -> &[Arc<FloatHistogram>] {
        &self.histograms
    }

    pub(crate) fn cost(&self) -> usize {
        self.histograms.iter().map(|histogram| histogram.cost()).sum()
    }

    /// The same histograms with these resets.
    pub(super) fn with_resets(&self, resets: Vec<bool>) -> HistogramRange {
        HistogramRange { t: self.t.clone(), histograms: self.histograms.clone(), resets: resets.into() }
    }

    pub(super) fn resets(&self) -> &[bool] {
        self.resets.get_or_init(|| {
            let pairs = self.histograms.windows(2).map(|pair| pair[1].is_reset_since(&pair[0]));
            std::iter::once(false).chain(pairs).take(self.histograms.len()).collect()
        })
    }
}

/// What a range function sees at one step of a series that has histograms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MixedWindow<'s> {
    /// The floats; there may be none.
    pub(crate) floats: Window<'s>,
    /// The series' histograms.
    pub(crate) range: &'s HistogramRange,
    /// The first of them that is in the window.
    pub(crate) first: usize,
    /// The first that is not in it any more.
    pub(crate) after: usize,
}

/// One sample of a window, in order of time.
#[derive(Debug, Clone, Copy)]
enum Sample<'s> {
    Float(f64),
    Histogram(&'s Arc<FloatHistogram>, bool),
}

impl<'s> MixedWindow<'s> {
    /// Times of the histograms.
    pub(crate) fn t(&self) -> &'s [i64] {
        &self.range.t[self.first..self.after]
    }

    /// The histograms.
    pub(crate) fn histograms(&self) -> &'s [Arc<FloatHistogram>] {
        &self.range.histograms[self.first..self.after]
    }

    /// For each histogram whether it is a reset since the one before it in the series.
    pub(super) fn resets(&self) -> &'s [bool] {
        &self.range.resets()[self.first..self.after]
    }

    fn samples(self) -> impl Iterator<Item = (i64, Sample<'s>)> {
        let (mut float, mut histogram) = (0, 0);
        let (t, histograms, resets) = (self.t(), self.histograms(), self.resets());
        std::iter::from_fn(move || {
            let float_t = self.floats.t.get(float).copied();
            match t.get(histogram) {
                Some(&t) if float_t.is_none_or(|float_t| t < float_t) => {
                    histogram += 1;
                    Some((t, Sample::Histogram(&histograms[histogram - 1], resets[histogram - 1])))
                }
                _ => {
                    float += 1;
                    Some((float_t?, Sample::Float(self.floats.v[float - 1])))
                }
            }
        })
    }
}

/// `changes` over both kinds: from one kind to the other is a change.
pub(crate) fn changes(w: MixedWindow<'_>) -> f64 {
    count_pairs(w, |before, now| match (before, now) {
        (Sample::Float(a), Sample::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Sample::Histogram(a, _), Sample::Histogram(b, _)) => !a.same_data(b),
        _ => true,
    })
}

/// `resets` over both kinds: from one kind to the other is a reset.
pub(crate) fn resets(w: MixedWindow<'_>) -> f64 {
    count_pairs(w, |before, now| match (before, now) {
        (Sample::Float(a), Sample::Float(b)) => b < a,
        (Sample::Histogram(..), Sample::Histogram(_, is_reset)) => is_reset,
        _ => true,
    })
}

fn count_pairs(w: MixedWindow<'_>, counts: impl Fn(Sample<'_>, Sample<'_>) -> bool) -> f64 {
    let mut before: Option<Sample<'_>> = None;
    let counted = w.samples().filter(|&(_, now)| before.replace(now).is_some_and(|before| counts(before, now)));
    counted.count() as f64
}

/// What `irate` and `idelta` make of the last two samples of a window.
pub(crate) enum Instant {
    Float(f64),
    Histogram(FloatHistogram),
    /// They are of different kinds.
    Mixed,
    /// There are no two.
    Nothing,
}

/// From the last two samples: per second with resets undone (`irate`), or the plain difference (`idelta`).
pub(crate) fn instant(is_rate: bool, w: MixedWindow<'_>, tell: &mut Tell<'_>) -> Instant {
    let mut last: [Option<(i64, Sample<'_>)>; 2] = [None, None];
    for sample in w.samples() {
        last = [last[1], Some(sample)];
    }
    let [Some((t_before, before)), Some((t, now))] = last else { return Instant::Nothing };
    let seconds = (t - t_before) as f64 / 1000.0;
    match (before, now) {
        (Sample::Float(_), Sample::Float(_)) => {
            super::rate::instant(is_rate, w.floats).map_or(Instant::Nothing, Instant::Float)
        }
        (Sample::Histogram(before, _), Sample::Histogram(now, is_reset)) => {
            match histogram_step(is_rate, before, now, is_reset, tell) {
                Ok(difference) if is_rate => Instant::Histogram(difference.divided(seconds)),
                Ok(difference) => Instant::Histogram(difference),
                Err(MixedBuckets) => {
                    tell(Note::MixedBuckets);
                    Instant::Nothing
                }
            }
        }
        _ => Instant::Mixed,
    }
}

fn histogram_step(
    is_rate: bool,
    before: &FloatHistogram,
    now: &FloatHistogram,
    is_reset: bool,
    tell: &mut Tell<'_>,
) -> Result<FloatHistogram, MixedBuckets> {
    let gauges = [before, now].iter().filter(|h| h.hint == CounterResetHint::Gauge).count();
    if is_rate && gauges > 0 {
        tell(Note::NotCounter);
    }
    if !is_rate && gauges < 2 {
        tell(Note::NotGauge);
    }
    let mut difference = HistogramSum::of(now);
    if !(is_rate && is_reset) && difference.subtract(before)?.is_reconciled {
        tell(Note::ReconciledSubtracting);
    }
    Ok(difference.finish().compact().with_hint(CounterResetHint::Gauge))
}

/// The extrapolated difference of a window of histograms alone; `None` for fewer than two.
pub(crate) fn extrapolated(kind: Kind, w: MixedWindow<'_>, tell: &mut Tell<'_>) -> Option<FloatHistogram> {
    let [first, .., _] = w.histograms() else { return None };
    let difference = match difference(kind, w, tell) {
        Ok(difference) => difference,
        Err(MixedBuckets) => {
            tell(Note::MixedBuckets);
            return None;
        }
    };
    let factor = extrapolation(kind, w.t(), (w.floats.start, w.floats.end), first.count, difference.count);
    Some(difference.scaled(factor).with_hint(CounterResetHint::Gauge))
}

/// The last histogram less the first, plus what resets took away.
pub(super) fn difference(kind: Kind, w: MixedWindow<'_>, tell: &mut Tell<'_>) -> Result<FloatHistogram, MixedBuckets> {
    let (histograms, resets) = (w.histograms(), w.resets());
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let is_counter = kind != Kind::Delta;
    let is_gauge = |h: &FloatHistogram| h.hint == CounterResetHint::Gauge;
    // After a reset between the first two the first one does not matter, nor how it is cut.
    let skips_first = is_counter && resets[1];
    let from = usize::from(skips_first);
    let relevant = if is_counter { &histograms[from..] } else { histograms };
    let is_custom = histograms[from].is_custom();
    // What cannot be computed is not worth a word about gauges, but for the ends of what should be a counter.
    if last.is_custom() != is_custom {
        if is_counter && (is_gauge(first) || is_gauge(last)) {
            tell(Note::NotCounter);
        }
        return Err(MixedBuckets);
    }
    if is_counter && relevant.iter().any(|h| h.is_custom() != is_custom) {
        return Err(MixedBuckets);
    }
    let mut sum = HistogramSum::of(last);
    if is_counter {
        // All in between may count, also those that in the end do not.
        sum.coarsen(relevant.iter().map(|h| h.schema).min().unwrap_or(last.schema));
    }
    let nothing;
    let start = if skips_first {
        let second = &histograms[1];
        let custom_values = second.custom_values.clone();
        nothing = FloatHistogram { custom_values, ..FloatHistogram::empty(second.schema) };
        &nothing
    } else {
        first.as_ref()
    };
    let mut reconciled = (sum.subtract(start)?.is_reconciled, false);
    if is_counter {
        for i in (1 + from..histograms.len()).filter(|&i| resets[i]) {
            reconciled.1 |= sum.add(&histograms[i - 1])?.is_reconciled;
        }
    }
    let (any_gauge, gauges_at_ends) = (histograms.iter().any(|h| is_gauge(h)), is_gauge(first) && is_gauge(last));
    match is_counter {
        true if any_gauge => tell(Note::NotCounter),
        false if !gauges_at_ends => tell(Note::NotGauge),
        _ => {}
    }
    if reconciled.0 {
        tell(Note::ReconciledSubtracting);
    }
    if reconciled.1 {
        tell(Note::ReconciledAdding);
    }
    Ok(sum.finish().compact())
}

/// The sum of a window of histograms alone.
pub(crate) fn sum(histograms: &[Arc<FloatHistogram>], tell: &mut Tell<'_>) -> Option<FloatHistogram> {
    let (first, rest) = histograms.split_first()?;
    let mut sum = HistogramSum::of(first);
    let added = rest.iter().try_fold(false, |any, h| Ok(sum.add(h)?.is_reconciled | any));
    tell_aggregated(histograms, added, tell).then(|| sum.finish())
}

/// The mean of a window of histograms alone.
pub(crate) fn avg(histograms: &[Arc<FloatHistogram>], tell: &mut Tell<'_>) -> Option<FloatHistogram> {
    let (first, rest) = histograms.split_first()?;
    let mut mean = HistogramMean::of(first);
    let added = rest.iter().try_fold(false, |any, h| Ok(mean.push(h)?.is_reconciled | any));
    tell_aggregated(histograms, added, tell).then(|| mean.finish())
}

/// Whether there is a result.
fn tell_aggregated(
    histograms: &[Arc<FloatHistogram>],
    reconciled: Result<bool, MixedBuckets>,
    tell: &mut Tell<'_>,
) -> bool {
    let Ok(is_reconciled) = reconciled else {
        tell(Note::MixedBuckets);
        return false;
    };
    let says = |hint: CounterResetHint| histograms.iter().any(|h| h.hint == hint);
    if says(CounterResetHint::CounterReset) && says(CounterResetHint::NotCounterReset) {
        tell(Note::Collision);
    }
    if is_reconciled {
        tell(Note::ReconciledAggregating);
    }
    true
}
