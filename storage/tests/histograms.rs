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
        assert!(series.has_histograms() || histograms.is_empty());
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

/// As [`histogram`], with another layout now and then, fractional counts and staleness markers.
fn varied(i: i64) -> Histogram {
    let fractional = HistogramCounts::Float { count: 0.5, zero_count: 0.25, positive: vec![0.25], negative: vec![] };
    match i % 11 {
        3 => Histogram { counts: fractional, ..histogram(i as u64) },
        5 => Histogram::stale(),
        7 => Histogram { sum: f64::from_bits(0x7ff8_0000_0000_0000 | i as u64), ..histogram(i as u64) },
        _ => Histogram { schema: (i % 40 / 20) as i32, ..histogram(i as u64 + 1) },
    }
}

fn small_blocks(dir: &Path) -> Db {
    Db::open(dir, Options { block_ms: 60_000, ..Options::default() }).unwrap()
}

/// Start of a merged block's range.
const T: i64 = NOW / 720_000 * 720_000;

#[test]
fn blocks_give_back_every_bit_after_cut_merge_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = small_blocks(dir.path());
    let names = ["histograms", "mixed", "floats"];
    let mut batch = Batch::new();
    for i in 0..1200i64 {
        batch.clear();
        let t = T + i * 1000 - if i % 50 == 49 { 3500 } else { 0 };
        batch.push_histogram(labels("histograms"), t, varied(i));
        batch.push(labels("floats"), t, i as f64);
        if i % 2 == 0 {
            batch.push(labels("mixed"), t, i as f64)
        } else {
            batch.push_histogram(labels("mixed"), t, varied(i))
        }
        assert_eq!(db.append(&mut batch, t, Durability::Written).unwrap().accepted, 3);
        if i % 60 == 0 {
            let before = names.map(|name| read(&db, name, TimeRange::ALL));
            db.maintain(t).unwrap();
            assert!(
                before == names.map(|name| read(&db, name, TimeRange::ALL)),
                "maintenance at {i} changed something"
            );
        }
    }
    let before = names.map(|name| read(&db, name, TimeRange::ALL));
    assert_eq!((before[0].1.len(), before[1].0.len(), before[1].1.len(), before[2].0.len()), (1200, 600, 600, 1200));
    let part = TimeRange::new(T + 123_456, T + 345_678);
    let of_part = read(&db, "mixed", part);
    assert!(of_part.1.t.iter().all(|t| part.contains(*t)) && of_part.1.len() > 100);
    let stats = db.stats();
    assert!(stats.blocks < 12 && stats.head_samples < 600, "blocks were cut and merged: {stats:?}");
    for is_closed in [true, false] {
        if is_closed {
            db.close().unwrap();
        }
        drop(db);
        db = small_blocks(dir.path());
        assert!(before == names.map(|name| read(&db, name, TimeRange::ALL)));
        assert_eq!(read(&db, "mixed", part), of_part);
        assert_eq!(db.stats().head_samples, stats.head_samples);
    }
    db.set_retention(Some(300_000), None);
    db.maintain(T + 3_600_000).unwrap();
    db.maintain(T + 3_600_000).unwrap();
    assert!(db.select(&[], TimeRange::ALL).unwrap().series.is_empty());
    assert_eq!((db.stats().blocks, db.stats().head_samples, db.stats().quarantined), (0, 0, 0));
}

#[test]
fn of_two_kinds_at_one_time_the_first_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = small_blocks(dir.path());
    let mut batch = Batch::new();
    batch.push(labels("a"), T, 1.0);
    batch.push_histogram(labels("a"), T + 1000, histogram(1));
    batch.push(labels("b"), T + 2000, 2.0);
    db.append(&mut batch, T, Durability::Written).unwrap();
    let later = T + 120_000;
    db.maintain(later).unwrap();
    assert_eq!((db.stats().blocks, db.stats().head_samples), (1, 0));
    // The head does not know any more what the block has.
    batch.clear();
    batch.push_histogram(labels("a"), T, histogram(2));
    batch.push(labels("a"), T + 1000, 3.0);
    batch.push_histogram(labels("a"), T + 1500, histogram(3));
    batch.push_histogram(labels("b"), T + 2000, histogram(4));
    assert_eq!(db.append(&mut batch, later, Durability::Written).unwrap().accepted, 4);
    for round in 0..12 {
        let (floats, histograms) = read(&db, "a", TimeRange::ALL);
        assert_eq!((floats.t, floats.v), (vec![T], vec![1.0]), "round {round}");
        assert_eq!((histograms.t, histograms.h), (vec![T + 1000, T + 1500], vec![histogram(1), histogram(3)]));
        let mut floats = Columns::default();
        for series in db.select(&[Matcher::equal("__name__", "b")], TimeRange::ALL).unwrap().series {
            series.read_into(&mut floats).unwrap();
            let mut histograms = HistogramColumns::default();
            series.read_histograms_into(&mut histograms).unwrap();
            assert!(histograms.is_empty());
        }
        assert_eq!(floats.v, [2.0]);
        // In the head, in a block of their own, in a merged one.
        let mut batch = Batch::new();
        batch.push(labels("clock"), later + round * 60_000, 1.0);
        db.append(&mut batch, later + round * 60_000, Durability::Written).unwrap();
        db.maintain(later + round * 60_000).unwrap();
        db.close().unwrap();
        drop(db);
        db = small_blocks(dir.path());
    }
    assert!(db.stats().blocks < 6);
}

#[test]
fn a_deletion_takes_histograms_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let start = 100_000;
    let kept = |db: &Db| read(db, "latency", TimeRange::ALL).1.t;
    let before_and_after = |t: &[i64]| (t.first().copied(), t.last().copied(), t.len());
    let expected = (Some(start), Some(start + 99_000), 60);
    {
        let db = small_blocks(dir.path());
        for i in 0..100 {
            let t = start + i * 1000;
            let mut batch = Batch::new();
            batch.push_histogram(labels("latency"), t, histogram(i as u64 + 1));
            db.append(&mut batch, t, Durability::Synced).unwrap();
        }
        db.maintain(start + 100_000).unwrap();
        assert!(db.stats().blocks > 0, "some are in blocks, others in the head");
        let done = db.delete_series(&[], TimeRange::new(start + 10_000, start + 50_000)).unwrap();
        assert_eq!(done.series, 1);
        assert_eq!(before_and_after(&kept(&db)), expected);
        // Not closed: the head's part comes from the log.
    }
    let db = small_blocks(dir.path());
    assert_eq!(before_and_after(&kept(&db)), expected);
    assert!(db.clean_tombstones().unwrap() > 0);
    assert_eq!(before_and_after(&kept(&db)), expected);
    let copy = dir.path().join("copy");
    db.snapshot_to(&copy, storage::SnapshotHead::Written).unwrap();
    assert_eq!(before_and_after(&kept(&small_blocks(&copy))), expected, "a copy has them, too");
}

#[test]
fn zeros_are_stored_only_before_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let zeros = |t: i64| {
        let mut batch = Batch::new();
        batch.push(labels("up"), NOW, 1.0);
        batch.push_zero_of(0, t);
        batch.push_histogram(labels("latency"), NOW, histogram(9));
        batch.push_zero_histogram_of(0, t);
        append(&db, &mut batch)
    };
    let done = zeros(NOW - 10);
    assert_eq!((done.accepted, done.refused.len(), done.refused_histograms.len()), (4, 0, 0));
    let done = zeros(NOW - 5);
    assert_eq!((done.accepted, done.duplicates), (0, 2));
    let late = [storage::Refused { index: 1, reason: RefuseReason::NotNewest }];
    assert_eq!((&done.refused[..], &done.refused_histograms[..]), (&late[..], &late[..]));
    let (floats, _) = read(&db, "up", TimeRange::ALL);
    assert_eq!((floats.t, floats.v), (vec![NOW - 10, NOW], vec![0.0, 1.0]));
    let (_, histograms) = read(&db, "latency", TimeRange::ALL);
    assert_eq!(histograms.t, [NOW - 10, NOW]);
    assert_eq!((histograms.h[0].count(), histograms.h[0].schema), (0.0, 3));
}

#[test]
fn exemplars_are_taken_by_the_ids_of_their_series() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut batch = Batch::new();
    batch.push_histogram(labels("latency"), NOW, histogram(9));
    append(&db, &mut batch);
    let id = batch.histogram_id(0).unwrap();
    let exemplar = || Exemplar { labels: Labels::from_pairs([("trace_id", "a")]).unwrap(), t: NOW, v: 0.5 };
    let told = vec![(id, exemplar()), (storage::SeriesId(id.0 + 7), exemplar())];
    let done = db.append_exemplars_by_id(told, Durability::Written).unwrap();
    assert_eq!((done.accepted, done.unknown_series), (1, 1));
    let found = db.exemplars(&[vec![Matcher::equal("__name__", "latency")]], TimeRange::ALL);
    assert_eq!(found, [(labels("latency"), vec![exemplar()])]);
}
