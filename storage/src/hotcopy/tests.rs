//! A snapshot opens as a database of its moment.

use std::path::Path;
use std::sync::Arc;

use crate::fs::faulty::{After, Fault, FaultyFs};
use crate::*;

const T0: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn put(db: &Db, name: &str, t: i64) {
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("__name__", name), ("job", "x")]).unwrap(), t, t as f64 / 7.0);
    assert_eq!(db.append(&mut batch, t, Durability::Synced).unwrap().accepted, 1);
}

fn fill(db: &Db) {
    for minute in 0..400 {
        let t = T0 + minute * 60_000;
        put(db, "a", t);
        put(db, "b", t + 1);
        if minute % 60 == 0 {
            let _ = db.maintain(t);
        }
    }
}

fn read(dir: &Path, range: TimeRange) -> Vec<(String, Columns)> {
    let db = Db::open(dir, Options::default()).unwrap();
    assert_eq!(db.stats().quarantined, 0);
    of(&db, range)
}

fn of(db: &Db, range: TimeRange) -> Vec<(String, Columns)> {
    let found = db.select(&[], range).unwrap();
    let read = |s: &SelectedSeries| {
        let mut out = Columns::default();
        s.read_into(&mut out).unwrap();
        (s.labels().to_string(), out)
    };
    found.series.iter().map(read).collect()
}

#[test]
fn a_snapshot_has_everything_and_lets_the_original_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("live"), Options::default()).unwrap();
    fill(&db);
    db.delete_series(&[Matcher::equal("__name__", "a")], TimeRange::new(T0, T0 + HOUR)).unwrap();
    let expected = of(&db, TimeRange::ALL);
    let (whole, old) = (dir.path().join("whole"), dir.path().join("old"));
    assert!(db.snapshot_to(&whole, SnapshotHead::Written).unwrap().is_empty());
    db.snapshot_to(&old, SnapshotHead::Skipped).unwrap();
    let again = db.snapshot_to(&whole, SnapshotHead::Written).unwrap_err();
    assert!(again.to_string().contains("exists"), "{again}");
    put(&db, "a", T0 + 500 * 60_000);
    db.delete_series(&[], TimeRange::ALL).unwrap();
    db.clean_tombstones().unwrap();
    assert_eq!(db.stats().head_samples, 0);
    assert_eq!(read(&whole, TimeRange::ALL), expected);
    let in_blocks = read(&old, TimeRange::ALL);
    assert!(!in_blocks.is_empty() && in_blocks[0].1.len() < expected[0].1.len());
    let taken = Db::open(&whole, Options::default()).unwrap();
    put(&taken, "c", T0 + 500 * 60_000);
    assert_eq!(taken.stats().head_series, 1, "it is a database like any other");
}

#[test]
fn a_snapshot_in_the_directory_itself_does_not_count_for_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    fill(&db);
    std::fs::create_dir(dir.path().join("snapshots")).unwrap();
    let before = db.own_bytes().unwrap();
    db.snapshot_to(&dir.path().join("snapshots/s"), SnapshotHead::Written).unwrap();
    assert_eq!(db.own_bytes().unwrap(), before);
    drop(db);
    assert_eq!(read(&dir.path().join("snapshots/s"), TimeRange::ALL), read(dir.path(), TimeRange::ALL));
}

#[test]
fn a_snapshot_says_what_of_the_head_it_lacks() {
    use std::os::unix::fs::FileExt;

    let dir = tempfile::tempdir().unwrap();
    let options = Options { block_ms: 24 * HOUR, ..Options::default() };
    let db = Db::open(&dir.path().join("live"), options).unwrap();
    // Several full chunks for each series, and a hole as a wrong clock leaves it.
    for minute in (0..600).chain(9000..9300) {
        put(&db, "a", T0 + minute * 60_000);
        put(&db, "b", T0 + minute * 60_000);
    }
    db.snapshot_now(T0).unwrap();
    let files = std::fs::read_dir(dir.path().join("live/head")).unwrap().map(|entry| entry.unwrap().path());
    let chunks = files.into_iter().find(|path| path.to_str().unwrap().contains("chunks-")).unwrap();
    // In place: the file is mapped. Every chunk of it.
    let file = std::fs::OpenOptions::new().write(true).open(&chunks).unwrap();
    for at in (100..std::fs::metadata(&chunks).unwrap().len() - 8).step_by(64) {
        file.write_all_at(b"spoiled!", at).unwrap();
    }
    let copy = dir.path().join("copy");
    let warnings = db.snapshot_to(&copy, SnapshotHead::Written).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let words = "samples of 2 series between 2023-11-14 22:13 UTC and 2023-11-2";
    assert!(warnings[0].starts_with(words) && warnings[0].contains("missing from the copy"), "{warnings:?}");
    assert_eq!(db.stats().incomplete_copies, 1);
    // Blocks are as they are.
    assert!(db.snapshot_to(&dir.path().join("old"), SnapshotHead::Skipped).unwrap().is_empty());
    assert_eq!(read(&copy, TimeRange::ALL), of(&db, TimeRange::ALL));
}

#[test]
fn a_crash_or_an_error_at_any_step_leaves_a_whole_snapshot_or_none() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let fs = FaultyFs::new(dir.path(), None);
    let run = |fs: FaultyFs, root: &Path| {
        let db = Db::open_with(&root.join("live"), Options::default(), Arc::new(fs.clone())).unwrap();
        fill(&db);
        let before = fs.steps();
        (before, db.snapshot_to(&root.join("copy"), SnapshotHead::Written))
    };
    let (before, done) = run(fs.clone(), dir.path());
    done.unwrap();
    let expected = read(&dir.path().join("copy"), TimeRange::ALL);
    for step in before + 1..=fs.steps() {
        for fault in [Fault::Crash, Fault::Error(std::io::ErrorKind::StorageFull)] {
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            let fs = FaultyFs::new(dir.path(), Some((step, fault)));
            let (_, done) = run(fs.clone(), dir.path());
            let after = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            fs.copy_after(After::PowerCut, after.path());
            let copy = after.path().join("copy");
            let is_there = std::fs::metadata(&copy).is_ok();
            assert!(is_there || done.is_err(), "{fault:?} at step {step}: an acknowledged snapshot is there");
            if is_there {
                assert_eq!(read(&copy, TimeRange::ALL), expected, "{fault:?} at step {step}");
            }
        }
    }
}
