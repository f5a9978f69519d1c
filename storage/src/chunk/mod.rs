//! Chunks: a compressed run of one series.
//!
//! Here: the codec (first sample raw, then differences of time steps and of values) as [`Encoder`] and [`decode`].
//! Elsewhere: when a chunk is full (`head`), checksums (`block`), the table of codes (`FORMAT.md`).
//!
//! Invariant: every bit of every value comes back, NaN payloads and -0.0 included; `decode` of foreign bytes never
//! panics, and what it accepts rises strictly in time.

use crate::Columns;
use crate::bytes::{Reader, put_signed, unzigzag, zigzag};

/// Time code: the step is the same as the last one.
pub(crate) const TIME_SAME: u8 = 0;
/// Time codes 1..=4: the change of the step in 1, 2, 4 or 8 bytes.
pub(crate) const TIME_WIDTHS: [usize; 5] = [0, 1, 2, 4, 8];
/// Value code: the same bits.
pub(crate) const VALUE_SAME: u8 = 0;
/// Value codes 1..=7: both values are whole numbers; their difference in so many bytes.
pub(crate) const VALUE_INT_MAX: u8 = 7;
/// Value code: exclusive-or of the bits, zero bytes trimmed at both ends.
pub(crate) const VALUE_XOR: u8 = 8;
/// Value code: a run of samples with the same step and the same bits.
pub(crate) const VALUE_RUN: u8 = 9;
/// The value code sits above the time code's three bits.
pub(crate) const VALUE_SHIFT: u32 = 3;

const RUN_BYTE: u8 = VALUE_RUN << VALUE_SHIFT | TIME_SAME;
/// Whole numbers below this magnitude are exact in an `f64`, and so is their difference in an `i64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A chunk that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    buf: Vec<u8>,
    count: u32,
    first_t: i64,
    last_t: i64,
    last_step: i64,
    last_bits: u64,
    /// The last two bytes are a run that can still grow.
    in_run: bool,
}

impl Encoder {
    /// A chunk with its first sample.
    pub(crate) fn new(t: i64, v: f64) -> Self {
        let mut buf = Vec::with_capacity(24);
        put_signed(&mut buf, t);
        buf.extend_from_slice(&v.to_bits().to_le_bytes());
        Encoder { buf, count: 1, first_t: t, last_t: t, last_step: 0, last_bits: v.to_bits(), in_run: false }
    }

    /// Samples so far.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Time of the first sample.
    pub(crate) fn first_t(&self) -> i64 {
        self.first_t
    }

    /// Time of the last sample.
    pub(crate) fn last_t(&self) -> i64 {
        self.last_t
    }

    /// Value of the last sample.
    pub(crate) fn last_bits(&self) -> u64 {
        self.last_bits
    }

    /// The chunk so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Adds a sample; `t` must be after [`Encoder::last_t`].
    pub(crate) fn push(&mut self, t: i64, v: f64) {
        assert!(t > self.last_t, "samples of a chunk rise in time");
        let bits = v.to_bits();
        let step = t.wrapping_sub(self.last_t);
        if step == self.last_step && bits == self.last_bits {
            self.push_run();
        } else {
            self.push_pair(step, bits);
        }
        self.count += 1;
        self.last_t = t;
        self.last_step = step;
        self.last_bits = bits;
    }

    fn push_run(&mut self) {
        match self.buf.last_mut() {
            Some(run) if self.in_run && *run < u8::MAX => *run += 1,
            _ => {
                self.buf.extend_from_slice(&[RUN_BYTE, 1]);
                self.in_run = true;
            }
        }
    }

    fn push_pair(&mut self, step: i64, bits: u64) {
        self.in_run = false;
        let change = step.wrapping_sub(self.last_step);
        let time_code = time_code(change);
        let (value_code, payload, len) = value_code(self.last_bits, bits);
        self.buf.push(value_code << VALUE_SHIFT | time_code);
        self.buf.extend_from_slice(&change.to_le_bytes()[..TIME_WIDTHS[usize::from(time_code)]]);
        self.buf.extend_from_slice(&payload[..len]);
    }
}

fn time_code(change: i64) -> u8 {
    if change == 0 {
        TIME_SAME
    } else if i8::try_from(change).is_ok() {
        1
    } else if i16::try_from(change).is_ok() {
        2
    } else if i32::try_from(change).is_ok() {
        3
    } else {
        4
    }
}

/// The code, its payload and the payload's length.
fn value_code(last: u64, bits: u64) -> (u8, [u8; 9], usize) {
    let mut payload = [0u8; 9];
    if last == bits {
        return (VALUE_SAME, payload, 0);
    }
    let xor = last ^ bits;
    let low = xor.trailing_zeros() / 8;
    let trimmed = xor >> (low * 8);
    let xor_len = (8 - trimmed.leading_zeros() / 8) as usize;
    if let (Some(a), Some(b)) = (whole(last), whole(bits)) {
        let diff = zigzag(b - a);
        let len = (8 - diff.leading_zeros() / 8) as usize;
        if len <= xor_len {
            payload[..8].copy_from_slice(&diff.to_le_bytes());
            return (len as u8, payload, len);
        }
    }
    payload[0] = (low as u8) << 4 | xor_len as u8;
    payload[1..].copy_from_slice(&trimmed.to_le_bytes());
    (VALUE_XOR, payload, 1 + xor_len)
}

/// The whole number with exactly these bits.
fn whole(bits: u64) -> Option<i64> {
    let v = f64::from_bits(bits);
    if v.abs() >= WHOLE_MAX || v.is_nan() {
        return None;
    }
    let n = v as i64;
    ((n as f64).to_bits() == bits).then_some(n)
}

/// Calls `each` with every sample of a chunk of `count` samples, oldest first, until it answers `false`.
/// `None` if the bytes are not such a chunk; samples before the damage have been handed out then.
pub(crate) fn decode(bytes: &[u8], count: u32, mut each: impl FnMut(i64, f64) -> bool) -> Option<()> {
    let mut r = Reader::new(bytes);
    let mut t = r.signed()?;
    let mut bits = r.u64()?;
    let mut step = 0i64;
    let mut left = count.checked_sub(1)?;
    if !each(t, f64::from_bits(bits)) {
        return Some(());
    }
    while left > 0 {
        let code = r.u8()?;
        let mut repeat = 1;
        if code == RUN_BYTE {
            repeat = u32::from(r.u8()?);
        } else {
            step = step.wrapping_add(read_change(&mut r, code)?);
            bits = read_bits(&mut r, code >> VALUE_SHIFT, bits)?;
        }
        if repeat == 0 || repeat > left || step <= 0 {
            return None;
        }
        left -= repeat;
        for _ in 0..repeat {
            t = t.checked_add(step)?;
            if !each(t, f64::from_bits(bits)) {
                return Some(());
            }
        }
    }
    r.is_at_end().then_some(())
}

fn read_change(r: &mut Reader<'_>, code: u8) -> Option<i64> {
    let width = *TIME_WIDTHS.get(usize::from(code & ((1 << VALUE_SHIFT) - 1)))?;
    if width == 0 {
        return Some(0);
    }
    let unused = 64 - 8 * width as u32;
    Some(((r.uint(width)? << unused) as i64) >> unused)
}

fn read_bits(r: &mut Reader<'_>, code: u8, last: u64) -> Option<u64> {
    match code {
        VALUE_SAME => Some(last),
        1..=VALUE_INT_MAX => {
            let n = whole(last)?.checked_add(unzigzag(r.uint(usize::from(code))?))?;
            Some((n as f64).to_bits())
        }
        VALUE_XOR => {
            let shape = r.u8()?;
            let (low, len) = (u32::from(shape >> 4), usize::from(shape & 15));
            if low + len as u32 > 8 {
                return None;
            }
            Some(last ^ (r.uint(len)? << (low * 8).min(63)))
        }
        _ => None,
    }
}

/// Appends the samples of a chunk with `min_t <= t < max_t` to `out`; `None` if it is damaged.
pub(crate) fn decode_into(bytes: &[u8], count: u32, min_t: i64, max_t: i64, out: &mut Columns) -> Option<()> {
    decode(bytes, count, |t, v| {
        if t >= max_t {
            return false;
        }
        if t >= min_t {
            out.push(t, v);
        }
        true
    })
}

#[cfg(test)]
mod tests;
