//! How long does it take to find series among many, in the head and in blocks?
//!
//! Run with `cargo bench -p cairn-storage --bench index [SERIES]`. The bars at a million series: two equalities 5 ms, a
//! suffix over the names 20 ms, values of a label 50 ms.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use storage::{Batch, Db, Durability, Labels, MatchOp, Matcher, Options, TimeRange};
use support::{STEP_MS, T0, argument, filled, timed};

fn main() {
    let series = argument(0, 100_000);
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path(), series, 2);
    report("head", &db);
    let now = T0 + 6 * 3_600_000;
    db.maintain(now).unwrap();
    assert_eq!((db.stats().blocks, db.stats().head_samples), (1, 0));
    report("block", &db);
    report_distinct(series);
}

/// A label with another value in each series, in the head and in three blocks.
fn report_distinct(series: usize) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    for block in 0..4 {
        let t = T0 + block * 2 * 3_600_000;
        for first in (0..series).step_by(1000) {
            let mut batch = Batch::new();
            for i in first..first + 1000 {
                let id = format!("id-{i}");
                batch.push(Labels::from_pairs([("__name__", "m"), ("id", id.as_str())]).unwrap(), t, 1.0);
            }
            db.append(&mut batch, t, Durability::Written).unwrap();
        }
        db.maintain(t).unwrap();
        if block == 0 || block == 3 {
            let (blocks, (values, _, cpu)) =
                (db.stats().blocks, timed(|| db.label_values("id", &[], TimeRange::ALL).unwrap().len()));
            println!("head and {blocks} blocks, distinct values: {values} in {cpu:.2?}");
        }
    }
}

fn report(place: &str, db: &Db) {
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    let name = || matcher(MatchOp::Equal, "__name__", "metric_7_ratio");
    let asked = [
        ("two equalities", vec![name(), matcher(MatchOp::Equal, "instance", "host-5")]),
        ("one name", vec![name()]),
        (
            "suffix of the name",
            vec![matcher(MatchOp::Regex, "__name__", ".*_ratio"), matcher(MatchOp::Equal, "instance", "host-5")],
        ),
        ("alternation", vec![name(), matcher(MatchOp::Regex, "instance", "host-1|host-2|host-3")]),
        ("negation", vec![name(), matcher(MatchOp::NotRegex, "instance", "host-.*[0-8]")]),
    ];
    let range = TimeRange::new(T0, T0 + STEP_MS * 10);
    for (what, matchers) in asked {
        let run = || db.select(&matchers, range).unwrap().series.len();
        let first = timed(run);
        let best = (0..9).map(|_| timed(run).2).min().unwrap();
        println!("{place}, {what}: {} series, first {:.2?}, best {best:.2?}", first.0, first.2);
    }
    for name in ["instance", "__name__"] {
        let (values, _, cpu) = timed(|| db.label_values(name, &[], range).unwrap().len());
        println!("{place}, values of {name}: {values} in {cpu:.2?}");
    }
}
