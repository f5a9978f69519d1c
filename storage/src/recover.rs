//! Taking samples again after the disk refused them, without a restart.
//!
//! Here: what is known about refusals ([`RefusalCell`]), [`Db::recover`], moving the whole head to blocks.
//! Elsewhere: refusing (`wal`): a write that failed leaves no trace and the next one may succeed; a failed fsync stops all.
//!
//! Why this is safe after a failed fsync: nothing was acknowledged on its account, and nothing was written after it. What
//! the head shows was acknowledged earlier, or as "written" only, or not at all; which of it is on the disk nobody knows,
//! and asking the same file again would get a lie (the kernel drops the error with the pages). So the failed segments
//! are not used any more: all of the head goes to a snapshot, with its own fsyncs, and the log goes on in a new segment.
//! Until that has worked, everything is refused.
//!
//! Invariant: the log is healed only after everything that it was ever told is durable elsewhere.

use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::db::{Db, lock};
use crate::fs::{AtPath, IoAt};
use crate::{AppendError, OpenError, Refusal};

/// File that is written to see whether there is room, and removed again.
const PROBE_FILE: &str = "probe.tmp";
/// Its size: less room than this is not worth beginning again, it would be gone at once.
const PROBE_BYTES: usize = 1 << 20;

/// Whether samples are refused, and how often that happened.
#[derive(Debug, Default)]
pub(crate) struct RefusalCell {
    state: AtomicU8,
    failures: AtomicU64,
}

const NONE: u8 = 0;
const DISK_FULL: u8 = 1;
const FAILED: u8 = 2;

impl RefusalCell {
    /// Takes note of what came of an append or a sync; `wrote` says that it got something onto the disk.
    pub(crate) fn note(&self, error: Option<&AppendError>, wrote: bool) {
        let state = match error {
            None if wrote => NONE,
            None => return,
            Some(AppendError::Wal { disk_full: true, .. }) => DISK_FULL,
            Some(_) => FAILED,
        };
        if error.is_some() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.state.store(state, Ordering::Relaxed);
    }

    /// Why samples are refused.
    pub(crate) fn get(&self) -> Option<Refusal> {
        match self.state.load(Ordering::Relaxed) {
            DISK_FULL => Some(Refusal::DiskFull),
            FAILED => Some(Refusal::Failed),
            _ => None,
        }
    }

    /// Failures so far.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.state.store(NONE, Ordering::Relaxed);
    }
}

impl Db {
    /// Tries whether the disk takes writes again, if the last one failed. To be called every second or so; cheap when all
    /// is well, one small file when it is not, and after a failed fsync, once there is room, as long as writing the head
    /// takes. `Ok` says that samples are taken.
    pub fn recover(&self) -> Result<(), OpenError> {
        let is_poisoned = self.wal.check().is_err();
        if self.refusal.get().is_none() && !is_poisoned {
            return Ok(());
        }
        self.probe()?;
        if is_poisoned {
            let mut state = lock(&self.maintain);
            // It ends the segment: replay will begin with the next one.
            let now = state.now;
            self.snapshot_as_is(&mut state, now)?;
            self.wal.heal();
        }
        self.refusal.clear();
        Ok(())
    }

    fn probe(&self) -> Result<(), IoAt> {
        let path = self.dir.join(PROBE_FILE);
        let write = |path: &Path| {
            let file = self.fs.create(path)?;
            file.write_at(&vec![0; PROBE_BYTES], 0)?;
            file.sync()
        };
        let done = write(&path).at(&path);
        // Left behind, it is overwritten by the next one.
        let _ = self.fs.remove_file(&path);
        done
    }

    /// Moves the whole head to blocks and removes the log that it came from, so that damage in it is met no more.
    pub(crate) fn settle(&self) -> Result<(), IoAt> {
        let mut state = lock(&self.maintain);
        let end_t = self.head().range().map_or(0, |(_, max_t)| max_t.saturating_add(1));
        // What came before goes when two snapshots were written without it.
        self.cut(&mut state, end_t, end_t, true)?;
        self.cut(&mut state, end_t, end_t, true)
    }
}

#[cfg(test)]
mod tests;
