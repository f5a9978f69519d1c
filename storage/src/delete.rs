//! Deleting samples, and taking them off the disk.
//!
//! Here: [`Db::delete_series`] and [`Db::clean_tombstones`].
//! Elsewhere: the file that says what of a block is deleted (`tombstone`), the record that repeats a deletion at replay
//! (`wal`), writing blocks without what is deleted (`compact`).
//!
//! Invariant: a deletion takes what is there when it is made and nothing that comes later, also after replay: the head
//! loses its samples, and the log gets its record, at one place in the order of appends. The record names every series
//! that matches, not only those with samples in the head: replay may bring back what a block has already, if that block
//! is not there any more.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use crate::block::Block;
use crate::compact::Stop;
use crate::db::{Db, lock};
use crate::fs::IoAt;
use crate::head;
use crate::index::SeriesRef;
use crate::wal::Lsn;
use crate::wal::record::{DELETED_MAX, Delete, Record};
use crate::{DeleteError, Matcher, OpenError, TimeRange};

/// The head's lock is released after so many series, so that selects do not wait for a large deletion.
const PORTION: usize = 512;

/// What a deletion found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// Series with samples in the range, in blocks or in the head. In blocks a series counts if one of its chunks reaches
    /// into the range.
    pub series: u64,
    /// Samples that left the head; those in blocks are not counted, for that would mean reading them.
    pub head_samples: u64,
}

/// Series by the hash of their labels: counting needs no more.
type Found = BTreeSet<u64>;

impl Db {
    /// Deletes what the series that satisfy all `matchers` have in `range` at this moment. On the disk when it returns;
    /// reads that began before still see it. The room is free after compaction or [`Db::clean_tombstones`].
    ///
    /// Waits for maintenance that is running. After an error a part may be deleted; calling again does the rest.
    /// A block whose index is damaged is passed over: it is not served either.
    pub fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteOutcome, DeleteError> {
        let _maintain = lock(&self.maintain);
        if range.is_empty() {
            return Ok(DeleteOutcome::default());
        }
        let done = self.delete_in(matchers, range);
        // After an error, too: a part may be gone.
        self.touched.note(range);
        done
    }

    fn delete_in(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteOutcome, DeleteError> {
        let mut found = Found::new();
        for block in self.blocks_in(range) {
            // A damaged index is counted at its first use, and the block is set aside by the next `maintain`.
            let mut hit: Vec<(SeriesRef, u64)> = Vec::new();
            if block
                .each_reaching(matchers, range, &self.damage, |series, packed| hit.push((series, hash(packed))))
                .is_err()
            {
                continue;
            }
            found.extend(hit.iter().map(|(_, hash)| *hash));
            let refs: Vec<SeriesRef> = hit.into_iter().map(|(series, _)| series).collect();
            self.entomb(&block, &refs, range)?;
        }
        let (head_samples, lsn) = self.delete_in_head(matchers, range, &mut found)?;
        if let Some(lsn) = lsn {
            self.wal.sync_to(lsn)?;
        }
        Ok(DeleteOutcome { series: found.len() as u64, head_samples })
    }

    fn entomb(&self, block: &Block, refs: &[SeriesRef], range: TimeRange) -> Result<(), IoAt> {
        if refs.is_empty() {
            return Ok(());
        }
        let here = block.meta().range;
        let range = TimeRange::new(range.min_t.max(here.min_t), range.max_t.min(here.max_t));
        let mut tombstones = block.tombstones().as_ref().clone();
        refs.iter().for_each(|&series| tombstones.add(series, range));
        tombstones.publish(self.fs.as_ref(), block.dir())?;
        block.set_tombstones(tombstones);
        Ok(())
    }

    /// Logs and does the head's part. Appends wait meanwhile: what is acknowledged after the record must not go.
    fn delete_in_head(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        found: &mut Found,
    ) -> Result<(u64, Option<Lsn>), DeleteError> {
        let mut writer = lock(&self.writer);
        let refs = head::select::select(&self.head, matchers);
        let (mut samples, mut last) = (0, None);
        for logged in refs.chunks(DELETED_MAX) {
            let ids: Vec<u64> = logged.iter().map(|&series| u64::from(series)).collect();
            let delete = Delete { ids, min_t: range.min_t, max_t: range.max_t - 1 };
            last = Some(self.wal.append_record(&mut writer.log, Record::Delete(&delete))?);
            for portion in logged.chunks(PORTION) {
                let mut head = self.head_mut();
                for &series in portion {
                    let gone = head.delete(series, range.min_t, range.max_t);
                    samples += gone;
                    if gone > 0 {
                        found.extend(head.labels(series).map(|labels| hash(labels.packed())));
                    }
                }
            }
        }
        Ok((samples, last))
    }

    /// Writes every block that has tombstones anew without what they delete; how many. A block with damage keeps its
    /// tombstones: what could be saved from it later must not be lost now.
    ///
    /// Waits for maintenance that is running, and needs room for the largest such block. An error leaves everything
    /// readable, and calling again does the rest.
    pub fn clean_tombstones(&self) -> Result<u64, OpenError> {
        let mut state = lock(&self.maintain);
        let mut cleaned = 0;
        for block in self.blocks.list().iter().filter(|b| !b.tombstones().is_empty()) {
            match self.merge(std::slice::from_ref(block)) {
                Ok(()) => cleaned += 1,
                Err(Stop::Io(e)) => return Err(e.into()),
                Err(Stop::Closing) => break,
                Err(Stop::Damage) => drop(state.never_merge.insert(block.meta().id)),
            }
        }
        Ok(cleaned)
    }
}

/// Of packed labels.
fn hash(labels: &str) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(labels)
}

impl From<IoAt> for DeleteError {
    fn from(e: IoAt) -> Self {
        DeleteError::Io { path: e.path, source: e.source }
    }
}

#[cfg(test)]
mod tests;
