//! How long does a scraped page take, per sample: split into entries, and with labels decoded?
//!
//! Run with `cargo bench --bench exposition [FILE.txt.zst…]`; without files a made-up page of 10,000 samples is read. Files
//! are captures: pages of the text format, each after a line `#TS <milliseconds>`.
//!
//! Last numbers (November 2026, 2 shared cores, 200 pages each; entries / with labels, ns per sample): node_exporter 144 / 530,
//! postgres_exporter 136 / 653, redis_exporter 119 / 516, Prometheus 112 / 533, VictoriaMetrics 66 / 678. A known series
//! costs the scrape loop the first number and 35 to 65 ns for hash and lookup.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use cairn::exposition::{Entry, Format, Parser};

/// Pages of a capture that are read.
const PAGES: usize = 200;

/// Each reading is repeated and the fastest counts: the machine has other work.
const ROUNDS: usize = 5;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if files.is_empty() {
        report("made-up page", &[made_up_page()]);
    }
    for file in &files {
        report(file, &capture(file));
    }
}

fn report(name: &str, pages: &[String]) {
    let bytes: usize = pages.iter().map(String::len).sum();
    let (samples, entries) = fastest(pages, |entry| {
        black_box(&entry);
    });
    let (_, labels) = fastest(pages, |entry| {
        if let Entry::Sample(sample) = entry {
            black_box(sample.series.labels().unwrap());
        }
    });
    let per_sample = |time: Duration| time.as_nanos() as f64 / samples as f64;
    let rate = bytes as f64 / entries.as_secs_f64() / 1e6;
    let (entries, labels) = (per_sample(entries), per_sample(labels));
    println!(
        "{name}: {samples} samples, entries {entries:.0} ns/sample ({rate:.0} MB/s), with labels {labels:.0} ns/sample"
    );
}

/// Samples in all pages, and the shortest time that `take` needed for them.
fn fastest(pages: &[String], take: impl Fn(Entry<'_>)) -> (usize, Duration) {
    let mut samples = 0;
    let mut shortest = Duration::MAX;
    for _ in 0..ROUNDS {
        samples = 0;
        let start = Instant::now();
        for page in pages {
            for entry in Parser::new(page.as_bytes(), Format::Text) {
                let entry = entry.unwrap();
                samples += usize::from(matches!(entry, Entry::Sample(_)));
                take(entry);
            }
        }
        shortest = shortest.min(start.elapsed());
    }
    (samples, shortest)
}

fn made_up_page() -> String {
    let line = |i: usize| {
        let (method, value) = (["GET", "POST", "PUT"][i % 3], i as f64 * 0.37);
        format!(
            "http_request_duration_seconds_bucket{{handler=\"/api/v1/h{i}\",method=\"{method}\",le=\"0.5\"}} {value}\n"
        )
    };
    (0..10_000).map(line).collect()
}

fn capture(file: &str) -> Vec<String> {
    let mut decoder = zstd::Decoder::new(File::open(file).unwrap()).unwrap();
    decoder.window_log_max(24).unwrap();
    let mut pages = vec![String::new()];
    for line in BufReader::new(decoder).lines() {
        let line = line.unwrap();
        let is_page_start = line.starts_with("#TS ");
        if is_page_start && pages.len() > PAGES {
            break;
        }
        match pages.last_mut() {
            Some(page) if !is_page_start => page.extend([line.as_str(), "\n"]),
            _ => pages.push(String::new()),
        }
    }
    pages
}
