//! InstanceDown with a real exporter stopped and started again; a real receiver gets both messages.

use serde_json::Value;

use crate::support::{Cairn, Fake, Peer, Reply, free_port, peer, wait_for};

/// S2's rule with shorter times.
const RULES: &str = r#"groups:
- name: availability
  interval: 200ms
  rules:
  - alert: InstanceDown
    expr: up == 0
    for: 1s
    labels: {severity: critical}
    annotations:
      summary: '{{ $labels.instance }} of {{ $labels.job }} is down (up = {{ $value }})'
  - record: job:up:sum
    expr: sum by (job) (up)
"#;

const ROUTES: &str =
    "route: {receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: 'http://ADDRESS/hook', send_resolved: true}]}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instance_down_is_pending_firing_resolved_and_told() {
    let Some(program) = peer("prometheus-node-exporter") else { return };
    let dir = tempfile::tempdir().unwrap();
    let receiver = Fake::start(|_| Reply { status: 200, content_type: "text/plain", body: Vec::new() }).await;
    let port = free_port();
    let exporter = Peer::node_exporter(&program, dir.path(), port);
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("rules.yml", RULES.to_owned());
    write("alertmanager.yml", ROUTES.replace("ADDRESS", &receiver.address));
    write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nrule_files: [rules.yml]\ncairn: {{alertmanager_config_file: alertmanager.yml}}\nscrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        ),
    );
    let config = format!("--config.file={}", dir.path().join("prometheus.yml").display());
    let cairn = Cairn::start(dir.path(), &[&config]);
    wait_for("the exporter to be up", async || cairn.value("up == 1").await).await;
    wait_for("the recording rule", async || cairn.value("job:up:sum{job=\"node\"} == 1").await).await;
    let state =
        async || cairn.data("/api/v1/rules").await["groups"][0]["rules"][0]["state"].as_str().unwrap().to_owned();
    wait_for("inactive", async || (state().await == "inactive").then_some(())).await;

    drop(exporter);
    let mut seen = Vec::new();
    wait_for("firing", async || {
        let now = state().await;
        if seen.last() != Some(&now) {
            seen.push(now.clone());
        }
        (now == "firing").then_some(())
    })
    .await;
    assert!(seen.contains(&"pending".to_owned()), "went from inactive to firing without pending: {seen:?}");
    let alert = cairn.data("/api/v1/alerts").await["alerts"][0].take();
    assert_eq!(alert["labels"]["alertname"], "InstanceDown");
    assert_eq!(alert["annotations"]["summary"], format!("127.0.0.1:{port} of node is down (up = 0)"));

    let messages =
        || -> Vec<Value> { receiver.received().iter().map(|r| serde_json::from_slice(&r.body).unwrap()).collect() };
    let told = async |status: &str| {
        wait_for("the message", async || messages().into_iter().find(|m| m["status"] == status)).await
    };
    let firing = told("firing").await;
    assert_eq!(receiver.received()[0].headers["content-type"], "application/json");
    assert_eq!(firing["version"], "4");
    assert_eq!(firing["receiver"], "hook");
    assert_eq!(firing["groupLabels"]["alertname"], "InstanceDown");
    assert_eq!(firing["alerts"][0]["labels"]["severity"], "critical");
    assert_eq!(firing["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");

    let _again = Peer::node_exporter(&program, dir.path(), port);
    let resolved = told("resolved").await;
    assert_eq!(resolved["alerts"][0]["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["fingerprint"], firing["alerts"][0]["fingerprint"]);
    wait_for("inactive again", async || (state().await == "inactive").then_some(())).await;
    assert_eq!(cairn.query("ALERTS").await.as_array().unwrap().len(), 0);
}
