//! How many samples a second are read, in the head and in blocks, by the kind of values and the width they need?
//!
//! Run with `cargo bench -p cairn-storage --bench select [SERIES] [SAMPLES]`. Each kind has a database of its own, so that
//! cutting its block says what it costs to read the head and to encode. The bars for a block's chunks: constants at the
//! speed of memory, 250 M a second with four planes, 150 M with seven; for the head 300 M where a sample is about a byte.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use std::time::Duration;

use storage::{Batch, Columns, Db, Durability, Options, SelectedSeries, TimeRange};
use support::{STEP_MS, T0, argument, labels, per_second, timed};

/// The clock of CPU time moves with the scheduler's ticks: a round must be much longer than one.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 7;

/// A name, and a value from the sample's number and random bits.
type Kind = (String, Box<dyn Fn(usize, u64) -> f64>);

fn main() {
    let (series, samples) = (argument(0, 200), argument(1, 480));
    println!("{:24} {:>8} {:>8} {:>8}  M samples a CPU second", "", "head", "cut", "block");
    for (name, value) in kinds() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        fill(&db, series, samples, &value);
        let head = speed(&db, series * samples);
        let now = T0 + samples as i64 * STEP_MS + 6 * 3_600_000;
        let (_, _, cut) = timed(|| db.maintain(now).unwrap());
        assert_eq!(db.stats().head_samples, 0);
        let block = speed(&db, series * samples);
        let cut = per_second(series * samples, cut) / 1e6;
        println!("{name:24} {:8.0} {cut:8.1} {:8.0}", head / 1e6, block / 1e6);
    }
}

fn kinds() -> Vec<Kind> {
    let mut all: Vec<Kind> = vec![
        ("constant".into(), Box::new(|_, _| 42.5)),
        ("counter, even".into(), Box::new(|i, _| i as f64 * 15.0)),
        ("counter".into(), Box::new(|i, r| (i * 40 + (r % 20) as usize) as f64)),
        ("moves now and then".into(), Box::new(|i, r| if r % 3 > 0 { 7.0 } else { (i / 3) as f64 })),
        ("one decimal, small".into(), Box::new(|_, r| (r % 90) as f64 / 10.0)),
    ];
    for bytes in 1..=6u32 {
        let random = move |r: u64| (r >> (64 - (8 * bytes).min(46))) as f64;
        all.push((format!("whole, {bytes} bytes"), Box::new(move |_, r| random(r))));
        all.push((format!("two decimals, {bytes} bytes"), Box::new(move |_, r| random(r) / 100.0)));
    }
    for bytes in 1..=8u32 {
        let value = move |_: usize, r: u64| f64::from_bits((1.0f64 / 3.0).to_bits() ^ (r >> (64 - 8 * bytes)) >> 2);
        all.push((format!("bits, {bytes} bytes"), Box::new(value)));
    }
    all
}

fn fill(db: &Db, series: usize, samples: usize, value: &dyn Fn(usize, u64) -> f64) {
    let mut seed = 1u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut batch = Batch::new();
    for i in 0..samples {
        let t = T0 + i as i64 * STEP_MS;
        batch.clear();
        (0..series).for_each(|one| batch.push(labels(one), t, value(i, random())));
        assert_eq!(db.append(&mut batch, t, Durability::Written).unwrap().accepted, series as u64);
    }
}

/// Samples a second, the median of some rounds; pages are in the cache, as far as it goes.
fn speed(db: &Db, expected: usize) -> f64 {
    let all = db.select(&[], TimeRange::ALL).unwrap();
    let mut out = Columns::default();
    let mut read = |series: &SelectedSeries| {
        out.clear();
        series.read_into(&mut out).unwrap();
        std::hint::black_box(&out).len()
    };
    assert_eq!(all.series.iter().map(&mut read).sum::<usize>(), expected);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            let (samples, _, cpu) = timed(|| {
                let mut samples = 0;
                while start.elapsed() < ROUND {
                    samples += all.series.iter().map(&mut read).sum::<usize>();
                }
                samples
            });
            per_second(samples, cpu)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
