//! A target that answers in the protobuf format: its native histograms are asked for, stored and queried, and end with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use prost::Message as _;

use crate::support::{Cairn, Fake, Peer, Reply, free_port, http, peer, wait_for};

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

/// Prometheus tells of itself in both formats: the same page of the same moment is asked for in each, and what is stored
/// must be the same but for the histograms that are native.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_is_the_same_in_either_format() {
    let Some(program) = peer("prometheus") else { return };
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let own = dir.path().join("own.yml");
    std::fs::write(&own, "").unwrap();
    let args = [
        format!("--config.file={}", own.display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        format!("--storage.tsdb.path={}", dir.path().join("own").display()),
    ];
    let _prometheus = Peer::start(&program, dir.path(), &args);
    let (client, url) = (http(), format!("http://127.0.0.1:{port}/metrics"));
    let ask = async |accept: &str| {
        let response = client.get(&url).header("accept", accept).send().await.ok()?;
        response.bytes().await.ok().map(|body| body.to_vec())
    };
    wait_for("Prometheus", async || ask("text/plain").await).await;
    let text = ask("text/plain;version=0.0.4").await.unwrap();
    let protobuf = ask("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
        .await
        .unwrap();
    assert_ne!(text, protobuf);
    let pages = Arc::new(Mutex::new((text, protobuf)));
    let target = Fake::start(move |request| {
        let (text, protobuf) = pages.lock().unwrap().clone();
        match request.path.as_str() {
            "/text" => Reply::text(text),
            _ => Reply { status: 200, content_type: PROTOBUF, body: protobuf },
        }
    })
    .await;
    let job = |name: &str| {
        format!("{{job_name: {name}, metrics_path: /{name}, static_configs: [{{targets: ['{}']}}]}}", target.address)
    };
    let jobs = format!("{}\n- {}", job("text"), job("proto"));
    let cairn = Cairn::start(dir.path(), &[&config(dir.path(), &jobs)]);
    wait_for("both", async || cairn.value("sum(up)").await.filter(|n| *n == 2.0)).await;
    let names = |job: &str| format!("count by (__name__, le, quantile) ({{job='{job}',__name__!~'up|scrape_.+'}})");
    let count = async |query: &str| cairn.value(&format!("count({query})")).await.unwrap_or_default();
    let (of_text, of_proto) = (count(&names("text")).await, count(&names("proto")).await);
    assert!(of_text > 200.0, "{of_text}");
    assert_eq!(of_text, of_proto);
    assert_eq!(count(&format!("{} unless {}", names("text"), names("proto"))).await, 0.0);
    println!("compared {of_text} names of Prometheus' own metrics in both formats");
}
