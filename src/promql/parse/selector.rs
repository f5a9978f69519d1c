//! Selectors and what may follow an expression: ranges, subqueries, `offset`, `@`.
//!
//! Here: the part of the grammar that ends in series and times. Elsewhere: operators, calls (`grammar`).

use storage::{METRIC_NAME, MatchOp, Matcher, MatcherError};

use super::grammar::{Fault, Parsed, Parser, Tall, check_height, not_enabled};
use super::token::{Keyword, Kind, Token};
use crate::promql::ast::{
    At, BinaryOp, Expr, ExprKind, MatrixSelector, NumberLiteral, Span, SubqueryExpr, VectorSelector,
};

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
        let selector = VectorSelector { name, matchers, offset_ms: 0, at: None };
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

    /// Any number of ranges, `offset` and `@` after `expr`.
    pub(super) fn postfix(&mut self, (mut expr, mut height): Tall) -> Parsed<Tall> {
        loop {
            match self.peek()?.kind {
                Kind::LeftBracket => (expr, height) = self.brackets(expr, height)?,
                Kind::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                Kind::At => self.at(&mut expr)?,
                Kind::Keyword(Keyword::Anchored) => return not_enabled(expr.span, "anchored modifier is"),
                Kind::Keyword(Keyword::Smoothed) => return not_enabled(expr.span, "smoothed modifier is"),
                _ => return Ok((expr, height)),
            }
        }
    }

    fn brackets(&mut self, expr: Expr, height: usize) -> Parsed<Tall> {
        let open = self.next()?;
        let range_ms = self.positive_duration_ms("subquery or range selector", DURATION_EXPECTED)?;
        match self.peek()?.kind {
            Kind::RightBracket => {
                let close = self.next()?;
                Ok((self.matrix(expr, range_ms, open.span().to(close.span()))?, height))
            }
            Kind::Colon => {
                self.next()?;
                let subquery = self.subquery(expr, range_ms)?;
                check_height(height + 1, subquery.span)?;
                Ok((subquery, height + 1))
            }
            _ => {
                self.no_arithmetic()?;
                self.unexpected("subquery or range", "\":\" or \"]\"")
            }
        }
    }

    fn matrix(&mut self, expr: Expr, range_ms: i64, brackets: Span) -> Parsed<Expr> {
        let span = Span { start: expr.span.start, end: brackets.end };
        let refuse = |message: &str| Err((brackets, message.to_owned()));
        let ExprKind::Selector(selector) = expr.kind else { return refuse("ranges only allowed for vector selectors") };
        if selector.offset_ms != 0 {
            return refuse("no offset modifiers allowed before range");
        }
        if selector.at.is_some() {
            return refuse("no @ modifiers allowed before range");
        }
        let matrix = MatrixSelector { selector: *selector, selector_span: expr.span, range_ms };
        Ok(Expr { kind: ExprKind::Matrix(Box::new(matrix)), span })
    }

    fn subquery(&mut self, expr: Expr, range_ms: i64) -> Parsed<Expr> {
        let step_ms = match self.peek()?.kind {
            Kind::RightBracket => None,
            _ => {
                let expected = format!("{DURATION_EXPECTED}, or \"]\"").replace(", or range(),", ", range(),");
                Some(self.positive_duration_ms("subquery selector", &expected)?)
            }
        };
        let Some(close) = self.accept(Kind::RightBracket)? else {
            self.no_arithmetic()?;
            return self.unexpected("subquery selector", "\"]\"");
        };
        let span = Span { start: expr.span.start, end: close.end };
        let subquery = SubqueryExpr { expr, range_ms, step_ms, offset_ms: 0, at: None };
        Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span })
    }

    /// A literal greater than 0. What is more than a literal is experimental.
    fn positive_duration_ms(&mut self, context: &str, expected: &str) -> Parsed<i64> {
        let (number, span) = self.signed_number(context, expected)?;
        let ms = to_duration_ms(number, span)?;
        if number.value <= 0.0 {
            return Err((span, "duration must be greater than 0".to_owned()));
        }
        Ok(ms)
    }

    fn signed_number(&mut self, context: &str, expected: &str) -> Parsed<(NumberLiteral, Span)> {
        let start = self.peek()?.span();
        let mut is_minus = false;
        while let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = self.peek()?.kind {
            is_minus ^= op == BinaryOp::Sub;
            self.next()?;
        }
        match self.peek()?.kind {
            Kind::Number | Kind::Duration => {}
            Kind::LeftParen | Kind::Keyword(Keyword::StepOrRange | Keyword::MinMaxOf) => {
                return Err((self.peek()?.span(), "experimental duration expression is not enabled".to_owned()));
            }
            _ => return self.unexpected(context, expected),
        }
        let mut number = self.number()?;
        number.value = if is_minus { -number.value } else { number.value };
        Ok((number, Span { start: start.start, end: self.last_closing }))
    }

    fn no_arithmetic(&mut self) -> Parsed<()> {
        let token = self.peek()?;
        match token.kind {
            Kind::Op(op) if !op.is_comparison() && !op.is_set() => {
                Err((token.span(), "experimental duration expression is not enabled".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next()?;
        let (number, span) = self.signed_number("offset", DURATION_EXPECTED)?;
        let offset_ms = to_duration_ms(number, span)?;
        let Some((slot, _)) = times_of(expr) else {
            return Err((expr.span, format!("offset modifier {OFFSET_TARGET}")));
        };
        if *slot != 0 {
            return Err((expr.span, "offset may not be set multiple times".to_owned()));
        }
        *slot = offset_ms;
        expr.span.end = self.last_closing;
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
        let Some((_, slot)) = times_of(expr) else {
            return Err((expr.span, format!("@ modifier {OFFSET_TARGET}")));
        };
        if slot.is_some() {
            return Err((expr.span, "@ <timestamp> may not be set multiple times".to_owned()));
        }
        *slot = Some(at);
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
fn times_of(expr: &mut Expr) -> Option<(&mut i64, &mut Option<At>)> {
    match &mut expr.kind {
        ExprKind::Selector(s) => Some((&mut s.offset_ms, &mut s.at)),
        ExprKind::Matrix(m) => Some((&mut m.selector.offset_ms, &mut m.selector.at)),
        ExprKind::Subquery(s) => Some((&mut s.offset_ms, &mut s.at)),
        _ => None,
    }
}

fn to_duration_ms(number: NumberLiteral, span: Span) -> Result<i64, Fault> {
    // What does not fit in 63 bits of nanoseconds; NaN fits nowhere either.
    let nanoseconds = (number.value * 1e9).round();
    if nanoseconds.is_nan() || nanoseconds.abs() > i64::MAX as f64 {
        return Err((span, "duration out of range".to_owned()));
    }
    Ok((nanoseconds as i64) / 1_000_000)
}
