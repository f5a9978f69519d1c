//! Warnings and infos of a query, each said once.
//!
//! Here: collecting them, and the wording of those that several places use. Elsewhere: when they are due.

use crate::promql::ast::Span;
use crate::promql::functions::histogram::Repair;
use crate::promql::histogram::go_float;
use crate::promql::parse::quote;
use crate::promql::print::float_text;

/// As many of each kind as an answer carries; the rest is counted.
const SHOWN_MAX: usize = 10;

/// As many as are kept to be counted: a query over a million malformed buckets must not keep a million texts.
const KEPT_MAX: usize = 1000;

/// Collected annotations, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    warnings: Vec<Note>,
    infos: Vec<Note>,
    repairs: Vec<RepairNote>,
}

/// A text and where in the query it belongs; warnings of the store belong nowhere.
#[derive(Debug)]
struct Note {
    text: String,
    position: Option<String>,
}

/// The same text about several places is said once, about the last of them, as Prometheus does.
fn note(notes: &mut Vec<Note>, text: String, position: Option<String>) {
    if let Some(note) = notes.iter_mut().find(|note| note.text == text) {
        note.position = position;
    } else if notes.len() < KEPT_MAX {
        notes.push(Note { text, position });
    }
}

/// Repairs of histograms are told in one info for each metric.
#[derive(Debug)]
struct RepairNote {
    for_metric: String,
    position: String,
    repair: Repair,
    min_t: i64,
    max_t: i64,
    count: u64,
}

impl RepairNote {
    fn text(&self) -> String {
        let rule = "input to histogram_quantile needed to be fixed for monotonicity (see \
            https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        let time = |t: i64| {
            let seconds = jiff::Timestamp::from_second(t.div_euclid(1000)).unwrap_or_default();
            seconds.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        format!(
            "PromQL info: {rule}{}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({})",
            self.for_metric,
            short_float(self.repair.min_bound),
            short_float(self.repair.max_bound),
            two_digits(self.repair.diff_max),
            self.count,
            time(self.min_t),
            time(self.max_t),
            self.position
        )
    }
}

impl Annotations {
    pub(super) fn warn(&mut self, text: String, position: Option<String>) {
        note(&mut self.warnings, text, position);
    }

    pub(super) fn info(&mut self, text: String, position: Option<String>) {
        note(&mut self.infos, text, position);
    }

    pub(super) fn repaired(&mut self, for_metric: &str, repair: Repair, t: i64, position: String) {
        if let Some(note) = self.repairs.iter_mut().find(|note| note.for_metric == for_metric) {
            note.count += 1;
            (note.min_t, note.max_t) = (note.min_t.min(t), note.max_t.max(t));
            note.repair = Repair {
                min_bound: note.repair.min_bound.min(repair.min_bound),
                max_bound: note.repair.max_bound.max(repair.max_bound),
                diff_max: note.repair.diff_max.max(repair.diff_max),
            };
            return;
        }
        let for_metric = for_metric.to_owned();
        self.repairs.push(RepairNote { for_metric, position, repair, min_t: t, max_t: t, count: 1 });
    }

    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        let shown = |notes: Vec<Note>| -> Vec<String> {
            let show = |note: Note| note.position.map_or(note.text.clone(), |p| format!("{} ({p})", note.text));
            notes.into_iter().map(show).collect()
        };
        let mut infos = shown(self.infos);
        infos.extend(self.repairs.iter().map(RepairNote::text));
        (cut(shown(self.warnings), "warning"), cut(infos, "info"))
    }
}

fn cut(mut texts: Vec<String>, kind: &str) -> Vec<String> {
    let omitted = texts.len().saturating_sub(SHOWN_MAX);
    if omitted > 0 {
        texts.truncate(SHOWN_MAX);
        texts.push(format!("{omitted} more {kind} annotations omitted"));
    }
    texts
}

/// For a quantile outside 0 to 1.
pub(super) fn invalid_quantile(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", short_float(q))
}

/// Where a note about one series belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'n> {
    pub(super) metric: &'n str,
    pub(super) span: Span,
}

/// For a sample whose start timestamp lies before the sample before it, and is another one than that one's.
pub(super) fn start_overlaps(metric: &str) -> String {
    let rule = "sample has start time that overlaps with previous sample timestamp";
    format!("{rule} for metric {}", quote(metric))
}

/// For samples of both kinds where only one makes sense.
pub(super) fn mixed_types(metric: &str) -> String {
    format!("encountered a mix of histograms and floats for metric name {}", quote(metric))
}

/// For exponential and custom buckets where only one makes sense.
pub(super) fn mixed_buckets(metric: &str) -> String {
    let what = "vector contains a mix of histograms with exponential and custom buckets schemas";
    format!("{what} for metric name {}", quote(metric))
}

/// For a histogram that is not the `kind` of metric a function is for.
pub(super) fn not_a(kind: &str, metric: &str) -> String {
    format!("this native histogram metric is not a {kind}: {}", quote(metric))
}

/// For a function that looks at the floats of a window alone.
pub(super) fn ignored_in_range(metric: &str) -> String {
    let what = "ignored histograms in a range containing both floats and histograms";
    format!("{what} for metric name {}", quote(metric))
}

/// For an aggregation that looks at floats alone.
pub(super) fn ignored_in_aggregation(name: &str) -> String {
    format!("ignored histogram in {name} aggregation")
}

/// A float as Go's `%g` shows it.
pub(in crate::promql) fn short_float(value: f64) -> String {
    go_float(value)
}

/// A float with two significant digits, as Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return float_text(value);
    }
    let scientific = format!("{value:.1e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if (-4..2).contains(&exponent) {
        return float_text(scientific.parse().unwrap_or(value));
    }
    go_exponent(&scientific.replace(".0e", "e"))
}

/// `1e5` as Go writes it: `1e+05`.
fn go_exponent(scientific: &str) -> String {
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific.to_owned() };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_go_prints_them() {
        assert_eq!(short_float(0.5), "0.5");
        assert_eq!(short_float(-1.0), "-1");
        assert_eq!(short_float(1e25), "1e+25");
        assert_eq!(short_float(f64::INFINITY), "+Inf");
        assert_eq!(two_digits(6.0), "6");
        assert_eq!(two_digits(123.0), "1.2e+02");
        assert_eq!(two_digits(0.015), "0.015");
    }

    #[test]
    fn each_is_said_once_and_the_many_are_counted() {
        let mut annotations = Annotations::default();
        for i in 0..24 {
            annotations.warn(format!("{}", i / 2), Some(format!("1:{i}")));
        }
        let (warnings, infos) = annotations.finish();
        assert_eq!(warnings.len(), 11);
        assert_eq!(warnings[0], "0 (1:1)");
        assert_eq!(warnings[10], "2 more warning annotations omitted");
        assert!(infos.is_empty());
    }
}
