//! Keeps `FORMAT.md` true, and old databases readable.
//!
//! Here: the constants and the dump of `FORMAT.md`, and the golden databases under `testdata/format/`.
//! Elsewhere: the encoders themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::block::index::{self as block_index, lists, pairs, series};
use crate::block::{data, meta, page, writer};
use crate::column::{self, times, values as column_values};
use crate::wal::record::{self, Encoder, WalSample};
use crate::wal::scan::{self, Header, encode_header};
use crate::wal::{pack, values};
use crate::*;

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

/// Offset, sixteen bytes in hexadecimal, and what of them is ASCII.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let ascii: String = line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        writeln!(out, "{:04x}  {:<47}  {ascii}", i * 16, hex.join(" ")).unwrap();
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

fn golden_dir(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/format/v{version}"))
}

fn golden_options() -> Options {
    Options { block_ms: 1000, ..Options::default() }
}

/// What a golden database holds: two series every 250 ms, one of them with late samples.
fn golden_samples() -> Vec<(Labels, i64, f64)> {
    let labels = |name: &str| Labels::from_pairs([("__name__", name), ("instance", "héhé:9100")]).unwrap();
    let mut all = Vec::new();
    for i in 0..26i64 {
        let t = 100_000 + i * 250;
        all.push((labels("requests_total"), t, (i * 17) as f64));
        all.push((labels("load"), t, if i % 7 == 3 { stale_nan() } else { (i * i) as f64 / 7.0 }));
        if i % 5 == 4 {
            all.push((labels("load"), t - 1100, -0.0));
        }
    }
    all
}

fn write_golden(dir: &Path) {
    let db = Db::open(dir, golden_options()).unwrap();
    for (labels, t, v) in golden_samples() {
        let mut batch = Batch::new();
        batch.push(labels, t, v);
        let now = t.max(100_000);
        assert_eq!(db.append(&mut batch, now, Durability::Written).unwrap().accepted, 1);
        db.maintain(now).unwrap();
    }
    db.close().unwrap();
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
        let db = Db::open(dir.path(), golden_options()).unwrap();
        let found = db.select(&[], TimeRange::ALL).unwrap();
        assert_eq!(found.warnings, [] as [String; 0]);
        let mut samples = Vec::new();
        for series in &found.series {
            let mut out = Columns::default();
            series.read_into(&mut out).unwrap();
            samples.extend(out.t.iter().zip(&out.v).map(|(&t, v)| (series.labels().clone(), t, v.to_bits())));
        }
        let mut expected: Vec<_> = golden_samples().into_iter().map(|(l, t, v)| (l, t, v.to_bits())).collect();
        expected.sort();
        assert_eq!(samples, expected, "v{version}");
        assert!(db.stats().blocks > 0 && db.stats().head_samples > 0, "both parts are covered");
    }
}
