//! Cached is as uncached, whatever happens to the samples meanwhile.

use std::time::Duration;

use storage::{Batch, Durability, Matcher, Options};

use super::*;
use crate::promql::{Engine, QueryControl};

const MINUTE: i64 = 60_000;
const MIN_AGE_MS: i64 = 10 * MINUTE;

/// A store with a clock, and the same questions with and without a cache.
struct Site {
    _dir: tempfile::TempDir,
    db: Db,
    now: i64,
    cache: ResultCache,
    engine: Engine,
}

impl Site {
    fn new(bytes_max: usize, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), options).unwrap();
        let cache = ResultCache::new(bytes_max, MIN_AGE_MS, &Registry::new());
        Site { _dir: dir, db, now: 1_000_000 * MINUTE, cache, engine: Engine::default() }
    }

    fn append(&self, name: &str, i: u64, t: i64, v: f64) {
        let mut batch = Batch::new();
        let labels = Labels::from_pairs([("__name__", name), ("i", i.to_string().as_str())]).unwrap();
        batch.push(labels, t, v);
        self.db.append(&mut batch, self.now, Durability::Written).unwrap();
    }

    /// A sample a minute of three series, up to now.
    fn fill(&self, minutes: i64) {
        for minute in 0..minutes {
            let t = self.now - minute * MINUTE;
            (0..3).for_each(|i| self.append("a_total", i, t, (t / MINUTE) as f64 * (i + 1) as f64));
        }
    }

    fn evaluate(&self, query: &str, start: i64, end: i64, step: i64) -> Result<QueryResult, QueryError> {
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        self.engine.range(&self.db, query, start, end, step, &control)
    }

    /// The answer through the cache, and how many steps had to be evaluated for it.
    fn ask(&self, query: &str, start: i64, end: i64, step: i64) -> (Result<QueryResult, QueryError>, i64) {
        let expr = self.engine.parse(query).unwrap();
        let Some(look_back_ms) = look_back(&expr, 300_000).filter(|_| ResultCache::is_aligned(start, step)) else {
            return (self.evaluate(query, start, end, step), (end - start) / step + 1);
        };
        let key = Key { tenant: TenantId::anonymous(), query: query.to_owned(), step, lookback_ms: 300_000 };
        let wanted = Wanted { key, db: &self.db, start, end, look_back_ms, now: self.now };
        let mut evaluated = 0;
        let answer = self.cache.answer(wanted, &mut |from, to| {
            evaluated += (to - from) / step + 1;
            self.evaluate(query, from, to, step)
        });
        (answer, evaluated)
    }

    /// How many steps had to be evaluated; the answer is as it should be.
    #[track_caller]
    fn check(&self, query: &str, start: i64, end: i64, step: i64) -> i64 {
        let (found, evaluated) = self.ask(query, start, end, step);
        let expected = self.evaluate(query, start, end, step);
        match (found, expected) {
            // Bit for bit: an ordinary NaN is not equal to itself. A cached info may be about a neighbouring time.
            (Ok(found), Ok(expected)) => {
                assert_eq!(
                    format!("{:?}", found.value),
                    format!("{:?}", expected.value),
                    "{query} {start} {end} {step}"
                );
                assert_eq!(found.warnings, expected.warnings);
                assert!(expected.infos.iter().all(|info| found.infos.contains(info)), "{found:?} {expected:?}");
            }
            (found, expected) => assert_eq!(found, expected, "{query} {start} {end} {step}"),
        }
        evaluated
    }
}

#[test]
fn a_dashboard_that_is_asked_again_evaluates_the_newest_only() {
    let mut site = Site::new(1 << 20, Options::default());
    site.fill(120);
    let ask = |site: &Site| {
        let end = site.now / 15_000 * 15_000;
        site.check("sum by (i) (rate(a_total[5m]))", end - 60 * MINUTE, end, 15_000)
    };
    assert_eq!(ask(&site), 241);
    // Ten minutes are too new to be kept.
    assert_eq!(ask(&site), 40);
    for _ in 0..30 {
        site.now += 30_000;
        (0..3).for_each(|i| site.append("a_total", i, site.now, 1e9 + site.now as f64));
        assert_eq!(ask(&site), 42);
    }
    let end = site.now / 15_000 * 15_000 - 20 * MINUTE;
    assert_eq!(site.check("sum by (i) (rate(a_total[5m]))", end - 10 * MINUTE, end, 15_000), 0);
    // Another query, step or phase knows nothing.
    assert_eq!(site.check("sum by(i)(rate(a_total[5m]))", end - 10 * MINUTE, end, 15_000), 41);
    assert_eq!(site.check("sum by (i) (rate(a_total[5m]))", end - 10 * MINUTE, end, 30_000), 21);
    assert_eq!(site.check("sum by (i) (rate(a_total[5m]))", end - 10 * MINUTE + 1, end, 15_000), 40);
}

#[test]
fn late_samples_and_deletions_take_what_they_touch() {
    let site = Site::new(1 << 20, Options::default());
    site.fill(300);
    let (start, end) = (site.now - 280 * MINUTE, site.now - 20 * MINUTE);
    let query = "rate(a_total[5m])";
    assert_eq!(site.check(query, start, end, 5 * MINUTE), 53);
    assert_eq!(site.check(query, start, end, 5 * MINUTE), 0);
    site.append("b", 0, site.now, 1.0);
    assert_eq!(site.check(query, start, end, 5 * MINUTE), 0, "what is new touches nothing");
    site.append("a_total", 9, end - MINUTE, 1.0);
    assert!(site.check(query, start, end, 5 * MINUTE) > 0);
    let matchers = [Matcher::equal("i", "1")];
    site.db.delete_series(&matchers, TimeRange::new(start, start + 30 * MINUTE)).unwrap();
    assert!(site.check(query, start, end, 5 * MINUTE) > 0);
    assert_eq!(site.check(query, start, end, 5 * MINUTE), 0);
}

#[test]
fn what_retention_ends_is_gone() {
    let (an_hour, a_byte) = ((Some(60 * MINUTE), None), (None, Some(1)));
    // By age and by size from blocks, and by age from what is in no block yet.
    for (is_cut_first, (ms, bytes)) in [(true, an_hour), (true, a_byte), (false, an_hour)] {
        let site = Site::new(1 << 20, Options { block_ms: 60 * MINUTE, ..Options::default() });
        site.fill(300);
        if is_cut_first {
            site.db.maintain(site.now).unwrap();
        }
        let (start, end) = (site.now - 280 * MINUTE, site.now - 20 * MINUTE);
        let before = site.evaluate("a_total", start, end, MINUTE);
        assert_eq!(site.check("a_total", start, end, MINUTE), 261);
        assert_eq!(site.check("a_total", start, end, MINUTE), 0);
        site.db.set_retention(ms, bytes);
        site.db.maintain(site.now).unwrap();
        assert!(site.check("a_total", start, end, MINUTE) > 0);
        assert_ne!(site.evaluate("a_total", start, end, MINUTE), before);
    }
}

#[test]
fn memory_is_bounded() {
    let site = Site::new(20_000, Options::default());
    site.fill(200);
    let (start, end) = (site.now - 180 * MINUTE, site.now - 20 * MINUTE);
    for i in 0..50 {
        site.check(&format!("a_total + {i}"), start, end, 5 * MINUTE);
        let state = site.cache.lock();
        let bytes: usize = state.entries.values().flat_map(|e| e.chunks.values().map(|slot| slot.bytes)).sum();
        let entries: usize = state.entries.keys().map(|key| ENTRY_BYTES + key.query.len()).sum();
        assert_eq!(state.bytes, bytes + entries);
        let slots: usize = state.entries.values().map(|e| e.chunks.len()).sum();
        assert_eq!(state.uses.len(), slots);
        assert!(state.bytes <= 20_000);
    }
    assert!(site.cache.metrics.evictions.get() > 0);
    // The last one is still there, the first one is not.
    assert_eq!(site.check("a_total + 49", start, end, 5 * MINUTE), 0);
    assert!(site.check("a_total + 0", start, end, 5 * MINUTE) > 0);
    let none = Site::new(1_000, Options::default());
    none.fill(50);
    none.check("a_total", none.now - 40 * MINUTE, none.now, MINUTE);
    assert_eq!(none.cache.lock().bytes, 0, "too large to be kept");
}

#[test]
fn tenants_do_not_share() {
    let site = Site::new(1 << 20, Options::default());
    site.fill(100);
    let (start, end) = (site.now - 80 * MINUTE, site.now - 20 * MINUTE);
    site.check("a_total", start, end, MINUTE);
    let key = |tenant: &str| {
        let tenant = TenantId::parse(tenant).unwrap();
        Arc::new(Key { tenant, query: "a_total".to_owned(), step: MINUTE, lookback_ms: 300_000 })
    };
    let look = |key| site.cache.look_up(&site.db, &key, start / MINUTE, end / MINUTE).len();
    assert!(look(key("anonymous")) > 0);
    assert_eq!(look(key("other")), 0);
}

/// A small generator: reproducible from the seed that a failure prints.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

const QUERIES: [&str; 14] = [
    "a_total",
    "rate(a_total[5m])",
    "sum(rate(a_total[15m]))",
    "avg by (i) (gauge) / on(i) group_left a_total",
    "max_over_time(gauge[30m:5m])",
    "gauge offset 20m",
    "topk(1, gauge)",
    "count_values(\"v\", gauge)",
    "absent(gauge{i=\"7\"})",
    "quantile(0.5, gauge) > 3",
    "time() - timestamp(gauge)",
    "gauge and on() (sum(a_total) > 5)",
    "sum_over_time(gauge[10m] offset -5m) + gauge @ start()",
    "rate(gauge[5m]) or {i=\"1\"}",
];

fn life(seed: u64) {
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let options = Options { retention_ms: Some(600 * MINUTE), block_ms: 60 * MINUTE, ..Options::default() };
    let mut site = Site::new(1 << 18, options);
    site.fill(200);
    for _ in 0..400 {
        match random.below(20) {
            0..=4 => {
                site.now += random.below(4) as i64 * 30_000;
                for i in 0..3 {
                    site.append("a_total", i, site.now, random.below(100) as f64);
                    site.append("gauge", i, site.now - random.below(9) as i64 * 1000, random.below(6) as f64);
                }
            }
            5 => site.append("gauge", random.below(9), site.now - random.below(400) as i64 * MINUTE, 4.5),
            6 => {
                let min_t = site.now - random.below(400) as i64 * MINUTE;
                let range = TimeRange::new(min_t, min_t + random.below(60) as i64 * MINUTE);
                let matcher = Matcher::equal("i", random.below(4).to_string().as_str());
                site.db.delete_series(&[matcher], range).unwrap();
            }
            7 => site.db.maintain(site.now).unwrap(),
            8 => {
                site.now += random.below(120) as i64 * MINUTE;
                site.append("gauge", 0, site.now, 1.0);
                site.db.maintain(site.now).unwrap();
            }
            _ => {
                let query = QUERIES[random.below(QUERIES.len() as u64) as usize];
                let step = [15_000, MINUTE, 5 * MINUTE][random.below(3) as usize];
                let end = site.now - random.below(120) as i64 * random.below(2) as i64 * MINUTE;
                let start = end - random.below(300) as i64 * random.below(4) as i64 * MINUTE / 2;
                let phase = random.below(10) as i64 / 9;
                site.check(query, start.div_euclid(step) * step + phase, end.max(start), step);
            }
        }
    }
    let count = |result| site.cache.metrics.requests.get_or_create(&ByResult { result }).get();
    assert!(count("hit") + count("partial") > 10, "hit {} partial {}", count("hit"), count("partial"));
}

#[test]
fn cached_is_as_uncached() {
    let seeds = match std::env::var("CAIRN_CACHE_SEED") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        Err(_) => vec![7, 1234],
    };
    seeds.into_iter().for_each(life);
}
