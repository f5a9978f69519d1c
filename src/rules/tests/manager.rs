//! Tasks, reloads, restarts, and messages to a real receiver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Global;
use crate::notify::{NotifyMetrics, NotifyOptions, parse_config};

struct House {
    store: Arc<Store>,
    clock: Clock,
    dir: tempfile::TempDir,
    registry: Registry,
    manager: RuleManager,
}

impl House {
    fn new(notifier: Option<Arc<Notifier>>, clock: Clock) -> Self {
        let (store, registry) = (Store::new(), Registry::new());
        let metrics = RuleMetrics::register(&registry);
        let as_store = Arc::clone(&store) as Arc<dyn RuleStore>;
        let options = RuleOptions { external_url: "http://cairn.example".to_owned(), ..RuleOptions::default() };
        let manager = RuleManager::new(as_store, clock.clone(), notifier, metrics, options);
        House { store, clock, dir: tempfile::tempdir().unwrap(), registry, manager }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    async fn apply(&self) -> Result<(), Vec<RuleFileError>> {
        let patterns: Vec<PathBuf> = vec![self.dir.path().join("*.yml")];
        let external =
            BTreeMap::from([("site".to_owned(), "here".to_owned()), ("job".to_owned(), "shadowed".to_owned())]);
        self.manager.apply(&patterns, &Global { external_labels: external, ..Global::default() }).await
    }

    fn group_names(&self) -> Vec<String> {
        let file = |g: &GroupStatus| Path::new(&g.file).file_name().unwrap().to_string_lossy().into_owned();
        self.manager.groups().iter().map(|g| format!("{}/{}", file(g), g.name)).collect()
    }

    /// Turns the clock by a minute and waits until every group has been evaluated once more.
    async fn minute(&self) {
        let before: Vec<_> = self.manager.groups().into_iter().map(|g| g.last_evaluation).collect();
        // A group's task must be asleep before the clock is turned, else it would count a missed evaluation.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.clock.advance(Duration::from_secs(60));
        while self.manager.groups().iter().zip(&before).any(|(g, b)| g.last_evaluation == *b) {
            tokio::task::yield_now().await;
        }
    }
}

const ONE: &str = "groups:\n- name: one\n  rules: [{record: a, expr: x}, {alert: A, expr: x > 0, for: 2m}]\n";

#[tokio::test]
async fn groups_run_on_their_schedule_and_stop() {
    let house = House::new(None, Clock::manual(START));
    house.write("b.yml", ONE);
    house.write("a.yml", "groups:\n- {name: z, interval: 30s}\n- name: y\n");
    house.apply().await.unwrap();
    assert_eq!(house.group_names(), ["a.yml/y", "a.yml/z", "b.yml/one"]);
    assert_eq!(house.manager.groups()[1].interval_ms, 30_000);
    house.store.put("__name__=x", START, 1.0);
    for _ in 0..3 {
        house.minute().await;
    }
    let samples = house.store.samples("a");
    assert_eq!(samples.len(), 3);
    let seconds: Vec<i64> = samples.iter().map(|s| s.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!((seconds[1] - seconds[0], seconds[2] - seconds[1]), (60, 60), "aligned whatever the clock did");
    assert_eq!(house.manager.alerts()[0].state, AlertState::Firing);
    house.manager.stop().await;
    assert!(house.manager.groups().is_empty());
    house.clock.advance(Duration::from_secs(600));
    assert_eq!(house.store.samples("a").len(), 3);
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let house = House::new(None, Clock::manual(START));
    house.write("a.yml", ONE);
    house.apply().await.unwrap();
    house.write("b.yml", "groups:\n- name: g\n  rules: [{alert: X, expr: 'sum('}]\n");
    house.write("c.yml", "groups: {}\nx: 1\n");
    let errors = house.apply().await.unwrap_err();
    let files: Vec<_> =
        errors.iter().map(|e| Path::new(&e.file).file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(files, ["b.yml", "c.yml", "c.yml"], "{errors:?}");
    assert_eq!(house.group_names(), ["a.yml/one"]);
    house.manager.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_what_it_can() {
    let house = House::new(None, Clock::manual(START));
    house.write("a.yml", ONE);
    house.write("b.yml", "groups:\n- {name: gone, rules: [{record: b, expr: x}]}\n");
    house.apply().await.unwrap();
    house.store.put("__name__=x", START, 1.0);
    house.minute().await;
    let active_at = house.manager.alerts()[0].active_at;
    let last = house.manager.groups()[0].last_evaluation;

    house.apply().await.unwrap();
    assert_eq!(house.manager.groups()[0].last_evaluation, last, "an unchanged group goes on");

    // The group changes, the alert is the same one; the recording rule and the other group go.
    house.write("a.yml", "groups:\n- name: one\n  rules: [{alert: A, expr: x > 0, for: 2m, annotations: {s: new}}]\n");
    std::fs::remove_file(house.dir.path().join("b.yml")).unwrap();
    house.apply().await.unwrap();
    assert_eq!(house.group_names(), ["a.yml/one"]);
    assert_eq!(house.manager.alerts()[0].active_at, active_at);
    house.minute().await;
    house.minute().await;
    let alerts = house.manager.alerts();
    assert_eq!((alerts[0].active_at, alerts[0].state), (active_at, AlertState::Firing));
    assert_eq!(alerts[0].annotations["s"], "new");
    assert!(house.store.samples("a").last().unwrap().ends_with("stale"), "{:?}", house.store.samples("a"));
    while !house.store.samples("b").last().unwrap().ends_with("stale") {
        tokio::task::yield_now().await;
    }
    let metrics = house.registry.render();
    assert!(metrics.contains(";one\"") && !metrics.contains(";gone\""), "{metrics}");
    house.manager.stop().await;
}

/// Passes on the bodies of requests to a free port.
async fn receiver() -> (String, tokio::sync::mpsc::UnboundedReceiver<serde_json::Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut data = Vec::new();
            let body = loop {
                let mut buffer = [0; 4096];
                let n = socket.read(&mut buffer).await.unwrap();
                data.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&data).into_owned();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                if let Some(Ok(body)) = body.map(serde_json::from_str::<serde_json::Value>) {
                    break body;
                }
            };
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
            if tx.send(body).is_err() {
                return;
            }
        }
    });
    (url, rx)
}

#[tokio::test]
async fn from_a_sample_to_the_receiver_and_back() {
    let clock = Clock::manual(START);
    let (url, mut messages) = receiver().await;
    let notifier = Arc::new(Notifier::start(NotifyOptions::default(), clock.clone(), NotifyMetrics::default()));
    let config = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1m}}\nreceivers: [{{name: hook, webhook_configs: [{{url: '{url}'}}]}}]"
    );
    notifier.apply(Some(parse_config("am.yml", Path::new("/"), &config).unwrap()));
    let house = House::new(Some(Arc::clone(&notifier)), clock);
    house.write("a.yml", "groups:\n- name: g\n  rules: [{alert: InstanceDown, expr: up == 0, for: 1m, annotations: {summary: '{{ $labels.instance }} is down'}}]\n");
    house.apply().await.unwrap();
    let put = |up: f64| house.store.put("__name__=up,job=node,instance=i:1", house.clock.now_ms(), up);
    put(0.0);
    house.minute().await;
    assert_eq!(house.manager.alerts()[0].state, AlertState::Pending);
    put(0.0);
    house.minute().await;
    assert_eq!(house.manager.alerts()[0].state, AlertState::Firing);
    let firing = messages.recv().await.unwrap();
    assert_eq!((&firing["status"], &firing["groupKey"]), (&"firing".into(), &"{}:{alertname=\"InstanceDown\"}".into()));
    let alert = &firing["alerts"][0];
    assert_eq!(
        alert["labels"],
        serde_json::json!({"alertname": "InstanceDown", "instance": "i:1", "job": "node", "site": "here"}),
        "external labels are added, but replace nothing"
    );
    assert_eq!(alert["annotations"]["summary"], "i:1 is down");
    assert_eq!(alert["generatorURL"], "http://cairn.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    while notifier.deliveries().is_empty() {
        tokio::task::yield_now().await;
    }
    put(1.0);
    house.minute().await;
    assert!(house.manager.alerts().is_empty());
    house.minute().await;
    let resolved = messages.recv().await.unwrap();
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["fingerprint"], alert["fingerprint"]);
    assert_eq!(resolved["alerts"][0]["startsAt"], alert["startsAt"]);
    house.manager.stop().await;
    notifier.stop().await;
}
