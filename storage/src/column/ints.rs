//! Whole numbers as small residuals.
//!
//! Here: the transforms (as they are, differences, differences of differences, distance from a straight line, exclusive
//! or), the choice between them, and byte planes.
//! Elsewhere: which numbers (`values`, `times`).
//!
//! Invariant: all arithmetic wraps, so any row of 64-bit numbers comes back, and decoding has no case that can overflow.

use std::sync::OnceLock;

use super::Encoded;
use crate::bytes::{Reader, put_signed, unzigzag, zigzag};

/// How a number follows from the ones before it and its residual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    /// The residual is its distance from the first number.
    Plain = 0,
    /// From the last number.
    Delta = 1,
    /// The residual changes the step.
    Second = 2,
    /// From the line through the first number with the head's step.
    Linear = 3,
    /// Exclusive or with the last number.
    Xor = 4,
}

const TRANSFORMS: [Transform; 5] =
    [Transform::Plain, Transform::Delta, Transform::Second, Transform::Linear, Transform::Xor];
/// Bit of the head's first byte: residuals are distances from the least one, not zigzag.
const FROM_LEAST: u8 = 0x08;
/// The width stands in the high nibble.
const WIDTH_SHIFT: u32 = 4;
/// What a byte value that occurs is taken to cost, beside its share: it must get a code in the page's table.
const SYMBOL_BITS: f32 = 3.0;
/// So many numbers are put together from their planes at a time.
const BLOCK: usize = 64;
/// A transform is judged by so many windows of the row, each of [`BLOCK`] residuals: enough to tell the transforms apart.
const TRIAL_WINDOWS: usize = 4;

/// Which transforms are worth a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Numbers that count or measure.
    Numbers,
    /// Bits of floats: exclusive or may be best.
    Bits,
}

/// A way to write residuals, with its estimated cost.
struct Plan {
    transform: Transform,
    step: i64,
    least: Option<i64>,
    width: usize,
    bits: f32,
}

/// Encodes `numbers`, which are not empty.
pub(crate) fn encode(numbers: &[i64], nature: Nature) -> Encoded {
    let mut residuals = Vec::with_capacity(numbers.len());
    let plan = choose(numbers, nature, &mut residuals);
    fill(numbers, plan.transform, plan.step, &mut residuals);
    let mut out = Encoded { width: plan.width, ..Encoded::default() };
    let mode = plan.transform as u8 | if plan.least.is_some() { FROM_LEAST } else { 0 };
    out.head.push(mode | (plan.width as u8) << WIDTH_SHIFT);
    put_signed(&mut out.head, numbers[0]);
    if matches!(plan.transform, Transform::Second | Transform::Linear) {
        put_signed(&mut out.head, plan.step);
    }
    if let Some(least) = plan.least {
        put_signed(&mut out.head, least);
    }
    out.planes.reserve(residuals.len() * plan.width);
    for plane in 0..plan.width {
        let shift = 8 * plane;
        match plan.least {
            Some(least) => out.planes.extend(residuals.iter().map(|r| (r.wrapping_sub(least) as u64 >> shift) as u8)),
            None if plan.transform == Transform::Xor => {
                out.planes.extend(residuals.iter().map(|&r| (r as u64 >> shift) as u8));
            }
            None => out.planes.extend(residuals.iter().map(|&r| (zigzag(r) >> shift) as u8)),
        }
    }
    out
}

fn choose(numbers: &[i64], nature: Nature, residuals: &mut Vec<i64>) -> Plan {
    let first_step = numbers.get(1).map_or(0, |second| second.wrapping_sub(numbers[0]));
    let mean_step = match numbers.len() {
        0 | 1 => 0,
        len => (i128::from(numbers[len - 1]) - i128::from(numbers[0])).div_euclid(len as i128 - 1) as i64,
    };
    let mut trials = vec![(Transform::Delta, 0), (Transform::Second, first_step), (Transform::Plain, 0)];
    if nature == Nature::Bits {
        trials.push((Transform::Xor, 0));
    } else if mean_step != 0 {
        trials.push((Transform::Linear, mean_step));
    }
    let mut best: Option<Plan> = None;
    for (transform, step) in trials {
        fill(numbers, transform, step, residuals);
        let plan = plan(transform, step, residuals);
        if best.as_ref().is_none_or(|b| plan.bits < b.bits) {
            best = Some(plan);
        }
        if best.as_ref().is_some_and(|b| b.width == 0) {
            break;
        }
    }
    best.expect("there is at least one trial")
}

/// Residuals of all numbers but the first.
fn fill(numbers: &[i64], transform: Transform, step: i64, out: &mut Vec<i64>) {
    out.clear();
    let pairs = numbers.windows(2);
    match transform {
        Transform::Plain => out.extend(numbers[1..].iter().map(|n| n.wrapping_sub(numbers[0]))),
        Transform::Delta => out.extend(pairs.map(|w| w[1].wrapping_sub(w[0]))),
        Transform::Xor => out.extend(pairs.map(|w| w[1] ^ w[0])),
        Transform::Second => {
            let mut last = step;
            out.extend(pairs.map(|w| {
                let delta = w[1].wrapping_sub(w[0]);
                delta.wrapping_sub(std::mem::replace(&mut last, delta))
            }));
        }
        Transform::Linear => {
            let mut line = numbers[0];
            out.extend(numbers[1..].iter().map(|n| {
                line = line.wrapping_add(step);
                n.wrapping_sub(line)
            }));
        }
    }
}

/// The better of the two ways to make residuals unsigned. The width is that of all, the bits are those of the windows.
fn plan(transform: Transform, step: i64, residuals: &[i64]) -> Plan {
    let (mut least, mut most, mut any) = (0i64, 0i64, 0u64);
    if let Some(&first) = residuals.first() {
        (least, most) = residuals.iter().fold((first, first), |(a, b), &r| (a.min(r), b.max(r)));
        any = match transform {
            Transform::Xor => residuals.iter().fold(0, |all, &r| all | r as u64),
            _ => zigzag(least) | zigzag(most),
        };
    }
    let width = bytes_of(any);
    let bits = match transform {
        Transform::Xor => cost(residuals, width, |r| r as u64),
        _ => cost(residuals, width, zigzag),
    };
    let signed = Plan { transform, step, least: None, width, bits };
    // A shared lower end pays where it saves a plane, or where zigzag would tear one side from the other.
    let span = bytes_of(most.wrapping_sub(least) as u64);
    if transform == Transform::Xor || !(span < width || (least != 0 && width > 1)) {
        return signed;
    }
    let bits = cost(residuals, span, |r| r.wrapping_sub(least) as u64) + 8.0 * bytes_of(zigzag(least)) as f32;
    if bits < signed.bits { Plan { transform, step, least: Some(least), width: span, bits } } else { signed }
}

fn bytes_of(n: u64) -> usize {
    (64 - n.leading_zeros() as usize).div_ceil(8)
}

/// Bits that the planes will take in a compressed page: their entropy, and something for each byte value that occurs.
/// Of long rows some windows are looked at and stand for the rest.
fn cost(residuals: &[i64], width: usize, unsigned: impl Fn(i64) -> u64) -> f32 {
    let weights = weights();
    let stride = residuals.len().div_ceil(TRIAL_WINDOWS).max(BLOCK);
    let (mut entropy, mut symbols) = (0.0, 0);
    let mut looked_at = 0;
    for plane in 0..width {
        // Four tables: the same byte twice in a row would wait for itself in one.
        let mut counts = [[0u16; 256]; 4];
        looked_at = 0;
        for window in residuals.chunks(stride) {
            let window = &window[..window.len().min(BLOCK)];
            looked_at += window.len();
            let byte = |r: i64| usize::from((unsigned(r) >> (8 * plane)) as u8);
            let (fours, rest) = window.as_chunks::<4>();
            for four in fours {
                (0..4).for_each(|i| counts[i][byte(four[i])] += 1);
            }
            rest.iter().for_each(|&r| counts[0][byte(r)] += 1);
        }
        let [mut all, others @ ..] = counts;
        others.iter().for_each(|table| all.iter_mut().zip(table).for_each(|(n, more)| *n += more));
        let (plane_entropy, plane_symbols) = spread(&all, weights);
        entropy += weights[looked_at] - plane_entropy;
        symbols += plane_symbols;
    }
    entropy * (residuals.len() as f32 / looked_at.max(1) as f32) + SYMBOL_BITS * symbols as f32
}

/// The sum of the counts' weights, and how many are not 0. Whether one is cannot be foreseen, so there is no branch.
fn spread(counts: &[u16; 256], weights: &[f32]) -> (f32, u32) {
    let (mut sums, mut symbols) = ([0.0; 4], 0);
    for eight in counts.as_chunks::<8>().0.iter().filter(|eight| **eight != [0; 8]) {
        for (i, &n) in eight.iter().enumerate() {
            sums[i % 4] += weights[usize::from(n)];
            symbols += u32::from(n > 0);
        }
    }
    (sums.iter().sum(), symbols)
}

/// `n * log2(n)`.
fn weights() -> &'static [f32] {
    static WEIGHTS: OnceLock<Vec<f32>> = OnceLock::new();
    WEIGHTS.get_or_init(|| (0..=TRIAL_WINDOWS * BLOCK).map(|n| n as f32 * (n.max(1) as f32).log2()).collect())
}

/// The width that a head names.
pub(crate) fn width(head: &[u8]) -> Option<usize> {
    head.first().map(|&mode| usize::from(mode >> WIDTH_SHIFT)).filter(|&width| width <= 8)
}

/// Reads `count` numbers into `out`, which is emptied first. `planes` are as many as the head says.
pub(crate) fn decode(head: &mut Reader<'_>, planes: &[&[u8]], count: usize, out: &mut Vec<i64>) -> Option<()> {
    let mode = head.u8()?;
    let transform = *TRANSFORMS.get(usize::from(mode & 0x07))?;
    let width = usize::from(mode >> WIDTH_SHIFT);
    let first = head.signed()?;
    let step = if matches!(transform, Transform::Second | Transform::Linear) { head.signed()? } else { 0 };
    let least = if mode & FROM_LEAST != 0 { Some(head.signed()?) } else { None };
    let rest = count.checked_sub(1)?;
    if width > 8 || planes.len() != width || planes.iter().any(|p| p.len() != rest) {
        return None;
    }
    out.clear();
    out.reserve(count);
    out.push(first);
    match (least, transform) {
        (Some(least), Transform::Plain) => {
            // Both are the same for all: one sum instead of two for each number.
            let base = least.wrapping_add(first);
            gather(planes, rest, out, |r| base.wrapping_add(r as i64));
        }
        (None, Transform::Plain) => gather(planes, rest, out, |r| first.wrapping_add(unzigzag(r))),
        (Some(least), _) => gather(planes, rest, out, |r| least.wrapping_add(r as i64)),
        (None, Transform::Xor) => gather(planes, rest, out, |r| r as i64),
        (None, _) => gather(planes, rest, out, unzigzag),
    }
    undo(transform, first, step, &mut out[1..]);
    Some(())
}

/// The planes put together again, each of `len` bytes, behind what is in `out`; `signed` makes a residual of it.
fn gather(planes: &[&[u8]], len: usize, out: &mut Vec<i64>, signed: impl Fn(u64) -> i64) {
    match *planes {
        [] => out.resize(out.len() + len, signed(0)),
        [low] => out.extend(low.iter().map(|&b| signed(u64::from(b)))),
        [a, b] => join([a, b], out, signed),
        [a, b, c] => join([a, b, c], out, signed),
        [a, b, c, d] => join([a, b, c, d], out, signed),
        [a, b, c, d, e] => join([a, b, c, d, e], out, signed),
        [a, b, c, d, e, f] => join([a, b, c, d, e, f], out, signed),
        [a, b, c, d, e, f, g] => join([a, b, c, d, e, f, g], out, signed),
        [a, b, c, d, e, f, g, h, ..] => join([a, b, c, d, e, f, g, h], out, signed),
    }
}

/// As [`gather`], in blocks: what they are made of on the way fits the registers and the nearest cache.
fn join<const W: usize>(planes: [&[u8]; W], out: &mut Vec<i64>, signed: impl Fn(u64) -> i64) {
    let split = planes.map(|plane| plane.as_chunks::<BLOCK>());
    for at in 0..split[0].0.len() {
        out.extend_from_slice(&join_block(split.map(|(blocks, _)| &blocks[at]), &signed));
    }
    let rest = split[0].1.len();
    let padded = split.map(|(_, rest)| {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        block
    });
    out.extend_from_slice(&join_block(padded.each_ref(), &signed)[..rest]);
}

/// Bytes are joined to pairs, those to fours, those to eights: each time two registers interleave into two, where byte
/// after byte each number would be widened and shifted for itself.
#[inline]
fn join_block<const W: usize>(planes: [&[u8; BLOCK]; W], signed: impl Fn(u64) -> i64) -> [i64; BLOCK] {
    let plane = |p: usize| planes.get(p).copied().unwrap_or(&[0; BLOCK]);
    let two = |p: usize| -> [u16; BLOCK] {
        let (low, high) = (plane(p), plane(p + 1));
        std::array::from_fn(|i| u16::from_le_bytes([low[i], high[i]]))
    };
    let four = |p: usize| -> [u32; BLOCK] {
        let (low, high) = (two(p), two(p + 2));
        std::array::from_fn(|i| u32::from(low[i]) | u32::from(high[i]) << 16)
    };
    let low = four(0);
    if W <= 4 {
        return std::array::from_fn(|i| signed(u64::from(low[i])));
    }
    let high = four(4);
    std::array::from_fn(|i| signed(u64::from(low[i]) | u64::from(high[i]) << 32))
}

/// Turns residuals into numbers, but for [`Transform::Plain`], which needs no pass of its own.
fn undo(transform: Transform, first: i64, step: i64, residuals: &mut [i64]) {
    let mut last = first;
    match transform {
        Transform::Plain => {}
        Transform::Delta => residuals.iter_mut().for_each(|r| {
            last = last.wrapping_add(*r);
            *r = last;
        }),
        Transform::Xor => residuals.iter_mut().for_each(|r| {
            last ^= *r;
            *r = last;
        }),
        Transform::Second => {
            let mut delta = step;
            residuals.iter_mut().for_each(|r| {
                delta = delta.wrapping_add(*r);
                last = last.wrapping_add(delta);
                *r = last;
            });
        }
        Transform::Linear => residuals.iter_mut().for_each(|r| {
            last = last.wrapping_add(step);
            *r = r.wrapping_add(last);
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(numbers: &[i64], width_max: usize) {
        for nature in [Nature::Numbers, Nature::Bits] {
            let encoded = encode(numbers, nature);
            let mut out = Vec::new();
            decode(&mut Reader::new(&encoded.head), &encoded.plane_slices(), numbers.len(), &mut out).unwrap();
            assert_eq!(out, numbers);
            assert!(nature == Nature::Bits || encoded.width <= width_max, "{} planes", encoded.width);
        }
    }

    #[test]
    fn regular_rows_have_no_planes() {
        check(&[7], 0);
        check(&[7; 100], 0);
        check(&(0..100).map(|i| i * 1000).collect::<Vec<_>>(), 0);
        check(&[i64::MIN, i64::MAX], 0);
    }

    #[test]
    fn noise_around_a_line_needs_one_plane() {
        let noisy: Vec<i64> = (0..500i64).map(|i| 1_700_000_000_000 + i * 15_000 + i * i * i * 31 % 97).collect();
        check(&noisy, 1);
    }

    /// One number after the other, byte by byte.
    fn gathered_slowly(planes: &[&[u8]], len: usize) -> Vec<i64> {
        let number = |i: usize| planes.iter().rev().fold(0, |n, plane| n << 8 | u64::from(plane[i]));
        (0..len).map(|i| unzigzag(number(i))).collect()
    }

    #[test]
    fn planes_of_any_width_and_length_are_joined() {
        let bytes: Vec<u8> =
            (0..8 * 3 * BLOCK as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for width in 0..=8 {
            for len in (0..=3).chain(BLOCK - 1..=BLOCK + 1).chain(2 * BLOCK..=2 * BLOCK + 17) {
                let planes: Vec<&[u8]> = (0..width).map(|p| &bytes[p * len..(p + 1) * len]).collect();
                let mut found = vec![-7];
                gather(&planes, len, &mut found, unzigzag);
                assert_eq!(
                    (found[0], &found[1..]),
                    (-7, &gathered_slowly(&planes, len)[..]),
                    "{width} planes of {len}"
                );
            }
        }
    }

    /// Heads that no writer of ours makes, too: every transform with every width, with and without a least residual.
    #[test]
    fn every_head_means_what_the_document_says() {
        let bytes: Vec<u8> = (0..8 * 99u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        for (transform, width) in TRANSFORMS.into_iter().flat_map(|t| (0..=8).map(move |w| (t, w))) {
            for least in [None, Some(i64::MIN + 5)] {
                let (first, step) = (-1_000_000_007i64, 1i64 << 61);
                let mut head = vec![transform as u8 | least.map_or(0, |_| FROM_LEAST) | (width as u8) << WIDTH_SHIFT];
                put_signed(&mut head, first);
                if matches!(transform, Transform::Second | Transform::Linear) {
                    put_signed(&mut head, step);
                }
                least.iter().for_each(|&least| put_signed(&mut head, least));
                let planes: Vec<&[u8]> = bytes.chunks(99).take(width).collect();
                let mut expected = vec![first];
                for (i, r) in gathered_slowly(&planes, 99).into_iter().enumerate() {
                    let last = expected[i];
                    let r = match (least, transform) {
                        (Some(least), _) => (zigzag(r) as i64).wrapping_add(least),
                        (None, Transform::Xor) => zigzag(r) as i64,
                        (None, _) => r,
                    };
                    expected.push(match transform {
                        Transform::Plain => first.wrapping_add(r),
                        Transform::Delta => last.wrapping_add(r),
                        Transform::Second if i == 0 => last.wrapping_add(step).wrapping_add(r),
                        Transform::Second => last.wrapping_add(last.wrapping_sub(expected[i - 1])).wrapping_add(r),
                        Transform::Linear => first.wrapping_add(step.wrapping_mul(i as i64 + 1)).wrapping_add(r),
                        Transform::Xor => last ^ r,
                    });
                }
                let mut found = Vec::new();
                decode(&mut Reader::new(&head), &planes, 100, &mut found).unwrap();
                assert_eq!(found, expected, "{transform:?}, {width} planes, {least:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_row_comes_back(numbers in proptest::collection::vec(any::<i64>(), 1..50)) {
            check(&numbers, 8);
        }

        #[test]
        fn small_numbers_come_back(numbers in proptest::collection::vec(-300i64..300, 1..300)) {
            check(&numbers, 2);
        }
    }
}
