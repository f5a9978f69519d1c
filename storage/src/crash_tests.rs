//! What crashes and failing disks may cost: nothing that was acknowledged, and nothing is invented.
//!
//! Here: one scripted life of a `Db` (appends, late samples, cuts, snapshots, merges, stops and opens), run again for every
//! step at which the file system can fail.
//! Elsewhere: the file system that fails (`fs::faulty`), random lives (`tests/model.rs`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::fs::faulty::{After, Fault, FaultyFs};
use crate::*;

/// By series and time: bits of the value, and the start.
type Samples = BTreeMap<(String, i64), (u64, i64)>;

const BLOCK_MS: i64 = 1000;

fn options() -> Options {
    Options { block_ms: BLOCK_MS, ..Options::default() }
}

fn name(series: i64) -> String {
    format!("m{}", series % 4)
}

/// None, one for long, one for each sample. Each sample's follows from itself.
fn start(series: i64, t: i64) -> i64 {
    match series % 4 {
        1 => t.div_euclid(3000) * 3000 + 7,
        2 => t - 13,
        _ => 0,
    }
}

/// In memory where the machine offers it: these tests make some ten thousand small files.
fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What the caller was told about its samples.
#[derive(Default)]
struct Oracle {
    /// Acknowledged with [`Durability::Synced`], or synced since.
    synced: Samples,
    /// Acknowledged, but not yet synced.
    written: Samples,
    /// Sent, whatever came of it.
    sent: Samples,
}

impl Oracle {
    fn append(&mut self, db: &Db, samples: &[(i64, i64)], now: i64, durability: Durability) {
        let mut batch = Batch::new();
        let mut sent = Samples::new();
        for &(series, t) in samples {
            let (start, v) = (start(series, t), (series * 1000 + t) as f64 / 3.0);
            let series = name(series);
            batch.push(Labels::from_pairs([("__name__", series.as_str()), ("job", "x")]).unwrap(), t, v);
            batch.set_start(start);
            sent.insert((series, t), (v.to_bits(), start));
        }
        self.sent.extend(sent.clone());
        if let Ok(done) = db.append(&mut batch, now, durability) {
            assert_eq!(done.refused, []);
            match durability {
                Durability::Synced => {
                    self.synced.append(&mut self.written);
                    self.synced.extend(sent);
                }
                Durability::Written => self.written.extend(sent),
            }
        }
    }

    fn sync(&mut self, db: &Db) {
        if db.sync().is_ok() {
            self.synced.append(&mut self.written);
        }
    }
}

/// A life in which everything happens that writes: late samples, cuts, snapshots, merges, closing and opening again.
/// Errors of maintenance are the file system's and ignored. The `Db` at its end; `None` if it could not be opened.
fn live(dir: &Path, fs: &FaultyFs, oracle: &mut Oracle) -> Option<Db> {
    let open = || Db::open_with(dir, options(), Arc::new(fs.clone())).ok();
    let mut db = open()?;
    for round in 0..10i64 {
        let now = 10_000 + round * 700;
        oracle.append(&db, &[(0, now), (1, now), (2, now + 1)], now, Durability::Synced);
        oracle.append(&db, &[(round, now + 5), (3, now - 2500)], now, Durability::Written);
        if round % 2 == 0 {
            oracle.sync(&db);
        }
        let _ = db.maintain(now);
        match round {
            3 | 9 => drop(db.snapshot_now(now)),
            // A stop that nobody prepared.
            4 => {
                drop(db);
                db = open()?;
            }
            6 => {
                if db.close().is_ok() {
                    oracle.synced.append(&mut oracle.written);
                }
                drop(db);
                db = open()?;
            }
            _ => {}
        }
    }
    Some(db)
}

fn read_all(db: &Db) -> (Samples, Vec<String>) {
    let selection = db.select(&[], TimeRange::ALL).unwrap();
    let mut all = Samples::new();
    for series in &selection.series {
        let mut columns = Columns::default();
        series.read_into(&mut columns).unwrap();
        let mut starts = Vec::new();
        series.read_starts(SampleKind::Float, &columns.t, &mut starts);
        for ((t, v), start) in columns.t.iter().zip(&columns.v).zip(starts) {
            let before = all.insert((series.labels().metric_name().to_owned(), *t), (v.to_bits(), start));
            assert_eq!(before, None, "a millisecond is read once");
        }
    }
    (all, selection.warnings)
}

#[track_caller]
fn check(db: &Db, acknowledged: &[&Samples], sent: &Samples, context: &str) {
    let (found, _) = read_all(db);
    for (key, sample) in acknowledged.iter().flat_map(|s| s.iter()) {
        assert_eq!(found.get(key), Some(sample), "{context}: {key:?} was acknowledged");
    }
    for (key, sample) in &found {
        assert_eq!(sent.get(key), Some(sample), "{context}: {key:?} was never sent");
    }
}

/// Opens a directory on a file system without faults (and without the cost of real fsyncs).
fn reopen(dir: &Path) -> Result<Db, OpenError> {
    Db::open_with(dir, options(), Arc::new(FaultyFs::new(dir, None)))
}

/// Opens a directory again, checks, writes on, and checks again after another open.
fn check_reopened(dir: &Path, acknowledged: &[&Samples], oracle_sent: &Samples, context: &str) {
    let db = reopen(dir).unwrap_or_else(|e| panic!("{context}: {e}"));
    check(&db, acknowledged, oracle_sent, context);
    let mut after = Oracle { sent: oracle_sent.clone(), ..Oracle::default() };
    after.append(&db, &[(0, 90_000), (7, 90_000)], 90_000, Durability::Synced);
    db.maintain(90_000).unwrap();
    db.maintain(93_000).unwrap();
    let all: Vec<&Samples> = acknowledged.iter().copied().chain([&after.synced]).collect();
    check(&db, &all, &after.sent, context);
    drop(db);
    check(&reopen(dir).unwrap(), &all, &after.sent, context);
}

/// How many steps the life takes without a fault.
fn steps() -> u64 {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let mut oracle = Oracle::default();
    let db = live(dir.path(), &fs, &mut oracle).unwrap();
    let stats = db.stats();
    assert!(stats.blocks >= 2, "the script cuts blocks: {stats:?}");
    let wal = read_dir_names(&dir.path().join("wal"));
    assert!(!wal.contains(&"00000001.wal".to_owned()), "and drops segments: {wal:?}");
    let head = read_dir_names(&dir.path().join("head"));
    assert!(head.iter().any(|n| n.starts_with("snap-")) && head.iter().any(|n| n.starts_with("chunks-")), "{head:?}");
    check(&db, &[&oracle.synced, &oracle.written], &oracle.sent, "no fault");
    drop(db);
    fs.steps()
}

fn read_dir_names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

fn crash_at_every_step(after: After) {
    for step in 1..=steps() {
        let dir = temp_dir();
        let fs = FaultyFs::new(dir.path(), Some((step, Fault::Crash)));
        let mut oracle = Oracle::default();
        drop(live(dir.path(), &fs, &mut oracle));
        let copy = temp_dir();
        fs.copy_after(after, copy.path());
        let acknowledged: &[&Samples] =
            if after == After::Kill { &[&oracle.synced, &oracle.written] } else { &[&oracle.synced] };
        check_reopened(copy.path(), acknowledged, &oracle.sent, &format!("crash at step {step}, {after:?}"));
    }
}

#[test]
fn a_kill_at_any_step_loses_nothing_acknowledged() {
    crash_at_every_step(After::Kill);
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_synced() {
    crash_at_every_step(After::PowerCut);
}

#[test]
fn a_power_cut_that_tears_writes_loses_nothing_synced() {
    crash_at_every_step(After::PowerCutTorn);
}

#[test]
fn an_error_at_any_step_loses_nothing_acknowledged() {
    for step in 1..=steps() {
        let kind = if step % 2 == 0 { ErrorKind::StorageFull } else { ErrorKind::Other };
        let context = format!("{kind:?} at step {step}");
        let dir = temp_dir();
        let fs = FaultyFs::new(dir.path(), Some((step, Fault::Error(kind))));
        let mut oracle = Oracle::default();
        if let Some(db) = live(dir.path(), &fs, &mut oracle) {
            check(&db, &[&oracle.synced, &oracle.written], &oracle.sent, &context);
        }
        check_reopened(dir.path(), &[&oracle.synced, &oracle.written], &oracle.sent, &context);
    }
}

/// Long enough that cleaning up after an error fails, too.
#[test]
fn a_disk_that_fails_for_a_while_loses_nothing_acknowledged() {
    for step in (1..=steps()).step_by(3) {
        let context = format!("fails for a while from step {step}");
        let dir = temp_dir();
        let fs = FaultyFs::new(dir.path(), Some((step, Fault::Errors(ErrorKind::StorageFull, 25))));
        let mut oracle = Oracle::default();
        if let Some(db) = live(dir.path(), &fs, &mut oracle) {
            check(&db, &[&oracle.synced, &oracle.written], &oracle.sent, &context);
        }
        check_reopened(dir.path(), &[&oracle.synced, &oracle.written], &oracle.sent, &context);
    }
}

#[test]
fn a_full_disk_refuses_in_words_and_is_forgotten_when_there_is_room() {
    let dir = temp_dir();
    let probe = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(probe.clone())).unwrap();
    let mut oracle = Oracle::default();
    oracle.append(&db, &[(0, 1)], 1, Durability::Synced);
    let next_write = probe.steps() + 1;
    drop(db);
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), Some((next_write, Fault::Error(ErrorKind::StorageFull))));
    let db = Db::open_with(dir.path(), options(), Arc::new(fs)).unwrap();
    let mut oracle = Oracle::default();
    oracle.append(&db, &[(0, 1)], 1, Durability::Synced);
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("a", "b")]).unwrap(), 2, 2.0);
    let refused = db.append(&mut batch, 2, Durability::Synced).unwrap_err();
    assert!(matches!(&refused, AppendError::Wal { disk_full: true, .. }), "{refused}");
    assert_eq!(read_all(&db).0, oracle.synced);
    assert_eq!(db.append(&mut batch, 2, Durability::Synced).unwrap().accepted, 1);
    drop(db);
    let db = reopen(dir.path()).unwrap();
    assert_eq!((read_all(&db).0.len(), db.stats().quarantined), (2, 0));
}

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged_until_reopened() {
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), None);
    let db = Db::open_with(dir.path(), options(), Arc::new(fs.clone())).unwrap();
    let mut oracle = Oracle::default();
    oracle.append(&db, &[(0, 1)], 1, Durability::Written);
    let sync_step = fs.steps() + 1;
    drop(db);
    let dir = temp_dir();
    let fs = FaultyFs::new(dir.path(), Some((sync_step, Fault::Error(ErrorKind::Other))));
    let db = Db::open_with(dir.path(), options(), Arc::new(fs)).unwrap();
    oracle.append(&db, &[(0, 1)], 1, Durability::Written);
    assert!(matches!(db.sync(), Err(AppendError::Poisoned { .. })));
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("a", "b")]).unwrap(), 2, 2.0);
    assert!(matches!(db.append(&mut batch, 2, Durability::Written), Err(AppendError::Poisoned { .. })));
    assert_eq!(read_all(&db).0.len(), 1, "reads go on");
    drop(db);
    let db = reopen(dir.path()).unwrap();
    assert_eq!(db.append(&mut batch, 2, Durability::Synced).unwrap().accepted, 1);
}
