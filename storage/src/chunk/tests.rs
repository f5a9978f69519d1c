use proptest::prelude::*;

use super::*;

fn encode(samples: &[(i64, u64)]) -> Encoder {
    let mut chunk = Encoder::new(samples[0].0, f64::from_bits(samples[0].1));
    for &(t, bits) in &samples[1..] {
        chunk.push(t, f64::from_bits(bits));
    }
    chunk
}

/// Both ways of reading say the same.
#[track_caller]
fn decoded(bytes: &[u8], count: u32) -> Option<Vec<(i64, u64)>> {
    let mut out = Vec::new();
    let walked = decode(bytes, count, |t, v| {
        out.push((t, v.to_bits()));
        true
    });
    let mut columns = Columns { t: vec![7], v: vec![7.0] };
    let filled = decode_into(bytes, count, i64::MIN, i64::MAX, &mut columns);
    assert_eq!((filled, columns.t[0], columns.v[0]), (walked, 7, 7.0));
    let found: Vec<_> = out.iter().filter(|(t, _)| walked.is_some() && *t < i64::MAX).copied().collect();
    assert_eq!(pairs(&columns)[1..], found);
    walked.map(|()| out)
}

fn pairs(columns: &Columns) -> Vec<(i64, u64)> {
    columns.t.iter().copied().zip(columns.v.iter().map(|v| v.to_bits())).collect()
}

#[test]
fn a_part_of_a_chunk_is_read() {
    let samples = series(100, |i| if i % 7 < 4 { 5.0 } else { (i * 3) as f64 });
    let chunk = encode(&samples);
    for (from, to) in [(0, 100), (0, 40), (40, 60), (99, 100), (60, 60), (100, 100)] {
        let t = |at: usize| samples.get(at).map_or(i64::MAX, |&(t, _)| t);
        let mut columns = Columns { t: vec![7], v: vec![7.0] };
        decode_into(chunk.bytes(), chunk.count(), t(from), t(to), &mut columns).unwrap();
        assert_eq!(pairs(&columns)[1..], samples[from..to]);
    }
}

/// An encoder that is taken apart goes on as if nothing had happened, at any point.
#[track_caller]
fn check_restored(chunk: &Encoder) {
    let mut by_bytes = Encoder::restore(chunk.bytes(), chunk.count()).unwrap();
    assert_eq!(by_bytes.parts(), chunk.parts());
    let mut by_parts = Encoder::from_parts(chunk.bytes(), chunk.parts()).unwrap();
    assert_eq!(by_parts.first_t(), chunk.first_t());
    let mut whole = chunk.clone();
    let v = f64::from_bits(chunk.last_bits()) + 1.0;
    for chunk in [&mut by_bytes, &mut by_parts, &mut whole] {
        chunk.push(chunk.last_t() + 15_000, v);
        chunk.push(chunk.last_t() + 15_000, v);
    }
    assert_eq!(decoded(by_bytes.bytes(), by_bytes.count()), decoded(whole.bytes(), whole.count()));
    assert_eq!(decoded(by_parts.bytes(), by_parts.count()), decoded(whole.bytes(), whole.count()));
}

#[track_caller]
fn check(samples: &[(i64, u64)], bytes_max: usize) {
    let chunk = encode(samples);
    check_restored(&chunk);
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
fn counters_and_decimals_take_one_byte_a_sample() {
    check(&series(240, |i| (i * 17) as f64), 16 + 240);
    check(&series(240, |i| ((i * 7919) % 90) as f64 / 10.0), 20 + 240);
    check(&series(240, |i| 1.7e9 + i as f64 * 15.0), 24 + 240);
    // 11, 18, 25 and 34 bits with the sign.
    check(&series(240, |i| i as f64 * 1000.0), 24 + 240 * 2);
    check(&series(240, |i| i as f64 * 100_000.0), 24 + 240 * 3);
    check(&series(240, |i| i as f64 * 12_000_000.0), 24 + 240 * 4);
    check(&series(240, |i| i as f64 * 8_000_000_000.0), 24 + 240 * 5);
}

#[test]
fn what_is_not_decimal_costs_its_bits() {
    check(&series(240, |i| (i as f64).sqrt()), 24 + 240 * 10);
    check(&series(240, |i| if i % 2 == 0 { f64::NAN } else { i as f64 }), 24 + 240 * 8);
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
    fn any_samples_come_back(steps in prop::collection::vec((1i64..100_000, any::<u64>(), 0..6u8), 1..300), start in -1i64 << 50..1 << 50) {
        let mut t = start;
        let mut last = 0u64;
        let samples: Vec<(i64, u64)> = steps.into_iter().map(|(step, bits, kind)| {
            t += if kind == 0 { step } else { 15_000 };
            last = match kind { 0 => bits, 1 => last, 2 => ((bits >> 40) as f64).to_bits(), 3 => ((bits >> 40) as f64 / 100.0).to_bits(), 4 => (-((bits >> 56) as f64 / 1e6)).to_bits(), _ => (f64::from_bits(last) + 1.0).to_bits() };
            (t, last)
        }).collect();
        let chunk = encode(&samples);
        check_restored(&chunk);
        prop_assert_eq!(decoded(chunk.bytes(), chunk.count()), Some(samples));
    }

    #[test]
    fn foreign_bytes_never_panic_and_rise(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0u32..300) {
        decoded(&bytes, count);
        let mut last = None;
        let _ = decode(&bytes, count, |t, _| {
            assert!(last.is_none_or(|l| l < t));
            last = Some(t);
            true
        });
    }
}

#[test]
fn an_open_chunk_is_small() {
    assert_eq!(std::mem::size_of::<Encoder>(), 48);
    let three = encode(&series(3, |i| 17_000.0 + i as f64));
    assert!(three.bytes().len() <= 16, "{} bytes", three.bytes().len());
}
