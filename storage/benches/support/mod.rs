//! What the benches share: a clock of CPU time, made-up series, arguments.
#![allow(dead_code, reason = "each bench uses its part")]

use std::time::{Duration, Instant};

use storage::{Batch, Db, Durability, Labels, Options, SeriesId};

/// A round time to begin at: blocks of two hours begin there, too.
pub(crate) const T0: i64 = 1_699_992_000_000;
/// Between two scrapes.
pub(crate) const STEP_MS: i64 = 15_000;

/// The `place`th number on the command line.
pub(crate) fn argument(place: usize, default: usize) -> usize {
    let numbers = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    numbers.map(|a| a.parse().expect("arguments are numbers")).nth(place).unwrap_or(default)
}

/// What `work` gives, its wall time, and the CPU time of this thread: the machine has other work.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let (start, cpu) = (Instant::now(), cpu_time());
    let done = work();
    (done, start.elapsed(), cpu_time().saturating_sub(cpu))
}

fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).expect("nanoseconds come first"))
}

/// Eleven labels, as a host with cloud labels has them.
pub(crate) fn labels(series: usize) -> Labels {
    let (host, metric) = (series / 100, series % 100);
    let (host, zone) = (format!("host-{host}"), format!("zone-{}", host % 7));
    let name = format!("metric_{metric}_{}", ["total", "bytes", "seconds", "ratio"][metric % 4]);
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("arch", "x64"),
        ("datacenter", zone.as_str()),
        ("env", "production"),
        ("instance", host.as_str()),
        ("job", "node"),
        ("os", "debian"),
        ("rack", if metric % 2 == 0 { "left" } else { "right" }),
        ("region", "eu-west-1"),
        ("team", "storage"),
        ("version", "1.2.3"),
    ])
    .expect("the labels are valid")
}

/// A third stands still, a third counts, a third moves with two decimals.
pub(crate) fn value(series: usize, scrape: usize) -> f64 {
    let noise = (series as u64 * 0x9e37_79b9 + scrape as u64 * 0x94d0_49bb) >> 7;
    match series % 3 {
        0 => series as f64,
        1 => (scrape * 40 + (noise % 20) as usize) as f64,
        _ => (noise % 10_000) as f64 / 100.0,
    }
}

/// Appends one scrape of all `series` in batches of a thousand; by id where `ids` has one, which it gets.
pub(crate) fn scrape(db: &Db, ids: &mut Vec<SeriesId>, series: usize, scrape: usize) {
    let t = T0 + scrape as i64 * STEP_MS;
    let mut batch = Batch::new();
    for first in (0..series).step_by(1000) {
        batch.clear();
        let part = first..(first + 1000).min(series);
        for i in part.clone() {
            match ids.get(i) {
                Some(&id) => batch.push_known(id, t, value(i, scrape)),
                None => batch.push(labels(i), t, value(i, scrape)),
            }
        }
        let done = db.append(&mut batch, t, Durability::Written).expect("the disk is fine");
        assert_eq!(done.accepted, part.len() as u64);
        ids.extend(
            (part.start..part.end).skip(ids.len().saturating_sub(first)).map(|i| batch.id(i - first).expect("known")),
        );
    }
}

/// A `Db` in `dir` with `scrapes` scrapes of `series`.
pub(crate) fn filled(dir: &std::path::Path, series: usize, scrapes: usize) -> Db {
    let db = Db::open(dir, Options::default()).expect("an empty directory opens");
    let mut ids = Vec::new();
    (0..scrapes).for_each(|k| scrape(&db, &mut ids, series, k));
    db
}

/// Resident memory of this process in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process' memory");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// A rate of so many things.
pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Nanoseconds for each of so many things.
pub(crate) fn nanos_each(count: usize, time: Duration) -> f64 {
    time.as_nanos() as f64 / count as f64
}
