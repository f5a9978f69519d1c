use super::format::{KIND_EXEMPLARS, packed_payload, unpacked_contents};
use super::*;
use crate::{
    Batch, Columns, Db, Durability, Exemplar, Histogram, HistogramColumns, HistogramCounts, Labels, MetricMetadata,
    Options, Span, TimeRange,
};

#[test]
fn names_are_read_back() {
    assert_eq!(parse_name(&snapshot_name(7)), Some(Name::Snapshot(7)));
    assert_eq!(parse_name(&chunks_name(123_456_789)), Some(Name::Chunks(123_456_789)));
    assert_eq!(parse_name(&temp_name(&chunks_name(3))), Some(Name::Temp(3)));
    assert_eq!(parse_name("note.txt"), None);
}

#[test]
fn contents_round_trip_packed_and_plain() {
    for contents in [b"".to_vec(), b"x".to_vec(), vec![7; 10_000], (0..200).collect::<Vec<u8>>()] {
        let mut out = vec![1, 2, 3];
        assert_eq!(unpacked_contents(&packed_payload(KIND_EXEMPLARS, &contents), &mut out), Some(KIND_EXEMPLARS));
        assert_eq!(out, contents);
    }
}

#[test]
fn many_samples_in_few_bytes_are_much() {
    let much = |bytes, samples, series| Since { bytes, samples, series }.is_much();
    assert!(!much(1 << 20, 2_000_000, 100_000) && much(1 << 20, 2_500_000, 100_000));
    assert!(!much(1 << 20, 5_000_000, 1_000_000) && much(1 << 26, 0, 1_000_000));
}

fn histogram(i: u64) -> Histogram {
    let counts = HistogramCounts::Int { count: i + 1, zero_count: 1, positive: vec![i as i64], negative: vec![] };
    let positive_spans = vec![Span { offset: 3, length: 1 }];
    Histogram { schema: 3, sum: i as f64 * 0.3, positive_spans, counts, ..Histogram::default() }
}

fn told(db: &Db, i: i64) {
    let labels = |name: String| Labels::from_pairs([("__name__", name.as_str()), ("job", "api")]).unwrap();
    let mut batch = Batch::new();
    for series in 0..70 {
        // Every third series has histograms only, and some of them come late.
        batch.push_histogram(labels(format!("latency{series}")), i * 1000 + i % 7 / 6 * -2500, histogram(i as u64));
        if series % 3 > 0 {
            batch.push(labels(format!("latency{series}")), i * 1000 + 1, i as f64);
        }
    }
    assert_eq!(db.append(&mut batch, i * 1000, Durability::Written).unwrap().refused_histograms, []);
    let exemplar = Exemplar { labels: labels(format!("trace{i}")), t: i, v: f64::from_bits(i as u64) };
    let exemplars = [(labels(format!("latency{}", i % 9)), exemplar)];
    assert_eq!(db.append_exemplars(&exemplars, Durability::Written).unwrap().accepted, 1);
    let meaning = MetricMetadata::new("histogram", &format!("At {i}."), "seconds");
    db.append_metadata(&[(format!("latency{}", i % 9), meaning)], Durability::Written).unwrap();
}

type Shown = (Vec<(Labels, Columns, HistogramColumns)>, Vec<(Labels, Vec<Exemplar>)>, Vec<(Arc<str>, MetricMetadata)>);

fn shown(db: &Db) -> Shown {
    let found = db.select(&[], TimeRange::ALL).unwrap();
    assert_eq!((found.warnings, db.stats().quarantined), (vec![], 0));
    let mut all = Vec::new();
    for series in &found.series {
        let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
        series.read_into(&mut floats).unwrap();
        series.read_histograms_into(&mut histograms).unwrap();
        all.push((series.labels().clone(), floats, histograms));
    }
    (all, db.exemplars(&[vec![]], TimeRange::ALL), db.metadata(None))
}

#[test]
fn histograms_exemplars_and_metadata_outlive_close_and_kill() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { exemplars_max: 20, ..Options::default() };
    let mut next = 10i64;
    // Without a snapshot, with one, with two so that the log before them is gone; each time more comes after it.
    for snapshots in 0..3 {
        for is_closed in [false, true] {
            let db = Db::open(dir.path(), options()).unwrap();
            for _ in 0..snapshots {
                (0..20).for_each(|i| told(&db, next + i));
                next += 20;
                db.snapshot_now(next * 1000).unwrap();
            }
            (0..20).for_each(|i| told(&db, next + i));
            next += 20;
            let (before, numbers) = (shown(&db), db.stats());
            if is_closed {
                db.close().unwrap();
            }
            drop(db);
            let db = Db::open(dir.path(), options()).unwrap();
            assert!(shown(&db) == before, "after {snapshots} snapshots, closed: {is_closed}");
            let again = db.stats();
            assert_eq!((again.head_samples, again.head_range), (numbers.head_samples, numbers.head_range));
        }
    }
}

#[test]
fn a_damaged_frame_of_histograms_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    (0..40).for_each(|i| told(&db, i));
    db.close().unwrap();
    drop(db);
    let path = dir.path().join(HEAD_DIR).join(snapshot_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() * 3 / 5;
    bytes[at] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    // The first snapshot lets no segment go: but without another one it is used as far as it goes.
    let db = Db::open(dir.path(), Options::default()).unwrap();
    assert!(db.stats().quarantined > 0);
    assert!(!db.select(&[], TimeRange::ALL).unwrap().warnings.is_empty());
}
