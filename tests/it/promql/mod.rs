//! The differential test: generated queries over awkward samples, put to a real Prometheus 3.5 and to Cairn.
//!
//! Here: starting both, loading both by remote write, asking, counting. Elsewhere: the samples (`data`, `write`), the
//! queries (`generate`), what counts as the same (`compare`), what later versions changed (`known`).
//!
//! A short run with a fixed seed is part of every test run where a binary is found: `CAIRN_PROMETHEUS`, `target/peers`, or
//! the PATH. A long one: `CAIRN_QUERIES=20000 CAIRN_SEED=7 cargo nextest run --test it promql::prometheus --no-capture`;
//! one query: `CAIRN_QUERY=… CAIRN_TIME=…` (seconds).

mod compare;
mod data;
mod generate;
mod known;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{self, Cairn, Peer, free_port, http, random, wait_for};
use compare::{Difference, compare};
use generate::{Generator, Language, Times};

/// The version whose answers are compared.
const VERSION: &str = "3.5.";
/// Differences that are printed; the rest is counted.
const SHOWN_MAX: usize = 200;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A running Prometheus that takes remote write and knows everything it can.
struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Peer,
}

impl Prometheus {
    async fn start(program: &Path, dir: &Path) -> Self {
        std::fs::write(dir.join("prometheus.yml"), "").unwrap();
        let port = free_port();
        let args = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=prometheus".to_owned(),
            "--storage.tsdb.retention.time=100y".to_owned(),
            "--web.enable-remote-write-receiver".to_owned(),
            "--enable-feature=promql-experimental-functions,promql-duration-expr,native-histograms".to_owned(),
            "--log.level=warn".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let process = Peer::start(program, dir, &args);
        let prometheus = Prometheus { url: format!("http://127.0.0.1:{port}"), http: http(), _process: process };
        wait_for("prometheus", async || {
            let ready = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// It keeps memory of histograms for the next query, and lets a query see what another left there; pools of memory are
    /// empty when garbage was collected twice.
    async fn collect_garbage(&self) {
        for _ in 0..2 {
            let profile = self.http.get(format!("{}/debug/pprof/heap?gc=1", self.url)).send().await.unwrap();
            profile.bytes().await.unwrap();
        }
    }
}

/// The answer to `query`, whatever its status.
async fn ask(http: &reqwest::Client, url: &str, query: &str, times: Times) -> Value {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", query);
    let seconds = |ms: i64| format!("{:.3}", ms as f64 / 1000.0);
    let path = match times {
        Times::Instant(t) => {
            form.append_pair("time", &seconds(t));
            "query"
        }
        Times::Range { start, end, step } => {
            for (name, ms) in [("start", start), ("end", end), ("step", step)] {
                form.append_pair(name, &seconds(ms));
            }
            "query_range"
        }
    };
    let request = http.post(format!("{url}/api/v1/{path}")).header("content-type", "application/x-www-form-urlencoded");
    let text = request.body(form.finish()).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{query}: {e}: {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_answers_the_same() {
    let Some(program) = support::prometheus() else { return };
    let dir = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&program, dir.path()).await;
    let http = &prometheus.http;
    let build = http.get(format!("{}/api/v1/status/buildinfo", prometheus.url)).send().await.unwrap();
    let build: Value = serde_json::from_str(&build.text().await.unwrap()).unwrap();
    let version = build["data"]["version"].as_str().unwrap();
    if !version.starts_with(VERSION) {
        println!("skipped: {} is version {version}, answers are compared with {VERSION}", program.display());
        return;
    }
    std::fs::write(dir.path().join("cairn.yml"), "").unwrap();
    let config = format!("--config.file={}", dir.path().join("cairn.yml").display());
    let features = "--enable-feature=promql-experimental-functions";
    let cairn = Cairn::start(dir.path(), &[&config, features, "--storage.tsdb.retention.time=100y"]);
    for body in write::bodies(&data::data()) {
        for url in [&prometheus.url, &cairn.url] {
            let sent = http.post(format!("{url}/api/v1/write")).header("content-encoding", "snappy").body(body.clone());
            let answer = sent.send().await.unwrap();
            let status = answer.status();
            assert!(status.is_success(), "{url}: {status} {}", answer.text().await.unwrap());
        }
    }

    let (seed, count) = (number("CAIRN_SEED", 1), number("CAIRN_QUERIES", 1000));
    println!("CAIRN_SEED={seed} CAIRN_QUERIES={count}, {} {version}", program.display());
    if let Ok(query) = std::env::var("CAIRN_QUERY") {
        let times = Times::Instant(number("CAIRN_TIME", data::START_MS as u64 / 1000) as i64 * 1000);
        println!("{}", ask(http, &prometheus.url, &query, times).await);
        println!("{}", ask(http, &cairn.url, &query, times).await);
        return;
    }
    let mut generator = Generator::new(seed, Language::Prometheus35);
    let mut tally = Tally::default();
    for _ in 0..count {
        let (query, times) = (generator.query(), generator.times());
        let (theirs, ours) =
            tokio::join!(ask(http, &prometheus.url, &query, times), ask(http, &cairn.url, &query, times));
        let Some(difference) = tally.add(&query, &theirs, &ours) else { continue };
        prometheus.collect_garbage().await;
        let again = ask(http, &prometheus.url, &query, times).await;
        if again["data"] != theirs["data"] && compare(&query, &again, &ours).is_empty() {
            let reason = "Prometheus answers otherwise, and as Cairn, when it is asked again after collecting garbage";
            *tally.explained.entry(reason).or_default() += 1;
            continue;
        }
        tally.unexplained.push(format!("{query} {times:?}: {difference:?}"));
        tally.details.push(format!("{query} {times:?}\n{difference:?}\n{theirs}\n{ours}\n"));
    }
    tally.print();
    let details = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promql-differences.txt");
    std::fs::write(&details, tally.details.join("\n")).unwrap();
    println!("both answers of each are in {}", details.display());
    assert!(tally.unexplained.is_empty(), "{} differences:\n{}", tally.unexplained.len(), tally.shown());
}

/// What came out.
#[derive(Default)]
struct Tally {
    queries: u64,
    /// That both refuse.
    failing: u64,
    /// With at least one series.
    full: u64,
    /// Each difference with both answers, for a look by hand.
    details: Vec<String>,
    explained: BTreeMap<&'static str, u64>,
    unexplained: Vec<String>,
}

impl Tally {
    /// The first difference without a reason; what others follow from it is not worth a look.
    fn add(&mut self, query: &str, theirs: &Value, ours: &Value) -> Option<Difference> {
        self.queries += 1;
        self.failing += u64::from(theirs["error"].is_string() && ours["error"].is_string());
        self.full += u64::from(theirs["data"]["result"].as_array().is_some_and(|result| !result.is_empty()));
        for difference in compare(query, theirs, ours) {
            match known::reason(query, &difference) {
                Some(reason) => *self.explained.entry(reason).or_default() += 1,
                None => return Some(difference),
            }
        }
        None
    }

    fn print(&self) {
        let Tally { queries, failing, full, .. } = self;
        println!("{queries} queries, {full} with series, {failing} refused by both");
        for (reason, count) in &self.explained {
            println!("{count} differ: {reason}");
        }
        println!("{} differ without a reason", self.unexplained.len());
    }

    fn shown(&self) -> String {
        self.unexplained.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
