//! What flows through a template's pipelines.
//!
//! Here: [`Value`], its truth, its Go type name. Elsewhere: printing (`format`), fields and methods (`exec`).
//!
//! Invariant: a value is cheap to clone and never refers to itself.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A Go value as far as templates can tell.
#[derive(Debug, Clone)]
pub enum Value {
    /// `nil`
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    Str(String),
    /// `map[string]string`: a missing key reads as the empty string.
    Labels(Arc<BTreeMap<String, String>>),
    /// `map[string]any`: a missing key reads as nil.
    Map(Arc<BTreeMap<String, Value>>),
    /// A slice.
    List(Arc<Vec<Value>>),
    /// The answer of the function `query`.
    Samples(Arc<Vec<Arc<QuerySample>>>),
    /// One of its elements, with the fields `Labels` and `Value`.
    Sample(Arc<QuerySample>),
    /// A struct: an unknown field is an error.
    Struct(Arc<Vec<(&'static str, Value)>>),
    /// `time.Time` in UTC, milliseconds since the epoch.
    Time(i64),
    /// `time.Duration`, nanoseconds.
    Duration(i64),
}

/// One series of an instant query, as `query` gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySample {
    /// `Labels`
    pub labels: Arc<BTreeMap<String, String>>,
    /// `Value`
    pub value: f64,
}

impl Value {
    /// A string value.
    pub fn str(s: impl Into<String>) -> Self {
        Value::Str(s.into())
    }

    /// A `map[string]string`.
    pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Value::Labels(Arc::new(pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()))
    }

    /// What `if` makes of it: zero and empty are false, a struct is always true.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Duration(n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Labels(m) => !m.is_empty(),
            Value::Map(m) => !m.is_empty(),
            Value::List(l) => !l.is_empty(),
            Value::Samples(l) => !l.is_empty(),
            Value::Sample(_) | Value::Struct(_) | Value::Time(_) => true,
        }
    }

    /// The type's name in Go, for errors.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Labels(_) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::List(_) => "[]interface {}",
            Value::Samples(_) => "template.queryResult",
            Value::Sample(_) => "*template.sample",
            Value::Struct(_) => "struct",
            Value::Time(_) => "*time.Time",
            Value::Duration(_) => "time.Duration",
        }
    }
}
