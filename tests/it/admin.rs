//! Deleting and copying over HTTP, and `cairn verify` on what is left.

use std::process::Command;

use crate::durability::body;
use crate::support::Cairn;

fn now_ms() -> i64 {
    cairn::clock::Clock::system().now_ms()
}

async fn push(server: &Cairn, name: &str, t: i64) {
    let sent = server.post("/api/v1/write").body(body(name, 0..3, t, 1.0)).send().await.unwrap();
    assert_eq!(sent.status(), 204);
}

/// Exit code and output of `cairn verify`.
fn verify(dir: &std::path::Path) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_cairn")).arg("verify").arg(dir).output().unwrap();
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

#[tokio::test]
async fn deletes_as_prometheus_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = Cairn::start(dir.path(), &["--web.enable-admin-api"]);
    let t = now_ms() - 60_000;
    for i in 0..10 {
        push(&server, "kept", t + i * 1000).await;
        push(&server, "gone", t + i * 1000).await;
    }
    let post = |path: &str| server.post(path).send();
    let none = post("/api/v1/admin/tsdb/delete_series").await.unwrap();
    assert_eq!(none.status(), 400);
    assert!(none.text().await.unwrap().contains("no match[] parameter provided"));
    let end = (t + 4000) as f64 / 1000.0;
    let done = post(&format!("/api/v1/admin/tsdb/delete_series?match[]=gone{{i=~\"0|1\"}}&end={end}")).await.unwrap();
    assert_eq!((done.status().as_u16(), done.text().await.unwrap()), (204, String::new()));
    assert_eq!(server.value("sum(count_over_time(gone[5m]))").await, Some(20.0));
    assert_eq!(server.value("sum(count_over_time(kept[5m]))").await, Some(30.0));
    assert_eq!(post("/api/v1/admin/tsdb/clean_tombstones").await.unwrap().status(), 204);
    let bad = post("/api/v1/admin/tsdb/snapshot?skip_head=maybe").await.unwrap();
    assert_eq!(bad.status(), 400);
    let made = post("/api/v1/admin/tsdb/snapshot").await.unwrap();
    assert_eq!(made.status(), 200);
    let made: serde_json::Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let tenant = dir.path().join("data/tenants/anonymous");
    let snapshot = tenant.join("snapshots").join(made["data"]["name"].as_str().unwrap());
    assert_eq!(verify(&dir.path().join("data")).0, Some(2), "it is in use");
    assert_eq!(verify(&snapshot).0, Some(0));
    server.kill();

    let restored = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(restored.path().join("data/tenants")).unwrap();
    std::fs::rename(&snapshot, restored.path().join("data/tenants/anonymous")).unwrap();
    for root in [&dir, &restored] {
        let server = Cairn::start(root.path(), &[]);
        assert_eq!(server.value("sum(count_over_time(gone[5m]))").await, Some(20.0));
        assert_eq!(server.value("sum(count_over_time(kept[5m]))").await, Some(30.0));
        server.stop();
        let (code, text) = verify(&root.path().join("data"));
        assert_eq!(code, Some(0), "{text}");
    }
}

#[tokio::test]
async fn a_snapshot_that_lacks_damaged_samples_says_so() {
    use std::os::unix::fs::FileExt;

    let dir = tempfile::tempdir().unwrap();
    let server = Cairn::start(dir.path(), &[]);
    let t = now_ms() - 600_000;
    // One more than a chunk of the head has at most: the first one goes to a file when the server stops.
    for i in 0..241 {
        push(&server, "m", t + i * 1000).await;
    }
    server.stop();
    let server = Cairn::start(dir.path(), &[]);
    let head = std::fs::read_dir(dir.path().join("data/tenants/anonymous/head")).unwrap();
    let mut files = head.map(|entry| entry.unwrap().path());
    let chunks = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("chunks-")).unwrap();
    // In place: the server has mapped it. The first chunk begins behind the header.
    std::fs::OpenOptions::new().write(true).open(chunks).unwrap().write_all_at(b"spoiled!", 70).unwrap();
    let made = server.post("/api/v1/admin/tsdb/snapshot").send().await.unwrap();
    let made: serde_json::Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    assert_eq!(made["status"], "success");
    let warning = made["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("samples of 1 series between "), "{warning}");
    let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\ncairn_storage_incomplete_snapshots_total 1\n"), "{metrics}");
}
