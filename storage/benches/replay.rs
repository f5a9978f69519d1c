//! How long does it take to open a database after a clean close, and after a kill?
//!
//! Run with `cargo bench -p cairn-storage --bench replay [SERIES] [SCRAPES]`. The bars at 100,000 series of 200 samples:
//! 0.15 s and 1 s. Opened twice each, the second time with warm pages.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]

mod support;

use std::path::Path;

use storage::{Db, Options};
use support::{argument, filled, resident, timed};

fn main() {
    let (series, scrapes) = (argument(0, 20_000), argument(1, 200));
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = filled(dir.path(), series, scrapes);
    copy(dir.path(), &killed.path().join("first"));
    copy(dir.path(), &killed.path().join("second"));
    let (closed, _, cpu) = timed(|| db.close());
    closed.unwrap();
    drop(db);
    println!("closing: {cpu:.2?}");
    let samples = (series * scrapes) as u64;
    for name in ["first", "second"] {
        open(&format!("after a kill, {name} time"), &killed.path().join(name), samples);
    }
    for name in ["first", "second"] {
        open(&format!("after closing, {name} time"), dir.path(), samples);
    }
}

fn open(what: &str, dir: &Path, samples: u64) {
    let before = resident();
    let (db, wall, cpu) = timed(|| Db::open(dir, Options::default()).unwrap());
    let stats = db.stats();
    assert_eq!(stats.head_samples, samples);
    let memory = resident().saturating_sub(before) / stats.head_series;
    println!(
        "{what}: {wall:.2?}, {cpu:.2?} of CPU, {memory} bytes of memory a series, {} bytes of log",
        stats.wal_bytes
    );
    db.close().unwrap();
}

/// What a kill leaves: the files as they are now.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
