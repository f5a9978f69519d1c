//! Random lives of a `Db` beside a naive model: appends in and out of order, duplicates, cuts, retention, reopening.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use storage::{Batch, Columns, Db, Durability, Labels, Options, RefuseReason, TimeRange};

const BLOCK_MS: i64 = 1000;

#[derive(Debug, Clone)]
enum Op {
    /// Samples of a series, each so far before now.
    Append {
        series: u8,
        ages: Vec<(i64, u8)>,
    },
    /// Time passes.
    Wait(i64),
    Maintain,
    Reopen,
    Read {
        min_age: i64,
        length: i64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let age = prop_oneof![3 => 0..10i64, 1 => 0..5000i64];
    prop_oneof![
        6 => (0..5u8, prop::collection::vec((age, 0..3u8), 1..6)).prop_map(|(series, ages)| Op::Append { series, ages }),
        4 => (1..900i64).prop_map(Op::Wait),
        2 => Just(Op::Maintain),
        1 => Just(Op::Reopen),
        2 => (0..6000i64, 1..4000i64).prop_map(|(min_age, length)| Op::Read { min_age, length }),
    ]
}

/// Labels to time to bits: first value written stays.
type Model = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn labels(series: u8) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("s", series.to_string().as_str())]).unwrap()
}

fn append(db: &Db, model: &mut Model, now: i64, series: u8, ages: &[(i64, u8)]) {
    let mut batch = Batch::new();
    ages.iter().for_each(|&(age, v)| batch.push(labels(series), now - age, f64::from(v) / 3.0));
    let done = db.append(&mut batch, now, Durability::Written).unwrap();
    let entry = model.entry(labels(series)).or_default();
    for (i, &(age, v)) in ages.iter().enumerate() {
        let bits = (f64::from(v) / 3.0).to_bits();
        match done.refused.iter().find(|r| r.index == i) {
            Some(refused) => {
                assert_eq!(refused.reason, RefuseReason::DuplicateTimestamp);
                assert_ne!(entry.get(&(now - age)), Some(&bits), "only another value is refused");
                assert!(entry.contains_key(&(now - age)));
            }
            None => {
                // Accepted beside another value only where the first is in a block already; the first one stays.
                entry.entry(now - age).or_insert(bits);
            }
        }
    }
}

fn read(db: &Db, range: TimeRange) -> Model {
    let found = db.select(&[], range).unwrap();
    assert_eq!(found.warnings, [] as [String; 0]);
    let mut out = Model::new();
    for series in &found.series {
        let mut columns = Columns::default();
        series.read_into(&mut columns).unwrap();
        assert!(columns.t.windows(2).all(|w| w[0] < w[1]));
        out.insert(series.labels().clone(), columns.t.into_iter().zip(columns.v.iter().map(|v| v.to_bits())).collect());
    }
    out
}

fn expected(model: &Model, range: TimeRange) -> Model {
    let part = |samples: &BTreeMap<i64, u64>| -> BTreeMap<i64, u64> {
        samples.range(range.min_t..range.max_t).map(|(&t, &bits)| (t, bits)).collect()
    };
    model.iter().map(|(l, s)| (l.clone(), part(s))).filter(|(_, s)| !s.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_db_answers_as_the_model_does(ops in prop::collection::vec(op(), 1..80)) {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let open = || Db::open(dir.path(), Options { block_ms: BLOCK_MS, ..Options::default() }).unwrap();
        let (mut db, mut model, mut now) = (Some(open()), Model::new(), 1_000_000i64);
        for op in ops {
            let current = db.as_ref().unwrap();
            match op {
                Op::Append { series, ages } => append(current, &mut model, now, series, &ages),
                Op::Wait(ms) => now += ms,
                Op::Maintain => current.maintain(now).unwrap(),
                Op::Reopen => {
                    db.take().unwrap().close().unwrap();
                    db = Some(open());
                }
                Op::Read { min_age, length } => {
                    let range = TimeRange::new(now - min_age, now - min_age + length);
                    prop_assert_eq!(read(current, range), expected(&model, range));
                }
            }
        }
        prop_assert_eq!(read(db.as_ref().unwrap(), TimeRange::ALL), expected(&model, TimeRange::ALL));
    }

    #[test]
    fn retention_drops_only_what_is_too_old(ops in prop::collection::vec(op(), 1..60), keep in 3000..8000i64) {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let options = Options { block_ms: BLOCK_MS, retention_ms: Some(keep), ..Options::default() };
        let db = Db::open(dir.path(), options).unwrap();
        let (mut sent, mut now) = (Model::new(), 1_000_000i64);
        for op in ops {
            match op {
                Op::Append { series, ages } => {
                    let ages: Vec<_> = ages.into_iter().filter(|(age, _)| *age < keep).collect();
                    append(&db, &mut sent, now, series, &ages);
                }
                Op::Wait(ms) => now += ms,
                _ => db.maintain(now).unwrap(),
            }
        }
        db.maintain(now).unwrap();
        let all = read(&db, TimeRange::ALL);
        for (labels, samples) in &sent {
            for (t, bits) in samples {
                let found = all.get(labels).and_then(|s| s.get(t));
                prop_assert!(found == Some(bits) || (found.is_none() && *t < now - keep));
            }
        }
    }
}
