//! `histogram_quantiles`: several quantiles of the same histograms, told apart by a label.

use storage::LabelsBuilder;

use super::row::{Overlap, Row, Sink, unite};
use super::{Done, Evaluator, short_float};
use crate::promql::ast::Call;

impl Evaluator<'_> {
    pub(super) fn histogram_quantiles(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let [arg, label, quantiles @ ..] = call.args.as_slice() else { return Ok(()) };
        let label = self.string(label)?;
        let mut rows = Vec::new();
        for quantile in quantiles {
            let texts: Vec<String> = self.scalar(quantile)?.into_iter().map(quantile_text).collect();
            self.quantile_of(quantile, arg, &mut |row| {
                self.ctx.charge(row.cost())?;
                rows.extend(labelled(row, &label, &texts));
                Ok(())
            })?;
        }
        unite(rows, Overlap::Merge)?.into_iter().try_for_each(|row| self.emit_if_any(row, sink))
    }
}

/// `row` with the label that belongs to each step: one row, unless the quantile itself changes over time.
fn labelled(row: Row, label: &str, texts: &[String]) -> Vec<Row> {
    let mut distinct: Vec<&String> = texts.iter().collect();
    distinct.sort();
    distinct.dedup();
    let with_label = |text: &String| {
        let mut row = row.clone();
        row.labels = LabelsBuilder::from_labels(&row.labels).set(label, text.as_str()).build();
        let others = texts.iter().enumerate().filter(|(_, other)| *other != text);
        others.for_each(|(step, _)| row.clear(step));
        row
    };
    distinct.into_iter().map(with_label).collect()
}

/// As OpenMetrics writes a quantile: `0.5`, `1.0`.
fn quantile_text(q: f64) -> String {
    let text = short_float(q);
    if q.is_finite() && !text.contains(['.', 'e']) { text + ".0" } else { text }
}
