//! Binary operators with a vector on at least one side.
//!
//! Here: values, and presence over the steps. Elsewhere: which series meet (`matching`), scalars alone (`scalar`), native
//! histograms (`mixed_binary`).

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use storage::Labels;

use super::matching::{Signatures, duplicate_error, result_labels};
use super::row::{ABSENT, Overlap, Row, Sink, is_absent, unite};
use super::{Done, Evaluator, impossible};
use crate::promql::ast::{BinaryExpr, BinaryOp, Cardinality, Expr, Span, ValueType, VectorMatching};
use crate::promql::functions::math;
use crate::promql::types::QueryError;

const MANY_TO_ONE: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &BinaryExpr, span: Span, sink: &mut Sink<'_>) -> Done {
        let operation = Operation { binary, span };
        match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Scalar) => {
                self.with_scalar(operation, &binary.lhs, &binary.rhs, false, sink)
            }
            (ValueType::Scalar, ValueType::Vector) => self.with_scalar(operation, &binary.rhs, &binary.lhs, true, sink),
            (ValueType::Vector, ValueType::Vector) => {
                let matching = binary.matching.as_ref().ok_or_else(|| impossible("vector matching"))?;
                let rows = if binary.op.is_set() {
                    self.set_operation(binary, matching)?
                } else {
                    self.between_vectors(operation, matching)?
                };
                rows.into_iter().try_for_each(|row| self.emit_if_any(row, sink))
            }
            _ => Err(impossible("a vector")),
        }
    }

    /// `swapped`: the scalar is on the left.
    fn with_scalar(
        &self,
        operation: Operation<'_>,
        vector: &Expr,
        scalar: &Expr,
        swapped: bool,
        sink: &mut Sink<'_>,
    ) -> Done {
        let b = operation.binary;
        let scalar = self.scalar(scalar)?;
        let mut apply = |row: &mut Row| {
            if b.op.is_trim() && row.values.iter().any(|v| !is_absent(*v)) {
                self.tell_types(operation, "float", "float");
            }
            for (v, &s) in row.values.iter_mut().zip(&scalar).filter(|(v, _)| !is_absent(**v)) {
                let (left, right) = if swapped { (s, *v) } else { (*v, s) };
                // A comparison that holds yields the vector's value, on whichever side it is.
                *v = element(b, left, right, *v);
            }
            if row.histograms.is_some() {
                self.histograms_with_scalar(operation, &scalar, swapped, row);
            }
        };
        if !b.op.keeps_name() || b.return_bool {
            return self.map_rows(vector, &mut apply, sink);
        }
        self.each_row(vector, &mut |mut row| {
            apply(&mut row);
            self.emit_if_any(row, sink)
        })
    }

    fn between_vectors(&self, operation: Operation<'_>, matching: &VectorMatching) -> Result<Vec<Row>, QueryError> {
        let b = operation.binary;
        let swapped = matching.card == Cardinality::OneToMany;
        let (lhs, rhs) = (self.rows(&b.lhs)?, self.rows(&b.rhs)?);
        let (mut many, mut one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        if matching.fill.is_some() {
            self.fill_in(matching, &mut many, &mut one)?;
        } else if many.is_empty() || one.is_empty() {
            return Ok(Vec::new());
        }
        let join = Join::new(matching, &many, &one, self.grid.count);
        let is_delayed = self.ctx.options.delayed_name_removal;
        let drops_name = !b.op.keeps_name() || (b.return_bool && !is_delayed);
        let pairs = self.pairs(&join, drops_name)?;
        // The earliest step speaks; within it the one side is looked at first.
        let clashes = [join.clash_on_one_side(), self.clash_of_pairs(&join, &pairs)?];
        if let Some((_, error)) = clashes.into_iter().flatten().min_by_key(|(step, _)| *step) {
            return Err(error);
        }
        let mut results = Vec::with_capacity(pairs.len());
        for pair in pairs {
            self.ctx.check()?;
            let drop_name = b.return_bool && is_delayed;
            if b.op.is_trim() || many[pair.many].histograms.is_some() || one[pair.one].histograms.is_some() {
                let (left, right) = (&many[pair.many], &one[pair.one]);
                let (left, right) = if swapped { (right, left) } else { (left, right) };
                let row = self.mixed_pair(operation, left, right);
                results.push(Row { labels: pair.labels, drop_name, ..row });
                continue;
            }
            let mut values = vec![ABSENT; self.grid.count];
            for (step, value) in values.iter_mut().enumerate() {
                let (m, o) = (many[pair.many].values[step], one[pair.one].values[step]);
                if !is_absent(m) && !is_absent(o) {
                    let (left, right) = if swapped { (o, m) } else { (m, o) };
                    *value = element(b, left, right, left);
                }
            }
            self.ctx.charge(self.grid.count / 2)?;
            results.push(Row { drop_name, ..Row::new(pair.labels, values) });
        }
        unite(results, Overlap::Merge)
    }

    /// The rows that meet, in the order of the many side. Series that came and went may share a signature, so there can
    /// be more pairs than series: those that never meet are left out, the rest is counted.
    fn pairs(&self, join: &Join<'_>, drops_name: bool) -> Result<Vec<Pair>, QueryError> {
        let mut pairs = Vec::new();
        for (many, &signature) in join.many_signatures.iter().enumerate() {
            let ones = &join.one_by_signature[signature];
            if ones.len() > 1 {
                self.ctx.check()?;
            }
            for &one in ones.iter().filter(|&&one| ones.len() == 1 || join.meet(many, one)) {
                self.ctx.charge(1)?;
                let (many_labels, one_labels) = (&join.many[many].labels, &join.one[one].labels);
                let labels = result_labels(join.matching, many_labels, one_labels, drops_name);
                pairs.push(Pair { signature, many, one, labels });
            }
        }
        Ok(pairs)
    }

    /// The first step at which two pairs answer for the same thing, also where a comparison would hide one of them.
    fn clash_of_pairs(&self, join: &Join<'_>, pairs: &[Pair]) -> Result<Option<Clash>, QueryError> {
        let one_to_one = join.matching.card == Cardinality::OneToOne;
        let mut answered: FxHashMap<(usize, Option<&Labels>), Vec<bool>> = FxHashMap::default();
        let mut first: Option<usize> = None;
        // Where a signature has a single series on the many side, nothing can clash.
        for pair in pairs.iter().filter(|p| join.many_by_signature[p.signature].len() > 1) {
            self.ctx.check()?;
            let key = (pair.signature, (!one_to_one).then_some(&pair.labels));
            let steps = match answered.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    self.ctx.budget.charge_bytes(join.steps as u64)?;
                    new.insert(vec![false; join.steps])
                }
            };
            for (step, seen) in steps.iter_mut().enumerate().take(first.unwrap_or(join.steps)) {
                if join.many[pair.many].is_present(step) && join.one[pair.one].is_present(step) {
                    if *seen {
                        first = Some(step);
                        break;
                    }
                    *seen = true;
                }
            }
        }
        let message = if one_to_one { MANY_TO_ONE } else { NOT_UNIQUE };
        Ok(first.map(|step| (step, QueryError::Execution(message.to_owned()))))
    }

    fn set_operation(&self, b: &BinaryExpr, matching: &VectorMatching) -> Result<Vec<Row>, QueryError> {
        let (mut left, mut right) = (self.rows(&b.lhs)?, self.rows(&b.rhs)?);
        let signatures = Signatures::new(matching, &left, &right);
        match b.op {
            BinaryOp::Or => {
                let present = presence(&left, &signatures.left, signatures.count);
                mask(&mut right, &signatures.right, &present, false);
                left.extend(right);
                if !self.ctx.options.delayed_name_removal {
                    return unite(left, Overlap::Merge);
                }
            }
            op => {
                let present = presence(&right, &signatures.right, signatures.count);
                mask(&mut left, &signatures.left, &present, op == BinaryOp::And);
            }
        }
        Ok(left)
    }
}

/// An operator with its operands and its place in the text.
#[derive(Clone, Copy)]
pub(super) struct Operation<'b> {
    pub(super) binary: &'b BinaryExpr,
    pub(super) span: Span,
}

/// One value of a result. `kept` is what a comparison that holds yields.
pub(super) fn element(b: &BinaryExpr, left: f64, right: f64, kept: f64) -> f64 {
    if b.op.is_trim() {
        // There is nothing to trim in a float.
        return ABSENT;
    }
    if !b.op.is_comparison() {
        return math::arithmetic(b.op, left, right);
    }
    match (math::compare(b.op, left, right), b.return_bool) {
        (holds, true) => f64::from(holds),
        (true, false) => kept,
        (false, false) => ABSENT,
    }
}

/// Two sides on their way to each other.
struct Join<'r> {
    matching: &'r VectorMatching,
    many: &'r [Row],
    one: &'r [Row],
    steps: usize,
    many_by_signature: Vec<Vec<usize>>,
    one_by_signature: Vec<Vec<usize>>,
    many_signatures: Vec<usize>,
}

/// A step, and what is wrong at it.
type Clash = (usize, QueryError);

/// Two rows that meet, and what they become.
struct Pair {
    signature: usize,
    many: usize,
    one: usize,
    labels: Labels,
}

impl<'r> Join<'r> {
    fn new(matching: &'r VectorMatching, many: &'r [Row], one: &'r [Row], steps: usize) -> Self {
        let signatures = Signatures::new(matching, many, one);
        let many_by_signature = signatures.members(&signatures.left);
        let one_by_signature = signatures.members(&signatures.right);
        Join { matching, many, one, steps, many_by_signature, one_by_signature, many_signatures: signatures.left }
    }

    /// The first step at which the one side has several series of one signature and the many side has anything at all.
    fn clash_on_one_side(&self) -> Option<Clash> {
        let mut clash: Option<(usize, usize, usize)> = None;
        for rows in self.one_by_signature.iter().filter(|rows| rows.len() > 1) {
            for step in 0..clash.map_or(self.steps, |c| c.0) {
                let mut present = rows.iter().filter(|&&row| self.one[row].is_present(step));
                if let (Some(&first), Some(&second)) = (present.next(), present.next())
                    && (self.matching.fill.is_some() || self.many.iter().any(|row| row.is_present(step)))
                {
                    clash = Some((step, first, second));
                    break;
                }
            }
        }
        clash.map(|(step, first, second)| (step, duplicate_error(self.matching, &self.one[second], &self.one[first])))
    }

    fn meet(&self, many: usize, one: usize) -> bool {
        (0..self.steps).any(|step| self.many[many].is_present(step) && self.one[one].is_present(step))
    }
}

/// For each signature the steps at which some row has it; `None` where no row does.
fn presence(rows: &[Row], signatures: &[usize], count: usize) -> Vec<Option<Vec<bool>>> {
    let mut present: Vec<Option<Vec<bool>>> = vec![None; count];
    for (row, &signature) in rows.iter().zip(signatures) {
        let steps = present[signature].get_or_insert_with(|| vec![false; row.values.len()]);
        steps.iter_mut().zip(&row.values).for_each(|(seen, v)| *seen |= !is_absent(*v));
        row.each_histogram().for_each(|(step, _)| steps[step] = true);
    }
    present
}

/// Removes the values of `rows` at steps where their signature is present, or where it is not.
fn mask(rows: &mut [Row], signatures: &[usize], present: &[Option<Vec<bool>>], keep_present: bool) {
    for (row, &signature) in rows.iter_mut().zip(signatures) {
        match &present[signature] {
            Some(steps) if row.histograms.is_some() => {
                let hidden = steps.iter().enumerate().filter(|(_, seen)| **seen != keep_present);
                hidden.for_each(|(step, _)| row.clear(step));
            }
            Some(steps) => {
                let hidden = row.values.iter_mut().zip(steps).filter(|(_, seen)| **seen != keep_present);
                hidden.for_each(|(v, _)| *v = ABSENT);
            }
            None if keep_present => {
                row.values.fill(ABSENT);
                row.histograms = None;
            }
            None => {}
        }
    }
}
