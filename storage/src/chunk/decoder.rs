//! Reading chunks.
//!
//! Here: [`decode`] sample by sample, [`fill`] for whole columns, and the state that encoder and decoder share.
//! Elsewhere: the table of codes (`chunk`), writing (`chunk::encoder`).
//!
//! Invariant: foreign bytes never panic, and what is accepted rises strictly in time.

use super::{
    CODE_DECIMAL, CODE_DIFF_END, CODE_HALF, CODE_RUN, CODE_TIME, CODE_WIDE, CODE_XOR, DIFF_BIAS, POWERS, RUN_MAX,
    TIME_WIDTHS, unscaled,
};
use std::ops::RangeInclusive;

use crate::bytes::{Reader, unzigzag};

/// Steps that the encoder remembers. From a time within [`T_TAME`] on, [`COUNT_TAME`] of them do not overflow.
const STEPS: RangeInclusive<i64> = 1..=u32::MAX as i64;
const T_TAME: u64 = 1 << 62;
const COUNT_TAME: usize = 1 << 28;

/// What the next code builds on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) t: i64,
    /// Of the last sample; 0 before the second one.
    pub(super) step: i64,
    pub(super) bits: u64,
    /// The last value as an integer; stale unless `is_decimal`.
    n: i64,
    pub(super) exponent: u8,
    power: f64,
    pub(super) is_decimal: bool,
    /// The last code was a run.
    pub(super) in_run: bool,
}

impl State {
    fn new(t: i64) -> Self {
        State { t, step: 0, bits: 0, n: 0, exponent: 0, power: 1.0, is_decimal: true, in_run: false }
    }

    /// Reads one code with its payload; the number of samples that it stands for.
    #[inline]
    fn read(&mut self, r: &mut Reader<'_>) -> Option<u32> {
        // A step that the encoder's four bytes cannot hold is forgotten on both sides.
        if self.step > i64::from(u32::MAX) {
            self.step = 0;
        }
        let mut code = r.u8()?;
        if code >= CODE_TIME {
            self.step = self.step.wrapping_add(read_change(r, code)?);
            code = r.u8()?;
        }
        self.in_run = false;
        match code {
            0..CODE_DIFF_END => self.change(i64::from(code) - DIFF_BIAS)?,
            CODE_RUN..CODE_HALF => {
                self.in_run = true;
                return Some(u32::from(code - CODE_RUN) + 1);
            }
            CODE_HALF..CODE_WIDE => {
                let (bytes, upper) = (usize::from((code - CODE_HALF) / 16) + 1, u64::from((code - CODE_HALF) % 16));
                self.change(unzigzag(upper << (8 * bytes) | r.uint(bytes)?))?
            }
            CODE_XOR => self.exclusive_or(r)?,
            CODE_DECIMAL..CODE_TIME => {
                self.exponent = r.u8()?;
                self.power = *POWERS.get(usize::from(self.exponent))?;
                self.n = unzigzag(r.uint(usize::from(code - CODE_DECIMAL))?);
                self.is_decimal = true;
                self.bits = unscaled(self.n, self.power);
            }
            CODE_WIDE..CODE_XOR => self.change(unzigzag(r.uint(usize::from(code - CODE_WIDE))?))?,
            _ => return None,
        }
        Some(1)
    }

    #[inline]
    fn change(&mut self, diff: i64) -> Option<()> {
        if !self.is_decimal {
            return None;
        }
        self.n = self.n.wrapping_add(diff);
        self.bits = unscaled(self.n, self.power);
        Some(())
    }

    fn exclusive_or(&mut self, r: &mut Reader<'_>) -> Option<()> {
        let shape = r.u8()?;
        let (low, len) = (u32::from(shape >> 4), usize::from(shape & 15));
        if low + len as u32 > 8 {
            return None;
        }
        self.bits ^= r.uint(len)? << (low * 8).min(63);
        self.is_decimal = false;
        Some(())
    }
}

fn read_change(r: &mut Reader<'_>, code: u8) -> Option<i64> {
    let width = *TIME_WIDTHS.get(usize::from(code - CODE_TIME))?;
    let unused = 64 - 8 * width as u32;
    Some(((r.uint(width)? << unused) as i64) >> unused)
}

/// Calls `each` with every sample of a chunk of `count` samples, oldest first, until it answers `false`.
/// `None` if the bytes are not such a chunk; samples before the damage have been handed out then.
pub(crate) fn decode(bytes: &[u8], count: u32, each: impl FnMut(i64, f64) -> bool) -> Option<()> {
    walk(bytes, count, each).map(|_| ())
}

/// As [`decode`]; where the walk ended, if it was not stopped.
pub(super) fn walk(bytes: &[u8], count: u32, mut each: impl FnMut(i64, f64) -> bool) -> Option<Option<State>> {
    let mut r = Reader::new(bytes);
    let mut state = State::new(r.signed()?);
    let mut left = count.checked_sub(1)?;
    if state.read(&mut r)? != 1 || state.step != 0 {
        return None;
    }
    if !each(state.t, f64::from_bits(state.bits)) {
        return Some(None);
    }
    while left > 0 {
        let repeat = state.read(&mut r)?;
        if repeat > left || state.step <= 0 {
            return None;
        }
        left -= repeat;
        let v = f64::from_bits(state.bits);
        for _ in 0..repeat {
            state.t = state.t.checked_add(state.step)?;
            if !each(state.t, v) {
                return Some(None);
            }
        }
    }
    r.is_at_end().then_some(Some(state))
}

/// Decodes a chunk of `ts.len()` samples into columns of that length. `None` if the bytes are not such a chunk; the
/// columns hold rubbish then.
pub(super) fn fill(bytes: &[u8], ts: &mut [i64], vs: &mut [f64]) -> Option<()> {
    let mut r = Reader::new(bytes);
    let mut state = State::new(r.signed()?);
    if state.read(&mut r)? != 1 || state.step != 0 {
        return None;
    }
    (*ts.first_mut()?, *vs.first_mut()?) = (state.t, f64::from_bits(state.bits));
    let mut at = 1;
    while at < ts.len() {
        if state.is_decimal && STEPS.contains(&state.step) {
            at += state.fill_decimals(&mut r, ts.get_mut(at..)?, vs.get_mut(at..)?);
            if at == ts.len() {
                break;
            }
        }
        let repeat = state.read(&mut r)? as usize;
        let (ts, vs) = (ts.get_mut(at..at + repeat)?, vs.get_mut(at..at + repeat)?);
        if state.step <= 0 {
            return None;
        }
        for t in ts {
            state.t = state.t.checked_add(state.step)?;
            *t = state.t;
        }
        vs.fill(f64::from_bits(state.bits));
        at += repeat;
    }
    r.is_at_end().then_some(())
}

impl State {
    /// Reads codes as long as they change the integer or repeat it, the step being one of [`STEPS`]: nearly all of them.
    /// Stops before any other, and before damage; how many samples were read.
    #[inline]
    fn fill_decimals(&mut self, r: &mut Reader<'_>, ts: &mut [i64], vs: &mut [f64]) -> usize {
        let codes = r.rest();
        let (mut t, mut n, step, power) = (self.t, self.n, self.step, self.power);
        if t.unsigned_abs() > T_TAME {
            return 0;
        }
        let (mut read, mut at) = (0, 0);
        let len = ts.len().min(vs.len()).min(COUNT_TAME);
        let (ts, vs) = (&mut ts[..len], &mut vs[..len]);
        while at < len
            && let Some(&code) = codes.get(read)
        {
            // Which of the two it is cannot be foretold, so one sample is read without asking: a run begins with no change.
            if code < CODE_HALF {
                let repeat = usize::from(code.saturating_sub(CODE_RUN)) + 1;
                if repeat > len - at {
                    break;
                }
                n = n.wrapping_add(if code < CODE_DIFF_END { i64::from(code) - DIFF_BIAS } else { 0 });
                self.bits = unscaled(n, power);
                t += step;
                (ts[at], vs[at]) = (t, f64::from_bits(self.bits));
                for more in at + 1..at + repeat {
                    t += step;
                    (ts[more], vs[more]) = (t, f64::from_bits(self.bits));
                }
                (at, read) = (at + repeat, read + 1);
                continue;
            }
            let (next, used) = match code {
                CODE_HALF..CODE_WIDE => {
                    let Some(payload) = codes.get(read + 1..).and_then(|rest| rest.first_chunk::<4>()) else { break };
                    let shape = u32::from(code - CODE_HALF);
                    let bits = 8 * (shape / 16 + 1);
                    let lower = u64::from(u32::from_le_bytes(*payload)) & ((1 << bits) - 1);
                    let number = u64::from(shape % 16) << bits | lower;
                    (n.wrapping_add(unzigzag(number)), 2 + shape as usize / 16)
                }
                _ => break,
            };
            n = next;
            t += step;
            self.bits = unscaled(n, power);
            (ts[at], vs[at]) = (t, f64::from_bits(self.bits));
            (at, read) = (at + 1, read + used);
        }
        (self.t, self.n) = (t, n);
        r.skip(read);
        at
    }
}

const _: () = assert!(CODE_RUN == CODE_DIFF_END && CODE_RUN + RUN_MAX == CODE_HALF);
const _: () = assert!(CODE_HALF + 64 == CODE_WIDE && CODE_WIDE + 8 == CODE_XOR);
