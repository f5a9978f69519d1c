//! What real and made-up series weigh in a block, and how fast they are read.
//!
//! Real ones come from the captures that `CAIRN_CAPTURES` names (a directory of `*.txt.zst`: pages of the text format,
//! each after a line `#TS <milliseconds>`); `CAIRN_SCRAPES` says how many scrapes are taken, `CAIRN_EVERY` every how
//! manieth. `CAIRN_SCRAPES=240 CAIRN_EVERY=15 cargo nextest run -p cairn-storage captures --no-capture` prints all of
//! them at 15 s; without settings only a part of the smallest one is read. Speeds mean something with `--release` only.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::Instant;

use super::meta::BlockId;
use super::tests::{Made, make};
use super::*;

/// Where the captures are on the machines that have them.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/captures");

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The series of a capture, as far as asked for, with times as scraped.
fn capture(path: &Path, scrapes: usize, every: usize) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let mut reader = zstd::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    reader.window_log_max(27).unwrap();
    let mut found: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    let (mut t, mut scrape) = (0, 0);
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        if let Some(ts) = line.strip_prefix("#TS ") {
            (t, scrape) = (ts.trim().parse().unwrap(), scrape + 1);
            if scrape > scrapes * every {
                break;
            }
        } else if !line.starts_with('#') && scrape % every == 0 {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value = match value {
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                value => value.parse().unwrap(),
            };
            match found.get_mut(name) {
                Some(samples) => samples.push((t, value)),
                None => drop(found.insert(name.to_owned(), vec![(t, value)])),
            }
        }
    }
    let labels = |name: &String| {
        let (metric, rest) = name.split_once('{').unwrap_or((name, ""));
        Labels::from_pairs([("__name__", metric), ("instance", "localhost:9100"), ("series", rest)]).unwrap()
    };
    let mut all: Vec<_> = found.iter().map(|(name, samples)| (labels(name), samples.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Bytes per sample of the chunks file, and a line about it.
fn weigh(name: &str, all: &[(Labels, Vec<(i64, f64)>)]) -> f64 {
    let start = Instant::now();
    let made = make(BlockId(1), all.iter().cloned());
    let written = start.elapsed();
    let meta = made.meta();
    let chunks = meta.chunks_bytes as f64 / meta.samples as f64;
    println!(
        "{name}: {} series, {} samples; chunks {chunks:.3} B/sample, index {:.1} B/series; written at {:.1} M/s",
        meta.series,
        meta.samples,
        meta.index_bytes as f64 / meta.series as f64,
        meta.samples as f64 / written.as_secs_f64() / 1e6
    );
    read_speed(&made);
    chunks
}

fn read_speed(made: &Made) {
    let block = made.open().unwrap();
    let mut by_class: BTreeMap<u8, (u64, f64)> = BTreeMap::new();
    for series in 0..made.meta().series as u32 {
        let (_, chunks) = block.series_at(series).unwrap();
        for chunk in chunks {
            let mut out = SeriesSamples::default();
            // Once for the pages, once for the codec alone.
            assert!(block.read_series(&[chunk], &mut out).is_empty());
            out.floats.clear();
            let start = Instant::now();
            assert!(block.read_series(&[chunk], &mut out).is_empty());
            let sums = by_class.entry(chunk.class()).or_default();
            *sums = (sums.0 + u64::from(chunk.count), sums.1 + start.elapsed().as_secs_f64());
        }
    }
    for (class, (samples, seconds)) in by_class {
        println!("  class {class}: {samples} samples, {:.0} M/s", samples as f64 / seconds / 1e6);
    }
    let bytes = |page: u32| {
        let at = block.offset(page).unwrap() as usize;
        u32::from_le_bytes(block.chunks.bytes()[at..at + 4].try_into().unwrap()) as usize
    };
    let directory = block.index().directory().unwrap();
    let times: usize = directory.time_pages.iter().map(|&(page, _)| bytes(page)).sum();
    println!("  times: {} columns, {times} bytes in all", directory.columns);
}

#[test]
fn captures_of_real_exporters() {
    let dir = std::env::var("CAIRN_CAPTURES").unwrap_or_else(|_| CAPTURES.to_owned());
    let Ok(entries) = std::fs::read_dir(&dir) else {
        println!("skipped: there is no {dir}");
        return;
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.to_string_lossy().ends_with(".txt.zst"));
    paths.sort();
    let scrapes = setting("CAIRN_SCRAPES", 0);
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Parsing takes its time without optimization.
        if scrapes == 0 && name != "vm.txt.zst" {
            continue;
        }
        let all = capture(path, if scrapes == 0 { 120 } else { scrapes }, setting("CAIRN_EVERY", 1));
        assert!(weigh(&name, &all) < 1.0);
    }
}

/// Counters and gauges in the manner of the benchmarks: node_exporter's kinds with whole and decimal values.
#[test]
fn made_up_nodes_weigh_little() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut all = Vec::new();
    for at in 0..2000 {
        let labels = Labels::from_pairs([("__name__", "m"), ("instance", format!("{at:05}").as_str())]).unwrap();
        let mut v = (random() * 1e6).floor();
        let samples = (0..200).map(|i| {
            v = match at % 4 {
                0 | 1 => v,
                2 => v + (random() * 200.0).floor(),
                _ => (random() * 1000.0).floor() / 10.0,
            };
            (1_700_000_000_000 + i * 15_000, v)
        });
        all.push((labels, samples.collect()));
    }
    assert!(weigh("made up", &all) < 0.75, "half of them change, by 8 and 10 random bits");
}
