//! What does an appended sample cost: of a series known by id, by labels, of a new one? And how much log and memory?
//!
//! Run with `cargo bench -p cairn-storage --bench append [SERIES] [SCRAPES]`. CPU time of the one thread that appends.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use std::path::Path;

use storage::{Batch, Db, Durability, Options};
use support::{STEP_MS, T0, argument, labels, nanos_each, per_second, resident, scrape, timed, value};

fn main() {
    let (series, scrapes) = (argument(0, 100_000), argument(1, 20));
    let dir = tempfile::tempdir().unwrap();
    let before = resident();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let mut ids = Vec::new();
    let ((), _, cpu) = timed(|| scrape(&db, &mut ids, series, 0));
    println!("new series: {:.0} a CPU second", per_second(series, cpu));
    println!("memory: {} bytes a series", (resident() - before) / series as u64);
    let log = log_bytes(dir.path());

    let ((), wall, cpu) = timed(|| (1..scrapes).for_each(|k| scrape(&db, &mut ids, series, k)));
    let samples = series * (scrapes - 1);
    println!(
        "known by id: {:.0} ns of CPU a sample, {:.0} of wall",
        nanos_each(samples, cpu),
        nanos_each(samples, wall)
    );
    println!("log: {:.2} bytes a sample", (log_bytes(dir.path()) - log) as f64 / samples as f64);
    println!("memory then: {} bytes a series", (resident() - before) / series as u64);

    let t = T0 + scrapes as i64 * STEP_MS;
    let mut batch = Batch::new();
    let by_labels = series.min(50_000);
    (0..by_labels).for_each(|i| batch.push(labels(i), t, value(i, scrapes)));
    let (done, _, cpu) = timed(|| db.append(&mut batch, t, Durability::Written).unwrap());
    assert_eq!(done.accepted, by_labels as u64);
    println!("known by labels: {:.0} ns of CPU a sample", nanos_each(by_labels, cpu));
}

fn log_bytes(dir: &Path) -> u64 {
    std::fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
