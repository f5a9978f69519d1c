//! A push of known series allocates nothing per sample.
//!
//! A binary of its own: it has an allocator that counts, for each thread.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../storage/tests/support/counting.rs"]
mod counting;

use std::sync::Arc;

use cairn::ingest::{Ingester, Protocol, WriteLimits};
use counting::allocations;
use storage::{Db, Durability, Options};

const SERIES: u8 = 250;

fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.extend([tag, u8::try_from(bytes.len()).unwrap()]);
    out.extend(bytes);
}

fn label(series: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::new();
    field(&mut label, 0x0a, name.as_bytes());
    field(&mut label, 0x12, value.as_bytes());
    field(series, 0x0a, &label);
}

/// A body with one sample of each of the first `series` series.
fn body(series: u8, t: u8) -> Vec<u8> {
    let mut request = Vec::new();
    for n in 0..series {
        let mut one = Vec::new();
        label(&mut one, "__name__", "node_cpu_seconds_total");
        label(&mut one, "cpu", &n.to_string());
        let value = f64::from(n % 7).to_le_bytes();
        let sample = [&[0x09][..], &value, &[0x10, t & 0x7f | 0x80, t >> 7]].concat();
        field(&mut one, 0x12, &sample);
        field(&mut request, 0x0a, &one);
    }
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

#[test]
fn a_push_of_known_series_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
    let ingester = Ingester::new(WriteLimits::default());
    let push = |body: &[u8]| {
        let before = allocations();
        let outcome = ingester.write("t", &db, (Protocol::V1, body), 1000, Durability::Written).unwrap();
        (allocations() - before, outcome.accepted)
    };
    assert_eq!(push(&body(SERIES, 0)).1, u64::from(SERIES));
    let mut counts: Vec<u64> = (1..200)
        .map(|t| {
            let body = body(SERIES, t);
            let (count, accepted) = push(&body);
            assert_eq!(accepted, u64::from(SERIES));
            count
        })
        .collect();
    // An open chunk grows now and then, so the middle one speaks for the path itself.
    counts.sort_unstable();
    assert_eq!(counts[counts.len() / 2], 0, "{counts:?}");
}
