//! How many bytes of heap a series costs, all included: head, log, appender.
//!
//! Bars: `performance.md` allows 350 bytes of resident memory for a series with eleven labels. Here the heap is
//! counted as an allocator with size classes gives it out. `CAIRN_FIGURES=1` does it with a million series and prints
//! the figures. Last: see the table in `head`.
#![expect(unsafe_code, reason = "an allocator that counts is unsafe by nature; it passes everything on")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use storage::{Batch, Db, Durability, Labels, Options};

/// Small, so that the appender's own memory hardly counts.
const BATCH: usize = 500;

struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What an allocator like mimalloc gives: multiples of 8 up to 64, then four classes for each doubling.
fn class(size: usize) -> usize {
    if size <= 64 { size.next_multiple_of(8) } else { size.next_multiple_of(1 << (size - 1).ilog2().saturating_sub(2)) }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(class(layout.size()), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(class(layout.size()), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HEAP.fetch_sub(class(layout.size()), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A hundred series per host that share ten tags, as the devops workload has it.
fn devops(i: usize) -> Labels {
    let (host, metric) = (i / 100, i % 100);
    let tags = [
        ("__name__", format!("cpu_usage_metric_{metric}")),
        ("arch", ["x64", "x86"][host % 2].to_owned()),
        ("datacenter", format!("eu-west-1{}", host % 9)),
        ("hostname", format!("host_{host}")),
        ("os", ["Ubuntu16.10", "Ubuntu15.10", "Ubuntu16.04LTS"][host % 3].to_owned()),
        ("rack", (host % 100).to_string()),
        ("region", format!("eu-west-{}", host % 4)),
        ("service", (host % 20).to_string()),
        ("service_environment", ["production", "staging", "test"][host / 3 % 3].to_owned()),
        ("service_version", (host % 2).to_string()),
        ("team", ["SF", "NYC", "LON", "CHI"][host % 4].to_owned()),
    ];
    Labels::from_pairs(tags.iter().map(|(n, v)| (*n, v.as_str()))).unwrap()
}

/// Eleven labels, nothing shared with the neighbour but most of it with others; one value is unique.
fn scattered(i: usize) -> Labels {
    let mut tags =
        vec![("__name__".to_owned(), format!("metric_{}", i % 300)), ("unique".to_owned(), format!("id-{i}"))];
    tags.extend((0..9).map(|k| (format!("label_{k}"), format!("value-{}", i * (k + 3) % 997))));
    Labels::from_pairs(tags.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap()
}

fn bytes_per_series(name: &str, labels: fn(usize) -> Labels) -> usize {
    let _alone = ALONE.lock();
    let is_full = std::env::var_os("CAIRN_FIGURES").is_some();
    let count = if is_full { 1_000_000 } else { 20_000 };
    let dir = tempfile::tempdir().unwrap();
    let before = HEAP.load(Relaxed);
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let mut ids = Vec::new();
    for scrape in 0..3i64 {
        let t = 1_700_000_000_000 + scrape * 15_000;
        let start = std::time::Instant::now();
        for first in (0..count).step_by(BATCH) {
            let mut batch = Batch::new();
            for i in first..first + BATCH {
                let v = (i % 1000) as f64 + scrape as f64 * (i % 7) as f64;
                match ids.get(i) {
                    Some(&id) => batch.push_known(id, t, v),
                    None => batch.push(labels(i), t, v),
                }
            }
            assert_eq!(db.append(&mut batch, t, Durability::Written).unwrap().accepted, BATCH as u64);
            if scrape == 0 {
                ids.extend((0..BATCH).map(|i| batch.id(i).unwrap()));
            }
        }
        eprintln!("{name}: scrape {scrape}: {} ns a sample", start.elapsed().as_nanos() as usize / count);
    }
    drop(ids);
    let bytes = (HEAP.load(Relaxed) - before) / count;
    eprintln!("{name}: {bytes} bytes a series of {count}");
    bytes
}

#[test]
fn series_that_share_tags_are_small() {
    assert!(bytes_per_series("devops", devops) <= 230);
}

#[test]
fn series_that_share_nothing_with_their_neighbour_are_small() {
    assert!(bytes_per_series("scattered", scattered) <= 350);
}
