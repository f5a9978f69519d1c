//! Series that satisfy matchers, by way of postings.
//!
//! Here: the algebra on sorted lists, and how each kind of matcher becomes one.
//! Elsewhere: where lists come from (`head::postings`, `block::index`), matching one value (`matcher`).
//!
//! Invariant: a matcher that the empty string passes also selects series without the label, so it can only take
//! series away (those with a value that fails); all others can only intersect.

use crate::matcher::{MatchOp, Matcher, Shape};

/// A series within one head or one block.
pub(crate) type SeriesRef = u32;

/// An index could not be read: where and why, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) String);

/// Something that keeps postings for label pairs. All lists rise.
pub(crate) trait LabelIndex {
    /// Every series.
    fn all(&self) -> Result<Vec<SeriesRef>, Damage>;
    /// Series with exactly this pair; `value` is not empty.
    fn postings(&self, name: &str, value: &str) -> Result<Vec<SeriesRef>, Damage>;
    /// Series whose value of `name` begins with `prefix` and is picked.
    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        pick: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<SeriesRef>, Damage>;
}

/// Series that satisfy all matchers, rising.
pub(crate) fn select(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<Vec<SeriesRef>, Damage> {
    let mut wanted: Vec<Vec<SeriesRef>> = Vec::new();
    let mut unwanted: Vec<Vec<SeriesRef>> = Vec::new();
    for m in matchers {
        if !m.matches_empty() {
            let list = with_value(index, m)?;
            if list.is_empty() {
                return Ok(list);
            }
            wanted.push(list);
        } else if let Some(list) = without_value(index, m)? {
            unwanted.push(list);
        }
    }
    wanted.sort_by_key(Vec::len);
    let mut found = match wanted.first() {
        None => index.all()?,
        Some(_) => wanted.remove(0),
    };
    for list in &wanted {
        intersect(&mut found, list);
    }
    for list in &unwanted {
        subtract(&mut found, list);
    }
    Ok(found)
}

/// Series whose value passes; the empty value does not.
fn with_value(index: &dyn LabelIndex, m: &Matcher) -> Result<Vec<SeriesRef>, Damage> {
    match (m.op(), m.shape()) {
        (MatchOp::Equal, _) => index.postings(m.name(), m.value()),
        (MatchOp::Regex, Shape::Literals(values)) => union_of(index, m.name(), values),
        (MatchOp::Regex, Shape::Prefix(prefix)) => index.postings_where(m.name(), prefix, &mut |_| true),
        (MatchOp::Regex, Shape::NonEmpty) => index.postings_where(m.name(), "", &mut |_| true),
        (MatchOp::Regex, Shape::Pattern { prefix }) => {
            index.postings_where(m.name(), prefix, &mut |value| m.matches(value))
        }
        _ => index.postings_where(m.name(), "", &mut |value| m.matches(value)),
    }
}

/// Series whose value fails, for a matcher that the empty value passes; `None` if no value can fail.
fn without_value(index: &dyn LabelIndex, m: &Matcher) -> Result<Option<Vec<SeriesRef>>, Damage> {
    let list = match (m.op(), m.shape()) {
        (MatchOp::Regex, Shape::Any) => return Ok(None),
        (MatchOp::NotEqual, _) => index.postings(m.name(), m.value())?,
        (MatchOp::NotRegex, Shape::Literals(values)) => union_of(index, m.name(), values)?,
        (MatchOp::NotRegex, Shape::Prefix(prefix)) => index.postings_where(m.name(), prefix, &mut |_| true)?,
        (MatchOp::NotRegex, Shape::Pattern { prefix }) => {
            index.postings_where(m.name(), prefix, &mut |value| !m.matches(value))?
        }
        _ => index.postings_where(m.name(), "", &mut |value| !m.matches(value))?,
    };
    Ok(Some(list))
}

fn union_of(index: &dyn LabelIndex, name: &str, values: &[String]) -> Result<Vec<SeriesRef>, Damage> {
    let mut lists = Vec::with_capacity(values.len());
    for value in values.iter().filter(|v| !v.is_empty()) {
        lists.push(index.postings(name, value)?);
    }
    Ok(union(lists))
}

/// All refs of lists that are disjoint, as the lists of one label's values are.
pub(crate) fn union(mut lists: Vec<Vec<SeriesRef>>) -> Vec<SeriesRef> {
    if lists.len() == 1 {
        return lists.remove(0);
    }
    let mut all = lists.concat();
    // Sorts in runs: the lists themselves rise.
    all.sort();
    all.dedup();
    all
}

/// Keeps what is also in `other`.
pub(crate) fn intersect(found: &mut Vec<SeriesRef>, other: &[SeriesRef]) {
    let mut rest = other;
    found.retain(|series| advance(&mut rest, *series));
}

/// Drops what is in `other`.
pub(crate) fn subtract(found: &mut Vec<SeriesRef>, other: &[SeriesRef]) {
    let mut rest = other;
    found.retain(|series| !advance(&mut rest, *series));
}

/// Moves `rest` to `series` by doubling steps; whether it is there.
fn advance(rest: &mut &[SeriesRef], series: SeriesRef) -> bool {
    let mut step = 1;
    while rest.get(step).is_some_and(|&there| there < series) {
        step *= 2;
    }
    let near = &rest[..rest.len().min(step + 1)];
    *rest = &rest[near.partition_point(|&there| there < series)..];
    rest.first() == Some(&series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_combine_like_sets() {
        let a: Vec<u32> = (0..200).step_by(3).collect();
        let b: Vec<u32> = (0..200).step_by(2).collect();
        let mut both = a.clone();
        intersect(&mut both, &b);
        assert_eq!(both, (0..200).step_by(6).collect::<Vec<_>>());
        let mut only_a = a.clone();
        subtract(&mut only_a, &b);
        assert_eq!(only_a, a.iter().copied().filter(|n| n % 2 == 1).collect::<Vec<_>>());
        assert_eq!(union(vec![vec![1, 5], vec![], vec![2, 9]]), [1, 2, 5, 9]);
        intersect(&mut both, &[]);
        assert!(both.is_empty());
    }
}
