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
    /// Number of series with exactly this pair; should be cheap.
    fn count(&self, name: &str, value: &str) -> Result<usize, Damage> {
        Ok(self.postings(name, value)?.len())
    }
    /// Keeps of `found`, which rises, what has exactly this pair (or has it not, if `keep` is false). Where lists are
    /// compressed, a long one need not be unpacked for a few series.
    fn retain(&self, name: &str, value: &str, keep: bool, found: &mut Vec<SeriesRef>) -> Result<(), Damage> {
        let list = self.postings(name, value)?;
        if keep {
            intersect(found, &list);
        } else {
            subtract(found, &list);
        }
        Ok(())
    }
    /// Series whose value of `name` begins with `prefix` and is picked.
    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        pick: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<SeriesRef>, Damage>;
}

/// Series that satisfy all matchers, rising. The shortest list is read; long lists of single pairs only filter it.
pub(crate) fn select(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<Vec<SeriesRef>, Damage> {
    let mut wanted: Vec<Vec<SeriesRef>> = Vec::new();
    let mut wanted_pairs: Vec<(usize, &Matcher)> = Vec::new();
    for m in matchers.iter().filter(|m| !m.matches_empty()) {
        if m.op() == MatchOp::Equal {
            wanted_pairs.push((index.count(m.name(), m.value())?, m));
        }
    }
    wanted_pairs.sort_by_key(|&(count, _)| count);
    if wanted_pairs.first().is_some_and(|&(count, _)| count == 0) {
        return Ok(Vec::new());
    }
    for m in matchers.iter().filter(|m| !m.matches_empty() && m.op() != MatchOp::Equal) {
        let list = with_value(index, m)?;
        if list.is_empty() {
            return Ok(list);
        }
        wanted.push(list);
    }
    wanted.sort_by_key(Vec::len);
    let first_pair = wanted_pairs.first().map(|&(count, m)| (count, m.name(), m.value()));
    let mut found = match (first_pair, wanted.first().map(Vec::len)) {
        (Some((count, name, value)), len) if len.is_none_or(|len| count <= len) => {
            wanted_pairs.remove(0);
            index.postings(name, value)?
        }
        (_, Some(_)) => wanted.remove(0),
        _ => index.all()?,
    };
    for list in &wanted {
        intersect(&mut found, list);
    }
    for (_, m) in wanted_pairs {
        index.retain(m.name(), m.value(), true, &mut found)?;
    }
    for m in matchers.iter().filter(|m| m.matches_empty()) {
        remove_failing(index, m, &mut found)?;
    }
    Ok(found)
}

/// Takes away the series whose value fails, for a matcher that the empty value passes.
fn remove_failing(index: &dyn LabelIndex, m: &Matcher, found: &mut Vec<SeriesRef>) -> Result<(), Damage> {
    if m.op() == MatchOp::NotEqual && !m.value().is_empty() {
        return index.retain(m.name(), m.value(), false, found);
    }
    if let Some(list) = without_value(index, m)? {
        subtract(found, &list);
    }
    Ok(())
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
