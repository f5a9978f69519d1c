//! Matchers: `name op "value"`, the way a query selects series.
//!
//! Here: the four operators and the anchored regular expression behind two of them.
//! Elsewhere: finding the series that match (`index`, `head`).
//!
//! Invariant: a regular expression is anchored at both ends and its dot matches a newline, as in Prometheus.

use std::fmt;

use regex::Regex;

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
pub fn full_match_regex(pattern: &str) -> Result<Regex, MatcherError> {
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(1 << 20).build().map_err(|e| {
        let text = e.to_string();
        let reason = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("unknown").trim();
        MatcherError::Regex { pattern: pattern.to_owned(), reason: reason.trim_start_matches("error: ").to_owned() }
    })
}

impl Matcher {
    /// Builds a matcher; compiles the expression for the two regex operators.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(full_match_regex(&value)?),
        };
        Ok(Matcher { name, op, value, regex })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
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

    /// Whether a label with this value passes; pass `""` for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        let is_match = |r: &Option<Regex>| r.as_ref().is_some_and(|r| r.is_match(value));
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => is_match(&self.regex),
            MatchOp::NotRegex => !is_match(&self.regex),
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
    }

    #[test]
    fn refuses_a_bad_expression_with_its_text() {
        let e = Matcher::new(MatchOp::Regex, "a", "(").unwrap_err().to_string();
        assert!(e.contains(r#""(""#) && e.contains("unclosed group"), "{e}");
    }
}
