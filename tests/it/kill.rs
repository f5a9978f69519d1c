//! T-1: killed at random moments under load, Cairn has every acknowledged sample and nothing that nobody sent.
//!
//! Two connections push for two tenants: late samples, new series, repetitions, other values for known times, samples from
//! the future. What a request holds is written down before it is sent. The process is killed in the midst of that, or while
//! it stops, or while it starts; after each start everything is read back.
//!
//! `CAIRN_KILLS=200 CAIRN_SEED=7 cargo nextest run --release --test it kill` is the long form.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::durability::push::{Label, Sample, TimeSeries, pack};
use crate::support::random::Random;
use crate::support::{Cairn, http};

const KILLS: u64 = 6;
const SEED: u64 = 1;
/// Each of them pushes times of its own remainder, so that no two requests race for one millisecond of a series.
const CONNECTIONS: usize = 2;
/// After so many kills other tenants begin, so that reading everything back stays short.
const KILLS_PER_TENANT: u64 = 10;
/// Every so manieth life is long enough for maintenance to run, in the long form.
const LONG_LIFE_EVERY: u64 = 10;
const MINUTE_MS: i64 = 60_000;
/// All times of samples lie in so many hours before now, with a margin.
const REACH: &str = "8h";

/// What was sent for one millisecond of a series.
#[derive(Default, Debug)]
struct Sent {
    /// Bits of the values that may be found: the first, and others sent while nobody knew whether it had arrived.
    allowed: Vec<u64>,
    is_acknowledged: bool,
}

/// Tenant, series.
type SeriesKey = (String, String);
type Batch = Vec<(String, i64, f64)>;

/// What one connection has sent, and to whom.
struct Connection {
    number: usize,
    random: Random,
    sent: HashMap<SeriesKey, HashMap<i64, Sent>>,
    series_count: u64,
    recent: Vec<(String, Batch)>,
    acknowledged: u64,
}

/// What the checks found, added up.
#[derive(Default, Debug, PartialEq)]
struct Found {
    present: u64,
    lost: u64,
    wrong: u64,
    invented: u64,
}

fn now_ms() -> i64 {
    cairn::clock::Clock::system().now_ms()
}

impl Connection {
    fn new(number: usize, seed: u64) -> Self {
        let random = Random(seed ^ (number as u64 + 1) << 32);
        Connection { number, random, sent: HashMap::new(), series_count: 20, recent: Vec::new(), acknowledged: 0 }
    }

    /// Pushes until the process is gone.
    async fn push(&mut self, url: &str, tenants: &[String]) {
        let client = http();
        loop {
            let (tenant, batch) = self.next_request(tenants);
            let may_be_refused = self.note(&tenant, &batch);
            let request =
                client.post(format!("{url}/api/v1/push")).header("x-scope-orgid", &tenant).body(encode(&batch));
            let Ok(response) = request.send().await else { return };
            let status = response.status().as_u16();
            match status {
                204 => {}
                400 if may_be_refused => {}
                _ => panic!("{status}: {}", response.text().await.unwrap_or_default()),
            }
            self.acknowledge(&tenant, &batch);
            tokio::time::sleep(Duration::from_millis(self.random.below(6))).await;
        }
    }

    /// A new batch, or one of the last again.
    fn next_request(&mut self, tenants: &[String]) -> (String, Batch) {
        let r = &mut self.random;
        if !self.recent.is_empty() && r.percent(10) {
            return self.recent[r.below(self.recent.len() as u64) as usize].clone();
        }
        let tenant = tenants[r.below(tenants.len() as u64) as usize].clone();
        let now = now_ms();
        let longest = if r.percent(5) { 400 } else { 60 };
        let batch = (0..=r.below(longest)).map(|_| self.next_sample(now)).collect();
        if self.recent.len() > 8 {
            self.recent.remove(0);
        }
        self.recent.push((tenant.clone(), batch));
        self.recent.last().cloned().unwrap()
    }

    fn next_sample(&mut self, now: i64) -> (String, i64, f64) {
        let r = &mut self.random;
        let series = match r.below(100) {
            // Both connections push these.
            0..30 => format!("shared-{}", r.below(10)),
            30..36 => {
                self.series_count += 1;
                format!("{}-{}-µ", self.number, self.series_count)
            }
            _ => format!("{}-{}", self.number, r.below(20)),
        };
        let age = match r.below(100) {
            0..80 => r.below(50) as i64,
            80..90 => r.below(10 * MINUTE_MS as u64) as i64,
            90..97 => r.below(420 * MINUTE_MS as u64) as i64,
            97..99 => -(r.below(5 * MINUTE_MS as u64) as i64),
            _ => -20 * MINUTE_MS,
        };
        let v = match r.below(10) {
            0..3 => r.below(1000) as f64,
            3..5 => r.below(100_000) as f64 / 100.0,
            5 => f64::INFINITY,
            6 => -(r.below(1000) as f64) / 8.0 - 1.0,
            7 => f64::NAN,
            _ => f64::from_bits(r.next() >> 2),
        };
        let t = now - age;
        (series, t - t.rem_euclid(CONNECTIONS as i64) + self.number as i64, v)
    }

    /// Writes down what is about to be sent. Whether some of it may be refused.
    fn note(&mut self, tenant: &str, batch: &Batch) -> bool {
        let mut may_be_refused = false;
        for (series, t, v) in batch {
            let times = self.sent.entry((tenant.to_owned(), series.clone())).or_default();
            if *t > now_ms() + 10 * MINUTE_MS {
                may_be_refused = true;
                continue;
            }
            let sent = times.entry(*t).or_default();
            let is_known = sent.allowed.contains(&bits(*v));
            may_be_refused |= !(sent.allowed.is_empty() || is_known && sent.allowed.len() == 1);
            if !is_known && !sent.is_acknowledged {
                sent.allowed.push(bits(*v));
            }
        }
        may_be_refused
    }

    /// An answer says that each time of the batch has a value, its own or an earlier one.
    fn acknowledge(&mut self, tenant: &str, batch: &Batch) {
        for (series, t, _) in batch {
            let times = self.sent.get_mut(&(tenant.to_owned(), series.clone())).unwrap();
            if let Some(sent) = times.get_mut(t) {
                self.acknowledged += u64::from(!sent.is_acknowledged);
                sent.is_acknowledged = true;
            }
        }
    }

    /// What of this connection's samples for `tenant` is not in `stored`.
    fn count_missing(&self, tenant: &str, stored: &HashMap<String, HashMap<i64, u64>>) -> u64 {
        let mut lost = 0;
        for ((_, series), times) in self.sent.iter().filter(|((t, _), _)| t == tenant) {
            let stored = stored.get(series);
            for (t, sent) in times.iter().filter(|(_, sent)| sent.is_acknowledged) {
                if stored.is_none_or(|s| !s.contains_key(t)) {
                    lost += 1;
                    say(lost, &format!("lost: {tenant} {series} {t} {sent:?}"));
                }
            }
        }
        lost
    }
}

/// One NaN is as good as another in JSON.
fn bits(v: f64) -> u64 {
    if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }
}

/// The first few failures are shown, all are counted.
fn say(count: u64, text: &str) {
    if count <= 5 {
        println!("{text}");
    }
}

fn encode(batch: &Batch) -> Vec<u8> {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let series = batch.iter().map(|(series, timestamp, value)| TimeSeries {
        labels: vec![label("__name__", "kill"), label("s", series)],
        samples: vec![Sample { value: *value, timestamp: *timestamp }],
    });
    pack(series.collect())
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    warnings: Vec<String>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    metric: HashMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Everything that `tenant` has: series to time to bits.
async fn read(cairn: &Cairn, tenant: &str) -> HashMap<String, HashMap<i64, u64>> {
    let at = (now_ms() + 30 * MINUTE_MS) / 1000;
    let query: String =
        url::form_urlencoded::byte_serialize(format!("{{__name__=~\".+\"}}[{REACH}]").as_bytes()).collect();
    let path = format!("/api/v1/query?query={query}&time={at}");
    let response = cairn.get(&path).header("x-scope-orgid", tenant).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
    let answer: Answer = serde_json::from_str(&text).unwrap();
    assert_eq!(answer.warnings, [] as [String; 0], "{}", cairn.log());
    let mut stored: HashMap<String, HashMap<i64, u64>> = HashMap::new();
    for row in answer.data.result {
        assert_eq!(row.metric.len(), 2, "an invented label set: {:?}", row.metric);
        assert_eq!(row.metric["__name__"], "kill");
        let samples = row.values.iter().map(|(t, v)| ((t * 1000.0).round() as i64, bits(v.parse().unwrap())));
        stored.insert(row.metric["s"].clone(), samples.collect());
    }
    stored
}

async fn check(cairn: &Cairn, connections: &[Connection], tenants: &[String], found: &mut Found) {
    for tenant in tenants {
        let stored = read(cairn, tenant).await;
        for (series, samples) in &stored {
            let key = (tenant.clone(), series.clone());
            for (t, v) in samples {
                let connection = &connections[t.rem_euclid(CONNECTIONS as i64) as usize];
                match connection.sent.get(&key).and_then(|times| times.get(t)) {
                    Some(sent) if sent.allowed.contains(v) => found.present += 1,
                    Some(sent) => {
                        found.wrong += 1;
                        say(found.wrong, &format!("wrong: {tenant} {series} {t}: {v:#x} instead of {sent:x?}"));
                    }
                    None => {
                        found.invented += 1;
                        say(found.invented, &format!("invented: {tenant} {series} {t}"));
                    }
                }
            }
        }
        found.lost += connections.iter().map(|c| c.count_missing(tenant, &stored)).sum::<u64>();
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Ends the process in one of the ways in which processes end.
async fn end(cairn: Cairn, dir: &Path, args: &[&str], random: &mut Random) {
    match random.below(8) {
        0 => {
            cairn.signal("TERM");
            tokio::time::sleep(Duration::from_millis(random.below(60))).await;
            cairn.kill();
        }
        1 => cairn.stop(),
        _ => cairn.kill(),
    }
    if random.percent(25) {
        let mut started = Cairn::spawn(dir, args);
        tokio::time::sleep(Duration::from_millis(random.below(150))).await;
        started.kill().unwrap();
        started.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_samples_survive_kills_at_random_moments() {
    let (kills, seed) = (number("CAIRN_KILLS", KILLS), number("CAIRN_SEED", SEED));
    println!("CAIRN_KILLS={kills} CAIRN_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("cairn.yml");
    std::fs::write(&config, "cairn: {multitenancy: on}\n").unwrap();
    let flag = format!("--config.file={}", config.display());
    let args = [flag.as_str()];
    let mut random = Random(seed);
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|n| Connection::new(n, seed)).collect();
    let (mut found, mut slowest_start, mut all_tenants) = (Found::default(), Duration::ZERO, Vec::new());
    let mut cairn = Cairn::start(dir.path(), &args);
    for kill in 0..kills {
        let epoch = kill / KILLS_PER_TENANT;
        let tenants = [format!("red-{epoch}"), format!("blue-{epoch}")];
        if kill % KILLS_PER_TENANT == 0 {
            all_tenants.extend(tenants.clone());
            connections.iter_mut().for_each(|c| c.recent.clear());
        }
        let is_long = kills > KILLS && kill % LONG_LIFE_EVERY == LONG_LIFE_EVERY / 2;
        let life = Duration::from_millis(if is_long { 30_500 + random.below(3000) } else { 50 + random.below(1200) });
        let url = cairn.url.clone();
        let pushing = push_all(&mut connections, &url, &tenants);
        let ending = async {
            tokio::time::sleep(life).await;
            end(cairn, dir.path(), &args, &mut random).await;
        };
        tokio::join!(pushing, ending);
        let start = Instant::now();
        cairn = Cairn::start(dir.path(), &args);
        slowest_start = slowest_start.max(start.elapsed());
        check(&cairn, &connections, &tenants, &mut found).await;
        assert_eq!(
            (found.lost, found.wrong, found.invented),
            (0, 0, 0),
            "after kill {kill} of seed {seed}: {}",
            cairn.log()
        );
    }
    let mut last = Found::default();
    check(&cairn, &connections, &all_tenants, &mut last).await;
    assert_eq!((last.lost, last.wrong, last.invented), (0, 0, 0), "at the end of seed {seed}: {}", cairn.log());
    let acknowledged: u64 = connections.iter().map(|c| c.acknowledged).sum();
    assert!(acknowledged > 0 && last.present >= acknowledged, "{last:?}, {acknowledged} acknowledged");
    println!(
        "{kills} kills, {acknowledged} samples acknowledged, {} there, slowest start {slowest_start:?}",
        last.present
    );
}

/// Both connections push at once; ends when both have met the end of the process.
async fn push_all(connections: &mut [Connection], url: &str, tenants: &[String]) {
    let [first, second] = connections else { unreachable!("there are {CONNECTIONS}") };
    tokio::join!(first.push(url, tenants), second.push(url, tenants));
}
