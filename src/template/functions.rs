//! The functions of Go's `text/template`, and the table of all functions.
//!
//! Here: logic, comparison, `len`, `index`, `slice`, printing and escaping. Elsewhere: Prometheus' own (`prometheus`).
//!
//! Invariant: a function is pure but for what [`Env`] hands it.

use std::cmp::Ordering;
use std::sync::Arc;

use super::value::Value;
use super::{Env, format, prometheus};

/// One function: its name, how many arguments it takes, what it does.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments_min: usize,
    pub(super) arguments_max: usize,
    pub(super) special: Option<Special>,
    pub(super) run: fn(&Env<'_>, &[Value]) -> Result<Value, String>,
}

/// Functions that do not evaluate all of their arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    And,
    Or,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    pub(super) const fn new(
        name: &'static str,
        arguments_min: usize,
        arguments_max: usize,
        run: fn(&Env<'_>, &[Value]) -> Result<Value, String>,
    ) -> Self {
        Function { name, arguments_min, arguments_max, special: None, run }
    }

    pub(super) fn call(&self, env: &Env<'_>, arguments: &[Value]) -> Result<Value, String> {
        let given = arguments.len();
        if given < self.arguments_min || given > self.arguments_max {
            let least = if self.arguments_max > self.arguments_min { "at least " } else { "" };
            return Err(format!(
                "wrong number of args for {}: want {least}{} got {given}",
                self.name, self.arguments_min
            ));
        }
        (self.run)(env, arguments).map_err(|m| format!("error calling {}: {m}", self.name))
    }
}

pub(super) fn find(name: &str) -> Option<&'static Function> {
    GO.iter().chain(prometheus::FUNCTIONS).find(|f| f.name == name)
}

const ANY: usize = usize::MAX;

static GO: &[Function] = &[
    Function { special: Some(Special::And), ..Function::new("and", 1, ANY, |_, _| Ok(Value::Nil)) },
    Function { special: Some(Special::Or), ..Function::new("or", 1, ANY, |_, _| Ok(Value::Nil)) },
    Function::new("not", 1, 1, |_, a| Ok(Value::Bool(!a[0].is_true()))),
    Function::new("eq", 1, ANY, |_, a| equals_any(a)),
    Function::new("ne", 2, 2, |_, a| equal(&a[0], &a[1]).map(|e| Value::Bool(!e))),
    Function::new("lt", 2, 2, |_, a| ordered(a, |o| o == Ordering::Less)),
    Function::new("le", 2, 2, |_, a| ordered(a, |o| o != Ordering::Greater)),
    Function::new("gt", 2, 2, |_, a| ordered(a, |o| o == Ordering::Greater)),
    Function::new("ge", 2, 2, |_, a| ordered(a, |o| o != Ordering::Less)),
    Function::new("len", 1, 1, |_, a| length(&a[0]).map(|n| Value::Int(n as i64))),
    Function::new("index", 1, ANY, |_, a| index(a)),
    Function::new("slice", 1, 4, |_, a| slice(a)),
    Function::new("print", 0, ANY, |_, a| Ok(Value::Str(print(a)))),
    Function::new("println", 0, ANY, |_, a| {
        Ok(Value::Str(a.iter().map(format::display).collect::<Vec<_>>().join(" ") + "\n"))
    }),
    Function::new("printf", 1, ANY, |_, a| Ok(Value::Str(format::sprintf(text(&a[0])?, &a[1..])))),
    Function::new("html", 0, ANY, |_, a| Ok(Value::Str(html(&print(a))))),
    Function::new("urlquery", 0, ANY, |_, a| Ok(Value::Str(prometheus::query_escape(&print(a))))),
    Function::new("js", 0, ANY, |_, a| Ok(Value::Str(js(&print(a))))),
];

/// A string argument; Go would refuse anything else.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Str(s) => Ok(s),
        other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

fn equals_any(arguments: &[Value]) -> Result<Value, String> {
    if arguments.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &arguments[1..] {
        if equal(&arguments[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => {
            Err(format!("non-comparable type {}: {}", a.type_name(), format::display(a)))
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn ordered(arguments: &[Value], holds: impl Fn(Ordering) -> bool) -> Result<Value, String> {
    let order = match (&arguments[0], &arguments[1]) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => {
            return Err("invalid type for comparison".to_owned());
        }
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    // A NaN is neither less nor greater nor equal. (Go's ge is "not less", and so true there; its le is "less or equal".)
    Ok(Value::Bool(order.is_some_and(holds)))
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::Str(s) => Ok(s.len()),
        Value::Labels(m) => Ok(m.len()),
        Value::Map(m) => Ok(m.len()),
        Value::List(l) => Ok(l.len()),
        Value::Samples(l) => Ok(l.len()),
        Value::Nil => Err("len of nil pointer".to_owned()),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut value = arguments[0].clone();
    for key in &arguments[1..] {
        value = match (&value, key) {
            (Value::Labels(m), key) => Value::Str(m.get(text(key)?).cloned().unwrap_or_default()),
            (Value::Map(m), key) => m.get(text(key)?).cloned().unwrap_or(Value::Nil),
            (Value::List(l), Value::Int(i)) => place(*i, l.len()).map(|i| l[i].clone())?,
            (Value::Samples(l), Value::Int(i)) => place(*i, l.len()).map(|i| Value::Sample(l[i].clone()))?,
            (Value::Str(s), Value::Int(i)) => place(*i, s.len()).map(|i| Value::Int(i64::from(s.as_bytes()[i])))?,
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Value::List(_) | Value::Samples(_) | Value::Str(_), key) => {
                return Err(format!("cannot index slice/array with type {}", key.type_name()));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn place(index: i64, len: usize) -> Result<usize, String> {
    usize::try_from(index).ok().filter(|&i| i < len).ok_or_else(|| format!("index out of range: {index}"))
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let len = length(&arguments[0])?;
    let mut ends = [0, len];
    for (end, argument) in ends.iter_mut().zip(&arguments[1..]) {
        let Value::Int(n) = argument else {
            return Err(format!("cannot index slice/array with type {}", argument.type_name()));
        };
        *end = usize::try_from(*n).ok().filter(|&i| i <= len).ok_or_else(|| format!("index out of range: {n}"))?;
    }
    let [from, to] = ends;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match &arguments[0] {
        Value::Str(s) => s.get(from..to).map(Value::str).ok_or_else(|| "the slice cuts a character in two".to_owned()),
        Value::List(l) => Ok(Value::List(Arc::new(l[from..to].to_vec()))),
        Value::Samples(l) => Ok(Value::Samples(Arc::new(l[from..to].to_vec()))),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

/// Go's `Sprint`: a space between two operands when neither is a string.
fn print(arguments: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in arguments.iter().enumerate() {
        let is_text = |v: &Value| matches!(v, Value::Str(_));
        if i > 0 && !is_text(value) && !is_text(&arguments[i - 1]) {
            out.push(' ');
        }
        out.push_str(&format::display(value));
    }
    out
}

fn html(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
