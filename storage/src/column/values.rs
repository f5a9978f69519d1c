//! The values of a chunk.
//!
//! Here: floats as decimals scaled to whole numbers where that is exact, else as bits; exceptions for the few values
//! (staleness markers, NaN, -0) that would spoil the rest.
//! Elsewhere: the whole numbers' transforms (`ints`), where constants are kept (`block::series_page`).
//!
//! Invariant: a value is written as a decimal only if dividing gives its exact bits back, checked value by value.

use super::ints::{self, Nature};
use super::{CHUNK_SAMPLES_MAX, Encoded};
use crate::STALE_NAN_BITS;
use crate::bytes::{Reader, put_signed, put_varint};

/// Most decimal places that are tried: powers of ten up to here are exact.
pub(crate) const PLACES_MAX: usize = 15;
/// Places of a chunk whose numbers are the floats' bits.
pub(crate) const PLACES_BITS: u8 = 0x1f;
/// Bit of the head's first byte: a list of exceptions follows the numbers' head.
pub(crate) const HAS_EXCEPTIONS: u8 = 0x20;
/// Whole numbers beyond this are not told apart by a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// From here on floats are whole.
const ROUND_MAX: f64 = 4_503_599_627_370_496.0;
/// One in so many values may be an exception, and a few in any case.
const EXCEPTION_PART: usize = 50;
const EXCEPTIONS_MIN: usize = 3;

const POWERS: [f64; PLACES_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The one value of a chunk in which nothing changes, as bits.
pub(crate) fn constant(values: &[f64]) -> Option<u64> {
    let bits = values.first()?.to_bits();
    values.iter().all(|v| v.to_bits() == bits).then_some(bits)
}

/// Encodes `values`, which are not empty and at most [`CHUNK_SAMPLES_MAX`].
pub(crate) fn encode(values: &[f64]) -> Encoded {
    assert!(!values.is_empty() && values.len() <= CHUNK_SAMPLES_MAX, "a chunk has 1 to {CHUNK_SAMPLES_MAX} samples");
    if let Some(numbers) = whole(values) {
        return encode_decimals(&numbers, 0, &[]);
    }
    if let Some(places) = places_of(values)
        && let Some((numbers, exceptions)) = decimals(values, places)
    {
        return encode_decimals(&numbers, places, &exceptions);
    }
    let bits: Vec<i64> = values.iter().map(|v| v.to_bits() as i64).collect();
    let mut out = ints::encode(&bits, Nature::Bits);
    out.head.insert(0, PLACES_BITS);
    out
}

fn encode_decimals(numbers: &[i64], places: usize, exceptions: &[Exception]) -> Encoded {
    let mut out = ints::encode(numbers, Nature::Numbers);
    out.head.insert(0, places as u8 | if exceptions.is_empty() { 0 } else { HAS_EXCEPTIONS });
    if !exceptions.is_empty() {
        put_exceptions(&mut out.head, exceptions);
    }
    out
}

/// The whole number that is `v` with so many places, if exactly so.
#[inline]
fn scaled(v: f64, places: usize) -> Option<i64> {
    let n = rounded(v * POWERS[places]);
    // Compared as bits: -0 and NaN are never exact.
    (n.abs() < WHOLE_MAX && (n as i64 as f64 / POWERS[places]).to_bits() == v.to_bits()).then_some(n as i64)
}

/// To the next whole number, ties to even, by adding what leaves no room for a fraction.
#[inline]
fn rounded(v: f64) -> f64 {
    let magic = f64::copysign(ROUND_MAX, v);
    if v.abs() < ROUND_MAX { (v + magic) - magic } else { v }
}

/// The values as whole numbers, if they are and come back.
fn whole(values: &[f64]) -> Option<Vec<i64>> {
    // Without branches, so that it is done for several values at a time; a conversion saturates and then is not equal.
    let differs = |v: f64| (v as i64 as f64).to_bits() ^ v.to_bits() | u64::from(v.abs() >= WHOLE_MAX);
    let is_whole = |part: &[f64]| part.iter().fold(0, |all, &v| all | differs(v)) == 0;
    values.chunks(64).all(is_whole).then(|| values.iter().map(|&v| v as i64).collect())
}

/// The fewest places with which nearly all values are exact.
fn places_of(values: &[f64]) -> Option<usize> {
    let mut spare = EXCEPTIONS_MIN.max(values.len() / EXCEPTION_PART).min(values.len() - 1);
    let mut needed = [0usize; PLACES_MAX + 1];
    let mut last = 0;
    for &v in values {
        let found = scaled(v, last).map(|n| (last, n));
        match found.or_else(|| (0..=PLACES_MAX).find_map(|p| Some((p, scaled(v, p)?)))) {
            Some((places, n)) => {
                last = places;
                needed[fewest(n, places)] += 1;
            }
            None if spare > 0 => spare -= 1,
            None => return None,
        }
    }
    // Values with many more places than the rest become exceptions as long as there is room for them.
    let mut places = needed.iter().rposition(|&n| n > 0)?;
    while places > 0 && needed[places] <= spare.min(values.len() / 100) {
        spare -= needed[places];
        places = needed[..places].iter().rposition(|&n| n > 0).unwrap_or(0);
    }
    Some(places)
}

/// The places that are left of `places` without the zeros at the end of `n`.
fn fewest(mut n: i64, mut places: usize) -> usize {
    while places > 0 && n % 10 == 0 {
        n /= 10;
        places -= 1;
    }
    places
}

/// A value that is no decimal: its place and bits.
type Exception = (usize, u64);

/// The numbers of all values, and those that are none; `None` if these are too many: exact with few places is not always
/// exact with more, large numbers run out of digits.
fn decimals(values: &[f64], places: usize) -> Option<(Vec<i64>, Vec<Exception>)> {
    let mut numbers = Vec::with_capacity(values.len());
    let mut exceptions: Vec<Exception> = Vec::new();
    let mut last = values.iter().find_map(|&v| scaled(v, places)).unwrap_or(0);
    for (at, &v) in values.iter().enumerate() {
        match scaled(v, places) {
            Some(n) => last = n,
            None => exceptions.push((at, v.to_bits())),
        }
        numbers.push(last);
    }
    let most = EXCEPTIONS_MIN.max(values.len() / EXCEPTION_PART).min(values.len() - 1);
    (exceptions.len() <= most).then_some((numbers, exceptions))
}

/// Number of exceptions, then for each its distance from the last, twice, plus one if it is no staleness marker, whose
/// bits follow otherwise.
fn put_exceptions(out: &mut Vec<u8>, exceptions: &[Exception]) {
    put_varint(out, exceptions.len() as u64);
    let mut last = 0;
    for &(at, bits) in exceptions {
        let is_other = bits != STALE_NAN_BITS;
        put_varint(out, ((at - last) as u64) << 1 | u64::from(is_other));
        if is_other {
            out.extend_from_slice(&bits.to_le_bytes());
        }
        last = at;
    }
}

/// Appends `count` values to `out`; `numbers` is working memory. On `None` some may have been appended.
pub(crate) fn decode(
    head: &[u8],
    planes: &[&[u8]],
    count: usize,
    numbers: &mut Vec<i64>,
    out: &mut Vec<f64>,
) -> Option<()> {
    if count > CHUNK_SAMPLES_MAX {
        return None;
    }
    let mut head = Reader::new(head);
    let mode = head.u8()?;
    ints::decode(&mut head, planes, count, numbers)?;
    let from = out.len();
    if mode == PLACES_BITS {
        out.extend(numbers.iter().map(|&n| f64::from_bits(n as u64)));
        return head.is_at_end().then_some(());
    }
    let places = usize::from(mode & !HAS_EXCEPTIONS);
    let power = *POWERS.get(places)?;
    match places {
        0 => out.extend(numbers.iter().map(|&n| n as f64)),
        _ => out.extend(numbers.iter().map(|&n| n as f64 / power)),
    }
    if mode & HAS_EXCEPTIONS != 0 {
        read_exceptions(&mut head, &mut out[from..])?;
    }
    head.is_at_end().then_some(())
}

fn read_exceptions(head: &mut Reader<'_>, values: &mut [f64]) -> Option<()> {
    let mut at = 0usize;
    for _ in 0..head.count(1)? {
        let code = head.varint()?;
        at = at.checked_add(usize::try_from(code >> 1).ok()?)?;
        let bits = if code & 1 == 1 { head.u64()? } else { STALE_NAN_BITS };
        *values.get_mut(at)? = f64::from_bits(bits);
    }
    Some(())
}

/// Writes one value on its own: places and whole number if that is exact, else its bits.
pub(crate) fn put_one(out: &mut Vec<u8>, bits: u64) {
    let v = f64::from_bits(bits);
    match (0..=PLACES_MAX).find_map(|places| Some((places, scaled(v, places)?))) {
        Some((places, n)) => {
            out.push(places as u8);
            put_signed(out, n);
        }
        None => {
            out.push(PLACES_BITS);
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
}

/// Reads what [`put_one`] wrote.
pub(crate) fn read_one(r: &mut Reader<'_>) -> Option<u64> {
    match r.u8()? {
        PLACES_BITS => r.u64(),
        places => Some((r.signed()? as f64 / *POWERS.get(usize::from(places))?).to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stale_nan;

    #[track_caller]
    fn check(values: &[f64]) -> Encoded {
        let encoded = encode(values);
        let mut out = vec![0.5];
        decode(&encoded.head, &encoded.plane_slices(), values.len(), &mut Vec::new(), &mut out).unwrap();
        assert_eq!(out.len(), values.len() + 1);
        for (found, expected) in out[1..].iter().zip(values) {
            assert_eq!(found.to_bits(), expected.to_bits(), "{found} {expected}");
        }
        encoded
    }

    #[test]
    fn decimals_become_small_numbers() {
        let temperatures: Vec<f64> = (0..400).map(|i| 200.0 + f64::from(i * 37 % 50) / 10.0).collect();
        assert_eq!(check(&temperatures).width, 1);
        let counter: Vec<f64> = (0..400).map(|i| 1e9 + f64::from(i) * 15.25).collect();
        assert_eq!(check(&counter).width, 0);
    }

    #[test]
    fn a_staleness_marker_does_not_spoil_the_chunk() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        let without = check(&values).head.len();
        values.push(stale_nan());
        let with = check(&values);
        assert!(with.width <= 1 && with.head.len() <= without + 6, "{with:?}");
        values[50] = -0.0;
        values[51] = f64::NAN;
        assert!(check(&values).width <= 1);
    }

    #[test]
    fn odd_values_come_back() {
        check(&[stale_nan()]);
        check(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MIN_POSITIVE, f64::MAX, 5e-324]);
        check(&[0.1 + 0.2, 1.0 / 3.0, 1e300, 1e-300]);
        check(&[9_007_199_254_740_993.0, 1e17, 0.001]);
        check(&[stale_nan(); 20]);
    }

    #[test]
    fn single_values_come_back() {
        for v in [0.0, -0.0, 1.5, -273.15, 1e300, stale_nan(), f64::NAN, 1.0 / 3.0] {
            let mut out = Vec::new();
            put_one(&mut out, v.to_bits());
            let mut r = Reader::new(&out);
            assert_eq!((read_one(&mut r), r.is_at_end()), (Some(v.to_bits()), true));
        }
    }

    proptest! {
        #[test]
        fn any_bits_come_back(bits in proptest::collection::vec(any::<u64>(), 1..60)) {
            check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_come_back(numbers in proptest::collection::vec(-100_000i64..100_000, 1..300), places in 0..6usize) {
            check(&numbers.into_iter().map(|n| n as f64 / POWERS[places]).collect::<Vec<_>>());
        }

        #[test]
        fn foreign_bytes_do_no_harm(head in proptest::collection::vec(any::<u8>(), 0..40), plane in proptest::collection::vec(any::<u8>(), 9)) {
            let _ = decode(&head, &[&plane], 10, &mut Vec::new(), &mut Vec::new());
            let _ = decode(&head, &[], 10, &mut Vec::new(), &mut Vec::new());
        }
    }
}
