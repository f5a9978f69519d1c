//! Snapshots: a directory that is a whole database of this moment, made while the original goes on.
//!
//! Here: linking the blocks, and writing what is in the head as blocks beside them.
//! Elsewhere: who asks and where they are kept (the server), copying the live directory as it is (`FORMAT.md`).
//!
//! Invariant: the directory gets its name when all in it is on the disk. Files of blocks never change, so the copy shares
//! them with the original until one of the two lets go; its tombstones are those of this moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::writer::BlockWriter;
use crate::block::{Block, BlockPaths, SeriesSamples};
use crate::blocks::BLOCKS_DIR;
use crate::db::{Db, lock};
use crate::fs::{AtPath, IoAt};
use crate::head::series::Sealed;
use crate::histogram::blobs;
use crate::index::SeriesRef;
use crate::querier;
use crate::starts::Changes;
use crate::verify::minute;
use crate::{Columns, HistogramColumns, OpenError, ReadError, SampleKind, SelectedSeries, TimeRange};

/// Where the server keeps snapshots, below the `Db`'s directory. They are a person's to keep and to remove: they do not
/// count for the limit on size, or one snapshot would drive out the samples that it was made of.
pub(crate) const SNAPSHOTS_DIR: &str = "snapshots";
/// Directories of snapshots in the making begin so.
const TEMP_PREFIX: &str = "tmp-";

/// What of the head goes into a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotHead {
    /// Everything: the snapshot is all that a query would see now.
    Written,
    /// Nothing: only what is in blocks already.
    Skipped,
}

impl Db {
    /// Makes `dir`, which must not be there, a database with the samples of this moment. Opens as any other.
    ///
    /// Waits for maintenance that is running; appends and selects go on. Costs no room for blocks (hard links), unless
    /// `dir` is on another file system. After an error nothing is left under that name. Returns warnings, one sentence each:
    /// what of the head is damaged on the disk and so not in the copy.
    pub fn snapshot_to(&self, dir: &Path, head: SnapshotHead) -> Result<Vec<String>, OpenError> {
        let _maintain = lock(&self.maintain);
        let parent = dir.parent().unwrap_or(Path::new("."));
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or("snapshot");
        if let Ok(entries) = self.fs.list(parent)
            && entries.iter().any(|entry| entry.name == name)
        {
            return Err(OpenError::Io { path: dir.to_owned(), source: std::io::ErrorKind::AlreadyExists.into() });
        }
        let temp = parent.join(format!("{TEMP_PREFIX}{name}"));
        let made = self.fill_snapshot(&temp, head).and_then(|missing| {
            self.fs.rename(&temp, dir).at(dir)?;
            self.fs.sync_dir(parent).at(parent)?;
            Ok(missing)
        });
        if made.is_err() {
            // Best effort: a full disk must not fill up with failed attempts.
            let _ = self.fs.remove_dir_all(&temp);
        }
        let warnings = Vec::from_iter(made?.warning());
        if !warnings.is_empty() {
            self.incomplete_copies.fetch_add(1, Ordering::Relaxed);
        }
        Ok(warnings)
    }

    fn fill_snapshot(&self, temp: &Path, head: SnapshotHead) -> Result<Missing, IoAt> {
        let blocks_dir = temp.join(BLOCKS_DIR);
        // What an attempt left that was killed.
        match self.fs.remove_dir_all(temp) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(IoAt { path: temp.to_owned(), source: e });
            }
            _ => {}
        }
        self.fs.create_dir_all(&blocks_dir).at(&blocks_dir)?;
        let mut missing = Missing::default();
        if head == SnapshotHead::Written {
            self.write_head_to(&blocks_dir, &mut missing)?;
        }
        for block in self.blocks.list().iter() {
            self.link_block(block, &blocks_dir)?;
        }
        self.fs.sync_dir(&blocks_dir).at(&blocks_dir)?;
        self.fs.sync_dir(temp).at(temp)?;
        Ok(missing)
    }

    fn link_block(&self, block: &Block, blocks_dir: &Path) -> Result<(), IoAt> {
        let to = BlockPaths::new(blocks_dir, block.meta().id).dir;
        self.fs.create_dir_all(&to).at(&to)?;
        for entry in self.fs.list(block.dir()).at(block.dir())?.iter().filter(|entry| !entry.name.ends_with(".tmp")) {
            let (from, to) = (block.dir().join(&entry.name), to.join(&entry.name));
            // Tombstones are replaced by rename, so their link keeps what they say now.
            self.fs.link(&from, &to).at(&to)?;
        }
        self.fs.sync_dir(&to).at(&to)
    }

    /// One block for each range of block length in which the head has samples.
    fn write_head_to(&self, blocks_dir: &Path, missing: &mut Missing) -> Result<(), IoAt> {
        let Some((min_t, max_t)) = self.head().range() else { return Ok(()) };
        let block_ms = self.options.block_ms;
        let mut start = min_t.div_euclid(block_ms) * block_ms;
        while start <= max_t {
            let range = TimeRange::new(start, start.saturating_add(block_ms));
            let found = self.select_head(&[], range, |series, chunk| missing.add(series, chunk));
            let series = querier::join(found);
            // The head's range may have holes as wide as a wrong clock is wrong: on to the next sample.
            let rest = TimeRange::new(range.max_t, i64::MAX);
            start = if series.is_empty() { self.next_range_start(rest, missing) } else { range.max_t };
            if !series.is_empty() {
                self.write_series_to(blocks_dir, &series)?;
            }
        }
        Ok(())
    }

    /// Where the range of block length begins that has the head's first sample in `rest`.
    fn next_range_start(&self, rest: TimeRange, missing: &mut Missing) -> i64 {
        let found = self.select_head(&[], rest, |series, chunk| missing.add(series, chunk));
        let first = found.iter().filter_map(SelectedSeries::earliest_t).min();
        first.map_or(i64::MAX, |t| t.div_euclid(self.options.block_ms) * self.options.block_ms)
    }

    fn write_series_to(&self, blocks_dir: &Path, series: &[SelectedSeries]) -> Result<(), IoAt> {
        let symbols: BTreeSet<&str> = series.iter().flat_map(|s| s.labels().iter()).flat_map(|(n, v)| [n, v]).collect();
        let symbols: Vec<Arc<str>> = symbols.into_iter().map(Arc::from).collect();
        let place = |text: &str| symbols.binary_search_by(|there| (**there).cmp(text)).map_or(0, |at| at as u32);
        // Numbers of the original, so that none is there twice; it passes over these.
        let id = self.blocks.new_id();
        let mut order: Vec<(Vec<(u32, u32)>, &SelectedSeries)> =
            series.iter().map(|s| (s.labels().iter().map(|(n, v)| (place(n), place(v))).collect(), s)).collect();
        order.sort_by(|a, b| a.0.cmp(&b.0));
        let mut writer = BlockWriter::new(self.fs.as_ref(), blocks_dir, id, symbols.clone())?;
        for (labels, series) in order {
            // Chunks that are damaged on the disk were left out by the selection already, and are in `Missing`.
            let read = samples_of(series).map_err(std::io::Error::other).at(blocks_dir);
            let added = read.and_then(|samples| match samples.is_empty() {
                true => Ok(()),
                false => writer.add(&labels, &samples),
            });
            if let Err(e) = added {
                writer.abandon();
                return Err(e);
            }
        }
        writer.finish(id.0, Vec::new()).map(drop)
    }
}

/// What of the head is not in a copy, as it is damaged on the disk.
#[derive(Debug, Default)]
struct Missing {
    /// A chunk may be met in several ranges, so series are kept to be counted once.
    series: BTreeSet<SeriesRef>,
    range: Option<(i64, i64)>,
}

impl Missing {
    fn add(&mut self, series: SeriesRef, chunk: &Sealed) {
        self.series.insert(series);
        let (min_t, max_t) = (chunk.min_t, chunk.max_t);
        self.range = Some(self.range.map_or((min_t, max_t), |(min, max)| (min.min(min_t), max.max(max_t))));
    }

    fn warning(&self) -> Option<String> {
        let (min_t, max_t) = self.range?;
        Some(format!(
            "samples of {} series between {} and {} are missing from the copy: their chunks in the head are damaged on the \
             disk (cairn verify names them)",
            self.series.len(),
            minute(min_t),
            minute(max_t)
        ))
    }
}

/// All samples of a selected series, as a block takes them.
fn samples_of(series: &SelectedSeries) -> Result<SeriesSamples, ReadError> {
    let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
    series.read_into(&mut floats)?;
    series.read_histograms_into(&mut histograms)?;
    let mut starts = Vec::new();
    for (times, kind) in [(&floats.t, SampleKind::Float), (&histograms.t, SampleKind::Histogram)] {
        let mut own = Vec::new();
        series.read_starts(kind, times, &mut own);
        starts.extend(times.iter().copied().zip(own));
    }
    Ok(SeriesSamples { floats, blobs: blobs::encoded(&histograms), starts: Changes::of_samples(starts) })
}

#[cfg(test)]
mod tests;
