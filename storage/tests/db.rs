//! The public face, as a user of the crate meets it.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::path::{Path, PathBuf};

use storage::{
    AppendError, Appended, Batch, Columns, Db, Durability, Labels, MatchOp, Matcher, OpenError, Options, RefuseReason,
    SeriesId, TimeRange, stale_nan,
};

const HOUR: i64 = 3_600_000;
const T0: i64 = 1_700_000_000_000 / (2 * HOUR) * (2 * HOUR);

fn labels(name: &str, job: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", job)]).unwrap()
}

fn open(dir: &Path) -> Db {
    Db::open(dir, Options::default()).unwrap()
}

fn put(db: &Db, series: &Labels, t: i64, v: f64) -> Result<Appended, AppendError> {
    let mut batch = Batch::new();
    batch.push(series.clone(), t, v);
    db.append(&mut batch, t, Durability::Written)
}

fn read(db: &Db, name: &str, range: TimeRange) -> Vec<(i64, f64)> {
    let found = db.select(&[Matcher::equal("__name__", name)], range).unwrap();
    assert_eq!(found.warnings, [] as [String; 0]);
    let mut out = Columns::default();
    for s in &found.series {
        s.read_into(&mut out).unwrap();
        let last = out.t.last().zip(out.v.last()).map(|(&t, v)| (t, v.to_bits()));
        assert!(s.newest().is_none_or(|(t, v)| Some((t, v.to_bits())) == last), "{:?} {last:?}", s.newest());
    }
    out.t.into_iter().zip(out.v).collect()
}

/// Two jobs, a sample a minute for nine hours, maintained as it goes.
fn filled(dir: &Path) -> Db {
    let db = open(dir);
    for minute in 0..540 {
        let t = T0 + minute * 60_000;
        let mut batch = Batch::new();
        batch.push(labels("up", "a"), t, 1.0);
        batch.push(labels("load", "b"), t, minute as f64 * 0.25);
        let done = db.append(&mut batch, t, Durability::Written).unwrap();
        assert_eq!((done.accepted, done.refused.len()), (2, 0));
        if minute % 30 == 0 {
            db.maintain(t).unwrap();
        }
    }
    db
}

#[test]
fn a_second_open_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Db::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    drop(first);
    open(dir.path());
}

#[test]
fn replay_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let values = [1.5, -0.0, f64::NAN, stale_nan(), f64::INFINITY, 1e300, 3.0];
    let db = open(dir.path());
    for (i, v) in values.iter().enumerate() {
        put(&db, &labels("m", "x"), T0 + i as i64, *v).unwrap();
    }
    drop(db);
    let db = open(dir.path());
    let bits: Vec<u64> = read(&db, "m", TimeRange::ALL).iter().map(|(_, v)| v.to_bits()).collect();
    assert_eq!(bits, values.map(f64::to_bits));
    assert_eq!((db.stats().head_samples, db.stats().quarantined), (7, 0));
}

#[test]
fn blocks_are_cut_and_the_log_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let stats = db.stats();
    assert!(stats.blocks >= 1 && stats.head_samples < 600, "{stats:?}");
    let expected: Vec<(i64, f64)> = (0..540).map(|m| (T0 + m * 60_000, m as f64 * 0.25)).collect();
    assert_eq!(read(&db, "load", TimeRange::ALL), expected);
    let part = TimeRange::new(T0 + 100 * 60_000, T0 + 200 * 60_000);
    assert_eq!(read(&db, "load", part), expected[100..200]);
    drop(db);
    let db = open(dir.path());
    assert_eq!(read(&db, "load", TimeRange::ALL), expected);
    let first_segment = dir.path().join("wal/00000001.wal");
    assert!(!first_segment.try_exists().unwrap(), "the first segment is long in blocks");
    assert_eq!(db.stats().min_t, Some(T0));
}

#[test]
fn label_queries_see_head_and_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    put(&db, &labels("new", "c"), T0 + 9 * HOUR, 1.0).unwrap();
    assert_eq!(db.label_names(&[], TimeRange::ALL).unwrap(), ["__name__", "job"]);
    assert_eq!(db.label_values("job", &[], TimeRange::ALL).unwrap(), ["a", "b", "c"]);
    let old = TimeRange::new(T0, T0 + HOUR);
    assert_eq!(db.label_values("job", &[], old).unwrap(), ["a", "b"]);
    let up = [Matcher::equal("__name__", "up")];
    assert_eq!(db.label_values("job", &up, TimeRange::ALL).unwrap(), ["a"]);
    assert_eq!(db.label_names(&[Matcher::equal("job", "absent")], TimeRange::ALL).unwrap(), [] as [&str; 0]);
    let regex = Matcher::new(MatchOp::Regex, "job", "[ab]").unwrap();
    assert_eq!(db.select(&[regex], TimeRange::ALL).unwrap().series.len(), 2);
    assert_eq!(read(&db, "load", TimeRange::new(T0 + 1, T0 + 2)), [], "no sample in between");
    // Label sets: of head and blocks each once and in order, by chunk, and not those whose samples are deleted.
    let series = |matchers: &[Matcher], range: TimeRange| {
        let found = db.series(matchers, range, &|_| true).unwrap();
        found.iter().map(Labels::to_string).collect::<Vec<_>>()
    };
    let of_name = [Matcher::equal("__name__", "load")];
    let all = [r#"load{job="b"}"#, r#"new{job="c"}"#, r#"up{job="a"}"#];
    // The second time from what was remembered.
    assert_eq!(
        (series(&[], TimeRange::ALL), series(&[], TimeRange::ALL)),
        (all.map(str::to_owned).into(), all.map(str::to_owned).into())
    );
    assert_eq!(series(&[], old), [all[0], all[2]]);
    assert_eq!(series(&[], TimeRange::new(0, T0)), [""; 0]);
    assert!(db.series(&[], TimeRange::ALL, &|_| false).is_none(), "patience has an end");
    db.delete_series(&of_name, TimeRange::ALL).unwrap();
    assert_eq!(series(&[], TimeRange::ALL), all[1..]);
    assert_eq!(series(&of_name, TimeRange::ALL), [""; 0]);
}

#[test]
fn the_newest_sample_is_known_without_reading_where_nothing_can_be_newer() {
    let dir = tempfile::tempdir().unwrap();
    let (db, m) = (open(dir.path()), labels("m", "x"));
    let newest = |range| db.select(&[Matcher::equal("__name__", "m")], range).unwrap().series[0].newest();
    (0..5).for_each(|i| drop(put(&db, &m, T0 + i * 10, i as f64).unwrap()));
    assert_eq!(newest(TimeRange::ALL), Some((T0 + 40, 4.0)));
    assert_eq!(newest(TimeRange::new(T0, T0 + 41)), Some((T0 + 40, 4.0)));
    assert_eq!(newest(TimeRange::new(T0, T0 + 40)), None, "it lies behind the range");
    // One that comes late is older.
    put(&db, &m, T0 + 15, 9.0).unwrap();
    assert_eq!((newest(TimeRange::ALL), read(&db, "m", TimeRange::ALL).len()), (Some((T0 + 40, 4.0)), 6));
    db.delete_series(&[Matcher::equal("__name__", "m")], TimeRange::new(T0 + 35, T0 + 45)).unwrap();
    assert!(newest(TimeRange::ALL).is_none_or(|found| found == (T0 + 30, 3.0)));
}

#[test]
fn refusals_are_values() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options { retention_ms: Some(HOUR), ..Options::default() }).unwrap();
    let series = labels("m", "x");
    let mut batch = Batch::new();
    batch.push(series.clone(), T0, 1.0);
    batch.push(series.clone(), T0, 1.0);
    batch.push(series.clone(), T0, 2.0);
    batch.push(series.clone(), T0 - 2 * HOUR, 1.0);
    batch.push(series.clone(), T0 + HOUR, 1.0);
    batch.push(Labels::empty(), T0, 1.0);
    batch.push_known(SeriesId(77), T0, 1.0);
    let done = db.append(&mut batch, T0, Durability::Synced).unwrap();
    assert_eq!((done.accepted, done.duplicates, done.series_created), (1, 1, 1));
    let refused: Vec<_> = done.refused.iter().map(|r| (r.index, r.reason)).collect();
    use RefuseReason::*;
    assert_eq!(refused, [(2, DuplicateTimestamp), (3, TooOld), (4, TooFarInFuture), (5, NoLabels), (6, UnknownSeries)]);
    let id = batch.id(0).unwrap();
    assert_eq!(batch.id(6), None);
    let mut known = Batch::new();
    known.push_known(id, T0 + 1, 5.0);
    known.push_known(id, T0, 9.0);
    let done = db.append(&mut known, T0, Durability::Synced).unwrap();
    assert_eq!((done.accepted, done.refused.len()), (1, 1));
    assert_eq!(read(&db, "m", TimeRange::ALL), [(T0, 1.0), (T0 + 1, 5.0)]);
}

#[test]
fn late_samples_are_kept_as_far_back_as_retention() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let now = T0 + 9 * HOUR;
    let mut batch = Batch::new();
    batch.push(labels("load", "b"), T0 + 30_000, -1.0);
    batch.push(labels("load", "b"), T0 + HOUR + 30_000, -2.0);
    assert_eq!(db.append(&mut batch, now, Durability::Written).unwrap().accepted, 2);
    let range = TimeRange::new(T0, T0 + 61_000);
    let expected = [(T0, 0.0), (T0 + 30_000, -1.0), (T0 + 60_000, 0.25)];
    assert_eq!(read(&db, "load", range), expected);
    for later in [2, 4, 6] {
        db.maintain(now + later * HOUR).unwrap();
        assert_eq!(read(&db, "load", range), expected);
    }
    drop(db);
    assert_eq!(read(&open(dir.path()), "load", range), expected);
}

#[test]
fn retention_by_time_and_size_takes_the_oldest_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let now = T0 + 9 * HOUR;
    db.set_retention(Some(5 * HOUR), None);
    db.maintain(now).unwrap();
    let oldest = db.stats().min_t.unwrap();
    assert!(oldest >= T0 && oldest <= now - 5 * HOUR, "what need not go is there");
    db.set_retention(None, Some(1));
    db.maintain(now).unwrap();
    assert_eq!(db.stats().blocks, 0);
    assert!(db.stats().head_samples > 0, "the head is not retention's to delete");
    db.set_retention(None, Some(1 << 30));
    db.maintain(now + 4 * HOUR).unwrap();
    assert!(db.stats().blocks > 0);
}

#[test]
fn series_that_end_are_forgotten_and_their_number_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut batch = Batch::new();
    batch.push(labels("gone", "x"), T0, 1.0);
    db.append(&mut batch, T0, Durability::Written).unwrap();
    let old = batch.id(0).unwrap();
    for hours in [4, 6, 8] {
        db.maintain(T0 + hours * HOUR).unwrap();
    }
    assert_eq!(db.stats().head_series, 0);
    let now = T0 + 8 * HOUR;
    batch.clear();
    batch.push_known(old, now, 2.0);
    batch.push(labels("gone", "x"), now, 3.0);
    let done = db.append(&mut batch, now, Durability::Written).unwrap();
    assert_eq!(done.refused[0].reason, RefuseReason::UnknownSeries);
    assert_ne!(batch.id(1), Some(old));
    assert_eq!(read(&db, "gone", TimeRange::ALL), [(T0, 1.0), (now, 3.0)]);
    drop(db);
    // The log knows the series by two numbers now.
    for later in 1..4 {
        let db = open(dir.path());
        put(&db, &labels("gone", "x"), now + later * HOUR, 4.0).unwrap();
        db.maintain(now + later * HOUR).unwrap();
        assert_eq!(read(&db, "gone", TimeRange::new(T0, now + HOUR)), [(T0, 1.0), (now, 3.0)]);
        assert_eq!(db.stats().orphaned_samples, 0);
    }
}

#[test]
fn appends_and_selects_go_on_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4i64 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..50 {
                    let series = labels("m", &thread.to_string());
                    let mut batch = Batch::new();
                    batch.push(series, T0 + i, i as f64);
                    db.append(&mut batch, T0 + i, Durability::Synced).unwrap();
                    assert!(!db.select(&[], TimeRange::ALL).unwrap().series.is_empty());
                }
            });
        }
        scope.spawn(|| (0..8).for_each(|h| db.maintain(T0 + h * HOUR).unwrap()));
    });
    assert_eq!(read(&db, "m", TimeRange::ALL).len(), 200);
}

#[test]
fn a_clock_that_ran_ahead_and_was_put_right_stops_nothing() {
    const YEAR: i64 = 365 * 24 * HOUR;
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, &labels("m", "x"), T0, 1.0).unwrap();
    put(&db, &labels("m", "x"), T0 + YEAR, 2.0).unwrap();
    db.maintain(T0 + YEAR).unwrap();
    put(&db, &labels("m", "x"), T0 + YEAR + 1, 3.0).unwrap();
    let mut expected = vec![(T0, 1.0)];
    for hour in 1..14 {
        let t = T0 + hour * HOUR;
        put(&db, &labels("m", "x"), t, 4.0).unwrap();
        expected.push((t, 4.0));
        db.maintain(t).unwrap();
    }
    expected.extend([(T0 + YEAR, 2.0), (T0 + YEAR + 1, 3.0)]);
    assert_eq!(read(&db, "m", TimeRange::ALL), expected);
    assert!(db.stats().head_samples < 8, "{:?}", db.stats());
    let segments = |dir: &Path| files(dir).iter().filter(|f| f.extension().is_some_and(|e| e == "wal")).count();
    assert!(segments(dir.path()) <= 5, "{} segments are kept", segments(dir.path()));
    drop(db);
    let db = open(dir.path());
    assert_eq!(read(&db, "m", TimeRange::ALL), expected);
    assert_eq!(db.stats().orphaned_samples, 0);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Found by the model test: the cut of an idle head left no WAL segment, so that the next one got a number the cut skips.
#[test]
fn a_sample_older_than_the_last_cut_of_an_idle_head_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { block_ms: 1000, ..Options::default() };
    let series = labels("up", "a");
    let now = {
        let db = Db::open(dir.path(), options()).unwrap();
        put(&db, &series, 1_000_000, 0.0).unwrap();
        put(&db, &series, 1_000_296, 0.0).unwrap();
        db.maintain(1_001_839).unwrap();
        db.maintain(1_002_500).unwrap();
        1_002_500
    };
    {
        let db = Db::open(dir.path(), options()).unwrap();
        let mut batch = Batch::new();
        batch.push(series, now - 501, 0.0);
        assert_eq!(db.append(&mut batch, now, Durability::Synced).unwrap().accepted, 1);
    }
    let db = Db::open(dir.path(), options()).unwrap();
    let times: Vec<i64> = read(&db, "up", TimeRange::ALL).into_iter().map(|(t, _)| t).collect();
    assert_eq!(times, [1_000_000, 1_000_296, now - 501]);
}

/// What `docs/storage.md` says about isolation: a portion is shown, and 512 series are read, under one lock.
#[test]
fn a_small_batch_of_known_series_is_seen_whole_or_not_at_all() {
    const SERIES: usize = 512;
    const ROUNDS: i64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut batch = Batch::new();
    (0..SERIES).for_each(|i| batch.push(labels("bucket", &i.to_string()), T0, 0.0));
    db.append(&mut batch, T0, Durability::Written).unwrap();
    let ids: Vec<SeriesId> = (0..SERIES).map(|i| batch.id(i).unwrap()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::new();
            for round in 1..=ROUNDS {
                batch.clear();
                ids.iter().for_each(|&id| batch.push_known(id, T0 + round * 1000, round as f64));
                db.append(&mut batch, T0 + round * 1000, Durability::Written).unwrap();
            }
        });
        let mut seen = 0;
        while seen < ROUNDS {
            let found = db.select(&[Matcher::equal("__name__", "bucket")], TimeRange::ALL).unwrap();
            let last = found.series.iter().map(|series| {
                let mut out = Columns::default();
                series.read_into(&mut out).unwrap();
                (out.t[out.len() - 1] - T0) / 1000
            });
            let last: Vec<i64> = last.collect();
            assert!(last.len() == SERIES && last.iter().all(|t| *t == last[0]), "{last:?}");
            seen = last[0];
        }
    });
}
