//! The tree of a parsed query.
//!
//! Here: the nodes and the types of their values. Elsewhere: how they come about (`parse`), how they print (`print`),
//! what they mean (`eval`).
//!
//! Invariant: a tree that the parser hands out is type-checked and no higher than [`HEIGHT_MAX`], so that walking it
//! recursively is safe.

use storage::Matcher;

use super::duration::DurationExpr;
use super::functions::Function;

/// Deepest nesting of a query. Real ones stay under 20; what is deeper is refused rather than risking the stack.
pub const HEIGHT_MAX: usize = 200;

/// Bytes of the query text that a node covers, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// First byte after.
    pub end: usize,
}

impl Span {
    /// From the start of `self` to the end of `last`.
    pub fn to(self, last: Span) -> Span {
        Span { start: self.start, end: last.end }
    }
}

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number for each step.
    Scalar,
    /// A text.
    String,
    /// At most one sample of each series for each step.
    Vector,
    /// A run of samples of each series.
    Matrix,
}

impl ValueType {
    /// As in messages: `instant vector`.
    pub fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        }
    }

    /// As in the API: `vector`.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
        }
    }
}

/// A node with its place in the text.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// `1.5`, or `5m` (seconds).
    Number(NumberLiteral),
    /// `"text"`
    String(String),
    /// `(…)`
    Paren(Box<Expr>),
    /// `-…` or `+…`
    Unary(Box<UnaryExpr>),
    /// `… + …`
    Binary(Box<BinaryExpr>),
    /// `sum by (…) (…)`
    Aggregate(Box<AggregateExpr>),
    /// `rate(…)`
    Call(Box<Call>),
    /// `up{job="x"}`
    Selector(Box<VectorSelector>),
    /// `up[5m]`
    Matrix(Box<MatrixSelector>),
    /// `…[5m:1m]`
    Subquery(Box<SubqueryExpr>),
}

/// A number as it was written.
#[derive(Debug, Clone, Copy)]
pub struct NumberLiteral {
    /// Its value; seconds if it is a duration.
    pub value: f64,
    /// True if it was written as a duration.
    pub is_duration: bool,
}

/// A sign before an expression.
#[derive(Debug, Clone)]
pub struct UnaryExpr {
    /// `-` rather than `+`.
    pub is_minus: bool,
    /// What it stands before.
    pub expr: Expr,
}

/// An operator between two expressions.
#[derive(Debug, Clone)]
pub struct BinaryExpr {
    /// The operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// `bool` after a comparison.
    pub return_bool: bool,
    /// How series of the two sides find each other; `None` unless both sides are vectors.
    pub matching: Option<VectorMatching>,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    /// `</`: what a native histogram holds below a value.
    TrimUpper,
    /// `>/`: what it holds above.
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// `==`, `<` and their like.
    pub fn is_comparison(self) -> bool {
        use BinaryOp as B;
        matches!(self, B::Equal | B::NotEqual | B::Greater | B::Less | B::GreaterEqual | B::LessEqual)
    }

    /// `</` and `>/`.
    pub fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// Whether a result is still what the metric's name says: `bool` apart.
    pub fn keeps_name(self) -> bool {
        self.is_comparison() || self.is_set() || self.is_trim()
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Greater => ">",
            BinaryOp::Less => "<",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::LessEqual => "<=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }
}

/// How many series of one side may meet one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// The default.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// `on`, `ignoring`, `group_left`, `group_right`, `fill`.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatching {
    /// Who may be many.
    pub card: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// Labels that `group_left` or `group_right` copies from the one side.
    pub include: Vec<String>,
    /// What stands in for a series that finds none on the other side.
    pub fill: Fill,
}

/// `fill`, `fill_left`, `fill_right`. With `group_right` the sides are exchanged, as in Prometheus: the left value
/// always stands in for the many side.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fill {
    /// Instead of a series of the left side.
    pub left: Option<f64>,
    /// Instead of a series of the right side.
    pub right: Option<f64>,
}

impl Fill {
    /// Whether any side is filled.
    pub fn is_some(self) -> bool {
        self.left.is_some() || self.right.is_some()
    }
}

/// An aggregation.
#[derive(Debug, Clone)]
pub struct AggregateExpr {
    /// Which one.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// `k` of topk, `q` of quantile, the label of count_values.
    pub param: Option<Expr>,
    /// The labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// `without` rather than `by`.
    pub without: bool,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    const ALL: [(AggregateOp, &'static str); 14] = [
        (AggregateOp::Sum, "sum"),
        (AggregateOp::Avg, "avg"),
        (AggregateOp::Count, "count"),
        (AggregateOp::Min, "min"),
        (AggregateOp::Max, "max"),
        (AggregateOp::Group, "group"),
        (AggregateOp::Stddev, "stddev"),
        (AggregateOp::Stdvar, "stdvar"),
        (AggregateOp::Topk, "topk"),
        (AggregateOp::Bottomk, "bottomk"),
        (AggregateOp::CountValues, "count_values"),
        (AggregateOp::Quantile, "quantile"),
        (AggregateOp::Limitk, "limitk"),
        (AggregateOp::LimitRatio, "limit_ratio"),
    ];

    /// The operator of this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(op, _)| *op)
    }

    /// As written.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }

    /// Only with `--enable-feature=promql-experimental-functions`.
    pub fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }

    /// The type of the argument before the aggregated expression, if there is one.
    pub fn param_type(self) -> Option<ValueType> {
        match self {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Quantile => Some(ValueType::Scalar),
            AggregateOp::Limitk | AggregateOp::LimitRatio => Some(ValueType::Scalar),
            AggregateOp::CountValues => Some(ValueType::String),
            _ => None,
        }
    }
}

/// A function call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Its arguments, checked by number and type.
    pub args: Vec<Expr>,
}

/// The time of `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the epoch.
    Time(i64),
    /// `start()`: of the whole query, also inside a subquery.
    Start,
    /// `end()`
    End,
}

/// What a selector makes of the samples around the ends of its window, or around the time it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// The value at each end is that of the newest sample before it.
    Anchored,
    /// The value at each end lies on the line between its neighbours.
    Smoothed,
}

impl Extension {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Extension::Anchored => "anchored",
            Extension::Smoothed => "smoothed",
        }
    }
}

/// Series by name and labels.
#[derive(Debug, Clone)]
pub struct VectorSelector {
    /// The name before the braces, empty if there is none.
    pub name: String,
    /// All conditions; that of `name` is the last.
    pub matchers: Vec<Matcher>,
    /// `offset`, applied after `@`.
    pub offset_ms: i64,
    /// The offset where it is computed; `offset_ms` is then set before evaluation.
    pub offset_expr: Option<DurationExpr>,
    /// `@`
    pub at: Option<At>,
    /// `anchored` or `smoothed`.
    pub extension: Option<Extension>,
}

/// Series with their samples in a window.
#[derive(Debug, Clone)]
pub struct MatrixSelector {
    /// The series.
    pub selector: VectorSelector,
    /// The selector's own place, without the brackets.
    pub selector_span: Span,
    /// Length of the window `(t - range, t]`.
    pub range_ms: i64,
    /// The length where it is computed; `range_ms` is then set before evaluation.
    pub range_expr: Option<DurationExpr>,
}

/// An expression evaluated at several times.
#[derive(Debug, Clone)]
pub struct SubqueryExpr {
    /// The expression.
    pub expr: Expr,
    /// Length of the window `(t - range, t]`.
    pub range_ms: i64,
    /// The length where it is computed; `range_ms` is then set before evaluation.
    pub range_expr: Option<DurationExpr>,
    /// Distance of evaluations, `None` for the engine's default.
    pub step_ms: Option<i64>,
    /// The distance where it is computed.
    pub step_expr: Option<DurationExpr>,
    /// `offset`, applied after `@`.
    pub offset_ms: i64,
    /// The offset where it is computed.
    pub offset_expr: Option<DurationExpr>,
    /// `@`
    pub at: Option<At>,
}

impl Expr {
    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Unary(unary) => unary.expr.value_type(),
            ExprKind::Binary(b) => match (b.lhs.value_type(), b.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            ExprKind::Aggregate(_) | ExprKind::Selector(_) => ValueType::Vector,
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
        }
    }

    /// The expression inside any parentheses.
    pub fn unwrap_parens(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// Its direct parts, in the order of the text.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => Vec::new(),
            ExprKind::Paren(inner) => vec![inner],
            ExprKind::Unary(unary) => vec![&unary.expr],
            ExprKind::Binary(b) => vec![&b.lhs, &b.rhs],
            ExprKind::Aggregate(a) => a.param.iter().chain([&a.expr]).collect(),
            ExprKind::Call(call) => call.args.iter().collect(),
            ExprKind::Subquery(s) => vec![&s.expr],
        }
    }

    /// Visits every selector, those of range selectors included.
    pub fn for_each_selector<'a>(&'a self, visit: &mut dyn FnMut(&'a VectorSelector)) {
        match &self.kind {
            ExprKind::Selector(selector) => visit(selector),
            ExprKind::Matrix(matrix) => visit(&matrix.selector),
            _ => self.children().into_iter().for_each(|child| child.for_each_selector(visit)),
        }
    }
}
