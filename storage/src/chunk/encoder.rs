//! Writing chunks.
//!
//! Here: [`Encoder`], one open chunk in 48 bytes, and taking it apart for a snapshot.
//! Elsewhere: the table of codes (`chunk`), reading (`chunk::decoder`).
//!
//! Invariant: the fields beside the bytes are what a decoder knows after reading them.

#[cfg(test)]
use super::decoder::walk;
use super::{
    CODE_DECIMAL, CODE_DIFF_END, CODE_HALF, CODE_RUN, CODE_TIME, CODE_WIDE, CODE_XOR, DIFF_BIAS, EXPONENT_MAX, POWERS,
    RUN_MAX, TIME_WIDTHS, integer, scaled,
};
use crate::bytes::zigzag;

/// Most whole bytes after a code that holds four bits itself.
const HALF_BYTES_MAX: u32 = 4;
/// No sample takes more: a time of 9 bytes and a value of 10.
const SAMPLE_BYTES_MAX: usize = 24;
/// Sizes of the buffer: classes of the allocator, so that nothing is lost to rounding. Not all of them: chunks grow through
/// them together, and each class keeps the pages on which a few that grow no more are left (16 and 48 bytes: 6 % more
/// memory, all 18 classes: 20 %).
const CAPACITIES: [u16; 9] = [32, 64, 96, 128, 192, 256, 384, 512, 768];
/// After a value that is no decimal number, only one in so many is tried with all exponents.
const SEARCH_EVERY: u8 = 16;

/// The last value is an integer over the current power of ten.
const IS_DECIMAL: u8 = 1;
/// The last byte is a run that may still grow.
const IN_RUN: u8 = 2;

/// A chunk that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoder {
    /// Only the first `len` bytes count.
    buf: Box<[u8]>,
    last_t: i64,
    last_bits: u64,
    last_step: u32,
    len: u16,
    count: u16,
    exponent: u8,
    flags: u8,
    /// Values in a row that no exponent fitted.
    misses: u8,
    /// A byte for the owner, which would otherwise be padding; no part of the chunk.
    pub(crate) tag: u8,
}

/// What an encoder knows besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Samples.
    pub(crate) count: u16,
    /// Time of the last one.
    pub(crate) last_t: i64,
    /// Value of the last one.
    pub(crate) last_bits: u64,
    /// Step to the last one; 0 if there was none or it is too large.
    pub(crate) last_step: u32,
    /// Current decimal exponent.
    pub(crate) exponent: u8,
    /// Bit 0: the last value is decimal; bit 1: the last byte is a run.
    pub(crate) flags: u8,
}

impl Encoder {
    /// A chunk with its first sample.
    pub(crate) fn new(t: i64, v: f64) -> Self {
        let mut chunk = Encoder::default();
        chunk.begin(t, v);
        chunk
    }

    /// Begins anew with this sample, keeping nothing but the owner's byte.
    pub(crate) fn begin(&mut self, t: i64, v: f64) {
        *self = Encoder { last_t: t, flags: IS_DECIMAL, tag: self.tag, ..Encoder::default() };
        let mut rest = zigzag(t);
        while rest >= 0x80 {
            self.append_byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.append_byte(rest as u8);
        self.put_value(v, true);
        self.count = 1;
        self.last_bits = v.to_bits();
    }

    /// Samples so far; 0 if none was begun.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        u32::from(self.count)
    }

    /// Time of the first sample, read from the bytes.
    pub(crate) fn first_t(&self) -> i64 {
        crate::bytes::Reader::new(self.bytes()).signed().unwrap_or(self.last_t)
    }

    /// Time of the last sample.
    #[inline]
    pub(crate) fn last_t(&self) -> i64 {
        self.last_t
    }

    /// Value of the last sample.
    pub(crate) fn last_bits(&self) -> u64 {
        self.last_bits
    }

    /// The chunk so far.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf[..usize::from(self.len)]
    }

    /// Length of [`Encoder::bytes`].
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Forgets the samples but not when the last one was.
    pub(crate) fn clear(&mut self) {
        *self = Encoder { last_t: self.last_t, tag: self.tag, ..Encoder::default() };
    }

    /// As [`Encoder::clear`], with another newest time.
    pub(crate) fn clear_at(&mut self, last_t: i64) {
        self.clear();
        self.last_t = last_t;
    }

    /// Adds a sample; `t` must be after [`Encoder::last_t`].
    #[inline]
    pub(crate) fn push(&mut self, t: i64, v: f64) {
        assert!(t > self.last_t && self.count > 0, "samples of a chunk rise in time");
        let step = t.wrapping_sub(self.last_t);
        let is_same_step = step == i64::from(self.last_step);
        if !is_same_step {
            self.put_step(step);
        }
        self.put_value(v, is_same_step);
        assert!(self.count < u16::MAX, "chunks are far smaller");
        self.count += 1;
        self.last_t = t;
        self.last_bits = v.to_bits();
    }

    #[cold]
    fn put_step(&mut self, step: i64) {
        let change = step.wrapping_sub(i64::from(self.last_step));
        let kind = match change {
            _ if i8::try_from(change).is_ok() => 0,
            _ if i16::try_from(change).is_ok() => 1,
            _ if i32::try_from(change).is_ok() => 2,
            _ => 3,
        };
        let mut code = [0u8; 9];
        code[0] = CODE_TIME + kind as u8;
        code[1..].copy_from_slice(&change.to_le_bytes());
        self.append(&code[..=TIME_WIDTHS[kind]]);
        self.last_step = u32::try_from(step).unwrap_or(0);
    }

    #[inline]
    fn put_value(&mut self, v: f64, is_same_step: bool) {
        if v.to_bits() == self.last_bits {
            return self.put_same(is_same_step);
        }
        self.flags &= !IN_RUN;
        let power = POWERS[usize::from(self.exponent)];
        if self.flags & IS_DECIMAL != 0
            && let Some(n) = integer(v, power)
        {
            let diff = n - scaled(f64::from_bits(self.last_bits), power);
            if (-DIFF_BIAS..i64::from(CODE_DIFF_END) - DIFF_BIAS).contains(&diff) {
                return self.append_byte((diff + DIFF_BIAS) as u8);
            }
            return self.put_difference(diff);
        }
        self.put_other(v);
    }

    #[inline]
    fn put_same(&mut self, is_same_step: bool) {
        if is_same_step && self.flags & IN_RUN != 0 {
            let run = &mut self.buf[usize::from(self.len) - 1];
            if *run < CODE_RUN + RUN_MAX - 1 {
                *run += 1;
                return;
            }
        }
        self.flags |= IN_RUN;
        self.append_byte(CODE_RUN);
    }

    /// A difference that needs more than the code.
    #[inline]
    fn put_difference(&mut self, diff: i64) {
        let number = zigzag(diff);
        let bits = 64 - number.leading_zeros();
        // Four bits are over when the other bytes are full.
        let bytes = (bits - 1) / 8;
        if !(1..=HALF_BYTES_MAX).contains(&bytes) || bits > 8 * bytes + 4 {
            return self.put_wide(CODE_WIDE, &[], diff);
        }
        let code = CODE_HALF + 16 * (bytes as u8 - 1) + (number >> (8 * bytes)) as u8;
        self.append_head(u64::from(code) | number << 8, 1 + bytes as usize);
    }

    /// A code, something before the number, and the number in as few bytes as it needs, which the code counts.
    fn put_wide(&mut self, code: u8, before: &[u8], number: i64) {
        let number = zigzag(number);
        let width = (8 - number.leading_zeros() / 8) as usize;
        let mut out = [0u8; SAMPLE_BYTES_MAX];
        out[0] = code + width as u8;
        out[1..=before.len()].copy_from_slice(before);
        let start = 1 + before.len();
        out[start..start + 8].copy_from_slice(&number.to_le_bytes());
        self.append(&out[..start + width]);
    }

    /// The current exponent does not carry on: another one, or the bits.
    #[cold]
    fn put_other(&mut self, v: f64) {
        let is_searched = self.misses.is_multiple_of(SEARCH_EVERY);
        let exponents = if v.is_finite() && is_searched { 0..=EXPONENT_MAX } else { self.exponent..=self.exponent };
        // The current one first: it will do for the next values, too.
        let found = std::iter::once(self.exponent)
            .chain(exponents)
            .find_map(|e| Some((e, integer(v, POWERS[usize::from(e)])?)));
        if let Some((exponent, n)) = found {
            self.misses = 0;
            self.exponent = exponent;
            self.flags |= IS_DECIMAL;
            return self.put_wide(CODE_DECIMAL, &[exponent], n);
        }
        self.misses = self.misses.wrapping_add(u8::from(v.is_finite()));
        self.flags &= !IS_DECIMAL;
        let xor = v.to_bits() ^ self.last_bits;
        let low = xor.trailing_zeros() / 8;
        let trimmed = xor >> (low * 8);
        let width = (8 - trimmed.leading_zeros() / 8) as usize;
        let mut out = [0u8; 10];
        out[..2].copy_from_slice(&[CODE_XOR, (low as u8) << 4 | width as u8]);
        out[2..].copy_from_slice(&trimmed.to_le_bytes());
        self.append(&out[..2 + width]);
    }

    #[inline]
    fn append_byte(&mut self, byte: u8) {
        let at = usize::from(self.len);
        if at == self.buf.len() {
            self.grow(1);
        }
        self.buf[at] = byte;
        self.len += 1;
    }

    /// Appends the lowest `len` bytes of `word`. All eight are written if there is room: bytes beyond the end do not
    /// count, and a copy of known length is no call.
    #[inline]
    fn append_head(&mut self, word: u64, len: usize) {
        let bytes = word.to_le_bytes();
        let at = usize::from(self.len);
        match self.buf.get_mut(at..at + 8) {
            Some(room) => {
                room.copy_from_slice(&bytes);
                self.len += len as u16;
            }
            None => self.append(&bytes[..len]),
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        if at + bytes.len() > self.buf.len() {
            self.grow(bytes.len());
        }
        self.buf[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u16;
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = self.len() + more;
        assert!(wanted <= usize::from(u16::MAX), "chunks are far smaller");
        let class = CAPACITIES.iter().map(|&c| usize::from(c)).find(|&c| c >= wanted);
        let mut buf = vec![0; class.unwrap_or_else(|| wanted.next_multiple_of(512))].into_boxed_slice();
        buf[..self.len()].copy_from_slice(self.bytes());
        self.buf = buf;
    }
}

impl Encoder {
    /// What a snapshot keeps beside the bytes.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            count: self.count,
            last_t: self.last_t,
            last_bits: self.last_bits,
            last_step: self.last_step,
            exponent: self.exponent,
            flags: self.flags,
        }
    }

    /// An encoder that goes on where another stopped. Cheap: the bytes are not read, so both must come from a place
    /// with a checksum. `None` for what no encoder has.
    pub(crate) fn from_parts(bytes: &[u8], parts: Parts) -> Option<Self> {
        let power = *POWERS.get(usize::from(parts.exponent))?;
        let is_decimal = parts.flags & IS_DECIMAL != 0;
        let is_run = bytes.last().is_some_and(|code| (CODE_RUN..CODE_RUN + RUN_MAX).contains(code));
        if parts.count == 0
            || bytes.len() + SAMPLE_BYTES_MAX > usize::from(u16::MAX)
            || (parts.flags & IN_RUN != 0 && !is_run)
            || (is_decimal && integer(f64::from_bits(parts.last_bits), power).is_none())
        {
            return None;
        }
        let mut chunk = Encoder {
            last_t: parts.last_t,
            last_bits: parts.last_bits,
            last_step: parts.last_step,
            count: parts.count,
            exponent: parts.exponent,
            flags: parts.flags & (IS_DECIMAL | IN_RUN),
            ..Encoder::default()
        };
        chunk.append(bytes);
        Some(chunk)
    }

    /// The same from the bytes alone, by reading them; `None` if they are not such a chunk.
    #[cfg(test)]
    pub(crate) fn restore(bytes: &[u8], count: u32) -> Option<Self> {
        let state = walk(bytes, count, |_, _| true)??;
        let flags = u8::from(state.is_decimal) * IS_DECIMAL + u8::from(state.in_run) * IN_RUN;
        let parts = Parts {
            count: u16::try_from(count).ok()?,
            last_t: state.t,
            last_bits: state.bits,
            last_step: u32::try_from(state.step).unwrap_or(0),
            exponent: state.exponent,
            flags,
        };
        Self::from_parts(bytes, parts)
    }
}
