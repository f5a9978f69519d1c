//! YAML with a place for everything: the tree that every configuration reader starts from.
//!
//! Here: [`Node`], what it can be read as, and the parts to read it with: [`parse`], [`Map`], [`Problems`].
//! Elsewhere: which keys a file may have (the readers beside this folder, rule files, Alertmanager's file).
//!
//! Invariant: aliases and merge keys (`<<`) are resolved, keys of a map are unique, and depth, node count and text
//! are bounded ([`DEPTH_MAX`], [`NODES_MAX`], [`TEXT_BYTES_MAX`]), so a reader may walk a tree without a care.

mod emit;
mod nearest;
mod parse;
mod read;

use std::fmt;

pub use emit::emit;
pub use nearest::nearest;
pub use parse::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_MAX, parse};
pub use read::{FileProblem, Map, Problem, Problems};

/// A place in a file. Both numbers count from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins; for an alias, where the alias stands.
    pub pos: Pos,
    /// What it is.
    pub value: Value,
}

/// The three kinds of YAML value. Scalars keep their text: what it means is for the reader to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text after unescaping; `plain` if it stood without quotes (then `null`, `true` and `1` are not strings).
    Scalar {
        /// The text.
        text: String,
        /// No quotes, no block marker, no `!!str`.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Map(Vec<Entry>),
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_pos: Pos,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether it is absent: nothing, `~` or `null`. Readers take such a value for "key not given".
    pub fn is_null(&self) -> bool {
        let Value::Scalar { text, plain: true } = &self.value else { return false };
        matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text of any scalar, as written: `123` and `true` are texts too, as in Prometheus.
    pub fn text(&self) -> Result<&str, String> {
        match &self.value {
            Value::Scalar { text, .. } => Ok(text),
            _ => Err(format!("expected a text, found {}", self.kind())),
        }
    }

    /// `true` or `false` (`yes`, `on`, `no`, `off` are understood, too).
    pub fn boolean(&self) -> Result<bool, String> {
        match self.text()? {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
            other => Err(format!("expected true or false, found {other:?}")),
        }
    }

    /// A whole number of at least 0; `1e6` is one, too, as in YAML.
    pub fn unsigned(&self) -> Result<u64, String> {
        // Up to here every whole number is a float, so nothing is rounded on the way.
        const WHOLE_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;
        let text = self.text()?;
        let float = || {
            text.parse::<f64>()
                .ok()
                .filter(|n| n.fract() == 0.0 && (0.0..=WHOLE_FLOAT_MAX).contains(n))
                .map(|n| n as u64)
        };
        let number = text.parse().ok().or_else(float);
        number.ok_or_else(|| format!("expected a whole number of at least 0, found {text:?}"))
    }

    /// A number.
    pub fn float(&self) -> Result<f64, String> {
        let text = self.text()?;
        text.parse().map_err(|_| format!("expected a number, found {text:?}"))
    }

    /// The elements of a list; none of an absent value.
    pub fn list(&self) -> Result<&[Node], String> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ if self.is_null() => Ok(&[]),
            _ => Err(format!("expected a list, found {}", self.kind())),
        }
    }

    /// The pairs of a map whose keys are free (labels, URL parameters); none of an absent value.
    pub fn entries(&self) -> Result<&[Entry], String> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ if self.is_null() => Ok(&[]),
            _ => Err(format!("expected a map, found {}", self.kind())),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

#[cfg(test)]
mod tests;
