//! Made-up fleets and their remote-write bodies.
//!
//! Here: which series a host has, how they move, and encoding a scrape. Elsewhere: sending (`main`).
//!
//! Everything follows from the workload's numbers: each target gets the same bytes.

use std::collections::BTreeSet;

use storage::STALE_NAN_BITS;

#[path = "../../storage/tests/support/random.rs"]
mod random;

use random::Random;

/// A fleet of hosts that are scraped so many times.
#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub hosts: usize,
    pub scrapes: usize,
    pub interval_ms: i64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Eleven labels, whole numbers that walk within 0..=100.
    Devops,
    /// As node_exporter: six in ten stand still, the others are counters, seconds, bytes, loads.
    Node,
    /// The same with a pod; every 50 scrapes a tenth of them gets another one.
    Churn,
}

/// The workload that is kept at a steady pace beside query bombs, once its scrapes are there.
pub const BOMBS: &str = "bombs";

pub const WORKLOADS: [Workload; 6] = [
    Workload { name: "devops", hosts: 1000, scrapes: 200, interval_ms: 10_000, kind: Kind::Devops },
    Workload { name: "node", hosts: 200, scrapes: 200, interval_ms: 15_000, kind: Kind::Node },
    Workload { name: "long", hosts: 20, scrapes: 4320, interval_ms: 15_000, kind: Kind::Node },
    Workload { name: "churn", hosts: 200, scrapes: 250, interval_ms: 15_000, kind: Kind::Churn },
    Workload { name: "footprint", hosts: 2000, scrapes: 3, interval_ms: 15_000, kind: Kind::Node },
    Workload { name: BOMBS, hosts: 40, scrapes: 240, interval_ms: 15_000, kind: Kind::Node },
];

/// Scrapes between two changes of pods.
const CHURN_EVERY: usize = 50;
/// Most series of one request.
const REQUEST_SERIES: usize = 1000;

impl Workload {
    /// Series of one host at a time.
    pub fn host_series(&self) -> usize {
        if self.kind == Kind::Devops { 100 } else { 520 }
    }

    /// All series that there ever are.
    pub fn series(&self) -> usize {
        let tenths = if self.kind == Kind::Churn { (self.scrapes - 1) / CHURN_EVERY } else { 0 };
        self.hosts * (self.host_series() + tenths * self.host_series() / 10)
    }

    /// All metric names.
    pub fn names(&self) -> BTreeSet<String> {
        (0..self.host_series()).map(|i| metric_name(self.kind, i)).collect()
    }

    /// All samples, markers of staleness aside.
    pub fn samples(&self) -> usize {
        self.hosts * self.host_series() * self.scrapes
    }
}

/// One host: its series, each with its encoded labels and its state.
pub struct Host {
    workload: Workload,
    number: usize,
    series: Vec<Series>,
    random: Random,
}

struct Series {
    labels: Vec<u8>,
    state: f64,
}

fn below(random: &mut Random, end: u64) -> f64 {
    random.below(end) as f64
}

impl Host {
    pub fn new(workload: Workload, number: usize) -> Self {
        let mut random = Random(number as u64 + 1);
        let state = |i: usize, random: &mut Random| below(random, if i.is_multiple_of(2) { 100 } else { 1 << 24 });
        let new = |i| Series { labels: labels(workload.kind, number, i, 0), state: state(i, &mut random) };
        let series = (0..workload.host_series()).map(new).collect();
        Host { workload, number, series, random }
    }

    /// The bodies of scrape `k` at `t`.
    pub fn scrape(&mut self, k: usize, t: i64, mut send: impl FnMut(Vec<u8>)) {
        let mut body = Vec::new();
        if self.workload.kind == Kind::Churn && k > 0 && k.is_multiple_of(CHURN_EVERY) {
            let (round, tenth) = (k / CHURN_EVERY, self.series.len() / 10);
            for i in (round - 1) % 10 * tenth..((round - 1) % 10 + 1) * tenth {
                put_series(&mut body, &self.series[i].labels, t, f64::from_bits(STALE_NAN_BITS));
                self.series[i].labels = labels(self.workload.kind, self.number, i, round);
            }
        }
        for first in (0..self.series.len()).step_by(REQUEST_SERIES) {
            let end = (first + REQUEST_SERIES).min(self.series.len());
            for i in first..end {
                let v = next_value(self.workload.kind, i, &mut self.series[i].state, &mut self.random);
                put_series(&mut body, &self.series[i].labels, t, v);
            }
            send(snap::raw::Encoder::new().compress_vec(&body).expect("a body fits a block"));
            body.clear();
        }
    }
}

/// How series `i` moves.
fn next_value(kind: Kind, i: usize, state: &mut f64, random: &mut Random) -> f64 {
    if kind == Kind::Devops {
        *state = (*state + below(random, 5) - 2.0).clamp(0.0, 100.0);
        return *state;
    }
    match i % 20 {
        0..12 => {}
        12..15 => *state += below(random, 200),
        15..17 => *state += below(random, 1500) / 100.0,
        17 => *state = (*state + (below(random, 9) - 4.0) * 4096.0).max(0.0),
        18 => *state = (below(random, 400) + *state * 90.0).floor() / 100.0,
        _ => return (below(random, 1_000_000_000) + 1.0) / 1e9,
    }
    // Decimals as an exporter prints them.
    (*state * 100.0).round() / 100.0
}

/// The metric of series `i`.
fn metric_name(kind: Kind, i: usize) -> String {
    match kind {
        Kind::Devops => format!("{}_usage_{}", ["cpu", "mem", "disk", "net", "redis"][i % 5], i / 5),
        Kind::Node | Kind::Churn => format!("node_{}_{}", ["info", "bytes", "total", "seconds_total"][i / 130], i % 26),
    }
}

/// The encoded labels of series `i`, names rising.
fn labels(kind: Kind, host: usize, i: usize, round: usize) -> Vec<u8> {
    let pick = |n: usize| (host * 31 + n * 7) % n;
    let mut pairs: Vec<(&str, String)> = match kind {
        Kind::Devops => vec![
            ("__name__", metric_name(kind, i)),
            ("arch", ["x64", "x86"][pick(2)].to_owned()),
            ("datacenter", format!("eu-west-{}", pick(9))),
            ("hostname", format!("host_{host}")),
            ("os", ["Debian12", "Debian13", "Ubuntu24.04"][pick(3)].to_owned()),
            ("rack", pick(100).to_string()),
            ("region", format!("region-{}", pick(8))),
            ("service", pick(20).to_string()),
            ("service_environment", ["production", "staging"][pick(2)].to_owned()),
            ("team", ["SF", "NYC", "LON"][pick(3)].to_owned()),
        ],
        Kind::Node | Kind::Churn => vec![
            ("__name__", metric_name(kind, i)),
            ("device", format!("dev{}", i / 26 % 5)),
            ("instance", format!("10.0.{}.{}:9100", host / 250, host % 250)),
        ],
    };
    pairs.push(("job", "bench".to_owned()));
    if kind == Kind::Churn {
        pairs.push(("pod", format!("app-{}-{:08x}", i * 10 / 520, (host * 1000 + round) * 2_654_435)));
    }
    pairs.sort();
    let mut out = Vec::new();
    for (name, value) in &pairs {
        let mut pair = Vec::new();
        put_bytes(&mut pair, 1, name.as_bytes());
        put_bytes(&mut pair, 2, value.as_bytes());
        put_bytes(&mut out, 1, &pair);
    }
    out
}

/// One `TimeSeries` with one sample as field 1 of the request.
fn put_series(body: &mut Vec<u8>, labels: &[u8], t: i64, v: f64) {
    let mut sample = vec![0x09];
    sample.extend(v.to_le_bytes());
    sample.push(0x10);
    put_varint(&mut sample, t.cast_unsigned());
    body.push(0x0a);
    put_varint(body, (labels.len() + 2 + sample.len()) as u64);
    body.extend_from_slice(labels);
    put_bytes(body, 2, &sample);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}
