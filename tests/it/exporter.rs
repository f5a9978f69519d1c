//! A real node_exporter is scraped, Cairn is killed in between, and every sample is what the exporter said.
//!
//! Between the two stands a recording proxy of the test. A stored scrape is paired with the page it came from by
//! `node_time_seconds`, which no two pages share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::{Cairn, Fake, Peer, Reply, free_port, http, peer, wait_for};

/// Series text -> value text, of one page.
type Page = BTreeMap<String, f64>;

/// An obvious parser for a page without timestamps: everything before the last blank is the series.
fn parse(page: &str) -> Page {
    let lines = page.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|l| l.rsplit_once(' ').unwrap())
        .map(|(series, value)| (canonical(series), value.parse().unwrap()))
        .collect()
}

/// The labels sorted, empty ones left out; values of node_exporter hold no `",` inside.
fn canonical(series: &str) -> String {
    let Some((name, rest)) = series.split_once('{') else { return series.to_owned() };
    let mut labels: Vec<&str> =
        rest.trim_end_matches('}').split_inclusive("\",").map(|l| l.trim_end_matches(',')).collect();
    labels.retain(|l| !l.ends_with("=\"\""));
    labels.sort_unstable();
    // Bounds and quantiles are stored as Prometheus 3 spells them.
    let labels: Vec<String> = labels.iter().map(|label| spelled(label)).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// `quantile="1"` is stored as `quantile="1.0"`.
fn spelled(label: &str) -> String {
    let bound = label.strip_prefix("quantile=\"").or(label.strip_prefix("le=\"")).and_then(|v| v.strip_suffix('"'));
    match bound {
        Some(bound) if bound.bytes().all(|b| b.is_ascii_digit()) => label.replace(bound, &format!("{bound}.0")),
        _ => label.to_owned(),
    }
}

fn text_of(metric: &serde_json::Value) -> String {
    let labels =
        metric.as_object().unwrap().iter().filter(|(n, _)| !matches!(n.as_str(), "__name__" | "job" | "instance"));
    let labels: Vec<String> = labels
        .map(|(n, v)| {
            format!("{n}=\"{}\"", v.as_str().unwrap().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
        .collect();
    let name = metric["__name__"].as_str().unwrap();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_is_what_the_exporter_said_across_a_kill() {
    let Some(program) = peer("prometheus-node-exporter") else { return };
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _exporter = Peer::node_exporter(&program, dir.path(), port);
    let client = http();
    let page = move || {
        let (client, url) = (client.clone(), format!("http://127.0.0.1:{port}/metrics"));
        async move { client.get(url).send().await.ok()?.text().await.ok() }
    };
    wait_for("node_exporter", async || page().await).await;

    let pages = Arc::new(Mutex::new(Vec::<Page>::new()));
    let recorded = pages.clone();
    let runtime = tokio::runtime::Handle::current();
    let proxy = Fake::start(move |_| {
        let text = tokio::task::block_in_place(|| runtime.block_on(page())).unwrap();
        recorded.lock().unwrap().push(parse(&text));
        Reply::text(text)
    })
    .await;
    let config = dir.path().join("prometheus.yml");
    let yaml = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['{}']}}]\n",
        proxy.address
    );
    std::fs::write(&config, yaml).unwrap();
    let args = [format!("--config.file={}", config.display())];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();

    let scrapes = "count_over_time(node_time_seconds[1h])";
    let before = Cairn::start(dir.path(), &args);
    wait_for("eight scrapes", async || before.value(scrapes).await.filter(|&n| n >= 8.0)).await;
    let stored_before = before.value(scrapes).await.unwrap();
    before.kill();

    let after = Cairn::start(dir.path(), &args);
    let enough = stored_before + 8.0;
    wait_for("eight more scrapes", async || after.value(scrapes).await.filter(|&n| n >= enough)).await;
    let rate = after.value(r#"sum(rate(node_cpu_seconds_total[1m]))"#).await.unwrap();
    assert!(rate > 0.1, "the machine's processors spend {rate} seconds a second");
    assert_eq!(after.value("up").await, Some(1.0));

    // All raw samples, by time.
    let mut stored: BTreeMap<i64, Page> = BTreeMap::new();
    for series in
        after.query(r#"{job="node",__name__=~"node_.*|go_.*|process_.*|promhttp_.*"}[1h]"#).await.as_array().unwrap()
    {
        let name = text_of(&series["metric"]);
        for sample in series["values"].as_array().unwrap() {
            let t = (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
            let value = sample[1].as_str().unwrap().replace("Inf", "inf").parse().unwrap();
            assert!(stored.entry(t).or_default().insert(name.clone(), value).is_none(), "{name} twice at {t}");
        }
    }
    let pages = pages.lock().unwrap().clone();
    let time = |page: &Page| page["node_time_seconds"];
    let mut compared = 0;
    for (t, got) in &stored {
        let said = pages
            .iter()
            .find(|page| time(page) == time(got))
            .unwrap_or_else(|| panic!("nobody said what is stored at {t}"));
        assert_eq!(said.len(), got.len(), "at {t}");
        for (series, value) in said {
            let stored = got.get(series).unwrap_or_else(|| panic!("{series} is missing at {t}"));
            assert!(
                stored == value || (stored.is_nan() && value.is_nan()),
                "{series} at {t}: said {value}, stored {stored}"
            );
            compared += 1;
        }
    }
    // A page may be under way when the process is killed or when this test reads: one at each end.
    assert!(stored.len() + 2 >= pages.len(), "{} of {} pages are stored", stored.len(), pages.len());
    println!("compared {compared} samples of {} scrapes", stored.len());
}
