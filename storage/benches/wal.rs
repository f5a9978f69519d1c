//! What does a sample cost in the log: bytes, and time to encode and decode?
//!
//! Run with `cargo bench -p cairn-storage --bench wal [FILE.txt.zst…]`; files are captures: pages of the text format, each
//! after a line `#TS <milliseconds>`. Without files only the made-up workloads run: whole numbers that walk, a node's mix
//! (60 % unchanged, counters, seconds of two decimals, durations of nine), and new series.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use storage::fuzzing::WalProbe;
use storage::{Labels, SeriesId};

type Batch = Vec<(u64, i64, f64)>;

/// Samples of a push, as remote write sends them.
const BATCH: usize = 5000;
/// Bytes after which a segment ends.
const SEGMENT_BYTES: usize = 16 << 20;
/// Bytes of a capture that are read.
const CAPTURE_BYTES: usize = 120 << 20;

fn main() {
    report("whole numbers that walk", &workload(100_000, 40, walk));
    report("a node's mix", &workload(100_000, 40, node));
    for file in std::env::args().skip(1).filter(|a| !a.starts_with('-')) {
        report(&file, &capture(&file));
    }
    new_series();
}

/// A small generator, so that each run has the same numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// In 0..1.
    fn unit(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn walk(_: usize, last: f64, random: &mut Random) -> f64 {
    (last + random.normal()).round().clamp(0.0, 100.0)
}

fn node(series: usize, last: f64, random: &mut Random) -> f64 {
    match series % 20 {
        0..12 => (series % 5) as f64,
        12..15 => last + (random.unit() * 3000.0).floor(),
        15..18 => ((last + random.unit() * 15.0) * 100.0).round() / 100.0,
        _ => (random.unit() * 1e9).round() / 1e9,
    }
}

fn workload(series: usize, scrapes: i64, next: impl Fn(usize, f64, &mut Random) -> f64) -> Vec<Batch> {
    let (mut random, mut last) = (Random(88_172_645_463_325_252), vec![50.0; series]);
    let mut batches = Vec::new();
    for scrape in 0..scrapes {
        for (i, v) in last.iter_mut().enumerate() {
            *v = next(i, *v, &mut random);
        }
        let t = 1_700_000_000_000 + scrape * 15_000;
        let samples: Vec<_> = last.iter().enumerate().map(|(i, &v)| (i as u64, t, v)).collect();
        batches.extend(samples.chunks(BATCH).map(<[_]>::to_vec));
    }
    batches
}

fn capture(file: &str) -> Vec<Batch> {
    let mut decoder = zstd::Decoder::new(File::open(file).unwrap()).unwrap();
    decoder.window_log_max(24).unwrap();
    let (mut ids, mut batches, mut bytes, mut t, mut page) = (HashMap::new(), vec![Batch::new()], 0, 0, 0);
    for line in BufReader::new(decoder).lines() {
        let line = line.unwrap();
        bytes += line.len();
        if let Some(now) = line.strip_prefix("#TS ") {
            // One scrape a second in the capture; every fifth is a usual interval.
            page += 1;
            t = now.parse().unwrap();
            if bytes > CAPTURE_BYTES {
                break;
            }
            batches.push(Batch::new());
        } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| page % 5 == 1) {
            let next = ids.len() as u64;
            let id = *ids.entry(series.to_owned()).or_insert(next);
            if let Ok(v) = value.parse() {
                batches.last_mut().unwrap().push((id, t, v));
            }
        }
    }
    batches.retain(|b| !b.is_empty());
    batches
}

fn per(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

/// The machine has other work; half of the batches are not disturbed by it.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(name: &str, batches: &[Batch]) {
    let samples: usize = batches.iter().map(Vec::len).sum();
    let mut probe = WalProbe::new().unwrap();
    let (mut bytes, mut segment, mut encode, mut decode) = (0, 0, Vec::new(), Vec::new());
    let mut frame = Vec::new();
    for batch in batches {
        if segment >= SEGMENT_BYTES {
            probe.clear();
            segment = 0;
        }
        frame.clear();
        let start = Instant::now();
        probe.encode(&mut frame, &[], batch);
        encode.push(per(start.elapsed(), batch.len()));
        let start = Instant::now();
        let mut wrong = 0;
        let mut expected = batch.iter();
        let found = probe.decode(&frame, |id, t, v| {
            wrong += usize::from(expected.next().is_none_or(|e| (e.0, e.1, e.2.to_bits()) != (id, t, v.to_bits())));
        });
        decode.push(per(start.elapsed(), batch.len()));
        assert_eq!((found, wrong), (Some((batch.len(), 0)), 0));
        bytes += frame.len();
        segment += frame.len();
    }
    let (size, encode, decode) = (bytes as f64 / samples as f64, median(encode), median(decode));
    println!("{name}: {samples} samples, {size:.3} bytes, encode {encode:.1} ns, decode {decode:.1} ns a sample");
}

fn new_series() {
    let labels = |i: u64| {
        let (host, metric) = (i / 1000, i % 1000);
        let (instance, name, rack) = (format!("host-{host}:9100"), format!("node_metric_{metric}_total"), host % 40);
        let (device, rack) = (format!("sd{}", metric % 7), format!("rack-{rack}"));
        let fixed = [("arch", "x64"), ("datacenter", "eu-west-1a"), ("os", "Ubuntu16.10"), ("region", "eu-west-1")];
        let more = [("service", "6"), ("team", "SF"), ("job", "node")];
        let own = [("__name__", name.as_str()), ("instance", &instance), ("rack", &rack), ("device", &device)];
        Labels::from_pairs(fixed.into_iter().chain(more).chain(own)).unwrap()
    };
    let series: Vec<_> = (0..200_000).map(|i| (SeriesId(i), labels(i))).collect();
    let mut probe = WalProbe::new().unwrap();
    let (mut bytes, mut encode, mut decode, mut frame) = (0, Vec::new(), Vec::new(), Vec::new());
    // Short enough that most parts are not interrupted.
    for part in series.chunks(500) {
        let samples: Vec<_> = part.iter().map(|(id, _)| (id.0, 1_700_000_000_000, id.0 as f64)).collect();
        frame.clear();
        let start = Instant::now();
        probe.encode(&mut frame, part, &samples);
        encode.push(per(start.elapsed(), part.len()));
        bytes += frame.len();
        let start = Instant::now();
        assert_eq!(black_box(probe.decode(&frame, |_, _, _| ())), Some((part.len(), part.len())));
        decode.push(per(start.elapsed(), part.len()));
    }
    let (size, encode, decode) = (bytes as f64 / series.len() as f64, median(encode), median(decode));
    println!("new series, 11 labels: {size:.1} bytes, encode {encode:.0} ns, decode {decode:.0} ns each");
}
