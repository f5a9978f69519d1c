//! Distinct texts, sorted, of sources each of which has most of them.
//!
//! Here: gathering the texts of one source ([`Texts`]), and uniting those of many ([`Distinct`]).
//! Elsewhere: where they come from (`lookup`).
//!
//! Texts lie back to back, and become strings of their own only at the end: a label may have a million values in each of a
//! hundred blocks. Sources are united in pairs of about the same size, so that each text is compared a few times, not once
//! for each source.
//!
//! Invariant: what is in [`Distinct::runs`] rises strictly.

use std::cmp::Ordering;

/// Texts of one source, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
    /// Some text is not after the one before it.
    is_unsorted: bool,
}

/// What was gathered so far: few lists, each with about twice as many sources as the next.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    runs: Vec<(u32, Texts)>,
}

impl Texts {
    /// Adds a text; fastest if it is after all others.
    pub(crate) fn push(&mut self, text: &str) {
        self.is_unsorted |= self.last().is_some_and(|last| last >= text);
        self.append(text);
    }

    fn append(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn last(&self) -> Option<&str> {
        self.get(self.ends.len().checked_sub(1)?)
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        self.text.get(start..end)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|at| self.get(at))
    }

    /// The same texts rising, each once.
    fn sorted(self) -> Texts {
        if !self.is_unsorted {
            return self;
        }
        // Numbers are compared faster than texts, and values of one label often begin alike and differ soon after.
        let skipped = self.common_prefix();
        let key = |text: &str| {
            let mut bytes = [0; 8];
            let rest = text.as_bytes().get(skipped..).unwrap_or_default();
            let len = rest.len().min(bytes.len());
            bytes[..len].copy_from_slice(&rest[..len]);
            u64::from_be_bytes(bytes)
        };
        let mut order: Vec<(u64, &str)> = self.iter().map(|text| (key(text), text)).collect();
        order.sort_unstable_by_key(|&(key, _)| key);
        for alike in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            alike.sort_unstable();
        }
        order.dedup_by(|a, b| a.1 == b.1);
        let mut out = Texts::with_capacity(self.text.len(), order.len());
        order.iter().for_each(|(_, text)| out.append(text));
        out
    }

    /// Bytes with which all begin.
    fn common_prefix(&self) -> usize {
        let first = self.get(0).unwrap_or_default();
        let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        self.iter().fold(first.len(), |len, text| {
            let is_alike = text.as_bytes().get(..len) == first.as_bytes().get(..len);
            if is_alike { len } else { alike(first, text) }
        })
    }

    fn with_capacity(bytes: usize, count: usize) -> Texts {
        Texts { text: String::with_capacity(bytes), ends: Vec::with_capacity(count), is_unsorted: false }
    }

    /// The texts of two lists that rise.
    fn united(self, other: Texts) -> Texts {
        // Blocks of one day and the next mostly have the same.
        if self.ends == other.ends && self.text == other.text {
            return self;
        }
        let (bytes, count) = (self.text.len().max(other.text.len()), self.ends.len().max(other.ends.len()));
        let mut out = Texts::with_capacity(bytes, count);
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
            let order = a.cmp(b);
            if order != Ordering::Greater {
                left.next();
            }
            if order != Ordering::Less {
                right.next();
            }
            out.append(a.min(b));
        }
        left.chain(right).for_each(|text| out.append(text));
        out
    }
}

impl Distinct {
    /// Adds what a source has.
    pub(crate) fn put(&mut self, texts: Texts) {
        let (mut level, mut texts) = (0, texts.sorted());
        while let Some((_, before)) = self.runs.pop_if(|(there, _)| *there <= level) {
            texts = before.united(texts);
            level += 1;
        }
        self.runs.push((level, texts));
    }

    /// All texts, rising.
    pub(crate) fn into_strings(self) -> Vec<String> {
        let all = self.runs.into_iter().map(|(_, texts)| texts).rev().reduce(Texts::united);
        all.map(|texts| texts.iter().map(str::to_owned).collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn united(sources: &[Vec<String>]) -> Vec<String> {
        let mut distinct = Distinct::default();
        for source in sources {
            let mut texts = Texts::default();
            source.iter().for_each(|text| texts.push(text));
            distinct.put(texts);
        }
        distinct.into_strings()
    }

    proptest! {
        #[test]
        fn sources_are_united_like_sets(
            sources in proptest::collection::vec(proptest::collection::vec("(pre|pref|)[ab\u{0}é]{0,11}", 0..20), 0..12),
        ) {
            let expected: BTreeSet<String> = sources.iter().flatten().cloned().collect();
            prop_assert_eq!(united(&sources), expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn few_lists_are_kept_whatever_the_number_of_sources() {
        let mut distinct = Distinct::default();
        for i in 0..1000 {
            let mut texts = Texts::default();
            texts.push(&format!("{}", i % 7));
            distinct.put(texts);
            assert!(distinct.runs.len() <= 10, "{} lists of {i} sources", distinct.runs.len());
        }
        assert_eq!(distinct.into_strings(), ["0", "1", "2", "3", "4", "5", "6"]);
    }
}
