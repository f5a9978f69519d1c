//! Deletions as their caller sees them, and under a disk that fails at every step.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::block::meta::BlockId;
use crate::fs::faulty::{After, Fault, FaultyFs};
use crate::tombstone::TOMBSTONES_FILE;
use crate::*;

const BLOCK_MS: i64 = 1000;

fn options() -> Options {
    Options { block_ms: BLOCK_MS, ..Options::default() }
}

fn open(dir: &Path) -> Db {
    Db::open_with(dir, options(), Arc::new(FaultyFs::new(dir, None))).unwrap()
}

fn series(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)]).unwrap()
}

fn only(name: &str) -> [Matcher; 1] {
    [Matcher::equal("__name__", name)]
}

fn put(db: &Db, name: &str, t: i64, v: f64) {
    let mut batch = Batch::new();
    batch.push(series(name), t, v);
    assert_eq!(db.append(&mut batch, t, Durability::Synced).unwrap().accepted, 1);
}

/// A sample of two series every 100 ms, cut into blocks as it goes: the first seconds are in blocks, the last is not.
fn fill(db: &Db) {
    for t in (10_000..15_000).step_by(100) {
        put(db, "a", t, 1.0);
        put(db, "b", t, 2.0);
        if t % 500 == 0 {
            // A disk that fails is the caller's business.
            let _ = db.maintain(t);
        }
    }
}

fn times(db: &Db, name: &str) -> Vec<i64> {
    let found = db.select(&only(name), TimeRange::ALL).unwrap();
    // A kill tears the record that is being written, and nothing else.
    assert!(found.warnings.iter().all(|w| w.contains("no whole record")), "{:?}", found.warnings);
    let mut out = Columns::default();
    found.series.iter().for_each(|s| s.read_into(&mut out).unwrap());
    out.t
}

fn all_but(gone: TimeRange) -> Vec<i64> {
    (10_000..15_000).step_by(100).filter(|&t| !gone.contains(t)).collect()
}

fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Deletes and looks from all sides.
#[track_caller]
fn check(range: TimeRange) {
    let dir = temp_dir();
    let db = open(dir.path());
    fill(&db);
    assert!(db.stats().blocks >= 2 && db.stats().head_samples > 0, "{:?}", db.stats());
    let done = db.delete_series(&only("a"), range).unwrap();
    assert_eq!(done.series, 1);
    let looks_right = |db: &Db, when: &str| {
        assert_eq!(times(db, "a"), all_but(range), "{when}");
        assert_eq!(times(db, "b").len(), 50, "{when}");
        let mut inside = Columns::default();
        db.select(&only("a"), range).unwrap().series.iter().for_each(|series| series.read_into(&mut inside).unwrap());
        assert!(inside.is_empty(), "{when}: {inside:?}");
    };
    looks_right(&db, "at once");
    let kept = db.select(&[], TimeRange::ALL).unwrap();
    drop(db);
    let db = open(dir.path());
    looks_right(&db, "reopened");
    for t in [15_500, 16_500, 30_000] {
        db.maintain(t).unwrap();
        looks_right(&db, "maintained");
    }
    db.clean_tombstones().unwrap();
    assert_eq!(db.stats().tombstones, 0);
    looks_right(&db, "cleaned");
    drop((db, kept));
    looks_right(&open(dir.path()), "cleaned and reopened");
}

#[test]
fn a_range_in_blocks_goes() {
    check(TimeRange::new(11_250, 11_450));
}

#[test]
fn a_range_over_blocks_and_head_goes() {
    check(TimeRange::new(11_950, 14_700));
}

#[test]
fn a_range_in_the_head_goes() {
    check(TimeRange::new(14_800, 14_901));
}

#[test]
fn everything_goes() {
    check(TimeRange::ALL);
}

#[test]
fn what_comes_later_stays_and_may_differ() {
    let dir = temp_dir();
    let db = open(dir.path());
    fill(&db);
    db.delete_series(&only("a"), TimeRange::ALL).unwrap();
    put(&db, "a", 11_000, 7.0);
    put(&db, "a", 14_900, 8.0);
    put(&db, "a", 15_000, 9.0);
    let expected = [11_000, 14_900, 15_000];
    assert_eq!(times(&db, "a"), expected);
    drop(db);
    let db = open(dir.path());
    assert_eq!(times(&db, "a"), expected);
    db.maintain(30_000).unwrap();
    db.clean_tombstones().unwrap();
    drop(db);
    assert_eq!(times(&open(dir.path()), "a"), expected);
}

#[test]
fn deleting_twice_or_nothing_is_no_error() {
    let dir = temp_dir();
    let db = open(dir.path());
    fill(&db);
    assert_eq!(db.delete_series(&only("absent"), TimeRange::ALL).unwrap(), DeleteOutcome::default());
    assert_eq!(db.delete_series(&only("a"), TimeRange::new(5, 5)).unwrap(), DeleteOutcome::default());
    assert!(db.delete_series(&only("a"), TimeRange::ALL).unwrap().head_samples > 0);
    assert_eq!(db.delete_series(&only("a"), TimeRange::ALL).unwrap().head_samples, 0);
    assert_eq!(db.clean_tombstones().unwrap(), db.stats().blocks);
    assert_eq!(db.clean_tombstones().unwrap(), 0);
}

/// Steps up to the deletion, and after it.
fn steps() -> (u64, u64) {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
    fill(&db);
    let before = fs.steps();
    db.delete_series(&only("a"), TimeRange::ALL).unwrap();
    db.clean_tombstones().unwrap();
    (before, fs.steps())
}

/// At whatever step the disk fails: an acknowledged deletion holds, the other series loses nothing.
fn fail_at_every_step(fault: Fault, after: Option<After>) {
    let (first, last) = steps();
    for step in first + 1..=last {
        let context = format!("{fault:?} at step {step}");
        let dir = temp_dir();
        let fs = FaultyFs::new(dir.path(), Some((step, fault)));
        let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
        fill(&db);
        let deleted = db.delete_series(&only("a"), TimeRange::ALL).is_ok();
        let _ = db.clean_tombstones();
        drop(db);
        let copy = temp_dir();
        let dir = match after {
            Some(after) => {
                fs.copy_after(after, copy.path());
                copy.path()
            }
            None => dir.path(),
        };
        let db = open(dir);
        let found: BTreeSet<i64> = times(&db, "a").into_iter().collect();
        assert!(!deleted || found.is_empty(), "{context}: {found:?}");
        assert_eq!(times(&db, "b").len(), 50, "{context}");
        db.delete_series(&only("a"), TimeRange::ALL).unwrap();
        assert_eq!(times(&db, "a"), [] as [i64; 0], "{context}");
    }
}

#[test]
fn a_power_cut_at_any_step_undoes_no_deletion() {
    fail_at_every_step(Fault::Crash, Some(After::PowerCut));
    fail_at_every_step(Fault::Crash, Some(After::Kill));
}

#[test]
fn an_error_at_any_step_undoes_no_deletion() {
    fail_at_every_step(Fault::Error(ErrorKind::StorageFull), None);
}

#[test]
fn damaged_tombstones_are_said_with_every_answer() {
    let dir = temp_dir();
    let db = open(dir.path());
    fill(&db);
    db.delete_series(&only("a"), TimeRange::new(10_000, 11_000)).unwrap();
    let id = db.blocks.list().iter().map(|b| b.meta().id).min().unwrap();
    let path = block::BlockPaths::new(db.blocks.dir(), BlockId(id.0)).dir.join(TOMBSTONES_FILE);
    drop(db);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.iter_mut().for_each(|b| *b ^= 1);
    std::fs::write(&path, bytes).unwrap();
    let db = open(dir.path());
    let found = db.select(&only("a"), TimeRange::new(10_000, 10_500)).unwrap();
    assert_eq!(found.series.len(), 1, "the block is served");
    assert!(
        found.warnings[0].contains("samples that were deleted may be in this answer again"),
        "{:?}",
        found.warnings
    );
    assert_eq!(db.stats().quarantined, 1);
    assert_eq!(db.select(&only("a"), TimeRange::new(14_000, 15_000)).unwrap().warnings, [] as [String; 0]);
}

/// Blocks that a snapshot of the head names go as a whole: the next open must not take that for damage.
#[track_caller]
fn blocks_go_on_purpose(remove: impl Fn(&Db)) {
    let dir = temp_dir();
    let db = open(dir.path());
    fill(&db);
    let facts = |db: &Db| db.maintaining().snapshots.named_blocks();
    assert!(!facts(&db).is_empty(), "the snapshot of the last cut names its blocks");
    remove(&db);
    assert_eq!(db.stats().blocks, 0);
    let expected = (times(&db, "a"), times(&db, "b"));
    let snapshot = db.stats().snapshot_t;
    drop(db);
    let db = open(dir.path());
    assert_eq!((db.stats().quarantined, db.stats().snapshot_t), (0, snapshot), "{:?}", db.damage_from(0));
    assert_eq!((times(&db, "a"), times(&db, "b")), expected);
    let gone = || std::fs::read_dir(db.blocks.dir()).unwrap().count();
    assert!(gone() > 0);
    db.snapshot_now(20_000).unwrap();
    db.snapshot_now(20_000).unwrap();
    assert_eq!(gone(), 0, "nothing names them any more");
}

#[test]
fn a_block_that_is_wholly_deleted_is_not_missed() {
    blocks_go_on_purpose(|db| {
        db.delete_series(&[], TimeRange::new(0, 14_000)).unwrap();
        db.clean_tombstones().unwrap();
    });
}

#[test]
fn a_block_that_retention_removes_is_not_missed() {
    blocks_go_on_purpose(|db| {
        db.set_retention(None, Some(1));
        db.make_room(0).unwrap();
    });
}
