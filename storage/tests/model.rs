//! Random lives of a `Db` beside a naive model.
//!
//! In a life everything happens that the public face offers: appends in and out of order, repeated, contradicting, from the
//! future, by labels and by id; cuts, merges, retention; deletions and copies; closing, killing and opening again; clocks that go back; reads of all
//! kinds, and selections that are held while the rest goes on.
//!
//! A life follows from its seed. One that fails is cut down to the steps that it needs and printed with its seed.
//! `CAIRN_RUNS=100000 CAIRN_SEED=5 cargo nextest run -p cairn-storage --release --test model --no-capture` is the long form.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers may panic, and the seed is printed")]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use storage::{
    Batch, Columns, Db, Durability, Labels, MatchOp, Matcher, Options, RefuseReason, SampleKind, Selection, SeriesId,
    SnapshotHead, TimeRange, is_stale_nan, stale_nan,
};
use support::{Random, number, read_tree, temp_dir, write_tree};
use tempfile::TempDir;

const BLOCK_MS: i64 = 1000;
const FUTURE_MS: i64 = 500;
const SERIES: u64 = 6;

#[derive(Debug, Clone)]
enum Op {
    /// Samples, each of a series, so long before now, with one of the values.
    Append {
        samples: Vec<(u8, i64, u8)>,
        lane: Lane,
    },
    /// Time passes, or the clock is put back.
    Wait(i64),
    Maintain,
    /// Closed and opened again.
    Reopen,
    /// Killed: what the files hold at this moment is opened elsewhere.
    Kill,
    /// A read that is compared at once.
    Read {
        range: Ages,
        of: Which,
    },
    /// A selection that is compared at the end of the life: nothing that happens later may show in it.
    Hold {
        range: Ages,
    },
    /// Names and values of labels.
    Labels,
    /// What is there goes; what comes later stays.
    Delete {
        range: Ages,
        of: Which,
    },
    /// Blocks are written anew without what is deleted.
    Clean,
    /// A copy is made, opened and compared.
    Copy,
}

#[derive(Debug, Clone, Copy)]
enum Lane {
    ByLabels,
    ById,
}

/// From so long before now, for so long.
#[derive(Debug, Clone, Copy)]
struct Ages {
    oldest: i64,
    length: i64,
}

/// What a read asks for.
#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    One(u8),
    Regex,
    NotOne(u8),
}

fn random_op(r: &mut Random) -> Op {
    let ages = |r: &mut Random| match r.below(4) {
        0 => Ages { oldest: 1_000_000_000, length: 2_000_000_000 },
        _ => Ages { oldest: r.below(9000) as i64 - 600, length: 1 + r.below(4000) as i64 },
    };
    match r.below(100) {
        0..42 => {
            let samples =
                (0..1 + r.below(7)).map(|_| (r.below(SERIES) as u8, random_age(r), r.below(9) as u8)).collect();
            Op::Append { samples, lane: if r.below(2) == 0 { Lane::ByLabels } else { Lane::ById } }
        }
        42..61 => Op::Wait(1 + r.below(900) as i64),
        61..64 => Op::Wait(1 + r.below(6000) as i64),
        64..65 => Op::Wait(-(r.below(3000) as i64)),
        65..77 => Op::Maintain,
        77..80 => Op::Reopen,
        80..83 => Op::Kill,
        83..85 => {
            let of = [Which::All, Which::One(r.below(SERIES) as u8)][usize::from(r.below(4) > 0)];
            Op::Delete { range: ages(r), of }
        }
        85..95 => {
            let series = r.below(SERIES) as u8;
            let of = [Which::All, Which::One(series), Which::Regex, Which::NotOne(series)][r.below(4) as usize];
            Op::Read { range: ages(r), of }
        }
        95..97 => Op::Hold { range: ages(r) },
        97..98 if r.below(2) == 0 => Op::Copy,
        97..98 => Op::Clean,
        _ => Op::Labels,
    }
}

fn random_age(r: &mut Random) -> i64 {
    match r.below(20) {
        0..13 => r.below(10) as i64,
        13..17 => r.below(5000) as i64,
        17 => r.below(40_000) as i64,
        18 => -(r.below(FUTURE_MS as u64) as i64),
        _ => -FUTURE_MS - 1 - r.below(100_000) as i64,
    }
}

/// Few different values, so that repetitions and contradictions happen.
fn value(v: u8) -> f64 {
    match v {
        0..5 => f64::from(v) / 3.0,
        5 => f64::NAN,
        6 => stale_nan(),
        7 => -0.0,
        _ => 1e9,
    }
}

/// Some series have start timestamps that stay for long, some have many, some none. A staleness marker has none that counts.
fn start(series: u8, t: i64, v: u8) -> i64 {
    match series % 3 {
        1 if v != 6 => t.div_euclid(4000) * 4000 + 1,
        2 if v % 4 != 3 && v != 6 => t.div_euclid(700) * 500 + i64::from(v),
        _ => 0,
    }
}

fn labels(series: u8) -> Labels {
    let name = ["m", "n"][usize::from(series % 2)];
    Labels::from_pairs([("__name__", name), ("s", series.to_string().as_str())]).unwrap()
}

fn matchers(of: Which) -> Vec<Matcher> {
    let one = |op, s: u8| vec![Matcher::new(op, "s", s.to_string()).unwrap()];
    match of {
        Which::All => vec![],
        Which::One(s) => one(MatchOp::Equal, s),
        Which::NotOne(s) => one(MatchOp::NotEqual, s),
        Which::Regex => vec![Matcher::new(MatchOp::Regex, "__name__", "n|x.*").unwrap()],
    }
}

fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
}

/// Labels to time to bits and start: the first value that was stored stays.
type Model = BTreeMap<Labels, BTreeMap<i64, (u64, i64)>>;

/// A `Db`, its model, and the time.
struct Life {
    dir: TempDir,
    db: Option<Db>,
    keep_ms: Option<i64>,
    model: Model,
    now: i64,
    /// Samples before this may be gone.
    floor: i64,
    ids: BTreeMap<u8, SeriesId>,
    held: Vec<(Selection, TimeRange, Model, i64)>,
    /// Accepted since the `Db` was opened.
    accepted: u64,
    merges: u64,
}

impl Life {
    fn new(keep_ms: Option<i64>) -> Self {
        let dir = temp_dir();
        let mut life = Life {
            dir,
            db: None,
            keep_ms,
            model: Model::new(),
            now: 1_000_000,
            floor: i64::MIN,
            ids: BTreeMap::new(),
            held: Vec::new(),
            accepted: 0,
            merges: 0,
        };
        life.open();
        life
    }

    fn open(&mut self) {
        let base = Options { block_ms: BLOCK_MS, future_ms_max: FUTURE_MS, ..Options::default() };
        self.db = Some(Db::open(self.dir.path(), Options { retention_ms: self.keep_ms, ..base }).unwrap());
        self.ids.clear();
        self.accepted = 0;
    }

    fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Append { samples, lane } => self.append(samples, *lane),
            Op::Wait(ms) => self.now += ms,
            Op::Maintain => self.maintain(),
            Op::Reopen => {
                self.db.take().unwrap().close().unwrap();
                self.open();
            }
            Op::Kill => {
                let files = read_tree(self.dir.path());
                self.db = None;
                self.dir = temp_dir();
                write_tree(self.dir.path(), &files);
                self.open();
            }
            Op::Read { range, of } => self.read(self.range(*range), *of),
            Op::Hold { range } => {
                let range = self.range(*range);
                let found = self.db().select(&[], range).unwrap();
                self.held.push((found, range, self.model.clone(), self.floor));
            }
            Op::Labels => self.check_labels(),
            Op::Delete { range, of } => self.delete(self.range(*range), *of),
            Op::Clean => drop(self.db().clean_tombstones().unwrap()),
            Op::Copy => self.copy(),
        }
    }

    fn range(&self, ages: Ages) -> TimeRange {
        TimeRange::new(self.now - ages.oldest, self.now - ages.oldest + ages.length)
    }

    fn append(&mut self, samples: &[(u8, i64, u8)], lane: Lane) {
        let mut batch = Batch::new();
        let known = self.ids.clone();
        for &(series, age, v) in samples {
            match (lane, known.get(&series)) {
                (Lane::ById, Some(&id)) => batch.push_known(id, self.now - age, value(v)),
                _ => batch.push(labels(series), self.now - age, value(v)),
            }
            batch.set_start(start(series, self.now - age, v));
        }
        let done = self.db().append(&mut batch, self.now, Durability::Written).unwrap();
        assert_eq!(done.accepted + done.duplicates + done.refused.len() as u64, samples.len() as u64);
        self.accepted += done.accepted;
        assert_eq!(self.db().stats().samples_appended, self.accepted);
        for (i, &(series, age, v)) in samples.iter().enumerate() {
            let refused = done.refused.iter().find(|r| r.index == i).map(|r| r.reason);
            if refused == Some(RefuseReason::UnknownSeries) {
                assert!(matches!(lane, Lane::ById) && known.contains_key(&series), "it was pushed by labels");
            }
            let t = self.now - age;
            self.note(series, t, (value(v).to_bits(), start(series, t, v)), refused);
            match batch.id(i) {
                Some(id) => self.ids.insert(series, id),
                None => self.ids.remove(&series),
            };
        }
    }

    /// What an append said about one sample goes into the model, if it may say so.
    fn note(&mut self, series: u8, t: i64, sample: (u64, i64), refused: Option<RefuseReason>) {
        let is_future = t > self.now + FUTURE_MS;
        let is_old = self.keep_ms.is_some_and(|keep| t < self.now - keep);
        assert!(refused != Some(RefuseReason::TooFarInFuture) || is_future, "{t} is near");
        match refused {
            None => {
                assert!(!is_old && !is_future, "{t} is beyond retention or far ahead");
                // Accepted beside another value only where the first is in a block already; the first one stays.
                self.model.entry(labels(series)).or_default().entry(t).or_insert(sample);
            }
            Some(RefuseReason::DuplicateTimestamp) => {
                let stored = self.model.get(&labels(series)).and_then(|times| times.get(&t));
                assert!(stored.is_some_and(|s| s.0 != sample.0), "{t}: only another value is refused, not {stored:?}");
            }
            Some(RefuseReason::TooOld) => assert!(is_old, "{t} is within retention"),
            // A series that ended may be forgotten; who has its id pushes its labels then.
            Some(RefuseReason::UnknownSeries | RefuseReason::TooFarInFuture) => {}
            Some(other) => panic!("{other:?}"),
        }
    }

    fn maintain(&mut self) {
        let before = self.db().stats().blocks;
        self.db().maintain(self.now).unwrap();
        if let Some(keep) = self.keep_ms {
            self.floor = self.floor.max(self.now - keep);
        } else {
            self.merges += u64::from(self.db().stats().blocks < before);
        }
    }

    fn delete(&mut self, range: TimeRange, of: Which) {
        let matchers = matchers(of);
        self.db().delete_series(&matchers, range).unwrap();
        for (labels, times) in &mut self.model {
            if matches(labels, &matchers) {
                times.retain(|t, _| !range.contains(*t));
            }
        }
    }

    fn copy(&self) {
        let dir = temp_dir();
        let path = dir.path().join("copy");
        self.db().snapshot_to(&path, SnapshotHead::Written).unwrap();
        let copy = Db::open(&path, Options { block_ms: BLOCK_MS, ..Options::default() }).unwrap();
        check(&copy.select(&[], TimeRange::ALL).unwrap(), TimeRange::ALL, &self.model, self.floor);
        assert_eq!(copy.stats().quarantined, 0);
    }

    fn read(&self, range: TimeRange, of: Which) {
        let matchers = matchers(of);
        let mut model = self.model.clone();
        model.retain(|labels, _| matches(labels, &matchers));
        let selected = self.db().select(&matchers, range).unwrap();
        check(&selected, range, &model, self.floor);
        // Label sets alone are found without looking at samples, so some may have none in the range.
        let listed = self.db().series(&matchers, range, &|_| true).unwrap();
        assert!(listed.is_sorted_by(|a, b| a < b) && listed.iter().all(|labels| matches(labels, &matchers)));
        assert!(selected.series.iter().all(|s| listed.binary_search(s.labels()).is_ok()), "{range:?}");
    }

    fn check_labels(&self) {
        let must = |labels: &Labels| self.model[labels].keys().any(|t| *t >= self.floor);
        let values = self.db().label_values("s", &[], TimeRange::ALL).unwrap();
        for (labels, times) in &self.model {
            let is_there = values.iter().any(|v| Some(v.as_str()) == labels.get("s"));
            assert!(is_there || times.is_empty() || !must(labels), "{labels:?} is not among {values:?}");
        }
        let known: Vec<&str> = self.model.keys().filter_map(|l| l.get("s")).collect();
        assert!(values.iter().all(|v| known.contains(&v.as_str())), "{values:?}");
        let n = self.db().label_values("s", &[Matcher::equal("__name__", "n")], TimeRange::ALL).unwrap();
        assert!(n.iter().all(|v| v.parse::<u8>().unwrap() % 2 == 1), "{n:?}");
    }

    fn end(mut self) -> u64 {
        for (found, range, model, floor) in std::mem::take(&mut self.held) {
            check(&found, range, &model, floor);
        }
        self.read(TimeRange::ALL, Which::All);
        self.check_labels();
        let stats = self.db().stats();
        assert_eq!((stats.quarantined, stats.wal_torn_bytes, stats.orphaned_samples), (0, 0, 0));
        self.step(&Op::Reopen);
        self.read(TimeRange::ALL, Which::All);
        self.merges
    }
}

/// Every sample of `model` in `range` is there, as it was first stored, and no other; those before `floor` may be gone.
fn check(found: &Selection, range: TimeRange, model: &Model, floor: i64) {
    let mut stored = Model::new();
    for series in &found.series {
        let mut columns = Columns::default();
        series.read_into(&mut columns).unwrap();
        assert!(columns.t.windows(2).all(|w| w[0] < w[1]), "{:?}", columns.t);
        let mut starts = Vec::new();
        series.read_starts(SampleKind::Float, &columns.t, &mut starts);
        let samples =
            columns.v.iter().zip(starts).map(|(v, start)| (v.to_bits(), if is_stale_nan(*v) { 0 } else { start }));
        let samples = columns.t.iter().copied().zip(samples).collect();
        assert!(stored.insert(series.labels().clone(), samples).is_none(), "{:?} comes twice", series.labels());
    }
    assert!(found.series.windows(2).all(|w| w[0].labels() < w[1].labels()));
    let wanted = |t: i64| range.contains(t);
    for (labels, times) in model {
        for (t, sample) in times.iter().filter(|(t, _)| wanted(**t)) {
            let there = stored.get_mut(labels).and_then(|s| s.remove(t));
            assert!(
                there == Some(*sample) || (there.is_none() && *t < floor),
                "{labels:?} at {t}: {there:x?}, not {sample:x?}"
            );
        }
    }
    stored.retain(|_, samples| !samples.is_empty());
    assert_eq!(stored, Model::new(), "nobody appended this");
    assert_eq!(found.warnings, [] as [String; 0], "nothing is missing");
}

/// The number of maintenances that left fewer blocks, or what went wrong.
fn live(keep_ms: Option<i64>, ops: &[Op]) -> Result<u64, String> {
    let run = || {
        let mut life = Life::new(keep_ms);
        ops.iter().for_each(|op| life.step(op));
        life.end()
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

/// Leaves out steps as long as the life still fails.
fn shrink(keep_ms: Option<i64>, mut ops: Vec<Op>) -> Vec<Op> {
    let mut size = ops.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(at..(at + size).min(ops.len()));
            if live(keep_ms, &fewer).is_err() {
                ops = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    ops
}

/// Lives with and without retention, of one seed each.
fn lives(keep: impl Fn(&mut Random) -> Option<i64>, runs: u64) -> u64 {
    let first = number("CAIRN_SEED", 1);
    println!("CAIRN_RUNS={runs} CAIRN_SEED={first}");
    let mut merges = 0;
    for seed in first..first + runs {
        let mut random = Random(seed);
        let keep_ms = keep(&mut random);
        let ops: Vec<Op> = (0..10 + random.below(90)).map(|_| random_op(&mut random)).collect();
        merges += live(keep_ms, &ops).unwrap_or_else(|words| {
            // Hundreds of failures more are to come; one is enough to read.
            std::panic::set_hook(Box::new(|_| ()));
            let ops = shrink(keep_ms, ops);
            let last = live(keep_ms, &ops).err();
            drop(std::panic::take_hook());
            let steps: String = ops.iter().map(|op| format!("  {op:?}\n")).collect();
            panic!("CAIRN_SEED={seed} CAIRN_RUNS=1, retention {keep_ms:?}: {words}\nshortest:\n{steps}{last:?}")
        });
    }
    merges
}

#[test]
fn a_db_answers_as_the_model_does() {
    let merges = lives(|_| None, number("CAIRN_RUNS", 1000));
    println!("{merges} merges");
    assert!(merges > 0, "compaction is part of the lives");
}

#[test]
fn retention_drops_only_what_is_too_old() {
    lives(|random| Some(3000 + random.below(60_000) as i64), number("CAIRN_RUNS", 500));
}
