//! Tree and data to text.
//!
//! Here: control flow, scopes, fields and methods. Elsewhere: the functions (`functions`, `prometheus`), printing (`format`).
//!
//! Invariant: every visited node counts against `STEPS_MAX`, every level against `DEPTH_MAX`, every byte against `OUTPUT_BYTES_MAX`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::ast::{Command, Node, Operand, OperandKind, Pipe};
use super::functions::Special;
use super::value::Value;
use super::{DEPTH_MAX, Env, ErrorAt, OUTPUT_BYTES_MAX, STEPS_MAX, format};

pub(super) fn render(
    root: &[Node],
    defined: &HashMap<String, Vec<Node>>,
    data: &Value,
    variables: impl Iterator<Item = (String, Value)>,
    env: &Env<'_>,
) -> Result<String, ErrorAt> {
    let variables = std::iter::once(("$".to_owned(), data.clone())).chain(variables).collect();
    let mut run = Run { defined, env, variables, out: String::new(), steps: 0, depth: 0 };
    run.walk(root, data)?;
    Ok(run.out)
}

struct Run<'a> {
    defined: &'a HashMap<String, Vec<Node>>,
    env: &'a Env<'a>,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    depth: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Run<'_> {
    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, ErrorAt> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::On => {}
                leave => return Ok(leave),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, ErrorAt> {
        match node {
            Node::Text(text) => self.write(0, text)?,
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.write(pipe.at, &format::printed(&value))?;
                }
            }
            Node::If { condition, then, otherwise } => {
                return self.scoped(condition.at, |run| {
                    let value = run.pipe(condition, dot)?;
                    run.walk(if value.is_true() { then } else { otherwise }, dot)
                });
            }
            Node::With { subject, then, otherwise } => {
                return self.scoped(subject.at, |run| {
                    let value = run.pipe(subject, dot)?;
                    if value.is_true() { run.walk(then, &value) } else { run.walk(otherwise, dot) }
                });
            }
            Node::Range { subject, body, otherwise } => {
                return self.scoped(subject.at, |run| run.range(subject, body, otherwise, dot));
            }
            Node::Template { at, name, argument } => self.call_template(*at, name, argument.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, at: usize, text: &str) -> Result<(), ErrorAt> {
        self.step(at)?;
        if self.out.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(ErrorAt::new(at, format!("the text would be longer than {OUTPUT_BYTES_MAX} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn step(&mut self, at: usize) -> Result<(), ErrorAt> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(ErrorAt::new(at, format!("stopped after {STEPS_MAX} steps")));
        }
        Ok(())
    }

    /// Runs one level deeper; variables declared there end there.
    fn scoped<T>(&mut self, at: usize, inner: impl FnOnce(&mut Self) -> Result<T, ErrorAt>) -> Result<T, ErrorAt> {
        self.step(at)?;
        if self.depth >= DEPTH_MAX {
            return Err(ErrorAt::new(at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let scope = self.variables.len();
        let result = inner(self);
        self.variables.truncate(scope);
        self.depth -= 1;
        result
    }

    fn range(&mut self, subject: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, ErrorAt> {
        let value = self.commands(subject, dot)?;
        let items = items(&value).map_err(|m| ErrorAt::new(subject.at, m))?;
        if items.is_empty() {
            return self.walk(otherwise, dot);
        }
        for (key, item) in items {
            let scope = self.variables.len();
            let given = match subject.variables.len() {
                0 => vec![],
                1 => vec![item.clone()],
                _ => vec![key, item.clone()],
            };
            for (name, value) in subject.variables.iter().zip(given) {
                self.bind(name, value, subject.assigns);
            }
            self.step(subject.at)?;
            let flow = self.walk(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn call_template(&mut self, at: usize, name: &str, argument: Option<&Pipe>, dot: &Value) -> Result<(), ErrorAt> {
        let data = match argument {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        let defined = self.defined;
        let Some(nodes) = defined.get(name) else {
            return Err(ErrorAt::new(at, format!("template {name:?} not defined")));
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let result = self.scoped(at, |run| run.walk(nodes, &data));
        self.variables = outer;
        result.map(|_| ())
    }

    fn bind(&mut self, name: &str, value: Value, assigns: bool) {
        match self.variables.iter_mut().rev().find(|(n, _)| assigns && n == name) {
            Some((_, slot)) => *slot = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ErrorAt> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.bind(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ErrorAt> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    /// One command; `piped` is the value before its `|` and becomes the last argument.
    fn command(&mut self, command: &Command, piped: Option<Value>, dot: &Value) -> Result<Value, ErrorAt> {
        let (first, rest) = command.operands.split_first().expect("the parser refuses empty commands");
        self.step(first.at)?;
        if let (OperandKind::Function(function), true) = (&first.kind, first.fields.is_empty()) {
            if let Some(special) = function.special {
                return self.short_circuit(special, rest, piped, dot);
            }
            let arguments = self.arguments(rest, piped, dot)?;
            return function.call(self.env, &arguments).map_err(|m| ErrorAt::new(first.at, m));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(ErrorAt::new(first.at, "nil is not a command"));
        }
        let arguments = self.arguments(rest, piped, dot)?;
        let Some((last, path)) = first.fields.split_last() else {
            return match arguments.is_empty() {
                true => self.base(first, dot),
                false => Err(ErrorAt::new(first.at, "can't give argument to non-function")),
            };
        };
        let mut value = self.base(first, dot)?;
        for name in path {
            value = member(&value, name, &[]).map_err(|m| ErrorAt::new(first.at, m))?;
        }
        member(&value, last, &arguments).map_err(|m| ErrorAt::new(first.at, m))
    }

    fn arguments(&mut self, operands: &[Operand], piped: Option<Value>, dot: &Value) -> Result<Vec<Value>, ErrorAt> {
        let mut arguments = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        Ok(arguments)
    }

    /// `and` and `or` evaluate no further than they must.
    fn short_circuit(
        &mut self,
        special: Special,
        rest: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, ErrorAt> {
        let stop_at = special == Special::Or;
        let mut value = None;
        for operand in rest {
            let v = self.operand(operand, dot)?;
            let done = v.is_true() == stop_at;
            value = Some(v);
            if done {
                return Ok(value.unwrap_or(Value::Nil));
            }
        }
        let at = rest.first().map_or(0, |o| o.at);
        piped.or(value).ok_or_else(|| ErrorAt::new(at, "wrong number of args for and/or: want at least 1 got 0"))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, ErrorAt> {
        let mut value = self.base(operand, dot)?;
        for name in &operand.fields {
            value = member(&value, name, &[]).map_err(|m| ErrorAt::new(operand.at, m))?;
        }
        Ok(value)
    }

    fn base(&mut self, operand: &Operand, dot: &Value) -> Result<Value, ErrorAt> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Constant(value) => Ok(value.clone()),
            OperandKind::Variable(name) => match self.variables.iter().rev().find(|(n, _)| n == name) {
                Some((_, value)) => Ok(value.clone()),
                None => Err(ErrorAt::new(operand.at, format!("undefined variable {name:?}"))),
            },
            OperandKind::Function(function) => function.call(self.env, &[]).map_err(|m| ErrorAt::new(operand.at, m)),
            OperandKind::Pipe(pipe) => self.scoped(operand.at, |run| run.commands(pipe, dot)),
        }
    }
}

/// Keys and elements, in the order of Go's `range`.
fn items(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    fn indexed(values: impl Iterator<Item = Value>) -> Vec<(Value, Value)> {
        values.enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect()
    }
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(l) => Ok(indexed(l.iter().cloned())),
        Value::Samples(l) => Ok(indexed(l.iter().cloned().map(Value::Sample))),
        Value::Labels(m) => Ok(m.iter().map(|(k, v)| (Value::str(k), Value::str(v))).collect()),
        Value::Map(m) => Ok(m.iter().map(|(k, v)| (Value::str(k), v.clone())).collect()),
        Value::Int(n) if *n <= STEPS_MAX as i64 => Ok((0..*n).map(|i| (Value::Int(i), Value::Int(i))).collect()),
        other => Err(format!("range can't iterate over {}", format::printed(other))),
    }
}

/// `.name` of a value, or its method `name`.
fn member(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    if let Value::Time(t) = value {
        return time_method(*t, name, arguments);
    }
    let found = match value {
        Value::Labels(m) => Value::Str(m.get(name).cloned().unwrap_or_default()),
        Value::Map(m) => m.get(name).cloned().unwrap_or(Value::Nil),
        Value::Sample(s) if name == "Labels" => Value::Labels(Arc::clone(&s.labels)),
        Value::Sample(s) if name == "Value" => Value::Float(s.value),
        Value::Struct(fields) => match fields.iter().find(|(n, _)| *n == name) {
            Some((_, v)) => v.clone(),
            None => return Err(format!("can't evaluate field {name} in type struct")),
        },
        Value::Nil => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
        other => return Err(format!("can't evaluate field {name} in type {}", other.type_name())),
    };
    match arguments.is_empty() {
        true => Ok(found),
        false => Err(format!("{name} is not a method but has arguments")),
    }
}

fn time_method(t: i64, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("Format", [Value::Str(layout)]) => Ok(Value::Str(format::time_layout(t, layout))),
        ("Unix", []) => Ok(Value::Int(t.div_euclid(1000))),
        ("UnixMilli", []) => Ok(Value::Int(t)),
        ("UTC", []) => Ok(Value::Time(t)),
        ("String", []) => Ok(Value::Str(format::printed(&Value::Time(t)))),
        ("Year" | "Month" | "Day" | "Hour" | "Minute" | "Second" | "Weekday", []) => {
            let text = format::time_layout(
                t,
                match name {
                    "Year" => "2006",
                    "Month" => return Ok(Value::Str(format::time_layout(t, "January"))),
                    "Weekday" => return Ok(Value::Str(format::time_layout(t, "Monday"))),
                    "Day" => "2",
                    "Hour" => "15",
                    "Minute" => "4",
                    _ => "5",
                },
            );
            text.parse().map(Value::Int).map_err(|_| format!("the time {text} is out of range"))
        }
        _ => Err(format!("can't evaluate {name} of *time.Time with {} arguments", arguments.len())),
    }
}

/// A map for `args`.
pub(super) fn numbered(arguments: &[Value]) -> Value {
    let map: BTreeMap<String, Value> =
        arguments.iter().enumerate().map(|(i, v)| (format!("arg{i}"), v.clone())).collect();
    Value::Map(Arc::new(map))
}
