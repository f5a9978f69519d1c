//! Values in the WAL: each against the last logged one of its series.
//!
//! Here: the codes of one value, and the table of last values that writer and reader keep alike.
//! Elsewhere: the columns of a record (`wal::record`), when the table is emptied (`wal`, `wal::replay`).
//!
//! Invariant: what is read has the bits that were put. The writer rebuilds each value as the reader will before it
//! chooses a code; a reader that may have missed something proves its table by the check of the group (or gives the
//! samples up), so a value is exact or lost, never guessed.

use std::fmt;

use crate::bytes::{Reader, unzigzag, zigzag};

/// So many values of a series follow one that stands for itself, before the next that does.
pub(crate) const DELTAS_MAX: u8 = 64;
/// Series on one page of the table.
pub(crate) const PAGE_SERIES: usize = 512;
/// Ids from here on have no base: they do not occur, and the table must not grow with what a damaged record claims.
pub(crate) const IDS_MAX: u64 = 1 << 32;

/// The same bits as before. Up to [`CODE_SMALL_MAX`] the code is the zigzag difference itself.
pub(crate) const CODE_SAME: u8 = 0;
/// Largest difference that is its own code.
pub(crate) const CODE_SMALL_MAX: u8 = 191;
/// Plus n: a difference of n bytes, 1 to 7.
pub(crate) const CODE_DIFFERENCE: u8 = 191;
/// Exclusive-or: the first of 36 codes, for each number of bytes and place of them.
pub(crate) const CODE_XOR: u8 = 199;
/// Plus n: a whole number of n bytes, 1 to 7, that stands for itself.
pub(crate) const CODE_WHOLE: u8 = 234;
/// Plus n: the n high bytes, 0 to 8, of a float that stands for itself.
pub(crate) const CODE_HIGH: u8 = 242;
/// A decimal number that stands for itself.
pub(crate) const CODE_DECIMAL: u8 = 251;
/// The series' decimal exponent changes; the difference's code follows.
pub(crate) const CODE_EXPONENT: u8 = 252;

/// Largest decimal exponent.
pub(crate) const EXPONENT_MAX: u8 = 15;
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Scaled values below this are rounded by [`scaled`].
const SCALED_MAX: f64 = (1u64 << 51) as f64;
/// Longer decimals are no decimals: by chance every few floats have one of 15 digits.
const SEARCHED_MAX: i64 = 1 << 47;
/// Adding this moves a number's integer part to the low bits of the mantissa, rounded.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// In `left`: the base was proved or stands for itself (reader only).
const SURE: u8 = 0x80;
/// In `exponent`: a search for a decimal failed, so it is not repeated for each value (writer only).
const NO_DECIMAL: u8 = 0x80;

/// `v` times 10 to the `exponent`, rounded; 0 if that is too large or no number. Only basic operations of IEEE 754, so
/// that every machine finds the same.
#[inline(always)]
fn scaled(v: f64, exponent: u8) -> i64 {
    let x = v * POWERS[usize::from(exponent & 15)];
    if x.abs() < SCALED_MAX { (x + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i64 } else { 0 }
}

#[inline(always)]
fn unscaled(number: i64, exponent: u8) -> f64 {
    number as f64 / POWERS[usize::from(exponent & 15)]
}

/// Bytes that `n` needs, 0 for 0.
#[inline(always)]
fn byte_len(n: u64) -> usize {
    8 - n.leading_zeros() as usize / 8
}

/// The shortest decimal form, number and exponent, that gives exactly `v`.
fn decimal(v: f64) -> Option<(i64, u8)> {
    let size = v.abs();
    if size.is_nan() || size >= SCALED_MAX {
        return None;
    }
    let whole = v as i64;
    if (whole as f64).to_bits() == v.to_bits() {
        return Some((whole, 0));
    }
    let mut exponent = EXPONENT_MAX;
    while exponent > 0 && size * POWERS[usize::from(exponent)] >= SCALED_MAX {
        exponent -= 1;
    }
    let mut number = scaled(v, exponent);
    if unscaled(number, exponent).to_bits() != v.to_bits() {
        return None;
    }
    while exponent > 0 && number % 10 == 0 {
        number /= 10;
        exponent -= 1;
    }
    (number.abs() < SEARCHED_MAX && unscaled(number, exponent).to_bits() == v.to_bits()).then_some((number, exponent))
}

/// Last logged values, by series.
#[derive(Default)]
pub(crate) struct ValueBases {
    pages: Vec<Option<Box<Page>>>,
}

/// Ten bytes a series, for as long as the series is logged.
struct Page {
    bits: [u64; PAGE_SERIES],
    exponent: [u8; PAGE_SERIES],
    /// 0 without a base, else 1 + how many differences may follow; the reader's [`SURE`] above.
    left: [u8; PAGE_SERIES],
    is_used: bool,
}

impl fmt::Debug for ValueBases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueBases").field("bytes", &self.bytes()).finish()
    }
}

/// Where values go: a code for each, and what the codes need besides.
#[derive(Debug)]
pub(crate) struct ValueWriter<'a> {
    /// Codes.
    pub(crate) codes: &'a mut Vec<u8>,
    /// Everything longer.
    pub(crate) wide: &'a mut Vec<u8>,
    /// Of the bases that were used since it was 0.
    pub(crate) check: u64,
}

/// Where values come from.
#[derive(Debug)]
pub(crate) struct ValueReader<'a> {
    /// Codes.
    pub(crate) codes: Reader<'a>,
    /// Everything longer.
    pub(crate) wide: Reader<'a>,
    /// Of the bases that were used since it was 0.
    pub(crate) check: u64,
}

/// What a value that was read rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rests {
    /// On itself.
    Itself,
    /// On a base that is known to be right.
    Sure,
    /// On a base that may be out of date: only the group's check tells.
    Unsure,
    /// On a base that is not there: the value means nothing.
    Nothing,
}

#[inline(always)]
fn mix(check: u64, bits: u64, exponent: u8) -> u64 {
    (check.rotate_left(5) ^ bits ^ u64::from(exponent & 15)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What is stored of a check.
pub(crate) fn check_bits(check: u64) -> u32 {
    (check >> 32) as u32
}

impl ValueBases {
    /// Forgets all values but keeps the memory of those series that were logged since the last time.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.pages {
            match slot {
                Some(page) if page.is_used => {
                    page.left.fill(0);
                    page.is_used = false;
                }
                _ => *slot = None,
            }
        }
        let len = self.pages.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.pages.truncate(len);
    }

    /// Says that records may be missing: each base must be proved before it is used.
    pub(crate) fn doubt(&mut self) {
        for page in self.pages.iter_mut().flatten() {
            page.left.iter_mut().for_each(|left| *left &= !SURE);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count();
        self.pages.capacity() * size_of::<Option<Box<Page>>>() + pages * size_of::<Page>()
    }

    #[inline(always)]
    fn page(&mut self, id: u64) -> Option<(&mut Page, usize)> {
        let number = id as usize / PAGE_SERIES;
        if id >= IDS_MAX {
            return None;
        }
        if self.pages.get(number).is_none_or(Option::is_none) {
            self.add_page(number);
        }
        self.pages[number].as_deref_mut().map(|page| (page, id as usize % PAGE_SERIES))
    }

    #[cold]
    fn add_page(&mut self, number: usize) {
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        let (bits, exponent, left) = ([0; PAGE_SERIES], [0; PAGE_SERIES], [0; PAGE_SERIES]);
        self.pages[number] = Some(Box::new(Page { bits, exponent, left, is_used: true }));
    }

    /// Writes the next value of series `id`.
    #[inline]
    pub(crate) fn put_value(&mut self, id: u64, v: f64, out: &mut ValueWriter<'_>) {
        let bits = v.to_bits();
        let Some((page, i)) = self.page(id) else {
            put_absolute(v, 0, out);
            return;
        };
        page.is_used = true;
        if page.left[i] <= 1 {
            page.exponent[i] = put_absolute(v, page.exponent[i], out);
            page.left[i] = DELTAS_MAX + 1;
        } else {
            page.left[i] -= 1;
            out.check = mix(out.check, page.bits[i], page.exponent[i]);
            if page.bits[i] == bits {
                out.codes.push(CODE_SAME);
                return;
            }
            page.exponent[i] = put_difference(f64::from_bits(page.bits[i]), v, page.exponent[i], out);
        }
        page.bits[i] = bits;
    }

    /// Reads the next value of series `id`, and says what it rests on. `None` if there is no valid code.
    #[inline]
    pub(crate) fn read_value(&mut self, id: u64, from: &mut ValueReader<'_>) -> Option<(f64, Rests)> {
        let Some((page, i)) = self.page(id) else {
            let read = read_code(0, 0, from)?;
            let rests = if read.is_absolute { Rests::Itself } else { Rests::Nothing };
            return Some((f64::from_bits(read.bits), rests));
        };
        page.is_used = true;
        let read = read_code(page.bits[i], page.exponent[i], from)?;
        if read.is_absolute {
            page.left[i] = SURE | 1;
        } else {
            from.check = mix(from.check, page.bits[i], page.exponent[i]);
        }
        page.bits[i] = read.bits;
        page.exponent[i] = read.exponent;
        let rests = match page.left[i] {
            _ if read.is_absolute => Rests::Itself,
            0 => Rests::Nothing,
            left if left & SURE != 0 => Rests::Sure,
            _ => Rests::Unsure,
        };
        Some((f64::from_bits(read.bits), rests))
    }

    /// Says that the base of `id` is right after all.
    pub(crate) fn confirm(&mut self, id: u64) {
        if let Some((page, i)) = self.page(id)
            && page.left[i] != 0
        {
            page.left[i] |= SURE;
        }
    }

    /// Gives up the base of `id`; one that is sure only if `even_sure`.
    pub(crate) fn give_up(&mut self, id: u64, even_sure: bool) {
        if let Some((page, i)) = self.page(id)
            && (even_sure || page.left[i] & SURE == 0)
        {
            page.left[i] = 0;
        }
    }
}

/// Writes a value that stands for itself; the exponent that its series has from now on. `hint` is the one before.
fn put_absolute(v: f64, hint: u8, out: &mut ValueWriter<'_>) -> u8 {
    let bits = v.to_bits();
    let high = 8 - bits.trailing_zeros() as usize / 8;
    let Some((mut number, mut exponent)) = decimal(v) else {
        out.codes.push(CODE_HIGH + high as u8);
        out.wide.extend_from_slice(&bits.to_be_bytes()[..high]);
        return NO_DECIMAL;
    };
    // A series of two decimals meets 0.50 now and then; it keeps its exponent.
    if hint > exponent && hint <= exponent + 2 && unscaled(scaled(v, hint), hint).to_bits() == bits {
        (number, exponent) = (scaled(v, hint), hint);
    }
    if exponent == 0 && number > 0 {
        let len = byte_len(number as u64);
        if len <= high {
            out.codes.push(CODE_WHOLE + len as u8);
            out.wide.extend_from_slice(&number.to_le_bytes()[..len]);
            return 0;
        }
    }
    let coded = zigzag(number);
    let len = byte_len(coded);
    if exponent == 0 && 1 + len > high || 1 + len > 8 {
        out.codes.push(CODE_HIGH + high as u8);
        out.wide.extend_from_slice(&bits.to_be_bytes()[..high]);
        return 0;
    }
    out.codes.push(CODE_DECIMAL);
    out.wide.push((len as u8) << 4 | exponent);
    out.wide.extend_from_slice(&coded.to_le_bytes()[..len]);
    exponent
}

/// Writes `v` against `base`; the exponent that the series has from now on.
#[inline]
fn put_difference(base: f64, v: f64, exponent: u8, out: &mut ValueWriter<'_>) -> u8 {
    let e = exponent & 15;
    let number = scaled(v, e);
    if unscaled(number, e).to_bits() == v.to_bits() {
        let coded = zigzag(number.wrapping_sub(scaled(base, e)));
        if coded != 0 && coded <= u64::from(CODE_SMALL_MAX) {
            out.codes.push(coded as u8);
            return exponent;
        }
        let len = byte_len(coded).max(1);
        if len <= 2 || len <= Xor::new(base, v).len {
            put_wide_difference(coded, len, out);
            return exponent;
        }
    }
    put_strange(base, v, exponent, out)
}

/// `len` is at most 7: two scaled values are less than 2^52 apart.
fn put_wide_difference(coded: u64, len: usize, out: &mut ValueWriter<'_>) {
    out.codes.push(CODE_DIFFERENCE + len as u8);
    out.wide.extend_from_slice(&coded.to_le_bytes()[..len]);
}

/// Writes what does not have the series' number of decimals.
fn put_strange(base: f64, v: f64, exponent: u8, out: &mut ValueWriter<'_>) -> u8 {
    let xor = Xor::new(base, v);
    let found = if exponent & NO_DECIMAL == 0 { decimal(v) } else { None };
    if let Some((number, e)) = found
        && e > exponent & 15
    {
        let coded = zigzag(number.wrapping_sub(scaled(base, e)));
        let len = byte_len(coded).max(1);
        if len < xor.len {
            out.codes.push(CODE_EXPONENT);
            out.wide.push(e);
            if coded != 0 && coded <= u64::from(CODE_SMALL_MAX) {
                out.codes.push(coded as u8);
            } else {
                put_wide_difference(coded, len, out);
            }
            return e;
        }
    }
    out.codes.push(xor.code());
    out.wide.extend_from_slice(&xor.bits.to_le_bytes()[..xor.len]);
    if found.is_none() { exponent | NO_DECIMAL } else { exponent }
}

/// Exclusive-or of two floats' bits, without the zero bytes at both ends.
struct Xor {
    bits: u64,
    len: usize,
    trimmed: usize,
}

impl Xor {
    #[inline]
    fn new(base: f64, v: f64) -> Self {
        let bits = base.to_bits() ^ v.to_bits();
        let trimmed = (bits | 1 << 63).trailing_zeros() as usize / 8;
        let bits = bits >> (8 * trimmed);
        Xor { bits, len: byte_len(bits).max(1), trimmed }
    }

    /// Lengths 1 to 8 have 8 to 1 places.
    fn code(&self) -> u8 {
        let before: usize = (1..self.len).map(|len| 9 - len).sum();
        CODE_XOR + (before + self.trimmed) as u8
    }
}

/// The first code of a whole number: with a length of 1.
const WHOLE_FIRST: u8 = CODE_WHOLE + 1;

/// Bytes and place of each exclusive-or code.
const XOR_SHAPES: [(u8, u8); 36] = {
    let mut shapes = [(0, 0); 36];
    let (mut i, mut len) = (0, 1);
    while len <= 8 {
        let mut trimmed = 0;
        while trimmed <= 8 - len {
            shapes[i] = (len, trimmed);
            i += 1;
            trimmed += 1;
        }
        len += 1;
    }
    shapes
};

/// A value that was read, and the exponent that its series has then.
struct Read {
    bits: u64,
    exponent: u8,
    is_absolute: bool,
}

#[inline(always)]
fn read_code(base: u64, exponent: u8, from: &mut ValueReader<'_>) -> Option<Read> {
    let code = from.codes.u8()?;
    if code == CODE_SAME {
        return Some(Read { bits: base, exponent, is_absolute: false });
    }
    if code <= CODE_SMALL_MAX {
        return Some(against(base, exponent, u64::from(code)));
    }
    read_long(code, base, exponent, from)
}

#[inline(always)]
fn against(base: u64, exponent: u8, coded: u64) -> Read {
    let number = scaled(f64::from_bits(base), exponent).wrapping_add(unzigzag(coded));
    Read { bits: unscaled(number, exponent).to_bits(), exponent, is_absolute: false }
}

fn read_long(code: u8, base: u64, exponent: u8, from: &mut ValueReader<'_>) -> Option<Read> {
    let absolute = |v: f64, exponent| Some(Read { bits: v.to_bits(), exponent, is_absolute: true });
    match code {
        CODE_EXPONENT => {
            let exponent = from.wide.u8().filter(|&e| e <= EXPONENT_MAX)?;
            match from.codes.u8()? {
                CODE_SAME => None,
                code @ 1..=CODE_SMALL_MAX => Some(against(base, exponent, u64::from(code))),
                code @ ..CODE_XOR => {
                    let coded = from.wide.uint(usize::from(code - CODE_DIFFERENCE))?;
                    Some(against(base, exponent, coded))
                }
                _ => None,
            }
        }
        ..CODE_XOR => {
            let coded = from.wide.uint(usize::from(code - CODE_DIFFERENCE))?;
            Some(against(base, exponent, coded))
        }
        CODE_XOR..=CODE_WHOLE => {
            let (len, trimmed) = XOR_SHAPES[usize::from(code - CODE_XOR)];
            let bits = base ^ from.wide.uint(usize::from(len))? << (8 * trimmed);
            Some(Read { bits, exponent, is_absolute: false })
        }
        WHOLE_FIRST..CODE_HIGH => absolute(from.wide.uint(usize::from(code - CODE_WHOLE))? as f64, 0),
        CODE_HIGH..CODE_DECIMAL => {
            let mut high = [0u8; 8];
            let len = usize::from(code - CODE_HIGH);
            high[..len].copy_from_slice(from.wide.bytes(len)?);
            absolute(f64::from_bits(u64::from_be_bytes(high)), 0)
        }
        CODE_DECIMAL => {
            let shape = from.wide.u8()?;
            let coded = from.wide.uint(usize::from(shape >> 4))?;
            absolute(unscaled(unzigzag(coded), shape & 15), shape & 15)
        }
        _ => None,
    }
}
