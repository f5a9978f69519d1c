//! A target that answers in the protobuf format: its native histograms are asked for, stored and queried, and end with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use prost::Message as _;
use serde_json::Value;

use crate::support::{Cairn, Fake, Peer, Reply, free_port, http, prometheus, wait_for};

/// As much of `io.prometheus.client` as the target needs.
mod client {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricFamily {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(int32, tag = "3")]
        pub kind: i32,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<Label>,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Histogram {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(double, tag = "2")]
        pub sum: f64,
        #[prost(sint32, tag = "5")]
        pub schema: i32,
        #[prost(message, repeated, tag = "12")]
        pub span: Vec<Span>,
        #[prost(sint64, repeated, tag = "13")]
        pub delta: Vec<i64>,
        #[prost(message, repeated, tag = "16")]
        pub exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Span {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint32, tag = "2")]
        pub length: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<Label>,
        #[prost(double, tag = "2")]
        pub value: f64,
        #[prost(message, optional, tag = "3")]
        pub timestamp: Option<Timestamp>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Timestamp {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
    }
}

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// `n` observations in (1, 2] and as many in (2, 4].
fn page(n: u64) -> Vec<u8> {
    let label = |name: &str, value: &str| client::Label { name: name.to_owned(), value: value.to_owned() };
    let exemplar = client::Exemplar {
        label: vec![label("trace_id", "t1")],
        value: 1.5,
        timestamp: Some(client::Timestamp { seconds: 1_700_000_000 }),
    };
    let histogram = client::Histogram {
        count: 2 * n,
        sum: 4.0 * n as f64,
        schema: 0,
        span: vec![client::Span { offset: 1, length: 2 }],
        delta: vec![n as i64, 0],
        exemplars: vec![exemplar],
    };
    let metric = client::Metric { label: vec![label("path", "/a")], histogram: Some(histogram) };
    client::MetricFamily { name: "latency_seconds".to_owned(), kind: 4, metric: vec![metric] }
        .encode_length_delimited_to_vec()
}

fn config(dir: &std::path::Path, job: &str) -> String {
    let path = dir.join("prometheus.yml");
    let yaml = format!("global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs:\n- {job}\n");
    std::fs::write(&path, yaml).unwrap();
    format!("--config.file={}", path.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_histograms_are_scraped_and_queried() {
    let (scrapes, fails) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, is_broken) = (scrapes.clone(), fails.clone());
    let target = Fake::start(move |_| {
        let mut body = page(10 * (count.fetch_add(1, SeqCst) + 1));
        if is_broken.load(SeqCst) {
            body.pop();
        }
        Reply { status: 200, content_type: PROTOBUF, body }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let job = format!(
        "{{job_name: app, scrape_native_histograms: true, static_configs: [{{targets: ['{}']}}]}}",
        target.address
    );
    let cairn = Cairn::start(dir.path(), &[&config(dir.path(), &job)]);
    let stored = "histogram_count(latency_seconds{path='/a',job='app'})";
    wait_for("four scrapes", async || cairn.value(stored).await.filter(|n| *n >= 80.0)).await;

    let accept = target.received()[0].headers["accept"].to_str().unwrap().to_owned();
    assert!(accept.starts_with("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"), "{accept}");
    // Half of all lie in (1, 2], which is exponential: three quarters of all lie below the middle of (2, 4].
    let quantile = async |q: f64, what: &str| cairn.value(&format!("histogram_quantile({q}, {what})")).await.unwrap();
    assert!((quantile(0.5, "latency_seconds").await - 2.0).abs() < 1e-12);
    assert!((quantile(0.75, "latency_seconds").await - 8f64.sqrt()).abs() < 1e-12);
    assert!((quantile(0.5, "rate(latency_seconds[1m])").await - 2.0).abs() < 1e-9);
    assert_eq!(cairn.value("histogram_avg(latency_seconds)").await, Some(2.0));
    assert_eq!(cairn.value("scrape_samples_scraped").await, Some(1.0));
    assert_eq!(cairn.value("count({__name__=~'latency_seconds_.+'})").await, None);
    let exemplars = cairn.data("/api/v1/query_exemplars?query=latency_seconds&start=1699999999&end=1700000001").await;
    assert_eq!(exemplars[0]["exemplars"][0]["labels"]["trace_id"], "t1", "{exemplars}");
    let metadata = cairn.data("/api/v1/metadata?metric=latency_seconds").await;
    assert_eq!(metadata["latency_seconds"][0]["type"], "histogram", "{metadata}");

    // A page that is cut off is not stored, and the series ends.
    fails.store(true, SeqCst);
    wait_for("the end of the series", async || cairn.value(stored).await.is_none().then_some(())).await;
    assert_eq!(cairn.value("up").await, Some(0.0));
    let targets = cairn.data("/api/v1/targets").await;
    let error = targets["activeTargets"][0]["lastError"].as_str().unwrap();
    assert!(error.contains("not a page in the protobuf format: at byte 0"), "{error}");
}

/// What a server has stored of a job: labels as text to a float, or to a histogram without its empty buckets.
fn stored(result: &Value) -> BTreeMap<String, Value> {
    let of_one = |series: &Value| {
        let labels = series["metric"].as_object().unwrap().iter().collect::<BTreeMap<_, _>>();
        let mut value = series["value"][1].clone();
        if let Some(found) = series.get("histogram") {
            value = found[1].clone();
            let buckets = value["buckets"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let full = buckets.into_iter().filter(|bucket| bucket[3] != "0");
            value["buckets"] = Value::Array(full.collect());
        }
        (format!("{labels:?}"), value)
    };
    let is_same_everywhere = |series: &&Value| {
        !matches!(series["metric"]["__name__"].as_str(), Some("scrape_duration_seconds" | "scrape_series_added"))
    };
    result.as_array().unwrap().iter().filter(is_same_everywhere).map(of_one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_what_prometheus_stores() {
    stores_what_prometheus_stores("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_with_types_is_what_prometheus_stores() {
    stores_what_prometheus_stores(",type-and-unit-labels").await;
}

/// Prometheus tells of itself in both formats. Cairn and another Prometheus, with more `features`, scrape the same pages
/// under all rules about histograms, and have stored the same.
async fn stores_what_prometheus_stores(features: &str) {
    let Some(program) = prometheus() else { return };
    let features = format!("--enable-feature=native-histograms{features}");
    let dir = tempfile::tempdir().unwrap();
    let start = |name: &str, yaml: &str| {
        let (port, config) = (free_port(), dir.path().join(name).with_extension("yml"));
        std::fs::write(&config, yaml).unwrap();
        let args = [
            format!("--config.file={}", config.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            format!("--storage.tsdb.path={}", dir.path().join(name).display()),
            features.clone(),
        ];
        (Peer::start(&program, dir.path(), &args), format!("http://127.0.0.1:{port}"))
    };
    let client = http();
    let ask = async |url: &str, accept: &str| {
        let response = client.get(url).header("accept", accept).send().await.ok()?;
        response.status().is_success().then_some(response)?.bytes().await.ok().map(|body| body.to_vec())
    };
    let (source, url) = start("source", "");
    wait_for("Prometheus", async || ask(&format!("{url}/-/ready"), "*/*").await).await;
    let about: Value =
        serde_json::from_slice(&ask(&format!("{url}/api/v1/status/buildinfo"), "*/*").await.unwrap()).unwrap();
    if !about["data"]["version"].as_str().unwrap().starts_with("3.") {
        println!("skipped: {} is {}, and not of version 3", program.display(), about["data"]["version"]);
        return;
    }
    let metrics = format!("{url}/metrics");
    let text = ask(&metrics, "text/plain;version=0.0.4").await.unwrap();
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let protobuf = ask(&metrics, accept).await.unwrap();
    drop(source);
    let target = Fake::start(move |request| match request.path.as_str() {
        "/text" => Reply::text(text.clone()),
        "/proto" => Reply { status: 200, content_type: PROTOBUF, body: protobuf.clone() },
        _ => Reply { status: 200, content_type: PROTOBUF, body: page(10) },
    })
    .await;

    let mut jobs = Vec::new();
    let mut yaml = String::new();
    for (path, classic, custom) in
        ["text", "proto", "app"].iter().flat_map(|p| (0..4).map(move |n| (*p, n & 1 != 0, n & 2 != 0)))
    {
        let job = format!("{path}-{classic}-{custom}");
        yaml += &format!(
            "- {{job_name: {job}, metrics_path: /{path}, always_scrape_classic_histograms: {classic}, \
             convert_classic_histograms_to_nhcb: {custom}, static_configs: [{{targets: ['{}']}}]}}\n",
            target.address
        );
        jobs.push(job);
    }
    let global =
        |more: &str| format!("global: {{scrape_interval: 1s, scrape_timeout: 1s{more}}}\nscrape_configs:\n{yaml}");
    // Prometheus 3.5 knows no such key: its feature flag is the same for all jobs.
    let config = dir.path().join("cairn.yml");
    std::fs::write(&config, global(", scrape_native_histograms: true")).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display()), &features]);
    let (_prometheus, url) = start("prometheus", &global(""));
    let up = format!("{url}/api/v1/query?query=sum(up)");
    let all = jobs.len().to_string();
    wait_for("Prometheus' scrapes", async || {
        let answer: Value = serde_json::from_slice(&ask(&up, "*/*").await?).unwrap();
        (answer["data"]["result"][0]["value"][1] == all).then_some(())
    })
    .await;
    wait_for("our scrapes", async || cairn.value("sum(up)").await.filter(|n| n.to_string() == all)).await;

    let (mut series, mut histograms) = (0, 0);
    for job in &jobs {
        let query = format!("{{job=\"{job}\"}}");
        let escaped: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = ask(&format!("{url}/api/v1/query?query={escaped}"), "*/*").await.unwrap();
        let theirs = stored(&serde_json::from_slice::<Value>(&answer).unwrap()["data"]["result"]);
        let ours = stored(&cairn.query(&query).await);
        for labels in theirs.keys().chain(ours.keys()) {
            assert_eq!(theirs.get(labels), ours.get(labels), "{labels}");
        }
        series += ours.len();
        histograms += ours.values().filter(|value| value.is_object()).count();
    }
    assert!(series > 1_000 && histograms > 20, "{series} {histograms}");
    println!("compared {series} series, {histograms} of them native histograms");
}
