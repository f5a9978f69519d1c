//! Keeps `FORMAT.md` true, and old databases readable.
//!
//! Here: the constants and the dump of `FORMAT.md`, and the golden databases under `testdata/format/`.
//! Elsewhere: the encoders themselves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::index::{self as block_index, lists, pairs, series};
use crate::block::{data, meta, page, writer};
use crate::bytes::Reader;
use crate::column::{self, times, values as column_values};
use crate::wal::record::{self, Encoder, WalSample};
use crate::wal::scan::{self, Header, encode_header};
use crate::wal::{pack, values};
use crate::*;

mod starts;

const FORMAT: &str = include_str!("../FORMAT.md");

#[test]
fn the_constants_are_those_of_the_document() {
    let text = |magic: &[u8; 8]| format!("`{}`", std::str::from_utf8(magic).unwrap());
    let constants = [
        ("WAL magic", text(&scan::MAGIC)),
        ("WAL version", scan::VERSION.to_string()),
        ("WAL header bytes", scan::HEADER_BYTES.to_string()),
        ("WAL header copy bytes", scan::HEADER_COPY_BYTES.to_string()),
        ("WAL segment bytes, after which a new one begins", wal::SEGMENT_BYTES_MAX.to_string()),
        ("frame marker", format!("`{}`", record::MARKER.map(|b| format!("{b:02x}")).join(" "))),
        ("frame header bytes", record::FRAME_BYTES.to_string()),
        ("record kind batch", record::KIND_BATCH.to_string()),
        ("record kind delete", record::KIND_DELETE.to_string()),
        ("record kind blobs", record::KIND_BLOBS.to_string()),
        ("record kind exemplars", record::KIND_EXEMPLARS.to_string()),
        ("record kind metadata", record::KIND_METADATA.to_string()),
        ("record kind starts", record::KIND_STARTS.to_string()),
        ("samples of a group", record::GROUP_SAMPLES.to_string()),
        ("series of a deletion, at most", record::DELETED_MAX.to_string()),
        ("packed section, unpacked bytes at most", pack::PACKED_MAX.to_string()),
        ("differences before a value stands for itself", values::DELTAS_MAX.to_string()),
        ("code same", values::CODE_SAME.to_string()),
        ("code small difference, largest", values::CODE_SMALL_MAX.to_string()),
        ("code difference", values::CODE_DIFFERENCE.to_string()),
        ("code xor", values::CODE_XOR.to_string()),
        ("code whole", values::CODE_WHOLE.to_string()),
        ("code high", values::CODE_HIGH.to_string()),
        ("code decimal", values::CODE_DECIMAL.to_string()),
        ("code exponent", values::CODE_EXPONENT.to_string()),
        ("decimal exponent, largest", values::EXPONENT_MAX.to_string()),
        ("block version", meta::BLOCK_VERSION.to_string()),
        ("meta magic", text(&meta::META_MAGIC)),
        ("index magic", text(&block_index::INDEX_MAGIC)),
        ("index footer bytes", block_index::INDEX_FOOTER_BYTES.to_string()),
        ("chunks magic", text(&writer::CHUNKS_MAGIC)),
        ("block file header bytes", writer::FILE_HEADER_BYTES.to_string()),
        ("starts magic", text(&block::starts::STARTS_MAGIC)),
        ("starts footer bytes", block::starts::STARTS_FOOTER_BYTES.to_string()),
        ("tombstones magic", text(&tombstone::TOMBSTONES_MAGIC)),
        ("tombstones version", tombstone::TOMBSTONES_VERSION.to_string()),
        ("tombstones header bytes", tombstone::TOMBSTONES_HEADER_BYTES.to_string()),
        ("snapshot magic", text(&snapshot::format::SNAPSHOT_MAGIC)),
        ("chunk file magic", text(&snapshot::format::CHUNKS_MAGIC)),
        ("snapshot and chunk file version", snapshot::format::VERSION.to_string()),
        ("snapshot and chunk file header bytes", snapshot::format::FILE_HEADER_BYTES.to_string()),
        ("snapshot frame kind facts", snapshot::format::KIND_FACTS.to_string()),
        ("snapshot frame kind series", snapshot::format::KIND_SERIES.to_string()),
        ("snapshot frame kind end", snapshot::format::KIND_END.to_string()),
        ("snapshot frame kind histograms", snapshot::format::KIND_HISTOGRAMS.to_string()),
        ("snapshot frame kind exemplars", snapshot::format::KIND_EXEMPLARS.to_string()),
        ("snapshot frame kind metadata", snapshot::format::KIND_METADATA.to_string()),
        ("snapshot frame kind starts", snapshot::format::KIND_STARTS.to_string()),
        ("snapshot frame plain", snapshot::format::PLAIN.to_string()),
        ("snapshot frame zstd", snapshot::format::ZSTD.to_string()),
        ("copies of the facts", snapshot::format::FACTS_COPIES.to_string()),
        ("chunk checksum bytes", snapshot::chunks::CHUNK_CRC_BYTES.to_string()),
        ("page header bytes", page::PAGE_HEADER_BYTES.to_string()),
        ("raw bytes, at which a page of chunks ends", page::PAGE_RAW_BYTES.to_string()),
        ("bytes of a section, at most", page::SECTION_BYTES_MAX.to_string()),
        ("samples of a chunk, at most", column::CHUNK_SAMPLES_MAX.to_string()),
        ("times of a column, at most", times::COLUMN_TIMES_MAX.to_string()),
        ("series of a page", series::SERIES.to_string()),
        ("label pairs of a page", pairs::ROWS.to_string()),
        ("class constant", data::CLASS_CONSTANT.to_string()),
        ("class values without residuals", data::CLASS_VALUES.to_string()),
        ("class records", data::CLASS_BLOBS.to_string()),
        ("places, at most", column_values::PLACES_MAX.to_string()),
        ("places of values that are bits", column_values::PLACES_BITS.to_string()),
        ("flag of exceptions", column_values::HAS_EXCEPTIONS.to_string()),
        ("list of steps", lists::LIST_STEPS.to_string()),
        ("list of runs", lists::LIST_RUNS.to_string()),
        ("list of bits", lists::LIST_BITS.to_string()),
        ("chunk code run, first", chunk::CODE_RUN.to_string()),
        ("chunk code half-byte difference, first", chunk::CODE_HALF.to_string()),
        ("chunk code wide difference", chunk::CODE_WIDE.to_string()),
        ("chunk code xor", chunk::CODE_XOR.to_string()),
        ("chunk code decimal", chunk::CODE_DECIMAL.to_string()),
        ("chunk code time", chunk::CODE_TIME.to_string()),
        ("chunk difference bias", chunk::DIFF_BIAS.to_string()),
        ("largest decimal exponent", chunk::EXPONENT_MAX.to_string()),
    ];
    for (name, value) in constants {
        let row = format!("| {name} | {value} |");
        assert!(FORMAT.contains(&row), "FORMAT.md lacks the row {row:?}");
    }
}

fn dump(bytes: &[u8]) -> String {
    dump_from(0, bytes)
}

/// Offset, counted from `at`, sixteen bytes in hexadecimal, and what of them is ASCII.
fn dump_from(at: usize, bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let ascii: String = line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        writeln!(out, "{:04x}  {:<47}  {ascii}", at + i * 16, hex.join(" ")).unwrap();
    }
    out
}

#[test]
fn the_dump_is_what_the_encoder_writes() {
    let salt = 0x0123_4567_89ab_cdef;
    let mut segment = encode_header(Header { version: scan::VERSION, number: 1, salt }).to_vec();
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "x")]).unwrap();
    let sample = WalSample { id: 0, t: 1_700_000_000_000, v: 1.0 };
    let mut encoder = Encoder::new().unwrap();
    encoder.put_batch(&mut segment, (salt, 0), [(SeriesId(0), &labels)].into_iter(), &[sample]);
    let next = WalSample { t: 1_700_000_015_000, v: 2.5, ..sample };
    encoder.put_batch(&mut segment, (salt, 1), [].into_iter(), &[next]);
    let dump = dump(&segment);
    assert!(FORMAT.contains(&dump), "FORMAT.md lacks the dump\n{dump}");
}

/// A file dumped part by part, each after a line that says what it is.
struct Annotated<'b> {
    bytes: &'b [u8],
    at: usize,
    out: String,
}

impl<'b> Annotated<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Annotated { bytes, at: 0, out: String::new() }
    }

    fn part(&mut self, len: usize, what: &str) -> &'b [u8] {
        let part = &self.bytes[self.at..self.at + len];
        write!(self.out, "# {what}\n{}", dump_from(self.at, part)).unwrap();
        self.at += len;
        part
    }

    /// A page whose sections are stored as they are, as small ones are.
    fn page(&mut self, kind: &str, sections: &[&str]) {
        self.part(page::PAGE_HEADER_BYTES, &format!("page of {kind}: length of the body, checksum"));
        let mut r = Reader::new(&self.bytes[self.at + 1..]);
        assert_eq!(usize::from(r.u8().unwrap()), sections.len(), "{kind}");
        let before = r.remaining() + 2;
        let lens: Vec<(u64, u64)> = sections.iter().map(|_| (r.varint().unwrap(), r.varint().unwrap())).collect();
        self.part(before - r.remaining(), "kind, number of sections, lengths of each");
        for (what, (raw, stored)) in sections.iter().zip(lens) {
            assert_eq!(raw, stored, "{kind}, {what}: a dump must not depend on the version of zstd");
            if raw > 0 {
                self.part(raw as usize, what);
            }
        }
    }

    #[track_caller]
    fn check(self, heading: &str) {
        assert_eq!(self.at, self.bytes.len(), "all is dumped");
        let text = format!("{heading}\n\n```text\n{}```\n", self.out);
        assert!(FORMAT.contains(&text), "FORMAT.md lacks\n{text}");
    }
}

/// Block 1 with `up{job="x"}`, which is always 1, and `up{job="y"}` with 0.5, 0.7 and 40.
fn small_block(dir: &Path) -> PathBuf {
    let symbols: Vec<Arc<str>> = ["__name__", "job", "up", "x", "y"].map(Arc::from).to_vec();
    let mut writer = writer::BlockWriter::new(&crate::fs::RealFs, dir, meta::BlockId(1), symbols).unwrap();
    let t: Vec<i64> = (0..3).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    for (job, v) in [(3, vec![1.0; 3]), (4, vec![0.5, 0.7, 40.0])] {
        let floats = Columns { t: t.clone(), v };
        let samples = block::SeriesSamples { floats, blobs: Vec::new(), ..block::SeriesSamples::default() };
        writer.add(&[(0, 2), (1, job)], &samples).unwrap();
    }
    writer.finish(1, Vec::new()).unwrap().unwrap();
    block::BlockPaths::new(dir, meta::BlockId(1)).dir
}

#[test]
fn the_dump_of_a_block_is_what_the_writer_writes() {
    let dir = tempfile::tempdir().unwrap();
    let block = small_block(dir.path());
    let read = |name: &str| std::fs::read(block.join(name)).unwrap();

    let meta = read(meta::META_FILE);
    let mut dump = Annotated::new(&meta);
    for (len, what) in [
        (12, "magic, version"),
        (16, "id, rank"),
        (16, "first sample's time, last sample's time + 1"),
        (24, "series, samples, chunks"),
        (16, "lengths of index and chunks"),
        (4, "number of sources"),
        (4, "checksum of all before"),
    ] {
        dump.part(len, what);
    }
    dump.check("`meta`:");

    let chunks = read(block::CHUNKS_FILE);
    let mut dump = Annotated::new(&chunks);
    dump.part(writer::FILE_HEADER_BYTES, "magic, version, number of the block, checksum");
    dump.page(
        "values (page 1)",
        &[
            "1 chunk: length of its head, length of its planes",
            "head: one decimal place; mode: differences, 2 planes; first number 5",
            "plane 0: low bytes of the residuals, zigzag of 7 - 5 and 400 - 7",
            "plane 1: their high bytes",
        ],
    );
    dump.page(
        "times (page 0)",
        &[
            "1 column: its bytes, its times",
            "column: mode: differences of differences, no plane; first time; step 15000",
        ],
    );
    dump.check("`chunks`:");

    let index = read(block::INDEX_FILE);
    let mut dump = Annotated::new(&index);
    dump.part(writer::FILE_HEADER_BYTES, "magic, version, number of the block, checksum");
    dump.page(
        "series",
        &[
            "2 series; 1 shape: names 0 and 1; shapes of the series; rows of name 0: 0, 0; of name 1: 0 and 1 more each",
            "1 time row: column 0 from 0, 3 samples, first time, 30000; chunks of each series; classes constant and 2 planes; \
             time rows; page 0 + 1, slot 0; the constant: no places, 1",
        ],
    );
    dump.page("lists", &["steps: series 0, the next one"]);
    dump.page(
        "pairs",
        &["up, x, y: bytes shared, others", "2 series, a list of 3 bytes; 1 series: number 0; 1 series: number 1"],
    );
    dump.page(
        "directory",
        &[
            "2 series; 2 names: __name__ with 1 row, job with 2; the page of pairs begins with up",
            "pages of series at 0x18, of lists at 0x4b, of pairs at 0x5a; pages 0 and 1 of chunks at 0x34 and 0x18; \
             page 0 has times, 1 column",
        ],
    );
    dump.part(block_index::INDEX_FOOTER_BYTES, "footer: place of the directory, number of series, checksum");
    dump.check("`index`:");
}

#[test]
fn the_dump_of_snapshot_frames_is_what_the_encoder_writes() {
    use snapshot::format::{FileHeader, KIND_END, PLAIN, SNAPSHOT_MAGIC, facts_bytes, put_frame};
    let salt = 0x0123_4567_89ab_cdef;
    let facts = snapshot::format::Facts {
        segment: 2,
        next_seq: 7,
        next_id: 1,
        next_block: 1,
        cut_t: 1_699_992_000_000,
        now: 1_700_000_020_000,
        min_t: i64::MAX,
        max_t: i64::MIN,
        ..snapshot::format::Facts::default()
    };
    let mut file = FileHeader { number: 2, salt }.encode(SNAPSHOT_MAGIC).to_vec();
    put_frame(&mut file, salt, 0, &facts.encode(facts_bytes(0, 0)));
    put_frame(&mut file, salt, 1, &facts.encode(facts_bytes(0, 0)));
    put_frame(&mut file, salt, 2, &[KIND_END, PLAIN]);
    let mut dump = Annotated::new(&file);
    dump.part(64, "magic, version, number, salt, checksum; and the same again");
    dump.part(
        record::FRAME_BYTES,
        "frame: marker, length, number, checksum of the payload, checksum of salt and frame",
    );
    dump.part(2, "facts, plain");
    dump.part(16, "first segment, number of its first record");
    dump.part(16, "ids of the next new series and block");
    dump.part(16, "end of the last cut, when it was written");
    dump.part(16, "series, samples: none");
    dump.part(16, "times of the oldest and newest sample: none");
    dump.part(8, "numbers of chunk files and of blocks");
    dump.part(record::FRAME_BYTES + facts_bytes(0, 0), "the facts again, as frame 1");
    dump.part(record::FRAME_BYTES + 2, "frame 2: end, plain");
    dump.check("An empty head's snapshot:");
}

fn golden_dir(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/format/v{version}"))
}

fn golden_options() -> Options {
    Options { block_ms: 1000, ..Options::default() }
}

/// Floats of a golden database: two series every 250 ms, one of them with late samples.
fn golden_samples() -> Vec<(Labels, i64, f64)> {
    let mut all = Vec::new();
    for i in 0..26i64 {
        let t = GOLDEN_T + i * 250;
        all.push((golden_labels("requests_total"), t, (i * 17) as f64));
        all.push((golden_labels("load"), t, if i % 7 == 3 { stale_nan() } else { (i * i) as f64 / 7.0 }));
        if i % 5 == 4 {
            all.push((golden_labels("load"), t - 1100, -0.0));
        }
    }
    all
}

const GOLDEN_T: i64 = 100_000;
/// Deleted before the last snapshot: in a block and in the head.
const GOLDEN_GONE: TimeRange = TimeRange { min_t: GOLDEN_T + 500, max_t: GOLDEN_T + 5_800 };
/// Deleted after it: a record of the log.
const GOLDEN_GONE_LATE: TimeRange = TimeRange { min_t: GOLDEN_T + 6_000, max_t: GOLDEN_T + 6_100 };
/// The samples from here on are in the log only.
const GOLDEN_LATE_T: i64 = GOLDEN_T + 6_500;

fn golden_labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("instance", "héhé:9100")]).unwrap()
}

/// One of each layout: exponential with whole counts, custom bounds with fractional ones.
fn golden_histograms(i: i64) -> [(Labels, Histogram); 2] {
    let (n, spans) = (i as u64, vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }]);
    let whole = Histogram {
        schema: 3,
        zero_threshold: 0.001,
        sum: i as f64 * 1.25,
        positive_spans: spans,
        negative_spans: vec![Span { offset: 0, length: 1 }],
        counts: HistogramCounts::Int {
            count: 5 * n + 6,
            zero_count: n,
            positive: vec![i + 1, 1, -1],
            negative: vec![i + 2],
        },
        ..Histogram::default()
    };
    let fractional = Histogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: SCHEMA_CUSTOM,
        sum: 0.1 * i as f64,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        counts: HistogramCounts::Float {
            count: 4.0 + i as f64 / 8.0,
            zero_count: 0.0,
            positive: vec![0.5, 3.5, i as f64 / 8.0],
            negative: Vec::new(),
        },
        custom_values: vec![0.005, 2.5],
        ..Histogram::default()
    };
    [(golden_labels("latency_seconds"), whole), (golden_labels("sizes"), fractional)]
}

fn golden_exemplar(i: i64) -> (Labels, Exemplar) {
    let labels = Labels::from_pairs([("trace_id", format!("{i:08x}").as_str())]).unwrap();
    (golden_labels("requests_total"), Exemplar { labels, t: GOLDEN_T + i * 250, v: i as f64 / 3.0 })
}

fn golden_metadata() -> [(String, MetricMetadata); 2] {
    [
        ("requests_total".into(), MetricMetadata::new("counter", "What was asked for.", "")),
        ("latency_seconds".into(), MetricMetadata::new("histogram", "Wie lange – ungefähr.", "seconds")),
    ]
}

fn append_golden(db: &Db, batch: &mut Batch, t: i64) {
    let pushed = (batch.len() + batch.histogram_count()) as u64;
    assert_eq!(db.append(batch, t, Durability::Written).unwrap().accepted, pushed);
}

/// Everything twice: before the last snapshot of the head and, as records of the log, after it.
fn write_golden(dir: &Path) {
    let db = Db::open(dir, golden_options()).unwrap();
    let load = [Matcher::equal("__name__", "load")];
    for (labels, t, v) in golden_samples() {
        let mut batch = Batch::new();
        if labels == golden_labels("requests_total") {
            golden_histograms((t - GOLDEN_T) / 250).into_iter().for_each(|(l, h)| batch.push_histogram(l, t, h));
        }
        batch.push(labels, t, v);
        let now = t.max(GOLDEN_T);
        append_golden(&db, &mut batch, now);
        db.maintain(now).unwrap();
    }
    assert_eq!(db.append_exemplars(&[golden_exemplar(3)], Durability::Written).unwrap().accepted, 1);
    db.append_metadata(&golden_metadata()[..1], Durability::Written).unwrap();
    assert_eq!(db.delete_series(&load, GOLDEN_GONE).unwrap().series, 1);
    db.snapshot_now(GOLDEN_T + 6_250).unwrap();

    let mut batch = Batch::new();
    golden_histograms(26).into_iter().for_each(|(l, h)| batch.push_histogram(l, GOLDEN_LATE_T, h));
    batch.push(golden_labels("load"), GOLDEN_LATE_T, 0.5);
    append_golden(&db, &mut batch, GOLDEN_LATE_T);
    assert_eq!(db.append_exemplars(&[golden_exemplar(25)], Durability::Written).unwrap().accepted, 1);
    db.append_metadata(&golden_metadata()[1..], Durability::Written).unwrap();
    assert_eq!(db.delete_series(&load, GOLDEN_GONE_LATE).unwrap().head_samples, 1);
    // Not closed: that would write a snapshot, and the log would have nothing of its own.
    drop(db);
    std::fs::remove_file(dir.join("lock")).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A new version gets a new directory: `CAIRN_WRITE_GOLDEN=1` writes it where there is none yet.
#[test]
fn golden_databases_are_read() {
    let newest = golden_dir(meta::BLOCK_VERSION);
    if std::env::var_os("CAIRN_WRITE_GOLDEN").is_some() && !newest.join("head").try_exists().unwrap() {
        std::fs::create_dir_all(&newest).unwrap();
        write_golden(&newest);
    }
    for version in 1..=meta::BLOCK_VERSION {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&golden_dir(version), dir.path());
        check_golden_files(dir.path());
        let db = Db::open(dir.path(), golden_options()).unwrap();
        check_golden(&db, version);
        let blocks = db.blocks_in(TimeRange::ALL);
        let chunks = |block: &Arc<block::Block>, at| block.series_at(at).unwrap().1;
        let has_records = |block| (0..4).any(|at| chunks(block, at).iter().any(block::ChunkRef::is_blobs));
        assert!(blocks.iter().any(has_records), "histograms are in blocks, too");
        assert!(db.stats().blocks > 0 && db.stats().head_samples > 0, "both parts are covered");
    }
}

#[track_caller]
fn check_golden(db: &Db, version: u32) {
    let found = db.select(&[], TimeRange::ALL).unwrap();
    assert_eq!(found.warnings, [] as [String; 0]);
    let (mut samples, mut histograms) = (Vec::new(), Vec::new());
    for series in &found.series {
        let (mut out, mut records) = (Columns::default(), HistogramColumns::default());
        series.read_into(&mut out).unwrap();
        samples.extend(out.t.iter().zip(&out.v).map(|(&t, v)| (series.labels().clone(), t, v.to_bits())));
        series.read_histograms_into(&mut records).unwrap();
        histograms.extend(records.t.into_iter().zip(records.h).map(|(t, h)| (series.labels().clone(), t, h)));
    }
    let is_gone = |labels: &Labels, t| {
        *labels == golden_labels("load") && (GOLDEN_GONE.contains(t) || GOLDEN_GONE_LATE.contains(t))
    };
    let mut expected = golden_samples();
    expected.push((golden_labels("load"), GOLDEN_LATE_T, 0.5));
    let mut expected: Vec<_> = expected.into_iter().map(|(l, t, v)| (l, t, v.to_bits())).collect();
    expected.retain(|(labels, t, _)| !is_gone(labels, *t));
    expected.sort();
    assert_eq!(samples, expected, "v{version}");

    let mut expected: Vec<_> =
        (0..=26).flat_map(|i| golden_histograms(i).map(|(l, h)| (l, GOLDEN_T + i * 250, h))).collect();
    expected.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    assert_eq!(histograms, expected, "v{version}");

    let exemplars = db.exemplars(&[vec![]], TimeRange::ALL);
    assert_eq!(exemplars, [(golden_labels("requests_total"), [3, 25].map(|i| golden_exemplar(i).1).to_vec())]);
    let told: Vec<_> = db.metadata(None).into_iter().map(|(metric, told)| (metric.to_string(), told)).collect();
    let mut expected = golden_metadata();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, expected, "v{version}");
}

/// Payloads of the frames of a segment or a snapshot.
fn payloads(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let (mut payloads, mut rest) = (Vec::new(), &bytes[scan::HEADER_BYTES..]);
    while let Some((frame, behind)) = rest.split_at_checked(record::FRAME_BYTES) {
        assert_eq!(frame[..4], record::MARKER, "{}: all is frames", path.display());
        let len = u32::from_le_bytes(frame[4..8].try_into().unwrap()) as usize;
        payloads.push(behind[..len].to_vec());
        rest = &behind[len..];
    }
    payloads
}

fn kinds_of(path: &Path) -> BTreeSet<u8> {
    payloads(path).iter().map(|payload| payload[0]).collect()
}

/// What is read comes from all places: the log after the last snapshot, that snapshot, blocks and their tombstones.
fn check_golden_files(dir: &Path) {
    use snapshot::format::*;
    let names = |part: &str| {
        let mut names: Vec<PathBuf> = std::fs::read_dir(dir.join(part)).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    };
    let newest = names("head").into_iter().rfind(|p| p.to_string_lossy().contains("/snap-")).unwrap();
    let kinds = [KIND_FACTS, KIND_SERIES, KIND_END, KIND_HISTOGRAMS, KIND_EXEMPLARS, KIND_METADATA];
    assert_eq!(kinds_of(&newest), BTreeSet::from(kinds));
    let segment = Facts::decode(&payloads(&newest)[0]).unwrap().segment;
    let kinds =
        [record::KIND_BATCH, record::KIND_DELETE, record::KIND_BLOBS, record::KIND_EXEMPLARS, record::KIND_METADATA];
    assert_eq!(
        kinds_of(&dir.join("wal").join(format!("{segment:08}.wal"))),
        BTreeSet::from(kinds),
        "after the snapshot"
    );
    let is_entombed = |block: &PathBuf| block.join("tombstones").try_exists().unwrap();
    assert!(names("blocks").iter().any(is_entombed), "a block has tombstones");
}
