//! Disks that are full, or fail at fsync, and come back.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::fs::faulty::{After, Fault, FaultyFs};
use crate::noise::fill_with_noise;
use crate::*;

const BLOCK_MS: i64 = 1000;

fn options() -> Options {
    Options { block_ms: BLOCK_MS, ..Options::default() }
}

fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn put(db: &Db, t: i64) -> Result<Appended, AppendError> {
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("__name__", "m"), ("t", format!("{}", t % 3).as_str())]).unwrap(), t, t as f64);
    db.append(&mut batch, t, Durability::Synced)
}

fn times(db: &Db) -> Vec<i64> {
    let found = db.select(&[], TimeRange::ALL).unwrap();
    let mut out = Columns::default();
    found.series.iter().for_each(|s| s.read_into(&mut out).unwrap());
    out.t.sort();
    out.t
}

fn reopened(dir: &Path) -> Db {
    Db::open_with(dir, options(), Arc::new(FaultyFs::new(dir, None))).unwrap()
}

/// Appends, with a disk that fails for `len` steps from `step` on, and a keeper that calls `recover`. What was
/// acknowledged is there, at once, after a kill and after a power cut, and samples are taken again at the end.
fn live(step: u64, kind: ErrorKind, len: u64) {
    let context = format!("{kind:?} for {len} steps from step {step}");
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), Some((step, Fault::Errors(kind, len))));
    let Ok(db) = Db::open_with(dir.path(), options(), Arc::new(fs.clone())) else { return };
    let mut acknowledged = Vec::new();
    for round in 0..30 {
        let t = 10_000 + round * 130;
        if put(&db, t).is_ok() {
            acknowledged.push(t);
        }
        if round % 6 == 5 {
            let _ = db.maintain(t);
        }
        let _ = db.recover();
    }
    for _ in 0..len {
        if db.recover().is_ok() {
            break;
        }
    }
    db.recover().unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(db.stats().refuses, None, "{context}");
    // The fault may still lie ahead: the keeper calls again.
    let mut attempts = 0;
    while let Err(e) = put(&db, 20_000) {
        attempts += 1;
        assert!(attempts <= len, "{context}: {e}");
        let _ = db.recover();
    }
    acknowledged.push(20_000);
    let seen = times(&db);
    assert!(acknowledged.iter().all(|t| seen.contains(t)), "{context}");
    for after in [After::Kill, After::PowerCut, After::PowerCutTorn] {
        let copy = temp_dir();
        fs.copy_after(after, copy.path());
        let found = times(&reopened(copy.path()));
        let lost: Vec<_> = acknowledged.iter().filter(|t| !found.contains(t)).collect();
        assert!(lost.is_empty(), "{context}, {after:?}: lost {lost:?}");
    }
    db.maintain(30_000).unwrap();
    db.maintain(33_000).unwrap();
    drop(db);
    let found = times(&reopened(dir.path()));
    assert!(acknowledged.iter().all(|t| found.contains(t)), "{context}");
}

fn steps() -> u64 {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
    for round in 0..30 {
        let t = 10_000 + round * 130;
        put(&db, t).unwrap();
        if round % 6 == 5 {
            db.maintain(t).unwrap();
        }
    }
    fs.steps()
}

#[test]
fn a_full_disk_at_any_step_is_recovered_from_without_a_restart() {
    for step in 1..=steps() {
        live(step, ErrorKind::StorageFull, 1 + step % 4 * 13);
    }
}

#[test]
fn an_io_error_at_any_step_is_recovered_from_without_a_restart() {
    for step in 1..=steps() {
        live(step, ErrorKind::Other, 1 + step % 3 * 9);
    }
}

#[test]
fn the_state_is_told_and_forgotten() {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
    put(&db, 1).unwrap();
    db.recover().unwrap();
    let before = fs.steps();
    drop(db);
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), Some((before + 1, Fault::Errors(ErrorKind::StorageFull, 4))));
    let db = Db::open_with(dir.path(), options(), Arc::new(fs)).unwrap();
    put(&db, 1).unwrap();
    assert!(matches!(put(&db, 2), Err(AppendError::Wal { disk_full: true, .. })));
    assert_eq!((db.stats().refuses, db.stats().append_failures), (Some(Refusal::DiskFull), 1));
    assert_eq!(times(&db), [1], "reading goes on");
    assert!(db.recover().is_err());
    db.recover().unwrap();
    assert_eq!(db.stats().refuses, None);
    put(&db, 2).unwrap();
    assert_eq!(times(&db), [1, 2]);
}

/// The disk is as large as the limit on size, and both are reached: the oldest blocks go before a cut writes its own.
#[test]
fn a_cut_makes_room_for_its_block() {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
    for second in 10..16 {
        fill_with_noise(&db, (second * 1000..second * 1000 + 1000).step_by(10));
        db.maintain(second * 1000 + 900).unwrap();
    }
    fill_with_noise(&db, (16_000..16_600).step_by(10));
    let before: Vec<i64> = db.blocks.list().iter().map(|b| b.meta().range.min_t).collect();
    let bytes = db.own_bytes().unwrap();
    db.set_retention(None, Some(bytes));
    fs.set_bytes_max(bytes);
    db.cut_if_due(&mut db.maintaining(), 16_600).unwrap();
    let after: Vec<i64> = db.blocks.list().iter().map(|b| b.meta().range.min_t).collect();
    assert!(after.last() > before.last() && after.first() > before.first(), "{before:?}, {after:?}");
    assert!(db.own_bytes().unwrap() <= bytes);
}
