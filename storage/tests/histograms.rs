//! Native histograms, exemplars and metadata through the public face: stored, found, refused, there after reopening.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::path::Path;

use storage::{
    Appended, Batch, Columns, Db, Durability, Exemplar, ExemplarsAppended, Histogram, HistogramColumns,
    HistogramCounts, Labels, Matcher, MetadataAppended, MetricMetadata, Options, RefuseReason, Span, TimeRange,
};

const NOW: i64 = 1_700_000_000_000;

fn open(dir: &Path) -> Db {
    Db::open(dir, Options::default()).unwrap()
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "api")]).unwrap()
}

fn histogram(count: u64) -> Histogram {
    let counts = HistogramCounts::Int { count, zero_count: 1, positive: vec![count as i64 - 1], negative: vec![] };
    let positive_spans = vec![Span { offset: 3, length: 1 }];
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        sum: count as f64 * 0.3,
        positive_spans,
        counts,
        ..Histogram::default()
    }
}

fn append(db: &Db, batch: &mut Batch) -> Appended {
    db.append(batch, NOW, Durability::Synced).unwrap()
}

fn push(db: &Db, name: &str, t: i64, h: Histogram) -> Appended {
    let mut batch = Batch::new();
    batch.push_histogram(labels(name), t, h);
    append(db, &mut batch)
}

fn read(db: &Db, name: &str, range: TimeRange) -> (Columns, HistogramColumns) {
    let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
    for series in db.select(&[Matcher::equal("__name__", name)], range).unwrap().series {
        series.read_into(&mut floats).unwrap();
        series.read_histograms_into(&mut histograms).unwrap();
        assert_eq!(series.has_histograms(), !histograms.is_empty());
    }
    (floats, histograms)
}

#[test]
fn a_series_may_have_both_kinds_but_not_at_one_time() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut batch = Batch::new();
    batch.push(labels("mixed"), NOW, 1.0);
    batch.push_histogram(labels("mixed"), NOW, histogram(5));
    batch.push_histogram(labels("mixed"), NOW + 1, histogram(5));
    batch.push_histogram(labels("mixed"), NOW + 1, histogram(5));
    batch.push_histogram(labels("mixed"), NOW + 1, histogram(6));
    batch.push_histogram(Labels::empty(), NOW, histogram(5));
    batch.push_histogram(labels("mixed"), NOW + 2, Histogram { schema: 99, ..histogram(5) });
    let done = append(&db, &mut batch);
    assert_eq!((done.accepted, done.duplicates, done.series_created), (2, 1, 1));
    let reasons: Vec<(usize, RefuseReason)> = done.refused_histograms.iter().map(|r| (r.index, r.reason)).collect();
    use RefuseReason::{DuplicateTimestamp, InvalidHistogram, NoLabels};
    assert_eq!(reasons, [(0, DuplicateTimestamp), (3, DuplicateTimestamp), (4, NoLabels), (5, InvalidHistogram)]);
    assert_eq!(batch.histogram_id(1), batch.id(0));
    let id = batch.id(0).unwrap();
    batch.clear();
    batch.push_known(id, NOW + 1, 1.0);
    batch.push_known_histogram(id, NOW + 3, Histogram::stale());
    let done = append(&db, &mut batch);
    assert_eq!((done.accepted, done.refused.len()), (1, 1));
    let (floats, histograms) = read(&db, "mixed", TimeRange::ALL);
    assert_eq!((floats.t, histograms.t), (vec![NOW], vec![NOW + 1, NOW + 3]));
    assert!(histograms.h[1].is_stale());
    assert_eq!(read(&db, "mixed", TimeRange::new(NOW + 2, NOW + 3)).1.len(), 0);
    assert!(db.select(&[], TimeRange::new(NOW + 2, NOW + 3)).unwrap().series.is_empty());
}

#[test]
fn all_of_it_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for i in 0..500 {
        push(&db, "latency", NOW - 600_000 + i * 1000, histogram(i as u64 + 1));
    }
    // Late ones, and another kind.
    push(&db, "latency", NOW - 599_500, histogram(9));
    let fractional = HistogramCounts::Float { count: 0.5, zero_count: 0.25, positive: vec![0.25], negative: vec![] };
    push(&db, "latency", NOW - 700_000, Histogram { counts: fractional, ..histogram(1) });
    let before = read(&db, "latency", TimeRange::ALL);
    assert_eq!((before.1.len(), db.stats().head_samples), (502, 502));
    let exemplar = |t| Exemplar { labels: Labels::from_pairs([("trace_id", "x")]).unwrap(), t, v: 0.5 };
    let told =
        [(labels("latency"), exemplar(NOW)), (labels("latency"), exemplar(NOW - 1)), (labels("no"), exemplar(1))];
    let done = db.append_exemplars(&told, Durability::Synced).unwrap();
    // What is planned together is judged by what was there before, and again when it is taken.
    assert_eq!(done, ExemplarsAppended { accepted: 1, out_of_order: 1, unknown_series: 1, ..Default::default() });
    let told = [("latency".to_owned(), MetricMetadata::new("histogram", "How long.", "seconds"))];
    let done = db.append_metadata(&told, Durability::Synced).unwrap();
    assert_eq!(done, MetadataAppended { changed: 1, ..Default::default() });
    let wal_bytes = db.stats().wal_bytes;
    assert_eq!(db.append_metadata(&told, Durability::Synced).unwrap().unchanged, 1);
    assert_eq!(db.append_exemplars(&[(labels("latency"), exemplar(NOW))], Durability::Synced).unwrap().duplicates, 1);
    assert_eq!(db.stats().wal_bytes, wal_bytes, "what is known is not written again");
    drop(db);
    for _ in 0..2 {
        let db = open(dir.path());
        assert_eq!(read(&db, "latency", TimeRange::ALL), before);
        let sets = [vec![Matcher::equal("job", "api")]];
        assert_eq!(db.exemplars(&sets, TimeRange::ALL), [(labels("latency"), vec![exemplar(NOW)])]);
        assert_eq!(db.exemplar_count(), (1, 1));
        assert_eq!(db.metadata(None), [("latency".into(), told[0].1.clone())]);
        db.close().unwrap();
    }
}
