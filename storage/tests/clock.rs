//! Clocks that jump: series go on, and nothing that is not expired goes.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

use storage::{Batch, Columns, Db, Durability, Labels, Options, RefuseReason, TimeRange};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
const T0: i64 = 1_700_000_000_000;
const RETENTION: i64 = 15 * DAY;

/// A sample at `t` of a target that is scraped by the clock that says `now`.
fn put(db: &Db, t: i64, now: i64) -> Result<(), RefuseReason> {
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("__name__", "m")]).unwrap(), t, t as f64);
    let done = db.append(&mut batch, now, Durability::Written).unwrap();
    done.refused.first().map_or(Ok(()), |refused| Err(refused.reason))
}

fn times(db: &Db) -> Vec<i64> {
    let found = db.select(&[], TimeRange::ALL).unwrap();
    let mut out = Columns::default();
    found.series.iter().for_each(|s| s.read_into(&mut out).unwrap());
    out.t
}

/// Ten hours of samples, then a clock that is wrong by `jump` for `minutes`, then ten hours more.
#[track_caller]
fn check(jump: i64, minutes: i64) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retention_ms: Some(RETENTION), ..Options::default() };
    let db = Db::open(dir.path(), options.clone()).unwrap();
    let mut expected = Vec::new();
    let run = |db: &Db, from: i64, to: i64, expected: &mut Vec<i64>| {
        for minute in from..to {
            let t = T0 + minute * MINUTE;
            put(db, t, t).unwrap();
            expected.push(t);
            db.maintain(t).unwrap();
        }
    };
    run(&db, 0, 600, &mut expected);
    for minute in 600..600 + minutes {
        let wrong = T0 + minute * MINUTE + jump;
        // What is scraped by the wrong clock has its times; it is stored unless retention is against it.
        if put(&db, wrong, wrong).is_ok() {
            expected.push(wrong);
        }
        // What senders with a right clock push is refused one by one if it is ahead of ours, and stored otherwise.
        let right = T0 + minute * MINUTE;
        match put(&db, right + 1, wrong) {
            Ok(()) => expected.push(right + 1),
            Err(reason) => assert!(reason == RefuseReason::TooFarInFuture && jump < 0, "{reason:?}"),
        }
        db.maintain(wrong).unwrap();
    }
    run(&db, 600 + minutes, 1200, &mut expected);
    expected.sort();
    let newest = T0 + 1199 * MINUTE;
    let kept = |t: &i64| *t >= newest - RETENTION;
    let has_all = |db: &Db| {
        let found = times(db);
        let lost: Vec<_> = expected.iter().filter(|t| kept(t) && !found.contains(t)).collect();
        assert!(lost.is_empty(), "{} of {} lost, the first {:?}", lost.len(), expected.len(), lost.first());
        assert!(found.iter().all(|t| expected.contains(t)));
    };
    has_all(&db);
    drop(db);
    let db = Db::open(dir.path(), options).unwrap();
    has_all(&db);
    for _ in 0..3 {
        db.maintain(newest + MINUTE).unwrap();
    }
    has_all(&db);
}

#[test]
fn an_hour_ahead() {
    check(HOUR, 5);
}

#[test]
fn an_hour_behind() {
    check(-HOUR, 5);
}

#[test]
fn a_year_ahead() {
    check(YEAR, 5);
}

#[test]
fn a_year_behind() {
    check(-YEAR, 5);
}

#[test]
fn a_restart_with_a_clock_a_year_ahead_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retention_ms: Some(RETENTION), ..Options::default() };
    let db = Db::open(dir.path(), options.clone()).unwrap();
    for hour in 0..20 {
        put(&db, T0 + hour * HOUR, T0 + hour * HOUR).unwrap();
        db.maintain(T0 + hour * HOUR).unwrap();
    }
    drop(db);
    let db = Db::open(dir.path(), options).unwrap();
    let wrong = T0 + YEAR;
    put(&db, wrong, wrong).unwrap();
    for _ in 0..10 {
        db.maintain(wrong).unwrap();
    }
    assert_eq!(times(&db).len(), 21);
}

#[test]
fn a_clock_that_stays_ahead_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options { retention_ms: Some(RETENTION), ..Options::default() }).unwrap();
    put(&db, T0, T0).unwrap();
    db.maintain(T0).unwrap();
    for half_minute in 0..40 {
        let now = T0 + 30 * DAY + half_minute * MINUTE / 2;
        put(&db, now, now).unwrap();
        db.maintain(now).unwrap();
    }
    assert_eq!(times(&db).first(), Some(&(T0 + 30 * DAY)), "what expired while the machine was off goes");
}
