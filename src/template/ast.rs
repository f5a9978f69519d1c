//! The tree of a parsed template.
//!
//! Here: nodes, pipelines and operands, each with the byte where it began. Elsewhere: how it is built (`parse`) and run (`exec`).
//!
//! Invariant: every variable and every function in the tree exists; nesting is at most `DEPTH_MAX`.

use super::functions::Function;
use super::value::Value;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If { condition: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    With { subject: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { subject: Pipe, body: Vec<Node>, otherwise: Vec<Node> },
    Template { at: usize, name: String, argument: Option<Pipe> },
    Break,
    Continue,
}

/// `$a, $b := command | command`
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) at: usize,
    pub(super) variables: Vec<String>,
    /// `=` rather than `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// Operands side by side: a function or method with its arguments, or one value.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) kind: OperandKind,
    /// `.A.B` behind it.
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Variable(String),
    Constant(Value),
    Function(&'static Function),
    Pipe(Pipe),
}
