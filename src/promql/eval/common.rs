//! Subexpressions that stand in a query more than once: they are evaluated once.
//!
//! Here: finding them, and keeping their rows from the first time on. Elsewhere: evaluating them (`Evaluator`).
//!
//! Invariant: an answer is the same as without this, annotations and counted samples included. So rows are kept only if
//! the first evaluation had nothing to say (a warning names its place in the query, and there are two of them), and only
//! if they are few enough to be worth their memory; the second evaluation is an ordinary one otherwise.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::grid::Grid;
use super::row::Row;
use crate::promql::ast::{Expr, ExprKind, ValueType};
use crate::promql::numbers::Samples;

/// Longer queries are not looked at: each part is compared as text.
const NODES_MAX: usize = 500;
/// Values and labels that are kept for one subexpression: 8 MiB of values.
const KEPT_MAX: usize = 1 << 20;

/// The subexpressions of one query that stand in it several times.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// By address: which one it is.
    places: FxHashMap<usize, usize>,
    kept: RefCell<FxHashMap<Place, Rc<Kept>>>,
}

/// Which one it is, at which times, and whether its samples count as looked at.
type Place = (usize, Grid, bool);

/// What the first evaluation gave.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) rows: Vec<Row>,
    /// Samples that were counted.
    pub(super) samples: Samples,
}

/// Rows on their way to being kept.
pub(super) struct Keeping {
    rows: Vec<Row>,
    cost: usize,
}

impl Common {
    pub(super) fn of(expr: &Expr) -> Self {
        let mut seen: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        if node_count(expr, NODES_MAX) < NODES_MAX {
            visit(expr, &mut seen);
        }
        let several = seen.into_values().filter(|addresses| addresses.len() > 1).enumerate();
        let places = several.flat_map(|(number, addresses)| addresses.into_iter().map(move |at| (at, number)));
        Common { places: places.collect(), kept: RefCell::default() }
    }

    /// Which of them `expr` is, if any.
    pub(super) fn number(&self, expr: &Expr) -> Option<usize> {
        if self.places.is_empty() { None } else { self.places.get(&address(expr)).copied() }
    }

    pub(super) fn kept(&self, place: Place) -> Option<Rc<Kept>> {
        self.kept.borrow().get(&place).cloned()
    }

    pub(super) fn keep(&self, place: Place, kept: Kept) {
        self.kept.borrow_mut().insert(place, Rc::new(kept));
    }
}

impl Keeping {
    pub(super) fn new() -> Self {
        Keeping { rows: Vec::new(), cost: 0 }
    }

    /// Adds a copy of a row; gives all up if they become too many.
    pub(super) fn add(this: &mut Option<Keeping>, row: &Row) {
        let Some(keeping) = this else { return };
        keeping.cost += row.values.len() + row.labels.packed_bytes() / 8 + row.cost();
        if keeping.cost > KEPT_MAX {
            *this = None;
        } else {
            keeping.rows.push(row.clone());
        }
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr) as usize
}

/// Counts up to `max`.
fn node_count(expr: &Expr, max: usize) -> usize {
    let mut count = 1;
    for child in expr.children() {
        if count >= max {
            break;
        }
        count += node_count(child, max - count);
    }
    count
}

/// What stands inside the second of two equal expressions is not looked at: it will not be evaluated.
fn visit(expr: &Expr, seen: &mut FxHashMap<String, Vec<usize>>) {
    let is_plain = matches!(expr.kind, ExprKind::Paren(_) | ExprKind::Unary(_));
    if expr.value_type() == ValueType::Vector && !is_plain {
        let addresses = seen.entry(expr.to_string()).or_default();
        addresses.push(address(expr));
        if addresses.len() > 1 {
            return;
        }
    }
    expr.children().into_iter().for_each(|child| visit(child, seen));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse::parse;

    /// How many places there are, of how many expressions.
    fn found(query: &str) -> (usize, usize) {
        let expr = parse(query).unwrap();
        let common = Common::of(&expr);
        let distinct: std::collections::BTreeSet<usize> = common.places.values().copied().collect();
        (common.places.len(), distinct.len())
    }

    #[test]
    fn the_largest_equal_parts_are_found() {
        assert_eq!(found("a + b"), (0, 0));
        assert_eq!(found("sum(rate(a[5m])) / sum(rate(b[5m]))"), (0, 0));
        assert_eq!(found("sum(rate(a[5m])) / (1 + sum(rate(a[5m])))"), (2, 1), "not its parts");
        assert_eq!(found("sum(a) / count(a)"), (2, 1));
        assert_eq!(found("sum(a) / sum(a) + count(a)"), (4, 2), "the part is needed elsewhere, too");
        assert_eq!(found("a offset 5m + a"), (0, 0));
        let long = format!(r#"label_join(a, "d", ","{}) + a"#, r#", "s""#.repeat(NODES_MAX));
        assert_eq!((found(r#"label_join(a, "d", ",") + a"#), found(&long)), ((2, 1), (0, 0)));
    }
}
