//! Durations in brackets and after `offset`: a number, or arithmetic with numbers, `step()` and `range()`.
//!
//! Here: their grammar and which of it is experimental. Elsewhere: literals (`literal`), values (`promql::duration`).
//!
//! An offset without parentheses ends after its first operand: `x offset 1 + 2` is a sum, `x offset (1 + 2)` is not.

use super::grammar::{Fault, Parsed, Parser, binding, check_depth, check_height};
use super::token::{Keyword, Kind, Token};
use crate::promql::ast::{BinaryOp, NumberLiteral, Span};
use crate::promql::duration::{DurationExpr, DurationKind, DurationOp};

/// What a message says if something else is found.
pub(super) struct Wanted<'t> {
    pub(super) context: &'t str,
    pub(super) expected: &'t str,
}

/// A duration with the height of its tree.
type Tall = (DurationExpr, usize);

impl Parser<'_> {
    /// A range or a step; a number has to be greater than 0.
    pub(super) fn positive_duration(&mut self, context: &str, expected: &str) -> Parsed<DurationExpr> {
        let (duration, _) = self.duration(0, &Wanted { context, expected })?;
        match &duration.kind {
            DurationKind::Number(number) if number.value <= 0.0 => {
                Err((duration.span, "duration must be greater than 0".to_owned()))
            }
            _ => Ok(duration),
        }
    }

    /// What follows `offset`.
    pub(super) fn offset_duration(&mut self, wanted: &Wanted<'_>) -> Parsed<DurationExpr> {
        let first = self.peek()?;
        if first.kind == Kind::LeftParen {
            return self.duration(0, wanted).map(|(duration, _)| duration);
        }
        let Kind::Op(BinaryOp::Add | BinaryOp::Sub) = first.kind else {
            return self.duration_operand(wanted).map(|(duration, _)| duration);
        };
        let sign = self.next()?;
        match self.peek()?.kind {
            Kind::Number | Kind::Duration => {
                let (number, _) = self.duration_operand(wanted)?;
                signed(sign, number)
            }
            Kind::LeftParen => {
                self.next()?;
                let (inner, _) = self.duration(0, wanted)?;
                self.expect_in_duration(Kind::RightParen, wanted)?;
                signed(sign, wrapped(inner))
            }
            Kind::Keyword(_) => {
                let (operand, _) = self.duration_call(wanted)?;
                // A plus is kept here, though it does not print.
                let signed = unary(sign.kind == Kind::Op(BinaryOp::Sub), operand, sign.start);
                self.experimental(signed.span)?;
                Ok(signed)
            }
            // A second sign makes it an expression like those in brackets.
            _ => {
                let (operand, height) = self.duration(binding(BinaryOp::Mul) + 1, wanted)?;
                let lhs = signed(sign, operand)?;
                self.duration_operators((lhs, height + 1), 0, wanted).map(|(duration, _)| duration)
            }
        }
    }

    /// A duration whose operators all bind at least as strongly as `binding_min`.
    fn duration(&mut self, binding_min: u8, wanted: &Wanted<'_>) -> Parsed<Tall> {
        let span = self.peek()?.span();
        check_depth(self.depth, span)?;
        self.depth += 1;
        let result = self.duration_operand(wanted).and_then(|lhs| self.duration_operators(lhs, binding_min, wanted));
        self.depth -= 1;
        result
    }

    fn duration_operators(&mut self, lhs: Tall, binding_min: u8, wanted: &Wanted<'_>) -> Parsed<Tall> {
        let (mut lhs, mut height) = lhs;
        loop {
            let token = self.peek()?;
            let (op, strength) = match token.kind {
                Kind::Op(op) if binding(op) >= binding_min => match duration_op(op) {
                    Some(found) => (found, binding(op)),
                    None => return Ok((lhs, height)),
                },
                _ => return Ok((lhs, height)),
            };
            self.next()?;
            let next_min = if op == DurationOp::Pow { strength } else { strength + 1 };
            let (rhs, rhs_height) = self.duration(next_min, wanted)?;
            self.experimental(lhs.span)?;
            match (op, &rhs.kind) {
                (DurationOp::Div, DurationKind::Number(n)) if n.value == 0.0 => {
                    return Err((token.span(), "division by zero".to_owned()));
                }
                (DurationOp::Mod, DurationKind::Number(n)) if n.value == 0.0 => {
                    return Err((token.span(), "modulo by zero".to_owned()));
                }
                _ => {}
            }
            height = height.max(rhs_height) + 1;
            check_height(height, lhs.span)?;
            lhs = binary(op, lhs, rhs);
        }
    }

    fn duration_operand(&mut self, wanted: &Wanted<'_>) -> Parsed<Tall> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => {
                let number = self.number()?;
                check_range(number, token.span())?;
                Ok((leaf(DurationKind::Number(number), token.span()), 1))
            }
            Kind::Op(BinaryOp::Add | BinaryOp::Sub) => {
                self.next()?;
                let (operand, height) = self.duration(binding(BinaryOp::Mul) + 1, wanted)?;
                check_height(height + 1, token.span())?;
                Ok((signed(token, operand)?, height + 1))
            }
            Kind::LeftParen => {
                self.next()?;
                let (inner, height) = self.duration(0, wanted)?;
                self.expect_in_duration(Kind::RightParen, wanted)?;
                self.experimental(inner.span)?;
                check_height(height + 1, token.span())?;
                Ok((wrapped(inner), height + 1))
            }
            _ => {
                let (call, height) = self.duration_call(wanted)?;
                self.experimental(call.span)?;
                Ok((call, height))
            }
        }
    }

    /// `step()`, `range()`, `min_of(…, …)`, `max_of(…, …)`
    fn duration_call(&mut self, wanted: &Wanted<'_>) -> Parsed<Tall> {
        let word = self.peek()?;
        let Kind::Keyword(keyword @ (Keyword::StepOrRange | Keyword::MinMaxOf)) = word.kind else {
            return self.unexpected(wanted.context, wanted.expected);
        };
        self.next()?;
        self.expect_in_duration(Kind::LeftParen, wanted)?;
        let is = |name: &str| self.input[word.start..word.end].eq_ignore_ascii_case(name);
        if keyword == Keyword::StepOrRange {
            let kind = if is("step") { DurationKind::Step } else { DurationKind::Range };
            let close = self.expect_in_duration(Kind::RightParen, wanted)?;
            return Ok((leaf(kind, word.span().to(close.span())), 1));
        }
        let op = if is("min_of") { DurationOp::MinOf } else { DurationOp::MaxOf };
        let (lhs, lhs_height) = self.duration(0, wanted)?;
        self.expect_in_duration(Kind::Comma, wanted)?;
        let (rhs, rhs_height) = self.duration(0, wanted)?;
        self.expect_in_duration(Kind::RightParen, wanted)?;
        let height = lhs_height.max(rhs_height) + 1;
        check_height(height, word.span())?;
        Ok((binary(op, lhs, rhs), height))
    }

    fn expect_in_duration(&mut self, kind: Kind, wanted: &Wanted<'_>) -> Parsed<Token> {
        match self.accept(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected(wanted.context, wanted.expected),
        }
    }

    fn experimental(&self, span: Span) -> Result<(), Fault> {
        if self.options.duration_expr {
            return Ok(());
        }
        Err((span, "experimental duration expression is not enabled".to_owned()))
    }
}

/// Milliseconds of a plain number; 0 and the expression itself for one that has to be computed.
pub(super) fn split(duration: DurationExpr) -> Parsed<(i64, Option<DurationExpr>)> {
    let DurationKind::Number(number) = duration.kind else { return Ok((0, Some(duration))) };
    // What does not fit in 63 bits of nanoseconds; NaN fits nowhere either.
    let nanoseconds = (number.value * 1e9).round();
    if nanoseconds.is_nan() || nanoseconds.abs() > i64::MAX as f64 {
        return Err((duration.span, "duration out of range".to_owned()));
    }
    Ok(((nanoseconds as i64) / 1_000_000, None))
}

fn duration_op(op: BinaryOp) -> Option<DurationOp> {
    Some(match op {
        BinaryOp::Add => DurationOp::Add,
        BinaryOp::Sub => DurationOp::Sub,
        BinaryOp::Mul => DurationOp::Mul,
        BinaryOp::Div => DurationOp::Div,
        BinaryOp::Mod => DurationOp::Mod,
        BinaryOp::Pow => DurationOp::Pow,
        _ => return None,
    })
}

fn leaf(kind: DurationKind, span: Span) -> DurationExpr {
    DurationExpr { kind, span, wrapped: false }
}

fn binary(op: DurationOp, lhs: DurationExpr, rhs: DurationExpr) -> DurationExpr {
    // Prometheus counts from operand to operand, also where a word and parentheses stand around them.
    let span = lhs.span.to(rhs.span);
    leaf(DurationKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span)
}

fn unary(is_minus: bool, operand: DurationExpr, start: usize) -> DurationExpr {
    let span = Span { start, end: operand.span.end };
    leaf(DurationKind::Unary { is_minus, operand: Box::new(operand) }, span)
}

/// A number takes the sign in, a minus before anything else is a node, a plus is nothing.
fn signed(sign: Token, operand: DurationExpr) -> Parsed<DurationExpr> {
    let is_minus = sign.kind == Kind::Op(BinaryOp::Sub);
    match operand.kind {
        DurationKind::Number(mut number) => {
            number.value = if is_minus { -number.value } else { number.value };
            check_range(number, sign.span())?;
            Ok(leaf(DurationKind::Number(number), Span { start: sign.start, end: operand.span.end }))
        }
        _ if is_minus => Ok(unary(true, operand, sign.start)),
        _ => Ok(operand),
    }
}

/// A number cannot say that it stands in parentheses, so it gets a plus that can.
fn wrapped(inner: DurationExpr) -> DurationExpr {
    let inner = match inner.kind {
        DurationKind::Number(_) => {
            let start = inner.span.start;
            unary(false, inner, start)
        }
        _ => inner,
    };
    DurationExpr { wrapped: true, ..inner }
}

fn check_range(number: NumberLiteral, span: Span) -> Result<(), Fault> {
    if number.value.abs() > i64::MAX as f64 / 1e9 {
        return Err((span, "duration out of range".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ParseOptions, parse, parse_with};

    #[track_caller]
    fn prints(query: &str, expected: &str) {
        let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(expr.to_string(), expected, "{query}");
        assert_eq!(parse(expected).map(|e| e.to_string()).as_deref(), Ok(expected), "printed form of {query}");
    }

    #[track_caller]
    fn refused(query: &str, expected: &str) {
        match parse(query) {
            Ok(expr) => panic!("{query} is accepted as {expr}"),
            Err(e) => assert_eq!(e.to_string(), expected, "{query}"),
        }
    }

    #[test]
    fn arithmetic_prints_as_it_was_written() {
        prints("x[5m+3*2]", "x[5m + 3 * 2]");
        prints("x[(5m+3)*2]", "x[(5m + 3) * 2]");
        prints("x[(5)]", "x[(5)]");
        prints("x[((5m))]", "x[(5m)]");
        prints("x[-step()+ 1h]", "x[-step() + 1h]");
        prints("x[+Step()]", "x[step()]");
        prints("x[-5m+35m]", "x[-5m + 35m]");
        prints("x[MIN_OF( range(),5 )^2]", "x[min_of(range(), 5) ^ 2]");
        prints("x[-2^2]", "x[-2 ^ 2]");
        prints("x[5m*2:step() /2] offset (1h-5m)", "x[5m * 2:step() / 2] offset (1h - 5m)");
        prints("x[1m:(1)] @ 5 offset -step()", "x[1m:(1)] @ 5.000 offset -step()");
    }

    #[test]
    fn an_offset_without_parentheses_ends_after_its_operand() {
        prints("x offset 1 + 2", "x offset 1s + 2");
        prints("x offset -step() * 2", "x offset -step() * 2");
        prints("x offset +step() ^ 2", "x offset step() ^ 2");
        prints("x offset (1 + 2)", "x offset (1 + 2)");
        prints("x offset -(1 + 2) * 3", "x offset -(1 + 2) * 3");
        prints("x offset max_of(step(), 1m) + 1", "x offset max_of(step(), 1m) + 1");
        let is_sum = |query: &str| matches!(parse(query).unwrap().kind, crate::promql::ast::ExprKind::Binary(_));
        assert!(is_sum("x offset 1 + 2") && is_sum("x offset -step() * 2") && is_sum("x offset -(1) + 2"));
        // What begins with a parenthesis or two signs goes on.
        assert!(!is_sum("x offset (1) + 2") && !is_sum("x offset --1 + 2"));
    }

    #[test]
    fn says_what_is_wrong_with_a_duration() {
        let expected = "expected number, duration, step(), or range()";
        refused("x[5m+]", &format!("1:6: parse error: unexpected \"]\" in subquery or range selector, {expected}"));
        refused(
            "x[(5m 3m)]",
            &format!("1:7: parse error: unexpected duration \"3m\" in subquery or range selector, {expected}"),
        );
        refused(
            "x[5m 3m]",
            "1:6: parse error: unexpected duration \"3m\" in subquery or range, expected \":\" or \"]\"",
        );
        refused("x offset (", "1:11: parse error: unclosed left parenthesis");
        refused("x offset (up)", &format!("1:11: parse error: unexpected identifier \"up\" in offset, {expected}"));
        refused("x[5m/0]", "1:5: parse error: division by zero");
        refused("x[5m%0]", "1:5: parse error: modulo by zero");
        refused("x[1e10]", "1:3: parse error: duration out of range");
        refused("x[-1]", "1:3: parse error: duration must be greater than 0");
        refused("x offset step() offset 5m", "1:1: parse error: offset may not be set multiple times");
        refused("x offset step()[5m]", "1:16: parse error: no offset modifiers allowed before range");
    }

    #[test]
    fn can_be_switched_off() {
        let options = ParseOptions { duration_expr: false, ..ParseOptions::default() };
        let refused = |query: &str, expected: &str| {
            let message = format!("{expected}: parse error: experimental duration expression is not enabled");
            assert_eq!(parse_with(query, options).map(|e| e.to_string()).map_err(|e| e.to_string()), Err(message));
        };
        refused("x[5m+1m]", "1:3");
        refused("x[step()]", "1:3");
        refused("x[(5m)]", "1:4");
        refused("x offset -range()", "1:10");
        assert!(parse_with("x[--5m] offset --5m", options).is_ok());
    }

    #[test]
    fn a_megabyte_of_duration_is_refused_quickly() {
        for query in [
            format!("x[{}", "(".repeat(1 << 20)),
            format!("x[{}", "-".repeat(1 << 20)),
            format!("x[1{}]", "+1".repeat(1 << 19)),
            format!("x[1{}]", "^1".repeat(1 << 19)),
            format!("x offset {}", "min_of(".repeat(1 << 17)),
        ] {
            assert!(parse(&query).unwrap_err().message.contains("nested too deeply"), "{}", &query[..20]);
        }
    }
}
