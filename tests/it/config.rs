//! Configuration: what is wrong is refused with its place; a reload takes what is right and keeps the old where it is wrong.

use crate::support::{Cairn, Fake, Reply, wait_for};

#[tokio::test]
async fn a_wrong_key_stops_the_start_with_file_line_column_and_the_right_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    for (yaml, parts) in [
        (
            "global:\n  scrape_intervall: 5s\n",
            vec!["prometheus.yml:2:3", "scrape_intervall", "did you mean \"scrape_interval\""],
        ),
        ("remote_read:\n- url: http://x\n", vec!["prometheus.yml:1:1", "remote_read", "not supported yet"]),
        (
            "global: {scrape_interval: 5s, scrape_timeout: 10s}\nscrape_configs:\n- {job_name: x, scrape_timeout: 10s}\n",
            vec!["prometheus.yml:", "timeout greater than scrape interval"],
        ),
    ] {
        std::fs::write(&config, yaml).unwrap();
        let log = Cairn::try_start(dir.path(), &[&format!("--config.file={}", config.display())]).err().expect(yaml);
        for part in parts {
            assert!(log.contains(part) || log.contains(&part.replace('"', "\\\"")), "{yaml:?}: no {part:?} in {log}");
        }
        std::fs::remove_file(dir.path().join("cairn.log")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_by_request_and_by_signal() {
    let dir = tempfile::tempdir().unwrap();
    let exporter = Fake::start(|_| Reply::text("x 1\n")).await;
    let config = dir.path().join("prometheus.yml");
    let yaml = |job: &str| {
        format!(
            "scrape_configs:\n- job_name: {job}\n  scrape_interval: 200ms\n  static_configs: [{{targets: ['{}']}}]\n",
            exporter.address
        )
    };
    std::fs::write(&config, yaml("one")).unwrap();
    let cairn = Cairn::start(dir.path(), &[&format!("--config.file={}", config.display())]);
    wait_for("job one", async || cairn.value("x{job=\"one\"}").await).await;

    std::fs::write(&config, "scrape_configs:\n- job_nam: two\n").unwrap();
    let refused = cairn.post("/-/reload").send().await.unwrap();
    assert_eq!(refused.status(), 500);
    let words = refused.text().await.unwrap();
    assert!(words.contains("prometheus.yml:2:3") && words.contains("job_name"), "{words}");
    assert_eq!(cairn.data("/api/v1/status/runtimeinfo").await["reloadConfigSuccess"], false);
    let metrics = cairn.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("prometheus_config_last_reload_successful 0"), "{metrics}");
    assert_eq!(cairn.data("/api/v1/targets").await["activeTargets"][0]["scrapePool"], "one");

    std::fs::write(&config, yaml("two")).unwrap();
    assert_eq!(cairn.post("/-/reload").send().await.unwrap().status(), 200);
    wait_for("job two", async || cairn.value("x{job=\"two\"}").await).await;
    // The series of a target that is gone ends at once.
    wait_for("job one to go", async || cairn.value("x{job=\"one\"}").await.is_none().then_some(())).await;

    std::fs::write(&config, yaml("three")).unwrap();
    cairn.signal("HUP");
    wait_for("job three", async || cairn.value("x{job=\"three\"}").await).await;
    assert_eq!(cairn.data("/api/v1/status/runtimeinfo").await["reloadConfigSuccess"], true);
    let shown = cairn.data("/api/v1/status/config").await;
    assert!(shown["yaml"].as_str().unwrap().contains("job_name: three"), "{shown}");
}
