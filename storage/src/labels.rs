//! Label sets: the identity of a series.
//!
//! Here: [`Labels`], the immutable sorted set, and [`LabelsBuilder`], the way to change one.
//! Elsewhere: selecting by label (`matcher`), interning of symbols (`head`, `index`), limits on lengths (the server).
//!
//! Invariant: names are unique and rise in byte order, no value is empty; so two sets are the same
//! series if and only if their packed texts are equal.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";
/// The label that may hold the metric's type, as OpenMetrics spells it.
pub const METRIC_TYPE: &str = "__type__";
/// The label that may hold the metric's unit.
pub const METRIC_UNIT: &str = "__unit__";

/// A sorted, duplicate-free set of `name="value"` pairs. Cloning costs a reference count.
///
/// One allocation: the pairs are packed as `len name len value …` in one string. Lengths are written in base 64 with
/// bytes below 0x80 (bit 6 says "more follows"), so that the whole stays valid UTF-8 and slices of it need no copy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// Why a list of pairs is not a label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// The same name came twice.
    #[error("label {0:?} is given twice; remove one of them")]
    Duplicate(String),
    /// A label without a name.
    #[error("a label has an empty name (its value is {0:?})")]
    EmptyName(String),
}

impl Labels {
    /// The set without labels, `{}`.
    pub fn empty() -> Self {
        Labels(Arc::from(""))
    }

    /// Builds a set from pairs in any order. Pairs with an empty value are dropped: they mean "no such label".
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, LabelsError> {
        Self::from_unsorted(&mut pairs.into_iter().collect::<Vec<_>>())
    }

    /// [`Labels::from_pairs`] for many sets: `pairs` is sorted in place.
    pub fn from_unsorted(pairs: &mut [(&str, &str)]) -> Result<Self, LabelsError> {
        if !pairs.is_sorted_by_key(|&(name, _)| name) {
            pairs.sort_by_key(|&(name, _)| name);
        }
        for pair in pairs.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(LabelsError::Duplicate(pair[0].0.to_owned()));
            }
        }
        if let Some((_, value)) = pairs.first().filter(|(name, _)| name.is_empty()) {
            return Err(LabelsError::EmptyName((*value).to_owned()));
        }
        Ok(Self::pack(pairs.iter().copied().filter(|(_, value)| !value.is_empty())))
    }

    /// `pairs` must already rise strictly by name, with no empty value: checked in debug builds.
    fn pack<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::with_capacity(PACKED_BYTES_USUAL);
        push_pairs(&mut text, pairs);
        Labels(Arc::from(text))
    }

    /// A set from pairs that already rise strictly by name and have no empty value.
    pub(crate) fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self::pack(pairs)
    }

    /// Appends the packed text of a set to `text`; `pairs` as for [`Labels::from_sorted`].
    pub(crate) fn push_packed<'a>(text: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
        push_pairs(text, pairs);
    }

    /// The set whose packed text this is.
    pub(crate) fn from_packed(text: impl Into<Arc<str>>) -> Self {
        Labels(text.into())
    }

    /// The packed text: equal for equal sets, and for those only.
    pub(crate) fn packed(&self) -> &Arc<str> {
        &self.0
    }

    /// Pairs in rising order of name.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of `name`; `None` if the set has no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().take_while(|&(n, _)| n <= name).find(|&(n, _)| n == name).map(|(_, v)| v)
    }

    /// The metric's name, empty if there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many pairs; walks the set.
    pub fn len(&self) -> usize {
        let (mut at, mut parts) = (0, 0);
        while at < self.0.len() {
            let (start, len) = part_len(self.0.as_bytes(), at);
            at = start + len;
            parts += 1;
        }
        parts / 2
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of the packed text, for memory accounting.
    pub fn packed_bytes(&self) -> usize {
        self.0.len()
    }

    /// Only the labels that `keep` accepts.
    pub fn filter(&self, keep: impl FnMut(&str) -> bool) -> Self {
        let mut text = String::with_capacity(self.0.len());
        self.filter_into(&mut text, keep);
        Labels(Arc::from(text))
    }

    /// Appends to `key` what tells the labels that `keep` accepts from others: equal for equal sets, and for those only.
    pub fn filter_into(&self, key: &mut String, mut keep: impl FnMut(&str) -> bool) {
        let (text, mut at) = (&*self.0, 0);
        while at < text.len() {
            let (name_at, name_len) = part_len(text.as_bytes(), at);
            let (value_at, value_len) = part_len(text.as_bytes(), name_at + name_len);
            let end = value_at + value_len;
            if keep(&text[name_at..name_at + name_len]) {
                key.push_str(&text[at..end]);
            }
            at = end;
        }
    }

    /// The same set without the metric's name.
    pub fn without_name(&self) -> Self {
        self.filter(|name| name != METRIC_NAME)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// By pairs, name before value, as Prometheus sorts series.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most sets that are compared begin alike: only the parts in which they differ are taken apart.
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        let common = common_len(a, b);
        if common == a.len() || common == b.len() {
            return a.len().cmp(&b.len());
        }
        let mut at = 0;
        loop {
            let (start, len) = part_len(a, at);
            if start + len > common {
                let (other_start, other_len) = part_len(b, at);
                return a[start..start + len].cmp(&b[other_start..other_start + other_len]);
            }
            at = start + len;
        }
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As in PromQL: `up{job="x"}`; names that are not identifiers are quoted.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let bare_name = is_metric_identifier(name);
        if bare_name {
            f.write_str(name)?;
            if self.iter().all(|(n, _)| n == METRIC_NAME) {
                return Ok(());
            }
        }
        f.write_str("{")?;
        let mut comma = false;
        if !bare_name && !name.is_empty() {
            write!(f, "\"{}\"", escape(name))?;
            comma = true;
        }
        for (n, v) in self.iter().filter(|&(n, _)| n != METRIC_NAME) {
            if comma {
                f.write_str(", ")?;
            }
            comma = true;
            if is_label_identifier(n) {
                write!(f, "{n}=\"{}\"", escape(v))?;
            } else {
                write!(f, "\"{}\"=\"{}\"", escape(n), escape(v))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// Name and value.
type Pair<'a> = (&'a str, &'a str);

/// Iterator over the pairs of a [`Labels`].
#[derive(Clone, Default)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = take_part(self.rest);
        let (value, rest) = take_part(rest);
        self.rest = rest;
        Some((name, value))
    }
}

impl<'a> LabelsIter<'a> {
    /// The next name and value, and those at the same place of `other` (empty if it has no more) unless they are the
    /// same: then one comparison of bytes has told. Both move on.
    #[inline]
    pub(crate) fn next_beside<'b>(&mut self, other: &mut LabelsIter<'b>) -> Option<(Pair<'a>, Option<Pair<'b>>)> {
        let before = self.rest;
        let (name, value) = self.next()?;
        let len = before.len() - self.rest.len();
        // Lengths are part of what is compared, so equal bytes are one whole pair.
        if other.rest.as_bytes().get(..len) == before.as_bytes().get(..len) {
            other.rest = &other.rest[len..];
            return Some(((name, value), None));
        }
        Some(((name, value), Some(other.next().unwrap_or_default())))
    }
}

/// A label set under construction, e.g. while relabelling. Setting an empty value removes the label.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that starts with the pairs of `base`.
    pub fn from_labels(base: &Labels) -> Self {
        LabelsBuilder { pairs: base.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The value of `name`, empty if it is not set.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Sets `name`, replacing an earlier value.
    pub fn set<'a>(&mut self, name: &str, value: impl Into<Cow<'a, str>>) -> &mut Self {
        let value = value.into();
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            _ if value.is_empty() => return self.remove(name),
            Some((_, v)) => *v = value.into_owned(),
            None => self.pairs.push((name.to_owned(), value.into_owned())),
        }
        self
    }

    /// Removes `name` if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The pairs in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Keeps only the labels that `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        let mut sorted: Vec<(&str, &str)> = self.iter().filter(|(n, _)| !n.is_empty()).collect();
        sorted.sort_by_key(|&(name, _)| name);
        Labels::pack(sorted.into_iter())
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_metric_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn is_label_identifier(name: &str) -> bool {
    is_metric_identifier(name) && !name.contains(':')
}

fn escape(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    } else {
        Cow::Borrowed(value)
    }
}

/// Room for the text of most sets; it is copied once it is complete.
const PACKED_BYTES_USUAL: usize = 512;
const LEN_MORE: u8 = 0x40;
const LEN_BITS: u32 = 6;

fn push_part(text: &mut String, part: &str) {
    let mut len = part.len();
    while len >= 1 << LEN_BITS {
        text.push(char::from(LEN_MORE | (len & 0x3f) as u8));
        len >>= LEN_BITS;
    }
    text.push(char::from(len as u8));
    text.push_str(part);
}

fn push_pairs<'a>(text: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut last: Option<&str> = None;
    for (name, value) in pairs {
        debug_assert!(last.is_none_or(|l| l < name) && !value.is_empty());
        last = Some(name);
        push_part(text, name);
        push_part(text, value);
    }
}

/// How many bytes are the same at the beginning.
fn common_len(a: &[u8], b: &[u8]) -> usize {
    let same = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0).take_while(|(a, b)| a == b).count() * 16;
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

#[inline]
fn take_part(packed: &str) -> (&str, &str) {
    let (start, len) = part_len(packed.as_bytes(), 0);
    packed[start..].split_at(len)
}

/// Where the part whose length stands at `at` begins, and that length.
#[inline]
fn part_len(bytes: &[u8], at: usize) -> (usize, usize) {
    let first = bytes[at];
    if first & LEN_MORE == 0 { (at + 1, usize::from(first)) } else { long_part_len(bytes, at) }
}

fn long_part_len(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut len, mut shift) = (0usize, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        len |= usize::from(byte & 0x3f) << shift;
        if byte & LEN_MORE == 0 {
            return (at, len);
        }
        shift += LEN_BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn sorts_and_drops_empty_values() {
        let l = set(&[("b", "2"), ("__name__", "up"), ("c", ""), ("a", "1")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [("__name__", "up"), ("a", "1"), ("b", "2")]);
        assert_eq!(l.get("b"), Some("2"));
        assert_eq!(l.get("c"), None);
        assert_eq!(l.len(), 3);
        assert_eq!(l.without_name().to_string(), r#"{a="1", b="2"}"#);
    }

    #[test]
    fn refuses_duplicates_and_empty_names() {
        assert_eq!(Labels::from_pairs([("a", "1"), ("a", "1")]), Err(LabelsError::Duplicate("a".into())));
        assert_eq!(Labels::from_pairs([("", "1")]), Err(LabelsError::EmptyName("1".into())));
    }

    #[test]
    fn long_values_survive_packing() {
        for len in [1, 63, 64, 65, 4095, 4096, 300_000] {
            let v = "é".repeat(len);
            assert_eq!(set(&[("a", &v), ("b", "x")]).iter().collect::<Vec<_>>(), [("a", v.as_str()), ("b", "x")]);
            assert_eq!(set(&[("a", &v), ("b", "x")]).len(), 2);
        }
    }

    #[test]
    fn pairs_beside_those_of_another_set() {
        let (a, b) =
            (set(&[("a", "1"), ("b", "22"), ("c", "3")]), set(&[("a", "1"), ("b", "2"), ("d", "3"), ("e", "1")]));
        let beside = |a: &Labels, b: &Labels| {
            let (mut a, mut b, mut out) = (a.iter(), b.iter(), Vec::new());
            while let Some(((name, _), other)) = a.next_beside(&mut b) {
                out.push((name.to_owned(), other.map(|(name, value)| format!("{name}={value}"))));
            }
            out
        };
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(beside(&a, &b), [("a".into(), None), ("b".into(), text("b=2")), ("c".into(), text("d=3"))]);
        let (b_c, b_d) = (text("b=22"), text("c=3"));
        assert_eq!(beside(&b, &a), [("a".into(), None), ("b".into(), b_c), ("d".into(), b_d), ("e".into(), text("="))]);
        assert_eq!((a.len(), b.len(), Labels::empty().len()), (3, 4, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_two_sets_order_like_their_pairs(a in sets(), b in sets()) {
            let pairs = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
            proptest::prop_assert_eq!(a.cmp(&b), pairs(&a).cmp(&pairs(&b)));
            proptest::prop_assert_eq!(a == b, pairs(&a) == pairs(&b));
        }
    }

    /// Few letters, so that sets are alike; some texts are long enough for a length of two bytes.
    fn sets() -> impl proptest::strategy::Strategy<Value = Labels> {
        let text = || proptest::string::string_regex("[ab]{1,3}|a{62,66}").unwrap();
        let pairs = proptest::collection::btree_map(text(), text(), 0..5);
        proptest::strategy::Strategy::prop_map(pairs, |pairs| {
            Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap()
        })
    }

    #[test]
    fn orders_like_pairs_not_like_packed_bytes() {
        assert!(set(&[("a", "zz")]) < set(&[("b", "a")]));
        assert!(set(&[("a", "1")]) < set(&[("a", "1"), ("b", "1")]));
        assert!(set(&[("a", "12345")]) < set(&[("a", "2")]));
    }

    #[test]
    fn prints_as_promql() {
        assert_eq!(set(&[("__name__", "up")]).to_string(), "up");
        assert_eq!(set(&[("__name__", "up"), ("j", "a\"b")]).to_string(), r#"up{j="a\"b"}"#);
        assert_eq!(set(&[("__name__", "my.metric"), ("a b", "c")]).to_string(), r#"{"my.metric", "a b"="c"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn builder_replaces_and_removes() {
        let mut b = LabelsBuilder::from_labels(&set(&[("a", "1"), ("b", "2")]));
        b.set("a", "3").set("c", "4").set("b", "");
        assert_eq!(b.get("b"), "");
        assert_eq!(b.build(), set(&[("a", "3"), ("c", "4")]));
    }
}
