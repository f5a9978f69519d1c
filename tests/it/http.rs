//! The HTTP API in Prometheus' shapes, the path prefix, access, and `docs` links of the first day.

use serde_json::{Value, json};

use crate::durability::body;
use crate::durability::push::{Label, Sample};
use crate::support::{Cairn, wait_for};

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A Cairn with three samples of two series, a minute ago.
async fn with_samples(dir: &std::path::Path, args: &[&str]) -> (Cairn, i64) {
    let cairn = Cairn::start(dir, args);
    let base = cairn::clock::Clock::system().now_ms() / 1000 * 1000 - 60_000;
    for (step, value) in [1.0, 2.5, f64::NAN].into_iter().enumerate() {
        let sent =
            cairn.post("/api/v1/write").body(body("m", 0..2, base + step as i64 * 1000, value)).send().await.unwrap();
        assert_eq!(sent.status(), 204);
    }
    (cairn, base)
}

#[tokio::test]
async fn queries_answer_in_prometheus_json() {
    let dir = tempfile::tempdir().unwrap();
    let (cairn, base) = with_samples(dir.path(), &["--no-collector.host"]).await;
    let at = base / 1000;
    let instant = cairn.json(&format!("/api/v1/query?query=m&time={at}.5")).await;
    let one = |i: &str| json!({"metric": {"__name__": "m", "i": i}, "value": [at as f64 + 0.5, "1"]});
    assert_eq!(instant, json!({"status": "success", "data": {"resultType": "vector", "result": [one("0"), one("1")]}}));
    let range =
        cairn.json(&format!("/api/v1/query_range?query=m%7Bi%3D%220%22%7D&start={at}&end={}&step=1", at + 2)).await;
    let series =
        json!({"metric": {"__name__": "m", "i": "0"}, "values": [[at, "1"], [at + 1, "2.5"], [at + 2, "NaN"]]});
    assert_eq!(range["data"], json!({"resultType": "matrix", "result": [series]}));
    assert_eq!(
        cairn.data("/api/v1/query?query=1%2B1&time=5").await,
        json!({"resultType": "scalar", "result": [5, "2"]})
    );
    assert_eq!(cairn.data("/api/v1/query?query=nothing").await, json!({"resultType": "vector", "result": []}));
    // The form in a body, as Grafana sends it.
    let form = "query=m&start=1&end=2&step=1";
    let posted =
        cairn.post("/api/v1/query_range").header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(posted.send().await.unwrap().status(), 200);

    assert_eq!(cairn.data("/api/v1/labels?match[]=m").await, json!(["__name__", "i"]));
    assert_eq!(cairn.data("/api/v1/label/i/values?match[]=m").await, json!(["0", "1"]));
    assert_eq!(cairn.data("/api/v1/series?match[]=m%7Bi%3D%221%22%7D").await, json!([{"__name__": "m", "i": "1"}]));
    assert_eq!(cairn.data("/api/v1/format_query?query=sum(m)by(i)").await, json!("sum by (i) (m)"));
    // What does not fit on a line is split, as Prometheus does it.
    let name = "a".repeat(60);
    let laid_out = format!("  {name}\n+\n  {name}");
    assert_eq!(cairn.data(&format!("/api/v1/format_query?query={name}%2B{name}")).await, json!(laid_out));
    assert_eq!(cairn.data("/api/v1/parse_query?query=-1m").await, json!({"type": "numberLiteral", "val": "-60"}));
    let cut = cairn.json("/api/v1/series?match[]=m&limit=1").await;
    assert_eq!(
        (cut["data"].as_array().unwrap().len(), &cut["warnings"]),
        (1, &json!(["results truncated due to limit"]))
    );
}

#[tokio::test]
async fn queries_take_prometheus_options() {
    let dir = tempfile::tempdir().unwrap();
    let (cairn, base) = with_samples(dir.path(), &["--no-collector.host"]).await;
    let at = base / 1000;
    let range = format!("/api/v1/query_range?query=sum(m)&start={at}&end={}&step=1", at + 2);
    assert_eq!(keys(&cairn.data(&range).await), ["result", "resultType"]);
    let stats = cairn.data(&format!("{range}&stats=true")).await["stats"].take();
    let timings =
        ["evalTotalTime", "execQueueTime", "execTotalTime", "innerEvalTime", "queryPreparationTime", "resultSortTime"];
    assert_eq!((keys(&stats), keys(&stats["timings"])), (vec!["samples", "timings"], timings.to_vec()));
    assert_eq!(keys(&stats["samples"]), ["peakSamples", "samplesRead", "totalQueryableSamples"]);
    let all = cairn.data(&format!("{range}&stats=all")).await["stats"].take();
    assert_eq!(all["samples"]["totalQueryableSamples"], 6);
    let steps = json!([[at as f64, 2], [(at + 1) as f64, 2], [(at + 2) as f64, 2]]);
    assert_eq!(all["samples"]["totalQueryableSamplesPerStep"], steps);
    // Looked at are all windows, read is what is new in them.
    let windows = range.replace("sum(m)", "sum(count_over_time(m[2s]))");
    let samples = cairn.data(&format!("{windows}&stats=all")).await["stats"]["samples"].take();
    let per_step = |counts: [u64; 3]| {
        Value::from_iter(counts.iter().enumerate().map(|(i, count)| json!([(at + i as i64) as f64, count])))
    };
    assert_eq!(samples["totalQueryableSamples"], 10);
    assert_eq!(samples["totalQueryableSamplesPerStep"], per_step([2, 4, 4]));
    assert_eq!((&samples["samplesRead"], &samples["samplesReadPerStep"]), (&json!(6), &per_step([2, 2, 2])));
    // Of ten seconds after the last sample, a lookback of five minutes shows it, one of five seconds does not.
    let late = format!("/api/v1/query?query=m&time={}", at + 12);
    assert_eq!(cairn.data(&late).await["result"].as_array().unwrap().len(), 2);
    assert_eq!(cairn.data(&format!("{late}&lookback_delta=5s")).await["result"], json!([]));
    let limited = cairn.json(&format!("{late}&limit=1")).await;
    assert_eq!(limited["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(limited["warnings"], json!(["results truncated due to limit"]));
    let hasty = cairn.get(&format!("{late}&timeout=0s")).send().await.unwrap();
    assert_eq!(hasty.status(), 503);
    let words: Value = serde_json::from_str(&hasty.text().await.unwrap()).unwrap();
    assert_eq!(words["errorType"], "timeout");
    assert_eq!(cairn.data("/api/v1/query?query=%22text%22&time=5").await["result"], json!([5, "text"]));
    assert_eq!(cairn.data("/api/v1/status/walreplay").await, json!({"min": 0, "max": 0, "current": 0}));
}

/// A pushed series with exemplars.
#[derive(Clone, PartialEq, prost::Message)]
struct ExemplarWrite {
    #[prost(message, repeated, tag = "1")]
    series: Vec<ExemplarSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExemplarSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[tokio::test]
async fn exemplars_are_found_by_the_selectors_of_a_query() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host"]);
    let now = cairn::clock::Clock::system().now_ms() / 1000 * 1000;
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(n, v)| Label { name: (*n).to_owned(), value: (*v).to_owned() }).collect::<Vec<_>>()
    };
    let series = |name: &str, trace: &str| ExemplarSeries {
        labels: labels(&[("__name__", name), ("le", "1")]),
        samples: vec![Sample { value: 1.0, timestamp: now }],
        exemplars: vec![Exemplar { labels: labels(&[("trace_id", trace)]), value: 0.5, timestamp: now - 1500 }],
    };
    let write = ExemplarWrite { series: vec![series("a_bucket", "x"), series("b_bucket", "y")] };
    let packed = snap::raw::Encoder::new().compress_vec(&prost::Message::encode_to_vec(&write)).unwrap();
    assert_eq!(cairn.post("/api/v1/write").body(packed).send().await.unwrap().status(), 204);
    let (start, end) = (now / 1000 - 10, now / 1000);
    let query = "query=histogram_quantile(0.9,rate(a_bucket%5B5m%5D))%2Bc";
    let found = cairn.data(&format!("/api/v1/query_exemplars?{query}&start={start}&end={end}")).await;
    let exemplar = json!({"labels": {"trace_id": "x"}, "value": "0.5", "timestamp": (now - 1500) as f64 / 1000.0});
    let series = json!({"seriesLabels": {"__name__": "a_bucket", "le": "1"}, "exemplars": [exemplar]});
    assert_eq!(found, json!([series]));
    assert_eq!(cairn.data(&format!("/api/v1/query_exemplars?{query}&start={start}&end={start}")).await, json!([]));
    assert_eq!(cairn.data("/api/v1/query_exemplars?query=1").await, json!([]));
    let refused = cairn.get("/api/v1/query_exemplars?query=a(&start=1&end=2").send().await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn large_answers_come_packed_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host"]);
    let now = cairn::clock::Clock::system().now_ms() / 1000 * 1000;
    let sent = cairn.post("/api/v1/write").body(body("m", 0..50, now, 0.25)).send().await.unwrap();
    assert_eq!(sent.status(), 204);
    let path = format!("/api/v1/query_range?query=m*time()&start={}&end={}&step=0.1", now / 1000, now / 1000 + 290);
    let ask = async |accept: &str| {
        let response = cairn.get(&path).header("accept-encoding", accept).send().await.unwrap();
        let encoding = response.headers().get("content-encoding").map(|v| v.to_str().unwrap().to_owned());
        (encoding, response.bytes().await.unwrap())
    };
    let (none, plain) = ask("identity").await;
    assert!(none.is_none() && plain.len() > 4_000_000, "{none:?} {}", plain.len());
    let read: Value = serde_json::from_slice(&plain).unwrap();
    let series = read["data"]["result"].as_array().unwrap();
    assert_eq!(series.len(), 50);
    assert!(series.iter().all(|s| s["values"].as_array().unwrap().len() == 2901));
    let (zstd, packed) = ask("gzip, zstd").await;
    assert_eq!((zstd.as_deref(), zstd::decode_all(&packed[..]).unwrap() == plain), (Some("zstd"), true));
    let (gzip, packed) = ask("gzip").await;
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!((gzip.as_deref(), unpacked == plain), (Some("gzip"), true));
    assert!(packed.len() < plain.len() / 3);
    let sent = cairn.post("/api/v1/write").body(body("n", 0..3000, now, 1.0)).send().await.unwrap();
    assert_eq!(sent.status(), 204);
    let series = cairn.get("/api/v1/series?match[]=n").header("accept-encoding", "zstd").send().await.unwrap();
    assert_eq!(series.headers()["content-encoding"], "zstd");
    let plain = zstd::decode_all(&series.bytes().await.unwrap()[..]).unwrap();
    let read: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!((read["data"].as_array().unwrap().len(), &read["data"][0]), (3000, &json!({"__name__": "n", "i": "0"})));
    let limited = cairn.json("/api/v1/series?match[]=n&limit=2000").await;
    assert_eq!((limited["data"].as_array().unwrap().len(), keys(&limited).len()), (2000, 3));
}

#[tokio::test]
async fn errors_have_prometheus_types_and_status() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host"]);
    for (path, status, kind, words) in [
        ("/api/v1/query?query=sum(", 400, "bad_data", "invalid parameter \"query\": 1:5: parse error: "),
        (
            "/api/v1/query?query=1&time=x",
            400,
            "bad_data",
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "/api/v1/query_range?query=1&start=1&end=0&step=1",
            400,
            "bad_data",
            "end timestamp must not be before start time",
        ),
        ("/api/v1/query_range?query=1&start=0&end=9&step=0", 400, "bad_data", "zero or negative query resolution"),
        (
            "/api/v1/query_range?query=1&start=0&end=99999&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points",
        ),
        ("/api/v1/series", 400, "bad_data", "no match[] parameter provided"),
        (
            "/api/v1/series?match[]=%7B%7D",
            400,
            "bad_data",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        ("/api/v1/nonsense", 404, "not_found", "no such page"),
        ("/api/cairn/v1/dashboards/nope", 404, "not_found", "nope"),
    ] {
        let answer = cairn.get(path).send().await.unwrap();
        let (got, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert_eq!(
            (got, json["status"].as_str(), json["errorType"].as_str()),
            (status, Some("error"), Some(kind)),
            "{path}: {text}"
        );
        assert!(json["error"].as_str().unwrap().contains(words), "{path}: {text}");
    }
    assert_eq!(cairn.post("/api/v1/labels").send().await.unwrap().status(), 200);
    assert_eq!(cairn.post("/metrics").send().await.unwrap().status(), 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_configuration_it_watches_itself_and_its_host() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &[]);
    wait_for("both built-in targets", async || cairn.value("sum(up)").await.filter(|&n| n == 2.0)).await;
    for query in [
        "node_memory_MemTotal_bytes",
        "sum(node_cpu_seconds_total{mode=\"idle\"})",
        "node_load1",
        "node_boot_time_seconds",
        "count(node_filesystem_size_bytes) > 0",
        "count(node_network_receive_bytes_total) > 0",
        "node_uname_info",
        "process_resident_memory_bytes{job=\"cairn\"}",
        "prometheus_tsdb_head_series",
    ] {
        assert!(cairn.value(query).await.is_some(), "{query}");
    }
    let targets = cairn.data("/api/v1/targets").await;
    assert_eq!(keys(&targets), ["activeTargets", "droppedTargetCounts", "droppedTargets"]);
    let expected = [
        "discoveredLabels",
        "globalUrl",
        "health",
        "labels",
        "lastError",
        "lastScrape",
        "lastScrapeDuration",
        "scrapeInterval",
        "scrapePool",
        "scrapeTimeout",
        "scrapeUrl",
    ];
    assert_eq!(keys(&targets["activeTargets"][0]), expected);
    let metadata = cairn.data("/api/v1/metadata?metric=node_load1").await;
    assert_eq!(metadata["node_load1"][0]["type"], "gauge");
    let runtime = cairn.data("/api/v1/status/runtimeinfo").await;
    assert_eq!(runtime["storageRetention"], "15d");
    let tsdb = cairn.data("/api/v1/status/tsdb").await;
    assert!(tsdb["headStats"]["numSeries"].as_u64().unwrap() > 100, "{tsdb}");
    assert_eq!(
        keys(&tsdb),
        [
            "headStats",
            "labelValueCountByLabelName",
            "memoryInBytesByLabelName",
            "seriesCountByLabelValuePair",
            "seriesCountByMetricName"
        ]
    );
    assert!(cairn.data("/api/v1/status/flags").await["web.listen-address"].is_string());
    assert_eq!(cairn.get("/-/healthy").send().await.unwrap().text().await.unwrap(), "Cairn is Healthy.\n");
    assert_eq!(cairn.get("/ready").send().await.unwrap().text().await.unwrap(), "ready\n");
    // There is an interval once a target was scraped twice.
    wait_for("the self-metrics", async || {
        let metrics = cairn.get("/metrics").send().await.unwrap().text().await.unwrap();
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        for line in ["cairn_build_info{version=", "prometheus_config_last_reload_successful 1"] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
        assert!(
            metrics.contains("prometheus_http_requests_total{handler=\"/api/v1/query\",code=\"200\"}"),
            "{metrics}"
        );
        metrics.contains("prometheus_target_interval_length_seconds{").then_some(())
    })
    .await;
    let boards = cairn.json("/api/cairn/v1/dashboards").await;
    let titles: Vec<&str> = boards.as_array().unwrap().iter().map(|b| b["title"].as_str().unwrap()).collect();
    for title in ["System (host)", "API", "PostgreSQL", "Redis"] {
        assert!(titles.contains(&title), "{title} in {titles:?}");
    }
}

#[tokio::test]
async fn everything_works_below_a_path_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--web.external-url=http://example.org/mon/x/", "--no-collector.host"]);
    assert!(cairn.url.ends_with("/mon/x"), "{}", cairn.url);
    let page = cairn.get("/graph?g0.expr=up").send().await.unwrap();
    let headers = page.headers().clone();
    let html = page.text().await.unwrap();
    assert!(html.contains("<base href=\"/mon/x/\""), "{html}");
    let csp = headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("script-src 'self'") && !csp.contains("script-src 'self' 'unsafe"), "{csp}");
    assert!(!html.contains("src=\"/") && !html.contains("<script>"), "absolute or inline scripts: {html}");
    for asset in html.split('"').filter(|part| part.contains("assets/")) {
        let answer = cairn.get(&format!("/{}", asset.trim_start_matches("./"))).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{asset}");
    }
    assert_eq!(cairn.json("/api/v1/labels").await["status"], "success");
    let root = cairn.url.trim_end_matches("/mon/x");
    let outside = crate::support::http().get(format!("{root}/api/v1/labels")).send().await.unwrap();
    assert_eq!(outside.status(), 404);
}

#[tokio::test]
async fn a_dashboard_is_kept_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host"]);
    let import = r#"{"dashboard": {"title":"Mine",  "uid":"mine", "panels":[], "z":1, "a":2}}"#;
    let kept = cairn.post("/api/cairn/v1/dashboards").body(import).send().await.unwrap();
    assert_eq!(kept.status(), 201, "{}", kept.text().await.unwrap());
    let text = cairn.get("/api/cairn/v1/dashboards/mine").send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"{"title":"Mine",  "uid":"mine", "panels":[], "z":1, "a":2}"#), "{text}");
    let cross = cairn
        .post("/api/cairn/v1/dashboards")
        .header("sec-fetch-site", "cross-site")
        .body(import)
        .send()
        .await
        .unwrap();
    assert_eq!(cross.status(), 403);
    let proxied = cairn
        .post("/api/cairn/v1/dashboards")
        .header("x-forwarded-for", "192.0.2.1")
        .body(import)
        .send()
        .await
        .unwrap();
    assert_eq!(proxied.status(), 403);
}
