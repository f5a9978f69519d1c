//! Chunks: a compressed run of one series, about one byte a sample.
//!
//! Here: the codes ([`Encoder`], [`decode`]), the bytes of a finished chunk ([`ChunkBytes`]).
//! Elsewhere: when a chunk is full (`head`), checksums (`snapshot`, `block`), the table of codes (`FORMAT.md`).
//!
//! Most values are decimal numbers with few digits, so a value is an integer `n` and an exponent `e` (`n / 10^e`) and
//! most samples are one byte: the difference of two `n`. What is not decimal bit for bit is coded as XOR.
//!
//! Invariant: every bit of every value comes back, NaN payloads and -0.0 included; `decode` of foreign bytes never
//! panics, and what it accepts rises strictly in time.

use crate::Columns;

mod bytes;
mod decoder;
mod encoder;

pub(crate) use bytes::ChunkBytes;
pub(crate) use decoder::decode;
pub(crate) use encoder::{Encoder, Parts};

/// Codes below this: the integer changed by `code - DIFF_BIAS`, the step is the same.
pub(crate) const CODE_DIFF_END: u8 = 128;
/// The difference that code 0 stands for, negated.
pub(crate) const DIFF_BIAS: i64 = 64;
/// From here: a run of 1, 2, … samples with the same step and the same bits.
pub(crate) const CODE_RUN: u8 = 128;
/// Longest run of one code.
pub(crate) const RUN_MAX: u8 = 32;
/// Plus 16 * (w - 1) plus the upper four bits: the integer's difference in these and w bytes, w = 1..=4. Differences of
/// counters are evenly spread over their sizes, so half of them spare a byte by it.
pub(crate) const CODE_HALF: u8 = 160;
/// Plus 1..=7: the integer's difference in so many bytes.
pub(crate) const CODE_WIDE: u8 = 224;
/// Exclusive-or of the bits, zero bytes trimmed at both ends. Afterwards there is no integer.
pub(crate) const CODE_XOR: u8 = 232;
/// Plus 0..=7: a new exponent (one byte) and the integer itself in so many bytes.
pub(crate) const CODE_DECIMAL: u8 = 240;
/// Plus an index into [`TIME_WIDTHS`]: the change of the step; the code of the value follows.
pub(crate) const CODE_TIME: u8 = 248;
/// Bytes of a change of the step.
pub(crate) const TIME_WIDTHS: [usize; 4] = [1, 2, 4, 8];
/// Largest decimal exponent.
pub(crate) const EXPONENT_MAX: u8 = 12;

/// Integers below this magnitude are exact in an `f64`, with a bit to spare for rounding.
const INTEGER_MAX: f64 = 4_503_599_627_370_496.0;

/// Powers of ten, all of them exact.
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// The integer nearest to `v * power`; meaningful only where [`integer`] found one.
#[inline]
fn scaled(v: f64, power: f64) -> i64 {
    let x = v * power;
    (x + 0.5f64.copysign(x)) as i64
}

/// The integer `n` for which `n / power` has exactly the bits of `v`.
#[inline]
fn integer(v: f64, power: f64) -> Option<i64> {
    if (v * power).abs() < INTEGER_MAX {
        let n = scaled(v, power);
        // Most are whole: no division for those.
        let back = if power == 1.0 { (n as f64).to_bits() } else { unscaled(n, power) };
        return (back == v.to_bits()).then_some(n);
    }
    None
}

/// The bits of `n / power`.
#[inline]
fn unscaled(n: i64, power: f64) -> u64 {
    (n as f64 / power).to_bits()
}

/// Appends the samples of a chunk with `min_t <= t < max_t` to `out`; `None`, and nothing appended, if it is damaged.
pub(crate) fn decode_into(bytes: &[u8], count: u32, min_t: i64, max_t: i64, out: &mut Columns) -> Option<()> {
    // No code stands for more samples than this, so no count that is not true takes memory.
    let from = out.len();
    let count = usize::try_from(count).ok().filter(|&count| count <= bytes.len().saturating_mul(RUN_MAX.into()))?;
    out.t.resize(from + count, 0);
    out.v.resize(from + count, 0.0);
    let filled = decoder::fill(bytes, &mut out.t[from..], &mut out.v[from..]);
    let times = &out.t[from..];
    let (start, end) = match filled {
        Some(()) => (times.partition_point(|&t| t < min_t), times.partition_point(|&t| t < max_t)),
        None => (0, 0),
    };
    out.t.truncate(from + end);
    out.v.truncate(from + end);
    if start > 0 {
        out.t.drain(from..from + start.min(end));
        out.v.drain(from..from + start.min(end));
    }
    filled
}

#[cfg(test)]
mod tests;
