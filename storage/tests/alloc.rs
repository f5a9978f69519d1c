//! Appending samples of known series allocates nothing per sample.
//!
//! A binary of its own: it counts the allocations of the whole process.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use storage::{Batch, Db, Durability, Labels, METRIC_NAME, Options};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no count any more, and nobody asks for it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SERIES: usize = 5000;

/// Allocations of the `n`th append of a sample of each of the first `series` series.
fn allocations_of(db: &Db, batch: &mut Batch, ids: &[storage::SeriesId], n: i64) -> u64 {
    batch.clear();
    for (series, &id) in ids.iter().enumerate() {
        batch.push_known(id, n * 15_000, (series % 7) as f64);
    }
    let before = COUNT.get();
    let done = db.append(batch, n * 15_000, Durability::Written).unwrap();
    assert_eq!(done.accepted, ids.len() as u64);
    COUNT.get() - before
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
