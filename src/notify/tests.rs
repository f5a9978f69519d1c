//! The whole way: alerts in, requests at a real receiver out; time turned by hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use storage::Labels;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::config::Secret;
use crate::telemetry::Registry;

const START: i64 = 1_700_000_000_000;

fn alert(pairs: &[(&str, &str)], starts_at: i64, ends_at: i64) -> Alert {
    Alert {
        labels: Labels::from_pairs(pairs.iter().copied()).unwrap(),
        annotations: BTreeMap::from([("summary".to_owned(), format!("since {starts_at}"))]),
        starts_at,
        ends_at: Some(ends_at),
        generator_url: "http://cairn/graph?g0.expr=up&g0.tab=1".to_owned(),
    }
}

fn config(text: &str) -> NotifyConfig {
    parse_config("am.yml", Path::new("/etc/cairn"), text).unwrap()
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = parse_config("am.yml", Path::new("/"), text).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

/// A receiver on a free port. Answers each request with the next of `answers` (then 200) and passes the bodies on.
async fn receiver(answers: Vec<u16>) -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=s3cret", listener.local_addr().unwrap());
    let (tx, rx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut data = Vec::new();
            let (head, body) = loop {
                let mut buffer = [0; 4096];
                let n = socket.read(&mut buffer).await.unwrap();
                data.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&data).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let status = answers.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
            if tx.send((head, serde_json::from_str(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (url, rx)
}

/// Lets the notifier's task run until nothing more happens without time or the network moving.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Waits for the log to hold `count` deliveries: a request that arrived is not yet a delivery that ended.
async fn logged(notifier: &Notifier, count: usize) -> Vec<Delivery> {
    loop {
        let found = notifier.deliveries();
        if found.len() >= count {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

fn start(clock: &Clock) -> Notifier {
    let options = NotifyOptions { external_url: "http://cairn.example:9090".to_owned(), ..NotifyOptions::default() };
    Notifier::start(options, clock.clone(), NotifyMetrics::register(&Registry::new()))
}

#[test]
fn fingerprints_are_alertmanagers() {
    // The FNV-1a offset for the empty set; the second was computed by hand from the definition.
    assert_eq!(format!("{:016x}", fingerprint(&Labels::empty())), "cbf29ce484222325");
    let one = fingerprint(&Labels::from_pairs([("a", "b")]).unwrap());
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in [b'a', 255, b'b', 255] {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    assert_eq!(one, hash);
}

#[test]
fn reads_a_full_file() {
    let c = config(
        "global:\n  resolve_timeout: 2m\n  http_config: {basic_auth: {username: u, password: p}}\n\
         templates: []\n\
         route:\n  receiver: all\n  group_by: [alertname, job]\n  group_wait: 10s\n  routes:\n\
         \x20 - matchers: ['severity=\"critical\"', team=~\"a|b\"]\n    receiver: pager\n    continue: true\n    group_by: ['...']\n\
         \x20 - match: {env: prod}\n    match_re: {job: 'api.*'}\n    repeat_interval: 1h\n\
         receivers:\n- name: all\n  webhook_configs: [{url: 'http://x/y', send_resolved: false, max_alerts: 3}]\n\
         - name: pager\n  webhook_configs: [{url_file: secret/url}]\n",
    );
    assert_eq!(c.resolve_timeout_ms, 120_000);
    let root = &c.route;
    assert_eq!(
        (root.options.group_wait_ms, root.options.group_interval_ms, root.options.repeat_interval_ms),
        (10_000, 300_000, 14_400_000)
    );
    assert_eq!(root.key, "{}");
    assert_eq!(root.children[0].key, "{}/{severity=\"critical\",team=~\"a|b\"}");
    assert_eq!(root.children[0].options.group_by, GroupBy::All);
    assert_eq!(root.children[0].options.group_wait_ms, 10_000);
    assert_eq!(root.children[1].key, "{}/{env=\"prod\",job=~\"api.*\"}");
    assert_eq!(root.children[1].options.receiver, "all");
    let hook = &c.receivers["all"].webhooks[0];
    assert!(!hook.send_resolved && hook.max_alerts == 3 && hook.http.basic_auth.is_some());
    assert_eq!(c.receivers["pager"].webhooks[0].url, Secret::File("/etc/cairn/secret/url".into()));
}

#[test]
fn refuses_what_is_not_there_yet_by_name() {
    let rest = "route: {receiver: a}\nreceivers: [{name: a}]\n";
    refused(
        &format!("{rest}inhibit_rules:\n- equal: [x]\n"),
        &["am.yml:3:1: key \"inhibit_rules\" of Alertmanager is not supported yet by this version of Cairn; remove it"],
    );
    refused(
        "route: {receiver: a}\nreceivers:\n- name: a\n  email_configs:\n  - to: x\n",
        &["am.yml:4:3: key \"email_configs\" of Alertmanager is not supported yet by this version of Cairn; remove it"],
    );
    refused(
        "global: {resolve_timout: 1m}\nroute: {receiver: a}\nreceivers: [{name: a}]",
        &["am.yml:1:10: unknown key \"resolve_timout\" in global; did you mean \"resolve_timeout\"?"],
    );
}

#[test]
fn refuses_what_alertmanager_refuses() {
    refused("receivers: []", &["am.yml:1:1: no routes provided"]);
    refused("route: {receiver: b}\nreceivers: [{name: a}]", &["am.yml:1:19: undefined receiver \"b\" used in route"]);
    refused(
        "route: {}\nreceivers: [{name: a}, {name: a}]",
        &[
            "am.yml:1:8: root route must specify a default receiver",
            "am.yml:2:31: notification config name \"a\" is not unique",
        ],
    );
    refused(
        "route: {receiver: a, group_by: [x, '...'], group_interval: 0s, matchers: [a=b]}\nreceivers: [{name: a}]",
        &[
            "am.yml:1:8: root route must not have any matchers",
            "am.yml:1:32: cannot have wildcard group_by (`...`) and other labels at the same time",
            "am.yml:1:60: group_interval: cannot be zero",
        ],
    );
    refused(
        "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'ftp://tok@x'}, {}]}]",
        &[
            "am.yml:2:47: url: unsupported scheme \"ftp\", expected http or https",
            "am.yml:2:63: one of url or url_file must be configured",
        ],
    );
}

#[test]
fn matchers_in_all_spellings() {
    let read = |text: &str| matchers::parse(text).map(|m| matchers::text(&m));
    assert_eq!(read("foo=bar").unwrap(), r#"{foo="bar"}"#);
    assert_eq!(read(r#" { foo = "a,b" , x !~ "c|d" , y!=z } "#).unwrap(), r#"{foo="a,b",x!~"c|d",y!="z"}"#);
    assert_eq!(read(r#""a b"="q\"x\\y""#).unwrap(), r#"{"a b"="q\"x\\y"}"#);
    assert_eq!(read(r#"re=~"\d+""#).unwrap(), r#"{re=~"\\d+"}"#);
    assert_eq!(read("{}").unwrap(), "{}");
    for bad in ["foo", "=x", "{a=b", "a=\"b", "a=~\"(\"", "a=\"b\" c"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_for_matchers_is_read_or_refused(text in "[a-z{}=~!,\"\\\\ é(|]{0,30}") {
        if let Ok(found) = matchers::parse(&text) {
            proptest::prop_assert_eq!(matchers::parse(&matchers::text(&found)), Ok(found));
        }
    }
}

#[test]
fn routes_as_alertmanager_walks_them() {
    let c = config(
        "route:\n  receiver: root\n  routes:\n  - matchers: [a=1]\n    receiver: one\n    routes:\n    - {matchers: [b=1], receiver: deep}\n\
         \x20 - {matchers: [c=1], receiver: two, continue: true}\n  - {matchers: ['c=~\"1|2\"'], receiver: three}\n\
         receivers: [{name: root}, {name: one}, {name: deep}, {name: two}, {name: three}]",
    );
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let table: [Case<'_>; 5] = [
        (&[("x", "1")], &["root"]),
        (&[("a", "1")], &["one"]),
        (&[("a", "1"), ("b", "1"), ("c", "1")], &["deep"]),
        (&[("c", "1")], &["two", "three"]),
        (&[("c", "2")], &["three"]),
    ];
    for (labels, expected) in table {
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        let found: Vec<&str> = c.route.matching(&labels).iter().map(|r| r.options.receiver.as_str()).collect();
        assert_eq!(found, expected, "{labels}");
    }
}

fn hook(url: &str, extra: &str) -> NotifyConfig {
    config(&format!(
        "route: {{receiver: web.hook, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 1h}}\n\
         receivers:\n- name: web.hook\n  webhook_configs: [{{url: '{url}'{extra}}}]\n"
    ))
}

#[tokio::test]
async fn the_message_field_by_field_from_firing_to_resolved() {
    let (url, mut requests) = receiver(vec![]).await;
    let clock = Clock::manual(START);
    let notifier = start(&clock);
    notifier.apply(Some(hook(&url, ", http_config: {basic_auth: {username: u, password: p}}")));
    let down = |instance: &str, ends_at| {
        alert(&[("alertname", "InstanceDown"), ("instance", instance), ("job", "node")], START, ends_at)
    };
    notifier.submit(vec![down("b:9100", START + 240_000), down("a:9100", START + 240_000)]);
    settle().await;
    clock.advance(std::time::Duration::from_secs(10));
    let (head, body) = requests.recv().await.unwrap();
    assert!(head.starts_with("POST /hook?token=s3cret HTTP/1.1"), "{head}");
    assert!(head.contains("authorization: Basic dTpw") && head.contains("content-type: application/json"), "{head}");
    let entry = |status: &str, instance: &str, ends_at: &str, fingerprint: u64| {
        json!({
            "status": status,
            "labels": {"alertname": "InstanceDown", "instance": instance, "job": "node"},
            "annotations": {"summary": "since 1700000000000"},
            "startsAt": "2023-11-14T22:13:20Z",
            "endsAt": ends_at,
            "generatorURL": "http://cairn/graph?g0.expr=up&g0.tab=1",
            "fingerprint": format!("{fingerprint:016x}"),
        })
    };
    let (a, b) = (fingerprint(&down("a:9100", 0).labels), fingerprint(&down("b:9100", 0).labels));
    let open = "0001-01-01T00:00:00Z";
    let expected = json!({
        "receiver": "web\\.hook",
        "status": "firing",
        "alerts": [entry("firing", "a:9100", open, a), entry("firing", "b:9100", open, b)],
        "groupLabels": {"alertname": "InstanceDown"},
        "commonLabels": {"alertname": "InstanceDown", "job": "node"},
        "commonAnnotations": {"summary": "since 1700000000000"},
        "externalURL": "http://cairn.example:9090",
        "version": "4",
        "groupKey": "{}:{alertname=\"InstanceDown\"}",
        "truncatedAlerts": 0,
    });
    assert_eq!(body, expected);
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, expected.as_object().unwrap().keys().collect::<Vec<_>>(), "the order of the fields");

    logged(&notifier, 1).await;
    notifier.submit(vec![down("a:9100", START + 5_500), down("b:9100", START + 600_000)]);
    settle().await;
    clock.advance(std::time::Duration::from_secs(60));
    let (_, body) = requests.recv().await.unwrap();
    assert_eq!(body["status"], "firing");
    assert_eq!(body["alerts"][0], entry("resolved", "a:9100", "2023-11-14T22:13:25.5Z", a));
    assert_eq!(body["alerts"][1], entry("firing", "b:9100", open, b));

    logged(&notifier, 2).await;
    notifier.submit(vec![down("b:9100", START + 65_000)]);
    settle().await;
    clock.set(START + 130_000);
    let (_, body) = requests.recv().await.unwrap();
    assert_eq!((&body["status"], body["alerts"].as_array().unwrap().len()), (&json!("resolved"), 1));

    let log = logged(&notifier, 3).await;
    assert_eq!((log[0].firing, log[0].resolved, log[0].attempts, &log[0].outcome), (0, 1, 1, &Outcome::Sent));
    assert_eq!(log[0].alert_names, ["InstanceDown"]);
    assert!(!format!("{log:?}").contains("s3cret"));
    notifier.stop().await;
}

#[tokio::test]
async fn server_errors_are_tried_again_and_refusals_are_not() {
    let (url, mut requests) = receiver(vec![503, 500, 200, 400]).await;
    let clock = Clock::manual(START);
    let notifier = start(&clock);
    notifier.apply(Some(hook(&url, "")));
    notifier.submit(vec![alert(&[("alertname", "A")], START - 60_000, START + 900_000)]);
    for _ in 0..2 {
        requests.recv().await.unwrap();
        // The pause begins when the answer is read; small steps meet it wherever it ends.
        while requests.is_empty() {
            clock.advance(std::time::Duration::from_millis(50));
            settle().await;
        }
    }
    requests.recv().await.unwrap();
    let log = logged(&notifier, 1).await;
    assert_eq!((log[0].attempts, &log[0].outcome), (3, &Outcome::Sent));

    notifier.submit(vec![alert(&[("alertname", "B")], START - 60_000, START + 900_000)]);
    requests.recv().await.unwrap();
    let log = logged(&notifier, 2).await;
    assert_eq!(log[0].outcome, Outcome::Failed { message: "unexpected status code 400".to_owned() });
    notifier.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_given_up_at_the_deadline_without_its_address() {
    let clock = Clock::manual(START);
    let notifier = start(&clock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = hook(&format!("http://127.0.0.1:{port}/s3cret"), "");
    // Made beforehand: the clock below runs faster than certificates are read.
    let webhook = &config.receivers["web.hook"].webhooks[0];
    webhook.client.set(crate::http_client::build(&webhook.http).unwrap()).unwrap();
    notifier.apply(Some(config));
    notifier.submit(vec![alert(&[("alertname", "A")], START - 60_000, START + 900_000)]);
    settle().await;
    while notifier.deliveries().is_empty() {
        clock.advance(std::time::Duration::from_millis(100));
        settle().await;
    }
    let log = notifier.deliveries();
    let Outcome::Failed { message } = &log[0].outcome else { panic!("{log:?}") };
    assert!(message.starts_with("given up at the deadline: client error"), "{message}");
    assert!(!message.contains("s3cret") && !message.contains("http:"), "{message}");
    notifier.stop().await;
}

/// Drives a [`Dispatcher`] by hand; every message succeeds at once.
struct Bench {
    dispatcher: Dispatcher,
    now: i64,
}

impl Bench {
    fn new(config: NotifyConfig) -> Self {
        let mut dispatcher = Dispatcher::new(100);
        dispatcher.apply(Some(Arc::new(config)), START);
        Bench { dispatcher, now: START }
    }

    fn insert(&mut self, name: &str, ends_in_s: i64) {
        let ends_at = self.now + ends_in_s * 1000;
        assert!(self.dispatcher.insert(alert(&[("alertname", name), ("n", name)], START, ends_at), self.now));
    }

    /// What goes out in the next `seconds`: second since the start, firing, resolved.
    fn run(&mut self, seconds: i64) -> Vec<(i64, usize, usize)> {
        let mut out = Vec::new();
        for _ in 0..seconds {
            self.now += 1000;
            for job in self.dispatcher.flush_due(self.now) {
                let resolved = job.alerts.iter().filter(|a| a.is_resolved_at(self.now)).count();
                out.push(((self.now - START) / 1000, job.alerts.len() - resolved, resolved));
                self.dispatcher.finished(&job, true, self.now);
            }
        }
        out
    }
}

#[test]
fn group_wait_interval_and_repeat() {
    let one_group = config(
        "route: {receiver: a, group_wait: 30s, group_interval: 5m, repeat_interval: 1h}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x'}]}]",
    );
    let mut bench = Bench::new(one_group);
    bench.insert("A", 100_000);
    assert_eq!(bench.run(20), []);
    bench.insert("B", 100_000);
    assert_eq!(bench.run(20), [(30, 2, 0)], "both wait for the first one's group_wait");
    bench.insert("C", 100_000);
    assert_eq!(bench.run(600), [(330, 3, 0)], "a change waits for group_interval, no change says nothing");
    // The repeat interval has passed 3600 s after the last message, seen at the next flush after that.
    assert_eq!(bench.run(3600), [(4230, 3, 0)]);
    bench.insert("B", 0);
    assert_eq!(bench.run(300), [(4530, 2, 1)]);
    bench.insert("A", 0);
    bench.insert("C", 0);
    assert_eq!(bench.run(8000), [(4830, 0, 2)], "then the group is gone");
    assert_eq!(bench.dispatcher.next_wake_ms(), None);
}

#[test]
fn alerts_that_are_no_longer_reported_end() {
    let mut bench = Bench::new(hook("http://x", ""));
    bench.insert("A", 65);
    assert_eq!(bench.run(200), [(10, 1, 0), (70, 0, 1)]);
}

#[test]
fn without_send_resolved_the_end_is_silent_but_known() {
    let mut bench = Bench::new(hook("http://x", ", send_resolved: false"));
    bench.insert("A", 15);
    assert_eq!(bench.run(100), [(10, 1, 0)]);
    bench.insert("A", 1000);
    assert_eq!(bench.run(100).len(), 1, "firing again is news");
}

#[test]
fn a_failed_message_is_due_again_and_a_new_configuration_repeats_nothing() {
    let mut bench = Bench::new(hook("http://x", ""));
    bench.insert("A", 100_000);
    let jobs = bench.dispatcher.flush_due(START + 10_000);
    assert_eq!(jobs.len(), 1);
    assert!(bench.dispatcher.flush_due(START + 70_000).is_empty(), "one flush at a time");
    bench.dispatcher.finished(&jobs[0], false, START + 70_000);
    bench.now = START + 70_000;
    assert_eq!(bench.run(1), [(71, 1, 0)]);
    bench.dispatcher.apply(Some(Arc::new(hook("http://y", ""))), bench.now);
    assert_eq!(bench.run(600), []);
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_and_counts() {
    let registry = Registry::new();
    let options = NotifyOptions { queue_max: 2, ..NotifyOptions::default() };
    let notifier = Notifier::start(options, Clock::manual(START), NotifyMetrics::register(&registry));
    notifier.submit((0..5).map(|i| alert(&[("alertname", &i.to_string())], START, START)).collect());
    let left: Vec<String> =
        lock(&notifier.shared.inbox).alerts.iter().map(|a| a.labels.get("alertname").unwrap().to_owned()).collect();
    assert_eq!(left, ["3", "4"]);
    assert!(registry.render().contains("prometheus_notifications_dropped_total 3"), "{}", registry.render());
    notifier.stop().await;
}
