//! `count_values`: how many series of a group have the same value.

use rustc_hash::FxHashMap;
use storage::{Labels, LabelsBuilder, METRIC_NAME};

use super::relabel::is_label_name;
use super::row::{ABSENT, Row, Sink, is_absent};
use super::{Done, Evaluator, impossible};
use crate::promql::ast::AggregateExpr;
use crate::promql::parse::quote;
use crate::promql::print::float_text;
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    pub(super) fn count_values(&self, aggregate: &AggregateExpr, sink: &mut Sink<'_>) -> Done {
        let param = aggregate.param.as_ref().ok_or_else(|| impossible("a label name"))?;
        let label = self.string(param)?;
        if !is_label_name(&label) {
            // Bytes that are no UTF-8 are shown as they were written.
            let literal = self.ctx.text(param.unwrap_parens().span);
            let is_written = label.contains(char::REPLACEMENT_CHARACTER) && literal.starts_with('"');
            let shown = if is_written { literal.to_owned() } else { quote(&label) };
            return Err(QueryError::Execution(format!("invalid label name {shown}")));
        }
        let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut counts: Vec<Row> = Vec::new();
        let mut place_of = |labels: Labels, counts: &mut Vec<Row>| -> Result<usize, QueryError> {
            let next = counts.len();
            let place = *places.entry(labels.clone()).or_insert(next);
            if place == next {
                self.ctx.charge(self.grid.count)?;
                counts.push(Row::new(labels, vec![ABSENT; self.grid.count]));
            }
            Ok(place)
        };
        self.each_row(&aggregate.expr, &mut |row| {
            // Neighbouring steps mostly have the same value: its row is looked up once for a run of them.
            let mut last: Option<(u64, usize)> = None;
            for (step, &v) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                let place = match last.filter(|(bits, _)| *bits == v.to_bits()) {
                    Some((_, place)) => place,
                    None => place_of(group_labels(aggregate, &row.labels, &label, &float_text(v)), &mut counts)?,
                };
                last = Some((v.to_bits(), place));
                count_one(&mut counts[place], step);
            }
            for (step, histogram) in row.each_histogram() {
                let labels = group_labels(aggregate, &row.labels, &label, &histogram.to_string());
                let place = place_of(labels, &mut counts)?;
                count_one(&mut counts[place], step);
            }
            Ok(())
        })?;
        counts.into_iter().try_for_each(sink)
    }
}

fn count_one(row: &mut Row, step: usize) {
    let count = &mut row.values[step];
    *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
}

fn group_labels(aggregate: &AggregateExpr, labels: &Labels, label: &str, value: &str) -> Labels {
    let with_value = LabelsBuilder::from_labels(labels).set(label, value).build();
    let is_listed = |name: &str| aggregate.grouping.iter().any(|g| g == name);
    if aggregate.without {
        with_value.filter(|name| name != METRIC_NAME && !is_listed(name))
    } else {
        with_value.filter(|name| name == label || is_listed(name))
    }
}
