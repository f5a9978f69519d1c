//! Tokens of the query language.
//!
//! Here: the kinds of token, the keyword table, and how a token is called in an error message.
//! Elsewhere: cutting text into tokens (`lexer`), what they mean together (`grammar`).

use super::quote::{quote, quote_cut};
use crate::promql::ast::{AggregateOp, BinaryOp};

/// What a token is. Keywords are recognised outside braces only, in any case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Eof,
    /// A word without a colon.
    Identifier,
    /// A word with a colon.
    MetricIdentifier,
    /// With its quotes.
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// A single `=`.
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    At,
    /// `!=` is one of these, also inside braces.
    Op(BinaryOp),
    Aggregator(AggregateOp),
    Keyword(Keyword),
}

/// Words with a meaning of their own that are neither operators nor aggregators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Offset,
    Anchored,
    Smoothed,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    /// `fill`, `fill_left`, `fill_right` before a parenthesis.
    Fill,
    Bool,
    Start,
    End,
    /// `step` and `range`.
    StepOrRange,
    /// `min_of` and `max_of`.
    MinMaxOf,
}

impl Keyword {
    /// Words that are functions where a parenthesis follows, so messages do not call them keywords.
    fn is_preprocessor(self) -> bool {
        matches!(self, Keyword::Start | Keyword::End | Keyword::StepOrRange | Keyword::MinMaxOf)
    }
}

/// The keyword of this word, if it is one; `NaN` and `Inf` are numbers.
pub(super) fn keyword(word: &str) -> Option<Kind> {
    use Keyword as K;
    let lower = word.to_ascii_lowercase();
    if let Some(op) = AggregateOp::from_name(&lower) {
        return Some(Kind::Aggregator(op));
    }
    Some(match lower.as_str() {
        "and" => Kind::Op(BinaryOp::And),
        "or" => Kind::Op(BinaryOp::Or),
        "unless" => Kind::Op(BinaryOp::Unless),
        "atan2" => Kind::Op(BinaryOp::Atan2),
        "offset" => Kind::Keyword(K::Offset),
        "anchored" => Kind::Keyword(K::Anchored),
        "smoothed" => Kind::Keyword(K::Smoothed),
        "by" => Kind::Keyword(K::By),
        "without" => Kind::Keyword(K::Without),
        "on" => Kind::Keyword(K::On),
        "ignoring" => Kind::Keyword(K::Ignoring),
        "group_left" => Kind::Keyword(K::GroupLeft),
        "group_right" => Kind::Keyword(K::GroupRight),
        "fill" | "fill_left" | "fill_right" => Kind::Keyword(K::Fill),
        "bool" => Kind::Keyword(K::Bool),
        "start" => Kind::Keyword(K::Start),
        "end" => Kind::Keyword(K::End),
        "step" | "range" => Kind::Keyword(K::StepOrRange),
        "min_of" | "max_of" => Kind::Keyword(K::MinMaxOf),
        "inf" | "nan" => Kind::Number,
        _ => return None,
    })
}

/// One token: its kind and the bytes it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Kind {
    /// May stand where a metric's name stands.
    pub(super) fn is_metric_name(self) -> bool {
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator(_) => true,
            Kind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => true,
            Kind::Keyword(k) => {
                !matches!(k, Keyword::On | Keyword::Ignoring | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Bool)
            }
            _ => false,
        }
    }

    /// May stand where a label's name stands in `by (…)` and its like.
    pub(super) fn is_grouping_label(self) -> bool {
        match self {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator(_) => true,
            Kind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => true,
            Kind::Keyword(k) => k != Keyword::Without,
            _ => false,
        }
    }
}

/// How a message calls the token whose text is `text`.
pub(super) fn describe(kind: Kind, text: &str) -> String {
    let quoted = || if text.len() > 10 { quote_cut(text, 10) + "..." } else { quote(text) };
    match kind {
        Kind::Eof => "end of input".to_owned(),
        Kind::Identifier => format!("identifier {}", quote(text)),
        Kind::MetricIdentifier => format!("metric identifier {}", quote(text)),
        Kind::String => format!("string {}", quoted()),
        Kind::Number => format!("number {}", quoted()),
        Kind::Duration => format!("duration {}", quoted()),
        Kind::Op(_) | Kind::At | Kind::EqualRegex | Kind::NotEqualRegex => format!("<op:{text}>"),
        Kind::Aggregator(_) => format!("<aggr:{text}>"),
        Kind::Keyword(k) if !k.is_preprocessor() => format!("<{text}>"),
        _ => quoted(),
    }
}
