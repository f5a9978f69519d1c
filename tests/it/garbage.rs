//! Garbage from an exporter: its target is down with a message that names line and byte, and the process stays up.

use std::sync::{Arc, Mutex};

use crate::support::{Cairn, Fake, Reply, wait_for};

/// Name, content type, body, and what the message must hold.
#[rustfmt::skip]
const KINDS: &[(&str, &str, &[u8], &str)] = &[
    ("bad escape", TEXT, b"a{x=\"\\q\"} 1\n", "line 1"),
    ("duplicate series", TEXT, b"ok 1\na{x=\"1\"} 1\na{x=\"1\"} 2\n", "line 3"),
    ("duplicate label", TEXT, b"a{x=\"1\",x=\"2\"} 1\n", "line 1"),
    ("NaN misspelt", TEXT, b"a 1\nb Nano\n", "line 2"),
    ("infinity misspelt", TEXT, b"a ++Inf\n", "line 1"),
    ("no value", TEXT, b"a\n", "line 1"),
    ("not a number", TEXT, b"ok 1\nok2 2\na 1x\n", "line 3"),
    ("text after the value", TEXT, b"a 1 2 3\n", "line 1"),
    ("bad timestamp", TEXT, b"a 1 x\n", "line 1"),
    ("no closing brace", TEXT, b"a{x=\"1\" 1\n", "line 1"),
    ("no closing quote", TEXT, b"a{x=\"1} 1\n", "line 1"),
    ("unquoted value", TEXT, b"a{x=1} 1\n", "line 1"),
    ("no label name", TEXT, b"a{=\"1\"} 1\n", "line 1"),
    ("metric name begins with a digit", TEXT, b"9a 1\n", "line 1"),
    ("invalid UTF-8", TEXT, b"ok 1\na{x=\"\xff\"} 1\n", "line 2"),
    ("NUL byte", TEXT, b"a\0b 1\n", "line 1"),
    ("wrong type", TEXT, b"# TYPE a banana\na 1\n", "line 1"),
    ("missing EOF", OPENMETRICS, b"# TYPE a gauge\na 1\n", "EOF"),
    ("text after EOF", OPENMETRICS, b"a 1\n# EOF\nb 2\n", "line 3"),
    ("blank line in OpenMetrics", OPENMETRICS, b"a 1\n\n# EOF\n", "line 2"),
    ("a web page", "text/html", b"<!doctype html><html></html>\n", "web page"),
];
const TEXT: &str = "text/plain; version=0.0.4";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_leaves_the_target_down_with_its_place_and_the_process_up() {
    let dir = tempfile::tempdir().unwrap();
    let huge = {
        let mut line = b"ok 1\na{x=\"".to_vec();
        line.resize(3 << 20, b'x');
        line.extend(b"\"} 1x\n");
        line
    };
    let mut kinds: Vec<(&str, &'static str, Vec<u8>, &str)> =
        KINDS.iter().map(|&(n, c, b, m)| (n, c, b.to_vec(), m)).collect();
    kinds.push(("huge line", TEXT, huge, "line 2"));
    let bodies = Arc::new(kinds.iter().map(|k| (k.1, k.2.clone())).collect::<Vec<_>>());
    let exporter = Fake::start(move |request| {
        let index: usize = request.path.trim_start_matches("/kind/").parse().unwrap();
        let (content_type, body) = bodies[index].clone();
        Reply { status: 200, content_type, body }
    })
    .await;
    let config = dir.path().join("prometheus.yml");
    let mut yaml = "global: {scrape_interval: 3s, scrape_timeout: 3s}\nscrape_configs:\n".to_owned();
    for index in 0..kinds.len() {
        yaml += &format!(
            "- job_name: kind-{index}\n  metrics_path: /kind/{index}\n  static_configs: [{{targets: ['{}']}}]\n",
            exporter.address
        );
    }
    std::fs::write(&config, yaml).unwrap();
    let mut cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    let targets = wait_for("every target's first scrape", async || {
        let targets = cairn.data("/api/v1/targets").await["activeTargets"].take();
        let all = targets.as_array().unwrap().clone();
        (all.len() == kinds.len() && all.iter().all(|t| t["health"] != "unknown")).then_some(all)
    })
    .await;
    for (index, (name, _, _, place)) in kinds.iter().enumerate() {
        let target = targets.iter().find(|t| t["scrapePool"] == format!("kind-{index}")).unwrap();
        let error = target["lastError"].as_str().unwrap();
        println!("{name}: {error}");
        assert_eq!(target["health"], "down", "{name}: {target}");
        assert!(error.contains(place), "{name}: {error:?} does not say {place:?}");
        if place.starts_with("line") {
            assert!(error.contains("byte"), "{name}: {error:?} does not say the byte");
        }
        assert!(error.len() < 1000, "{name}: a message of {} bytes", error.len());
    }
    assert_eq!(cairn.value("sum(up)").await, Some(0.0));
    assert_eq!(cairn.value("count(up)").await, Some(kinds.len() as f64));
    assert!(cairn.is_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_recovers_is_up_again_and_what_vanished_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let body = Arc::new(Mutex::new("a 1\nb 2\n".to_owned()));
    let served = body.clone();
    let exporter = Fake::start(move |_| Reply::text(served.lock().unwrap().clone())).await;
    let config = dir.path().join("prometheus.yml");
    let yaml = format!(
        "scrape_configs:\n- job_name: j\n  scrape_interval: 200ms\n  static_configs: [{{targets: ['{}']}}]\n",
        exporter.address
    );
    std::fs::write(&config, yaml).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    wait_for("a", async || cairn.value("a").await).await;
    *body.lock().unwrap() = "b 2\n".to_owned();
    wait_for("a to go", async || cairn.value("a").await.is_none().then_some(())).await;
    assert_eq!(cairn.value("b").await, Some(2.0));
    *body.lock().unwrap() = "b two\n".to_owned();
    wait_for("the target to be down", async || cairn.value("up == 0").await).await;
    assert_eq!(cairn.value("b").await, None);
    *body.lock().unwrap() = "b 3\n".to_owned();
    wait_for("the target to be up", async || cairn.value("up == 1").await).await;
    assert_eq!(cairn.value("b").await, Some(3.0));
}
