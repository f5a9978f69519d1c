//! Tokens to a tree: precedence climbing over binary operators, recursive descent for the rest.
//!
//! Here: expressions, modifiers, calls, aggregations, and where "unexpected …" messages get their context from.
//! Elsewhere: selectors, ranges, `offset` and `@` (`selector`), types (`check`).
//!
//! Invariant: nesting is counted; past [`DEPTH_MAX`] the query is refused, so the stack is bounded.

use super::ParseOptions;
use super::lexer::Lexer;
use super::literal::{parse_duration_ms, parse_number};
use super::quote::{quote, unquote};
use super::token::{Keyword, Kind, Token, describe};
use crate::promql::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Cardinality, Expr, ExprKind, Fill, HEIGHT_MAX,
    NumberLiteral, Span, UnaryExpr, VectorMatching,
};
use crate::promql::functions::Function;

/// An error before it knows its line and column.
pub(super) type Fault = (Span, String);
pub(super) type Parsed<T> = Result<T, Fault>;

/// A parsed node with the height of its tree.
pub(super) type Tall = (Expr, usize);

pub(super) struct Parser<'a> {
    pub(super) input: &'a str,
    lexer: Lexer<'a>,
    /// The token that comes next; an error of the lexer is kept until someone wants that token.
    ahead: Option<Parsed<Token>>,
    /// End of the last token that can close an expression; where selectors and calls end.
    pub(super) last_closing: usize,
    pub(super) options: ParseOptions,
    pub(super) depth: usize,
    /// How many aggregations are open: messages about what went wrong inside say so.
    open_aggregations: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a str, options: ParseOptions) -> Self {
        let lexer = Lexer::new(input);
        Parser { input, lexer, ahead: None, last_closing: 0, options, depth: 0, open_aggregations: 0 }
    }

    /// The whole text as one expression.
    pub(super) fn query(mut self) -> Parsed<Expr> {
        if self.peek()?.kind == Kind::Eof {
            return Err((Span::default(), "no expression found in input".to_owned()));
        }
        let (expr, _) = self.expression(0)?;
        match self.peek()?.kind {
            Kind::Eof => Ok(expr),
            _ => self.unexpected("", ""),
        }
    }

    // --- tokens

    pub(super) fn peek(&mut self) -> Parsed<Token> {
        if self.ahead.is_none() {
            let end = self.input.len();
            let token = self.lexer.next_token().map_err(|(start, message)| (Span { start, end }, message));
            self.ahead = Some(token);
        }
        self.ahead.clone().unwrap_or_else(|| Err((Span::default(), "unexpected end of input".to_owned())))
    }

    pub(super) fn next(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        if token.kind != Kind::Eof {
            self.ahead = None;
        }
        if matches!(
            token.kind,
            Kind::RightBrace | Kind::RightParen | Kind::RightBracket | Kind::Duration | Kind::Number
        ) {
            self.last_closing = token.end;
        }
        Ok(token)
    }

    pub(super) fn accept(&mut self, kind: Kind) -> Parsed<Option<Token>> {
        if self.peek()?.kind == kind { self.next().map(Some) } else { Ok(None) }
    }

    pub(super) fn text(&self, token: Token) -> &'a str {
        self.input.get(token.start..token.end).unwrap_or("")
    }

    /// Refuses the next token. Inside an aggregation a message without context of its own names that.
    pub(super) fn unexpected<T>(&mut self, context: &str, expected: &str) -> Parsed<T> {
        let token = self.peek()?;
        let mut message = format!("unexpected {}", describe(token.kind, self.text(token)));
        let context = if context.is_empty() && self.open_aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        Err((token.span(), message))
    }

    fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        match self.accept(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected("", ""),
        }
    }

    // --- expressions

    /// An expression whose binary operators all bind at least as strongly as `binding_min`.
    fn expression(&mut self, binding_min: u8) -> Parsed<Tall> {
        let token = self.peek()?;
        check_depth(self.depth, token.span())?;
        self.depth += 1;
        let result = self.operators(binding_min);
        self.depth -= 1;
        result
    }

    fn operators(&mut self, binding_min: u8) -> Parsed<Tall> {
        let (mut lhs, mut height) = self.operand()?;
        loop {
            let token = self.peek()?;
            let op = match token.kind {
                Kind::Op(op) if binding(op) >= binding_min => op,
                _ => return Ok((lhs, height)),
            };
            self.next()?;
            let (return_bool, matching) = self.modifiers()?;
            // `^` alone binds to the right.
            let next_min = if op == BinaryOp::Pow { binding(op) } else { binding(op) + 1 };
            let (rhs, rhs_height) = self.expression(next_min)?;
            height = height.max(rhs_height) + 1;
            let span = lhs.span.to(rhs.span);
            check_height(height, span)?;
            if matching.fill.is_some() && !self.options.binop_fill_modifiers {
                return Err((span, "binop fill modifiers are experimental and not enabled".to_owned()));
            }
            let binary = BinaryExpr { op, lhs, rhs, return_bool, matching: Some(matching) };
            lhs = Expr { kind: ExprKind::Binary(Box::new(binary)), span };
        }
    }

    /// A sign with its operand, or a primary with its modifiers.
    fn operand(&mut self) -> Parsed<Tall> {
        let token = self.peek()?;
        let is_minus = match token.kind {
            Kind::Op(BinaryOp::Sub) => true,
            Kind::Op(BinaryOp::Add) => false,
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        self.next()?;
        // A sign binds like `*`: `-1 ^ 2` is -(1 ^ 2).
        let (expr, height) = self.expression(binding(BinaryOp::Mul) + 1)?;
        let span = token.span().to(expr.span);
        check_height(height + 1, span)?;
        Ok((negated(expr, is_minus, span), height + 1))
    }

    fn primary(&mut self) -> Parsed<Tall> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => {
                let number = self.number()?;
                Ok((Expr { kind: ExprKind::Number(number), span: token.span() }, 1))
            }
            Kind::String => {
                self.next()?;
                let text = self.unquoted(token)?;
                Ok((Expr { kind: ExprKind::String(text), span: token.span() }, 1))
            }
            Kind::LeftParen => self.parenthesized(),
            Kind::LeftBrace => Ok((self.selector(None)?, 1)),
            kind if kind.is_metric_name() => self.named(),
            _ => self.unexpected("", ""),
        }
    }

    fn parenthesized(&mut self) -> Parsed<Tall> {
        let open = self.next()?;
        let (inner, height) = self.expression(0)?;
        let close = self.expect(Kind::RightParen)?;
        let span = open.span().to(close.span());
        check_height(height + 1, span)?;
        Ok((Expr { kind: ExprKind::Paren(Box::new(inner)), span }, height + 1))
    }

    /// What begins with a word: an aggregation, a call or a selector; the token after the word decides.
    fn named(&mut self) -> Parsed<Tall> {
        let word = self.next()?;
        let after = self.peek()?.kind;
        let modifier_follows = matches!(after, Kind::Keyword(Keyword::By | Keyword::Without));
        match word.kind {
            Kind::Aggregator(op) if after == Kind::LeftParen || modifier_follows => self.aggregation(word, op),
            Kind::Identifier
            | Kind::Keyword(Keyword::Start | Keyword::End | Keyword::StepOrRange | Keyword::MinMaxOf)
                if after == Kind::LeftParen =>
            {
                self.call(word)
            }
            _ => Ok((self.selector(Some(word))?, 1)),
        }
    }

    pub(super) fn number(&mut self) -> Parsed<NumberLiteral> {
        let token = self.next()?;
        let text = self.text(token);
        let fault = |message| (token.span(), message);
        match token.kind {
            Kind::Duration => {
                let ms = parse_duration_ms(text).map_err(fault)?;
                Ok(NumberLiteral { value: ms as f64 / 1000.0, is_duration: true })
            }
            _ => Ok(NumberLiteral { value: parse_number(text).map_err(fault)?, is_duration: false }),
        }
    }

    pub(super) fn unquoted(&self, token: Token) -> Parsed<String> {
        let text = self.text(token);
        unquote(text).ok_or_else(|| (token.span(), format!("error unquoting string {}: invalid syntax", quote(text))))
    }

    // --- calls and aggregations

    fn call(&mut self, word: Token) -> Parsed<Tall> {
        let (args, height) = self.arguments()?;
        let name = self.text(word);
        let refuse = |message: String| Err((word.span(), message));
        let function = match Function::find(name) {
            Some(function) if !function.experimental || self.options.experimental_functions => function,
            None => return refuse(format!("unknown function with name {}", quote(name))),
            Some(_) => return refuse(format!("function {} is not enabled", quote(name))),
        };
        let span = Span { start: word.start, end: self.last_closing };
        check_height(height + 1, span)?;
        Ok((Expr { kind: ExprKind::Call(Box::new(Call { function, args })), span }, height + 1))
    }

    fn arguments(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(Kind::LeftParen)?;
        let (mut args, mut height_max) = (Vec::new(), 0);
        if self.accept(Kind::RightParen)?.is_some() {
            return Ok((args, height_max));
        }
        loop {
            let (arg, height) = self.expression(0)?;
            args.push(arg);
            height_max = height_max.max(height);
            match self.accept(Kind::Comma)? {
                None => break,
                Some(comma) if self.peek()?.kind == Kind::RightParen => {
                    return Err((comma.span(), "trailing commas not allowed in function call args".to_owned()));
                }
                Some(_) => {}
            }
        }
        self.expect(Kind::RightParen)?;
        Ok((args, height_max))
    }

    fn aggregation(&mut self, word: Token, op: AggregateOp) -> Parsed<Tall> {
        self.open_aggregations += 1;
        let mut grouping = self.grouping()?;
        let (mut args, height) = self.arguments()?;
        self.open_aggregations -= 1;
        let mut span = Span { start: word.start, end: self.last_closing };
        if grouping.is_none() {
            grouping = self.grouping()?;
            span.end = self.last_closing;
        }
        let (without, grouping) = grouping.unwrap_or_default();
        check_height(height + 1, span)?;
        let expected = 1 + usize::from(op.param_type().is_some());
        if args.is_empty() {
            return Err((span, "no arguments for aggregate expression provided".to_owned()));
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let rule = "is experimental and must be enabled with --enable-feature=promql-experimental-functions";
            return Err((span, format!("{}() {rule}", op.as_str())));
        }
        if args.len() != expected {
            let found = args.len();
            let what = "wrong number of arguments for aggregate expression provided";
            return Err((span, format!("{what}, expected {expected}, got {found}")));
        }
        let expr = args.remove(expected - 1);
        let aggregate = AggregateExpr { op, expr, param: args.pop(), grouping, without };
        Ok((Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span }, height + 1))
    }

    /// `by (…)` or `without (…)`, if it is there: whether it is `without`, and the labels.
    fn grouping(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.peek()?.kind {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.next()?;
        Ok(Some((without, self.grouping_labels()?)))
    }

    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        if self.accept(Kind::LeftParen)?.is_none() {
            return self.unexpected("grouping opts", "\"(\"");
        }
        let mut labels = Vec::new();
        while self.accept(Kind::RightParen)?.is_none() {
            let token = self.peek()?;
            let label = match token.kind {
                Kind::String => self.unquoted(token)?,
                kind if kind.is_grouping_label() => self.text(token).to_owned(),
                _ => return self.unexpected("grouping opts", "label"),
            };
            // Any other UTF-8 text names a label.
            if label.is_empty() {
                return Err((token.span(), format!("invalid label name for grouping: {}", quote(&label))));
            }
            self.next()?;
            labels.push(label);
            if self.accept(Kind::Comma)?.is_none() && self.peek()?.kind != Kind::RightParen {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(labels)
    }

    /// What may stand between a binary operator and its right side.
    fn modifiers(&mut self) -> Parsed<(bool, VectorMatching)> {
        let return_bool = self.accept(Kind::Keyword(Keyword::Bool))?.is_some();
        let mut matching = self.matching()?;
        matching.fill = self.fill()?;
        Ok((return_bool, matching))
    }

    fn matching(&mut self) -> Parsed<VectorMatching> {
        let card = Cardinality::OneToOne;
        let mut matching =
            VectorMatching { card, labels: Vec::new(), on: false, include: Vec::new(), fill: Fill::default() };
        matching.on = match self.peek()?.kind {
            Kind::Keyword(Keyword::On) => true,
            Kind::Keyword(Keyword::Ignoring) => false,
            _ => return Ok(matching),
        };
        self.next()?;
        matching.labels = self.grouping_labels()?;
        matching.card = match self.peek()?.kind {
            Kind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            Kind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok(matching),
        };
        self.next()?;
        if self.peek()?.kind == Kind::LeftParen {
            matching.include = self.grouping_labels()?;
        }
        Ok(matching)
    }

    /// `fill(…)`, or one or both of `fill_left(…)` and `fill_right(…)`.
    fn fill(&mut self) -> Parsed<Fill> {
        let Some(first) = self.accept(Kind::Keyword(Keyword::Fill))? else { return Ok(Fill::default()) };
        let name = self.text(first).to_ascii_lowercase();
        let value = Some(self.fill_value()?);
        if name == "fill" {
            return Ok(Fill { left: value, right: value });
        }
        let is_left = name == "fill_left";
        let second = self.peek()?;
        let other = match self.text(second).to_ascii_lowercase().as_str() {
            "fill_left" if second.kind == Kind::Keyword(Keyword::Fill) && !is_left => true,
            "fill_right" if second.kind == Kind::Keyword(Keyword::Fill) && is_left => true,
            _ => false,
        };
        let other = if other { self.next().and_then(|_| self.fill_value()).map(Some)? } else { None };
        Ok(if is_left { Fill { left: value, right: other } } else { Fill { left: other, right: value } })
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Kind::LeftParen)?;
        let sign = match self.peek()?.kind {
            Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => self.next().map(|_| op)?,
            _ => BinaryOp::Add,
        };
        if !matches!(self.peek()?.kind, Kind::Number | Kind::Duration) {
            return self.unexpected("", "");
        }
        let value = self.number()?.value;
        self.expect(Kind::RightParen)?;
        Ok(if sign == BinaryOp::Sub { -value } else { value })
    }
}

impl Token {
    pub(super) fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// Deepest recursion of the parser. Lower than the tree's height, which also counts long chains of operators: a debug
/// build spends some 10 KiB of stack on one level here.
const DEPTH_MAX: usize = 100;

pub(super) fn check_depth(depth: usize, span: Span) -> Parsed<()> {
    if depth < DEPTH_MAX {
        return Ok(());
    }
    Err((span, format!("expression is nested too deeply, more than {DEPTH_MAX} levels")))
}

pub(super) fn check_height(height: usize, span: Span) -> Parsed<()> {
    if height <= HEIGHT_MAX {
        return Ok(());
    }
    Err((span, format!("expression is nested too deeply, more than {HEIGHT_MAX} levels")))
}

/// How strongly an operator binds.
pub(super) fn binding(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::TrimUpper | BinaryOp::TrimLower => 3,
        op if op.is_comparison() => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Pow => 6,
        _ => 5,
    }
}

/// A sign folds into a number literal, as in Prometheus; it stays a node before anything else.
fn negated(mut expr: Expr, is_minus: bool, span: Span) -> Expr {
    if let ExprKind::Number(number) = &mut expr.kind {
        number.value = if is_minus { -number.value } else { number.value };
        return Expr { kind: expr.kind, span };
    }
    Expr { kind: ExprKind::Unary(Box::new(UnaryExpr { is_minus, expr })), span }
}
