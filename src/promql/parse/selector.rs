//! Selectors and what may follow an expression: ranges, subqueries, `offset`, `@`.
//!
//! Here: the part of the grammar that ends in series and times. Elsewhere: operators, calls (`grammar`), what stands in
//! brackets and after `offset` (`duration`).

use storage::{METRIC_NAME, MatchOp, Matcher, MatcherError};

use super::duration::{Wanted, split};
use super::grammar::{Parsed, Parser, Tall, check_height};
use super::token::{Keyword, Kind, Token};
use crate::promql::ast::{At, BinaryOp, Expr, ExprKind, Extension, MatrixSelector, Span, SubqueryExpr, VectorSelector};
use crate::promql::duration::DurationExpr;

const OFFSET_TARGET: &str = "must be preceded by an instant vector selector or range vector selector or a subquery";
const DURATION_EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// A selector alone, as in `match[]`.
    pub(super) fn lone_selector(mut self) -> Parsed<VectorSelector> {
        let token = self.peek()?;
        let expr = match token.kind {
            Kind::LeftBrace => self.selector(None)?,
            kind if kind.is_metric_name() => {
                let word = self.next()?;
                self.selector(Some(word))?
            }
            _ => return self.unexpected("", ""),
        };
        match (expr.kind, self.peek()?.kind) {
            (ExprKind::Selector(selector), Kind::Eof) => Ok(*selector),
            _ => self.unexpected("", ""),
        }
    }

    /// A selector whose name (if it has one outside the braces) has just been read.
    pub(super) fn selector(&mut self, word: Option<Token>) -> Parsed<Expr> {
        let open = self.peek()?;
        let mut span = word.map_or(open.span(), Token::span);
        let mut matchers = Vec::new();
        if open.kind == Kind::LeftBrace {
            self.next()?;
            matchers = self.matchers()?;
            span.end = self.last_closing;
        }
        let name = word.map(|w| self.text(w).to_owned()).unwrap_or_default();
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        let selector = VectorSelector { name, matchers, offset_ms: 0, offset_expr: None, at: None, extension: None };
        Ok(Expr { kind: ExprKind::Selector(Box::new(selector)), span })
    }

    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        let mut matchers = Vec::new();
        while self.accept(Kind::RightBrace)?.is_none() {
            matchers.push(self.matcher()?);
            if self.accept(Kind::Comma)?.is_none() && self.peek()?.kind != Kind::RightBrace {
                return self.unexpected("label matching", "\",\" or \"}\"");
            }
        }
        Ok(matchers)
    }

    /// `name="value"`, `"quoted name"="value"`, or `"metric name"` alone.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let label = self.peek()?;
        let name = match label.kind {
            Kind::Identifier => self.text(label).to_owned(),
            Kind::String => self.unquoted(label)?,
            _ => return self.unexpected("label matching", "identifier or \"}\""),
        };
        self.next()?;
        let op = match self.peek()?.kind {
            Kind::Equal => MatchOp::Equal,
            Kind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotEqualRegex => MatchOp::NotRegex,
            _ if label.kind == Kind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return self.unexpected("label matching", "label matching operator"),
        };
        self.next()?;
        let value = self.peek()?;
        if value.kind != Kind::String {
            return self.unexpected("label matching", "string");
        }
        self.next()?;
        let text = self.unquoted(value)?;
        Matcher::new(op, name, text).map_err(|MatcherError::Regex { pattern, reason }| {
            (label.span().to(value.span()), format!("error parsing regexp: {reason}: `{pattern}`"))
        })
    }

    /// Any number of ranges, `offset`, `@`, `anchored` and `smoothed` after `expr`.
    pub(super) fn postfix(&mut self, (mut expr, mut height): Tall) -> Parsed<Tall> {
        loop {
            match self.peek()?.kind {
                Kind::LeftBracket => (expr, height) = self.brackets(expr, height)?,
                Kind::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                Kind::At => self.at(&mut expr)?,
                Kind::Keyword(Keyword::Anchored) => self.extension(Extension::Anchored, &mut expr)?,
                Kind::Keyword(Keyword::Smoothed) => self.extension(Extension::Smoothed, &mut expr)?,
                _ => return Ok((expr, height)),
            }
        }
    }

    fn brackets(&mut self, expr: Expr, height: usize) -> Parsed<Tall> {
        let open = self.next()?;
        let range = self.positive_duration("subquery or range selector", DURATION_EXPECTED)?;
        match self.peek()?.kind {
            Kind::RightBracket => {
                let close = self.next()?;
                Ok((self.matrix(expr, range, open.span().to(close.span()))?, height))
            }
            Kind::Colon => {
                self.next()?;
                let subquery = self.subquery(expr, range)?;
                check_height(height + 1, subquery.span)?;
                Ok((subquery, height + 1))
            }
            _ => self.unexpected("subquery or range", "\":\" or \"]\""),
        }
    }

    fn matrix(&mut self, expr: Expr, range: DurationExpr, brackets: Span) -> Parsed<Expr> {
        let span = Span { start: expr.span.start, end: brackets.end };
        let refuse = |message: &str| Err((brackets, message.to_owned()));
        let ExprKind::Selector(selector) = expr.kind else { return refuse("ranges only allowed for vector selectors") };
        if selector.offset_ms != 0 || selector.offset_expr.is_some() {
            return refuse("no offset modifiers allowed before range");
        }
        if selector.at.is_some() {
            return refuse("no @ modifiers allowed before range");
        }
        let (range_ms, range_expr) = split(range)?;
        let matrix = MatrixSelector { selector: *selector, selector_span: expr.span, range_ms, range_expr };
        Ok(Expr { kind: ExprKind::Matrix(Box::new(matrix)), span })
    }

    fn subquery(&mut self, expr: Expr, range: DurationExpr) -> Parsed<Expr> {
        let step = match self.peek()?.kind {
            Kind::RightBracket => None,
            _ => {
                let expected = "number, duration, step(), range(), or \"]\"";
                Some(self.positive_duration("subquery selector", expected)?)
            }
        };
        let Some(close) = self.accept(Kind::RightBracket)? else {
            return self.unexpected("subquery selector", "\"]\"");
        };
        let span = Span { start: expr.span.start, end: close.end };
        let (range_ms, range_expr) = split(range)?;
        let (step_ms, step_expr) = step.map(split).transpose()?.map_or((None, None), |(ms, expr)| (Some(ms), expr));
        let step_ms = step_ms.filter(|_| step_expr.is_none());
        let subquery =
            SubqueryExpr { expr, range_ms, range_expr, step_ms, step_expr, offset_ms: 0, offset_expr: None, at: None };
        Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span })
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next()?;
        let offset = self.offset_duration(&Wanted { context: "offset", expected: DURATION_EXPECTED })?;
        let (ms, offset_expr) = split(offset)?;
        let Some(times) = times_of(expr) else {
            return Err((expr.span, format!("offset modifier {OFFSET_TARGET}")));
        };
        if *times.offset_ms != 0 || times.offset_expr.is_some() {
            return Err((expr.span, "offset may not be set multiple times".to_owned()));
        }
        (*times.offset_ms, *times.offset_expr) = (ms, offset_expr);
        expr.span.end = self.last_closing;
        Ok(())
    }

    /// `anchored` or `smoothed` after `expr`.
    fn extension(&mut self, extension: Extension, expr: &mut Expr) -> Parsed<()> {
        let word = extension.as_str();
        let span = expr.span;
        let refuse = |message: String| Err((span, message));
        self.next()?;
        if !self.options.extended_range_selectors {
            return refuse(format!("{word} modifier is experimental and not enabled"));
        }
        let selector = match &mut expr.kind {
            ExprKind::Selector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => return refuse(format!("{word} modifier is not supported for subqueries")),
            _ => return refuse(format!("{word} modifier not implemented")),
        };
        if selector.extension.is_some_and(|other| other != extension) {
            return refuse("anchored and smoothed modifiers cannot be used together".to_owned());
        }
        selector.extension = Some(extension);
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next()?;
        let at = match self.peek()?.kind {
            Kind::Keyword(keyword @ (Keyword::Start | Keyword::End)) => {
                self.next()?;
                if self.accept(Kind::LeftParen)?.is_none() || self.accept(Kind::RightParen)?.is_none() {
                    return self.unexpected("@", "timestamp");
                }
                if keyword == Keyword::Start { At::Start } else { At::End }
            }
            Kind::Number | Kind::Duration | Kind::Op(BinaryOp::Add | BinaryOp::Sub) => self.at_time(expr)?,
            _ => return self.unexpected("@", "timestamp"),
        };
        let Some(times) = times_of(expr) else {
            return Err((expr.span, format!("@ modifier {OFFSET_TARGET}")));
        };
        if times.at.is_some() {
            return Err((expr.span, "@ <timestamp> may not be set multiple times".to_owned()));
        }
        *times.at = Some(at);
        expr.span.end = self.last_closing;
        Ok(())
    }

    fn at_time(&mut self, expr: &Expr) -> Parsed<At> {
        let is_minus = match self.peek()?.kind {
            Kind::Op(op) => self.next().map(|_| op == BinaryOp::Sub)?,
            _ => false,
        };
        if !matches!(self.peek()?.kind, Kind::Number | Kind::Duration) {
            return self.unexpected("@", "timestamp");
        }
        let seconds = self.number()?.value * if is_minus { -1.0 } else { 1.0 };
        if !seconds.is_finite() || seconds >= i64::MAX as f64 || seconds <= i64::MIN as f64 {
            let shown = if seconds.is_nan() { "NaN".to_owned() } else { go_fixed(seconds) };
            return Err((expr.span, format!("timestamp out of bounds for @ modifier: {shown}")));
        }
        Ok(At::Time((seconds * 1000.0).round() as i64))
    }
}

fn go_fixed(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned() } else { format!("{value:.6}") }
}

/// Where the offset and the `@` of a selector or subquery are kept.
struct Times<'e> {
    offset_ms: &'e mut i64,
    offset_expr: &'e mut Option<DurationExpr>,
    at: &'e mut Option<At>,
}

fn times_of(expr: &mut Expr) -> Option<Times<'_>> {
    let selector = match &mut expr.kind {
        ExprKind::Selector(selector) => selector,
        ExprKind::Matrix(matrix) => &mut matrix.selector,
        ExprKind::Subquery(s) => {
            return Some(Times { offset_ms: &mut s.offset_ms, offset_expr: &mut s.offset_expr, at: &mut s.at });
        }
        _ => return None,
    };
    let (offset_ms, offset_expr) = (&mut selector.offset_ms, &mut selector.offset_expr);
    Some(Times { offset_ms, offset_expr, at: &mut selector.at })
}
