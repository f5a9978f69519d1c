//! PromQL: text to values.
//!
//! Here: the parser, the planner and the columnar evaluator; the functions, one family per file.
//! Elsewhere: where samples come from (`storage`, reached through [`Source`]), who may ask (the server), JSON (`api`).
//!
//! Invariant: the meaning is Prometheus'; evaluation time is a parameter, no clock is read.

pub mod ast;
#[cfg(test)]
mod conformance;
pub mod duration;
mod engine;
mod eval;
pub mod functions;
pub mod histogram;
mod numbers;
mod parse;
mod plan;
mod pretty;
mod print;
mod source;
mod types;

pub use engine::Engine;
pub use numbers::{QueryNumbers, Samples, Used};
pub use parse::{ParseError, ParseOptions, QUERY_BYTES_MAX, parse, parse_selector, parse_with};
pub use plan::{Plan, Reads, plan};
pub use pretty::layout;
pub(crate) use print::float_text;
pub use source::{SeriesReader, Source, SourceError, SourceSeries};
pub use types::{EngineOptions, MatrixSeries, QueryControl, QueryError, QueryResult, Value, VectorSample};
