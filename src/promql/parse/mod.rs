//! The parser: text to a checked tree.
//!
//! Here: [`parse`], [`parse_selector`] and the error they share.
//! Reading order: `lexer`, `grammar`, `selector`, `duration`, `check`.
//! Elsewhere: the tree (`ast`), what it means (`eval`).
//!
//! Invariant: any text ends in a tree or in one [`ParseError`], in time linear in its length and with bounded stack.

mod check;
mod duration;
#[cfg(test)]
mod field_tests;
mod grammar;
mod lexer;
mod literal;
mod quote;
mod selector;
#[cfg(test)]
mod tests;
mod token;

use storage::Matcher;

use super::ast::{Expr, Span};
#[cfg(test)]
pub(crate) use literal::parse_duration_ms;
pub(crate) use quote::quote;
#[cfg(test)]
pub(crate) use quote::unquote;

/// Longest query text. Prometheus has no limit of its own; form bodies are limited at 10 MB there.
pub const QUERY_BYTES_MAX: usize = 2 << 20;

/// What beyond the stable language is allowed: Prometheus' feature flags. The defaults are those of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOptions {
    /// `promql-experimental-functions`: functions and aggregators.
    pub experimental_functions: bool,
    /// `promql-duration-expr`: arithmetic in durations. Always on in Prometheus since 3.14.
    pub duration_expr: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left` and `fill_right`.
    pub binop_fill_modifiers: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions {
            experimental_functions: false,
            duration_expr: true,
            extended_range_selectors: false,
            binop_fill_modifiers: false,
        }
    }
}

impl ParseOptions {
    /// Everything that there is.
    pub fn all() -> Self {
        ParseOptions {
            experimental_functions: true,
            duration_expr: true,
            extended_range_selectors: true,
            binop_fill_modifiers: true,
        }
    }
}

/// The first thing that is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// `line:column`, counted from 1; columns in bytes.
    pub position: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl ParseError {
    fn new(query: &str, span: Span, message: String) -> Self {
        ParseError { position: position(query, span.start), message, span }
    }
}

/// `line:column` of byte `at`, as Prometheus shows it in errors and annotations.
pub(crate) fn position(query: &str, at: usize) -> String {
    if query.is_empty() {
        return "unknown position".to_owned();
    }
    let before = query.as_bytes().get(..at).unwrap_or(query.as_bytes());
    let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
    let column = before.len() - before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1) + 1;
    format!("{line}:{column}")
}

/// Parses and type-checks a query.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    parse_with(query, ParseOptions::default())
}

/// Parses and type-checks a query with extensions allowed.
pub fn parse_with(query: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    check_length(query)?;
    let parsed = grammar::Parser::new(query, options).query().and_then(|mut expr| {
        check::check(&mut expr, query)?;
        Ok(expr)
    });
    parsed.map_err(|(span, message)| ParseError::new(query, span, message))
}

/// Parses one series selector, as in `match[]`, to its conditions.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    check_length(text)?;
    let parsed = grammar::Parser::new(text, ParseOptions::default()).lone_selector();
    parsed.map(|selector| selector.matchers).map_err(|(span, message)| ParseError::new(text, span, message))
}

fn check_length(text: &str) -> Result<(), ParseError> {
    if text.len() <= QUERY_BYTES_MAX {
        return Ok(());
    }
    let message = format!("query has {} bytes, more than the {QUERY_BYTES_MAX} that are allowed", text.len());
    Err(ParseError { position: "1:1".to_owned(), message, span: Span::default() })
}
