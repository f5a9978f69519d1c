//! Functions from one number to one number, and the arithmetic of operators.

use std::f64::consts::{LN_2, PI};

use crate::promql::ast::BinaryOp;

/// The plain function of this name.
pub(crate) fn unary(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => asinh,
        "acosh" => acosh,
        "atanh" => f64::atanh,
        "rad" => |v| v * PI / 180.0,
        "deg" => |v| v * 180.0 / PI,
        "sgn" => sign,
        _ => return None,
    })
}

/// From here on `x * x + 1` is `x * x`, and soon beyond the largest float.
const LARGE: f64 = (1 << 28) as f64;

/// The library's adds `x` to itself, which is infinite for the largest ones.
fn asinh(x: f64) -> f64 {
    if x.abs() < LARGE { x.asinh() } else { (x.abs().ln() + LN_2).copysign(x) }
}

/// Likewise.
fn acosh(x: f64) -> f64 {
    if x < LARGE { x.acosh() } else { x.ln() + LN_2 }
}

/// -1, 0 or 1; NaN stays.
fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// To the nearest multiple, halves up.
pub(crate) fn round(v: f64, to_nearest: f64) -> f64 {
    // Dividing by the inverse loses less than multiplying by the distance.
    let inverse = 1.0 / to_nearest;
    (v * inverse + 0.5).floor() / inverse
}

/// Into `min..=max`; NaN anywhere gives NaN, as Go's Min and Max do.
pub(crate) fn clamp(v: f64, min: f64, max: f64) -> f64 {
    go_max(min, go_min(max, v))
}

fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller, by Go's rules.
pub(crate) fn min_of(a: f64, b: f64) -> f64 {
    go_min(a, b)
}

/// The larger, by Go's rules.
pub(crate) fn max_of(a: f64, b: f64) -> f64 {
    go_max(a, b)
}

/// The value of an arithmetic operator.
pub(crate) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        // Rust's remainder keeps the dividend's sign, as Go's Mod does.
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        // Comparisons and set operators have no value of their own.
        _ => f64::NAN,
    }
}

/// Whether a comparison holds.
pub(crate) fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Greater => a > b,
        BinaryOp::Less => a < b,
        BinaryOp::GreaterEqual => a >= b,
        BinaryOp::LessEqual => a <= b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_halves_up_and_keeps_signs() {
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert_eq!(round(17.0, 5.0), 15.0);
        assert_eq!(arithmetic(BinaryOp::Mod, -7.0, 3.0), -1.0);
        assert_eq!(sign(-0.5), -1.0);
        assert!(sign(f64::NAN).is_nan());
        assert!(clamp(f64::NAN, 0.0, 1.0).is_nan());
        assert_eq!(clamp(5.0, 0.0, 1.0), 1.0);
    }
}
