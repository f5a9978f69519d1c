//! Tombstones: which samples of a block are deleted, until the block is written anew without them.
//!
//! Here: the set of one block, its file, taking deleted samples out of what was read.
//! Elsewhere: who deletes (`delete`), honouring them at reads (`block`, `querier`) and at merges (`compact`).
//!
//! Invariant: a block's set only grows, and is replaced on the disk as a whole. A file that cannot be read costs neither
//! the block nor silence: samples that were never deleted are worth more than hiding those that were, so the block is
//! served and every answer from it says that deleted samples may be among the others. Since that would be a deletion
//! undone, the contents stand in the file twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::fs::{Fs, IoAt, publish};
use crate::index::{Damage, SeriesRef};
use crate::{Columns, TimeRange};

/// Name of the file, in the block's directory.
pub(crate) const TOMBSTONES_FILE: &str = "tombstones";
/// First bytes of each of the two copies.
pub(crate) const TOMBSTONES_MAGIC: [u8; 8] = *b"CAIRNTMB";
/// Version of the file.
pub(crate) const TOMBSTONES_VERSION: u32 = 1;
/// Magic, version, length of the entries.
pub(crate) const TOMBSTONES_HEADER_BYTES: usize = 16;

/// The deleted ranges of one block's series: of each sorted, apart, and not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tombstones {
    by_series: BTreeMap<SeriesRef, Arc<[TimeRange]>>,
}

/// Why a file of tombstones cannot be used.
#[derive(Debug)]
pub(crate) enum TombstoneError {
    /// Neither copy is whole.
    Damaged(Damage),
    /// Written by a newer program.
    Version(PathBuf, u32),
}

impl Tombstones {
    /// Those of the block in `dir`; none if there is no file.
    pub(crate) fn load(fs: &dyn Fs, dir: &Path) -> Result<Self, TombstoneError> {
        let path = dir.join(TOMBSTONES_FILE);
        let damaged = |what: String| TombstoneError::Damaged(Damage(format!("{}: {what}", path.display())));
        let bytes = match fs.read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(damaged(e.to_string())),
        };
        match decode(&bytes) {
            Ok(found) => Ok(found),
            Err(Some(version)) => Err(TombstoneError::Version(path, version)),
            Err(None) => Err(damaged("both copies are damaged".to_owned())),
        }
    }

    /// Puts the file into the block's directory `dir`; on the disk when this returns.
    pub(crate) fn publish(&self, fs: &dyn Fs, dir: &Path) -> Result<(), IoAt> {
        publish(fs, dir, TOMBSTONES_FILE, &self.encode())
    }

    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// Series with deleted samples.
    pub(crate) fn series_count(&self) -> u64 {
        self.by_series.len() as u64
    }

    /// What is deleted of `series`.
    pub(crate) fn of(&self, series: SeriesRef) -> Option<&Arc<[TimeRange]>> {
        self.by_series.get(&series)
    }

    /// The same with `range` of `series` deleted, too.
    pub(crate) fn add(&mut self, series: SeriesRef, range: TimeRange) {
        let ranges = self.by_series.entry(series).or_insert_with(|| Arc::from([]));
        *ranges = join(ranges.iter().copied().chain([range]));
        if ranges.is_empty() {
            self.by_series.remove(&series);
        }
    }

    /// The whole file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        put_varint(&mut entries, self.by_series.len() as u64);
        let mut last = 0;
        for (&series, ranges) in &self.by_series {
            put_varint(&mut entries, u64::from(series - last));
            last = series;
            put_varint(&mut entries, ranges.len() as u64);
            for range in ranges.iter() {
                put_signed(&mut entries, range.min_t);
                put_varint(&mut entries, range.max_t.wrapping_sub(range.min_t) as u64);
            }
        }
        let len = u32::try_from(entries.len()).expect("a block has fewer than four billion series");
        let mut copy = TOMBSTONES_MAGIC.to_vec();
        copy.extend_from_slice(&TOMBSTONES_VERSION.to_le_bytes());
        copy.extend_from_slice(&len.to_le_bytes());
        copy.append(&mut entries);
        let crc = crc32fast::hash(&copy);
        copy.extend_from_slice(&crc.to_le_bytes());
        copy.repeat(2)
    }
}

/// The first copy that is whole; the version if that is what is foreign.
fn decode(bytes: &[u8]) -> Result<Tombstones, Option<u32>> {
    let second = bytes.get(bytes.len() / 2..).unwrap_or_default();
    match decode_copy(bytes).or_else(|first| decode_copy(second).map_err(|second| first.or(second))) {
        Ok(entries) => decode_entries(entries).ok_or(None),
        Err(version) => Err(version),
    }
}

/// The entries of the copy that `bytes` begin with.
fn decode_copy(bytes: &[u8]) -> Result<&[u8], Option<u32>> {
    let read = || {
        let mut r = Reader::new(bytes);
        let is_ours = r.bytes(8)? == TOMBSTONES_MAGIC;
        let (version, len) = (r.u32()?, r.u32()? as usize);
        let entries = r.bytes(len)?;
        let crc = crc32fast::hash(bytes.get(..TOMBSTONES_HEADER_BYTES + len)?);
        (is_ours && r.u32()? == crc).then_some((version, entries))
    };
    match read() {
        Some((TOMBSTONES_VERSION, entries)) => Ok(entries),
        Some((version, _)) => Err(Some(version)),
        None => Err(None),
    }
}

fn decode_entries(entries: &[u8]) -> Option<Tombstones> {
    let mut r = Reader::new(entries);
    let mut by_series = BTreeMap::new();
    let mut series: SeriesRef = 0;
    for _ in 0..r.count(4)? {
        series = series.checked_add(SeriesRef::try_from(r.varint()?).ok()?)?;
        let mut ranges = Vec::new();
        for _ in 0..r.count(2)? {
            let min_t = r.signed()?;
            ranges.push(TimeRange::new(min_t, min_t.wrapping_add(r.varint()? as i64)));
        }
        by_series.insert(series, ranges.into());
    }
    r.is_at_end().then_some(Tombstones { by_series })
}

/// The same milliseconds in ranges that rise and do not touch.
fn join(ranges: impl Iterator<Item = TimeRange>) -> Arc<[TimeRange]> {
    let mut sorted: Vec<TimeRange> = ranges.filter(|r| !r.is_empty()).collect();
    sorted.sort_by_key(|r| (r.min_t, r.max_t));
    let mut joined: Vec<TimeRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.min_t <= last.max_t => last.max_t = last.max_t.max(range.max_t),
            _ => joined.push(range),
        }
    }
    joined.into()
}

/// Takes deleted samples out of `columns`, from its `from`-th sample on.
pub(crate) fn strip(gone: &[TimeRange], columns: &mut Columns, from: usize) {
    let mut kept = from;
    for i in from..columns.len() {
        let t = columns.t[i];
        if !is_gone(gone, t) {
            columns.t[kept] = t;
            columns.v[kept] = columns.v[i];
            kept += 1;
        }
    }
    columns.t.truncate(kept);
    columns.v.truncate(kept);
}

/// Whether one of the sorted `gone` holds `t`.
pub(crate) fn is_gone(gone: &[TimeRange], t: i64) -> bool {
    let after = gone.partition_point(|range| range.min_t <= t);
    after.checked_sub(1).and_then(|at| gone.get(at)).is_some_and(|range| range.contains(t))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> Tombstones {
        let mut found = Tombstones::default();
        found.add(3, TimeRange::new(10, 20));
        found.add(3, TimeRange::new(-5, 0));
        found.add(900, TimeRange::ALL);
        found
    }

    #[test]
    fn ranges_are_joined_and_samples_in_them_go() {
        let mut found = some();
        found.add(3, TimeRange::new(20, 25));
        found.add(3, TimeRange::new(7, 7));
        let gone = found.of(3).unwrap();
        assert_eq!(gone[..], [TimeRange::new(-5, 0), TimeRange::new(10, 25)]);
        let mut columns = Columns { t: vec![-5, -1, 0, 9, 10, 24, 25], v: vec![0.0; 7] };
        strip(gone, &mut columns, 1);
        assert_eq!(columns.t, [-5, 0, 9, 25]);
        found.add(4, TimeRange::new(1, 1));
        assert_eq!(found.of(4), None);
    }

    #[test]
    fn one_flip_costs_nothing_and_a_cut_is_noticed() {
        let good = some().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert_eq!(decode(&bad).unwrap(), some(), "flip at {at}");
            let expected = if at < good.len() / 2 { Err(None) } else { Ok(some()) };
            assert_eq!(decode(&good[..at]), expected, "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let mut copy = some().encode();
        copy.truncate(copy.len() / 2 - 4);
        copy[8] = 9;
        let crc = crc32fast::hash(&copy);
        copy.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&copy.repeat(2)), Err(Some(9)));
    }

    proptest! {
        #[test]
        fn round_trips(raw in prop::collection::vec((any::<u32>(), any::<i64>(), any::<i64>()), 0..20)) {
            let mut found = Tombstones::default();
            raw.iter().for_each(|&(series, a, b)| found.add(series, TimeRange::new(a.min(b), a.max(b))));
            prop_assert_eq!(decode(&found.encode()).unwrap(), found);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode_entries(&bytes);
        }
    }
}
