//! Blocks written and read back: every class of chunk, damage to every kind of page, sizes.

use std::path::PathBuf;

use super::cache::CACHE_BYTES_MAX;
use super::writer::BlockWriter;
use super::*;
use crate::fs::RealFs;
use crate::listing::Listings;
use crate::querier::{Piece, SelectedSeries};
use crate::stale_nan;

/// A block in a directory of its own.
pub(crate) struct Made {
    parent: tempfile::TempDir,
    id: BlockId,
    meta: Meta,
}

impl Made {
    pub(crate) fn dir(&self) -> PathBuf {
        BlockPaths::new(self.parent.path(), self.id).dir
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(crate) fn open(&self) -> Result<Arc<Block>, BlockError> {
        Block::open(&RealFs, &self.dir(), &Arc::new(PageCache::new(CACHE_BYTES_MAX))).map(Arc::new)
    }

    fn log(&self) -> DamageLog {
        DamageLog::new(Arc::new(RealFs), self.parent.path())
    }
}

type Samples = Vec<(i64, f64)>;

/// Writes a block of these series, which rise by labels.
pub(crate) fn make(id: BlockId, series: impl Iterator<Item = (Labels, Samples)> + Clone) -> Made {
    make_mixed(
        id,
        series.map(|(labels, samples)| {
            let (t, v) = samples.into_iter().unzip();
            (labels, SeriesSamples { floats: Columns { t, v }, blobs: Vec::new(), ..SeriesSamples::default() })
        }),
    )
}

fn make_mixed(id: BlockId, series: impl Iterator<Item = (Labels, SeriesSamples)> + Clone) -> Made {
    let parent = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut symbols: Vec<Arc<str>> = Vec::new();
    for (labels, _) in series.clone() {
        symbols.extend(labels.iter().flat_map(|(n, v)| [n.into(), v.into()]));
        if symbols.len() > 1 << 20 {
            symbols.sort_unstable();
            symbols.dedup();
        }
    }
    symbols.sort_unstable();
    symbols.dedup();
    let mut writer = BlockWriter::new(&RealFs, parent.path(), id, symbols.clone()).unwrap();
    let place = |text: &str| symbols.binary_search_by(|s| (**s).cmp(text)).unwrap() as u32;
    for (labels, samples) in series {
        let labels: Vec<(u32, u32)> = labels.iter().map(|(n, v)| (place(n), place(v))).collect();
        writer.add(&labels, &samples).unwrap();
    }
    let meta = writer.finish(id.0, Vec::new()).unwrap().unwrap();
    Made { parent, id, meta }
}

fn labels(name: &str, at: usize) -> Labels {
    let at = format!("{at:05}");
    Labels::from_pairs([("__name__", name), ("instance", at.as_str())]).unwrap()
}

/// A series of each class: constant, counter, noise of 1 to 8 bytes, markers, late begin, very long.
fn every_class() -> Vec<(Labels, Samples)> {
    let t = |i: usize| 1_700_000_000_000 + i as i64 * 15_000 + (i * i % 13) as i64;
    let row =
        |range: std::ops::Range<usize>, v: &dyn Fn(usize) -> f64| range.map(|i| (t(i), v(i))).collect::<Samples>();
    let noise = |i: usize| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64;
    vec![
        (labels("a", 0), row(0..300, &|_| 1.5)),
        (labels("a", 1), row(0..300, &|i| i as f64 * 0.25)),
        (labels("a", 2), row(0..300, &|i| (noise(i) % 200.0).floor() / 10.0)),
        (labels("a", 3), row(0..300, &|i| (noise(i) % 60_000.0).floor())),
        (labels("a", 4), row(0..300, &|i| (noise(i) % 1e7).floor() / 100.0)),
        (labels("a", 5), row(0..300, &|i| noise(i).sqrt())),
        (labels("a", 6), row(40..300, &|i| if i == 299 { stale_nan() } else { 3.0 })),
        (labels("a", 7), row(0..200, &|i| if i % 2 == 0 { f64::NAN } else { -0.0 })),
        (labels("b", 0), row(0..9_000, &|i| (i * 3 + i % 2) as f64)),
        (labels("b", 1), row(5_000..5_001, &|_| f64::INFINITY)),
        (labels("b", 2), (0..50).map(|i| (i * i - 9, i as f64)).collect()),
    ]
}

/// Series with times and bits, warnings, and how many pieces were counted as damaged.
type Found = (Vec<(Labels, Vec<(i64, u64)>)>, Vec<String>, u64);

fn read_all(block: &Arc<Block>, range: TimeRange) -> Found {
    let log = DamageLog::new(Arc::new(RealFs), Path::new("/nowhere"));
    let mut warnings = Vec::new();
    let mut found = Vec::new();
    let listings = Listings::new(0);
    let on_one = block.select(&[], range, (1, &|_| true), (&listings, &log), &mut Vec::new());
    let labels = |found: &Option<Vec<SelectedSeries>>| -> Vec<Labels> {
        found.iter().flatten().map(|series| series.labels().clone()).collect()
    };
    let on_several = block.select(&[], range, (3, &|_| true), (&listings, &log), &mut warnings);
    assert_eq!(on_one.as_ref().map(labels).ok(), on_several.as_ref().map(labels).ok());
    match on_several {
        Ok(series) => {
            for series in series.unwrap_or_default() {
                let mut out = Columns::default();
                for piece in series.pieces() {
                    let Piece::Block(block, chunk) = piece else { panic!("blocks give blocks' pieces") };
                    block.read_chunk(chunk, range, &mut out).unwrap();
                }
                found.push((
                    series.labels().clone(),
                    out.t.iter().copied().zip(out.v.iter().map(|v| v.to_bits())).collect(),
                ));
            }
        }
        Err(Damage(what)) => warnings.push(what),
    }
    (found, warnings, log.count())
}

fn bits(samples: &Samples) -> Vec<(i64, u64)> {
    samples.iter().map(|&(t, v)| (t, v.to_bits())).collect()
}

#[test]
fn every_class_of_chunk_comes_back() {
    let all = every_class();
    let made = make(BlockId(3), all.iter().cloned());
    let block = made.open().unwrap();
    let (found, warnings, _) = read_all(&block, TimeRange::ALL);
    assert_eq!(warnings, [] as [String; 0]);
    let expected: Vec<_> = all.iter().map(|(l, s)| (l.clone(), bits(s))).collect();
    assert_eq!(found, expected);
    assert_eq!(block.meta().samples, all.iter().map(|(_, s)| s.len() as u64).sum::<u64>());
    assert_eq!(block.verify().1.len(), 0);
    let range = TimeRange::new(1_700_000_900_000, 1_700_003_000_000);
    for (labels, samples) in read_all(&block, range).0 {
        let (_, all) = all.iter().find(|(l, _)| *l == labels).unwrap();
        let expected: Samples = all.iter().copied().filter(|(t, _)| range.contains(*t)).collect();
        assert_eq!(samples, bits(&expected));
    }
}

#[test]
fn records_stand_beside_floats() {
    let blobs: Vec<(i64, Vec<u8>)> = (0..5000).map(|i| (i * 10, vec![i as u8; (i % 40) as usize])).collect();
    let floats = Columns { t: vec![1, 2], v: vec![0.5, 0.5] };
    let both = SeriesSamples { floats, blobs: blobs.clone(), ..SeriesSamples::default() };
    let only = SeriesSamples { blobs, ..SeriesSamples::default() };
    let series = [(labels("a", 0), both), (labels("a", 1), only)];
    let made = make_mixed(BlockId(1), series.iter().cloned());
    let block = made.open().unwrap();
    for (at, (_, expected)) in series.iter().enumerate() {
        let (_, chunks) = block.series_at(at as u32).unwrap();
        let mut out = SeriesSamples::default();
        assert!(block.read_series(&chunks, &mut out).is_empty());
        assert_eq!(out, *expected);
    }
    let (found, warnings, _) = read_all(&block, TimeRange::ALL);
    assert_eq!((found.len(), warnings.len()), (2, 0), "series of records only are selected, too");
}

/// Flips one byte after the other in steps: never a wrong value, never a silent loss.
#[test]
fn damage_anywhere_costs_what_it_hits_and_is_named() {
    let all = every_class();
    let expected: Vec<_> = all.iter().map(|(l, s)| (l.clone(), bits(s))).collect();
    let made = make(BlockId(3), all.iter().cloned());
    let (mut partly, mut wholly) = (0, 0);
    for name in [CHUNKS_FILE, INDEX_FILE] {
        let path = made.dir().join(name);
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 80 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let Ok(block) = made.open() else {
                wholly += 1;
                continue;
            };
            let (found, warnings, count) = read_all(&block, TimeRange::ALL);
            assert_eq!(warnings.is_empty(), count == 0, "{name} at {at}");
            for (labels, samples) in &found {
                let (_, whole) = expected.iter().find(|(l, _)| l == labels).unwrap();
                assert!(samples.iter().all(|s| whole.binary_search(s).is_ok()), "{name} at {at}: {labels:?}");
            }
            assert!(!warnings.is_empty() || found == expected, "{name} at {at}");
            assert!(name == INDEX_FILE || !found.is_empty() || warnings.len() == 1, "{name} at {at}");
            partly += usize::from(name == CHUNKS_FILE && !found.is_empty() && !warnings.is_empty());
            let (index, pages) = block.verify();
            let is_seen = index.is_some() || !pages.is_empty();
            assert!(is_seen || found == expected, "{name} at {at}: verify sees what a reader meets");
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(partly > 30 && wholly > 0, "{partly} {wholly}");
    assert_eq!(made.log().count(), 0);
}
