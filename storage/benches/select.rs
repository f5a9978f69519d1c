//! How many samples a second are read, in the head and in blocks, of series that stand still, count, or move?
//!
//! Run with `cargo bench -p cairn-storage --bench select [SERIES] [SCRAPES]`. The bars for a block's chunks: 500 M a second
//! for constants, 100 M otherwise.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use storage::{Columns, Db, Matcher, TimeRange};
use support::{STEP_MS, T0, argument, filled, per_second, timed};

fn main() {
    let (series, scrapes) = (argument(0, 3000), argument(1, 480));
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path(), series, scrapes);
    report("head", &db);
    let now = T0 + scrapes as i64 * STEP_MS + 6 * 3_600_000;
    db.maintain(now).unwrap();
    assert_eq!(db.stats().head_samples, 0);
    report("blocks", &db);
}

fn report(place: &str, db: &Db) {
    let all = db.select(&[Matcher::equal("job", "node")], TimeRange::ALL).unwrap();
    let mut found: [Vec<&storage::SelectedSeries>; 3] = Default::default();
    for series in &all.series {
        // Series `i` has the value kind `i % 3`; its number is in its labels.
        let digits =
            |name: &str| series.labels().get(name).unwrap().split(['_', '-']).nth(1).unwrap().parse::<usize>().unwrap();
        found[(digits("instance") * 100 + digits("__name__")) % 3].push(series);
    }
    let mut out = Columns::default();
    for (kind, series) in ["constant", "counter", "decimals"].iter().zip(found) {
        let mut read = || {
            let mut samples = 0;
            for one in &series {
                out.clear();
                one.read_into(&mut out).unwrap();
                samples += out.len();
            }
            samples
        };
        let samples = read();
        let best = (0..5).map(|_| timed(&mut read).2).min().unwrap();
        println!("{place}, {kind}: {:.0} M samples a CPU second", per_second(samples, best) / 1e6);
    }
}
