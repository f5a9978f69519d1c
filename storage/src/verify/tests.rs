//! What `verify` says about whole and damaged directories, and what is left after a repair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::*;

const T0: i64 = 1_700_000_000_000;

/// Two hundred series with a sample a minute: several blocks, and a head.
fn filled(dir: &Path) {
    fill(dir).close().unwrap();
}

fn fill(dir: &Path) -> Db {
    let db = Db::open(dir, Options::default()).unwrap();
    for minute in 0..400 {
        let t = T0 + minute * 60_000;
        let mut batch = Batch::new();
        for i in 0..200 {
            let number = i.to_string();
            let labels = [("__name__", "m"), ("i", number.as_str())];
            batch.push(Labels::from_pairs(labels).unwrap(), t, (minute * i) as f64 / 3.0);
            batch.set_start(if i % 3 == 0 { T0 - i } else { 0 });
        }
        db.append(&mut batch, t, Durability::Written).unwrap();
        if minute % 60 == 0 {
            db.maintain(t).unwrap();
        }
    }
    db
}

fn run(dir: &Path, mode: VerifyMode) -> (Verified, Vec<String>) {
    let mut said = Vec::new();
    let found = verify(dir, mode, &mut |line| said.push(line.to_owned())).unwrap();
    (found, said)
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => out.extend(files(&path)),
            false => drop(out.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    out
}

/// The first block's file of this name.
fn block_file(dir: &Path, name: &str) -> PathBuf {
    files(&dir.join("blocks")).into_keys().find(|p| p.ends_with(name)).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_directory_is_clean_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let before = files(dir.path());
    let (found, said) = run(dir.path(), VerifyMode::Report);
    assert!(found.is_clean() && said.is_empty(), "{said:?}");
    assert_eq!(found.samples, 400 * 200);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn damage_to_starts_costs_no_sample() {
    // A page, the directory, all of it.
    for (at, words) in [(40, "lost: start timestamps of up to 200 series"), (1_000_000, "directory is damaged")] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let path = block_file(dir.path(), "starts");
        flip(&path, at.min(std::fs::read(&path).unwrap().len() - 5));
        let db = Db::open(dir.path(), Options::default()).unwrap();
        let found = db.select(&[], TimeRange::ALL).unwrap();
        assert!(found.warnings.iter().any(|w| w.contains("start timestamps")), "{:?}", found.warnings);
        drop(db);
        check(dir.path(), words, 400 * 200);
    }
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    std::fs::remove_file(block_file(dir.path(), "starts")).unwrap();
    check(dir.path(), "start timestamps are missing", 400 * 200);
}

#[test]
fn a_directory_in_use_or_missing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _db = Db::open(dir.path(), Options::default()).unwrap();
    for mode in [VerifyMode::Report, VerifyMode::Repair] {
        assert!(matches!(verify(dir.path(), mode, &mut |_| ()), Err(OpenError::Locked { .. })));
    }
    assert!(matches!(verify(&dir.path().join("absent"), VerifyMode::Report, &mut |_| ()), Err(OpenError::Io { .. })));
}

/// Damage is reported without a change, repaired without another loss, and gone afterwards.
#[track_caller]
fn check(dir: &Path, words: &str, samples_min: u64) {
    let before = files(dir);
    let (found, said) = run(dir, VerifyMode::Report);
    assert!(found.damaged >= 1, "{said:?}");
    assert!(said.iter().any(|line| line.contains(words)), "{said:?}");
    assert_eq!(files(dir), before, "a report changes nothing");
    let (repaired, said) = run(dir, VerifyMode::Repair);
    assert_eq!((repaired.damaged, repaired.repaired), (found.damaged, found.damaged), "{said:?}");
    let (after, said) = run(dir, VerifyMode::Report);
    assert!(after.is_clean() && said.is_empty(), "{said:?}");
    assert!(after.samples >= samples_min && after.samples <= 400 * 200, "{after:?}");
    let db = Db::open(dir, Options::default()).unwrap();
    assert_eq!(db.stats().quarantined, 0);
    assert_eq!(db.select(&[], TimeRange::ALL).unwrap().warnings, [] as [String; 0]);
    assert!(std::fs::read_dir(dir.join("quarantine")).unwrap().count() >= 1);
}

#[test]
fn a_damaged_page_names_the_series_and_minutes_and_the_rest_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    flip(&block_file(dir.path(), "chunks"), 3000);
    check(dir.path(), "lost: m{i=", 400 * 200 - 30_000);
}

#[test]
fn a_damaged_index_costs_its_block() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    flip(&block_file(dir.path(), "index"), 40);
    check(dir.path(), "samples of 200 series between 2023-11-1", 30_000);
}

#[test]
fn what_an_older_snapshot_still_has_of_a_damaged_block_is_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    // The newest block: the last but one snapshot is from before it, and the log since is kept.
    let index = files(&dir.path().join("blocks")).into_keys().rfind(|p| p.ends_with("index")).unwrap();
    flip(&index, 40);
    check(dir.path(), "samples of 200 series between 2023-11-1", 400 * 200);
}

#[test]
fn a_damaged_record_of_the_log_is_gone_after_a_repair() {
    let dir = tempfile::tempdir().unwrap();
    // Closed, it would have a snapshot, and the next open no need of the log.
    drop(fill(dir.path()));
    let segment = files(&dir.path().join("wal")).into_keys().rfind(|p| p.extension().is_some_and(|e| e == "wal"));
    flip(&segment.unwrap(), 5000);
    // Its own samples, and those that differ from them until a value stands for itself.
    check(dir.path(), "no whole record", 400 * 200 - 66 * 200);
}

/// The files of a directory with names that begin so, in order.
fn named(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let begins = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    files(dir).into_keys().filter(begins).collect()
}

#[test]
fn damage_of_the_older_snapshot_is_said_and_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    let snapshots = named(&dir.path().join("head"), "snap-");
    assert_eq!(snapshots.len(), 2);
    flip(&snapshots[0], 2000);
    check(dir.path(), "are no whole frame; nothing is lost, as the newest snapshot is whole", 400 * 200);
}

#[test]
fn an_older_snapshot_that_lacks_what_it_needs_is_said() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    let segments = named(&dir.path().join("wal"), "");
    std::fs::remove_file(&segments[0]).unwrap();
    check(dir.path(), "which follows it, is not there; nothing is lost", 400 * 200);
}

#[test]
fn a_damaged_segment_before_the_newest_snapshot_is_said_and_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    let segments = named(&dir.path().join("wal"), "");
    assert!(segments.len() >= 2, "{segments:?}");
    flip(&segments[0], 5000);
    check(dir.path(), "are no whole record; nothing is lost, as the newest snapshot is whole", 400 * 200);
}

#[test]
fn damaged_chunks_that_only_the_older_snapshot_has_are_said_and_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = fill(dir.path());
    // What the last cut took into a block is in a file that the older snapshot has.
    let t = T0 + 400 * 60_000;
    db.snapshot_now(t).unwrap();
    db.maintain(t + 3 * 3_600_000).unwrap();
    drop(db);
    let (_, said) = run(dir.path(), VerifyMode::Report);
    assert!(said.is_empty(), "{said:?}");
    let chunks = named(&dir.path().join("head"), "chunks-");
    flip(&chunks[0], 100);
    check(dir.path(), "chunks that only the older snapshot needs are damaged; nothing is lost", 400 * 200);
}

#[test]
fn damaged_tombstones_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let db = Db::open(dir.path(), Options::default()).unwrap();
    db.delete_series(&[Matcher::equal("i", "7")], TimeRange::new(T0, T0 + 600_000)).unwrap();
    drop(db);
    let path = block_file(dir.path(), "tombstones");
    std::fs::write(path, [1; 20]).unwrap();
    check(dir.path(), "samples that were deleted", 400 * 200);
}

#[test]
fn minutes_are_written_as_people_do() {
    for (t, text) in [
        (0, "1970-01-01 00:00 UTC"),
        (T0, "2023-11-14 22:13 UTC"),
        (951_782_400_000, "2000-02-29 00:00 UTC"),
        (-60_000, "1969-12-31 23:59 UTC"),
    ] {
        assert_eq!(super::minute(t), text);
    }
}
