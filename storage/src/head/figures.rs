//! How fast the head is: `CAIRN_FIGURES=1 cargo test --release -p cairn-storage --lib figures -- --nocapture`.
//!
//! Here: timing of what `performance.md` asks of the head. Without the variable the same runs once, small.
//! Elsewhere: bytes of a series (`tests/memory.rs`), the whole path (the server's benches).

use std::sync::RwLock;
use std::time::Instant;

use super::*;
use crate::Matcher;
use crate::chunk::{Encoder, decode};

const T0: i64 = 1_700_000_000_000;

fn size(full: usize) -> usize {
    if std::env::var_os("CAIRN_FIGURES").is_some() { full } else { full / 100 }
}

/// Nanoseconds on the processor; the clock's where the system does not tell.
#[derive(Clone, Copy)]
struct Cpu(u64, Instant);

impl Cpu {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Cpu(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0), Instant::now())
    }

    fn nanos(self) -> u64 {
        match Cpu::now().0.saturating_sub(self.0) {
            0 => self.1.elapsed().as_nanos() as u64,
            nanos => nanos,
        }
    }
}

fn say(what: &str, start: Cpu, count: usize) {
    let nanos = start.nanos();
    eprintln!("{what}: {:.1} ns each, {:.2} ms in all", nanos as f64 / count as f64, nanos as f64 / 1e6);
}

/// A hundred series per host that share ten tags.
fn devops(i: usize) -> Labels {
    let (host, metric) = (i / 100, i % 100);
    let name = format!("cpu_usage_metric_{metric}");
    let texts: Vec<String> =
        [2, 9, 1 << 40, 3, 100, 4, 20, 5, 6, 7].iter().map(|m| format!("value_{}", host % m)).collect();
    let names = ["arch", "datacenter", "hostname", "os", "rack", "region", "service", "environment", "version", "team"];
    let tags = names.into_iter().zip(texts.iter().map(String::as_str));
    Labels::from_pairs(tags.chain([("__name__", name.as_str())])).unwrap()
}

/// Ten labels of which several differ from series to series.
fn node(i: usize) -> Labels {
    let (target, metric) = (i / 1000, i % 1000);
    let texts = [format!("node_metric_{}", metric / 4), format!("10.0.{}.{}:9100", target / 256, target % 256)];
    let more: Vec<String> = (0..8).map(|k| format!("v{}", metric * (k + 1) % 61)).collect();
    let names = ["a", "b", "c", "cpu", "device", "job", "mode", "state"];
    let tags = names.into_iter().zip(more.iter().map(String::as_str));
    Labels::from_pairs(tags.chain([("__name__", texts[0].as_str()), ("instance", texts[1].as_str())])).unwrap()
}

fn create(what: &str, count: usize, labels: fn(usize) -> Labels) -> Head {
    let (mut head, mut lookup) = (Head::new(7_200_000), lookup::Lookup::default());
    let mut spent = 0;
    for first in (0..count).step_by(1000) {
        let all: Vec<Labels> = (first..first + 1000).map(labels).collect();
        let start = Cpu::now();
        lookup.begin(&head);
        for labels in &all {
            assert_eq!(lookup.find(&head, labels), None);
            lookup.keep();
        }
        for (i, labels) in all.iter().enumerate() {
            lookup.insert(&mut head, i, SeriesId((first + i) as u64), labels).unwrap();
        }
        spent += start.nanos();
    }
    eprintln!("{what}: new series: {:.0} ns each", spent as f64 / count as f64);
    head
}

#[test]
fn figures_of_pushes() {
    let count = size(100_000);
    let mut head = create("node-like", count, node);
    for scrape in 0..40i64 {
        let start = Cpu::now();
        for i in 0..count {
            let v = (i % 1000) as f64 + scrape as f64 * (i % 7) as f64;
            head.push(i as u32, T0 + scrape * 15_000, v);
        }
        if scrape % 13 == 0 {
            say(&format!("scrape {scrape}: push of a known series"), start, count);
        }
    }
}

#[test]
fn figures_of_selects() {
    let count = size(1_000_000);
    let head = create("devops-like", count, devops);
    let start = Cpu::now();
    (0..count).step_by(count / 1000).for_each(|i| assert_eq!(head.find(&devops(i)), Some(i as u32)));
    say("find (and making labels)", start, 1000);
    let head = RwLock::new(head);
    let select = |what: &str, matchers: &[(crate::MatchOp, &str, &str)]| {
        let matchers: Vec<_> = matchers.iter().map(|&(op, n, v)| Matcher::new(op, n, v).unwrap()).collect();
        let start = Cpu::now();
        let found = select::select(&head, &matchers).len();
        say(&format!("{what} ({found} found)"), start, 1);
    };
    use crate::MatchOp::*;
    for _ in 0..2 {
        select("a metric of a region", &[(Equal, "__name__", "cpu_usage_metric_7"), (Equal, "region", "value_1")]);
        select("two long lists", &[(Equal, "arch", "value_1"), (Equal, "os", "value_1")]);
        select("a host's metric", &[(Equal, "__name__", "cpu_usage_metric_7"), (Equal, "hostname", "value_77")]);
        select("regex over all hosts", &[(Regex, "hostname", ".*_1.*7"), (Equal, "__name__", "cpu_usage_metric_7")]);
        select("regex that finds all", &[(Regex, "hostname", ".*value.*")]);
        select("all", &[]);
    }
    let start = Cpu::now();
    let values = head.read().unwrap().values("hostname").count();
    say("values of hostname", start, values);
}

#[test]
fn figures_of_chunks() {
    type Value = fn(i64) -> f64;
    let kinds: [(&str, Value); 4] = [
        ("constant", |_| 42.5),
        ("counter", |i| (i * 17 + i % 5) as f64),
        ("decimals", |i| ((i * 7919) % 90) as f64 / 10.0),
        ("floats", |i| (i as f64).sqrt()),
    ];
    let rounds = size(10_000);
    for (name, value) in kinds {
        let values: Vec<f64> = (0..240).map(value).collect();
        let mut chunk = Encoder::default();
        let start = Cpu::now();
        for _ in 0..rounds {
            chunk.begin(T0, values[0]);
            (1..240i64).for_each(|i| chunk.push(T0 + i * 15_000, values[i as usize]));
        }
        say(&format!("{name}: encode, {} bytes", chunk.len()), start, rounds * 240);
        let start = Cpu::now();
        let mut sum = 0.0;
        for _ in 0..rounds {
            decode(chunk.bytes(), 240, |_, v| {
                sum += v;
                true
            })
            .unwrap();
        }
        say(&format!("{name}: decode ({sum:.0})"), start, rounds * 240);
    }
}

#[test]
fn figures_of_late_samples() {
    let count = size(100_000) as i64;
    for (name, step) in [("falling", -1), ("rising", 1), ("scattered", 7919)] {
        let mut s = Series::new(None, 0);
        let mut window = BlockWindow::new(7_200_000);
        s.push(T0, 0.0, &mut window);
        let start = Cpu::now();
        for i in 0..count {
            assert_eq!(s.push(T0 - (1 + (i * step).rem_euclid(count)) * 1000, 1.0, &mut window).0, Verdict::Accept);
        }
        say(&format!("late samples, {name}"), start, count as usize);
    }
}
