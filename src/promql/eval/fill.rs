//! `fill`, `fill_left`, `fill_right`: a value where a series finds none on the other side.
//!
//! Here: the rows that stand in for the missing ones. Elsewhere: joining them like any others (`binary`, `matching`).
//!
//! Invariant: a stand-in is present only where its side has no series of that signature and the other side has one, so
//! that it can neither clash nor meet another stand-in.

use super::matching::{Signatures, signature};
use super::row::{ABSENT, Row};
use super::{Done, Evaluator};
use crate::promql::ast::VectorMatching;

impl Evaluator<'_> {
    /// Adds stand-ins to both sides. With `group_right` the sides were exchanged and the values were not, as in
    /// Prometheus: the right value always fills the one side.
    pub(super) fn fill_in(&self, matching: &VectorMatching, many: &mut Vec<Row>, one: &mut Vec<Row>) -> Done {
        let signatures = Signatures::new(matching, many, one);
        let steps = self.grid.count;
        let in_many = Side::new(many, &signatures.left, signatures.count, steps);
        let in_one = Side::new(one, &signatures.right, signatures.count, steps);
        let for_one = matching.fill.right.map(|v| stand_ins(matching, many, &in_many, &in_one, v));
        let for_many = matching.fill.left.map(|v| stand_ins(matching, one, &in_one, &in_many, v));
        for (side, rows) in [(one, for_one), (many, for_many)] {
            for row in rows.unwrap_or_default() {
                self.ctx.charge(row.cost())?;
                side.push(row);
            }
        }
        Ok(())
    }
}

/// One side by signature.
struct Side {
    /// Some row that has the signature.
    example: Vec<Option<usize>>,
    /// Steps at which any row has it; empty if none does.
    present: Vec<Vec<bool>>,
}

impl Side {
    fn new(rows: &[Row], signatures: &[usize], count: usize, steps: usize) -> Side {
        let mut side = Side { example: vec![None; count], present: vec![Vec::new(); count] };
        for (index, (row, &signature)) in rows.iter().zip(signatures).enumerate() {
            side.example[signature].get_or_insert(index);
            let present = &mut side.present[signature];
            present.resize(steps, false);
            present.iter_mut().enumerate().for_each(|(step, seen)| *seen |= row.is_present(step));
        }
        side
    }
}

/// What the other side lacks of the series in `rows`.
fn stand_ins(matching: &VectorMatching, rows: &[Row], here: &Side, there: &Side, value: f64) -> Vec<Row> {
    let mut found = Vec::new();
    for (number, example) in here.example.iter().enumerate() {
        let Some(example) = example else { continue };
        let is_there = |step: usize| there.present[number].get(step).is_some_and(|seen| *seen);
        let steps = here.present[number].iter().enumerate();
        let values: Vec<f64> =
            steps.map(|(step, seen)| if *seen && !is_there(step) { value } else { ABSENT }).collect();
        let row = Row::new(signature(matching, &rows[*example].labels), values);
        if row.present_count() > 0 {
            found.push(row);
        }
    }
    found
}
