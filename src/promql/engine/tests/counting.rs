//! Samples that a query looks at and reads, as Prometheus 3.14 counts them.

use storage::{Batch, Db, Durability, Options};

use super::*;
use crate::promql::Samples;
use crate::promql::histogram::tests::exponential;

/// `one` and three series `three{i="…"}` of a sample every ten seconds, from 0 to 1000 s.
fn source() -> Memory {
    let t: Vec<i64> = (0..=100).map(|k| k * 10_000).collect();
    let columns = Columns { v: t.iter().map(|&t| t as f64).collect(), t };
    let names = [("one", "0"), ("three", "0"), ("three", "1"), ("three", "2")];
    let series = names.map(|(name, i)| (Labels::from_pairs([("__name__", name), ("i", i)]).unwrap(), columns.clone()));
    Memory { series: series.into(), ..Memory::default() }
}

/// At each step the samples that are looked at and read; `(start, end, step)` in seconds, one step for an instant query.
#[track_caller]
fn check(query: &str, times: (i64, i64, i64), looked_at: &[u64], read: &[u64]) {
    check_in(&source(), query, times, looked_at, read);
}

#[track_caller]
fn check_in(source: &dyn Source, query: &str, (start, end, step): (i64, i64, i64), looked_at: &[u64], read: &[u64]) {
    let used = |control: QueryControl| {
        let engine = engine();
        match step {
            0 => engine.instant(source, query, start * 1000, &control),
            _ => engine.range(source, query, start * 1000, end * 1000, step * 1000, &control),
        }
        .unwrap_or_else(|e| panic!("{query}: {e}"));
        control.numbers.used()
    };
    let all = used(control().counting_steps());
    let steps = |count: fn(&Samples) -> u64| all.samples_per_step.iter().map(count).collect::<Vec<_>>();
    assert_eq!((steps(|s| s.looked_at), steps(|s| s.read)), (looked_at.to_vec(), read.to_vec()), "{query}");
    let sums = Samples { looked_at: looked_at.iter().sum(), read: read.iter().sum() };
    assert_eq!(all.samples, sums, "{query}");
    assert_eq!(used(control()).samples, sums, "{query}, steps not counted");
}

const STEPS: (i64, i64, i64) = (201, 220, 5);

#[test]
fn selectors_and_windows() {
    check("1 + 1", STEPS, &[0; 4], &[0; 4]);
    check("three", (21, 21, 0), &[3], &[3]);
    check("one[60s]", (201, 201, 0), &[6], &[6]);
    check("three", STEPS, &[3; 4], &[3; 4]);
    check("timestamp(one)", STEPS, &[1; 4], &[1; 4]);
    // A step reads what came since the one before.
    check("sum(max_over_time(three[60s]))", STEPS, &[18; 4], &[18, 0, 3, 0]);
    check("absent_over_time(one[60s] offset 1m)", STEPS, &[6; 4], &[6, 0, 1, 0]);
    // Between windows nothing is read, after the last sample there is nothing.
    check("max_over_time(one[10s])", (101, 161, 30), &[1; 3], &[1; 3]);
    check("max_over_time(one[10s])", (991, 1021, 10), &[1, 1, 0, 0], &[1, 1, 0, 0]);
    check("rate(one[20s] anchored)", (401, 421, 10), &[32; 3], &[32, 1, 1]);
}

#[test]
fn at_reads_once() {
    check("three @ 15", STEPS, &[3; 4], &[3, 0, 0, 0]);
    check("timestamp(three @ 15)", STEPS, &[3; 4], &[3, 0, 0, 0]);
    check("max_over_time(three[60s] @ 30)", STEPS, &[12; 4], &[12, 0, 0, 0]);
    check("predict_linear(one[60s] @ 100, 60)", (100, 300, 100), &[6; 3], &[6, 0, 0]);
    check("sum_over_time(three[1m:10s] @ 200 offset 1m)", STEPS, &[18; 4], &[18, 0, 0, 0]);
    check("three + on (i) three @ 15", STEPS, &[6; 4], &[6, 3, 3, 3]);
}

#[test]
fn subqueries_count_what_they_read_once() {
    check("max_over_time(three[60s:5s])", STEPS, &[36; 4], &[36, 3, 3, 3]);
    check("max_over_time(one[20s:10s])", (201, 261, 10), &[2; 7], &[2, 1, 1, 1, 1, 1, 1]);
    check("sum_over_time(one[30s:30s])", (90, 90, 0), &[1], &[1]);
    check("max_over_time(three[60s:10s] offset 10s)", (200, 260, 30), &[18; 3], &[18, 9, 9]);
    // What stands inside may read more than the windows show.
    check("rate(sum_over_time(one[30s])[1m:30s])", (240, 240, 0), &[2], &[6]);
    // Between windows what was read does not count.
    check("max_over_time(one[30s:10s])", (201, 261, 60), &[3; 2], &[3; 2]);
    check("max_over_time(sum_over_time(one[20s])[30s:10s])", (201, 261, 60), &[3; 2], &[4, 3]);
    // Equal parts count as often as they stand there, whatever the gaps.
    let twice = "sum(max_over_time(sum(three)[30s:10s])) + sum(min_over_time(sum(three)[30s:10s]))";
    check(twice, (201, 261, 60), &[6; 2], &[18; 2]);
    check("sum(three) / (sum(three) + 1)", STEPS, &[6; 4], &[6; 4]);
    check("sum(one) + max_over_time(sum(one)[10s:10s])", (200, 220, 10), &[2; 3], &[2; 3]);
}

#[test]
fn subqueries_in_subqueries() {
    // As an answer of its own a subquery is what stands inside.
    check("max_over_time(one[60s])[20s:5s]", (201, 201, 0), &[24], &[8]);
    let deep = "sum_over_time(max_over_time(three[60s] @ 300)[5m:1m] @ 600)[10m:2m]";
    check(deep, (800, 800, 0), &[75], &[18]);
    // Inner steps from 150 s on; each outer step sees two of the middle ones, which see two of them each.
    check("max_over_time(max_over_time(one[20s:10s])[20s:10s])", (201, 221, 10), &[2; 3], &[3, 1, 1]);
    // The gaps of the outer windows are those of what stands deeper, too.
    check("max_over_time(max_over_time(one[10s:10s])[10s:10s])", (201, 321, 60), &[1; 3], &[1; 3]);
}

#[test]
fn histograms_count_as_what_they_take() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let buckets: Vec<(i32, f64)> = (0..50).map(|i| (i, 1.0)).collect();
    let (small, large) = (exponential(0, &buckets[..2], &[]), exponential(0, &buckets, &[]));
    let mut batch = Batch::new();
    let labels = Labels::from_pairs([("__name__", "h")]).unwrap();
    for k in 0..10 {
        let histogram = if k % 2 == 0 { &small } else { &large };
        batch.push_histogram(labels.clone(), k * 10_000, histogram.to_stored());
    }
    batch.push(labels, 100_000, 1.0);
    db.append(&mut batch, 100_000, Durability::Written).unwrap();
    let (small, large) = (small.cost() as u64, large.cost() as u64);
    assert!(small < large);
    check_in(&db, "h", (80, 100, 10), &[small, large, 1], &[small, large, 1]);
    check_in(&db, "timestamp(h)", (80, 100, 10), &[1; 3], &[1; 3]);
    check_in(&db, "h @ 10", (80, 100, 10), &[large; 3], &[large, 0, 0]);
    let both = small + large;
    check_in(&db, "count_over_time(h[20s])", (80, 100, 10), &[both, both, large + 1], &[both, large, 1]);
    check_in(&db, "sum_over_time(h[20s:10s])", (80, 90, 10), &[both; 2], &[both, large]);
}
