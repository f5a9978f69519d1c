//! The limits of queries: bombs, the queue, ending one, and a client that goes away.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::durability::body;
use crate::support::{Cairn, wait_for};

/// A query that no machine finishes: ten thousand windows of a million samples.
const ENDLESS: &str =
    "/api/v1/query_range?query=sum_over_time(vector(1)%5B1000000s:1s%5D)&start=0&end=10000&step=1&timeout=100s";

/// So long may an answer take beyond its timeout; generous, for a crowded machine and an unoptimized binary.
const SLACK: Duration = Duration::from_secs(10);

async fn post(cairn: &Cairn, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = cairn.post(path).header("content-type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

async fn running(cairn: &Cairn) -> Vec<Value> {
    let mut all = cairn.json("/api/cairn/v1/queries").await;
    all.as_array_mut().unwrap().drain(..).filter(|q| q["state"] == "running").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_bombs_are_refused_or_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let cairn =
        Cairn::start(dir.path(), &["--no-collector.host", "--query.timeout=250ms", "--query.max-concurrency=4"]);
    let now = cairn::clock::Clock::system().now_ms() / 1000 * 1000;
    for step in 0..5 {
        let t = now - 300_000 + step * 60_000;
        let sent = cairn.post("/api/v1/write").body(body("m", 0..1000, t, step as f64)).send().await.unwrap();
        assert_eq!(sent.status(), 204);
    }
    let at = |ms: i64| (ms / 1000).to_string();
    let (start, end) = (at(now - 11_000_000), at(now));
    let parens = format!("{}1{}", "(".repeat(500_000), ")".repeat(500_000));
    let unclosed = "(".repeat(1 << 20);
    let chain = format!("m{}", " + m".repeat(200_000));
    let wide = format!("m{{i=~\"{}\"}}", "a|".repeat(300_000));
    let bombs = [
        "{__name__=~\".+\"}[30d]",
        "sum_over_time({__name__=~\".+\"}[30d:1s])",
        "sum_over_time(sum_over_time(sum_over_time(m[1d:1s])[30d:1s])[30d:1s])",
        "count(m{i=~\"(.+)+\"})",
        "m{i=~\"((((.{1000}){1000}){1000}){1000})\"}",
        "label_replace(m, \"x\", \"$1\", \"i\", \"((.*)*)*\")",
        "m * on() group_left m",
        "count_values(\"v\", m * time())",
        "quantile_over_time(0.5, vector(1)[30d:1s])",
        "topk(1000, m * time()) + on(i) sort_by_label(m, \"i\")",
        &parens,
        &unclosed,
        &chain,
        &wide,
    ];
    for bomb in bombs {
        let name = &bomb[..bomb.len().min(60)];
        for (path, times) in [
            ("/api/v1/query", [("time", end.as_str()), ("start", ""), ("step", "")]),
            ("/api/v1/query_range", [("end", end.as_str()), ("start", start.as_str()), ("step", "1")]),
        ] {
            let began = Instant::now();
            let form = [&[("query", bomb)], &times[..]].concat();
            let (status, answer) = post(&cairn, path, &form).await;
            assert!(began.elapsed() < SLACK, "{name}: {:?}", began.elapsed());
            assert!([200, 400, 422, 503].contains(&status), "{name}: {status} {answer}");
        }
    }
    let began = Instant::now();
    let many: Vec<_> = (0..100)
        .map(|_| {
            let request = cairn.get(ENDLESS);
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    for one in many {
        assert_eq!(one.await.unwrap(), 503);
    }
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    assert_eq!(cairn.value("count(m)").await, Some(1000.0), "it goes on as if nothing had happened");
}

#[tokio::test]
async fn a_running_query_is_listed_and_can_be_ended() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, "cairn: {limits: {query_concurrency_max: 1, query_queue_max: 1}}\n").unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    let ask = || {
        let request = cairn.get(ENDLESS);
        tokio::spawn(async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    };
    let endless = ask();
    let listed = wait_for("the query", async || running(&cairn).await.pop()).await;
    assert_eq!(listed["query"], "sum_over_time(vector(1)[1000000s:1s])");
    assert_eq!((&listed["path"], &listed["client"]), (&"/api/v1/query_range".into(), &"127.0.0.1".into()));
    // One waits, the next is sent back at once.
    let waits = ask();
    wait_for("a second query", async || {
        (cairn.json("/api/cairn/v1/queries").await[1]["state"] == "waiting").then_some(())
    })
    .await;
    let refused = cairn.get("/api/v1/query?query=1").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    let words = refused.text().await.unwrap();
    for part in
        ["unavailable", "1 of this tenant wait already (cairn.limits.query_queue_max)", "--query.max-concurrency"]
    {
        assert!(words.contains(part), "{words}");
    }
    let end = async |id: &str| {
        let url = format!("{}/api/cairn/v1/queries/{id}", cairn.url);
        crate::support::http().delete(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!(end("77").await, 404);
    for query in [cairn.json("/api/cairn/v1/queries").await[1].clone(), listed] {
        assert_eq!(end(query["id"].as_str().unwrap()).await, 204);
    }
    for ended in [endless.await.unwrap(), waits.await.unwrap()] {
        assert_eq!(ended.0, 499, "{}", ended.1);
        assert!(ended.1.contains("\"canceled\"") && ended.1.contains("ended through the list"), "{}", ended.1);
    }
    let elsewhere = crate::support::http()
        .delete(format!("{}/api/cairn/v1/queries/1", cairn.url))
        .header("x-forwarded-for", "192.0.2.1");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_query_ends_when_its_client_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host", "--query.max-concurrency=1"]);
    let request = cairn.get(ENDLESS);
    let client = tokio::spawn(async move { request.send().await.map(|r| r.status()) });
    wait_for("the query", async || running(&cairn).await.pop()).await;
    client.abort();
    // The only place is free again, long before the timeout.
    assert_eq!(cairn.query("1 + 1").await[1], "2");
    assert!(running(&cairn).await.is_empty());
}

#[tokio::test]
async fn what_was_asked_is_logged_and_what_was_slow_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let text = "global: {query_log_file: query.log}\ncairn: {query_log: {slow_threshold: 0s, slow_kept: 2}}\n";
    std::fs::write(&config, text).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    assert_eq!(cairn.query("1 + 1").await[1], "2");
    assert_eq!(post(&cairn, "/api/v1/query", &[("query", "sum(")]).await.0, 400);
    let form = [("query", "vector(3)"), ("start", "60"), ("end", "180"), ("step", "60")];
    assert_eq!(post(&cairn, "/api/v1/query_range", &form).await.0, 200);
    let log = std::fs::read_to_string(dir.path().join("query.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let queries: Vec<&str> = lines.iter().map(|line| line["params"]["query"].as_str().unwrap()).collect();
    assert_eq!(queries, ["1 + 1", "sum(", "vector(3)"]);
    assert!(lines[1]["error"].as_str().unwrap().contains("parse error"), "{log}");
    assert_eq!(lines[2]["httpRequest"]["path"], "/api/v1/query_range");
    let slow = cairn.json("/api/cairn/v1/queries/slow").await;
    assert_eq!(slow.as_array().unwrap().len(), 2);
    let times = (&slow[0]["query"], &slow[0]["start"], &slow[0]["step"]);
    assert_eq!(times, (&"vector(3)".into(), &60_000.into(), &60_000.into()));
    assert_eq!(cairn.json("/api/cairn/v1/queries/slow?limit=1").await.as_array().unwrap().len(), 1);
    // A file that cannot be opened changes nothing.
    std::fs::write(&config, "global: {query_log_file: /proc/nowhere/query.log}\n").unwrap();
    let refused = cairn.post("/-/reload").send().await.unwrap();
    assert_eq!(refused.status(), 500);
    assert!(refused.text().await.unwrap().contains("global.query_log_file"));
    std::fs::rename(dir.path().join("query.log"), dir.path().join("old.log")).unwrap();
    std::fs::write(&config, text).unwrap();
    assert_eq!(cairn.post("/-/reload").send().await.unwrap().status(), 200);
    cairn.query("2").await;
    assert_eq!(std::fs::read_to_string(dir.path().join("query.log")).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn what_rules_ask_is_logged_with_their_group() {
    let dir = tempfile::tempdir().unwrap();
    let (config, rules) = (dir.path().join("prometheus.yml"), dir.path().join("rules.yml"));
    let text = "groups:\n- {name: g, interval: 100ms, rules: [{record: two, expr: vector(1) + 1}]}\n";
    std::fs::write(&rules, text).unwrap();
    let text =
        "global: {query_log_file: query.log}\nrule_files: [rules.yml]\ncairn: {query_log: {slow_threshold: 0s}}\n";
    std::fs::write(&config, text).unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host", &format!("--config.file={}", config.display())]);
    let group = serde_json::json!({ "file": rules.display().to_string(), "name": "g" });
    let slow = wait_for("the rule in the list", async || {
        let all = cairn.json("/api/cairn/v1/queries/slow").await;
        all.as_array().unwrap().iter().find(|q| q["query"] == "vector(1) + 1").cloned()
    })
    .await;
    assert_eq!(slow["ruleGroup"], group);
    let log = std::fs::read_to_string(dir.path().join("query.log")).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["params"]["query"] == "vector(1) + 1").expect(&log);
    assert_eq!(line["ruleGroup"], group);
    assert_eq!((&line["params"]["step"], line["params"]["start"] == line["params"]["end"]), (&0.into(), true));
    assert!(line.get("httpRequest").is_none() && line["stats"]["timings"]["execTotalTime"].is_number(), "{line}");
}

#[tokio::test]
async fn range_queries_are_answered_from_the_cache_unless_forbidden() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host"]);
    let now = cairn::clock::Clock::system().now_ms() / 60_000 * 60_000;
    for minute in (0..60).rev() {
        let sent = cairn.post("/api/v1/write").body(body("m", 0..2, now - minute * 60_000, minute as f64)).send();
        assert_eq!(sent.await.unwrap().status(), 204);
    }
    let path = format!("/api/v1/query_range?query=sum(m)&start={}&end={}&step=60", now / 1000 - 3000, now / 1000);
    let count = async |result: &str| {
        let metrics = cairn.get("/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics
            .lines()
            .find(|l| l.starts_with(&format!("cairn_query_cache_requests_total{{result=\"{result}\"}}")));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let first = cairn.data(&path).await;
    assert_eq!(first["result"][0]["values"].as_array().unwrap().len(), 51);
    assert_eq!((count("miss").await, count("hit").await), (1, 0));
    assert_eq!(cairn.data(&path).await, first);
    assert_eq!((count("miss").await, count("hit").await), (1, 1));
    // A sample that came late is seen at once.
    let late = cairn.post("/api/v1/write").body(body("m", 2..3, now - 1_800_000, 1000.0)).send().await.unwrap();
    assert_eq!(late.status(), 204);
    let second = cairn.data(&path).await;
    assert_ne!(second, first);
    let asked = count("miss").await + count("hit").await + count("partial").await;
    assert_eq!(cairn.data(&format!("{path}&nocache=1")).await, second);
    assert_eq!(cairn.data(&format!("{path}&stats=all")).await["result"], second["result"]);
    let around = cairn.get(&path).header("cache-control", "no-store").send().await.unwrap();
    assert_eq!(around.status(), 200);
    assert_eq!(
        count("miss").await + count("hit").await + count("partial").await,
        asked,
        "none of these looked into it"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_answer_for_a_while_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, "cairn: {limits: {answer_stall_max: 100ms, query_answers_bytes_max: 1}}\n").unwrap();
    let cairn = Cairn::start(dir.path(), &["--no-collector.host", &format!("--config.file={}", config.display())]);
    let now = cairn::clock::Clock::system().now_ms() / 1000 * 1000;
    let sent = cairn.post("/api/v1/write").body(body("m", 0..100, now, 1.0)).send().await.unwrap();
    assert_eq!(sent.status(), 204);
    // Far more than a socket takes for somebody who never reads on.
    let mut lazy = std::net::TcpStream::connect(cairn.url.trim_start_matches("http://")).unwrap();
    let path = format!("/api/v1/query_range?query=m&start={}&end={}&step=0.03", now / 1000, now / 1000 + 299);
    write!(lazy, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", cairn.url.trim_start_matches("http://")).unwrap();
    lazy.read_exact(&mut [0; 16]).unwrap();
    // One answer at a time is sent: others wait until the first client is cut off.
    wait_for("another answer", async || {
        let status = cairn.get("/api/v1/query?query=m").send().await.unwrap().status().as_u16();
        assert!([200, 503].contains(&status), "{status}");
        (status == 200).then_some(())
    })
    .await;
    drop(lazy);
}

#[tokio::test]
async fn a_reload_changes_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let write = |limits: &str| std::fs::write(&config, format!("cairn: {{limits: {{{limits}}}}}\n")).unwrap();
    write("query_concurrency_max: 1, query_points_max: 10000");
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display()), "--query.timeout=90s"]);
    let flag = async |name: &str| cairn.data("/api/v1/status/flags").await[name].as_str().unwrap().to_owned();
    let range = "/api/v1/query_range?query=vector(1)&start=0&end=10300&step=1";
    let status = async |path: &str| cairn.get(path).send().await.unwrap().status().as_u16();
    assert_eq!((status(range).await, flag("query.max-concurrency").await), (400, "1".to_owned()));
    let endless = || {
        let request = cairn.get(ENDLESS);
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    };
    let _first = endless();
    wait_for("the first", async || running(&cairn).await.pop()).await;
    let _second = endless();
    wait_for("one that waits", async || {
        let all = cairn.json("/api/cairn/v1/queries").await;
        all.as_array().unwrap().iter().any(|q| q["state"] == "waiting").then_some(())
    })
    .await;
    // A mistake changes nothing.
    write("query_concurrency_max: many");
    assert_eq!(cairn.post("/-/reload").send().await.unwrap().status(), 500);
    assert_eq!((status(range).await, flag("query.max-concurrency").await), (400, "1".to_owned()));
    // The one that waits runs now; the flag still wins.
    write("query_concurrency_max: 3, query_points_max: 11000, query_samples_max: 60000000, query_timeout: 9s");
    cairn.signal("HUP");
    wait_for("the second", async || (running(&cairn).await.len() == 2).then_some(())).await;
    assert_eq!(status(range).await, 200);
    let flags = [flag("query.max-concurrency").await, flag("query.max-samples").await, flag("query.timeout").await];
    assert_eq!(flags, ["3", "60000000", "1m30s"]);
    let metrics = cairn.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("prometheus_engine_queries_concurrent_max 3"), "{metrics}");
    write("query_result_bytes_max: 100");
    assert_eq!(cairn.post("/-/reload").send().await.unwrap().status(), 200);
    assert_eq!(status(range).await, 422);
}

#[tokio::test]
async fn a_message_names_the_limit_and_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let limits = "query_points_max: 100, query_samples_max: 1000, query_series_max: 5, query_result_bytes_max: 1000, \
                  query_timeout: 100ms";
    std::fs::write(&config, format!("cairn: {{limits: {{{limits}}}}}\n")).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    let now = cairn::clock::Clock::system().now_ms() / 1000 * 1000;
    let sent = cairn.post("/api/v1/write").body(body("m", 0..10, now, 1.0)).send().await.unwrap();
    assert_eq!(sent.status(), 204);
    let end = (now / 1000).to_string();
    let start = (now / 1000 - 90).to_string();
    for (query, step, status, words) in [
        ("1", "0.5", 400, "cairn.limits.query_points_max"),
        ("vector(1)[1d:1s]", "", 422, "--query.max-samples (cairn.limits.query_samples_max)"),
        ("m", "1", 422, "cairn.limits.query_series_max"),
        ("vector(1)", "1", 422, "cairn.limits.query_result_bytes_max"),
    ] {
        let path = if step.is_empty() { "/api/v1/query" } else { "/api/v1/query_range" };
        let form = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", step)];
        let (found, answer) = post(&cairn, path, &form).await;
        assert_eq!(found, status, "{query}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{query}: {answer}");
    }
    let (status, answer) = post(&cairn, "/api/v1/series", &[("match[]", "m")]).await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("query_series_max"), "{answer}");
    let flags = cairn.data("/api/v1/status/flags").await;
    assert_eq!((&flags["query.timeout"], &flags["query.max-samples"]), (&"100ms".into(), &"1000".into()));
}
