//! Go's `text/template`, the part that rule files and messages are written in.
//!
//! Here: [`Template`] (parsed once, rendered often) and its errors. Children: `lex` and `parse` (text to tree), `exec` (tree to
//! text), `value` (what flows through pipelines), `format` (Go's `fmt`), `functions` (Go's own), `prometheus` (Prometheus').
//! Elsewhere: what the data is (`rules`, `notify`).
//!
//! Invariant: rendering reads nothing but its arguments, ends after a bounded number of steps and never panics.

mod ast;
mod exec;
mod format;
mod functions;
mod lex;
mod parse;
mod prometheus;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;

pub use format::quoted;
pub use prometheus::{graph_link, humanize_duration, table_link};
pub use value::{QuerySample, Value};

/// Longest rendered text.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Most nodes that one rendering may visit; nested `range`s end here.
pub const STEPS_MAX: usize = 1_000_000;
/// Deepest nesting of blocks, parentheses and `template` calls.
pub const DEPTH_MAX: usize = 100;

/// A parsed template. Cheap to render any number of times, from any thread.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    text: String,
    root: Vec<ast::Node>,
    defined: HashMap<String, Vec<ast::Node>>,
    variables: Vec<String>,
}

/// Where a template is wrong, and how. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: {message}")]
pub struct TemplateError {
    /// The name given to [`Template::parse`].
    pub name: String,
    /// Line in the template's text.
    pub line: usize,
    /// Column in that line.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

/// What rendering may reach besides its data.
pub struct Env<'a> {
    /// The function `now`, milliseconds since the epoch.
    pub now_ms: i64,
    /// The functions `externalURL` and `pathPrefix`.
    pub external_url: &'a str,
    /// The function `query`: an instant query at the time of the evaluation.
    pub query: &'a dyn Fn(&str) -> Result<Vec<QuerySample>, String>,
}

impl Template {
    /// Parses `text`. `variables` are defined before it begins, with their `$`.
    pub fn parse(name: &str, text: &str, variables: &[&str]) -> Result<Self, TemplateError> {
        let parsed = parse::parse(text, variables).map_err(|e| e.locate(name, text))?;
        Ok(Template {
            name: name.to_owned(),
            text: text.to_owned(),
            root: parsed.root,
            defined: parsed.defined,
            variables: variables.iter().map(|&v| v.to_owned()).collect(),
        })
    }

    /// A template that is its own text, braces included.
    pub fn verbatim(text: &str) -> Self {
        let (root, defined, variables) = (vec![ast::Node::Text(text.to_owned())], HashMap::new(), Vec::new());
        Template { name: String::new(), text: text.to_owned(), root, defined, variables }
    }

    /// Renders with `data` as the dot and `values` for the variables of [`Template::parse`], in its order.
    pub fn render(&self, data: &Value, values: &[Value], env: &Env<'_>) -> Result<String, TemplateError> {
        if !self.text.contains("{{") {
            return Ok(self.text.clone());
        }
        let variables = self.variables.iter().cloned().zip(values.iter().cloned());
        exec::render(&self.root, &self.defined, data, variables, env).map_err(|e| e.locate(&self.name, &self.text))
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An error at a byte of the text, before it is given a line and a name.
#[derive(Debug)]
struct ErrorAt {
    at: usize,
    message: String,
}

impl ErrorAt {
    fn new(at: usize, message: impl Into<String>) -> Self {
        ErrorAt { at, message: message.into() }
    }

    fn locate(self, name: &str, text: &str) -> TemplateError {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        TemplateError { name: name.to_owned(), line, column, message: self.message }
    }
}
