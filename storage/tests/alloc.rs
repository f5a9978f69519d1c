//! Appending samples of known series allocates nothing per sample.
//!
//! A binary of its own: it has an allocator that counts, for each thread.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/counting.rs"]
mod counting;

use counting::allocations;
use storage::{Batch, Db, Durability, Labels, METRIC_NAME, Options};

const SERIES: usize = 5000;

/// Allocations of the `n`th append of a sample of each of the first `series` series.
fn allocations_of(db: &Db, batch: &mut Batch, ids: &[storage::SeriesId], n: i64) -> u64 {
    batch.clear();
    for (series, &id) in ids.iter().enumerate() {
        batch.push_known(id, n * 15_000, (series % 7) as f64);
    }
    let before = allocations();
    let done = db.append(batch, n * 15_000, Durability::Written).unwrap();
    assert_eq!(done.accepted, ids.len() as u64);
    allocations() - before
}

#[test]
fn known_series_cost_no_allocation() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let mut batch = Batch::new();
    for n in 0..SERIES {
        let labels = Labels::from_pairs([(METRIC_NAME, "m"), ("n", n.to_string().as_str())]).unwrap();
        batch.push(labels, 0, 0.0);
    }
    db.append(&mut batch, 0, Durability::Written).unwrap();
    let ids: Vec<_> = (0..SERIES).map(|n| batch.id(n).unwrap()).collect();
    let mut all = Vec::new();
    let mut few = Vec::new();
    for n in 1..=200 {
        let some = if n % 2 == 0 { &ids[..SERIES / 10] } else { &ids[..] };
        let found = allocations_of(&db, &mut batch, some, n);
        if n % 2 == 0 { few.push(found) } else { all.push(found) }
    }
    // An open chunk grows now and then, so the middle one speaks for the path itself.
    all.sort_unstable();
    few.sort_unstable();
    let (all, few) = (all[all.len() / 2], few[few.len() / 2]);
    assert_eq!(all, few, "allocations of {SERIES} samples, and of a tenth of them");
    assert!(all <= 4, "{all} allocations");
}
