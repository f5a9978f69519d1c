//! `info`: labels of info metrics (`target_info` and its like) added to the series that they are about.
//!
//! Here: which info series are asked for, which of them speaks at a step, and the labels that come of it.
//!
//! An info series is about the series with the same [`IDENTIFYING`] labels. It is looked up at the times that the first
//! argument's own `@` and `offset` say.

use rustc_hash::{FxHashMap, FxHashSet};
use storage::{Columns, HistogramColumns, Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, TimeRange};

use super::context::expanding;
use super::grid::Grid;
use super::look_back::{Pick, Picks};
use super::matching::bare;
use super::row::{Overlap, Row, Sink, is_absent, unite};
use super::{Done, Evaluator};
use crate::promql::ast::{At, Call, Expr, ExprKind};
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// Labels that say whom an info series is about, as in Prometheus.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

const DEFAULT_INFO: &str = "target_info";

/// What the second argument asks for.
struct Wanted<'c> {
    /// Conditions on the name of an info metric.
    names: Vec<Matcher>,
    /// Conditions on labels; only these labels are added, all if there are no conditions.
    data: Vec<&'c Matcher>,
}

/// Info series of one name about the same thing, at each step the one that speaks.
struct Speakers {
    /// Places in the list of info series.
    at_step: Vec<Option<usize>>,
}

impl Evaluator<'_> {
    pub(super) fn info(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let wanted = Wanted::of(call.args.get(1));
        let base = self.rows(&call.args[0])?;
        let is_info = |row: &Row| wanted.names.iter().all(|m| m.matches(row.labels.metric_name()));
        let infos = self.info_rows(&wanted, base.iter().filter(|row| !is_info(row)), &call.args[0])?;
        let speakers = self.speakers(&infos, &base)?;
        let mut results = Vec::with_capacity(base.len());
        for row in base {
            self.ctx.check()?;
            if is_info(&row) {
                results.push(row);
            } else {
                self.enrich(row, &wanted, &infos, &speakers, &mut results)?;
            }
        }
        unite(results, Overlap::Merge)?.into_iter().try_for_each(|row| self.emit_if_any(row, sink))
    }

    /// The info series that may be about `base`; their values are the times of their samples.
    fn info_rows<'r>(
        &self,
        wanted: &Wanted<'_>,
        base: impl Iterator<Item = &'r Row>,
        arg: &Expr,
    ) -> Result<Vec<Row>, QueryError> {
        let Some(mut matchers) = identifying_matchers(base) else { return Ok(Vec::new()) };
        matchers.extend(wanted.data.iter().map(|m| (*m).clone()));
        matchers.extend(wanted.names.iter().cloned());
        let (at, offset_ms) = looked_up_at(arg).unwrap_or((None, 0));
        let reference = self.grid.reference(self.ctx.at_time(at), offset_ms);
        let min_t = reference.start.saturating_sub(self.lookback_ms()).saturating_add(1);
        let range = TimeRange::new(min_t, reference.last().saturating_add(1));
        let (mut columns, mut picks) = (Columns::default(), Picks::default());
        let mut rows = Vec::new();
        for series in self.ctx.select_anew(&matchers, range)?.iter() {
            self.ctx.check()?;
            columns.clear();
            series.read_into(&mut columns).map_err(|e| expanding(&e))?;
            self.ctx.charge(columns.len())?;
            if self.is_histogram_anywhere(series.as_ref(), &columns, reference)? {
                return Err(QueryError::Execution("info sample should be float".to_owned()));
            }
            let sight = (reference, self.lookback_ms());
            if let (Some(times), _) = picks.look_back(&self.ctx.budget, &columns, sight, Pick::Time)? {
                let row = Row::new(series.labels().clone(), times);
                let at_steps = (0..self.grid.count).filter(|step| row.is_present(*step)).map(|step| (step, 1));
                self.count_found(row.present_count(), at.is_some(), at_steps);
                self.ctx.charge(row.cost())?;
                rows.push(row);
            }
            self.ctx.release(columns.len());
        }
        Ok(rows)
    }

    /// Whether the newest sample at any time is a native histogram: an info metric has none.
    fn is_histogram_anywhere(
        &self,
        series: &dyn SeriesReader,
        floats: &Columns,
        reference: Grid,
    ) -> Result<bool, QueryError> {
        if !series.has_histograms() {
            return Ok(false);
        }
        let mut histograms = HistogramColumns::default();
        series.read_histograms_into(&mut histograms).map_err(|e| expanding(&e))?;
        Ok((0..reference.count).any(|step| {
            let t = reference.time(step);
            let newest_float = floats.t[..floats.t.partition_point(|&sample| sample <= t)].last();
            let newest = histograms.t.partition_point(|&sample| sample <= t).checked_sub(1);
            newest.is_some_and(|i| {
                let is_recent = histograms.t[i] > t.saturating_sub(self.lookback_ms());
                is_recent && newest_float < Some(&histograms.t[i]) && !histograms.h[i].is_stale()
            })
        }))
    }

    /// By whom they are about, then by name: the newest sample of each step speaks.
    fn speakers(&self, infos: &[Row], base: &[Row]) -> Result<FxHashMap<Labels, Vec<(String, Speakers)>>, QueryError> {
        let mut found: FxHashMap<Labels, Vec<(String, Speakers)>> = FxHashMap::default();
        for (index, info) in infos.iter().enumerate() {
            let by_name = found.entry(identity(&info.labels)).or_default();
            let name = info.labels.metric_name();
            let place = by_name.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                by_name.push((name.to_owned(), Speakers { at_step: vec![None; self.grid.count] }));
                by_name.len() - 1
            });
            for (step, speaker) in by_name[place].1.at_step.iter_mut().enumerate().filter(|(s, _)| info.is_present(*s))
            {
                let is_newer = |old: usize| infos[old].values[step] < info.values[step];
                match *speaker {
                    Some(old) if infos[old].values[step] == info.values[step] => {
                        // Where there is nothing to add to, nobody asks.
                        if base.iter().any(|row| row.is_present(step)) {
                            return Err(two_speakers(&infos[old], info, step));
                        }
                    }
                    Some(old) if !is_newer(old) => {}
                    _ => *speaker = Some(index),
                }
            }
        }
        // The order in which labels are added, and so which conflict is told, is that of the names.
        found.values_mut().for_each(|by_name| by_name.sort_by(|a, b| a.0.cmp(&b.0)));
        Ok(found)
    }

    /// `row` with the labels of its info series: a row for each set of them that speaks at some step.
    fn enrich(
        &self,
        row: Row,
        wanted: &Wanted<'_>,
        infos: &[Row],
        speakers: &FxHashMap<Labels, Vec<(String, Speakers)>>,
        results: &mut Vec<Row>,
    ) -> Done {
        let by_name = speakers.get(&identity(&row.labels)).map_or(&[][..], Vec::as_slice);
        let mut steps: FxHashMap<Vec<usize>, Vec<usize>> = FxHashMap::default();
        for step in (0..self.grid.count).filter(|step| row.is_present(*step)) {
            let speaking: Vec<usize> = by_name.iter().filter_map(|(_, s)| s.at_step[step]).collect();
            steps.entry(speaking).or_default().push(step);
        }
        // In the order of time, so that the first conflict is the one that is told.
        let mut parts: Vec<(Vec<usize>, Vec<usize>)> = steps.into_iter().collect();
        parts.sort_by_key(|(_, steps)| steps.first().copied());
        for (speaking, steps) in parts {
            if speaking.is_empty() && !wanted.data.iter().all(|m| m.matches("")) {
                continue;
            }
            let labels = wanted.added(&row.labels, speaking.iter().map(|&i| &infos[i].labels))?;
            let mut part = row.clone();
            part.labels = labels;
            let mut kept = steps.into_iter().peekable();
            for step in 0..self.grid.count {
                if kept.next_if_eq(&step).is_none() {
                    part.clear(step);
                }
            }
            self.ctx.charge(part.cost())?;
            results.push(part);
        }
        Ok(())
    }
}

impl<'c> Wanted<'c> {
    fn of(arg: Option<&'c Expr>) -> Self {
        let conditions = match arg.map(|arg| &arg.kind) {
            Some(ExprKind::Selector(selector)) => selector.matchers.as_slice(),
            _ => &[],
        };
        let (names, data): (Vec<&Matcher>, Vec<&Matcher>) = conditions.iter().partition(|m| m.name() == METRIC_NAME);
        let is_positive = |m: &&Matcher| matches!(m.op(), MatchOp::Equal | MatchOp::Regex);
        let mut all: Vec<Matcher> = Vec::new();
        if names.is_empty() {
            all.push(Matcher::equal(METRIC_NAME, DEFAULT_INFO));
        } else if !names.iter().any(is_positive) {
            // What a name must not be does not yet say that it is that of an info metric.
            all.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info").ok());
        }
        all.extend(names.into_iter().cloned());
        Wanted { names: all, data }
    }

    /// `base` and the labels that `infos` add to it.
    fn added<'l>(&self, base: &Labels, infos: impl Iterator<Item = &'l Labels>) -> Result<Labels, QueryError> {
        let mut added: FxHashMap<&str, &str> = FxHashMap::default();
        for (name, value) in infos.flat_map(Labels::iter).filter(|(name, _)| *name != METRIC_NAME) {
            if !self.data.is_empty() && !self.data.iter().any(|m| m.name() == name) {
                continue;
            }
            if added.get(name).is_some_and(|other| *other != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            if base.get(name).is_none() {
                added.insert(name, value);
            }
        }
        let mut labels = LabelsBuilder::from_labels(base);
        for (name, value) in added {
            labels.set(name, value);
        }
        Ok(labels.build())
    }
}

fn identity(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTIFYING.contains(&name))
}

/// Conditions that leave only info series about one of `rows`; `None` if none of them can be told apart.
fn identifying_matchers<'r>(rows: impl Iterator<Item = &'r Row>) -> Option<Vec<Matcher>> {
    let mut values: [FxHashSet<&str>; IDENTIFYING.len()] = Default::default();
    for row in rows {
        for (name, values) in IDENTIFYING.into_iter().zip(&mut values) {
            values.extend(row.labels.get(name).filter(|value| !value.is_empty()));
        }
    }
    let matcher = |(name, values): (&str, &FxHashSet<&str>)| {
        let mut values: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
        values.sort();
        Matcher::new(MatchOp::Regex, name, values.join("|")).ok()
    };
    let found: Vec<Matcher> =
        IDENTIFYING.into_iter().zip(&values).filter(|(_, values)| !values.is_empty()).filter_map(matcher).collect();
    (!found.is_empty()).then_some(found)
}

/// The `@` and the offset of the first selector in `expr`. Those of subqueries around it count until one has an `@`.
fn looked_up_at(expr: &Expr) -> Option<(Option<At>, i64)> {
    match &expr.kind {
        ExprKind::Selector(selector) => Some((selector.at, selector.offset_ms)),
        ExprKind::Matrix(matrix) => Some((matrix.selector.at, matrix.selector.offset_ms)),
        ExprKind::Subquery(subquery) => {
            let (at, offset_ms) = looked_up_at(&subquery.expr)?;
            match at {
                Some(_) => Some((at, offset_ms)),
                None => Some((subquery.at, offset_ms.saturating_add(subquery.offset_ms))),
            }
        }
        ExprKind::Aggregate(aggregate) => {
            looked_up_at(&aggregate.expr).or_else(|| aggregate.param.as_ref().and_then(looked_up_at))
        }
        _ => expr.children().into_iter().find_map(looked_up_at),
    }
}

fn two_speakers(old: &Row, new: &Row, step: usize) -> QueryError {
    debug_assert!(!is_absent(old.values[step]), "only samples that are there can clash");
    let ms = |row: &Row| (row.values[step] * 1000.0).round() as i64;
    QueryError::Execution(format!(
        "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
        bare(&old.labels),
        ms(old),
        bare(&new.labels),
        ms(new)
    ))
}
