//! A real Prometheus sends two tenants' samples by remote write; each finds all of its own and nothing of the other's.
//!
//! One tenant comes from the credential, the other from the path: Debian's Prometheus 2.42 does not send `headers` of
//! `remote_write`. `X-Scope-OrgID` on pushes is in the other tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::durability::body;
use crate::support::{Cairn, Fake, Peer, Reply, free_port, http, peer, wait_for};

const TWO_TENANTS: &str = "cairn:
  multitenancy: on
  credentials:
  - {name: bound, secret: for-red, tenant: red}
  - {name: free, secret: for-any}
";

/// Every sample of `result` (a matrix): series -> (time, value) texts.
fn samples(result: &Value) -> BTreeMap<String, Vec<String>> {
    let series = result.as_array().unwrap().iter();
    series
        .map(|s| (s["metric"].to_string(), s["values"].as_array().unwrap().iter().map(Value::to_string).collect()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_pushes_for_two_tenants() {
    let Some(program) = peer("prometheus") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("cairn.yml");
    std::fs::write(&config, TWO_TENANTS).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);

    let count = AtomicU64::new(0);
    let exporter = Fake::start(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        Reply::text(format!("# TYPE requests_total counter\nrequests_total{{path=\"/é\"}} {n}\nodd NaN\nbig 1e300\n"))
    })
    .await;
    let port = free_port();
    let (to, from) = (&cairn.url, &exporter.address);
    let target = |job: &str| format!("- job_name: {job}\n  static_configs: [{{targets: ['{from}']}}]\n");
    let sender = |url: String, header: &str, job: &str| {
        format!(
            "- url: {url}\n  {header}\n  queue_config: {{batch_send_deadline: 200ms}}\n  write_relabel_configs: [{{source_labels: [job], regex: {job}, action: keep}}]\n"
        )
    };
    let yaml = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n{}{}remote_write:\n{}{}",
        target("red"),
        target("blue"),
        sender(format!("{to}/api/v1/push"), "basic_auth: {username: bound, password: for-red}", "red"),
        sender(format!("{to}/tenant/blue/api/v1/write"), "basic_auth: {username: free, password: for-any}", "blue"),
    );
    std::fs::write(dir.path().join("prometheus.yml"), yaml).unwrap();
    let args = ["--config.file=prometheus.yml", "--storage.tsdb.path=prom", "--log.level=warn"].map(str::to_owned);
    let prometheus = Peer::start(
        &program,
        dir.path(),
        &[args.as_slice(), &[format!("--web.listen-address=127.0.0.1:{port}")]].concat(),
    );

    let client = http();
    let ask_prometheus = async |query: &str| -> Option<Value> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = client.get(format!("http://127.0.0.1:{port}/api/v1/query?query={encoded}")).send().await.ok()?;
        let mut json: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        Some(json["data"]["result"].take())
    };
    for job in ["red", "blue"] {
        wait_for("fifteen samples", async || {
            let result = cairn.query_as(job, "count_over_time(requests_total[10m])").await;
            let n: f64 = result[0]["value"][1].as_str()?.parse().unwrap();
            (n >= 15.0).then_some(())
        })
        .await;
    }
    // Stopping the exporter stops new samples but for `up` and its companions; the rest must become equal.
    drop(exporter);
    for job in ["red", "blue"] {
        let query = format!("{{job=\"{job}\",__name__=~\"requests_total|odd|big\"}}[10m]");
        wait_for("the same samples on both sides", async || {
            let theirs = samples(&ask_prometheus(&query).await?);
            let ours = samples(&cairn.query_as(job, &query).await);
            (theirs.len() == 3 && theirs == ours).then_some(())
        })
        .await;
        let other = if job == "red" { "blue" } else { "red" };
        assert_eq!(cairn.query_as(job, &format!("{{job=\"{other}\"}}")).await, Value::Array(Vec::new()));
    }
    drop(prometheus);

    // Nobody else's: a request without a tenant, a tenant that does not exist.
    let nobody = cairn.get("/api/v1/query?query=up").send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(cairn.query_as("green", "up").await, Value::Array(Vec::new()));
    assert!(dir.path().join("data/tenants/red").is_dir() && dir.path().join("data/tenants/blue").is_dir());
    assert!(!dir.path().join("data/tenants/green").try_exists().unwrap(), "reading must not create a tenant");
}

#[tokio::test]
async fn bodies_that_are_no_write_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut cairn = Cairn::start(dir.path(), &[]);
    let good = body("x", 0..1, cairn::clock::Clock::system().now_ms(), 1.0);
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    for (sent, status) in
        [(&[][..], 400), (&b"\x05hello"[..], 400), (&good[..good.len() / 2], 400), (&bomb[..], 413), (&good[..], 204)]
    {
        let answer = cairn.post("/api/v1/write").body(sent.to_vec()).send().await.unwrap();
        let (got, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(got, status, "{sent:?}: {text}");
        assert!(status == 204 || text.len() > 10, "say what is wrong: {text:?}");
    }
    assert!(cairn.is_up());
}

/// A request of remote write 2.0 with a counter's two samples, which began at `start`. Its unit is `jobs`.
fn body_2(t: i64, start: i64) -> Vec<u8> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Request {
        #[prost(string, repeated, tag = "4")]
        symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        timeseries: Vec<TimeSeries>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct TimeSeries {
        #[prost(uint32, repeated, tag = "1")]
        labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
        #[prost(message, tag = "5")]
        metadata: Option<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Metadata {
        #[prost(uint32, tag = "1")]
        kind: u32,
        #[prost(uint32, tag = "4")]
        unit_ref: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Sample {
        #[prost(double, tag = "1")]
        value: f64,
        #[prost(int64, tag = "2")]
        timestamp: i64,
        #[prost(int64, tag = "3")]
        start_timestamp: i64,
    }
    let symbols = ["", "__name__", "jobs_total", "jobs"].map(str::to_owned).to_vec();
    let sample = |timestamp, value| Sample { value, timestamp, start_timestamp: start };
    let samples = vec![sample(t - 1000, 5.0), sample(t, 7.0)];
    let metadata = Some(Metadata { kind: 1, unit_ref: 3 });
    let request = Request { symbols, timeseries: vec![TimeSeries { labels_refs: vec![1, 2], samples, metadata }] };
    snap::raw::Encoder::new().compress_vec(&prost::Message::encode_to_vec(&request)).unwrap()
}

#[tokio::test]
async fn version_two_says_what_was_written_and_brings_starts() {
    let dir = tempfile::tempdir().unwrap();
    let features = "--enable-feature=st-storage,use-start-timestamps,promql-experimental-functions";
    let cairn = Cairn::start(dir.path(), &[features]);
    let now = cairn::clock::Clock::system().now_ms();
    let push = async |proto: &str| {
        let content_type = format!("application/x-protobuf;proto={proto}");
        let request = cairn.post("/api/v1/write").header("content-type", content_type).body(body_2(now, now - 2000));
        request.send().await.unwrap()
    };
    for _ in 0..2 {
        let answer = push("io.prometheus.write.v2.Request").await;
        assert_eq!(answer.status(), 204);
        let written = ["samples", "histograms", "exemplars"].map(|kind| {
            let name = format!("x-prometheus-remote-write-{kind}-written");
            answer.headers()[name].to_str().unwrap().to_owned()
        });
        assert_eq!(written, ["2", "0", "0"]);
    }
    assert_eq!(push("io.prometheus.write.v9.Request").await.status(), 415);
    let at = now as f64 / 1000.0;
    let value = async |query: &str| {
        let found = cairn.json(&format!("/api/v1/query?time={at}&query={query}")).await;
        found["data"]["result"][0]["value"][1].as_str().map(|text| text.parse::<f64>().unwrap())
    };
    assert_eq!(value("start_timestamp(jobs_total)").await, Some((now - 2000) as f64 / 1000.0));
    // From the start on, nothing extrapolated: all seven.
    assert_eq!(value("increase(jobs_total[1h])").await, Some(7.0));
}

#[tokio::test]
async fn types_and_units_become_labels_where_they_are_wanted() {
    let push = async |features: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let cairn = Cairn::start(dir.path(), features);
        let now = cairn::clock::Clock::system().now_ms();
        let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        let request = cairn.post("/api/v1/write").header("content-type", content_type).body(body_2(now, 0));
        assert_eq!(request.send().await.unwrap().status(), 204);
        let series = cairn.json("/api/v1/series?match[]=jobs_total").await["data"].clone();
        let at = now as f64 / 1000.0;
        let rate = cairn.json(&format!("/api/v1/query?time={at}&query=rate(jobs_total[1m])")).await;
        (series, rate["infos"].clone())
    };
    let (series, infos) = push(&[]).await;
    assert_eq!((series, infos.is_null()), (serde_json::json!([{"__name__": "jobs_total"}]), true));
    let (series, infos) = push(&["--enable-feature=type-and-unit-labels"]).await;
    let typed = serde_json::json!([{"__name__": "jobs_total", "__type__": "counter", "__unit__": "jobs"}]);
    assert_eq!((series, infos.is_null()), (typed, true));
}

#[tokio::test]
async fn with_credentials_a_push_without_one_is_refused_before_its_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("cairn.yml");
    let yaml = "cairn:\n  multitenancy: on\n  credentials:\n  - {name: NOC-F64B, secret: my_abc.def, tenant: shop}\n";
    std::fs::write(&config, yaml).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    let push = || cairn.post("/api/v1/push").header("x-scope-orgid", "other");
    let refused = push().body("").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("www-authenticate")), (401, true));
    assert_eq!(push().basic_auth("NOC-F64B", Some("wrong")).body("").send().await.unwrap().status(), 401);
    // The seed's own test of a credential: an empty body is a 400 once the credential is right.
    assert_eq!(push().basic_auth("NOC-F64B", Some("my_abc.def")).body("").send().await.unwrap().status(), 400);
    let sample = body("pushed", 0..1, cairn::clock::Clock::system().now_ms(), 7.0);
    assert_eq!(push().basic_auth("NOC-F64B", Some("my_abc.def")).body(sample).send().await.unwrap().status(), 204);
    assert_eq!(cairn.query_as("shop", "pushed").await.as_array().unwrap().len(), 1);
    assert_eq!(cairn.query_as("other", "pushed").await.as_array().unwrap().len(), 0);
    assert!(!cairn.log().contains("my_abc.def"), "the log must not hold the secret");
    assert!(
        !cairn
            .get("/api/v1/status/config")
            .header("x-scope-orgid", "shop")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("my_abc.def")
    );
}

#[tokio::test]
async fn the_header_names_the_tenant_of_a_push() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--auth.multitenancy-enabled"]);
    let sample = || body("pushed", 0..1, cairn::clock::Clock::system().now_ms(), 7.0);
    let push = async |path: &str, header: &str| {
        let request = cairn.post(path).header("x-scope-orgid", header).body(sample());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(push("/api/v1/write", "prod").await, 204);
    assert_eq!(push("/tenant/dev/api/v1/push", "prod").await, 204);
    assert_eq!(push("/tenant/a%7Cb/api/v1/push", "prod").await, 400);
    assert_eq!(push("/api/v1/write", "..").await, 400);
    assert_eq!(push("/api/v1/write", "").await, 401);
    for (tenant, found) in [("prod", 1), ("dev", 1), ("test", 0)] {
        assert_eq!(cairn.query_as(tenant, "pushed").await.as_array().unwrap().len(), found, "{tenant}");
    }
    let status: serde_json::Value = {
        let answer = cairn.get("/api/cairn/v1/status").header("x-scope-orgid", "prod");
        serde_json::from_str(&answer.send().await.unwrap().text().await.unwrap()).unwrap()
    };
    assert_eq!(status["tenants"], serde_json::json!(["anonymous", "dev", "prod"]));
    // Behind a proxy nobody learns which tenants there are.
    let proxied =
        cairn.get("/api/cairn/v1/status").header("x-scope-orgid", "prod").header("x-forwarded-for", "192.0.2.1");
    let proxied: serde_json::Value =
        serde_json::from_str(&proxied.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(proxied["tenants"], serde_json::Value::Null);
    let by_path = cairn.json("/tenant/prod/prometheus/api/v1/query?query=pushed").await;
    assert_eq!(by_path["data"]["result"].as_array().unwrap().len(), 1);
}
