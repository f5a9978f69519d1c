use proptest::prelude::*;

use super::*;

fn encode(samples: &[(i64, u64)]) -> Encoder {
    let mut chunk = Encoder::new(samples[0].0, f64::from_bits(samples[0].1));
    for &(t, bits) in &samples[1..] {
        chunk.push(t, f64::from_bits(bits));
    }
    chunk
}

fn decoded(bytes: &[u8], count: u32) -> Option<Vec<(i64, u64)>> {
    let mut out = Vec::new();
    decode(bytes, count, |t, v| {
        out.push((t, v.to_bits()));
        true
    })?;
    Some(out)
}

#[track_caller]
fn check(samples: &[(i64, u64)], bytes_max: usize) {
    let chunk = encode(samples);
    assert_eq!(decoded(chunk.bytes(), chunk.count()).as_deref(), Some(samples));
    assert!(chunk.bytes().len() <= bytes_max, "{} bytes", chunk.bytes().len());
}

fn series(n: i64, v: impl Fn(i64) -> f64) -> Vec<(i64, u64)> {
    (0..n).map(|i| (1_700_000_000_000 + i * 15_000, v(i).to_bits())).collect()
}

#[test]
fn constants_take_next_to_nothing() {
    check(&series(240, |_| 42.5), 24);
}

#[test]
fn counters_take_two_bytes_a_sample() {
    check(&series(240, |i| (i * 17) as f64), 24 + 240 * 2);
}

#[test]
fn special_values_keep_their_bits() {
    let bits = [
        0,
        (-0.0f64).to_bits(),
        crate::STALE_NAN_BITS,
        f64::NAN.to_bits(),
        !0,
        f64::INFINITY.to_bits(),
        1,
        1 << 63,
        0x7ff8_0000_0000_1234,
    ];
    let samples: Vec<_> = bits.iter().enumerate().map(|(i, &b)| (i as i64, b)).collect();
    check(&samples, 200);
}

#[test]
fn extreme_times_survive() {
    check(&[(i64::MIN / 4, 0), (-1, 0), (0, 0), (i64::MAX / 2, 0), (i64::MAX / 2 + 1, 1)], 100);
}

proptest! {
    #[test]
    fn any_samples_come_back(steps in prop::collection::vec((1i64..100_000, any::<u64>(), 0..4u8), 1..300), start in -1i64 << 50..1 << 50) {
        let mut t = start;
        let mut last = 0u64;
        let samples: Vec<(i64, u64)> = steps.into_iter().map(|(step, bits, kind)| {
            t += if kind == 0 { step } else { 15_000 };
            last = match kind { 0 => bits, 1 => last, 2 => ((bits >> 40) as f64).to_bits(), _ => (f64::from_bits(last) + 1.0).to_bits() };
            (t, last)
        }).collect();
        let chunk = encode(&samples);
        prop_assert_eq!(decoded(chunk.bytes(), chunk.count()), Some(samples));
    }

    #[test]
    fn foreign_bytes_never_panic_and_rise(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0u32..300) {
        let mut last = None;
        let _ = decode(&bytes, count, |t, _| {
            assert!(last.is_none_or(|l| l < t));
            last = Some(t);
            true
        });
    }
}
