//! Matchers: `name op "value"`, the way a query selects series.
//!
//! Here: the four operators and the anchored regular expression behind two of them.
//! Elsewhere: finding the series that match (`index`, `head`).
//!
//! Invariant: a regular expression is anchored at both ends and its dot matches a newline, as in Prometheus.

use std::borrow::Cow;
use std::fmt;

use regex::Regex;
use regex_syntax::hir::literal::{Extractor, Literal};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// As written in PromQL.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A label that a series lacks counts as the empty string.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
    shape: Shape,
}

/// What an expression amounts to, where that is simple. Lets an index look values up instead of trying each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One of these texts, which rise; the empty one may be among them.
    Literals(Vec<String>),
    /// A text and anything after it (`text.*`).
    Prefix(String),
    /// Anything (`.*`).
    Any,
    /// Anything but the empty text (`.+`).
    NonEmpty,
    /// Something else; what passes begins with `prefix`.
    Pattern {
        /// May be empty.
        prefix: String,
    },
}

/// Why a matcher cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// The regular expression does not compile, or compiles to something too large.
    #[error("error parsing regexp {pattern:?}: {reason}")]
    Regex {
        /// As the user wrote it.
        pattern: String,
        /// The compiler's own words, one line.
        reason: String,
    },
}

/// Compiles `pattern` anchored at both ends with dot-matches-newline, at most 1 MiB of program.
/// RE2's `\Q…\E` is understood, too.
pub fn full_match_regex(pattern: &str) -> Result<Regex, MatcherError> {
    let plain = expand_quotes(pattern);
    // Alone first: `a)|(b` must not close our own group and slip past the anchors.
    let alone = if plain.contains(')') { compile(&plain, pattern) } else { Ok(()) };
    alone.and_then(|()| {
        regex::RegexBuilder::new(&format!("^(?s:{plain})$"))
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|e| regex_error(pattern, &e))
    })
}

/// Largest compiled program of one expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

fn compile(plain: &str, pattern: &str) -> Result<(), MatcherError> {
    regex::RegexBuilder::new(plain)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map(|_| ())
        .map_err(|e| regex_error(pattern, &e))
}

fn regex_error(pattern: &str, e: &regex::Error) -> MatcherError {
    let text = e.to_string();
    let reason = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("unknown").trim();
    MatcherError::Regex { pattern: pattern.to_owned(), reason: reason.trim_start_matches("error: ").to_owned() }
}

/// `\Q…\E` (or `\Q…` to the end) means its inside literally.
fn expand_quotes(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains(r"\Q") {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (inside, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(inside));
            rest = after;
        } else {
            // The backslash and what it escapes, so that `\\Q` stays a backslash and a Q.
            let len = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&escape[..len]);
            rest = &escape[len..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The shape of a valid expression.
fn shape_of(pattern: &str) -> Shape {
    let is_special = |c: char| r".+*?()[]{}|^$\".contains(c);
    let plain_len = pattern.find(is_special).unwrap_or(pattern.len());
    match pattern.split_at(plain_len) {
        ("", ".*") => return Shape::Any,
        ("", ".+") => return Shape::NonEmpty,
        (plain, ".*") => return Shape::Prefix(plain.to_owned()),
        _ => {}
    }
    // A list of names, as dashboards write it: however long, it is one of texts.
    if pattern.split('|').all(|part| !part.contains(is_special)) {
        return literals(pattern.split('|').map(str::to_owned).collect());
    }
    let Ok(parsed) = regex_syntax::parse(&format!("(?s:{})", expand_quotes(pattern))) else {
        return Shape::Pattern { prefix: String::new() };
    };
    // Assertions (`^`, `\b`) are not in the literals, so texts that lack them would pass.
    let is_plain = parsed.properties().look_set().is_empty();
    let mut extractor = Extractor::new();
    extractor.limit_class(CLASS_MAX).limit_literal_len(LITERAL_BYTES_MAX).limit_total(LITERALS_MAX);
    let beginnings = extractor.extract(&parsed);
    if is_plain
        && beginnings.is_exact()
        && let Some(texts) = beginnings.literals().and_then(texts_of)
    {
        return literals(texts);
    }
    let common = beginnings.longest_common_prefix().unwrap_or_default();
    let prefix = common.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    Shape::Pattern { prefix: prefix.to_owned() }
}

fn literals(mut texts: Vec<String>) -> Shape {
    texts.sort_unstable();
    texts.dedup();
    Shape::Literals(texts)
}

fn texts_of(literals: &[Literal]) -> Option<Vec<String>> {
    literals.iter().map(|literal| String::from_utf8(literal.as_bytes().to_vec()).ok()).collect()
}

/// An expression that stands for so many texts of at most these bytes is looked up text by text.
const LITERALS_MAX: usize = 10_000;
const LITERAL_BYTES_MAX: usize = 1024;
/// As many characters a class in it may have: `[0-9a-z]`, but not `\w`.
const CLASS_MAX: usize = 64;

impl Matcher {
    /// Builds a matcher; compiles the expression for the two regex operators.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(full_match_regex(&value)?),
        };
        let shape = if regex.is_some() { shape_of(&value) } else { Shape::Literals(Vec::new()) };
        Ok(Matcher { name, op, value, regex, shape })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
            shape: Shape::Literals(Vec::new()),
        }
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or expression it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What the expression amounts to; of no meaning for `=` and `!=`.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether a label with this value passes; pass `""` for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => self.is_match(value),
            MatchOp::NotRegex => !self.is_match(value),
        }
    }

    fn is_match(&self, value: &str) -> bool {
        match &self.shape {
            Shape::Any => true,
            Shape::NonEmpty => !value.is_empty(),
            Shape::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Shape::Literals(texts) => texts.binary_search_by(|text| text.as_str().cmp(value)).is_ok(),
            Shape::Pattern { prefix } => {
                value.starts_with(prefix.as_str()) && self.regex.as_ref().is_some_and(|r| r.is_match(value))
            }
        }
    }

    /// Whether a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: MatchOp, pattern: &str, value: &str, expected: bool) {
        assert_eq!(Matcher::new(op, "a", pattern).unwrap().matches(value), expected, "{op:?} {pattern} {value:?}");
    }

    #[test]
    fn compares() {
        check(MatchOp::Equal, "x", "x", true);
        check(MatchOp::Equal, "", "", true);
        check(MatchOp::NotEqual, "x", "", true);
        check(MatchOp::Regex, "a|bc", "bc", true);
        check(MatchOp::Regex, "a|b", "bc", false);
        check(MatchOp::Regex, "a.b", "a\nb", true);
        check(MatchOp::NotRegex, "5..", "500", false);
        check(MatchOp::Regex, ".*", "", true);
        check(MatchOp::Regex, "", "", true);
        check(MatchOp::Regex, "a|", "", true);
        check(MatchOp::Regex, "ab*", "a", true);
        check(MatchOp::Regex, "ab{0}", "a", true);
        check(MatchOp::Regex, "ab.*", "ab\n", true);
        check(MatchOp::Regex, "ab.*|c", "c", true);
        check(MatchOp::Regex, "a(?i)b", "aB", true);
    }

    #[test]
    fn understands_quoted_text() {
        check(MatchOp::Regex, r"\Qa.b\E.", "a.bx", true);
        check(MatchOp::Regex, r"\Qa.b\E", "axb", false);
        check(MatchOp::Regex, r"x\Q(|", "x(|", true);
        check(MatchOp::Regex, r"\\Q", r"\Q", true);
    }

    #[test]
    fn shapes_agree_with_the_expressions() {
        let values = ["", "a", "ab", "abc", "b", "a.b", "a\nb", "ba", "A", "é", "aé"];
        for pattern in [
            "",
            "a",
            "a|b",
            "a|",
            "a.*",
            ".*",
            ".+",
            "a.+",
            "ab?",
            "é.*",
            "é?",
            "a.b",
            "(a|b)",
            "^a$",
            "[ab]",
            "ab{0,1}",
            "ab?.*",
            "a|b.*",
            "(a|b)c?",
            "b|a",
            "a[^b]",
            r"\bab",
            "a$|b",
            "(?i)a",
            "a(?:b|bc)",
            "(a|ab).*",
            "é|[aé]",
        ] {
            let regex = full_match_regex(pattern).unwrap();
            let m = Matcher::new(MatchOp::Regex, "l", pattern).unwrap();
            for value in values {
                assert_eq!(m.matches(value), regex.is_match(value), "{pattern:?} {value:?} {:?}", m.shape());
            }
        }
    }

    #[test]
    fn few_texts_are_known_as_such() {
        for (pattern, expected) in [
            ("host_[0-2]", Shape::Literals(["host_0", "host_1", "host_2"].map(str::to_owned).to_vec())),
            ("(b|a)x?", Shape::Literals(["a", "ax", "b", "bx"].map(str::to_owned).to_vec())),
            (r"a\.b", Shape::Literals(vec!["a.b".to_owned()])),
            ("^a", Shape::Pattern { prefix: "a".to_owned() }),
            ("node_(cpu|disk)_.+", Shape::Pattern { prefix: "node_".to_owned() }),
            ("(?i)a", Shape::Literals(["A", "a"].map(str::to_owned).to_vec())),
            (r"a\d{9}", Shape::Pattern { prefix: "a".to_owned() }),
        ] {
            assert_eq!(shape_of(pattern), expected, "{pattern:?}");
        }
    }

    #[test]
    fn no_expression_slips_past_the_anchors() {
        assert!(full_match_regex("a)|(b").is_err());
        assert!(full_match_regex(r"a\)|\(b").unwrap().is_match("(b"));
        assert!(!full_match_regex("(?m)a").unwrap().is_match("x\na\ny"));
    }

    #[test]
    fn refuses_a_bad_expression_with_its_text() {
        let e = Matcher::new(MatchOp::Regex, "a", "(").unwrap_err().to_string();
        assert!(e.contains(r#""(""#) && e.contains("unclosed group"), "{e}");
    }
}
