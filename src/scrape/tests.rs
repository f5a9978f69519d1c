//! Loops against real sockets on the loopback, under a clock that is turned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::manager::{LocalTarget, ScrapeManager};
use super::status::{ActiveTarget, External, Health};
use super::testing::{Answer, DbSink, Exporter, gzip, scrape_config};
use crate::clock::Clock;
use crate::config::{ScrapeConfig, Secret, StaticConfig};
use crate::exposition::Kind;
use crate::telemetry::Registry;

const INTERVAL: Duration = Duration::from_secs(15);

struct Site {
    clock: Clock,
    sink: Arc<DbSink>,
    registry: Registry,
    manager: ScrapeManager,
}

impl Site {
    fn new() -> Self {
        let clock = Clock::manual(1_000_000_000);
        let sink = DbSink::new(clock.clone());
        let registry = Registry::new();
        let manager = ScrapeManager::new(clock.clone(), &registry, sink.clone(), External::default(), 7);
        Site { clock, sink, registry, manager }
    }

    /// The only target.
    fn target(&self) -> ActiveTarget {
        let targets = self.manager.targets().active;
        assert_eq!(targets.len(), 1);
        targets[0].clone()
    }

    /// Turns the clock by one interval and waits until every target was scraped once more.
    async fn step(&self) {
        let times = || self.manager.targets().active.iter().map(|t| t.last_scrape_ms).collect::<Vec<_>>();
        settle().await;
        let before = times();
        self.clock.advance(INTERVAL);
        until(|| times().iter().zip(&before).all(|(now, before)| now > before)).await;
    }

    /// Scrapes once; the target must be down, and the message must hold `part`.
    #[track_caller]
    fn check_down(&self, part: &str) {
        let target = self.target();
        assert_eq!(target.health, Health::Down);
        assert!(target.last_error.contains(part), "{}", target.last_error);
    }

    fn samples(&self, name: &str) -> Vec<String> {
        self.sink
            .samples(&[("__name__", name)])
            .split(' ')
            .map(|s| s.split('=').nth(1).unwrap_or("").to_owned())
            .collect()
    }
}

/// Lets all tasks reach what they wait for.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the condition holds within 20 s");
}

fn job(name: &str, addresses: &[&str]) -> ScrapeConfig {
    let targets = addresses.iter().map(|&a| a.to_owned()).collect();
    ScrapeConfig { static_configs: vec![StaticConfig { targets, labels: BTreeMap::new() }], ..scrape_config(name) }
}

/// One target that answers so, scraped once.
async fn scraped_once(change: impl FnOnce(&mut ScrapeConfig), answer: Answer) -> (Site, Exporter) {
    let exporter = Exporter::start(answer).await;
    let site = Site::new();
    let mut config = job("j", &[&exporter.address]);
    change(&mut config);
    site.manager.apply(&[config], &[]);
    site.step().await;
    (site, exporter)
}

#[tokio::test]
async fn a_target_goes_up_and_down() {
    let (site, exporter) = scraped_once(|_| {}, Answer::text("# TYPE a gauge\na 1\nb{x=\"y\"} 2\n")).await;
    let target = site.target();
    assert_eq!((target.health, target.last_error.as_str(), target.last_samples), (Health::Up, "", 2));
    assert_eq!(target.scrape_url, format!("http://{}/metrics", exporter.address));
    let first = target.last_scrape_ms.unwrap();
    exporter.set(Answer::text("a 2\n"));
    site.step().await;
    exporter.set(Answer::text("a 3\nb{x=\"y} 4\n"));
    site.step().await;
    site.check_down("line 2, byte 10 (byte 13 of the body): expected a closing '\"'");
    exporter.set(Answer::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()));
    site.step().await;
    site.check_down("server returned HTTP status 503 Service Unavailable");
    exporter.set(Answer::text("a 5\n"));
    site.step().await;
    site.manager.stop().await;

    assert_eq!(site.samples("up"), ["1", "1", "0", "0", "1"]);
    assert_eq!(site.samples("scrape_samples_scraped"), ["2", "1", "1", "0", "1"]);
    assert_eq!(site.samples("scrape_samples_post_metric_relabeling"), ["2", "1", "1", "0", "1"]);
    assert_eq!(site.samples("scrape_series_added"), ["2", "0", "0", "0", "0"]);
    assert_eq!(site.samples("scrape_duration_seconds").len(), 5);
    let times: Vec<i64> = (0..5).map(|n| first + n * 15_000).collect();
    let expected = format!("{}=1 {}=2 {}=stale {}=5", times[0], times[1], times[2], times[4]);
    assert_eq!(site.sink.samples(&[("__name__", "a"), ("instance", &exporter.address), ("job", "j")]), expected);
    assert_eq!(site.sink.samples(&[("__name__", "b"), ("x", "y")]), format!("{}=2 {}=stale", times[0], times[1]));
    assert!(site.registry.render().contains("prometheus_target_interval_length_seconds_count{interval=\"15s\"} 4"));
}

#[tokio::test]
async fn times_lie_on_the_grid_and_do_not_drift() {
    let (site, _exporter) = scraped_once(|_| {}, Answer::text("m 1\n")).await;
    let time = || site.target().last_scrape_ms.unwrap();
    let first = time();
    while time() == first {
        site.clock.advance(Duration::from_millis(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    let tick = site.target().last_scrape_ms.unwrap();
    let lag = site.clock.now_ms() - tick;
    let advance_to = async |t: i64| {
        settle().await;
        let before = time();
        site.clock.set(t);
        until(|| time() > before).await;
        time() - tick
    };
    assert!(tick <= first + 15_000 && lag < 1_000);
    assert_eq!(advance_to(tick + 15_002).await, 15_000, "within the tolerance: the tick's time");
    assert_eq!(advance_to(tick + 30_005).await, 30_005, "beyond it: the real time");
    assert_eq!(advance_to(tick + 45_000).await, 45_000, "the next tick is where it was");
    assert_eq!(advance_to(tick + 100_000).await, 100_000, "ticks that passed are left out");
    assert_eq!(advance_to(tick + 105_001).await, 105_000);
    site.manager.stop().await;
}

#[tokio::test]
async fn garbage_leaves_the_target_down_and_the_process_up() {
    let long_line = format!("m{{a=\"{}\"}} 1\n", "x".repeat(1 << 20));
    let cases: &[(&[u8], &str)] = &[
        (b"ok 1\nm{a=\"\\x\"} 1\n", "line 2, byte 7"),
        (b"m{a=\"b} 1\n", "line 1, byte 10"),
        (b"m{a=\"b\" 1\n", "line 1, byte 9"),
        (b"m{a=b} 1\n", "line 1, byte 5"),
        (b"m{a} 1\n", "line 1, byte 4"),
        (b"m{a=\"1\",a=\"2\"} 1\n", "line 1, byte 9"),
        (b"m{1a=\"b\"} 1\n", "line 1, byte 3"),
        (b"{a=\"b\"} 1\n", "line 1, byte 1"),
        (b"9m 1\n", "line 1, byte 1"),
        (b"my-metric 1\n", "line 1, byte 3"),
        (b"<html>\n", "line 1, byte 1"),
        (b"m\n", "line 1, byte 2"),
        (b"m one\n", "line 1, byte 3"),
        (b"m NaNs\n", "line 1, byte 3"),
        (b"m -nan\n", "line 1, byte 3"),
        (b"m 0x1p3\n", "line 1, byte 3"),
        (b"m 1e999\n", "line 1, byte 3"),
        (b"m 1 1.5\n", "line 1, byte 5"),
        (b"m 1 2 3\n", "line 1, byte 7"),
        (b"m 1\r\n", "line 1, byte 3"),
        (b"# TYPE m wrong\n", "line 1, byte 10"),
        (b"a 1\nb 1\na 2\n", "line 3, byte 1"),
        (b"a 1\nm{a=\"\xff\"} 1\n", "line 2, byte 6"),
        (b"m\0 1\n", "line 1, byte 2"),
        (long_line.as_bytes(), "line 1, byte 1048577"),
    ];
    let (site, exporter) = scraped_once(|_| {}, Answer::text("fine 1\n")).await;
    for (body, place) in cases {
        exporter.set(Answer::page("", body));
        site.step().await;
        site.check_down(place);
    }
    for (body, place) in
        [("m 1\n", "line 2, byte 1"), ("m 1\n# EOF\nm 2\n", "line 3, byte 1"), ("\n# EOF\n", "line 1, byte 1")]
    {
        exporter.set(Answer::page("Content-Type: application/openmetrics-text\r\n", body.as_bytes()));
        site.step().await;
        site.check_down(place);
    }
    exporter.set(Answer::text("fine 2\n"));
    site.step().await;
    assert_eq!(site.samples("fine"), ["1", "stale", "2"]);
    let names = site.sink.db.label_values("__name__", &[], storage::TimeRange::ALL).unwrap();
    assert_eq!(names.len(), 6, "nothing of a bad page is stored: {names:?}");
    site.manager.stop().await;
}

#[tokio::test]
async fn answers_are_understood_by_their_headers() {
    let open_metrics = "Content-Type: application/openmetrics-text; version=1.0.0\r\n";
    let (site, exporter) = scraped_once(|_| {}, Answer::page(open_metrics, b"a_total 1 1000000.5\n# EOF\n")).await;
    assert_eq!(site.target().health, Health::Up, "{}", site.target().last_error);
    assert_eq!(site.sink.samples(&[("__name__", "a_total")]), "1000000500=1");
    exporter.set(Answer::page("Content-Encoding: gzip\r\n", &gzip(b"b 1\n")));
    site.step().await;
    assert_eq!(site.samples("b"), ["1"]);
    exporter.set(Answer::page(open_metrics, b"a_total 1\n"));
    site.step().await;
    site.check_down("line 2, byte 1 (byte 10 of the body): expected \"# EOF\"");
    exporter.set(Answer::page("Content-Type: text/html\r\n", b"<html>"));
    site.step().await;
    site.check_down("web page");
    exporter.set(Answer::text(""));
    site.step().await;
    assert_eq!(site.target().health, Health::Up);
    site.manager.stop().await;
}

#[tokio::test]
async fn requests_say_who_asks_and_what_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let token = Secret::File(file.clone());
    let (site, exporter) =
        scraped_once(|c| c.http.authorization = Some(("Bearer".to_owned(), token)), Answer::text("")).await;
    std::fs::write(&file, "two\n").unwrap();
    site.step().await;
    std::fs::remove_file(&file).unwrap();
    site.step().await;
    site.check_down("unable to read file");
    let requests = exporter.requests();
    let version = env!("CARGO_PKG_VERSION");
    for part in [
        "get /metrics http/1.1",
        &format!("user-agent: cairn/{version}"),
        "accept-encoding: gzip",
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,",
        "x-prometheus-scrape-timeout-seconds: 10\r\n",
        "authorization: bearer one\r\n",
    ] {
        assert!(requests[0].contains(part), "{part}: {}", requests[0]);
    }
    assert!(requests[1].contains("authorization: bearer two"), "{}", requests[1]);
    assert_eq!(requests.len(), 2);
    site.manager.stop().await;
}

#[tokio::test]
async fn basic_auth_and_parameters_are_sent() {
    let change = |c: &mut ScrapeConfig| {
        c.http.basic_auth = Some(("user".to_owned(), Secret::Inline("secret".to_owned())));
        c.metrics_path = "/probe".to_owned();
        c.params.insert("module".to_owned(), vec!["http 2xx".to_owned()]);
    };
    let (site, exporter) = scraped_once(change, Answer::text("a 1\n")).await;
    let request = exporter.requests().remove(0);
    assert!(request.contains("get /probe?module=http+2xx http/1.1"), "{request}");
    assert!(request.contains("authorization: basic dxnlcjpzzwnyzxq="), "{request}");
    site.manager.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_unless_refused() {
    let goal = Exporter::start(Answer::text("a 1\n")).await;
    let away = format!("HTTP/1.1 302 Found\r\nLocation: http://{}/x\r\nContent-Length: 0\r\n\r\n", goal.address);
    let (site, _exporter) = scraped_once(|_| {}, Answer::Bytes(away.clone().into_bytes())).await;
    assert_eq!(site.target().health, Health::Up);
    site.manager.stop().await;
    let (site, _exporter) = scraped_once(|c| c.http.refuse_redirects = true, Answer::Bytes(away.into_bytes())).await;
    site.check_down("HTTP status 302 Found");
    site.manager.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let bomb = gzip(&vec![b'#'; 16 << 20]);
    let answer = Answer::page("Content-Encoding: gzip\r\n", &bomb);
    let (site, exporter) = scraped_once(|c| c.limits.body_bytes = 1 << 20, answer).await;
    site.check_down("body size limit exceeded: the page is larger than 1048576 bytes (body_size_limit)");
    // No length, no end: cut at the limit.
    let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'#'; 2 << 20]].concat();
    exporter.set(Answer::Stall(endless));
    site.step().await;
    site.check_down("body size limit exceeded");
    exporter.set(Answer::text("a 1\n"));
    site.step().await;
    assert_eq!(site.target().health, Health::Up);
    assert!(site.registry.render().contains("prometheus_target_scrapes_exceeded_body_size_limit_total 2"));
    site.manager.stop().await;
}

#[tokio::test]
async fn slow_answers_time_out() {
    let part_of_a_page = Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n".to_vec());
    let (site, exporter) = scraped_once(|c| c.scrape_timeout = Duration::from_millis(60), part_of_a_page).await;
    site.check_down("context deadline exceeded: no complete answer within the scrape timeout of 60ms");
    exporter.set(Answer::Stall(Vec::new()));
    site.step().await;
    site.check_down("context deadline exceeded");
    exporter.set(Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n".to_vec()));
    site.step().await;
    site.check_down("Get \"http://127.0.0.1:");
    assert_eq!(site.samples("up"), ["0", "0", "0"]);
    assert_eq!(site.samples("a"), [""]);
    site.manager.stop().await;
}

#[tokio::test]
async fn nobody_listening_is_said_plainly() {
    let exporter = Exporter::start(Answer::text("")).await;
    let address = exporter.address.clone();
    drop(exporter);
    settle().await;
    let site = Site::new();
    site.manager.apply(&[job("j", &[&address])], &[]);
    site.step().await;
    site.check_down(&format!("Get \"http://{address}/metrics\": dial tcp {address}: connect: connection refused"));
    site.manager.stop().await;
}

#[tokio::test]
async fn a_reload_leaves_unchanged_targets_alone() {
    let (one, two) = (Exporter::start(Answer::text("m 1\n")).await, Exporter::start(Answer::text("m 2\n")).await);
    let site = Site::new();
    site.manager.apply(&[job("j", &[&one.address])], &[]);
    site.step().await;
    site.manager.apply(&[job("j", &[&one.address, &two.address])], &[]);
    site.step().await;
    let added = |e: &Exporter| site.sink.samples(&[("__name__", "scrape_series_added"), ("instance", &e.address)]);
    assert!(added(&one).ends_with("=0") && added(&two).ends_with("=1"), "{} {}", added(&one), added(&two));

    // Other rules: a new loop, on the same grid; what it does not store any more ends.
    let mut changed = job("j", &[&one.address]);
    changed.honor_labels = true;
    changed.metric_relabel_configs = vec![crate::config::RelabelConfig {
        source_labels: Vec::new(),
        separator: ";".to_owned(),
        target_label: "new".to_owned(),
        regex: storage::full_match_regex("(.*)").unwrap(),
        modulus: 0,
        replacement: "1".to_owned(),
        action: crate::config::RelabelAction::Replace,
    }];
    let before = site.manager.targets().active.into_iter().find(|t| t.scrape_url.contains(&one.address)).unwrap();
    site.manager.apply(&[changed], &[]);
    assert_eq!(site.target().health, Health::Up, "a reload does not blank the page");
    site.step().await;
    let t = site.target().last_scrape_ms.unwrap();
    assert_eq!(t, before.last_scrape_ms.unwrap() + 15_000);
    let old =
        site.sink.db.select(&[storage::Matcher::equal("instance", one.address.as_str())], storage::TimeRange::ALL);
    let old: Vec<String> = old.unwrap().series.iter().map(|s| s.labels().metric_name().to_owned()).collect();
    assert_eq!(old.iter().filter(|n| *n == "m").count(), 2);
    assert_eq!(site.sink.samples(&[("__name__", "m"), ("new", "1")]), format!("{t}=1"));
    let ended = site.sink.samples(&[("__name__", "m"), ("instance", &one.address), ("new", "")]);
    assert!(ended.ends_with(&format!("{t}=stale")), "{ended}");
    let up = site.sink.samples(&[("__name__", "up"), ("instance", &one.address)]);
    assert!(!up.contains("stale") && up.ends_with(&format!("{t}=1")), "{up}");
    site.manager.stop().await;
}

#[tokio::test]
async fn a_removed_targets_series_end() {
    let exporter = Exporter::start(Answer::text("m 1\n")).await;
    let site = Site::new();
    site.manager.apply(&[job("j", &[&exporter.address])], &[]);
    site.step().await;
    let last = site.target().last_scrape_ms.unwrap();
    site.manager.apply(&[], &[]);
    assert!(site.manager.targets().active.is_empty() && site.manager.pools().is_empty());
    settle().await;
    assert!(!site.sink.samples(&[("__name__", "m")]).contains("stale"));
    site.clock.advance(INTERVAL);
    until(|| site.sink.samples(&[("__name__", "up")]).contains("stale")).await;
    for name in ["m", "up", "scrape_duration_seconds", "scrape_series_added"] {
        let samples = site.sink.samples(&[("__name__", name)]);
        let (_, end) = samples.split_once(' ').unwrap();
        let t: i64 = end.strip_suffix("=stale").unwrap().parse().unwrap();
        assert!(last < t && t <= last + 15_000, "{name}: {samples}");
    }
    assert!(!site.registry.render().contains("prometheus_target_scrape_pool_targets{"));
    site.manager.stop().await;
}

#[tokio::test]
async fn a_target_that_comes_back_in_time_does_not_end() {
    let exporter = Exporter::start(Answer::text("m 1\n")).await;
    let site = Site::new();
    let config = job("j", &[&exporter.address]);
    site.manager.apply(std::slice::from_ref(&config), &[]);
    site.step().await;
    site.manager.apply(&[], &[]);
    settle().await;
    site.manager.apply(&[config], &[]);
    site.step().await;
    site.step().await;
    let samples = site.sink.samples(&[("__name__", "m")]);
    assert!(!samples.contains("stale") && samples.split(' ').count() == 3, "{samples}");
    site.manager.stop().await;
}

#[tokio::test]
async fn stopping_leaves_no_markers() {
    let (site, _exporter) = scraped_once(|_| {}, Answer::text("m 1\n")).await;
    site.manager.stop().await;
    site.clock.advance(INTERVAL * 3);
    settle().await;
    assert_eq!(site.samples("m"), ["1"]);
    assert_eq!(site.samples("up"), ["1"]);
    site.manager.apply(&[job("k", &["127.0.0.1:1"])], &[]);
    assert_eq!(site.manager.pools(), ["j"]);
}

#[tokio::test]
async fn a_local_collector_is_a_target() {
    let runs = Arc::new(AtomicU32::new(0));
    let render = {
        let runs = runs.clone();
        Arc::new(move |text: &mut String| match runs.fetch_add(1, Ordering::SeqCst) {
            0 => {
                text.push_str("# TYPE a gauge\na 1\n# EOF\n");
                Ok(())
            }
            1 => Err("no /proc".to_owned()),
            2 => panic!("a collector that panics"),
            _ => {
                text.push_str("a 4\n");
                Ok(())
            }
        })
    };
    let labels = BTreeMap::from([("instance".to_owned(), "localhost:9100".to_owned())]);
    let local =
        LocalTarget { job_name: "node".to_owned(), name: "host".to_owned(), labels, interval: INTERVAL, render };
    let site = Site::new();
    site.manager.apply(&[], std::slice::from_ref(&local));
    site.step().await;
    assert_eq!(site.target().scrape_url, "builtin://host");
    assert_eq!(site.target().labels.to_string(), r#"{instance="localhost:9100", job="node"}"#);
    site.manager.apply(&[], &[local]);
    site.step().await;
    site.check_down("the built-in collector failed: no /proc");
    site.step().await;
    site.check_down("panic");
    site.step().await;
    assert_eq!(site.samples("a"), ["1", "stale", "4"]);
    assert_eq!(site.samples("up"), ["1", "0", "0", "1"]);
    site.manager.stop().await;
}

#[tokio::test]
async fn too_many_targets_are_all_refused() {
    let exporter = Exporter::start(Answer::text("m 1\n")).await;
    let site = Site::new();
    let mut config = job("j", &[&exporter.address, "localhost:1"]);
    config.limits.targets = 1;
    site.manager.apply(&[config.clone()], &[]);
    site.step().await;
    for target in site.manager.targets().active {
        assert_eq!(target.last_error, "target_limit exceeded (number of targets: 2, limit: 1)");
    }
    assert!(exporter.requests().is_empty());
    config.static_configs[0].targets.pop();
    site.manager.apply(&[config], &[]);
    site.step().await;
    assert_eq!(site.target().health, Health::Up);
    site.manager.stop().await;
}

#[tokio::test]
async fn families_are_told_to_the_sink_and_kept() {
    let (site, exporter) = scraped_once(|_| {}, Answer::text("# HELP a Says a.\n# TYPE a counter\na 1\n")).await;
    site.step().await;
    exporter.set(Answer::text("# TYPE a gauge\na 1\n"));
    site.step().await;
    let observed: Vec<Kind> = site.sink.observed.lock().unwrap().iter().map(|f| f.kind).collect();
    assert_eq!(observed, [Kind::Counter, Kind::Gauge]);
    let metadata = site.manager.metadata();
    assert_eq!((metadata.len(), metadata[0].families.len()), (1, 1));
    assert_eq!(metadata[0].families[0].help, "Says a.");
    site.manager.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_shows_on_the_targets_page() {
    let (site, _exporter) = scraped_once(|_| {}, Answer::text("m 1\n")).await;
    *site.sink.failure.lock().unwrap() = Some("no space left".to_owned());
    site.step().await;
    site.check_down("the samples could not be stored: no space left");
    *site.sink.failure.lock().unwrap() = None;
    site.step().await;
    assert_eq!(site.samples("m"), ["1", "1"]);
    assert!(site.registry.render().contains("cairn_target_scrapes_append_failed_total 1"));
    site.manager.stop().await;
}

#[tokio::test]
async fn a_large_page_is_read_like_a_small_one() {
    let page = |n: usize| (0..n).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect::<String>();
    let (site, exporter) = scraped_once(|_| {}, Answer::text(&page(20_000))).await;
    assert!(page(20_000).len() > 256 << 10);
    exporter.set(Answer::text(&page(19_999)));
    site.step().await;
    site.manager.stop().await;
    assert_eq!(site.samples("scrape_series_added"), ["20000", "0"]);
    let last: Vec<String> = site
        .sink
        .samples(&[("__name__", "m"), ("i", "19999")])
        .split(' ')
        .map(|s| s.split('=').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(last, ["19999", "stale"]);
}

#[tokio::test]
async fn dropped_targets_are_kept_for_display() {
    let site = Site::new();
    let mut config = job("j", &["127.0.0.1:1", "127.0.0.1:2"]);
    config.relabel_configs = vec![crate::config::RelabelConfig {
        source_labels: vec!["__address__".to_owned()],
        separator: ";".to_owned(),
        target_label: String::new(),
        regex: storage::full_match_regex(".*:2").unwrap(),
        modulus: 0,
        replacement: String::new(),
        action: crate::config::RelabelAction::Drop,
    }];
    site.manager.apply(&[config], &[]);
    let targets = site.manager.targets();
    assert_eq!(targets.dropped_counts, [("j".to_owned(), 1)]);
    assert_eq!(targets.dropped[0].discovered_labels.get("__address__"), Some("127.0.0.1:2"));
    assert_eq!((site.target().health, site.target().last_scrape_ms), (Health::Unknown, None));
    site.manager.stop().await;
}
