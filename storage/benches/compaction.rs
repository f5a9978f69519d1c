//! What does it cost to make blocks and to merge them, and how small do they get?
//!
//! Run with `cargo bench -p cairn-storage --bench compaction [SERIES]`. Nine hours of scrapes every 60 s, maintained as a
//! server would; CPU time of `maintain` over the samples that were appended, and the longest single call.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use std::time::Duration;

use storage::{Batch, Db, Durability, Options, SeriesId};
use support::{T0, argument, labels, per_second, timed, value};

const MINUTES: usize = 9 * 60;

fn main() {
    let series = argument(0, 3000);
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let mut ids: Vec<SeriesId> = Vec::new();
    let (mut cpu, mut longest) = (Duration::ZERO, Duration::ZERO);
    for minute in 0..MINUTES {
        let t = T0 + minute as i64 * 60_000;
        append(&db, &mut ids, series, t, minute);
        let ((), wall, spent) = timed(|| db.maintain(t).unwrap());
        cpu += spent;
        longest = longest.max(wall);
    }
    // Everything into blocks.
    let end = T0 + MINUTES as i64 * 60_000 + 12 * 3_600_000;
    cpu += timed(|| db.maintain(end).unwrap()).2;
    let (stats, samples) = (db.stats(), series * MINUTES);
    println!(
        "{:.2} M samples a CPU second through cut and merge, longest call {longest:.2?}",
        per_second(samples, cpu) / 1e6
    );
    println!("{} blocks, {:.3} bytes a sample", stats.blocks, stats.block_bytes as f64 / samples as f64);
}

/// One minute of all series; a series whose id was forgotten would be a surprise here.
fn append(db: &Db, ids: &mut Vec<SeriesId>, series: usize, t: i64, minute: usize) {
    let mut batch = Batch::new();
    for i in 0..series {
        match ids.get(i) {
            Some(&id) => batch.push_known(id, t, value(i, minute)),
            None => batch.push(labels(i), t, value(i, minute)),
        }
    }
    assert_eq!(db.append(&mut batch, t, Durability::Written).unwrap().accepted, series as u64);
    ids.clear();
    ids.extend((0..series).map(|i| batch.id(i).unwrap()));
}
