//! Generated queries: put to a real Prometheus and to our engine on the same samples, and as range and instant queries.
//!
//! The comparison with Prometheus runs where `CAIRN_PROMETHEUS` names a folder with the binaries `prometheus` and
//! `promtool`; it skips elsewhere.
//! `CAIRN_SEED` and `CAIRN_QUERIES` choose the queries; the seed is printed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;
use storage::{Batch, Db, Durability, Labels, Options};
use tempfile::TempDir;

use super::generate::Generator;
use crate::promql::{Engine, EngineOptions, ParseOptions, QueryControl, QueryError, Value};

/// A round time, so that ranges and steps fall on samples as often as beside them.
const START_S: i64 = 1_700_000_100;
const SAMPLES: i64 = 400;
const INTERVAL_S: i64 = 15;

type Series = (String, Vec<(i64, f64)>);

#[test]
fn prometheus_answers_the_same() {
    let Some(binaries) = std::env::var_os("CAIRN_PROMETHEUS").map(PathBuf::from) else {
        println!("skipped: CAIRN_PROMETHEUS is not set");
        return;
    };
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (seed, count) = (number("CAIRN_SEED", 1), number("CAIRN_QUERIES", 3000));
    println!("seed {seed}, {count} queries");
    let series = data();
    let prometheus = Prometheus::start(&binaries, &series);
    let dir = TempDir::new().expect("a temporary directory");
    let db = load(dir.path(), &series);
    let mut generator = Generator::new(seed);
    let (mut differences, mut both_fail) = (Vec::new(), 0);
    for _ in 0..count {
        let query = generator.query();
        let (start, end, step) = generator.times(START_S, INTERVAL_S * SAMPLES);
        let theirs = prometheus.range(&query, start, end, step);
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        let ours = Engine::default().range(&db, &query, start * 1000, end * 1000, step * 1000, &control);
        match compare(&query, &theirs, &ours.map(|r| (r.value, r.warnings.len(), r.infos.len()))) {
            Ok(failed) => both_fail += u64::from(failed),
            Err(difference) => differences.push(format!("{query} from {start} to {end} step {step}: {difference}")),
        }
    }
    println!("{} differences, {both_fail} queries fail on both sides", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_range_query_is_many_instant_queries() {
    compare_range_with_instants(&Engine::default(), Generator::new(7));
}

#[test]
fn a_range_query_with_extensions_is_many_instant_queries() {
    let options = EngineOptions { syntax: ParseOptions::all(), ..EngineOptions::default() };
    compare_range_with_instants(&Engine::new(options), Generator::extended(8));
}

fn compare_range_with_instants(engine: &Engine, mut generator: Generator) {
    let dir = TempDir::new().expect("a temporary directory");
    let db = load(dir.path(), &data());
    let mut compared = 0;
    for _ in 0..800 {
        let query = generator.query();
        let (start, end, step) = generator.times(START_S, INTERVAL_S * SAMPLES);
        // These mean the bounds of the query, which are not the same.
        if query.contains("@ start()") || query.contains("@ end()") {
            continue;
        }
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        let whole = engine.range(&db, &query, start * 1000, end * 1000, step * 1000, &control);
        let Ok(Value::Matrix(whole)) = whole.map(|r| r.value) else { continue };
        for t in (start..=end).step_by(step as usize).take(5).map(|t| t * 1000) {
            let one = engine.instant(&db, &query, t, &control);
            let mut expected: Vec<(Labels, f64)> = match one.map(|r| r.value) {
                Ok(Value::Vector(samples)) => samples.into_iter().map(|s| (s.labels, s.v)).collect(),
                Ok(Value::Scalar { v, .. }) => vec![(Labels::empty(), v)],
                other => panic!("{query} at {t}: {other:?}, but it has an answer for a range"),
            };
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            let at_t =
                |s: &crate::promql::MatrixSeries| Some((s.labels.clone(), s.points.iter().find(|p| p.0 == t)?.1));
            let found: Vec<(Labels, f64)> = whole.iter().filter_map(at_t).collect();
            let is_same = |(a, b): (&(Labels, f64), &(Labels, f64))| {
                a.0 == b.0 && (a.1.to_bits() == b.1.to_bits() || same(a.1, b.1))
            };
            let all_same = found.len() == expected.len() && found.iter().zip(&expected).all(is_same);
            assert!(all_same, "{query} at {t}: {found:?} in a range, {expected:?} alone");
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared} steps compared");
}

/// Counters with resets and gaps, gauges with NaN and infinities, a histogram, sparse and late series.
fn data() -> Vec<Series> {
    let mut series = Vec::new();
    let mut noise = 12_345_u64;
    let mut random = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as f64 / f64::from(1u32 << 31)
    };
    for (job, instance) in [("api", "0"), ("api", "1"), ("web", "0"), ("web", "1")] {
        let labels = format!("job=\"{job}\",instance=\"{instance}\"");
        let mut add = |name: &str, extra: &str, mut value: Box<dyn FnMut(i64) -> Option<f64> + '_>| {
            let points = (0..SAMPLES).filter_map(|k| Some(((START_S + k * INTERVAL_S) * 1000, value(k)?)));
            series.push((format!("{name}{{{labels}{extra}}}"), points.collect()));
        };
        for status in ["200", "500"] {
            let mut total = 0.0;
            let mut next = || random();
            let counter = |k: i64| {
                total = if k % 150 == 149 { 0.0 } else { total + (next() * 10.0).floor() };
                (!(90..120).contains(&k)).then_some(total)
            };
            add("requests_total", &format!(",status=\"{status}\""), Box::new(counter));
        }
        for le in ["0.1", "0.5", "1", "+Inf"] {
            let weight = le.parse::<f64>().unwrap_or(2.0).min(1.2);
            let bucket = move |k: i64| Some((k as f64 * weight * 3.0).floor());
            add("latency_bucket", &format!(",le=\"{le}\""), Box::new(bucket));
        }
        let phase =
            job.len() as f64 + f64::from(u8::from(instance == "1")) / 2.0 + f64::from(u8::from(job == "api")) / 7.0;
        let wave = move |k: i64| {
            Some(if (k + (phase * 14.0) as i64) % 50 == 0 { f64::NAN } else { (k as f64 / 7.0 + phase).sin() * 100.0 })
        };
        add("gauge", "", Box::new(wave));
        add("limit", "", Box::new(|_| Some(50.0)));
        add("target_info", ",version=\"1\"", Box::new(|k| (k < 200).then_some(1.0)));
        if instance == "0" {
            add("target_info", ",version=\"2\"", Box::new(|k| (k >= 200).then_some(1.0)));
        }
        if job == "web" {
            add("gauge2", "", Box::new(|k| (k % 30 < 3).then_some(k as f64)));
            add("late", "", Box::new(|k| (k > 300).then_some(if k == 350 { f64::INFINITY } else { -1.0 })));
        }
    }
    series
}

fn load(dir: &Path, series: &[Series]) -> Db {
    let db = Db::open(dir, Options::default()).expect("an empty directory opens");
    let mut batch = Batch::new();
    for (name, points) in series {
        let matchers = crate::promql::parse_selector(name).expect("a series");
        let labels = Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value()))).expect("a label set");
        points.iter().for_each(|&(t, v)| batch.push(labels.clone(), t, v));
    }
    db.append(&mut batch, (START_S + 86_400) * 1000, Durability::Written).expect("loading works");
    db
}

struct Prometheus {
    process: Child,
    address: String,
    _dir: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(binaries: &Path, series: &[Series]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut text = String::new();
        for (name, points) in series {
            for (t, v) in points {
                let _ = writeln!(text, "{name} {v} {}", t / 1000);
            }
        }
        let input = dir.path().join("samples");
        std::fs::write(&input, text.replace(" inf ", " +Inf ") + "# EOF\n").expect("writing works");
        std::fs::write(dir.path().join("empty.yml"), "").expect("writing works");
        let made = Command::new(binaries.join("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&input, &dir.path().join("data")])
            .output()
            .expect("promtool runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut process = Command::new(binaries.join("prometheus"))
            .arg(format!("--config.file={}", dir.path().join("empty.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .args(["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus runs");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let mut address = None;
        for line in lines.by_ref().map_while(Result::ok) {
            if line.contains("Listening on") {
                address = line.split("address=").nth(1).map(|a| a.split(' ').next().unwrap_or(a).to_owned());
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Prometheus { process, address: address.expect("an address in the log"), _dir: dir }
    }

    fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Json {
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        let body = format!("query={encoded}&start={start}&end={end}&step={step}");
        let mut stream = TcpStream::connect(&self.address).expect("prometheus listens");
        write!(
            stream,
            "POST /api/v1/query_range HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sending works");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("prometheus answers");
        let (_, json) = answer.split_once("\r\n\r\n").expect("an answer has a body");
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{query}: {e}: {answer}"))
    }
}

/// `Ok(true)` if the query is refused, on both sides or on one that is known to differ.
fn compare(query: &str, theirs: &Json, ours: &Result<(Value, usize, usize), QueryError>) -> Result<bool, String> {
    let count = |key: &str| theirs[key].as_array().map_or(0, Vec::len);
    match (theirs["error"].as_str(), ours) {
        // Which of several faults is met first is a matter of order; the words have tests of their own.
        (Some(_), Err(_)) => Ok(true),
        // What 3.14 refuses and earlier ones let pass, and the other way round.
        (None, Err(QueryError::Execution(e)))
            if e.starts_with("multiple matches for labels")
                || e == "Parameter value is NaN"
                || e.ends_with("overflows int64") =>
        {
            Ok(true)
        }
        (Some("vector cannot contain metrics with the same labelset"), Ok(_))
            if query.contains("-(") || query.contains("label_") =>
        {
            Ok(true)
        }
        (Some(error), ours) => Err(format!("they say {error:?}, we {ours:?}")),
        (None, Err(e)) => Err(format!("we fail: {e}")),
        (None, Ok((value, warnings, infos))) => {
            if (count("warnings"), count("infos")) != (*warnings, *infos) {
                return Err(format!("they warn {} {}, we {warnings} {infos}", theirs["warnings"], theirs["infos"]));
            }
            compare_series(theirs["data"]["result"].as_array().map_or(&[], Vec::as_slice), value).map(|()| false)
        }
    }
}

fn compare_series(theirs: &[Json], ours: &Value) -> Result<(), String> {
    let Value::Matrix(ours) = ours else { return Err("no matrix".to_owned()) };
    let mut sorted: Vec<(Labels, &Json)> = theirs.iter().map(|s| (labels_of(&s["metric"]), &s["values"])).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let names = |labels: Vec<&Labels>| format!("{labels:?}");
    if sorted.len() != ours.len() {
        let (theirs, ours) = (sorted.iter().map(|s| &s.0).collect(), ours.iter().map(|s| &s.labels).collect());
        return Err(format!("they have {}, we {}", names(theirs), names(ours)));
    }
    for ((labels, values), series) in sorted.iter().zip(ours) {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        if *labels != series.labels || values.len() != series.points.len() {
            let (here, there) = (series.points.len(), values.len());
            return Err(format!("they have {labels} with {there} points, we {} with {here}", series.labels));
        }
        for (value, &(t, v)) in values.iter().zip(&series.points) {
            let their_t = (value[0].as_f64().unwrap_or(f64::NAN) * 1000.0).round() as i64;
            let their_v: f64 = value[1].as_str().and_then(|s| s.parse().ok()).unwrap_or(f64::NAN);
            if their_t != t || !same(their_v, v) {
                return Err(format!("{labels} is {their_v} at {their_t} there, {v} at {t} here"));
            }
        }
    }
    Ok(())
}

fn labels_of(metric: &Json) -> Labels {
    let pairs = metric.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or("")));
    Labels::from_pairs(pairs).expect("a label set")
}

/// Equal but for the order of additions.
fn same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}
