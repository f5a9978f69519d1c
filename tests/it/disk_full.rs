//! A disk that fills up under the running server, and has room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::durability::body;
use crate::support::Cairn;

/// How soon samples are taken once there is room.
const RESUME_MAX: Duration = Duration::from_secs(5);

/// A small file system in memory, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where this user may not mount.
    fn mount(at: &Path, bytes: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().ok()?;
        done.status.success().then(|| Tmpfs(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_and_is_forgotten_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(_mounted) = Tmpfs::mount(&data, "24m") else {
        println!("skipped: this user may not mount a tmpfs");
        return;
    };
    let server = Cairn::start(dir.path(), &[]);
    let base = cairn::clock::Clock::system().now_ms() - 600_000;
    let (mut acknowledged, mut t) = (0u64, base);
    let send = async |t: i64| {
        let pushed = body("pushed", 0..500, t, (t % 1000) as f64 / 7.0);
        server.post("/api/v1/write").body(pushed).send().await.unwrap()
    };
    assert_eq!(send(t).await.status(), 204);
    acknowledged += 500;
    // All the room but a little, taken by somebody else.
    let filler = data.join("filler");
    let mut size = 24 << 20;
    while size > 64 << 10 && std::fs::write(&filler, vec![1; size]).is_err() {
        size -= 64 << 10;
    }
    let refused = loop {
        t += 10;
        let answer = send(t).await;
        if answer.status() != 204 {
            break answer;
        }
        acknowledged += 500;
        assert!(t < base + 100_000, "the disk does not fill up");
    };
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..20 {
        assert_eq!(send(t).await.status(), 503);
    }
    let count = "sum(count_over_time(pushed[20m]))";
    // What was refused may be seen or not; what was acknowledged is seen.
    assert!(server.value(count).await.unwrap() >= acknowledged as f64, "queries are answered");
    assert_eq!(server.log().matches("the disk is full").count(), 1, "{}", server.log());

    std::fs::remove_file(&filler).unwrap();
    let freed = Instant::now();
    loop {
        t += 10;
        if send(t).await.status() == 204 {
            acknowledged += 500;
            break;
        }
        assert!(freed.elapsed() < RESUME_MAX, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(server.log().contains("the disk takes writes again"), "{}", server.log());
    server.kill();
    let server = Cairn::start(dir.path(), &[]);
    assert!(server.value(count).await.unwrap() >= acknowledged as f64, "nothing acknowledged is lost");
}
