//! A golden database with start timestamps, beside those that were written before there were any.

use super::*;
use crate::block::starts::{STARTS_FILE, StartsFile};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/format/v1-starts")
}

/// Series, time, start: a counter that is reset twice, a delta, a histogram's counter; and one without.
fn samples() -> Vec<(&'static str, i64, i64)> {
    let of_step = |i: i64| {
        let t = GOLDEN_T + i * 250;
        let resets = [GOLDEN_T - 7, GOLDEN_T + 1_300, GOLDEN_T + 5_100];
        let start = resets[usize::from(i > 5) + usize::from(i > 20)];
        [("requests_total", t, start), ("delta", t, t - 250), ("latency_seconds", t, start + 1), ("load", t, 0)]
    };
    (0..=26).flat_map(of_step).collect()
}

fn write(dir: &Path) {
    let db = Db::open(dir, golden_options()).unwrap();
    for (name, t, start) in samples() {
        let mut batch = Batch::new();
        if name == "latency_seconds" {
            let [(labels, histogram), _] = golden_histograms((t - GOLDEN_T) / 250);
            batch.push_histogram(labels, t, histogram);
            batch.set_histogram_start(start);
        } else {
            batch.push(golden_labels(name), t, t as f64);
            batch.set_start(start);
        }
        append_golden(&db, &mut batch, t);
        if t < GOLDEN_LATE_T {
            db.maintain(t).unwrap();
        }
        if name == "load" && t == GOLDEN_LATE_T - 250 {
            db.snapshot_now(t).unwrap();
        }
    }
    drop(db);
    std::fs::remove_file(dir.join("lock")).unwrap();
}

fn read(db: &Db) -> Vec<(String, i64, i64)> {
    let found = db.select(&[], TimeRange::ALL).unwrap();
    assert_eq!(found.warnings, [] as [String; 0]);
    let mut read = Vec::new();
    for series in &found.series {
        let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
        series.read_into(&mut floats).unwrap();
        series.read_histograms_into(&mut histograms).unwrap();
        for (kind, times) in [(SampleKind::Float, floats.t), (SampleKind::Histogram, histograms.t)] {
            let mut starts = Vec::new();
            series.read_starts(kind, &times, &mut starts);
            let name = series.labels().metric_name();
            read.extend(times.into_iter().zip(starts).map(|(t, start)| (name.to_owned(), t, start)));
        }
    }
    read
}

#[test]
fn a_golden_database_with_starts_is_read() {
    if std::env::var_os("CAIRN_WRITE_GOLDEN").is_some() && !dir().join("head").try_exists().unwrap() {
        std::fs::create_dir_all(dir()).unwrap();
        write(&dir());
    }
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&dir(), copy.path());
    let paths = |part: &str| {
        let entries = std::fs::read_dir(copy.path().join(part)).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let snapshot = paths("head").into_iter().rfind(|p| p.to_string_lossy().contains("/snap-")).unwrap();
    assert!(kinds_of(&snapshot).contains(&snapshot::format::KIND_STARTS));
    assert!(kinds_of(paths("wal").last().unwrap()).contains(&record::KIND_STARTS), "after the snapshot");
    assert!(paths("blocks").iter().any(|block| block.join(STARTS_FILE).try_exists().unwrap()));

    let db = Db::open(copy.path(), golden_options()).unwrap();
    assert!(db.stats().blocks > 0 && db.stats().head_samples > 0, "both parts are covered");
    let mut expected: Vec<(String, i64, i64)> =
        samples().into_iter().map(|(name, t, start)| (name.to_owned(), t, start)).collect();
    expected.sort();
    assert_eq!(read(&db), expected);
}

#[test]
fn the_dump_of_starts_is_what_the_writer_writes() {
    let dir = tempfile::tempdir().unwrap();
    let symbols: Vec<Arc<str>> = ["__name__", "up"].map(Arc::from).to_vec();
    let mut writer = writer::BlockWriter::new(&crate::fs::RealFs, dir.path(), meta::BlockId(1), symbols).unwrap();
    let t: Vec<i64> = (0..3).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let samples = [(t[0], 1_699_999_000_000), (t[1], 1_699_999_000_000), (t[2], 1_700_000_020_000)];
    let starts = crate::starts::Changes::of_samples(samples.to_vec());
    let floats = Columns { t, v: vec![1.0; 3] };
    writer.add(&[(0, 1)], &block::SeriesSamples { floats, starts, ..Default::default() }).unwrap();
    let meta = writer.finish(1, Vec::new()).unwrap().unwrap();
    let block = block::BlockPaths::new(dir.path(), meta.id).dir;
    assert!(StartsFile::open(&crate::fs::RealFs, &block, meta.id, meta.starts_bytes).is_ok());
    let bytes = std::fs::read(block.join(STARTS_FILE)).unwrap();
    let mut dump = Annotated::new(&bytes);
    dump.part(writer::FILE_HEADER_BYTES, "magic, version, number of the block, checksum");
    dump.page("starts", &["1 series: number 0, 2 changes", "their times", "their starts"]);
    dump.page("directory", &["1 page: of page 0 of the index, its place"]);
    dump.part(crate::block::starts::STARTS_FOOTER_BYTES, "footer: place of the directory, checksum");
    dump.check("`starts` of a block whose `up` was reset before its last sample:");
}
